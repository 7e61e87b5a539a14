//! What can go wrong with artifacts.

use std::io;
use std::path::{Path, PathBuf};

use super::KeyError;

/// Why an artifact could not be stored or read. Each message says whether something was changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::artifacts::{ArtifactError, Artifacts, FolderArtifacts};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let artifacts = FolderArtifacts::open_with_limit(path, 4)?;
/// let error = artifacts.store("report", Bytes::from_static(b"all is well")).await.unwrap_err();
/// assert!(matches!(error, ArtifactError::TooLarge { limit: 4, .. }));
/// assert_eq!(
///     error.to_string(),
///     r#"artifact "report" has more than the 4 bytes that are allowed; it was not stored"#
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Not a key.
    #[error("{0}; nothing was changed")]
    Key(#[from] KeyError),
    /// No artifact has this key.
    #[error("no artifact {key:?}; nothing was changed")]
    NotFound {
        /// The key.
        key: String,
    },
    /// Over the limit.
    #[error("artifact {key:?} has more than the {limit} bytes that are allowed; it was not stored")]
    TooLarge {
        /// The key.
        key: String,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The disk is full.
    #[error("no space left for {}; nothing was stored", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// What is stored is not what was stored.
    #[error("{} is damaged: {what}; nothing was changed", path.display())]
    Damaged {
        /// What was found.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// What was to be stored could not be read.
    #[error("could not read what is to be stored as {key:?}: {source}; it was not stored")]
    Source {
        /// The key.
        key: String,
        /// What the reader said.
        source: io::Error,
    },
    /// This store was opened for reading.
    #[error("the artifacts in {} were opened for reading only; nothing was changed", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// The store was made by another version of this program, or it is no store.
    #[error("{} has another layout: {found}; nothing was changed", path.display())]
    OtherLayout {
        /// What was found, and what was expected.
        found: String,
        /// The store or its database.
        path: PathBuf,
    },
    /// The thread that writes is gone, after a fault of this program.
    #[error("the writer of the artifacts has ended; what was being stored may be there: open them again")]
    Stopped,
    /// The operating system refused.
    #[error("could not {what} {}: {source}; the key means what it meant", path.display())]
    Io {
        /// What was attempted, as a verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A store that is not ours says so.
    #[error("the artifact storage failed: {what}")]
    Foreign {
        /// What it said.
        what: String,
    },
}

impl ArtifactError {
    pub(super) fn io(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let (source, path) = (source.into(), path.to_owned());
        let is_link = source.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            // Nothing in the store is a link; whatever is one was put there by somebody else.
            kind if is_link || kind == io::ErrorKind::NotADirectory => {
                Self::Damaged { what: "a symbolic link or another kind of file is in its place".to_owned(), path }
            }
            _ => Self::Io { what, path, source },
        }
    }
}
