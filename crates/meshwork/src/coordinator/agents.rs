//! Agents: joining, pausing, resuming, leaving, and going back to a checkpoint.

use super::config::AgentOptions;
use super::error::CoordinatorError;
use super::words::{AgentSession, CheckpointInfo};
use super::{MeshCoordinator, Running};
use crate::broker::{Recipient, RegisterError};
use crate::clock::now_ms;
use crate::controller::{AgentDefinition, pause_reason};
use crate::mesh::{MeshError, PeerSetup};
use crate::peers::AgentState;
use crate::random;
use bytes::Bytes;
use meshwork_core::{DownReason, Op, PauseReason, PeerSpec, Refusal, Tokens, is_id};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// A checkpoint as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    info: CheckpointInfo,
    state: Value,
}

impl MeshCoordinator {
    /// One more peer. Resolves with its id when it may be given work.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::AgentOptions;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// # let definition = echo(&["rust"]);
    /// // `definition` is of an agent that can do "rust".
    /// let expert = AgentOptions { id: Some("expert".to_owned()), definition: definition.clone() };
    /// assert_eq!(mesh.spawn_agent(expert).await?, "expert");
    /// assert_eq!(mesh.find_peers_by_capabilities(&["rust".to_owned()]).await, ["expert"]);
    /// // Without an id it gets the next one that is free.
    /// assert_eq!(mesh.spawn_agent(AgentOptions { id: None, definition }).await?, "swarm-peer-3");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::PeerTaken`], [`CoordinatorError::DiscoveryDisabled`], or a refusal of what it announces.
    pub async fn spawn_agent(&self, options: AgentOptions) -> Result<String, CoordinatorError> {
        let running = self.running()?;
        if !running.config.enable_peer_discovery {
            let peer = options.id.unwrap_or_else(|| "without an id".to_owned());
            return Err(CoordinatorError::DiscoveryDisabled { peer });
        }
        let id = match options.id {
            Some(id) => id,
            None => running.free_id(),
        };
        let slots = options.definition.max_concurrent_tasks.unwrap_or(running.config.max_concurrent_tasks_per_peer);
        let definition = AgentDefinition { max_concurrent_tasks: Some(slots), ..options.definition };
        running.spawn(id, definition).await
    }

    /// The peer gets no new work; one of `idle`, `user`, `budget`, `rate-limit`, `shutdown`, by default `user`. To
    /// pause a paused one is no error.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// mesh.pause_agent("swarm-peer-1", Some("budget")).await?;
    /// assert_eq!(mesh.paused_agents(), ["swarm-peer-1"]);
    /// let error = mesh.pause_agent("swarm-peer-2", Some("boredom")).await.unwrap_err();
    /// assert_eq!(error.code(), "UnknownReason");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownPeer`], [`CoordinatorError::UnknownReason`]; `idle` is refused while it has work.
    pub async fn pause_agent(&self, id: &str, reason: Option<&str>) -> Result<(), CoordinatorError> {
        let unknown = |_| CoordinatorError::UnknownReason { found: reason.unwrap_or_default().to_owned() };
        let reason = reason.map_or(Ok(PauseReason::User), pause_reason).map_err(unknown)?;
        let running = self.running()?;
        running.pause(id, reason).await?;
        running.tell_controller_paused(id).await
    }

    /// The peer gets work again; with a checkpoint, from there on.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::AgentState;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// let checkpoint = mesh.create_checkpoint("swarm-peer-1").await?;
    /// mesh.pause_agent("swarm-peer-1", None).await?;
    /// mesh.resume_agent("swarm-peer-1", Some(&checkpoint)).await?;
    /// assert_eq!(mesh.agent_state("swarm-peer-1"), Some(AgentState::Idle));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownPeer`], [`CoordinatorError::UnknownCheckpoint`], [`CoordinatorError::Agent`]: it is
    /// as it was.
    pub async fn resume_agent(&self, id: &str, checkpoint: Option<&str>) -> Result<(), CoordinatorError> {
        let running = self.running()?;
        running.resume(id, checkpoint).await?;
        running.tell_controller_resumed(id, checkpoint).await
    }

    /// The peer leaves. What it ran is interrupted, at no cost, and goes to others.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::AgentState;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// mesh.terminate_agent("swarm-peer-2", Some("its budget is spent")).await?;
    /// assert_eq!(mesh.agent_state("swarm-peer-2"), Some(AgentState::Terminated));
    /// assert_eq!(mesh.active_agents(), ["swarm-peer-1"]);
    /// let error = mesh.terminate_agent("swarm-peer-2", None).await.unwrap_err();
    /// assert_eq!(error.code(), "UnknownPeer");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownPeer`].
    pub async fn terminate_agent(&self, id: &str, reason: Option<&str>) -> Result<(), CoordinatorError> {
        let running = self.running()?;
        let at = running.mesh.remove_peer(id, DownReason::Left).await.map_err(|error| unknown(error, id))?;
        running.shared.hold(at.seq()).await;
        running.info("an agent left", &json!({ "agentId": id, "reason": reason }));
        running.forget(id).await;
        Ok(())
    }

    /// What the agent runs now is cancelled; what waits for it stays, and so does the agent (the seed's
    /// `AgentSession.cancel`).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    /// use meshwork::view::TaskState;
    ///
    /// # let (mesh, _folder) = mesh(1, endless(&["code"])).await?;
    /// mesh.submit_task(MeshTask::new("endless")).await?;
    /// mesh.cancel_agent("swarm-peer-1", Some("it takes too long")).await?;
    /// assert_eq!(mesh.await_task("endless").await?.state, TaskState::Failed);
    /// assert_eq!(mesh.active_agents(), ["swarm-peer-1"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownPeer`].
    pub async fn cancel_agent(&self, id: &str, reason: Option<&str>) -> Result<(), CoordinatorError> {
        let running = self.running()?;
        running.definition(id)?;
        let held = {
            let books = running.shared.books();
            let swarm = books.view.swarm();
            let peer = swarm.find_peer(id).and_then(|no| swarm.peer(no));
            peer.map_or_else(Vec::new, |peer| peer.held.iter().copied().collect())
        };
        running.info("what an agent runs is cancelled", &json!({ "agentId": id, "reason": reason }));
        for task in held {
            match running.mesh.decide(Op::Cancel { task }).await {
                Ok(at) => running.shared.hold(at.seq()).await,
                // It has ended in the meantime.
                Err(MeshError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Keeps what the agent knows now; resolves with the checkpoint's id when that is durable.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
    /// let checkpoint = mesh.create_checkpoint("swarm-peer-1").await?;
    /// let session = mesh.agent_session("swarm-peer-1").expect("it is there");
    /// assert_eq!(session.checkpoint_id, Some(checkpoint));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownPeer`], [`CoordinatorError::Agent`], [`CoordinatorError::Artifact`].
    pub async fn create_checkpoint(&self, id: &str) -> Result<String, CoordinatorError> {
        self.running()?.checkpoint(id).await
    }

    /// Brings the agent back to a checkpoint. Whether it is paused stays as it is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
    /// let checkpoint = mesh.create_checkpoint("swarm-peer-1").await?;
    /// mesh.pause_agent("swarm-peer-1", None).await?;
    /// mesh.restore_checkpoint("swarm-peer-1", &checkpoint).await?;
    /// assert_eq!(mesh.paused_agents(), ["swarm-peer-1"]);
    /// let error = mesh.restore_checkpoint("swarm-peer-1", "cp-0000").await.unwrap_err();
    /// assert_eq!(error.code(), "UnknownCheckpoint");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`MeshCoordinator::resume_agent`].
    pub async fn restore_checkpoint(&self, id: &str, checkpoint: &str) -> Result<(), CoordinatorError> {
        self.running()?.restore(id, checkpoint).await
    }

    /// The agent's checkpoints, oldest first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// let checkpoint = mesh.create_checkpoint("swarm-peer-1").await?;
    /// let kept = mesh.list_checkpoints("swarm-peer-1").await?;
    /// assert_eq!((kept.len(), &kept[0].id), (1, &checkpoint));
    /// assert!(mesh.list_checkpoints("swarm-peer-2").await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownPeer`], [`CoordinatorError::Artifact`].
    pub async fn list_checkpoints(&self, id: &str) -> Result<Vec<CheckpointInfo>, CoordinatorError> {
        let running = self.running()?;
        running.definition(id)?;
        let storage = &running.deps.artifact_storage;
        let mut all = Vec::new();
        for artifact in storage.list(&running.checkpoint_prefix(id)).await? {
            let bytes = storage.retrieve(&artifact.key).await?;
            let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| agent_failed(id, "be read", &error))?;
            all.push(kept.info);
        }
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(all)
    }

    /// What the agent does; `None` for an unknown one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::AgentState;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// assert_eq!(mesh.agent_state("swarm-peer-1"), Some(AgentState::Idle));
    /// assert_eq!(mesh.agent_state("nobody"), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn agent_state(&self, id: &str) -> Option<AgentState> {
        self.agent_session(id).map(|session| session.state)
    }

    /// The agent's stay in the mesh; `None` for an unknown one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// let session = mesh.agent_session("swarm-peer-1").expect("it is there");
    /// assert_eq!((session.agent_id.as_str(), session.kind.as_str()), ("swarm-peer-1", "function"));
    /// assert_eq!((session.tokens_used, session.checkpoint_id), (0, None));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn agent_session(&self, id: &str) -> Option<AgentSession> {
        self.running().ok()?.shared.books().session(id)
    }

    /// Ids of the agents that are up and not paused.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// assert_eq!(mesh.active_agents(), ["swarm-peer-1", "swarm-peer-2"]);
    /// mesh.pause_agent("swarm-peer-1", None).await?;
    /// assert_eq!(mesh.active_agents(), ["swarm-peer-2"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn active_agents(&self) -> Vec<String> {
        self.agents_that(|paused| !paused)
    }

    /// Ids of the agents that are up and paused.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// assert!(mesh.paused_agents().is_empty());
    /// mesh.pause_agent("swarm-peer-2", Some("rate-limit")).await?;
    /// assert_eq!(mesh.paused_agents(), ["swarm-peer-2"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn paused_agents(&self) -> Vec<String> {
        self.agents_that(|paused| paused)
    }

    fn agents_that(&self, wanted: impl Fn(bool) -> bool) -> Vec<String> {
        let Ok(running) = self.running() else { return Vec::new() };
        let books = running.shared.books();
        let up = books.view.swarm().peers().filter(|(_, peer)| peer.up && wanted(peer.paused.is_some()));
        up.map(|(_, peer)| peer.id.to_string()).collect()
    }

    /// The agent spent these tokens outside of a task. Nothing happens for an unknown one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork_core::Tokens;
    ///
    /// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
    /// mesh.update_token_usage("swarm-peer-1", Tokens { input: 900, output: 100 });
    /// mesh.update_token_usage("swarm-peer-1", Tokens { input: 450, output: 50 });
    /// assert_eq!(mesh.mesh_metrics().total_tokens_used, 1_500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_token_usage(&self, id: &str, tokens: Tokens) {
        let Ok(running) = self.running() else { return };
        running.shared.books().spend(id, tokens, now_ms());
        running.spent(id, tokens);
    }
}

impl Running {
    /// The next `<swarm>-peer-N` that nobody has or had: on a bus that swarms share, the names of all differ.
    pub(super) fn free_id(&self) -> String {
        let books = self.shared.books();
        let swarm = books.view.swarm();
        let known = |id: &String| swarm.find_peer(id).is_some() || books.stays.contains_key(id);
        let name = |number: u64| format!("{}-peer-{number}", self.config.swarm_id);
        (1_u64..).map(name).find(|id| !known(id)).expect("there are more numbers than peers")
    }

    pub(super) async fn spawn(
        self: &Arc<Self>,
        id: String,
        definition: AgentDefinition,
    ) -> Result<String, CoordinatorError> {
        if !is_id(&id) {
            return Err(MeshError::Refused(Refusal::BadId { id }).into());
        }
        // What the tasks of others send to it by their own tools.
        match self.mesh.broker().register(&*id, Recipient::Mailbox).await {
            Ok(()) | Err(RegisterError::AlreadyRegistered { .. }) => {}
            Err(error) => return Err(CoordinatorError::Bus(error.into())),
        }
        let setup = PeerSetup { spec: spec_of(&id, &definition), agent: definition.agent.clone() };
        let at = self.mesh.add_peer(setup).await.map_err(|error| match error {
            MeshError::Refused(Refusal::PeerElsewhere { .. }) => CoordinatorError::PeerTaken { peer: id.clone() },
            other => other.into(),
        })?;
        let now = now_ms();
        self.shared.books().arrive(&id, definition.kind.clone(), now);
        self.agents().insert(id.clone(), definition);
        self.shared.hold(at.seq()).await;
        self.welcome(std::slice::from_ref(&id)).await?;
        self.info("an agent joined", &json!({ "agentId": id }));
        Ok(id)
    }

    pub(super) fn definition(&self, id: &str) -> Result<AgentDefinition, CoordinatorError> {
        let known = self.agents().get(id).cloned();
        known.ok_or_else(|| CoordinatorError::UnknownPeer { peer: id.to_owned() })
    }

    /// In the log alone.
    pub(super) async fn pause(&self, id: &str, reason: PauseReason) -> Result<(), CoordinatorError> {
        let at = self.mesh.pause_peer(id, reason).await.map_err(|error| unknown(error, id))?;
        self.shared.hold(at.seq()).await;
        Ok(())
    }

    /// The checkpoint first: an agent that can't go back to it is as it was, and as paused.
    pub(super) async fn resume(&self, id: &str, checkpoint: Option<&str>) -> Result<(), CoordinatorError> {
        self.definition(id)?;
        if let Some(checkpoint) = checkpoint {
            self.restore(id, checkpoint).await?;
        }
        let at = self.mesh.resume_peer(id).await.map_err(|error| unknown(error, id))?;
        self.shared.hold(at.seq()).await;
        Ok(())
    }

    fn checkpoint_prefix(&self, id: &str) -> String {
        // Ids may hold what a key may not.
        let agent = blake3::hash(id.as_bytes()).to_hex();
        let swarm = blake3::hash(self.config.swarm_id.as_bytes()).to_hex();
        format!("checkpoints/{}/{}/", &swarm[..16], &agent[..32])
    }

    async fn checkpoint(&self, id: &str) -> Result<String, CoordinatorError> {
        let agent = self.definition(id)?.agent;
        let state = agent.checkpoint(id).await.map_err(|why| agent_failed(id, "be saved", &why))?;
        let name = format!("cp-{}", random::hex::<8>());
        let tokens_used = self.shared.books().session(id).map_or(0, |session| session.tokens_used);
        let created_at = now_ms();
        let info = CheckpointInfo { id: name.clone(), agent_id: id.to_owned(), created_at, tokens_used };
        let kept = serde_json::to_vec(&Kept { info, state }).map_err(|error| agent_failed(id, "be saved", &error))?;
        let key = format!("{}{name}", self.checkpoint_prefix(id));
        self.deps.artifact_storage.store(&key, Bytes::from(kept)).await?;
        self.remember_checkpoint(id, &name);
        Ok(name)
    }

    async fn restore(&self, id: &str, checkpoint: &str) -> Result<(), CoordinatorError> {
        let agent = self.definition(id)?.agent;
        let unknown = || CoordinatorError::UnknownCheckpoint { peer: id.to_owned(), checkpoint: checkpoint.to_owned() };
        // Ours have such names; anything else would be another key.
        let ours = checkpoint.strip_prefix("cp-").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !ours {
            return Err(unknown());
        }
        let key = format!("{}{checkpoint}", self.checkpoint_prefix(id));
        let storage = &self.deps.artifact_storage;
        if storage.stat(&key).await?.is_none() {
            return Err(unknown());
        }
        let bytes = storage.retrieve(&key).await?;
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| agent_failed(id, "be restored", &error))?;
        agent.restore(id, kept.state).await.map_err(|why| agent_failed(id, "be restored", &why))?;
        self.remember_checkpoint(id, checkpoint);
        Ok(())
    }

    fn remember_checkpoint(&self, id: &str, checkpoint: &str) {
        if let Some(stay) = self.shared.books().stays.get_mut(id) {
            stay.checkpoint = Some(checkpoint.to_owned());
        }
    }
}

pub(super) fn spec_of(id: &str, definition: &AgentDefinition) -> PeerSpec {
    PeerSpec {
        id: id.to_owned(),
        capabilities: definition.capabilities.clone(),
        slots: definition.max_concurrent_tasks.unwrap_or(1),
        uses_session: definition.agent.uses_session(),
        token_budget: None,
    }
}

fn agent_failed(id: &str, what: &'static str, why: &dyn ToString) -> CoordinatorError {
    CoordinatorError::Agent { peer: id.to_owned(), what, why: why.to_string() }
}

fn unknown(error: MeshError, id: &str) -> CoordinatorError {
    match error {
        MeshError::Refused(Refusal::NoSuchPeer { .. }) => CoordinatorError::UnknownPeer { peer: id.to_owned() },
        MeshError::Stopped => CoordinatorError::Closing,
        other => other.into(),
    }
}
