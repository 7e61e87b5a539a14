//! Balance: which waiting tasks change their peer, and when it is worth it.
//!
//! One rule, here and in the scheduler: with L the load and c the slots, a task moves p → q while
//! (2·Lp − 1)·cq > (2·Lq + 1)·cp. That is exactly when Σ L²/c falls, so nothing is ever moved back and forth, and a
//! plan ends. With slots alike, each move takes at least 2 from Σ L², so there are at most half as many moves.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Whether Σ L²/c falls when one task goes from a peer with that load and those slots to another. A peer without load
/// has nothing to give, one without slots takes nothing.
///
/// ```
/// use meshwork_core::balance::is_better;
///
/// assert!(is_better(3, 1, 1, 1), "3 and 1 become 2 and 2");
/// assert!(!is_better(2, 1, 1, 1), "it would only go back and forth");
/// assert!(is_better(2, 1, 2, 4), "four slots carry more than one");
/// ```
#[must_use]
pub fn is_better(load_from: u64, slots_from: u64, load_to: u64, slots_to: u64) -> bool {
    let [from, to] = [load_from, load_to].map(u128::from);
    from > 0 && (2 * from - 1) * u128::from(slots_to) > (2 * to + 1) * u128::from(slots_from)
}

/// A peer, as a plan sees it. `T` names tasks.
///
/// ```
/// use meshwork_core::balance::Peer;
///
/// let busy = Peer { slots: 1, load: 3, class: 0, open: true, movable: vec!["lint", "test"] };
/// assert_eq!(busy.movable.last(), Some(&"test"), "the first to go");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer<T> {
    /// Tasks that it can run beside each other. At least 1 where it takes any.
    pub slots: u32,
    /// Tasks that it has, movable ones and others.
    pub load: u64,
    /// Peers of one class can take the same tasks.
    pub class: u32,
    /// Whether it takes tasks.
    pub open: bool,
    /// Tasks of it that may go elsewhere; the last goes first.
    pub movable: Vec<T>,
}

/// One task goes from one peer to another.
///
/// ```
/// use meshwork_core::balance::{Move, Peer, plan};
///
/// let peers = [
///     Peer { slots: 1, load: 2, class: 0, open: true, movable: vec!["test"] },
///     Peer { slots: 1, load: 0, class: 0, open: true, movable: vec![] },
/// ];
/// assert_eq!(plan(&peers, 10, |from, to| from == to), [Move { task: "test", from: 0, to: 1 }]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move<T> {
    /// The task.
    pub task: T,
    /// Whose it was: an index into the peers.
    pub from: usize,
    /// Whose it is from now on: an index into the peers.
    pub to: usize,
}

/// Orders peers by what another task would cost them, (2·L + 1)/c, then by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    load: u64,
    slots: u32,
    index: usize,
}

impl Cost {
    fn of<T>(peers: &[Peer<T>], loads: &[u64], index: usize) -> Self {
        Self { load: loads[index], slots: peers[index].slots, index }
    }
}

impl Ord for Cost {
    fn cmp(&self, other: &Self) -> Ordering {
        let weigh = |mine: &Self, others: &Self| (2 * u128::from(mine.load) + 1) * u128::from(others.slots);
        weigh(self, other).cmp(&weigh(other, self)).then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Moves that each make Σ L²/c smaller, in their order, at most `limit` of them: from the relatively most loaded peer
/// on, each to the peer to which it costs least. `takes(from, to)` says whether peers of one class can do all that
/// those of another have. A task moves once at most; a plan that was cut short, or that shifted what can move,
/// is gone on with by planning again, and plans again until there is no move left come to an end.
///
/// ```
/// use meshwork_core::balance::{Peer, plan};
///
/// let peer = |load, movable: &[u32]| Peer { slots: 1, load, class: 0, open: true, movable: movable.to_vec() };
/// let peers = [peer(5, &[1, 2, 3, 4]), peer(0, &[]), peer(1, &[])];
/// let moves = plan(&peers, 10, |_, _| true);
/// assert_eq!(moves.iter().map(|one| (one.task, one.to)).collect::<Vec<_>>(), [(4, 1), (3, 1), (2, 2)]);
/// assert_eq!(plan(&peers, 1, |_, _| true).len(), 1, "no more than were asked for");
/// ```
#[must_use]
pub fn plan<T: Clone>(peers: &[Peer<T>], limit: usize, takes: impl Fn(u32, u32) -> bool) -> Vec<Move<T>> {
    let mut loads: Vec<u64> = peers.iter().map(|peer| peer.load).collect();
    let mut left: Vec<usize> = peers.iter().map(|peer| peer.movable.len()).collect();
    let mut takers: BTreeMap<u32, BTreeSet<Cost>> = BTreeMap::new();
    for (index, peer) in peers.iter().enumerate().filter(|(_, peer)| peer.open && peer.slots > 0) {
        takers.entry(peer.class).or_default().insert(Cost::of(peers, &loads, index));
    }
    let mut givers: BTreeSet<Cost> =
        (0..peers.len()).filter(|index| left[*index] > 0).map(|index| Cost::of(peers, &loads, index)).collect();
    let mut moves = Vec::new();
    let mut after: Option<Cost> = None;
    while moves.len() < limit {
        // The most loaded first; one that nobody takes from is passed over until something has moved.
        let next = after.map_or_else(|| givers.last(), |after| givers.range(..after).next_back());
        let Some(giver) = next.copied() else { break };
        let from = giver.index;
        let classes = takers.iter().filter(|(class, _)| takes(peers[from].class, **class));
        let cheapest = classes.filter_map(|(_, all)| all.iter().find(|taker| taker.index != from)).min().copied();
        let better = cheapest.filter(|to| {
            is_better(loads[from], u64::from(peers[from].slots), loads[to.index], u64::from(peers[to.index].slots))
        });
        let Some(taker) = better else {
            after = Some(giver);
            continue;
        };
        let to = taker.index;
        for index in [from, to] {
            let cost = Cost::of(peers, &loads, index);
            givers.remove(&cost);
            takers.get_mut(&peers[index].class).map(|all| all.remove(&cost));
        }
        left[from] -= 1;
        loads[from] -= 1;
        loads[to] += 1;
        moves.push(Move { task: peers[from].movable[left[from]].clone(), from, to });
        for index in [from, to] {
            let cost = Cost::of(peers, &loads, index);
            if left[index] > 0 {
                givers.insert(cost);
            }
            if peers[index].open && peers[index].slots > 0 {
                takers.entry(peers[index].class).or_default().insert(cost);
            }
        }
        after = None;
    }
    moves
}
