//! What runs a task: the one trait that all kinds of agents implement.

use super::process_agent::ProcessHost;
use super::specs::SpecRef;
use super::tools::Tools;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use meshwork_core::{AttemptOutcome, Grant, TaskNo, TaskSpec, Tokens};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Runs the tasks of one peer. One value serves all attempts of its peer, several at a time.
pub trait Agent: Send + Sync + 'static {
    /// Runs one attempt. The future ends when nothing of the attempt runs any more; it must end soon
    /// after [`Control::stopped`], at once after [`Control::killed`].
    fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd>;

    /// Whether each attempt takes one of its node's sessions (`max_sessions`).
    fn uses_session(&self) -> bool {
        false
    }

    /// Where the agent works: evidence is looked at there. `None`: the current folder.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Variables of its processes beside the allow-list; evidence that is a command gets them too.
    fn env(&self) -> &[(String, String)] {
        &[]
    }

    /// What the agent knows between tasks as that peer, as JSON, so that it can be brought back to this point. By
    /// default nothing: each task starts from its beginning. One value may serve several peers.
    fn checkpoint(&self, peer_id: &str) -> BoxFuture<'static, Result<serde_json::Value, String>> {
        let _the_same_for_all = peer_id;
        Box::pin(async { Ok(serde_json::Value::Null) })
    }

    /// Goes back, as that peer, to what [`Agent::checkpoint`] said. An error: the agent is as it was.
    fn restore(&self, peer_id: &str, state: serde_json::Value) -> BoxFuture<'static, Result<(), String>> {
        let _nothing_to_know = (peer_id, state);
        Box::pin(async { Ok(()) })
    }

    /// What runs processes for it: evidence that is a command is run by it. `None`: such a task cannot be
    /// verified here, and its check says so.
    fn host(&self) -> Option<&Arc<ProcessHost>> {
        None
    }
}

/// One attempt, as its agent sees it.
#[derive(Clone)]
pub struct Attempt {
    /// The swarm's id.
    pub swarm_id: Arc<str>,
    /// The peer that runs it.
    pub peer_id: Arc<str>,
    /// The task's number.
    pub task: TaskNo,
    /// The fencing token.
    pub grant: Grant,
    /// Number of the attempt, from 1, for people.
    pub number: u32,
    pub(super) spec: SpecRef,
    /// How it is told to stop, or to stand still.
    pub control: Control,
    /// What it may do in the mesh.
    pub tools: Tools,
}

impl Attempt {
    /// The task as it was submitted.
    pub fn spec(&self) -> &TaskSpec {
        self.spec.get()
    }

    /// The task's input as JSON text, read from its artifact where it is too large for the log.
    ///
    /// # Errors
    /// When the artifact cannot be read.
    pub async fn input(&self) -> Result<Option<String>, crate::artifacts::ArtifactError> {
        match &self.spec().input {
            None => Ok(None),
            Some(meshwork_core::Payload::Json(text)) => Ok(Some(text.clone())),
            Some(meshwork_core::Payload::Artifact { key, .. }) => {
                let bytes = self.tools.artifacts().retrieve(key).await?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }
}

/// How an attempt is told what to do. Clones share one state.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) stop: CancellationToken,
    pub(super) kill: CancellationToken,
    pub(super) still: watch::Receiver<bool>,
}

impl Control {
    /// Resolves when the attempt is to end: its task was cancelled, or its node stops.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Resolves when the attempt is to end at once.
    pub async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Whether the attempt is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether the peer is to stand still; changes are awaited on the receiver.
    pub fn still(&self) -> watch::Receiver<bool> {
        self.still.clone()
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub struct AttemptEnd {
    /// How; `None`: because it was stopped.
    pub outcome: Option<AttemptOutcome>,
    /// What came out.
    pub output: Output,
    /// Why it did not end ok, for people.
    pub error: Option<String>,
    /// Tokens that it spent, in total.
    pub usage: Tokens,
}

impl AttemptEnd {
    /// It did its work.
    pub fn ok(output: Output) -> Self {
        Self { outcome: Some(AttemptOutcome::Ok), output, error: None, usage: Tokens::default() }
    }

    /// It failed.
    pub fn failed(error: impl Into<String>) -> Self {
        Self::ended(AttemptOutcome::Failed, error)
    }

    /// It was stopped before it came to an end of its own.
    pub fn stopped() -> Self {
        Self { outcome: None, output: Output::None, error: None, usage: Tokens::default() }
    }

    /// It ended in another way.
    pub fn ended(outcome: AttemptOutcome, error: impl Into<String>) -> Self {
        let error = Some(error.into());
        Self { outcome: Some(outcome), output: Output::None, error, usage: Tokens::default() }
    }
}

/// What came out of an attempt. Over 32 KiB it becomes an artifact, and the log holds its key.
#[derive(Debug)]
pub enum Output {
    /// Nothing.
    None,
    /// JSON text.
    Json(String),
    /// Bytes as an agent wrote them: JSON becomes the result as JSON, anything else as a string.
    Bytes(Bytes),
    /// A file with such bytes; it is moved into the artifact store.
    File(PathBuf),
}

/// An agent that is an async function, for embedding and for measuring the mesh itself.
pub struct FnAgent<F>(F);

impl<F, Fut> FnAgent<F>
where
    F: Fn(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    /// Runs `function` for each attempt. When the attempt is stopped, or runs longer than its task's timeout, its
    /// future is dropped.
    pub fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F, Fut> Agent for FnAgent<F>
where
    F: Fn(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        let control = attempt.control.clone();
        let timeout = attempt.spec().timeout_ms.map(Duration::from_millis);
        let body = (self.0)(attempt);
        let too_long = async move {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                end = body => end,
                () = control.stopped() => AttemptEnd::stopped(),
                () = too_long => AttemptEnd::ended(AttemptOutcome::TimedOut, "ran longer than its timeout"),
            }
        })
    }
}
