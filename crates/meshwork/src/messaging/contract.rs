//! What every [`MessageBroker`] must do, as scenarios that each implementation runs in its own tests.
//!
//! It asserts and therefore panics; it is public (and hidden) so that a broker outside this crate can run it too.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, mpsc};

use super::{Message, MessageBroker, MessageEvent, MessageHandler, RoutingType};
use crate::broker::{HandlerError, MessageId, PeerId};

/// How long anything may take before a scenario fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A broker, and what it does not promise.
pub struct Place {
    /// The broker.
    pub broker: Arc<dyn MessageBroker>,
    /// Its hooks name messages.
    pub names: bool,
    /// It may deliver a message more than once, and out of order.
    pub plain: bool,
}

/// Runs every scenario, each at a place of its own.
///
/// # Panics
/// When the broker does not do what the trait says.
pub async fn suite(place: impl Fn() -> Place) {
    a_peer_gets_what_is_sent_to_it(&place()).await;
    every_handler_of_a_peer_gets_it(&place()).await;
    an_unknown_recipient_is_an_error(&place()).await;
    a_broadcast_reaches_all_or_names_those_it_missed(&place()).await;
    a_message_is_acknowledged_after_its_handler(&place()).await;
    hooks_are_called_once_a_message(&place()).await;
    hooks_name_all_messages_or_none(&place()).await;
    a_topic_reaches_its_subscribers(&place()).await;
    a_published_message_is_one(&place()).await;
    nobody_subscribed_is_acknowledged_at_once(&place()).await;
    whoever_unsubscribed_gets_nothing(&place()).await;
    no_topic_is_an_error(&place()).await;
    let place = place();
    if !place.plain {
        a_known_message_is_delivered_once(&place).await;
        a_senders_messages_keep_their_order(&place).await;
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the broker does it before the deadline")
}

fn message(kind: &str) -> Message {
    Message::new(kind.to_owned(), json!({ "of": kind }), 1_700_000_000_000)
}

/// A handler that says what it got.
fn teller() -> (MessageHandler, mpsc::UnboundedReceiver<Arc<Message>>) {
    let (told, heard) = mpsc::unbounded_channel();
    let handler = MessageHandler::new(move |message| {
        let told = told.clone();
        async move { told.send(message).map_err(|_| HandlerError::new("nobody listens any more")) }
    });
    (handler, heard)
}

/// A handler that says what it got, and waits.
fn waiter() -> (MessageHandler, mpsc::UnboundedReceiver<Arc<Message>>, Arc<Notify>) {
    let (told, heard) = mpsc::unbounded_channel();
    let open = Arc::new(Notify::new());
    let gate = Arc::clone(&open);
    let handler = MessageHandler::new(move |message| {
        let (told, gate) = (told.clone(), Arc::clone(&gate));
        async move {
            told.send(message).map_err(|_| HandlerError::new("nobody listens any more"))?;
            gate.notified().await;
            Ok(())
        }
    });
    (handler, heard, open)
}

/// What happened, to which message, to whom it went.
type Event = (&'static str, Option<MessageId>, Option<PeerId>);

/// What the hooks of a peer are told, in order.
#[derive(Clone, Default)]
struct Told {
    events: Arc<Mutex<Vec<Event>>>,
    any: Arc<Notify>,
}

impl Told {
    fn of(broker: &Arc<dyn MessageBroker>, peer: &str) -> Self {
        let told = Self::default();
        let hook = |what: &'static str| {
            let told = told.clone();
            Arc::new(move |event: &MessageEvent<'_>| {
                let event = (what, event.message.cloned(), event.recipient.cloned());
                told.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                told.any.notify_one();
            })
        };
        broker.on_publish(peer, hook("sent"));
        broker.on_acknowledge(peer, hook("acknowledged"));
        told
    }

    fn count(&self, what: &str) -> usize {
        self.all().iter().filter(|(told, _, _)| *told == what).count()
    }

    fn all(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn acknowledged(&self, count: usize) {
        within(async {
            while self.count("acknowledged") < count {
                self.any.notified().await;
            }
        })
        .await;
    }
}

/// Of so many different messages, until each was there: their types in the order of their first arrival.
async fn kinds(heard: &mut mpsc::UnboundedReceiver<Arc<Message>>, count: usize) -> Vec<String> {
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    while seen.len() < count {
        let message = within(heard.recv()).await.expect("the handler is there");
        if seen.insert(message.kind.to_string()) {
            order.push(message.kind.to_string());
        }
    }
    order
}

async fn a_peer_gets_what_is_sent_to_it(place: &Place) {
    let (handler, mut heard) = teller();
    place.broker.on_peer_message("b", handler).expect("a new peer");
    let sent = Message {
        metadata: Some([("trace".to_owned(), json!("t-1"))].into_iter().collect()),
        ..message("hello").named("m-1")
    };
    within(place.broker.send_to_peer("a", "b", sent.clone())).await.expect("b is there");
    let got = within(heard.recv()).await.expect("the handler is there");
    assert_eq!((&got.kind, &got.payload, &got.metadata), (&sent.kind, &sent.payload, &sent.metadata));
    assert_eq!((got.sender_id.as_deref(), got.recipient_id.as_deref()), (Some("a"), Some("b")));
    assert_eq!((&got.message_id, got.timestamp), (&sent.message_id, sent.timestamp));
    assert_eq!(got.routing_type, Some(RoutingType::P2p));
}

async fn every_handler_of_a_peer_gets_it(place: &Place) {
    let ((first, mut heard_first), (second, mut heard_second)) = (teller(), teller());
    place.broker.on_peer_message("b", first).expect("a new peer");
    place.broker.on_peer_message("b", second).expect("another handler");
    within(place.broker.send_to_peer("a", "b", message("hello"))).await.expect("b is there");
    assert_eq!(kinds(&mut heard_first, 1).await, ["hello"]);
    assert_eq!(kinds(&mut heard_second, 1).await, ["hello"]);
}

async fn an_unknown_recipient_is_an_error(place: &Place) {
    let told = Told::of(&place.broker, "a");
    let refused = within(place.broker.send_to_peer("a", "nobody", message("hello"))).await;
    let text = refused.expect_err("nobody is there").to_string();
    assert!(text.contains("nobody"), "it names the recipient: {text}");
    assert_eq!(told.all(), [], "what was not sent is told to nobody");
}

async fn a_broadcast_reaches_all_or_names_those_it_missed(place: &Place) {
    let ((first, mut heard_first), (second, mut heard_second)) = (teller(), teller());
    place.broker.on_peer_message("b", first).expect("a new peer");
    place.broker.on_peer_message("c", second).expect("a new peer");
    let all = ["b".to_owned(), "c".to_owned()];
    within(place.broker.broadcast_to_mesh("a", &all, message("news"))).await.expect("both are there");
    let got = within(heard_first.recv()).await.expect("the handler is there");
    assert_eq!((&*got.kind, got.routing_type), ("news", Some(RoutingType::Broadcast)));
    assert_eq!(kinds(&mut heard_second, 1).await, ["news"]);
    let some = ["b".to_owned(), "nobody".to_owned()];
    let missed = within(place.broker.broadcast_to_mesh("a", &some, message("more"))).await;
    let text = missed.expect_err("one is not there").to_string();
    assert!(text.contains("nobody"), "it names who has not got it: {text}");
    kinds(&mut heard_first, 1).await;
}

async fn a_message_is_acknowledged_after_its_handler(place: &Place) {
    let told = Told::of(&place.broker, "a");
    let (handler, mut heard, open) = waiter();
    place.broker.on_peer_message("b", handler).expect("a new peer");
    within(place.broker.send_to_peer("a", "b", message("hello"))).await.expect("b is there");
    within(heard.recv()).await.expect("the handler is there");
    assert_eq!((told.count("sent"), told.count("acknowledged")), (1, 0), "the handler has not finished");
    // A broker may deliver more than once: every delivery passes.
    let acknowledged = told.acknowledged(1);
    tokio::pin!(acknowledged);
    loop {
        open.notify_one();
        tokio::select! {
            () = &mut acknowledged => return,
            () = tokio::task::yield_now() => {}
        }
    }
}

async fn hooks_are_called_once_a_message(place: &Place) {
    let told = Told::of(&place.broker, "a");
    let others = Told::of(&place.broker, "other");
    let (handler, mut heard) = teller();
    place.broker.on_peer_message("b", handler).expect("a new peer");
    for number in 0..20 {
        let sent = message(&format!("{number}"));
        within(place.broker.send_to_peer("a", "b", sent)).await.expect("b is there");
    }
    kinds(&mut heard, 20).await;
    told.acknowledged(20).await;
    assert_eq!((told.count("sent"), told.count("acknowledged")), (20, 20));
    assert_eq!(others.all(), [], "they sent nothing");
}

async fn hooks_name_all_messages_or_none(place: &Place) {
    let told = Told::of(&place.broker, "a");
    let (handler, mut heard) = teller();
    place.broker.on_peer_message("b", handler.clone()).expect("a new peer");
    place.broker.subscribe("t", handler).expect("a topic");
    within(place.broker.send_to_peer("a", "b", message("unnamed"))).await.expect("b is there");
    within(place.broker.send_to_peer("a", "b", message("named").named("m"))).await.expect("b is there");
    let published = Message { sender_id: Some("a".into()), ..message("published") };
    within(place.broker.publish("t", published)).await.expect("somebody subscribed");
    kinds(&mut heard, 3).await;
    told.acknowledged(3).await;
    let all = told.all();
    let names = |what| all.iter().filter(move |(told, _, _)| *told == what).map(|(_, message, _)| message.clone());
    if place.names {
        let sent: BTreeSet<_> = names("sent").flatten().collect();
        let acknowledged: BTreeSet<_> = names("acknowledged").flatten().collect();
        assert_eq!((sent.len(), &sent), (3, &acknowledged), "each by a name of its own");
        let to_b = all.iter().filter(|(_, _, recipient)| recipient.as_deref() == Some("b"));
        assert_eq!(to_b.count(), 4, "two messages, sent and acknowledged");
    } else {
        assert!(names("sent").chain(names("acknowledged")).all(|name| name.is_none()), "none is named");
    }
}

async fn a_topic_reaches_its_subscribers(place: &Place) {
    let ((exact, mut heard_exact), (another, mut heard_another)) = (teller(), teller());
    place.broker.subscribe("mesh.one.news", exact).expect("a topic");
    place.broker.subscribe("mesh.two.news", another).expect("a topic");
    within(place.broker.publish("mesh.one.news", message("one"))).await.expect("somebody subscribed");
    within(place.broker.publish("mesh.two.news", message("two"))).await.expect("somebody subscribed");
    assert_eq!(kinds(&mut heard_exact, 1).await, ["one"]);
    assert_eq!(kinds(&mut heard_another, 1).await, ["two"]);
    if place.plain {
        return;
    }
    let ((star, mut heard_star), (rest, mut heard_rest)) = (teller(), teller());
    place.broker.subscribe("mesh.*.news", star).expect("a pattern");
    place.broker.subscribe("mesh.>", rest).expect("a pattern");
    within(place.broker.publish("mesh.one.news", message("three"))).await.expect("somebody subscribed");
    within(place.broker.publish("mesh.one.old", message("four"))).await.expect("somebody subscribed");
    assert_eq!(kinds(&mut heard_star, 1).await, ["three"]);
    assert_eq!(kinds(&mut heard_rest, 2).await, ["three", "four"]);
}

async fn a_published_message_is_one(place: &Place) {
    let told = Told::of(&place.broker, "a");
    let ((first, mut heard_first), (second, mut heard_second, open)) = (teller(), waiter());
    place.broker.subscribe("t", first).expect("a topic");
    place.broker.subscribe("t", second).expect("a topic");
    let published = Message { sender_id: Some("a".into()), ..message("news") };
    within(place.broker.publish("t", published)).await.expect("both have it");
    kinds(&mut heard_first, 1).await;
    kinds(&mut heard_second, 1).await;
    assert_eq!((told.count("sent"), told.count("acknowledged")), (1, 0), "one subscriber has not finished");
    let acknowledged = told.acknowledged(1);
    tokio::pin!(acknowledged);
    loop {
        open.notify_one();
        tokio::select! {
            () = &mut acknowledged => break,
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!((told.count("sent"), told.count("acknowledged")), (1, 1));
}

async fn nobody_subscribed_is_acknowledged_at_once(place: &Place) {
    let told = Told::of(&place.broker, "a");
    let published = Message { sender_id: Some("a".into()), ..message("news") };
    within(place.broker.publish("t", published)).await.expect("nobody has to have it");
    told.acknowledged(1).await;
    assert_eq!(told.count("sent"), 1);
}

async fn whoever_unsubscribed_gets_nothing(place: &Place) {
    let ((gone, mut heard_gone), (stays, mut heard_stays)) = (teller(), teller());
    place.broker.subscribe("t", gone.clone()).expect("a topic");
    place.broker.subscribe("t", stays.clone()).expect("a topic");
    place.broker.unsubscribe("t", &gone);
    place.broker.unsubscribe("t", &gone);
    place.broker.unsubscribe("never", &stays);
    within(place.broker.publish("t", message("news"))).await.expect("somebody subscribed");
    assert_eq!(kinds(&mut heard_stays, 1).await, ["news"]);
    assert!(heard_gone.try_recv().is_err(), "it had unsubscribed");
}

async fn no_topic_is_an_error(place: &Place) {
    let (handler, mut heard) = teller();
    assert!(place.broker.subscribe("a..b", handler.clone()).is_err());
    assert!(within(place.broker.publish("a..b", message("news"))).await.is_err());
    assert!(within(place.broker.publish("a.*", message("news"))).await.is_err());
    assert!(heard.try_recv().is_err());
}

async fn a_known_message_is_delivered_once(place: &Place) {
    let (handler, mut heard) = teller();
    place.broker.on_peer_message("once", handler.clone()).expect("a new peer");
    place.broker.subscribe("once", handler).expect("a topic");
    for _ in 0..3 {
        within(place.broker.send_to_peer("a", "once", message("sent").named("m"))).await.expect("it is there");
        within(place.broker.publish("once", message("published").named("m"))).await.expect("somebody subscribed");
    }
    within(place.broker.send_to_peer("a", "once", message("last"))).await.expect("it is there");
    within(place.broker.publish("once", message("last published"))).await.expect("somebody subscribed");
    let mut all = Vec::new();
    while all.len() < 4 {
        all.push(within(heard.recv()).await.expect("the handler is there").kind.to_string());
    }
    all.sort();
    assert_eq!(all, ["last", "last published", "published", "sent"]);
}

async fn a_senders_messages_keep_their_order(place: &Place) {
    let (handler, mut heard) = teller();
    place.broker.on_peer_message("in order", handler.clone()).expect("a new peer");
    place.broker.subscribe("in.order", handler).expect("a topic");
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for kind in &expected {
        within(place.broker.send_to_peer("a", "in order", message(kind))).await.expect("it is there");
    }
    assert_eq!(kinds(&mut heard, 50).await, expected);
    for kind in &expected {
        within(place.broker.publish("in.order", message(kind))).await.expect("somebody subscribed");
    }
    assert_eq!(kinds(&mut heard, 50).await, expected);
}
