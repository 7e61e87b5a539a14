//! The writer thread: takes what waits, commits it as one transaction, removes the files that are not used any more,
//! answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::files::{Draft, Files};
use super::{ArtifactError, rows};
use crate::failpoint::{self, Point};
use crate::group_commit::{self, Queue, Work as _};

/// The write-ahead log is written back when about this much was committed and nobody waits: 8 MiB, some 20 ms of a
/// disk's time.
const CHECKPOINT_IDLE: usize = 8 * 1024 * 1024;
/// It is written back even though somebody waits: 32 MiB.
const CHECKPOINT_BUSY: usize = 32 * 1024 * 1024;
/// What a commit writes beside its bytes: a few pages of 4 KiB.
const COMMIT_BYTES: usize = 5 * 4096;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    Store(New),
    Delete {
        key: String,
    },
    /// Pretends that the disk ends after so many pages of the database.
    #[cfg(test)]
    LimitPages(u32),
}

/// An artifact that is to be.
#[derive(Debug)]
pub(super) struct New {
    pub(super) key: String,
    pub(super) digest: blake3::Hash,
    pub(super) size: u64,
    pub(super) stored_ms: u64,
    pub(super) content: NewContent,
}

#[derive(Debug)]
pub(super) enum NewContent {
    Bytes(Bytes),
    /// Durable.
    File(Draft),
}

impl group_commit::Work for Work {
    /// Whether there was such a key before.
    type Answer = bool;
    type Error = ArtifactError;

    fn bytes(&self) -> usize {
        match self {
            Self::Store(New { key, content: NewContent::Bytes(bytes), .. }) => key.len() + bytes.len(),
            Self::Store(New { key, .. }) | Self::Delete { key } => key.len(),
            #[cfg(test)]
            Self::LimitPages(_) => 0,
        }
    }

    fn closed() -> ArtifactError {
        ArtifactError::Stopped
    }
}

type Request = group_commit::Request<Work>;

/// The writer of a store.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: Arc<Queue<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread that owns `connection`, which is to the database at `path`.
    pub(super) fn start(connection: Connection, path: PathBuf, files: Arc<Files>) -> Result<Self, ArtifactError> {
        let queue = Arc::new(Queue::new());
        let (closing, failed) = (Closing(Arc::clone(&queue)), path.clone());
        let mut committer = Committer { connection, path, files, since_checkpoint: 0 };
        let body = move || {
            while let Some(group) = closing.0.next_group() {
                committer.commit(group);
                committer.checkpoint_if_due(closing.0.is_empty());
            }
        };
        let thread = thread::Builder::new().name("meshwork-artifacts".to_owned()).spawn(body);
        let thread = thread.map_err(|error| ArtifactError::io("start the writer of", &failed, error))?;
        Ok(Self { queue, thread: Some(thread) })
    }
}

impl Drop for Writer {
    /// What was handed over is stored.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was reported where it happened; here nothing is left to wait for.
            let _ended = thread.join();
        }
    }
}

/// Lets go of whoever waits, however the writer ends.
struct Closing(Arc<Queue<Work>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Committer {
    connection: Connection,
    path: PathBuf,
    files: Arc<Files>,
    /// About how many bytes went into the write-ahead log since it was last written back.
    since_checkpoint: usize,
}

/// What a group did, before it is told to anybody.
#[derive(Default)]
struct Outcome {
    existed: Vec<bool>,
    /// Files that no row names any more.
    unused: Vec<String>,
}

/// Why nothing of a group was done.
struct Failed {
    error: rusqlite::Error,
    /// The disk may have all of it nevertheless.
    unsure: bool,
}

impl Failed {
    fn before_commit(error: rusqlite::Error) -> Self {
        Self { error, unsure: false }
    }

    fn in_commit(error: rusqlite::Error) -> Self {
        // What did not fit is not there.
        Self { unsure: !is_full(&error), error }
    }
}

impl Committer {
    fn commit(&mut self, mut group: Vec<Request>) {
        match self.transact(&group) {
            Ok(outcome) => {
                keep_drafts(&mut group);
                outcome.unused.iter().for_each(|name| self.files.remove(name));
                for (request, existed) in group.into_iter().zip(outcome.existed) {
                    self.acknowledge(request, existed);
                }
            }
            // One that does not fit must not take the others with it.
            Err(Failed { error, unsure: false }) if group.len() > 1 && is_full(&error) => {
                for request in group {
                    self.commit(vec![request]);
                }
            }
            Err(Failed { error, unsure }) => {
                tracing::warn!(%error, "a transaction of the artifacts was rolled back");
                if unsure {
                    keep_drafts(&mut group);
                }
                for request in group {
                    request.answer(Err(rows::sqlite_error("write to", &self.path, &error)));
                }
            }
        }
    }

    fn transact(&mut self, group: &[Request]) -> Result<Outcome, Failed> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(Failed::before_commit)?;
        let mut outcome = Outcome::default();
        let mut step = Step { transaction: &transaction, unused: &mut outcome.unused };
        for request in group {
            let existed = step.perform(&request.work).map_err(Failed::before_commit)?;
            outcome.existed.push(existed);
        }
        failpoint::reach(Point::ArtifactCommit);
        transaction.commit().map_err(Failed::in_commit)?;
        let bytes: usize = group.iter().map(|request| request.work.bytes()).sum();
        self.since_checkpoint += bytes + COMMIT_BYTES;
        Ok(outcome)
    }

    /// Answers; in tests the answer may be lost on its way.
    fn acknowledge(&self, request: Request, existed: bool) {
        if !matches!(request.work, Work::Store(_)) {
            return request.answer(Ok(existed));
        }
        let lost = || ArtifactError::io("sync", &self.path, std::io::Error::from(std::io::ErrorKind::Other));
        let answer = failpoint::acknowledge(Point::ArtifactKeyed, Ok(existed), lost);
        request.answer(answer.unwrap_or_else(|| Err(lost())));
    }

    fn checkpoint_if_due(&mut self, idle: bool) {
        let due = if idle { CHECKPOINT_IDLE } else { CHECKPOINT_BUSY };
        if self.since_checkpoint < due {
            return;
        }
        self.since_checkpoint = 0;
        // What a reader looks at stays until the next time, and so does all of it when this fails.
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the artifacts' write-ahead log could not be written back");
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn keep_drafts(group: &mut [Request]) {
    for request in group {
        if let Work::Store(New { content: NewContent::File(draft), .. }) = &mut request.work {
            draft.keep();
        }
    }
}

/// One transaction in the making.
struct Step<'a> {
    transaction: &'a Transaction<'a>,
    unused: &'a mut Vec<String>,
}

impl Step<'_> {
    fn perform(&mut self, work: &Work) -> rusqlite::Result<bool> {
        match work {
            Work::Store(new) => self.store(new),
            Work::Delete { key } => self.delete(key),
            #[cfg(test)]
            Work::LimitPages(pages) => {
                let sql = format!("PRAGMA max_page_count = {pages}");
                self.transaction.query_row(&sql, [], |_| Ok(true))
            }
        }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(drop)
    }

    fn store(&mut self, new: &New) -> rusqlite::Result<bool> {
        let New { key, digest, size, stored_ms, content } = new;
        let digest = digest.as_bytes();
        self.put(digest, content)?;
        let before = self.digest_of(key)?;
        let sql = "INSERT INTO artifact VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
            SET digest = excluded.digest, size = excluded.size, stored_ms = excluded.stored_ms";
        self.run(sql, params![key, digest, size.cast_signed(), stored_ms.cast_signed()])?;
        if let Some(before) = before.filter(|before| before != digest) {
            self.drop_unused(&before)?;
        }
        Ok(before.is_some())
    }

    /// Puts a content where it is found. One that is there is replaced: it is the same, or damaged.
    fn put(&mut self, digest: &[u8; 32], content: &NewContent) -> rusqlite::Result<()> {
        let (file, bytes) = match content {
            NewContent::Bytes(bytes) => (None, Some(&bytes[..])),
            NewContent::File(draft) => (Some(draft.name()), None),
        };
        let sql = "SELECT number, file, bytes = ? FROM content WHERE digest = ?";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let known = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let known: Option<(i64, Option<String>, Option<bool>)> =
            statement.query_row(params![bytes, digest], known).optional()?;
        match known {
            None => {
                self.run("INSERT INTO content (digest, file, bytes) VALUES (?, ?, ?)", params![digest, file, bytes])
            }
            Some((_, _, Some(true))) => Ok(()),
            Some((number, replaced, _)) => {
                self.unused.extend(replaced);
                self.run("UPDATE content SET file = ?, bytes = ? WHERE number = ?", params![file, bytes, number])
            }
        }
    }

    fn delete(&mut self, key: &str) -> rusqlite::Result<bool> {
        let Some(before) = self.digest_of(key)? else { return Ok(false) };
        self.run("DELETE FROM artifact WHERE key = ?", [key])?;
        self.drop_unused(&before)?;
        Ok(true)
    }

    fn digest_of(&self, key: &str) -> rusqlite::Result<Option<[u8; 32]>> {
        let mut statement = self.transaction.prepare_cached("SELECT digest FROM artifact WHERE key = ?")?;
        statement.query_row([key], |row| row.get(0)).optional()
    }

    fn drop_unused(&mut self, digest: &[u8; 32]) -> rusqlite::Result<()> {
        let sql = "DELETE FROM content WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM artifact WHERE digest = ?1)
            RETURNING file";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let file: Option<Option<String>> = statement.query_row([digest], |row| row.get(0)).optional()?;
        self.unused.extend(file.flatten());
        Ok(())
    }
}
