//! What a topology costs: peers that join, send heartbeats, do tasks that are handed to them over their neighbours,
//! and of whom one dies, in virtual time; every message is counted at its sender and at its recipient.
//!
//! What runs are the production rules of [`crate::topology`]: the shape, the step that a peer takes with a task, the
//! summaries. A peer decides by what it was told, and that is as old as the last heartbeat.
//!
//! How it counts: a heartbeat goes to each neighbour as a message of its own, and each is counted when it arrives, at a
//! recipient that is alive: a full mesh of 10,000 really makes 10⁸ counts a virtual second. What a heartbeat *says* is
//! kept once a sender instead of once a recipient, since all recipients are told the same at the same virtual time. A
//! change of the shape costs one message to each peer that has other neighbours afterwards: whoever schedules tells it.
//! Not counted: the log, which no topology changes.

#[cfg(test)]
mod tests;
mod world;

use crate::topology::{BRANCHING, Topology};
use world::World;

/// How often a peer says that it is alive, in ms.
pub(super) const HEARTBEAT_MS: u64 = 1_000;
/// How long a peer may be silent, in ms.
pub(super) const TIMEOUT_MS: u64 = 5_000;

/// One simulation. The same plan gives the same report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who knows whom.
    pub topology: Topology,
    /// Peers; at least 2.
    pub peers: u32,
    /// The most peers, or cells, right below another; at least 1.
    pub branching: usize,
    /// Tasks, evenly over the time.
    pub tasks: u32,
    /// How long it is measured after all have joined, in virtual seconds; at least 8, for somebody has to die and to
    /// be missed.
    pub seconds: u32,
    /// Decides everything else.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { topology: Topology::Mesh, peers: 10, branching: BRANCHING, tasks: 1_000, seconds: 10, seed: 0 }
    }
}

/// What it cost. Messages are counted as sent, but for `received` and the busiest peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages while the peers joined: announcements, answers, and changes of the shape.
    pub joining: u64,
    /// Heartbeats in the measured time.
    pub heartbeats: u64,
    /// Of these, those that carried a summary.
    pub summaries: u64,
    /// Steps of tasks from peer to peer, refused ones included.
    pub steps: u64,
    /// Steps of results back to where the task came about.
    pub results: u64,
    /// Messages because of the death: changes of the shape, and what the peers concerned announce.
    pub repair: u64,
    /// Messages that arrived in the measured time, at peers that were alive.
    pub received: u64,
    /// Messages that were sent to the dead.
    pub undelivered: u64,
    /// The most messages that one peer sent and received in the measured time.
    pub busiest: u64,
    /// The most neighbours of a peer.
    pub neighbors: usize,
    /// Steps from the queen to the deepest peer.
    pub depth: usize,
    /// Cells of a hybrid.
    pub cells: usize,
    /// Tasks whose result came back.
    pub done: u32,
    /// Tasks that began anew because a peer on their way died.
    pub restarted: u32,
    /// From the death until it was noticed, in ms.
    pub noticed_after_ms: u64,
    /// Peers with other neighbours after the death.
    pub rewired: usize,
    /// Virtual time that was measured, in ms: until the last result, where that came later.
    pub measured_ms: u64,
}

impl Report {
    /// Heartbeats and repair a peer and virtual second, in thousandths of a message.
    #[must_use]
    pub fn upkeep_permille(&self, plan: &Plan) -> u64 {
        let peer_ms = u64::from(plan.peers) * self.measured_ms.max(1);
        permille((self.heartbeats + self.repair) * 1_000, peer_ms)
    }

    /// Steps and results a task, in thousandths of a message.
    #[must_use]
    pub fn task_permille(&self) -> u64 {
        permille(self.steps + self.results, u64::from(self.done))
    }

    /// Messages of the busiest peer a virtual second, in thousandths of a message.
    #[must_use]
    pub fn busiest_permille(&self) -> u64 {
        permille(self.busiest * 1_000, self.measured_ms.max(1))
    }
}

fn permille(count: u64, of: u64) -> u64 {
    let value = u128::from(count) * 1_000 / u128::from(of.max(1));
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Plays it.
///
/// # Panics
/// With fewer than 2 peers, a branching of 0 or less than 8 seconds; or when a promise of the shapes is broken.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    assert!(plan.peers >= 2 && plan.branching >= 1 && plan.seconds >= 8, "a plan that can be: {plan:?}");
    let mut world = World::new(*plan);
    world.join_all();
    world.measure();
    world.into_report()
}
