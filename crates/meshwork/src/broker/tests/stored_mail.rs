//! Agents read their mail when they like; it is acknowledged when it is stored.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::*;

async fn mailbox(broker: &Broker, peer: &str) {
    broker.register(peer, Recipient::Mailbox).await.unwrap();
}

fn kinds(mail: &[Message]) -> Vec<&str> {
    mail.iter().map(|message| &*message.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn mail_is_acknowledged_when_stored_and_read_once_in_order() {
    let (broker, _settled) = broker();
    mailbox(&broker, "agent").await;
    let body = broker.attempt_started("a", attempt(1));
    for kind in ["one", "two", "three"] {
        let sent = body.send("agent", kind, Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(sent.fate(), Some(Fate::Acknowledged));
    }
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 0 });
    assert_eq!(broker.metrics().queued["agent"], 3);
    let first = broker.read("agent", 2).await.unwrap();
    assert_eq!(kinds(&first), ["one", "two"]);
    assert_eq!((&*first[0].sender, &*first[0].recipient), ("a", "agent"));
    assert_eq!(first[0].origin, Origin::Attempt { task: 1, grant: 101 });
    assert_eq!(kinds(&broker.read("agent", 9).await.unwrap()), ["three"]);
    assert_eq!(broker.read("agent", 9).await.unwrap(), []);
    let metrics = broker.metrics();
    assert_eq!((metrics.sent, metrics.delivered, metrics.acknowledged), (3, 3, 3));
    assert_eq!(metrics.queued["agent"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_has_room_again_when_mail_was_read() {
    let (broker, _settled) = broker_with(BrokerConfig { mailbox_capacity: 1, ..BrokerConfig::default() });
    mailbox(&broker, "agent").await;
    let a = broker.outside("a");
    drop(a.send("agent", "one", nothing()).await.unwrap());
    let full = a.send("agent", "refused", nothing()).await;
    assert!(matches!(full, Err(SendError::MailboxFull { limit: 1, .. })));
    assert!(matches!(a.try_send("agent", "x", nothing()), Err(SendError::MustWait { .. })));
    let waits = tokio::spawn(async move { a.send("agent", "two", nothing()).await });
    tokio::task::yield_now().await;
    assert_eq!(kinds(&broker.read("agent", 9).await.unwrap()), ["one"]);
    drop(within(waits).await.unwrap().unwrap());
    assert_eq!(kinds(&broker.read("agent", 9).await.unwrap()), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn mail_of_the_same_name_is_stored_once() {
    let (broker, _settled) = broker();
    mailbox(&broker, "agent").await;
    let a = broker.outside("a");
    let twice =
        tokio::join!(a.send_named("once", "agent", "x", nothing()), a.send_named("once", "agent", "x", nothing()),);
    drop((twice.0.unwrap(), twice.1.unwrap()));
    assert_eq!(broker.read("agent", 9).await.unwrap().len(), 1);
    drop(a.send_named("once", "agent", "x", nothing()).await.unwrap());
    assert_eq!(broker.read("agent", 9).await.unwrap(), []);
    assert_eq!(broker.metrics().queued["agent"], 0);
}

#[tokio::test(start_paused = true)]
async fn unread_mail_outlives_the_registration_and_takes_room() {
    let store = Arc::new(MailInMemory::default());
    let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::clone(&store) as _);
    mailbox(&broker, "agent").await;
    for kind in ["one", "two", "three"] {
        drop(broker.outside("a").send("agent", kind, nothing()).await.unwrap());
    }
    assert!(broker.unregister("agent"));
    assert!(matches!(broker.read("agent", 9).await, Err(ReadError::NoMailbox { .. })));
    drop(broker);
    // Another broker on the same store, with less room than there is mail.
    let small = BrokerConfig { mailbox_capacity: 2, ..BrokerConfig::default() };
    let (broker, _settled) = Broker::new(small, store);
    mailbox(&broker, "agent").await;
    assert_eq!(broker.metrics().queued["agent"], 3);
    let a = broker.outside("a");
    assert_eq!(kinds(&broker.read("agent", 1).await.unwrap()), ["one"]);
    assert!(matches!(a.send("agent", "x", nothing()).await, Err(SendError::MailboxFull { .. })));
    assert_eq!(kinds(&broker.read("agent", 1).await.unwrap()), ["two"]);
    drop(a.send("agent", "four", nothing()).await.unwrap());
    assert_eq!(kinds(&broker.read("agent", 9).await.unwrap()), ["three", "four"]);
}

/// A store whose disk is full when told so.
#[derive(Default)]
struct Moody {
    full: AtomicBool,
    mail: MailInMemory,
}

impl MailStore for Moody {
    fn put(&self, message: Message) -> BoxFuture<'_, Result<(), MailStoreError>> {
        if self.full.load(Ordering::Relaxed) {
            return Box::pin(async { Err(MailStoreError::new("disk full")) });
        }
        self.mail.put(message)
    }

    fn unread<'a>(&'a self, peer: &'a PeerId, limit: usize) -> BoxFuture<'a, Result<Vec<StoredMail>, MailStoreError>> {
        self.mail.unread(peer, limit)
    }

    fn unread_count<'a>(&'a self, peer: &'a PeerId) -> BoxFuture<'a, Result<usize, MailStoreError>> {
        self.mail.unread_count(peer)
    }

    fn mark_read<'a>(&'a self, peer: &'a PeerId, keys: &'a [u64]) -> BoxFuture<'a, Result<(), MailStoreError>> {
        self.mail.mark_read(peer, keys)
    }
}

#[tokio::test(start_paused = true)]
async fn mail_that_the_store_refuses_is_not_sent_and_holds_nothing() {
    let store = Arc::new(Moody::default());
    let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::clone(&store) as _);
    mailbox(&broker, "agent").await;
    let body = broker.attempt_started("a", attempt(1));
    store.full.store(true, Ordering::Relaxed);
    let refused = body.send_named("m", "agent", "x", nothing()).await;
    assert!(matches!(refused, Err(SendError::Store { .. })), "{refused:?}");
    assert_eq!(broker.open_messages(attempt(1)), 0);
    assert_eq!(broker.metrics().queued["agent"], 0);
    store.full.store(false, Ordering::Relaxed);
    drop(body.send_named("m", "agent", "x", nothing()).await.unwrap());
    assert_eq!(broker.read("agent", 9).await.unwrap().len(), 1);
}
