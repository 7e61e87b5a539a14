// What the examples of coordinators start from. No module: each example that needs it includes it, out of sight, so
// that what is seen is what the example is about.

type Started = (meshwork::coordinator::MeshCoordinator, tempfile::TempDir);

/// All parts of a coordinator, with its artifacts in a folder that is gone with the second value.
fn parts() -> Result<(meshwork::coordinator::Dependencies, tempfile::TempDir), Box<dyn std::error::Error>> {
    use meshwork::artifacts::FolderArtifacts;
    use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
    use meshwork::controller::{AgentController, ControllerConfig};
    use meshwork::memory::{MemoryConfig, SqliteMemory};
    use std::sync::Arc;

    let folder = tempfile::tempdir()?;
    let (bus, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    let deps = meshwork::coordinator::Dependencies::new(
        Arc::new(bus),
        Arc::new(AgentController::new(ControllerConfig::default())?),
        Arc::new(FolderArtifacts::open(folder.path())?),
        Arc::new(SqliteMemory::in_memory(MemoryConfig::default())?),
    );
    Ok((deps, folder))
}

/// A coordinator of such a configuration, whose peers are made of this definition, initialized.
async fn started(
    config: meshwork::coordinator::MeshCoordinatorConfig,
    definition: meshwork::coordinator::AgentDefinition,
) -> Result<Started, Box<dyn std::error::Error>> {
    let (deps, folder) = parts()?;
    let mesh = meshwork::coordinator::MeshCoordinator::with_agents(config, deps, vec![definition])?;
    mesh.initialize().await?;
    Ok((mesh, folder))
}

/// The same with so many peers, `swarm-peer-1` and on, that are not paused when they are idle.
async fn mesh(
    peer_count: u32,
    definition: meshwork::coordinator::AgentDefinition,
) -> Result<Started, Box<dyn std::error::Error>> {
    use meshwork::coordinator::MeshCoordinatorConfig;

    started(MeshCoordinatorConfig { peer_count, pause_idle_after: None, ..Default::default() }, definition).await
}

/// An agent that is this function.
fn agent<F, Running>(capabilities: &[&str], run: F) -> meshwork::coordinator::AgentDefinition
where
    F: Fn(meshwork::mesh::Attempt) -> Running + Send + Sync + 'static,
    Running: Future<Output = meshwork::mesh::AttemptEnd> + Send + 'static,
{
    meshwork::coordinator::AgentDefinition {
        capabilities: capabilities.iter().map(|&name| name.to_owned()).collect(),
        agent: std::sync::Arc::new(meshwork::mesh::FnAgent::new(run)),
        kind: "function".to_owned(),
        max_concurrent_tasks: None,
        wake: None,
    }
}

/// Answers with the input of its task.
fn echo(capabilities: &[&str]) -> meshwork::coordinator::AgentDefinition {
    use meshwork::mesh::{AttemptEnd, Output};

    agent(capabilities, |attempt| async move {
        match attempt.input().await {
            Ok(input) => AttemptEnd::ok(input.map_or(Output::None, Output::Json)),
            Err(error) => AttemptEnd::failed(error.to_string()),
        }
    })
}

/// Works until it is stopped.
fn endless(capabilities: &[&str]) -> meshwork::coordinator::AgentDefinition {
    agent(capabilities, |_| std::future::pending())
}
