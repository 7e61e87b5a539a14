//! What must hold after every entry (completion.md, section 6), re-derived from scratch.

use crate::ids::{PeerNo, TaskNo};
use crate::peer::Peer;
use crate::swarm::Swarm;
use crate::task::{Outcome, Phase, Task};

impl Swarm {
    /// Asserts every invariant and re-derives every cached fact. Costs time in the size of the swarm:
    /// for tests, the simulator, and `meshwork doctor`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// swarm.check_invariants();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// When an invariant does not hold: a bug of this crate.
    pub fn check_invariants(&self) {
        self.check_indexes();
        for (no, task) in self.tasks() {
            self.check_task(no, task);
        }
        for (no, peer) in self.peers() {
            let running = self.tasks().filter(|(_, t)| holder_of(t) == Some(no) && t.phase.holds_slot()).count();
            assert_eq!(running, peer.busy as usize, "slots in use of {no:?}");
            assert!(peer.up || peer.load() == 0, "{no:?} is gone and holds nothing");
        }
        self.shape().check_invariants();
        assert!(self.everybody_stands(), "those who stand in the topology are those who are there");
        self.check_sessions();
        self.check_round();
        self.check_work_conserving();
    }

    fn check_indexes(&self) {
        let anew = self.derived_anew();
        assert_eq!(anew.index.tasks, self.index.tasks, "ids");
        assert_eq!(anew.index.graph, self.index.graph, "graph");
        assert_eq!(anew.index.classes, self.index.classes, "capability index");
        assert_eq!(anew.index.waiting.len(), self.index.waiting.len(), "waiting tasks");
        assert_eq!(anew.index.unassigned.len(), self.index.unassigned.len(), "pending tasks");
        assert_eq!(anew.index.placement, self.index.placement, "placement");
        assert_eq!(anew.index.granted, self.index.granted, "grants");
        assert_eq!(anew.index.parked, self.index.parked, "waiting parents");
        assert_eq!(anew.index.messages_open, self.index.messages_open, "open messages");
        assert_eq!(anew.index.hash, self.index.hash, "state hash");
        for (a, b) in anew.peers.iter().zip(&self.peers) {
            assert_eq!((&a.assigned, &a.held), (&b.assigned, &b.held), "what {} holds", a.id);
        }
        let reserved: u64 = self.tasks.iter().map(|task| task.reserved).sum();
        assert_eq!(reserved, self.reserved, "reserved tokens");
    }

    fn check_task(&self, no: TaskNo, task: &Task) {
        let children = self.children(no).filter(|child| !self.tasks[child.index()].phase.is_closed()).count();
        let deficit = children + usize::from(task.messages_open);
        assert_eq!(task.deficit as usize, deficit, "deficit of {no:?}");
        if task.phase.is_closed() {
            assert_eq!(task.deficit, 0, "{no:?} closed before its children");
        }
        if task.phase == Phase::Blocked {
            let open = task.dependencies.iter().filter(|d| !self.tasks[d.index()].phase.is_closed()).count();
            assert_eq!(task.open_dependencies as usize, open + usize::from(task.held), "dependencies of {no:?}");
            assert!(task.open_dependencies > 0, "{no:?} is blocked by nothing");
        } else if task.attempt > 0 {
            let failed = |d: &&TaskNo| self.tasks[d.index()].phase != Phase::Closed { outcome: Outcome::Ok };
            let bad = task.dependencies.iter().find(failed);
            let may = task.policy == crate::op::DependencyPolicy::Run;
            assert!(bad.is_none() || may, "{no:?} ran although {bad:?} did not close ok");
        }
        if let Phase::Backoff { wait } = task.phase {
            assert_eq!(self.waits.get(&wait).map(|w| w.task), Some(no), "{no:?} waits for nothing");
        }
        if task.phase == Phase::Returned {
            assert!(task.deficit > 0, "{no:?} returned, settled, and stands still");
        }
        self.check_review(no, task);
        if let Some((peer, _)) = task.phase.grant() {
            assert!(self.peers[peer.index()].up, "{no:?} is held by {peer:?}, which is gone");
        }
        if let Phase::InLine { peer, .. } | Phase::Settled { peer } = task.phase {
            assert!(self.peers[peer.index()].line.contains(&no), "{no:?} is in no line");
        }
        if let Phase::Assigned { peer } = task.phase {
            let may = self.eligible_bits(no).contains(peer.index());
            assert!(may && self.peers[peer.index()].is_open(), "{no:?} waits at {peer:?}, which cannot take it");
        }
        if let Phase::Waiting { open, .. } = task.phase {
            let awaited = self.children(no).filter(|child| self.tasks[child.index()].awaited).count();
            assert_eq!(open as usize, awaited, "children that {no:?} waits for");
        }
    }

    fn check_sessions(&self) {
        for (no, node) in self.nodes.iter().enumerate() {
            let on = |peer: &&Peer| peer.node.index() == no && peer.uses_session;
            let held: u32 = self.peers.iter().filter(on).map(|peer| peer.busy).sum();
            assert_eq!(node.sessions_held, held, "sessions of {}", node.name);
            for peer in &node.starved {
                assert!(self.peers[peer.index()].starved, "{peer:?} is starved and does not know");
            }
            let starved = self.peers.iter().filter(|peer| peer.starved && peer.node.index() == no).count();
            assert_eq!(starved, node.starved.len(), "peers of {} that are starved", node.name);
        }
    }

    fn check_round(&self) {
        let number = self.round.as_ref().map(|round| round.number);
        let open = self.tasks.iter().filter(|task| !task.phase.is_closed());
        let open_elsewhere = open.clone().filter(|task| Some(task.round) != number).count();
        assert_eq!(open_elsewhere, 0, "open tasks outside the open round");
        if let Some(round) = &self.round {
            assert_eq!(round.open as usize, open.count(), "open tasks of the round");
            let done = round.sealed && round.open == 0 && round.submitters.is_empty();
            assert!(!done, "the round is done and did not close");
        }
    }

    /// A task in no one's hands has no eligible free slot.
    fn check_work_conserving(&self) {
        let free = |peer: &Peer| peer.up && peer.busy < peer.slots;
        for (no, peer) in self.peers().filter(|(_, peer)| free(peer)) {
            let node = &self.nodes[peer.node.index()];
            let session = !peer.uses_session || node.sessions_held < node.sessions;
            let budget = self.config.token_budget.or(peer.token_budget).is_some();
            assert!(!peer.starved || !session || budget, "{no:?} ({}) is starved of nothing", peer.id);
            assert!(peer.starved || !peer.serves_line() || peer.line.is_empty(), "{no:?} has a free slot and a line");
            if peer.starved || !peer.is_open() {
                continue;
            }
            let best = self.index.waiting.best(self.index.classes.takes(no));
            assert_eq!(best, None, "{no:?} ({}) has a free slot and could take this", peer.id);
            assert!(peer.assigned.is_empty(), "{no:?} has a free slot and waiting tasks");
        }
        let most = |peer: &Peer| peer.slots.saturating_add(self.config.backlog);
        for (no, peer) in self.peers().filter(|(_, peer)| peer.is_open() && peer.load() < most(peer)) {
            let best = self.index.unassigned.best(self.index.classes.takes(no));
            assert_eq!(best, None, "{no:?} ({}) has room, and this is pending", peer.id);
        }
    }
}

fn holder_of(task: &Task) -> Option<PeerNo> {
    task.phase.grant().map(|(peer, _)| peer)
}
