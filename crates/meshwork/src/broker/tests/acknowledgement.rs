//! A message is acknowledged when its handler has finished and all that it sent is acknowledged.

use super::*;

/// Notes which peers' messages are acknowledged, in order.
fn watch(broker: &Broker, peers: &[&'static str], diary: &Diary) {
    for &peer in peers {
        let diary = diary.clone();
        let hook = move |_: &MessageId, to: &PeerId| diary.note(format!("{peer}->{to}"));
        broker.on_acknowledge(peer, Arc::new(hook));
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_acknowledged_last_first() {
    let (broker, _settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "b", forwarder("c")).await;
    register(&broker, "c", forwarder("d")).await;
    register(&broker, "d", gate.handler()).await;
    let diary = Diary::default();
    watch(&broker, &["a", "b", "c"], &diary);

    let sent = broker.outside("a").send("b", "go", nothing()).await.unwrap();
    assert_eq!(within(arrivals.recv()).await.unwrap(), "go");
    // The handlers of b and c are done; nothing is acknowledged while d's is not.
    assert_eq!((sent.fate(), diary.all()), (None, vec![]));
    gate.let_one_through();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    assert_eq!(diary.all(), ["c->d", "b->c", "a->b"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_several_children_waits_for_the_last() {
    let (broker, _settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "leaf-1", gate.handler()).await;
    register(&broker, "leaf-2", gate.handler()).await;
    let both = Handler::new(|context, _| async move {
        let leaves = [PeerId::from("leaf-1"), PeerId::from("leaf-2")];
        let sent = context.broadcast(&leaves, "leaf", nothing()).await;
        sent.map(drop).map_err(|error| HandlerError::new(error.to_string()))
    });
    register(&broker, "root", both).await;
    let diary = Diary::default();
    watch(&broker, &["a", "root"], &diary);

    let sent = broker.outside("a").send("root", "go", nothing()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    gate.let_one_through();
    gate.let_one_through();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    assert_eq!(diary.all().len(), 3);
    assert_eq!(diary.all().last().unwrap(), "a->root");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_back_to_its_sender_is_acknowledged() {
    let (broker, _settled) = broker();
    // a sends to b, b answers a, a is content.
    register(&broker, "a", taker()).await;
    register(&broker, "b", forwarder("a")).await;
    let diary = Diary::default();
    watch(&broker, &["a", "b"], &diary);
    let sent = broker.outside("a").send("b", "ping", nothing()).await.unwrap();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    assert_eq!(diary.all(), ["b->a", "a->b"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_wait_for_the_acknowledgement_of_what_it_sent() {
    let (broker, _settled) = broker();
    register(&broker, "leaf", taker()).await;
    let asks = Handler::new(|context, _| async move {
        let answered = context.send("leaf", "ask", nothing()).await?.acknowledged().await;
        assert_eq!(answered, Fate::Acknowledged);
        Ok(())
    });
    register(&broker, "b", asks).await;
    let sent = broker.outside("a").send("b", "go", nothing()).await.unwrap();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn an_endless_exchange_ends_at_the_hop_limit() {
    let (broker, mut settled) = broker();
    register(&broker, "a", forwarder("b")).await;
    register(&broker, "b", forwarder("a")).await;
    let body = broker.attempt_started("a", attempt(1));
    let sent = body.send("b", "for ever", nothing()).await.unwrap();
    let open = broker.body_ended(attempt(1)).open;
    assert_eq!(open, 1);
    assert_eq!(within(settled.next()).await, Some(attempt(1)));
    assert_eq!(sent.fate(), Some(Fate::Acknowledged));
    let dead = broker.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason, DeadReason::TooFar { hops: 65, limit: 64 });
    assert_eq!(dead[0].message.hops, 65);
    assert_eq!(dead[0].message.origin, Origin::Attempt { task: 1, grant: 101 });
    let metrics = broker.metrics();
    assert_eq!((metrics.sent, metrics.delivered, metrics.acknowledged), (65, 64, 64));
}

#[tokio::test(start_paused = true)]
async fn several_can_wait_for_one_acknowledgement() {
    let (broker, _settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let outside = broker.outside("a");
    let first = outside.send_named("once", "b", "go", nothing()).await.unwrap();
    let again = outside.send_named("once", "b", "go", nothing()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    let waiters = [first, again].map(|sent| tokio::spawn(async move { within(sent.acknowledged()).await }));
    tokio::task::yield_now().await;
    gate.let_one_through();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Fate::Acknowledged);
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_see_a_message_published_before_it_is_acknowledged() {
    let (broker, _settled) = broker();
    register(&broker, "b", taker()).await;
    let diary = Diary::default();
    let published = diary.clone();
    broker.on_publish("a", Arc::new(move |id, to| published.note(format!("published {id} {to}"))));
    let acknowledged = diary.clone();
    let hook = move |id: &MessageId, to: &PeerId| acknowledged.note(format!("acked {id} {to}"));
    broker.on_acknowledge("a", Arc::new(hook));
    let sent = broker.outside("a").send_named("m", "b", "go", nothing()).await.unwrap();
    within(sent.acknowledged()).await;
    let other = broker.outside("other").send("b", "go", nothing()).await.unwrap();
    within(other.acknowledged()).await;
    assert_eq!(diary.all(), ["published m b", "acked m b"]);
}
