//! A deliberately plain broker of somebody else: its hooks name nothing, it delivers late, out of order and sometimes
//! twice, and it knows no wildcards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use crate::messaging::{
    Message, MessageBroker, MessageBrokerError, MessageEvent, MessageHandler, MessageHook, Pattern, RoutingType, Topic,
};

#[derive(Default)]
struct State {
    peers: HashMap<String, Vec<MessageHandler>>,
    topics: Vec<(String, MessageHandler)>,
    sent: HashMap<String, Vec<MessageHook>>,
    acknowledged: HashMap<String, Vec<MessageHook>>,
    messages: u64,
    dice: u64,
}

/// The broker. Clones are the same one.
#[derive(Clone)]
pub(super) struct Plain(Arc<Mutex<State>>);

/// How one message goes.
struct Way {
    handlers: Vec<MessageHandler>,
    delay: u64,
    /// How much later it comes again.
    again: Option<u64>,
}

async fn deliver(handlers: &[MessageHandler], message: &Message, delay: u64) -> bool {
    for _ in 0..delay {
        tokio::task::yield_now().await;
    }
    let handled = join_all(handlers.iter().map(|handler| handler.handle(message.clone()))).await;
    handled.iter().all(Result::is_ok)
}

impl Plain {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { dice: seed, ..State::default() })))
    }

    fn dice(state: &mut State) -> u64 {
        // splitmix64
        state.dice = state.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z ^ (z >> 27)
    }

    fn tell(hooks: &[MessageHook]) {
        hooks.iter().for_each(|hook| hook(&MessageEvent::default()));
    }

    /// Tells that it is sent, and lets it go its way in a task of its own.
    fn post(&self, handlers: Vec<MessageHandler>, mut message: Message) {
        let (way, sent, acknowledged) = {
            let mut state = self.0.lock().unwrap();
            state.messages += 1;
            let number = state.messages;
            message.message_id.get_or_insert_with(|| format!("plain-{number}").into());
            let delay = Self::dice(&mut state) % 30;
            let again = Self::dice(&mut state).is_multiple_of(4).then_some(Self::dice(&mut state) % 60);
            let hooks = |of: &HashMap<String, Vec<MessageHook>>| {
                message.sender_id.as_deref().and_then(|sender| of.get(sender)).cloned().unwrap_or_default()
            };
            (Way { handlers, delay, again }, hooks(&state.sent), hooks(&state.acknowledged))
        };
        Self::tell(&sent);
        if let Some(later) = way.again {
            let (handlers, message) = (way.handlers.clone(), message.clone());
            tokio::spawn(async move { deliver(&handlers, &message, way.delay + later).await });
        }
        tokio::spawn(async move {
            if deliver(&way.handlers, &message, way.delay).await {
                Self::tell(&acknowledged);
            }
        });
    }

    /// Tells that a message of the peer was acknowledged which nobody sent.
    pub(super) fn acknowledge_nothing(&self, sender: &str) {
        let hooks = self.0.lock().unwrap().acknowledged.get(sender).cloned().unwrap_or_default();
        Self::tell(&hooks);
    }

    fn handlers_of(&self, peer: &str) -> Result<Vec<MessageHandler>, MessageBrokerError> {
        let handlers = self.0.lock().unwrap().peers.get(peer).cloned();
        handlers.ok_or_else(|| MessageBrokerError::Foreign(format!("nobody is called {peer}")))
    }

    fn send(&self, sender: &str, recipient: &str, message: Message) -> Result<(), MessageBrokerError> {
        let handlers = self.handlers_of(recipient)?;
        let routing_type = message.routing_type.or(Some(RoutingType::P2p));
        let (sender_id, recipient_id) = (Some(sender.into()), Some(recipient.into()));
        self.post(handlers, Message { sender_id, recipient_id, routing_type, ..message });
        Ok(())
    }
}

impl MessageBroker for Plain {
    fn publish<'a>(&'a self, topic: &'a str, message: Message) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async move {
            let topic = Topic::new(topic)?;
            let handlers = {
                let state = self.0.lock().unwrap();
                let here = state.topics.iter().filter(|(name, _)| name == topic.as_str());
                here.map(|(_, handler)| handler.clone()).collect()
            };
            self.post(handlers, message);
            Ok(())
        }
        .boxed()
    }

    fn subscribe(&self, pattern: &str, handler: MessageHandler) -> Result<(), MessageBrokerError> {
        Pattern::new(pattern)?;
        self.0.lock().unwrap().topics.push((pattern.to_owned(), handler));
        Ok(())
    }

    fn unsubscribe(&self, pattern: &str, handler: &MessageHandler) {
        let topics = &mut self.0.lock().unwrap().topics;
        if let Some(at) = topics.iter().position(|(name, other)| name == pattern && other.is(handler)) {
            topics.remove(at);
        }
    }

    fn send_to_peer<'a>(
        &'a self,
        sender: &'a str,
        recipient: &'a str,
        message: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async move { self.send(sender, recipient, message) }.boxed()
    }

    fn broadcast_to_mesh<'a>(
        &'a self,
        sender: &'a str,
        neighbors: &'a [String],
        message: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async move {
            let message = Message { routing_type: Some(RoutingType::Broadcast), ..message };
            let mut missed = Vec::new();
            for peer in neighbors {
                if self.send(sender, peer, message.clone()).is_err() {
                    missed.push(peer.as_str());
                }
            }
            let text = || format!("these have not got it: {}", missed.join(", "));
            if missed.is_empty() { Ok(()) } else { Err(MessageBrokerError::Foreign(text())) }
        }
        .boxed()
    }

    fn on_peer_message(&self, peer: &str, handler: MessageHandler) -> Result<(), MessageBrokerError> {
        self.0.lock().unwrap().peers.entry(peer.to_owned()).or_default().push(handler);
        Ok(())
    }

    fn on_publish(&self, peer: &str, hook: MessageHook) {
        self.0.lock().unwrap().sent.entry(peer.to_owned()).or_default().push(hook);
    }

    fn on_acknowledge(&self, peer: &str, hook: MessageHook) {
        self.0.lock().unwrap().acknowledged.entry(peer.to_owned()).or_default().push(hook);
    }
}
