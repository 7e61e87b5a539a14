//! Peers: joining, pausing, leaving, checkpoints, and the coordinator's own beginning and end.

use super::*;
use crate::mesh::{Agent, Attempt};
use crate::peers::AgentState;
use futures_util::future::BoxFuture;
use meshwork_core::Tokens;
use serde_json::{Value, json};
use std::sync::Mutex;

fn joins(id: Option<&str>, definition: AgentDefinition) -> AgentOptions {
    AgentOptions { id: id.map(str::to_owned), definition }
}

#[tokio::test]
async fn without_an_agent_there_is_no_mesh_and_it_may_be_tried_again() {
    let world = world(config(2), Vec::new());
    let error = soon(world.coordinator.initialize()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no agent definition to start 2 peers from; nothing was started");
    assert!(!world.coordinator.is_ready());
    assert_eq!(soon(world.coordinator.initialize()).await.unwrap_err().code(), "NoAgentDefinition");
}

#[tokio::test]
async fn a_coordinator_is_initialized_once_and_ends_for_good() {
    let world = world(config(2), vec![echo(&[])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    assert!(mesh.is_ready());
    assert_eq!(soon(mesh.initialize()).await.unwrap_err().code(), "AlreadyInitialized");
    soon(mesh.cleanup()).await.unwrap();
    soon(mesh.cleanup()).await.unwrap();
    assert!(!mesh.is_ready() && mesh.active_peers().is_empty() && mesh.peer("swarm-peer-1").is_none());
    assert_eq!(soon(mesh.initialize()).await.unwrap_err().code(), "Closing");
    assert_eq!(soon(mesh.assign_task_to_peer(task("t", &[]))).await.unwrap_err().code(), "Closing");
}

#[tokio::test]
async fn who_waits_is_told_when_the_coordinator_ends() {
    let (slow, _open) = gated(&["x"]);
    let world = world(config(1), vec![slow]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    soon(mesh.assign_task_to_peer(task("runs", &["x"]))).await.unwrap();
    let depends = MeshTask { dependencies: vec!["runs".to_owned()], ..task("waits", &["x"]) };
    let waits = tokio::spawn({
        let mesh = mesh.clone();
        async move { (mesh.assign_task_to_peer(depends).await, mesh.await_task("runs").await) }
    });
    until(|| mesh.mesh_metrics().total_tasks == 2).await;
    soon(mesh.cleanup()).await.unwrap();
    let (assigned, ended) = soon(waits).await.unwrap();
    assert_eq!(assigned.unwrap_err().code(), "Closing");
    assert_eq!(ended.unwrap_err().code(), "Closing");
}

#[tokio::test]
async fn peers_know_each_other_as_neighbours_and_joiners_get_work() {
    let world = world(config(2), vec![echo(&["a"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    assert_eq!(soon(mesh.spawn_agent(joins(None, echo(&["b"])))).await.unwrap(), "swarm-peer-3");
    assert_eq!(soon(mesh.spawn_agent(joins(Some("expert"), echo(&["c"])))).await.unwrap(), "expert");
    let taken = soon(mesh.spawn_agent(joins(Some("expert"), echo(&["d"])))).await.unwrap_err();
    assert_eq!(taken.code(), "PeerTaken");
    assert_eq!(soon(mesh.assign_task_to_peer(task("t", &["c"]))).await.unwrap(), "expert");
    let neighbors = mesh.peer("swarm-peer-1").unwrap().neighbors;
    assert_eq!(neighbors.into_iter().collect::<Vec<_>>(), ["expert", "swarm-peer-2", "swarm-peer-3"]);
    assert_eq!(mesh.find_peers_by_capabilities(&["a".to_owned()]).await, ["swarm-peer-1", "swarm-peer-2"]);
    soon(mesh.terminate_agent("expert", Some("done"))).await.unwrap();
    assert_eq!(mesh.agent_state("expert"), Some(AgentState::Terminated));
    assert_eq!(soon(mesh.terminate_agent("expert", None)).await.unwrap_err().code(), "UnknownPeer");
    assert_eq!(mesh.find_peers_by_capabilities(&["c".to_owned()]).await, Vec::<String>::new());
    assert_eq!(soon(mesh.assign_task_to_peer(task("u", &["c"]))).await.unwrap_err().code(), "NoCapablePeer");
}

#[tokio::test]
async fn without_discovery_only_the_first_peers_exist() {
    let settings = MeshCoordinatorConfig { enable_peer_discovery: false, ..config(2) };
    let world = world(settings, vec![echo(&["a"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let error = soon(mesh.spawn_agent(joins(Some("late"), echo(&[])))).await.unwrap_err();
    assert_eq!(error.code(), "DiscoveryDisabled");
    assert_eq!(mesh.find_peers_by_capabilities(&["a".to_owned()]).await.len(), 2);
}

#[tokio::test]
async fn a_paused_peer_gets_no_work_and_its_waiting_tasks_go_on() {
    let world = world(config(2), vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    soon(mesh.pause_agent("swarm-peer-1", Some("budget"))).await.unwrap();
    soon(mesh.pause_agent("swarm-peer-1", Some("budget"))).await.unwrap();
    assert_eq!(
        (mesh.active_agents(), mesh.paused_agents()),
        (vec!["swarm-peer-2".to_owned()], vec!["swarm-peer-1".to_owned()])
    );
    assert_eq!(mesh.agent_state("swarm-peer-1"), Some(AgentState::Paused));
    for n in 0..20 {
        assert_eq!(soon(mesh.assign_task_to_peer(task(&format!("t{n}"), &["x"]))).await.unwrap(), "swarm-peer-2");
    }
    soon(mesh.resume_agent("swarm-peer-1", None)).await.unwrap();
    assert_eq!(mesh.active_peers().len(), 2);
    assert_eq!(soon(mesh.pause_agent("swarm-peer-1", Some("boredom"))).await.unwrap_err().code(), "UnknownReason");
    assert_eq!(soon(mesh.pause_agent("nobody", None)).await.unwrap_err().code(), "UnknownPeer");
    assert_eq!(soon(mesh.resume_agent("nobody", None)).await.unwrap_err().code(), "UnknownPeer");
}

#[tokio::test]
async fn idle_peers_are_paused_and_work_resumes_them() {
    let settings = MeshCoordinatorConfig { pause_idle_after: Some(Duration::from_millis(5)), ..config(2) };
    let world = world(settings, vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    until(|| mesh.paused_agents().len() == 2).await;
    let peer = soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
    soon(mesh.await_task("t")).await.unwrap();
    assert_eq!(mesh.peer(&peer).unwrap().metrics.tasks_completed, 1);
    until(|| mesh.paused_agents().len() == 2).await;
}

#[tokio::test]
async fn memory_is_told_the_state_and_load_of_each_peer() {
    let (slow, open) = gated(&["x"]);
    let world = world(config(1), vec![slow]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
    let load = || world.memory.loads.lock().unwrap().get("swarm-peer-1").copied();
    until(|| load() == Some(1.0)).await;
    until(|| world.memory.states.lock().unwrap().get("swarm-peer-1").is_some_and(|state| state.active_tasks == ["t"]))
        .await;
    open.send_replace(true);
    until(|| load() == Some(0.0)).await;
    let done = |state: &crate::peers::PeerState| state.metrics.tasks_completed == 1 && state.state == AgentState::Idle;
    until(|| world.memory.states.lock().unwrap().get("swarm-peer-1").is_some_and(done)).await;
}

/// Counts its tasks, and can go back.
struct Counts(Arc<Mutex<u64>>);

impl Agent for Counts {
    fn run(&self, _: Attempt) -> BoxFuture<'static, AttemptEnd> {
        let count = self.0.clone();
        Box::pin(async move {
            let mut count = count.lock().unwrap();
            *count += 1;
            AttemptEnd::ok(Output::Json(count.to_string()))
        })
    }

    fn checkpoint(&self, _: &str) -> BoxFuture<'static, Result<Value, String>> {
        let count = *self.0.lock().unwrap();
        Box::pin(async move { if count > 9 { Err("too much".to_owned()) } else { Ok(json!(count)) } })
    }

    fn restore(&self, _: &str, state: Value) -> BoxFuture<'static, Result<(), String>> {
        let count = self.0.clone();
        Box::pin(async move {
            *count.lock().unwrap() = state.as_u64().ok_or("no number")?;
            Ok(())
        })
    }
}

#[tokio::test]
async fn an_agent_goes_back_to_a_checkpoint_and_stays_as_it_is_without_one() {
    let count = Arc::new(Mutex::new(0));
    let counts = AgentDefinition { agent: Arc::new(Counts(count.clone())), ..echo(&[]) };
    let world = world(config(1), vec![counts]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let run = async |id: &str| {
        soon(mesh.submit_task(task(id, &[]))).await.unwrap();
        soon(mesh.await_task(id)).await.unwrap().result
    };
    assert_eq!(run("a").await, Some(json!(1)));
    let first = soon(mesh.create_checkpoint("swarm-peer-1")).await.unwrap();
    assert_eq!(mesh.agent_session("swarm-peer-1").unwrap().checkpoint_id.as_deref(), Some(&*first));
    assert_eq!(run("b").await, Some(json!(2)));
    let error = soon(mesh.resume_agent("swarm-peer-1", Some("cp-0000"))).await.unwrap_err();
    assert_eq!(error.to_string(), r#"peer "swarm-peer-1" has no checkpoint "cp-0000"; it is as it was"#);
    assert_eq!(soon(mesh.restore_checkpoint("swarm-peer-1", "../x")).await.unwrap_err().code(), "UnknownCheckpoint");
    assert_eq!(*count.lock().unwrap(), 2);
    soon(mesh.resume_agent("swarm-peer-1", Some(&first))).await.unwrap();
    assert_eq!(run("c").await, Some(json!(2)));
    let second = soon(mesh.create_checkpoint("swarm-peer-1")).await.unwrap();
    let kept = soon(mesh.list_checkpoints("swarm-peer-1")).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().any(|one| one.id == second) && kept.iter().all(|one| one.agent_id == "swarm-peer-1"));
    *count.lock().unwrap() = 10;
    assert_eq!(soon(mesh.create_checkpoint("swarm-peer-1")).await.unwrap_err().code(), "AgentFailed");
    assert_eq!(soon(mesh.create_checkpoint("nobody")).await.unwrap_err().code(), "UnknownPeer");
}

#[tokio::test]
async fn tokens_outside_of_tasks_count() {
    let world = world(config(1), vec![echo(&[])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    mesh.update_token_usage("swarm-peer-1", Tokens { input: 10, output: 5 });
    mesh.update_token_usage("nobody", Tokens { input: 10, output: 5 });
    assert_eq!(mesh.agent_session("swarm-peer-1").unwrap().tokens_used, 15);
    assert_eq!(mesh.mesh_metrics().total_tokens_used, 15);
}

#[tokio::test]
async fn a_coordinator_with_a_path_goes_on_where_another_ended() {
    let state = tempfile::tempdir().unwrap();
    let settings = MeshCoordinatorConfig { artifact_storage_path: Some(state.path().to_owned()), ..config(1) };
    let first = world(settings.clone(), vec![echo(&["x"])]);
    soon(first.coordinator.initialize()).await.unwrap();
    soon(first.coordinator.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
    assert!(soon(first.coordinator.wait_for_mesh_completion()).await.unwrap());
    let beside = world(settings.clone(), vec![echo(&["x"])]);
    assert_eq!(soon(beside.coordinator.initialize()).await.unwrap_err().code(), "StateUnusable");
    soon(first.coordinator.cleanup()).await.unwrap();
    let second = world(settings, vec![echo(&["x"])]);
    soon(second.coordinator.initialize()).await.unwrap();
    assert_eq!(second.coordinator.mesh_metrics().completed_tasks, 1);
    assert_eq!(soon(second.coordinator.assign_task_to_peer(task("t", &["x"]))).await.unwrap(), "swarm-peer-1");
    assert_eq!(second.coordinator.mesh_metrics().total_tasks, 1);
}

#[tokio::test]
async fn wrong_settings_name_their_field() {
    let wrong = |settings: MeshCoordinatorConfig| settings.validate().unwrap_err().to_string();
    let zero = Duration::ZERO;
    assert_eq!(wrong(config(0)), "peerCount is 0, expected 1 to 10000; nothing was started");
    let cases = [
        (MeshCoordinatorConfig { swarm_id: "-x".to_owned(), ..config(1) }, "swarmId"),
        (MeshCoordinatorConfig { max_concurrent_tasks_per_peer: 0, ..config(1) }, "maxConcurrentTasksPerPeer"),
        (MeshCoordinatorConfig { discovery_interval: zero, ..config(1) }, "discoveryIntervalMs"),
        (MeshCoordinatorConfig { completion_timeout: zero, ..config(1) }, "completionTimeoutMs"),
        (MeshCoordinatorConfig { rebalance_interval: zero, ..config(1) }, "rebalanceIntervalMs"),
        (MeshCoordinatorConfig { load_imbalance_threshold: f64::NAN, ..config(1) }, "loadImbalanceThreshold"),
        (MeshCoordinatorConfig { load_imbalance_threshold: 0.5, ..config(1) }, "loadImbalanceThreshold"),
    ];
    for (settings, field) in cases {
        assert!(wrong(settings).starts_with(field));
    }
}
