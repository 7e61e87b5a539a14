//! Group commit: what waits for a writer thread that makes one transaction of all that waits.
//!
//! A lock and a condition rather than a channel: the writer takes all that waits in one go, which is what makes one
//! transaction of it, and closing is a state that nobody can overtake.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use futures_util::future::{self, BoxFuture, FutureExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Bytes that may wait, in KiB: 512 MiB, so that two batches of the largest size fit and a flood of appends waits
/// outside instead of filling the memory.
const ROOM_KIB: u32 = 512 * 1024;
/// A transaction takes what waits up to this many bytes: 16 MiB, beyond which one fsync more costs nothing.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// What a request costs beside its bytes, so that tiny ones count too.
const REQUEST_BYTES: usize = 256;

/// What a writer is asked to do.
pub(crate) trait Work: Debug + Send + 'static {
    /// What each piece of work answers with.
    type Answer: Debug + Send + 'static;
    /// Why one was not done.
    type Error: Debug + Send + 'static;

    /// Bytes that it holds in memory and, about, that it writes.
    fn bytes(&self) -> usize;

    /// The answer once there is no writer any more.
    fn closed() -> Self::Error;
}

/// What is answered to a piece of work.
pub(crate) type Answer<W> = Result<<W as Work>::Answer, <W as Work>::Error>;

fn request_bytes(work: &impl Work) -> usize {
    REQUEST_BYTES + work.bytes()
}

/// One piece of work with the one who waits for it.
#[derive(Debug)]
pub(crate) struct Request<W: Work> {
    pub(crate) work: W,
    answer: oneshot::Sender<Answer<W>>,
    _room: OwnedSemaphorePermit,
}

impl<W: Work> Request<W> {
    /// Answers; nobody listening is fine.
    pub(crate) fn answer(self, result: Answer<W>) {
        let _nobody = self.answer.send(result);
    }
}

#[derive(Debug)]
pub(crate) struct Queue<W: Work> {
    waiting: Arc<Waiting<W>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting<W: Work> {
    requests: Mutex<Requests<W>>,
    bell: Condvar,
}

#[derive(Debug)]
struct Requests<W: Work> {
    queue: VecDeque<Request<W>>,
    closed: bool,
}

impl<W: Work> Queue<W> {
    pub(crate) fn new() -> Self {
        let requests = Mutex::new(Requests { queue: VecDeque::new(), closed: false });
        let waiting = Arc::new(Waiting { requests, bell: Condvar::new() });
        Self { waiting, room: Arc::new(Semaphore::new(ROOM_KIB as usize)) }
    }

    /// Hands work over, now if there is room, else when there is. The number is what the work answers with.
    pub(crate) fn push(&self, work: W) -> BoxFuture<'static, Answer<W>> {
        let kib = u32::try_from(request_bytes(&work).div_ceil(1024)).unwrap_or(ROOM_KIB).min(ROOM_KIB);
        let (answer, answered) = oneshot::channel();
        let answered = async { answered.await.unwrap_or(Err(W::closed())) };
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
            let room = room.acquire_many_owned(kib).await.map_err(|_| W::closed())?;
            waiting.push(Request { work, answer, _room: room })?;
            answered.await
        }
        .boxed()
    }

    /// Everything that waits, up to the size of a group, in order; blocks while nothing does. `None` when the queue
    /// is closed and empty.
    pub(crate) fn next_group(&self) -> Option<Vec<Request<W>>> {
        let mut requests = self.waiting.lock();
        while requests.queue.is_empty() && !requests.closed {
            requests = self.waiting.bell.wait(requests).unwrap_or_else(PoisonError::into_inner);
        }
        let mut room = GROUP_BYTES;
        let fitting = requests.queue.iter().take_while(|request| {
            let fits = room > 0;
            room = room.saturating_sub(request_bytes(&request.work));
            fits
        });
        let count = fitting.count();
        (count > 0).then(|| requests.queue.drain(..count).collect())
    }

    /// Whether nothing waits at this moment.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().queue.is_empty()
    }

    /// Refuses further work. What waits is still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.waiting.bell.notify_one();
    }

    /// Closes and lets go of what waits, whose futures answer [`Work::closed`].
    pub(crate) fn abandon(&self) {
        let abandoned = {
            let mut requests = self.waiting.lock();
            requests.closed = true;
            std::mem::take(&mut requests.queue)
        };
        drop(abandoned);
    }
}

impl<W: Work> Waiting<W> {
    fn lock(&self) -> MutexGuard<'_, Requests<W>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, request: Request<W>) -> Result<(), W::Error> {
        let mut requests = self.lock();
        if requests.closed {
            return Err(W::closed());
        }
        requests.queue.push_back(request);
        drop(requests);
        self.bell.notify_one();
        Ok(())
    }
}
