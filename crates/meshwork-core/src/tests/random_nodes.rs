//! Several nodes, one log, and a world that does to them whatever it may: in the end everybody agrees,
//! every round is closed, and nothing is left running.
//!
//! `MESHWORK_SEQUENCES` sets how many worlds run, `MESHWORK_SEED` replays one.

use super::nodes_world::NodesWorld;
use super::random::for_each_seed;
use std::collections::BTreeSet;

/// Worlds when nobody asks for another number: some seconds on two cores.
const WORLDS: u64 = 2_000;

fn world(seed: u64) -> NodesWorld {
    let mut world = NodesWorld::new(seed);
    world.run();
    world
}

#[test]
fn nodes_that_crash_stall_and_are_suspected_finish_every_round() {
    let seen = for_each_seed("nodes_that_crash", WORLDS, |seed| {
        let world = world(seed);
        world.assert_done();
        world.seen
    });
    let worlds = seen.len() as u64;
    let seen: BTreeSet<&str> = seen.into_iter().flatten().collect();
    let all =
        ["a node crashed", "a node left", "a result came too late", "a round closed", "a wish was left undecided"];
    assert!(worlds < WORLDS || seen == BTreeSet::from(all), "{seen:?} is all that ever happens");
}

#[test]
fn the_same_seed_gives_the_same_log_byte_for_byte() {
    for seed in 0..20 {
        assert_eq!(world(seed).log, world(seed).log, "seed {seed}");
    }
}
