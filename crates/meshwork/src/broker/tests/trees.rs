//! Whatever tree of messages grows below a body, its attempt settles when nothing is in flight.

use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::*;

const PEERS: u64 = 5;
const ATTEMPTS: u64 = 6;

/// Messages of each attempt that are sent and not handled, counted by the peers themselves.
type InFlight = Arc<[AtomicI64; ATTEMPTS as usize]>;

/// What a message says: for which attempt, how deep the tree below it may be, and a number that
/// decides its shape.
struct Node {
    attempt: u64,
    depth: u64,
    seed: u64,
}

impl Node {
    fn from(payload: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
        Self { attempt: number(0), depth: number(8), seed: number(16) }
    }

    fn payload(&self) -> Bytes {
        [self.attempt, self.depth, self.seed].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// None to three, not deeper than allowed.
    fn children(&self) -> Vec<Node> {
        let (attempt, depth) = (self.attempt, self.depth);
        let count = if depth == 0 { 0 } else { self.seed % 4 };
        let seed = |child: u64| (self.seed ^ child).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        (0..count).map(|child| Node { attempt, depth: depth - 1, seed: seed(child) }).collect()
    }

    async fn send(&self, context: &Context, in_flight: &InFlight) -> Result<Sent, SendError> {
        in_flight[self.attempt as usize].fetch_add(1, Ordering::SeqCst);
        context.send(&format!("peer-{}", self.seed % PEERS), "node", self.payload()).await
    }
}

async fn grow(roots: Vec<Vec<u64>>) {
    let (broker, mut settled) = broker();
    let in_flight = InFlight::default();
    for peer in 0..PEERS {
        let in_flight = Arc::clone(&in_flight);
        let grows = Handler::new(move |context, message| {
            let in_flight = Arc::clone(&in_flight);
            async move {
                let node = Node::from(message.payload());
                for child in node.children() {
                    drop(child.send(&context, &in_flight).await?);
                    tokio::task::yield_now().await;
                }
                in_flight[node.attempt as usize].fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        });
        register(&broker, &format!("peer-{peer}"), grows).await;
    }
    let mut bodies = tokio::task::JoinSet::new();
    for (attempt_index, seeds) in roots.into_iter().enumerate() {
        let (broker, in_flight) = (broker.clone(), Arc::clone(&in_flight));
        bodies.spawn(async move {
            let key = attempt(attempt_index as u64);
            let body = broker.attempt_started("root", key);
            for seed in seeds {
                let node = Node { attempt: key.task, depth: 6, seed };
                drop(node.send(&body, &in_flight).await.unwrap());
            }
            (key, broker.body_ended(key).open)
        });
    }
    let mut expected = Vec::new();
    for (key, open) in bodies.join_all().await {
        if open > 0 {
            expected.push(key);
        } else {
            assert_eq!(in_flight[key.task as usize].load(Ordering::SeqCst), 0);
        }
    }
    let mut announced = Vec::new();
    while announced.len() < expected.len() {
        let key = settled.next().await.unwrap();
        let open = in_flight[key.task as usize].load(Ordering::SeqCst);
        assert_eq!(open, 0, "{key:?} settled with {open} messages in flight");
        announced.push(key);
    }
    announced.sort_unstable();
    expected.sort_unstable();
    assert_eq!(announced, expected);
    let metrics = broker.metrics();
    assert_eq!((metrics.acknowledged, metrics.dead), (metrics.sent, 0));
    drop(broker);
    assert_eq!(settled.next().await, None, "an attempt settled twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_attempt_never_settles_early_and_always_settles(
        roots in prop::collection::vec(
            prop::collection::vec(any::<u64>(), 0..20), ATTEMPTS as usize),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(3).enable_time().build().unwrap();
        runtime.block_on(within(grow(roots)));
    }
}
