//! Storms: every message makes its handler send further ones, and "done" is not said before the last.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

const PEERS: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];
/// A root message and what comes of it, at depth 5.
const OF_ONE_ROOT: usize = 63;

#[derive(Default)]
struct Storm {
    /// Messages that were handled, by name.
    handled: Mutex<HashSet<String>>,
    running: AtomicI64,
}

impl Storm {
    /// A message of depth n makes two of depth n - 1; one that comes twice makes nothing the second time.
    fn over(broker: &Arc<dyn MessageBroker>) -> Arc<Self> {
        let storm = Arc::new(Self::default());
        for (index, peer) in PEERS.into_iter().enumerate() {
            let (storm, weak) = (Arc::clone(&storm), Arc::downgrade(broker));
            let handler = MessageHandler::new(move |message| {
                let (storm, broker) = (Arc::clone(&storm), weak.upgrade());
                async move {
                    storm.running.fetch_add(1, Ordering::SeqCst);
                    let depth = message.payload["depth"].as_u64().unwrap();
                    let name = message.message_id.clone().unwrap();
                    let from = message.sender_id.clone().unwrap();
                    let first = storm.handled.lock().unwrap().insert(format!("{from} {peer} {name}"));
                    for step in 0..2 {
                        tokio::task::yield_now().await;
                        if let (true, 1.., Some(broker)) = (first, depth, &broker) {
                            let to = PEERS[(index * 3 + step + depth as usize) % PEERS.len()];
                            let next = super::message(json!({ "depth": depth - 1 }));
                            broker.send_to_peer(peer, to, next).await.map_err(|e| HandlerError::new(e.to_string()))?;
                        }
                    }
                    storm.running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                }
            });
            broker.on_peer_message(peer, handler).unwrap();
        }
        storm
    }

    fn handled(&self) -> usize {
        self.handled.lock().unwrap().len()
    }
}

async fn strike(broker: &Arc<dyn MessageBroker>, to: usize) {
    let root = message(json!({ "depth": 5 }));
    broker.send_to_peer("client", PEERS[to % PEERS.len()], root).await.unwrap();
}

async fn weather(broker: Arc<dyn MessageBroker>, duplicates: bool) {
    let storm = Storm::over(&broker);
    let peers: Vec<&str> = PEERS.into_iter().chain(["client"]).collect();
    let detector = detector(&broker, &peers).await;
    for round in 1..=3 {
        for root in 0..3 {
            strike(&broker, root).await;
        }
        let completed = within(detector.detect_completion("storm", None)).await.unwrap();
        assert!(completed, "{:?}", detector.last_no());
        assert_eq!(storm.handled(), round * 3 * OF_ONE_ROOT, "done was said before the last message");
        if !duplicates {
            assert_eq!(storm.running.load(Ordering::SeqCst), 0, "done was said while a handler ran");
        }
        assert!(peers.iter().all(|peer| detector.is_peer_completed(peer) && detector.deficit_counter(peer) == 0));
        assert_eq!(detector.holders(), []);
    }
    let metrics = detector.metrics();
    assert_eq!((metrics.detection_attempts, metrics.detection_successes, metrics.detection_timeouts), (3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn done_is_said_after_a_storm_on_our_broker() {
    weather(Arc::new(our_broker()), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn done_is_said_after_a_storm_on_many_threads() {
    for _ in 0..20 {
        weather(Arc::new(our_broker()), false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn done_is_said_after_a_storm_on_a_plain_broker() {
    for seed in 0..50 {
        weather(Arc::new(Plain::new(seed)), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_detectors_agree_about_a_storm() {
    for seed in 0..20 {
        let plain = seed % 2 == 1;
        let broker: Arc<dyn MessageBroker> = if plain { Arc::new(Plain::new(seed)) } else { Arc::new(our_broker()) };
        let storm = Storm::over(&broker);
        let (here, there) = (["client", "p0", "p1"], ["p2", "p3", "p4"]);
        let first = CompletionDetector::new(CompletionDetectorConfig::default(), Arc::clone(&broker)).unwrap();
        first.initialize_with(here, there).await.unwrap();
        let second = CompletionDetector::new(CompletionDetectorConfig::default(), Arc::clone(&broker)).unwrap();
        second.initialize_with(there, here).await.unwrap();
        second.serve("storm").unwrap();
        for root in 0..4 {
            strike(&broker, root).await;
        }
        assert!(within(first.detect_completion("storm", None)).await.unwrap(), "{:?}", first.last_no());
        assert_eq!(storm.handled(), 4 * OF_ONE_ROOT, "done was said before the last message");
        assert!(within(second.detect_completion("storm", None)).await.unwrap(), "{:?}", second.last_no());
    }
}
