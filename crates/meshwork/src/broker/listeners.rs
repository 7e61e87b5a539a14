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
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::unconstrained;

use super::errors::{BroadcastError, DeadReason, Fate, HandlerError, RegisterError, SendError};
use super::letter::{Delivery, Sent};
use super::mailbox::{Handler, Recipient};
use super::message::{MessageId, PeerId};
use super::sender::{Moment, Sender};
use super::{Context, Shared};
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
type Handlers = Arc<RwLock<Vec<MessageHandler>>>;

#[derive(Default)]
struct Subscriptions {
    next: u64,
    all: Vec<Arc<Subscription>>,
}

struct Subscription {
    /// The peer that it is.
    name: PeerId,
    pattern: Pattern,
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

type PublicationKey = (Option<String>, Topic, String);

/// The last published messages that their senders named.
#[derive(Default)]
struct Known {
    entries: HashMap<PublicationKey, Publication>,
    order: VecDeque<PublicationKey>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes each message to one peer. `all` has a handler at least.
fn give_to(all: Handlers) -> Handler {
    Handler::new(move |_context, delivery| {
        // Mostly there is one, which needs no list of its own.
        let (first, others) = {
            let handlers = all.read().unwrap_or_else(PoisonError::into_inner);
            (handlers.first().cloned(), handlers.get(1..).unwrap_or_default().to_vec())
        };
        async move {
            let message = whole(&delivery)?;
            let Some(first) = first else { return Ok(()) };
            if others.is_empty() {
                return first.handle(message).await;
            }
            let all = std::iter::once(&first).chain(&others);
            let handled = join_all(all.map(|handler| handler.handle(message.clone()))).await;
            handled.into_iter().collect()
        }
    })
}

/// The message as it was sent; one that was sent in another way, in the same form.
fn whole(delivery: &Delivery) -> Result<Message, HandlerError> {
    if let Some(message) = delivery.whole() {
        return Ok((*message).clone());
    }
    let payload = serde_json::from_slice(delivery.payload());
    let payload = payload.map_err(|error| HandlerError::new(format!("the payload is no JSON: {error}")))?;
    Ok(Message {
        sender_id: Some(delivery.sender().to_string()),
        recipient_id: Some(delivery.recipient().to_string()),
        message_id: Some(delivery.id().to_string()),
        routing_type: Some(RoutingType::P2p),
        ..Message::new(delivery.kind(), payload, delivery.sent_at_ms())
    })
}

pub(super) fn check_name(name: &str) -> Result<(), MessageBrokerError> {
    if name.starts_with(OWN) {
        return Err(MessageBrokerError::ReservedName { name: name.to_owned() });
    }
    Ok(())
}

/// Counts what is written, and keeps nothing.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check_size(message: &Message, limit: usize) -> Result<(), SendError> {
    let mut length = Length(0);
    let found = serde_json::to_writer(&mut length, message).map_or(usize::MAX, |()| length.0);
    if found > limit { Err(SendError::TooLarge { limit, found }) } else { Ok(()) }
}

impl Shared {
    pub(super) fn listen(self: &Arc<Self>, peer: &str, handler: MessageHandler) -> Result<(), RegisterError> {
        let mut peers = self.listeners.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(handlers) = peers.get(peer) {
            handlers.write().unwrap_or_else(PoisonError::into_inner).push(handler);
            return Ok(());
        }
        let handlers = Handlers::new(RwLock::new(vec![handler]));
        self.admit(&peer.into(), Recipient::Handler(give_to(Arc::clone(&handlers))), 0)?;
        peers.insert(peer.into(), handlers);
        Ok(())
    }

    /// The peer left: whoever listens to that name again begins anew.
    pub(super) fn forget_listener(&self, peer: &str) {
        self.listeners.peers.write().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    pub(super) fn subscribe(self: &Arc<Self>, pattern: Pattern, handler: MessageHandler) -> Result<(), RegisterError> {
        let mut subscriptions = self.listeners.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        subscriptions.next += 1;
        let name = PeerId::from(format!("{OWN}subscription.{}.{pattern}", subscriptions.next));
        let handlers = Handlers::new(RwLock::new(vec![handler.clone()]));
        self.admit(&name, Recipient::Handler(give_to(handlers)), 0)?;
        let subscription = Subscription { name, pattern, handler, shared: Arc::downgrade(self) };
        subscriptions.all.push(Arc::new(subscription));
        Ok(())
    }

    pub(super) fn unsubscribe(&self, pattern: &str, handler: &MessageHandler) {
        let gone = {
            let mut subscriptions = self.listeners.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
            let wanted = |one: &Arc<Subscription>| one.pattern.as_str() == pattern && one.handler.is(handler);
            let at = subscriptions.all.iter().position(wanted);
            at.map(|at| subscriptions.all.remove(at))
        };
        // Not under the lock: the last reference unregisters it.
        drop(gone);
    }

    pub(super) fn forget_subscriptions(&self) {
        let gone = {
            let mut subscriptions = self.listeners.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut subscriptions.all)
        };
        drop(gone);
        self.listeners.peers.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Sends to one peer, whole.
    pub(super) async fn send_whole(self: &Arc<Self>, to: &str, mut message: Message) -> Result<Sent, SendError> {
        message.recipient_id = Some(to.to_owned());
        message.routing_type.get_or_insert(RoutingType::P2p);
        check_size(&message, self.config.max_message_bytes)?;
        let sender = self.sender_of(message.sender_id.as_deref().unwrap_or_default());
        Context::outside(sender).send_whole(to, message).await
    }

    /// Publishes; the publication ends when every subscriber of this moment has finished.
    pub(super) async fn publish(
        self: &Arc<Self>,
        topic: Topic,
        message: Message,
    ) -> Result<Publication, MessageBrokerError> {
        check_size(&message, self.config.max_message_bytes)?;
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
        let id = message.message_id.clone()?;
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
            subscriptions.all.iter().filter(|one| one.pattern.matches(&topic)).cloned().collect()
        };
        let sender = message.sender_id.as_deref().map(|sender| shared.sender(&sender.into()));
        let id = match (&message.message_id, &sender) {
            (Some(id), _) => MessageId::Name(id.as_str().into()),
            (None, Some(sender)) => sender.next_id(),
            (None, None) => shared.sender(&PeerId::from(format!("{OWN}publisher"))).next_id(),
        };
        let watched = Watched { sender, id, place: PeerId::from(format!("{OWN}topic.{topic}")) };
        watched.tell(Moment::Publish);
        let publisher = format!("{OWN}publisher.{}", message.sender_id.as_deref().unwrap_or_default());
        let publisher = Context::outside(shared.sender(&publisher.into()));
        let sends = subscribers.iter().map(|subscriber| {
            let message = Message { message_id: Some(watched.id.to_string()), ..message.clone() };
            publisher.send_unnamed(&subscriber.name, message)
        });
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
