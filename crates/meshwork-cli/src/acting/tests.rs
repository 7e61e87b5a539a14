//! The commands against a real node: an attempt's tools over HTTP, a live swarm by its socket.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::tools::Tools;
use super::{get, place, put, read, send, submit, wait};
use crate::ending::Ending;
use crate::failure::ExitCode;
use crate::state::SwarmChoice;
use clap::Parser;
use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::control::{Answer, Control, Request};
use meshwork::endpoint::Endpoint;
use meshwork::log::MemoryLog;
use meshwork::mesh::{Attempt, AttemptEnd, FnAgent, Mesh, MeshOptions, Output, PeerSetup};
use meshwork::state::{FolderLock, StateRoot};
use meshwork_core::{Config, PeerSpec, TaskSpec};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};

const DEADLINE: Duration = Duration::from_secs(20);

/// Blocking work of a command, beside the node.
async fn command<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::time::timeout(DEADLINE, tokio::task::spawn_blocking(work)).await.unwrap().unwrap()
}

type Started = mpsc::UnboundedReceiver<(Attempt, oneshot::Sender<AttemptEnd>)>;

/// A node with one peer of one slot, whose attempts the test ends.
async fn node(folder: &std::path::Path) -> (Mesh, Started) {
    let (tell, started) = mpsc::unbounded_channel();
    let broker = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    meshwork::mail::register_mailboxes(&broker.0, ["worker"]).await.unwrap();
    let agent = FnAgent::new(move |attempt: Attempt| {
        let (end, ended) = oneshot::channel();
        tell.send((attempt, end)).unwrap();
        async move { ended.await.unwrap_or_else(|_| AttemptEnd::failed("the test let go of it")) }
    });
    let spec = PeerSpec {
        id: "worker".to_owned(),
        capabilities: Vec::new(),
        slots: 1,
        uses_session: false,
        token_budget: None,
    };
    let options = MeshOptions {
        log: Arc::new(MemoryLog::new()),
        artifacts: Arc::new(FolderArtifacts::open(folder.join("artifacts")).unwrap()),
        broker,
        node: "node".to_owned(),
        swarm_id: "swarm".to_owned(),
        config: Config::default(),
        peers: vec![PeerSetup { spec, agent: Arc::new(agent) }],
        reserve: None,
        max_sessions: 1,
        rebalance: None,
        imbalance_permille: 1_500,
    };
    (Mesh::start(options).await.unwrap().0, started)
}

fn task(id: &str) -> TaskSpec {
    TaskSpec { id: id.to_owned(), priority: 5, ..TaskSpec::default() }
}

/// `submit` as it is called.
fn submitted(line: &str) -> Result<Vec<meshwork::endpoint::TaskRequest>, crate::failure::CliFailure> {
    #[derive(Parser)]
    struct Call {
        #[command(flatten)]
        arguments: submit::Arguments,
    }
    let words = std::iter::once("submit").chain(line.split_terminator('|'));
    Call::try_parse_from(words).expect("a call that clap takes").arguments.tasks()
}

#[tokio::test]
async fn a_task_submits_waits_stores_and_talks() {
    let folder = tempfile::tempdir().unwrap();
    let (mesh, mut started) = node(folder.path()).await;
    let endpoint = Endpoint::start().unwrap();
    mesh.submit(vec![task("parent")]).await.unwrap();
    let (attempt, _end) = started.recv().await.unwrap();
    let lease = endpoint.lease(attempt.tools.clone());
    let tools = Arc::new(Tools::new(endpoint.url(), lease.token(), Some("swarm".to_owned())).unwrap());

    let asked = Arc::clone(&tools);
    let tasks = submitted("--run|echo hi|--input|{\"n\": 1}|--timeout|2m").unwrap();
    let answer = command(move || asked.ask("submit_task", &json!({ "tasks": tasks }))).await.unwrap();
    assert_eq!(answer, json!({"schemaVersion": 1, "swarmId": "swarm", "tasks": [{"id": "parent/1"}]}));

    let asked = Arc::clone(&tools);
    let waits = tokio::spawn(command(move || asked.ask("wait_for_tasks", &json!({})).unwrap()));
    let (child, end) = started.recv().await.unwrap();
    assert_eq!((child.spec().run.as_deref(), child.spec().timeout_ms), (Some("echo hi"), Some(120_000)));
    end.send(AttemptEnd::ok(Output::Json("\"hi\"".to_owned()))).unwrap();
    let waited = waits.await.unwrap();
    assert_eq!((wait::human(&waited), wait::ending(&waited)), ("parent/1\tcompleted\thi\n".to_owned(), Ending::Done));

    let (source, copy) = (folder.path().join("source"), folder.path().join("copy"));
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&source, &bytes).unwrap();
    let (asked, file) = (Arc::clone(&tools), source.clone());
    let stored = command(move || put::put(&asked, "a b/ü?&key=x", &file)).await.unwrap();
    assert_eq!((&stored["key"], &stored["size"]), (&json!("a b/ü?&key=x"), &json!(bytes.len())));
    let (asked, file) = (Arc::clone(&tools), copy.clone());
    command(move || get::to_file(&asked, "a b/ü?&key=x", &file)).await.unwrap();
    assert!(std::fs::read(&copy).unwrap() == bytes);
    let (asked, file) = (Arc::clone(&tools), copy.clone());
    let missing = command(move || get::to_file(&asked, "none", &file)).await.unwrap_err();
    assert_eq!((missing.code, &*missing.error_code), (ExitCode::Usage, "NoSuchArtifact"));
    assert!(std::fs::read(&copy).unwrap() == bytes, "what was there stays");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing half-written stays");

    let asked = Arc::clone(&tools);
    let mail = command(move || {
        let body = json!({"to": "worker", "type": "note", "payload": {"\u{1b}[2J": 1}});
        asked.ask("send_message", &body).unwrap();
        asked.ask("read_messages", &json!({"limit": 1})).unwrap()
    });
    let shown = read::human(&mail.await);
    assert!(shown.starts_with("worker\tnote\t{") && !shown.contains('\u{1b}'), "{shown:?}");

    drop(lease);
    let dead = command(move || tools.ask("swarm_status", &json!({}))).await.unwrap_err();
    assert_eq!((dead.code, &*dead.error_code, dead.state_changed), (ExitCode::Usage, "Unauthorized", false));
}

#[tokio::test]
async fn a_node_that_is_gone_is_unusable() {
    let endpoint = Endpoint::start().unwrap();
    let url = endpoint.url().to_owned();
    endpoint.shutdown().await;
    let failure =
        command(move || Tools::new(&url, "t", None).unwrap().ask("swarm_status", &json!({}))).await.unwrap_err();
    assert_eq!((failure.code, &*failure.error_code), (ExitCode::Unusable, "Unreachable"));
}

/// A live swarm in a state folder.
struct Live {
    mesh: Mesh,
    started: Started,
    control: Option<Control>,
    choice: SwarmChoice,
    _lock: FolderLock,
    _folder: tempfile::TempDir,
}

impl Live {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateRoot::new(folder.path().join("state")).folder("swarm").unwrap();
        let lock = state.lock(SystemTime::now()).unwrap();
        let (mesh, started) = node(folder.path()).await;
        let control = Control::serve(state.prepare_socket(&lock).unwrap(), mesh.clone()).unwrap();
        let choice = SwarmChoice { swarm: None, state: Some(folder.path().join("state")) };
        Self { mesh, started, control: Some(control), choice, _lock: lock, _folder: folder }
    }

    async fn ask(&self, request: Request) -> Result<(Answer, String), crate::failure::CliFailure> {
        let choice = self.choice.clone();
        command(move || place::ask(&choice, &request)).await
    }
}

#[tokio::test]
async fn a_live_swarm_is_acted_on_and_one_that_ended_says_so() {
    let mut live = Live::new().await;
    let tasks = submitted("--id|greet|--description|hello").unwrap();
    let (answer, id) = live.ask(Request::Submit { tasks }).await.unwrap();
    assert!(id == "swarm" && matches!(answer, Answer::Submitted { tasks } if tasks[0].id == "greet"));
    let (attempt, _end) = live.started.recv().await.unwrap();
    live.ask(Request::Cancel { id: "greet".to_owned() }).await.unwrap();
    tokio::time::timeout(DEADLINE, attempt.control.stopped()).await.expect("it is told to stop");
    let refused = live.ask(Request::Pause { peer: "nobody".to_owned() }).await.unwrap_err();
    assert_eq!((refused.code, &*refused.error_code, refused.state_changed), (ExitCode::Usage, "NoSuchPeer", false));
    live.control.take();
    let ended = live.ask(Request::Ping).await.unwrap_err();
    assert_eq!((ended.code, &*ended.error_code), (ExitCode::Usage, "NotRunning"));
    live.mesh.stop(meshwork::mesh::Stop::Now);
}

#[test]
fn an_attempt_is_known_by_its_environment() {
    let variables = |set: &'static [(&str, &str)]| {
        place::attempt_in(move |name| {
            let found = set.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(value))
        })
    };
    assert!(variables(&[]).unwrap().is_none());
    assert!(variables(&[("MESHWORK_URL", ""), ("MESHWORK_TOKEN", "")]).unwrap().is_none());
    assert!(variables(&[("MESHWORK_URL", "http://127.0.0.1:1"), ("MESHWORK_TOKEN", "t")]).unwrap().is_some());
    for half in [&[("MESHWORK_URL", "http://127.0.0.1:1")][..], &[("MESHWORK_TOKEN", "t")]] {
        assert_eq!(variables(half).err().unwrap().error_code, "BadEnvironment");
    }
    let other = variables(&[("MESHWORK_URL", "https://example.org"), ("MESHWORK_TOKEN", "t")]).err().unwrap();
    assert!(other.code == ExitCode::Usage && !other.message.contains("\"t\""));
}

#[test]
fn calls_that_mean_nothing_are_refused_by_name() {
    assert_eq!(submitted("--id|a").unwrap_err().error_code, "EmptyTask");
    assert_eq!(submitted("--run|x|--input|{").unwrap_err().error_code, "BadInput");
    let missing = submitted("--file|/nonexistent/tasks.json").unwrap_err();
    assert_eq!((missing.code, missing.file.is_some()), (ExitCode::Usage, true));
    assert_eq!(send::payload(Some("{")).unwrap_err().error_code, "BadPayload");
    assert_eq!(send::payload(Some(" 1e999 ")).unwrap().unwrap().get(), "1e999", "handed on as it was written");
}

#[test]
fn tasks_that_did_not_complete_are_exit_1_with_their_reason() {
    let document = json!({"tasks": [
        {"id": "a", "state": "completed", "outcome": "ok", "result": {"n": 1}},
        {"id": "b", "state": "failed", "outcome": "timed-out", "error": "ran longer\u{7} than its timeout"},
        {"id": "c", "state": "completed", "outcome": "ok"},
    ]});
    let text = wait::human(&document);
    assert!(text.starts_with("a\tcompleted\t{\"n\":1}\nb\tfailed\ttimed-out: ran longer"), "{text}");
    assert!(text.ends_with("\nc\tcompleted\n") && !text.contains('\u{7}'), "{text}");
    assert_eq!(wait::ending(&document), Ending::TaskFailed);
    assert_eq!(wait::ending(&Value::Null), Ending::TaskFailed, "what is not understood is not taken for done");
}
