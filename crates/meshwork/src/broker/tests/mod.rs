//! Scenarios: each is one sentence of what the broker promises.

#![expect(clippy::unwrap_used, reason = "tests")]

mod acknowledgement;
mod any;
mod attempts;
mod delivery;
mod metrics;
mod order;
mod stored_mail;
mod trees;

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::unconstrained;

use super::*;

/// Far longer than anything here takes: reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(3_600);

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A gate that handlers wait at; what arrives is seen outside.
struct Gate {
    arrived: mpsc::UnboundedSender<String>,
    open: Notify,
}

fn gate() -> (Arc<Gate>, mpsc::UnboundedReceiver<String>) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    (Arc::new(Gate { arrived, open: Notify::new() }), arrivals)
}

impl Gate {
    async fn pass(&self, what: &str) {
        self.arrived.send(what.to_owned()).unwrap();
        self.open.notified().await;
    }

    fn let_one_through(&self) {
        self.open.notify_one();
    }

    /// A handler that stops here with each message.
    fn handler(self: &Arc<Self>) -> Handler {
        let gate = Arc::clone(self);
        Handler::new(move |_, message| {
            let gate = Arc::clone(&gate);
            async move {
                gate.pass(message.kind()).await;
                Ok(())
            }
        })
    }
}

/// Nothing here may hang.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it never happened")
}

/// Polls once, whatever else this task has done already.
async fn begun<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|wakeup| Poll::Ready(unconstrained(&mut *future).poll_unpin(wakeup))).await
}

fn broker_with(config: BrokerConfig) -> (Broker, Settled) {
    Broker::new(config, Arc::new(MailInMemory::default()))
}

fn broker() -> (Broker, Settled) {
    broker_with(BrokerConfig::default())
}

fn nothing() -> Bytes {
    Bytes::from_static(b"null")
}

fn attempt(task: u64) -> AttemptKey {
    AttemptKey { task, grant: 100 + task }
}

async fn register(broker: &Broker, peer: &str, handler: Handler) {
    broker.register(peer, Recipient::Handler(handler)).await.unwrap();
}

/// A handler that takes everything.
fn taker() -> Handler {
    Handler::sync(|_, _| Ok(()))
}

/// A handler that sends what it gets on to another peer.
fn forwarder(to: &'static str) -> Handler {
    Handler::new(move |context, message| async move {
        drop(context.send(to, message.kind().to_owned(), message.payload().clone()).await?);
        Ok(())
    })
}
