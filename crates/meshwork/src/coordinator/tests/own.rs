//! The coordinator with all parts of our own, and beside another one on the same bus.

use super::*;
use crate::controller::{AgentController, ControllerConfig, QueryController, Wake, WakeSchedule};
use crate::memory::{MemoryConfig, SqliteMemory, SwarmMemory};
use crate::peers::AgentState;
use futures_util::future::BoxFuture;
use meshwork_core::Tokens;
use std::sync::atomic::{AtomicU64, Ordering};

struct Own {
    mesh: MeshCoordinator,
    controller: Arc<AgentController>,
    memory: Arc<SqliteMemory>,
    _folder: tempfile::TempDir,
}

fn own(settings: MeshCoordinatorConfig, bus: &Broker, definitions: Vec<AgentDefinition>) -> Own {
    let folder = tempfile::tempdir().expect("a folder");
    let artifacts: Arc<dyn Artifacts> =
        Arc::new(FolderArtifacts::open(folder.path().join("artifacts")).expect("a store"));
    let controller = Arc::new(AgentController::new(ControllerConfig::default()).expect("a controller"));
    for definition in definitions {
        controller.register(definition).expect("a definition");
    }
    let memory = Arc::new(SqliteMemory::in_memory(MemoryConfig::default()).expect("a memory"));
    let deps = Dependencies::new(Arc::new(bus.clone()), controller.clone(), artifacts, memory.clone());
    let mesh = MeshCoordinator::new(settings, deps).expect("a configuration");
    Own { mesh, controller, memory, _folder: folder }
}

fn bus() -> Broker {
    Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default())).0
}

#[tokio::test]
async fn the_controllers_definitions_become_peers_and_it_pauses_them_in_the_mesh() {
    let bus = bus();
    let own = own(config(3), &bus, vec![echo(&["x"])]);
    soon(own.mesh.initialize()).await.unwrap();
    let two = ["swarm-peer-1".to_owned(), "swarm-peer-2".to_owned()];
    soon(own.controller.pause_peers(&two, Some("rate-limit"))).await.unwrap();
    assert_eq!(own.mesh.active_agents(), ["swarm-peer-3"]);
    assert_eq!(soon(own.mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap(), "swarm-peer-3");
    soon(own.controller.resume_peers(&two)).await.unwrap();
    assert_eq!(own.mesh.active_agents().len(), 3);
    soon(own.mesh.pause_agent("swarm-peer-3", None)).await.unwrap();
    until(|| own.controller.is_paused("swarm-peer-3")).await;
    let unknown = ["swarm-peer-1".to_owned(), "nobody".to_owned()];
    let error = soon(own.controller.pause_peers(&unknown, None)).await.unwrap_err().to_string();
    assert!(error.contains("nobody"), "{error}");
    assert_eq!(own.mesh.agent_state("swarm-peer-1"), Some(AgentState::Paused), "the other one was paused");
    soon(own.mesh.cleanup()).await.unwrap();
    assert_eq!(
        soon(own.controller.pause_agent("swarm-peer-1")).await.unwrap_err().to_string(),
        r#"there is no agent "swarm-peer-1"; nothing changed"#
    );
}

#[tokio::test]
async fn a_coordinator_that_is_dropped_gives_its_agents_back() {
    let bus = bus();
    let own = own(config(1), &bus, vec![echo(&[])]);
    soon(own.mesh.initialize()).await.unwrap();
    let Own { mesh, controller, .. } = own;
    soon(controller.pause_agent("swarm-peer-1")).await.unwrap();
    drop(mesh);
    soon(async { while controller.resume_agent("swarm-peer-1", None).await.is_ok() {} }).await;
}

struct Costs(AtomicU64);

impl Wake for Costs {
    fn wake<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(Tokens { input: 90, output: 10 }) })
    }
}

#[tokio::test]
async fn wakes_that_a_pause_avoids_are_what_it_saves() {
    let bus = bus();
    let costs = Arc::new(Costs(AtomicU64::new(0)));
    let wake = WakeSchedule::new(Duration::from_millis(5), costs.clone());
    let own = own(config(1), &bus, vec![AgentDefinition { wake: Some(wake), ..echo(&[]) }]);
    soon(own.mesh.initialize()).await.unwrap();
    until(|| costs.0.load(Ordering::Relaxed) >= 3).await;
    soon(own.mesh.pause_agent("swarm-peer-1", None)).await.unwrap();
    until(|| own.controller.is_paused("swarm-peer-1")).await;
    until(|| own.controller.token_savings("swarm-peer-1").saved >= 300).await;
    let woken = costs.0.load(Ordering::Relaxed);
    let savings = own.controller.token_savings("swarm-peer-1");
    assert_eq!(savings.total, woken * 100, "each wake was measured, and none happened in the pause");
    assert_eq!(savings.saved % 100, 0, "so many wakes at 100 each: {savings:?}");
    assert!(own.mesh.mesh_metrics().token_savings_percentage > 0.0);
}

#[tokio::test]
async fn memory_shows_the_peers_of_the_swarm() {
    let bus = bus();
    // A memory may serve several swarms: its own id does not matter.
    let settings = MeshCoordinatorConfig { swarm_id: "another".to_owned(), ..config(2) };
    let own = own(settings, &bus, vec![echo(&["x"])]);
    soon(own.mesh.initialize()).await.unwrap();
    soon(async {
        while own.memory.mesh_peers("another").await.unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let states = own.memory.mesh_peers("another").await.unwrap();
    assert!(states.iter().all(|state| state.capabilities == ["x"]));
}

#[tokio::test]
async fn two_coordinators_on_one_bus_know_each_others_peers_and_keep_their_tasks_apart() {
    let bus = bus();
    let settings = |id: &str| MeshCoordinatorConfig { swarm_id: id.to_owned(), ..config(2) };
    let one = own(settings("one"), &bus, vec![echo(&["x"])]);
    let two = own(settings("two"), &bus, vec![echo(&["x"])]);
    soon(one.mesh.initialize()).await.unwrap();
    soon(two.mesh.initialize()).await.unwrap();
    assert_eq!(soon(one.mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap(), "one-peer-1");
    assert_eq!(soon(two.mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap(), "two-peer-1");
    assert_eq!(one.mesh.find_peers_by_capabilities(&["x".to_owned()]).await, ["one-peer-1", "one-peer-2"]);
    assert!(soon(one.mesh.wait_for_mesh_completion()).await.unwrap());
    assert!(soon(two.mesh.wait_for_mesh_completion()).await.unwrap());
    soon(one.mesh.cleanup()).await.unwrap();
    assert_eq!(soon(two.mesh.assign_task_to_peer(task("u", &["x"]))).await.unwrap(), "two-peer-1");
}
