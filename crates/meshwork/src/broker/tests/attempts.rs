//! What an attempt's messages hold, and until when.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_attempt_settles_after_everything_and_once() {
    let (broker, mut settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "b", forwarder("c")).await;
    register(&broker, "c", gate.handler()).await;
    let body = broker.attempt_started("a", attempt(1));
    for _ in 0..3 {
        drop(body.send("b", "go", nothing()).await.unwrap());
    }
    assert_eq!(broker.open_messages(attempt(1)), 3);
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 3 });
    for open in (0..3).rev() {
        within(arrivals.recv()).await.unwrap();
        assert_eq!(settled.try_next(), None);
        gate.let_one_through();
        if open > 0 {
            // The next one arrives: so this one's handler has finished.
            continue;
        }
        assert_eq!(within(settled.next()).await, Some(attempt(1)));
    }
    assert_eq!(broker.open_messages(attempt(1)), 0);
    drop(broker);
    assert_eq!(within(settled.next()).await, None, "it settled twice");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_leaves_nothing_open_is_not_announced() {
    let (broker, mut settled) = broker();
    register(&broker, "b", taker()).await;
    let body = broker.attempt_started("a", attempt(1));
    let sent = body.send("b", "go", nothing()).await.unwrap();
    within(sent.acknowledged()).await;
    // The receipt resolves a moment before the attempt's count goes down.
    while broker.open_messages(attempt(1)) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 0 });
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 0 });
    assert_eq!(settled.try_next(), None);
}

#[tokio::test(start_paused = true)]
async fn a_context_dies_with_its_body_but_handlers_go_on_until_it_settles() {
    let (broker, mut settled) = broker();
    let (gate, mut arrivals) = gate();
    let gate_of_b = Arc::clone(&gate);
    let late = Handler::new(move |context, _| {
        let gate = Arc::clone(&gate_of_b);
        async move {
            gate.pass("b").await;
            assert_eq!(context.origin(), Origin::Attempt { task: 1, grant: 101 });
            assert!(context.in_handler());
            drop(context.send("c", "after the body's end", nothing()).await?);
            Ok(())
        }
    });
    register(&broker, "b", late).await;
    register(&broker, "c", taker()).await;
    let body = broker.attempt_started("a", attempt(1));
    assert!(!body.in_handler());
    let sent = body.send("b", "go", nothing()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 1 });
    let refused = body.send("b", "too late", nothing()).await;
    assert!(matches!(refused, Err(SendError::TokenDead)));
    gate.let_one_through();
    assert_eq!(within(settled.next()).await, Some(attempt(1)));
    assert_eq!(sent.fate(), Some(Fate::Acknowledged));
    assert_eq!(broker.metrics().acknowledged, 2);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_for_room_counts_as_open() {
    let (broker, mut settled) = broker_with(BrokerConfig { mailbox_capacity: 1, ..BrokerConfig::default() });
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let body = broker.attempt_started("a", attempt(1));
    drop(body.send("b", "running", nothing()).await.unwrap());
    within(arrivals.recv()).await.unwrap();
    drop(body.send("b", "queued", nothing()).await.unwrap());
    let body_too = body.clone();
    let waits = tokio::spawn(async move { body_too.send("b", "waits", nothing()).await });
    while broker.open_messages(attempt(1)) < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 3 });
    // Nobody gives way: the waiting send fails at its deadline and holds nothing any more.
    let full = within(waits).await.unwrap();
    assert!(matches!(full, Err(SendError::MailboxFull { limit: 1, .. })), "{full:?}");
    assert_eq!(broker.open_messages(attempt(1)), 2);
    gate.let_one_through();
    within(arrivals.recv()).await.unwrap();
    gate.let_one_through();
    assert_eq!(within(settled.next()).await, Some(attempt(1)));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_holds_nothing() {
    let (broker, _settled) = broker_with(BrokerConfig { mailbox_capacity: 1, ..BrokerConfig::default() });
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let body = broker.attempt_started("a", attempt(1));
    drop(body.send("b", "running", nothing()).await.unwrap());
    within(arrivals.recv()).await.unwrap();
    drop(body.send("b", "queued", nothing()).await.unwrap());
    let given_up = tokio::time::timeout(Duration::from_secs(1), body.send("b", "x", nothing()));
    assert!(given_up.await.is_err());
    assert_eq!(broker.open_messages(attempt(1)), 2);
    assert_eq!(broker.metrics().sent, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_attempt_holds_nothing_and_its_handlers_are_told() {
    let (broker, mut settled) = broker();
    let (stopped, mut stops) = mpsc::unbounded_channel();
    let (gate, mut arrivals) = gate();
    let at_gate = Arc::clone(&gate);
    let obedient = Handler::new(move |context, message| {
        let (stopped, gate) = (stopped.clone(), Arc::clone(&at_gate));
        async move {
            let told = context.cancellation();
            gate.arrived.send(message.kind().to_owned()).unwrap();
            told.cancelled().await;
            stopped.send(context.send("b", "from the dead", nothing()).await).unwrap();
            Ok(())
        }
    });
    register(&broker, "b", obedient).await;
    let body = broker.attempt_started("a", attempt(1));
    let running = body.send("b", "running", nothing()).await.unwrap();
    let queued = body.send("b", "queued", nothing()).await.unwrap();
    assert_eq!(within(arrivals.recv()).await.unwrap(), "running");
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 2 });

    broker.drop_attempt(attempt(1));
    assert_eq!(broker.open_messages(attempt(1)), 0);
    let from_handler = within(stops.recv()).await.unwrap();
    assert!(matches!(from_handler, Err(SendError::TokenDead)));
    let from_body = body.send("b", "x", nothing()).await;
    assert!(matches!(from_body, Err(SendError::TokenDead)) && !body.is_alive());
    assert_eq!(within(running.acknowledged()).await, Fate::Acknowledged);
    let dead = Fate::DeadLettered(DeadReason::AttemptDropped);
    assert_eq!(within(queued.acknowledged()).await, dead);
    drop(broker);
    assert_eq!(within(settled.next()).await, None, "a dropped attempt settled");
}

#[tokio::test(start_paused = true)]
async fn messages_outside_any_task_hold_no_attempt() {
    let (broker, mut settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let _body = broker.attempt_started("a", attempt(1));
    let sent = broker.outside("a").send("b", "go", nothing()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 0 });
    assert_eq!(sent.fate(), None);
    gate.let_one_through();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    assert_eq!(settled.try_next(), None);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_holds_its_attempt_until_what_it_sent_is_closed() {
    let ack_timeout = Duration::from_secs(30);
    let config = BrokerConfig { ack_timeout, ..BrokerConfig::default() };
    let (broker, mut settled) = broker_with(config);
    let (gate, mut arrivals) = gate();
    let sends_and_hangs = Handler::new(|context, _| async move {
        drop(context.send("c", "first", nothing()).await?);
        // A while later, so that c's message has time left when b's has none.
        let _later = tokio::time::timeout(Duration::from_secs(10), std::future::pending::<()>()).await;
        drop(context.send("c", "second", nothing()).await?);
        std::future::pending().await
    });
    register(&broker, "b", sends_and_hangs).await;
    register(&broker, "c", gate.handler()).await;
    let body = broker.attempt_started("a", attempt(1));
    let sent = body.send("b", "go", nothing()).await.unwrap();
    assert_eq!(broker.body_ended(attempt(1)), BodyEnd { open: 1 });
    assert_eq!(within(arrivals.recv()).await.unwrap(), "first");
    gate.let_one_through();
    assert_eq!(within(arrivals.recv()).await.unwrap(), "second");
    let dead = Fate::DeadLettered(DeadReason::HandlerTimeout { after: ack_timeout });
    assert_eq!(within(sent.acknowledged()).await, dead);
    assert_eq!(broker.open_messages(attempt(1)), 1, "its second message is in flight");
    assert_eq!(settled.try_next(), None);
    gate.let_one_through();
    assert_eq!(within(settled.next()).await, Some(attempt(1)));
}
