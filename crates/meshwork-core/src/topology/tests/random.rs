//! Random joins, leaves and losses: after each, everybody reaches everybody, cells and trees keep their limits, who is
//! said to have other neighbours is who has, and a task reaches a capable worker whenever there is one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use crate::ids::{CapNo, PeerNo};

type Neighbours = BTreeMap<PeerNo, Vec<PeerNo>>;

fn neighbours(shape: &Shape) -> Neighbours {
    shape.peers().into_iter().map(|peer| (peer, shape.neighbors(peer))).collect()
}

/// Walks from the first peer over the neighbours.
fn reached(all: &Neighbours) -> usize {
    let mut seen: BTreeSet<PeerNo> = all.keys().take(1).copied().collect();
    let mut open: Vec<PeerNo> = seen.iter().copied().collect();
    while let Some(peer) = open.pop() {
        open.extend(all[&peer].iter().copied().filter(|next| seen.insert(*next)));
    }
    seen.len()
}

/// Steps that a complete tree of so many has at most.
fn deepest(count: usize, branching: usize) -> usize {
    let mut below = 1;
    let mut width = branching;
    let mut depth = 0;
    while below < count {
        below += width;
        width = width.saturating_mul(branching);
        depth += 1;
    }
    depth
}

fn check(shape: &Shape, branching: usize) {
    shape.check_invariants();
    let all = neighbours(shape);
    assert_eq!(reached(&all), shape.len(), "everybody reaches everybody");
    for (peer, others) in &all {
        assert!(others.iter().all(|other| all[other].contains(peer)), "whoever knows somebody is known by it");
        assert!(!others.contains(peer), "nobody is its own neighbour");
    }
    match shape.topology() {
        Topology::Mesh => assert!(all.values().all(|others| others.len() == shape.len() - 1)),
        Topology::Hierarchical => {
            let limit = deepest(shape.len(), branching);
            assert!(all.values().all(|others| others.len() <= branching + 1));
            assert!(all.keys().all(|peer| shape.depth(*peer) <= limit), "as shallow as can be");
        }
        Topology::Hybrid => {
            assert!(all.values().all(|others| others.len() <= CELL_MAX - 1 + branching + 1));
            assert!(shape.cells() <= shape.len() / 3 + 1, "{} cells for {}", shape.cells(), shape.len());
            let limit = deepest(shape.cells(), branching) + 1;
            assert!(all.keys().all(|peer| shape.depth(*peer) <= limit));
        }
    }
    let queens = all.keys().filter(|peer| shape.above(**peer).is_none()).count();
    if shape.topology() != Topology::Mesh && !shape.is_empty() {
        assert_eq!(queens, 1);
    }
}

/// Whether exactly those were named whose neighbours changed, or that are new; and how many may be.
fn check_rewired(shape: &Shape, before: &Neighbours, rewired: &Rewired, branching: usize) {
    let Rewired::Peers(named) = rewired else {
        assert_eq!(shape.topology(), Topology::Mesh);
        return;
    };
    let after = neighbours(shape);
    for (peer, others) in &after {
        if before.get(peer) != Some(others) {
            assert!(named.contains(peer), "{peer:?} has other neighbours and is not named");
        }
    }
    assert!(named.iter().all(|peer| after.contains_key(peer)), "only those are named that are there");
    let bound = match shape.topology() {
        Topology::Hierarchical => branching + 3,
        _ => 2 * CELL_MAX + 3 * (branching + 3),
    };
    assert!(named.len() <= bound, "{} of {} are named", named.len(), after.len());
}

fn topologies() -> impl proptest::strategy::Strategy<Value = Topology> {
    prop_oneof![Just(Topology::Mesh), Just(Topology::Hierarchical), Just(Topology::Hybrid)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shapes_keep_their_promises(
        topology in topologies(),
        branching in 1usize..9,
        first in 0u32..120,
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..80),
    ) {
        let mut shape = Shape::new(topology, branching).unwrap();
        let mut twin = shape.clone();
        let mut next = 0;
        let mut change = |joins: bool, who: Option<prop::sample::Index>, shape: &mut Shape, twin: &mut Shape| {
            let before = neighbours(shape);
            let peers = shape.peers();
            let rewired = match who {
                Some(who) if !joins && !peers.is_empty() => {
                    // Leads and queens more often than others: they are the interesting ones.
                    let peer = *who.get(&peers);
                    let peer = if who.index(3) == 0 { peer } else { shape.above(peer).unwrap_or(peer) };
                    twin.leave(peer).unwrap();
                    shape.leave(peer).unwrap()
                }
                _ => {
                    next += 1;
                    twin.join(PeerNo(next)).unwrap();
                    shape.join(PeerNo(next)).unwrap()
                }
            };
            check_rewired(shape, &before, &rewired, branching);
        };
        for _ in 0..first {
            change(true, None, &mut shape, &mut twin);
        }
        for (joins, who) in steps {
            change(joins, Some(who), &mut shape, &mut twin);
            check(&shape, branching);
        }
        prop_assert_eq!(shape, twin, "the same changes make the same shape");
    }

    #[test]
    fn a_task_reaches_a_capable_worker_whenever_there_is_one(
        topology in topologies(),
        branching in 2usize..9,
        workers in prop::collection::vec((prop::collection::btree_set(0u32..4, 0..3), 0u32..4, 0u32..6), 1..150),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        required in prop::collection::btree_set(0u32..4, 0..3),
        from in any::<prop::sample::Index>(),
    ) {
        let mut shape = Shape::new(topology, branching).unwrap();
        let mut there = BTreeMap::new();
        for (peer, (capabilities, slots, load)) in (0..).map(PeerNo).zip(workers) {
            shape.join(peer).unwrap();
            let capabilities = capabilities.into_iter().map(CapNo).collect();
            there.insert(peer, Worker { capabilities, slots, load });
        }
        for who in lost {
            let peers = shape.peers();
            if peers.len() > 1 {
                let peer = *who.get(&peers);
                shape.leave(peer).unwrap();
                there.remove(&peer);
            }
        }
        let required: BTreeSet<CapNo> = required.into_iter().map(CapNo).collect();
        let from = *from.get(&shape.peers());
        let sums = summaries(&shape, &there);
        let total = there.values().fold(Capacity::default(), |sum, worker| sum.and(worker.capacity(&required)));
        if let Some(queen) = shape.queen() {
            prop_assert_eq!(sums[&queen].capacity(&required), total, "the queen's summary is that of all");
        }
        match delegate(&shape, &there, &sums, from, &required) {
            Ok(path) => {
                let worker = path[path.len() - 1];
                prop_assert!(there[&worker].capacity(&required).any(), "whoever gets it can do it");
                for pair in path.windows(2) {
                    prop_assert!(shape.neighbors(pair[0]).contains(&pair[1]), "it goes from neighbour to neighbour");
                }
                let free = there[&worker].capacity(&required).free;
                let others = there.iter().filter(|(peer, _)| shape.queen() != Some(**peer));
                let free_elsewhere = others.map(|(_, worker)| worker.capacity(&required).free).max();
                prop_assert!(free > 0 || free_elsewhere.unwrap_or(0) == 0, "nobody waits while a slot is free");
            }
            Err(nobody) => {
                prop_assert_eq!(nobody, Nobody::Capable);
                prop_assert!(!total.any(), "there was one who can: {:?}", total);
            }
        }
    }

    #[test]
    fn results_come_together_at_the_queen(peers in 1u32..300, branching in 1usize..9, failed in 0u64..5) {
        for topology in [Topology::Hierarchical, Topology::Hybrid] {
            let mut shape = Shape::new(topology, branching).unwrap();
            for peer in 0..peers {
                shape.join(PeerNo(peer)).unwrap();
            }
            let own = (0..peers).map(|peer| (PeerNo(peer), Tally { done: u64::from(peer), failed, open: 1 })).collect();
            let sums = tallies(&shape, &own);
            let all = u64::from(peers);
            let whole = Tally { done: all * (all - 1) / 2, failed: failed * all, open: all };
            prop_assert_eq!(sums[&shape.queen().unwrap()], whole);
        }
    }
}
