//! What can go wrong with a state folder.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::IdError;

/// Why a state folder could not be used. Each message says whether something was changed.
///
/// ```
/// use meshwork::state::StateRoot;
/// use std::time::SystemTime;
///
/// # let dir = tempfile::tempdir()?;
/// let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// let _lock = folder.lock(SystemTime::now())?;
/// let refused = folder.lock(SystemTime::now()).expect_err("one run at a time").to_string();
/// assert!(refused.contains("is in use by process") && refused.ends_with("nothing was changed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The id can't name a swarm or a peer.
    #[error("{0}; nothing was created")]
    Id(#[from] IdError),
    /// Another run holds the folder.
    #[error("{} is in use by {}; nothing was changed", path.display(), holder(*pid))]
    Locked {
        /// The process that holds it, where it has said so.
        pid: Option<u32>,
        /// Since when.
        since: Option<SystemTime>,
        /// The folder.
        path: PathBuf,
    },
    /// There is no swarm at all.
    #[error("no swarm in {}: start one with `meshwork run FILE`, or name its folder with --state; nothing was created", dir.display())]
    NoSwarm {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// There are swarms, but not this one.
    #[error("no swarm {id:?} in {} (there {}); nothing was created", dir.display(), listed(known))]
    UnknownSwarm {
        /// What was asked for.
        id: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// The swarms that are there, the one started last first.
        known: Vec<String>,
    },
    /// Something else is where a folder should be.
    #[error("{} is not a folder; nothing was changed", path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// Somebody else owns what must be private.
    #[error("{} is not private to this user; nothing was changed", path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system does not permit it.
    #[error("not permitted to {what} {}; nothing was changed", path.display())]
    Denied {
        /// What was attempted, as a verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no space left to {what} {}; what was there is unchanged", path.display())]
    Full {
        /// What was attempted, as a verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {what}; nothing was changed", path.display())]
    Damaged {
        /// What was found.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// Anything else that the operating system says.
    #[error("could not {what} {}: {source}; what was there is unchanged", path.display())]
    Io {
        /// What was attempted, as a verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl StateError {
    pub(super) fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let path = path.to_owned();
        match source.kind() {
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Denied { what, path },
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full { what, path },
            Kind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io { what, path, source },
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn listed(known: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = known.iter().take(SHOWN).map(|id| format!("{id:?}")).collect();
    match (known.len(), known.len().saturating_sub(SHOWN)) {
        (0, _) => "is none".to_owned(),
        (1, _) => format!("is {}", shown.join(", ")),
        (_, 0) => format!("are {}", shown.join(", ")),
        (_, more) => format!("are {} and {more} more", shown.join(", ")),
    }
}
