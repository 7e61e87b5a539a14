//! What can go wrong with a log, and what it means for what is stored.

use std::path::PathBuf;

/// Why a log could not do what it was asked. Each message says whether something was changed.
///
/// ```
/// use meshwork::log::{LogError, SqliteLog};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes.txt");
/// std::fs::write(&path, "this is no database\n".repeat(100))?;
/// let error = SqliteLog::open(&path).expect_err("it is refused and left as it is");
/// assert!(matches!(error, LogError::NotADatabase { .. }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log was closed, or its writer has ended.
    #[error("the log is closed; nothing was changed")]
    Closed,
    /// The disk, or the space that the log may use, is full. The log stays usable once there is space again.
    #[error("no space left for {}; nothing was changed", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// A batch or snapshot is over the limit.
    #[error("{found} bytes are too many for the log (the limit is {limit}); nothing was changed")]
    TooLarge {
        /// Bytes that were given.
        found: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// There is no batch at this position.
    #[error("position {seq} is not in the log, which ends at {last}; nothing was changed")]
    Missing {
        /// The position asked for.
        seq: u64,
        /// The last position that the log has.
        last: u64,
    },
    /// A snapshot claims to be newer than the log.
    #[error("a snapshot of position {seq} is newer than the log, which ends at {last}; nothing was changed")]
    SnapshotAhead {
        /// The snapshot's position.
        seq: u64,
        /// The last position that the log has.
        last: u64,
    },
    /// The mailbox of a peer holds as many unread letters as it may.
    #[error("the mailbox of {peer:?} is full ({limit} unread messages); the message was not stored")]
    MailboxFull {
        /// The recipient.
        peer: String,
        /// Unread letters that are allowed.
        limit: u64,
    },
    /// There is no log at this place.
    #[error("no log at {}; nothing was created", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is not a SQLite database.
    #[error("{} is not a database ({what}); nothing was changed", path.display())]
    NotADatabase {
        /// What was found instead.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// The file is a SQLite database of some other program.
    #[error("{} is a database of another program (application id {found:#010x}, expected {expected:#010x}); nothing was changed", path.display())]
    ForeignDatabase {
        /// The application id in the file.
        found: u32,
        /// Ours.
        expected: u32,
        /// The file.
        path: PathBuf,
    },
    /// The database was written by a newer meshwork.
    #[error("{} has schema version {found}, this meshwork reads up to {supported}: use a newer one; nothing was changed", path.display())]
    NewerSchema {
        /// The version in the file.
        found: u32,
        /// The newest version that this program knows.
        supported: u32,
        /// The file.
        path: PathBuf,
    },
    /// The database has an older schema and may only be read.
    #[error("{} has schema version {found} and is not migrated to {supported} by reading it: run the swarm once; nothing was changed", path.display())]
    OlderSchema {
        /// The version in the file.
        found: u32,
        /// The version that this program reads.
        supported: u32,
        /// The file.
        path: PathBuf,
    },
    /// The database is damaged.
    #[error("{} is damaged: {what}; nothing was changed", path.display())]
    Damaged {
        /// What was found.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// A position is missing between others.
    #[error("the log in {} has a hole: {found} follows {after}; nothing was changed", path.display())]
    Hole {
        /// The last position before the hole.
        after: u64,
        /// The first position behind it.
        found: u64,
        /// The file.
        path: PathBuf,
    },
    /// What was read is not what was written.
    #[error("{what} in {} does not match its checksum; nothing was changed", path.display())]
    Checksum {
        /// Which row.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// Somebody else wrote to the log at the same time.
    #[error("another process writes to {}; this write was not stored", path.display())]
    OtherWriter {
        /// The file.
        path: PathBuf,
    },
    /// The answer to an append did not arrive (only logs across a network, and [`super::Faulty`], say this).
    #[error("the acknowledgement was lost; the batch may or may not be in the log")]
    Unacknowledged,
    /// The operating system or the database refused.
    #[error("could not {what} {}: {detail}", path.display())]
    Io {
        /// What was attempted, as a verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
}
