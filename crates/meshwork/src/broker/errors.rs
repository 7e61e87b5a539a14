//! Why a message was not accepted, and why an accepted one died.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::message::PeerId;
use super::store::MailStoreError;

/// Why a message was not accepted. In every case nothing was stored and nothing is counted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::SendError;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let error: SendError = broker.outside("ada").send("nobody", "question", Bytes::new()).await.unwrap_err();
/// assert_eq!(error.to_string(), r#"no peer named "nobody" is registered; the message was not sent"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
pub enum SendError {
    /// Nobody is registered under that name.
    #[error("no peer named {peer:?} is registered; the message was not sent")]
    UnknownPeer {
        /// The recipient that was named.
        peer: PeerId,
    },
    /// The recipient left while the message waited for room.
    #[error("peer {peer:?} left before it took the message; the message was not sent")]
    RecipientGone {
        /// The recipient.
        peer: PeerId,
    },
    /// The recipient's mailbox stayed full.
    #[error(
        "the mailbox of {peer:?} holds {limit} messages, its limit, and had no room for \
         {waited:?}; the message was not sent"
    )]
    MailboxFull {
        /// The recipient.
        peer: PeerId,
        /// How many messages its mailbox may hold.
        limit: u32,
        /// How long the send waited.
        waited: Duration,
    },
    /// The payload is too large.
    #[error("a message may have {limit} bytes, this one has {found}; it was not sent")]
    TooLarge {
        /// The largest payload, in bytes.
        limit: usize,
        /// This payload, in bytes.
        found: usize,
    },
    /// What gave the right to send is over: the body ended, the handler finished, failed or ran
    /// out of time, or the attempt was lost or cancelled.
    #[error("the body or handler that this context belongs to has ended; the message was not sent")]
    TokenDead,
    /// The recipient's mailbox is kept in a store, which can't be written without waiting.
    #[error("the mailbox of {peer:?} is kept in a store: send and await; the message was not sent")]
    MustWait {
        /// The recipient.
        peer: PeerId,
    },
    /// The mail store failed; whether it holds the message is the store's to say.
    #[error("the message for {peer:?} was not confirmed by the mail store: {error}")]
    Store {
        /// The recipient.
        peer: PeerId,
        /// What the store said.
        error: MailStoreError,
    },
}

/// Some of the recipients of a broadcast have not got it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::BroadcastError;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let nobody = ["eve".into()];
/// let error: BroadcastError = broker.outside("ada").broadcast(&nobody, "news", Bytes::new()).await.unwrap_err();
/// assert!(error.to_string().starts_with("1 of 1 peers have not got the message: eve: no peer named"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
pub struct BroadcastError {
    /// Who has it.
    pub reached: Vec<PeerId>,
    /// Who has not, and why.
    pub missed: Vec<(PeerId, SendError)>,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.reached.len() + self.missed.len();
        write!(f, "{} of {all} peers have not got the message:", self.missed.len())?;
        for (index, (peer, error)) in self.missed.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            write!(f, "{separator} {peer}: {error}")?;
        }
        Ok(())
    }
}

/// Why a peer was not registered. Nothing changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{Recipient, RegisterError};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Mailbox).await?;
/// let error: RegisterError = broker.register("ben", Recipient::Mailbox).await.unwrap_err();
/// assert_eq!(error.to_string(), r#"a peer named "ben" is registered already; nothing changed"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
pub enum RegisterError {
    /// The name is taken.
    #[error("a peer named {peer:?} is registered already; nothing changed")]
    AlreadyRegistered {
        /// The name.
        peer: PeerId,
    },
    /// The broker was closed.
    #[error("the broker is closed; nothing changed")]
    Closed,
    /// The store could not say what the mailbox holds.
    #[error("the mail store could not say what waits for {peer:?}: {error}; nothing changed")]
    Store {
        /// The peer.
        peer: PeerId,
        /// What the store said.
        error: MailStoreError,
    },
}

/// Why mail could not be read.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::ReadError;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let error: ReadError = broker.read("nobody", 10).await.unwrap_err();
/// assert_eq!(error.to_string(), r#""nobody" has no mailbox to read; nothing changed"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
pub enum ReadError {
    /// Nobody of that name reads a mailbox.
    #[error("{peer:?} has no mailbox to read; nothing changed")]
    NoMailbox {
        /// The name that was asked for.
        peer: PeerId,
    },
    /// The store failed; what was not marked as read is still unread.
    #[error("the mail of {peer:?} could not be read: {error}; it stays unread")]
    Store {
        /// The reader.
        peer: PeerId,
        /// What the store said.
        error: MailStoreError,
    },
}

/// What a handler says when it failed; the text ends up in the dead letter.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Handler, HandlerError, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let picky = Handler::sync(|_, message| match message.kind() {
///     "question" => Ok(()),
///     other => Err(HandlerError::new(format!("{other:?} is no question"))),
/// });
/// broker.register("ben", Recipient::Handler(picky)).await?;
/// broker.outside("ada").send("ben", "order", Bytes::new()).await?.acknowledged().await;
/// assert!(broker.dead_letters()[0].reason.to_string().ends_with(r#""order" is no question"#));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct HandlerError(String);

impl HandlerError {
    /// A failure with this explanation.
    ///
    /// ```
    /// use meshwork::broker::HandlerError;
    ///
    /// assert_eq!(HandlerError::new("not today").to_string(), "not today");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<SendError> for HandlerError {
    fn from(error: SendError) -> Self {
        Self(error.to_string())
    }
}

/// Why an accepted message will never be acknowledged.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{DeadReason, Fate, Handler, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Handler(Handler::new(|_, _| std::future::pending()))).await?;
/// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// broker.unregister("ben");
/// assert_eq!(sent.acknowledged().await, Fate::DeadLettered(DeadReason::RecipientGone));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeadReason {
    /// Its handler was not finished in time. It is never redelivered.
    #[error("its handler was not finished after {after:?}")]
    HandlerTimeout {
        /// How long the handler had.
        after: Duration,
    },
    /// Its handler failed, each time.
    #[error("its handler failed {attempts} times, the last time with: {error}")]
    HandlerFailed {
        /// How often it was tried.
        attempts: u32,
        /// The last error.
        error: String,
    },
    /// Too many messages lie between it and its task.
    #[error("it is {hops} messages from its task, at most {limit} are allowed")]
    TooFar {
        /// How many.
        hops: u8,
        /// How many are allowed.
        limit: u8,
    },
    /// Its recipient left or was lost.
    #[error("its recipient is gone")]
    RecipientGone,
    /// The attempt that it belongs to was lost or cancelled before it was delivered.
    #[error("the attempt that it belongs to was dropped")]
    AttemptDropped,
}

/// How a message ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Fate, Handler, HandlerError, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let picky = Handler::sync(|_, message| match message.kind() {
///     "question" => Ok(()),
///     _ => Err(HandlerError::new("not today")),
/// });
/// broker.register("ben", Recipient::Handler(picky)).await?;
/// let ada = broker.outside("ada");
/// assert_eq!(ada.send("ben", "question", Bytes::new()).await?.acknowledged().await, Fate::Acknowledged);
/// assert!(matches!(ada.send("ben", "order", Bytes::new()).await?.acknowledged().await, Fate::DeadLettered(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its handler has finished, and everything that it sent is acknowledged.
    Acknowledged,
    /// It will never be acknowledged.
    DeadLettered(DeadReason),
}
