//! What goes on beside the tasks: peers are introduced, their states are shared, and those with nothing to do are
//! paused.

use super::Running;
use super::error::CoordinatorError;
use super::log::Level;
use meshwork_core::{PauseReason, PeerNo, Tokens};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// Changes of a peer within this time are shared together.
const SHARED_TOGETHER: Duration = Duration::from_millis(20);

impl Running {
    /// Peers that are up are made known to everybody.
    pub(super) async fn welcome(&self, ids: &[String]) -> Result<(), CoordinatorError> {
        for id in ids {
            let new = self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
            if new {
                self.traffic.watch(&*self.deps.message_bus, id);
            }
        }
        let all: Vec<String> = self.agents().keys().cloned().collect();
        self.detector.initialize(all).await?;
        Ok(())
    }

    /// A peer has left.
    pub(super) async fn forget(&self, id: &str) {
        // Of the detector it stays one: what is on its way to it is waited for.
        if let Err(error) = self.detector.peer_lost(id) {
            self.tell(
                Level::Warn,
                "the completion detector did not know an agent",
                &json!({ "agentId": id, "error": error.to_string() }),
            );
        }
        self.agents().remove(id);
    }

    /// Shares what changes, and pauses who has nothing to do, until the coordinator ends.
    pub(super) fn keep_up(self: &Arc<Self>) {
        let (running, over, shared) = (Arc::downgrade(self), self.over.clone(), self.shared.clone());
        let pause_after = self.config.pause_idle_after;
        tokio::spawn(async move {
            let mut idle: BTreeMap<PeerNo, Instant> = BTreeMap::new();
            loop {
                let next = pause_after.and_then(|after| Some(*idle.values().min()? + after));
                tokio::select! {
                    () = over.cancelled() => return,
                    () = shared.something.notified() => tokio::time::sleep(SHARED_TOGETHER).await,
                    () = sleep_until(next) => {}
                }
                let Some(running) = Weak::upgrade(&running) else { return };
                running.share_changed(&mut idle).await;
                if let Some(after) = pause_after {
                    running.pause_idle(&mut idle, after).await;
                }
            }
        });
    }

    async fn share_changed(&self, idle: &mut BTreeMap<PeerNo, Instant>) {
        let now = self.shared.now_ms();
        for no in self.shared.take_changed() {
            let (state, has_nothing) = {
                let books = self.shared.books();
                let peer = books.view.swarm().peer(no);
                let has_nothing = peer.is_some_and(|peer| {
                    peer.up && peer.paused.is_none() && peer.load() == 0 && peer.held.is_empty() && peer.line.is_empty()
                });
                (books.state_of(no, now), has_nothing)
            };
            if has_nothing {
                idle.entry(no).or_insert_with(Instant::now);
            } else {
                idle.remove(&no);
            }
            let Some(state) = state else { continue };
            let memory = &self.deps.swarm_memory;
            let (id, load) = (state.peer_id.clone(), state.load);
            let shared = match memory.share_peer_state(&id, state).await {
                Ok(()) => memory.update_peer_load(&id, load).await,
                Err(error) => Err(error),
            };
            if let Err(error) = shared {
                let context = json!({ "peerId": id, "error": error.to_string() });
                self.tell(Level::Warn, "the state of a peer could not be shared", &context);
            }
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
    pub(super) fn spent(&self, _id: &str, _tokens: Tokens) {}

    pub(super) async fn tell_controller_paused(&self, id: &str) -> Result<(), CoordinatorError> {
        Ok(self.deps.query_controller.pause_agent(id).await?)
    }

    pub(super) async fn tell_controller_resumed(
        &self,
        id: &str,
        checkpoint: Option<&str>,
    ) -> Result<(), CoordinatorError> {
        Ok(self.deps.query_controller.resume_agent(id, checkpoint).await?)
    }

    pub(super) fn last_heartbeat(&self, _id: &str) -> u64 {
        0
    }

    pub(super) async fn meet(&self, _started: std::time::Instant) -> Result<(), CoordinatorError> {
        Ok(())
    }

    pub(super) async fn farewell(&self) {}
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
