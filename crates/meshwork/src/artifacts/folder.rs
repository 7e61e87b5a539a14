//! Artifacts in a folder of this machine.
//!
//! Keys and small contents are rows of one SQLite database, so storing one takes one commit, which all that is stored
//! at the same time shares. A larger content is a file of its own, durable before the row that names it. A crash at
//! any point leaves the key with what it meant before, and perhaps a file that no row names, which the next opening
//! removes.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use rusqlite::Connection;
use tokio::io::AsyncReadExt;

use super::files::{Draft, Files};
use super::reading::{Opened, Verified};
use super::rows::{self, Content, damaged};
use super::writer::{New, NewContent, Work, Writer};
use super::{ARTIFACT_LIMIT, ArtifactError, ArtifactInfo, Artifacts, ByteStream, check_key};
use crate::clock::now_ms;
use crate::database::{self, Readers};

/// A stream is taken in pieces of this size: 256 KiB.
const PIECE: usize = 256 * 1024;
/// A content of at most this many bytes lies in the database.
pub(super) const ROW_BYTES: usize = 256 * 1024;

/// The name of the database in a store's folder.
const DATABASE: &str = "artifacts.db";
/// What stores had before there was a database.
const OLD: &str = "manifest";

/// Artifacts in a folder: keys and contents up to 256 KiB in `artifacts.db`, larger contents under `blobs/`. Clones are
/// handles of the same store; the last one that is dropped stores what was handed over and waits for that.
///
/// Several processes may have it open, for writing too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::artifacts::{Artifacts, FolderArtifacts};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let artifacts = FolderArtifacts::open(path)?;
/// artifacts.store("reports/one", Bytes::from_static(b"all is well")).await?;
/// // A clone is the same store.
/// assert_eq!(artifacts.clone().retrieve("reports/one").await?, "all is well");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FolderArtifacts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Dropped before the writer, whose connection puts the database in order when it is the last one.
    readers: Readers,
    files: Arc<Files>,
    /// `None` when opened for reading.
    writer: Option<Writer>,
    limit: u64,
}

impl FolderArtifacts {
    /// Opens the store in `root`, and creates it (0700), with the default limit. What a crash left is removed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::{Artifacts, FolderArtifacts};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("artifacts");
    /// FolderArtifacts::open(&path)?.store("report", Bytes::from_static(b"all is well")).await?;
    /// // Opened again, it has what it had.
    /// assert_eq!(FolderArtifacts::open(&path)?.retrieve("report").await?, "all is well");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ArtifactError::OtherLayout`], and [`ArtifactError::Damaged`] if that is found out now: nothing was changed.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        Self::open_with_limit(root, ARTIFACT_LIMIT)
    }

    /// As [`FolderArtifacts::open`], with `limit` bytes for each artifact.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::{Artifacts, FolderArtifacts};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path();
    /// let artifacts = FolderArtifacts::open_with_limit(path, 4)?;
    /// artifacts.store("word", Bytes::from_static(b"well")).await?;
    /// assert!(artifacts.store("report", Bytes::from_static(b"all is well")).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`FolderArtifacts::open`].
    pub fn open_with_limit(root: impl AsRef<Path>, limit: u64) -> Result<Self, ArtifactError> {
        let root = root.as_ref();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|error| ArtifactError::io("create", root, error))?;
        let there = is_there(root)?;
        let (files, alone) = Files::open(root)?;
        if !there && alone && !files.names()?.is_empty() {
            // The database is made before the first file: without it, all of them would look unused.
            return Err(damaged(&root.join(DATABASE), "it is missing although there are contents".to_owned()));
        }
        let path = root.join(DATABASE);
        let connection = database::open(rows::KIND, &path)?;
        if alone {
            remove_leftovers(root, &files, &connection)?;
            files.share()?;
        }
        let files = Arc::new(files);
        let writer = Writer::start(connection, path, Arc::clone(&files))?;
        Ok(Self::over(root, files, Some(writer), limit))
    }

    /// Opens the store in `root` for reading; it must be there. Everything that was stored when a method is called
    /// is seen, whoever stored it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::{ArtifactError, Artifacts, FolderArtifacts};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path();
    /// FolderArtifacts::open(path)?.store("report", Bytes::from_static(b"all is well")).await?;
    /// let reader = FolderArtifacts::open_read_only(path)?;
    /// assert_eq!(reader.retrieve("report").await?, "all is well");
    /// assert!(matches!(reader.delete("report").await, Err(ArtifactError::ReadOnly { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the operating system says, [`ArtifactError::OtherLayout`] and [`ArtifactError::Damaged`].
    pub fn open_read_only(root: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        let root = root.as_ref();
        if !is_there(root)? {
            return Err(ArtifactError::io("open", &root.join(DATABASE), io::Error::from(ErrorKind::NotFound)));
        }
        let files = Arc::new(Files::open_read_only(root)?);
        let store = Self::over(root, files, None, ARTIFACT_LIMIT);
        store.inner.readers.with(|_| Ok::<(), ArtifactError>(()))?;
        Ok(store)
    }

    fn over(root: &Path, files: Arc<Files>, writer: Option<Writer>, limit: u64) -> Self {
        let (root, readers) = (root.to_owned(), Readers::new(rows::KIND, root.join(DATABASE)));
        let inner = Arc::new(Inner { root, readers, files, writer, limit });
        Self { inner }
    }

    /// Runs `work`, which waits for the disk, in a blocking thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ArtifactError> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let inner = Arc::clone(&self.inner);
        let ended = tokio::task::spawn_blocking(move || work(&inner)).await;
        ended.unwrap_or_else(|error| Err(ArtifactError::io("work in", &self.inner.root, io::Error::other(error))))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &Path) -> Result<T, ArtifactError> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        self.blocking(|inner| inner.readers.with(|connection| read(connection, inner.readers.path()))).await
    }

    async fn take_in(self, key: String, mut content: ByteStream) -> Result<ArtifactInfo, ArtifactError> {
        check_key(&key)?;
        self.inner.writer()?;
        let mut writing = Writing::new();
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut content).take(PIECE as u64).read_to_end(&mut piece).await;
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(source) => return Err(ArtifactError::Source { key, source }),
            }
            writing = self.write(writing, &key, piece.into()).await?;
        }
        self.finish(key, writing).await
    }

    async fn give(self, key: String, bytes: Bytes) -> Result<ArtifactInfo, ArtifactError> {
        check_key(&key)?;
        self.inner.writer()?;
        let mut writing = Writing::new();
        // Looking through a small one takes less than handing it to another thread.
        if bytes.len() <= ROW_BYTES {
            writing.write(&self.inner, &key, bytes)?;
        } else {
            writing = self.write(writing, &key, bytes).await?;
        }
        self.finish(key, writing).await
    }

    async fn write(&self, mut writing: Writing, key: &str, piece: Bytes) -> Result<Writing, ArtifactError> {
        let key = key.to_owned();
        self.blocking(move |inner| writing.write(inner, &key, piece).map(|()| writing)).await
    }

    /// Makes what was written durable, and then the key.
    async fn finish(self, key: String, writing: Writing) -> Result<ArtifactInfo, ArtifactError> {
        let Writing { hasher, size, content } = writing;
        let content = match content {
            NewContent::File(draft) => {
                let draft = self.blocking(move |_| draft.sync().map(|()| draft)).await?;
                NewContent::File(draft)
            }
            bytes => bytes,
        };
        let (digest, stored_ms) = (hasher.finalize(), now_ms());
        let stored = UNIX_EPOCH + Duration::from_millis(stored_ms);
        let info = ArtifactInfo { key: key.clone(), size, digest: digest.to_hex().to_string(), stored };
        let new = New { key, digest, size, stored_ms, content };
        self.inner.writer()?.queue.push(Work::Store(new)).await?;
        Ok(info)
    }

    #[cfg(test)]
    pub(super) async fn limit_pages(&self, pages: u32) -> Result<bool, ArtifactError> {
        self.inner.writer()?.queue.push(Work::LimitPages(pages)).await
    }
}

/// Whether there is a database. Who says no has looked for the layout of old, too.
fn is_there(root: &Path) -> Result<bool, ArtifactError> {
    let path = root.join(DATABASE);
    match fs::symlink_metadata(&path) {
        Ok(about) if about.is_file() => Ok(true),
        Ok(_) => Err(damaged(&path, "a symbolic link or another kind of file is in its place".to_owned())),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ArtifactError::io("look at", &path, error)),
        Err(_) if root.join(OLD).exists() => {
            let found = format!("there is a file {OLD:?} of an earlier version and no {DATABASE:?}");
            Err(ArtifactError::OtherLayout { found, path: root.to_owned() })
        }
        Err(_) => Ok(false),
    }
}

/// Removes what a crash left: half-made databases, and contents that no row names. Nobody else has the store open.
fn remove_leftovers(root: &Path, files: &Files, connection: &Connection) -> Result<(), ArtifactError> {
    let half_made = format!("{DATABASE}{}", database::NEW);
    let clear = || {
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&half_made) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    clear().map_err(|error: io::Error| ArtifactError::io("clear", root, error))?;
    let mut unused = files.names()?;
    if unused.is_empty() {
        return Ok(());
    }
    let path = root.join(DATABASE);
    let named: std::collections::BTreeSet<String> = rows::named_files(connection, &path)?.into_iter().collect();
    unused.retain(|name| !named.contains(name));
    if !unused.is_empty() {
        // A database that has lost rows must not take their contents with it.
        rows::check_structure(connection, &path)?;
        unused.iter().for_each(|name| files.remove(name));
    }
    Ok(())
}

/// A content on its way in.
struct Writing {
    hasher: blake3::Hasher,
    size: u64,
    content: NewContent,
}

impl Writing {
    fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), size: 0, content: NewContent::Bytes(Bytes::new()) }
    }

    fn write(&mut self, inner: &Inner, key: &str, piece: Bytes) -> Result<(), ArtifactError> {
        self.size += piece.len() as u64;
        if self.size > inner.limit {
            let (key, limit) = (key.to_owned(), inner.limit);
            return Err(ArtifactError::TooLarge { key, limit });
        }
        self.hasher.update(&piece);
        match &mut self.content {
            NewContent::File(draft) => draft.write(&piece),
            NewContent::Bytes(before) if before.is_empty() && piece.len() <= ROW_BYTES => {
                *before = piece;
                Ok(())
            }
            NewContent::Bytes(before) if before.len() + piece.len() <= ROW_BYTES => {
                *before = [&before[..], &piece].concat().into();
                Ok(())
            }
            NewContent::Bytes(before) => {
                let mut draft: Draft = inner.files.draft()?;
                draft.write(before)?;
                draft.write(&piece)?;
                self.content = NewContent::File(draft);
                Ok(())
            }
        }
    }
}

/// A content that was found.
enum Found {
    Bytes(Vec<u8>),
    File(fs::File, PathBuf),
}

impl Inner {
    fn writer(&self) -> Result<&Writer, ArtifactError> {
        self.writer.as_ref().ok_or_else(|| ArtifactError::ReadOnly { path: self.root.clone() })
    }

    /// The artifact and its content.
    fn find(&self, key: &str) -> Result<(ArtifactInfo, Found), ArtifactError> {
        check_key(key)?;
        let mut gone = None;
        loop {
            let found = self.readers.with(|connection| rows::find(connection, self.readers.path(), key))?;
            let (info, content) = found.ok_or_else(|| ArtifactError::NotFound { key: key.to_owned() })?;
            let name = match content {
                Content::Bytes(bytes) => return Ok((info, Found::Bytes(bytes))),
                Content::File(name) => name,
            };
            match self.files.read(&name)? {
                Some(file) => return Ok((info, Found::File(file, self.files.path_of(&name)))),
                // It was removed when no row named it any more, and one does again: a name never comes back.
                None if gone.as_ref() == Some(&name) => {
                    return Err(damaged(&self.files.path_of(&name), "it is gone".to_owned()));
                }
                // The key may have come to mean something else since.
                None => gone = Some(name),
            }
        }
    }

    fn read_whole(&self, key: &str) -> Result<Bytes, ArtifactError> {
        let (info, found) = self.find(key)?;
        let (bytes, path) = match found {
            Found::Bytes(bytes) => (bytes, self.readers.path().to_owned()),
            Found::File(file, path) => {
                let mut bytes = Vec::new();
                // One byte more than there should be, to notice a content that has grown.
                let read = file.take(info.size.saturating_add(1)).read_to_end(&mut bytes);
                read.map_err(|error| ArtifactError::io("read", &path, error))?;
                (bytes, path)
            }
        };
        if *blake3::hash(&bytes).to_hex() != *info.digest {
            return Err(damaged(&path, format!("the content of {key:?} is not what was stored")));
        }
        Ok(bytes.into())
    }
}

impl Artifacts for FolderArtifacts {
    fn store(&self, key: &str, bytes: Bytes) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        self.clone().give(key.to_owned(), bytes).boxed()
    }

    fn store_stream(&self, key: &str, content: ByteStream) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        self.clone().take_in(key.to_owned(), content).boxed()
    }

    fn retrieve(&self, key: &str) -> BoxFuture<'static, Result<Bytes, ArtifactError>> {
        let (store, key) = (self.clone(), key.to_owned());
        async move { store.blocking(move |inner| inner.read_whole(&key)).await }.boxed()
    }

    fn open(&self, key: &str) -> BoxFuture<'static, Result<Opened, ArtifactError>> {
        let (store, key) = (self.clone(), key.to_owned());
        let open = move |inner: &Inner| {
            let (info, found) = inner.find(&key)?;
            let (content, path): (ByteStream, _) = match found {
                Found::Bytes(bytes) => (Box::pin(io::Cursor::new(bytes)), inner.readers.path().to_owned()),
                Found::File(file, path) => (Box::pin(tokio::fs::File::from_std(file)), path),
            };
            let content = Box::pin(Verified::new(content, path, &info));
            Ok(Opened { info, content })
        };
        async move { store.blocking(open).await }.boxed()
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<bool, ArtifactError>> {
        let (store, key) = (self.clone(), key.to_owned());
        async move {
            check_key(&key)?;
            store.inner.writer()?.queue.push(Work::Delete { key }).await
        }
        .boxed()
    }

    fn list(&self, prefix: &str) -> BoxFuture<'static, Result<Vec<ArtifactInfo>, ArtifactError>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        async move { store.read(move |connection, path| rows::list(connection, path, &prefix)).await }.boxed()
    }

    fn stat(&self, key: &str) -> BoxFuture<'static, Result<Option<ArtifactInfo>, ArtifactError>> {
        let (store, key) = (self.clone(), key.to_owned());
        async move {
            check_key(&key)?;
            store.read(move |connection, path| rows::stat(connection, path, &key)).await
        }
        .boxed()
    }
}
