//! Reading a content as a stream that is verified on the way.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::{ArtifactError, ArtifactInfo, ByteStream};

/// An artifact that is being read.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::artifacts::{Artifacts, Opened};
/// use tokio::io::AsyncReadExt;
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = meshwork::artifacts::FolderArtifacts::open(folder.path())?;
/// artifacts.store("report", Bytes::from_static(b"all is well")).await?;
/// let Opened { info, mut content } = artifacts.open("report").await?;
/// let mut text = String::new();
/// content.read_to_string(&mut text).await?;
/// assert_eq!((text.as_str(), info.size), ("all is well", 11));
/// # Ok(())
/// # }
/// ```
pub struct Opened {
    /// What is known about it; as many bytes as it says will come.
    pub info: ArtifactInfo,
    /// Its content. A damaged one ends with an [`io::ErrorKind::InvalidData`] whose source is an [`ArtifactError`],
    /// before its last bytes.
    pub content: ByteStream,
}

/// A content that must have a digest.
pub(super) struct Verified {
    content: ByteStream,
    path: PathBuf,
    hasher: blake3::Hasher,
    digest: String,
    /// Bytes that are still to come.
    left: u64,
    failed: bool,
}

impl Verified {
    pub(super) fn new(content: ByteStream, path: PathBuf, info: &ArtifactInfo) -> Self {
        Self {
            content,
            path,
            hasher: blake3::Hasher::new(),
            digest: info.digest.clone(),
            left: info.size,
            failed: false,
        }
    }

    fn damaged(&mut self, what: &str) -> io::Error {
        self.failed = true;
        damage(self.path.clone(), what)
    }
}

fn damage(path: PathBuf, what: &str) -> io::Error {
    let what = what.to_owned();
    io::Error::new(io::ErrorKind::InvalidData, ArtifactError::Damaged { what, path })
}

impl AsyncRead for Verified {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.failed {
            return Poll::Ready(Err(damage(self.path.clone(), "its content was not what was stored")));
        }
        if self.left == 0 || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.remaining());
        let had = buf.filled().len();
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(self.content.as_mut().poll_read(cx, &mut part))?;
        let count = part.filled().len();
        if count == 0 {
            return Poll::Ready(Err(self.damaged("it is shorter than what was stored")));
        }
        let new = &buf.initialized()[had..had + count];
        self.hasher.update(new);
        self.left -= count as u64;
        // The last bytes go out only when everything before them was right.
        if self.left == 0 && *self.hasher.finalize().to_hex() != *self.digest {
            return Poll::Ready(Err(self.damaged("its content is not what was stored")));
        }
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}
