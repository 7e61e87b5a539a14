//! A node with in-process agents on a log in memory: the driver, end to end.

#![expect(clippy::unwrap_used, reason = "tests")]

use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::log::{FaultPlan, Faulty, Log, MemoryLog};
use meshwork::mesh::{
    Agent, Attempt, AttemptEnd, FnAgent, Mesh, MeshError, MeshOptions, Output, PeerSetup, RoundEnd, Stop,
};
use meshwork_core::{AttemptOutcome, Config, Op, Outcome, Payload, PeerSpec, Phase, TaskSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

struct Running {
    mesh: Mesh,
    ended: JoinHandle<Result<(), MeshError>>,
    _artifacts: tempfile::TempDir,
}

async fn start(log: Arc<dyn Log>, peers: Vec<(&str, u32, Arc<dyn Agent>)>) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let setup = |(id, slots, agent): (&str, u32, Arc<dyn Agent>)| PeerSetup {
        spec: PeerSpec {
            id: id.to_owned(),
            capabilities: vec!["work".to_owned()],
            slots,
            uses_session: false,
            token_budget: None,
        },
        agent,
    };
    let options = MeshOptions {
        log,
        artifacts: Arc::new(FolderArtifacts::open(folder.path()).unwrap()),
        broker: Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default())),
        node: "local".to_owned(),
        swarm_id: "test".to_owned(),
        config: Config { retry_backoff_ms: 1, crash_backoff_ms: 1, ..Config::default() },
        peers: peers.into_iter().map(setup).collect(),
        reserve: None,
        max_sessions: 8,
        rebalance: None,
        imbalance_permille: 1_500,
    };
    let (mesh, ended) = Mesh::start(options).await.unwrap();
    Running { mesh, ended, _artifacts: folder }
}

fn task(id: &str) -> TaskSpec {
    TaskSpec { id: id.to_owned(), kind: "t".to_owned(), priority: 5, ..TaskSpec::default() }
}

fn after(id: &str, dependencies: &[&str]) -> TaskSpec {
    TaskSpec { dependencies: dependencies.iter().map(|id| (*id).to_owned()).collect(), ..task(id) }
}

fn agent<F, Fut>(function: F) -> Arc<dyn Agent>
where
    F: Fn(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    Arc::new(FnAgent::new(function))
}

fn echo() -> Arc<dyn Agent> {
    agent(|attempt: Attempt| async move { AttemptEnd::ok(Output::Json(format!("{:?}", attempt.spec().id))) })
}

async fn outcome(mesh: &Mesh, id: &'static str) -> (Phase, u32) {
    mesh.look(move |swarm| {
        let task = swarm.task(swarm.find_task(id).unwrap()).unwrap();
        (task.phase, task.attempt)
    })
    .await
    .unwrap()
}

const OK: Phase = Phase::Closed { outcome: Outcome::Ok };

/// A deadline for what must come about by itself.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes far too long")
}

#[tokio::test]
async fn a_diamond_completes_in_order_and_results_are_read_back() {
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 2, echo()), ("b", 2, echo())]).await;
    let mesh = &running.mesh;
    let tasks = vec![task("top"), after("left", &["top"]), after("right", &["top"]), after("end", &["left", "right"])];
    let numbers = mesh.submit(tasks).await.unwrap();
    let RoundEnd::Closed(round) = soon(mesh.complete()).await.unwrap() else { panic!("the round closes") };
    assert_eq!((round.number, round.ok, round.failed), (1, 4, 0));
    let result = mesh.result(numbers[3]).await.unwrap().unwrap().result;
    assert_eq!(result, Some(Payload::Json("\"end\"".to_owned())));
    mesh.look(|swarm| swarm.check_invariants()).await.unwrap();
    mesh.stop(Stop::Gently);
    soon(running.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_and_a_panic_is_a_failure() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let flaky = agent(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => panic!("boom"),
                1 => AttemptEnd::failed("not yet"),
                _ => AttemptEnd::ok(Output::None),
            }
        }
    });
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, flaky)]).await;
    running.mesh.submit(vec![TaskSpec { retries: 2, ..task("x") }]).await.unwrap();
    assert!(matches!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Closed(_)));
    assert_eq!(outcome(&running.mesh, "x").await, (OK, 3));
}

#[tokio::test]
async fn a_parent_gives_up_its_only_slot_while_it_waits_for_its_child() {
    let parent = agent(|attempt: Attempt| async move {
        if attempt.spec().id != "parent" {
            return AttemptEnd::ok(Output::Json("42".to_owned()));
        }
        attempt.tools.submit(vec![task("child")]).await.unwrap();
        let ends = attempt.tools.wait(&[]).await.unwrap();
        assert_eq!((ends.len(), ends[0].outcome), (1, Some(Outcome::Ok)));
        assert_eq!(ends[0].result, Some(Payload::Json("42".to_owned())));
        AttemptEnd::ok(Output::None)
    });
    let running = start(Arc::new(MemoryLog::new()), vec![("only", 1, parent)]).await;
    running.mesh.submit(vec![task("parent")]).await.unwrap();
    let RoundEnd::Closed(round) = soon(running.mesh.complete()).await.unwrap() else { panic!("the round closes") };
    assert_eq!((round.ok, round.failed), (2, 0));
}

#[tokio::test]
async fn a_task_that_nobody_can_run_stalls_the_round_once_the_rest_is_done() {
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, echo())]).await;
    let impossible = TaskSpec { requires: vec!["gpu".to_owned()], ..task("impossible") };
    running.mesh.submit(vec![task("possible"), impossible]).await.unwrap();
    assert_eq!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Stalled);
    assert_eq!(outcome(&running.mesh, "possible").await, (OK, 1));
    let why = running
        .mesh
        .look(|swarm| swarm.explain(swarm.find_task("impossible").unwrap()).unwrap().reason.to_string())
        .await
        .unwrap();
    assert_eq!(why, "can never run here: no peer has the capability \"gpu\"");
}

#[tokio::test]
async fn an_interrupted_attempt_costs_no_retry_and_the_next_start_goes_on() {
    let log = MemoryLog::new();
    let (started, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let endless = agent(move |_| {
        started.send(()).unwrap();
        std::future::pending()
    });
    let log: Arc<dyn Log> = Arc::new(log);
    let first = start(Arc::new(Unclosed(log.clone())), vec![("a", 1, endless)]).await;
    first.mesh.submit(vec![task("x")]).await.unwrap();
    soon(seen.recv()).await.unwrap();
    first.mesh.stop(Stop::Gently);
    soon(first.ended).await.unwrap().unwrap();

    let second = start(log, vec![("a", 1, echo())]).await;
    assert!(matches!(soon(second.mesh.complete()).await.unwrap(), RoundEnd::Closed(_)));
    assert_eq!(outcome(&second.mesh, "x").await, (OK, 1));
}

#[tokio::test]
async fn a_cancelled_task_ends_by_its_return() {
    let (started, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let endless = agent(move |_| {
        started.send(()).unwrap();
        std::future::pending()
    });
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, endless)]).await;
    let numbers = running.mesh.submit(vec![task("x")]).await.unwrap();
    soon(seen.recv()).await.unwrap();
    running.mesh.decide(Op::Cancel { task: numbers[0] }).await.unwrap();
    let RoundEnd::Closed(round) = soon(running.mesh.complete()).await.unwrap() else { panic!("the round closes") };
    assert_eq!((round.ok, round.failed), (0, 1));
    assert_eq!(outcome(&running.mesh, "x").await.0, Phase::Closed { outcome: Outcome::Cancelled });
}

#[tokio::test]
async fn a_lost_attempt_is_quarantined_after_the_third() {
    let dying = agent(|_| async { AttemptEnd::ended(AttemptOutcome::Lost, "killed by signal 9") });
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, dying)]).await;
    running.mesh.submit(vec![task("x")]).await.unwrap();
    assert!(matches!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Closed(_)));
    assert_eq!(outcome(&running.mesh, "x").await, (Phase::Closed { outcome: Outcome::Lost }, 3));
}

#[tokio::test]
async fn ten_thousand_tasks_over_ten_peers_are_each_done_once() {
    let done = Arc::new(AtomicU32::new(0));
    let names: Vec<String> = (0..10).map(|n| format!("p{n}")).collect();
    let peers = names.iter().map(|name| {
        let done = done.clone();
        let count = agent(move |_| {
            done.fetch_add(1, Ordering::SeqCst);
            async { AttemptEnd::ok(Output::None) }
        });
        (name.as_str(), 8, count)
    });
    let running = start(Arc::new(MemoryLog::new()), peers.collect()).await;
    let tasks = (0..10_000).map(|n| task(&format!("task-{n}"))).collect();
    let numbers = running.mesh.submit(tasks).await.unwrap();
    assert_eq!(numbers.len(), 10_000);
    let RoundEnd::Closed(round) = soon(running.mesh.complete()).await.unwrap() else { panic!("the round closes") };
    assert_eq!((round.ok, round.failed, done.load(Ordering::SeqCst)), (10_000, 0, 10_000));
}

/// A log that outlives the node that closes it.
struct Unclosed(Arc<dyn Log>);

impl Log for Unclosed {
    fn append(
        &self,
        batch: bytes::Bytes,
    ) -> futures_util::future::BoxFuture<'static, Result<(), meshwork::log::LogError>> {
        self.0.append(batch)
    }
    fn tail(
        &self,
        from: u64,
    ) -> futures_util::stream::BoxStream<'static, Result<meshwork::log::Stored, meshwork::log::LogError>> {
        self.0.tail(from)
    }
    fn read(
        &self,
        seq: u64,
    ) -> futures_util::future::BoxFuture<'static, Result<bytes::Bytes, meshwork::log::LogError>> {
        self.0.read(seq)
    }
    fn last(&self) -> futures_util::future::BoxFuture<'static, Result<u64, meshwork::log::LogError>> {
        self.0.last()
    }
    fn save_snapshot(
        &self,
        seq: u64,
        bytes: bytes::Bytes,
    ) -> futures_util::future::BoxFuture<'static, Result<(), meshwork::log::LogError>> {
        self.0.save_snapshot(seq, bytes)
    }
    fn load_snapshot(
        &self,
    ) -> futures_util::future::BoxFuture<'static, Result<Option<(u64, bytes::Bytes)>, meshwork::log::LogError>> {
        self.0.load_snapshot()
    }
    fn close(&self) -> futures_util::future::BoxFuture<'static, Result<(), meshwork::log::LogError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Lost, late and repeated acknowledgements, errors although a batch was stored, batches delivered twice.
#[tokio::test]
async fn a_rough_log_changes_nothing_but_the_time() {
    for seed in 0..10 {
        let log = Faulty::new(Arc::new(MemoryLog::new()), FaultPlan::rough(seed));
        let running = start(Arc::new(log), vec![("a", 3, echo()), ("b", 3, echo())]).await;
        let mut tasks: Vec<TaskSpec> = Vec::new();
        for n in 0..60usize {
            let before = n.checked_sub(5).map(|at| tasks[at].id.clone());
            tasks.push(TaskSpec { dependencies: before.into_iter().collect(), ..task(&format!("task-{n}")) });
        }
        running.mesh.submit(tasks).await.unwrap();
        let RoundEnd::Closed(round) = soon(running.mesh.complete()).await.unwrap() else { panic!("the round closes") };
        assert_eq!((round.ok, round.failed), (60, 0), "seed {seed}");
        running.mesh.look(|swarm| swarm.check_invariants()).await.unwrap();
        running.mesh.stop(Stop::Gently);
        soon(running.ended).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_parent_that_waits_for_what_nobody_can_run_stalls_the_round() {
    let parent = agent(|attempt: Attempt| async move {
        let child = TaskSpec { requires: vec!["gpu".to_owned()], ..task("child") };
        attempt.tools.submit(vec![child]).await.unwrap();
        let ends = attempt.tools.wait(&[]).await;
        AttemptEnd::failed(format!("{ends:?}"))
    });
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, parent)]).await;
    running.mesh.submit(vec![task("parent")]).await.unwrap();
    assert_eq!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Stalled);
    running.mesh.stop(Stop::Gently);
    soon(running.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_a_function_has_a_timeout_too() {
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, agent(|_| std::future::pending()))]).await;
    running.mesh.submit(vec![TaskSpec { timeout_ms: Some(1), ..task("endless") }]).await.unwrap();
    assert!(matches!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Closed(_)));
    assert_eq!(outcome(&running.mesh, "endless").await, (Phase::Closed { outcome: Outcome::TimedOut }, 1));
}

#[tokio::test]
async fn a_changed_task_keeps_the_large_result_of_the_round_before() {
    let large = |mark: &str| format!("\"{}\"", mark.repeat(40_000));
    let write = agent(move |attempt: Attempt| {
        let result = large(&attempt.spec().description);
        async move { AttemptEnd::ok(Output::Json(result)) }
    });
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, write)]).await;
    let mut results = Vec::new();
    for mark in ["x", "y"] {
        let numbers =
            running.mesh.submit(vec![TaskSpec { description: mark.to_owned(), ..task("same") }]).await.unwrap();
        assert!(matches!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Closed(_)));
        let result = running.mesh.result(numbers[0]).await.unwrap().unwrap().result;
        let Some(Payload::Artifact { key, .. }) = result else { panic!("a large result is an artifact") };
        results.push((key, large(mark)));
    }
    for (key, expected) in results {
        assert_eq!(running.mesh.artifacts().retrieve(&key).await.unwrap(), expected.as_bytes());
    }
}

#[tokio::test]
async fn a_look_that_panics_and_keys_that_are_no_tasks_do_not_end_the_node() {
    let running = start(Arc::new(MemoryLog::new()), vec![("a", 1, echo())]).await;
    let looked = running.mesh.look(|_| -> () { panic!("a stranger's mistake") }).await;
    assert!(matches!(looked, Err(MeshError::Stopped)));
    let broker = running.mesh.broker();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = meshwork::broker::Handler::new(move |_, _| {
        let tell = tell.clone();
        async move {
            tokio::task::yield_now().await;
            tell.send(()).unwrap();
            Ok(())
        }
    });
    broker.register("other", meshwork::broker::Recipient::Handler(handler)).await.unwrap();
    let key = meshwork::broker::AttemptKey { task: u64::MAX, grant: u64::MAX };
    let body = broker.attempt_started("a", key);
    let sent = body.send("other", "x", bytes::Bytes::new()).await.unwrap();
    let _open = broker.body_ended(key);
    soon(told.recv()).await.unwrap();
    soon(sent.acknowledged()).await;
    running.mesh.submit(vec![task("x")]).await.unwrap();
    assert!(matches!(soon(running.mesh.complete()).await.unwrap(), RoundEnd::Closed(_)));
}

/// A disk that is full from a certain moment on.
struct Filling {
    inner: Arc<dyn Log>,
    full: Arc<std::sync::atomic::AtomicBool>,
}

impl Log for Filling {
    fn append(
        &self,
        batch: bytes::Bytes,
    ) -> futures_util::future::BoxFuture<'static, Result<(), meshwork::log::LogError>> {
        if self.full.load(Ordering::SeqCst) {
            let path = "full".into();
            return Box::pin(async { Err(meshwork::log::LogError::Full { path }) });
        }
        self.inner.append(batch)
    }
    fn tail(
        &self,
        from: u64,
    ) -> futures_util::stream::BoxStream<'static, Result<meshwork::log::Stored, meshwork::log::LogError>> {
        self.inner.tail(from)
    }
    fn read(
        &self,
        seq: u64,
    ) -> futures_util::future::BoxFuture<'static, Result<bytes::Bytes, meshwork::log::LogError>> {
        self.inner.read(seq)
    }
    fn last(&self) -> futures_util::future::BoxFuture<'static, Result<u64, meshwork::log::LogError>> {
        self.inner.last()
    }
    fn save_snapshot(
        &self,
        seq: u64,
        bytes: bytes::Bytes,
    ) -> futures_util::future::BoxFuture<'static, Result<(), meshwork::log::LogError>> {
        self.inner.save_snapshot(seq, bytes)
    }
    fn load_snapshot(
        &self,
    ) -> futures_util::future::BoxFuture<'static, Result<Option<(u64, bytes::Bytes)>, meshwork::log::LogError>> {
        self.inner.load_snapshot()
    }
    fn close(&self) -> futures_util::future::BoxFuture<'static, Result<(), meshwork::log::LogError>> {
        self.inner.close()
    }
}

#[tokio::test]
async fn a_full_disk_ends_the_node_however_its_bodies_end() {
    /// Does not listen when it is told to stop: it waits for an answer that nobody will give.
    struct Deaf(Arc<std::sync::atomic::AtomicBool>);
    impl Agent for Deaf {
        fn run(&self, attempt: Attempt) -> futures_util::future::BoxFuture<'static, AttemptEnd> {
            let full = self.0.clone();
            Box::pin(async move {
                full.store(true, Ordering::SeqCst);
                if attempt.task.index().is_multiple_of(2) {
                    // Many of them report in the same turn in which the append fails.
                    return AttemptEnd::ok(Output::None);
                }
                loop {
                    if let Err(error) = attempt.tools.progress("still here").await {
                        return AttemptEnd::failed(error.to_string());
                    }
                }
            })
        }
    }
    let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let log = Filling { inner: Arc::new(MemoryLog::new()), full: full.clone() };
    let running = start(Arc::new(log), vec![("a", 64, Arc::new(Deaf(full)))]).await;
    running.mesh.submit((0..64).map(|n| task(&format!("task-{n}"))).collect()).await.unwrap();
    let ended = soon(running.ended).await.unwrap();
    assert!(matches!(&ended, Err(MeshError::Log(error)) if error.to_string().contains("no space left")), "{ended:?}");
}
