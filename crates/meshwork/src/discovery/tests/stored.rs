//! What is kept for those that join later.

use super::*;
use crate::peers::artifact::{self, StoredPeer};
use crate::peers::{PeerState, PeerStats};

fn sharing() -> PeerDiscoveryConfig {
    PeerDiscoveryConfig { enable_artifact_sharing: true, ..patient() }
}

async fn stored(place: &Place, peer: &str) -> Option<serde_json::Value> {
    let bytes = place.artifacts.retrieve(&artifact::key("s", peer)).await.ok()?;
    Some(serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn whoever_joins_when_nobody_is_there_any_more_knows_them_all_the_same() {
    let place = Place::ours();
    let first = place.side(sharing(), &["a"]).await;
    let metadata = Some(PeerStats { tasks_completed: 3, ..PeerStats::default() }.into());
    let said = PeerInfo { metadata, ..info("a", 2.0, AgentState::Working) };
    first.update_peer(said.clone()).unwrap().done().await;
    let json = stored(&place, "a").await.unwrap();
    assert_eq!(json["peerId"], "a");
    assert_eq!((&json["activeTasks"], &json["metrics"]["tasksCompleted"]), (&json!([]), &json!(3)));
    assert!(json["incarnation"].as_u64() > Some(0) && json["lastUpdated"].as_u64() > Some(0));
    drop(first);
    let late = place.side(sharing(), &[]).await;
    let known = late.peer_info("a").unwrap();
    assert_eq!(json["lastUpdated"], known.last_seen);
    assert_eq!(PeerInfo { last_seen: 0, ..known }, said);
    assert!(!late.is_peer_alive("a", Duration::MAX), "it was not heard");
    assert_eq!(late.metrics().stale_peers, 1);
    // It comes back elsewhere, and lives.
    let again = place.side(sharing(), &["a"]).await;
    late.await_peers(&["a"][..], DEADLINE).await.unwrap();
    assert_eq!(
        late.peer_info("a"),
        again.peer_info("a").map(|info| PeerInfo { last_seen: late.peer_info("a").unwrap().last_seen, ..info })
    );
}

#[tokio::test]
async fn without_sharing_nothing_is_stored_and_nothing_read() {
    let place = Place::ours();
    let mute = patient();
    let first = place.side(mute.clone(), &["a"]).await;
    assert_eq!(stored(&place, "a").await, None);
    let other = place.side(sharing(), &["b"]).await;
    assert!(stored(&place, "b").await.is_some());
    drop((first, other));
    assert!(place.side(mute, &[]).await.all_peers().is_empty());
}

#[tokio::test]
async fn tasks_that_another_noted_stay_and_a_later_life_is_not_overwritten() {
    let place = Place::ours();
    let states = PeerStates::new(place.artifacts.clone());
    let note = |incarnation: Option<u64>| {
        move |_| {
            let state = PeerState { peer_id: "a".to_owned(), active_tasks: texts(&["t"]), ..PeerState::default() };
            Some(StoredPeer { state, incarnation, stamp: None })
        }
    };
    states.change("s", "a", note(None)).await.unwrap();
    let side = place.side(sharing(), &["a"]).await;
    let json = stored(&place, "a").await.unwrap();
    assert_eq!((&json["activeTasks"], &json["capabilities"]), (&json!(["t"]), &json!(["x", "a"])));
    states.change("s", "a", note(Some(1 << 52))).await.unwrap();
    side.update_peer_capabilities("a", &[]).await.unwrap();
    assert_eq!(stored(&place, "a").await.unwrap()["incarnation"], json!(1_u64 << 52));
}

#[tokio::test]
async fn a_peer_goes_beyond_its_stored_life_although_the_clock_was_set_back() {
    let (place, bus) = Place::small();
    let life = now_ms() * 2;
    let state = PeerState { peer_id: "a".to_owned(), ..PeerState::default() };
    let ahead = StoredPeer { state, incarnation: Some(life), stamp: None };
    PeerStates::new(place.artifacts.clone()).change("s", "a", |_| Some(ahead)).await.unwrap();
    let _side = place.side(sharing(), &["a"]).await;
    let announced = bus.published().into_iter().find(|(_, message)| message.kind == ANNOUNCEMENT).unwrap().1;
    assert_eq!(announced.payload["incarnation"], json!(life + 1));
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_counted_and_stops_nobody() {
    let place = Place::ours();
    place.artifacts.store("k", "v".into()).await.unwrap();
    let read_only = Arc::new(FolderArtifacts::open_read_only(place.folder.path()).unwrap());
    let side = PeerDiscovery::new(sharing(), place.broker.clone(), read_only).unwrap();
    side.update_peer_capabilities("a", &[]).await.unwrap();
    side.start_discovery("s").await.unwrap();
    let other = place.side(sharing(), &[]).await;
    other.await_peers(&["a"][..], DEADLINE).await.unwrap();
    assert_eq!(side.faults(), PeerDiscoveryFaults { unstored: 1, ..PeerDiscoveryFaults::default() });
}

#[tokio::test]
async fn what_is_no_state_of_a_peer_is_counted_and_not_believed() {
    let place = Place::ours();
    place.artifacts.store(&artifact::key("s", "a"), "{".into()).await.unwrap();
    let state = PeerState { peer_id: "b".to_owned(), load: -1.0, ..PeerState::default() };
    let wrong = StoredPeer { state, ..StoredPeer::default() };
    PeerStates::new(place.artifacts.clone()).change("s", "b", |_| Some(wrong)).await.unwrap();
    let side = place.side(sharing(), &["c"]).await;
    assert_eq!(side.all_peers().into_keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(side.faults().unreadable_states, 2);
}

#[tokio::test(start_paused = true)]
async fn words_go_before_states_and_a_broker_that_hangs_holds_no_state_back() {
    let (place, bus) = Place::small();
    place.broker.subscribe(TOPIC, MessageHandler::new(|_| std::future::pending())).unwrap();
    let side = place.discovery(sharing());
    side.update_peer_capabilities("a", &[]).await.unwrap();
    let announcing = side.begin("s").await.unwrap();
    // Time stands still as long as something can go on.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bus.published().len(), 1, "the first word is on its way");
    assert_eq!(locked(&side.inner.line).as_ref().unwrap().states().len(), 1, "the state waits for it");
    announcing.states.unwrap().done().await;
    assert!(stored(&place, "a").await.is_some());
}
