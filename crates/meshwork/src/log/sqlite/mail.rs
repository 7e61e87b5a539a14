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
    /// # Errors
    /// [`LogError::Closed`], or what the database says.
    pub fn unread(&self, peer: &str, limit: usize) -> BoxFuture<'static, Result<Vec<Letter>, LogError>> {
        let peer = peer.to_owned();
        self.shared.with_reader(move |reader| reader.unread(&peer, limit))
    }

    /// Marks the letters of `peer` up to and including number `up_to` as read; answers how many it were.
    ///
    /// # Errors
    /// [`LogError::Full`], [`LogError::Closed`], or what the database says.
    pub fn mark_read(&self, peer: &str, up_to: u64) -> BoxFuture<'static, Result<u64, LogError>> {
        let peer = peer.to_owned();
        self.shared.queue.push(Work::MarkRead { peer, up_to })
    }

    /// How many unread letters each peer has that has any, by peer.
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
