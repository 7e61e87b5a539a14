//! How a task finds its worker: each peer on the way knows itself, a summary of each subtree right below, and who is
//! above. Nobody needs to know everybody.
//!
//! A task that is on its way down goes to the subtree with the most free slots that has a worker who can do it; ties
//! go to the one with fewer waiting tasks a worker, then to the lowest number; a peer that has as much room
//! itself takes it. A task that came about somewhere stays
//! below that peer while a slot is free there, and else goes up one: in a hybrid that is a call to another cell.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::Shape;
use super::summary::{Capacity, Summary, Worker};
use crate::ids::{CapNo, PeerNo};

/// Steps that a task may make, up and down together: enough for a tree of 7⁸ cells. More means a tree that hardly
/// branches, or books that are wrong.
pub const HOPS_MAX: usize = 17;

/// What a peer does with a task that it was handed.
///
/// ```
/// use meshwork_core::topology::{Capacity, Step, next_step};
///
/// let nobody = Capacity::default();
/// assert_eq!(next_step(nobody, &[], None, true), Step::Nobody);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It does it itself.
    Take,
    /// It hands it down to this one.
    Down(PeerNo),
    /// It hands it up to this one: there is no room below.
    Up(PeerNo),
    /// Nobody here can do it.
    Nobody,
}

/// Why a task found no worker.
///
/// ```
/// use meshwork_core::PeerNo;
/// use meshwork_core::topology::{Nobody, Shape, delegate};
///
/// let nobody = delegate(&Shape::default(), &[].into(), &[].into(), PeerNo(7), &[].into());
/// assert_eq!(nobody, Err(Nobody::NotThere { from: PeerNo(7) }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nobody {
    /// No peer has all that it needs.
    #[error("no peer has all required capabilities")]
    Capable,
    /// The task began at a peer that is not there.
    #[error("peer {from:?} is not there")]
    NotThere {
        /// Where it began.
        from: PeerNo,
    },
    /// It would have needed more steps.
    #[error("no worker was found in {hops} steps, the most that a task may make")]
    TooFar {
        /// The limit.
        hops: usize,
    },
}

/// What one peer does with a task. `own`: its own room, `below`: that of each subtree right below; `above`: to whom it may
/// hand it up, `None` for a task that came from there. A queen takes a task only if nobody below can.
///
/// ```
/// use meshwork_core::PeerNo;
/// use meshwork_core::topology::{Capacity, Step, next_step};
///
/// let room = |free| Capacity { workers: 1, free, waiting: 0 };
/// let below = [(PeerNo(1), room(1)), (PeerNo(2), room(3))];
/// assert_eq!(next_step(room(1), &below, None, false), Step::Down(PeerNo(2)), "the most free slots");
/// assert_eq!(next_step(room(3), &below, None, false), Step::Take, "it has as much itself");
/// assert_eq!(next_step(room(0), &[], Some(PeerNo(0)), false), Step::Up(PeerNo(0)));
/// ```
#[must_use]
pub fn next_step(own: Capacity, below: &[(PeerNo, Capacity)], above: Option<PeerNo>, is_queen: bool) -> Step {
    let best_below = below.iter().filter(|(_, room)| room.any()).max_by(|(one, room), (other, other_room)| {
        room.compare(*other_room).then_with(|| other.cmp(one)) // the lowest number is the greatest
    });
    let below_is_better = |room: Capacity| !own.any() || is_queen || own.compare(room).is_lt();
    let (step, room) = match best_below {
        Some((peer, room)) if below_is_better(*room) => (Step::Down(*peer), *room),
        _ if own.any() => (Step::Take, own),
        _ => (Step::Nobody, Capacity::default()),
    };
    match above {
        Some(above) if room.free == 0 => Step::Up(above),
        _ => step,
    }
}

/// The way of a task from the peer where it came about to its worker, both included, if all summaries are as in
/// [`summaries`](super::summaries).
///
/// ```
/// use meshwork_core::topology::{Nobody, delegate};
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
/// let way = delegate(&shape, &workers, &known, PeerNo(0), &[review].into());
/// assert_eq!(way, Ok(vec![PeerNo(0), PeerNo(2)]));
/// assert_eq!(delegate(&shape, &workers, &known, PeerNo(0), &[CapNo(9)].into()), Err(Nobody::Capable));
/// # Ok::<(), meshwork_core::topology::ShapeError>(())
/// ```
///
/// # Errors
/// Nobody can do it, or nobody is near enough.
pub fn delegate(
    shape: &Shape,
    workers: &BTreeMap<PeerNo, Worker>,
    summaries: &BTreeMap<PeerNo, Summary>,
    from: PeerNo,
    required: &BTreeSet<CapNo>,
) -> Result<Vec<PeerNo>, Nobody> {
    if !shape.contains(from) {
        return Err(Nobody::NotThere { from });
    }
    let mut path = vec![from];
    let mut goes_up = true;
    while path.len() <= HOPS_MAX {
        let at = path[path.len() - 1];
        let own = workers.get(&at).map_or_else(Capacity::default, |worker| worker.capacity(required));
        // Whoever was handed a task in a mesh was chosen to do it.
        let hands_on = goes_up || shape.queen().is_some();
        let below = if hands_on { shape.below(at) } else { Vec::new() };
        let room = |peer: PeerNo| summaries.get(&peer).map_or_else(Capacity::default, |sum| sum.capacity(required));
        let below: Vec<(PeerNo, Capacity)> = below.into_iter().map(|peer| (peer, room(peer))).collect();
        let above = shape.above(at).filter(|_| goes_up);
        match next_step(own, &below, above, shape.queen() == Some(at)) {
            Step::Take => return Ok(path),
            Step::Down(peer) => {
                goes_up = false;
                path.push(peer);
            }
            Step::Up(peer) => path.push(peer),
            Step::Nobody => return Err(Nobody::Capable),
        }
    }
    Err(Nobody::TooFar { hops: HOPS_MAX })
}
