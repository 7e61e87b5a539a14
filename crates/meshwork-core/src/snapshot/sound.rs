//! Whether decoded records name only what is there: a snapshot with a right checksum may still be another program's.
//!
//! What is looked at is what the indexes are derived from, so that deriving them cannot fail. Whether the state is one
//! that a log can bring about is not: whoever writes a right checksum under a wrong state has the log's folder anyway.

use crate::class::Requirement;
use crate::ids::{ClassNo, KindNo, NodeNo, PeerNo, Position, TaskNo};
use crate::swarm::Swarm;
use crate::task::{Phase, Task};
use std::collections::BTreeSet;

/// Attempts that a peer can have ended: one an entry, and positions have no more batches.
const ATTEMPTS_MAX: u64 = 1 << 48;

fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Swarm {
    /// What the first record says that cannot be, if one does.
    pub(super) fn is_sound(&self, requirements: &[Requirement]) -> Result<(), String> {
        self.classes_are_sound(requirements)?;
        self.peers_are_sound()?;
        require(self.everybody_stands(), || "others stand in the topology than are there".to_owned())?;
        for (index, task) in self.tasks.iter().enumerate() {
            let no = TaskNo::from_index(index);
            self.task_is_sound(no, task, requirements.len()).map_err(|what| format!("task {no:?} {what}"))?;
        }
        for (no, node) in self.nodes.iter().enumerate() {
            let named =
                node.starved.iter().all(|no| self.has_peer(*no)) && node.submitting.iter().all(|no| self.has(*no));
            require(named, || format!("node {no} names records that are not there"))?;
        }
        let incarnations: BTreeSet<Position> = self.nodes.iter().map(|node| node.incarnation).collect();
        require(incarnations.len() == self.nodes.len(), || "two nodes have one incarnation".to_owned())?;
        let tasks = self.waits.values().map(|wait| wait.task);
        let tasks = tasks.chain(self.rejected.keys().copied()).chain(self.reported.keys().copied());
        require(tasks.into_iter().all(|no| self.has(no)), || "a list names a task that is not there".to_owned())?;
        let submitters = self.round.iter().flat_map(|round| &round.submitters).all(|no| self.has_node(*no));
        require(submitters, || "the round names a node that is not there".to_owned())
    }

    fn classes_are_sound(&self, requirements: &[Requirement]) -> Result<(), String> {
        let different: BTreeSet<&Requirement> = requirements.iter().collect();
        require(different.len() == requirements.len(), || "a class is there twice".to_owned())?;
        for requirement in requirements {
            let named = requirement.capabilities.iter().all(|no| no.index() < self.capabilities.len())
                && requirement.avoids.iter().chain(&requirement.author).all(|no| self.has_peer(*no));
            require(named, || format!("the class {requirement:?} names what is not there"))?;
        }
        Ok(())
    }

    fn peers_are_sound(&self) -> Result<(), String> {
        let mut busy = vec![0_u32; self.peers.len()];
        for (peer, _) in self.tasks.iter().filter(|task| task.phase.holds_slot()).filter_map(|task| task.phase.grant())
        {
            if let Some(busy) = busy.get_mut(peer.index()) {
                *busy += 1;
            }
        }
        for (peer, busy) in self.peers.iter().zip(busy) {
            let named = self.has_node(peer.node)
                && peer.capabilities.iter().all(|no| no.index() < self.capabilities.len())
                && peer.line.iter().all(|no| self.has(*no));
            require(named, || format!("peer {:?} names records that are not there", peer.id))?;
            let once: BTreeSet<TaskNo> = peer.line.iter().copied().collect();
            require(once.len() == peer.line.len(), || format!("peer {:?} has a task in line twice", peer.id))?;
            require(peer.busy == busy, || format!("peer {:?} has {} slots in use, not {busy}", peer.id, peer.busy))?;
            let ended = peer.completed.max(peer.failed);
            require(ended < ATTEMPTS_MAX, || format!("peer {:?} has ended {ended} attempts", peer.id))?;
        }
        Ok(())
    }

    fn task_is_sound(&self, no: TaskNo, task: &Task, classes: usize) -> Result<(), String> {
        let (KindNo(kind), ClassNo(class)) = (task.kind, task.class);
        require((kind as usize) < self.kinds.len(), || format!("is of the type {kind}, which is not there"))?;
        require((class as usize) < classes, || format!("is of the class {class}, which is not there"))?;
        let terms = task.review.is_none_or(|terms| terms.class.index() < classes);
        require(terms, || "is reviewed by a class that is not there".to_owned())?;
        let earlier = task.dependencies.iter().chain(&task.parent).all(|other| *other < no);
        require(earlier, || "rests on one that is not earlier".to_owned())?;
        let once: BTreeSet<&TaskNo> = task.dependencies.iter().collect();
        require(once.len() == task.dependencies.len(), || "depends on one twice".to_owned())?;
        require(task.because.is_none_or(|other| self.has(other)), || "failed by one that is not there".to_owned())?;
        let never = task.last_grant == Position::START && !task.messages_open && task.phase.grant().is_none();
        let ran = self.has_peer(task.last_peer) && self.has_peer(task.returned_by);
        require(never || ran, || "ran at a peer that is not there".to_owned())?;
        let peer = match task.phase {
            Phase::Assigned { peer } | Phase::Settled { peer } => Some(peer),
            phase => phase.grant().map(|(peer, _)| peer),
        };
        require(peer.is_none_or(|peer| self.has_peer(peer)), || "is at a peer that is not there".to_owned())
    }

    fn has(&self, no: TaskNo) -> bool {
        no.index() < self.tasks.len()
    }

    fn has_peer(&self, no: PeerNo) -> bool {
        no.index() < self.peers.len()
    }

    fn has_node(&self, no: NodeNo) -> bool {
        no.index() < self.nodes.len()
    }
}
