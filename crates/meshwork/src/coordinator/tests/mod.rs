//! A coordinator over the real broker, with a controller and a memory of somebody else.
#![expect(clippy::unwrap_used, reason = "tests")]

mod agents;
mod fields;
mod foreign;
mod forms;
mod life;
mod metrics;
mod own;
mod settings;
mod work;

use super::{AgentDefinition, AgentOptions, Dependencies, MeshCoordinator, MeshCoordinatorConfig, MeshTask};
use crate::artifacts::{Artifacts, FolderArtifacts};
use crate::broker::{Broker, BrokerConfig, MailInMemory};
use crate::mesh::{AttemptEnd, FnAgent, Output};
use foreign::{ForeignController, ForeignMemory};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes; what does not happen by then does not happen.
const DEADLINE: Duration = Duration::from_secs(30);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it happens in time")
}

/// Resolves when that is so. The deadline is by the real clock: while somebody looks, a test's own time stands still.
async fn until(mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed() < DEADLINE, "it comes about in time");
        tokio::task::yield_now().await;
    }
}

struct World {
    coordinator: MeshCoordinator,
    bus: Broker,
    controller: Arc<ForeignController>,
    memory: Arc<ForeignMemory>,
    artifacts: Arc<dyn Artifacts>,
    _folder: tempfile::TempDir,
}

fn world(config: MeshCoordinatorConfig, definitions: Vec<AgentDefinition>) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let artifacts: Arc<dyn Artifacts> =
        Arc::new(FolderArtifacts::open(folder.path().join("artifacts")).expect("a store"));
    let (bus, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    let (controller, memory) = (Arc::new(ForeignController::default()), Arc::new(ForeignMemory::default()));
    let deps = Dependencies::new(Arc::new(bus.clone()), controller.clone(), artifacts.clone(), memory.clone());
    let coordinator = MeshCoordinator::with_agents(config, deps, definitions).expect("a configuration");
    World { coordinator, bus, controller, memory, artifacts, _folder: folder }
}

/// An agent that answers what it was asked.
fn echo(capabilities: &[&str]) -> AgentDefinition {
    agent(capabilities, |attempt| async move {
        let input = attempt.input().await.ok().flatten().unwrap_or_else(|| "null".to_owned());
        AttemptEnd::ok(Output::Json(input))
    })
}

fn agent<F, Fut>(capabilities: &[&str], run: F) -> AgentDefinition
where
    F: Fn(crate::mesh::Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    AgentDefinition {
        capabilities: capabilities.iter().map(|&name| name.to_owned()).collect(),
        agent: Arc::new(FnAgent::new(run)),
        kind: "function".to_owned(),
        max_concurrent_tasks: None,
        wake: None,
    }
}

/// Works until the gate opens.
fn gated(capabilities: &[&str]) -> (AgentDefinition, tokio::sync::watch::Sender<bool>) {
    let (open, gate) = tokio::sync::watch::channel(false);
    let definition = agent(capabilities, move |_| {
        let mut gate = gate.clone();
        async move {
            let _open = gate.wait_for(|open| *open).await.map(drop);
            AttemptEnd::ok(Output::None)
        }
    });
    (definition, open)
}

fn config(peers: u32) -> MeshCoordinatorConfig {
    MeshCoordinatorConfig { peer_count: peers, pause_idle_after: None, ..MeshCoordinatorConfig::default() }
}

fn task(id: &str, requires: &[&str]) -> MeshTask {
    MeshTask { required_capabilities: requires.iter().map(|&name| name.to_owned()).collect(), ..MeshTask::new(id) }
}
