//! Handlers: one at a time, run again when they fail, never after their time; and full mailboxes.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

#[tokio::test(start_paused = true)]
async fn one_sender_s_messages_are_handled_one_at_a_time_others_beside_them() {
    let (broker, _settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "x", gate.handler()).await;
    let (a, b) = (broker.outside("a"), broker.outside("b"));
    let sent = [
        a.send("x", "a-1", nothing()).await.unwrap(),
        a.send("x", "a-2", nothing()).await.unwrap(),
        b.send("x", "b-1", nothing()).await.unwrap(),
    ];
    let mut first = [within(arrivals.recv()).await.unwrap(), within(arrivals.recv()).await.unwrap()];
    first.sort();
    assert_eq!(first, ["a-1", "b-1"], "both run, and a-2 waits for a-1");
    assert!(arrivals.try_recv().is_err());
    gate.let_one_through();
    gate.let_one_through();
    assert_eq!(within(arrivals.recv()).await.unwrap(), "a-2");
    gate.let_one_through();
    for sent in sent {
        assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_handler_starts_when_the_one_before_has_finished_acknowledged_or_not() {
    let (broker, _settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "b", forwarder("c")).await;
    register(&broker, "c", gate.handler()).await;
    let a = broker.outside("a");
    let first = a.send("b", "first", nothing()).await.unwrap();
    let second = a.send("b", "second", nothing()).await.unwrap();
    assert_eq!(within(arrivals.recv()).await.unwrap(), "first");
    while broker.metrics().sent < 4 {
        // The second handler of b runs and sends while the first message is not acknowledged.
        tokio::task::yield_now().await;
    }
    assert_eq!((first.fate(), second.fate()), (None, None));
    gate.let_one_through();
    assert_eq!(within(first.acknowledged()).await, Fate::Acknowledged);
    gate.let_one_through();
    assert_eq!(within(second.acknowledged()).await, Fate::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_handler_out_of_time_is_dead_lettered_once_and_its_token_dies() {
    let (broker, _settled) = broker();
    let (kept, mut contexts) = mpsc::unbounded_channel();
    let runs = Arc::new(AtomicU32::new(0));
    let runs_of_b = Arc::clone(&runs);
    let hangs = Handler::new(move |context, message| {
        let (kept, runs) = (kept.clone(), Arc::clone(&runs_of_b));
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            if message.kind() == "hang" {
                let stop = context.cancellation();
                kept.send((context, stop)).unwrap();
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    register(&broker, "b", hangs).await;
    let a = broker.outside("a");
    let start = tokio::time::Instant::now();
    let sent = a.send("b", "hang", nothing()).await.unwrap();
    let next = a.send("b", "next", nothing()).await.unwrap();
    let (context, stop) = within(contexts.recv()).await.unwrap();
    assert!(context.is_alive());
    let after = Duration::from_secs(30);
    let reason = DeadReason::HandlerTimeout { after };
    assert_eq!(within(sent.acknowledged()).await, Fate::DeadLettered(reason.clone()));
    assert!(start.elapsed() >= after);
    assert!(stop.is_cancelled());
    let refused = context.send("b", "x", nothing()).await;
    assert!(matches!(refused, Err(SendError::TokenDead)), "{refused:?}");
    assert_eq!(within(next.acknowledged()).await, Fate::Acknowledged);
    assert_eq!(runs.load(Ordering::Relaxed), 2, "it was redelivered");
    let dead = broker.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!((&*dead[0].message.kind, &dead[0].reason), ("hang", &reason));
}

/// A handler that fails so many times before it succeeds.
fn fails(times: u32, panics: bool) -> (Handler, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let handler = Handler::new(move |_, _| {
        let run = counted.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            assert!(run > times || !panics, "run {run} went wrong");
            if run > times { Ok(()) } else { Err(HandlerError::new(format!("run {run} failed"))) }
        }
    });
    (handler, runs)
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_run_again() {
    for panics in [false, true] {
        let (broker, _settled) = broker();
        let (handler, runs) = fails(3, panics);
        register(&broker, "b", handler).await;
        let sent = broker.outside("a").send("b", "go", nothing()).await.unwrap();
        assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        assert_eq!(broker.metrics().redelivered, 3);
        assert_eq!(broker.metrics().delivered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_always_fails_makes_a_dead_letter_with_the_error() {
    for (panics, text) in [(false, "run 4 failed"), (true, "the handler panicked: run 4 went wrong")] {
        let (broker, mut settled) = broker();
        let (handler, runs) = fails(u32::MAX, panics);
        register(&broker, "b", handler).await;
        let body = broker.attempt_started("a", attempt(1));
        let sent = body.send("b", "go", nothing()).await.unwrap();
        let open = broker.body_ended(attempt(1)).open;
        let reason = DeadReason::HandlerFailed { attempts: 4, error: text.to_owned() };
        assert_eq!(within(sent.acknowledged()).await, Fate::DeadLettered(reason.clone()));
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        assert_eq!(broker.dead_letters()[0].reason, reason);
        assert_eq!(open, 1);
        assert_eq!(within(settled.next()).await, Some(attempt(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_handler_that_panics_is_a_failure_and_the_lane_goes_on() {
    let (broker, _settled) = broker();
    let choosy = Handler::sync(|_, message| {
        assert_eq!(message.kind(), "good");
        Ok(())
    });
    register(&broker, "b", choosy).await;
    let a = broker.outside("a");
    let bad = a.try_send("b", "bad", nothing()).unwrap();
    let good = a.try_send("b", "good", nothing()).unwrap();
    let fate = within(bad.acknowledged()).await;
    let Fate::DeadLettered(DeadReason::HandlerFailed { attempts: 4, error }) = fate else {
        panic!("{fate:?}");
    };
    assert!(error.starts_with("the handler panicked"), "{error}");
    assert_eq!(within(good.acknowledged()).await, Fate::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_s_context_sends_nothing_more() {
    let (broker, _settled) = broker();
    let kept: Arc<Mutex<Option<Context>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let first_fails = Handler::sync(move |context, _| {
        let Some(of_the_first_run) = keep.lock().unwrap().take() else {
            *keep.lock().unwrap() = Some(context.clone());
            return Err(HandlerError::new("the first run"));
        };
        let refused = of_the_first_run.try_send("b", "x", nothing());
        assert!(matches!(refused, Err(SendError::TokenDead)));
        assert!(context.is_alive());
        Ok(())
    });
    register(&broker, "b", first_fails).await;
    let sent = broker.outside("a").send("b", "go", nothing()).await.unwrap();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_makes_a_sender_wait_then_refuses() {
    let config = BrokerConfig { mailbox_capacity: 2, ..BrokerConfig::default() };
    let deadline = config.send_deadline;
    let (broker, _settled) = broker_with(config);
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let a = broker.outside("a");
    drop(a.send("b", "0", nothing()).await.unwrap());
    within(arrivals.recv()).await.unwrap();
    drop(a.send("b", "1", nothing()).await.unwrap());
    drop(a.send("b", "2", nothing()).await.unwrap());
    assert_eq!(broker.metrics().queued["b"], 2);
    let at_once = a.try_send("b", "3", nothing());
    assert!(matches!(at_once, Err(SendError::MailboxFull { .. })));
    let start = tokio::time::Instant::now();
    let full = a.send("b", "3", nothing()).await;
    assert!(matches!(full, Err(SendError::MailboxFull { limit: 2, .. })), "{full:?}");
    assert!(start.elapsed() >= deadline);
    // With room in time it gets through, behind the others.
    let waits = tokio::spawn(async move { a.send("b", "4", nothing()).await });
    for expected in ["1", "2", "4"] {
        gate.let_one_through();
        assert_eq!(within(arrivals.recv()).await.unwrap(), expected);
    }
    gate.let_one_through();
    let sent = within(waits).await.unwrap().unwrap();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_sent_is_refused_with_what_was_found() {
    let (broker, _settled) = broker();
    register(&broker, "b", taker()).await;
    let a = broker.outside("a");
    let unknown = a.send("nobody", "x", nothing()).await;
    assert!(matches!(unknown, Err(SendError::UnknownPeer { peer }) if &*peer == "nobody"));
    let limit = 256 * 1024;
    assert!(a.send("b", "x", Bytes::from(vec![0; limit])).await.is_ok());
    let large = a.send("b", "x", Bytes::from(vec![0; limit + 1])).await;
    let found = limit + 1;
    assert!(matches!(large, Err(SendError::TooLarge { limit: l, found: f }) if (l, f) == (limit, found)));
    let twice = broker.register("b", Recipient::Mailbox).await;
    assert!(matches!(twice, Err(RegisterError::AlreadyRegistered { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_same_name_is_delivered_once() {
    let (broker, _settled) = broker();
    let (handler, runs) = fails(0, false);
    register(&broker, "b", handler).await;
    let a = broker.outside("a");
    for _ in 0..3 {
        let sent = a.send_named("order-7", "b", "x", nothing()).await.unwrap();
        assert_eq!(sent.id(), &MessageId::Name("order-7".into()));
        assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    }
    assert_eq!((runs.load(Ordering::Relaxed), broker.metrics().sent), (1, 1));
    // Another sender may use the same name for another message.
    let other = broker.outside("z").send_named("order-7", "b", "x", nothing()).await.unwrap();
    assert_eq!(within(other.acknowledged()).await, Fate::Acknowledged);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn messages_to_a_peer_that_left_are_dead_letters() {
    let (broker, _settled) = broker_with(BrokerConfig { mailbox_capacity: 1, ..BrokerConfig::default() });
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let a = broker.outside("a");
    let running = a.send("b", "running", nothing()).await.unwrap();
    within(arrivals.recv()).await.unwrap();
    let queued = a.send("b", "queued", nothing()).await.unwrap();
    let sender = a.clone();
    let waits = tokio::spawn(async move { sender.send("b", "waits", nothing()).await });
    tokio::task::yield_now().await;
    assert!(broker.unregister("b"));
    for sent in [running, queued] {
        let gone = Fate::DeadLettered(DeadReason::RecipientGone);
        assert_eq!(within(sent.acknowledged()).await, gone);
    }
    let waited = within(waits).await.unwrap();
    assert!(matches!(waited, Err(SendError::RecipientGone { .. })), "{waited:?}");
    assert!(matches!(a.send("b", "x", nothing()).await, Err(SendError::UnknownPeer { .. })));
    assert_eq!(broker.metrics().dead, 2);
    assert!(!broker.unregister("b"));
    // It comes back as somebody new.
    register(&broker, "b", taker()).await;
    let sent = a.send("b", "x", nothing()).await.unwrap();
    assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_names_those_that_have_not_got_it() {
    let (broker, _settled) = broker();
    register(&broker, "b", taker()).await;
    register(&broker, "c", taker()).await;
    let a = broker.outside("a");
    let all = a.broadcast(&["b".into(), "c".into()], "hello", nothing()).await.unwrap();
    for sent in all {
        assert_eq!(within(sent.acknowledged()).await, Fate::Acknowledged);
    }
    let to = ["b".into(), "nobody".into(), "c".into()];
    let error = a.broadcast(&to, "hello", nothing()).await.unwrap_err();
    assert_eq!(error.reached, ["b".into(), "c".into()]);
    assert_eq!(error.missed.len(), 1);
    assert!(error.to_string().starts_with("1 of 3 peers have not got the message: nobody:"));
}

#[tokio::test(start_paused = true)]
async fn old_dead_letters_make_way_but_stay_counted() {
    let config = BrokerConfig { dead_letter_limit: 2, max_redeliveries: 0, ..Default::default() };
    let (broker, _settled) = broker_with(config);
    register(&broker, "b", Handler::sync(|_, _| Err(HandlerError::new("no")))).await;
    let a = broker.outside("a");
    for kind in ["one", "two", "three"] {
        within(a.send("b", kind, nothing()).await.unwrap().acknowledged()).await;
    }
    let kept: Vec<_> = broker.dead_letters().into_iter().map(|dead| dead.message.kind.to_string()).collect();
    assert_eq!(kept, ["two", "three"]);
    let metrics = broker.metrics();
    assert_eq!((metrics.dead, metrics.delivered, metrics.acknowledged), (3, 3, 0));
    assert!(metrics.latency_p95.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_leaves_its_handler_to_be_dropped() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let (broker, _settled) = broker();
    let holds = Handler::sync(move |_, _| {
        let _held = &held;
        Ok(())
    });
    register(&broker, "b", holds).await;
    let sent = broker.outside("a").send("b", "x", nothing()).await.unwrap();
    within(sent.acknowledged()).await;
    drop(sent);
    assert!(broker.unregister("b"));
    within(async {
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hook_or_in_what_a_handler_drops_does_not_end_the_lane() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let config = BrokerConfig { max_redeliveries: 0, ..BrokerConfig::default() };
    let (broker, _settled) = broker_with(config);
    let handler = Handler::new(|_, message| async move {
        if message.kind() == "bomb" {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    register(&broker, "b", handler).await;
    broker.on_acknowledge("a", Arc::new(|_, _| panic!("a hook")));
    let a = broker.outside("a");
    for (kind, acknowledged) in [("x", true), ("bomb", false), ("x", true)] {
        let sent = a.send("b", kind, nothing()).await.unwrap();
        let fate = within(sent.acknowledged()).await;
        assert_eq!(fate == Fate::Acknowledged, acknowledged, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_gone_leaves_nothing_behind() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let (broker, mut settled) = broker();
    let (gate, mut arrivals) = gate();
    register(&broker, "b", gate.handler()).await;
    let holds = Handler::sync(move |_, _| {
        let _held = &held;
        Ok(())
    });
    register(&broker, "c", holds).await;
    let body = broker.attempt_started("a", attempt(1));
    let at_gate = body.send("b", "go", nothing()).await.unwrap();
    within(body.send("c", "go", nothing()).await.unwrap().acknowledged()).await;
    within(arrivals.recv()).await.unwrap();
    drop((broker, body));
    let gone = Fate::DeadLettered(DeadReason::RecipientGone);
    assert_eq!(within(at_gate.acknowledged()).await, gone);
    drop(at_gate);
    assert_eq!(within(settled.next()).await, None);
    within(async {
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
