//! The node's side: one task a connection, each request answered before the next is read.

use super::wire::{Answer, Grown, LINE_BYTES, Request, Submitted, line};
use crate::endpoint::{Failure, TaskRequest, check_number, into_specs, json};
use crate::mesh::Mesh;
use axum::http::StatusCode;
use meshwork_core::{Op, PauseReason, Swarm, TaskSpec};
use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Connections at once: a person's terminals and dashboards, many times over.
const CONNECTIONS: usize = 64;
/// After a connection could not be taken.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The control socket of a run; it and its connections end when this is dropped.
///
/// ```
/// use meshwork::control::Control;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// let path = folder.path().join("control.sock");
/// let control = Control::serve(&path, mesh)?;
/// assert!(path.exists());
/// drop(control);
/// assert!(!path.exists(), "it is gone with the run");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    /// Device and inode of our socket: another's is not ours to remove.
    file: (u64, u64),
    server: AbortOnDropHandle<()>,
}

impl Control {
    /// Listens at `path`, for this user alone. A socket that a killed run left there is removed.
    ///
    /// ```
    /// use meshwork::control::Control;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let path = folder.path().join("control.sock");
    /// let _control = Control::serve(&path, mesh.clone())?;
    /// let second = Control::serve(&path, mesh).expect_err("somebody listens there");
    /// assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::AddrInUse`] when somebody listens there, [`ErrorKind::AlreadyExists`] when something else than a
    /// socket is there, or what the operating system says; nothing was changed then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(path: impl Into<PathBuf>, mesh: Mesh) -> io::Result<Self> {
        let path = path.into();
        clear_stale(&path)?;
        let listener = UnixListener::bind(&path)?;
        // Between the two, the other side's user is all that keeps others out.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let about = path.symlink_metadata()?;
        let server = AbortOnDropHandle::new(tokio::spawn(accept(listener, mesh)));
        Ok(Self { path, file: (about.dev(), about.ino()), server })
    }

    /// Where it listens.
    ///
    /// ```
    /// use meshwork::control::Control;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let control = Control::serve(folder.path().join("control.sock"), mesh)?;
    /// assert!(control.path().ends_with("control.sock"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.abort();
        let ours = self.path.symlink_metadata().is_ok_and(|about| (about.dev(), about.ino()) == self.file);
        if ours {
            // One that stays is found to be stale by the next run.
            let _left = fs::remove_file(&self.path);
        }
    }
}

fn clear_stale(path: &Path) -> io::Result<()> {
    let about = match path.symlink_metadata() {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !about.file_type().is_socket() {
        let text = format!("{} is there and is no socket; nothing was changed", path.display());
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_somebody) => {
            let text = format!("somebody listens at {}; nothing was changed", path.display());
            Err(io::Error::new(ErrorKind::AddrInUse, text))
        }
    }
}

async fn accept(listener: UnixListener, mesh: Mesh) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let numbering = Arc::new(tokio::sync::Mutex::new(()));
    // They end with this set, so with the control.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned().await.expect("nobody closes the semaphore");
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket was not taken");
                    // Mostly for want of descriptors, and those come back.
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            },
            Some(_ended) = connections.join_next() => continue,
        };
        if !is_ours(&stream) {
            tracing::warn!("another user's process was turned away from the control socket");
            continue;
        }
        let connection = Connection { mesh: mesh.clone(), numbering: Arc::clone(&numbering) };
        connections.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.serve(stream).await {
                tracing::debug!(%error, "a control connection ended");
            }
        });
    }
}

/// The same user, or root.
fn is_ours(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|other| other.uid() == own || other.uid() == 0)
}

struct Connection {
    mesh: Mesh,
    /// Held while tasks without ids are submitted, so that no two get the same.
    numbering: Arc<tokio::sync::Mutex<()>>,
}

impl Connection {
    async fn serve(self, stream: UnixStream) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read);
        let mut text = Vec::new();
        loop {
            text.clear();
            let most = LINE_BYTES as u64 + 1;
            if (&mut lines).take(most).read_until(b'\n', &mut text).await? == 0 {
                return Ok(());
            }
            let answer = if text.last() == Some(&b'\n') {
                match json::<Request>(&text) {
                    Ok(Request::Follow) => return self.follow(lines, write).await,
                    Ok(request) => self.answer(request).await,
                    Err(failure) => Err(failure),
                }
            } else if text.len() as u64 == most {
                let message = format!("the line is longer than {LINE_BYTES} bytes, the limit; nothing was changed");
                send(&mut write, &Answer::Error(Failure::too_large("RequestTooLarge", message).body)).await?;
                // Where the next request would begin is not known.
                return Ok(());
            } else {
                return Ok(());
            };
            send(&mut write, &answer.unwrap_or_else(|failure| Answer::Error(failure.body))).await?;
        }
    }

    async fn answer(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Submit { tasks } => {
                check_number(tasks.len())?;
                let makes_ids = tasks.iter().any(|task| task.id.is_none());
                let _turn = if makes_ids { Some(self.numbering.lock().await) } else { None };
                let specs = self.with_ids(tasks).await?;
                let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
                self.submit(specs).await?;
                Ok(Answer::Submitted { tasks: ids.into_iter().map(|id| Submitted { id }).collect() })
            }
            Request::Cancel { id } => {
                let asked = id.clone();
                let task = self.mesh.look(move |swarm| swarm.find_task(&asked)).await?.ok_or_else(|| {
                    let message = format!("no task {id:?} in swarm {:?}; nothing was changed", self.mesh.swarm_id());
                    Failure::new(StatusCode::NOT_FOUND, "NoSuchTask", message)
                })?;
                self.decide(Op::Cancel { task }).await
            }
            Request::Pause { peer } => self.decide(Op::Pause { peer, reason: PauseReason::User }).await,
            Request::Resume { peer } => self.decide(Op::Resume { peer }).await,
            Request::Rebalance => self.decide(Op::Rebalance).await,
            Request::Ping => {
                let (swarm_id, seq) = (self.mesh.swarm_id().to_owned(), self.mesh.status().borrow().seq);
                Ok(Answer::Pong { pid: std::process::id(), swarm_id, seq })
            }
            Request::Follow => unreachable!("a follower is served apart"),
        }
    }

    async fn decide(&self, op: Op) -> Result<Answer, Failure> {
        Ok(Answer::Decided { seq: self.mesh.decide(op).await?.seq() })
    }

    async fn with_ids(&self, tasks: Vec<TaskRequest>) -> Result<Vec<TaskSpec>, Failure> {
        let missing = tasks.iter().filter(|task| task.id.is_none()).count();
        let given: HashSet<String> = tasks.iter().filter_map(|task| task.id.clone()).collect();
        let ids = self.mesh.look(move |swarm| free_ids(swarm, &given, missing)).await?;
        into_specs(tasks, ids)
    }

    /// A large submission is written in parts: when a later one is refused, the earlier ones stay.
    async fn submit(&self, specs: Vec<TaskSpec>) -> Result<(), Failure> {
        let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
        let known = |swarm: &Swarm, ids: &[String]| ids.iter().filter(|id| swarm.find_task(id).is_some()).count();
        let asked = ids.clone();
        let before = self.mesh.look(move |swarm| known(swarm, &asked)).await?;
        let Err(error) = self.mesh.submit(specs).await else { return Ok(()) };
        let failure = Failure::from(error);
        let after = self.mesh.look(move |swarm| known(swarm, &ids)).await;
        Err(if after.is_ok_and(|after| after == before) { failure } else { failure.changed() })
    }

    /// Tells of each growth of the log until the other side hangs up or the node stops. Never polls.
    async fn follow(self, mut lines: BufReader<OwnedReadHalf>, mut write: OwnedWriteHalf) -> io::Result<()> {
        let mut status = self.mesh.status();
        drop(self);
        let mut told = None;
        let mut ignored = [0; 64];
        loop {
            let seq = status.borrow_and_update().seq;
            if told != Some(seq) {
                told = Some(seq);
                send(&mut write, &Grown { seq }).await?;
            }
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return Ok(()) },
                read = lines.read(&mut ignored) => if read? == 0 { return Ok(()) },
            }
        }
    }
}

fn free_ids(swarm: &Swarm, given: &HashSet<String>, count: usize) -> Vec<String> {
    // Numbered after all tasks of the swarm, so that few are tried.
    let from = if count == 0 { 0 } else { swarm.tasks().len() + 1 };
    let ids = (from..).map(|number| format!("task-{number}"));
    ids.filter(|id| swarm.find_task(id).is_none() && !given.contains(id)).take(count).collect()
}

async fn send(write: &mut OwnedWriteHalf, value: &impl serde::Serialize) -> io::Result<()> {
    write.write_all(&line(value).map_err(io::Error::other)?).await
}
