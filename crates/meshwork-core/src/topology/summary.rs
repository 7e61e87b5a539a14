//! What a lead knows of those below it, and what comes back up to it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::shape::Shape;
use crate::ids::{CapNo, PeerNo};

/// A peer as one that can be given work.
///
/// ```
/// use meshwork_core::CapNo;
/// use meshwork_core::topology::Worker;
///
/// let (review, security) = (CapNo(0), CapNo(1));
/// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
/// assert!(worker.capacity(&[review].into()).any() && !worker.capacity(&[security].into()).any());
/// ```
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
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// use meshwork_core::topology::{Capacity, Worker};
    ///
    /// let worker = Worker { capabilities: [CapNo(0)].into(), slots: 3, load: 1 };
    /// assert_eq!(worker.capacity(&[CapNo(0)].into()), Capacity { workers: 1, free: 2, waiting: 0 });
    /// ```
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
///
/// ```
/// use meshwork_core::topology::Capacity;
///
/// let full = Capacity { workers: 2, free: 0, waiting: 5 };
/// assert!(full.any(), "somebody can do it, later");
/// ```
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
    ///
    /// ```
    /// use meshwork_core::topology::Capacity;
    ///
    /// assert!(!Capacity::default().any());
    /// ```
    #[must_use]
    pub fn any(self) -> bool {
        self.workers > 0
    }

    /// Both together.
    ///
    /// ```
    /// use meshwork_core::topology::Capacity;
    ///
    /// let (one, two) = (Capacity { workers: 1, free: 0, waiting: 2 }, Capacity { workers: 1, free: 3, waiting: 0 });
    /// assert_eq!(one.and(two), Capacity { workers: 2, free: 3, waiting: 2 });
    /// ```
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
///
/// ```
/// use meshwork_core::CapNo;
/// use meshwork_core::topology::{Summary, Worker};
///
/// let (review, security) = (CapNo(0), CapNo(1));
/// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
/// let mut summary = Summary::of(&worker);
/// summary.add(&Summary::of(&Worker { capabilities: [security].into(), ..worker.clone() }));
/// assert!(summary.capacity(&[review].into()).any() && summary.capacity(&[security].into()).any());
/// assert!(!summary.capacity(&[review, security].into()).any(), "but nobody can do both");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Summary(BTreeMap<BTreeSet<CapNo>, Capacity>);

impl Summary {
    /// Of one peer.
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// use meshwork_core::topology::{Capacity, Summary, Worker};
    ///
    /// let review = CapNo(0);
    /// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
    /// assert_eq!(Summary::of(&worker).capacity(&[].into()), Capacity { workers: 1, free: 2, waiting: 0 });
    /// ```
    #[must_use]
    pub fn of(worker: &Worker) -> Self {
        let capacity = worker.capacity(&worker.capabilities);
        Self([(worker.capabilities.clone(), capacity)].into())
    }

    /// Takes others in.
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// use meshwork_core::topology::{Summary, Worker};
    ///
    /// let review = CapNo(0);
    /// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
    /// let mut summary = Summary::of(&worker);
    /// summary.add(&Summary::of(&worker));
    /// assert_eq!(summary.capacity(&[review].into()).workers, 2);
    /// ```
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
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// use meshwork_core::topology::{Capacity, Summary, Worker};
    ///
    /// let review = CapNo(0);
    /// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
    /// assert_eq!(Summary::of(&worker).capacity(&[review].into()).free, 2);
    /// assert_eq!(Summary::default().capacity(&[review].into()), Capacity::default());
    /// ```
    #[must_use]
    pub fn capacity(&self, required: &BTreeSet<CapNo>) -> Capacity {
        let capable = self.0.iter().filter(|(capabilities, _)| required.is_subset(capabilities));
        capable.fold(Capacity::default(), |sum, (_, capacity)| sum.and(*capacity))
    }

    /// Free slots by capability. A slot of a peer that can do two things counts for both.
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// use meshwork_core::topology::{Summary, Worker};
    ///
    /// let (review, security) = (CapNo(0), CapNo(1));
    /// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
    /// let both = Worker { capabilities: [review, security].into(), slots: 1, load: 0 };
    /// let mut summary = Summary::of(&worker);
    /// summary.add(&Summary::of(&both));
    /// assert_eq!(summary.free_by_capability(), [(review, 3), (security, 1)].into());
    /// ```
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
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// use meshwork_core::topology::{Summary, Worker};
    ///
    /// let review = CapNo(0);
    /// let worker = Worker { capabilities: [review].into(), slots: 3, load: 1 };
    /// let mut summary = Summary::of(&worker);
    /// summary.forget(&[review].into());
    /// assert!(!summary.capacity(&[review].into()).any());
    /// ```
    pub fn forget(&mut self, required: &BTreeSet<CapNo>) {
        self.0.retain(|capabilities, _| !required.is_subset(capabilities));
    }
}

/// What became of tasks.
///
/// ```
/// use meshwork_core::topology::Tally;
///
/// let tally = Tally { done: 3, failed: 1, open: 0 };
/// assert_eq!(tally.and(Tally::default()), tally);
/// ```
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
    ///
    /// ```
    /// use meshwork_core::topology::Tally;
    ///
    /// let both = Tally { done: 3, failed: 0, open: 1 }.and(Tally { done: 2, failed: 1, open: 0 });
    /// assert_eq!(both, Tally { done: 5, failed: 1, open: 1 });
    /// ```
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { done: self.done + other.done, failed: self.failed + other.failed, open: self.open + other.open }
    }
}

/// Each peer's summary of itself and all below it. In a mesh nobody is below anybody. Workers that the shape does not
/// have are left out.
///
/// ```
/// use meshwork_core::topology::{Shape, Topology, Worker, summaries};
/// use meshwork_core::{CapNo, PeerNo};
/// use std::collections::BTreeMap;
///
/// // A queen with two workers, of whom one can review.
/// let review = CapNo(0);
/// let mut shape = Shape::new(Topology::Hierarchical, 7)?;
/// let mut workers = BTreeMap::new();
/// for (no, capabilities) in [(0, vec![]), (1, vec![]), (2, vec![review])] {
///     shape.join(PeerNo(no))?;
///     workers.insert(PeerNo(no), Worker { capabilities: capabilities.into_iter().collect(), slots: 2, load: 0 });
/// }
/// let known = summaries(&shape, &workers);
/// assert_eq!(known[&PeerNo(0)].capacity(&[].into()).free, 6, "her own and those below");
/// assert_eq!(known[&PeerNo(0)].capacity(&[review].into()).free, 2);
/// # Ok::<(), meshwork_core::topology::ShapeError>(())
/// ```
#[must_use]
pub fn summaries(shape: &Shape, workers: &BTreeMap<PeerNo, Worker>) -> BTreeMap<PeerNo, Summary> {
    let own = workers.iter().map(|(peer, worker)| (*peer, Summary::of(worker)));
    gather(shape, own, |sum, below| sum.add(below))
}

/// What became of each peer's tasks and of those of all below it.
///
/// ```
/// use meshwork_core::PeerNo;
/// use meshwork_core::topology::{Shape, Tally, Topology, tallies};
///
/// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
/// tree.join(PeerNo(0))?;
/// tree.join(PeerNo(1))?;
/// let own = [(PeerNo(1), Tally { done: 2, failed: 0, open: 1 })].into();
/// assert_eq!(tallies(&tree, &own)[&PeerNo(0)].done, 2, "the queen is told of what is below her");
/// # Ok::<(), meshwork_core::topology::ShapeError>(())
/// ```
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
