//! The plan: what it promises.

use proptest::prelude::*;

use super::*;

fn peer(slots: u32, load: u64, movable: impl IntoIterator<Item = u32>) -> Peer<u32> {
    Peer { slots, load, class: 0, open: true, movable: movable.into_iter().collect() }
}

/// Loads after the moves, which are checked one by one: Σ L²/c falls, and only what may move moves, to who may take it.
fn played(peers: &[Peer<u32>], moves: &[Move<u32>], takes: impl Fn(u32, u32) -> bool) -> Vec<Peer<u32>> {
    let mut after = peers.to_vec();
    let mut moved = BTreeSet::new();
    for one in moves {
        assert!(moved.insert(one.task), "{one:?} moves twice");
        let (from, to) = (&after[one.from], &after[one.to]);
        assert!(to.open && to.slots > 0 && one.from != one.to && takes(from.class, to.class), "{one:?}");
        // Σ L²/c before less after, times cp·cq: without fractions.
        let [lp, lq, cp, cq] = [from.load, to.load, from.slots.into(), to.slots.into()].map(i128::from);
        let gain = (lp * lp - (lp - 1) * (lp - 1)) * cq - ((lq + 1) * (lq + 1) - lq * lq) * cp;
        assert!(gain > 0, "{one:?} gains {gain}");
        let at = after[one.from].movable.iter().position(|task| *task == one.task).expect("it may move");
        after[one.from].movable.remove(at);
        after[one.from].load -= 1;
        after[one.to].load += 1;
        after[one.to].movable.push(one.task);
    }
    after
}

fn squares(peers: &[Peer<u32>]) -> u64 {
    peers.iter().map(|peer| peer.load * peer.load).sum()
}

#[test]
fn loads_become_even() {
    let peers = [peer(1, 6, 1..=6), peer(1, 0, []), peer(1, 0, [])];
    let moves = plan(&peers, 100, |_, _| true);
    assert_eq!(played(&peers, &moves, |_, _| true).map_loads(), [2, 2, 2]);
    assert_eq!(moves[0], Move { task: 6, from: 0, to: 1 }, "the last one first, to the first of equals");
}

#[test]
fn slots_count() {
    let peers = [peer(1, 8, 1..=8), peer(3, 0, [])];
    let moves = plan(&peers, 100, |_, _| true);
    assert_eq!(played(&peers, &moves, |_, _| true).map_loads(), [2, 6]);
}

#[test]
fn a_difference_of_one_is_no_reason() {
    assert_eq!(plan(&[peer(1, 3, [1, 2, 3]), peer(1, 2, [])], 100, |_, _| true), []);
    assert!(is_better(4, 1, 2, 1) && !is_better(3, 1, 2, 1) && !is_better(0, 1, 0, 9));
}

#[test]
fn running_tasks_and_closed_peers_stay_out_of_it() {
    assert_eq!(plan(&[peer(1, 9, []), peer(1, 0, [])], 100, |_, _| true), []);
    let closed = Peer { open: false, ..peer(1, 0, []) };
    assert_eq!(plan(&[peer(1, 9, [1, 2]), closed, peer(0, 0, [])], 100, |_, _| true), []);
    let moves = plan(&[peer(0, 2, [1, 2]), peer(1, 5, [])], 100, |_, _| true);
    assert_eq!(moves.len(), 2, "whoever has no slot gives everything away: {moves:?}");
}

#[test]
fn a_class_that_can_not_do_it_does_not_get_it() {
    let other = Peer { class: 1, ..peer(1, 0, []) };
    let peers = [peer(1, 4, 1..=4), other, peer(1, 3, [])];
    assert_eq!(plan(&peers, 100, |from, to| from == to), []);
    let moves = plan(&peers, 100, |_, _| true);
    assert!(moves.iter().all(|one| one.to == 1) && moves.len() == 2, "{moves:?}");
}

trait Loads {
    fn map_loads(&self) -> Vec<u64>;
}

impl Loads for Vec<Peer<u32>> {
    fn map_loads(&self) -> Vec<u64> {
        self.iter().map(|peer| peer.load).collect()
    }
}

fn peers(slots: impl Strategy<Value = u32>) -> impl Strategy<Value = Vec<Peer<u32>>> {
    let one = (slots, 0..3_u64, 0..20_u32, 0..3_u32, prop::bool::weighted(0.8));
    prop::collection::vec(one, 0..8).prop_map(|all| {
        let peer = |(at, (slots, fixed, movable, class, open)): (usize, (u32, u64, u32, u32, bool))| {
            let movable: Vec<u32> = (0..movable).map(|task| at as u32 * 100 + task).collect();
            Peer { slots, load: fixed + movable.len() as u64, class, open, movable }
        };
        all.into_iter().enumerate().map(peer).collect()
    })
}

proptest! {
    #[test]
    fn every_move_makes_it_more_even_and_plans_come_to_an_end(peers in peers(1..5_u32), limit in 1..50_usize) {
        // Higher classes can do all that lower ones can.
        let takes = |from: u32, to: u32| from <= to;
        let (mut at, mut plans) = (peers, 0);
        loop {
            let moves = plan(&at, limit, takes);
            prop_assert!(moves.len() <= limit);
            if moves.is_empty() {
                break;
            }
            at = played(&at, &moves, takes);
            plans += 1;
            prop_assert!(plans < 10_000);
        }
        for from in at.iter().filter(|from| !from.movable.is_empty()) {
            for to in at.iter().filter(|to| !std::ptr::eq(*to, from) && to.open && takes(from.class, to.class)) {
                prop_assert!(!is_better(from.load, from.slots.into(), to.load, to.slots.into()), "a move was missed");
            }
        }
    }

    #[test]
    fn with_slots_alike_there_are_at_most_half_as_many_moves_as_the_squares_say(peers in peers(Just(1_u32))) {
        let (mut at, mut moved) = (peers.clone(), 0);
        loop {
            let moves = plan(&at, 7, |from, to| from <= to);
            if moves.is_empty() {
                break;
            }
            moved += moves.len() as u64;
            at = played(&at, &moves, |from, to| from <= to);
        }
        prop_assert!(2 * moved <= squares(&peers) - squares(&at), "{moved} moves");
    }
}
