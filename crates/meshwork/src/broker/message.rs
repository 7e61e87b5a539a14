//! The words of a message: who, what, under which id, on whose behalf.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a peer. Cheap to clone; compares as text, and is text in JSON.
///
/// ```
/// use meshwork::broker::PeerId;
///
/// let ada = PeerId::from("ada");
/// assert_eq!((&*ada, ada.to_string()), ("ada", "ada".to_owned()));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// The name as text.
    ///
    /// ```
    /// use meshwork::broker::PeerId;
    ///
    /// assert_eq!(PeerId::from("ada").as_str(), "ada");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for PeerId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PeerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for PeerId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Arc<str>> for PeerId {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What a message is called. The broker numbers messages itself; a caller who may repeat a
/// send names the message, and it is delivered once for its sender and recipient. Text in JSON, and text that is read
/// is a name: the broker's numbers mean nothing to others.
///
/// ```
/// use meshwork::broker::MessageId;
///
/// assert_eq!(MessageId::Number(3).to_string(), "3");
/// assert_ne!(MessageId::Number(3), MessageId::Name("3".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageId {
    /// Given by the broker: unique within it, rising for each sender.
    Number(u64),
    /// Given by the caller.
    Name(Arc<str>),
}

impl MessageId {
    /// The same as a name of the caller's. A number is one too, once it comes back from a caller.
    pub(super) fn as_name(&self) -> Arc<str> {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Name(name) => Arc::clone(name),
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl From<&str> for MessageId {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for MessageId {
    fn from(name: String) -> Self {
        Self::Name(name.into())
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(_) => serializer.collect_str(self),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self::Name)
    }
}

/// The type of a message. A literal costs nothing, a shared text one reference count. Text in JSON.
///
/// ```
/// use meshwork::broker::Kind;
///
/// let (literal, from_outside) = (Kind::from("question"), Kind::from(String::from("question")));
/// assert_eq!(literal, from_outside);
/// assert_eq!(&*literal, "question");
/// ```
#[derive(Clone, Debug)]
pub enum Kind {
    /// A literal of the program.
    Static(&'static str),
    /// A text that came from outside.
    Shared(Arc<str>),
}

impl Kind {
    /// The type as text.
    ///
    /// ```
    /// use meshwork::broker::Kind;
    ///
    /// assert_eq!(Kind::from("question").as_str(), "question");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        self
    }
}

impl Deref for Kind {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Kind {}

impl PartialEq<str> for Kind {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Kind {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self::Shared)
    }
}

impl From<&'static str> for Kind {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Kind {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Arc<str>> for Kind {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// On whose behalf a message was sent. The numbers are opaque here.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Origin, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Mailbox).await?;
/// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// assert_eq!(broker.read("ben", 1).await?[0].origin, Origin::Outside);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// By the body of a task, or by a handler that works off a message of that body.
    Attempt {
        /// The task.
        task: u64,
        /// The grant under which its body runs.
        grant: u64,
    },
    /// Outside any task: holds no attempt.
    Outside,
}

/// A message as plain data: what a mail store keeps, a reader gets and a dead letter shows.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Message, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Mailbox).await?;
/// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// let mail: Vec<Message> = broker.read("ben", 10).await?;
/// assert_eq!((&*mail[0].sender, &*mail[0].kind, &*mail[0].payload), ("ada", "question", &b"42"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is called.
    pub id: MessageId,
    /// Its type.
    pub kind: Kind,
    /// Its content; JSON text by convention, never looked at by the broker.
    pub payload: Bytes,
    /// Who sent it; taken from the sender's context, so it can't be forged.
    pub sender: PeerId,
    /// To whom.
    pub recipient: PeerId,
    /// When it was sent, in milliseconds since the epoch, from a clock that never goes back.
    pub sent_at_ms: u64,
    /// On whose behalf.
    pub origin: Origin,
    /// How many messages lie between it and its task: 1 when a body sent it itself.
    pub hops: u8,
}
