//! Loads that are told, and what is said of them.

use proptest::prelude::*;

use super::*;

fn balancer() -> LoadBalancer {
    LoadBalancer::new(asked(), Shelf::new()).unwrap()
}

fn told(loads: &[(&str, f64)]) -> LoadBalancer {
    let balancer = balancer();
    for (peer, load) in loads {
        balancer.update_peer_load(peer, *load).unwrap();
    }
    balancer
}

#[test]
fn the_defaults_are_the_documented_ones_and_a_wrong_setting_is_named() {
    let expected = LoadBalancerConfig {
        imbalance_threshold: 1.5,
        rebalance_interval: Duration::from_secs(5),
        enable_auto_rebalance: true,
        aggressive_rebalancing: false,
        min_tasks_for_rebalance: 2,
    };
    assert_eq!(LoadBalancerConfig::default(), expected);
    let refuses = |config| LoadBalancer::new(config, Shelf::new()).err().unwrap().to_string();
    for imbalance_threshold in [0.9, f64::NAN, f64::INFINITY] {
        let error = refuses(LoadBalancerConfig { imbalance_threshold, ..asked() });
        assert_eq!(
            error,
            format!("`imbalance_threshold` of a balancer is {imbalance_threshold}, expected a number from 1 on")
        );
    }
    let error = refuses(LoadBalancerConfig { rebalance_interval: Duration::ZERO, ..asked() });
    assert_eq!(error, "`rebalance_interval` of a balancer is 0ns, expected 1 ms at least");
}

#[test]
fn the_least_loaded_is_chosen_and_of_equals_the_first_by_id() {
    let balancer = told(&[("a", 2.0), ("b", 1.0), ("c", 1.0)]);
    let choose = |ids: &[&str]| balancer.select_least_loaded_peer(&texts(ids));
    assert_eq!(choose(&["a", "c", "b"]).unwrap(), "b");
    assert_eq!(choose(&["a", "new"]).unwrap(), "new", "one never heard of has no load");
    assert_eq!(choose(&["a"]).unwrap(), "a");
    assert!(matches!(choose(&[]), Err(BalanceError::NoCandidates)));
    balancer.update_peer_load("zero", -0.0).unwrap();
    assert_eq!(choose(&["zero", "new"]).unwrap(), "new");
}

#[test]
fn what_is_no_load_is_refused_and_changes_nothing() {
    let balancer = told(&[("a", 2.5)]);
    for load in [-1.0, f64::NAN, f64::INFINITY, 2.0 * LOAD_MAX] {
        let error = balancer.update_peer_load("a", load).unwrap_err().to_string();
        assert!(error.contains(&load.to_string()) && error.ends_with("nothing changed"), "{error}");
    }
    for id in [String::new(), "p".repeat(257)] {
        assert!(matches!(balancer.update_peer_load(&id, 1.0), Err(BalanceError::PeerId { .. })));
    }
    assert!((balancer.peer_load("a") - 2.5).abs() < f64::EPSILON);
    assert!(balancer.peer_load("nobody").abs() < f64::EPSILON);
    assert_eq!(balancer.metrics().load_updates, 1);
    for number in 1..PEERS_MAX {
        balancer.update_peer_load(&number.to_string(), 0.0).unwrap();
    }
    assert!(matches!(balancer.update_peer_load("more", 1.0), Err(BalanceError::TooManyPeers { .. })));
    assert!(balancer.forget_peer("a") && !balancer.forget_peer("a"));
    balancer.update_peer_load("more", 1.0).unwrap();
}

#[test]
fn it_is_balanced_up_to_the_threshold() {
    let balancer = told(&[("a", 3.0), ("b", 1.0)]);
    assert!(balancer.is_balanced(1.5) && !balancer.is_balanced(1.49));
    assert!((balancer.metrics().current_imbalance_ratio - 1.5).abs() < f64::EPSILON);
    for idle in [told(&[]), told(&[("a", 0.0), ("b", 0.0)])] {
        assert!(idle.is_balanced(1.0));
        assert!((idle.metrics().current_imbalance_ratio - 1.0).abs() < f64::EPSILON);
    }
}

#[test]
fn the_distribution_is_what_was_worked_out_by_hand() {
    let loads = [("a", 2.0), ("b", 4.0), ("c", 4.0), ("d", 4.0), ("e", 5.0), ("f", 5.0), ("g", 7.0), ("h", 9.0)];
    let expected = LoadDistribution {
        average_load: 5.0,
        min_load: 2.0,
        max_load: 9.0,
        standard_deviation: 2.0,
        variance: 4.0,
        load_by_peer: loads.iter().map(|(peer, load)| ((*peer).to_owned(), *load)).collect(),
        overloaded_peers: texts(&["h"]),
        underloaded_peers: texts(&["a"]),
    };
    assert_eq!(told(&loads).load_distribution(), expected);
    assert_eq!(balancer().load_distribution(), LoadDistribution::default());
    let strict = LoadBalancer::new(LoadBalancerConfig { imbalance_threshold: 2.0, ..asked() }, Shelf::new()).unwrap();
    loads.iter().for_each(|(peer, load)| strict.update_peer_load(peer, *load).unwrap());
    let spread = strict.load_distribution();
    assert_eq!((spread.overloaded_peers, spread.underloaded_peers), (vec![], texts(&["a"])), "the threshold counts");
}

proptest! {
    #[test]
    fn whatever_is_told_the_figures_fit_together(loads in prop::collection::vec(0.0..LOAD_MAX, 1..20)) {
        let balancer = balancer();
        for (peer, load) in loads.iter().enumerate() {
            balancer.update_peer_load(&peer.to_string(), *load).unwrap();
        }
        let spread = balancer.load_distribution();
        let close = |one: f64, other: f64| (one - other).abs() <= 1e-9 * one.abs().max(other.abs());
        prop_assert!(spread.min_load <= spread.max_load && spread.average_load <= spread.max_load * (1.0 + 1e-9));
        prop_assert!(close(spread.standard_deviation.powi(2), spread.variance));
        let ratio = balancer.metrics().current_imbalance_ratio;
        prop_assert!(balancer.is_balanced(ratio * (1.0 + 1e-9)) && (ratio <= 1.0 || !balancer.is_balanced(ratio * (1.0 - 1e-9))));
        let over = |load: f64| load > 1.5 * spread.average_load;
        prop_assert_eq!(spread.overloaded_peers.len(), loads.iter().filter(|load| over(**load)).count());
        prop_assert_eq!(spread.overloaded_peers.is_empty(), balancer.is_balanced(1.5));
    }
}
