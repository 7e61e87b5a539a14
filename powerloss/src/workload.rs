//! What is recorded: a log's life, with everything that a caller may ask of it at once.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use meshwork::log::{Log, LogError, LogReader, SqliteLog};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::check::lay_out;
use crate::disk::{Disk, Fate, Image};
use crate::random::Random;
use crate::tape::{Honest, Mark, Step, Tape};

/// The name of the database in the folder of a recording.
pub const DATABASE: &str = "swarm.db";
/// Who gets letters.
pub const PEERS: [&str; 2] = ["ann", "bob"];
/// What marks a database as ours, from the header's byte 68 on: "Mesh". An own copy, since a file must keep it.
const APPLICATION_ID: u32 = 0x4D65_7368;
/// The key of the value beside the log.
const VALUE: &str = "value";
/// Everything that a recording waits for comes in a fraction of this.
const DEADLINE: Duration = Duration::from_secs(120);
/// Batches of the recording in which the log itself writes its write-ahead log back, at 8 MiB: 300 KiB each.
const HEAVY_BATCHES: usize = 32;
/// The largest batch.
const LARGEST: usize = 300 * 1024;

/// What kind of life is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Sessions with appends of all sizes, snapshots, mail and checkpoints by another connection; the last one is
    /// cut off, closed or dropped.
    Life,
    /// An empty database of schema version 0 is migrated, and used.
    Migration,
    /// So much that the log writes its write-ahead log back by itself and begins it anew.
    Heavy,
}

/// A recording with all that is needed to judge images of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// What it was drawn from. The order of what several threads did does not follow from it.
    pub seed: u64,
    /// What was done.
    pub kind: Kind,
    /// The files at its start, durable.
    pub initial: Image,
    /// What happened.
    pub steps: Vec<Step>,
    /// The batches of the log at its end.
    pub truth: Truth,
}

/// The batches of a log in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    batches: Vec<Vec<u8>>,
    positions: HashMap<u64, u64>,
}

impl Truth {
    fn new(batches: Vec<Vec<u8>>) -> Self {
        let positions = batches.iter().zip(1..).filter_map(|(batch, position)| Some((number_of(batch)?, position)));
        Self { positions: positions.collect(), batches }
    }

    /// The batch at a position, counted from 1.
    #[must_use]
    pub fn at(&self, position: u64) -> Option<&[u8]> {
        let index = usize::try_from(position.checked_sub(1)?).ok()?;
        self.batches.get(index).map(Vec::as_slice)
    }

    /// Where the batch with this number is.
    #[must_use]
    pub fn position(&self, number: u64) -> Option<u64> {
        self.positions.get(&number).copied()
    }

    /// How many batches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The batches before `position`, and `batch` there.
    #[must_use]
    pub fn followed_by(&self, position: u64, batch: &[u8]) -> Self {
        let before = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut batches: Vec<_> = self.batches.iter().take(before).cloned().collect();
        batches.push(batch.to_vec());
        Self { batches, positions: HashMap::new() }
    }
}

/// Bytes that follow from `seed`, without repetition at the size of a sector.
fn pattern(seed: u64, length: usize) -> impl Iterator<Item = u8> {
    let mut random = Random::new(seed);
    std::iter::from_fn(move || Some(random.next().to_le_bytes())).flatten().take(length)
}

/// A batch: its number, then bytes that follow from it. At least 8 bytes.
fn batch(number: u64, length: usize) -> Bytes {
    number.to_be_bytes().into_iter().chain(pattern(number, length.saturating_sub(8))).collect()
}

fn number_of(batch: &[u8]) -> Option<u64> {
    batch.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The snapshot that is saved at a position.
#[must_use]
pub fn snapshot(position: u64) -> Bytes {
    let length = Random::new(!position).index(12_000);
    pattern(!position, length).collect()
}

/// The content of the letter with this id.
#[must_use]
pub fn letter(id: &str) -> Bytes {
    let seed = id.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    pattern(seed, Random::new(seed).index(3000)).collect()
}

/// Whom the letter with this id is for: its first word.
#[must_use]
pub fn peer_of(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

/// The value beside the log, 0 if there is none.
///
/// # Errors
/// What the log says; [`LogError::Damaged`] if it is none of ours.
pub fn value(reader: &LogReader) -> Result<u64, LogError> {
    let Some(bytes) = reader.meta(VALUE)? else { return Ok(0) };
    let number = bytes[..].try_into().map(u64::from_be_bytes);
    number.map_err(|_| LogError::Damaged { what: "the value".to_owned(), path: reader.path().to_owned() })
}

/// Runs the log in `folder` (which gets the files of `initial`) and records it.
///
/// # Panics
/// If the log misbehaves while the power is on, or the recording does not tell how the files came to be as they are.
#[must_use]
pub fn record(folder: &Path, seed: u64, kind: Kind, initial: Image, honest: Honest) -> Recording {
    let initial = if kind == Kind::Migration { version_0(folder) } else { initial };
    lay_out(folder, &initial);
    let before = state(folder);
    lay_out(folder, &initial);
    let tape = Tape::start(folder, &initial, honest);
    for mark in before {
        tape.mark(mark);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("a runtime of two threads");
    let life = Life { tape: Arc::clone(&tape), random: Random::of(&[seed, 1]), asked: 0, seed };
    runtime.block_on(async {
        let whole = async {
            match kind {
                Kind::Life => life.whole().await,
                Kind::Migration => life.short().await,
                Kind::Heavy => life.heavy().await,
            }
        };
        tokio::time::timeout(DEADLINE, whole).await.expect("a recording comes to its end");
    });
    drop(runtime);
    let (mut steps, cut) = tape.finish();
    assert_complete(folder, &initial, &steps);
    steps.truncate(cut.unwrap_or(steps.len()));
    let batches = batches(&LogReader::open(folder.join(DATABASE)).expect("the log can be read at its end"));
    Recording { seed, kind, initial, steps, truth: Truth::new(batches) }
}

fn batches(reader: &LogReader) -> Vec<Vec<u8>> {
    let batches = reader.batches(1, usize::MAX).expect("the log can be read");
    batches.into_iter().map(|stored| stored.bytes.to_vec()).collect()
}

/// The recording explains the files as they are: nothing reached them that was not recorded.
fn assert_complete(folder: &Path, initial: &Image, steps: &[Step]) {
    let mut disk = Disk::new(initial);
    for (number, step) in steps.iter().enumerate() {
        disk.perform(number, step);
    }
    let all = vec![Fate::Kept; disk.pending().len()];
    let expected = disk.image(&all);
    for entry in std::fs::read_dir(folder).expect("the folder of the recording") {
        let entry = entry.expect("the folder of the recording");
        let name = entry.file_name().into_string().expect("names of ours");
        if !name.ends_with("-shm") {
            let found = std::fs::read(entry.path()).expect("a file of the recording");
            assert!(expected.get(&name) == Some(&found), "{name} is not as it was recorded");
        }
    }
    for name in expected.keys() {
        assert!(folder.join(name).exists(), "{name} was recorded and is not there");
    }
}

/// An empty database of ours, of schema version 0, in the journal mode in which every one of ours is made.
fn version_0(folder: &Path) -> Image {
    lay_out(folder, &Image::new());
    let path = folder.join(DATABASE);
    let connection = Connection::open(&path).expect("a new database");
    connection.pragma_update(None, "application_id", APPLICATION_ID).expect("a new database takes it");
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("a new database takes it");
    drop(connection);
    Image::from([(DATABASE.to_owned(), std::fs::read(path).expect("the new database"))])
}

/// What is in the log at the start of a recording was there after the power came back: it can be relied on.
fn state(folder: &Path) -> Vec<Mark> {
    let reader = match LogReader::open(folder.join(DATABASE)) {
        Ok(reader) => reader,
        Err(LogError::NotFound { .. } | LogError::OlderSchema { .. }) => return Vec::new(),
        Err(error) => panic!("the start of a recording was checked before: {error}"),
    };
    let readable = "the start of a recording was checked before";
    let mut marks = vec![Mark::Opened, Mark::Delivered(reader.last().expect(readable))];
    if let Some((position, _)) = reader.snapshot().expect(readable) {
        marks.extend([Mark::SavingSnapshot(position), Mark::SavedSnapshot(position)]);
    }
    for peer in PEERS {
        marks
            .extend(reader.unread(peer, usize::MAX).expect(readable).into_iter().map(|letter| Mark::Posted(letter.id)));
    }
    let value = value(&reader).expect(readable);
    marks.extend([Mark::Keeping(value), Mark::Kept(value)]);
    marks
}

struct Life {
    tape: Arc<Tape>,
    random: Random,
    seed: u64,
    /// How many batches, letters and values were asked for.
    asked: u64,
}

/// One opened log with a tail that tells what it delivers.
struct Session {
    log: Arc<SqliteLog>,
    tail: JoinHandle<()>,
}

type Answer = BoxFuture<'static, ()>;

impl Life {
    async fn whole(mut self) {
        for last in [false, true] {
            let session = self.open();
            for round in 0..3 {
                self.burst(&session.log).await;
                // Letters and snapshots of a burst are in the write-ahead log when it is written back.
                if round < 2 && self.random.chance(60) {
                    self.checkpoint(&session.log).await;
                }
            }
            match self.random.below(3) {
                _ if !last => session.close().await,
                0 => session.close().await,
                1 => session.cut(&self.tape).await,
                _ => session.drop().await,
            }
        }
    }

    async fn short(mut self) {
        let session = self.open();
        self.burst(&session.log).await;
        session.close().await;
    }

    async fn heavy(mut self) {
        let session = self.open();
        for _ in 0..HEAVY_BATCHES {
            self.append(&session.log, LARGEST).await;
        }
        // The write-ahead log was written back and is begun anew.
        self.burst(&session.log).await;
        session.close().await;
    }

    fn open(&self) -> Session {
        let log = SqliteLog::open(self.tape.folder().join(DATABASE)).expect("a healthy log opens");
        self.tape.mark(Mark::Opened);
        let (tape, mut batches) = (Arc::clone(&self.tape), log.tail(1));
        let tail = tokio::spawn(async move {
            while let Some(Ok(stored)) = batches.next().await {
                tape.mark(Mark::Delivered(stored.seq));
            }
        });
        Session { log: Arc::new(log), tail }
    }

    fn number(&mut self) -> u64 {
        self.asked += 1;
        (self.seed << 20) | self.asked
    }

    fn size(&mut self) -> usize {
        match self.random.below(40) {
            0 => 60_000 + self.random.index(LARGEST - 60_000),
            1..=3 => 6000 + self.random.index(30_000),
            4..=15 => 500 + self.random.index(5500),
            _ => 8 + self.random.index(500),
        }
    }

    /// Some callers at once.
    async fn burst(&mut self, log: &Arc<SqliteLog>) {
        for _ in 0..2 {
            let mut answers: Vec<Answer> = Vec::new();
            for _ in 0..=self.random.below(4) {
                let size = self.size();
                answers.push(self.append(log, size));
            }
            if self.random.chance(50) {
                answers.push(self.post(log));
            }
            if self.random.chance(40) {
                answers.push(self.keep(log));
            }
            if self.random.chance(50) {
                answers.push(self.save_snapshot(log).await);
            }
            if self.random.chance(40) {
                answers.push(self.mark_read(log).await);
            }
            if self.random.chance(40) {
                answers.push(self.look());
            }
            let callers = answers.into_iter().map(tokio::spawn);
            for ended in join_all(callers).await {
                ended.expect("a caller gets its answer");
            }
        }
    }

    fn append(&mut self, log: &Arc<SqliteLog>, size: usize) -> Answer {
        let number = self.number();
        let (tape, log, batch) = (Arc::clone(&self.tape), Arc::clone(log), batch(number, size));
        async move {
            log.append(batch).await.expect("a healthy log takes a batch");
            tape.mark(Mark::Appended(number));
        }
        .boxed()
    }

    fn post(&mut self, log: &Arc<SqliteLog>) -> Answer {
        let peer = PEERS[self.random.index(PEERS.len())];
        let id = format!("{peer}-{}", self.number());
        let (tape, mail) = (Arc::clone(&self.tape), log.mail());
        async move {
            tape.mark(Mark::Posting(id.clone()));
            let stored = mail.put(peer_of(&id), &id, letter(&id)).await;
            assert_eq!(stored, Ok(true), "a letter is stored once");
            tape.mark(Mark::Posted(id));
        }
        .boxed()
    }

    async fn mark_read(&mut self, log: &Arc<SqliteLog>) -> Answer {
        let peer = PEERS[self.random.index(PEERS.len())];
        let (tape, mail) = (Arc::clone(&self.tape), log.mail());
        let count = 1 + self.random.index(3);
        let letters = mail.unread(peer, count).await.expect("a healthy log is read");
        let Some(up_to) = letters.last().map(|letter| letter.number) else {
            return async {}.boxed();
        };
        let ids: Vec<String> = letters.into_iter().map(|letter| letter.id).collect();
        async move {
            tape.mark(Mark::Reading(ids.clone()));
            mail.mark_read(peer, up_to).await.expect("a healthy log marks letters");
            tape.mark(Mark::Read(ids));
        }
        .boxed()
    }

    fn keep(&mut self, log: &Arc<SqliteLog>) -> Answer {
        let number = self.number();
        let (tape, log) = (Arc::clone(&self.tape), Arc::clone(log));
        async move {
            tape.mark(Mark::Keeping(number));
            let bytes = Bytes::copy_from_slice(&number.to_be_bytes());
            log.set_meta(VALUE, bytes).await.expect("a healthy log keeps a value");
            tape.mark(Mark::Kept(number));
        }
        .boxed()
    }

    async fn save_snapshot(&mut self, log: &Arc<SqliteLog>) -> Answer {
        let position = log.last().await.expect("a healthy log knows its end");
        let (tape, log) = (Arc::clone(&self.tape), Arc::clone(log));
        async move {
            tape.mark(Mark::SavingSnapshot(position));
            log.save_snapshot(position, snapshot(position)).await.expect("a healthy log keeps a snapshot");
            tape.mark(Mark::SavedSnapshot(position));
        }
        .boxed()
    }

    /// What another process would see: it may only see what is durable.
    fn look(&self) -> Answer {
        let tape = Arc::clone(&self.tape);
        let looked = tokio::task::spawn_blocking(move || {
            let reader = LogReader::open(tape.folder().join(DATABASE)).expect("a log in use can be looked at");
            for _ in 0..20 {
                tape.mark(Mark::Delivered(reader.last().expect("a log in use can be read")));
                std::thread::yield_now();
            }
        });
        async { looked.await.expect("a look ends") }.boxed()
    }

    /// Another connection writes the write-ahead log back, in one of SQLite's manners, while batches are appended.
    /// At times a third one looks at an earlier state meanwhile, so that not all can be written back.
    async fn checkpoint(&mut self, log: &Arc<SqliteLog>) {
        let path = self.tape.folder().join(DATABASE);
        let manner = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][self.random.index(4)];
        let looks = self.random.chance(30);
        let size = self.size();
        let appended = self.append(log, size);
        let written_back = tokio::task::spawn_blocking(move || {
            let onlooker = looks.then(|| connect(&path));
            if let Some(onlooker) = &onlooker {
                onlooker.execute_batch("BEGIN; SELECT count(*) FROM batch;").expect("a look at the log");
            }
            // The others would wait for the onlooker.
            let manner = if looks { "PASSIVE" } else { manner };
            let sql = format!("PRAGMA wal_checkpoint({manner})");
            connect(&path).query_row(&sql, [], |_| Ok(())).expect("a checkpoint beside a healthy log");
        });
        let (ended, ()) = futures_util::future::join(written_back, appended).await;
        ended.expect("a checkpoint ends");
    }
}

fn connect(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).expect("the log's database opens");
    connection.busy_timeout(DEADLINE).expect("a time-out can be set");
    connection
}

impl Session {
    async fn close(self) {
        self.log.close().await.expect("a healthy log closes");
        self.drop().await;
    }

    async fn drop(self) {
        drop_on_a_thread(self.log).await;
        self.tail.await.expect("a tail ends with its log");
    }

    /// The recording ends here, with the log in use; it is closed unseen.
    async fn cut(self, tape: &Tape) {
        tape.cut();
        self.drop().await;
    }
}

/// Dropping a log waits for its thread.
fn drop_on_a_thread(log: Arc<SqliteLog>) -> impl Future<Output = ()> {
    let dropped = tokio::task::spawn_blocking(move || drop(log));
    async { dropped.await.expect("a log can be dropped") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of times that the database file was synced between two answered appends.
    fn write_backs(recording: &Recording) -> usize {
        let is_append = |step: &Step| matches!(step, Step::Mark(Mark::Appended(_)));
        let named = |step: &Step| match step {
            Step::Rename { file, to, .. } if to == DATABASE => Some(*file),
            _ => None,
        };
        let database = recording.steps.iter().find_map(named).expect("a new database gets its name");
        let first = recording.steps.iter().position(is_append).expect("something is appended");
        let last = recording.steps.iter().rposition(is_append).expect("something is appended");
        let between = &recording.steps[first..last];
        between.iter().filter(|step| matches!(step, Step::Sync { file, .. } if *file == database)).count()
    }

    fn new(seed: u64, kind: Kind) -> Recording {
        let folder = tempfile::tempdir().expect("a temporary folder");
        record(folder.path(), seed, kind, Image::new(), Honest::Always)
    }

    #[test]
    fn a_heavy_life_is_written_back_by_the_log_itself() {
        assert!(write_backs(&new(1, Kind::Heavy)) > 0);
    }

    #[test]
    fn a_life_is_written_back_and_everything_is_told() {
        let recording = new(5, Kind::Life);
        assert!(write_backs(&recording) > 0, "between the sessions at least");
        let marks: Vec<&Mark> = recording
            .steps
            .iter()
            .filter_map(|step| if let Step::Mark(mark) = step { Some(mark) } else { None })
            .collect();
        assert_eq!(marks.iter().filter(|mark| matches!(mark, Mark::Opened)).count(), 2);
        let appended = marks.iter().filter(|mark| matches!(mark, Mark::Appended(_))).count();
        assert!(appended > 10 && appended <= recording.truth.len());
        assert!(marks.iter().any(|mark| matches!(mark, Mark::Delivered(_))));
        let largest = recording.truth.batches.iter().map(Vec::len).max();
        assert!(largest > Some(8));
    }
}
