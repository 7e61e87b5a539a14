//! The writer thread: takes what waits, commits it as one transaction, answers.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, TransactionBehavior, params};

use super::file::{place_of, says};
use super::{Clock, reader, tokens};
use crate::group_commit::{self, Queue, Work as _};
use crate::memory::{EntryKind, EntryMetadata, MemoryEntry, MemoryError, ShareLevel};

/// The write-ahead log is written back after so many commits of about 15 pages each (16 MiB), once they are answered.
const CHECKPOINT_COMMITS: usize = 256;
/// Or after so many bytes of entries.
const CHECKPOINT_BYTES: usize = 8 * 1024 * 1024;

/// A look at the database of a memory that has no file, where there is one connection.
pub(super) type Look = Box<dyn FnOnce(&Connection) + Send>;

/// What the writer is asked to do, for one swarm.
pub(super) enum Work {
    Remember(NewEntry),
    Share { swarm: Arc<str>, entry_id: String, target: String },
    Peer { swarm: Arc<str>, peer: String, load: f64, state: Option<String> },
    Look(Look),
}

/// An entry that is to be, with all that could be prepared outside the writer.
pub(super) struct NewEntry {
    pub(super) swarm: Arc<str>,
    pub(super) level: ShareLevel,
    pub(super) agent_id: String,
    pub(super) kind: EntryKind,
    pub(super) content: String,
    pub(super) metadata: String,
    pub(super) tokens: String,
}

impl NewEntry {
    pub(super) fn of(swarm: &Arc<str>, entry: MemoryEntry) -> Result<Self, MemoryError> {
        let json = |error: serde_json::Error| MemoryError::Storage(error.to_string());
        Ok(Self {
            swarm: Arc::clone(swarm),
            level: entry.metadata.share_level.unwrap_or_default(),
            kind: entry.kind,
            content: serde_json::to_string(&entry.content).map_err(json)?,
            metadata: serde_json::to_string(&entry.metadata).map_err(json)?,
            tokens: tokens::of(swarm, &entry),
            agent_id: entry.agent_id,
        })
    }

    /// The content and what is said of it, as they are kept.
    pub(super) fn size(&self) -> usize {
        self.content.len() + self.metadata.len()
    }
}

/// Entries are private: what is said of a piece of work is how much it is.
impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a piece of work of {} bytes", self.bytes())
    }
}

impl group_commit::Work for Work {
    /// The number of the entry that was made, if one was.
    type Answer = i64;
    type Error = MemoryError;

    fn bytes(&self) -> usize {
        match self {
            Self::Remember(entry) => entry.content.len() + entry.metadata.len() + entry.tokens.len(),
            Self::Share { entry_id, target, .. } => entry_id.len() + target.len(),
            Self::Peer { peer, state, .. } => peer.len() + state.as_ref().map_or(0, String::len),
            Self::Look(_) => 0,
        }
    }

    fn closed() -> MemoryError {
        MemoryError::Storage("it is closed".to_owned())
    }
}

/// Starts the thread that owns `connection`.
pub(super) fn spawn(
    connection: Connection,
    clock: Clock,
    queue: &Arc<Queue<Work>>,
) -> Result<JoinHandle<()>, MemoryError> {
    let closing = Closing(Arc::clone(queue));
    let body = move || {
        let mut writer = Writer { connection, clock, commits: 0, bytes: 0 };
        while let Some(group) = closing.0.next_group() {
            writer.commit(group);
            writer.checkpoint_if_due();
        }
    };
    let thread = thread::Builder::new().name("meshwork-memory".to_owned()).spawn(body);
    thread.map_err(|error| MemoryError::Storage(format!("could not start its writer: {error}")))
}

/// Lets go of whoever waits, however the writer ends.
struct Closing(Arc<Queue<Work>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Writer {
    connection: Connection,
    clock: Clock,
    /// Since the write-ahead log was last written back.
    commits: usize,
    bytes: usize,
}

type Answer = Result<i64, MemoryError>;

impl Writer {
    fn commit(&mut self, group: Vec<group_commit::Request<Work>>) {
        let (mut answers, mut looks) = (Vec::new(), Vec::new());
        let mut requests = Vec::new();
        for mut request in group {
            match std::mem::replace(&mut request.work, Work::Look(Box::new(|_| {}))) {
                Work::Look(look) => looks.push((request, look)),
                work => {
                    self.bytes += work.bytes();
                    answers.push(work);
                    requests.push(request);
                }
            }
        }
        if !requests.is_empty() {
            match self.transact(&answers) {
                Ok(answers) => requests.into_iter().zip(answers).for_each(|(request, answer)| request.answer(answer)),
                Err(error) => {
                    tracing::warn!(%error, "a transaction of the memory was rolled back");
                    requests.into_iter().for_each(|request| request.answer(Err(error.clone())));
                }
            }
        }
        for (request, look) in looks {
            look(&self.connection);
            request.answer(Ok(0));
        }
    }

    /// All of it or nothing; an inner error changed nothing.
    fn transact(&mut self, group: &[Work]) -> Result<Vec<Answer>, MemoryError> {
        let now = i64::try_from((self.clock)()).unwrap_or(i64::MAX);
        self.commits += 1;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(|error| says(&error))?;
        let mut step = Step { connection: &transaction, now, made: Vec::new() };
        let answers: Vec<Answer> = group.iter().map(|work| step.perform(work)).collect::<Result<_, _>>()?;
        step.index().map_err(|error| says(&error))?;
        transaction.commit().map_err(|error| says(&error))?;
        Ok(answers)
    }

    fn checkpoint_if_due(&mut self) {
        if self.commits < CHECKPOINT_COMMITS && self.bytes < CHECKPOINT_BYTES {
            return;
        }
        (self.commits, self.bytes) = (0, 0);
        // What a reader looks at stays until the next time, and so does all of it when this fails.
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the memory's write-ahead log could not be written back");
        }
    }
}

/// One transaction in the making.
struct Step<'a> {
    connection: &'a Connection,
    now: i64,
    /// Entries that are not in the index yet: their numbers and tokens.
    made: Vec<(i64, String)>,
}

impl Step<'_> {
    /// The outer error rolls everything back.
    fn perform(&mut self, work: &Work) -> Result<Answer, MemoryError> {
        match work {
            Work::Remember(entry) => self.remember(entry).map(Ok).map_err(|error| says(&error)),
            Work::Share { swarm, entry_id, target } => self.share(swarm, entry_id, target),
            Work::Peer { swarm, peer, load, state } => {
                let sql = "INSERT INTO peer VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
                           SET load = excluded.load, state = ifnull(excluded.state, state)";
                self.run(sql, params![swarm, peer, load, state]).map(|()| Ok(0)).map_err(|error| says(&error))
            }
            Work::Look(_) => Ok(Ok(0)),
        }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// The time, but never before that of the last entry: whoever asks for what came since then misses nothing, and
    /// the order of numbers is that of times. (The physical part of a hybrid clock: Kulkarni et al. 2014.)
    fn timestamp(&self) -> rusqlite::Result<i64> {
        let last = "SELECT ifnull(max(timestamp), 0) FROM entry";
        let last: i64 = self.connection.prepare_cached(last)?.query_row([], |row| row.get(0))?;
        Ok(last.max(self.now))
    }

    fn remember(&mut self, entry: &NewEntry) -> rusqlite::Result<i64> {
        let timestamp = self.timestamp()?;
        let NewEntry { swarm, level, agent_id, kind, content, metadata, tokens } = entry;
        let (public, private) = (*level == ShareLevel::Public, *level == ShareLevel::Private);
        let sql = "INSERT INTO entry (swarm, public, private, author, kind, timestamp, metadata, content)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        self.run(sql, params![swarm, public, private, agent_id, kind.word(), timestamp, metadata, content])?;
        let number = self.connection.last_insert_rowid();
        self.made.push((number, tokens.clone()));
        Ok(number)
    }

    /// Puts what was made into the index, by rising places: it collects those of a transaction, and writes what it has
    /// whenever one comes that is before the last.
    fn index(self) -> rusqlite::Result<()> {
        let mut insert = self.connection.prepare_cached("INSERT INTO found (rowid, tokens) VALUES (?, ?)")?;
        for (number, tokens) in self.made.iter().rev() {
            insert.execute(params![place_of(*number), tokens])?;
        }
        Ok(())
    }

    fn share(&mut self, swarm: &Arc<str>, entry_id: &str, target: &str) -> Result<Answer, MemoryError> {
        let found = match reader::number_of(entry_id) {
            Some(number) => reader::one_entry(self.connection, number)?,
            None => None,
        };
        let level = |entry: &MemoryEntry| entry.metadata.share_level.unwrap_or_default();
        // Another swarm's entries are not there, unless they are for everybody.
        let found = found.filter(|(of, entry)| **of == **swarm || level(entry) == ShareLevel::Public);
        let Some((_, entry)) = found else {
            return Ok(Err(MemoryError::UnknownEntry { id: entry_id.to_owned() }));
        };
        if level(&entry) == ShareLevel::Private {
            return Ok(Err(MemoryError::Private { id: entry.id, author: entry.agent_id }));
        }
        let timestamp = self.timestamp().map_err(|error| says(&error))?;
        let metadata = EntryMetadata {
            original_id: Some(entry.id.clone()),
            shared_from: Some(entry.agent_id.clone()),
            shared_to: Some(target.to_owned()),
            shared_at: u64::try_from(timestamp).ok(),
            ..entry.metadata
        };
        let shared = MemoryEntry { agent_id: target.to_owned(), metadata, ..entry };
        let shared = NewEntry::of(swarm, shared)?;
        self.remember(&shared).map(Ok).map_err(|error| says(&error))
    }
}
