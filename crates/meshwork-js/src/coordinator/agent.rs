//! Agents that are functions of JavaScript, and what their attempts may do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork::controller::{AgentDefinition, Wake, WakeSchedule};
use meshwork::coordinator::{CoordinatorError, MeshCoordinator};
use meshwork::mesh::{Agent, Attempt, AttemptEnd, Output, Tools};
use meshwork_core::{AttemptOutcome, Tokens};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::program::{Program, Programs};
use crate::calls::{Answer, Calls, Given, JsFunction};
use crate::config::without_place;
use crate::failure::Failure;

/// An agent as `lib/agent.js` describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    capabilities: Vec<String>,
    kind: String,
    max_concurrent_tasks: Option<u32>,
    #[serde(flatten)]
    body: Body,
}

/// What runs its tasks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Functions(Functions),
    Program(Program),
}

/// Functions by their numbers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Functions {
    /// `[attempt, {task, peerId, attempt}]`: answers the result as JSON text.
    run: u32,
    /// `[attempt, code, message]`: the attempt is over.
    abort: u32,
    /// `[peerId]`: answers what the agent knows.
    checkpoint: Option<u32>,
    /// `[peerId, state]`.
    restore: Option<u32>,
    /// `[peerId]`: answers what the turn cost.
    wake: Option<u32>,
    wake_interval_ms: Option<u32>,
    wake_timeout_ms: Option<u32>,
}

/// Tokens as JavaScript has them.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    input_tokens: u64,
    output_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self { input: usage.input_tokens, output: usage.output_tokens }
    }
}

/// What agents know of their coordinator. It does not hold them, so they do not hold it.
pub(super) struct Home {
    /// Taken at the end.
    coordinator: Mutex<Option<MeshCoordinator>>,
    /// Whether it is initialized: attempts that a log had left open may start before.
    pub(super) ready: watch::Sender<bool>,
    attempts: Mutex<Attempts>,
    pub(super) programs: Programs,
}

#[derive(Default)]
struct Attempts {
    last: u32,
    open: HashMap<u32, Open>,
}

/// An attempt that JavaScript works on.
struct Open {
    tools: Tools,
    /// As it was reported last, in total.
    spent: Tokens,
    over: watch::Receiver<()>,
}

/// Takes an attempt from the open ones when it is over, however that came.
struct Opened {
    home: Arc<Home>,
    number: u32,
    /// Dropped: it is over.
    _over: watch::Sender<()>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.home.attempts().open.remove(&self.number);
    }
}

impl Home {
    pub(super) fn new() -> Arc<Self> {
        let (ready, _) = watch::channel(false);
        Arc::new(Self {
            coordinator: Mutex::default(),
            ready,
            attempts: Mutex::default(),
            programs: Programs::default(),
        })
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> MutexGuard<'_, Option<MeshCoordinator>> {
        self.coordinator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settle_in(&self, coordinator: MeshCoordinator) {
        *self.slot() = Some(coordinator);
    }

    /// The coordinator, until it is taken.
    pub(super) fn coordinator(&self) -> Option<MeshCoordinator> {
        self.slot().clone()
    }

    pub(super) fn take(&self) -> Option<MeshCoordinator> {
        self.slot().take()
    }

    fn open(self: &Arc<Self>, attempt: &Attempt) -> Opened {
        let (over, told) = watch::channel(());
        let mut attempts = self.attempts();
        // Far more than ever run at once, so that none of them has the number.
        attempts.last = attempts.last.wrapping_add(1);
        let number = attempts.last;
        attempts.open.insert(number, Open { tools: attempt.tools.clone(), spent: Tokens::default(), over: told });
        Opened { home: Arc::clone(self), number, _over: over }
    }

    fn spent(&self, number: u32) -> Tokens {
        self.attempts().open.get(&number).map_or_else(Tokens::default, |open| open.spent)
    }

    /// The attempt has spent so much by now.
    pub(super) fn spend(&self, number: u32, tokens: Tokens) {
        if let Some(open) = self.attempts().open.get_mut(&number) {
            open.spent = tokens;
        }
    }

    /// Does something for an attempt, unless it is over, or ends before that is done.
    pub(super) async fn within<T, Work>(
        &self,
        number: u32,
        work: impl FnOnce(Tools) -> Work,
    ) -> std::result::Result<T, Failure>
    where
        Work: Future<Output = std::result::Result<T, Failure>>,
    {
        let over = || Failure::new("AttemptOver", "the attempt is over; nothing changed");
        let open = self.attempts().open.get(&number).map(|open| (open.tools.clone(), open.over.clone()));
        let (tools, mut told) = open.ok_or_else(over)?;
        tokio::select! {
            biased;
            done = work(tools) => done,
            _ended = told.changed() => Err(over()),
        }
    }
}

/// The agent.
struct JsAgent {
    run: JsFunction,
    abort: JsFunction,
    checkpoint: Option<JsFunction>,
    restore: Option<JsFunction>,
    home: Weak<Home>,
}

/// How an attempt came to its end.
enum End {
    Answered(Answer),
    Stopped,
    TooLong(Duration),
}

impl Agent for JsAgent {
    fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        let (run, abort, home) = (self.run.clone(), self.abort.clone(), self.home.upgrade());
        async move {
            let Some(home) = home else { return AttemptEnd::stopped() };
            let opened = home.open(&attempt);
            let number = opened.number;
            let timeout = attempt.spec().timeout_ms.map(Duration::from_millis);
            let end = tokio::select! {
                biased;
                answer = answer_of(&home, &run, &attempt, number) => answer.map_or(End::Stopped, End::Answered),
                () = attempt.control.stopped() => End::Stopped,
                () = attempt.control.killed() => End::Stopped,
                late = too_long(timeout) => End::TooLong(late),
            };
            let aborted = |code: &str, text: &str| abort.tell(json!([number, code, text]).to_string());
            let mut end = match end {
                End::Answered(answer) => ended(answer),
                End::Stopped => {
                    aborted("AttemptOver", "its task was cancelled, its peer has left, or the coordinator ends");
                    AttemptEnd::stopped()
                }
                End::TooLong(late) => {
                    let text = format!("ran longer than its timeout, {late:?}");
                    aborted("TimedOut", &text);
                    AttemptEnd::ended(AttemptOutcome::TimedOut, text)
                }
            };
            end.usage = home.spent(number);
            drop(opened);
            end
        }
        .boxed()
    }

    fn checkpoint(&self, peer_id: &str) -> BoxFuture<'static, std::result::Result<Value, String>> {
        let Some(checkpoint) = &self.checkpoint else { return async { Ok(Value::Null) }.boxed() };
        let asked = checkpoint.ask(json!([peer_id]).to_string(), None);
        async move { asked.await.map(Given::value).map_err(|failure| failure.message) }.boxed()
    }

    fn restore(&self, peer_id: &str, state: Value) -> BoxFuture<'static, std::result::Result<(), String>> {
        let Some(restore) = &self.restore else { return async { Ok(()) }.boxed() };
        let asked = restore.ask(json!([peer_id, state]).to_string(), None);
        async move { asked.await.map(drop).map_err(|failure| failure.message) }.boxed()
    }
}

/// What the function answers; nothing when its coordinator ends before it is called.
async fn answer_of(home: &Home, run: &JsFunction, attempt: &Attempt, number: u32) -> Option<Answer> {
    let mut ready = home.ready.subscribe();
    let _ready = ready.wait_for(|ready| *ready).await.map(drop);
    let coordinator = home.coordinator()?;
    let task = match coordinator.task_of(attempt).await {
        Ok(task) => task,
        Err(CoordinatorError::NotInitialized | CoordinatorError::Closing) => return None,
        Err(error) => return Some(Err(error.into())),
    };
    // It is not held by a function that takes its time.
    drop(coordinator);
    let given = json!([number, { "task": task, "peerId": &*attempt.peer_id, "attempt": attempt.number }]);
    Some(run.call(given.to_string(), None).await)
}

async fn too_long(timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            tokio::time::sleep(timeout).await;
            timeout
        }
        None => std::future::pending().await,
    }
}

fn ended(answer: Answer) -> AttemptEnd {
    match answer {
        Ok(Given::Value(Value::String(text))) => match serde_json::from_str::<Value>(&text) {
            Ok(_) => AttemptEnd::ok(Output::Json(text)),
            Err(error) => AttemptEnd::failed(format!("the result can't be JSON: {}", without_place(&error))),
        },
        Ok(_nothing) => AttemptEnd::ok(Output::None),
        Err(failure) => AttemptEnd::failed(failure.message),
    }
}

/// Gives the agent a turn.
struct JsWake(JsFunction);

impl Wake for JsWake {
    fn wake<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, std::result::Result<Tokens, String>> {
        let asked = self.0.call(json!([agent_id]).to_string(), None);
        async move {
            let said = asked.await.map_err(|failure| failure.message)?.value();
            let usage = serde_json::from_value::<Usage>(said).map_err(|error| without_place(&error))?;
            Ok(usage.into())
        }
        .boxed()
    }
}

impl Functions {
    fn made(self, calls: &Calls, home: &Arc<Home>) -> (Arc<dyn Agent>, Option<WakeSchedule>) {
        let function = |number| calls.function(number);
        let agent = JsAgent {
            run: function(self.run),
            abort: function(self.abort),
            checkpoint: self.checkpoint.map(function),
            restore: self.restore.map(function),
            home: Arc::downgrade(home),
        };
        let timeout = self.wake_timeout_ms.map_or(WakeSchedule::TIMEOUT, |most| Duration::from_millis(most.into()));
        let wake = self.wake.zip(self.wake_interval_ms).map(|(wake, every)| WakeSchedule {
            timeout,
            ..WakeSchedule::new(Duration::from_millis(every.into()), Arc::new(JsWake(function(wake))))
        });
        (Arc::new(agent), wake)
    }
}

impl Definition {
    /// The agent, for peers of that coordinator.
    pub(super) fn made(self, calls: &Calls, home: &Arc<Home>) -> std::result::Result<AgentDefinition, Failure> {
        let (agent, wake) = match self.body {
            Body::Functions(functions) => functions.made(calls, home),
            Body::Program(program) => (program.made(&self.kind, &home.programs)?, None),
        };
        Ok(AgentDefinition {
            capabilities: self.capabilities,
            agent,
            kind: self.kind,
            max_concurrent_tasks: self.max_concurrent_tasks,
            wake,
        })
    }
}
