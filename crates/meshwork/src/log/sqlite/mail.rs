//! Durable mailboxes in the log's database: what a peer was sent and has not read yet.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use rusqlite::Connection;

use super::super::LogError;
use super::super::memory::check_size;
use super::work::Work;
use super::{Shared, schema};

/// The most unread letters of one peer: 10,000, the limit of a mailbox.
pub const MAILBOX_LIMIT: u64 = 10_000;

/// The ids of letters that were read are remembered for this many further letters of the swarm, so that one which is
/// sent again is still known.
pub(super) const READ_KEPT: i64 = 100_000;

/// One unread letter.
///
/// ```
/// use meshwork::log::SqliteLog;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
/// let mail = log.mail();
/// mail.put("ada", "letter 1", "hello".into()).await?;
/// let letter = &mail.unread("ada", 1).await?[0];
/// assert_eq!((&*letter.id, &letter.bytes[..]), ("letter 1", &b"hello"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its number: rising within the swarm, with holes. [`Mail::mark_read`] takes it.
    pub number: u64,
    /// The sender's id for it.
    pub id: String,
    /// The content.
    pub bytes: Bytes,
}

/// The mailboxes of a swarm's peers. Clones are handles of the same.
///
/// ```
/// use meshwork::log::SqliteLog;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
/// let mail = log.mail();
/// mail.put("ada", "letter 1", "hello".into()).await?;
/// let letters = mail.unread("ada", 10).await?;
/// mail.mark_read("ada", letters[0].number).await?;
/// assert!(mail.unread("ada", 10).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Mail {
    shared: Arc<Shared>,
}

impl Mail {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Stores a letter, once for each `id`: `false` says that `peer` was sent it before, whether it was read or not.
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
    /// assert!(!mail.put("ada", "letter 1", "hello".into()).await?, "it was sent before");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::MailboxFull`], [`LogError::TooLarge`], [`LogError::Full`], [`LogError::Closed`]: not stored.
    pub fn put(&self, peer: &str, id: &str, bytes: Bytes) -> BoxFuture<'static, Result<bool, LogError>> {
        if let Err(error) = check_size(&bytes) {
            return future::ready(Err(error)).boxed();
        }
        let (peer, id) = (peer.to_owned(), id.to_owned());
        let done = self.shared.queue.push(Work::Post { peer, id, bytes });
        async move { done.await.map(|stored| stored > 0) }.boxed()
    }

    /// The first `limit` unread letters of `peer`, oldest first.
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// let mail = log.mail();
    /// for id in ["one", "two", "three"] {
    ///     mail.put("ada", id, "hello".into()).await?;
    /// }
    /// let oldest: Vec<String> = mail.unread("ada", 2).await?.into_iter().map(|letter| letter.id).collect();
    /// assert_eq!(oldest, ["one", "two"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Closed`], or what the database says.
    pub fn unread(&self, peer: &str, limit: usize) -> BoxFuture<'static, Result<Vec<Letter>, LogError>> {
        let peer = peer.to_owned();
        self.shared.with_reader(move |reader| reader.unread(&peer, limit))
    }

    /// Marks the letters of `peer` up to and including number `up_to` as read; answers how many it were.
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// let mail = log.mail();
    /// for id in ["one", "two"] {
    ///     mail.put("ada", id, "hello".into()).await?;
    /// }
    /// let second = mail.unread("ada", 2).await?[1].number;
    /// assert_eq!(mail.mark_read("ada", second).await?, 2, "up to and including this one");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Full`], [`LogError::Closed`], or what the database says.
    pub fn mark_read(&self, peer: &str, up_to: u64) -> BoxFuture<'static, Result<u64, LogError>> {
        let peer = peer.to_owned();
        self.shared.queue.push(Work::MarkRead { peer, up_to })
    }

    /// How many unread letters each peer has that has any, by peer.
    ///
    /// ```
    /// use meshwork::log::SqliteLog;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// let mail = log.mail();
    /// mail.put("ada", "letter 1", "hello".into()).await?;
    /// assert_eq!(mail.count_unread().await?, [("ada".to_owned(), 1)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Closed`], or what the database says.
    pub fn count_unread(&self) -> BoxFuture<'static, Result<Vec<(String, u64)>, LogError>> {
        self.shared.with_reader(super::LogReader::count_unread)
    }
}

pub(super) fn unread(connection: &Connection, path: &Path, peer: &str, limit: usize) -> Result<Vec<Letter>, LogError> {
    let read = || {
        let sql = "SELECT number, id, bytes FROM mail WHERE peer = ? AND bytes IS NOT NULL ORDER BY number LIMIT ?";
        let mut statement = connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(rusqlite::params![peer, limit], |row| {
            Ok(Letter {
                number: schema::number(row, 0)?,
                id: row.get(1)?,
                bytes: Bytes::from(row.get::<_, Vec<u8>>(2)?),
            })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error| schema::sqlite_error(&error, path, "read"))
}

pub(super) fn counts(connection: &Connection, path: &Path) -> Result<Vec<(String, u64)>, LogError> {
    let read = || {
        let sql = "SELECT peer, count(*) FROM mail WHERE bytes IS NOT NULL GROUP BY peer ORDER BY peer";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, schema::number(row, 1)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(|error| schema::sqlite_error(&error, path, "read"))
}
