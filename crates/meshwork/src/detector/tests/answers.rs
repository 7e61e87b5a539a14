//! Yes, no, and what is counted meanwhile.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_to_do_is_done_at_once() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let some = detector(&broker, &["a", "b"]).await;
    assert!(within(some.detect_completion("s", None)).await.unwrap());
    let none = detector(&broker, &[]).await;
    assert!(within(none.detect_completion("s", None)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn while_a_handler_is_known_to_run_it_waits() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = detector(&broker, &["a", "b"]).await;
    let mut gate = Gate::at(&broker, "b");
    send(&broker, "a", "b").await;
    gate.reached().await;
    let call = detector.detect_completion("s", Some(Duration::from_millis(100)));
    tokio::pin!(call);
    // Many times as long as it would wait for something that does not move.
    assert!(tokio::time::timeout(Duration::from_secs(20), &mut call).await.is_err(), "it gave up on running work");
    let running = Holder::Running { peer: "b".into(), handlers: 1 };
    assert!(detector.holders().contains(&running), "{:?}", detector.holders());
    assert!(!detector.is_peer_completed("b"));
    gate.open();
    assert!(within(call).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_handler_out_of_time_is_given_up_and_no_longer_waited_for() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = detector(&broker, &["a", "b"]).await;
    let mut gate = Gate::at(&broker, "b");
    send(&broker, "a", "b").await;
    gate.reached().await;
    let began = Instant::now();
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    assert!(began.elapsed() >= BrokerConfig::default().ack_timeout, "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_move_is_answered_with_no_and_a_reason_and_a_later_call_succeeds() {
    // This broker does not say that the handler runs: all that is known is an open message.
    let broker: Arc<dyn MessageBroker> = Arc::new(Plain::new(7));
    let detector = detector(&broker, &["a", "b"]).await;
    let mut gate = Gate::at(&broker, "b");
    send(&broker, "a", "b").await;
    gate.reached().await;
    let began = Instant::now();
    assert!(!within(detector.detect_completion("s", Some(Duration::from_millis(300)))).await.unwrap());
    assert_eq!(began.elapsed().as_millis(), 300);
    let waits = Holder::Unacknowledged { peer: "a".into(), messages: 1 };
    assert_eq!(detector.last_no().unwrap(), NotCompleted { ended: WaitEnd::TimedOut, holders: vec![waits.clone()] });
    assert_eq!(waits.to_string(), "a waits for the acknowledgement of 1 message");
    assert_eq!((detector.deficit_counter("a"), detector.deficit_counter("b")), (1, 0));
    assert!(!detector.is_peer_completed("a") && detector.is_peer_completed("b"));
    gate.open();
    let completed = within(detector.detect_completion("s", None)).await.unwrap();
    assert!(completed, "{:?}", detector.last_no());
    assert_eq!(detector.deficit_counter("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_nobody_waited_for_is_named_as_the_reason() {
    let plain = Plain::new(1);
    let broker: Arc<dyn MessageBroker> = Arc::new(plain.clone());
    let detector = detector(&broker, &["a", "b"]).await;
    plain.acknowledge_nothing("b");
    assert!(!within(detector.detect_completion("s", Some(Duration::from_millis(300)))).await.unwrap());
    let over = Holder::OverAcknowledged { peer: "b".into(), messages: 1 };
    assert_eq!(over.to_string(), "b was acknowledged 1 message more than it sent");
    assert_eq!(detector.last_no().unwrap(), NotCompleted { ended: WaitEnd::TimedOut, holders: vec![over.clone()] });
    assert_eq!(detector.holders(), [over]);
    assert!(!detector.is_peer_completed("b"));
}

#[tokio::test(start_paused = true)]
async fn the_default_timeout_is_the_configured_one() {
    let broker: Arc<dyn MessageBroker> = Arc::new(Plain::new(3));
    for (default, ms) in [(CompletionDetectorConfig::default().default_timeout, 2_000), (Duration::from_millis(70), 70)]
    {
        let config = CompletionDetectorConfig { default_timeout: default, ..CompletionDetectorConfig::default() };
        let (a, b) = (format!("a{ms}"), format!("b{ms}"));
        let detector = detector_with(config, &broker, &[&a, &b]).await;
        let _gate = Gate::at(&broker, &b);
        send(&broker, &a, &b).await;
        let began = Instant::now();
        assert!(!within(detector.detect_completion("s", None)).await.unwrap());
        assert_eq!(began.elapsed().as_millis(), ms);
    }
}

#[tokio::test(start_paused = true)]
async fn every_metric_is_what_was_counted_beside_it() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let (told, mut heard) = mpsc::unbounded_channel();
    let listener = MessageHandler::new(move |message| {
        let told = told.clone();
        async move {
            let probe: CompletionProbe = serde_json::from_value(message.payload.clone()).unwrap();
            assert_eq!(message.sender_id, None, "a probe is nobody's message");
            told.send(probe).map_err(|_| HandlerError::new("the test is over"))
        }
    });
    broker.subscribe("mesh.s.completion", listener).unwrap();
    let detector = CompletionDetector::new(CompletionDetectorConfig::default(), Arc::clone(&broker)).unwrap();
    // Nobody answers for `elsewhere`: that call ends with "no".
    detector.initialize_with(["a", "b"], ["elsewhere"]).await.unwrap();
    assert!(!within(detector.detect_completion("s", None)).await.unwrap());
    detector.initialize(["a", "b", "c"]).await.unwrap();
    let (mut times, mut gate) = (Vec::new(), Gate::at(&broker, "b"));
    for busy in [400, 0, 200] {
        if busy > 0 {
            send(&broker, "a", "b").await;
            gate.reached().await;
        }
        let began = Instant::now();
        let call = detector.detect_completion("s", None);
        let open = async {
            tokio::time::advance(Duration::from_millis(busy)).await;
            gate.let_one_through();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            completed = call => assert!(completed.unwrap()),
            () = open => {}
        }
        times.push(began.elapsed().as_millis() as u64);
    }
    let (mut probes, mut answers) = (BTreeSet::new(), BTreeSet::new());
    while let Ok(probe) = heard.try_recv() {
        let new = match probe.kind {
            ProbeKind::Probe => probes.insert(probe.probe_id),
            ProbeKind::Acknowledgment => answers.insert(probe.probe_id),
        };
        assert!(new, "an id that was there before");
    }
    assert!(answers.is_subset(&probes) && answers.len() < probes.len(), "nobody answered for one peer");
    let longest = times.iter().copied().max().unwrap();
    assert!(longest >= 400, "{times:?}");
    let expected = CompletionDetectorMetrics {
        total_peers: 3,
        completed_peers: 3,
        total_probes_sent: probes.len() as u64,
        total_acks_received: answers.len() as u64,
        average_detection_time_ms: times.iter().sum::<u64>() as f64 / times.len() as f64,
        longest_detection_time_ms: longest,
        detection_attempts: 4,
        detection_successes: 3,
        detection_timeouts: 1,
    };
    assert_eq!(detector.metrics(), expected);
}

#[tokio::test(start_paused = true)]
async fn probes_of_the_last_detection_are_known_by_the_peer_that_sent_them() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = detector(&broker, &["a", "b", "c"]).await;
    assert!(detector.completion_probes("a").is_empty());
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    let first = detector.completion_probes("a");
    assert_eq!((first.len(), detector.completion_probes("b").len()), (3, 0), "one wave, in the name of the first");
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    assert!(detector.completion_probes("a").is_disjoint(&first), "those of another detection");
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_what_was_counted_and_waits_for_detections() {
    let broker: Arc<dyn MessageBroker> = Arc::new(Plain::new(1));
    let config = CompletionDetectorConfig { enable_checkpoints: true, ..CompletionDetectorConfig::default() };
    let detector = detector_with(config, &broker, &["a", "b"]).await;
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    assert!(!detector.checkpoints().is_empty() && detector.metrics().total_probes_sent > 0);
    let mut gate = Gate::at(&broker, "b");
    send(&broker, "a", "b").await;
    gate.reached().await;
    {
        let call = detector.detect_completion("s", None);
        tokio::pin!(call);
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut call).await.is_err());
        let refused = detector.reset().await.unwrap_err();
        assert!(matches!(refused, DetectorError::DetectionRuns { running: 1 }), "{refused}");
        assert!(!detector.checkpoints().is_empty(), "a refused reset changes nothing");
    }
    // Whoever asked has gone away: nothing runs any more.
    detector.reset().await.unwrap();
    let fresh =
        CompletionDetectorMetrics { total_peers: 2, completed_peers: 1, ..CompletionDetectorMetrics::default() };
    assert_eq!(detector.metrics(), fresh);
    assert_eq!((detector.checkpoints(), detector.completion_probes("a")), (vec![], BTreeSet::new()));
    assert_eq!(detector.deficit_counter("a"), 1, "what is on its way is not forgotten");
    gate.open();
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn checkpoints_are_the_waves_and_off_by_default() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let config = CompletionDetectorConfig { enable_checkpoints: true, ..CompletionDetectorConfig::default() };
    let kept = detector_with(config, &broker, &["a", "b"]).await;
    takes(&broker, "b");
    send(&broker, "a", "b").await;
    assert!(within(kept.detect_completion("s", None)).await.unwrap());
    let waves = kept.checkpoints();
    assert_eq!(waves.len(), 1);
    assert_eq!((waves[0].wave, waves[0].agreed, &*waves[0].swarm_id), (1, true, "s"));
    assert_eq!((waves[0].peers["a"].sent, waves[0].peers["b"].received, waves[0].peers["a"].deficit), (1, 1, 0));
    let off = detector(&broker, &["a", "b"]).await;
    assert!(within(off.detect_completion("s", None)).await.unwrap());
    assert!(off.checkpoints().is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_detections_run_beside_each_other() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = detector(&broker, &["a", "b"]).await;
    let mut gate = Gate::at(&broker, "b");
    send(&broker, "a", "b").await;
    gate.reached().await;
    let calls = ["one", "one", "two", "three"].map(|swarm| detector.detect_completion(swarm, None));
    gate.open();
    let all = within(futures_util::future::join_all(calls)).await;
    assert!(all.into_iter().all(|completed| completed.unwrap()));
    assert_eq!(detector.metrics().detection_successes, 4);
}

#[tokio::test(start_paused = true)]
async fn the_unknown_is_answered_and_refused() {
    let broker: Arc<dyn MessageBroker> = Arc::new(our_broker());
    let detector = CompletionDetector::new(CompletionDetectorConfig::default(), Arc::clone(&broker)).unwrap();
    let refused = detector.detect_completion("s", None).await.unwrap_err();
    assert!(matches!(refused, DetectorError::NotInitialized), "{refused}");
    detector.initialize(["a"]).await.unwrap();
    assert!(!detector.is_peer_completed("nobody") && detector.is_peer_completed("a"));
    assert_eq!((detector.deficit_counter("nobody"), detector.completion_probes("nobody")), (0, BTreeSet::new()));
    for refused in [detector.peer_lost("nobody"), detector.peer_back("nobody")] {
        assert!(matches!(refused, Err(DetectorError::UnknownPeer { .. })), "{refused:?}");
    }
    for swarm in ["", "a.b", "*", "white space"] {
        let refused = detector.detect_completion(swarm, None).await.unwrap_err();
        assert!(matches!(refused, DetectorError::Swarm(_)), "{swarm:?}: {refused}");
    }
    let refused = detector.initialize_with(["a"], ["a"]).await.unwrap_err();
    assert!(matches!(refused, DetectorError::TwoSides { .. }), "{refused}");
    let many = (0..=PEERS_MAX).map(|number| format!("p{number}"));
    let refused = detector.initialize(many).await.unwrap_err();
    assert!(matches!(refused, DetectorError::TooManyPeers { limit: PEERS_MAX, .. }), "{refused}");
    assert_eq!(detector.metrics().total_peers, 1, "what was refused changed nothing");
    let config =
        CompletionDetectorConfig { probe_retry_interval: Duration::ZERO, ..CompletionDetectorConfig::default() };
    assert!(matches!(CompletionDetector::new(config, broker), Err(DetectorError::RetryInterval { .. })));
}

#[tokio::test(start_paused = true)]
async fn whoever_says_no_probe_is_a_dead_letter() {
    let broker = our_broker();
    let any: Arc<dyn MessageBroker> = Arc::new(broker.clone());
    let detector = detector(&any, &["a"]).await;
    detector.serve("s").unwrap();
    let nonsense = Message::new(KIND, json!({ "probeId": 1 }), 1);
    let fate = within(broker.publish_and_wait("mesh.s.completion", nonsense)).await.unwrap();
    assert!(matches!(fate, crate::broker::Fate::DeadLettered(_)), "{fate:?}");
    // Others may use the topic for something else.
    let other = Message::new("chat", json!(null), 1);
    let fate = within(broker.publish_and_wait("mesh.s.completion", other)).await.unwrap();
    assert_eq!(fate, crate::broker::Fate::Acknowledged);
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_is_dropped_leaves_its_topics() {
    let broker = our_broker();
    let any: Arc<dyn MessageBroker> = Arc::new(broker.clone());
    let detector = detector(&any, &["a"]).await;
    assert!(within(detector.detect_completion("s", None)).await.unwrap());
    assert_eq!(broker.metrics().queued.len(), 1);
    drop(detector);
    within(async {
        // What was published to it before is handled first.
        while !broker.metrics().queued.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
