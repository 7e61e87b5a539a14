//! A shell task that uses the commands: the program itself, in a real process, against a real node.

#![expect(clippy::unwrap_used, reason = "tests")]

use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig};
use meshwork::endpoint::Endpoint;
use meshwork::log::SqliteLog;
use meshwork::mail::{DurableMail, register_mailboxes};
use meshwork::mesh::{Mesh, MeshOptions, PeerSetup, ProcessAgent, ProcessHost, Program, RoundEnd};
use meshwork_core::{Config, Payload, PeerSpec, TaskSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// What the task does. Everything that it says on stdout is its result.
const SCRIPT: &str = r#"
set -e
"$MESHWORK_BIN" progress starting
"$MESHWORK_BIN" submit --run 'echo from a child' > ids
"$MESHWORK_BIN" submit --id fails --run 'exit 3' >> ids
"$MESHWORK_BIN" wait "$(head -n 1 ids)"
if "$MESHWORK_BIN" wait fails > failed; then exit 9; else test $? -eq 1; fi
printf 'some bytes' | "$MESHWORK_BIN" put notes/one > stored
"$MESHWORK_BIN" get notes/one
"$MESHWORK_BIN" send shell note '{"n":1}'
"$MESHWORK_BIN" read
"$MESHWORK_BIN" usage --input 10 --output 1
if "$MESHWORK_BIN" put results/forged ids 2> refused; then exit 8; else test $? -eq 2; fi
"#;

async fn node(folder: &Path) -> Mesh {
    let log = SqliteLog::open(folder.join("swarm.db")).unwrap();
    let broker = Broker::new(BrokerConfig::default(), Arc::new(DurableMail::new(log.mail())));
    register_mailboxes(&broker.0, ["shell"]).await.unwrap();
    let host = Arc::new(ProcessHost {
        nonce: "within-a-task".to_owned(),
        spill_dir: folder.to_owned(),
        endpoint: Some(Endpoint::start().unwrap()),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_meshwork"))),
        grace: Duration::from_secs(1),
        result_bytes: 1 << 20,
    });
    let agent = ProcessAgent::new(host, Program::Shell, folder.to_owned(), Vec::new(), None);
    let spec = PeerSpec {
        id: "shell".to_owned(),
        capabilities: Vec::new(),
        slots: 1,
        uses_session: false,
        token_budget: None,
    };
    let options = MeshOptions {
        log: Arc::new(log),
        artifacts: Arc::new(FolderArtifacts::open(folder.join("artifacts")).unwrap()),
        broker,
        node: "node".to_owned(),
        swarm_id: "swarm".to_owned(),
        config: Config::default(),
        peers: vec![PeerSetup { spec, agent: Arc::new(agent) }],
        reserve: None,
        max_sessions: 1,
        rebalance: None,
        imbalance_permille: 1_500,
    };
    Mesh::start(options).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_task_uses_the_mesh_by_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = node(folder.path()).await;
    let task = TaskSpec { id: "parent".to_owned(), priority: 5, run: Some(SCRIPT.to_owned()), ..TaskSpec::default() };
    let parent = mesh.submit(vec![task]).await.unwrap()[0];
    let end = tokio::time::timeout(DEADLINE, mesh.complete()).await.unwrap().unwrap();
    let returned = mesh.result(parent).await.unwrap().unwrap();
    assert_eq!(returned.error, None, "{returned:?}");
    let expected = "parent/1\tcompleted\tfrom a child\nsome bytesshell\tnote\t{\"n\":1}";
    assert_eq!(returned.result, Some(Payload::Json(serde_json::Value::from(expected).to_string())));
    assert!(matches!(end, RoundEnd::Closed(round) if (round.ok, round.failed) == (2, 1)), "{end:?}");
    assert_eq!(mesh.artifacts().retrieve("notes/one").await.unwrap(), "some bytes");
    let failed = std::fs::read_to_string(folder.path().join("failed")).unwrap();
    assert!(failed.starts_with("fails\tfailed\tfailed: exit code 3"), "{failed}");
    let refused = std::fs::read_to_string(folder.path().join("refused")).unwrap();
    assert!(refused.contains("keys under results/ are the node's"), "{refused}");
}
