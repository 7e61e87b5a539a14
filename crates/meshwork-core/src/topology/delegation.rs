//! Handing out many tasks at once, each by what those on its way know after the ones before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::delegate::delegate;
use super::shape::Shape;
use super::summary::{Summary, Worker, summaries};
use crate::ids::{CapNo, PeerNo};
use crate::swarm::Swarm;

/// What the peers of a tree or of cells know when tasks are handed in: taken once, and kept up to date with each task
/// that is handed out. So a submission of many tasks costs a walk over the peers, and for each task a way down the tree.
///
/// It asks nobody and waits for nothing. Whom it names is a *preference* of the task
/// ([`TaskSpec::prefers`](crate::TaskSpec::prefers)): `apply` heeds it while that peer can take the task, and gives the
/// task to another one rather than let it wait there beside a free slot.
///
/// ```
/// use meshwork_core::topology::Delegation;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
/// let mut delegation = Delegation::of(&swarm).expect("there is a queen");
/// let workers: Vec<_> = (0..2).map(|_task| delegation.hand_out(None, &[])).collect();
/// assert_eq!(workers, [Some(PeerNo(1)), Some(PeerNo(2))], "each has one slot");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Delegation {
    shape: Shape,
    queen: PeerNo,
    workers: BTreeMap<PeerNo, Worker>,
    summaries: BTreeMap<PeerNo, Summary>,
    capabilities: BTreeMap<Arc<str>, CapNo>,
}

impl Delegation {
    /// As things are. `None` in a mesh, where everybody knows everybody and the log's own rule is the whole of it, and
    /// while nobody is there.
    ///
    /// ```
    /// use meshwork_core::Swarm;
    /// use meshwork_core::topology::Delegation;
    ///
    /// assert!(Delegation::of(&Swarm::new()).is_none(), "a mesh needs none");
    /// ```
    #[must_use]
    pub fn of(swarm: &Swarm) -> Option<Self> {
        let shape = swarm.shape();
        let queen = shape.queen()?;
        let worker = |(no, peer): (PeerNo, &crate::peer::Peer)| {
            let capabilities = peer.capabilities.iter().copied().collect();
            (no, Worker { capabilities, slots: peer.slots, load: peer.load() })
        };
        let workers: BTreeMap<_, _> = swarm.peers().filter(|(_, peer)| peer.is_open()).map(worker).collect();
        let named = workers.values().flat_map(|worker| &worker.capabilities);
        let capabilities = named.filter_map(|no| Some((swarm.capability(*no)?.into(), *no))).collect();
        let summaries = summaries(shape, &workers);
        Some(Self { shape: shape.clone(), queen, workers, summaries, capabilities })
    }

    /// The worker that a task finds from `from`, or from the queen when that is not given or not there; the task is with it
    /// from now on. `None` when nobody has all that it requires.
    ///
    /// ```
    /// use meshwork_core::topology::Delegation;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
    /// let mut delegation = Delegation::of(&swarm).expect("there is a queen");
    /// assert_eq!(delegation.hand_out(None, &["review".to_owned()]), Some(PeerNo(2)));
    /// assert_eq!(delegation.hand_out(None, &["welding".to_owned()]), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hand_out(&mut self, from: Option<PeerNo>, requires: &[String]) -> Option<PeerNo> {
        let required: Option<BTreeSet<CapNo>> =
            requires.iter().map(|name| self.capabilities.get(&**name).copied()).collect();
        let required = required?;
        let from = from.filter(|peer| self.shape.contains(*peer)).unwrap_or(self.queen);
        let path = delegate(&self.shape, &self.workers, &self.summaries, from, &required).ok()?;
        let worker = *path.last()?;
        self.take(worker);
        Some(worker)
    }

    /// The worker has one task more, and so have all above it.
    fn take(&mut self, no: PeerNo) {
        let Some(worker) = self.workers.get_mut(&no) else { return };
        let old = worker.capacity(&worker.capabilities);
        worker.load = worker.load.saturating_add(1);
        let new = worker.capacity(&worker.capabilities);
        for peer in std::iter::successors(Some(no), |peer| self.shape.above(*peer)) {
            if let Some(summary) = self.summaries.get_mut(&peer) {
                summary.change(&worker.capabilities, old, new);
            }
        }
    }
}
