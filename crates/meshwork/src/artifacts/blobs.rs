//! Contents by their digest: `blobs/ab/cdef…`, written under `tmp/` first.
//!
//! Every step below the store's folder goes by handle and never follows a symbolic link, so a link put into the store
//! is found out and not walked through.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::ArtifactError;
use crate::failpoint::{self, Point};

/// The contents in one folder.
#[derive(Debug)]
pub(super) struct Blobs {
    root: PathBuf,
    blobs: OwnedFd,
    /// `None` when opened for reading.
    tmp: Option<OwnedFd>,
    next: AtomicU64,
}

/// A content that is being written; removed unless it is put in place.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) file: File,
    name: String,
    tmp: OwnedFd,
    placed: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            // What can't be removed now is removed when the store is opened next.
            let _left = unlinkat(&self.tmp, self.name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// 64 lower-case hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Blobs {
    /// Opens `root`, which exists; for writing the folders within are made and drafts that a crash left are removed.
    pub(super) fn open(root: &Path, write: bool) -> Result<Self, ArtifactError> {
        if write {
            for folder in ["blobs", "tmp"] {
                make_folder(&root.join(folder))?;
            }
            sync(root)?;
        }
        let folder = |name: &str| {
            let path = root.join(name);
            nix::fcntl::open(&path, FOLDER, Mode::empty()).map_err(|error| ArtifactError::io("open", &path, error))
        };
        let blobs = Self {
            root: root.to_owned(),
            blobs: folder("blobs")?,
            tmp: if write { Some(folder("tmp")?) } else { None },
            next: AtomicU64::new(0),
        };
        if write {
            blobs.clear_drafts()?;
        }
        Ok(blobs)
    }

    fn clear_drafts(&self) -> Result<(), ArtifactError> {
        let path = self.root.join("tmp");
        let clear = || {
            for entry in fs::read_dir(&path)? {
                fs::remove_file(entry?.path())?;
            }
            Ok(())
        };
        clear().map_err(|error: io::Error| ArtifactError::io("clear", &path, error))
    }

    /// Where a content is, for messages.
    pub(super) fn path(&self, digest: &str) -> PathBuf {
        let (shard, name) = digest.split_at(2);
        self.root.join("blobs").join(shard).join(name)
    }

    pub(super) fn draft(&self) -> Result<Draft, ArtifactError> {
        let Some(tmp) = &self.tmp else {
            return Err(ArtifactError::ReadOnly { path: self.root.clone() });
        };
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.root.join("tmp").join(&name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(tmp, name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| ArtifactError::io("create", &path, error))?;
        let tmp = tmp.try_clone().map_err(|error| ArtifactError::io("open", &path, error))?;
        let file = File::from(file);
        Ok(Draft { file, name, tmp, placed: false })
    }

    /// Puts a draft where its digest says, durably. One that is there is replaced: it is the same, or damaged.
    ///
    /// A content that nobody `expects` there may have its name before it is durable, which saves waiting: the sync of
    /// the file then takes the name along on the usual file systems, and the folder's sync finds little to do.
    pub(super) fn place(&self, mut draft: Draft, digest: &str, expected: bool) -> Result<(), ArtifactError> {
        let (shard, name) = digest.split_at(2);
        let mut place = || {
            if expected {
                draft.file.sync_data()?;
            }
            let shard = self.shard(shard, true)?;
            failpoint::reach(Point::ArtifactDraft);
            renameat(&draft.tmp, draft.name.as_str(), &shard, name)?;
            draft.placed = true;
            failpoint::reach(Point::ArtifactPlaced);
            if !expected {
                draft.file.sync_data()?;
            }
            File::from(shard).sync_all()
        };
        place().map_err(|error| ArtifactError::io("place", &self.path(digest), error))
    }

    fn shard(&self, shard: &str, create: bool) -> io::Result<OwnedFd> {
        match openat(&self.blobs, shard, FOLDER, Mode::empty()) {
            Err(Errno::ENOENT) if create => {
                match mkdirat(&self.blobs, shard, Mode::S_IRWXU) {
                    Ok(()) => File::from(self.blobs.try_clone()?).sync_all()?,
                    Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                Ok(openat(&self.blobs, shard, FOLDER, Mode::empty())?)
            }
            opened => Ok(opened?),
        }
    }

    /// Opens a content for reading.
    pub(super) fn open_blob(&self, digest: &str) -> Result<File, ArtifactError> {
        let (shard, name) = digest.split_at(2);
        let open = || {
            let shard = self.shard(shard, false)?;
            // Without waiting: a pipe in its place would otherwise keep us for ever.
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
            Ok(File::from(openat(&shard, name, flags, Mode::empty())?))
        };
        let path = self.path(digest);
        let damaged = |what: &str| ArtifactError::Damaged { what: what.to_owned(), path: path.clone() };
        let file = open().map_err(|error: io::Error| match error.kind() {
            ErrorKind::NotFound => damaged("it is gone"),
            _ => ArtifactError::io("open", &path, error),
        })?;
        let about = file.metadata().map_err(|error| ArtifactError::io("look at", &path, error))?;
        if about.is_file() { Ok(file) } else { Err(damaged("it is not a regular file")) }
    }

    /// Removes a content. One that stays is removed when the store is opened next.
    pub(super) fn remove(&self, digest: &str) {
        let (shard, name) = digest.split_at(2);
        let removed =
            self.shard(shard, false).and_then(|shard| Ok(unlinkat(&shard, name, UnlinkatFlags::NoRemoveDir)?));
        if let Err(error) = removed {
            tracing::debug!(%error, digest, "an unused artifact stays until the store is opened next");
        }
    }

    /// The digests of all contents; other files are not ours and passed over.
    pub(super) fn digests(&self) -> Result<Vec<String>, ArtifactError> {
        let path = self.root.join("blobs");
        let list = || {
            let mut digests = Vec::new();
            for shard in fs::read_dir(&path)? {
                let shard = shard?;
                if !shard.file_type()?.is_dir() {
                    continue;
                }
                for blob in fs::read_dir(shard.path())? {
                    let (shard, name) = (shard.file_name(), blob?.file_name());
                    let digest = format!("{}{}", shard.to_string_lossy(), name.to_string_lossy());
                    if is_digest(&digest) && shard.len() == 2 {
                        digests.push(digest);
                    }
                }
            }
            Ok(digests)
        };
        list().map_err(|error: io::Error| ArtifactError::io("list", &path, error))
    }
}

fn make_folder(path: &Path) -> Result<(), ArtifactError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(ArtifactError::io("create", path, error)),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> Result<(), ArtifactError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| ArtifactError::io("sync", folder, error))
}
