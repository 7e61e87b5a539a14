//! Peers that come, go and crash, here and on another side.

use super::*;

async fn two_sides(broker: &Arc<dyn MessageBroker>) -> (CompletionDetector, CompletionDetector) {
    let first = CompletionDetector::new(CompletionDetectorConfig::default(), Arc::clone(broker)).unwrap();
    first.initialize_with(["a"], ["b"]).await.unwrap();
    let second = CompletionDetector::new(CompletionDetectorConfig::default(), Arc::clone(broker)).unwrap();
    second.initialize_with(["b"], ["a"]).await.unwrap();
    (first, second)
}

#[tokio::test(start_paused = true)]
async fn a_handler_on_the_other_side_is_waited_for() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let (first, second) = two_sides(&broker).await;
    second.serve("s").unwrap();
    let mut gate = Gate::at(&broker, "b");
    // Somebody whom no detector knows: only the other side can see that the handler runs.
    send(&broker, "stranger", "b").await;
    gate.reached().await;
    let call = first.detect_completion("s", Some(Duration::from_millis(100)));
    tokio::pin!(call);
    assert!(tokio::time::timeout(Duration::from_secs(20), &mut call).await.is_err(), "it gave up on running work");
    gate.open();
    assert!(within(call).await.unwrap());
    assert!(first.is_peer_completed("b") && first.deficit_counter("b") == 0);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_answer_is_named() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let (first, second) = two_sides(&broker).await;
    let began = Instant::now();
    assert!(!within(first.detect_completion("s", Some(DEADLINE))).await.unwrap());
    assert!(began.elapsed() <= Duration::from_millis(50 * 42), "40 retries of 50 ms: {:?}", began.elapsed());
    let no_answer = Holder::NoAnswer { peer: "b".into() };
    assert_eq!(first.last_no().unwrap(), NotCompleted { ended: WaitEnd::RetriesExhausted, holders: vec![no_answer] });
    // The first side's own peer each time once, the other one with every retry.
    assert_eq!(first.metrics().total_probes_sent, 1 + 1 + 40);
    assert!(!first.is_peer_completed("b"));
    second.serve("s").unwrap();
    assert!(within(first.detect_completion("s", None)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn retries_and_their_interval_are_the_configured_ones() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let probe_retry_interval = Duration::from_millis(7);
    let config =
        CompletionDetectorConfig { probe_retry_interval, max_probe_retries: 3, ..CompletionDetectorConfig::default() };
    let detector = CompletionDetector::new(config, Arc::clone(&broker)).unwrap();
    detector.initialize_with(["a"], ["elsewhere"]).await.unwrap();
    let began = Instant::now();
    assert!(!within(detector.detect_completion("s", None)).await.unwrap());
    assert_eq!(began.elapsed().as_millis(), 4 * 7);
    assert_eq!(detector.metrics().total_probes_sent, 2 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_crashes_takes_nothing_out_of_the_books() {
    let broker = our_broker();
    let any: Arc<dyn MessageBroker> = Arc::new(broker.clone());
    let detector = detector(&any, &["a", "b", "c"]).await;
    let mut last = Gate::at(&any, "c");
    let weak = Arc::downgrade(&any);
    let passes_on = MessageHandler::new(move |_| {
        let broker = weak.upgrade();
        async move {
            if let Some(broker) = broker {
                broker
                    .send_to_peer("b", "c", message(json!(null)))
                    .await
                    .map_err(|e| HandlerError::new(e.to_string()))?;
            }
            Ok(())
        }
    });
    any.on_peer_message("b", passes_on).unwrap();
    send(&any, "a", "b").await;
    last.reached().await;
    assert!(broker.unregister("b"));
    detector.peer_lost("b").unwrap();
    assert_eq!(detector.deficit_counter("b"), 1, "c still handles what b had sent");
    let call = detector.detect_completion("s", Some(Duration::from_millis(100)));
    tokio::pin!(call);
    assert!(tokio::time::timeout(Duration::from_secs(5), &mut call).await.is_err(), "it forgot what b had sent");
    detector.peer_back("b").unwrap();
    last.open();
    assert!(within(call).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_to_a_peer_that_left_is_given_up_and_not_waited_for() {
    let broker = our_broker();
    let any: Arc<dyn MessageBroker> = Arc::new(broker.clone());
    let detector = detector(&any, &["a", "b"]).await;
    let mut gate = Gate::at(&any, "b");
    send(&any, "a", "b").await;
    send(&any, "a", "b").await;
    gate.reached().await;
    assert_eq!(detector.deficit_counter("a"), 2);
    assert!(broker.unregister("b"));
    detector.peer_lost("b").unwrap();
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    assert_eq!(broker.dead_letters().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn initializing_again_replaces_the_peers() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = detector(&broker, &["a", "b", "c"]).await;
    let mut gate = Gate::at(&broker, "b");
    takes(&broker, "c");
    send(&broker, "a", "b").await;
    gate.reached().await;
    assert_eq!(detector.deficit_counter("a"), 1);
    // The detection that runs goes on with the peers that are there then: without b nothing is left to wait for.
    let call = detector.detect_completion("s", None);
    tokio::pin!(call);
    assert!(tokio::time::timeout(Duration::from_millis(10), &mut call).await.is_err());
    detector.initialize(["a", "c", "d"]).await.unwrap();
    assert!(within(call).await.unwrap(), "{:?}", detector.last_no());
    assert_eq!((detector.metrics().total_peers, detector.deficit_counter("a")), (3, 0));
    assert!(!detector.is_peer_completed("b") && detector.is_peer_completed("d"));
    // What b does is not looked at any more, and what comes of it late does no harm.
    gate.let_one_through();
    send(&broker, "a", "c").await;
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    detector.initialize(["b"]).await.unwrap();
    send(&broker, "b", "c").await;
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    assert_eq!(detector.deficit_counter("b"), 0);
}

#[tokio::test(start_paused = true)]
async fn messages_to_topics_count_for_their_sender() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = detector(&broker, &["a"]).await;
    let mut gate = Gate::new();
    broker.subscribe("news", gate.handler()).unwrap();
    let news = Message { sender_id: Some("a".into()), ..message(json!(null)) };
    broker.publish("news", news).await.unwrap();
    gate.reached().await;
    assert_eq!(detector.deficit_counter("a"), 1);
    assert!(!within(detector.detect_completion("s", None)).await.unwrap());
    gate.open();
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
}
