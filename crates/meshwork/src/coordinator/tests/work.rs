//! Tasks: assignment, dependencies, errors, completion.

use super::*;
use crate::messaging::{Message, MessageBroker, MessageHandler};
use crate::view::TaskState;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_task_goes_to_a_peer_that_can_do_it_and_the_mesh_completes() {
    let world = world(config(2), vec![echo(&["code-review"]), echo(&["code-review", "security"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.expect("it starts");
    let input = Some(json!({ "path": "src" }));
    let peer = soon(mesh.assign_task_to_peer(MeshTask { input, ..task("review", &["security", "code-review"]) })).await;
    assert_eq!(peer.as_deref().unwrap(), "swarm-peer-2");
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    let done = mesh.task("review").await.unwrap().expect("it is known");
    assert_eq!((done.state, done.result), (TaskState::Completed, Some(json!({ "path": "src" }))));
    assert_eq!(done.assigned_peer.as_deref(), Some("swarm-peer-2"));
    let metrics = mesh.mesh_metrics();
    assert_eq!((metrics.total_tasks, metrics.completed_tasks, metrics.running_tasks), (1, 1, 0));
    assert_eq!((metrics.total_peers, metrics.active_peers), (2, 2));
    assert!((metrics.token_savings_percentage - 12.5).abs() < f64::EPSILON, "as the controller says");
    soon(mesh.cleanup()).await.unwrap();
}

#[tokio::test]
async fn a_thousand_tasks_are_each_done_once() {
    let world = world(config(4), vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let tasks = (0..1_000).map(|n| mesh.assign_task_to_peer(task(&format!("t{n}"), &["x"])));
    let peers = soon(futures_util::future::try_join_all(tasks)).await.unwrap();
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    let by_peer: u64 = mesh.active_peers().iter().map(|peer| peer.metrics.tasks_completed).sum();
    assert_eq!((peers.len(), by_peer, mesh.mesh_metrics().completed_tasks), (1_000, 1_000, 1_000));
}

/// How many of twelve tasks each of four peers gets while none ends.
async fn spread(settings: MeshCoordinatorConfig) -> Vec<u32> {
    let (slow, open) = gated(&["x"]);
    let world = world(settings, vec![slow]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let tasks = (0..12).map(|n| mesh.assign_task_to_peer(task(&format!("t{n}"), &["x"])));
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for peer in soon(futures_util::future::try_join_all(tasks)).await.unwrap() {
        *count.entry(peer).or_default() += 1;
    }
    let mean = mesh.mesh_metrics().average_peer_load;
    assert!((mean - 3.0).abs() < f64::EPSILON, "12 tasks at 4 peers: {mean}");
    open.send_replace(true);
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    count.into_values().collect()
}

#[tokio::test]
async fn the_least_loaded_peer_gets_the_next_task_and_the_first_one_without_balancing() {
    assert_eq!(spread(config(4)).await, [3, 3, 3, 3]);
    assert_eq!(spread(MeshCoordinatorConfig { max_concurrent_tasks_per_peer: 100, ..config(4) }).await, [3, 3, 3, 3]);
    let first = MeshCoordinatorConfig { enable_load_balancing: false, max_concurrent_tasks_per_peer: 100, ..config(4) };
    assert_eq!(spread(first).await, [12]);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let world = world(config(2), vec![echo(&["a", "b"]), echo(&["c"])]);
    let mesh = &world.coordinator;
    let early = mesh.assign_task_to_peer(task("t", &[])).await.unwrap_err();
    assert_eq!(early.code(), "NotInitialized");
    soon(mesh.initialize()).await.unwrap();
    let assign = |task| soon(mesh.assign_task_to_peer(task));
    let error = assign(task("t", &["gpu", "a"])).await.unwrap_err().to_string();
    assert_eq!(error, r#"no peer can take task "t": nobody has "gpu"; nothing changed"#);
    let error = assign(task("t", &["a", "c"])).await.unwrap_err().to_string();
    assert!(error.contains("no peer has all of them"), "{error}");
    let error = assign(MeshTask { priority: 11, ..task("t", &[]) }).await.unwrap_err().to_string();
    assert_eq!(error, r#"priority of task "t" is 11, expected 1 to 10; nothing changed"#);
    let error = assign(MeshTask { state: TaskState::Running, ..task("t", &[]) }).await.unwrap_err();
    assert_eq!(error.code(), "InvalidTask");
    let error = assign(MeshTask { dependencies: vec!["nobody".to_owned()], ..task("t", &[]) }).await.unwrap_err();
    assert_eq!(error.code(), "Refused");
    let error = assign(MeshTask { dependencies: vec!["t".to_owned()], ..task("t", &[]) }).await.unwrap_err();
    assert_eq!(error.code(), "InvalidTask");
    assert_eq!(assign(task("-t", &[])).await.unwrap_err().code(), "InvalidTask");
    assert_eq!(mesh.mesh_metrics().total_tasks, 0);
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap(), "nothing was submitted");
}

#[tokio::test]
async fn the_same_task_again_has_the_same_peer_and_another_of_its_id_is_refused() {
    let world = world(config(3), vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let peer = soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
    assert_eq!(soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap(), peer);
    let other = MeshTask { description: "another".to_owned(), ..task("t", &["x"]) };
    assert_eq!(soon(mesh.assign_task_to_peer(other)).await.unwrap_err().code(), "IdTaken");
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    assert_eq!(soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap(), peer, "after its round, too");
    assert_eq!(mesh.mesh_metrics().total_tasks, 1);
    let dear = MeshTask { priority: 9, ..task("t", &["x"]) };
    assert_eq!(soon(mesh.assign_task_to_peer(dear)).await.unwrap_err().code(), "IdTaken");
}

#[tokio::test]
async fn a_dependant_is_assigned_after_what_it_depends_on_and_not_at_all_when_that_fails() {
    let failing = agent(&["fails"], |_| async { AttemptEnd::failed("no") });
    let (slow, open) = gated(&["slow"]);
    let world = world(config(3), vec![echo(&["x"]), failing, slow]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    soon(mesh.submit_task(task("first", &["slow"]))).await.unwrap();
    let second = MeshTask { dependencies: vec!["first".to_owned()], ..task("second", &["x"]) };
    let waits = tokio::spawn({
        let mesh = mesh.clone();
        async move { mesh.assign_task_to_peer(second).await }
    });
    until(|| mesh.mesh_metrics().total_tasks == 2).await;
    assert!(!waits.is_finished());
    open.send_replace(true);
    assert_eq!(soon(waits).await.unwrap().unwrap(), "swarm-peer-1");
    soon(mesh.submit_task(task("bad", &["fails"]))).await.unwrap();
    let after = MeshTask { dependencies: vec!["bad".to_owned()], ..task("after", &["x"]) };
    let error = soon(mesh.assign_task_to_peer(after)).await.unwrap_err();
    assert_eq!(error.code(), "DependencyFailed");
    assert!(error.to_string().contains("bad"), "{error}");
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap(), "failed is closed, too");
    assert_eq!(mesh.mesh_metrics().failed_tasks, 2);
    assert_eq!(soon(mesh.await_task("bad")).await.unwrap().error.as_deref(), Some("no"));
}

#[tokio::test]
async fn completion_waits_for_messages_on_the_bus_and_says_no_after_the_timeout() {
    let settings = MeshCoordinatorConfig { completion_timeout: Duration::from_millis(50), ..config(2) };
    let world = world(settings, vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let (open, gate) = tokio::sync::watch::channel(false);
    let handler = MessageHandler::new(move |_| {
        let mut gate = gate.clone();
        async move {
            let _open = gate.wait_for(|open| *open).await.map(drop);
            Ok(())
        }
    });
    world.bus.on_peer_message("swarm-peer-2", handler).unwrap();
    // By the trait: the coordinator knows the bus by nothing else.
    let bus: &dyn MessageBroker = &world.bus;
    bus.send_to_peer("swarm-peer-1", "swarm-peer-2", Message::new("hello", json!(1), 1)).await.unwrap();
    soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
    let waits = tokio::spawn({
        let mesh = mesh.clone();
        async move { mesh.wait_for_mesh_completion().await }
    });
    until(|| mesh.mesh_metrics().completed_tasks == 1).await;
    assert!(!waits.is_finished(), "a handler runs");
    open.send_replace(true);
    assert!(soon(waits).await.unwrap().unwrap());
    let metrics = mesh.mesh_metrics();
    assert_eq!((metrics.messages_sent, metrics.messages_received), (1, 1));
}

#[tokio::test]
async fn what_nobody_can_go_on_with_is_no_completion_and_a_later_call_may_be_one() {
    let settings = MeshCoordinatorConfig { completion_timeout: Duration::from_millis(50), ..config(1) };
    let world = world(settings, vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    soon(mesh.pause_agent("swarm-peer-1", None)).await.unwrap();
    soon(mesh.submit_task(task("t", &["x"]))).await.unwrap();
    assert!(!soon(mesh.wait_for_mesh_completion()).await.unwrap());
    soon(mesh.resume_agent("swarm-peer-1", None)).await.unwrap();
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    assert_eq!(world.controller.asked.lock().unwrap().join(", "), "pause swarm-peer-1, resume swarm-peer-1 as it was");
}

#[tokio::test]
async fn a_large_input_and_result_pass_as_artifacts() {
    let world = world(config(1), vec![echo(&[])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let large = json!("x".repeat(100_000));
    soon(mesh.assign_task_to_peer(MeshTask { input: Some(large.clone()), ..task("t", &[]) })).await.unwrap();
    assert_eq!(soon(mesh.await_task("t")).await.unwrap().result, Some(large));
    assert_eq!(world.artifacts.list("inputs/").await.unwrap().len(), 1);
}
