//! What the writer thread is asked to do.

use bytes::Bytes;

use super::super::LogError;
use crate::group_commit;

/// One piece of it; the number that it answers with is a position, or how many there were.
#[derive(Debug)]
pub(super) enum Work {
    Append(Bytes),
    Snapshot {
        seq: u64,
        bytes: Bytes,
    },
    Post {
        peer: String,
        id: String,
        bytes: Bytes,
    },
    MarkRead {
        peer: String,
        up_to: u64,
    },
    Meta {
        key: String,
        value: Bytes,
    },
    /// Pretends that the disk ends after so many pages of the database.
    #[cfg(test)]
    LimitPages(u32),
}

impl group_commit::Work for Work {
    type Answer = u64;
    type Error = LogError;

    fn bytes(&self) -> usize {
        match self {
            Self::Append(bytes) | Self::Snapshot { bytes, .. } => bytes.len(),
            Self::Post { peer, id, bytes } => peer.len() + id.len() + bytes.len(),
            Self::MarkRead { peer, .. } => peer.len(),
            Self::Meta { key, value } => key.len() + value.len(),
            #[cfg(test)]
            Self::LimitPages(_) => 0,
        }
    }

    fn closed() -> LogError {
        LogError::Closed
    }
}

/// One piece of work with the one who waits for it.
pub(super) type Request = group_commit::Request<Work>;
