//! What waits for the writer thread.
//!
//! A lock and a condition rather than a channel: the writer takes all that waits in one go, which is what makes one
//! transaction of it, and closing is a state that nobody can overtake.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::LogError;

/// Bytes that may wait, in KiB: 512 MiB, so that two batches of the largest size fit and a flood of appends waits
/// outside instead of filling the memory.
const ROOM_KIB: u32 = 512 * 1024;
/// A transaction takes what waits up to this many bytes: 16 MiB, beyond which one fsync more costs nothing.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// What a request costs beside its bytes, so that tiny ones count too.
const REQUEST_BYTES: usize = 256;

/// What the writer is asked to do.
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

impl Work {
    /// Bytes that it holds in memory and, about, that it writes.
    pub(super) fn bytes(&self) -> usize {
        REQUEST_BYTES
            + match self {
                Self::Append(bytes) | Self::Snapshot { bytes, .. } => bytes.len(),
                Self::Post { peer, id, bytes } => peer.len() + id.len() + bytes.len(),
                Self::MarkRead { peer, .. } => peer.len(),
                Self::Meta { key, value } => key.len() + value.len(),
                #[cfg(test)]
                Self::LimitPages(_) => 0,
            }
    }
}

/// One piece of work with the one who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) work: Work,
    answer: oneshot::Sender<Result<u64, LogError>>,
    _room: OwnedSemaphorePermit,
}

impl Request {
    /// Answers; nobody listening is fine.
    pub(super) fn answer(self, result: Result<u64, LogError>) {
        let _nobody = self.answer.send(result);
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Arc<Waiting>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Mutex<Requests>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Requests {
    queue: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { waiting: Arc::default(), room: Arc::new(Semaphore::new(ROOM_KIB as usize)) }
    }

    /// Hands work over, now if there is room, else when there is. The number is what the work answers with.
    pub(super) fn push(&self, work: Work) -> BoxFuture<'static, Result<u64, LogError>> {
        let kib = u32::try_from(work.bytes().div_ceil(1024)).unwrap_or(ROOM_KIB).min(ROOM_KIB);
        let (answer, answered) = oneshot::channel();
        let answered = async { answered.await.unwrap_or(Err(LogError::Closed)) };
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(kib) {
            let request = Request { work, answer, _room: room };
            return match self.waiting.push(request) {
                Ok(()) => answered.boxed(),
                Err(error) => future::ready(Err(error)).boxed(),
            };
        }
        let room = Arc::clone(&self.room);
        let waiting = Arc::clone(&self.waiting);
        async move {
            // The semaphore is never closed.
            let room = room.acquire_many_owned(kib).await.map_err(|_| LogError::Closed)?;
            waiting.push(Request { work, answer, _room: room })?;
            answered.await
        }
        .boxed()
    }

    /// Everything that waits, up to the size of a group, in order; blocks while nothing does. `None` when the queue
    /// is closed and empty.
    pub(super) fn next_group(&self) -> Option<Vec<Request>> {
        let mut requests = self.waiting.lock();
        while requests.queue.is_empty() && !requests.closed {
            requests = self.waiting.bell.wait(requests).unwrap_or_else(PoisonError::into_inner);
        }
        let mut room = GROUP_BYTES;
        let fitting = requests.queue.iter().take_while(|request| {
            let fits = room > 0;
            room = room.saturating_sub(request.work.bytes());
            fits
        });
        let count = fitting.count();
        (count > 0).then(|| requests.queue.drain(..count).collect())
    }

    /// Whether nothing waits at this moment.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().queue.is_empty()
    }

    /// Refuses further work. What waits is still done.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.waiting.bell.notify_one();
    }

    /// Closes and lets go of what waits, whose futures answer [`LogError::Closed`].
    pub(super) fn abandon(&self) {
        let abandoned = {
            let mut requests = self.waiting.lock();
            requests.closed = true;
            std::mem::take(&mut requests.queue)
        };
        drop(abandoned);
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, request: Request) -> Result<(), LogError> {
        let mut requests = self.lock();
        if requests.closed {
            return Err(LogError::Closed);
        }
        requests.queue.push_back(request);
        drop(requests);
        self.bell.notify_one();
        Ok(())
    }
}
