//! The capability index: requirement sets are interned as classes, and each class knows who can take it.

use crate::bits::Bits;
use crate::ids::{CapNo, ClassNo, PeerNo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a class of tasks requires, and whom it avoids because they failed such a task before.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Requirement {
    /// Sorted, without repeats.
    pub(crate) capabilities: Box<[CapNo]>,
    /// Oldest first.
    pub(crate) avoids: Box<[PeerNo]>,
}

/// Peers whose classes changed because another peer did.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    pub(crate) gained: Bits,
    pub(crate) lost: Bits,
}

/// All classes, and per peer the classes that it can take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Classes {
    requirements: Vec<Requirement>,
    numbers: BTreeMap<Requirement, ClassNo>,
    /// Class → peers that are open and can take it.
    eligible: Vec<Bits>,
    /// Peer → classes that it can take while it is open.
    takes: Vec<Bits>,
    /// Classes that avoid somebody: whether they do depends on who else is open.
    avoiding: Vec<ClassNo>,
}

/// What the index needs to know of a peer.
pub(crate) trait Capable {
    fn capabilities(&self) -> &[CapNo];
    fn is_open(&self) -> bool;
}

impl Capable for crate::peer::Peer {
    fn capabilities(&self) -> &[CapNo] {
        &self.capabilities
    }
    fn is_open(&self) -> bool {
        crate::peer::Peer::is_open(self)
    }
}

impl Classes {
    pub(crate) fn intern<P: Capable>(&mut self, requirement: Requirement, peers: &[P]) -> ClassNo {
        if let Some(class) = self.numbers.get(&requirement) {
            return *class;
        }
        let class = ClassNo::from_index(self.requirements.len());
        if !requirement.avoids.is_empty() {
            self.avoiding.push(class);
        }
        self.requirements.push(requirement.clone());
        self.numbers.insert(requirement, class);
        self.eligible.push(Bits::default());
        self.refresh_class(class, peers);
        class
    }

    pub(crate) fn requirement(&self, class: ClassNo) -> &Requirement {
        &self.requirements[class.index()]
    }

    pub(crate) fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Peers that are open and can take this class.
    pub(crate) fn eligible(&self, class: ClassNo) -> &Bits {
        &self.eligible[class.index()]
    }

    /// Classes that the peer can take.
    pub(crate) fn takes(&self, peer: PeerNo) -> &Bits {
        &self.takes[peer.index()]
    }

    /// A peer came, went, was paused, resumed, or changed what it can do. Returns the peers that can take
    /// more than before, because there is nobody else left for what they had failed, and those that can
    /// take less, because there is somebody else again.
    pub(crate) fn refresh_peer<P: Capable>(&mut self, no: PeerNo, peers: &[P]) -> Shift {
        if no.index() >= self.takes.len() {
            self.takes.resize_with(no.index() + 1, Bits::default);
        }
        let peer = &peers[no.index()];
        for index in 0..self.requirements.len() {
            let requirement = &self.requirements[index];
            if requirement.avoids.is_empty() {
                let member = peer.is_open() && has_all(peer.capabilities(), &requirement.capabilities);
                self.eligible[index].set(no.index(), member);
                self.takes[no.index()].set(index, member);
            }
        }
        let mut shift = Shift::default();
        for class in self.avoiding.clone() {
            let before = self.eligible[class.index()].clone();
            self.refresh_class(class, peers);
            let after = &self.eligible[class.index()];
            after.iter().filter(|peer| !before.contains(*peer)).for_each(|peer| shift.gained.insert(peer));
            before.iter().filter(|peer| !after.contains(*peer)).for_each(|peer| shift.lost.insert(peer));
        }
        shift
    }

    /// A peer that failed a task is avoided while another is eligible.
    fn refresh_class<P: Capable>(&mut self, class: ClassNo, peers: &[P]) {
        let requirement = &self.requirements[class.index()];
        let mut capable = Bits::default();
        for (index, peer) in peers.iter().enumerate() {
            if peer.is_open() && has_all(peer.capabilities(), &requirement.capabilities) {
                capable.insert(index);
            }
        }
        let mut others = capable.clone();
        for avoided in &requirement.avoids {
            others.remove(avoided.index());
        }
        let members = if others.is_empty() { capable } else { others };
        if self.takes.len() < peers.len() {
            self.takes.resize_with(peers.len(), Bits::default);
        }
        for (index, takes) in self.takes.iter_mut().enumerate() {
            takes.set(class.index(), members.contains(index));
        }
        self.eligible[class.index()] = members;
    }
}

/// Whether a sorted set holds all of another sorted set.
pub(crate) fn has_all(has: &[CapNo], wants: &[CapNo]) -> bool {
    let mut has = has.iter();
    wants.iter().all(|want| has.any(|one| one == want))
}
