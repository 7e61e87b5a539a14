//! Reading the database: for tails that lag, for bodies that need their payload, and for other processes.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::super::{LogError, Stored, checksum};
use super::{Letter, mail, schema};

/// A look at a log from this or any other process: live, finished or killed. It never takes the writer's lock and
/// never holds a transaction between two calls, so it is always up to date and keeps nobody from working.
///
/// It reads the write-ahead log of a killed writer too. Everything is synchronous; every batch that it returns was
/// checked against its checksum.
///
/// ```
/// use meshwork::log::{Log as _, LogReader, SqliteLog};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
/// log.append("first".into()).await?;
/// let reader = LogReader::open(log.path())?;
/// reader.check()?;
/// assert_eq!(reader.read(1)?, "first");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LogReader {
    connection: Connection,
    path: PathBuf,
}

impl LogReader {
    /// Opens the log at `path` without ever writing to it.
    ///
    /// ```
    /// use meshwork::log::{LogError, LogReader};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let none = LogReader::open(folder.path().join("swarm.db"));
    /// assert!(matches!(none, Err(LogError::NotFound { .. })), "looking creates nothing");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`LogError::NotFound`], [`LogError::NewerSchema`], [`LogError::OlderSchema`], [`LogError::NotADatabase`],
    /// [`LogError::ForeignDatabase`], [`LogError::Damaged`], or what the operating system says.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        if schema::inspect(&path)?.is_none() {
            return Err(LogError::NotFound { path });
        }
        let connection = schema::connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let found = schema::identity(&connection, &path)?;
        if found < schema::SUPPORTED {
            let supported = schema::SUPPORTED;
            return Err(LogError::OlderSchema { found, supported, path });
        }
        Ok(Self { connection, path })
    }

    /// The database file.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// assert_eq!(reader.path(), log.path());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position of the last batch, 0 when the log is empty.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// assert_eq!(reader.last()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the database says.
    pub fn last(&self) -> Result<u64, LogError> {
        schema::last(&self.connection, &self.path)
    }

    /// Batches from `from` (0 means 1) on, in order: as many as fit into `max_bytes`, but at least one if there is
    /// one. Empty means that the log ends before `from`.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// log.append("second".into()).await?;
    /// assert_eq!(reader.batches(1, 1 << 20)?.len(), 2);
    /// assert_eq!(reader.batches(1, 1)?.len(), 1, "at least one");
    /// assert!(reader.batches(3, 1 << 20)?.is_empty(), "the log ends before");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Hole`], [`LogError::Checksum`], [`LogError::Damaged`].
    pub fn batches(&self, from: u64, max_bytes: usize) -> Result<Vec<Stored>, LogError> {
        let from = from.max(1);
        let Ok(first) = i64::try_from(from) else {
            return Ok(Vec::new());
        };
        let says = |error: rusqlite::Error| self.says(&error);
        let sql = "SELECT seq, checksum, bytes FROM batch WHERE seq >= ? ORDER BY seq";
        let mut statement = self.connection.prepare_cached(sql).map_err(says)?;
        let mut rows = statement.query([first]).map_err(says)?;
        let mut batches: Vec<Stored> = Vec::new();
        let mut room = max_bytes;
        while let Some(row) = rows.next().map_err(says)? {
            let found = schema::number(row, 0).map_err(says)?;
            let expected = from + batches.len() as u64;
            if found != expected {
                let (after, path) = (expected - 1, self.path.clone());
                return Err(LogError::Hole { after, found, path });
            }
            let size = blob(row, 2).map_err(says)?.len();
            if !batches.is_empty() && size > room {
                break;
            }
            room = room.saturating_sub(size);
            let bytes = self.checked("batch", found, row)?;
            batches.push(Stored { seq: found, bytes });
        }
        Ok(batches)
    }

    /// One batch.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogError, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// assert_eq!(reader.read(1)?, "first");
    /// assert_eq!(reader.read(2), Err(LogError::Missing { seq: 2, last: 1 }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Missing`], [`LogError::Checksum`], [`LogError::Damaged`].
    pub fn read(&self, seq: u64) -> Result<Bytes, LogError> {
        let says = |error: rusqlite::Error| self.says(&error);
        let sql = "SELECT seq, checksum, bytes FROM batch WHERE seq = ?";
        let mut statement = self.connection.prepare_cached(sql).map_err(says)?;
        let mut rows = statement.query([i64::try_from(seq).unwrap_or(-1)]).map_err(says)?;
        match rows.next().map_err(says)? {
            Some(row) => self.checked("batch", seq, row),
            None => Err(LogError::Missing { seq, last: self.last()? }),
        }
    }

    /// The newest intact snapshot that is not newer than the log. A damaged one is passed over with a warning: the
    /// log itself is the truth and can be applied from an earlier point.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// assert_eq!(reader.snapshot()?, None);
    /// log.save_snapshot(1, "state".into()).await?;
    /// assert_eq!(reader.snapshot()?, Some((1, "state".into())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the database says.
    pub fn snapshot(&self) -> Result<Option<(u64, Bytes)>, LogError> {
        let says = |error: rusqlite::Error| self.says(&error);
        let sql = "SELECT seq, checksum, bytes FROM snapshot
            WHERE seq <= (SELECT ifnull(max(seq), 0) FROM batch) ORDER BY seq DESC";
        let mut statement = self.connection.prepare_cached(sql).map_err(says)?;
        let mut rows = statement.query([]).map_err(says)?;
        while let Some(row) = rows.next().map_err(says)? {
            let seq = schema::number(row, 0).map_err(says)?;
            match self.checked("snapshot", seq, row) {
                Ok(bytes) => return Ok(Some((seq, bytes))),
                Err(error) => tracing::warn!(%error, "a snapshot was passed over"),
            }
        }
        Ok(None)
    }

    /// A value kept by [`super::SqliteLog::set_meta`].
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// log.set_meta("swarm", "nightly".into()).await?;
    /// assert_eq!(reader.meta("swarm")?, Some("nightly".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the database says.
    pub fn meta(&self, key: &str) -> Result<Option<Bytes>, LogError> {
        let value = self
            .connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional());
        let value: Option<Vec<u8>> = value.map_err(|error| self.says(&error))?;
        Ok(value.map(Bytes::from))
    }

    /// The first `limit` unread letters of a peer, oldest first.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// log.mail().put("ada", "letter 1", "hello".into()).await?;
    /// assert_eq!(reader.unread("ada", 10)?[0].id, "letter 1");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the database says.
    pub fn unread(&self, peer: &str, limit: usize) -> Result<Vec<Letter>, LogError> {
        mail::unread(&self.connection, &self.path, peer, limit)
    }

    /// How many unread letters each peer has that has any, by peer.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// log.mail().put("ada", "letter 1", "hello".into()).await?;
    /// assert_eq!(reader.count_unread()?, [("ada".to_owned(), 1)]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the database says.
    pub fn count_unread(&self) -> Result<Vec<(String, u64)>, LogError> {
        mail::counts(&self.connection, &self.path)
    }

    /// Looks at everything: the structure of the file, the positions, and the checksum of every batch.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// assert_eq!(reader.check(), Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), LogError> {
        schema::quick_check(&self.connection, &self.path)?;
        self.check_batches()
    }

    /// Looks at the positions and the checksum of every batch.
    ///
    /// ```
    /// use meshwork::log::{Log as _, LogReader, SqliteLog};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// log.append("first".into()).await?;
    /// let reader = LogReader::open(log.path())?;
    /// assert_eq!(reader.check_batches(), Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first thing found.
    pub fn check_batches(&self) -> Result<(), LogError> {
        schema::no_holes(&self.connection, &self.path)?;
        let mut next = 1;
        while let Some(last) = self.batches(next, super::CHUNK_BYTES)?.last() {
            next = last.seq + 1;
        }
        Ok(())
    }

    fn says(&self, error: &rusqlite::Error) -> LogError {
        schema::sqlite_error(error, &self.path, "read")
    }

    /// Columns 1 and 2 of `row`: the bytes, if their checksum is right.
    fn checked(&self, table: &str, seq: u64, row: &rusqlite::Row<'_>) -> Result<Bytes, LogError> {
        let says = |error: rusqlite::Error| self.says(&error);
        let sum = blob(row, 1).map_err(says)?;
        let bytes = blob(row, 2).map_err(says)?;
        if checksum::of(seq, bytes) != sum {
            let (what, path) = (format!("{table} {seq}"), self.path.clone());
            return Err(LogError::Checksum { what, path });
        }
        Ok(Bytes::copy_from_slice(bytes))
    }
}

fn blob<'row>(row: &'row rusqlite::Row<'_>, column: usize) -> rusqlite::Result<&'row [u8]> {
    let value = row.get_ref(column)?;
    value
        .as_blob()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(error)))
}
