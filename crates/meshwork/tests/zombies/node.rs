//! A node in a process of its own, and bodies that leave their traces in one file.
//!
//! A body writes a line when it begins, waits for a line in its peer's pipe, writes a line when it ends, and returns
//! which peer it was.

use crate::shared_log::SharedLog;
use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::mesh::{
    Agent, Attempt, AttemptEnd, FnAgent, Mesh, MeshOptions, Output, PeerSetup, ProcessAgent, ProcessHost, Program, Stop,
};
use meshwork_core::{Config, PeerSpec, TaskSpec};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Names the folder of the play to a process that is one of its nodes.
pub(crate) const FOLDER: &str = "ZOMBIES_FOLDER";
/// Names the node.
pub(crate) const NODE: &str = "ZOMBIES_NODE";
/// What its bodies are.
pub(crate) const BODIES: &str = "ZOMBIES_BODIES";
/// Marks the processes of bodies.
pub(crate) const NONCE: &str = "zombies";

/// What runs the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Shells: they go on while their node is stopped.
    Shells,
    /// Functions within the node: they are stopped with it.
    Within,
}

impl Bodies {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Shells => "shells",
            Self::Within => "within",
        }
    }
}

/// Where bodies leave their lines.
pub(crate) fn effects(folder: &Path) -> PathBuf {
    folder.join("effects")
}

/// The pipe that the bodies of a peer wait for.
pub(crate) fn gate(folder: &Path, peer: &str) -> PathBuf {
    folder.join(format!("gate-{peer}"))
}

/// The peer of a node.
pub(crate) fn peer_of(node: &str) -> String {
    format!("peer-{node}")
}

/// A task that any peer can do.
pub(crate) fn task(id: &str) -> TaskSpec {
    let line = "echo \"begin $MESHWORK_TASK_ID $MESHWORK_PEER_ID $$\" >> effects; read go < gate-$MESHWORK_PEER_ID; \
                echo \"end $MESHWORK_TASK_ID $MESHWORK_PEER_ID $$\" >> effects; echo \"\\\"$MESHWORK_PEER_ID\\\"\"";
    TaskSpec {
        id: id.to_owned(),
        kind: "t".to_owned(),
        priority: 5,
        requires: vec!["work".to_owned()],
        run: Some(line.to_owned()),
        ..TaskSpec::default()
    }
}

/// A node on the shared log; with a peer unless it is the operator's.
pub(crate) async fn start(
    folder: &Path,
    node: &str,
    peers: Vec<PeerSetup>,
) -> (Mesh, tokio::task::JoinHandle<Result<(), meshwork::mesh::MeshError>>) {
    let artifacts = folder.join(format!("artifacts-{node}"));
    let options = MeshOptions {
        log: Arc::new(SharedLog::open(&folder.join("log"))),
        artifacts: Arc::new(FolderArtifacts::open(artifacts).unwrap()),
        broker: Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default())),
        node: node.to_owned(),
        swarm_id: "zombies".to_owned(),
        config: Config { retry_backoff_ms: 1, crash_backoff_ms: 1, ..Config::default() },
        peers,
        reserve: None,
        max_sessions: 8,
        rebalance: None,
        imbalance_permille: 1_500,
    };
    Mesh::start(options).await.unwrap()
}

/// What a process does that is a node: until its standard input ends.
pub(crate) async fn run(folder: &Path, node: &str, bodies: &str) {
    let agent: Arc<dyn Agent> = match bodies {
        "shells" => shell(folder),
        _ => within(folder),
    };
    let spec = PeerSpec {
        id: peer_of(node),
        capabilities: vec!["work".to_owned()],
        slots: 1,
        uses_session: false,
        token_budget: None,
    };
    let (mesh, ended) = start(folder, node, vec![PeerSetup { spec, agent }]).await;
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input.await.unwrap().unwrap();
    mesh.stop(Stop::Gently);
    ended.await.unwrap().unwrap();
}

fn shell(folder: &Path) -> Arc<dyn Agent> {
    let host = Arc::new(ProcessHost {
        nonce: NONCE.to_owned(),
        spill_dir: folder.to_owned(),
        endpoint: None,
        program: None,
        grace: Duration::from_secs(1),
        result_bytes: 1 << 20,
    });
    Arc::new(ProcessAgent::new(host, Program::Shell, folder.to_owned(), Vec::new(), None))
}

fn within(folder: &Path) -> Arc<dyn Agent> {
    let folder = folder.to_owned();
    Arc::new(FnAgent::new(move |attempt: Attempt| {
        let folder = folder.clone();
        async move {
            let peer = attempt.peer_id.to_string();
            let leave = |word: &str| {
                let mut file = std::fs::File::options().append(true).create(true).open(effects(&folder)).unwrap();
                let line = format!("{word} {} {peer} {}\n", attempt.spec().id, std::process::id());
                file.write_all(line.as_bytes()).unwrap();
            };
            leave("begin");
            let mut pipe = tokio::net::unix::pipe::OpenOptions::new().open_receiver(gate(&folder, &peer)).unwrap();
            pipe.read_u8().await.unwrap();
            leave("end");
            AttemptEnd::ok(Output::Json(format!("{peer:?}")))
        }
    }))
}
