//! Round trips over a real socket, against a real mesh.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::wire::LINE_BYTES;
use super::{Answer, Control, ControlClient, ControlError, Request};
use crate::endpoint::TaskRequest;
use crate::endpoint::tests::{Scene, soon, spec};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A control over a scene's mesh, at a path of its own.
struct Controlled {
    scene: Scene,
    control: Control,
    folder: tempfile::TempDir,
}

impl Controlled {
    async fn new() -> Self {
        let scene = Scene::new(&[("worker", &[])]).await;
        let folder = tempfile::tempdir().unwrap();
        let control = Control::serve(folder.path().join("control.sock"), scene.mesh.clone()).unwrap();
        Self { scene, control, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    async fn ask(&self, request: Request) -> Result<Answer, ControlError> {
        let path = self.path();
        soon(tokio::task::spawn_blocking(move || ControlClient::connect(path)?.ask(&request))).await.unwrap()
    }

    async fn refused(&self, request: Request) -> (String, bool) {
        match self.ask(request).await {
            Err(ControlError::Refused(error)) => (error.code, error.state_changed),
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
}

fn task(json: &Value) -> TaskRequest {
    serde_json::from_str(&json.to_string()).unwrap()
}

#[tokio::test]
async fn tasks_are_submitted_and_run() {
    let mut controlled = Controlled::new().await;
    let mut pretty = task(&json!({"type": "greet"}));
    pretty.input = Some(RawValue::from_string("{\n  \"text\": \"a\\nb\"\r\n}".to_owned()).unwrap());
    let tasks = vec![pretty, task(&json!({"id": "named", "dependencies": ["task-1"]}))];
    let answer = controlled.ask(Request::Submit { tasks }).await.unwrap();
    let Answer::Submitted { tasks } = answer else { panic!("{answer:?}") };
    assert_eq!(tasks.iter().map(|task| &*task.id).collect::<Vec<_>>(), ["task-1", "named"]);
    let held = controlled.scene.next().await;
    let input: Value = serde_json::from_str(&held.attempt.input().await.unwrap().unwrap()).unwrap();
    assert_eq!((held.task_id(), &*held.attempt.spec().kind, input), ("task-1", "greet", json!({"text": "a\nb"})));
    held.returns(&json!(1));
    assert_eq!(controlled.scene.next().await.task_id(), "named");
    let again = controlled.ask(Request::Submit { tasks: vec![TaskRequest::default()] }).await.unwrap();
    assert!(matches!(again, Answer::Submitted { tasks } if tasks[0].id == "task-3"));
}

#[tokio::test]
async fn a_task_is_cancelled_and_a_peer_paused_and_resumed() {
    let mut controlled = Controlled::new().await;
    controlled.ask(Request::Pause { peer: "worker".to_owned() }).await.unwrap();
    controlled.scene.submit(spec("first")).await;
    controlled.scene.submit(spec("second")).await;
    controlled.ask(Request::Cancel { id: "first".to_owned() }).await.unwrap();
    let running = controlled.scene.mesh.look(|swarm| swarm.granted()).await.unwrap();
    assert_eq!(running, 0, "a paused peer gets nothing");
    controlled.ask(Request::Resume { peer: "worker".to_owned() }).await.unwrap();
    assert_eq!(controlled.scene.next().await.task_id(), "second", "the first one was cancelled");
    assert!(matches!(controlled.ask(Request::Rebalance).await.unwrap(), Answer::Decided { seq } if seq > 0));
}

#[tokio::test]
async fn refusals_name_what_was_found_and_change_nothing() {
    let controlled = Controlled::new().await;
    let no = |code: &str| (code.to_owned(), false);
    assert_eq!(controlled.refused(Request::Cancel { id: "nothing".to_owned() }).await, no("NoSuchTask"));
    assert_eq!(controlled.refused(Request::Pause { peer: "nobody".to_owned() }).await, no("NoSuchPeer"));
    assert_eq!(controlled.refused(Request::Submit { tasks: Vec::new() }).await, no("NoTasks"));
    let orphan = task(&json!({"dependencies": ["nowhere"]}));
    assert_eq!(controlled.refused(Request::Submit { tasks: vec![orphan] }).await, no("UnknownDependency"));
    let large = || task(&json!({"description": "x".repeat(40_000)}));
    let parts = vec![large(), large(), task(&json!({"priority": 0}))];
    let refused = controlled.refused(Request::Submit { tasks: parts }).await;
    assert_eq!(refused, ("OutOfRange".to_owned(), true), "earlier parts of a large submission stay, and it says so");
}

#[tokio::test]
async fn a_follower_is_told_of_growth_and_of_the_end() {
    let controlled = Controlled::new().await;
    let path = controlled.path();
    let mut follow =
        tokio::task::spawn_blocking(move || ControlClient::connect(path).unwrap().follow().unwrap()).await.unwrap();
    let next = async |mut follow: super::Follow| {
        soon(tokio::task::spawn_blocking(move || (follow.next(), follow))).await.unwrap()
    };
    let (first, follow_on) = next(follow).await;
    let first = first.unwrap().unwrap();
    controlled.scene.submit(spec("task")).await;
    let (second, follow_on) = next(follow_on).await;
    assert!(second.unwrap().unwrap() > first);
    follow = follow_on;
    controlled.scene.mesh.stop(crate::mesh::Stop::Now);
    let rest = soon(tokio::task::spawn_blocking(move || follow.last())).await.unwrap();
    assert!(rest.is_none_or(|last| last.is_ok()), "the end is no error");
}

#[tokio::test]
async fn who_is_there_says_so_and_several_requests_share_a_connection() {
    let controlled = Controlled::new().await;
    let path = controlled.path();
    let (ping, pause) = soon(tokio::task::spawn_blocking(move || {
        let mut client = ControlClient::connect(path).unwrap();
        (client.ask(&Request::Ping).unwrap(), client.ask(&Request::Rebalance).unwrap())
    }))
    .await
    .unwrap();
    assert!(matches!(ping, Answer::Pong { pid, swarm_id, .. } if pid == std::process::id() && swarm_id == "swarm"));
    assert!(matches!(pause, Answer::Decided { .. }));
}

#[tokio::test]
async fn what_is_not_a_request_is_answered_and_too_long_a_line_ends_it() {
    let controlled = Controlled::new().await;
    let path = controlled.path();
    let exchange = move |line: Vec<u8>| {
        let path = path.clone();
        soon(tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            let _hung_up = stream.write_all(&line);
            let _hung_up = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = String::new();
            let _reset_after_the_answer = stream.read_to_string(&mut answer);
            answer
        }))
    };
    let deep = format!("{}\n", "[".repeat(10_000));
    for (line, code) in [("{\"eat\":1}\n", "BadRequest"), ("\"dance\"\n", "BadRequest"), (&*deep, "TooDeep")] {
        let answer = exchange(line.as_bytes().to_vec()).await.unwrap();
        assert!(answer.contains(code) && answer.contains("\"stateChanged\":false"), "{answer}");
    }
    let answer = exchange(vec![b' '; LINE_BYTES + 1]).await.unwrap();
    assert!(answer.contains("RequestTooLarge"), "{answer}");
    assert_eq!(exchange(b"\"rebalance\"".to_vec()).await.unwrap(), "", "a line that was cut short is nothing");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let controlled = Controlled::new().await;
    let mode = controlled.path().metadata().unwrap().permissions().mode();
    assert_eq!((mode & 0o777, controlled.control.path()), (0o600, &*controlled.path()));
    let taken = Control::serve(controlled.path(), controlled.scene.mesh.clone()).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    assert!(controlled.ask(Request::Ping).await.is_ok(), "the first one still listens");

    let stale = controlled.folder.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let control = Control::serve(&stale, controlled.scene.mesh.clone()).unwrap();
    assert!(ControlClient::connect(&stale).is_ok());
    drop(control);
    assert!(!stale.exists(), "its own socket goes with it");
    assert!(matches!(ControlClient::connect(&stale), Err(ControlError::NotRunning { .. })));

    let file = controlled.folder.path().join("notes.txt");
    std::fs::write(&file, "mine").unwrap();
    let error = Control::serve(&file, controlled.scene.mesh.clone()).unwrap_err();
    assert_eq!((error.kind(), &*std::fs::read(&file).unwrap()), (ErrorKind::AlreadyExists, &b"mine"[..]));

    let other = controlled.folder.path().join("other.sock");
    let control = Control::serve(&other, controlled.scene.mesh.clone()).unwrap();
    std::fs::remove_file(&other).unwrap();
    let _new_owner = UnixListener::bind(&other).unwrap();
    drop(control);
    assert!(other.exists(), "another's socket stays");
}
