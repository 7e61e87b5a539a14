//! What peers send over the message bus, counted by the bus's own hooks.

use crate::broker::MessageId;
use crate::messaging::{MessageBroker, MessageEvent};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Latencies that are remembered for their percentile: the last ones.
const SAMPLES: usize = 4_096;
/// Open messages whose time of sending is remembered; of more, the latency is not known.
const OPEN: usize = 100_000;

#[derive(Default)]
struct Counted {
    sent: u64,
    handled: u64,
    /// By the bus's name of the message, where it has one, else in order.
    named: HashMap<(Arc<str>, MessageId), Instant>,
    unnamed: HashMap<Arc<str>, VecDeque<Instant>>,
    latencies: VecDeque<Duration>,
}

/// Counts the messages of those peers that it was told of.
#[derive(Clone, Default)]
pub(super) struct Traffic(Arc<Mutex<Counted>>);

impl Traffic {
    fn with<T>(&self, change: impl FnOnce(&mut Counted) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on. Hooks can't be taken back, so it is to be told of a peer once.
    pub(super) fn watch(&self, bus: &dyn MessageBroker, peer: &str) {
        let peer: Arc<str> = peer.into();
        let (counted, sender) = (Arc::downgrade(&self.0), peer.clone());
        bus.on_publish(
            &peer,
            Arc::new(move |event| {
                if let Some(counted) = counted.upgrade() {
                    Self(counted).with(|counted| counted.sent(&sender, event));
                }
            }),
        );
        let (counted, sender) = (Arc::downgrade(&self.0), peer.clone());
        bus.on_acknowledge(
            &peer,
            Arc::new(move |event| {
                if let Some(counted) = counted.upgrade() {
                    Self(counted).with(|counted| counted.handled(&sender, event));
                }
            }),
        );
    }

    pub(super) fn sent(&self) -> u64 {
        self.with(|counted| counted.sent)
    }

    pub(super) fn handled(&self) -> u64 {
        self.with(|counted| counted.handled)
    }

    /// From sending to acknowledgement, 95th percentile.
    pub(super) fn p95(&self) -> Option<Duration> {
        let mut latencies: Vec<Duration> = self.with(|counted| counted.latencies.iter().copied().collect());
        latencies.sort_unstable();
        let last = latencies.len().checked_sub(1)?;
        latencies.get(last * 95 / 100).copied()
    }
}

impl Counted {
    fn sent(&mut self, sender: &Arc<str>, event: &MessageEvent<'_>) {
        self.sent += 1;
        let now = Instant::now();
        match event.message {
            Some(name) if self.named.len() < OPEN => _ = self.named.insert((sender.clone(), name.clone()), now),
            None => {
                let open = self.unnamed.entry(sender.clone()).or_default();
                if open.len() < OPEN {
                    open.push_back(now);
                }
            }
            Some(_) => {}
        }
    }

    fn handled(&mut self, sender: &Arc<str>, event: &MessageEvent<'_>) {
        self.handled += 1;
        let sent = match event.message {
            Some(name) => self.named.remove(&(sender.clone(), name.clone())),
            None => self.unnamed.get_mut(sender).and_then(VecDeque::pop_front),
        };
        if let Some(sent) = sent {
            if self.latencies.len() == SAMPLES {
                self.latencies.pop_front();
            }
            self.latencies.push_back(sent.elapsed());
        }
    }
}
