//! The stand-alone detector never announces early, can always still announce, and the model would notice if not.

use meshwork_core::detector::DetectorMutant;
use meshwork_proof::detector::world::Setup;
use meshwork_proof::detector::{SMALL, early, hunting_ground, reach};

#[test]
fn completion_is_never_announced_early() {
    for size in SMALL {
        let (states, early) = early(size);
        assert!(early.is_none(), "{}: after {states} states: {early:?}", size.name);
        assert!(states > 1_000, "{}: {states} states are hardly a model", size.name);
    }
}

#[test]
fn from_every_state_completion_can_still_be_reached() {
    for size in SMALL {
        let reach = reach::walk(size);
        assert!(reach.stuck.is_none(), "{}: stuck after {:?}", size.name, reach.stuck);
        assert!(reach.announced > 0, "{}: nothing was ever announced", size.name);
    }
}

#[test]
fn both_walks_see_the_same_graph() {
    let size = Setup { messages: 1, ..SMALL[0].clone() };
    assert_eq!(early(&size).0, reach::walk(&size).states);
}

#[test]
fn every_mutant_is_caught_and_its_rule_holds_otherwise() {
    let mut missed = Vec::new();
    for (mutant, name) in DetectorMutant::ALL {
        let ground = hunting_ground(*mutant);
        let (states, caught) = early(&ground);
        match caught {
            // What a way ends with is what the mutant did, not what the unbroken machine would do too.
            Some(caught) => assert!(!unbroken_is_early(&ground, &caught.way), "{name}: the rule itself is early"),
            None => missed.push(format!("{name} in {states} states")),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// Whether the same steps lead to an early announcement without the mutant, as far as they are possible.
fn unbroken_is_early(ground: &Setup, way: &[meshwork_proof::detector::world::Action]) -> bool {
    let unbroken = Setup { mutant: None, ..ground.clone() };
    let mut world = unbroken.start();
    for action in way {
        if !unbroken.possible(&world).contains(action) {
            return false;
        }
        world = unbroken.after(&world, *action);
    }
    world.is_early()
}
