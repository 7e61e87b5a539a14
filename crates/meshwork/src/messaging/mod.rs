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
    #[must_use]
    pub fn named(mut self, message_id: impl Into<Arc<str>>) -> Self {
        self.message_id = Some(MessageId::Name(message_id.into()));
        self
    }
}

/// How a message goes.
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
#[derive(Clone)]
pub struct MessageHandler(Arc<Handle>);

impl MessageHandler {
    /// A handler that may wait.
    pub fn new<F, Running>(handler: F) -> Self
    where
        F: Fn(Arc<Message>) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(Arc::new(move |message| Box::pin(handler(message))))
    }

    /// Handles one message.
    #[must_use]
    pub fn handle(&self, message: impl Into<Arc<Message>>) -> BoxFuture<'static, Result<(), HandlerError>> {
        (self.0)(message.into())
    }

    /// Whether it is the same handler.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageEvent<'a> {
    /// A name that no other open message of the same sender to the same recipient has.
    pub message: Option<&'a MessageId>,
    /// Its recipient, where it went to one peer.
    pub recipient: Option<&'a PeerId>,
}

/// Called when a message of the watched peer is sent, acknowledged or given up. It must not block.
pub type MessageHook = Arc<dyn Fn(&MessageEvent<'_>) + Send + Sync>;

/// A handler begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlingEvent {
    /// Names the run; no two runs of one broker have the same number.
    pub run: u64,
    /// Whether it begins.
    pub begins: bool,
}

/// Called when a handler of the watched peer begins or ends, however it ends. It must not block.
pub type HandlingHook = Arc<dyn Fn(&HandlingEvent) + Send + Sync>;

/// Why a broker did not do what it was asked.
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
pub trait MessageBroker: Send + Sync {
    /// Sends to whoever subscribed to the topic at this moment. One message, whatever their number; acknowledged when
    /// all of them have finished, at once when there is none. Resolves when each of them has it. It counts as a
    /// message of `sender_id`, if there is one.
    ///
    /// # Errors
    /// The topic is none, the message too large, or some of the subscribers have not got it.
    fn publish<'a>(&'a self, topic: &'a str, message: Message) -> BoxFuture<'a, Result<(), MessageBrokerError>>;

    /// From now on that handler gets what is published to topics that the pattern matches. Tokens are separated by
    /// `.`; `*` is any one token, `>` at the end one or more.
    ///
    /// # Errors
    /// The pattern is none, or the broker is closed. Nothing changed.
    fn subscribe(&self, pattern: &str, handler: MessageHandler) -> Result<(), MessageBrokerError>;

    /// Takes back one subscription of that handler to that pattern; what was published before is still handled.
    /// Nothing happens when there is none.
    fn unsubscribe(&self, pattern: &str, handler: &MessageHandler);

    /// Sends to one peer. Resolves when the peer has it.
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
    /// # Errors
    /// The name can't be a peer's, or the peer gets its messages in another way. Nothing changed.
    fn on_peer_message(&self, peer: &str, handler: MessageHandler) -> Result<(), MessageBrokerError>;

    /// Calls the hook for each message that the peer sends, to a peer or to a topic.
    fn on_publish(&self, peer: &str, hook: MessageHook);

    /// Calls the hook for each message of the peer that is acknowledged.
    fn on_acknowledge(&self, peer: &str, hook: MessageHook);

    /// Calls the hook for each message of the peer that will never be acknowledged. Not of the seed; a broker
    /// without it leaves such messages open for ever.
    fn on_give_up(&self, _peer: &str, _hook: MessageHook) {}

    /// Calls the hook when a handler of the peer begins and when it ends. Not of the seed; a broker without it leaves
    /// running handlers to be seen by the messages that they handle.
    fn on_handling(&self, _peer: &str, _hook: HandlingHook) {}

    /// From the moment when a message was accepted to the start of its handler, 95th percentile. Not of the seed;
    /// `None`: this broker does not measure it, or there was no message yet.
    fn latency_p95(&self) -> Option<std::time::Duration> {
        None
    }
}
