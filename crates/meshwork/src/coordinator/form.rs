//! What a topology does: how a task finds its worker, how results come back up, and how many workers a queen has.

use super::books::{Books, has_nothing_to_do};
use super::error::CoordinatorError;
use super::log::Level;
use super::{MeshCoordinator, Running};
use crate::topology::{ScalingDecision, Topology, Workers};
use meshwork_core::topology::{Tally, Worker, delegate, summaries, tallies};
use meshwork_core::{CapNo, DownReason, PauseReason, Phase, TaskSpec};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl MeshCoordinator {
    /// What became of the tasks of a peer and of all below it, as it is gathered up the tree: of everybody for a queen,
    /// of one peer in a mesh. `None` for a peer that is not there.
    #[must_use]
    pub fn tally(&self, id: &str) -> Option<Tally> {
        let running = self.running().ok()?;
        let books = running.shared.books();
        let swarm = books.view.swarm();
        let peer = swarm.find_peer(id).filter(|no| books.shape.contains(*no))?;
        let mut own: BTreeMap<_, Tally> = BTreeMap::new();
        for (_, task) in swarm.tasks().filter(|(_, task)| task.attempt > 0) {
            let sum = own.entry(task.last_peer).or_default();
            match task.phase {
                Phase::Closed { outcome: meshwork_core::Outcome::Ok } => sum.done += 1,
                Phase::Closed { .. } => sum.failed += 1,
                _ => sum.open += 1,
            }
        }
        tallies(&books.shape, &own).get(&peer).copied()
    }

    /// The root of the tree; `None` in a mesh, and when nobody is there.
    #[must_use]
    pub fn queen(&self) -> Option<String> {
        let running = self.running().ok()?;
        let books = running.shared.books();
        books.shape.queen().map(|no| books.peer_id(no))
    }

    /// How the peers stand to each other.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.0.config.topology
    }
}

impl Books {
    /// The way of a task from the queen to its worker, and that worker's id; `None` in a mesh, where everybody knows
    /// everybody, and while nobody can take it.
    pub(super) fn delegated(&self, spec: &TaskSpec) -> Option<String> {
        let queen = self.shape.queen()?;
        let swarm = self.view.swarm();
        let eligible = |paused: Option<PauseReason>| matches!(paused, None | Some(PauseReason::Idle));
        let workers: BTreeMap<_, _> = swarm
            .peers()
            .filter(|(_, peer)| peer.up && eligible(peer.paused))
            .map(|(no, peer)| {
                let capabilities = peer.capabilities.iter().copied().collect();
                (no, Worker { capabilities, slots: peer.slots, load: peer.load() })
            })
            .collect();
        let mut required: BTreeSet<CapNo> = BTreeSet::new();
        for wanted in &spec.requires {
            let known = workers.values().flat_map(|worker| &worker.capabilities);
            required.insert(*known.into_iter().find(|cap| swarm.capability(**cap) == Some(wanted))?);
        }
        let path = delegate(&self.shape, &workers, &summaries(&self.shape, &workers), queen, &required).ok()?;
        path.last().map(|worker| self.peer_id(*worker))
    }

    /// What the queen sees of her workers.
    fn workers(&self) -> Option<Workers> {
        let queen = self.shape.queen()?;
        let swarm = self.view.swarm();
        let mut seen = Workers::default();
        for (_, peer) in swarm.peers().filter(|(no, peer)| peer.up && *no != queen) {
            seen.workers += 1;
            seen.slots += u64::from(peer.slots);
            seen.busy += u64::from(peer.load());
        }
        // What waits for anybody waits for more workers.
        seen.busy += swarm.tasks().filter(|(_, task)| matches!(task.phase, Phase::Ready)).count() as u64;
        Some(seen)
    }

    /// Workers with nothing to do, those that came last first.
    fn dispensable(&self, most: u32) -> Vec<String> {
        let queen = self.shape.queen();
        let mut idle: Vec<_> = self
            .view
            .swarm()
            .peers()
            .filter(|(no, peer)| peer.up && Some(*no) != queen && has_nothing_to_do(peer))
            .map(|(no, peer)| (no, peer.id.to_string()))
            .collect();
        idle.sort_by_key(|(no, _)| std::cmp::Reverse(*no));
        idle.into_iter().take(most as usize).map(|(_, id)| id).collect()
    }
}

impl Running {
    /// The queen gets the workers that the load asks for, within her limits.
    pub(super) async fn scale(self: &Arc<Self>) {
        let Some(scaling) = self.config.scaling else { return };
        let Some(seen) = self.shared.books().workers() else { return };
        match scaling.decide(seen) {
            ScalingDecision::Stay => {}
            ScalingDecision::Add(more) => {
                for _ in 0..more {
                    if let Err(error) = self.hire().await {
                        self.tell(Level::Warn, "a worker could not be added", &json!({ "error": error.to_string() }));
                        return;
                    }
                }
            }
            ScalingDecision::Remove(fewer) => {
                let idle = self.shared.books().dispensable(fewer);
                for id in idle {
                    // It may have left by itself.
                    if self.mesh.remove_peer(&id, DownReason::Left).await.is_ok() {
                        self.info("a worker was let go", &json!({ "agentId": id }));
                        self.forget(&id).await;
                    }
                }
            }
        }
    }

    async fn hire(self: &Arc<Self>) -> Result<(), CoordinatorError> {
        let hired = self.hired.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let definition = self.pool[hired % self.pool.len()].clone();
        let id = self.spawn(self.free_id(), definition).await?;
        self.info("a worker was added", &json!({ "agentId": id }));
        Ok(())
    }
}
