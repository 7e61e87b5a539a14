//! The balancer, with stored states, and with somebody else who moves tasks.

#![expect(clippy::unwrap_used, reason = "tests")]

mod acting;
mod moving;
mod shelf;
mod telling;

use std::collections::BTreeMap;

use super::*;
use crate::peers::artifact::StoredPeer;
use crate::peers::{AgentState, PeerState};
use shelf::Shelf;

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// One that does nothing by itself.
fn asked() -> LoadBalancerConfig {
    LoadBalancerConfig { enable_auto_rebalance: false, ..LoadBalancerConfig::default() }
}

fn peer(id: &str, state: AgentState, tasks: &[&str]) -> StoredPeer {
    let state = PeerState { peer_id: id.to_owned(), state, active_tasks: texts(tasks), ..PeerState::default() };
    StoredPeer { state, incarnation: Some(7), stamp: Some(9) }
}

async fn store(shelf: &Arc<Shelf>, swarm: &str, peers: impl IntoIterator<Item = StoredPeer>) -> PeerStates {
    let states = PeerStates::new(shelf.clone());
    for peer in peers {
        states.change(swarm, &peer.state.peer_id.clone(), |_| Some(peer)).await.unwrap();
    }
    states
}

/// Who has which tasks.
async fn tasks(states: &PeerStates, swarm: &str) -> BTreeMap<String, Vec<String>> {
    let found = states.all(swarm).await.unwrap();
    found.peers.into_iter().map(|(id, peer)| (id, peer.state.active_tasks)).collect()
}
