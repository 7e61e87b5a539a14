//! A deliberately small broker of somebody else: topics without wildcards, every message handled before `publish`
//! returns, no hooks, no peers. It notes what is published, and loses what it is told to lose.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::locked;
use crate::messaging::{Message, MessageBroker, MessageBrokerError, MessageHandler, MessageHook};

type Rule = Box<dyn Fn(&Message) -> bool + Send>;

#[derive(Default)]
pub(super) struct Bus {
    topics: Mutex<Vec<(String, MessageHandler)>>,
    published: Mutex<Vec<(String, Message)>>,
    loses: Mutex<Option<Rule>>,
}

fn no_peers<T>() -> Result<T, MessageBrokerError> {
    Err(MessageBrokerError::Foreign("this broker knows no peers".to_owned()))
}

impl Bus {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn lose(&self, rule: impl Fn(&Message) -> bool + Send + 'static) {
        *locked(&self.loses) = Some(Box::new(rule));
    }

    /// How many of that type were published on that topic.
    pub(super) fn count(&self, topic: &str, kind: &str) -> usize {
        locked(&self.published).iter().filter(|(on, message)| on == topic && message.kind == kind).count()
    }

    pub(super) fn published(&self) -> Vec<(String, Message)> {
        locked(&self.published).clone()
    }

    pub(super) fn subscriptions(&self) -> usize {
        locked(&self.topics).len()
    }
}

impl MessageBroker for Bus {
    fn publish<'a>(&'a self, topic: &'a str, message: Message) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async move {
            locked(&self.published).push((topic.to_owned(), message.clone()));
            if locked(&self.loses).as_ref().is_some_and(|loses| loses(&message)) {
                return Ok(());
            }
            let handlers: Vec<_> =
                locked(&self.topics).iter().filter(|(on, _)| on == topic).map(|(_, handler)| handler.clone()).collect();
            for handler in handlers {
                handler.handle(message.clone()).await.map_err(|e| MessageBrokerError::Foreign(e.to_string()))?;
            }
            Ok(())
        }
        .boxed()
    }

    fn subscribe(&self, pattern: &str, handler: MessageHandler) -> Result<(), MessageBrokerError> {
        locked(&self.topics).push((pattern.to_owned(), handler));
        Ok(())
    }

    fn unsubscribe(&self, pattern: &str, handler: &MessageHandler) {
        let mut topics = locked(&self.topics);
        if let Some(at) = topics.iter().position(|(on, other)| on == pattern && other.is(handler)) {
            topics.remove(at);
        }
    }

    fn send_to_peer<'a>(&'a self, _: &'a str, _: &'a str, _: Message) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async { no_peers() }.boxed()
    }

    fn broadcast_to_mesh<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
        _: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async { no_peers() }.boxed()
    }

    fn on_peer_message(&self, _: &str, _: MessageHandler) -> Result<(), MessageBrokerError> {
        no_peers()
    }

    fn on_publish(&self, _: &str, _: MessageHook) {}

    fn on_acknowledge(&self, _: &str, _: MessageHook) {}
}
