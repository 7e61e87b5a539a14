//! Any broker: what the parts that work on messages alone need of one, in the words of the seed's `IMessageBroker`.
//!
//! [`MessageBroker`] is object-safe, so that a broker of somebody else fits; [`crate::broker::Broker`] is ours. What
//! every broker must do is in [`contract`], as scenarios.
//!
//! The eight methods of the seed come first. Two more have a default: a broker that can say which handlers run, and
//! which messages will never be acknowledged, makes completion detection sharper; one that can't is not asked to.
//!
//! Names of peers that begin with `$` are the broker's own.

#[doc(hidden)]
pub mod contract;
mod topic;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::broker::{BroadcastError, HandlerError, Kind, MessageId, PeerId, RegisterError, SendError};

pub use topic::{Pattern, Topic, TopicError};

/// A message, as the seed's `Message`: the same names in JSON.
///
/// ```
/// use meshwork::messaging::Message;
/// use serde_json::json;
///
/// let greeting = Message::new("greeting", json!("hello"), 1_700_000_000_000);
/// let message = Message { sender_id: Some("ada".into()), ..greeting };
/// let expected =
///     json!({ "type": "greeting", "payload": "hello", "senderId": "ada", "timestamp": 1_700_000_000_000_u64 });
/// assert_eq!(serde_json::to_value(&message)?, expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its content.
    pub payload: Value,
    /// Who sent it. The broker sets it where a sender is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<PeerId>,
    /// To whom, where it went to one peer. The broker sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<PeerId>,
    /// When the sender made it, in milliseconds since the epoch.
    pub timestamp: u64,
    /// What it is called; our broker numbers those that have no name. One that comes again from the same sender to the
    /// same recipient or topic is the same message: a broker that says so delivers it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// How it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_type: Option<RoutingType>,
    /// Whatever the sender adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Map<String, Value>>,
}

impl Message {
    /// A message of that type, content and time, without the rest.
    ///
    /// ```
    /// use meshwork::messaging::Message;
    /// use serde_json::json;
    ///
    /// let message = Message::new("greeting", json!({ "text": "hello" }), 1_700_000_000_000);
    /// assert_eq!((message.kind.as_str(), message.sender_id, message.message_id), ("greeting", None, None));
    /// ```
    pub fn new(kind: impl Into<Kind>, payload: Value, timestamp: u64) -> Self {
        Self {
            kind: kind.into(),
            payload,
            sender_id: None,
            recipient_id: None,
            timestamp,
            message_id: None,
            routing_type: None,
            metadata: None,
        }
    }

    /// The same message by that name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use meshwork::broker::HandlerError;
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// # let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    /// # bus.on_peer_message("ben", MessageHandler::new(move |message| {
    /// #     let tell = tell.clone();
    /// #     async move { tell.send(message.kind.clone()).map_err(|_| HandlerError::new("nobody listens")) }
    /// # }))?;
    /// // Sent twice, for whatever reason, it comes once.
    /// let order = Message::new("order", json!({ "parts": 3 }), 1_700_000_000_000).named("order-1");
    /// bus.send_to_peer("ada", "ben", order.clone()).await?;
    /// bus.send_to_peer("ada", "ben", order).await?;
    /// bus.send_to_peer("ada", "ben", Message::new("end", json!(null), 1_700_000_000_001)).await?;
    /// assert_eq!((heard.recv().await.as_deref(), heard.recv().await.as_deref()), (Some("order"), Some("end")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(mut self, message_id: impl Into<Arc<str>>) -> Self {
        self.message_id = Some(MessageId::Name(message_id.into()));
        self
    }
}

/// How a message goes.
///
/// ```
/// use meshwork::messaging::{Message, RoutingType};
/// use serde_json::json;
///
/// let message = Message { routing_type: Some(RoutingType::P2p), ..Message::new("greeting", json!("hello"), 0) };
/// assert_eq!(serde_json::to_value(&message)?["routingType"], "p2p");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoutingType {
    /// To every neighbour.
    Broadcast,
    /// To one peer.
    P2p,
    /// To whoever subscribed.
    Multicast,
}

type Handle = dyn Fn(Arc<Message>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync;

/// Takes messages. A message is acknowledged when its handlers have finished well. All handlers of a message share it;
/// one that wants to change it clones it. Clones are the same handler: [`MessageBroker::unsubscribe`] wants the one
/// that was subscribed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::HandlerError;
/// use meshwork::messaging::{Message, MessageHandler};
/// use serde_json::json;
/// use tokio::sync::mpsc;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
/// let (tell, mut heard) = mpsc::unbounded_channel();
/// let handler = MessageHandler::new(move |message| {
///     let tell = tell.clone();
///     async move { tell.send(message.payload.clone()).map_err(|_| HandlerError::new("nobody listens")) }
/// });
/// bus.subscribe("news.*", handler.clone())?;
/// bus.publish("news.today", Message::new("headline", json!("it works"), 1_700_000_000_000)).await?;
/// assert_eq!(heard.recv().await, Some(json!("it works")));
/// // The same handler, so it can be taken back.
/// bus.unsubscribe("news.*", &handler);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MessageHandler(Arc<Handle>);

impl MessageHandler {
    /// A handler that may wait.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::HandlerError;
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// let careful = MessageHandler::new(|message| async move {
    ///     match message.kind.as_str() {
    ///         "greeting" => Ok(()),
    ///         other => Err(HandlerError::new(format!("{other:?} is not for me"))),
    ///     }
    /// });
    /// assert!(careful.handle(Message::new("greeting", json!("hello"), 0)).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new<F, Running>(handler: F) -> Self
    where
        F: Fn(Arc<Message>) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(Arc::new(move |message| Box::pin(handler(message))))
    }

    /// Handles one message.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::HandlerError;
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// let refusing = MessageHandler::new(|_| async { Err(HandlerError::new("not today")) });
    /// let handled = refusing.handle(Message::new("greeting", json!("hello"), 0)).await;
    /// assert_eq!(handled.unwrap_err().to_string(), "not today");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn handle(&self, message: impl Into<Arc<Message>>) -> BoxFuture<'static, Result<(), HandlerError>> {
        (self.0)(message.into())
    }

    /// Whether it is the same handler.
    ///
    /// ```
    /// use meshwork::messaging::MessageHandler;
    ///
    /// let new = || MessageHandler::new(|_| async { Ok(()) });
    /// let (one, other) = (new(), new());
    /// assert!(one.is(&one.clone()));
    /// // What it does is not compared.
    /// assert!(!one.is(&other));
    /// ```
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for MessageHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageHandler")
    }
}

/// What a hook is told of a message, as far as the broker says.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::messaging::{Message, MessageEvent, MessageHandler};
/// use serde_json::json;
/// use std::sync::Arc;
/// use tokio::sync::mpsc;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
/// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
/// let (tell, mut told) = mpsc::unbounded_channel();
/// let hook = move |event: &MessageEvent<'_>| tell.send((event.message.cloned(), event.recipient.cloned())).unwrap_or_default();
/// bus.on_publish("ada", Arc::new(hook));
/// bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 0).named("first")).await?;
/// let (message, recipient) = told.recv().await.expect("it was sent");
/// assert_eq!((message, recipient.as_deref()), (Some("first".into()), Some("ben")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageEvent<'a> {
    /// A name that no other open message of the same sender to the same recipient has.
    pub message: Option<&'a MessageId>,
    /// Its recipient, where it went to one peer.
    pub recipient: Option<&'a PeerId>,
}

/// Called when a message of the watched peer is sent, acknowledged or given up. It must not block.
///
/// ```
/// use meshwork::messaging::{MessageEvent, MessageHook};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let count = Arc::new(AtomicU64::new(0));
/// let counts = count.clone();
/// let hook: MessageHook = Arc::new(move |_event| { counts.fetch_add(1, Ordering::Relaxed); });
/// hook(&MessageEvent::default());
/// assert_eq!(count.load(Ordering::Relaxed), 1);
/// ```
pub type MessageHook = Arc<dyn Fn(&MessageEvent<'_>) + Send + Sync>;

/// A handler begins or ends.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::messaging::{HandlingEvent, Message, MessageHandler};
/// use serde_json::json;
/// use std::sync::Arc;
/// use tokio::sync::mpsc;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
/// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
/// let (tell, mut told) = mpsc::unbounded_channel();
/// bus.on_handling("ben", Arc::new(move |event: &HandlingEvent| tell.send(*event).unwrap_or_default()));
/// bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 0)).await?;
/// let (begin, end) = (told.recv().await.expect("it begins"), told.recv().await.expect("it ends"));
/// assert_eq!((begin.begins, end.begins), (true, false));
/// assert_eq!(begin.run, end.run);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlingEvent {
    /// Names the run; no two runs of one broker have the same number.
    pub run: u64,
    /// Whether it begins.
    pub begins: bool,
}

/// Called when a handler of the watched peer begins or ends, however it ends. It must not block.
///
/// ```
/// use meshwork::messaging::{HandlingEvent, HandlingHook};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicI64, Ordering};
///
/// let running = Arc::new(AtomicI64::new(0));
/// let counts = running.clone();
/// let hook: HandlingHook = Arc::new(move |event| {
///     counts.fetch_add(if event.begins { 1 } else { -1 }, Ordering::Relaxed);
/// });
/// hook(&HandlingEvent { run: 0, begins: true });
/// assert_eq!(running.load(Ordering::Relaxed), 1);
/// ```
pub type HandlingHook = Arc<dyn Fn(&HandlingEvent) + Send + Sync>;

/// Why a broker did not do what it was asked.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::SendError;
/// use meshwork::messaging::{Message, MessageBrokerError};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
/// let error = bus.send_to_peer("ada", "nobody", Message::new("greeting", json!("hello"), 0)).await.unwrap_err();
/// assert!(matches!(error, MessageBrokerError::Send(SendError::UnknownPeer { .. })));
/// assert_eq!(error.to_string(), r#"no peer named "nobody" is registered; the message was not sent"#);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
pub enum MessageBrokerError {
    /// The topic or pattern is none.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The name of the peer is the broker's own.
    #[error("names that begin with `$` are the broker's own, {name:?} can't be a peer; nothing changed")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// The message was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Some have not got it.
    #[error(transparent)]
    Broadcast(#[from] BroadcastError),
    /// The peer can't be listened to.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// What a broker of somebody else says.
    #[error("{0}")]
    Foreign(String),
}

/// Any broker. The seed's `IMessageBroker` in Rust habits.
///
/// Promises of every broker: nothing is dropped silently; messages of one sender to one recipient arrive in the order
/// in which they were sent, unless it says otherwise; a message is acknowledged after its handlers have finished,
/// and the hooks are called once a message: `on_publish` before it can be handled, `on_acknowledge` after. A hook
/// that names messages names all of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{Broker, BrokerConfig, HandlerError, MailInMemory};
/// use meshwork::messaging::{Message, MessageBroker, MessageHandler};
/// use serde_json::json;
/// use std::sync::Arc;
/// use tokio::sync::mpsc;
///
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let bus: Arc<dyn MessageBroker> = Arc::new(broker);
///
/// let (tell, mut heard) = mpsc::unbounded_channel();
/// bus.on_peer_message("ben", MessageHandler::new(move |message| {
///     let tell = tell.clone();
///     async move { tell.send(message).map_err(|_| HandlerError::new("nobody listens")) }
/// }))?;
/// bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 1_700_000_000_000)).await?;
/// let message = heard.recv().await.expect("ben has it");
/// assert_eq!((message.sender_id.as_deref(), &message.payload), (Some("ada"), &json!("hello")));
/// # Ok(())
/// # }
/// ```
pub trait MessageBroker: Send + Sync {
    /// Sends to whoever subscribed to the topic at this moment. One message, whatever their number; acknowledged when
    /// all of them have finished, at once when there is none. Resolves when each of them has it. It counts as a
    /// message of `sender_id`, if there is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::Message;
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// // Nobody subscribed: that is no error, and the message is acknowledged at once.
    /// bus.publish("news.today", Message::new("headline", json!("it works"), 0)).await?;
    /// let error = bus.publish("news.*", Message::new("headline", json!("it works"), 0)).await.unwrap_err();
    /// assert_eq!(error.to_string(), r#""news.*" is no topic: `*` and `>` are for subscriptions; nothing changed"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The topic is none, the message too large, or some of the subscribers have not got it.
    fn publish<'a>(&'a self, topic: &'a str, message: Message) -> BoxFuture<'a, Result<(), MessageBrokerError>>;

    /// From now on that handler gets what is published to topics that the pattern matches. Tokens are separated by
    /// `.`; `*` is any one token, `>` at the end one or more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::HandlerError;
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    /// use tokio::sync::mpsc;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// let (tell, mut heard) = mpsc::unbounded_channel();
    /// bus.subscribe("news.>", MessageHandler::new(move |message| {
    ///     let tell = tell.clone();
    ///     async move { tell.send(message.kind.clone()).map_err(|_| HandlerError::new("nobody listens")) }
    /// }))?;
    /// bus.publish("weather.today", Message::new("rain", json!(null), 1_700_000_000_000)).await?;
    /// bus.publish("news.today.local", Message::new("headline", json!(null), 1_700_000_000_001)).await?;
    /// assert_eq!(heard.recv().await.as_deref(), Some("headline"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The pattern is none, or the broker is closed. Nothing changed.
    fn subscribe(&self, pattern: &str, handler: MessageHandler) -> Result<(), MessageBrokerError>;

    /// Takes back one subscription of that handler to that pattern; what was published before is still handled.
    /// Nothing happens when there is none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{Fate, HandlerError};
    /// use meshwork::messaging::{Message, MessageBroker, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let refuses = MessageHandler::new(|_| async { Err(HandlerError::new("not today")) });
    /// broker.subscribe("news.*", refuses.clone())?;
    /// broker.unsubscribe("news.*", &refuses);
    /// // Once more does no harm.
    /// broker.unsubscribe("news.*", &refuses);
    /// let fate = broker.publish_and_wait("news.today", Message::new("headline", json!("it works"), 0)).await?;
    /// assert_eq!(fate, Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    fn unsubscribe(&self, pattern: &str, handler: &MessageHandler);

    /// Sends to one peer. Resolves when the peer has it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// let greeting = || Message::new("greeting", json!("hello"), 1_700_000_000_000);
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
    /// bus.send_to_peer("ada", "ben", greeting()).await?;
    /// assert!(bus.send_to_peer("ada", "nobody", greeting()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Nobody of that name is there, its mailbox stayed full, or the message is too large. It was not sent.
    fn send_to_peer<'a>(
        &'a self,
        sender: &'a str,
        recipient: &'a str,
        message: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>>;

    /// Sends to each of these peers. Resolves when all have it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageBrokerError, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
    /// let neighbors = ["ben", "eve"].map(str::to_owned);
    /// let message = Message::new("greeting", json!("hello"), 1_700_000_000_000);
    /// let Err(MessageBrokerError::Broadcast(error)) = bus.broadcast_to_mesh("ada", &neighbors, message).await else {
    ///     panic!("eve is not there");
    /// };
    /// assert_eq!((error.reached[0].as_str(), error.missed[0].0.as_str()), ("ben", "eve"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Names those that have not got it, after every one was tried.
    fn broadcast_to_mesh<'a>(
        &'a self,
        sender: &'a str,
        neighbors: &'a [String],
        message: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>>;

    /// From now on that handler gets what is sent to the peer. Several handlers of one peer all get each message.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::MessageHandler;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// let handler = MessageHandler::new(|_| async { Ok(()) });
    /// bus.on_peer_message("ben", handler.clone())?;
    /// let error = bus.on_peer_message("$ben", handler).unwrap_err();
    /// assert!(error.to_string().starts_with("names that begin with `$` are the broker's own"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name can't be a peer's, or the peer gets its messages in another way. Nothing changed.
    fn on_peer_message(&self, peer: &str, handler: MessageHandler) -> Result<(), MessageBrokerError>;

    /// Calls the hook for each message that the peer sends, to a peer or to a topic.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::Message;
    /// use serde_json::json;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// let sent = Arc::new(AtomicU64::new(0));
    /// let count = sent.clone();
    /// bus.on_publish("ada", Arc::new(move |_| { count.fetch_add(1, Ordering::Relaxed); }));
    /// for sender in ["ada", "ben"] {
    ///     let message = Message::new("headline", json!("it works"), 1_700_000_000_000);
    ///     bus.publish("news", Message { sender_id: Some(sender.into()), ..message }).await?;
    /// }
    /// assert_eq!(sent.load(Ordering::Relaxed), 1);
    /// # Ok(())
    /// # }
    /// ```
    fn on_publish(&self, peer: &str, hook: MessageHook);

    /// Calls the hook for each message of the peer that is acknowledged.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    /// use std::sync::Arc;
    /// use tokio::sync::mpsc;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
    /// let (tell, mut told) = mpsc::unbounded_channel();
    /// bus.on_acknowledge("ada", Arc::new(move |event| tell.send(event.message.cloned()).unwrap_or_default()));
    /// bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 0).named("first")).await?;
    /// // Ben's handler has finished.
    /// assert_eq!(told.recv().await.flatten(), Some("first".into()));
    /// # Ok(())
    /// # }
    /// ```
    fn on_acknowledge(&self, peer: &str, hook: MessageHook);

    /// Calls the hook for each message of the peer that will never be acknowledged. Not of the seed; a broker
    /// without it leaves such messages open for ever.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{Broker, BrokerConfig, HandlerError, MailInMemory};
    /// use meshwork::messaging::{Message, MessageBroker, MessageHandler};
    /// use serde_json::json;
    /// use std::sync::Arc;
    /// use tokio::sync::mpsc;
    ///
    /// let config = BrokerConfig { max_redeliveries: 0, ..BrokerConfig::default() };
    /// let (broker, _settled) = Broker::new(config, Arc::new(MailInMemory::default()));
    /// let bus: Arc<dyn MessageBroker> = Arc::new(broker);
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Err(HandlerError::new("not today")) }))?;
    /// let (tell, mut told) = mpsc::unbounded_channel();
    /// bus.on_give_up("ada", Arc::new(move |event| tell.send(event.recipient.cloned()).unwrap_or_default()));
    /// bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 0)).await?;
    /// assert_eq!(told.recv().await.flatten().as_deref(), Some("ben"));
    /// # Ok(())
    /// # }
    /// ```
    fn on_give_up(&self, _peer: &str, _hook: MessageHook) {}

    /// Calls the hook when a handler of the peer begins and when it ends. Not of the seed; a broker without it leaves
    /// running handlers to be seen by the messages that they handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    /// use std::sync::Arc;
    /// use tokio::sync::mpsc;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
    /// let (tell, mut told) = mpsc::unbounded_channel();
    /// bus.on_handling("ben", Arc::new(move |event| tell.send(event.begins).unwrap_or_default()));
    /// bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 0)).await?;
    /// assert_eq!((told.recv().await, told.recv().await), (Some(true), Some(false)));
    /// # Ok(())
    /// # }
    /// ```
    fn on_handling(&self, _peer: &str, _hook: HandlingHook) {}

    /// From the moment when a message was accepted to the start of its handler, 95th percentile. Not of the seed;
    /// `None`: this broker does not measure it, or there was no message yet.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::sync::Arc;
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker);
    /// assert_eq!(bus.latency_p95(), None);
    /// # let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    /// # bus.on_acknowledge("ada", Arc::new(move |_| tell.send(()).unwrap_or_default()));
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
    /// for _ in 0..100 {
    ///     bus.send_to_peer("ada", "ben", Message::new("greeting", json!("hello"), 0)).await?;
    ///     # told.recv().await;
    /// }
    /// assert!(bus.latency_p95().is_some());
    /// # Ok(())
    /// # }
    /// ```
    fn latency_p95(&self) -> Option<std::time::Duration> {
        None
    }
}
