//! Peers and topics as any broker has them: handlers that get whole messages.
//!
//! A peer that is listened to is registered with one handler of ours, which gives each message to all of its own. A
//! subscription is a peer too, by a name of ours; so order, time limits, redelivery, room and dead letters are the
//! same for topics as for peers. A subscription stays registered until what was published to it is handled.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::watch;
use tokio::task::unconstrained;

use super::chain::Chain;
use super::errors::{BroadcastError, DeadReason, Fate, HandlerError, RegisterError};
use super::index::Index;
use super::letter::{Delivery, Sent};
use super::mailbox::Taker;
use super::message::{MessageId, PeerId};
use super::sender::{Moment, Sender};
use super::{Context, Shared, size};
use crate::messaging::{Message, MessageBrokerError, MessageHandler, Pattern, RoutingType, Topic};

/// The broker's own names begin so.
pub(super) const OWN: char = '$';

#[derive(Default)]
pub(super) struct Listeners {
    peers: RwLock<HashMap<PeerId, Handlers>>,
    subscriptions: RwLock<Subscriptions>,
    known: Mutex<Known>,
}

/// The handlers of one peer, all of which get each message.
type Handlers = Arc<Chain<MessageHandler>>;

#[derive(Default)]
struct Subscriptions {
    next: u64,
    index: Index<Arc<Subscription>>,
}

struct Subscription {
    /// The peer that it is.
    name: PeerId,
    handler: MessageHandler,
    shared: Weak<Shared>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.unregister(&self.name);
        }
    }
}

/// A published message, until all of its subscribers have finished.
#[derive(Clone)]
pub(super) struct Publication(watch::Receiver<Option<Fate>>);

impl Publication {
    /// How it ended. Ends for every message, as that of a message to a peer does.
    pub(super) async fn ended(mut self) -> Fate {
        match self.0.wait_for(Option::is_some).await.map(|fate| fate.clone()) {
            Ok(Some(fate)) => fate,
            // Whoever would have said so is gone, because the broker is.
            Ok(None) | Err(_) => GONE,
        }
    }
}

type PublicationKey = (Option<PeerId>, Topic, Arc<str>);

/// The last published messages that their senders named.
#[derive(Default)]
struct Known {
    entries: HashMap<PublicationKey, Publication>,
    order: VecDeque<PublicationKey>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a message to all of these, of which there is one at least.
pub(super) fn give(message: Arc<Message>, all: &Chain<MessageHandler>) -> BoxFuture<'static, Result<(), HandlerError>> {
    let mut handlers = all.iter();
    match (handlers.next(), handlers.next()) {
        (Some(only), None) => only.handle(message),
        _ => {
            let handled: Vec<_> = all.iter().map(|handler| handler.handle(Arc::clone(&message))).collect();
            join_all(handled).map(|handled| handled.into_iter().collect()).boxed()
        }
    }
}

/// The message as it was sent; one that was sent in another way, in the same form.
pub(super) fn whole(delivery: &Delivery) -> Result<Arc<Message>, HandlerError> {
    if let Some(message) = delivery.whole() {
        return Ok(Arc::clone(message));
    }
    let payload = serde_json::from_slice(delivery.payload());
    let payload = payload.map_err(|error| HandlerError::new(format!("the payload is no JSON: {error}")))?;
    Ok(Arc::new(Message {
        sender_id: Some(delivery.sender().clone()),
        recipient_id: Some(delivery.recipient().clone()),
        message_id: Some(delivery.id().clone()),
        routing_type: Some(RoutingType::P2p),
        ..Message::new(delivery.to_kind(), payload, delivery.sent_at_ms())
    }))
}

pub(super) fn check_name(name: &str) -> Result<(), MessageBrokerError> {
    if name.starts_with(OWN) {
        return Err(MessageBrokerError::ReservedName { name: name.to_owned() });
    }
    Ok(())
}

impl Shared {
    pub(super) fn listen(self: &Arc<Self>, peer: &str, handler: MessageHandler) -> Result<(), RegisterError> {
        let mut peers = self.listeners.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(handlers) = peers.get(peer) {
            handlers.push(handler);
            return Ok(());
        }
        let handlers = Handlers::default();
        handlers.push(handler);
        self.admit(&peer.into(), Taker::Listeners(Arc::clone(&handlers)), 0)?;
        peers.insert(peer.into(), handlers);
        Ok(())
    }

    /// The peer left: whoever listens to that name again begins anew.
    pub(super) fn forget_listener(&self, peer: &str) {
        self.listeners.peers.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    pub(super) fn subscribe(self: &Arc<Self>, pattern: &Pattern, handler: MessageHandler) -> Result<(), RegisterError> {
        let mut subscriptions = self.listeners.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        subscriptions.next += 1;
        let name = PeerId::from(format!("{OWN}subscription.{}.{pattern}", subscriptions.next));
        let handlers = Handlers::default();
        handlers.push(handler.clone());
        self.admit(&name, Taker::Listeners(handlers), 0)?;
        let subscription = Subscription { name, handler, shared: Arc::downgrade(self) };
        subscriptions.index.insert(pattern, Arc::new(subscription));
        Ok(())
    }

    pub(super) fn unsubscribe(&self, pattern: &str, handler: &MessageHandler) {
        let gone = {
            let mut subscriptions = self.listeners.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
            subscriptions.index.remove(pattern, |one| one.handler.is(handler))
        };
        // Not under the lock: the last reference unregisters it.
        drop(gone);
    }

    pub(super) fn forget_subscriptions(&self) {
        let gone = {
            let mut subscriptions = self.listeners.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut subscriptions.index)
        };
        drop(gone);
        self.listeners.peers.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Publishes; the publication ends when every subscriber of this moment has finished.
    pub(super) async fn publish(
        self: &Arc<Self>,
        topic: Topic,
        message: Message,
    ) -> Result<Publication, MessageBrokerError> {
        size::check(&message, self.config.max_message_bytes)?;
        let (ended, publication) = watch::channel(None);
        let publication = Publication(publication);
        if let Some(first) = self.known_or_remember(&topic, &message, &publication) {
            return Ok(first);
        }
        let post = Post { shared: Arc::clone(self), topic, message, ended };
        let mut posting = Box::pin(post.deliver());
        // Begun here, so that publications keep their order among each other, whoever goes on with them.
        let first = poll_fn(|wakeup| Poll::Ready(unconstrained(&mut posting).poll_unpin(wakeup))).await;
        let posted = match first {
            Poll::Ready(posted) => posted,
            // A task of its own: a caller that gives up half-way would leave the message open for ever.
            Poll::Pending => {
                let posted = self.runtime.spawn(posting).await;
                posted.map_err(|failed| MessageBrokerError::Foreign(failed.to_string()))?
            }
        };
        posted?;
        Ok(publication)
    }

    fn known_or_remember(&self, topic: &Topic, message: &Message, publication: &Publication) -> Option<Publication> {
        let id = message.message_id.as_ref()?.as_name();
        let key = (message.sender_id.clone(), topic.clone(), id);
        let mut known = locked(&self.listeners.known);
        if let Some(first) = known.entries.get(&key) {
            return Some(first.clone());
        }
        known.entries.insert(key.clone(), publication.clone());
        known.order.push_back(key);
        while known.order.len() > self.config.known_messages.max(1) {
            if let Some(oldest) = known.order.pop_front() {
                known.entries.remove(&oldest);
            }
        }
        None
    }
}

/// A message that is being published.
struct Post {
    shared: Arc<Shared>,
    topic: Topic,
    message: Message,
    ended: watch::Sender<Option<Fate>>,
}

impl Post {
    /// Ends when every subscriber has the message; that all have finished is told later.
    async fn deliver(self) -> Result<(), BroadcastError> {
        let Self { shared, topic, message, ended } = self;
        let subscribers: Vec<Arc<Subscription>> = {
            let subscriptions = shared.listeners.subscriptions.read().unwrap_or_else(PoisonError::into_inner);
            subscriptions.index.matching(&topic)
        };
        let sender = message.sender_id.as_ref().map(|sender| shared.sender(sender));
        let id = match (&message.message_id, &sender) {
            (Some(id), _) => MessageId::Name(id.as_name()),
            (None, Some(sender)) => sender.next_id(),
            (None, None) => shared.sender(&PeerId::from(format!("{OWN}publisher"))).next_id(),
        };
        let watched = Watched { sender, id, place: PeerId::from(format!("{OWN}topic.{topic}")) };
        watched.tell(Moment::Publish);
        let publisher = format!("{OWN}publisher.{}", message.sender_id.as_deref().unwrap_or_default());
        let publisher = Context::outside(shared.sender(&publisher.into()));
        let message = Arc::new(Message { message_id: Some(watched.id.clone()), ..message });
        let sends = subscribers.iter().map(|one| publisher.send_unnamed(&one.name, Arc::clone(&message)));
        let (mut reached, mut receipts, mut missed) = (Vec::new(), Vec::new(), Vec::new());
        for (subscriber, sent) in subscribers.iter().zip(join_all(sends).await) {
            match sent {
                Ok(receipt) => {
                    reached.push(subscriber.name.clone());
                    receipts.push(receipt);
                }
                Err(error) => missed.push((subscriber.name.clone(), error)),
            }
        }
        let all_have_it = missed.is_empty();
        if receipts.is_empty() {
            watched.end(&ended, if all_have_it { Fate::Acknowledged } else { GONE });
        } else {
            shared.runtime.spawn(async move {
                let fate = fate_of(&receipts, all_have_it).await;
                // Only now may those go that have unsubscribed meanwhile.
                drop(subscribers);
                watched.end(&ended, fate);
            });
        }
        if all_have_it { Ok(()) } else { Err(BroadcastError { reached, missed }) }
    }
}

/// A published message as the hooks of its sender see it.
struct Watched {
    sender: Option<Arc<Sender>>,
    id: MessageId,
    place: PeerId,
}

impl Watched {
    fn tell(&self, moment: Moment) {
        if let Some(sender) = &self.sender {
            sender.tell(moment, &self.id, &self.place);
        }
    }

    fn end(&self, ended: &watch::Sender<Option<Fate>>, fate: Fate) {
        self.tell(if fate == Fate::Acknowledged { Moment::Acknowledge } else { Moment::GiveUp });
        ended.send_replace(Some(fate));
    }
}

const GONE: Fate = Fate::DeadLettered(DeadReason::RecipientGone);

/// Acknowledged when all have finished well. Whoever has left meanwhile has finished.
async fn fate_of(receipts: &[Sent], all_have_it: bool) -> Fate {
    let fates = join_all(receipts.iter().map(Sent::acknowledged)).await;
    let failed = fates.into_iter().find(|fate| *fate != Fate::Acknowledged && *fate != GONE);
    match failed {
        Some(fate) => fate,
        None if all_have_it => Fate::Acknowledged,
        None => GONE,
    }
}
