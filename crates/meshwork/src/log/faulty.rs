//! A log that does everything that the [`Log`] trait allows a log to do.
//!
//! It stands in front of any other log and, by a seeded schedule, stores twice, acknowledges late or never, answers
//! with an error although the batch is stored or without storing it, and delivers positions again. Order and
//! durability stay those of the log behind it: a caller that copes with this one copes with a network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Log, LogError, Stored};

/// How often which fault happens, in thousandths of the appends (or of the deliveries). The append faults exclude
/// one another; what is left of 1,000 goes well.
///
/// ```
/// use meshwork::log::FaultPlan;
///
/// let plan = FaultPlan { duplicated: 100, ..FaultPlan::none(7) };
/// assert_eq!(plan.duplicated, 100, "one append of ten");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultPlan {
    /// Where the schedule starts: the same seed gives the same faults to the same calls in the same order.
    pub seed: u64,
    /// Appends that are stored twice.
    pub duplicated: u16,
    /// Appends that are stored and never acknowledged: the future stays pending for ever.
    pub lost_ack: u16,
    /// Appends that are stored and acknowledged later, after up to `longest_delay`.
    pub late_ack: u16,
    /// Appends that are stored and answered with [`LogError::Unacknowledged`].
    pub error_although_stored: u16,
    /// Appends that are not stored and answered with [`LogError::Unacknowledged`].
    pub error_not_stored: u16,
    /// Deliveries of a tail that come a second time, directly after the first.
    pub redelivered: u16,
    /// The longest delay of a late acknowledgement.
    pub longest_delay: Duration,
}

impl FaultPlan {
    /// No fault at all; a start for plans of one's own.
    ///
    /// ```
    /// use meshwork::log::{FaultPlan, Faulty, Log as _, MemoryLog};
    /// use std::sync::Arc;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = Faulty::new(Arc::new(MemoryLog::new()), FaultPlan::none(7));
    /// log.append("first".into()).await?;
    /// assert_eq!(log.last().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn none(seed: u64) -> Self {
        Self {
            seed,
            duplicated: 0,
            lost_ack: 0,
            late_ack: 0,
            error_although_stored: 0,
            error_not_stored: 0,
            redelivered: 0,
            longest_delay: Duration::from_millis(5),
        }
    }

    /// Every fault now and then: half of the appends go wrong in some way.
    ///
    /// ```
    /// use meshwork::log::FaultPlan;
    ///
    /// assert_ne!(FaultPlan::rough(7), FaultPlan::none(7));
    /// ```
    #[must_use]
    pub fn rough(seed: u64) -> Self {
        Self {
            duplicated: 100,
            lost_ack: 100,
            late_ack: 100,
            error_although_stored: 100,
            error_not_stored: 100,
            redelivered: 200,
            ..Self::none(seed)
        }
    }
}

/// A log with faults; see the module.
///
/// ```
/// use meshwork::log::{FaultPlan, Faulty, Log as _, MemoryLog};
/// use std::sync::Arc;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// // Every append is stored twice: what a broker does after a lost acknowledgement.
/// let plan = FaultPlan { duplicated: 1_000, ..FaultPlan::none(7) };
/// let log = Faulty::new(Arc::new(MemoryLog::new()), plan);
/// log.append("first".into()).await?;
/// assert_eq!(log.last().await?, 2);
/// # Ok(())
/// # }
/// ```
pub struct Faulty {
    inner: Arc<dyn Log>,
    plan: FaultPlan,
    appends: Mutex<Draws>,
    tails: AtomicU64,
}

enum Fate {
    Fine,
    Duplicated,
    LostAck,
    LateAck(Duration),
    ErrorAlthoughStored,
    ErrorNotStored,
}

impl Faulty {
    /// `inner` with the faults of `plan`.
    ///
    /// ```
    /// use meshwork::log::{FaultPlan, Faulty, Log as _, LogError, MemoryLog};
    /// use std::sync::Arc;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let plan = FaultPlan { error_not_stored: 1_000, ..FaultPlan::none(7) };
    /// let log = Faulty::new(Arc::new(MemoryLog::new()), plan);
    /// assert_eq!(log.append("first".into()).await, Err(LogError::Unacknowledged));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(inner: Arc<dyn Log>, plan: FaultPlan) -> Self {
        Self { inner, plan, appends: Mutex::new(Draws(plan.seed)), tails: AtomicU64::new(0) }
    }

    fn fate(&self) -> Fate {
        let mut draws = self.appends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = draws.per_mille();
        let mut hits = |share: u16| {
            let hit = left < share;
            left = left.saturating_sub(share);
            // What was hit must not be hit again by a later share.
            if hit {
                left = u16::MAX;
            }
            hit
        };
        let plan = &self.plan;
        if hits(plan.duplicated) {
            Fate::Duplicated
        } else if hits(plan.lost_ack) {
            Fate::LostAck
        } else if hits(plan.late_ack) {
            let most = u64::try_from(plan.longest_delay.as_micros()).unwrap_or(u64::MAX);
            Fate::LateAck(Duration::from_micros(draws.next() % most.max(1)))
        } else if hits(plan.error_although_stored) {
            Fate::ErrorAlthoughStored
        } else if hits(plan.error_not_stored) {
            Fate::ErrorNotStored
        } else {
            Fate::Fine
        }
    }
}

impl Log for Faulty {
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        let fate = self.fate();
        if matches!(fate, Fate::ErrorNotStored) {
            return future::ready(Err(LogError::Unacknowledged)).boxed();
        }
        // Handed on now, as the trait says, and not only when the future is polled.
        let again = matches!(fate, Fate::Duplicated).then(|| batch.clone());
        let first = self.inner.append(batch);
        let second = again.map(|batch| self.inner.append(batch));
        async move {
            first.await?;
            if let Some(second) = second {
                second.await?;
            }
            match fate {
                Fate::LostAck => future::pending().await,
                Fate::LateAck(delay) => tokio::time::sleep(delay).await,
                Fate::ErrorAlthoughStored => return Err(LogError::Unacknowledged),
                Fate::Fine | Fate::Duplicated | Fate::ErrorNotStored => {}
            }
            Ok(())
        }
        .boxed()
    }

    fn tail(&self, from: u64) -> BoxStream<'static, Result<Stored, LogError>> {
        let nth = self.tails.fetch_add(1, Ordering::Relaxed);
        let mut draws = Draws(self.plan.seed ^ (nth + 1).wrapping_mul(0xA076_1D64_78BD_642F));
        let share = self.plan.redelivered;
        self.inner
            .tail(from)
            .flat_map(move |item| {
                let again = match &item {
                    Ok(stored) if draws.per_mille() < share => Some(Ok(stored.clone())),
                    _ => None,
                };
                stream::iter(std::iter::once(item).chain(again))
            })
            .boxed()
    }

    fn read(&self, seq: u64) -> BoxFuture<'static, Result<Bytes, LogError>> {
        self.inner.read(seq)
    }

    fn last(&self) -> BoxFuture<'static, Result<u64, LogError>> {
        self.inner.last()
    }

    fn save_snapshot(&self, seq: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        self.inner.save_snapshot(seq, bytes)
    }

    fn load_snapshot(&self) -> BoxFuture<'static, Result<Option<(u64, Bytes)>, LogError>> {
        self.inner.load_snapshot()
    }

    fn close(&self) -> BoxFuture<'static, Result<(), LogError>> {
        self.inner.close()
    }
}

/// Draws from a seed: splitmix64 (Steele, Lea, Flood 2014), which needs one word of state.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn per_mille(&mut self) -> u16 {
        u16::try_from(self.next() % 1000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use super::super::MemoryLog;
    use super::super::contract::{self, Place};
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_faults_it_is_the_log_behind_it() {
        contract::suite(|| {
            let memory = Arc::new(MemoryLog::new());
            let log = Arc::new(Faulty::new(memory, FaultPlan::none(1)));
            Place::volatile(move || Arc::clone(&log) as Arc<dyn Log>)
        })
        .await;
    }

    /// Appends until each number was read back, the way a driver does. Returns the log's content.
    async fn run(seed: u64) -> Vec<Bytes> {
        let log = Faulty::new(Arc::new(MemoryLog::new()), FaultPlan::rough(seed));
        let mut tail = log.tail(1);
        let mut had = 0;
        for number in 0..100_u8 {
            'append: loop {
                // Tokio lets a task look only so often before it must yield.
                tokio::task::yield_now().await;
                let last = log.last().await.unwrap();
                assert!(last < 1000, "what was stored did not come back");
                let answer = log.append(Bytes::from(vec![number]));
                // The log behind has stored it, or never will: one look at each is enough.
                let _hint = answer.now_or_never();
                while let Some(stored) = tail.next().now_or_never() {
                    let stored = stored.unwrap().unwrap();
                    assert!(stored.seq <= had + 1, "a position was left out");
                    had = had.max(stored.seq);
                    if stored.bytes[0] == number {
                        break 'append;
                    }
                }
            }
        }
        let mut content = Vec::new();
        for seq in 1..=log.last().await.unwrap() {
            content.push(log.read(seq).await.unwrap());
        }
        content
    }

    #[tokio::test]
    async fn a_caller_that_appends_until_it_reads_back_loses_nothing() {
        for seed in 0..20 {
            let content = run(seed).await;
            let numbers: BTreeSet<u8> = content.iter().map(|bytes| bytes[0]).collect();
            assert_eq!(numbers.len(), 100, "seed {seed}");
            assert!(content.len() > 100, "seed {seed} never stored anything twice");
        }
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_faults() {
        assert_eq!(run(7).await, run(7).await);
        assert_ne!(run(7).await, run(8).await);
    }
}
