//! One sentence of the topologies each.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::ids::{CapNo, PeerNo};

fn shape(topology: Topology, branching: usize, peers: u32) -> Shape {
    let mut shape = Shape::new(topology, branching).unwrap();
    for peer in 0..peers {
        shape.join(PeerNo(peer)).unwrap();
        shape.check_invariants();
    }
    shape
}

fn numbers(peers: &[PeerNo]) -> Vec<u32> {
    peers.iter().map(|peer| peer.0).collect()
}

fn needs(capabilities: &[u32]) -> BTreeSet<CapNo> {
    capabilities.iter().copied().map(CapNo).collect()
}

fn worker(capabilities: &[u32], slots: u32, load: u32) -> Worker {
    Worker { capabilities: needs(capabilities), slots, load }
}

/// The way of a task from that peer.
fn way(shape: &Shape, workers: &[Worker], from: u32, required: &[u32]) -> Result<Vec<u32>, Nobody> {
    let workers: BTreeMap<PeerNo, Worker> = (0..).map(PeerNo).zip(workers.iter().cloned()).collect();
    let sums = summaries(shape, &workers);
    delegate(shape, &workers, &sums, PeerNo(from), &needs(required)).map(|path| numbers(&path))
}

#[test]
fn in_a_mesh_everybody_knows_everybody() {
    let mut mesh = shape(Topology::Mesh, 7, 4);
    assert_eq!(numbers(&mesh.neighbors(PeerNo(2))), [0, 1, 3]);
    assert_eq!(mesh.leave(PeerNo(1)), Ok(Rewired::Everybody));
    assert_eq!(numbers(&mesh.announces_to(PeerNo(2))), [0, 3]);
    assert_eq!((mesh.queen(), mesh.above(PeerNo(0)), mesh.summarizes_to(PeerNo(0))), (None, None, None));
    assert!(mesh.neighbors(PeerNo(1)).is_empty());
}

#[test]
fn a_lost_queen_is_followed_by_whoever_stood_last() {
    let mut tree = shape(Topology::Hierarchical, 3, 8);
    assert_eq!(numbers(&tree.neighbors(PeerNo(1))), [0, 4, 5, 6]);
    let rewired = tree.leave(PeerNo(0)).unwrap();
    assert_eq!(tree.queen(), Some(PeerNo(7)));
    assert_eq!(rewired, Rewired::Peers([1, 2, 3, 7].map(PeerNo).into()));
    assert_eq!(numbers(&tree.neighbors(PeerNo(7))), [1, 2, 3]);
    assert_eq!(tree.depth(PeerNo(6)), 2);
}

#[test]
fn joins_fill_the_smallest_cell_and_found_one_when_all_are_full() {
    let mut hybrid = shape(Topology::Hybrid, 7, 15);
    assert_eq!(hybrid.cells(), 3);
    assert_eq!(numbers(hybrid.cell(PeerNo(14))), [14]);
    hybrid.join(PeerNo(15)).unwrap();
    assert_eq!(numbers(hybrid.cell(PeerNo(15))), [14, 15]);
    assert_eq!(numbers(&hybrid.neighbors(PeerNo(15))), [14], "announcements and more stay in the cell");
    assert_eq!(numbers(&hybrid.announces_to(PeerNo(0))), [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(&hybrid.neighbors(PeerNo(0))), [1, 2, 3, 4, 5, 6, 7, 14], "a lead knows the leads below");
    assert_eq!(hybrid.summarizes_to(PeerNo(7)), Some(PeerNo(0)));
    assert_eq!(hybrid.summarizes_to(PeerNo(8)), None);
}

#[test]
fn a_lead_that_dies_is_replaced_within_its_cell() {
    let mut hybrid = shape(Topology::Hybrid, 7, 21);
    let rewired = hybrid.leave(PeerNo(7)).unwrap();
    assert_eq!(hybrid.lead_of(PeerNo(13)), Some(PeerNo(8)));
    assert_eq!(hybrid.above(PeerNo(8)), Some(PeerNo(0)));
    assert_eq!(rewired, Rewired::Peers([0, 8, 9, 10, 11, 12, 13].map(PeerNo).into()));
    hybrid.leave(PeerNo(0)).unwrap();
    assert_eq!(hybrid.queen(), Some(PeerNo(1)));
    assert_eq!(numbers(&hybrid.below(PeerNo(1))), [2, 3, 4, 5, 6, 8, 14]);
}

#[test]
fn nearly_empty_cells_merge_and_leave_room_for_one() {
    let mut hybrid = shape(Topology::Hybrid, 7, 14);
    for peer in [8, 9, 10, 11, 12] {
        hybrid.leave(PeerNo(peer)).unwrap();
        hybrid.check_invariants();
    }
    assert_eq!(numbers(hybrid.cell(PeerNo(7))), [7, 13], "7 and 2 do not fit");
    hybrid.leave(PeerNo(1)).unwrap();
    hybrid.leave(PeerNo(2)).unwrap();
    assert_eq!(hybrid.cells(), 2, "5 and 2 would leave no room");
    hybrid.leave(PeerNo(3)).unwrap();
    assert_eq!(hybrid.cells(), 1);
    assert_eq!(numbers(hybrid.cell(PeerNo(0))), [0, 4, 5, 6, 7, 13]);
}

#[test]
fn what_cannot_be_changes_nothing() {
    let mut tree = shape(Topology::Hierarchical, 2, 2);
    let before = tree.clone();
    assert_eq!(tree.join(PeerNo(1)), Err(ShapeError::There { peer: PeerNo(1) }));
    assert_eq!(tree.leave(PeerNo(5)), Err(ShapeError::NotThere { peer: PeerNo(5) }));
    assert_eq!(tree, before);
    let none = Shape::new(Topology::Hybrid, 0).unwrap_err();
    assert_eq!(none.to_string(), "a tree can't have a branching of 0: expected at least 1; nothing changed");
}

#[test]
fn a_task_goes_down_to_where_most_is_free() {
    let tree = shape(Topology::Hierarchical, 2, 7);
    let mut workers = vec![worker(&[1], 2, 0); 7];
    workers[1].load = 2;
    assert_eq!(way(&tree, &workers, 0, &[1]), Ok(vec![0, 2]), "6 slots are free there, 4 below 1; 2 has as many as 5");
    workers[2].load = 1;
    assert_eq!(way(&tree, &workers, 0, &[1]), Ok(vec![0, 2, 5]), "5 comes before 6");
    workers[2].load = 0;
    workers[5].load = 1;
    workers[6].load = 2;
    assert_eq!(way(&tree, &workers, 0, &[1]), Ok(vec![0, 1, 3]));
    workers[6].capabilities = needs(&[1, 2]);
    assert_eq!(way(&tree, &workers, 0, &[1, 2]), Ok(vec![0, 2, 6]), "whoever can, free or not");
    assert_eq!(way(&tree, &workers, 0, &[3]), Err(Nobody::Capable));
    assert_eq!(way(&tree, &workers, 9, &[1]), Err(Nobody::NotThere { from: PeerNo(9) }));
}

#[test]
fn two_who_can_half_of_it_each_are_nobody_who_can_it() {
    let tree = shape(Topology::Hierarchical, 2, 3);
    let workers = [worker(&[], 1, 0), worker(&[1], 1, 0), worker(&[2], 1, 0)];
    assert_eq!(way(&tree, &workers, 0, &[1, 2]), Err(Nobody::Capable));
    let sums = summaries(&tree, &(0..).map(PeerNo).zip(workers).collect());
    assert_eq!(sums[&PeerNo(0)].free_by_capability(), BTreeMap::from([(CapNo(1), 1), (CapNo(2), 1)]));
}

#[test]
fn a_queen_works_only_when_nobody_else_can() {
    let tree = shape(Topology::Hierarchical, 2, 2);
    let workers = [worker(&[1, 2], 9, 0), worker(&[1], 1, 1)];
    assert_eq!(way(&tree, &workers, 0, &[1]), Ok(vec![0, 1]));
    assert_eq!(way(&tree, &workers, 0, &[2]), Ok(vec![0]));
}

#[test]
fn where_nothing_is_free_it_goes_to_the_shortest_queue() {
    let tree = shape(Topology::Hierarchical, 7, 4);
    let workers = [worker(&[], 0, 0), worker(&[1], 1, 4), worker(&[1], 2, 4), worker(&[1], 1, 4)];
    assert_eq!(way(&tree, &workers, 0, &[1]), Ok(vec![0, 2]));
}

#[test]
fn a_task_stays_in_its_cell_while_there_is_room_and_else_calls_another() {
    let hybrid = shape(Topology::Hybrid, 7, 21);
    let mut workers = vec![worker(&[1], 1, 1); 21];
    workers[10].load = 0;
    workers[18].load = 0;
    assert_eq!(way(&hybrid, &workers, 9, &[1]), Ok(vec![9, 7, 10]));
    workers[10].load = 1;
    assert_eq!(way(&hybrid, &workers, 9, &[1]), Ok(vec![9, 7, 0, 14, 18]), "by the leads");
    workers[18].capabilities = needs(&[1, 5]);
    assert_eq!(way(&hybrid, &workers, 18, &[5]), Ok(vec![18]));
}

#[test]
fn a_task_does_not_travel_for_ever() {
    let chain = shape(Topology::Hierarchical, 1, 40);
    let mut workers = vec![worker(&[], 1, 0); 40];
    workers[HOPS_MAX - 1] = worker(&[1], 1, 0);
    assert_eq!(way(&chain, &workers, 0, &[1]).map(|way| way.len()), Ok(HOPS_MAX));
    workers.swap(HOPS_MAX - 1, HOPS_MAX + 1);
    assert_eq!(way(&chain, &workers, 0, &[1]), Err(Nobody::TooFar { hops: HOPS_MAX }));
}

#[test]
fn in_a_mesh_a_task_reaches_its_worker_in_one_step() {
    let mesh = shape(Topology::Mesh, 7, 4);
    let workers = [worker(&[1], 2, 1), worker(&[1], 2, 1), worker(&[1], 2, 0), worker(&[2], 9, 0)];
    assert_eq!(way(&mesh, &workers, 0, &[1]), Ok(vec![0, 2]));
    assert_eq!(way(&mesh, &workers, 2, &[1]), Ok(vec![2]));
}

#[test]
fn what_became_of_tasks_is_summed_up_by_subtree() {
    let hybrid = shape(Topology::Hybrid, 7, 15);
    let own: BTreeMap<PeerNo, Tally> =
        (0..15).map(|peer| (PeerNo(peer), Tally { done: 1, failed: u64::from(peer == 8), open: 2 })).collect();
    let sums = tallies(&hybrid, &own);
    assert_eq!(sums[&PeerNo(0)], Tally { done: 15, failed: 1, open: 30 });
    assert_eq!(sums[&PeerNo(7)], Tally { done: 7, failed: 1, open: 14 });
    assert_eq!(sums[&PeerNo(14)], Tally { done: 1, failed: 0, open: 2 });
}
