//! Hierarchies, hybrids, the router, and votes.

use super::*;
use crate::consensus::{ConsensusConfig, Vote};
use crate::coordinator::SwarmConfig;
use crate::topology::{QueenAgentConfig, Scaling, Topology, TopologyConfig, TopologyRouter, TopologyType};
use serde_json::json;

fn hierarchy(peers: u32) -> MeshCoordinatorConfig {
    MeshCoordinatorConfig { topology: Topology::Hierarchical, branching: 2, ..config(peers) }
}

#[tokio::test]
async fn in_a_hierarchy_neighbours_are_parent_and_children_and_results_come_back_up() {
    let world = world(hierarchy(7), vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let queen = mesh.queen().expect("there is a queen");
    assert_eq!(mesh.peer(&queen).unwrap().neighbors.len(), 2);
    let edges: usize = mesh.active_peers().iter().map(|peer| peer.neighbors.len()).sum();
    assert_eq!(edges, 2 * 6, "a tree of seven");
    for n in 0..30 {
        soon(mesh.submit_task(task(&format!("t{n}"), &["x"]))).await.unwrap();
    }
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    let all = mesh.tally(&queen).unwrap();
    assert_eq!((all.done, all.failed, all.open), (30, 0, 0));
    let below: u64 = mesh.peer(&queen).unwrap().neighbors.iter().map(|id| mesh.tally(id).unwrap().done).sum();
    let own = mesh.peer(&queen).unwrap().metrics.tasks_completed;
    assert_eq!(below + own, 30);
}

#[tokio::test]
async fn work_is_delegated_to_where_there_is_room_and_the_queen_does_it_last() {
    let (slow, open) = gated(&["x"]);
    let world = world(MeshCoordinatorConfig { max_concurrent_tasks_per_peer: 1, ..hierarchy(7) }, vec![slow]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let queen = mesh.queen().unwrap();
    for n in 0..6 {
        let peer = soon(mesh.assign_task_to_peer(task(&format!("t{n}"), &["x"]))).await.unwrap();
        assert_ne!(peer, queen);
    }
    assert_eq!(soon(mesh.assign_task_to_peer(task("last", &["x"]))).await.unwrap(), queen);
    open.send_replace(true);
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
}

#[tokio::test]
async fn a_lost_queen_is_followed_and_work_goes_on() {
    let world = world(hierarchy(5), vec![echo(&["x"])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let queen = mesh.queen().unwrap();
    soon(mesh.terminate_agent(&queen, None)).await.unwrap();
    let next = mesh.queen().expect("another one");
    assert_ne!(next, queen);
    soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
}

#[tokio::test]
async fn a_hybrid_has_cells_and_an_expert_in_another_cell_is_found() {
    let mut agents = vec![echo(&["x"]); 19];
    agents.push(echo(&["rare"]));
    let world = world(MeshCoordinatorConfig { topology: Topology::Hybrid, ..config(20) }, agents);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    let most = mesh.active_peers().iter().map(|peer| peer.neighbors.len()).max().unwrap();
    assert!(most < 19, "nobody knows everybody: {most}");
    assert_eq!(soon(mesh.assign_task_to_peer(task("t", &["rare"]))).await.unwrap(), "swarm-peer-20");
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
}

#[tokio::test]
async fn a_queen_adds_workers_under_load_and_lets_them_go_after() {
    let (slow, open) = gated(&["x"]);
    let scaling = Scaling { min_workers: 1, max_workers: 4, auto: true, threshold_permille: 800 };
    let settings = MeshCoordinatorConfig { max_concurrent_tasks_per_peer: 2, scaling: Some(scaling), ..hierarchy(2) };
    let world = world(settings, vec![slow]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    assert_eq!(mesh.active_agents().len(), 2);
    for n in 0..20 {
        soon(mesh.submit_task(task(&format!("t{n}"), &["x"]))).await.unwrap();
    }
    until(|| mesh.active_agents().len() == 5).await;
    open.send_replace(true);
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    until(|| mesh.active_agents().len() == 2).await;
    assert_eq!(mesh.mesh_metrics().completed_tasks, 20);
}

#[tokio::test]
async fn every_coordinator_that_the_router_returns_works() {
    let router = TopologyRouter::new();
    let cases = [
        (TopologyType::Auto, 3, Topology::Mesh),
        (TopologyType::Auto, 12, Topology::Hierarchical),
        (TopologyType::Auto, 50, Topology::Hybrid),
        (TopologyType::Mesh, 9, Topology::Mesh),
        (TopologyType::Hybrid, 4, Topology::Hybrid),
    ];
    for (topology, max_agents, expected) in cases {
        let prepared = world(config(1), vec![echo(&["x"])]);
        let wanted = TopologyConfig { topology, max_agents, ..TopologyConfig::default() };
        let swarm = SwarmConfig { topology: wanted, mesh: config(1), ..SwarmConfig::default() };
        let deps = prepared.coordinator.0.deps.clone();
        let mesh = router.select_coordinator(&swarm, deps, vec![echo(&["x"])]).unwrap();
        assert_eq!(mesh.topology(), expected);
        soon(mesh.initialize()).await.unwrap();
        soon(mesh.assign_task_to_peer(task("t", &["x"]))).await.unwrap();
        assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
        soon(mesh.cleanup()).await.unwrap();
    }
    let metrics = router.metrics();
    assert_eq!((metrics.total_selections, metrics.mesh_selections, metrics.hybrid_selections), (5, 2, 2));
    assert_eq!((metrics.hierarchical_selections, metrics.topology_overrides), (1, 2));
    let wrong = QueenAgentConfig { min_workers: 0, ..QueenAgentConfig::default() };
    let config_of = |max_agents, queen| SwarmConfig {
        topology: TopologyConfig {
            topology: TopologyType::Hierarchical,
            max_agents,
            hierarchical_config: queen,
            ..TopologyConfig::default()
        },
        mesh: config(1),
        ..SwarmConfig::default()
    };
    let deps = world(config(1), Vec::new()).coordinator.0.deps.clone();
    let nobody = router.select_coordinator(&config_of(0, None), deps.clone(), Vec::new());
    assert!(nobody.is_err());
    let error = router.select_coordinator(&config_of(9, Some(wrong)), deps, Vec::new()).err().expect("refused");
    assert!(error.to_string().contains("minWorkers"), "{error}");
    let deps = world(config(1), Vec::new()).coordinator.0.deps.clone();
    let never = MeshCoordinatorConfig { completion_timeout: Duration::ZERO, ..config(1) };
    let error = router.select_coordinator(&SwarmConfig { mesh: never, ..config_of(9, None) }, deps, Vec::new());
    assert!(error.err().expect("refused").to_string().contains("completionTimeoutMs"));
    assert_eq!(router.metrics().total_selections, 5, "nothing was made");
}

#[tokio::test]
async fn as_many_peers_begin_as_are_asked_for_within_what_there_may_be() {
    let router = TopologyRouter::new();
    let select = |topology, peer_count| {
        // Its folder is there as long as it is.
        let place = world(config(1), Vec::new());
        let deps = place.coordinator.0.deps.clone();
        let queen = QueenAgentConfig { auto_scale: false, ..QueenAgentConfig::default() };
        let hierarchical_config = Some(queen);
        let topology = TopologyConfig { topology, max_agents: 9, hierarchical_config, ..TopologyConfig::default() };
        let swarm = SwarmConfig { topology, mesh: config(1), peer_count };
        router.select_coordinator(&swarm, deps, vec![echo(&[])]).map(|coordinator| (place, coordinator))
    };
    let (mesh, tree) = (TopologyType::Mesh, TopologyType::Hierarchical);
    for (topology, asked, expected) in [(mesh, None, 9), (mesh, Some(2), 2), (tree, None, 2), (tree, Some(9), 9)] {
        let (_place, coordinator) = select(topology, asked).unwrap();
        soon(coordinator.initialize()).await.unwrap();
        assert_eq!(coordinator.active_agents().len(), expected);
        soon(coordinator.cleanup()).await.unwrap();
    }
    for (topology, asked) in [(mesh, 0), (mesh, 10), (tree, 1), (tree, 10)] {
        let error = select(topology, Some(asked)).err().expect("refused").to_string();
        assert!(error.starts_with(&format!("peerCount is {asked}, expected")), "{error}");
    }
}

#[tokio::test]
async fn peers_vote_on_proposals_and_a_leader_decides_in_a_hierarchy() {
    let settings = MeshCoordinatorConfig { consensus: Some(ConsensusConfig::default()), ..config(3) };
    let world = world(settings, vec![echo(&[])]);
    let mesh = &world.coordinator;
    soon(mesh.initialize()).await.unwrap();
    for id in mesh.active_agents() {
        mesh.register_voter(&id.clone(), move |proposal| {
            let cautious = id.ends_with('1');
            async move {
                if cautious && proposal.content["risk"].as_u64() > Some(5) { Vote::reject() } else { Vote::approve() }
            }
        })
        .unwrap();
    }
    assert!(soon(mesh.propose(json!({ "risk": 1 }))).await.unwrap().approved);
    let risky = soon(mesh.propose(json!({ "risk": 9 }))).await.unwrap();
    assert!(risky.approved, "two of three: {risky:?}");
    let without = super::world(config(1), vec![echo(&[])]);
    soon(without.coordinator.initialize()).await.unwrap();
    assert_eq!(soon(without.coordinator.propose(json!(1))).await.unwrap_err().code(), "ConsensusDisabled");
}
