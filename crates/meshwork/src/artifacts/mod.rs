//! Artifacts: named bytes that are too large for the log, or that a person wants to find again.
//!
//! A key names the bytes that were stored last under it. Contents are kept once each, by their BLAKE3 digest, and
//! checked against it whenever they are read. Storing is done when the future answers: it survives power loss then,
//! and before that the key still means what it meant.
//!
//! [`FolderArtifacts`] keeps them in the state folder. Every implementation passes the suite in `contract`.

#[doc(hidden)]
pub mod contract;
mod error;
mod files;
mod folder;
mod key;
mod reading;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

pub use error::ArtifactError;
pub use folder::FolderArtifacts;
pub use key::{KeyError, check_key};
pub use reading::Opened;

use std::pin::Pin;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::AsyncRead;

/// The most bytes of one artifact unless a store is told otherwise: 1 GiB.
///
/// ```
/// use meshwork::artifacts::ARTIFACT_LIMIT;
///
/// assert_eq!(ARTIFACT_LIMIT, 1 << 30);
/// ```
pub const ARTIFACT_LIMIT: u64 = 1024 * 1024 * 1024;

/// Bytes that arrive over time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::artifacts::{Artifacts, ByteStream};
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
/// let content: ByteStream = Box::pin(&b"all is well"[..]);
/// assert_eq!(artifacts.store_stream("report", content).await?.size, 11);
/// # Ok(())
/// # }
/// ```
pub type ByteStream = Pin<Box<dyn AsyncRead + Send>>;

/// What is known about an artifact.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::artifacts::{ArtifactInfo, Artifacts};
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
/// let one: ArtifactInfo = artifacts.store("reports/one", Bytes::from_static(b"all is well")).await?;
/// let two = artifacts.store("reports/two", Bytes::from_static(b"all is well")).await?;
/// assert_eq!((one.key.as_str(), one.size, one.digest.len()), ("reports/one", 11, 64));
/// // The same content has the same digest, and is kept once.
/// assert_eq!(one.digest, two.digest);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactInfo {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// The BLAKE3 digest of its content: 64 hexadecimal digits.
    pub digest: String,
    /// When it was stored: whole milliseconds of the wall clock.
    pub stored: SystemTime,
}

/// A durable store of artifacts. The futures must be polled within a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::artifacts::{Artifacts, FolderArtifacts};
/// use std::sync::Arc;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let artifacts: Arc<dyn Artifacts> = Arc::new(FolderArtifacts::open(path)?);
/// artifacts.store("reports/one", Bytes::from_static(b"all is well")).await?;
/// assert_eq!(artifacts.retrieve("reports/one").await?, "all is well");
/// # Ok(())
/// # }
/// ```
pub trait Artifacts: Send + Sync + 'static {
    /// Stores `bytes` under `key`, in place of what was there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::{ArtifactError, Artifacts};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// artifacts.store("report", Bytes::from_static(b"first")).await?;
    /// artifacts.store("report", Bytes::from_static(b"second")).await?;
    /// assert_eq!(artifacts.retrieve("report").await?, "second");
    /// let error = artifacts.store("../report", Bytes::new()).await.unwrap_err();
    /// assert!(matches!(error, ArtifactError::Key(_)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ArtifactError::Key`], [`ArtifactError::TooLarge`], [`ArtifactError::Full`]: the key means what it meant.
    fn store(&self, key: &str, bytes: Bytes) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>>;

    /// Stores what `content` yields up to its end, without ever holding it whole in memory.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::artifacts::Artifacts;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// // A file, a process's output: whatever can be read.
    /// let content: &[u8] = b"line after line";
    /// let info = artifacts.store_stream("log", Box::pin(content)).await?;
    /// assert_eq!(info.size, 15);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Artifacts::store`], and [`ArtifactError::Source`] if `content` fails.
    fn store_stream(&self, key: &str, content: ByteStream) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>>;

    /// The whole content, verified.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::{ArtifactError, Artifacts};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// artifacts.store("report", Bytes::from_static(b"all is well")).await?;
    /// assert_eq!(artifacts.retrieve("report").await?, "all is well");
    /// assert!(matches!(artifacts.retrieve("nothing").await, Err(ArtifactError::NotFound { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ArtifactError::NotFound`], [`ArtifactError::Damaged`].
    fn retrieve(&self, key: &str) -> BoxFuture<'static, Result<Bytes, ArtifactError>>;

    /// The content as a stream. Its last bytes are handed out only if the whole content is right, so whoever has
    /// read as many bytes as the size says has read the right ones; else reading ends with an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::Artifacts;
    /// use tokio::io::AsyncReadExt;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// artifacts.store("report", Bytes::from_static(b"all is well")).await?;
    /// let mut opened = artifacts.open("report").await?;
    /// let mut start = [0; 3];
    /// opened.content.read_exact(&mut start).await?;
    /// assert_eq!((&start, opened.info.size), (b"all", 11));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ArtifactError::NotFound`], [`ArtifactError::Damaged`].
    fn open(&self, key: &str) -> BoxFuture<'static, Result<Opened, ArtifactError>>;

    /// Forgets a key, and its content if no other key means it. Answers whether there was such a key.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::Artifacts;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// artifacts.store("report", Bytes::from_static(b"all is well")).await?;
    /// assert!(artifacts.delete("report").await?);
    /// assert!(!artifacts.delete("report").await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ArtifactError::Key`], or what the storage says.
    fn delete(&self, key: &str) -> BoxFuture<'static, Result<bool, ArtifactError>>;

    /// All artifacts whose keys start with `prefix`, by key.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::Artifacts;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// for key in ["reports/two", "reports/one", "log"] {
    ///     artifacts.store(key, Bytes::from_static(b"all is well")).await?;
    /// }
    /// let found: Vec<String> = artifacts.list("reports/").await?.into_iter().map(|info| info.key).collect();
    /// assert_eq!(found, ["reports/one", "reports/two"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the storage says.
    fn list(&self, prefix: &str) -> BoxFuture<'static, Result<Vec<ArtifactInfo>, ArtifactError>>;

    /// What is known about one artifact; `None` if there is none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::artifacts::Artifacts;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
    /// assert_eq!(artifacts.stat("report").await?, None);
    /// artifacts.store("report", Bytes::from_static(b"all is well")).await?;
    /// assert_eq!(artifacts.stat("report").await?.map(|info| info.size), Some(11));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ArtifactError::Key`], or what the storage says.
    fn stat(&self, key: &str) -> BoxFuture<'static, Result<Option<ArtifactInfo>, ArtifactError>>;
}
