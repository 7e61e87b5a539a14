//! What runs a task: the one trait that all kinds of agents implement.

use super::process_agent::ProcessHost;
use super::specs::SpecRef;
use super::tools::Tools;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use meshwork_core::{AttemptOutcome, Grant, TaskNo, TaskSpec, Tokens};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Runs the tasks of one peer. One value serves all attempts of its peer, several at a time.
///
/// ```
/// use futures_util::future::BoxFuture;
/// use meshwork::mesh::{Agent, Attempt, AttemptEnd, Output};
///
/// /// Answers with the length of what it was told.
/// struct Counter;
///
/// impl Agent for Counter {
///     fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
///         let answer = attempt.spec().description.len().to_string();
///         Box::pin(async move { AttemptEnd::ok(Output::Json(answer)) })
///     }
/// }
///
/// assert!(!Counter.uses_session(), "not one of its node's `max_sessions`");
/// ```
pub trait Agent: Send + Sync + 'static {
    /// Runs one attempt. The future ends when nothing of the attempt runs any more; it must end soon
    /// after [`Control::stopped`], at once after [`Control::killed`].
    ///
    /// ```
    /// use futures_util::future::BoxFuture;
    /// use meshwork::mesh::Agent;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// struct Patient;
    ///
    /// impl Agent for Patient {
    ///     fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
    ///         Box::pin(async move {
    ///             let work = async { Output::Json("\"done\"".to_owned()) };
    ///             tokio::select! {
    ///                 biased;
    ///                 () = attempt.control.stopped() => AttemptEnd::stopped(),
    ///                 output = work => AttemptEnd::ok(output),
    ///             }
    ///         })
    ///     }
    /// }
    ///
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(Patient).await?.outcome, meshwork_core::AttemptOutcome::Ok);
    /// # Ok(())
    /// # }
    /// ```
    fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd>;

    /// Whether each attempt takes one of its node's sessions (`max_sessions`).
    ///
    /// ```
    /// use futures_util::future::BoxFuture;
    /// use meshwork::mesh::{Agent, Attempt, AttemptEnd, Output};
    ///
    /// /// Holds a session with a model: each attempt counts against the node's `max_sessions`.
    /// struct Model;
    ///
    /// impl Agent for Model {
    ///     fn run(&self, _: Attempt) -> BoxFuture<'static, AttemptEnd> {
    ///         Box::pin(async { AttemptEnd::ok(Output::None) })
    ///     }
    ///     fn uses_session(&self) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// assert!(Model.uses_session());
    /// ```
    fn uses_session(&self) -> bool {
        false
    }

    /// Where the agent works: evidence is looked at there. `None`: the current folder.
    ///
    /// ```
    /// use meshwork::mesh::{Agent as _, AttemptEnd, FnAgent, Output};
    ///
    /// let agent = FnAgent::new(|_| async { AttemptEnd::ok(Output::None) });
    /// assert_eq!(agent.folder(), None, "a function works nowhere in particular");
    /// ```
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Variables of its processes beside the allow-list; evidence that is a command gets them too.
    ///
    /// ```
    /// use meshwork::mesh::{Agent as _, AttemptEnd, FnAgent, Output};
    ///
    /// let agent = FnAgent::new(|_| async { AttemptEnd::ok(Output::None) });
    /// assert!(agent.env().is_empty());
    /// ```
    fn env(&self) -> &[(String, String)] {
        &[]
    }

    /// What the agent knows between tasks as that peer, as JSON, so that it can be brought back to this point. By
    /// default nothing: each task starts from its beginning. One value may serve several peers.
    ///
    /// ```
    /// use meshwork::mesh::{Agent as _, AttemptEnd, FnAgent, Output};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let agent = FnAgent::new(|_| async { AttemptEnd::ok(Output::None) });
    /// assert_eq!(agent.checkpoint("ada").await?, serde_json::Value::Null, "it knows nothing between tasks");
    /// # Ok(())
    /// # }
    /// ```
    fn checkpoint(&self, peer_id: &str) -> BoxFuture<'static, Result<serde_json::Value, String>> {
        let _the_same_for_all = peer_id;
        Box::pin(async { Ok(serde_json::Value::Null) })
    }

    /// Goes back, as that peer, to what [`Agent::checkpoint`] said. An error: the agent is as it was.
    ///
    /// ```
    /// use futures_util::future::BoxFuture;
    /// use meshwork::mesh::{Agent, Attempt, AttemptEnd, Output};
    /// use serde_json::{Value, json};
    /// use std::sync::{Arc, Mutex};
    ///
    /// /// Remembers how many tasks it did.
    /// #[derive(Default)]
    /// struct Learner(Arc<Mutex<u64>>);
    ///
    /// impl Agent for Learner {
    ///     fn run(&self, _: Attempt) -> BoxFuture<'static, AttemptEnd> {
    ///         *self.0.lock().expect("nobody panics with it") += 1;
    ///         Box::pin(async { AttemptEnd::ok(Output::None) })
    ///     }
    ///     fn checkpoint(&self, _: &str) -> BoxFuture<'static, Result<Value, String>> {
    ///         let done = *self.0.lock().expect("nobody panics with it");
    ///         Box::pin(async move { Ok(json!({ "done": done })) })
    ///     }
    ///     fn restore(&self, _: &str, state: Value) -> BoxFuture<'static, Result<(), String>> {
    ///         let done = self.0.clone();
    ///         Box::pin(async move {
    ///             let count = state["done"].as_u64().ok_or("no count of tasks")?;
    ///             *done.lock().expect("nobody panics with it") = count;
    ///             Ok(())
    ///         })
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let agent = Learner::default();
    /// agent.restore("ada", json!({ "done": 3 })).await?;
    /// assert_eq!(agent.checkpoint("ada").await?, json!({ "done": 3 }));
    /// assert!(agent.restore("ada", json!({})).await.is_err());
    /// assert_eq!(agent.checkpoint("ada").await?, json!({ "done": 3 }), "it is as it was");
    /// # Ok(())
    /// # }
    /// ```
    fn restore(&self, peer_id: &str, state: serde_json::Value) -> BoxFuture<'static, Result<(), String>> {
        let _nothing_to_know = (peer_id, state);
        Box::pin(async { Ok(()) })
    }

    /// What runs processes for it: evidence that is a command is run by it. `None`: such a task cannot be
    /// verified here, and its check says so.
    ///
    /// ```
    /// use meshwork::mesh::{Agent as _, AttemptEnd, FnAgent, Output};
    ///
    /// let agent = FnAgent::new(|_| async { AttemptEnd::ok(Output::None) });
    /// assert!(agent.host().is_none(), "evidence that is a command cannot be looked at here");
    /// ```
    fn host(&self) -> Option<&Arc<ProcessHost>> {
        None
    }
}

/// One attempt, as its agent sees it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agent = FnAgent::new(|attempt: Attempt| async move {
///     let Attempt { peer_id, number, .. } = &attempt;
///     AttemptEnd::ok(Output::Json(format!("\"{} on {peer_id}, attempt {number}\"", attempt.spec().id)))
/// });
/// // With this agent the peer ada does the task `build`.
/// let returned = run(agent).await?;
/// assert_eq!(returned.result, Some(meshwork_core::Payload::Json("\"build on ada, attempt 1\"".to_owned())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Attempt {
    /// The swarm's id.
    pub swarm_id: Arc<str>,
    /// The peer that runs it.
    pub peer_id: Arc<str>,
    /// The task's number.
    pub task: TaskNo,
    /// The fencing token.
    pub grant: Grant,
    /// Number of the attempt, from 1, for people.
    pub number: u32,
    pub(super) spec: SpecRef,
    /// How it is told to stop, or to stand still.
    pub control: Control,
    /// What it may do in the mesh.
    pub tools: Tools,
}

impl Attempt {
    /// The task as it was submitted.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     match &*attempt.spec().id {
    ///         "build" => AttemptEnd::ok(Output::None),
    ///         other => AttemptEnd::failed(format!("what is {other}?")),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spec(&self) -> &TaskSpec {
        self.spec.get()
    }

    /// The task's input as JSON text, read from its artifact where it is too large for the log.
    ///
    /// ```
    /// use meshwork_core::Payload;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     match attempt.input().await {
    ///         Ok(Some(json)) => AttemptEnd::ok(Output::Json(json)),
    ///         Ok(None) => AttemptEnd::failed("nothing to work on"),
    ///         Err(error) => AttemptEnd::failed(error.to_string()),
    ///     }
    /// });
    /// # let (mesh, _ended) = with_agent(folder.path(), agent).await?;
    /// let input = Some(Payload::Json(r#"{"path": "src/auth"}"#.to_owned()));
    /// let tasks = mesh.submit(vec![TaskSpec { input: input.clone(), ..TaskSpec::new("review") }]).await?;
    /// mesh.complete().await?;
    /// assert_eq!(mesh.result(tasks[0]).await?.expect("it has returned").result, input);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the artifact cannot be read.
    pub async fn input(&self) -> Result<Option<String>, crate::artifacts::ArtifactError> {
        match &self.spec().input {
            None => Ok(None),
            Some(meshwork_core::Payload::Json(text)) => Ok(Some(text.clone())),
            Some(meshwork_core::Payload::Artifact { key, .. }) => {
                let bytes = self.tools.artifacts().retrieve(key).await?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }
}

/// How an attempt is told what to do. Clones share one state.
///
/// ```
/// use meshwork::mesh::{Control, Stop};
/// use futures_util::future::BoxFuture;
/// use meshwork::mesh::Agent;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let (started, is_started) = tokio::sync::oneshot::channel::<()>();
/// # let started = std::sync::Mutex::new(Some(started));
///
/// struct Slow<F>(F);
///
/// impl<F: Fn() + Send + Sync + 'static> Agent for Slow<F> {
///     fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
///         (self.0)();
///         let control: Control = attempt.control;
///         Box::pin(async move {
///             control.stopped().await; // the good moment to put things in order
///             AttemptEnd::stopped()
///         })
///     }
/// }
/// # let slow = Slow(move || _ = started.lock().expect("no panic").take().map(|started| started.send(())));
/// # let (mesh, ended) = with_agent(folder.path(), slow).await?;
/// # mesh.submit(vec![TaskSpec::new("build")]).await?;
/// # is_started.await?;
///
/// mesh.stop(Stop::Gently);
/// ended.await??; // the body has ended
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) stop: CancellationToken,
    pub(super) kill: CancellationToken,
    pub(super) still: watch::Receiver<bool>,
}

impl Control {
    /// Resolves when the attempt is to end: its task was cancelled, or its node stops.
    ///
    /// ```
    /// use meshwork_core::{Op, Outcome, Phase};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     attempt.control.stopped().await;
    ///     AttemptEnd::stopped()
    /// });
    /// # let (mesh, _ended) = with_agent(folder.path(), agent).await?;
    /// let task = mesh.submit(vec![TaskSpec::new("endless")]).await?[0];
    /// mesh.status().wait_for(|status| status.running == 1).await?;
    /// mesh.decide(Op::Cancel { task }).await?;
    /// mesh.complete().await?;
    /// let phase = mesh.look(move |swarm| swarm.task(task).map(|task| task.phase)).await?;
    /// assert_eq!(phase, Some(Phase::Closed { outcome: Outcome::Cancelled }));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Resolves when the attempt is to end at once.
    ///
    /// ```
    /// use meshwork::mesh::Stop;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     attempt.control.killed().await;
    ///     AttemptEnd::stopped()
    /// });
    /// # let (mesh, ended) = with_agent(folder.path(), agent).await?;
    /// mesh.submit(vec![TaskSpec::new("stubborn")]).await?;
    /// mesh.status().wait_for(|status| status.running == 1).await?;
    /// mesh.stop(Stop::Now);
    /// ended.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Whether the attempt is to end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     for _step in 0..3 {
    ///         if attempt.control.is_stopped() {
    ///             return AttemptEnd::stopped();
    ///         }
    ///     }
    ///     AttemptEnd::ok(Output::None)
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.outcome, meshwork_core::AttemptOutcome::Ok);
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether the peer is to stand still; changes are awaited on the receiver.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     let mut still = attempt.control.still();
    ///     // Between two steps: a paused peer stands still until it is resumed.
    ///     match still.wait_for(|still| !still).await {
    ///         Ok(_) => AttemptEnd::ok(Output::None),
    ///         Err(_) => AttemptEnd::stopped(),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.outcome, meshwork_core::AttemptOutcome::Ok);
    /// # Ok(())
    /// # }
    /// ```
    pub fn still(&self) -> watch::Receiver<bool> {
        self.still.clone()
    }
}

/// How an attempt ended.
///
/// ```
/// use meshwork::mesh::{AttemptEnd, Output};
/// use meshwork_core::Tokens;
///
/// let end = AttemptEnd {
///     usage: Tokens { input: 1_200, output: 300 },
///     ..AttemptEnd::ok(Output::Json(r#"{"issues": 0}"#.to_owned()))
/// };
/// assert_eq!(end.usage.total(), 1_500);
/// ```
#[derive(Debug)]
pub struct AttemptEnd {
    /// How; `None`: because it was stopped.
    pub outcome: Option<AttemptOutcome>,
    /// What came out.
    pub output: Output,
    /// Why it did not end ok, for people.
    pub error: Option<String>,
    /// Tokens that it spent, in total.
    pub usage: Tokens,
}

impl AttemptEnd {
    /// It did its work.
    ///
    /// ```
    /// use meshwork::mesh::{AttemptEnd, Output};
    /// use meshwork_core::AttemptOutcome;
    ///
    /// let end = AttemptEnd::ok(Output::Bytes("plain text becomes a JSON string".into()));
    /// assert_eq!(end.outcome, Some(AttemptOutcome::Ok));
    /// ```
    pub fn ok(output: Output) -> Self {
        Self { outcome: Some(AttemptOutcome::Ok), output, error: None, usage: Tokens::default() }
    }

    /// It failed.
    ///
    /// ```
    /// use meshwork::mesh::AttemptEnd;
    ///
    /// let end = AttemptEnd::failed("3 tests failed");
    /// assert_eq!(end.error.as_deref(), Some("3 tests failed"));
    /// ```
    pub fn failed(error: impl Into<String>) -> Self {
        Self::ended(AttemptOutcome::Failed, error)
    }

    /// It was stopped before it came to an end of its own.
    ///
    /// ```
    /// use meshwork::mesh::AttemptEnd;
    ///
    /// assert_eq!(AttemptEnd::stopped().outcome, None, "the node knows why it was stopped");
    /// ```
    pub fn stopped() -> Self {
        Self { outcome: None, output: Output::None, error: None, usage: Tokens::default() }
    }

    /// It ended in another way.
    ///
    /// ```
    /// use meshwork::mesh::AttemptEnd;
    /// use meshwork_core::AttemptOutcome;
    ///
    /// let end = AttemptEnd::ended(AttemptOutcome::Lost, "the model's connection broke");
    /// assert_eq!(end.outcome, Some(AttemptOutcome::Lost));
    /// ```
    pub fn ended(outcome: AttemptOutcome, error: impl Into<String>) -> Self {
        let error = Some(error.into());
        Self { outcome: Some(outcome), output: Output::None, error, usage: Tokens::default() }
    }
}

/// What came out of an attempt. Over 32 KiB it becomes an artifact, and the log holds its key.
///
/// ```
/// use meshwork_core::Payload;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let agent = FnAgent::new(|_| async { AttemptEnd::ok(Output::Bytes("no JSON".into())) });
/// // With this agent the peer ada does the task `build`.
/// assert_eq!(run(agent).await?.result, Some(Payload::Json("\"no JSON\"".to_owned())));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Output {
    /// Nothing.
    None,
    /// JSON text.
    Json(String),
    /// Bytes as an agent wrote them: JSON becomes the result as JSON, anything else as a string.
    Bytes(Bytes),
    /// A file with such bytes; it is moved into the artifact store.
    File(PathBuf),
}

/// An agent that is an async function, for embedding and for measuring the mesh itself.
///
/// ```
/// use meshwork::mesh::FnAgent;
/// use meshwork_core::Payload;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let agent = FnAgent::new(|attempt| async move { AttemptEnd::ok(Output::Json(format!("{:?}", attempt.spec().id))) });
/// // With this agent the peer ada does the task `build`.
/// let returned = run(agent).await?;
/// assert_eq!(returned.result, Some(Payload::Json("\"build\"".to_owned())));
/// # Ok(())
/// # }
/// ```
pub struct FnAgent<F>(F);

impl<F, Fut> FnAgent<F>
where
    F: Fn(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    /// Runs `function` for each attempt. When the attempt is stopped, or runs longer than its task's timeout, its
    /// future is dropped.
    ///
    /// ```
    /// use meshwork_core::AttemptOutcome;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// // It never ends, so its task's timeout ends it.
    /// let agent = FnAgent::new(|_| std::future::pending());
    /// # let (mesh, _ended) = with_agent(folder.path(), agent).await?;
    /// let tasks = mesh.submit(vec![TaskSpec { timeout_ms: Some(1), ..TaskSpec::new("endless") }]).await?;
    /// mesh.complete().await?;
    /// let returned = mesh.result(tasks[0]).await?.expect("it has returned");
    /// assert_eq!(returned.outcome, AttemptOutcome::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F, Fut> Agent for FnAgent<F>
where
    F: Fn(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        let control = attempt.control.clone();
        let timeout = attempt.spec().timeout_ms.map(Duration::from_millis);
        let body = (self.0)(attempt);
        let too_long = async move {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                end = body => end,
                () = control.stopped() => AttemptEnd::stopped(),
                () = too_long => AttemptEnd::ended(AttemptOutcome::TimedOut, "ran longer than its timeout"),
            }
        })
    }
}
