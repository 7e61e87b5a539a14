//! Artifacts in a folder of this machine.
//!
//! Storing takes three syncs: the content's file, the folder that it is put into (which then has little to do), the
//! line of the manifest. In this order a crash at any point leaves the key with what it meant before, and perhaps a content that no key means,
//! which the next opening removes.

use std::fs::DirBuilder;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::AsyncReadExt;

use super::blobs::{Blobs, Draft};
use super::manifest::{self, Manifest};
use super::reading::{Opened, Verified};
use super::{ARTIFACT_LIMIT, ArtifactError, ArtifactInfo, Artifacts, ByteStream, check_key};
use crate::failpoint::{self, Point};

/// A stream is taken in pieces of this size: 256 KiB.
const PIECE: usize = 256 * 1024;

/// Artifacts in a folder: contents under `blobs/`, keys in `manifest`. Clones are handles of the same store.
///
/// One process at a time opens it for writing; the state folder's lock sees to that. Others may open it for reading
/// at any time and see what was there when they did.
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
    blobs: Blobs,
    /// Held while a content and its key change together, so that no content goes while a key comes to mean it.
    manifest: Mutex<Manifest>,
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
    /// [`ArtifactError::Damaged`] if the manifest is; nothing was changed then.
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
        let manifest = root.join("manifest");
        let found = Manifest::open(&manifest, false)?;
        let blobs = Blobs::open(root, true)?;
        let digests = blobs.digests()?;
        if found.is_empty() && !manifest.exists() && !digests.is_empty() {
            // The manifest is made before the first content: without it, all contents would look unused.
            let what = "it is missing although there are contents".to_owned();
            return Err(ArtifactError::Damaged { what, path: manifest });
        }
        let manifest = Manifest::open(&manifest, true)?;
        for digest in digests.iter().filter(|digest| !manifest.uses(digest)) {
            blobs.remove(digest);
        }
        Ok(Self::over(root, blobs, manifest, limit))
    }

    /// Opens the store in `root` for reading; it must be there.
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
    /// What the operating system says, and [`ArtifactError::Damaged`].
    pub fn open_read_only(root: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        let root = root.as_ref();
        // The keys first: contents that come later do no harm.
        let manifest = Manifest::open(&root.join("manifest"), false)?;
        let blobs = Blobs::open(root, false)?;
        Ok(Self::over(root, blobs, manifest, ARTIFACT_LIMIT))
    }

    fn over(root: &Path, blobs: Blobs, manifest: Manifest, limit: u64) -> Self {
        let (root, manifest) = (root.to_owned(), Mutex::new(manifest));
        let inner = Arc::new(Inner { root, blobs, manifest, limit });
        Self { inner }
    }

    /// Runs `work`, which waits for the disk, in a blocking thread.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ArtifactError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ArtifactError>> {
        let inner = Arc::clone(&self.inner);
        async move {
            let path = inner.root.clone();
            let ended = tokio::task::spawn_blocking(move || work(&inner)).await;
            ended.unwrap_or_else(|error| Err(ArtifactError::io("work in", &path, std::io::Error::other(error))))
        }
        .boxed()
    }

    async fn take_in(self, key: String, mut content: ByteStream) -> Result<ArtifactInfo, ArtifactError> {
        check_key(&key)?;
        let mut writing = self.blocking(Writing::new).await?;
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut content).take(PIECE as u64).read_to_end(&mut piece).await;
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(source) => return Err(ArtifactError::Source { key, source }),
            }
            let name = key.clone();
            writing = self
                .blocking(move |inner| {
                    writing.write(inner, &name, &piece)?;
                    Ok(writing)
                })
                .await?;
        }
        self.blocking(move |inner| writing.finish(inner, key)).await
    }
}

/// A content on its way in.
struct Writing {
    draft: Draft,
    hasher: blake3::Hasher,
    size: u64,
}

impl Writing {
    fn new(inner: &Inner) -> Result<Self, ArtifactError> {
        let (draft, hasher) = (inner.blobs.draft()?, blake3::Hasher::new());
        Ok(Self { draft, hasher, size: 0 })
    }

    fn write(&mut self, inner: &Inner, key: &str, piece: &[u8]) -> Result<(), ArtifactError> {
        self.size += piece.len() as u64;
        if self.size > inner.limit {
            let (key, limit) = (key.to_owned(), inner.limit);
            return Err(ArtifactError::TooLarge { key, limit });
        }
        self.hasher.update(piece);
        let written = self.draft.file.write_all(piece);
        written.map_err(|error| ArtifactError::io("write to", &inner.root, error))
    }

    fn finish(self, inner: &Inner, key: String) -> Result<ArtifactInfo, ArtifactError> {
        let digest = self.hasher.finalize().to_hex().to_string();
        let (size, stored) = (self.size, manifest::now());
        let info = ArtifactInfo { key, size, digest, stored };
        // The lock is not held while the disk is waited for, so the content is held instead.
        let expected = inner.manifest().hold(&info.digest);
        let placed = inner.blobs.place(self.draft, &info.digest, expected);
        let mut manifest = inner.manifest();
        let set = placed.and_then(|()| manifest.set(info.clone()));
        let held = manifest.let_go(info.digest.clone());
        // If this failed, whether the line is on the disk may be unknown: the content stays until the next opening.
        let unused = set?;
        inner.drop_unused(&manifest, unused.0);
        inner.drop_unused(&manifest, held.0);
        let lost = || ArtifactError::io("sync", &inner.root, std::io::Error::from(ErrorKind::Other));
        failpoint::acknowledge(Point::ArtifactKeyed, Ok(info), lost).unwrap_or_else(|| Err(lost()))
    }
}

impl Inner {
    fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_unused(&self, manifest: &Manifest, digest: Option<String>) {
        if let Some(digest) = digest.filter(|digest| !manifest.uses(digest)) {
            self.blobs.remove(&digest);
        }
    }

    /// The artifact and its content, opened together: an overwriting in between does not come between them.
    fn find(&self, key: &str) -> Result<(ArtifactInfo, std::fs::File), ArtifactError> {
        check_key(key)?;
        let manifest = self.manifest();
        let info = manifest.get(key).cloned();
        let info = info.ok_or_else(|| ArtifactError::NotFound { key: key.to_owned() })?;
        let file = self.blobs.open_blob(&info.digest)?;
        Ok((info, file))
    }

    fn read_whole(&self, key: &str) -> Result<Bytes, ArtifactError> {
        let (info, file) = self.find(key)?;
        let path = self.blobs.path(&info.digest);
        let mut bytes = Vec::with_capacity(usize::try_from(info.size).unwrap_or(0));
        // One byte more than there should be, to notice a content that has grown.
        let read = file.take(info.size + 1).read_to_end(&mut bytes);
        read.map_err(|error| ArtifactError::io("read", &path, error))?;
        if *blake3::hash(&bytes).to_hex() != *info.digest {
            let what = "its content is not what was stored".to_owned();
            return Err(ArtifactError::Damaged { what, path });
        }
        Ok(bytes.into())
    }
}

impl Artifacts for FolderArtifacts {
    fn store(&self, key: &str, bytes: Bytes) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        let key = key.to_owned();
        self.blocking(move |inner| {
            check_key(&key)?;
            let mut writing = Writing::new(inner)?;
            writing.write(inner, &key, &bytes)?;
            writing.finish(inner, key)
        })
    }

    fn store_stream(&self, key: &str, content: ByteStream) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        self.clone().take_in(key.to_owned(), content).boxed()
    }

    fn retrieve(&self, key: &str) -> BoxFuture<'static, Result<Bytes, ArtifactError>> {
        let key = key.to_owned();
        self.blocking(move |inner| inner.read_whole(&key))
    }

    fn open(&self, key: &str) -> BoxFuture<'static, Result<Opened, ArtifactError>> {
        let key = key.to_owned();
        self.blocking(move |inner| {
            let (info, file) = inner.find(&key)?;
            let path = inner.blobs.path(&info.digest);
            let content = Box::pin(Verified::new(file, path, &info));
            Ok(Opened { info, content })
        })
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<bool, ArtifactError>> {
        let key = key.to_owned();
        self.blocking(move |inner| {
            check_key(&key)?;
            let mut manifest = inner.manifest();
            if manifest.get(&key).is_none() {
                return Ok(false);
            }
            let unused = manifest.remove(&key)?;
            inner.drop_unused(&manifest, unused.0);
            Ok(true)
        })
    }

    fn list(&self, prefix: &str) -> BoxFuture<'static, Result<Vec<ArtifactInfo>, ArtifactError>> {
        let prefix = prefix.to_owned();
        self.blocking(move |inner| Ok(inner.manifest().list(&prefix)))
    }

    fn stat(&self, key: &str) -> BoxFuture<'static, Result<Option<ArtifactInfo>, ArtifactError>> {
        let key = key.to_owned();
        self.blocking(move |inner| {
            check_key(&key)?;
            Ok(inner.manifest().get(&key).cloned())
        })
    }
}
