//! A message broker that is written in JavaScript.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork::broker::SendError;
use meshwork::messaging::{Message, MessageBroker, MessageBrokerError, MessageEvent, MessageHandler, MessageHook};
use napi::bindgen_prelude::External;
use napi::{Env, Result};
use napi_derive::napi;
use serde::Serialize;

use super::arguments;
use crate::broker::{AnyBroker, message};
use crate::calls::{Answer, CallQueue, JsFunction};
use crate::failure::Failure;
use crate::outcome::{Soon, done, failed, soon};

/// The numbers by which the methods of a broker are registered.
#[napi(object)]
pub struct BrokerMethods {
    /// `[topic, message]`.
    pub publish: u32,
    /// `[pattern, handler]`: the number of a handler here.
    pub subscribe: u32,
    /// `[pattern, handler]`.
    pub unsubscribe: u32,
    /// `[sender, recipient, message]`.
    pub send_to_peer: u32,
    /// `[sender, neighbors, message]`.
    pub broadcast_to_mesh: u32,
    /// `[peer, handler]`.
    pub on_peer_message: u32,
    /// `[peer, hook]`: the number of a hook here.
    pub on_publish: u32,
    /// `[peer, hook]`.
    pub on_acknowledge: u32,
}

/// The broker as the library takes it.
pub(crate) struct Inner {
    publish: JsFunction,
    subscribe: JsFunction,
    unsubscribe: JsFunction,
    send_to_peer: JsFunction,
    broadcast_to_mesh: JsFunction,
    on_peer_message: JsFunction,
    on_publish: JsFunction,
    on_acknowledge: JsFunction,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u32,
    handlers: HashMap<u32, Subscribed>,
    hooks: HashMap<u32, MessageHook>,
    /// Calls that the trait does not wait for, whose answers somebody may ask for.
    asked: Vec<BoxFuture<'static, Answer>>,
    failed: Option<Failure>,
}

/// A handler, and the patterns that it was subscribed to, of which the broker was not told yet that it is no more. A
/// peer's handler stays: it has a place that is no pattern.
struct Subscribed {
    handler: MessageHandler,
    places: Vec<String>,
}

/// No pattern is empty.
const OF_A_PEER: &str = "";

impl State {
    fn number(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    fn number_of(&mut self, handler: &MessageHandler) -> u32 {
        let known = self.handlers.iter().find(|(_, other)| other.handler.is(handler)).map(|(number, _)| *number);
        known.unwrap_or_else(|| {
            let number = self.number();
            self.handlers.insert(number, Subscribed { handler: handler.clone(), places: Vec::new() });
            number
        })
    }

    /// The handler's number, now that it is to be there too.
    fn number_at(&mut self, handler: &MessageHandler, place: &str) -> u32 {
        let number = self.number_of(handler);
        if let Some(subscribed) = self.handlers.get_mut(&number) {
            subscribed.places.push(place.to_owned());
        }
        number
    }

    /// The handler is no longer there; says whether it is nowhere else, and forgotten.
    fn leave(&mut self, number: u32, place: &str) -> bool {
        let Some(subscribed) = self.handlers.get_mut(&number) else { return true };
        if let Some(at) = subscribed.places.iter().position(|other| other == place) {
            subscribed.places.swap_remove(at);
        }
        let nowhere = subscribed.places.is_empty();
        if nowhere {
            self.handlers.remove(&number);
        }
        nowhere
    }

    /// Keeps the answers that are not there yet, and the first failure of those that are.
    fn look(&mut self) {
        let failed = &mut self.failed;
        self.asked.retain_mut(|asked| match asked.now_or_never() {
            None => true,
            Some(answer) => {
                if let Err(failure) = answer {
                    failed.get_or_insert(failure);
                }
                false
            }
        });
    }
}

fn refused(failure: Failure) -> MessageBrokerError {
    MessageBrokerError::Foreign(failure.message)
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for something that the trait does not wait for.
    fn ask(&self, function: &JsFunction, given: &impl Serialize) -> std::result::Result<(), MessageBrokerError> {
        let text = arguments(given).map_err(refused)?;
        let asked = function.ask(text, None).boxed();
        let mut state = self.state();
        state.look();
        state.asked.push(asked);
        Ok(())
    }

    /// Waits until the broker has taken what it was asked: handlers and hooks.
    ///
    /// # Errors
    /// It refused something since the last time.
    pub(crate) async fn taken(&self) -> std::result::Result<(), Failure> {
        let asked = std::mem::take(&mut self.state().asked);
        let answers = futures_util::future::join_all(asked).await;
        let failed = self.state().failed.take();
        match failed.or_else(|| answers.into_iter().find_map(std::result::Result::err)) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn hook(&self, function: &JsFunction, peer: &str, hook: MessageHook) {
        let number = {
            let mut state = self.state();
            let number = state.number();
            state.hooks.insert(number, hook);
            number
        };
        // Text and a number can't fail to be written.
        let _written = self.ask(function, &(peer, number));
    }

    async fn send(
        &self,
        function: &JsFunction,
        given: std::result::Result<String, Failure>,
    ) -> std::result::Result<(), Failure> {
        function.ask(given?, None).await.map(drop)
    }
}

impl MessageBroker for Inner {
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        message: Message,
    ) -> BoxFuture<'a, std::result::Result<(), MessageBrokerError>> {
        let given = arguments(&(topic, message));
        async move { self.send(&self.publish, given).await.map_err(refused) }.boxed()
    }

    fn subscribe(&self, pattern: &str, handler: MessageHandler) -> std::result::Result<(), MessageBrokerError> {
        let number = self.state().number_at(&handler, pattern);
        self.ask(&self.subscribe, &(pattern, number))
    }

    fn unsubscribe(&self, pattern: &str, handler: &MessageHandler) {
        let number = self.state().number_of(handler);
        // Text and a number can't fail to be written.
        let _written = self.ask(&self.unsubscribe, &(pattern, number));
    }

    fn send_to_peer<'a>(
        &'a self,
        sender: &'a str,
        recipient: &'a str,
        message: Message,
    ) -> BoxFuture<'a, std::result::Result<(), MessageBrokerError>> {
        let given = arguments(&(sender, recipient, message));
        async move {
            self.send(&self.send_to_peer, given).await.map_err(|failure| match &*failure.code {
                "UnknownPeer" => SendError::UnknownPeer { peer: recipient.into() }.into(),
                _ => refused(failure),
            })
        }
        .boxed()
    }

    fn broadcast_to_mesh<'a>(
        &'a self,
        sender: &'a str,
        neighbors: &'a [String],
        message: Message,
    ) -> BoxFuture<'a, std::result::Result<(), MessageBrokerError>> {
        let given = arguments(&(sender, neighbors, message));
        async move { self.send(&self.broadcast_to_mesh, given).await.map_err(refused) }.boxed()
    }

    fn on_peer_message(&self, peer: &str, handler: MessageHandler) -> std::result::Result<(), MessageBrokerError> {
        let number = self.state().number_at(&handler, OF_A_PEER);
        self.ask(&self.on_peer_message, &(peer, number))
    }

    fn on_publish(&self, peer: &str, hook: MessageHook) {
        self.hook(&self.on_publish, peer, hook);
    }

    fn on_acknowledge(&self, peer: &str, hook: MessageHook) {
        self.hook(&self.on_acknowledge, peer, hook);
    }
}

/// The broker as its JavaScript side has it: what it calls when the foreign broker calls.
#[napi(js_name = "ForeignBroker")]
pub struct ForeignBroker(Arc<Inner>);

impl ForeignBroker {
    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0)
    }
}

#[napi]
impl ForeignBroker {
    /// A broker with these methods.
    #[napi(constructor)]
    pub fn new(calls: &CallQueue, methods: BrokerMethods) -> Self {
        let function = |number| calls.calls.function(number);
        Self(Arc::new(Inner {
            publish: function(methods.publish),
            subscribe: function(methods.subscribe),
            unsubscribe: function(methods.unsubscribe),
            send_to_peer: function(methods.send_to_peer),
            broadcast_to_mesh: function(methods.broadcast_to_mesh),
            on_peer_message: function(methods.on_peer_message),
            on_publish: function(methods.on_publish),
            on_acknowledge: function(methods.on_acknowledge),
            state: Mutex::default(),
        }))
    }

    /// For other parts.
    #[napi(catch_unwind)]
    pub fn any(&self) -> External<AnyBroker> {
        External::new(AnyBroker(self.inner()))
    }

    /// The foreign broker gives a message to one of our handlers.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn handle<'env>(&self, env: &'env Env, handler: u32, text: String) -> Result<Soon<'env>> {
        let handler = self.0.state().handlers.get(&handler).map(|subscribed| subscribed.handler.clone());
        soon(env, async move {
            // One that is subscribed to nothing any more has nothing to do.
            let handler = handler?;
            match message(&text, usize::MAX) {
                Ok(message) => {
                    let handled = handler.handle(message).await;
                    done(handled.map_err(|error| Failure::new("HandlerFailed", error.to_string())))
                }
                Err(failure) => Some(failed(failure)),
            }
        })
    }

    /// The foreign broker calls one of our hooks. It names no message.
    #[napi(catch_unwind)]
    pub fn hook(&self, hook: u32) {
        let hook = self.0.state().hooks.get(&hook).cloned();
        if let Some(hook) = hook {
            hook(&MessageEvent::default());
        }
    }

    /// One of our handlers is no longer subscribed to that pattern; says whether it is to nothing any more.
    #[napi(catch_unwind)]
    pub fn forget(&self, handler: u32, pattern: String) -> bool {
        self.0.state().leave(handler, &pattern)
    }
}
