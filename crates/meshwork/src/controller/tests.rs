//! Agents of a host that notes what it is asked, in paused time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join, pending, ready};
use meshwork_core::{PauseReason, Tokens};
use tokio::sync::{Barrier, Semaphore, mpsc};
use tokio::time::{advance, timeout};

use super::{
    AgentController, AgentDefinition, AgentEvent, AgentHost, Attachment, ControlError, ControllerConfig,
    QueryController, TokenSavings, Wake, WakeSchedule, pause_reason,
};
use crate::mesh::{AttemptEnd, FnAgent, Output};

const MINUTE: Duration = Duration::from_secs(60);

/// What it does with an agent of that name.
#[derive(Clone)]
enum Behaviour {
    Fails,
    NeverAnswers,
    Meets(Arc<Barrier>),
}

#[derive(Default)]
struct Host {
    asked: Mutex<Vec<String>>,
    failures: Mutex<Vec<String>>,
    /// Tokens of wakes.
    told: Mutex<u64>,
    behaviours: BTreeMap<&'static str, Behaviour>,
}

impl Host {
    fn new(behaviours: impl IntoIterator<Item = (&'static str, Behaviour)>) -> Arc<Self> {
        Arc::new(Self { behaviours: behaviours.into_iter().collect(), ..Self::default() })
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("not poisoned"))
    }

    fn answer<'a>(&'a self, agent: &'a str, what: &str) -> BoxFuture<'a, Result<(), ControlError>> {
        self.asked.lock().expect("not poisoned").push(format!("{agent} {what}"));
        match self.behaviours.get(agent).cloned() {
            None => ready(Ok(())).boxed(),
            Some(Behaviour::Fails) => ready(Err(ControlError::Failed("it is stuck".to_owned()))).boxed(),
            Some(Behaviour::NeverAnswers) => pending().boxed(),
            Some(Behaviour::Meets(barrier)) => async move {
                barrier.wait().await;
                Ok(())
            }
            .boxed(),
        }
    }
}

impl AgentHost for Host {
    fn pause<'a>(&'a self, agent_id: &'a str, reason: PauseReason) -> BoxFuture<'a, Result<(), ControlError>> {
        self.answer(agent_id, &format!("pause {}", reason.word()))
    }

    fn resume<'a>(&'a self, agent_id: &'a str, checkpoint: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
        if checkpoint == Some("unknown") {
            let (agent, checkpoint) = (agent_id.to_owned(), "unknown".to_owned());
            return ready(Err(ControlError::UnknownCheckpoint { agent, checkpoint })).boxed();
        }
        self.answer(agent_id, &format!("resume {checkpoint:?}"))
    }

    fn woke(&self, agent_id: &str, ended: Result<Tokens, &str>) {
        match ended {
            Ok(tokens) => *self.told.lock().expect("not poisoned") += tokens.total(),
            Err(why) => self.failures.lock().expect("not poisoned").push(format!("{agent_id}: {why}")),
        }
    }
}

/// Takes as many turns as it is allowed, and says each.
struct Turns {
    taken: mpsc::UnboundedSender<String>,
    allowed: Semaphore,
    cost: u64,
}

impl Wake for Turns {
    fn wake<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
        Box::pin(async move {
            self.taken.send(agent_id.to_owned()).expect("somebody listens");
            self.allowed.acquire().await.expect("it is never closed").forget();
            Ok(Tokens { input: self.cost, output: 0 })
        })
    }
}

fn turns(allowed: usize, cost: u64) -> (Arc<Turns>, mpsc::UnboundedReceiver<String>) {
    let (taken, heard) = mpsc::unbounded_channel();
    (Arc::new(Turns { taken, allowed: Semaphore::new(allowed), cost }), heard)
}

fn controller() -> AgentController {
    AgentController::new(ControllerConfig::default()).expect("a controller")
}

fn agent(swarm: &str, id: &str) -> Attachment {
    Attachment { swarm_id: swarm.to_owned(), agent_id: id.to_owned(), kind: "k".to_owned(), wake: None }
}

fn woken(id: &str, wake: &Arc<Turns>) -> Attachment {
    let wake = Arc::clone(wake) as Arc<dyn Wake>;
    Attachment { wake: Some(WakeSchedule::new(MINUTE, wake)), ..agent("s", id) }
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, output }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Waits for something that others do at this moment. The deadline is by the real clock: while somebody looks, a test's
/// own time stands still.
async fn until(is: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(30), "it comes about");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn agents_are_paused_and_resumed_by_their_host() {
    let (controller, host) = (controller(), Host::new([]));
    assert_eq!(controller.attach(agent("s", "a"), host.clone()), Ok(true));
    controller.pause_agent("a").await.expect("it is paused");
    assert!(controller.is_paused("a"));
    controller.pause_agent("a").await.expect("to pause a paused one is no error");
    controller.pause_agent_for("a", PauseReason::Budget).await.expect("it is paused");
    controller.resume_agent("a", None).await.expect("it is resumed");
    assert!(!controller.is_paused("a"));
    controller.pause_agent("a").await.expect("it is paused");
    let refusal = controller.resume_agent("a", Some("unknown")).await;
    assert!(matches!(refusal, Err(ControlError::UnknownCheckpoint { .. })), "{refusal:?}");
    assert!(controller.is_paused("a"), "it is as it was");
    controller.resume_agent("a", Some("c1")).await.expect("it is resumed");
    let expected =
        ["a pause user", "a pause user", "a pause budget", "a resume None", "a pause user", "a resume Some(\"c1\")"];
    assert_eq!(host.asked(), expected);
}

#[tokio::test(start_paused = true)]
async fn unknown_agents_are_named() {
    let (controller, host) = (controller(), Host::new([]));
    let unknown = Err(ControlError::UnknownAgent { id: "a".to_owned() });
    assert_eq!(controller.pause_agent("a").await, unknown);
    assert_eq!(controller.resume_agent("a", None).await, unknown);
    assert_eq!(controller.tell("a", AgentEvent::Busy), unknown);
    assert_eq!(controller.token_savings("a"), TokenSavings::default());
    assert_eq!(controller.mesh_token_savings("s"), TokenSavings::default());
    controller.detach("a");
    controller.attach(agent("s", "a"), host.clone()).expect("it is attached");
    controller.detach("a");
    assert_eq!(controller.pause_agent("a").await, unknown);
    assert_eq!(controller.tell("a", AgentEvent::Busy), unknown);
    assert_eq!(host.asked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_tried_at_the_same_time_and_names_each_failure() {
    let barrier = Arc::new(Barrier::new(2));
    let meets = || Behaviour::Meets(barrier.clone());
    let controller = controller();
    let host = Host::new([("a", meets()), ("b", meets()), ("c", Behaviour::Fails)]);
    for id in ["a", "b", "c", "d"] {
        controller.attach(agent("s", id), host.clone()).expect("it is attached");
    }
    // Each of the first two waits for the other.
    let pair = names(&["a", "b"]);
    controller.pause_peers(&pair, None).await.expect("both are paused");
    assert_eq!(host.asked(), ["a pause user", "b pause user"]);
    controller.resume_peers(&pair).await.expect("both are resumed");
    assert!(!controller.is_paused("a") && !controller.is_paused("b"));
    host.asked();

    let some = names(&["x", "d", "c", "d", "c"]);
    let failures = vec![
        ("x".to_owned(), ControlError::UnknownAgent { id: "x".to_owned() }),
        ("c".to_owned(), ControlError::Failed("it is stuck".to_owned())),
    ];
    let several = Err(ControlError::Several { failures });
    assert_eq!(controller.pause_peers(&some, Some("rate-limit")).await, several);
    assert_eq!(host.asked(), ["d pause rate-limit", "c pause rate-limit"], "each once");
    assert!(controller.is_paused("d") && !controller.is_paused("c"));
    assert_eq!(controller.resume_peers(&some).await, several);
    assert!(!controller.is_paused("d"));

    host.asked();
    let refusal = controller.pause_peers(&some, Some("Budget")).await;
    assert_eq!(refusal, Err(ControlError::UnknownReason { found: "Budget".to_owned() }));
    assert_eq!(host.asked(), [""; 0], "nobody was asked");
    assert_eq!(controller.pause_peers(&[], None).await, Ok(()));
}

#[test]
fn every_reason_has_its_word() {
    for word in ["idle", "user", "budget", "rate-limit", "shutdown"] {
        assert_eq!(pause_reason(word).map(PauseReason::word), Ok(word));
    }
}

#[tokio::test(start_paused = true)]
async fn every_setting_counts() {
    let with = |config: ControllerConfig| AgentController::new(config);
    let default = ControllerConfig::default;
    for (field, config) in [
        ("hostTimeout", ControllerConfig { host_timeout: Duration::ZERO, ..default() }),
        ("maxAgents", ControllerConfig { max_agents: 0, ..default() }),
    ] {
        let refusal = with(config).map(drop);
        assert!(matches!(&refusal, Err(ControlError::Invalid { field: found, .. }) if *found == field), "{refusal:?}");
    }
    let config =
        ControllerConfig { default_reason: PauseReason::Shutdown, host_timeout: Duration::from_secs(2), max_agents: 2 };
    let (controller, host) = (with(config).expect("a controller"), Host::new([("b", Behaviour::NeverAnswers)]));
    for id in ["a", "b"] {
        controller.attach(agent("s", id), host.clone()).expect("it is attached");
    }
    assert_eq!(controller.attach(agent("s", "c"), host.clone()), Err(ControlError::TooMany { limit: 2 }));
    controller.pause_agent("a").await.expect("it is paused");
    controller.pause_peers(&names(&["a"]), None).await.expect("it is paused");
    assert_eq!(host.asked(), ["a pause shutdown", "a pause shutdown"]);
    let asked = tokio::time::Instant::now();
    let refusal = controller.pause_agent("b").await;
    assert!(matches!(&refusal, Err(ControlError::Failed(why)) if why.contains("2s")), "{refusal:?}");
    assert_eq!(asked.elapsed(), Duration::from_secs(2));
    assert!(!controller.is_paused("b"));
}

#[tokio::test(start_paused = true)]
async fn definitions_are_kept_in_order() {
    let controller = AgentController::new(ControllerConfig { max_agents: 2, ..Default::default() }).expect("one");
    let definition = |kind: &str| AgentDefinition {
        capabilities: vec!["code".to_owned()],
        agent: Arc::new(FnAgent::new(|_| ready(AttemptEnd::ok(Output::None)))),
        kind: kind.to_owned(),
        max_concurrent_tasks: Some(3),
        wake: None,
    };
    let refusal = controller.register(AgentDefinition { max_concurrent_tasks: Some(0), ..definition("z") });
    assert!(matches!(refusal, Err(ControlError::Invalid { field: "maxConcurrentTasks", .. })), "{refusal:?}");
    let never = WakeSchedule { every: Duration::ZERO, ..WakeSchedule::new(MINUTE, turns(0, 0).0) };
    let at_once = WakeSchedule { timeout: Duration::ZERO, ..WakeSchedule::new(MINUTE, turns(0, 0).0) };
    let refusal = controller.register(AgentDefinition { wake: Some(at_once), ..definition("z") });
    assert!(matches!(refusal, Err(ControlError::Invalid { field: "wake.timeout", .. })), "{refusal:?}");
    let refusal = controller.register(AgentDefinition { wake: Some(never.clone()), ..definition("z") });
    assert!(matches!(refusal, Err(ControlError::Invalid { field: "wake.every", .. })), "{refusal:?}");
    let refusal = controller.attach(Attachment { wake: Some(never), ..agent("s", "a") }, Host::new([]));
    assert!(matches!(refusal, Err(ControlError::Invalid { field: "wake.every", .. })), "{refusal:?}");
    controller.register(definition("x")).expect("it is kept");
    controller.register(definition("y")).expect("it is kept");
    assert_eq!(controller.register(definition("z")), Err(ControlError::TooMany { limit: 2 }));
    let kinds: Vec<String> = controller.definitions().into_iter().map(|definition| definition.kind).collect();
    assert_eq!(kinds, ["x", "y"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_of_one_swarm_at_a_time() {
    let (controller, host) = (controller(), Host::new([]));
    controller.attach(agent("s", "a"), host.clone()).expect("it is attached");
    controller.tell("a", AgentEvent::Spent(tokens(3, 4))).expect("it is known");
    for swarm in ["s", "t"] {
        let taken = ControlError::AlreadyAttached { id: "a".to_owned(), swarm: "s".to_owned() };
        assert_eq!(controller.attach(agent(swarm, "a"), host.clone()), Err(taken));
    }
    advance(Duration::from_millis(100)).await;
    controller.detach("a");
    advance(MINUTE).await;
    let left = controller.token_savings("a");
    assert_eq!((left.total, left.active_duration_ms), (7, 100));
    controller.attach(agent("s", "a"), host.clone()).expect("it came back");
    advance(Duration::from_millis(11)).await;
    let back = controller.token_savings("a");
    assert_eq!((back.total, back.active_duration_ms), (7, 111));
    controller.detach("a");
    controller.attach(agent("t", "a"), host).expect("another one");
    assert_eq!(controller.token_savings("a").total, 0);
    assert_eq!(controller.mesh_token_savings("s"), TokenSavings::default());
}

#[tokio::test(start_paused = true)]
async fn idle_agents_are_woken_by_their_schedule() {
    let (controller, host) = (controller(), Host::new([]));
    let (wake, mut heard) = turns(usize::MAX >> 4, 70);
    controller.attach(woken("a", &wake), host.clone()).expect("it is attached");
    let started = tokio::time::Instant::now();
    for n in 1..=3 {
        assert_eq!(heard.recv().await.as_deref(), Some("a"));
        assert_eq!(started.elapsed(), MINUTE * n);
    }
    until(|| controller.savings("a").wakes.count == 3).await;
    let savings = controller.savings("a");
    assert_eq!((savings.wakes.tokens, savings.total, savings.saved), (210, 210, 0));
    until(|| *host.told.lock().expect("not poisoned") == 210).await;

    // Half a minute later it gets work; its next wake is a minute after it has done it.
    advance(MINUTE / 2).await;
    controller.tell("a", AgentEvent::Busy).expect("it is known");
    advance(MINUTE * 10).await;
    controller.tell("a", AgentEvent::Idle).expect("it is known");
    controller.tell("a", AgentEvent::Idle).expect("to be idle twice is to be idle");
    let idle = tokio::time::Instant::now();
    assert_eq!(heard.recv().await.as_deref(), Some("a"));
    assert_eq!(idle.elapsed(), MINUTE);
    controller.detach("a");
    advance(MINUTE * 10).await;
    drop(controller);
    drop(host);
    drop(wake);
    // The last wake may hold it a moment longer; then there is nobody left who could take a turn.
    let end = timeout(MINUTE, heard.recv()).await.expect("nobody holds it for ever");
    assert_eq!(end, None);
}

#[tokio::test(start_paused = true)]
async fn a_pause_avoids_wakes_and_resumes_cost() {
    let (controller, host) = (controller(), Host::new([]));
    let (wake, mut heard) = turns(1, 100);
    controller.attach(woken("a", &wake), host.clone()).expect("it is attached");
    heard.recv().await.expect("a wake");
    until(|| controller.savings("a").wakes.count == 1).await;
    controller.tell("a", AgentEvent::Turn(tokens(50, 0))).expect("it is known");
    controller.pause_agent("a").await.expect("it is paused");
    advance(MINUTE * 5).await;
    until(|| controller.savings("a").wakes_avoided == 5).await;
    assert!(heard.try_recv().is_err(), "nobody was woken");
    for _ in 0..3 {
        controller.tell("a", AgentEvent::MessageArrived).expect("it is known");
    }
    controller.resume_agent("a", None).await.expect("it is resumed");
    controller.tell("a", AgentEvent::HandedOver { messages: 3 }).expect("it is known");
    controller.tell("a", AgentEvent::Turn(tokens(60, 20))).expect("it is known");
    advance(Duration::from_secs(1)).await;
    // Five wakes and two of three messages, less the 30 tokens that the first turn cost more.
    let savings = controller.token_savings("a");
    assert_eq!((savings.saved, savings.total), (670, 230));
    assert!((savings.percentage - 100.0 * 670.0 / 900.0).abs() < 1e-9, "{savings:?}");
    assert_eq!((savings.pause_duration_ms, savings.active_duration_ms), (300_000, 61_000));
}

#[tokio::test(start_paused = true)]
async fn a_busy_agent_that_is_paused_avoids_nothing_before_it_is_idle() {
    let controller = controller();
    let (wake, mut heard) = turns(0, 100);
    controller.attach(woken("a", &wake), Host::new([])).expect("it is attached");
    controller.tell("a", AgentEvent::Busy).expect("it is known");
    controller.tell("a", AgentEvent::Paused).expect("it is known");
    advance(MINUTE * 5).await;
    controller.tell("a", AgentEvent::Idle).expect("it is known");
    advance(MINUTE * 2).await;
    until(|| controller.savings("a").wakes_avoided > 0).await;
    assert_eq!(controller.savings("a").wakes_avoided, 2);
    controller.tell("a", AgentEvent::Resumed).expect("it is known");
    assert_eq!(heard.recv().await.as_deref(), Some("a"), "its schedule goes on");
}

#[tokio::test(start_paused = true)]
async fn a_long_wake_holds_up_no_other_and_is_not_doubled() {
    let controller = controller();
    let ((long, mut of_a), (short, mut of_b)) = (turns(0, 10), turns(9, 1));
    controller.attach(woken("a", &long), Host::new([])).expect("it is attached");
    controller.attach(woken("b", &short), Host::new([])).expect("it is attached");
    let hear_b = async {
        for _ in 0..4 {
            of_b.recv().await.expect("a wake");
        }
    };
    join(of_a.recv(), hear_b).await;
    assert!(of_a.try_recv().is_err(), "it still takes its turn");
    long.allowed.add_permits(1);
    until(|| controller.savings("a").total == 10).await;
    assert_eq!(of_a.recv().await.as_deref(), Some("a"));
    assert_eq!(controller.savings("a").wakes_avoided, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_panics_is_no_measure_and_not_the_last() {
    struct Panics(mpsc::UnboundedSender<()>);
    impl Wake for Panics {
        fn wake<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
            self.0.send(()).expect("somebody listens");
            async { panic!("on purpose") }.boxed()
        }
    }
    let (controller, (taken, mut heard)) = (controller(), mpsc::unbounded_channel());
    let wake = Some(WakeSchedule::new(MINUTE, Arc::new(Panics(taken))));
    let host = Host::new([]);
    controller.attach(Attachment { wake, ..agent("s", "a") }, host.clone()).expect("it is attached");
    for _ in 0..2 {
        heard.recv().await.expect("a wake");
    }
    until(|| host.failures.lock().expect("not poisoned").len() == 2).await;
    assert_eq!((controller.savings("a").wakes.count, controller.failed_wakes("a")), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_fails_is_no_measure_and_says_why() {
    struct Fails;
    impl Wake for Fails {
        fn wake<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
            ready(Err("no key".to_owned())).boxed()
        }
    }
    let (controller, host) = (controller(), Host::new([]));
    let wake = Some(WakeSchedule::new(MINUTE, Arc::new(Fails)));
    controller.attach(Attachment { wake, ..agent("s", "a") }, host.clone()).expect("it is attached");
    advance(MINUTE).await;
    until(|| *host.failures.lock().expect("not poisoned") == ["a: no key"]).await;
    let savings = controller.savings("a");
    assert_eq!((savings.wakes.count, savings.total, controller.failed_wakes("a")), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_never_ends_is_ended_at_its_deadline_and_the_agent_goes_on() {
    // Woken every so often, a turn of it may take so long, and so its second one comes after that time.
    let usual = WakeSchedule::new(7 * MINUTE, turns(0, 0).0).timeout;
    for (every, most, second) in [(MINUTE, MINUTE * 3 / 2, 3 * MINUTE), (7 * MINUTE, usual, 21 * MINUTE)] {
        let (controller, host) = (controller(), Host::new([]));
        let (turns, mut heard) = turns(0, 10);
        let wake = Some(WakeSchedule { timeout: most, ..WakeSchedule::new(every, turns.clone()) });
        let began = tokio::time::Instant::now();
        controller.attach(Attachment { wake, ..agent("s", "a") }, host.clone()).expect("it is attached");
        heard.recv().await.expect("a wake");
        assert_eq!(began.elapsed(), every);
        heard.recv().await.expect("another wake");
        assert_eq!(began.elapsed(), second, "while one runs there is no other");
        let failures = std::mem::take(&mut *host.failures.lock().expect("not poisoned"));
        assert_eq!(failures, [format!("a: it took longer than {most:?} and was ended")]);
        assert_eq!((controller.failed_wakes("a"), controller.savings("a").wakes.count), (1, 0));
        // The first one waits for its turn no more: this is the second one's.
        turns.allowed.add_permits(1);
        until(|| controller.savings("a").total == 10).await;
        controller.pause_agent("a").await.expect("it is paused");
        controller.resume_agent("a", None).await.expect("it is resumed");
        assert_eq!((controller.failed_wakes("a"), controller.failed_wakes("nobody")), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_agent_that_has_left_no_failed_wake_is_told() {
    let (controller, host) = (controller(), Host::new([]));
    let (wake, mut heard) = turns(0, 10);
    controller.attach(woken("a", &wake), host.clone()).expect("it is attached");
    heard.recv().await.expect("a wake");
    controller.detach("a");
    advance(WakeSchedule::TIMEOUT).await;
    until(|| controller.failed_wakes("a") == 1).await;
    assert!(host.failures.lock().expect("not poisoned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_swarm_is_the_sum_of_its_agents() {
    let (controller, host) = (controller(), Host::new([]));
    for (swarm, id) in [("s", "a"), ("s", "b"), ("t", "c")] {
        controller.attach(agent(swarm, id), host.clone()).expect("it is attached");
    }
    controller.attach(Attachment { kind: "other".to_owned(), ..agent("s", "d") }, host).expect("it is attached");
    controller.tell("c", AgentEvent::Woke(tokens(40, 0))).expect("it is known");
    controller.tell("a", AgentEvent::Woke(tokens(60, 0))).expect("it is known");
    let all = names(&["a", "b", "c", "d"]);
    controller.pause_peers(&all, None).await.expect("they are paused");
    for id in &all {
        controller.tell(id, AgentEvent::MessageArrived).expect("it is known");
        controller.tell(id, AgentEvent::MessageArrived).expect("it is known");
    }
    advance(Duration::from_millis(250)).await;
    controller.resume_peers(&all).await.expect("they are resumed");
    for id in &all {
        controller.tell(id, AgentEvent::HandedOver { messages: 2 }).expect("it is known");
    }
    let saved = |id: &str| controller.token_savings(id).saved;
    // The second has no measure of its own: those of its kind cost 50. Of the other kind nothing is known.
    assert_eq!([saved("a"), saved("b"), saved("c"), saved("d")], [60, 50, 40, 0]);
    let mesh = controller.mesh_token_savings("s");
    assert_eq!((mesh.saved, mesh.total, mesh.pause_duration_ms), (110, 60, 750));
    let parts: Vec<TokenSavings> = ["a", "b", "d"].iter().map(|id| controller.token_savings(id)).collect();
    assert_eq!(mesh.active_duration_ms, parts.iter().map(|part| part.active_duration_ms).sum::<u64>());
    assert!((mesh.percentage - 100.0 * 110.0 / 170.0).abs() < 1e-9);
    assert_eq!(controller.mesh_token_savings("t").saved, 40);
}

#[tokio::test(start_paused = true)]
async fn deeds_to_one_agent_come_one_after_the_other() {
    let barrier = Arc::new(Barrier::new(2));
    let (controller, host) = (controller(), Host::new([("a", Behaviour::Meets(barrier.clone()))]));
    controller.attach(agent("s", "a"), host.clone()).expect("it is attached");
    let both = join(controller.pause_agent("a"), controller.resume_agent("a", None));
    let watch = async {
        until(|| !host.asked.lock().expect("not poisoned").is_empty()).await;
        assert_eq!(host.asked(), ["a pause user"], "the resume waits for the pause");
        barrier.wait().await;
        until(|| !host.asked.lock().expect("not poisoned").is_empty()).await;
        barrier.wait().await;
    };
    let ((paused, resumed), ()) = join(both, watch).await;
    assert_eq!((paused, resumed), (Ok(()), Ok(())));
    assert!(!controller.is_paused("a"));
}
