//! Every figure against what the test itself counted, taken apart without `..`: a new one has to be compared, too.

use super::*;

#[tokio::test(start_paused = true)]
async fn every_figure_of_a_discovery_is_what_was_counted_beside_it() {
    let (place, bus) = Place::small();
    let other = place.side(patient(), &["a", "b", "c"]).await;
    let before = now_ms();
    let side = place.side(patient(), &["d"]).await;
    side.await_peers(4, DEADLINE).await.unwrap();
    let asked = now_ms();
    other.update_peer(info("b", 0.0, AgentState::Paused)).unwrap().done().await;
    other.forget_local_peer("c").unwrap().done().await;
    until(|| side.peer_info("c").is_some_and(|peer| peer.state == AgentState::Terminated)).await;
    until(|| side.peer_info("b").is_some_and(|peer| peer.state == AgentState::Paused)).await;
    let published = bus.published();
    let queries = published.iter().filter(|(_, message)| message.kind == QUERY).count();
    // What the other side said before this one began, it did not hear.
    let began = published.iter().rposition(|(_, message)| message.kind == QUERY).unwrap();
    let of_others = |message: &Message| message.kind == ANNOUNCEMENT && message.payload["id"] != "d";
    let heard = published[began..].iter().filter(|(_, message)| of_others(message)).count() as u64;
    let PeerDiscoveryMetrics {
        total_peers_discovered,
        active_peers,
        stale_peers,
        discovery_broadcasts_sent,
        peer_announcements_received,
        average_discovery_latency_ms,
        last_discovery_time,
    } = side.metrics();
    assert_eq!((total_peers_discovered, active_peers, stale_peers), (4, 2, 0), "one is paused and one has left");
    assert_eq!((queries, discovery_broadcasts_sent), (2, 1), "one of either side");
    assert_eq!(peer_announcements_received, heard);
    assert!(heard >= 5, "three answers and two changes");
    assert!(average_discovery_latency_ms >= 0.0);
    assert!((before..=asked).contains(&last_discovery_time), "{before} {last_discovery_time} {asked}");
}
