//! A log in memory, for tests and benches: ordered, not durable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::tail::{self, CHUNK_BATCHES, Progress, Source};
use super::{BATCH_LIMIT, Log, LogError, Stored};

/// A log in memory. Clones are handles of the same log, which lives as long as one of them or a tail does.
///
/// ```
/// use meshwork::log::{Log as _, MemoryLog};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let log = MemoryLog::new();
/// let handle = log.clone();
/// log.append("first".into()).await?;
/// assert_eq!(handle.last().await?, 1, "the same log");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct Kept {
    batches: Vec<Bytes>,
    snapshots: VecDeque<(u64, Bytes)>,
    closed: bool,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log.
    ///
    /// ```
    /// use meshwork::log::{Log as _, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// assert_eq!(MemoryLog::new().last().await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new() -> Self {
        let progress = watch::Sender::new(Progress { last: 0, closed: false });
        Self { shared: Arc::new(Shared { kept: Mutex::default(), progress }) }
    }

    fn append_now(&self, batch: Bytes) -> Result<(), LogError> {
        check_size(&batch)?;
        let mut kept = self.shared.open()?;
        kept.batches.push(batch);
        let last = kept.batches.len() as u64;
        // Under the lock, so that the progress never goes back.
        self.shared.progress.send_modify(|progress| progress.last = last);
        Ok(())
    }

    fn read_now(&self, seq: u64) -> Result<Bytes, LogError> {
        let kept = self.shared.open()?;
        let found = seq.checked_sub(1).and_then(|index| kept.batches.get(usize::try_from(index).ok()?));
        found.cloned().ok_or(LogError::Missing { seq, last: kept.batches.len() as u64 })
    }

    fn save_now(&self, seq: u64, bytes: Bytes) -> Result<(), LogError> {
        check_size(&bytes)?;
        let mut kept = self.shared.open()?;
        let last = kept.batches.len() as u64;
        if seq > last {
            return Err(LogError::SnapshotAhead { seq, last });
        }
        kept.snapshots.retain(|(at, _)| *at != seq);
        let place = kept.snapshots.partition_point(|(at, _)| *at < seq);
        kept.snapshots.insert(place, (seq, bytes));
        if kept.snapshots.len() > 2 {
            kept.snapshots.pop_front();
        }
        Ok(())
    }

    fn close_now(&self) {
        self.shared.lock().closed = true;
        self.shared.progress.send_modify(|progress| progress.closed = true);
    }
}

/// Refuses what is over [`BATCH_LIMIT`].
pub(super) fn check_size(bytes: &Bytes) -> Result<(), LogError> {
    if bytes.len() > BATCH_LIMIT {
        return Err(LogError::TooLarge { found: bytes.len(), limit: BATCH_LIMIT });
    }
    Ok(())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Kept>, LogError> {
        let kept = self.lock();
        if kept.closed { Err(LogError::Closed) } else { Ok(kept) }
    }
}

impl Source for Shared {
    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn recent(&self, from: u64) -> Option<VecDeque<Stored>> {
        let start = usize::try_from(from.checked_sub(1)?).ok()?;
        let kept = self.lock();
        let batches = kept.batches.get(start..)?.iter().zip(from..);
        let taken = batches.take(CHUNK_BATCHES).map(|(bytes, seq)| Stored { seq, bytes: bytes.clone() });
        Some(taken.collect())
    }

    fn older(self: Arc<Self>, from: u64) -> BoxFuture<'static, Result<VecDeque<Stored>, LogError>> {
        // Everything is recent here: only a position behind the end comes this way.
        let last = self.lock().batches.len() as u64;
        future::ready(Err(LogError::Missing { seq: from, last })).boxed()
    }
}

impl Log for MemoryLog {
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        future::ready(self.append_now(batch)).boxed()
    }

    fn tail(&self, from: u64) -> BoxStream<'static, Result<Stored, LogError>> {
        tail::tail(Arc::clone(&self.shared), from)
    }

    fn read(&self, seq: u64) -> BoxFuture<'static, Result<Bytes, LogError>> {
        future::ready(self.read_now(seq)).boxed()
    }

    fn last(&self) -> BoxFuture<'static, Result<u64, LogError>> {
        let last = self.shared.open().map(|kept| kept.batches.len() as u64);
        future::ready(last).boxed()
    }

    fn save_snapshot(&self, seq: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        future::ready(self.save_now(seq, bytes)).boxed()
    }

    fn load_snapshot(&self) -> BoxFuture<'static, Result<Option<(u64, Bytes)>, LogError>> {
        let newest = self.shared.open().map(|kept| kept.snapshots.back().cloned());
        future::ready(newest).boxed()
    }

    fn close(&self) -> BoxFuture<'static, Result<(), LogError>> {
        self.close_now();
        future::ready(Ok(())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{self, Place};
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_log_in_memory_keeps_the_contract() {
        contract::suite(|| {
            let log = Arc::new(MemoryLog::new());
            Place::volatile(move || Arc::clone(&log) as Arc<dyn Log>)
        })
        .await;
    }
}
