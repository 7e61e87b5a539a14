//! What is counted is what passes, nobody's task is lost, and a hybrid costs a fraction of a mesh.

use super::world::World;
use super::*;

fn plan(topology: Topology, peers: u32) -> Plan {
    Plan { topology, peers, tasks: peers * 2, ..Plan::default() }
}

const ALL: [Topology; 3] = [Topology::Mesh, Topology::Hierarchical, Topology::Hybrid];

#[test]
fn every_task_comes_back_although_a_lead_dies() {
    for topology in ALL {
        for peers in [2, 9, 50, 300] {
            for seed in 0..5 {
                let plan = Plan { seed, ..plan(topology, peers) };
                let report = run(&plan);
                assert_eq!(report.done, plan.tasks, "{plan:?}");
                let limit = TIMEOUT_MS + 2 * HEARTBEAT_MS;
                assert!(report.noticed_after_ms <= limit, "{plan:?}: {}", report.noticed_after_ms);
                let sent = report.heartbeats + report.steps + report.results + report.repair;
                let arrived = report.received + report.undelivered;
                let on_its_way = sent - arrived;
                assert!(on_its_way <= u64::from(peers) * report.neighbors as u64, "{plan:?}: {sent} {arrived}");
            }
        }
    }
}

#[test]
fn the_same_plan_costs_the_same() {
    for topology in ALL {
        assert_eq!(run(&plan(topology, 60)), run(&plan(topology, 60)));
    }
}

#[test]
fn a_mesh_pays_for_every_pair_and_each_second() {
    let plan = Plan { tasks: 1, seconds: 8, ..plan(Topology::Mesh, 40) };
    let report = run(&plan);
    // Eight rounds of the first, which dies after two, and of 39 others; one fewer to tell once that is known.
    let after = (report.heartbeats - 2 * 39) / 39;
    assert!((8 * 38..=8 * 39).contains(&after), "{after}");
    assert_eq!(report.joining, (1..=40).sum::<u64>() + 2 * (0..40).sum::<u64>());
    assert_eq!(report.neighbors, 39);
}

#[test]
fn a_hybrid_costs_a_fraction_of_a_mesh_and_stays_flat() {
    let upkeep = |topology, peers| {
        let plan = plan(topology, peers);
        run(&plan).upkeep_permille(&plan)
    };
    let (mesh, hybrid) = (upkeep(Topology::Mesh, 1_000), upkeep(Topology::Hybrid, 1_000));
    assert!(hybrid * 100 < mesh, "{hybrid} {mesh}");
    let larger = upkeep(Topology::Hybrid, 3_000);
    assert!(larger * 100 < hybrid * 110, "a peer's upkeep does not grow: {hybrid} {larger}");
}

#[test]
fn a_dead_lead_is_replaced_by_few() {
    let report = run(&plan(Topology::Hybrid, 700));
    assert_eq!(report.cells, 100);
    assert!(report.rewired <= 6 + 7, "its cell and the leads below: {}", report.rewired);
    let report = run(&plan(Topology::Hierarchical, 700));
    assert!(report.rewired <= 7 + 3, "{}", report.rewired);
    assert_eq!(report.depth, 4);
}

#[test]
fn what_leads_know_becomes_true_when_nothing_more_happens() {
    for topology in ALL {
        let mut world = World::new(plan(topology, 400));
        world.join_all();
        world.measure();
        world.rest(8 * HEARTBEAT_MS);
        assert!(world.has_converged(), "{topology}");
    }
}
