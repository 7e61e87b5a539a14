//! What a lead knows of those below it, and what comes back up to it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::shape::Shape;
use crate::ids::{CapNo, PeerNo};

/// A peer as one that can be given work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Worker {
    /// What it can do.
    pub capabilities: BTreeSet<CapNo>,
    /// Tasks that it can have at once.
    pub slots: u32,
    /// Tasks that it has, waiting ones included.
    pub load: u32,
}

impl Worker {
    /// Its room for that requirement; none if it can't do it.
    #[must_use]
    pub fn capacity(&self, required: &BTreeSet<CapNo>) -> Capacity {
        if !required.is_subset(&self.capabilities) {
            return Capacity::default();
        }
        Capacity {
            workers: 1,
            free: u64::from(self.slots.saturating_sub(self.load)),
            waiting: u64::from(self.load.saturating_sub(self.slots)),
        }
    }
}

/// Room for work of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capacity {
    /// Workers that can do it.
    pub workers: u64,
    /// Their free slots.
    pub free: u64,
    /// Tasks that they have beyond their slots.
    pub waiting: u64,
}

impl Capacity {
    /// Somebody can do it.
    #[must_use]
    pub fn any(self) -> bool {
        self.workers > 0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            workers: self.workers + other.workers,
            free: self.free + other.free,
            waiting: self.waiting + other.waiting,
        }
    }

    /// Greater is better: more free slots, else fewer waiting tasks a worker.
    pub(super) fn compare(self, other: Self) -> Ordering {
        let waiting = |one: Self, other: Self| u128::from(one.waiting) * u128::from(other.workers.max(1));
        self.free.cmp(&other.free).then_with(|| waiting(other, self).cmp(&waiting(self, other)))
    }
}

/// The room of many peers, by what they can do.
///
/// It counts by *sets* of capabilities, one entry a set that some peer has, not by capability: "two of them can review
/// and three know security" does not say whether one of them can review security.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Summary(BTreeMap<BTreeSet<CapNo>, Capacity>);

impl Summary {
    /// Of one peer.
    #[must_use]
    pub fn of(worker: &Worker) -> Self {
        let capacity = worker.capacity(&worker.capabilities);
        Self([(worker.capabilities.clone(), capacity)].into())
    }

    /// Takes others in.
    pub fn add(&mut self, other: &Self) {
        for (capabilities, capacity) in &other.0 {
            match self.0.get_mut(capabilities) {
                Some(mine) => *mine = mine.and(*capacity),
                None => _ = self.0.insert(capabilities.clone(), *capacity),
            }
        }
    }

    /// One of those with these capabilities has other room than before.
    pub(super) fn change(&mut self, capabilities: &BTreeSet<CapNo>, old: Capacity, new: Capacity) {
        if let Some(all) = self.0.get_mut(capabilities) {
            all.free = (all.free + new.free).saturating_sub(old.free);
            all.waiting = (all.waiting + new.waiting).saturating_sub(old.waiting);
        }
    }

    /// The room for that requirement.
    #[must_use]
    pub fn capacity(&self, required: &BTreeSet<CapNo>) -> Capacity {
        let capable = self.0.iter().filter(|(capabilities, _)| required.is_subset(capabilities));
        capable.fold(Capacity::default(), |sum, (_, capacity)| sum.and(*capacity))
    }

    /// Free slots by capability. A slot of a peer that can do two things counts for both.
    #[must_use]
    pub fn free_by_capability(&self) -> BTreeMap<CapNo, u64> {
        let mut free = BTreeMap::new();
        for (capabilities, capacity) in &self.0 {
            for capability in capabilities {
                *free.entry(*capability).or_default() += capacity.free;
            }
        }
        free
    }

    /// Nobody here can do that, as it turned out: forgets those who were thought to.
    pub fn forget(&mut self, required: &BTreeSet<CapNo>) {
        self.0.retain(|capabilities, _| !required.is_subset(capabilities));
    }
}

/// What became of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Ended ok.
    pub done: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Not ended.
    pub open: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { done: self.done + other.done, failed: self.failed + other.failed, open: self.open + other.open }
    }
}

/// Each peer's summary of itself and all below it. In a mesh nobody is below anybody. Workers that the shape does not
/// have are left out.
#[must_use]
pub fn summaries(shape: &Shape, workers: &BTreeMap<PeerNo, Worker>) -> BTreeMap<PeerNo, Summary> {
    let own = workers.iter().map(|(peer, worker)| (*peer, Summary::of(worker)));
    gather(shape, own, |sum, below| sum.add(below))
}

/// What became of each peer's tasks and of those of all below it.
#[must_use]
pub fn tallies(shape: &Shape, own: &BTreeMap<PeerNo, Tally>) -> BTreeMap<PeerNo, Tally> {
    gather(shape, own.iter().map(|(peer, tally)| (*peer, *tally)), |sum, below| *sum = sum.and(*below))
}

/// From the deepest up: nothing recurses.
fn gather<T: Clone + Default>(
    shape: &Shape,
    own: impl Iterator<Item = (PeerNo, T)>,
    add: impl Fn(&mut T, &T),
) -> BTreeMap<PeerNo, T> {
    let mut sums: BTreeMap<PeerNo, T> = shape.peers().into_iter().map(|peer| (peer, T::default())).collect();
    for (peer, value) in own {
        if let Some(sum) = sums.get_mut(&peer) {
            *sum = value;
        }
    }
    let mut deepest_first: Vec<(usize, PeerNo)> = sums.keys().map(|peer| (shape.depth(*peer), *peer)).collect();
    deepest_first.sort_unstable_by(|one, other| other.cmp(one));
    for (_, peer) in deepest_first {
        let Some(above) = shape.above(peer) else { continue };
        let below = sums.get(&peer).cloned().unwrap_or_default();
        if let Some(sum) = sums.get_mut(&above) {
            add(sum, &below);
        }
    }
    sums
}
