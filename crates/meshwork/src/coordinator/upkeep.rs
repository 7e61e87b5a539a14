//! What goes on beside the tasks: peers are introduced, their states are shared, and those with nothing to do are
//! paused.

use super::Running;
use super::error::CoordinatorError;
use super::log::Level;
use crate::clock::now_ms;
use crate::controller::{AgentEvent, AgentHost, Attachment, ControlError};
use crate::discovery::Announcing;
use crate::peers::{AgentState, PeerInfo, PeerState};
use crate::timers;
use futures_util::future::{BoxFuture, join_all};
use meshwork_core::{PauseReason, PeerNo, Tokens};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Changes of a peer within this time are shared together.
const SHARED_TOGETHER: Duration = Duration::from_millis(20);
/// The first peers of a mesh know each other by then, or its bus does not work.
const MEET_WITHIN: Duration = Duration::from_secs(10);

impl Running {
    /// Peers that are up are made known to everybody.
    pub(super) async fn welcome(self: &Arc<Self>, ids: &[String]) -> Result<(), CoordinatorError> {
        for id in ids {
            let new = self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
            if new {
                self.traffic.watch(&*self.deps.message_bus, id);
            }
            self.attach(id)?;
            self.announce(id).await?;
        }
        let all: Vec<String> = self.agents().keys().cloned().collect();
        self.detector.initialize(all).await?;
        Ok(())
    }

    /// The controller may take it: then it pauses and resumes it through us, and is told what happens to it.
    fn attach(self: &Arc<Self>, id: &str) -> Result<(), CoordinatorError> {
        let definition = self.definition(id)?;
        let agent = Attachment {
            swarm_id: self.config.swarm_id.clone(),
            agent_id: id.to_owned(),
            kind: definition.kind,
            wake: definition.wake,
        };
        let host = Arc::new(Host(Arc::downgrade(self)));
        if self.deps.query_controller.attach(agent, host)? {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        }
        Ok(())
    }

    fn detach(&self, id: &str) {
        if self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            self.deps.query_controller.detach(id);
        }
    }

    fn is_taken(&self, id: &str) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Discovery is told how the peer is; it tells the others.
    async fn announce(&self, id: &str) -> Result<(), CoordinatorError> {
        let Some(discovery) = &self.discovery else { return Ok(()) };
        let now = now_ms();
        let state = {
            let books = self.shared.books();
            books.view.swarm().find_peer(id).and_then(|no| books.state_of(no, now))
        };
        if let Some(state) = state {
            let announced = discovery.update_peer(info_of(&state));
            announced.map_err(|error| CoordinatorError::Discovery(error.to_string()))?.published().await;
        }
        Ok(())
    }

    /// Resolves when the first peers know each other, and what they say of themselves is published. That it is stored
    /// too, for peers that join later, nobody here waits for.
    pub(super) async fn meet(&self, ids: &[String]) -> Result<(), CoordinatorError> {
        if let Some(discovery) = &self.discovery {
            let failed = |error: &dyn std::fmt::Display| CoordinatorError::Discovery(error.to_string());
            let announced = discovery.begin(&self.config.swarm_id).await.map_err(|error| failed(&error))?;
            announced.published().await;
            let met = discovery.await_peers(ids.to_vec(), MEET_WITHIN).await;
            met.map_err(|error| failed(&error))?;
        }
        let took = self.started.elapsed().as_secs_f64() * 1_000.0;
        *self.discovery_ms.lock().unwrap_or_else(PoisonError::into_inner) = took;
        Ok(())
    }

    /// A peer has left.
    pub(super) async fn forget(&self, id: &str) {
        // Of the detector it stays one: what is on its way to it is waited for.
        if let Err(error) = self.detector.peer_lost(id) {
            let context = json!({ "agentId": id, "error": error.to_string() });
            self.tell(Level::Warn, "the completion detector did not know an agent", &context);
        }
        self.detach(id);
        if let Some(consensus) = &self.consensus {
            consensus.voter_lost(id);
        }
        if let Some(leaving) = self.discovery.as_ref().and_then(|discovery| discovery.forget_local_peer(id).ok()) {
            leaving.done().await;
        }
        self.agents().remove(id);
    }

    /// All peers leave.
    pub(super) async fn farewell(&self) {
        let ids: Vec<String> = self.agents().keys().cloned().collect();
        ids.iter().for_each(|id| self.detach(id));
        if let Some(discovery) = &self.discovery {
            // All at once: they share what waits for the disk.
            let leaving = ids.iter().filter_map(|id| discovery.forget_local_peer(id).ok());
            join_all(leaving.collect::<Vec<_>>().into_iter().map(Announcing::done)).await;
            discovery.stop_discovery().await;
        }
    }

    /// Shares what changes, and pauses who has nothing to do, until the coordinator ends.
    pub(super) fn keep_up(self: &Arc<Self>) {
        let (running, over, shared) = (Arc::downgrade(self), self.over.clone(), self.shared.clone());
        let pause_after = self.config.pause_idle_after;
        let work = async move {
            let mut idle: BTreeMap<PeerNo, Instant> = BTreeMap::new();
            loop {
                let next = pause_after.and_then(|after| Some(*idle.values().min()? + after));
                tokio::select! {
                    () = shared.something.notified() => tokio::time::sleep(SHARED_TOGETHER).await,
                    () = timers::until(next) => {}
                }
                let Some(running) = Weak::upgrade(&running) else { return };
                running.share_changed(&mut idle).await;
                running.scale().await;
                if let Some(after) = pause_after {
                    running.pause_idle(&mut idle, after).await;
                }
            }
        };
        let upkeep = tokio::spawn(async move {
            // Given up wherever it is: a memory of somebody else may take long to answer.
            tokio::select! {
                () = over.cancelled() => {}
                () = work => {}
            }
        });
        *self.upkeep.lock().unwrap_or_else(PoisonError::into_inner) = Some(upkeep);
    }

    async fn share_changed(&self, idle: &mut BTreeMap<PeerNo, Instant>) {
        let now = now_ms();
        for no in self.shared.take_changed() {
            let (state, has_nothing) = {
                let books = self.shared.books();
                let peer = books.view.swarm().peer(no);
                let has_nothing = peer.is_some_and(|peer| peer.up && peer.paused.is_none() && peer.has_nothing_to_do());
                (books.state_of(no, now), has_nothing)
            };
            if has_nothing {
                idle.entry(no).or_insert_with(Instant::now);
            } else {
                idle.remove(&no);
            }
            let Some(state) = state else { continue };
            self.announce_change(&state);
            let memory = &self.deps.swarm_memory;
            let (id, load) = (state.peer_id.clone(), state.load);
            let shared = match memory.share_peer_state_of(&self.config.swarm_id, &id, state).await {
                Ok(()) => memory.update_peer_load(&id, load).await,
                Err(error) => Err(error),
            };
            if let Err(error) = shared {
                let context = json!({ "peerId": id, "error": error.to_string() });
                self.tell(Level::Warn, "the state of a peer could not be shared", &context);
            }
        }
    }

    fn announce_change(&self, state: &PeerState) {
        let Some(discovery) = &self.discovery else { return };
        let is_here = self.agents().contains_key(&state.peer_id) && state.state != AgentState::Terminated;
        // Changes that come faster than they go out are made one; nobody waits for that here.
        if is_here && let Err(error) = discovery.update_peer(info_of(state)) {
            let context = json!({ "peerId": state.peer_id, "error": error.to_string() });
            self.tell(Level::Warn, "a peer could not be announced", &context);
        }
    }

    async fn pause_idle(&self, idle: &mut BTreeMap<PeerNo, Instant>, after: Duration) {
        let now = Instant::now();
        let due: Vec<PeerNo> = idle.iter().filter(|(_, since)| **since + after <= now).map(|(no, _)| *no).collect();
        for no in due {
            idle.remove(&no);
            let id = self.shared.books().peer_id(no);
            // Refused when it has got work, or has left, in the meantime.
            let paused = self.mesh.pause_peer(&id, PauseReason::Idle).await;
            self.tell(Level::Debug, "an idle agent", &json!({ "agentId": id, "paused": paused.is_ok() }));
        }
    }

    /// The agent spent tokens outside of a task.
    pub(super) fn spent(&self, id: &str, tokens: Tokens) {
        if self.is_taken(id) {
            // It has left in the meantime.
            let _unknown = self.deps.query_controller.tell(id, AgentEvent::Spent(tokens));
        }
    }

    /// A controller that did not take the agent has an agent of its own to pause.
    pub(super) async fn tell_controller_paused(&self, id: &str) -> Result<(), CoordinatorError> {
        if self.is_taken(id) {
            return Ok(());
        }
        Ok(self.deps.query_controller.pause_agent(id).await?)
    }

    pub(super) async fn tell_controller_resumed(
        &self,
        id: &str,
        checkpoint: Option<&str>,
    ) -> Result<(), CoordinatorError> {
        if self.is_taken(id) {
            return Ok(());
        }
        Ok(self.deps.query_controller.resume_agent(id, checkpoint).await?)
    }

    pub(super) fn last_heartbeat(&self, id: &str) -> u64 {
        let known = self.discovery.as_ref().and_then(|discovery| discovery.peer_info(id));
        known.map_or(0, |info| info.last_seen)
    }
}

/// The coordinator as the controller knows it.
struct Host(Weak<Running>);

impl Host {
    fn running(&self, id: &str) -> Result<Arc<Running>, ControlError> {
        self.0.upgrade().ok_or_else(|| ControlError::UnknownAgent { id: id.to_owned() })
    }
}

impl AgentHost for Host {
    fn pause<'a>(&'a self, id: &'a str, reason: PauseReason) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { self.running(id)?.pause(id, reason).await.map_err(|error| as_control(id, &error)) })
    }

    fn resume<'a>(&'a self, id: &'a str, checkpoint: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { self.running(id)?.resume(id, checkpoint).await.map_err(|error| as_control(id, &error)) })
    }

    fn woke(&self, id: &str, ended: Result<Tokens, &str>) {
        // Nothing is told of a coordinator that ends.
        let Some(running) = self.0.upgrade().filter(|running| !running.over.is_cancelled()) else { return };
        match ended {
            Ok(tokens) => running.shared.books().spend(id, tokens, now_ms()),
            Err(why) => running.tell(Level::Warn, "a wake failed", &json!({ "agentId": id, "error": why })),
        }
    }
}

fn as_control(id: &str, error: &CoordinatorError) -> ControlError {
    match error {
        CoordinatorError::UnknownPeer { .. } => ControlError::UnknownAgent { id: id.to_owned() },
        CoordinatorError::UnknownCheckpoint { peer, checkpoint } => {
            ControlError::UnknownCheckpoint { agent: peer.clone(), checkpoint: checkpoint.clone() }
        }
        other => ControlError::Failed(other.to_string()),
    }
}

fn info_of(state: &PeerState) -> PeerInfo {
    PeerInfo {
        id: state.peer_id.clone(),
        capabilities: state.capabilities.clone(),
        load: state.load,
        last_seen: state.last_updated,
        state: state.state,
        metadata: Some(state.metrics.into()),
    }
}
