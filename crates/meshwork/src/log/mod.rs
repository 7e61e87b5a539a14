//! The ordered durable log: order and durability are the log's, meaning is ours.
//!
//! A batch is opaque bytes here; nothing in this module knows what an entry is. The [`Log`] trait asks for no more
//! than a stream with at-least-once append and at-least-once delivery, so that a table on one machine and a
//! JetStream stream on many implement it alike. What a caller must therefore cope with:
//!
//! - `Ok` of an append is a hint and `Err` may still have stored the batch. An append is done when it is read back.
//! - An acknowledgement may be late or may never come: put a time limit around it.
//! - A batch may lie in the log twice (appended again after a lost acknowledgement), and a tail may deliver a
//!   position again. Readers drop positions they have had, and authors number their batches.
//!
//! [`MemoryLog`] is for tests and benches, [`SqliteLog`] for one machine; [`Faulty`] wraps any log and does
//! everything that the list above allows. All of them pass the one suite in `contract`.

mod checksum;
#[doc(hidden)]
pub mod contract;
mod error;
mod faulty;
mod memory;
mod sqlite;
mod tail;

pub use error::LogError;
pub use faulty::{FaultPlan, Faulty};
pub use memory::MemoryLog;
pub use sqlite::{Letter, LogReader, MAILBOX_LIMIT, Mail, SqliteLog, sqlite_version};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// The most bytes one batch or one snapshot may have: 256 MiB.
///
/// A log entry has at most 64 KiB, so a batch of thousands of entries is far below it, and a snapshot of 1,000,000
/// tasks at 200 bytes fits. SQLite itself ends at 1 GB a value.
pub const BATCH_LIMIT: usize = 256 * 1024 * 1024;

/// One batch with its place in the log.
///
/// ```
/// use futures_util::StreamExt as _;
/// use meshwork::log::{Log as _, MemoryLog, Stored};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let log = MemoryLog::new();
/// log.append("first".into()).await?;
/// let stored = log.tail(1).next().await.expect("a tail has no end")?;
/// assert_eq!(stored, Stored { seq: 1, bytes: "first".into() });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its position: 1, 2, 3 … without holes.
    pub seq: u64,
    /// The batch as it was appended.
    pub bytes: Bytes,
}

/// An ordered durable log of batches. See the module for what at-least-once means to a caller.
///
/// Every method may be called from any thread; the futures and streams are independent of the log's borrow.
///
/// ```
/// use futures_util::StreamExt as _;
/// use meshwork::log::{Log, MemoryLog};
/// use std::sync::Arc;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
/// let mut tail = log.tail(1);
/// log.append("first".into()).await?;
/// // It is done when it is read back.
/// assert_eq!(tail.next().await.expect("a tail has no end")?.bytes, "first");
/// # Ok(())
/// # }
/// ```
pub trait Log: Send + Sync + 'static {
    /// Appends one batch, whole or not at all.
    ///
    /// Batches handed over by one thread, one call after another, keep that order while the log has room for them;
    /// the batch is on its way when the call returns, whether the future is polled or not.
    ///
    /// ```
    /// use meshwork::log::{BATCH_LIMIT, Log as _, LogError, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// log.append("first".into()).await?;
    /// let refused = log.append(vec![0; BATCH_LIMIT + 1].into()).await;
    /// assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    /// assert_eq!(log.last().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::Full`] and [`LogError::Closed`] stored nothing; after any other error the
    /// batch may or may not be in the log.
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<(), LogError>>;

    /// Every batch with `seq >= from` (0 means 1), in order, those of later appends included. It does not end by
    /// itself: after [`Log::close`], or on an error, it yields that error as its last item.
    ///
    /// ```
    /// use futures_util::StreamExt as _;
    /// use meshwork::log::{Log as _, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// for batch in ["one", "two", "three"] {
    ///     log.append(batch.into()).await?;
    /// }
    /// let mut tail = log.tail(2);
    /// assert_eq!(tail.next().await.expect("no end")?.bytes, "two");
    /// log.close().await?;
    /// // What it had read ahead is told, then that the log is closed.
    /// let last = tail.collect::<Vec<_>>().await.pop().expect("an error at the end");
    /// assert!(last.is_err());
    /// # Ok(())
    /// # }
    /// ```
    fn tail(&self, from: u64) -> BoxStream<'static, Result<Stored, LogError>>;

    /// One batch.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogError, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// log.append("first".into()).await?;
    /// assert_eq!(log.read(1).await?, "first");
    /// assert_eq!(log.read(2).await, Err(LogError::Missing { seq: 2, last: 1 }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Missing`] where no batch has that position yet.
    fn read(&self, seq: u64) -> BoxFuture<'static, Result<Bytes, LogError>>;

    /// The position of the last batch, 0 when the log is empty.
    ///
    /// ```
    /// use meshwork::log::{Log as _, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// assert_eq!(log.last().await?, 0);
    /// log.append("first".into()).await?;
    /// assert_eq!(log.last().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    fn last(&self) -> BoxFuture<'static, Result<u64, LogError>>;

    /// Keeps `bytes` as what applying the log up to and including `seq` gives. The newest two are kept.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogError, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// log.append("first".into()).await?;
    /// log.save_snapshot(1, "the state after batch 1".into()).await?;
    /// let ahead = log.save_snapshot(2, "from nowhere".into()).await;
    /// assert_eq!(ahead, Err(LogError::SnapshotAhead { seq: 2, last: 1 }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::SnapshotAhead`] if the log is shorter than `seq`; nothing was changed.
    fn save_snapshot(&self, seq: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), LogError>>;

    /// The newest intact snapshot that is not newer than the log, with its position.
    ///
    /// ```
    /// use meshwork::log::{Log as _, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// assert_eq!(log.load_snapshot().await?, None);
    /// log.append("first".into()).await?;
    /// log.save_snapshot(1, "state".into()).await?;
    /// assert_eq!(log.load_snapshot().await?, Some((1, "state".into())));
    /// # Ok(())
    /// # }
    /// ```
    fn load_snapshot(&self) -> BoxFuture<'static, Result<Option<(u64, Bytes)>, LogError>>;

    /// Stores what was handed over before, puts the files in order and ends. Every later call is refused with
    /// [`LogError::Closed`]; closing twice is no error.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogError, MemoryLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let log = MemoryLog::new();
    /// log.close().await?;
    /// log.close().await?; // no error
    /// assert_eq!(log.append("late".into()).await, Err(LogError::Closed));
    /// # Ok(())
    /// # }
    /// ```
    fn close(&self) -> BoxFuture<'static, Result<(), LogError>>;
}
