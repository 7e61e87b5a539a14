//! Every figure against what the test itself counted, taken apart without `..`: a new one has to be compared, too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;

use super::*;

#[tokio::test]
async fn every_figure_is_what_was_counted_beside_it() {
    let (broker, _settled) = broker_with(BrokerConfig { max_redeliveries: 2, ..BrokerConfig::default() });
    let [handled, failed] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let open = Arc::new(Semaphore::new(0));
    let (gate, counts) = (Arc::clone(&open), Arc::clone(&handled));
    let takes = Handler::new(move |_, _| {
        let (gate, counts) = (Arc::clone(&gate), Arc::clone(&counts));
        async move {
            gate.acquire().await.unwrap().forget();
            counts.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    });
    let runs = Arc::clone(&failed);
    let fails = Handler::sync(move |_, _| {
        runs.fetch_add(1, Ordering::Relaxed);
        Err(HandlerError::new("never"))
    });
    register(&broker, "takes", takes).await;
    register(&broker, "fails", fails).await;
    broker.register("reads", Recipient::Mailbox).await.unwrap();
    let a = broker.outside("a");
    let began = Instant::now();
    for (to, count) in [("takes", 80), ("fails", 3), ("reads", 4)] {
        for _ in 0..count {
            drop(a.send(to, "x", nothing()).await.unwrap());
        }
    }
    let read = broker.read("reads", 1).await.unwrap().len() as u64;
    let all_sent = Instant::now();
    let until = async |is: &dyn Fn() -> bool| {
        within(async {
            while !is() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    // All but the first wait for its handler, until then.
    until(&|| all_sent.elapsed() > Duration::from_millis(20)).await;
    let least = all_sent.elapsed();
    open.add_permits(75);
    until(&|| handled.load(Ordering::Relaxed) == 75 && failed.load(Ordering::Relaxed) == 9).await;
    until(&|| broker.metrics().dead == 3 && broker.metrics().acknowledged == 75 + 4).await;
    let most = began.elapsed();
    let BrokerMetrics { sent, delivered, acknowledged, dead, redelivered, queued, latency_p95 } = broker.metrics();
    assert_eq!(sent, 80 + 3 + 4);
    assert_eq!(delivered, 75 + 1 + 3 + read, "one more waits in its handler");
    assert_eq!(acknowledged, 75 + 4, "mail is when it is stored");
    assert_eq!((dead, redelivered), (3, failed.load(Ordering::Relaxed) - 3));
    // One of the five is with its handler, and waits no more.
    let left = BTreeMap::from([("takes".into(), 4), ("fails".into(), 0), ("reads".into(), 3)]);
    assert_eq!(queued, left);
    let p95 = latency_p95.unwrap();
    assert!(p95 >= least && p95 <= most.mul_f64(1.125), "{least:?} to {most:?}: {p95:?}");
}

#[tokio::test(start_paused = true)]
async fn so_many_names_are_remembered_and_an_older_one_is_another_message() {
    for (known_messages, delivered) in [(2, 4), (3, 3)] {
        let (broker, _settled) = broker_with(BrokerConfig { known_messages, ..BrokerConfig::default() });
        register(&broker, "b", taker()).await;
        let a = broker.outside("a");
        for name in ["one", "two", "three", "one"] {
            let sent = a.send_named(name, "b", "x", nothing()).await.unwrap();
            assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
        }
        assert_eq!(broker.metrics().delivered, delivered, "of {known_messages}");
    }
}
