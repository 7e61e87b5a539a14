//! A node to measure: SQLite in a folder of its own, in-process peers that do nothing.

use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::log::SqliteLog;
use meshwork::mesh::{Agent, AttemptEnd, FnAgent, Mesh, MeshError, MeshOptions, Output, PeerSetup, RoundEnd, Stop};
use meshwork_core::{Config, Limits, PeerSpec, TaskSpec};
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;

pub(crate) struct Measured {
    pub(crate) mesh: Mesh,
    ended: JoinHandle<Result<(), MeshError>>,
}

/// Starts a node on the log in `dir`, with as many peers as asked for.
pub(crate) async fn start(dir: &Path, peers: u32, slots: u32) -> Result<Measured, String> {
    start_with(dir, peers, slots, Arc::new(FnAgent::new(|_| ready(AttemptEnd::ok(Output::None))))).await
}

/// The same, with an agent of one's own.
pub(crate) async fn start_with(dir: &Path, peers: u32, slots: u32, agent: Arc<dyn Agent>) -> Result<Measured, String> {
    let fail = |error: &dyn std::fmt::Display| error.to_string();
    let log = SqliteLog::open(dir.join("swarm.db")).map_err(|e| fail(&e))?;
    let artifacts = FolderArtifacts::open(dir.join("artifacts")).map_err(|e| fail(&e))?;
    let setup = |number: u32| PeerSetup {
        spec: PeerSpec {
            id: format!("peer-{number}"),
            capabilities: vec!["work".to_owned()],
            slots,
            uses_session: false,
            token_budget: None,
        },
        agent: agent.clone(),
    };
    let options = MeshOptions {
        log: Arc::new(log),
        artifacts: Arc::new(artifacts),
        broker: Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default())),
        node: "bench".to_owned(),
        swarm_id: "bench".to_owned(),
        config: Config { limits: Limits { tasks: 20_000_000, ..Limits::default() }, ..Config::default() },
        peers: (0..peers).map(setup).collect(),
        reserve: None,
        max_sessions: 1,
        rebalance: None,
        imbalance_permille: 1_500,
    };
    let (mesh, ended) = Mesh::start(options).await.map_err(|e| fail(&e))?;
    Ok(Measured { mesh, ended })
}

impl Measured {
    /// Waits for the round, and that every task of it completed.
    pub(crate) async fn complete(&self, tasks: u32) -> Result<(), String> {
        match self.mesh.complete().await.map_err(|e| e.to_string())? {
            RoundEnd::Closed(round) if round.ok == tasks && round.failed == 0 => Ok(()),
            other => Err(format!("expected {tasks} completed tasks, found {other:?}")),
        }
    }

    pub(crate) async fn stop(self) -> Result<(), String> {
        self.mesh.stop(Stop::Gently);
        self.ended.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}

pub(crate) fn task(id: String, dependencies: Vec<String>) -> TaskSpec {
    TaskSpec { id, kind: "no-op".to_owned(), priority: 5, dependencies, ..TaskSpec::default() }
}

/// Runs `work` on a runtime of its own, as the command does.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(work)
}

/// An empty folder below `dir`.
pub(crate) fn empty(dir: &Path, name: &str) -> Result<std::path::PathBuf, String> {
    let path = dir.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).map_err(|error| format!("could not empty {}: {error}", path.display()))?;
    }
    std::fs::create_dir_all(&path).map_err(|error| format!("could not make {}: {error}", path.display()))?;
    Ok(path)
}
