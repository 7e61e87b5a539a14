//! Whether an image holds what was promised, as the production log and SQLite see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use meshwork::log::{Log, LogError, LogReader, SqliteLog};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Runtime;

use crate::disk::Image;
use crate::tape::Mark;
use crate::workload::{self, DATABASE, PEERS, Truth};

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The log does not open, or not as it should.
    #[error("could not {what}: {error}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the log said.
        error: LogError,
    },
    /// SQLite finds its own structure damaged.
    #[error("the structure is damaged: {0}")]
    Structure(String),
    /// The database is not there, though opening it was answered.
    #[error("the database is gone, though it had been opened")]
    Gone,
    /// Fewer batches than were answered or delivered.
    #[error("{found} batches, of {promised} that were answered or delivered")]
    Fewer {
        /// Batches in the image.
        found: u64,
        /// Batches that somebody relies on.
        promised: u64,
    },
    /// A batch is not the one that was appended there.
    #[error("batch {0} is not what was appended")]
    Changed(u64),
    /// A snapshot is older than one that was answered, newer than the log, or none that was saved.
    #[error("the snapshot is at {found:?}; {promised:?} was saved, the log ends at {last}")]
    Snapshot {
        /// The position of the one that is read.
        found: Option<u64>,
        /// The newest that was answered.
        promised: Option<u64>,
        /// The last batch.
        last: u64,
    },
    /// A letter that was stored and not read is not unread.
    #[error("letter {0} is missing")]
    LetterLost(String),
    /// A letter is unread that was read, was never sent, or has another content.
    #[error("letter {0} should not be there, or not so")]
    LetterWrong(String),
    /// The value beside the log is older than the one that was answered, or newer than any that was asked for.
    #[error("the kept value is {found}; {answered} was answered, {asked} asked for")]
    Value {
        /// What is there, 0 for nothing.
        found: u64,
        /// The last that was answered.
        answered: u64,
        /// The last that was asked for.
        asked: u64,
    },
}

/// What callers may rely on, and what they may find, at a point of a recording.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    opened: bool,
    /// The first so many batches.
    batches: u64,
    snapshot: Option<u64>,
    snapshots_asked: BTreeSet<u64>,
    letters: BTreeMap<String, Letter>,
    value: u64,
    value_asked: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Letter {
    stored: bool,
    read_asked: bool,
    read: bool,
}

impl Promises {
    /// Takes over what somebody was told or asked for.
    pub fn add(&mut self, mark: &Mark, truth: &Truth) {
        match mark {
            Mark::Opened => self.opened = true,
            // A batch that the final log does not have is beyond every position, so that every image lacks it.
            Mark::Appended(number) => self.batches = self.batches.max(truth.position(*number).unwrap_or(u64::MAX)),
            Mark::Delivered(position) => self.batches = self.batches.max(*position),
            Mark::SavingSnapshot(position) => {
                self.snapshots_asked.insert(*position);
            }
            Mark::SavedSnapshot(position) => self.snapshot = self.snapshot.max(Some(*position)),
            Mark::Posting(id) => {
                self.letters.entry(id.clone()).or_default();
            }
            Mark::Posted(id) => self.letters.entry(id.clone()).or_default().stored = true,
            Mark::Reading(ids) => self.change(ids, |letter| letter.read_asked = true),
            Mark::Read(ids) => self.change(ids, |letter| letter.read = true),
            Mark::Keeping(value) => self.value_asked = *value,
            Mark::Kept(value) => self.value = *value,
        }
    }

    fn change(&mut self, ids: &[String], change: impl Fn(&mut Letter)) {
        for id in ids {
            change(self.letters.entry(id.clone()).or_default());
        }
    }
}

/// A place where images are opened, one after another.
#[derive(Debug)]
pub struct Checker {
    folder: PathBuf,
    runtime: Runtime,
}

impl Checker {
    /// Uses `folder`, which is empty and nobody else's.
    ///
    /// # Panics
    /// If no runtime can be made.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime of this thread");
        Self { folder: folder.to_owned(), runtime }
    }

    /// Opens `image` as production would after the power is back, and compares it with `promises`.
    ///
    /// # Errors
    /// The first thing that is wrong; the image is written out again with [`lay_out`] to look at it.
    pub fn check(&self, image: &Image, promises: &Promises, truth: &Truth) -> Result<(), Fault> {
        lay_out(&self.folder, image);
        let path = self.folder.join(DATABASE);
        if !image.contains_key(DATABASE) {
            return self.without_database(&path, promises);
        }
        let refused = |what| move |error| Fault::Refused { what, error };
        match LogReader::open(&path) {
            Ok(reader) => read(&reader, promises, truth)?,
            // Before it was opened for the first time, an older schema may have been there.
            Err(LogError::OlderSchema { .. }) if !promises.opened => {}
            Err(error) => return Err(Fault::Refused { what: "read", error }),
        }
        let log = SqliteLog::open_existing(&path).map_err(refused("open"))?;
        let last = self.goes_on(log)?;
        // Once more, now that it was recovered, written to and closed.
        structure(&path)?;
        let reader = LogReader::open(&path).map_err(refused("read again"))?;
        read(&reader, promises, &truth.followed_by(last, &more()))
    }

    fn without_database(&self, path: &Path, promises: &Promises) -> Result<(), Fault> {
        if promises.opened {
            return Err(Fault::Gone);
        }
        match LogReader::open(path) {
            Err(LogError::NotFound { .. }) => {}
            Err(error) => return Err(Fault::Refused { what: "be told that nothing is there", error }),
            Ok(_) => return Err(Fault::Structure("a database that has no file".to_owned())),
        }
        let log = SqliteLog::open(path).map_err(|error| Fault::Refused { what: "create it anew", error })?;
        match self.goes_on(log)? {
            1 => structure(path),
            last => Err(Fault::Structure(format!("a new log begins at {last}"))),
        }
    }

    /// Appends a batch, and closes. The answer is its position.
    fn goes_on(&self, log: SqliteLog) -> Result<u64, Fault> {
        let step = self.runtime.block_on(async {
            let last = log.last().await? + 1;
            log.append(more()).await?;
            let read = log.read(last).await?;
            log.close().await?;
            Ok((last, read))
        });
        let (last, read) = step.map_err(|error| Fault::Refused { what: "append to it again", error })?;
        // The writer thread has its connection no more when the log is gone.
        drop(log);
        if read == more() { Ok(last) } else { Err(Fault::Changed(last)) }
    }
}

/// What is appended to every image.
fn more() -> Bytes {
    Bytes::from_static(b"after the power cut")
}

/// Makes `folder` hold the files of `image` and nothing else.
///
/// # Panics
/// If the folder can't be changed.
pub fn lay_out(folder: &Path, image: &Image) {
    for entry in fs::read_dir(folder).expect("a folder of our own") {
        let entry = entry.expect("a folder of our own");
        if !entry.file_name().to_str().is_some_and(|name| image.contains_key(name)) {
            fs::remove_file(entry.path()).expect("a file of our own");
        }
    }
    for (name, content) in image {
        fs::write(folder.join(name), content).expect("room for an image");
    }
}

/// SQLite's own complete check, indices included.
fn structure(path: &Path) -> Result<(), Fault> {
    let check = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
    };
    match check() {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(Fault::Structure(found)),
        Err(error) => Err(Fault::Structure(error.to_string())),
    }
}

fn read(reader: &LogReader, promises: &Promises, truth: &Truth) -> Result<(), Fault> {
    let refused = |error| Fault::Refused { what: "read", error };
    let mut last = 0;
    loop {
        let batches = reader.batches(last + 1, 1024 * 1024).map_err(refused)?;
        if batches.is_empty() {
            break;
        }
        for batch in batches {
            last += 1;
            if batch.seq != last || truth.at(last) != Some(&batch.bytes[..]) {
                return Err(Fault::Changed(last));
            }
        }
    }
    if last < promises.batches {
        return Err(Fault::Fewer { found: last, promised: promises.batches });
    }
    snapshot(reader, promises, last)?;
    letters(reader, promises)?;
    let found = workload::value(reader).map_err(refused)?;
    if found < promises.value || found > promises.value_asked {
        return Err(Fault::Value { found, answered: promises.value, asked: promises.value_asked });
    }
    Ok(())
}

fn snapshot(reader: &LogReader, promises: &Promises, last: u64) -> Result<(), Fault> {
    let snapshot = reader.snapshot().map_err(|error| Fault::Refused { what: "read a snapshot", error })?;
    let found = snapshot.as_ref().map(|(position, _)| *position);
    let is_right = snapshot.is_none_or(|(position, bytes)| {
        position <= last && promises.snapshots_asked.contains(&position) && bytes == workload::snapshot(position)
    });
    if is_right && found >= promises.snapshot {
        return Ok(());
    }
    Err(Fault::Snapshot { found, promised: promises.snapshot, last })
}

fn letters(reader: &LogReader, promises: &Promises) -> Result<(), Fault> {
    let mut unread = BTreeSet::new();
    for peer in PEERS {
        let letters = reader.unread(peer, usize::MAX).map_err(|error| Fault::Refused { what: "read mail", error })?;
        for letter in letters {
            let is_right = promises.letters.get(&letter.id).is_some_and(|promise| !promise.read);
            if !is_right || workload::peer_of(&letter.id) != peer || letter.bytes != workload::letter(&letter.id) {
                return Err(Fault::LetterWrong(letter.id));
            }
            unread.insert(letter.id);
        }
    }
    let relied_on = promises.letters.iter().filter(|(_, promise)| promise.stored && !promise.read_asked);
    match relied_on.map(|(id, _)| id).find(|id| !unread.contains(*id)) {
        Some(id) => Err(Fault::LetterLost(id.clone())),
        None => Ok(()),
    }
}
