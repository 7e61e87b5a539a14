//! The attempts whose messages are counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ack::Deficit;

/// A task and the grant under which its body runs; opaque numbers here.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{AttemptKey, Origin};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let body = broker.attempt_started("ada", AttemptKey { task: 7, grant: 1 });
/// assert_eq!(body.origin(), Origin::Attempt { task: 7, grant: 1 });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptKey {
    /// The task.
    pub task: u64,
    /// The grant.
    pub grant: u64,
}

/// What was open when a body ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{AttemptKey, BodyEnd};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let attempt = AttemptKey { task: 7, grant: 1 };
/// let _body = broker.attempt_started("ada", attempt);
/// // It sent nothing, so nothing is open and nothing will be announced.
/// assert_eq!(broker.body_ended(attempt), BodyEnd { open: 0 });
/// assert_eq!(settled.try_next(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BodyEnd {
    /// How many of the body's messages are not acknowledged. When it is not 0, the attempt is
    /// announced as settled exactly once, unless it is dropped before.
    pub open: u64,
}

/// Where attempts are announced whose last message closed after their body had ended.
///
/// Not bounded by itself: it holds at most one entry for each attempt that was started.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{AttemptKey, Handler, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
/// let attempt = AttemptKey { task: 7, grant: 1 };
/// broker.attempt_started("ada", attempt).send("ben", "question", Bytes::from_static(b"42")).await?;
/// if broker.body_ended(attempt).open > 0 {
///     // `settled` is what the broker was made with.
///     assert_eq!(settled.next().await, Some(attempt));
/// }
/// assert_eq!(broker.open_messages(attempt), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Settled(mpsc::UnboundedReceiver<AttemptKey>);

impl Settled {
    /// The next settled attempt; nothing once the broker is gone.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// // Nothing was open, and nothing will be.
    /// drop(broker);
    /// assert_eq!(settled.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<AttemptKey> {
        self.0.recv().await
    }

    /// A settled attempt if one is there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// assert_eq!(settled.try_next(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_next(&mut self) -> Option<AttemptKey> {
        self.0.try_recv().ok()
    }
}

/// One attempt: the root of the tree of its messages.
pub(super) struct Attempt {
    pub(super) key: AttemptKey,
    /// The messages that its body sent and that are not closed.
    pub(super) deficit: Deficit,
    /// Tells its running handlers to stop.
    pub(super) cancellation: CancellationToken,
    dropped: AtomicBool,
    attempts: Weak<Attempts>,
}

impl Attempt {
    /// Lost or cancelled: its messages hold nothing, its contexts send nothing.
    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Its body has ended and its last message closed.
    pub(super) fn settle(&self) {
        if let Some(attempts) = self.attempts.upgrade() {
            attempts.settle(self.key);
        }
    }
}

/// Enough that two threads rarely meet; attempts are looked up a few times in their life.
const SHARDS: usize = 16;

type Shard = HashMap<AttemptKey, Arc<Attempt>>;

/// All attempts with a body or open messages. An attempt leaves it once: whoever takes it out
/// (the body's end, the settling, the drop) decides what is announced.
pub(super) struct Attempts {
    shards: [Mutex<Shard>; SHARDS],
    /// Nothing once the broker is closed, so that whoever listens learns it.
    settled: Mutex<Option<mpsc::UnboundedSender<AttemptKey>>>,
}

impl Attempts {
    pub(super) fn new() -> (Arc<Self>, Settled) {
        let (settled, receiver) = mpsc::unbounded_channel();
        (Arc::new(Self { shards: Default::default(), settled: Mutex::new(Some(settled)) }), Settled(receiver))
    }

    /// The attempt of that key, made if it is not there.
    pub(super) fn started(self: &Arc<Self>, key: AttemptKey) -> Arc<Attempt> {
        match self.shard(key).entry(key) {
            Entry::Occupied(there) => Arc::clone(there.get()),
            Entry::Vacant(free) => Arc::clone(free.insert(Arc::new(Attempt {
                key,
                deficit: Deficit::default(),
                cancellation: CancellationToken::new(),
                dropped: AtomicBool::new(false),
                attempts: Arc::downgrade(self),
            }))),
        }
    }

    pub(super) fn open(&self, key: AttemptKey) -> u64 {
        self.shard(key).get(&key).map_or(0, |attempt| attempt.deficit.open())
    }

    pub(super) fn body_ended(&self, key: AttemptKey) -> BodyEnd {
        let Some(attempt) = self.shard(key).get(&key).cloned() else {
            return BodyEnd { open: 0 };
        };
        let Some(open) = attempt.deficit.become_passive() else {
            return BodyEnd { open: attempt.deficit.open() };
        };
        if open == 0 {
            // Nothing was in flight: there is nothing to announce.
            self.shard(key).remove(&key);
        }
        BodyEnd { open }
    }

    pub(super) fn dropped(&self, key: AttemptKey) {
        if let Some(attempt) = self.shard(key).remove(&key) {
            attempt.dropped.store(true, Ordering::Release);
            attempt.cancellation.cancel();
        }
    }

    /// Drops whatever is left, when the broker closes. Nothing is announced any more.
    pub(super) fn close(&self) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).take();
        let keys = self.shards.iter().flat_map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.keys().copied().collect::<Vec<_>>()
        });
        for key in keys.collect::<Vec<_>>() {
            self.dropped(key);
        }
    }

    fn settle(&self, key: AttemptKey) {
        if self.shard(key).remove(&key).is_none() {
            return;
        }
        if let Some(settled) = &*self.settled.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody listens any more: then nobody wants to know.
            let _ = settled.send(key);
        }
    }

    fn shard(&self, key: AttemptKey) -> MutexGuard<'_, Shard> {
        let index = (key.task ^ key.grant) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
