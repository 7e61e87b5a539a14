//! The writer thread: takes what waits, commits it as one transaction, makes it visible, answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::super::{LogError, Stored, checksum};
use super::mail::{self, MAILBOX_LIMIT};
use super::work::{Request, Work};
use super::{Shared, schema};
use crate::failpoint::{self, Point};
use crate::group_commit::Work as _;

/// The write-ahead log is written back when about this much was committed and nobody waits: 8 MiB, some 20 ms of a
/// disk's time.
const CHECKPOINT_IDLE: usize = 8 * 1024 * 1024;
/// It is written back even though somebody waits: 32 MiB.
const CHECKPOINT_BUSY: usize = 32 * 1024 * 1024;
/// What a commit writes beside its bytes: a few pages of 4 KiB.
const COMMIT_BYTES: usize = 3 * 4096;

/// Starts the thread that owns `connection`.
pub(super) fn spawn(connection: Connection, shared: &Arc<Shared>) -> Result<JoinHandle<()>, LogError> {
    let mut writer = Writer {
        connection,
        shared: Arc::clone(shared),
        last: shared.progress.borrow().last,
        unread: BTreeMap::new(),
        stale: false,
        since_checkpoint: 0,
    };
    writer.reload()?;
    writer.trim_mail()?;
    let closing = Closing(Arc::clone(shared));
    let body = move || {
        // Dropped last, after the connection, on a panic too.
        let _closing = closing;
        writer.run();
    };
    thread::Builder::new().name("meshwork-log".to_owned()).spawn(body).map_err(|error| LogError::Io {
        what: "start the writer of",
        path: shared.path.clone(),
        detail: error.to_string(),
    })
}

/// Tells everybody that the writer has ended, however it did.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.progress.send_modify(|progress| progress.closed = true);
    }
}

struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    /// The last position in the database.
    last: u64,
    /// Unread letters of each peer that has any.
    unread: BTreeMap<String, u64>,
    /// The two above may be wrong after a transaction that failed, and are read again before the next.
    stale: bool,
    /// About how many bytes went into the write-ahead log since it was last written back.
    since_checkpoint: usize,
}

/// What a group did, before it is told to anybody.
struct Outcome {
    answers: Vec<Result<u64, LogError>>,
    stored: Vec<Stored>,
}

impl Writer {
    fn run(mut self) {
        while let Some(group) = self.shared.queue.next_group() {
            self.commit(group);
            self.checkpoint_if_due();
        }
        self.finish();
    }

    fn commit(&mut self, group: Vec<Request>) {
        failpoint::reach(Point::LogBegin);
        match self.transact(&group) {
            Ok(outcome) => {
                // Reading back is what counts, so the tails are woken before the answers are given.
                self.shared.publish(outcome.stored);
                failpoint::reach(Point::LogPublished);
                for (request, answer) in group.into_iter().zip(outcome.answers) {
                    acknowledge(request, answer);
                }
            }
            // One that does not fit must not take the others with it.
            Err(LogError::Full { .. }) if group.len() > 1 => {
                for request in group {
                    self.commit(vec![request]);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a transaction of the log was rolled back");
                for request in group {
                    request.answer(Err(error.clone()));
                }
            }
        }
    }

    fn transact(&mut self, group: &[Request]) -> Result<Outcome, LogError> {
        if self.stale {
            self.reload()?;
        }
        // Until the commit has answered, nobody knows what the database has.
        self.stale = true;
        let path = &self.shared.path;
        let outcome = {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|error| schema::sqlite_error(&error, path, "write to"))?;
            let mut step = Step {
                transaction: &transaction,
                last: self.last,
                unread: &mut self.unread,
                stored: Vec::with_capacity(group.len()),
            };
            let mut answers = Vec::with_capacity(group.len());
            for request in group {
                let answer = step.perform(&request.work);
                answers.push(answer.map_err(|error| schema::sqlite_error(&error, path, "write to"))?);
            }
            let stored = step.stored;
            failpoint::reach(Point::LogCommit);
            transaction.commit().map_err(|error| schema::sqlite_error(&error, path, "write to"))?;
            Outcome { answers, stored }
        };
        failpoint::reach(Point::LogCommitted);
        self.stale = false;
        self.last += outcome.stored.len() as u64;
        let bytes: usize = group.iter().map(|request| request.work.bytes()).sum();
        self.since_checkpoint += bytes + COMMIT_BYTES;
        Ok(outcome)
    }

    fn reload(&mut self) -> Result<(), LogError> {
        self.last = schema::last(&self.connection, &self.shared.path)?;
        let counts = mail::counts(&self.connection, &self.shared.path)?;
        self.unread = counts.into_iter().collect();
        // A commit that failed half-way may have stored its batches after all: then they are visible now.
        let last = self.last;
        self.shared.progress.send_if_modified(|progress| std::mem::replace(&mut progress.last, last) != last);
        self.stale = false;
        Ok(())
    }

    fn trim_mail(&self) -> Result<(), LogError> {
        let newest = "SELECT ifnull(max(number), 0) FROM mail";
        let old = format!("DELETE FROM mail WHERE bytes IS NULL AND number <= ({newest}) - ?");
        let trimmed = self.connection.execute(&old, [mail::READ_KEPT]);
        trimmed.map(drop).map_err(|error| schema::sqlite_error(&error, &self.shared.path, "open"))
    }

    fn checkpoint_if_due(&mut self) {
        let idle = self.shared.queue.is_empty();
        let due = if idle { CHECKPOINT_IDLE } else { CHECKPOINT_BUSY };
        if self.since_checkpoint < due {
            return;
        }
        // What a reader still looks at stays in the write-ahead log until the next time. A failure (a full disk,
        // say) costs nothing but that: everything is durable where it is.
        failpoint::reach(Point::LogCheckpoint);
        let done = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        failpoint::reach(Point::LogCheckpointed);
        if let Err(error) = done {
            tracing::warn!(%error, "the log's write-ahead log could not be written back");
        }
        self.since_checkpoint = 0;
    }

    fn finish(self) {
        self.shared.drop_readers();
        failpoint::reach(Point::LogClose);
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        failpoint::reach(Point::LogClosed);
        if let Err(error) = done {
            tracing::warn!(%error, "the log's write-ahead log stays beside it");
        }
    }
}

/// Answers; in tests the answer may be lost on its way.
fn acknowledge(request: Request, answer: Result<u64, LogError>) {
    let point = match &request.work {
        Work::Append(_) => Point::AppendAnswer,
        Work::Snapshot { .. } => Point::SnapshotAnswer,
        Work::Post { .. } => Point::MailAnswer,
        Work::MarkRead { .. } => Point::MailReadAnswer,
        _ => return request.answer(answer),
    };
    match failpoint::acknowledge(point, answer, || LogError::Unacknowledged) {
        Some(answer) => request.answer(answer),
        // Whoever waits is not even told that nobody is left to answer.
        None => std::mem::forget(request),
    }
}

/// One transaction in the making.
struct Step<'a> {
    transaction: &'a Transaction<'a>,
    last: u64,
    unread: &'a mut BTreeMap<String, u64>,
    stored: Vec<Stored>,
}

/// What one piece of work answers; the outer error rolls everything back.
type Answer = rusqlite::Result<Result<u64, LogError>>;

impl Step<'_> {
    fn perform(&mut self, work: &Work) -> Answer {
        match work {
            Work::Append(bytes) => self.append(bytes),
            Work::Snapshot { seq, bytes } => self.snapshot(*seq, bytes),
            Work::Post { peer, id, bytes } => self.post(peer, id, bytes),
            Work::MarkRead { peer, up_to } => self.mark_read(peer, *up_to),
            Work::Meta { key, value } => {
                let sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
                self.run(sql, params![key, &value[..]]).map(Ok)
            }
            #[cfg(test)]
            Work::LimitPages(pages) => {
                let sql = format!("PRAGMA max_page_count = {pages}");
                self.transaction.query_row(&sql, [], |row| schema::number(row, 0)).map(Ok)
            }
        }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<u64> {
        let changed = self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(changed as u64)
    }

    fn append(&mut self, bytes: &Bytes) -> Answer {
        let seq = self.last + 1;
        let sum = checksum::of(seq, bytes);
        self.run("INSERT INTO batch VALUES (?, ?, ?)", params![seq.cast_signed(), &sum[..], &bytes[..]])?;
        failpoint::reach(Point::LogRow);
        self.last = seq;
        self.stored.push(Stored { seq, bytes: bytes.clone() });
        Ok(Ok(seq))
    }

    fn snapshot(&self, seq: u64, bytes: &Bytes) -> Answer {
        if seq > self.last {
            let last = self.last;
            return Ok(Err(LogError::SnapshotAhead { seq, last }));
        }
        let sum = checksum::of(seq, bytes);
        let values = params![seq.cast_signed(), &sum[..], &bytes[..]];
        self.run("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?)", values)?;
        failpoint::reach(Point::SnapshotRow);
        let newest = "SELECT seq FROM snapshot ORDER BY seq DESC LIMIT 2";
        self.run(&format!("DELETE FROM snapshot WHERE seq NOT IN ({newest})"), [])?;
        Ok(Ok(seq))
    }

    fn post(&mut self, peer: &str, id: &str, bytes: &Bytes) -> Answer {
        let known = "SELECT 1 FROM mail WHERE peer = ? AND id = ?";
        let mut statement = self.transaction.prepare_cached(known)?;
        if statement.query_row([peer, id], |_| Ok(())).optional()?.is_some() {
            return Ok(Ok(0));
        }
        let unread = self.unread.get(peer).copied().unwrap_or(0);
        if unread >= MAILBOX_LIMIT {
            return Ok(Err(LogError::MailboxFull { peer: peer.to_owned(), limit: MAILBOX_LIMIT }));
        }
        let sql = "INSERT INTO mail (peer, id, bytes) VALUES (?, ?, ?)";
        let stored = self.run(sql, params![peer, id, &bytes[..]])?;
        failpoint::reach(Point::MailRow);
        self.unread.insert(peer.to_owned(), unread + 1);
        Ok(Ok(stored))
    }

    fn mark_read(&mut self, peer: &str, up_to: u64) -> Answer {
        // Numbers in the database are signed; none is above the largest of those.
        let up_to = i64::try_from(up_to).unwrap_or(i64::MAX);
        let sql = "UPDATE mail SET bytes = NULL WHERE peer = ? AND number <= ? AND bytes IS NOT NULL";
        let read = self.run(sql, params![peer, up_to])?;
        failpoint::reach(Point::MailReadRow);
        if let Some(unread) = self.unread.get_mut(peer) {
            *unread = unread.saturating_sub(read);
        }
        let sql = "DELETE FROM mail WHERE peer = ? AND number <= ? AND bytes IS NULL";
        self.run(sql, params![peer, up_to.saturating_sub(mail::READ_KEPT)])?;
        Ok(Ok(read))
    }
}
