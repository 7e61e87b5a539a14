//! Messages between the peers of a mesh, through our broker: each is acknowledged when its handler has finished, and
//! counted for completion. `meshwork bench messages` runs it alone, `meshwork-versus` beside actor libraries.

use bytes::Bytes;
use meshwork::broker::{AttemptKey, Broker, BrokerConfig, Fate, Handler, MailInMemory, Recipient, Sent};
use meshwork::messaging::{Message, MessageBroker, MessageHandler};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Peers, each of which sends to all others.
pub(crate) const PEERS: usize = 10;
/// Bytes of a payload.
pub(crate) const BYTES: usize = 256;

/// How many of its messages a sender leaves unacknowledged before it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtOnce {
    /// It waits for each, as one does who asks.
    One,
    /// So many.
    Some(usize),
    /// It waits for all of them when it has sent the last, as the body of an attempt does.
    All,
}

impl AtOnce {
    pub(crate) fn words(self) -> String {
        match self {
            Self::One => "each awaited before the next".to_owned(),
            Self::Some(count) => format!("{count} at once"),
            Self::All => "all awaited at the end".to_owned(),
        }
    }

    /// The most that may be open.
    pub(crate) fn most(self) -> usize {
        match self {
            Self::One => 1,
            Self::Some(count) => count,
            Self::All => usize::MAX,
        }
    }
}

/// The recipients that one sender picks: any of the others, the same in each run (xorshift; Marsaglia 2003).
pub(crate) struct Picks {
    me: usize,
    state: u64,
}

impl Picks {
    pub(crate) fn of(me: usize) -> Self {
        Self { me, state: me as u64 + 1 }
    }

    pub(crate) fn next(&mut self) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let other = (self.state >> 33) as usize % (PEERS - 1);
        if other >= self.me { other + 1 } else { other }
    }
}

/// Of the messages, what one of the senders sends.
pub(crate) fn share(messages: usize) -> usize {
    messages / PEERS
}

/// A new buffer: a message is made to be sent.
pub(crate) fn payload() -> Bytes {
    Bytes::copy_from_slice(&[7; BYTES])
}

/// What a recipient has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Seen {
    pub(crate) fn one(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// All messages were seen whole; so many a second.
pub(crate) fn rate(messages: usize, seen: u64, bytes: u64, started: Instant) -> Result<f64, String> {
    let seconds = started.elapsed().as_secs_f64();
    let sent = share(messages) * PEERS;
    if seen != sent as u64 || bytes != (sent * BYTES) as u64 {
        return Err(format!("expected {sent} messages of {BYTES} bytes, found {seen} with {bytes} bytes in all"));
    }
    Ok(sent as f64 / seconds)
}

fn total(all: &[Arc<Seen>]) -> (u64, u64) {
    let sum = |which: fn(&Seen) -> &AtomicU64| all.iter().map(|seen| which(seen).load(Ordering::Acquire)).sum();
    (sum(|seen| &seen.messages), sum(|seen| &seen.bytes))
}

fn peer(number: usize) -> String {
    format!("peer-{number}")
}

fn broker() -> (Broker, meshwork::broker::Settled) {
    Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()))
}

/// Sent by the bodies of attempts, one a peer: the attempts have settled at the end. Messages a second.
pub(crate) async fn of_attempts(messages: usize, at_once: AtOnce) -> Result<f64, String> {
    let (broker, mut settled) = broker();
    let all: Vec<Arc<Seen>> = (0..PEERS).map(|_| Arc::default()).collect();
    for (number, seen) in all.iter().enumerate() {
        let seen = seen.clone();
        let handler = Handler::sync(move |_, delivery| {
            seen.one(delivery.payload().len());
            Ok(())
        });
        let registered = broker.register(peer(number), Recipient::Handler(handler)).await;
        registered.map_err(|error| error.to_string())?;
    }
    let started = Instant::now();
    let mut bodies = JoinSet::new();
    for me in 0..PEERS {
        bodies.spawn(body(broker.clone(), me, share(messages), at_once));
    }
    let mut open = 0;
    while let Some(body) = bodies.join_next().await {
        open += usize::from(body.map_err(|error| error.to_string())??);
    }
    for _ in 0..open {
        settled.next().await.ok_or("the broker is gone")?;
    }
    let (seen, bytes) = total(&all);
    let rate = rate(messages, seen, bytes, started)?;
    let acknowledged = broker.metrics().acknowledged;
    if acknowledged != seen {
        return Err(format!("expected {seen} acknowledged messages, found {acknowledged}"));
    }
    Ok(rate)
}

/// Sends its messages and ends; whether some of them were open then.
async fn body(broker: Broker, me: usize, count: usize, at_once: AtOnce) -> Result<bool, String> {
    let key = AttemptKey { task: me as u64, grant: 1 };
    let context = broker.attempt_started(peer(me), key);
    let names: Vec<String> = (0..PEERS).map(peer).collect();
    let (mut picks, mut open) = (Picks::of(me), VecDeque::<Sent>::new());
    for _ in 0..count {
        let sent = context.send(&names[picks.next()], "work", payload()).await.map_err(|error| error.to_string())?;
        if at_once == AtOnce::All {
            continue;
        }
        open.push_back(sent);
        while open.len() >= at_once.most()
            && let Some(oldest) = open.pop_front()
        {
            acknowledged(&oldest).await?;
        }
    }
    for sent in open {
        acknowledged(&sent).await?;
    }
    Ok(broker.body_ended(key).open > 0)
}

async fn acknowledged(sent: &Sent) -> Result<(), String> {
    match sent.acknowledged().await {
        Fate::Acknowledged => Ok(()),
        Fate::DeadLettered(reason) => Err(reason.to_string()),
    }
}

/// Whole messages through the `MessageBroker` trait, counted by hooks as the stand-alone detector does. Messages a
/// second.
pub(crate) async fn of_any_broker(messages: usize, at_once: AtOnce) -> Result<f64, String> {
    let broker: Arc<dyn MessageBroker> = Arc::new(broker().0);
    let all: Vec<Arc<Seen>> = (0..PEERS).map(|_| Arc::default()).collect();
    for (number, seen) in all.iter().enumerate() {
        let seen = seen.clone();
        let handler = MessageHandler::new(move |message| {
            seen.one(message.payload.as_str().map_or(0, str::len));
            std::future::ready(Ok(()))
        });
        broker.on_peer_message(&peer(number), handler).map_err(|error| error.to_string())?;
    }
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for me in 0..PEERS {
        senders.spawn(sender(broker.clone(), me, share(messages), at_once));
    }
    while let Some(sender) = senders.join_next().await {
        sender.map_err(|error| error.to_string())??;
    }
    let (seen, bytes) = total(&all);
    rate(messages, seen, bytes, started)
}

/// What a sender's hooks have counted.
#[derive(Default)]
struct Hooked {
    published: AtomicU64,
    acknowledged: AtomicU64,
    given_up: AtomicBool,
    /// The sender waits until so many are acknowledged. 0: it doesn't wait.
    awaited: AtomicU64,
    reached: Notify,
}

impl Hooked {
    fn of(broker: &Arc<dyn MessageBroker>, name: &str) -> Arc<Self> {
        let hooked: Arc<Self> = Arc::default();
        let (sent, done, lost) = (hooked.clone(), hooked.clone(), hooked.clone());
        broker.on_publish(name, Arc::new(move |_| _ = sent.published.fetch_add(1, Ordering::Relaxed)));
        broker.on_acknowledge(name, Arc::new(move |_| done.one_acknowledged()));
        broker.on_give_up(
            name,
            Arc::new(move |_| {
                lost.given_up.store(true, Ordering::SeqCst);
                lost.reached.notify_one();
            }),
        );
        hooked
    }

    fn one_acknowledged(&self) {
        let acknowledged = self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1;
        let awaited = self.awaited.load(Ordering::SeqCst);
        if awaited != 0 && acknowledged >= awaited {
            self.reached.notify_one();
        }
    }

    /// Waits until so many are acknowledged.
    async fn until(&self, count: u64) -> Result<(), String> {
        if self.acknowledged.load(Ordering::SeqCst) < count {
            self.awaited.store(count, Ordering::SeqCst);
            while self.acknowledged.load(Ordering::SeqCst) < count {
                if self.given_up.load(Ordering::SeqCst) {
                    return Err("a message was given up".to_owned());
                }
                self.reached.notified().await;
            }
            self.awaited.store(0, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Ends when each of its messages is acknowledged.
async fn sender(broker: Arc<dyn MessageBroker>, me: usize, count: usize, at_once: AtOnce) -> Result<(), String> {
    let name = peer(me);
    let hooked = Hooked::of(&broker, &name);
    let names: Vec<String> = (0..PEERS).map(peer).collect();
    let mut picks = Picks::of(me);
    for sent in 0..count {
        hooked.until((sent + 1).saturating_sub(at_once.most()) as u64).await?;
        let message = Message::new("work", Value::String("7".repeat(BYTES)), 0);
        let sent = broker.send_to_peer(&name, &names[picks.next()], message).await;
        sent.map_err(|error| error.to_string())?;
    }
    hooked.until(count as u64).await?;
    match hooked.published.load(Ordering::Acquire) {
        published if published == count as u64 => Ok(()),
        published => Err(format!("expected {count} messages of {name}, its hook was told of {published}")),
    }
}
