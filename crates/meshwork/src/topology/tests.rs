//! What is chosen, what is said about it, and that each is counted once.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

fn config(topology: TopologyType, max_agents: u32) -> TopologyConfig {
    TopologyConfig { topology, max_agents, ..TopologyConfig::default() }
}

#[test]
fn auto_takes_the_recommendation_and_strategy_shifts_it() {
    let router = TopologyRouter::new();
    let chosen = |max_agents, strategy| {
        let config = TopologyConfig { strategy: Some(strategy), ..config(TopologyType::Auto, max_agents) };
        router.choose(&config).unwrap().topology
    };
    for (agents, balanced, performance) in [
        (7, Topology::Mesh, Topology::Mesh),
        (8, Topology::Hierarchical, Topology::Mesh),
        (49, Topology::Hierarchical, Topology::Hierarchical),
        (50, Topology::Hybrid, Topology::Hierarchical),
        (99, Topology::Hybrid, Topology::Hybrid),
    ] {
        assert_eq!(chosen(agents, CoordinationStrategy::Balanced), balanced);
        assert_eq!(chosen(agents, CoordinationStrategy::Adaptive), balanced);
        assert_eq!(chosen(agents, CoordinationStrategy::Performance), performance);
        assert_eq!(router.recommended_topology(u64::from(agents)), balanced.into());
    }
    let adaptive = TopologyConfig { strategy: Some(CoordinationStrategy::Adaptive), ..config(TopologyType::Auto, 60) };
    let adaptive = router.choose(&adaptive).unwrap();
    assert_eq!(adaptive.reconsidered(50, 49), Some(Topology::Hierarchical));
    assert_eq!(router.choose(&config(TopologyType::Auto, 60)).unwrap().reconsidered(50, 49), None);
}

#[test]
fn every_choice_override_and_error_is_counted_once() {
    let router = TopologyRouter::new();
    let mut expected = TopologyRouterMetrics::default();
    let words = [TopologyType::Mesh, TopologyType::Hierarchical, TopologyType::Hybrid, TopologyType::Auto];
    for agents in [0, 1, 7, 8, 30, 49, 50, 200] {
        for word in words {
            let Ok(chosen) = router.choose(&config(word, agents)) else {
                assert_eq!(agents, 0);
                expected.validation_errors += 1;
                continue;
            };
            expected.total_selections += 1;
            match chosen.topology {
                Topology::Mesh => expected.mesh_selections += 1,
                Topology::Hierarchical => expected.hierarchical_selections += 1,
                Topology::Hybrid => expected.hybrid_selections += 1,
            }
            assert_eq!(chosen.shape.topology(), chosen.topology);
            assert_eq!(chosen.scaling.is_some(), chosen.topology == Topology::Hierarchical);
            let insisted = word != TopologyType::Auto && word != router.recommended_topology(u64::from(agents));
            assert_eq!(chosen.validation.warnings.len(), usize::from(insisted));
            expected.topology_overrides += u64::from(insisted);
        }
    }
    assert!(!router.validate_topology(TopologyType::Mesh, 0).valid);
    expected.validation_errors += 1;
    assert!(router.validate_topology(TopologyType::Mesh, 100).valid, "a question is no choice");
    assert_eq!(router.metrics(), expected);
    // Taken apart whole: a new figure has to be counted here, too.
    let TopologyRouterMetrics {
        total_selections,
        mesh_selections,
        hierarchical_selections,
        hybrid_selections,
        topology_overrides,
        validation_errors,
    } = expected;
    assert_eq!((total_selections, validation_errors), (28, 5));
    assert_eq!(mesh_selections + hierarchical_selections + hybrid_selections, 28);
    assert_eq!(topology_overrides, 2 * 7, "of three topologies two are not the recommended one");
}

#[test]
fn fields_that_cannot_be_are_named_and_nothing_is_chosen() {
    let router = TopologyRouter::new();
    let refused = |queen: QueenAgentConfig, consensus: ConsensusConfig| {
        let config = TopologyConfig {
            hierarchical_config: Some(queen),
            consensus_config: Some(consensus),
            ..config(TopologyType::Mesh, 5)
        };
        router.choose(&config).unwrap_err().to_string()
    };
    let queen = QueenAgentConfig::default;
    let votes = ConsensusConfig::default;
    let cases = [
        (refused(QueenAgentConfig { min_workers: 0, ..queen() }, votes()), "hierarchicalConfig.minWorkers is 0"),
        (
            refused(QueenAgentConfig { min_workers: 4, max_workers: Some(3), ..queen() }, votes()),
            "hierarchicalConfig.maxWorkers is 3: expected at least minWorkers, 4",
        ),
        (refused(QueenAgentConfig { branching: 0, ..queen() }, votes()), "hierarchicalConfig.branching is 0"),
        (
            refused(QueenAgentConfig { scaling_threshold: 1.1, ..queen() }, votes()),
            "hierarchicalConfig.scalingThreshold is 1.1: expected a share of at least 0.001 and at most 1",
        ),
        (
            refused(QueenAgentConfig { scaling_threshold: f64::NAN, ..queen() }, votes()),
            "hierarchicalConfig.scalingThreshold is NaN",
        ),
        (refused(queen(), ConsensusConfig { threshold: 0.0, ..votes() }), "in consensusConfig: threshold is 0"),
    ];
    for (found, expected) in &cases {
        assert!(found.starts_with(expected), "{found}");
    }
    let metrics = router.metrics();
    assert_eq!((metrics.total_selections, metrics.validation_errors), (0, cases.len() as u64));
}

#[test]
fn a_queen_has_the_seeds_defaults() {
    let scaling = QueenAgentConfig::default().scaling(20).unwrap();
    assert_eq!(scaling, Scaling { min_workers: 1, max_workers: 19, auto: true, threshold_permille: 800 });
    let alone = QueenAgentConfig { min_workers: 3, auto_scale: false, ..QueenAgentConfig::default() };
    let scaling = alone.scaling(1).unwrap();
    assert_eq!((scaling.min_workers, scaling.max_workers, scaling.auto), (3, 3, false));
    let chosen = TopologyRouter::new().choose(&config(TopologyType::Hierarchical, 20)).unwrap();
    let busy = Workers { workers: 4, slots: 4, busy: 4 };
    assert_eq!(chosen.scaling.unwrap().decide(busy), ScalingDecision::Add(2));
}

#[test]
fn every_setting_of_a_queen_is_in_how_it_scales() {
    // Taken apart whole: a new setting has to change something here, too.
    let QueenAgentConfig { min_workers, max_workers, branching, auto_scale, scaling_threshold } = QueenAgentConfig {
        min_workers: 2,
        max_workers: Some(6),
        branching: 3,
        auto_scale: false,
        scaling_threshold: 0.25,
    };
    let queen = QueenAgentConfig { min_workers, max_workers, branching, auto_scale, scaling_threshold };
    let config = TopologyConfig { hierarchical_config: Some(queen), ..config(TopologyType::Hierarchical, 20) };
    let chosen = TopologyRouter::new().choose(&config).unwrap();
    let expected = Scaling { min_workers: 2, max_workers: 6, auto: false, threshold_permille: 250 };
    assert_eq!((chosen.scaling, chosen.choice.branching.get()), (Some(expected), 3));
}

#[test]
fn branching_shapes_the_tree() {
    let queen = QueenAgentConfig { branching: 2, ..QueenAgentConfig::default() };
    let config = TopologyConfig { hierarchical_config: Some(queen), ..config(TopologyType::Hierarchical, 9) };
    let mut shape = TopologyRouter::new().choose(&config).unwrap().shape;
    for peer in 0..9 {
        shape.join(meshwork_core::PeerNo(peer)).unwrap();
    }
    assert_eq!(shape.below(meshwork_core::PeerNo(0)).len(), 2);
}

#[test]
fn votes_are_held_where_they_are_enabled_by_the_topologys_protocol() {
    let router = TopologyRouter::new();
    let protocol = |topology, enable_consensus| {
        let config = TopologyConfig { enable_consensus, ..config(topology, 5) };
        router.choose(&config).unwrap().consensus.and_then(|consensus| consensus.protocol)
    };
    assert_eq!(protocol(TopologyType::Mesh, Some(true)), Some(ConsensusProtocol::Quorum));
    assert_eq!(protocol(TopologyType::Hybrid, Some(true)), Some(ConsensusProtocol::Quorum));
    assert_eq!(protocol(TopologyType::Hierarchical, Some(true)), Some(ConsensusProtocol::Leader));
    assert_eq!((protocol(TopologyType::Mesh, Some(false)), protocol(TopologyType::Mesh, None)), (None, None));
    let of_a_hierarchy = |given| {
        let consensus_config = Some(ConsensusConfig { protocol: given, max_retries: 3, ..ConsensusConfig::default() });
        let enabled =
            TopologyConfig { enable_consensus: Some(true), consensus_config, ..config(TopologyType::Hierarchical, 9) };
        router.choose(&enabled).unwrap().consensus.map(|consensus| (consensus.protocol, consensus.max_retries))
    };
    assert_eq!(of_a_hierarchy(None), Some((Some(ConsensusProtocol::Leader), 3)), "the rest as it is given");
    assert_eq!(of_a_hierarchy(Some(ConsensusProtocol::Quorum)), Some((Some(ConsensusProtocol::Quorum), 3)));
}

#[test]
fn the_words_are_the_seeds() {
    let config: TopologyConfig = serde_json::from_value(json!({
        "topology": "hierarchical", "maxAgents": 9, "strategy": "adaptive", "enableConsensus": true,
        "hierarchicalConfig": { "minWorkers": 2, "maxWorkers": 8, "branching": 3, "autoScale": false,
            "scalingThreshold": 0.5 },
        "consensusConfig": { "protocol": "leader", "quorumSize": 2, "threshold": 0.75, "timeoutMs": 5, "maxRetries": 0 },
    }))
    .unwrap();
    assert_eq!(config.hierarchical_config.as_ref().unwrap().max_workers, Some(8));
    assert_eq!(config.consensus_config.as_ref().unwrap().quorum_size, Some(2));
    let typo = serde_json::from_value::<QueenAgentConfig>(json!({ "minWorker": 2 })).unwrap_err();
    assert!(typo.to_string().contains("unknown field `minWorker`"), "{typo}");
    let router = TopologyRouter::new();
    let said = serde_json::to_value(router.validate_topology(TopologyType::Mesh, 8)).unwrap();
    assert_eq!(said["recommendedTopology"], "hierarchical");
    assert_eq!(said["suggestions"].as_array().unwrap().len(), 2);
    let suits = serde_json::to_value(router.validate_topology(TopologyType::Mesh, 2)).unwrap();
    assert!(suits.get("recommendedTopology").is_none());
    let names = serde_json::to_value(router.metrics()).unwrap();
    let names: Vec<&str> = names.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "totalSelections",
        "meshSelections",
        "hierarchicalSelections",
        "hybridSelections",
        "topologyOverrides",
        "validationErrors",
    ];
    assert_eq!(names, expected);
}
