//! What an attempt can do.

use super::*;
use meshwork_core::Op;
use meshwork_core::topology::{Choice, Requested, Topology};
use std::num::NonZeroU32;

#[tokio::test]
async fn a_parent_waits_without_its_slot_and_its_child_runs_in_it() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (parent, lease) = scene.attempt("parent").await;
    let submitted = scene.done(&lease, "submit_task", json!({"description": "a part", "input": {"n": 1}})).await;
    assert_eq!(submitted, json!({"tasks": [{"id": "parent/1"}]}));
    let (url, token) = (scene.endpoint.url().to_owned(), lease.token().to_owned());
    // The only slot is the parent's: nothing starts before it waits.
    let started = &mut scene.started;
    assert!(started.try_recv().is_err());
    let child_runs = async {
        let child = soon(started.recv()).await.unwrap();
        assert_eq!(child.task_id(), "parent/1");
        assert_eq!(child.attempt.input().await.unwrap().as_deref(), Some(r#"{"n":1}"#));
        child.returns(&json!({"sum": 2}));
    };
    let waits = ask_at(url, token, "wait_for_tasks", "{}");
    let (answer, ()) = tokio::join!(waits, child_runs);
    let expected = json!({"tasks": [{"id": "parent/1", "state": "completed", "outcome": "ok", "result": {"sum": 2}}]});
    assert_eq!(answer, expected);
    parent.returns(&json!(null));
    assert!(
        matches!(soon(scene.mesh.complete()).await.unwrap(), crate::mesh::RoundEnd::Closed(round) if round.ok == 2)
    );
}

/// A request that does not borrow the scene.
async fn ask_at(url: String, token: String, verb: &'static str, body: &'static str) -> Value {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!("POST /v1/{verb} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n");
    let rest = format!("Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all((head + &rest).as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_later_attempt_adopts_what_an_earlier_one_submitted_without_ids() {
    let mut scene = Scene::new(&[("one", &[]), ("two", &["other"])]).await;
    scene.submit(TaskSpec { retries: 1, ..spec("parent") }).await;
    let first = scene.next().await;
    let lease = scene.lease(&first);
    let child = json!({"run": "work", "requiredCapabilities": ["nobody"]});
    assert_eq!(scene.done(&lease, "submit_task", child.clone()).await["tasks"][0]["id"], "parent/1");
    let many = json!([{"run": "a", "requiredCapabilities": ["nobody"]}, {"id": "parent/2", "requiredCapabilities": ["nobody"]}]);
    assert_eq!(
        scene.done(&lease, "submit_task", many).await,
        json!({"tasks": [{"id": "parent/3"}, {"id": "parent/2"}]}),
        "an id that is given is not made again"
    );
    drop(lease);
    first.fails("once more");
    let second = scene.next().await;
    assert_eq!(second.task_id(), "parent");
    let lease = scene.lease(&second);
    assert_eq!(scene.done(&lease, "submit_task", child).await["tasks"][0]["id"], "parent/1");
    let (count, adopted) = scene
        .mesh
        .look(|swarm| {
            let child = swarm.task(swarm.find_task("parent/1").unwrap()).unwrap();
            (
                swarm.tasks().len(),
                child.adopted_by == swarm.task(child.parent.unwrap()).unwrap().phase.grant().unwrap().1,
            )
        })
        .await
        .unwrap();
    assert_eq!((count, adopted), (4, true));
}

#[tokio::test]
async fn a_refused_submission_says_why_and_its_number_is_given_again() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_parent, lease) = scene.attempt("parent").await;
    let (status, answer) = scene.ask(&lease, "submit_task", &json!({"dependencies": ["nowhere"]})).await;
    assert_eq!((status, code(&answer)), (409, "UnknownDependency"));
    assert_eq!(answer["error"]["stateChanged"], false);
    let (status, answer) = scene.ask(&lease, "submit_task", &json!({"priority": 11})).await;
    assert_eq!((status, code(&answer)), (409, "OutOfRange"));
    assert_eq!(scene.done(&lease, "submit_task", json!({"run": "x"})).await["tasks"][0]["id"], "parent/1");
    let (status, answer) = scene.ask(&lease, "wait_for_tasks", &json!({"ids": ["stranger"]})).await;
    assert_eq!((status, code(&answer)), (404, "NotAChild"));
}

#[tokio::test]
async fn a_long_parent_id_leaves_room_for_its_children() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_parent, lease) = scene.attempt(&"é".repeat(128)).await;
    let submitted = scene.done(&lease, "submit_task", json!({"run": "x"})).await;
    let id = submitted["tasks"][0]["id"].as_str().unwrap();
    assert!(id.len() <= 256 && id.ends_with("/1") && id.starts_with('é'), "{id}");
}

#[tokio::test]
async fn a_failed_child_is_seen_with_its_error() {
    let mut scene = Scene::new(&[("one", &[]), ("two", &[])]).await;
    let (_parent, lease) = scene.attempt("parent").await;
    scene.done(&lease, "submit_task", json!({"id": "child"})).await;
    scene.next().await.fails("it broke");
    let waited = scene.done(&lease, "wait_for_tasks", json!({"ids": ["child"]})).await;
    let expected = json!({"id": "child", "state": "failed", "outcome": "failed", "error": "it broke"});
    assert_eq!(waited["tasks"][0], expected);
}

#[tokio::test]
async fn waits_of_one_attempt_take_turns_also_when_an_asker_went_away() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_parent, lease) = scene.attempt("parent").await;
    scene.done(&lease, "submit_task", json!([{"id": "a"}, {"id": "b", "dependencies": ["a"]}])).await;
    let (url, token) = (scene.endpoint.url().to_owned(), lease.token().to_owned());
    let gone = tokio::spawn(ask_at(url.clone(), token.clone(), "wait_for_tasks", r#"{"ids":["a"]}"#));
    let a = scene.next().await;
    gone.abort();
    let waits = tokio::spawn(ask_at(url, token, "wait_for_tasks", r#"{"ids":["b"]}"#));
    a.returns(&json!("a"));
    scene.next().await.returns(&json!("b"));
    assert_eq!(soon(waits).await.unwrap()["tasks"][0]["result"], "b");
}

#[tokio::test]
async fn a_broadcast_reaches_the_neighbours_by_the_topology() {
    let mut scene = Scene::new(&[("queen", &[]), ("above", &[]), ("below", &["go"])]).await;
    let chain = Choice {
        requested: Requested::Explicit(Topology::Hierarchical),
        branching: NonZeroU32::MIN,
        ..Choice::default()
    };
    scene.mesh.decide(Op::Configure { config: Config { topology: chain, ..Config::default() } }).await.unwrap();
    scene.submit(TaskSpec { requires: vec!["go".to_owned()], ..spec("t") }).await;
    let held = scene.next().await;
    let lease = scene.lease(&held);
    let reached = scene.done(&lease, "broadcast", json!({"type": "all"})).await;
    assert_eq!(reached["reached"], json!(["above"]), "the queen is none of its neighbours");
}

#[tokio::test]
async fn messages_reach_other_peers_and_say_where_they_come_from() {
    let mut scene = Scene::new(&[("one", &[]), ("two", &[]), ("three", &[])]).await;
    let (one, first) = scene.attempt("task-1").await;
    let (_two, second) = scene.attempt("task-2").await;
    let (me, other) = (one.attempt.peer_id.to_string(), second);
    let other_id = scene.done(&other, "swarm_status", json!({})).await["peerId"].as_str().unwrap().to_owned();
    scene.done(&first, "send_message", json!({"to": other_id, "type": "hello", "payload": {"n": 1}})).await;
    let reached = scene.done(&first, "broadcast", json!({"type": "all"})).await;
    assert_eq!(reached["reached"].as_array().unwrap().len(), 2);
    let read = scene.done(&other, "read_messages", json!({"limit": 1})).await;
    let message = &read["messages"][0];
    assert_eq!(
        (&message["from"], &message["type"], &message["taskId"]),
        (&json!(me), &json!("hello"), &json!("task-1"))
    );
    assert_eq!(message["payload"], json!({"n": 1}));
    let read = scene.done(&other, "read_messages", json!({})).await;
    assert_eq!((read["messages"].as_array().unwrap().len(), &read["messages"][0]["payload"]), (1, &json!(null)));
    let (status, answer) = scene.ask(&first, "send_message", &json!({"to": "nobody", "type": "x"})).await;
    assert_eq!((status, code(&answer)), (404, "UnknownPeer"));
    let (status, answer) = scene.ask(&first, "read_messages", &json!({"limit": 0})).await;
    assert_eq!((status, code(&answer)), (400, "BadLimit"));
}

#[tokio::test]
async fn artifacts_come_back_as_they_were_stored() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let stored = scene.done(&lease, "put_artifact", json!({"key": "notes/a b.md", "text": "hällo"})).await;
    assert_eq!((&stored["size"], stored["digest"].as_str().unwrap().len()), (&json!(6), 64));
    scene.done(&lease, "put_artifact", json!({"key": "notes/bytes", "base64": "AP8K"})).await;
    let got = scene.done(&lease, "get_artifact", json!({"key": "notes/a b.md"})).await;
    assert_eq!((&got["text"], got.get("base64")), (&json!("hällo"), None));
    assert_eq!(scene.done(&lease, "get_artifact", json!({"key": "notes/bytes"})).await["base64"], "AP8K");

    let bearer = format!("Bearer {}", lease.token());
    let raw = [("Authorization", &*bearer), ("Content-Type", "application/octet-stream")];
    let bytes: Vec<u8> = (0..700_001_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let (status, _) = scene.request("/v1/put_artifact?key=notes%2Fl%C3%A4rge", &raw, &bytes).await;
    assert_eq!(status, 200);
    let wants = [("Authorization", &*bearer), ("Accept", "application/octet-stream")];
    let (status, got) = scene.request("/v1/get_artifact", &wants, r#"{"key":"notes/lärge"}"#.as_bytes()).await;
    assert!(status == 200 && got == bytes);

    let listed = scene.done(&lease, "list_artifacts", json!({"prefix": "notes/"})).await;
    let keys: Vec<_> = listed["artifacts"].as_array().unwrap().iter().map(|one| one["key"].clone()).collect();
    assert_eq!(
        (keys, &listed["more"]),
        (vec![json!("notes/a b.md"), json!("notes/bytes"), json!("notes/lärge")], &json!(false))
    );
    let (status, answer) = scene.ask(&lease, "get_artifact", &json!({"key": "none"})).await;
    assert_eq!((status, code(&answer)), (404, "NoSuchArtifact"));
}

#[tokio::test]
async fn peers_are_found_by_what_they_can_do() {
    let mut scene = Scene::new(&[("a", &["rust"]), ("b", &["rust", "review"]), ("c", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let found = scene.done(&lease, "find_peers", json!({"capabilities": ["rust", "review"]})).await;
    let peers = found["peers"].as_array().unwrap();
    assert_eq!(peers.len(), 1);
    assert_eq!((&peers[0]["id"], &peers[0]["slots"]), (&json!("b"), &json!(1)));
    assert_eq!(scene.done(&lease, "find_peers", json!({})).await["peers"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn progress_usage_and_status_are_taken() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    scene.done(&lease, "report_progress", json!({"text": "half"})).await;
    scene.done(&lease, "report_usage", json!({"inputTokens": 70, "outputTokens": 7})).await;
    let reserved = scene.mesh.look(|swarm| swarm.task(swarm.find_task("task").unwrap()).unwrap().reserved).await;
    assert_eq!(reserved.unwrap(), 77, "what is reported replaces the reservation");
    let status = scene.done(&lease, "swarm_status", json!({})).await;
    assert_eq!(
        (&status["swarmId"], &status["taskId"], &status["running"]),
        (&json!("swarm"), &json!("task"), &json!(1))
    );
}
