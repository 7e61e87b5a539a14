//! In order for each sender, none lost, none twice, each acknowledged once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

const PEERS: usize = 10;

/// What each recipient saw from each sender.
type Seen = Arc<Mutex<BTreeMap<(String, String), Vec<u32>>>>;

fn note(seen: &Seen, message: &Delivery) {
    let ways = (message.sender().to_string(), message.recipient().to_string());
    let number = u32::from_le_bytes(message.payload().as_ref().try_into().unwrap());
    seen.lock().unwrap().entry(ways).or_default().push(number);
}

/// Every third peer answers at once, every third after letting others run, every third fails the
/// first time.
fn handler_of(peer: usize, seen: Seen) -> Handler {
    match peer % 3 {
        0 => Handler::sync(move |_, message| {
            note(&seen, message);
            Ok(())
        }),
        1 => Handler::new(move |_, message| {
            let seen = Arc::clone(&seen);
            async move {
                tokio::task::yield_now().await;
                note(&seen, &message);
                Ok(())
            }
        }),
        _ => {
            let failed = Mutex::new(std::collections::HashSet::new());
            Handler::sync(move |_, message| {
                if failed.lock().unwrap().insert(message.id().clone()) {
                    return Err(HandlerError::new("not yet"));
                }
                note(&seen, message);
                Ok(())
            })
        }
    }
}

async fn random_sends(sends: Vec<Vec<usize>>, mailbox_capacity: u32) {
    let (broker, mut settled) = broker_with(BrokerConfig { mailbox_capacity, ..BrokerConfig::default() });
    let seen = Seen::default();
    let acknowledged = Arc::new(AtomicU64::new(0));
    for peer in 0..PEERS {
        let name = format!("peer-{peer}");
        register(&broker, &name, handler_of(peer, Arc::clone(&seen))).await;
        let count = Arc::clone(&acknowledged);
        let hook = move |_: &MessageId, _: &PeerId| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        broker.on_acknowledge(name, Arc::new(hook));
    }
    let mut expected: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
    let mut bodies = tokio::task::JoinSet::new();
    for (peer, recipients) in sends.into_iter().enumerate() {
        let name = format!("peer-{peer}");
        for (number, to) in recipients.iter().enumerate() {
            let ways = (name.clone(), format!("peer-{to}"));
            expected.entry(ways).or_default().push(number as u32);
        }
        let broker = broker.clone();
        bodies.spawn(async move {
            let key = attempt(peer as u64);
            let body = broker.attempt_started(name, key);
            let mut receipts = Vec::new();
            for (number, to) in recipients.iter().enumerate() {
                let payload = Bytes::copy_from_slice(&(number as u32).to_le_bytes());
                receipts.push(body.send(&format!("peer-{to}"), "n", payload).await.unwrap());
            }
            let open = broker.body_ended(key).open;
            for receipt in receipts {
                assert_eq!(receipt.acknowledged().await, Fate::Acknowledged);
            }
            u64::from(open > 0)
        });
    }
    let settling = bodies.join_all().await.into_iter().sum::<u64>();
    for _ in 0..settling {
        settled.next().await.unwrap();
    }
    let all = expected.values().map(Vec::len).sum::<usize>() as u64;
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(acknowledged.load(Ordering::Relaxed), all);
    assert_eq!(settled.try_next(), None, "an attempt settled twice");
    let metrics = broker.metrics();
    let counted = (metrics.sent, metrics.delivered, metrics.acknowledged, metrics.dead);
    assert_eq!(counted, (all, all, all, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn sends_that_wait_for_room_beside_each_other_keep_their_order() {
    for mailbox_capacity in [1, 2, 5] {
        let (broker, _settled) = broker_with(BrokerConfig { mailbox_capacity, ..BrokerConfig::default() });
        let seen = Seen::default();
        register(&broker, "peer-0", handler_of(1, Arc::clone(&seen))).await;
        let mut sends = tokio::task::JoinSet::new();
        for number in 0..2_000_u32 {
            let context = broker.outside("peer-1");
            let mut send = Box::pin(async move { context.send("peer-0", "n", bytes_of(number)).await.unwrap() });
            // Begun here, one after the other; where it goes on is up to the runtime.
            match begun(&mut send).await {
                Poll::Ready(sent) => sends.spawn(async move { sent.acknowledged().await }),
                Poll::Pending => sends.spawn(async move { send.await.acknowledged().await }),
            };
        }
        let fates = within(sends.join_all()).await;
        assert!(fates.iter().all(|fate| *fate == Fate::Acknowledged));
        let seen = seen.lock().unwrap();
        assert_eq!(seen[&("peer-1".to_owned(), "peer-0".to_owned())], (0..2_000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn nobody_overtakes_a_send_that_waits_for_room() {
    let (broker, _settled) = broker_with(BrokerConfig { mailbox_capacity: 1, ..BrokerConfig::default() });
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let sender = broker.outside("a");
    let _first = sender.send("b", "first", Bytes::new()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    // The room of what is being handled may have been given back already.
    let mut sent = Vec::new();
    let mut waiting = loop {
        let name = format!("{}", sent.len());
        let sending = sender.clone();
        let mut send = Box::pin(async move { sending.send("b", name, Bytes::new()).await });
        match begun(&mut send).await {
            Poll::Ready(receipt) => sent.push(receipt.unwrap()),
            Poll::Pending => break send,
        }
    };
    // Room comes back while the waiting send is not looked at: it is not for others of this sender.
    gate.let_one_through();
    within(arrivals.recv()).await.unwrap();
    let refused = sender.try_send("b", "overtakes", Bytes::new());
    assert!(matches!(refused, Err(SendError::MailboxFull { .. })), "{refused:?}");
    let _sent = within(&mut waiting).await.unwrap();
}

fn bytes_of(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn ten_peers_send_at_random_and_everything_arrives_once_and_in_order(
        sends in prop::collection::vec(prop::collection::vec(0..PEERS, 0..200), PEERS),
        mailbox_capacity in 1_u32..50,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(3).enable_time().build().unwrap();
        runtime.block_on(within(random_sends(sends, mailbox_capacity)));
    }
}
