//! Messages between peers of one process.
//!
//! Every registered peer has a bounded mailbox. What one peer sends to another arrives in the
//! order in which it was sent and is handled one at a time; different senders' messages are
//! handled beside each other. A message to a handler is acknowledged when the handler has finished
//! *and* everything that it sent is acknowledged (`ack`), so an attempt whose messages are
//! all acknowledged has nothing in flight. A message that can't be handled becomes a dead letter;
//! none is dropped silently.
//!
//! Messages are not in the log. What the log needs to know of them is what a body left open when
//! it ended ([`Broker::body_ended`]) and when the last of that closed ([`Settled`]).
//!
//! It is also [`crate::messaging::MessageBroker`] (`any`): peers that are listened to and topics, for whole messages
//! (`listeners`). Those are sent outside any task.
//!
//! Not here: other processes, and what to do about a lost attempt.

mod ack;
mod any;
mod attempts;
mod chain;
mod context;
mod dead_letters;
mod errors;
mod index;
mod lane;
mod letter;
mod listeners;
mod mailbox;
mod message;
mod metrics;
mod pump;
mod sender;
mod size;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;

use attempts::Attempts;
use dead_letters::DeadLetters;
use listeners::Listeners;
use mailbox::{Mailbox, Taker};
use metrics::{Clock, Count, Counters, Histogram};
use sender::{Moment, Sender};

pub use attempts::{AttemptKey, BodyEnd, Settled};
pub use context::Context;
pub use dead_letters::DeadLetter;
pub use errors::{BroadcastError, DeadReason, Fate, HandlerError, ReadError, RegisterError, SendError};
pub use letter::{Delivery, Sent};
pub use mailbox::{AsyncHandler, Handler, Recipient, SyncHandler};
pub use message::{Kind, Message, MessageId, Origin, PeerId};
pub use metrics::BrokerMetrics;
pub use sender::Hook;
pub use store::{MailInMemory, MailStore, MailStoreError, StoredMail};

/// The limits of a broker.
///
/// ```
/// use meshwork::broker::BrokerConfig;
/// use std::time::Duration;
///
/// let config = BrokerConfig { mailbox_capacity: 100, ..BrokerConfig::default() };
/// assert_eq!((config.max_message_bytes, config.ack_timeout), (256 * 1024, Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Messages that a peer's mailbox holds; more wait with their senders.
    pub mailbox_capacity: u32,
    /// The largest payload, in bytes.
    pub max_message_bytes: usize,
    /// How long one run of a handler may take.
    pub ack_timeout: Duration,
    /// How often a handler that failed is run again.
    pub max_redeliveries: u32,
    /// How long a send waits for room in a full mailbox.
    pub send_deadline: Duration,
    /// How many messages may lie between a message and its task: a limit for exchanges that
    /// would never end. It also bounds the length of a chain of open messages in memory.
    pub max_hops: u8,
    /// How many names of messages each sender's way to a recipient remembers.
    pub known_messages: usize,
    /// How many dead letters are kept. With the largest payloads the default takes 64 MiB.
    pub dead_letter_limit: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            mailbox_capacity: 10_000,
            max_message_bytes: 256 * 1024,
            ack_timeout: Duration::from_secs(30),
            max_redeliveries: 3,
            send_deadline: Duration::from_secs(5),
            max_hops: 64,
            known_messages: 10_000,
            dead_letter_limit: 256,
        }
    }
}

/// What every part of the broker can reach.
pub(crate) struct Shared {
    config: BrokerConfig,
    clock: Clock,
    runtime: Handle,
    mailboxes: RwLock<HashMap<PeerId, Arc<Mailbox>>>,
    senders: RwLock<HashMap<PeerId, Arc<Sender>>>,
    listeners: Listeners,
    /// Numbers the runs of handlers that somebody watches.
    runs: AtomicU64,
    attempts: Arc<Attempts>,
    dead: DeadLetters,
    counters: Counters,
    latency: Histogram,
    store: Arc<dyn MailStore>,
    closed: AtomicBool,
}

impl Shared {
    fn mailbox(&self, peer: &str) -> Option<Arc<Mailbox>> {
        self.mailboxes.read().unwrap_or_else(PoisonError::into_inner).get(peer).cloned()
    }

    fn sender(self: &Arc<Self>, peer: &PeerId) -> Arc<Sender> {
        if let Some(sender) = self.senders.read().unwrap_or_else(PoisonError::into_inner).get(peer) {
            return Arc::clone(sender);
        }
        let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        let index = senders.len() as u64;
        let new = || Arc::new(Sender::new(peer.clone(), Arc::clone(self), index));
        if self.closed.load(Ordering::Acquire) {
            // It reaches nobody; keeping it would keep the broker.
            return new();
        }
        Arc::clone(senders.entry(peer.clone()).or_insert_with(new))
    }

    /// The same by its name alone, which most often is known.
    fn sender_of(self: &Arc<Self>, peer: &str) -> Arc<Sender> {
        let known = self.senders.read().unwrap_or_else(PoisonError::into_inner).get(peer).cloned();
        known.unwrap_or_else(|| self.sender(&peer.into()))
    }

    fn admit(self: &Arc<Self>, peer: &PeerId, taker: Taker, waiting: usize) -> Result<(), RegisterError> {
        let owner = self.sender(peer);
        let mut mailboxes = self.mailboxes.write().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(RegisterError::Closed);
        }
        if mailboxes.contains_key(peer) {
            return Err(RegisterError::AlreadyRegistered { peer: peer.clone() });
        }
        let mailbox = Arc::new(Mailbox::new(owner, taker, self.config.mailbox_capacity, waiting));
        mailboxes.insert(peer.clone(), mailbox);
        Ok(())
    }

    fn unregister(&self, peer: &str) -> bool {
        let mailbox = self.mailboxes.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
        if let Some(mailbox) = &mailbox {
            mailbox.depart();
        }
        mailbox.is_some()
    }

    /// Ends everything, so that nothing refers to anything in a circle any more.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.attempts.close();
        self.forget_subscriptions();
        let mailboxes = std::mem::take(&mut *self.mailboxes.write().unwrap_or_else(PoisonError::into_inner));
        mailboxes.values().for_each(|mailbox| mailbox.depart());
        let senders = std::mem::take(&mut *self.senders.write().unwrap_or_else(PoisonError::into_inner));
        senders.values().for_each(|sender| sender.close());
    }
}

/// Closes the broker when the last clone of it is dropped.
struct Door(Arc<Shared>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn take_unread(shared: Arc<Shared>, mailbox: Arc<Mailbox>, limit: usize) -> Result<Vec<Message>, ReadError> {
    let _turn = mailbox.reading.lock().await;
    let peer = mailbox.peer();
    let failed = |error| ReadError::Store { peer: peer.clone(), error };
    let unread = shared.store.unread(peer, limit).await.map_err(failed)?;
    let (keys, messages): (Vec<u64>, Vec<Message>) =
        unread.into_iter().map(|stored| (stored.key, stored.message)).unzip();
    shared.store.mark_read(peer, &keys).await.map_err(failed)?;
    mailbox.was_read(messages.len());
    shared.counters.add(Count::Delivered, messages.len() as u64);
    Ok(messages)
}

/// The local broker. Clones are the same broker; it closes with the last of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Broker, BrokerConfig, Fate, Handler, MailInMemory, Recipient};
/// use std::sync::Arc;
///
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let answers = Handler::new(|context, message| async move {
///     context.send("ada", "answer", message.payload().clone()).await?;
///     Ok(())
/// });
/// broker.register("ben", Recipient::Handler(answers)).await?;
/// broker.register("ada", Recipient::Mailbox).await?;
///
/// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// assert_eq!(sent.acknowledged().await, Fate::Acknowledged);
/// let mail = broker.read("ada", 10).await?;
/// assert_eq!((&*mail[0].kind, &*mail[0].payload), ("answer", &b"42"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Broker(Arc<Door>);

impl Broker {
    /// A broker whose agents' mail is kept in `store`. Handlers run on the present tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
    /// use std::sync::Arc;
    ///
    /// let (broker, mut settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    /// assert_eq!(broker.in_flight(), 0);
    /// drop(broker);
    /// assert_eq!(settled.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(config: BrokerConfig, store: Arc<dyn MailStore>) -> (Self, Settled) {
        let (attempts, settled) = Attempts::new();
        let shared = Shared {
            dead: DeadLetters::new(config.dead_letter_limit),
            config,
            clock: Clock::new(),
            runtime: Handle::current(),
            mailboxes: RwLock::default(),
            senders: RwLock::default(),
            listeners: Listeners::default(),
            runs: AtomicU64::new(0),
            attempts,
            counters: Counters::default(),
            latency: Histogram::new(),
            store,
            closed: AtomicBool::new(false),
        };
        (Self(Arc::new(Door(Arc::new(shared)))), settled)
    }

    /// From now on that peer gets messages.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{Handler, Recipient, RegisterError};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
    /// let error = broker.register("ben", Recipient::Mailbox).await.unwrap_err();
    /// assert!(matches!(error, RegisterError::AlreadyRegistered { .. }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name is taken, the broker closed, or the store can't say what waits in the mailbox.
    pub async fn register(&self, peer: impl Into<PeerId>, recipient: Recipient) -> Result<(), RegisterError> {
        let peer = peer.into();
        let shared = self.shared();
        let waiting = match &recipient {
            Recipient::Handler(_) => 0,
            Recipient::Mailbox => match shared.store.unread_count(&peer).await {
                Ok(waiting) => waiting,
                Err(error) => return Err(RegisterError::Store { peer, error }),
            },
        };
        shared.admit(&peer, recipient.into(), waiting)
    }

    /// That peer left or was lost: its running handlers are dropped, what waits for it becomes
    /// dead letters. Mail in the store stays there. What it sent before is delivered. False when
    /// nobody of that name was registered.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Handler, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
    /// assert!(broker.unregister("ben"));
    /// assert!(!broker.unregister("ben"));
    /// assert!(broker.outside("ada").send("ben", "question", Bytes::new()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn unregister(&self, peer: &str) -> bool {
        self.shared().forget_listener(peer);
        self.shared().unregister(peer)
    }

    /// Takes the oldest unread messages of a peer that reads, at most `limit`; they will not be
    /// unread again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::Recipient;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// let ada = broker.outside("ada");
    /// for kind in ["first", "second", "third"] {
    ///     ada.send("ben", kind, Bytes::from_static(b"{}")).await?;
    /// }
    /// let mail = broker.read("ben", 2).await?;
    /// assert_eq!((&*mail[0].kind, &*mail[1].kind), ("first", "second"));
    /// assert_eq!(broker.read("ben", 2).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The peer has no mailbox, or the store failed: then what it did not mark stays unread.
    pub async fn read(&self, peer: &str, limit: usize) -> Result<Vec<Message>, ReadError> {
        let shared = self.shared();
        let mailbox = shared
            .mailbox(peer)
            .filter(|mailbox| mailbox.is_stored())
            .ok_or_else(|| ReadError::NoMailbox { peer: peer.into() })?;
        let peer = mailbox.peer().clone();
        // A task of its own: a reader that gives up between the marks and the room given back would leave the
        // mailbox fuller than it is, for good.
        let reading = shared.runtime.spawn(take_unread(Arc::clone(shared), mailbox, limit));
        reading
            .await
            .unwrap_or_else(|failed| Err(ReadError::Store { peer, error: MailStoreError::new(failed.to_string()) }))
    }

    /// The right of a peer to send outside any task: nothing is held by what it sends, and its
    /// receipts are the way to wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Fate, Handler, Origin, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
    /// let ada = broker.outside("ada");
    /// assert_eq!(ada.origin(), Origin::Outside);
    /// let sent = ada.send("ben", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(sent.acknowledged().await, Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn outside(&self, peer: impl Into<PeerId>) -> Context {
        Context::outside(self.shared().sender(&peer.into()))
    }

    /// The body of an attempt starts with this peer; its messages are counted from here. Asked
    /// again for a body that runs, it gives another context of the same attempt.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{AttemptKey, Origin, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// let body = broker.attempt_started("ada", AttemptKey { task: 7, grant: 1 });
    /// body.send("ben", "question", Bytes::from_static(b"42")).await?;
    /// let mail = broker.read("ben", 1).await?;
    /// assert_eq!(mail[0].origin, Origin::Attempt { task: 7, grant: 1 });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn attempt_started(&self, peer: impl Into<PeerId>, attempt: AttemptKey) -> Context {
        let sender = self.shared().sender(&peer.into());
        Context::of_body(sender, self.shared().attempts.started(attempt))
    }

    /// How many messages that the attempt's body sent are not acknowledged. A message is not
    /// acknowledged before all that it caused is, so 0 means that nothing is in flight.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{AttemptKey, Handler, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let endless = Handler::new(|_, _| std::future::pending());
    /// broker.register("ben", Recipient::Handler(endless)).await?;
    /// let attempt = AttemptKey { task: 7, grant: 1 };
    /// let body = broker.attempt_started("ada", attempt);
    /// assert_eq!(broker.open_messages(attempt), 0);
    /// body.send("ben", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(broker.open_messages(attempt), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn open_messages(&self, attempt: AttemptKey) -> u64 {
        self.shared().attempts.open(attempt)
    }

    /// The body of the attempt has ended: it sends nothing more. Calls that it made and that are
    /// not answered yet count as open. When something is open, [`Settled`] names the attempt
    /// once nothing is; otherwise it never does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{AttemptKey, Handler, Recipient};
    /// use tokio::sync::watch;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let (open, gate) = watch::channel(false);
    /// let waits = Handler::new(move |_, _| {
    ///     let mut gate = gate.clone();
    ///     async move {
    ///         let _open = gate.wait_for(|open| *open).await;
    ///         Ok(())
    ///     }
    /// });
    /// broker.register("ben", Recipient::Handler(waits)).await?;
    /// let attempt = AttemptKey { task: 7, grant: 1 };
    /// broker.attempt_started("ada", attempt).send("ben", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(broker.body_ended(attempt).open, 1);
    /// open.send_replace(true);
    /// // `settled` is what the broker was made with.
    /// assert_eq!(settled.next().await, Some(attempt));
    /// # Ok(())
    /// # }
    /// ```
    pub fn body_ended(&self, attempt: AttemptKey) -> BodyEnd {
        self.shared().attempts.body_ended(attempt)
    }

    /// The attempt was lost or cancelled: its messages hold nothing any more, those not delivered
    /// die, its running handlers are told to stop, its contexts send nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{AttemptKey, Handler, Recipient, SendError};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let endless = Handler::new(|_, _| std::future::pending());
    /// broker.register("ben", Recipient::Handler(endless)).await?;
    /// let attempt = AttemptKey { task: 7, grant: 1 };
    /// let body = broker.attempt_started("ada", attempt);
    /// body.send("ben", "question", Bytes::from_static(b"42")).await?;
    /// broker.drop_attempt(attempt);
    /// assert_eq!(broker.open_messages(attempt), 0);
    /// let refused = body.send("ben", "question", Bytes::from_static(b"43")).await;
    /// assert!(matches!(refused, Err(SendError::TokenDead)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_attempt(&self, attempt: AttemptKey) {
        self.shared().attempts.dropped(attempt);
    }

    /// Calls `hook` for each message that the peer sends, before it can be delivered. Hooks must
    /// not block.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{MessageId, Recipient};
    /// use std::sync::Arc;
    /// use tokio::sync::mpsc;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// let (tell, mut told) = mpsc::unbounded_channel();
    /// broker.on_publish("ada", Arc::new(move |id, recipient| {
    ///     tell.send((id.clone(), recipient.clone())).unwrap_or_default();
    /// }));
    /// broker.outside("ada").send_named("q1", "ben", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(told.recv().await, Some((MessageId::Name("q1".into()), "ben".into())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_publish(&self, peer: impl Into<PeerId>, hook: Hook) {
        self.shared().sender(&peer.into()).hook(Moment::Publish, hook);
    }

    /// Calls `hook` for each of the peer's messages that is acknowledged, before its receipt
    /// resolves. Hooks must not block.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Handler, Recipient};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
    /// let acknowledged = Arc::new(AtomicU64::new(0));
    /// let count = acknowledged.clone();
    /// broker.on_acknowledge("ada", Arc::new(move |_, _| { count.fetch_add(1, Ordering::Relaxed); }));
    /// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
    /// sent.acknowledged().await;
    /// assert_eq!(acknowledged.load(Ordering::Relaxed), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_acknowledge(&self, peer: impl Into<PeerId>, hook: Hook) {
        self.shared().sender(&peer.into()).hook(Moment::Acknowledge, hook);
    }

    /// Ends the broker before its last clone is dropped: what waits for a handler becomes a dead letter, running
    /// handlers are dropped, nobody can be registered any more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{Recipient, RegisterError};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.close();
    /// let error = broker.register("ben", Recipient::Mailbox).await.unwrap_err();
    /// assert!(matches!(error, RegisterError::Closed));
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.shared().close();
    }

    /// The last dead letters, oldest first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{DeadReason, Handler, HandlerError, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let refuses = Handler::sync(|_, _| Err(HandlerError::new("not today")));
    /// broker.register("ben", Recipient::Handler(refuses)).await?;
    /// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
    /// sent.acknowledged().await;
    /// let dead = broker.dead_letters();
    /// assert_eq!(&*dead[0].message.payload, b"42");
    /// assert_eq!(dead[0].reason, DeadReason::HandlerFailed { attempts: 4, error: "not today".to_owned() });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared().dead.all()
    }

    /// Messages that were accepted and are neither acknowledged nor dead. Of what happens meanwhile, some may be in it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Handler, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::new(|_, _| std::future::pending()))).await?;
    /// broker.register("eve", Recipient::Mailbox).await?;
    /// let ada = broker.outside("ada");
    /// ada.send("ben", "question", Bytes::from_static(b"42")).await?;
    /// // One that is read is acknowledged when it is stored.
    /// ada.send("eve", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(broker.in_flight(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let count = |which| self.shared().counters.total(which);
        // What has ended is read first, so that nothing is missed that was sent in between.
        let ended = count(Count::Acknowledged) + count(Count::Dead);
        count(Count::Sent).saturating_sub(ended)
    }

    /// What was counted so far. Counts of what happens meanwhile may or may not be in it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::Recipient;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
    /// let metrics = broker.metrics();
    /// assert_eq!((metrics.sent, metrics.acknowledged, metrics.delivered), (1, 1, 0));
    /// assert_eq!(metrics.queued["ben"], 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> BrokerMetrics {
        let shared = self.shared();
        let count = |which| shared.counters.total(which);
        let mailboxes = shared.mailboxes.read().unwrap_or_else(PoisonError::into_inner);
        let queued = mailboxes.iter().map(|(peer, mailbox)| (peer.clone(), mailbox.len()));
        BrokerMetrics {
            queued: queued.collect(),
            sent: count(Count::Sent),
            delivered: count(Count::Delivered),
            acknowledged: count(Count::Acknowledged),
            dead: count(Count::Dead),
            redelivered: count(Count::Redelivered),
            latency_p95: shared.latency.quantile(0.95),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}
