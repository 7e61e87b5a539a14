//! Messages that will never be acknowledged, kept for people to look at.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::errors::DeadReason;
use super::message::Message;

/// A message that died.
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
