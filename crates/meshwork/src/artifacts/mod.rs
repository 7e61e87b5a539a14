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
pub const ARTIFACT_LIMIT: u64 = 1024 * 1024 * 1024;

/// Bytes that arrive over time.
pub type ByteStream = Pin<Box<dyn AsyncRead + Send>>;

/// What is known about an artifact.
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
pub trait Artifacts: Send + Sync + 'static {
    /// Stores `bytes` under `key`, in place of what was there.
    ///
    /// # Errors
    /// [`ArtifactError::Key`], [`ArtifactError::TooLarge`], [`ArtifactError::Full`]: the key means what it meant.
    fn store(&self, key: &str, bytes: Bytes) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>>;

    /// Stores what `content` yields up to its end, without ever holding it whole in memory.
    ///
    /// # Errors
    /// As [`Artifacts::store`], and [`ArtifactError::Source`] if `content` fails.
    fn store_stream(&self, key: &str, content: ByteStream) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>>;

    /// The whole content, verified.
    ///
    /// # Errors
    /// [`ArtifactError::NotFound`], [`ArtifactError::Damaged`].
    fn retrieve(&self, key: &str) -> BoxFuture<'static, Result<Bytes, ArtifactError>>;

    /// The content as a stream. Its last bytes are handed out only if the whole content is right, so whoever has
    /// read as many bytes as the size says has read the right ones; else reading ends with an error.
    ///
    /// # Errors
    /// [`ArtifactError::NotFound`], [`ArtifactError::Damaged`].
    fn open(&self, key: &str) -> BoxFuture<'static, Result<Opened, ArtifactError>>;

    /// Forgets a key, and its content if no other key means it. Answers whether there was such a key.
    ///
    /// # Errors
    /// [`ArtifactError::Key`], or what the storage says.
    fn delete(&self, key: &str) -> BoxFuture<'static, Result<bool, ArtifactError>>;

    /// All artifacts whose keys start with `prefix`, by key.
    ///
    /// # Errors
    /// What the storage says.
    fn list(&self, prefix: &str) -> BoxFuture<'static, Result<Vec<ArtifactInfo>, ArtifactError>>;

    /// What is known about one artifact; `None` if there is none.
    ///
    /// # Errors
    /// [`ArtifactError::Key`], or what the storage says.
    fn stat(&self, key: &str) -> BoxFuture<'static, Result<Option<ArtifactInfo>, ArtifactError>>;
}
