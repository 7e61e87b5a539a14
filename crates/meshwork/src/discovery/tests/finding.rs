//! Who is there, and what they can do.

use super::*;

#[tokio::test(start_paused = true)]
async fn ten_sides_know_each_other_without_waiting_for_any_interval() {
    let (small, _) = Place::small();
    for place in [Place::ours(), small] {
        let names: Vec<String> = (0..10).map(|number| format!("peer-{number}")).collect();
        let join = async |name: &String| place.side(patient(), &[name]).await;
        let all = names.iter().map(join);
        let sides = futures_util::future::join_all(all).await;
        for side in &sides {
            side.await_peers(names.clone(), DEADLINE).await.unwrap();
            assert_eq!(side.all_peers().into_keys().collect::<Vec<_>>(), names);
            assert_eq!(side.find_peers_by_capability("x"), names);
            assert_eq!(side.find_peers_by_capabilities(&texts(&["x", "peer-3"])), ["peer-3"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_late_is_answered_at_once_and_whoever_changes_says_so() {
    let place = Place::ours();
    let first = place.side(patient(), &["a"]).await;
    let second = place.side(patient(), &["b"]).await;
    second.await_peers(&["a"][..], DEADLINE).await.unwrap();
    first.await_peers(&["b"][..], DEADLINE).await.unwrap();
    assert_eq!(first.peer_info("b").unwrap().capabilities, ["x", "b"]);
    first.update_peer_capabilities("a", &texts(&["y"])).await.unwrap();
    until(|| second.find_peers_by_capability("y") == ["a"]).await;
    assert_eq!(second.find_peers_by_capability("x"), ["b"]);
    let busy =
        PeerInfo { metadata: Some(crate::peers::PeerStats::default().into()), ..info("a", 2.5, AgentState::Working) };
    first.update_peer(busy.clone()).unwrap().done().await;
    until(|| second.peer_info("a").unwrap().load > 2.0).await;
    let heard = second.peer_info("a").unwrap();
    assert_eq!(PeerInfo { last_seen: 0, ..heard }, busy);
    assert!(now_ms() - second.peer_info("a").unwrap().last_seen < 1_000_000, "when it was heard, by the clock");
}

#[tokio::test(start_paused = true)]
async fn it_is_alive_as_long_as_the_caller_says() {
    let place = Place::ours();
    let first = place.side(patient(), &["a"]).await;
    let second = place.side(patient(), &["b"]).await;
    second.await_peers(2, DEADLINE).await.unwrap();
    first.await_peers(2, DEADLINE).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    for (discovery, peer) in [(&first, "b"), (&second, "a"), (&second, "b")] {
        assert!(!discovery.is_peer_alive(peer, Duration::from_secs(9)), "{peer} was silent");
        assert!(discovery.is_peer_alive(peer, Duration::from_secs(11)), "{peer} spoke");
    }
    assert!(!second.is_peer_alive("nobody", Duration::MAX));
    assert_eq!(second.peer_info("nobody"), None);
    assert!(second.find_peers_by_capability("nothing").is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_says_good_bye_and_sends_no_more_heartbeats() {
    let (place, bus) = Place::small();
    let first = place.side(usual(), &["a"]).await;
    let second = place.side(usual(), &[]).await;
    second.await_peers(&["a"][..], DEADLINE).await.unwrap();
    until(|| bus.count(BEATS, HEARTBEAT) == 2).await;
    first.forget_local_peer("a").unwrap().done().await;
    until(|| second.peer_info("a").unwrap().state == AgentState::Terminated).await;
    assert!(!second.is_peer_alive("a", Duration::MAX) && second.find_peers_by_capability("x").is_empty());
    let refused = first.forget_local_peer("a").unwrap_err();
    assert!(matches!(refused, DiscoveryError::UnknownPeer { .. }), "{refused}");
    let before = bus.count(BEATS, HEARTBEAT);
    first.update_peer_capabilities("z", &[]).await.unwrap();
    until(|| bus.count(BEATS, HEARTBEAT) == before + 3).await;
    let beats = bus.published().into_iter().filter(|(topic, _)| topic == BEATS).skip(before);
    assert!(beats.into_iter().all(|(_, message)| message.payload["id"] == "z"));
    // It comes back as another life.
    first.update_peer_capabilities("a", &texts(&["x"])).await.unwrap();
    until(|| second.find_peers_by_capability("x") == ["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_local_peer_that_dies_is_not_there_any_more() {
    let place = Place::ours();
    let first = place.side(patient(), &["a", "b"]).await;
    first.update_peer(info("a", 0.0, AgentState::Error)).unwrap().done().await;
    first.update_peer(info("b", 0.0, AgentState::Paused)).unwrap().done().await;
    assert_eq!(first.find_peers_by_capability("x"), ["b"], "a paused one is there");
    let metrics = first.metrics();
    assert_eq!((metrics.total_peers_discovered, metrics.active_peers, metrics.stale_peers), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_peers_ends_with_who_is_missing() {
    let place = Place::ours();
    let side = place.side(patient(), &["a"]).await;
    let missing = side.await_peers(&["a", "b", "c"][..], Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(missing.to_string(), "1 peers were there after 2s, expected also b, c");
    let missing = side.await_peers(3, Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(missing.to_string(), "1 peers were there after 2s, expected 3");
    let waits = side.await_peers(2, DEADLINE);
    let comes = async {
        tokio::task::yield_now().await;
        side.update_peer_capabilities("b", &[]).await.unwrap();
    };
    let (waited, ()) = tokio::join!(waits, comes);
    waited.unwrap();
}

#[tokio::test(start_paused = true)]
async fn swarms_on_one_broker_do_not_mix() {
    let place = Place::ours();
    let here = place.side(patient(), &["a"]).await;
    let other = place.discovery(patient());
    other.update_peer_capabilities("b", &[]).await.unwrap();
    other.start_discovery("t").await.unwrap();
    let third = place.side(patient(), &["c"]).await;
    third.await_peers(&["a"][..], DEADLINE).await.unwrap();
    here.await_peers(&["c"][..], DEADLINE).await.unwrap();
    assert_eq!(other.all_peers().into_keys().collect::<Vec<_>>(), ["b"]);
    // It goes over to the first swarm, and then back: whom it met there is none of this one.
    other.stop_discovery().await;
    other.start_discovery("s").await.unwrap();
    other.await_peers(&["a", "c"][..], DEADLINE).await.unwrap();
    other.stop_discovery().await;
    other.start_discovery("t").await.unwrap();
    assert_eq!(other.all_peers().into_keys().collect::<Vec<_>>(), ["b"]);
}
