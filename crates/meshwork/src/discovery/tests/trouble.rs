//! What others send and callers say that is not right, and how it ends.

use super::*;
use crate::discovery::outbox::Outbox;
use crate::discovery::post::{ANSWERS_WAITING_MAX, About};

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_counted_and_changes_nothing() {
    for place in [Place::ours(), Place::small().0] {
        let side = place.side(patient(), &["a"]).await;
        let good = json!({"id": "p", "capabilities": [], "load": 0, "lastSeen": 1, "state": "idle", "incarnation": 1});
        let with = |key: &str, value: serde_json::Value| {
            let mut payload = good.clone();
            payload[key] = value;
            payload
        };
        let bad = [
            json!(null),
            json!([1, 2]),
            with("id", json!("")),
            with("id", json!("p".repeat(257))),
            with("capabilities", json!(["c".repeat(16 * 1024)])),
            with("load", json!(-1)),
            with("load", json!("much")),
            with("state", json!("asleep")),
            with("incarnation", json!(-1)),
            with("incarnation", json!(1_u64 << 60)),
            with("lastSeen", json!(1.5)),
        ];
        for (number, payload) in bad.iter().enumerate() {
            let (topic, kind) = if number % 2 == 0 { (TOPIC, ANNOUNCEMENT) } else { (BEATS, HEARTBEAT) };
            place.broker.publish(topic, Message::new(kind, payload.clone(), 1)).await.unwrap();
        }
        place.broker.publish(TOPIC, Message::new("chatter", json!({}), 1)).await.unwrap();
        let metadata = Some(serde_json::Map::from_iter([("side".to_owned(), json!("s".repeat(65)))]));
        let query = Message { metadata, ..Message::new(QUERY, json!({}), 1) };
        place.broker.publish(TOPIC, query).await.unwrap();
        until(|| side.faults().bad_messages == bad.len() as u64 + 1).await;
        assert_eq!(side.all_peers().len(), 1);
        // Whoever leaves the metadata out is understood.
        place.broker.publish(TOPIC, Message::new(ANNOUNCEMENT, good, 1)).await.unwrap();
        side.await_peers(&["p"][..], DEADLINE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn lost_announcements_are_made_good_by_heartbeats() {
    let (place, bus) = Place::small();
    bus.lose(|message| message.kind != HEARTBEAT);
    let config = PeerDiscoveryConfig { discovery_interval: 2 * DEADLINE, ..usual() };
    let (first, second) = (place.side(config.clone(), &["a"]).await, place.side(config, &["b"]).await);
    first.await_peers(2, DEADLINE).await.unwrap();
    second.await_peers(2, DEADLINE).await.unwrap();
    assert_eq!(second.peer_info("a").unwrap().capabilities, ["x", "a"]);
    assert_eq!(second.metrics().peer_announcements_received, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_made_good_by_the_next_broadcast() {
    let (place, bus) = Place::small();
    bus.lose(|_| true);
    let config = PeerDiscoveryConfig { heartbeat_interval: 2 * DEADLINE, peer_timeout: 3 * DEADLINE, ..usual() };
    let (_first, second) = (place.side(config.clone(), &["a"]).await, place.side(config, &["b"]).await);
    bus.lose(|_| false);
    second.await_peers(2, DEADLINE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_are_refused_with_a_reason_and_nothing_changes() {
    let place = Place::ours();
    let (first, second) = (place.side(patient(), &["a"]).await, place.side(patient(), &["b"]).await);
    first.await_peers(2, DEADLINE).await.unwrap();
    second.await_peers(2, DEADLINE).await.unwrap();
    let known = |id: &str| first.peer_info(id).map(|info| PeerInfo { last_seen: 0, ..info });
    let before = (known("a"), known("b"));
    for refused in [
        first.update_peer_capabilities("", &[]).await.unwrap_err(),
        first.update_peer_capabilities(&"p".repeat(257), &[]).await.unwrap_err(),
        first.update_peer_capabilities("b", &[]).await.unwrap_err(),
        first.update_peer_capabilities("a", &["c".repeat(16 * 1024)]).await.unwrap_err(),
        first.update_peer(info("a", f64::NAN, AgentState::Idle)).unwrap_err(),
        first.update_peer(info("a", -1.0, AgentState::Idle)).unwrap_err(),
        first.forget_local_peer("nobody").unwrap_err(),
    ] {
        assert!(refused.to_string().ends_with("nothing changed"), "{refused}");
    }
    assert_eq!((known("a"), known("b")), before);
    assert_eq!(first.all_peers().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_of_one_name_are_noticed_and_do_not_shout_at_each_other() {
    let (place, bus) = Place::small();
    let config = usual();
    let first = place.side(config.clone(), &["a"]).await;
    let second = place.side(config, &["a"]).await;
    until(|| first.faults().contested_words + second.faults().contested_words >= 4).await;
    let beats = bus.count(BEATS, HEARTBEAT);
    assert!(bus.count(TOPIC, ANNOUNCEMENT) <= 6 && beats <= 20, "{beats} heartbeats");
}

#[tokio::test(start_paused = true)]
async fn stopped_or_dropped_nothing_is_left_of_it() {
    for dropped in [false, true] {
        let (place, bus) = Place::small();
        let side = place.side(usual(), &["a"]).await;
        let holders = Arc::strong_count(&bus);
        let side = if dropped {
            drop(side);
            // The test and the place hold it.
            until(|| Arc::strong_count(&bus) == 2).await;
            None
        } else {
            side.stop_discovery().await;
            side.stop_discovery().await;
            Some(side)
        };
        assert!(holders > 2);
        assert_eq!(bus.subscriptions(), 0);
        let before = bus.published().len();
        tokio::time::advance(Duration::from_secs(100)).await;
        place.broker.publish(TOPIC, Message::new(QUERY, json!({}), 1)).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(bus.published().len(), before + 1);
        if let Some(side) = side {
            side.update_peer_capabilities("b", &[]).await.unwrap();
            assert_eq!(bus.published().len(), before + 1, "it is announced when it starts");
            side.start_discovery("s").await.unwrap();
            assert_eq!(bus.published().len(), before + 4, "two announcements and a query");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_before_it_went_out_goes_out_once() {
    let outbox = Outbox::<&str, u32>::new();
    for (key, number) in [("a", 1), ("b", 2), ("a", 3)] {
        outbox.put(key, number);
    }
    let ticket = outbox.ticket();
    let batch = within(outbox.take()).await;
    assert_eq!(batch.things, [("a", 3), ("b", 2)]);
    let mut done = Box::pin(ticket.done());
    assert!(futures_util::FutureExt::now_or_never(&mut done).is_none());
    outbox.went_out(batch.number());
    within(done).await;
    // Whoever waits when nothing goes out any more is told so.
    outbox.put("c", 4);
    let ticket = outbox.ticket();
    drop(outbox);
    within(ticket.done()).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_queries_is_answered_once_for_all() {
    let (line, _timers) = Line::new();
    for side in 0..10_000 {
        let answers = Some(side.to_string());
        line.take(Ask::Announce { peer: "a".to_owned(), said: Default::default(), answers }, false);
    }
    let batch = within(line.words().take()).await;
    assert_eq!(batch.things.len(), ANSWERS_WAITING_MAX + 1);
    assert!(matches!(&batch.things.last().unwrap().0, About::Announcement(peer) if peer == "a"));
}
