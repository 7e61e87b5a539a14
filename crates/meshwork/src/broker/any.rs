//! Our broker as any broker: [`MessageBroker`], with everything that hooks may tell.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::errors::{BroadcastError, Fate};
use super::listeners::{OWN, check_name};
use super::message::PeerId;
use super::sender::Moment;
use super::{Broker, Context, Hook};
use crate::messaging::{
    HandlingHook, Message, MessageBroker, MessageBrokerError, MessageEvent, MessageHandler, MessageHook, Pattern,
    RoutingType, Topic,
};

fn named(hook: MessageHook) -> Hook {
    Arc::new(move |id, recipient| {
        let recipient = (!recipient.starts_with(OWN)).then_some(recipient);
        hook(&MessageEvent { message: Some(id), recipient });
    })
}

impl Broker {
    fn outside_of(&self, sender: &str) -> Context {
        Context::outside(self.shared().sender_of(sender))
    }

    /// Publishes as [`MessageBroker::publish`] does, and waits until the message is acknowledged or given up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{Fate, HandlerError};
    /// use meshwork::messaging::{Message, MessageBroker, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.subscribe("news.*", MessageHandler::new(|message| async move {
    ///     if message.payload.is_null() { Err(HandlerError::new("it says nothing")) } else { Ok(()) }
    /// }))?;
    /// let fate = broker.publish_and_wait("news.today", Message::new("headline", json!("it works"), 0)).await?;
    /// assert_eq!(fate, Fate::Acknowledged);
    /// let fate = broker.publish_and_wait("news.today", Message::new("headline", json!(null), 0)).await?;
    /// assert!(matches!(fate, Fate::DeadLettered(_)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As there: some have not got it.
    pub async fn publish_and_wait(&self, topic: &str, message: Message) -> Result<Fate, MessageBrokerError> {
        let topic = Topic::new(topic)?;
        Ok(self.shared().publish(topic, message).await?.ended().await)
    }
}

impl MessageBroker for Broker {
    fn publish<'a>(&'a self, topic: &'a str, message: Message) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async move {
            let topic = Topic::new(topic)?;
            message.sender_id.as_deref().map_or(Ok(()), check_name)?;
            self.shared().publish(topic, message).await.map(drop)
        }
        .boxed()
    }

    fn subscribe(&self, pattern: &str, handler: MessageHandler) -> Result<(), MessageBrokerError> {
        Ok(self.shared().subscribe(&Pattern::new(pattern)?, handler)?)
    }

    fn unsubscribe(&self, pattern: &str, handler: &MessageHandler) {
        self.shared().unsubscribe(pattern, handler);
    }

    fn send_to_peer<'a>(
        &'a self,
        sender: &'a str,
        recipient: &'a str,
        message: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        // Here already: the future carries a reference, and not all of it.
        let message = Arc::new(message);
        async move {
            check_name(sender)?;
            check_name(recipient)?;
            drop(self.outside_of(sender).send_whole(recipient, message).await?);
            Ok(())
        }
        .boxed()
    }

    fn broadcast_to_mesh<'a>(
        &'a self,
        sender: &'a str,
        neighbors: &'a [String],
        message: Message,
    ) -> BoxFuture<'a, Result<(), MessageBrokerError>> {
        async move {
            check_name(sender)?;
            neighbors.iter().try_for_each(|name| check_name(name))?;
            let routing_type = message.routing_type.or(Some(RoutingType::Broadcast));
            let message = Arc::new(Message { routing_type, ..message });
            let context = self.outside_of(sender);
            let sends = neighbors.iter().map(|peer| context.send_whole(peer, Arc::clone(&message)));
            let (mut reached, mut missed) = (Vec::new(), Vec::new());
            for (peer, sent) in neighbors.iter().zip(join_all(sends).await) {
                match sent {
                    Ok(_receipt) => reached.push(PeerId::from(peer.as_str())),
                    Err(error) => missed.push((PeerId::from(peer.as_str()), error)),
                }
            }
            if missed.is_empty() { Ok(()) } else { Err(BroadcastError { reached, missed }.into()) }
        }
        .boxed()
    }

    fn on_peer_message(&self, peer: &str, handler: MessageHandler) -> Result<(), MessageBrokerError> {
        check_name(peer)?;
        Ok(self.shared().listen(peer, handler)?)
    }

    fn on_publish(&self, peer: &str, hook: MessageHook) {
        self.shared().sender(&peer.into()).hook(Moment::Publish, named(hook));
    }

    fn on_acknowledge(&self, peer: &str, hook: MessageHook) {
        self.shared().sender(&peer.into()).hook(Moment::Acknowledge, named(hook));
    }

    fn on_give_up(&self, peer: &str, hook: MessageHook) {
        self.shared().sender(&peer.into()).hook(Moment::GiveUp, named(hook));
    }

    fn on_handling(&self, peer: &str, hook: HandlingHook) {
        self.shared().sender(&peer.into()).hook_handling(hook);
    }

    fn latency_p95(&self) -> Option<std::time::Duration> {
        self.shared().latency.quantile(0.95)
    }
}
