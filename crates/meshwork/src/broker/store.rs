//! Where the mail of agents waits until they read it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use thiserror::Error;

use super::message::{Message, PeerId};

/// What a mail store says when it can't do what was asked.
///
/// ```
/// use meshwork::broker::MailStoreError;
///
/// let error = MailStoreError::new("the disk is full");
/// assert_eq!(error.to_string(), "the disk is full");
/// ```
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct MailStoreError(String);

impl MailStoreError {
    /// A failure with this explanation.
    ///
    /// ```
    /// use meshwork::broker::MailStoreError;
    ///
    /// let error = std::io::Error::other("the disk is full");
    /// assert_eq!(MailStoreError::new(error.to_string()).to_string(), "the disk is full");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A message in a store.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{MailStore, StoredMail};
///
/// # let store = meshwork::broker::MailInMemory::default();
/// # let message = meshwork::broker::Message {
/// #     id: meshwork::broker::MessageId::Number(0),
/// #     kind: "question".into(),
/// #     payload: bytes::Bytes::from_static(b"42"),
/// #     sender: "ada".into(),
/// #     recipient: "ben".into(),
/// #     sent_at_ms: 1_700_000_000_000,
/// #     origin: meshwork::broker::Origin::Outside,
/// #     hops: 1,
/// # };
/// store.put(message.clone()).await?;
/// store.put(message.clone()).await?;
/// let unread: Vec<StoredMail> = store.unread(&"ben".into(), 10).await?;
/// assert!(unread[0].key < unread[1].key);
/// assert_eq!(unread[0].message, message);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMail {
    /// The store's own name for it, unique in a mailbox, rising in the order of storing. Message
    /// ids are not enough: senders may name two messages alike.
    pub key: u64,
    /// The message.
    pub message: Message,
}

/// Keeps the mail of peers that read. A message is acknowledged when `put` has returned well, so
/// a durable store returns when the message would survive what it promises to survive.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{MailInMemory, MailStore};
///
/// # let store = meshwork::broker::MailInMemory::default();
/// # let message = meshwork::broker::Message {
/// #     id: meshwork::broker::MessageId::Number(0),
/// #     kind: "question".into(),
/// #     payload: bytes::Bytes::from_static(b"42"),
/// #     sender: "ada".into(),
/// #     recipient: "ben".into(),
/// #     sent_at_ms: 1_700_000_000_000,
/// #     origin: meshwork::broker::Origin::Outside,
/// #     hops: 1,
/// # };
/// // `message` goes to "ben".
/// store.put(message.clone()).await?;
/// let unread = store.unread(&"ben".into(), 10).await?;
/// assert_eq!(unread[0].message, message);
/// store.mark_read(&"ben".into(), &[unread[0].key]).await?;
/// assert_eq!(store.unread_count(&"ben".into()).await?, 0);
/// # Ok(())
/// # }
/// ```
pub trait MailStore: Send + Sync {
    /// Stores a message behind the others for its recipient.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::MailStore;
    ///
    /// # let store = meshwork::broker::MailInMemory::default();
    /// # let message = meshwork::broker::Message {
    /// #     id: meshwork::broker::MessageId::Number(0),
    /// #     kind: "question".into(),
    /// #     payload: bytes::Bytes::from_static(b"42"),
    /// #     sender: "ada".into(),
    /// #     recipient: "ben".into(),
    /// #     sent_at_ms: 1_700_000_000_000,
    /// #     origin: meshwork::broker::Origin::Outside,
    /// #     hops: 1,
    /// # };
    /// store.put(message).await?;
    /// assert_eq!(store.unread_count(&"ben".into()).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The message may or may not be stored; its sender is told that it was not confirmed.
    fn put(&self, message: Message) -> BoxFuture<'_, Result<(), MailStoreError>>;

    /// The oldest unread messages of a peer, at most `limit`, in the order of storing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::MailStore;
    ///
    /// # let store = meshwork::broker::MailInMemory::default();
    /// # let message = meshwork::broker::Message {
    /// #     id: meshwork::broker::MessageId::Number(0),
    /// #     kind: "question".into(),
    /// #     payload: bytes::Bytes::from_static(b"42"),
    /// #     sender: "ada".into(),
    /// #     recipient: "ben".into(),
    /// #     sent_at_ms: 1_700_000_000_000,
    /// #     origin: meshwork::broker::Origin::Outside,
    /// #     hops: 1,
    /// # };
    /// store.put(message.clone()).await?;
    /// store.put(message).await?;
    /// assert_eq!(store.unread(&"ben".into(), 1).await?.len(), 1);
    /// // Reading does not mark.
    /// assert_eq!(store.unread(&"ben".into(), 10).await?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Nothing changed.
    fn unread<'a>(&'a self, peer: &'a PeerId, limit: usize) -> BoxFuture<'a, Result<Vec<StoredMail>, MailStoreError>>;

    /// How many unread messages a peer has.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::MailStore;
    ///
    /// # let store = meshwork::broker::MailInMemory::default();
    /// # let message = meshwork::broker::Message {
    /// #     id: meshwork::broker::MessageId::Number(0),
    /// #     kind: "question".into(),
    /// #     payload: bytes::Bytes::from_static(b"42"),
    /// #     sender: "ada".into(),
    /// #     recipient: "ben".into(),
    /// #     sent_at_ms: 1_700_000_000_000,
    /// #     origin: meshwork::broker::Origin::Outside,
    /// #     hops: 1,
    /// # };
    /// assert_eq!(store.unread_count(&"ben".into()).await?, 0);
    /// store.put(message).await?;
    /// assert_eq!(store.unread_count(&"ben".into()).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Nothing changed.
    fn unread_count<'a>(&'a self, peer: &'a PeerId) -> BoxFuture<'a, Result<usize, MailStoreError>>;

    /// These will not be unread again. Keys that are not there are no error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::MailStore;
    ///
    /// # let store = meshwork::broker::MailInMemory::default();
    /// # let message = meshwork::broker::Message {
    /// #     id: meshwork::broker::MessageId::Number(0),
    /// #     kind: "question".into(),
    /// #     payload: bytes::Bytes::from_static(b"42"),
    /// #     sender: "ada".into(),
    /// #     recipient: "ben".into(),
    /// #     sent_at_ms: 1_700_000_000_000,
    /// #     origin: meshwork::broker::Origin::Outside,
    /// #     hops: 1,
    /// # };
    /// store.put(message).await?;
    /// let key = store.unread(&"ben".into(), 1).await?[0].key;
    /// store.mark_read(&"ben".into(), &[key]).await?;
    /// // Once more is no error.
    /// store.mark_read(&"ben".into(), &[key]).await?;
    /// assert_eq!(store.unread_count(&"ben".into()).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// They stay unread, all or some.
    fn mark_read<'a>(&'a self, peer: &'a PeerId, keys: &'a [u64]) -> BoxFuture<'a, Result<(), MailStoreError>>;
}

/// Mail that lives as long as the process. What is read is forgotten.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Broker, BrokerConfig, MailInMemory, MailStore, Recipient};
/// use std::sync::Arc;
///
/// let store = Arc::new(MailInMemory::default());
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), store.clone());
/// broker.register("ben", Recipient::Mailbox).await?;
/// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// drop(broker);
/// assert_eq!(store.unread_count(&"ben".into()).await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MailInMemory(Mutex<Mail>);

#[derive(Debug, Default)]
struct Mail {
    next: u64,
    unread: HashMap<PeerId, VecDeque<StoredMail>>,
}

impl MailInMemory {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailStore for MailInMemory {
    fn put(&self, message: Message) -> BoxFuture<'_, Result<(), MailStoreError>> {
        Box::pin(async move {
            let mut mail = self.mail();
            let key = mail.next;
            mail.next += 1;
            let box_of_recipient = mail.unread.entry(message.recipient.clone()).or_default();
            box_of_recipient.push_back(StoredMail { key, message });
            Ok(())
        })
    }

    fn unread<'a>(&'a self, peer: &'a PeerId, limit: usize) -> BoxFuture<'a, Result<Vec<StoredMail>, MailStoreError>> {
        Box::pin(async move {
            let mail = self.mail();
            Ok(mail.unread.get(peer).into_iter().flatten().take(limit).cloned().collect())
        })
    }

    fn unread_count<'a>(&'a self, peer: &'a PeerId) -> BoxFuture<'a, Result<usize, MailStoreError>> {
        Box::pin(async move { Ok(self.mail().unread.get(peer).map_or(0, VecDeque::len)) })
    }

    fn mark_read<'a>(&'a self, peer: &'a PeerId, keys: &'a [u64]) -> BoxFuture<'a, Result<(), MailStoreError>> {
        Box::pin(async move {
            let keys: HashSet<u64> = keys.iter().copied().collect();
            let mut mail = self.mail();
            if let Some(unread) = mail.unread.get_mut(peer) {
                unread.retain(|stored| !keys.contains(&stored.key));
                if unread.is_empty() {
                    mail.unread.remove(peer);
                }
            }
            Ok(())
        })
    }
}
