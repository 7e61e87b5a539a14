//! Messages that will never be acknowledged, kept for people to look at.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::errors::DeadReason;
use super::message::Message;

/// A message that died.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{DeadLetter, Handler, HandlerError, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let refuses = Handler::sync(|_, _| Err(HandlerError::new("not today")));
/// broker.register("ben", Recipient::Handler(refuses)).await?;
/// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?.acknowledged().await;
/// let dead: Vec<DeadLetter> = broker.dead_letters();
/// assert_eq!(dead[0].reason.to_string(), "its handler failed 4 times, the last time with: not today");
/// assert!(dead[0].at_ms >= dead[0].message.sent_at_ms);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message.
    pub message: Message,
    /// Why it died.
    pub reason: DeadReason,
    /// When, in milliseconds since the epoch, from the clock of `Message::sent_at_ms`.
    pub at_ms: u64,
}

/// The last dead letters; how many there ever were is a metric.
pub(super) struct DeadLetters {
    limit: usize,
    ring: Mutex<VecDeque<DeadLetter>>,
}

impl DeadLetters {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ring: Mutex::default() }
    }

    pub(super) fn push(&self, letter: DeadLetter) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push_back(letter);
        if ring.len() > self.limit {
            ring.pop_front();
        }
    }

    /// Oldest first.
    pub(super) fn all(&self) -> Vec<DeadLetter> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
