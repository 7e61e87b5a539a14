//! The asker's side. Blocking: commands ask once, and a follower has nothing else to do.

use super::wire::{Answer, Grown, LINE_BYTES, Request, line};
use crate::endpoint::ErrorBody;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Why the node did not do what it was asked for.
///
/// ```
/// use meshwork::control::{ControlClient, ControlError};
///
/// let error = ControlClient::connect("/nowhere/control.sock").expect_err("the swarm does not run");
/// assert!(matches!(error, ControlError::NotRunning { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No node listens there: the swarm does not run.
    #[error("no node listens at {}: the swarm does not run; nothing was changed", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be used.
    #[error("could not use the control socket {}: {source}; whether something was changed is not known", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The node ended before it answered.
    #[error("the node ended before it answered; whether something was changed is not known")]
    Ended,
    /// What came is not an answer.
    #[error("the node's answer cannot be read: {what}; whether something was changed is not known")]
    NotAnAnswer {
        /// What is wrong with it.
        what: String,
    },
    /// The node said no.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
}

/// A connection to the node of a live run.
///
/// ```
/// use meshwork::control::{Answer, Control, ControlClient, Request};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// let path = folder.path().join("control.sock");
/// let _control = Control::serve(&path, mesh)?;
/// // It blocks, so it has a thread of its own, or a process: a command.
/// let answer = tokio::task::spawn_blocking(move || ControlClient::connect(path)?.ask(&Request::Ping)).await??;
/// assert!(matches!(answer, Answer::Pong { swarm_id, .. } if swarm_id == "swarm"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ControlClient {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl ControlClient {
    /// Connects to the control socket at `path`.
    ///
    /// ```
    /// use meshwork::control::{Control, ControlClient};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let path = folder.path().join("control.sock");
    /// let _control = Control::serve(&path, mesh)?;
    /// assert!(ControlClient::connect(&path).is_ok());
    /// assert!(ControlClient::connect(folder.path().join("other.sock")).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::NotRunning`] when nobody listens there.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ControlError> {
        let path = path.as_ref().to_owned();
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Self { path, stream: BufReader::new(stream) }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Err(ControlError::NotRunning { path })
            }
            Err(source) => Err(ControlError::Io { path, source }),
        }
    }

    /// Asks, and waits for the answer, which is none of [`Answer::Error`].
    ///
    /// ```
    /// use meshwork::control::{Control, ControlClient, ControlError, Request};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let path = folder.path().join("control.sock");
    /// let _control = Control::serve(&path, mesh)?;
    /// let cancel = Request::Cancel { id: "nobody's".to_owned() };
    /// let asked = tokio::task::spawn_blocking(move || ControlClient::connect(path)?.ask(&cancel)).await?;
    /// assert!(matches!(asked, Err(ControlError::Refused(error)) if !error.state_changed));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::Refused`] says why and whether something changed.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ControlError> {
        self.send(request)?;
        match self.receive()? {
            Some(Answer::Error(error)) => Err(ControlError::Refused(error)),
            Some(answer) => Ok(answer),
            None => Err(ControlError::Ended),
        }
    }

    /// The sequence number of the log's last batch now and each time that it has grown, until the node stops. Several
    /// batches may be told of as one.
    ///
    /// ```
    /// use meshwork::control::{Control, ControlClient};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let path = folder.path().join("control.sock");
    /// let _control = Control::serve(&path, mesh)?;
    /// let asked = tokio::task::spawn_blocking(move || ControlClient::connect(path)?.follow()?.next().transpose());
    /// assert!(asked.await??.is_some_and(|seq| seq > 0), "how far the log goes");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the node cannot be asked.
    pub fn follow(mut self) -> Result<Follow, ControlError> {
        self.send(&Request::Follow)?;
        Ok(Follow(self))
    }

    fn send(&mut self, request: &Request) -> Result<(), ControlError> {
        let line = line(request).map_err(|error| self.failed(io::Error::other(error)))?;
        // A line that the node does not read to its end is answered all the same.
        match self.stream.get_mut().write_all(&line) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn receive<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, ControlError> {
        let mut text = Vec::new();
        let read = (&mut self.stream).take(LINE_BYTES as u64 + 1).read_until(b'\n', &mut text);
        match read {
            Ok(_) if text.last() == Some(&b'\n') => {}
            Ok(_) if text.len() > LINE_BYTES => {
                return Err(ControlError::NotAnAnswer { what: format!("it is longer than {LINE_BYTES} bytes") });
            }
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        }
        let value = serde_json::from_slice(&text);
        value.map(Some).map_err(|error| ControlError::NotAnAnswer { what: error.to_string() })
    }

    fn failed(&self, source: io::Error) -> ControlError {
        ControlError::Io { path: self.path.clone(), source }
    }
}

/// The growth of a log, as its node tells of it; see [`ControlClient::follow`].
///
/// ```
/// use meshwork::control::{Control, ControlClient};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// let path = folder.path().join("control.sock");
/// let _control = Control::serve(&path, mesh.clone())?;
/// let (told, mut grown) = tokio::sync::mpsc::unbounded_channel();
/// std::thread::spawn(move || {
///     let follow = ControlClient::connect(path)?.follow()?;
///     follow.map_while(Result::ok).take_while(|seq| told.send(*seq).is_ok()).for_each(drop);
///     Ok::<(), meshwork::control::ControlError>(())
/// });
/// let now = grown.recv().await.expect("how far the log goes");
/// mesh.submit(vec![TaskSpec::new("build")]).await?;
/// assert!(grown.recv().await.is_some_and(|seq| seq > now));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Follow(ControlClient);

impl Iterator for Follow {
    type Item = Result<u64, ControlError>;

    /// Waits for the next growth; `None` when the node has stopped.
    fn next(&mut self) -> Option<Self::Item> {
        self.0.receive::<Grown>().map(|grown| grown.map(|grown| grown.seq)).transpose()
    }
}
