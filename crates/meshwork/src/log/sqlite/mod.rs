//! The embedded log: one SQLite database, one writer thread, one transaction for everything that waits.
//!
//! ```text
//!   append ─┐                       ┌─► commit (one fsync) ─► tails woken ─► answers
//!   snapshot ├─► queue ─► writer ───┤
//!   mail ───┘   (bounded)           └─► checkpoint of the write-ahead log, when nobody waits for it
//! ```
//!
//! The database runs in WAL mode with `synchronous = FULL`: what was answered survives power loss on a disk that
//! keeps its word. Readers never wait for the writer, nor it for them, in this process and in others. Reading
//! methods use tokio's blocking threads, so they must be called within a tokio runtime; appends need none.

mod mail;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod work;
mod writer;

pub use mail::{Letter, MAILBOX_LIMIT, Mail};
pub use reader::LogReader;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use self::work::Work;
use super::memory::check_size;
use super::tail::{self, CHUNK_BATCHES, CHUNK_BYTES, Progress, Source};
use super::{Log, LogError, Stored};
use crate::group_commit::Queue;

/// Committed batches are kept in memory up to this many bytes (and [`RECENT_BATCHES`]), so that tails which keep up
/// never read them from the database: 8 MiB, several groups of the largest usual batches.
const RECENT_BYTES: usize = 8 * 1024 * 1024;
/// The most batches kept in memory: at a few hundred bytes each, far below [`RECENT_BYTES`].
const RECENT_BATCHES: usize = 8192;
/// Connections for reading that are kept open: more readers at once open and close their own.
const IDLE_READERS: usize = 4;

/// The version of the SQLite that is built in, such as `3.51.3`.
///
/// ```
/// use meshwork::log::sqlite_version;
///
/// assert!(sqlite_version().starts_with("3."));
/// ```
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The log of one swarm in one SQLite database.
///
/// Dropping it stores what was handed over and waits for the writer thread, as [`Log::close`] does.
///
/// ```
/// use meshwork::log::{Log as _, SqliteLog};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
/// log.append("first".into()).await?;
/// drop(log); // stores what was handed over
/// assert_eq!(SqliteLog::open_read_only(folder.path().join("swarm.db"))?.last()?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer thread, the tails and the readers have in common.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    queue: Queue<Work>,
    progress: watch::Sender<Progress>,
    recent: Mutex<Recent>,
    /// Idle connections for reading; `None` once the log is closed.
    readers: Mutex<Option<Vec<LogReader>>>,
}

/// The newest committed batches, without holes.
#[derive(Debug, Default)]
struct Recent {
    batches: VecDeque<Stored>,
    bytes: usize,
}

impl SqliteLog {
    /// Opens the log at `path` and creates it if there is nothing. An older schema is migrated.
    ///
    /// The caller holds the state folder's lock: two writers of one log are noticed, not coordinated.
    ///
    /// ```
    /// use meshwork::log::{Log as _, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// log.close().await?;
    /// let again = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// assert_eq!(again.read(1).await?, "first");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A file that is damaged, newer or not ours is refused and left as it is.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        if schema::inspect(&path)?.is_none() {
            schema::create(&path)?;
        }
        Self::start(path)
    }

    /// Like [`SqliteLog::open`], but creates nothing.
    ///
    /// ```
    /// use meshwork::log::{LogError, SqliteLog};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("swarm.db");
    /// assert!(matches!(SqliteLog::open_existing(&path), Err(LogError::NotFound { .. })));
    /// assert!(!path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`LogError::NotFound`] if there is no file, else as [`SqliteLog::open`].
    pub fn open_existing(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        match schema::inspect(&path)? {
            Some(_) => Self::start(path),
            None => Err(LogError::NotFound { path }),
        }
    }

    /// Opens the log of a live, finished or killed swarm for looking at it, from any process.
    ///
    /// ```
    /// use meshwork::log::{Log as _, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// let reader = SqliteLog::open_read_only(log.path())?;
    /// log.append("first".into()).await?;
    /// assert_eq!(reader.last()?, 1, "always up to date");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<LogReader, LogError> {
        LogReader::open(path)
    }

    fn start(path: PathBuf) -> Result<Self, LogError> {
        let connection = schema::open_for_writing(&path)?;
        let (progress, _) = watch::channel(Progress { last: schema::last(&connection, &path)?, closed: false });
        let shared = Arc::new(Shared {
            path,
            queue: Queue::new(),
            progress,
            recent: Mutex::default(),
            readers: Mutex::new(Some(Vec::new())),
        });
        let writer = writer::spawn(connection, &shared)?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// The database file.
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// assert!(log.path().ends_with("swarm.db"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The durable mailboxes in the same database, written by the same thread in the same transactions.
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// let mail = log.mail();
    /// assert!(mail.put("ada", "letter 1", "hello".into()).await?);
    /// assert_eq!(mail.unread("ada", 10).await?[0].bytes, "hello");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn mail(&self) -> Mail {
        Mail::new(Arc::clone(&self.shared))
    }

    /// Keeps a value beside the log, such as the swarm's id. Replaces what `key` had.
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.set_meta("swarm", "nightly".into()).await?;
    /// log.set_meta("swarm", "weekly".into()).await?;
    /// assert_eq!(log.meta("swarm").await?, Some("weekly".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn set_meta(&self, key: &str, value: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        let key = key.to_owned();
        let done = self.shared.queue.push(Work::Meta { key, value });
        async move { done.await.map(drop) }.boxed()
    }

    /// A value kept by [`SqliteLog::set_meta`].
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// assert_eq!(log.meta("swarm").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Closed`], or what the database says.
    pub fn meta(&self, key: &str) -> BoxFuture<'static, Result<Option<Bytes>, LogError>> {
        let key = key.to_owned();
        self.shared.with_reader(move |reader| reader.meta(&key))
    }

    #[cfg(test)]
    fn limit_pages(&self, pages: u32) -> BoxFuture<'static, Result<u64, LogError>> {
        self.shared.queue.push(Work::LimitPages(pages))
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported where it happened; here it only means that nothing is left to wait for.
            let _ended = writer.join();
        }
    }
}

impl Log for SqliteLog {
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        if let Err(error) = check_size(&batch) {
            return future::ready(Err(error)).boxed();
        }
        let done = self.shared.queue.push(Work::Append(batch));
        async move { done.await.map(drop) }.boxed()
    }

    fn tail(&self, from: u64) -> BoxStream<'static, Result<Stored, LogError>> {
        tail::tail(Arc::clone(&self.shared), from)
    }

    fn read(&self, seq: u64) -> BoxFuture<'static, Result<Bytes, LogError>> {
        let progress = *self.shared.progress.borrow();
        if progress.closed {
            return future::ready(Err(LogError::Closed)).boxed();
        }
        if seq == 0 || seq > progress.last {
            let last = progress.last;
            return future::ready(Err(LogError::Missing { seq, last })).boxed();
        }
        if let Some(bytes) = self.shared.recent().one(seq) {
            return future::ready(Ok(bytes)).boxed();
        }
        self.shared.with_reader(move |reader| reader.read(seq))
    }

    fn last(&self) -> BoxFuture<'static, Result<u64, LogError>> {
        let progress = *self.shared.progress.borrow();
        let last = if progress.closed { Err(LogError::Closed) } else { Ok(progress.last) };
        future::ready(last).boxed()
    }

    fn save_snapshot(&self, seq: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        if let Err(error) = check_size(&bytes) {
            return future::ready(Err(error)).boxed();
        }
        let done = self.shared.queue.push(Work::Snapshot { seq, bytes });
        async move { done.await.map(drop) }.boxed()
    }

    fn load_snapshot(&self) -> BoxFuture<'static, Result<Option<(u64, Bytes)>, LogError>> {
        self.shared.with_reader(LogReader::snapshot)
    }

    fn close(&self) -> BoxFuture<'static, Result<(), LogError>> {
        self.shared.queue.close();
        let mut progress = self.shared.progress.subscribe();
        async move {
            // The writer says so when its connection is gone; it can't end without saying it.
            let _closed = progress.wait_for(|progress| progress.closed).await;
            Ok(())
        }
        .boxed()
    }
}

impl Shared {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes committed batches visible, in order.
    fn publish(&self, stored: Vec<Stored>) {
        let Some(last) = stored.last().map(|stored| stored.seq) else {
            return;
        };
        self.recent().add(stored);
        self.progress.send_modify(|progress| progress.last = last);
    }

    /// Runs `read` on a connection of its own in a blocking thread.
    fn with_reader<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&LogReader) -> Result<T, LogError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let shared = Arc::clone(self);
        async move {
            let ended = tokio::task::spawn_blocking(move || {
                let reader = shared.reader()?;
                let result = read(&reader);
                shared.give_back(reader);
                result
            });
            // Only a runtime that shuts down, or a panic in SQLite's wrapper, comes this way.
            ended.await.unwrap_or(Err(LogError::Closed))
        }
        .boxed()
    }

    fn reader(&self) -> Result<LogReader, LogError> {
        let idle = {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.as_mut().ok_or(LogError::Closed)?.pop()
        };
        idle.map_or_else(|| LogReader::open(&self.path), Ok)
    }

    fn give_back(&self, reader: LogReader) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = readers.as_mut()
            && idle.len() < IDLE_READERS
        {
            idle.push(reader);
        }
    }

    fn drop_readers(&self) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        *readers = None;
    }
}

impl Source for Shared {
    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn recent(&self, from: u64) -> Option<VecDeque<Stored>> {
        self.recent().from(from)
    }

    fn older(self: Arc<Self>, from: u64) -> BoxFuture<'static, Result<VecDeque<Stored>, LogError>> {
        let path = self.path.clone();
        let batches = self.with_reader(move |reader| reader.batches(from, CHUNK_BYTES));
        async move {
            let batches = batches.await?;
            if batches.is_empty() {
                // The progress says that `from` was committed.
                let what = format!("position {from} was stored and is gone");
                return Err(LogError::Damaged { what, path });
            }
            Ok(batches.into())
        }
        .boxed()
    }
}

impl Recent {
    fn add(&mut self, stored: Vec<Stored>) {
        for stored in stored {
            // After a commit that failed and stored all the same, a position never came by here.
            if self.batches.back().is_some_and(|newest| newest.seq + 1 != stored.seq) {
                *self = Self::default();
            }
            self.bytes += stored.bytes.len();
            self.batches.push_back(stored);
        }
        // The newest one stays even if it alone is over the limit: tails that keep up are about to take it.
        while self.batches.len() > 1 && (self.bytes > RECENT_BYTES || self.batches.len() > RECENT_BATCHES) {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= oldest.bytes.len();
            }
        }
    }

    fn place(&self, seq: u64) -> Option<usize> {
        let first = self.batches.front()?.seq;
        let place = usize::try_from(seq.checked_sub(first)?).ok()?;
        (place < self.batches.len()).then_some(place)
    }

    fn one(&self, seq: u64) -> Option<Bytes> {
        Some(self.batches.get(self.place(seq)?)?.bytes.clone())
    }

    fn from(&self, seq: u64) -> Option<VecDeque<Stored>> {
        let start = self.place(seq)?;
        let mut room = CHUNK_BYTES;
        let taken = self.batches.range(start..).take(CHUNK_BATCHES);
        let taken = taken.enumerate().take_while(|(nth, stored)| {
            let fits = *nth == 0 || stored.bytes.len() <= room;
            room = room.saturating_sub(stored.bytes.len());
            fits
        });
        Some(taken.map(|(_, stored)| stored.clone()).collect())
    }
}
