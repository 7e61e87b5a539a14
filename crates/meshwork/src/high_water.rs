//! How far a node has applied its log, kept outside of it: an older copy of the log, or another log, in its place is
//! found out before anything is built on it.
//!
//! A log that was put back from a backup is whole and valid; nothing in it says that it once went further. So the node
//! keeps the position and state hash of what it has applied in a file of its own, the *high-water mark* (completion.md,
//! section 7: "each node remembers its own"). When it is written:
//!
//! - **before the end of a round is told to anybody**, durably: a completion that was announced cannot be taken back
//!   by replacing the log;
//! - at the end of a run, with its last position;
//! - in between at most once a second, while the log grows, on a thread of its own: what a killed run had applied is
//!   remembered up to the last second, and no batch waits for it.
//!
//! It can lag behind the log and never be ahead of it: a node applies what it has read back, and what can be read back
//! is durable (`synchronous = FULL`). So a crash or a power loss raises no false alarm. The file is replaced as a whole
//! and synced first; one that is damaged was damaged by somebody else, and is refused.
//!
//! Not found out: a folder that was put back with the mark in it. Then there is nothing left that knows better.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use meshwork_core::{Seen, Swarm};

use crate::failpoint::{self, Point};
use crate::state::{FolderLock, StateError, StateFolder};

/// What the line of the file begins with: what it is, and the version of its form.
const TITLE: &str = "meshwork-high-water-1";
/// Digits of the checksum at the line's end: enough to notice damage, which nobody does on purpose here.
const SUM: usize = 16;
/// More bytes than a mark has; a file that is larger is not read further.
const LINE_BYTES: u64 = 256;

/// Why a log is not gone on with.
///
/// ```
/// use meshwork::high_water::HighWaterFile;
/// use meshwork_core::Seen;
/// # use meshwork::state::StateRoot;
/// # use std::sync::Arc;
/// # let dir = tempfile::tempdir()?;
/// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
///
/// let file = HighWaterFile::open(&folder, &lock)?;
/// file.keep(Seen { seq: 7, hash: 0xfeed })?;
/// // The log that went so far is gone.
/// let error = HighWaterFile::open(&folder, &lock).expect_err("it is refused");
/// assert!(error.to_string().contains("is empty or gone, expected state hash 000000000000feed at position 7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The log is shorter than it was, or says something else at the same place.
    #[error(
        "{} is not the log that this swarm had: it {}, expected state hash {:016x} at position {}, which was applied before. An older copy or another log is in its place; nothing was changed. Put the newer log back, or start over with --fresh, which keeps this one beside it",
        path.display(), found_words(*last, *hash), expected.hash, expected.seq
    )]
    LedgerRegressed {
        /// The log.
        path: PathBuf,
        /// What the node had applied.
        expected: Seen,
        /// The last position of the log that is there now; 0: there is none, or an empty one.
        last: u64,
        /// The state hash that it gives at the expected position; `None`: it does not reach it.
        hash: Option<u64>,
    },
    /// The file holds something else. It is replaced as a whole, so no crash does this.
    #[error(
        "{} is damaged: {what}; nothing was changed. If the log beside it is the right one, remove this file and run again", path.display()
    )]
    HighWaterDamaged {
        /// What was found.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error(transparent)]
    State(#[from] StateError),
}

fn found_words(last: u64, hash: Option<u64>) -> String {
    match hash {
        Some(hash) => format!("gives state hash {hash:016x}"),
        None if last == 0 => "is empty or gone".to_owned(),
        None => format!("ends at position {last}"),
    }
}

/// What a node had applied of the log in `path`, as it is to be found there again.
///
/// ```
/// use meshwork::high_water::{HighWater, HighWaterFile};
/// use meshwork_core::Seen;
/// # use meshwork::state::StateRoot;
/// # use std::sync::Arc;
/// # let dir = tempfile::tempdir()?;
/// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
///
/// let file = HighWaterFile::open(&folder, &lock)?;
/// file.keep(Seen { seq: 7, hash: 0xfeed })?;
/// let mark = HighWater::read(&folder)?.expect("it was kept");
/// assert_eq!(mark.seen().seq, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HighWater {
    /// The log.
    path: PathBuf,
    /// Position and state hash.
    seen: Seen,
}

impl HighWater {
    /// The mark in a swarm's folder; `None` where none was written. Read it before the log: then the log, which may grow
    /// meanwhile, has come at least so far.
    ///
    /// ```
    /// use meshwork::high_water::HighWater;
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert_eq!(HighWater::read(&folder)?, None, "no run has kept any");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LedgerError::HighWaterDamaged`], and what the operating system says.
    pub fn read(folder: &StateFolder) -> Result<Option<Self>, LedgerError> {
        let path = folder.high_water();
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LINE_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { what: "read", path, source }.into()),
        }
        match parse(&bytes) {
            Some(seen) => Ok(Some(Self { path: folder.database(), seen })),
            None => Err(LedgerError::HighWaterDamaged { what: looks_like(&bytes), path }),
        }
    }

    /// Position and state hash.
    ///
    /// ```
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// let mark = HighWater::read(&folder)?.expect("it was kept");
    /// assert_eq!(mark.seen(), Seen { seq: 7, hash: 0xfeed });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// What is wrong where there is no log at all.
    ///
    /// ```
    /// use meshwork::high_water::LedgerError;
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// let mark = HighWater::read(&folder)?.expect("it was kept");
    /// assert!(matches!(mark.gone(), LedgerError::LedgerRegressed { last: 0, hash: None, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn gone(&self) -> LedgerError {
        self.regressed(0, None)
    }

    /// Refuses a log that ends at `last` (0: is not there) when that is before the mark.
    ///
    /// ```
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// let mark = HighWater::read(&folder)?.expect("it was kept");
    /// assert!(mark.reached_by(9).is_ok());
    /// assert!(mark.reached_by(6).is_err(), "an older copy of the log");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LedgerError::LedgerRegressed`].
    pub fn reached_by(&self, last: u64) -> Result<(), LedgerError> {
        if last < self.seen.seq { Err(self.regressed(last, None)) } else { Ok(()) }
    }

    /// Holds a swarm that has applied the log up to anywhere against the mark; what it does not remember is not judged.
    ///
    /// ```
    /// use meshwork_core::Swarm;
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// let mark = HighWater::read(&folder)?.expect("it was kept");
    /// assert!(mark.agrees_with(&Swarm::new()).is_ok(), "it has not come so far: nothing is judged");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LedgerError::LedgerRegressed`] when it gives another state hash there.
    pub fn agrees_with(&self, swarm: &Swarm) -> Result<(), LedgerError> {
        match swarm.hash_at(self.seen.seq) {
            Some(hash) if hash != self.seen.hash => Err(self.regressed(swarm.last().seq, Some(hash))),
            _ => Ok(()),
        }
    }

    /// Whether this swarm remembers that it was so.
    ///
    /// ```
    /// use meshwork_core::Swarm;
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// let mark = HighWater::read(&folder)?.expect("it was kept");
    /// assert!(!mark.is_confirmed_by(&Swarm::new()), "it knows of no position 7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_confirmed_by(&self, swarm: &Swarm) -> bool {
        swarm.hash_at(self.seen.seq) == Some(self.seen.hash)
    }

    fn regressed(&self, last: u64, hash: Option<u64>) -> LedgerError {
        LedgerError::LedgerRegressed { path: self.path.clone(), expected: self.seen, last, hash }
    }
}

/// Where a running node keeps its mark.
///
/// ```
/// use meshwork::high_water::{HighWater, HighWaterFile};
/// use meshwork_core::Seen;
/// # use meshwork::state::StateRoot;
/// # use std::sync::Arc;
/// # let dir = tempfile::tempdir()?;
/// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
///
/// let file = HighWaterFile::open(&folder, &lock)?;
/// file.keep(Seen { seq: 7, hash: 0xfeed })?;
/// file.keep(Seen { seq: 5, hash: 1 })?; // an older one replaces nothing
/// assert_eq!(HighWater::read(&folder)?.expect("it was kept").seen().seq, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HighWaterFile {
    folder: StateFolder,
    lock: Arc<FolderLock>,
    /// The mark in the file. Locked while it is written: an older one never replaces a newer.
    kept: Mutex<u64>,
    found: Option<HighWater>,
}

impl HighWaterFile {
    /// The file of a folder whose log is about to be opened. A log that is gone or shorter than the mark is refused here,
    /// before anything is touched; what it says at that place is known only when it has been replayed.
    ///
    /// ```
    /// use meshwork::high_water::LedgerError;
    /// use meshwork::high_water::HighWaterFile;
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// // There is no log in the folder, but somebody had applied one.
    /// let refused = HighWaterFile::open(&folder, &lock);
    /// assert!(matches!(refused, Err(LedgerError::LedgerRegressed { last: 0, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`HighWater::read`]; [`LedgerError::LedgerRegressed`]. A log that cannot be opened is not judged.
    pub fn open(folder: &StateFolder, lock: &Arc<FolderLock>) -> Result<Self, LedgerError> {
        let found = HighWater::read(folder)?;
        if let Some(mark) = &found {
            match crate::log::LogReader::open(folder.database()).and_then(|reader| reader.last()) {
                Ok(last) => mark.reached_by(last)?,
                Err(crate::log::LogError::NotFound { .. }) => return Err(mark.gone()),
                // Opening it for writing says what is wrong with it.
                Err(_) => {}
            }
        }
        let kept = Mutex::new(found.as_ref().map_or(0, |mark| mark.seen.seq));
        Ok(Self { folder: folder.clone(), lock: lock.clone(), kept, found })
    }

    /// The mark that an earlier run left.
    ///
    /// ```
    /// use meshwork::high_water::HighWaterFile;
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// assert_eq!(file.found(), None, "of an earlier run");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn found(&self) -> Option<&HighWater> {
        self.found.as_ref()
    }

    /// Keeps what was applied and read back, durably, unless a later mark is kept already. Waits for the disk.
    ///
    /// ```
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork_core::Seen;
    /// # use meshwork::state::StateRoot;
    /// # use std::sync::Arc;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// # let lock = Arc::new(folder.lock(std::time::SystemTime::now())?);
    ///
    /// let file = HighWaterFile::open(&folder, &lock)?;
    /// file.keep(Seen { seq: 7, hash: 0xfeed })?;
    /// file.keep(Seen { seq: 9, hash: 0xbeef })?;
    /// assert_eq!(HighWater::read(&folder)?.expect("it was kept").seen().hash, 0xbeef);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says; the former mark stays.
    pub fn keep(&self, seen: Seen) -> Result<(), LedgerError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.seq > *kept {
            failpoint::reach(Point::HighWater);
            self.folder.write_high_water(line_of(seen).as_bytes(), &self.lock)?;
            *kept = seen.seq;
            let lost =
                || StateError::Io { what: "write", path: self.folder.high_water(), source: ErrorKind::Other.into() };
            return failpoint::acknowledge(Point::HighWaterKept, Ok(()), || lost().into()).unwrap_or(Ok(()));
        }
        Ok(())
    }
}

fn line_of(seen: Seen) -> String {
    let text = format!("{TITLE} {} {:016x}", seen.seq, seen.hash);
    format!("{text} {}\n", sum_of(&text))
}

fn sum_of(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..SUM].to_owned()
}

fn parse(bytes: &[u8]) -> Option<Seen> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (text, sum) = line.rsplit_once(' ')?;
    let mut words = text.split(' ');
    let (title, seq, hash) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let right = title == TITLE && words.next().is_none() && sum == sum_of(text);
    right.then_some(Seen { seq, hash: u64::from_str_radix(hash, 16).ok()? })
}

fn looks_like(bytes: &[u8]) -> String {
    match bytes.first() {
        None => "it is empty".to_owned(),
        Some(_) if bytes.len() as u64 > LINE_BYTES => format!("over {LINE_BYTES} bytes, expected one line"),
        Some(_) if bytes.starts_with(TITLE.as_bytes()) => "its line does not match its checksum".to_owned(),
        Some(_) => format!("expected a line that begins with {TITLE:?}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::state::StateRoot;
    use std::time::SystemTime;

    fn folder() -> (tempfile::TempDir, StateFolder, Arc<FolderLock>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = StateRoot::new(dir.path()).folder("one").unwrap();
        let lock = Arc::new(folder.lock(SystemTime::UNIX_EPOCH).unwrap());
        (dir, folder, lock)
    }

    #[test]
    fn a_mark_is_kept_and_never_replaced_by_an_older_one() {
        let (_dir, folder, lock) = folder();
        assert_eq!(HighWater::read(&folder).unwrap(), None);
        let file = HighWaterFile::open(&folder, &lock).unwrap();
        let seen = Seen { seq: 7, hash: 0xFF00_0000_0000_0001 };
        file.keep(seen).unwrap();
        file.keep(Seen { seq: 6, hash: 5 }).unwrap();
        let mark = HighWater::read(&folder).unwrap().unwrap();
        assert_eq!(mark.seen(), seen);
        assert!(mark.reached_by(7).is_ok());
        let regressed = mark.reached_by(6).unwrap_err().to_string();
        assert!(
            regressed.contains("ends at position 6, expected state hash ff00000000000001 at position 7"),
            "{regressed}"
        );
    }

    #[test]
    fn a_log_that_is_gone_is_refused_before_it_is_made_anew() {
        let (_dir, folder, lock) = folder();
        HighWaterFile::open(&folder, &lock).unwrap().keep(Seen { seq: 1, hash: 2 }).unwrap();
        let refused = HighWaterFile::open(&folder, &lock).unwrap_err();
        assert!(matches!(refused, LedgerError::LedgerRegressed { last: 0, hash: None, .. }), "{refused}");
        assert!(!folder.database().exists());
    }

    #[test]
    fn what_is_no_mark_is_damage() {
        let (_dir, folder, _lock) = folder();
        let right = line_of(Seen { seq: 12, hash: 34 });
        assert_eq!(parse(right.as_bytes()), Some(Seen { seq: 12, hash: 34 }));
        let large = "x".repeat(1_000);
        for line in ["", "12 34\n", right.trim_end(), &right.replace("12", "13"), &format!("{right}{right}"), &large] {
            std::fs::write(folder.high_water(), line).unwrap();
            let error = HighWater::read(&folder).unwrap_err();
            assert!(matches!(error, LedgerError::HighWaterDamaged { .. }), "{line:?}: {error}");
        }
    }
}
