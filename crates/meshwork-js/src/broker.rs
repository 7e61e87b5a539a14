//! The message broker, and what its JavaScript side needs of messages.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::Arc;
use std::time::Duration;

use meshwork::broker::{Broker, BrokerConfig, DeadLetter, DeadReason, HandlerError, MailInMemory};
use meshwork::messaging::{Message, MessageBroker, MessageEvent, MessageHandler, MessageHook};
use napi::bindgen_prelude::{External, within_runtime_if_available};
use napi::{Env, Result};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::calls::{CallQueue, Calls, JsFunction};
use crate::config::{millis, parsed, whole};
use crate::failure::Failure;
use crate::outcome::{Outcome, Soon, done, failed, soon, told};

/// A broker as other parts take it, whoever wrote it.
pub struct AnyBroker(pub(crate) Arc<dyn MessageBroker>);

/// A handler that is a JavaScript function.
#[napi(js_name = "Handler")]
pub struct NodeHandler(pub(crate) MessageHandler);

#[napi]
impl NodeHandler {
    /// The function that was registered by that number.
    #[napi(constructor)]
    pub fn new(calls: &CallQueue, function: u32) -> Self {
        Self(handler(calls.calls.function(function)))
    }
}

/// A message is acknowledged when the function has finished, or what it promised.
pub(crate) fn handler(function: JsFunction) -> MessageHandler {
    MessageHandler::new(move |message| {
        let function = function.clone();
        async move {
            let message = serde_json::to_string(&message).map_err(|error| HandlerError::new(error.to_string()))?;
            let answer = function.handle(format!("[{message}]")).await;
            answer.map(drop).map_err(|failure| HandlerError::new(failure.message))
        }
    })
}

/// A hook that is a JavaScript function. Nobody waits for it.
pub(crate) fn hook(function: JsFunction) -> MessageHook {
    Arc::new(move |_event: &MessageEvent<'_>| function.tell("[]".to_owned()))
}

/// A message from JSON text of at most so many bytes, judged before it is parsed.
pub(crate) fn message(text: &str, limit: usize) -> std::result::Result<Message, Failure> {
    if text.len() > limit {
        return Err(meshwork::broker::SendError::TooLarge { limit, found: text.len() }.into());
    }
    serde_json::from_str(text).map_err(|error| {
        let what = crate::config::without_place(&error);
        Failure::new("InvalidMessage", format!("the message can't be used: {what}; it was not sent"))
    })
}

/// The seed-map's `MessageBrokerConfig`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Config {
    max_queue_size: Option<f64>,
    max_message_size: Option<f64>,
    ack_timeout_ms: Option<f64>,
    max_redeliveries: Option<f64>,
    durable: bool,
    /// Not of the seed: how long a send waits for room.
    send_timeout_ms: Option<f64>,
}

impl Config {
    pub(crate) fn judged(&self) -> std::result::Result<BrokerConfig, Failure> {
        if self.durable {
            let text = "durable is true, expected false: handlers get their messages from memory, and nothing of them \
                        would survive the process; nothing was made";
            return Err(Failure::new("DurableUnsupported", text));
        }
        let default = BrokerConfig::default();
        let small = |field, given, least, default: u32| -> std::result::Result<u32, Failure> {
            let found = whole(field, given, least, 1_000_000)?;
            Ok(found.and_then(|found| u32::try_from(found).ok()).unwrap_or(default))
        };
        let size = whole("maxMessageSize", self.max_message_size, 1, 1 << 30)?;
        Ok(BrokerConfig {
            mailbox_capacity: small("maxQueueSize", self.max_queue_size, 1, default.mailbox_capacity)?,
            max_message_bytes: size.and_then(|size| usize::try_from(size).ok()).unwrap_or(default.max_message_bytes),
            ack_timeout: millis("ackTimeoutMs", self.ack_timeout_ms, 1)?.unwrap_or(default.ack_timeout),
            max_redeliveries: small("maxRedeliveries", self.max_redeliveries, 0, default.max_redeliveries)?,
            send_deadline: millis("sendTimeoutMs", self.send_timeout_ms, 0)?.unwrap_or(default.send_deadline),
            ..default
        })
    }
}

/// What the broker counted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    sent: u64,
    delivered: u64,
    acknowledged: u64,
    dead: u64,
    redelivered: u64,
    queued: Vec<(String, usize)>,
    p95_latency_ms: f64,
}

fn ms(length: Duration) -> f64 {
    length.as_secs_f64() * 1_000.0
}

fn dead_letter(letter: &DeadLetter) -> Value {
    let message = &letter.message;
    let payload = serde_json::from_slice(&message.payload).unwrap_or(Value::Null);
    let code = match letter.reason {
        DeadReason::HandlerTimeout { .. } => "HandlerTimeout",
        DeadReason::HandlerFailed { .. } => "HandlerFailed",
        DeadReason::TooFar { .. } => "TooFar",
        DeadReason::RecipientGone => "RecipientGone",
        DeadReason::AttemptDropped => "AttemptDropped",
    };
    json!({
        "message": {
            "type": &*message.kind,
            "payload": payload,
            "senderId": &*message.sender,
            "recipientId": &*message.recipient,
            "messageId": message.id.to_string(),
            "timestamp": message.sent_at_ms,
        },
        "code": code,
        "reason": letter.reason.to_string(),
        "diedAt": letter.at_ms,
    })
}

/// The broker.
#[napi(js_name = "Broker")]
pub struct NodeBroker {
    broker: Broker,
    calls: Calls,
    limit: usize,
}

#[napi]
impl NodeBroker {
    /// A broker with this configuration, or why not.
    ///
    /// # Errors
    /// None of its own.
    #[napi(catch_unwind)]
    pub fn make(calls: &CallQueue, config: String) -> napi::Either<NodeBroker, String> {
        match parsed::<Config>(&config).and_then(|config| config.judged()) {
            Ok(config) => {
                let limit = config.max_message_bytes;
                let make = || Broker::new(config, Arc::new(MailInMemory::default()));
                let (broker, _no_attempts) = within_runtime_if_available(make);
                napi::Either::A(Self { broker, calls: calls.calls.clone(), limit })
            }
            Err(failure) => napi::Either::B(failed(failure)),
        }
    }

    /// For other parts.
    #[napi(catch_unwind)]
    pub fn any(&self) -> External<AnyBroker> {
        External::new(AnyBroker(Arc::new(self.broker.clone())))
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn publish<'env>(&self, env: &'env Env, topic: String, text: String) -> Result<Soon<'env>> {
        let (broker, limit) = (self.broker.clone(), self.limit);
        soon(env, async move {
            match message(&text, limit) {
                Ok(message) => done(broker.publish(&topic, message).await),
                Err(failure) => Some(failed(failure)),
            }
        })
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn subscribe(&self, pattern: String, handler: &NodeHandler) -> Outcome {
        done(self.broker.subscribe(&pattern, handler.0.clone()))
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn unsubscribe(&self, pattern: String, handler: &NodeHandler) {
        self.broker.unsubscribe(&pattern, &handler.0);
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn send_to_peer<'env>(
        &self,
        env: &'env Env,
        sender: String,
        recipient: String,
        text: String,
    ) -> Result<Soon<'env>> {
        let (broker, limit) = (self.broker.clone(), self.limit);
        soon(env, async move {
            match message(&text, limit) {
                Ok(message) => done(broker.send_to_peer(&sender, &recipient, message).await),
                Err(failure) => Some(failed(failure)),
            }
        })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn broadcast_to_mesh<'env>(
        &self,
        env: &'env Env,
        sender: String,
        neighbors: Vec<String>,
        text: String,
    ) -> Result<Soon<'env>> {
        let (broker, limit) = (self.broker.clone(), self.limit);
        soon(env, async move {
            match message(&text, limit) {
                Ok(message) => done(broker.broadcast_to_mesh(&sender, &neighbors, message).await),
                Err(failure) => Some(failed(failure)),
            }
        })
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn on_peer_message(&self, peer: String, handler: &NodeHandler) -> Outcome {
        done(self.broker.on_peer_message(&peer, handler.0.clone()))
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn on_publish(&self, peer: String, function: u32) {
        MessageBroker::on_publish(&self.broker, &peer, hook(self.calls.function(function)));
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn on_acknowledge(&self, peer: String, function: u32) {
        MessageBroker::on_acknowledge(&self.broker, &peer, hook(self.calls.function(function)));
    }

    /// What was counted.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Outcome {
        let counted = self.broker.metrics();
        told::<_, Failure>(Ok(Metrics {
            sent: counted.sent,
            delivered: counted.delivered,
            acknowledged: counted.acknowledged,
            dead: counted.dead,
            redelivered: counted.redelivered,
            queued: counted.queued.into_iter().map(|(peer, count)| (peer.to_string(), count)).collect(),
            p95_latency_ms: counted.latency_p95.map_or(0.0, ms),
        }))
    }

    /// Messages that are neither acknowledged nor dead.
    #[napi(catch_unwind)]
    pub fn in_flight(&self) -> f64 {
        self.broker.in_flight() as f64
    }

    /// The last dead letters, oldest first.
    #[napi(catch_unwind)]
    pub fn dead_letters(&self) -> Outcome {
        let letters: Vec<Value> = self.broker.dead_letters().iter().map(dead_letter).collect();
        told::<_, Failure>(Ok(letters))
    }

    /// Ends it.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.broker.close();
    }
}
