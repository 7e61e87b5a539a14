//! Our broker is any broker.

use serde_json::json;

use super::*;
use crate::messaging::contract::{Place, suite};
use crate::messaging::{HandlingEvent, Message as Whole, MessageBroker, MessageBrokerError, MessageHandler};

fn whole(kind: &str) -> Whole {
    Whole::new(kind.to_owned(), json!(null), 1)
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract() {
    suite(|| {
        let (broker, settled) = broker();
        drop(settled);
        Place { broker: Arc::new(broker), names: true, plain: false }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_listened_to_gets_what_others_send_in_their_way() {
    let (broker, _settled) = broker();
    let (told, mut heard) = mpsc::unbounded_channel();
    let handler = MessageHandler::new(move |message| {
        let told = told.clone();
        async move { told.send(message).map_err(|_| HandlerError::new("gone")) }
    });
    broker.on_peer_message("b", handler).unwrap();
    let payload = Bytes::from_static(b"{\"x\":1}");
    drop(broker.attempt_started("a", attempt(1)).send("b", "go", payload).await.unwrap());
    let got: Arc<Whole> = within(heard.recv()).await.unwrap();
    assert_eq!((&*got.kind, &got.payload, got.sender_id.as_deref()), ("go", &json!({ "x": 1 }), Some("a")));
    // What is no JSON has no whole form: it is a dead letter that says so.
    let sent = broker.outside("a").send("b", "go", Bytes::from_static(b"{")).await.unwrap();
    let Fate::DeadLettered(reason) = within(sent.acknowledged()).await else { panic!("it can't be handled") };
    assert!(reason.to_string().contains("no JSON"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_messages_in_another_way_is_not_listened_to() {
    let (broker, _settled) = broker();
    register(&broker, "b", taker()).await;
    let nothing = MessageHandler::new(|_| async { Ok(()) });
    let refused = broker.on_peer_message("b", nothing.clone()).unwrap_err();
    assert!(matches!(refused, MessageBrokerError::Register(RegisterError::AlreadyRegistered { .. })), "{refused}");
    let refused = broker.on_peer_message("$subscription.1.t", nothing).unwrap_err();
    assert!(matches!(refused, MessageBrokerError::ReservedName { .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_can_be_listened_to_again() {
    let (broker, _settled) = broker();
    let nothing = MessageHandler::new(|_| async { Ok(()) });
    broker.on_peer_message("b", nothing.clone()).unwrap();
    assert!(broker.unregister("b"));
    assert!(broker.send_to_peer("a", "b", whole("lost")).await.is_err());
    broker.on_peer_message("b", nothing).unwrap();
    broker.send_to_peer("a", "b", whole("back")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_fails_for_good_leaves_the_message_unacknowledged() {
    let (broker, _settled) = broker_with(BrokerConfig { max_redeliveries: 0, ..BrokerConfig::default() });
    let diary = Diary::default();
    for (what, hooked) in [("acknowledged", false), ("given up", true)] {
        let diary = diary.clone();
        let hook = Arc::new(move |_: &crate::messaging::MessageEvent<'_>| diary.note(what));
        if hooked { broker.on_give_up("a", hook) } else { MessageBroker::on_acknowledge(&broker, "a", hook) }
    }
    broker.subscribe("t", MessageHandler::new(|_| async { Err(HandlerError::new("no")) })).unwrap();
    broker.subscribe("t", MessageHandler::new(|_| async { Ok(()) })).unwrap();
    let message = Whole { sender_id: Some("a".into()), ..whole("news") };
    let fate = within(broker.publish_and_wait("t", message)).await.unwrap();
    assert!(matches!(fate, Fate::DeadLettered(DeadReason::HandlerFailed { .. })), "{fate:?}");
    assert_eq!(diary.all(), ["given up"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_subscriber_is_named_and_the_message_given_up() {
    let config =
        BrokerConfig { mailbox_capacity: 1, send_deadline: Duration::from_millis(10), ..BrokerConfig::default() };
    let (broker, _settled) = broker_with(config);
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let stuck = MessageHandler::new(move |_| {
        arrived.send(()).unwrap();
        std::future::pending()
    });
    broker.subscribe("t", stuck).unwrap();
    broker.publish("t", whole("first")).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    broker.publish("t", whole("second")).await.unwrap();
    let refused = broker.publish("t", whole("third")).await.unwrap_err();
    assert!(refused.to_string().contains("$subscription.1.t"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_was_published_before_the_unsubscription_is_handled() {
    let (broker, _settled) = broker();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let open = Arc::new(Notify::new());
    let gate = Arc::clone(&open);
    let slow = MessageHandler::new(move |message: Arc<Whole>| {
        let (arrived, gate) = (arrived.clone(), Arc::clone(&gate));
        async move {
            gate.notified().await;
            arrived.send(message.kind.clone()).map_err(|_| HandlerError::new("gone"))
        }
    });
    broker.subscribe("t", slow.clone()).unwrap();
    broker.publish("t", whole("first")).await.unwrap();
    broker.publish("t", whole("second")).await.unwrap();
    broker.unsubscribe("t", &slow);
    broker.publish("t", whole("third")).await.unwrap();
    for kind in ["first", "second"] {
        open.notify_one();
        assert_eq!(within(arrivals.recv()).await.unwrap(), kind);
    }
    // With the last of them the subscription is gone for good, and its handler with it.
    drop(slow);
    assert_eq!(within(arrivals.recv()).await, None);
    assert!(broker.metrics().queued.is_empty(), "{:?}", broker.metrics().queued);
}

#[tokio::test(start_paused = true)]
async fn every_run_of_a_handler_is_told_from_begin_to_end() {
    let (broker, _settled) = broker_with(BrokerConfig { max_redeliveries: 1, ..BrokerConfig::default() });
    let diary = Diary::default();
    let hook = diary.clone();
    broker
        .on_handling("b", Arc::new(move |event: &HandlingEvent| hook.note(format!("{} {}", event.run, event.begins))));
    register(&broker, "b", Handler::sync(|_, _| Err(HandlerError::new("no")))).await;
    register(&broker, "c", taker()).await;
    let context = broker.outside("a");
    within(context.send("c", "go", nothing()).await.unwrap().acknowledged()).await;
    within(context.send("b", "go", nothing()).await.unwrap().acknowledged()).await;
    assert_eq!(diary.all(), ["0 true", "0 false", "1 true", "1 false"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_with_all_that_belongs_to_it_is_refused() {
    let (broker, _settled) = broker_with(BrokerConfig { max_message_bytes: 100, ..BrokerConfig::default() });
    broker.on_peer_message("b", MessageHandler::new(|_| async { Ok(()) })).unwrap();
    let mut message = whole("go");
    broker.send_to_peer("a", "b", message.clone()).await.unwrap();
    message.metadata = Some([("x".to_owned(), json!("y".repeat(100)))].into_iter().collect());
    let refused = broker.send_to_peer("a", "b", message.clone()).await.unwrap_err();
    assert!(matches!(refused, MessageBrokerError::Send(SendError::TooLarge { limit: 100, .. })), "{refused}");
    assert!(broker.publish("t", message).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn publications_beside_each_other_keep_their_order() {
    for mailbox_capacity in [2, 10_000] {
        let (broker, _settled) = broker_with(BrokerConfig { mailbox_capacity, ..BrokerConfig::default() });
        let (told, mut heard) = mpsc::unbounded_channel();
        let handler = MessageHandler::new(move |message| {
            let told = told.clone();
            async move { told.send(message.kind.clone()).map_err(|_| HandlerError::new("nobody listens")) }
        });
        broker.subscribe("t", handler).unwrap();
        let mut publications = tokio::task::JoinSet::new();
        for number in 0..1_000 {
            let broker = broker.clone();
            let message = whole(&number.to_string());
            let mut publication = Box::pin(async move { broker.publish("t", message).await.unwrap() });
            // Begun here, one after the other; where it goes on is up to the runtime.
            if begun(&mut publication).await.is_pending() {
                publications.spawn(publication);
            }
        }
        within(publications.join_all()).await;
        for number in 0..1_000 {
            assert_eq!(*within(heard.recv()).await.unwrap(), *number.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_bytes_gets_the_content_of_a_whole_message() {
    let (broker, _settled) = broker();
    let (told, mut heard) = mpsc::unbounded_channel();
    let handler = Handler::sync(move |_, delivery| {
        told.send(delivery.payload().clone()).map_err(|_| HandlerError::new("nobody listens"))
    });
    register(&broker, "b", handler).await;
    broker.register("reader", Recipient::Mailbox).await.unwrap();
    let message = Whole::new("go", json!({ "x": "\n" }), 1);
    broker.send_to_peer("a", "b", message.clone()).await.unwrap();
    broker.send_to_peer("a", "reader", message).await.unwrap();
    assert_eq!(*within(heard.recv()).await.unwrap(), *b"{\"x\":\"\\n\"}");
    let read = broker.read("reader", 10).await.unwrap();
    assert_eq!((&*read[0].kind, &*read[0].payload), ("go", &b"{\"x\":\"\\n\"}"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_number_that_comes_back_is_a_name_and_known_as_one() {
    let (broker, _settled) = broker();
    let (told, mut heard) = mpsc::unbounded_channel();
    let handler = MessageHandler::new(move |message| {
        let told = told.clone();
        async move { told.send(message).map_err(|_| HandlerError::new("nobody listens")) }
    });
    broker.on_peer_message("b", handler).unwrap();
    broker.send_to_peer("a", "b", whole("first")).await.unwrap();
    let first = within(heard.recv()).await.unwrap();
    let Some(MessageId::Number(number)) = first.message_id else { panic!("the broker numbers it: {first:?}") };
    for _ in 0..2 {
        broker.send_to_peer("a", "b", (*first).clone()).await.unwrap();
    }
    broker.send_to_peer("a", "b", whole("last")).await.unwrap();
    let again = within(heard.recv()).await.unwrap();
    assert_eq!(again.message_id, Some(MessageId::from(number.to_string())));
    assert_eq!(within(heard.recv()).await.unwrap().kind, "last");
}
