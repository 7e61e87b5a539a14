//! The simulated log: it stores batches in one order, and may do everything that a log may.

use super::dice::Dice;
use super::faults::{Fault, Faults};
use crate::{Batch, Position, TaskSpec};
use crate::{Op, decode_batch, encode_batch};
use std::sync::Arc;

/// A store takes up to this long, in virtual ms.
const STORE_MS: u64 = 15;
/// An error comes back this much later than the store, at most.
const ERROR_MS: u64 = 60;
/// The driver makes a refused append again after this long.
const APPEND_RETRY_MS: u64 = 200;
/// The driver makes an append that was not answered again after this long.
const APPEND_ANSWER_MS: u64 = 5_000;
/// A delayed store comes up to this much later.
const DELAY_MS: u64 = 7_000;

/// What becomes of one append.
#[derive(Debug, Default)]
pub(super) struct Fortune {
    /// After how long it is stored; each once.
    pub(super) stored: Vec<u64>,
    /// After how long its node is told that it failed.
    pub(super) failed: Option<u64>,
    pub(super) fault: Option<Fault>,
}

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Log {
    batches: Vec<Arc<Batch>>,
    /// State hash after each batch.
    hashes: Vec<u64>,
}

impl Log {
    pub(super) fn len(&self) -> u64 {
        self.batches.len() as u64
    }

    /// The batch at this place, counted from 1.
    pub(super) fn get(&self, seq: u64) -> Option<&Arc<Batch>> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.batches.get(index)
    }

    /// State hash after the batch at this place.
    pub(super) fn hash_after(&self, seq: u64) -> Option<u64> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.hashes.get(index).copied()
    }

    /// Stores a batch as a log does: as bytes. `None`: what is read back is not what was written.
    pub(super) fn store(&mut self, batch: &Arc<Batch>) -> Option<u64> {
        let bytes = encode_batch(batch).ok()?;
        let read = decode_batch(&bytes).ok()?;
        if read != **batch {
            return None;
        }
        self.batches.push(Arc::new(read));
        Some(self.len())
    }

    /// The state that the last batch led to.
    pub(super) fn hashed(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    /// Loses everything after this many batches, and does not say so.
    pub(super) fn forget_after(&mut self, seq: u64) {
        let kept = usize::try_from(seq).expect("a length of this log");
        self.hashes.truncate(kept);
        self.batches.truncate(kept);
    }

    /// A task as it was submitted.
    pub(super) fn spec(&self, (at, index): (Position, u32)) -> Option<&TaskSpec> {
        match self.get(at.seq())?.entries.get(at.index())? {
            Op::Submit(submission) => submission.tasks.get(index as usize),
            _ => None,
        }
    }
}

/// Decides what becomes of an append.
pub(super) fn fortune(dice: &mut Dice, faults: Faults, calm: bool) -> Fortune {
    let soon = 1 + dice.ms(STORE_MS);
    let kinds = [Fault::AppendLost, Fault::AckLost, Fault::AckMissing, Fault::StoredTwice, Fault::AppendDelayed];
    let percent = if faults.count() == 1 { 25 } else { 6 };
    let fault = kinds.into_iter().filter(|fault| !calm && faults.has(*fault)).find(|_| dice.chance(percent));
    let error = soon + dice.ms(ERROR_MS) + APPEND_RETRY_MS;
    let (stored, failed) = match fault {
        None => (vec![soon], None),
        Some(Fault::AppendLost) => (Vec::new(), Some(error)),
        Some(Fault::AckLost) => (vec![soon], Some(error)),
        Some(Fault::AckMissing) if dice.chance(50) => (vec![soon], Some(APPEND_ANSWER_MS + APPEND_RETRY_MS)),
        Some(Fault::AckMissing) => (Vec::new(), Some(APPEND_ANSWER_MS + APPEND_RETRY_MS)),
        Some(Fault::StoredTwice) => (vec![soon, soon + dice.ms(300)], None),
        Some(_) => (vec![soon + dice.ms(DELAY_MS)], Some(error)),
    };
    Fortune { stored, failed, fault }
}
