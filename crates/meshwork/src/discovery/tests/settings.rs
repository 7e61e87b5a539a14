//! Every setting, and everything that is counted.

use std::sync::atomic::AtomicUsize;

use super::*;

fn config() -> PeerDiscoveryConfig {
    usual()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let expected = PeerDiscoveryConfig {
        swarm_id: String::new(),
        discovery_interval: Duration::from_secs(30),
        heartbeat_interval: Duration::from_secs(1),
        peer_timeout: Duration::from_secs(5),
        enable_artifact_sharing: true,
    };
    assert_eq!(PeerDiscoveryConfig::default(), expected);
}

#[test]
fn a_wrong_setting_is_named() {
    let (place, _) = Place::small();
    let zero = Duration::ZERO;
    for (config, says) in [
        (
            PeerDiscoveryConfig { discovery_interval: zero, ..config() },
            "`discovery_interval` of a discovery is 0ns, expected 1 ms",
        ),
        (
            PeerDiscoveryConfig { heartbeat_interval: zero, ..config() },
            "`heartbeat_interval` of a discovery is 0ns, expected 1 ms",
        ),
        (
            PeerDiscoveryConfig { peer_timeout: Duration::from_secs(1), ..config() },
            "`peer_timeout` of a discovery is 1s, expected more than heartbeat_interval",
        ),
        (PeerDiscoveryConfig { swarm_id: "a.b".to_owned(), ..config() }, "`swarm_id` of a discovery: \"a.b\""),
    ] {
        let error =
            PeerDiscovery::new(config, place.broker.clone(), place.artifacts.clone()).err().unwrap().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_swarm_is_the_configured_one_or_any() {
    let (place, bus) = Place::small();
    let bound = place.discovery(PeerDiscoveryConfig { swarm_id: "s".to_owned(), ..patient() });
    let error = bound.start_discovery("t").await.unwrap_err();
    assert!(
        matches!(&error, DiscoveryError::OtherSwarm { expected, found } if expected == "s" && found == "t"),
        "{error}"
    );
    assert_eq!(bus.subscriptions(), 0);
    bound.start_discovery("s").await.unwrap();
    let free = place.discovery(patient());
    assert!(matches!(free.start_discovery("a b").await.unwrap_err(), DiscoveryError::SwarmId(_)));
    free.start_discovery("t").await.unwrap();
    free.start_discovery("t").await.unwrap();
    assert_eq!(bus.subscriptions(), 6, "three topics each, started twice or not");
    assert!(matches!(free.start_discovery("s").await.unwrap_err(), DiscoveryError::Running { .. }));
}

#[tokio::test(start_paused = true)]
async fn every_discovery_interval_there_is_a_broadcast() {
    for seconds in [2, 30] {
        let (place, bus) = Place::small();
        let side = place
            .side(PeerDiscoveryConfig { discovery_interval: Duration::from_secs(seconds), ..config() }, &["a"])
            .await;
        let began = Instant::now();
        assert_eq!(bus.count(TOPIC, QUERY), 1);
        until(|| bus.count(TOPIC, QUERY) == 4).await;
        assert_eq!(began.elapsed().as_secs(), 3 * seconds, "in the test's own time");
        until(|| side.metrics().discovery_broadcasts_sent == 4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_heartbeat_interval_each_local_peer_has_a_heartbeat() {
    for seconds in [1, 3] {
        let (place, bus) = Place::small();
        let settings = PeerDiscoveryConfig { heartbeat_interval: Duration::from_secs(seconds), ..config() };
        let _side = place.side(settings, &["a", "b"]).await;
        let began = Instant::now();
        assert_eq!(bus.count(BEATS, HEARTBEAT), 0);
        until(|| bus.count(BEATS, HEARTBEAT) == 8).await;
        assert_eq!(began.elapsed().as_secs(), 4 * seconds, "in the test's own time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_for_the_timeout_is_stale_until_it_is_heard_again() {
    for seconds in [2, 5] {
        let place = Place::ours();
        let settings = PeerDiscoveryConfig { peer_timeout: Duration::from_secs(seconds), ..config() };
        let (first, second) = (place.side(settings.clone(), &["a"]).await, place.side(settings, &["b"]).await);
        second.await_peers(2, DEADLINE).await.unwrap();
        until(|| second.is_peer_alive("a", Duration::ZERO)).await;
        first.stop_discovery().await;
        let silent = Instant::now();
        until(|| second.metrics().stale_peers == 1).await;
        assert_eq!(silent.elapsed().as_secs(), seconds, "in the test's own time");
        assert_eq!(second.find_peers_by_capability("x"), ["b"]);
        assert_eq!(second.peer_info("a").unwrap().capabilities, ["x", "a"], "its record is kept");
        assert_eq!(second.metrics().active_peers, 1);
        assert!(second.await_peers(2, Duration::from_secs(1)).await.is_err());
        first.start_discovery("s").await.unwrap();
        second.await_peers(2, DEADLINE).await.unwrap();
        assert_eq!((second.metrics().stale_peers, second.metrics().active_peers), (0, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_what_happened() {
    let place = Place::ours();
    let heard = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let told = Arc::clone(&heard);
    // Counts beside it: queries of the second side, and announcements of the first one's peers.
    let listener = MessageHandler::new(move |message: Arc<Message>| {
        let of_first = message.payload["id"] == "a" || message.payload["id"] == "b";
        let index = usize::from(message.kind == ANNOUNCEMENT);
        if message.kind == QUERY || of_first {
            told[index].fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        std::future::ready(Ok(()))
    });
    let first = place.side(patient(), &["a", "b"]).await;
    place.broker.subscribe("mesh.s.>", listener).unwrap();
    let second =
        place.side(PeerDiscoveryConfig { discovery_interval: Duration::from_secs(10), ..patient() }, &["c"]).await;
    second.await_peers(3, DEADLINE).await.unwrap();
    first.update_peer_capabilities("a", &[]).await.unwrap();
    let count = |index: usize| heard[index].load(std::sync::atomic::Ordering::SeqCst);
    until(|| count(0) == 3 && count(1) == 7).await;
    until(|| second.metrics().peer_announcements_received == 7).await;
    let metrics = second.metrics();
    assert_eq!(metrics.discovery_broadcasts_sent, count(0) as u64);
    assert_eq!((metrics.total_peers_discovered, metrics.active_peers, metrics.stale_peers), (3, 3, 0));
    assert!(now_ms() - metrics.last_discovery_time < 1_000_000 && metrics.last_discovery_time > 0);
    assert_eq!(second.faults(), PeerDiscoveryFaults::default());
    assert_eq!(first.metrics().discovery_broadcasts_sent, 1);
}

#[tokio::test(start_paused = true)]
async fn discovery_latency_is_from_the_broadcast_to_the_answer() {
    let (place, bus) = Place::small();
    let side = place.side(patient(), &[]).await;
    assert!(side.metrics().average_discovery_latency_ms.abs() < f64::EPSILON, "nobody answered");
    let query = bus.published().into_iter().find(|(_, message)| message.kind == QUERY).unwrap().1;
    let asked = query.metadata.unwrap()["side"].clone();
    // Answers by hand, 40 and 60 ms later; the third is no answer, the fourth a second one.
    for (ms, id, answers) in
        [(40, "p", asked.clone()), (20, "q", asked.clone()), (7, "r", json!("x")), (9, "p", asked.clone())]
    {
        tokio::time::advance(Duration::from_millis(ms)).await;
        let word = PeerWord {
            info: PeerInfo { last_seen: ms + u64::from(id == "p") * 100 / ms, ..info(id, 0.0, AgentState::Idle) },
            incarnation: 1,
        };
        let mut message = Message::new(ANNOUNCEMENT, serde_json::to_value(word).unwrap(), 1);
        message.metadata = Some(serde_json::Map::from_iter([("answers".to_owned(), answers)]));
        place.broker.publish(TOPIC, message).await.unwrap();
    }
    assert_eq!(side.metrics().average_discovery_latency_ms.round() as u64, 50);
}
