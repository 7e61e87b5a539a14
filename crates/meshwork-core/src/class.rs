//! The capability index: requirement sets are interned as classes, and each class knows who can take it.

use crate::bits::Bits;
use crate::config::AVOIDED_MAX;
use crate::ids::{CapNo, ClassNo, PeerNo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a class of tasks requires, and whom it avoids because they failed such a task before, or vote on the
/// same result.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Requirement {
    /// Sorted, without repeats.
    pub(crate) capabilities: Box<[CapNo]>,
    /// Oldest first. They take it when nobody else can.
    pub(crate) avoids: Box<[PeerNo]>,
    /// Of reviews: whose work is judged. Takes it when not even one that is avoided can.
    pub(crate) author: Option<PeerNo>,
}

/// Whom a class would rather have: only the first circle with somebody who is open can take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Circle {
    Wanted,
    Avoided,
    Author,
}

impl Requirement {
    /// Of anybody who has the capabilities.
    pub(crate) fn of(capabilities: Box<[CapNo]>) -> Self {
        Self { capabilities, ..Self::default() }
    }

    /// The same, and that peer is avoided too; the oldest is forgiven when there are too many.
    pub(crate) fn avoiding(&self, peer: PeerNo) -> Self {
        let mut avoiding = self.clone();
        if self.circle(peer.index()) == Circle::Wanted {
            let kept = (self.avoids.len() + 1).saturating_sub(AVOIDED_MAX);
            avoiding.avoids = self.avoids[kept..].iter().copied().chain([peer]).collect();
        }
        avoiding
    }

    fn circle(&self, peer: usize) -> Circle {
        if self.author.is_some_and(|author| author.index() == peer) {
            Circle::Author
        } else if self.avoids.iter().any(|avoided| avoided.index() == peer) {
            Circle::Avoided
        } else {
            Circle::Wanted
        }
    }

    /// Whether who is a member depends on who else is.
    fn is_choosy(&self) -> bool {
        self.author.is_some() || !self.avoids.is_empty()
    }

    /// Those outside the circle of the wanted: few.
    fn unwanted(&self) -> impl Iterator<Item = PeerNo> + Clone {
        self.avoids.iter().copied().chain(self.author)
    }

    /// Whether nobody has to be forgiven for one more to be avoided.
    pub(crate) fn has_room(&self) -> bool {
        self.avoids.len() < AVOIDED_MAX
    }

    fn can<P: Capable>(&self, peer: &P) -> bool {
        peer.is_open() && has_all(peer.capabilities(), &self.capabilities)
    }
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
    /// Classes that would rather not have somebody: whether they do depends on who else is open.
    choosy: Vec<ClassNo>,
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
        if requirement.is_choosy() {
            self.choosy.push(class);
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
            if !requirement.is_choosy() {
                let member = requirement.can(peer);
                self.eligible[index].set(no.index(), member);
                self.takes[no.index()].set(index, member);
            }
        }
        let mut shift = Shift::default();
        for index in 0..self.choosy.len() {
            self.refresh_choosy(self.choosy[index], no, peers, &mut shift);
        }
        shift
    }

    /// A class has as members the capable peers of its first circle that has some: so one peer's change concerns
    /// that peer and the few that are not wanted.
    fn refresh_choosy<P: Capable>(&mut self, class: ClassNo, no: PeerNo, peers: &[P], shift: &mut Shift) {
        let requirement = &self.requirements[class.index()];
        let members = &self.eligible[class.index()];
        let others = members.iter().find(|member| *member != no.index()).map(|other| requirement.circle(other));
        let own = requirement.circle(no.index());
        let able = requirement.can(&peers[no.index()]);
        let mut turned = vec![(no, able && others.is_none_or(|others| own <= others))];
        if able && others.is_some_and(|others| own < others) {
            // The others are no longer needed. They are unwanted themselves, since there is a better circle.
            turned.extend(requirement.unwanted().filter(|other| *other != no).map(|other| (other, false)));
        } else if !able && others.is_none() {
            let next = requirement.unwanted().filter(|other| *other != no && requirement.can(&peers[other.index()]));
            let first = next.clone().map(|other| requirement.circle(other.index())).min();
            turned.extend(next.filter(|other| Some(requirement.circle(other.index())) == first).map(|one| (one, true)));
        }
        let members = &mut self.eligible[class.index()];
        for (peer, member) in turned {
            if members.contains(peer.index()) != member {
                if member { shift.gained.insert(peer.index()) } else { shift.lost.insert(peer.index()) }
            }
            members.set(peer.index(), member);
            self.takes[peer.index()].set(class.index(), member);
        }
    }

    /// The members of a new class. Mostly there is one that requires the same of anybody, so the capable ones are
    /// known.
    fn find_members<P: Capable>(&mut self, class: ClassNo, peers: &[P]) {
        let requirement = &self.requirements[class.index()];
        let capable = match self.numbers.get(&Requirement::of(requirement.capabilities.clone())) {
            Some(base) if *base != class => self.eligible[base.index()].clone(),
            _ => {
                let mut capable = Bits::default();
                let able = peers.iter().enumerate().filter(|(_, peer)| requirement.can(*peer));
                able.for_each(|(index, _)| capable.insert(index));
                capable
            }
        };
        let mut members = capable.clone();
        requirement.unwanted().for_each(|unwanted| members.remove(unwanted.index()));
        if members.is_empty() {
            let first = capable.iter().map(|peer| requirement.circle(peer)).min();
            let of_it = capable.iter().filter(|peer| Some(requirement.circle(*peer)) == first);
            of_it.for_each(|peer| members.insert(peer));
        }
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
