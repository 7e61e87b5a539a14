//! What is recommended, what is said about something else, and when a queen scales.

use proptest::prelude::*;

use super::super::{Strategy, *};

#[test]
fn the_recommendation_by_number_of_agents() {
    let word = |agents| recommended(agents).word();
    assert_eq!(
        [1, 7, 8, 49, 50, 10_000].map(word),
        ["mesh", "mesh", "hierarchical", "hierarchical", "hybrid", "hybrid"]
    );
    let word = |agents| Strategy::Performance.recommended(agents).word();
    assert_eq!([7, 14, 15, 98, 99].map(word), ["mesh", "mesh", "hierarchical", "hierarchical", "hybrid"]);
    for agents in 0..200 {
        assert_eq!(Strategy::Adaptive.recommended(agents), recommended(agents));
    }
}

#[test]
fn only_adaptive_looks_again_and_only_where_a_limit_is_crossed() {
    let adaptive = |before, now| Strategy::Adaptive.reconsidered(before, now);
    assert_eq!(adaptive(7, 8), Some(Topology::Hierarchical));
    assert_eq!(adaptive(50, 49), Some(Topology::Hierarchical));
    assert_eq!(adaptive(8, 3), Some(Topology::Mesh));
    assert_eq!(adaptive(3, 400), Some(Topology::Hybrid));
    assert_eq!((adaptive(8, 49), adaptive(5, 6), adaptive(8, 0)), (None, None, None));
    assert_eq!(Strategy::Balanced.reconsidered(7, 8), None);
    assert_eq!(Strategy::Performance.reconsidered(14, 15), None);
}

#[test]
fn nobody_is_an_error() {
    for requested in [Requested::Auto, Requested::Explicit(Topology::Hybrid)] {
        let none = validate(requested, 0);
        assert!(!none.valid && !none.is_override() && none.recommended.is_none());
        assert_eq!(none.errors, ["a swarm of 0 agents can do nothing: found 0, expected at least 1"]);
        assert_eq!(none.suggestions, ["name at least one agent"]);
    }
}

#[test]
fn what_suits_needs_no_words() {
    for (agents, topology) in [(1, Topology::Mesh), (8, Topology::Hierarchical), (50, Topology::Hybrid)] {
        for requested in [Requested::Auto, Requested::Explicit(topology)] {
            let suits = validate(requested, agents);
            assert_eq!(suits, Validation { valid: true, ..Validation::default() });
            assert!(!suits.is_override());
        }
    }
}

#[test]
fn what_does_not_suit_is_honoured_with_a_warning_that_has_numbers() {
    let said = |topology, agents| {
        let result = validate(Requested::Explicit(topology), agents);
        assert!(result.valid && result.errors.is_empty() && result.is_override());
        let [warning] = result.warnings.as_slice() else { panic!("{result:?}") };
        (warning.clone(), result.recommended, result.suggestions)
    };
    let (warning, best, suggestions) = said(Topology::Mesh, 12);
    assert_eq!(
        warning,
        "mesh works with 12 agents, but hierarchical is recommended for that many: every agent has 11 neighbours, and \
         one round of heartbeats is 132 messages"
    );
    assert_eq!(best, Some(Topology::Hierarchical));
    let both = ["use `hierarchical` or `auto` for 12 agents", "or keep `mesh` with at most 7 agents"];
    assert_eq!(suggestions, both);
    let (warning, best, suggestions) = said(Topology::Hybrid, 20);
    assert!(warning.ends_with("cells of at most 7 would be 3 here, and a tree of so few leads saves nothing"));
    assert_eq!(
        (best, suggestions[1].as_str()),
        (Some(Topology::Hierarchical), "or keep `hybrid` for 50 agents and more")
    );
    let (warning, ..) = said(Topology::Hierarchical, 3);
    assert!(warning.contains("2 neighbours are few"), "{warning}");
    let (warning, best, _) = said(Topology::Hierarchical, 60);
    assert!(warning.contains("cuts off all below it"), "{warning}");
    assert_eq!(best, Some(Topology::Hybrid));
    assert!(!validate_with(Requested::Explicit(Topology::Mesh), 12, Strategy::Performance).is_override());
}

const QUEEN: Scaling = Scaling { min_workers: 1, max_workers: 20, auto: true, threshold_permille: 800 };

#[test]
fn a_queen_scales_between_its_limits() {
    let decide = |workers: u32, busy: u64| QUEEN.decide(Workers { workers, slots: u64::from(workers) * 3, busy });
    assert_eq!(decide(4, 9), ScalingDecision::Stay, "9 of 12 is below 0.8");
    assert_eq!(decide(4, 10), ScalingDecision::Add(1), "10 of 12 is above, 10 of 15 is not");
    assert_eq!(decide(4, 40), ScalingDecision::Add(13), "40 of 51 is below 0.8");
    assert_eq!(decide(4, 1_000), ScalingDecision::Add(16), "no more than the maximum");
    assert_eq!(decide(10, 13), ScalingDecision::Stay, "13 of 30 is above half of 0.8");
    assert_eq!(decide(10, 8), ScalingDecision::Remove(5), "8 of 15 is at most three quarters of 0.8");
    assert_eq!(decide(10, 0), ScalingDecision::Remove(9), "no fewer than the minimum");
    assert_eq!(decide(0, 0), ScalingDecision::Add(1));
    let by_hand = Scaling { auto: false, ..QUEEN };
    let seen = |workers| Workers { workers, slots: u64::from(workers), busy: 0 };
    assert_eq!(by_hand.decide(seen(9)), ScalingDecision::Stay);
    assert_eq!(by_hand.decide(seen(25)), ScalingDecision::Remove(5));
}

#[test]
fn a_scaling_that_cannot_be() {
    let limits = Scaling { min_workers: 5, max_workers: 4, ..QUEEN }.validate().unwrap_err();
    assert_eq!(
        limits.to_string(),
        "at least 5 workers and at most 4: expected a minimum of at least 1 and no more than the maximum"
    );
    assert!(Scaling { min_workers: 0, ..QUEEN }.validate().is_err());
    for threshold_permille in [0, 1_001] {
        let found = Scaling { threshold_permille, ..QUEEN }.validate();
        assert_eq!(found, Err(ScalingError::Threshold { found: threshold_permille }));
    }
    assert_eq!(QUEEN.validate(), Ok(()));
}

proptest! {
    #[test]
    fn the_same_load_asked_twice_changes_nothing(
        workers in 1u32..200, slots in 1u64..20, busy in 0u64..5_000, threshold_permille in 1u32..=1_000,
    ) {
        let scaling = Scaling { max_workers: 150, threshold_permille, ..QUEEN };
        let seen = |workers: u32| Workers { workers, slots: u64::from(workers) * slots, busy };
        let then = match scaling.decide(seen(workers)) {
            ScalingDecision::Stay => workers,
            ScalingDecision::Add(more) => workers + more,
            ScalingDecision::Remove(fewer) => workers - fewer,
        };
        prop_assert!((1..=150).contains(&then));
        prop_assert_eq!(scaling.decide(seen(then)), ScalingDecision::Stay, "from {} to {}", workers, then);
    }
}
