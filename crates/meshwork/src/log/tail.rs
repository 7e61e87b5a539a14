//! Following a log: one stream implementation for every log that lives in this process.
//!
//! A tail holds no queue that the writer fills. It waits for the number of the last batch to change and then takes
//! what it lacks: from memory while it keeps up, from storage when it has fallen behind. So a slow reader costs the
//! writer nothing and memory stays bounded, whatever the number of tails.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::{LogError, Stored};

/// The most batches that a tail takes at once.
pub(super) const CHUNK_BATCHES: usize = 256;
/// The most bytes that a tail takes at once, unless a single batch is larger: 1 MiB.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last position that is durable.
    pub(super) last: u64,
    /// Nothing will be appended any more.
    pub(super) closed: bool,
}

/// What a tail reads from.
pub(super) trait Source: Send + Sync + 'static {
    /// Tells of every change of the progress.
    fn progress(&self) -> watch::Receiver<Progress>;
    /// Batches from `from` on if they are in memory.
    fn recent(&self, from: u64) -> Option<VecDeque<Stored>>;
    /// Batches from `from` on out of storage: at least one, since the progress says that it exists.
    fn older(self: Arc<Self>, from: u64) -> BoxFuture<'static, Result<VecDeque<Stored>, LogError>>;
}

struct Tail<S> {
    source: Arc<S>,
    progress: watch::Receiver<Progress>,
    next: u64,
    ready: VecDeque<Stored>,
    ended: bool,
}

impl<S: Source> Tail<S> {
    async fn next(&mut self) -> Option<Result<Stored, LogError>> {
        loop {
            if let Some(stored) = self.ready.pop_front() {
                self.next = stored.seq + 1;
                return Some(Ok(stored));
            }
            if self.ended {
                return None;
            }
            match self.fill().await {
                Ok(()) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<(), LogError> {
        let progress = *self.progress.borrow_and_update();
        if self.next <= progress.last {
            self.ready = match self.source.recent(self.next) {
                Some(batches) => batches,
                None => Arc::clone(&self.source).older(self.next).await?,
            };
            return Ok(());
        }
        if progress.closed {
            return Err(LogError::Closed);
        }
        self.progress.changed().await.map_err(|_| LogError::Closed)
    }
}

/// The stream of [`super::Log::tail`].
pub(super) fn tail<S: Source>(source: Arc<S>, from: u64) -> BoxStream<'static, Result<Stored, LogError>> {
    let tail = Tail { progress: source.progress(), source, next: from.max(1), ready: VecDeque::new(), ended: false };
    stream::unfold(tail, |mut tail| async move {
        let item = tail.next().await?;
        Some((item, tail))
    })
    .boxed()
}
