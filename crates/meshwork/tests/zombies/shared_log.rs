//! A log that several processes of one machine share: a folder with one file a batch.
//!
//! A batch is written under a name of its own, synced, and linked to the next free number: a link that is there is
//! never replaced, so one of two that want the same number goes on to the next. That is all the agreement there is.

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use meshwork::log::{BATCH_LIMIT, Log, LogError, Stored};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, interval};

/// How often a tail looks for the next file.
const LOOK: Duration = Duration::from_millis(1);
/// Snapshots that are kept.
const SNAPSHOTS: usize = 2;

type Answer<T> = oneshot::Sender<Result<T, LogError>>;

enum Job {
    Append(Bytes, Answer<()>),
    Close(Answer<()>),
}

/// One process's handle of the log in a folder.
pub(crate) struct SharedLog {
    folder: Arc<Folder>,
    /// One thread writes, so that calls in a row keep their order.
    jobs: Mutex<Sender<Job>>,
    closed: watch::Receiver<bool>,
}

struct Folder {
    path: PathBuf,
    /// Every number up to here has its file.
    last: AtomicU64,
    /// Names of this handle's own.
    made: AtomicU64,
    name: String,
}

impl SharedLog {
    /// Opens the log in this folder, which is there.
    pub(crate) fn open(path: &Path) -> Self {
        /// Handles of one process have different names.
        static HANDLES: AtomicU64 = AtomicU64::new(0);
        let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{handle}", std::process::id());
        let path = path.to_owned();
        let folder = Arc::new(Folder { path, last: AtomicU64::new(0), made: AtomicU64::new(0), name });
        let (jobs, queue) = channel();
        let (close, closed) = watch::channel(false);
        let writing = folder.clone();
        std::thread::spawn(move || {
            while let Ok(job) = queue.recv() {
                match job {
                    // After its close the log takes nothing, and whoever asks is told.
                    Job::Append(_, answer) if *close.borrow() => drop(answer.send(Err(LogError::Closed))),
                    Job::Append(batch, answer) => drop(answer.send(writing.store(&batch))),
                    Job::Close(answer) => {
                        close.send_replace(true);
                        let _nobody_waits = answer.send(Ok(()));
                    }
                }
            }
        });
        Self { folder, jobs: Mutex::new(jobs), closed }
    }

    fn ask(&self, job: impl FnOnce(Answer<()>) -> Job) -> BoxFuture<'static, Result<(), LogError>> {
        let (answer, answered) = oneshot::channel();
        let handed_over = self.jobs.lock().unwrap().send(job(answer)).is_ok();
        async move { if handed_over { answered.await.unwrap_or(Err(LogError::Closed)) } else { Err(LogError::Closed) } }
            .boxed()
    }

    fn now<T: Send + 'static>(
        &self,
        do_it: impl FnOnce(&Folder) -> Result<T, LogError>,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let result = if *self.closed.borrow() { Err(LogError::Closed) } else { do_it(&self.folder) };
        async move { result }.boxed()
    }
}

impl Folder {
    fn batch(&self, seq: u64) -> PathBuf {
        self.path.join(format!("batch-{seq:020}"))
    }

    /// The last number that has a file.
    fn last(&self) -> u64 {
        let mut last = self.last.load(Ordering::Acquire);
        while self.batch(last + 1).exists() {
            last += 1;
        }
        self.last.fetch_max(last, Ordering::AcqRel);
        last
    }

    fn store(&self, batch: &[u8]) -> Result<(), LogError> {
        let failed = |path: &Path, error: &io::Error| LogError::Io {
            what: "write",
            path: path.to_owned(),
            detail: error.to_string(),
        };
        let own = self.write(batch).map_err(|error| failed(&self.path, &error))?;
        loop {
            let place = self.batch(self.last() + 1);
            match fs::hard_link(&own, &place) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&place, &error)),
            }
        }
        let synced = fs::remove_file(&own).and_then(|()| File::open(&self.path)?.sync_all());
        synced.map_err(|error| failed(&own, &error))
    }

    /// A file of our own, synced.
    fn write(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("own-{}-{number}", self.name));
        let mut file = File::create(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(path)
    }

    fn read(&self, seq: u64) -> Result<Bytes, LogError> {
        match fs::read(self.batch(seq)) {
            Ok(bytes) if seq > 0 => Ok(bytes.into()),
            _ => Err(LogError::Missing { seq, last: self.last() }),
        }
    }

    /// Numbers of the snapshots, oldest first.
    fn snapshots(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("snapshot-")?.parse().ok();
        let mut numbers: Vec<u64> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn snapshot(&self, seq: u64) -> PathBuf {
        self.path.join(format!("snapshot-{seq:020}"))
    }

    fn save(&self, seq: u64, bytes: &[u8]) -> Result<(), LogError> {
        let last = self.last();
        if seq > last {
            return Err(LogError::SnapshotAhead { seq, last });
        }
        let saved = self.write(bytes).and_then(|own| fs::rename(own, self.snapshot(seq)));
        saved.map_err(|error| LogError::Io { what: "write", path: self.snapshot(seq), detail: error.to_string() })?;
        let mut kept = self.snapshots();
        kept.truncate(kept.len().saturating_sub(SNAPSHOTS));
        for old in kept {
            // Another process may have removed it.
            let _gone = fs::remove_file(self.snapshot(old));
        }
        Ok(())
    }
}

/// Follows the numbers, and looks again while the next has no file.
struct Tail {
    folder: Arc<Folder>,
    closed: watch::Receiver<bool>,
    next: u64,
    look: Option<Interval>,
    ended: bool,
}

impl Tail {
    async fn next(&mut self) -> Option<Result<Stored, LogError>> {
        while !self.ended {
            if let Ok(bytes) = self.folder.read(self.next) {
                let seq = self.next;
                self.next += 1;
                return Some(Ok(Stored { seq, bytes }));
            }
            if *self.closed.borrow() {
                self.ended = true;
                return Some(Err(LogError::Closed));
            }
            self.look.get_or_insert_with(|| interval(LOOK)).tick().await;
        }
        None
    }
}

impl Log for SharedLog {
    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        if batch.len() > BATCH_LIMIT {
            let (found, limit) = (batch.len(), BATCH_LIMIT);
            return async move { Err(LogError::TooLarge { found, limit }) }.boxed();
        }
        self.ask(|answer| Job::Append(batch, answer))
    }

    fn tail(&self, from: u64) -> BoxStream<'static, Result<Stored, LogError>> {
        let (folder, closed) = (self.folder.clone(), self.closed.clone());
        let tail = Tail { folder, closed, next: from.max(1), look: None, ended: false };
        stream::unfold(tail, |mut tail| async move {
            let item = tail.next().await?;
            Some((item, tail))
        })
        .boxed()
    }

    fn read(&self, seq: u64) -> BoxFuture<'static, Result<Bytes, LogError>> {
        self.now(|folder| folder.read(seq))
    }

    fn last(&self) -> BoxFuture<'static, Result<u64, LogError>> {
        self.now(|folder| Ok(folder.last()))
    }

    fn save_snapshot(&self, seq: u64, bytes: Bytes) -> BoxFuture<'static, Result<(), LogError>> {
        self.now(|folder| folder.save(seq, &bytes))
    }

    fn load_snapshot(&self) -> BoxFuture<'static, Result<Option<(u64, Bytes)>, LogError>> {
        self.now(|folder| {
            let newest = folder.snapshots().into_iter().rev();
            Ok(newest.filter_map(|seq| Some((seq, fs::read(folder.snapshot(seq)).ok()?.into()))).next())
        })
    }

    fn close(&self) -> BoxFuture<'static, Result<(), LogError>> {
        self.ask(Job::Close)
    }
}
