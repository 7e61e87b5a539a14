//! Large contents: files under `blobs/`, each under a name that no other content ever has.
//!
//! So a file is named by one row or by none, whoever removes it can't mean another one, and nobody has to be kept out
//! while that happens. What no row names is left of a crash; it is removed by whoever opens the store and is the only
//! one who has it open, which the lock on the folder tells.
//!
//! Every step below the store's folder goes by handle and never follows a symbolic link, so a link put into the store
//! is found out and not walked through.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::ArtifactError;
use crate::failpoint::{self, Point};
use crate::random;

/// Where a store has them.
const FOLDER: &str = "blobs";
/// Random bytes of a name: so many that none comes twice.
const NAME_BYTES: usize = 16;

/// The large contents of one store.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    folder: Arc<Folder>,
}

/// Its folder; writers keep a shared lock on it as long as they may put files there.
#[derive(Debug)]
enum Folder {
    Read(File),
    Write(Flock<File>),
}

/// A content that is being written; removed unless a row came to name it.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    name: String,
    path: PathBuf,
    folder: Arc<Folder>,
    kept: bool,
}

impl Files {
    /// Makes the folder in `root`, which exists, if it is missing, and opens it for writing. `true`: nobody else has
    /// it, nor gets it before [`Files::share`].
    pub(super) fn open(root: &Path) -> Result<(Self, bool), ArtifactError> {
        let path = root.join(FOLDER);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(ArtifactError::io("create", &path, error));
            }
            _ => {}
        }
        let folder = open_folder(&path)?;
        let locked = match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(folder) => Ok((folder, true)),
            Err((folder, Errno::EWOULDBLOCK)) => {
                Flock::lock(folder, FlockArg::LockShared).map(|folder| (folder, false)).map_err(|(_, error)| error)
            }
            Err((_, error)) => Err(error),
        };
        let (folder, alone) = locked.map_err(|error| ArtifactError::io("lock", &path, error))?;
        Ok((Self { path, folder: Arc::new(Folder::Write(folder)) }, alone))
    }

    /// Opens the folder in `root` for reading.
    pub(super) fn open_read_only(root: &Path) -> Result<Self, ArtifactError> {
        let path = root.join(FOLDER);
        let folder = Arc::new(Folder::Read(open_folder(&path)?));
        Ok(Self { path, folder })
    }

    /// Lets others have it too, who then leave alone what no row names yet.
    pub(super) fn share(&self) -> Result<(), ArtifactError> {
        match &*self.folder {
            Folder::Write(folder) => {
                folder.relock(FlockArg::LockShared).map_err(|error| ArtifactError::io("lock", &self.path, error))
            }
            Folder::Read(_) => Ok(()),
        }
    }

    /// Where a content is, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A new, empty file.
    pub(super) fn draft(&self) -> Result<Draft, ArtifactError> {
        let name = random::hex::<NAME_BYTES>();
        let path = self.path_of(&name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(self.folder.handle(), name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| ArtifactError::io("create", &path, error))?;
        let (file, folder) = (File::from(file), Arc::clone(&self.folder));
        Ok(Draft { file, name, path, folder, kept: false })
    }

    /// Opens a content for reading; `None`: it is gone.
    pub(super) fn read(&self, name: &str) -> Result<Option<File>, ArtifactError> {
        let path = self.path_of(name);
        // Without waiting: a pipe in its place would otherwise keep us for ever.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = match openat(self.folder.handle(), name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(ArtifactError::io("open", &path, error)),
        };
        let about = file.metadata().map_err(|error| ArtifactError::io("look at", &path, error))?;
        if about.is_file() {
            return Ok(Some(file));
        }
        let what = "it is not a regular file".to_owned();
        Err(ArtifactError::Damaged { what, path })
    }

    /// Removes a content that no row names any more. One that stays is removed when the store is opened next.
    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = unlinkat(self.folder.handle(), name, UnlinkatFlags::NoRemoveDir) {
            tracing::debug!(%error, name, "an unused artifact stays until the store is opened next");
        }
    }

    /// The names of all files that are ours; others are passed over.
    pub(super) fn names(&self) -> Result<Vec<String>, ArtifactError> {
        let list = || {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let name = entry?.file_name();
                names.extend(name.to_str().filter(|name| is_name(name)).map(str::to_owned));
            }
            Ok(names)
        };
        list().map_err(|error: io::Error| ArtifactError::io("list", &self.path, error))
    }
}

impl Folder {
    fn handle(&self) -> &File {
        match self {
            Self::Read(folder) => folder,
            Self::Write(folder) => folder,
        }
    }
}

impl Draft {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), ArtifactError> {
        self.file.write_all(piece).map_err(|error| ArtifactError::io("write to", &self.path, error))
    }

    /// Makes it durable, its name too.
    pub(super) fn sync(&self) -> Result<(), ArtifactError> {
        failpoint::reach(Point::ArtifactDraft);
        let synced = self.file.sync_data().and_then(|()| self.folder.handle().sync_all());
        synced.map_err(|error| ArtifactError::io("sync", &self.path, error))?;
        failpoint::reach(Point::ArtifactPlaced);
        Ok(())
    }

    /// A row names it, or may do so.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be removed now is removed when the store is opened next.
            let _left = unlinkat(self.folder.handle(), self.name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// Whether it is a name that a content may have here: nothing that leads elsewhere.
pub(super) fn is_name(text: &str) -> bool {
    text.len() == 2 * NAME_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn open_folder(path: &Path) -> Result<File, ArtifactError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = nix::fcntl::open(path, flags, Mode::empty()).map(File::from);
    folder.map_err(|error| ArtifactError::io("open", path, error))
}
