//! What a rebalance does to stored states.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::balance::stored::Intent;
use crate::discovery::{PeerDiscovery, PeerDiscoveryConfig};
use crate::peers::artifact;

async fn rebalanced(peers: impl IntoIterator<Item = StoredPeer>) -> (u64, BTreeMap<String, Vec<String>>) {
    let shelf = Shelf::new();
    let states = store(&shelf, "s", peers).await;
    let balancer = LoadBalancer::new(asked(), shelf).unwrap();
    let moved = balancer.rebalance("s").await.unwrap();
    (moved, tasks(&states, "s").await)
}

fn lists(all: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    all.iter().map(|(peer, tasks)| ((*peer).to_owned(), texts(tasks))).collect()
}

#[tokio::test]
async fn tasks_and_loads_are_rewritten_and_the_rest_stays() {
    let shelf = Shelf::new();
    let mut busy = peer("a", AgentState::Idle, &["1", "2", "3", "4", "5", "6"]);
    busy.state.capabilities = texts(&["x"]);
    busy.state.metrics.tasks_completed = 3;
    let mut free = peer("b", AgentState::Idle, &[]);
    free.state.capabilities = texts(&["y", "x"]);
    let states = store(&shelf, "s", [busy.clone(), free]).await;
    let other = [peer("a", AgentState::Idle, &["1", "2", "3"]), peer("b", AgentState::Idle, &[])];
    store(&shelf, "other", other).await;
    let balancer = LoadBalancer::new(asked(), shelf).unwrap();
    balancer.update_peer_load("a", 8.0).unwrap();
    assert_eq!(balancer.rebalance("s").await.unwrap(), 3);
    assert_eq!(tasks(&states, "s").await, lists(&[("a", &["1", "2", "3"]), ("b", &["4", "5", "6"])]));
    let found = states.all("s").await.unwrap().peers;
    let written = found["a"].state.last_updated;
    assert!(written > 0);
    busy.state = PeerState { active_tasks: texts(&["1", "2", "3"]), load: 3.0, last_updated: written, ..busy.state };
    assert_eq!(found["a"], busy, "all but tasks, load and time");
    assert!((balancer.peer_load("a") - 3.0).abs() < f64::EPSILON, "what was told is over");
    assert!((balancer.peer_load("b") - 3.0).abs() < f64::EPSILON && balancer.is_balanced(1.0));
    assert_eq!(tasks(&states, "other").await["a"].len(), 3);
}

#[tokio::test]
async fn what_has_started_stays_and_not_everybody_takes() {
    let at_work = peer("a", AgentState::Working, &["1", "2"]);
    let idle = peer("b", AgentState::Idle, &[]);
    assert_eq!(rebalanced([at_work.clone(), idle.clone()]).await, (1, lists(&[("a", &["1"]), ("b", &["2"])])));
    let paused = peer("p", AgentState::Paused, &[]);
    assert_eq!(rebalanced([at_work.clone(), paused]).await.0, 0, "a paused peer gets no new work");
    let paused = peer("p", AgentState::Paused, &["1", "2", "3"]);
    assert_eq!(rebalanced([idle.clone(), paused]).await.1, lists(&[("b", &["3"]), ("p", &["1", "2"])]), "but gives");
    for gone in [AgentState::Error, AgentState::Terminated] {
        assert_eq!(rebalanced([at_work.clone(), peer("g", gone, &[])]).await.0, 0);
        assert_eq!(rebalanced([idle.clone(), peer("g", gone, &["1", "2", "3"])]).await.0, 0);
    }
    let mut able = peer("a", AgentState::Idle, &["1", "2", "3"]);
    able.state.capabilities = texts(&["x", "y"]);
    let mut less = peer("b", AgentState::Idle, &[]);
    less.state.capabilities = texts(&["x", "z"]);
    assert_eq!(rebalanced([able, less]).await.0, 0, "nobody gets what he may not be able to do");
}

#[tokio::test]
async fn no_needed_move_is_no_failure_and_few_tasks_are_left_alone() {
    let shelf = Shelf::new();
    let states =
        store(&shelf, "s", [peer("a", AgentState::Idle, &["1", "2", "3"]), peer("b", AgentState::Idle, &[])]).await;
    let patient = LoadBalancerConfig { min_tasks_for_rebalance: 4, ..asked() };
    let patient = LoadBalancer::new(patient, shelf.clone()).unwrap();
    assert_eq!(patient.rebalance("s").await.unwrap(), 0);
    assert_eq!(patient.rebalance("nobody").await.unwrap(), 0);
    let balancer = LoadBalancer::new(LoadBalancerConfig { min_tasks_for_rebalance: 3, ..asked() }, shelf).unwrap();
    assert_eq!(balancer.rebalance("s").await.unwrap(), 1);
    let before = tasks(&states, "s").await;
    for _ in 0..3 {
        assert_eq!(balancer.rebalance("s").await.unwrap(), 0, "never back and forth");
    }
    assert_eq!(tasks(&states, "s").await, before);
    let metrics = balancer.metrics();
    assert_eq!((metrics.total_rebalances, metrics.successful_rebalances, metrics.failed_rebalances), (4, 4, 0));
    assert_eq!((metrics.tasks_redistributed, patient.metrics().successful_rebalances), (1, 2));
}

#[tokio::test]
async fn a_write_that_fails_loses_no_task_and_the_next_rebalance_ends_it() {
    let shelf = Shelf::new();
    let all = ["1", "2", "3", "4"];
    let states = store(&shelf, "s", [peer("a", AgentState::Idle, &all), peer("b", AgentState::Idle, &[])]).await;
    let balancer = LoadBalancer::new(asked(), shelf.clone()).unwrap();
    shelf.refuse(Some(artifact::key("s", "a")));
    let error = balancer.rebalance("s").await.unwrap_err().to_string();
    assert!(error.starts_with("could not rebalance swarm \"s\"") && error.contains("0 tasks were moved"), "{error}");
    let listed = tasks(&states, "s").await;
    assert_eq!((listed["a"].len(), listed["b"].len()), (4, 2), "listed twice, and not lost");
    shelf.refuse(None);
    balancer.rebalance("s").await.unwrap();
    let listed = tasks(&states, "s").await;
    let distinct: BTreeSet<&String> = listed.values().flatten().collect();
    assert_eq!((listed["a"].len(), listed["b"].len(), distinct.len()), (2, 2, 4));
    let metrics = balancer.metrics();
    assert_eq!((metrics.total_rebalances, metrics.successful_rebalances, metrics.failed_rebalances), (2, 1, 1));
}

#[tokio::test]
async fn what_was_done_meanwhile_is_done_by_nobody_else() {
    let shelf = Shelf::new();
    let states =
        store(&shelf, "s", [peer("a", AgentState::Idle, &["1", "2", "3", "4"]), peer("b", AgentState::Idle, &[])])
            .await;
    let seen = states.all("s").await.unwrap().peers;
    let mut moved = Moved::default();
    store(&shelf, "s", [peer("a", AgentState::Idle, &["1", "2", "3"])]).await;
    let mover = StoredTasks(states.clone());
    mover.carry_out("s", &seen, &Intent::of(&seen), &mut moved).await.unwrap();
    assert_eq!(tasks(&states, "s").await, lists(&[("a", &["1", "2"]), ("b", &["3"])]));
    assert_eq!(moved.tasks, 1);
    assert_eq!(moved.loads, BTreeMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 1.0)]));
}

#[tokio::test]
async fn discovery_and_balancer_share_one_artifact_and_lose_nothing() {
    let shelf = Shelf::new();
    let (broker, settled) = crate::broker::Broker::new(
        crate::broker::BrokerConfig::default(),
        Arc::new(crate::broker::MailInMemory::default()),
    );
    drop(settled);
    let discovery = PeerDiscovery::new(PeerDiscoveryConfig::default(), Arc::new(broker), shelf.clone()).unwrap();
    discovery.start_discovery("s").await.unwrap();
    for id in ["a", "b"] {
        discovery.update_peer_capabilities(id, &texts(&["x"])).await.unwrap();
    }
    let states = PeerStates::new(shelf.clone());
    let give = |stored: Option<StoredPeer>| {
        stored.map(|mut stored| {
            stored.state.active_tasks = (0..100).map(|task| task.to_string()).collect();
            stored
        })
    };
    states.change("s", "a", give).await.unwrap();
    let balancer = LoadBalancer::new(asked(), shelf).unwrap();
    let talk = async {
        for round in 0..50 {
            discovery.update_peer_capabilities("a", &texts(&["x", &round.to_string()])).await.unwrap();
            discovery.update_peer_capabilities("a", &texts(&["x"])).await.unwrap();
        }
    };
    let (moved, ()) = tokio::join!(balancer.rebalance("s"), talk);
    assert_eq!(moved.unwrap() + balancer.rebalance("s").await.unwrap(), 50);
    let found = states.all("s").await.unwrap().peers;
    assert_eq!(["a", "b"].map(|id| found[id].state.active_tasks.len()), [50, 50]);
    assert_eq!(found["a"].state.capabilities, ["x"]);
}

fn any_peers() -> impl Strategy<Value = BTreeMap<String, StoredPeer>> {
    let states = [AgentState::Idle, AgentState::Working, AgentState::Paused, AgentState::Terminated];
    let one = (prop::sample::select(states.to_vec()), 0..2_u8, 0..5_u64, prop::collection::vec(0..40_u8, 0..15));
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let one = |(number, (state, abilities, updated, tasks)): (usize, (AgentState, u8, u64, Vec<u8>))| {
            let id = format!("p{number}");
            let tasks: Vec<String> = tasks.iter().map(u8::to_string).collect();
            let mut peer = peer(&id, state, &tasks.iter().map(String::as_str).collect::<Vec<_>>());
            peer.state.last_updated = updated;
            peer.state.capabilities = (0..abilities).map(|one| one.to_string()).collect();
            (id, peer)
        };
        all.into_iter().enumerate().map(one).collect()
    })
}

fn listed(all: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    all.values().flatten().cloned().collect()
}

proptest! {
    #[test]
    fn whatever_is_stored_no_task_is_lost_or_doubled_and_it_comes_to_an_end(peers in any_peers()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shelf = Shelf::new();
            let states = store(&shelf, "s", peers.clone().into_values()).await;
            let before = tasks(&states, "s").await;
            let balancer = LoadBalancer::new(LoadBalancerConfig { min_tasks_for_rebalance: 0, ..asked() }, shelf).unwrap();
            let moved = balancer.rebalance("s").await.unwrap();
            let after = tasks(&states, "s").await;
            assert_eq!(listed(&before), listed(&after));
            assert_eq!(after.values().map(Vec::len).sum::<usize>(), listed(&after).len(), "each once");
            let squares = |all: &BTreeMap<String, Vec<String>>| all.values().map(|tasks| tasks.len().pow(2) as u64).sum::<u64>();
            assert!(2 * moved + squares(&after) <= squares(&before), "{moved} moves");
            for (id, peer) in peers.iter().filter(|(_, peer)| matches!(peer.state.state, AgentState::Paused | AgentState::Terminated)) {
                let had: BTreeSet<_> = peer.state.active_tasks.iter().collect();
                assert!(after[id].iter().all(|task| had.contains(task)), "{id} took something");
            }
            assert_eq!(balancer.rebalance("s").await.unwrap(), 0);
            assert_eq!(tasks(&states, "s").await, after);
        });
    }
}
