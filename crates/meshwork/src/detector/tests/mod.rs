//! The detector on our broker, which names every message, and on a plain one, which names none.

#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod plain;
mod sides;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::broker::{Broker, BrokerConfig, MailInMemory};
use plain::Plain;

/// Far longer than anything here takes, in the tests' own time: reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(3_600);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it never happened")
}

fn our_broker_with(config: BrokerConfig) -> Broker {
    let (broker, settled) = Broker::new(config, Arc::new(MailInMemory::default()));
    drop(settled);
    broker
}

fn our_broker() -> Broker {
    our_broker_with(BrokerConfig::default())
}

/// A detector of these peers, as it is by default.
async fn detector(broker: &Arc<dyn MessageBroker>, peers: &[&str]) -> CompletionDetector {
    detector_with(CompletionDetectorConfig::default(), broker, peers).await
}

async fn detector_with(
    config: CompletionDetectorConfig,
    broker: &Arc<dyn MessageBroker>,
    peers: &[&str],
) -> CompletionDetector {
    let detector = CompletionDetector::new(config, Arc::clone(broker)).unwrap();
    detector.initialize(peers.iter().copied()).await.unwrap();
    detector
}

fn message(payload: Value) -> Message {
    Message::new("work", payload, 1)
}

async fn send(broker: &Arc<dyn MessageBroker>, from: &str, to: &str) {
    broker.send_to_peer(from, to, message(json!(null))).await.unwrap();
}

/// A handler that waits until it is let go; what arrives is seen outside.
struct Gate {
    arrived: mpsc::UnboundedSender<()>,
    arrivals: mpsc::UnboundedReceiver<()>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        Self { arrived, arrivals, open: Arc::new(Semaphore::new(0)) }
    }

    fn at(broker: &Arc<dyn MessageBroker>, peer: &str) -> Self {
        let gate = Self::new();
        broker.on_peer_message(peer, gate.handler()).unwrap();
        gate
    }

    fn handler(&self) -> MessageHandler {
        let (arrived, open) = (self.arrived.clone(), Arc::clone(&self.open));
        MessageHandler::new(move |_| {
            let (arrived, open) = (arrived.clone(), Arc::clone(&open));
            async move {
                let over = || HandlerError::new("the test is over");
                arrived.send(()).map_err(|_| over())?;
                open.acquire().await.map_err(|_| over())?.forget();
                Ok(())
            }
        })
    }

    async fn reached(&mut self) {
        within(self.arrivals.recv()).await.unwrap();
    }

    fn let_one_through(&self) {
        self.open.add_permits(1);
    }

    /// Lets go whatever waits and whatever comes.
    fn open(&self) {
        self.open.add_permits(1_000);
    }
}

fn takes(broker: &Arc<dyn MessageBroker>, peer: &str) {
    broker.on_peer_message(peer, MessageHandler::new(|_| async { Ok(()) })).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_plain_broker_keeps_the_contract_as_far_as_it_goes() {
    let seeds = std::sync::atomic::AtomicU64::new(0);
    crate::messaging::contract::suite(|| {
        let seed = seeds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let broker: Arc<dyn MessageBroker> = Arc::new(Plain::new(seed));
        crate::messaging::contract::Place { broker, names: false, plain: true }
    })
    .await;
}
