//! Recording: everything that reaches the files of a watched folder, and what was promised, in one order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

/// A file as such, whatever its name: its number in a recording, counted from 0.
pub type FileId = usize;

/// One step of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A new, empty file got a name.
    Create {
        /// The new file.
        file: FileId,
        /// Its name in the folder.
        name: String,
    },
    /// Bytes were written.
    Write {
        /// Where to.
        file: FileId,
        /// From this byte on.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// The file got this length.
    Truncate {
        /// Which.
        file: FileId,
        /// In bytes.
        length: u64,
    },
    /// What had been done to the file's content before step number `covers` is durable now.
    ///
    /// The number is that of the moment when the call began: what another thread wrote meanwhile is not promised.
    Sync {
        /// Which.
        file: FileId,
        /// The first step that is not covered.
        covers: usize,
    },
    /// A file got another name, in one go; a file that had that name before has none now.
    Rename {
        /// Which.
        file: FileId,
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// A file lost its name.
    Unlink {
        /// Which.
        file: FileId,
        /// The name.
        name: String,
    },
    /// Names that were made, changed or removed before step number `covers` are durable now.
    SyncFolder {
        /// The first step that is not covered.
        covers: usize,
    },
    /// Nothing on the disk, but something that somebody was told, or asked for.
    Mark(Mark),
}

/// What a caller was told by the log (and may rely on), or began to ask for (and may therefore find).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// `SqliteLog::open` answered: the database is there from now on.
    Opened,
    /// The append of this batch answered `Ok`.
    Appended(u64),
    /// A tail delivered this position.
    Delivered(u64),
    /// A snapshot at this position is handed over.
    SavingSnapshot(u64),
    /// It was answered `Ok`.
    SavedSnapshot(u64),
    /// A letter with this id is handed over.
    Posting(String),
    /// It was answered `Ok`.
    Posted(String),
    /// These letters are about to be marked as read.
    Reading(Vec<String>),
    /// That was answered `Ok`.
    Read(Vec<String>),
    /// The kept value is about to become this number.
    Keeping(u64),
    /// That was answered `Ok`.
    Kept(u64),
}

/// How well the recorded disk keeps its word. Everything but [`Honest::Always`] shows that the check notices losses:
/// a sync is answered with success and neither done nor recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honest {
    /// Every sync is done.
    Always,
    /// No sync is done, as with `synchronous = OFF`.
    Never,
    /// The write-ahead log is not synced, as a commit with `synchronous = NORMAL` leaves it.
    NotForWal,
    /// The database file is not synced before its write-ahead log is used again. It is when it is made, under
    /// another name.
    NotForDatabase,
    /// The folder is not synced: names may be lost.
    NotForNames,
}

/// What a sync is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    File(&'a str),
    Folder,
}

impl Honest {
    fn about(self, target: Target<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::NotForWal => !matches!(target, Target::File(name) if name.ends_with("-wal")),
            Self::NotForDatabase => !matches!(target, Target::File(name) if name.ends_with(".db")),
            Self::NotForNames => target != Target::Folder,
        }
    }
}

/// The recording of one folder, in the making. Ends when it is taken or dropped.
#[derive(Debug)]
pub struct Tape {
    folder: PathBuf,
    honest: Honest,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: Vec<Step>,
    names: BTreeMap<String, FileId>,
    lengths: Vec<u64>,
    /// The power cut, if there is to be one before the end.
    cut: Option<usize>,
}

/// The folders that are recorded now.
static WATCHED: RwLock<Vec<Arc<Tape>>> = RwLock::new(Vec::new());

impl Tape {
    /// Starts to record what happens in `folder`, whose files (`initial`, by name) are durable as they are.
    ///
    /// The numbers of those files are their places in the order of their names.
    ///
    /// # Panics
    /// If the folder can't be resolved.
    pub fn start(folder: &Path, initial: &BTreeMap<String, Vec<u8>>, honest: Honest) -> Arc<Self> {
        crate::vfs::install();
        let folder = folder.canonicalize().expect("the folder of a recording exists");
        let state = State {
            steps: Vec::new(),
            names: initial.keys().enumerate().map(|(file, name)| (name.clone(), file)).collect(),
            lengths: initial.values().map(|content| content.len() as u64).collect(),
            cut: None,
        };
        let tape = Arc::new(Self { folder, honest, state: Mutex::new(state) });
        WATCHED.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tape));
        tape
    }

    /// The folder, with all links resolved.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Records something that was told or asked for, now.
    pub fn mark(&self, mark: Mark) {
        self.state().steps.push(Step::Mark(mark));
    }

    /// What is recorded from now on serves only to compare the recording with the files: the power is gone.
    pub fn cut(&self) {
        let state = &mut *self.state();
        state.cut = Some(state.steps.len());
    }

    /// Ends the recording. The number is that of the steps before the power was cut, if it was.
    #[must_use]
    pub fn finish(&self) -> (Vec<Step>, Option<usize>) {
        let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|tape| tape.folder != self.folder);
        drop(watched);
        let state = &mut *self.state();
        (std::mem::take(&mut state.steps), state.cut)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SQLite opened the file `name`, which is `length` bytes long. That is also when we learn that it was made or
    /// emptied with the means of the operating system.
    pub(crate) fn opened(&self, name: &str, length: u64) -> FileId {
        let state = &mut *self.state();
        let Some(&file) = state.names.get(name) else {
            assert_eq!(length, 0, "{name} came with content that was not recorded");
            let file = state.lengths.len();
            state.lengths.push(0);
            state.names.insert(name.to_owned(), file);
            state.steps.push(Step::Create { file, name: name.to_owned() });
            return file;
        };
        // Other lengths differ only for the moment until a write of another thread is recorded.
        if length == 0 && state.lengths[file] != 0 {
            state.lengths[file] = 0;
            state.steps.push(Step::Truncate { file, length });
        }
        file
    }

    /// Bytes were written; called afterwards.
    pub(crate) fn wrote(&self, file: FileId, offset: u64, bytes: Vec<u8>) {
        let state = &mut *self.state();
        state.lengths[file] = state.lengths[file].max(offset + bytes.len() as u64);
        state.steps.push(Step::Write { file, offset, bytes });
    }

    /// The file got another length; called afterwards.
    pub(crate) fn truncated(&self, file: FileId, length: u64) {
        let state = &mut *self.state();
        state.lengths[file] = length;
        state.steps.push(Step::Truncate { file, length });
    }

    /// Syncs by calling `sync`, or pretends to. `None` for a file that is not recorded.
    pub(crate) fn sync(&self, target: Target<'_>, sync: impl FnOnce() -> bool) -> bool {
        if !self.honest.about(target) {
            return true;
        }
        let (covers, file) = {
            let state = self.state();
            let file = match target {
                Target::File(name) => state.names.get(name).copied(),
                Target::Folder => None,
            };
            (state.steps.len(), file)
        };
        let done = sync();
        if done {
            match (target, file) {
                (Target::File(_), Some(file)) => self.state().steps.push(Step::Sync { file, covers }),
                (Target::Folder, _) => self.state().steps.push(Step::SyncFolder { covers }),
                (Target::File(_), None) => {}
            }
        }
        done
    }

    pub(crate) fn renamed(&self, from: &str, to: &str) {
        let state = &mut *self.state();
        let Some(file) = state.names.remove(from) else { return };
        state.names.insert(to.to_owned(), file);
        state.steps.push(Step::Rename { file, from: from.to_owned(), to: to.to_owned() });
    }

    pub(crate) fn unlinked(&self, name: &str) {
        let state = &mut *self.state();
        let Some(file) = state.names.remove(name) else { return };
        state.steps.push(Step::Unlink { file, name: name.to_owned() });
    }
}

/// The recording that the file at `path` belongs to, with its name there.
pub(crate) fn of_file(path: &Path) -> Option<(Arc<Tape>, String)> {
    let name = path.file_name()?.to_str()?;
    let tape = of_folder(path.parent()?)?;
    Some((tape, name.to_owned()))
}

/// The recording of the folder at `path`.
pub(crate) fn of_folder(path: &Path) -> Option<Arc<Tape>> {
    let watched = WATCHED.read().unwrap_or_else(PoisonError::into_inner);
    watched.iter().find(|tape| tape.folder == path).cloned()
}
