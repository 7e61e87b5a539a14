//! What a registered peer has: room for messages, and a way to get them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::chain::Chain;
use super::context::Context;
use super::errors::HandlerError;
use super::lane::Lane;
use super::letter::Delivery;
use super::message::PeerId;
use super::sender::Sender;
use crate::messaging::MessageHandler;

/// An in-process handler that may wait.
///
/// ```
/// use meshwork::broker::{AsyncHandler, Handler};
/// use std::sync::Arc;
///
/// let takes: AsyncHandler = Arc::new(|_context, _delivery| Box::pin(async { Ok(()) }));
/// assert!(matches!(Handler::Async(takes), Handler::Async(_)));
/// ```
pub type AsyncHandler = Arc<dyn Fn(Context, Delivery) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// An in-process handler that never waits.
///
/// ```
/// use meshwork::broker::{Handler, SyncHandler};
/// use std::sync::Arc;
///
/// let takes: SyncHandler = Arc::new(|_context, _delivery| Ok(()));
/// assert!(matches!(Handler::Sync(takes), Handler::Sync(_)));
/// ```
pub type SyncHandler = Arc<dyn Fn(&Context, &Delivery) -> Result<(), HandlerError> + Send + Sync>;

/// What takes messages in this process. It runs one message at a time for each sender, in that
/// sender's order, and different senders' messages beside each other.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Fate, Handler, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// // Ben asks Eve, and his message is acknowledged when hers is.
/// let asks = Handler::new(|context, delivery| async move {
///     context.send("eve", "question", delivery.payload().clone()).await?;
///     Ok(())
/// });
/// broker.register("ben", Recipient::Handler(asks)).await?;
/// broker.register("eve", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
/// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// assert_eq!(sent.acknowledged().await, Fate::Acknowledged);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub enum Handler {
    /// May wait. Not finished within the time that the broker allows, it is dropped where it
    /// waits and its message is dead-lettered.
    Async(AsyncHandler),
    /// Short work that never waits: it occupies a thread of the runtime, and no time limit can
    /// stop it. Sends from it with [`Context::try_send`].
    Sync(SyncHandler),
}

impl Handler {
    /// A handler that may wait.
    ///
    /// ```
    /// use meshwork::broker::Handler;
    ///
    /// let forwards = Handler::new(|context, delivery| async move {
    ///     context.send("eve", delivery.kind().to_owned(), delivery.payload().clone()).await?;
    ///     Ok(())
    /// });
    /// assert!(matches!(forwards, Handler::Async(_)));
    /// ```
    pub fn new<F, Running>(handler: F) -> Self
    where
        F: Fn(Context, Delivery) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self::Async(Arc::new(move |context, delivery| Box::pin(handler(context, delivery))))
    }

    /// A handler that never waits.
    ///
    /// ```
    /// use meshwork::broker::Handler;
    ///
    /// let forwards = Handler::sync(|context, delivery| {
    ///     context.try_send("eve", delivery.kind().to_owned(), delivery.payload().clone())?;
    ///     Ok(())
    /// });
    /// assert!(matches!(forwards, Handler::Sync(_)));
    /// ```
    pub fn sync<F>(handler: F) -> Self
    where
        F: Fn(&Context, &Delivery) -> Result<(), HandlerError> + Send + Sync + 'static,
    {
        Self::Sync(Arc::new(handler))
    }
}

/// How a peer gets its messages.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{Handler, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
/// broker.register("eve", Recipient::Mailbox).await?;
/// assert!(broker.read("ben", 10).await.is_err());
/// assert!(broker.read("eve", 10).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub enum Recipient {
    /// By a handler; a message is acknowledged when the handler has finished and everything that
    /// it sent is acknowledged.
    Handler(Handler),
    /// By reading when it likes; a message is acknowledged when it is stored. Whatever comes of
    /// reading it belongs to the reader's own task.
    Mailbox,
}

/// Where the messages of one registration go.
#[derive(Clone)]
pub(super) enum Taker {
    Handler(Handler),
    /// All of these get each message; there is one at least.
    Listeners(Arc<Chain<MessageHandler>>),
    Store,
}

impl From<Recipient> for Taker {
    fn from(recipient: Recipient) -> Self {
        match recipient {
            Recipient::Handler(handler) => Self::Handler(handler),
            Recipient::Mailbox => Self::Store,
        }
    }
}

/// One registration of a peer. A peer that leaves and comes back gets another.
pub(super) struct Mailbox {
    pub(super) taker: Taker,
    /// The same peer, sending.
    pub(super) owner: Arc<Sender>,
    /// One permit for each message that still fits.
    pub(super) room: Semaphore,
    pub(super) capacity: u32,
    /// Readers take turns, so that no message is read twice.
    pub(super) reading: tokio::sync::Mutex<()>,
    /// Unread messages beyond the capacity that the store held when the peer registered: so many
    /// must be read before there is room.
    excess: AtomicUsize,
    gone: AtomicBool,
    /// The same for those who wait.
    departure: CancellationToken,
    /// The lanes that end here, for the departure.
    lanes: Mutex<Vec<Arc<Lane>>>,
}

impl Mailbox {
    pub(super) fn new(owner: Arc<Sender>, taker: Taker, capacity: u32, waiting: usize) -> Self {
        Self {
            taker,
            owner,
            room: Semaphore::new((capacity as usize).saturating_sub(waiting)),
            capacity,
            reading: tokio::sync::Mutex::new(()),
            excess: AtomicUsize::new(waiting.saturating_sub(capacity as usize)),
            gone: AtomicBool::new(false),
            departure: CancellationToken::new(),
            lanes: Mutex::default(),
        }
    }

    /// Whether messages are read from a store.
    pub(super) fn is_stored(&self) -> bool {
        matches!(self.taker, Taker::Store)
    }

    pub(super) fn peer(&self) -> &PeerId {
        &self.owner.id
    }

    /// Messages here: waiting or being handled, or unread.
    pub(super) fn len(&self) -> usize {
        let within = (self.capacity as usize).saturating_sub(self.room.available_permits());
        within + self.excess.load(Ordering::Acquire)
    }

    /// So many messages were read. Only one reader calls it at a time.
    pub(super) fn was_read(&self, messages: usize) {
        let excess = self.excess.load(Ordering::Acquire);
        self.excess.store(excess.saturating_sub(messages), Ordering::Release);
        self.make_room(messages.saturating_sub(excess));
    }

    /// Gives back the room of so many messages.
    pub(super) fn make_room(&self, messages: usize) {
        if messages > 0 {
            self.room.add_permits(messages);
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) async fn departed(&self) {
        self.departure.cancelled().await;
    }

    /// A lane that ends here. One that comes too late is closed at once.
    pub(super) fn attach(&self, lane: &Arc<Lane>) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(lane));
        if self.is_gone() {
            self.depart();
        }
    }

    /// The peer is gone: what waits here dies, running handlers are dropped, senders that wait
    /// for room are told.
    pub(super) fn depart(&self) {
        self.gone.store(true, Ordering::Release);
        self.departure.cancel();
        self.room.close();
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        for lane in lanes {
            lane.close();
        }
    }
}
