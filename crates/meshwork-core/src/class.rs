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
        self.find_members(class, peers);
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
        for index in 0..self.avoiding.len() {
            self.refresh_avoiding(self.avoiding[index], no, peers, &mut shift);
        }
        shift
    }

    /// A class has as members the capable peers that it does not avoid, or, while there are none, the
    /// capable ones that it avoids: so one peer's change concerns that peer and the few avoided ones.
    fn refresh_avoiding<P: Capable>(&mut self, class: ClassNo, no: PeerNo, peers: &[P], shift: &mut Shift) {
        let requirement = &self.requirements[class.index()];
        let able = |peer: &P| peer.is_open() && has_all(peer.capabilities(), &requirement.capabilities);
        let avoids = |peer: usize| requirement.avoids.iter().any(|avoided| avoided.index() == peer);
        let members = &mut self.eligible[class.index()];
        let has_others = members.iter().next().is_some_and(|first| !avoids(first));
        let (is, was) = (able(&peers[no.index()]), members.contains(no.index()));
        let mut turned = Vec::new();
        if avoids(no.index()) {
            if !has_others && is != was {
                turned.push((no, is));
            }
        } else if is != was {
            turned.push((no, is));
            members.set(no.index(), is);
            if is && !has_others || !is && members.is_empty() {
                // The avoided ones are no longer needed, or are needed again.
                let capable = requirement.avoids.iter().filter(|avoided| able(&peers[avoided.index()]));
                turned.extend(capable.map(|avoided| (*avoided, !is)));
            }
        }
        for (peer, member) in turned {
            if members.contains(peer.index()) != member {
                if member { shift.gained.insert(peer.index()) } else { shift.lost.insert(peer.index()) }
            }
            members.set(peer.index(), member);
            self.takes[peer.index()].set(class.index(), member);
        }
    }

    /// The members of a new class. Its tasks had the same requirement without the last avoided peer, so
    /// the capable ones are known.
    fn find_members<P: Capable>(&mut self, class: ClassNo, peers: &[P]) {
        let requirement = &self.requirements[class.index()];
        let base = Requirement { capabilities: requirement.capabilities.clone(), avoids: Box::default() };
        let capable = match self.numbers.get(&base) {
            Some(base) if *base != class => self.eligible[base.index()].clone(),
            _ => {
                let able = |peer: &P| peer.is_open() && has_all(peer.capabilities(), &requirement.capabilities);
                let mut capable = Bits::default();
                peers.iter().enumerate().filter(|(_, peer)| able(peer)).for_each(|(index, _)| capable.insert(index));
                capable
            }
        };
        let mut others = capable.clone();
        for avoided in &requirement.avoids {
            others.remove(avoided.index());
        }
        let members = if others.is_empty() { capable } else { others };
        if self.takes.len() < peers.len() {
            self.takes.resize_with(peers.len(), Bits::default);
        }
        for member in members.iter() {
            self.takes[member].insert(class.index());
        }
        self.eligible[class.index()] = members;
    }
}

/// Whether a sorted set holds all of another sorted set.
pub(crate) fn has_all(has: &[CapNo], wants: &[CapNo]) -> bool {
    let mut has = has.iter();
    wants.iter().all(|want| has.any(|one| one == want))
}
