//! What is to go out, each thing once: what comes again before it went out takes the place of what was there. So
//! nobody is flooded: ten changes of a peer that come while a message is on its way are one announcement.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

struct Waiting<K, V> {
    order: Vec<K>,
    things: BTreeMap<K, V>,
    /// How often something was put in.
    put: u64,
}

/// Things by their keys, in the order in which the keys came.
pub(super) struct Outbox<K, V> {
    waiting: Mutex<Waiting<K, V>>,
    ready: Notify,
    out: watch::Sender<u64>,
}

/// All that waited, and a number for [`Outbox::went_out`].
pub(super) struct Batch<K, V> {
    pub(super) things: Vec<(K, V)>,
    number: u64,
}

/// Ends when what was put in has gone out, or will not any more.
#[derive(Clone)]
pub(super) struct Ticket {
    number: u64,
    out: watch::Receiver<u64>,
}

impl Ticket {
    pub(super) async fn done(mut self) {
        // The sender is gone when nothing goes out any more.
        let _ = self.out.wait_for(|out| *out >= self.number).await;
    }
}

impl<K: Ord + Clone, V> Outbox<K, V> {
    pub(super) fn new() -> Arc<Self> {
        let waiting = Mutex::new(Waiting { order: Vec::new(), things: BTreeMap::new(), put: 0 });
        Arc::new(Self { waiting, ready: Notify::new(), out: watch::Sender::new(0) })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<K, V>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it in, in place of what waits under that key.
    pub(super) fn put(&self, key: K, thing: V) {
        let mut waiting = self.waiting();
        waiting.put += 1;
        if waiting.things.insert(key.clone(), thing).is_none() {
            waiting.order.push(key);
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// How many things wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().order.len()
    }

    /// For all that was put in until now.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket { number: self.waiting().put, out: self.out.subscribe() }
    }

    /// Waits until there is something, and leaves it there.
    pub(super) async fn filled(&self) {
        while self.waiting().order.is_empty() {
            self.ready.notified().await;
        }
    }

    /// Takes all that waits, once there is something. Who takes is one.
    pub(super) async fn take(&self) -> Batch<K, V> {
        self.filled().await;
        let mut waiting = self.waiting();
        let order = std::mem::take(&mut waiting.order);
        let mut things = std::mem::take(&mut waiting.things);
        let things = order.into_iter().filter_map(|key| things.remove_entry(&key)).collect();
        Batch { things, number: waiting.put }
    }

    pub(super) fn went_out(&self, number: u64) {
        self.out.send_replace(number);
    }
}

impl<K, V> Batch<K, V> {
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}
