//! What an agent in another language needs: its task as the seed has it, ends from outside, and who is at rest.

use super::*;
use crate::view::TaskState;
use serde_json::json;
use std::sync::Mutex;

#[tokio::test]
async fn an_attempt_has_its_task_as_the_seed_shows_it() {
    let seen: Arc<Mutex<Option<MeshTask>>> = Arc::default();
    let (slot, kept) = (Arc::new(Mutex::new(None::<MeshCoordinator>)), seen.clone());
    let its = slot.clone();
    let asks = agent(&["x"], move |attempt| {
        let (mesh, kept) = (its.lock().unwrap().clone().unwrap(), kept.clone());
        async move {
            *kept.lock().unwrap() = Some(mesh.task_of(&attempt).await.unwrap());
            AttemptEnd::ok(Output::None)
        }
    });
    let world = world(config(1), vec![asks]);
    let mesh = &world.coordinator;
    *slot.lock().unwrap() = Some(mesh.clone());
    soon(mesh.initialize()).await.unwrap();
    let input = Some(json!({ "large": "x".repeat(100_000) }));
    let run = Some("true".to_owned());
    let given = MeshTask { input, run, retries: 2, timeout_ms: Some(60_000), ..task("t", &["x"]) };
    soon(mesh.submit_task(given.clone())).await.unwrap();
    let closed = soon(mesh.await_task("t")).await.unwrap();
    let shown = seen.lock().unwrap().take().unwrap();
    assert_eq!((shown.created_at, shown.assigned_at), (closed.created_at, closed.assigned_at));
    assert!(shown.created_at > 0 && shown.assigned_at.is_some());
    let peer = Some("swarm-peer-1".to_owned());
    let expected = MeshTask {
        assigned_peer: peer,
        state: TaskState::Running,
        created_at: shown.created_at,
        assigned_at: shown.assigned_at,
        ..given
    };
    assert_eq!(shown, expected);
    slot.lock().unwrap().take();
}

#[tokio::test]
async fn what_an_agent_runs_is_cancelled_and_what_waits_for_it_stays() {
    let (slow, open) = gated(&["x"]);
    let settings = MeshCoordinatorConfig { max_concurrent_tasks_per_peer: 1, ..config(1) };
    let world = world(settings, vec![slow]);
    let mesh = &world.coordinator;
    assert!(mesh.is_at_rest(), "nothing was started");
    soon(mesh.initialize()).await.unwrap();
    assert!(mesh.is_at_rest());
    soon(mesh.submit_task(task("runs", &["x"]))).await.unwrap();
    soon(mesh.submit_task(task("waits", &["x"]))).await.unwrap();
    assert!(!mesh.is_at_rest());
    soon(mesh.cancel_agent("swarm-peer-1", Some("changed my mind"))).await.unwrap();
    assert_eq!(soon(mesh.await_task("runs")).await.unwrap().state, TaskState::Failed);
    open.send_replace(true);
    assert_eq!(soon(mesh.await_task("waits")).await.unwrap().state, TaskState::Completed);
    assert!(mesh.is_at_rest());
    soon(mesh.cancel_agent("swarm-peer-1", None)).await.unwrap();
    assert_eq!(soon(mesh.cancel_agent("nobody", None)).await.unwrap_err().code(), "UnknownPeer");
    soon(mesh.pause_agent("swarm-peer-1", None)).await.unwrap();
    soon(mesh.submit_task(task("later", &["x"]))).await.unwrap();
    assert!(mesh.is_at_rest(), "nobody can start it");
    soon(mesh.cleanup()).await.unwrap();
    assert!(mesh.is_at_rest());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waited_for_a_task_sees_its_result() {
    let state = tempfile::tempdir().unwrap();
    let settings = MeshCoordinatorConfig { artifact_storage_path: Some(state.path().to_owned()), ..config(1) };
    let world = world(settings, vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    for n in 0..200 {
        let id = format!("t{n}");
        soon(mesh.submit_task(MeshTask { input: Some(json!(n)), ..task(&id, &["x"]) })).await.unwrap();
        assert_eq!(soon(mesh.await_task(&id)).await.unwrap().result, Some(json!(n)));
    }
}
