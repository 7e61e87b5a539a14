//! Scenarios of the endpoint: a real mesh over a log in memory, attempts in the hands of the test, requests as bytes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod abuse;
mod tools;

use super::{Endpoint, Lease};
use crate::artifacts::FolderArtifacts;
use crate::broker::{Broker, BrokerConfig, MailInMemory, Recipient};
use crate::log::MemoryLog;
use crate::mesh::{Agent, Attempt, AttemptEnd, FnAgent, Mesh, MeshOptions, Output, PeerSetup};
use meshwork_core::{Config, PeerSpec, TaskSpec};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// Nothing here takes so long; a test that hangs fails with its name.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it happens in time")
}

/// A node with peers whose attempts the test ends, and an endpoint.
pub(crate) struct Scene {
    pub(crate) mesh: Mesh,
    endpoint: Arc<Endpoint>,
    started: mpsc::UnboundedReceiver<Held>,
    _folder: tempfile::TempDir,
}

/// An attempt that runs until the test ends it, or its node does.
pub(crate) struct Held {
    pub(crate) attempt: Attempt,
    end: oneshot::Sender<AttemptEnd>,
}

impl Scene {
    /// Peers with one slot each: an id and its capabilities.
    pub(crate) async fn new(peers: &[(&str, &[&str])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = FolderArtifacts::open_with_limit(folder.path().join("artifacts"), 1_000_000).unwrap();
        let (tell, started) = mpsc::unbounded_channel();
        let broker = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
        for (id, _) in peers {
            broker.0.register(*id, Recipient::Mailbox).await.unwrap();
        }
        let agent: Arc<dyn Agent> = Arc::new(FnAgent::new(move |attempt: Attempt| {
            let (end, ended) = oneshot::channel();
            tell.send(Held { attempt, end }).expect("the scene is there");
            async move { ended.await.unwrap_or_else(|_| AttemptEnd::failed("the test let go of it")) }
        }));
        let peers = peers.iter().map(|(id, capabilities)| PeerSetup {
            spec: PeerSpec {
                id: (*id).to_owned(),
                capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
                slots: 1,
                uses_session: false,
                token_budget: None,
            },
            agent: Arc::clone(&agent),
        });
        let options = MeshOptions {
            log: Arc::new(MemoryLog::new()),
            artifacts: Arc::new(artifacts),
            broker,
            node: "node".to_owned(),
            swarm_id: "swarm".to_owned(),
            config: Config { retry_backoff_ms: 0, ..Config::default() },
            peers: peers.collect(),
            reserve: None,
            max_sessions: 8,
            rebalance: None,
            imbalance_permille: 1_500,
        };
        let (mesh, _ended) = Mesh::start(options).await.unwrap();
        Self { mesh, endpoint: Endpoint::start().unwrap(), started, _folder: folder }
    }

    pub(crate) async fn submit(&self, task: TaskSpec) {
        self.mesh.submit(vec![task]).await.unwrap();
    }

    /// The next attempt that starts, whichever it is.
    pub(crate) async fn next(&mut self) -> Held {
        soon(self.started.recv()).await.unwrap()
    }

    /// An attempt of a new task, with its lease.
    async fn attempt(&mut self, task: &str) -> (Held, Lease) {
        self.submit(spec(task)).await;
        let held = self.next().await;
        let lease = self.lease(&held);
        (held, lease)
    }

    fn lease(&self, held: &Held) -> Lease {
        self.endpoint.lease(held.attempt.tools.clone())
    }

    fn host(&self) -> &str {
        self.endpoint.url().strip_prefix("http://").unwrap()
    }

    /// Asks as a script would.
    async fn ask(&self, lease: &Lease, verb: &str, body: &Value) -> (u16, Value) {
        let headers = [("Authorization", &*format!("Bearer {}", lease.token()))];
        let (status, body) = self.request(&format!("/v1/{verb}"), &headers, body.to_string().as_bytes()).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// What is asked for must succeed.
    async fn done(&self, lease: &Lease, verb: &str, body: Value) -> Value {
        let (status, answer) = self.ask(lease, verb, &body).await;
        assert_eq!(status, 200, "{verb} {body}: {answer}");
        answer
    }

    async fn request(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let mut head = format!("POST {path} HTTP/1.1\r\nConnection: close\r\n");
        let has = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !has("host") {
            head += &format!("Host: {}\r\n", self.host());
        }
        if !has("content-length") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.exchange(&bytes).await
    }

    async fn exchange(&self, request: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.host()).await.unwrap();
        // A request that is refused early need not be read to its end.
        let _refused_early = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _reset_after_the_answer = soon(stream.read_to_end(&mut answer)).await;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer with a head") + 4;
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end))
    }
}

impl Held {
    pub(crate) fn task_id(&self) -> &str {
        &self.attempt.spec().id
    }

    pub(crate) fn returns(self, result: &Value) {
        let _stopped = self.end.send(AttemptEnd::ok(Output::Json(result.to_string())));
    }

    fn fails(self, error: &str) {
        let _stopped = self.end.send(AttemptEnd::failed(error));
    }
}

pub(crate) fn spec(id: &str) -> TaskSpec {
    TaskSpec { id: id.to_owned(), kind: "task".to_owned(), priority: 5, ..TaskSpec::default() }
}

fn code(answer: &Value) -> &str {
    assert_eq!(answer["schemaVersion"], 1, "{answer}");
    answer["error"]["code"].as_str().unwrap()
}
