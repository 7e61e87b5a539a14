//! One attempt's process, from its start until nothing of it is left.
//!
//! A slot is free when the attempt that held it has no process any more, so [`start`] reports an end only when the
//! leader is reaped, its process group is empty, and descendants that left the group (`setsid`, double fork) are gone.
//!
//! # How escaped descendants are found
//!
//! * A program that called [`become_subreaper`] adopts every orphan below it. The kernel lists them as children of the
//!   main thread; what is not a known leader is told apart by the nonce in its environment ([`NONCE_VARIABLE`]).
//!   In the normal case that list is empty, and the whole search is three system calls.
//! * A program that did not (library use) has to look through `/proc`. It does so unless the kernel has handed out no
//!   process id since the leader's, in which case nothing can have been forked.
//! * A descendant with a scrubbed environment is still recognised while it holds one of the attempt's pipes open.
//!   One that left the group, scrubbed its environment *and* closed its output cannot be told from a stranger and stays.
//!   It never delays a report.
//!
//! A process that we may not signal (it changed its user) is waited for: the slot stays taken, because it is.
//!
//! # What this module must not know
//!
//! Tasks, grants, peers, the log. It is given a program and answers with a [`ProcessReport`].

mod environment;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod launch;
mod leftovers;
mod nonce;
mod output;
mod procfs;
mod registry;
mod rest;
mod run;
mod streams;
#[cfg(test)]
mod tests;
mod usage;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use environment::{INHERITED_PREFIXES, INHERITED_VARIABLES, environment};
pub use leftovers::{Leftover, end_all, end_leftovers, find_leftovers};
pub use nonce::{NONCE_VARIABLE, Nonce, NonceError};
pub use output::Stdout;
pub use rest::become_subreaper;
pub use run::{ProcessHandle, start};
pub use usage::{USAGE_LINE_BYTES, Usage, split_usage, split_usage_file};

/// Which of a process's two output channels a chunk came from.
///
/// ```
/// use meshwork::process::Channel;
/// use std::sync::{Arc, Mutex};
/// use meshwork::process::{self, ProcessSpec};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let heard = Arc::new(Mutex::new(Vec::new()));
/// let hearing = heard.clone();
/// let on_output = Arc::new(move |channel: Channel, chunk: &[u8]| {
///     hearing.lock().expect("nobody panics with it").push((channel, chunk.to_vec()));
/// });
/// let (_handle, ended) = process::start(ProcessSpec { on_output: Some(on_output), ..spec("echo oops >&2") });
/// let _report = ended.await;
/// assert_eq!(heard.lock().expect("nobody panics with it")[..], [(Channel::Stderr, b"oops\n".to_vec())]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output: the result.
    Stdout,
    /// Standard error: logs, and the error of a failed attempt.
    Stderr,
}

/// Called with each chunk of output as it is read, on the task that drives the attempt: it must be quick.
pub type OnOutput = Arc<dyn Fn(Channel, &[u8]) + Send + Sync>;

/// What to run and under which limits.
///
/// ```
/// use meshwork::process::{self, DEFAULT_GRACE, Ended, Nonce, OutputLimits, ProcessSpec, Stdout};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let spec = ProcessSpec {
///     program: "cat".into(),
///     args: vec![],
///     cwd: folder.path().to_owned(),
///     env: process::environment(&[]),
///     stdin: "hello".into(),
///     timeout: None,
///     grace: DEFAULT_GRACE,
///     limits: OutputLimits::default(),
///     nonce: Nonce::new("6f1c2a", "t0-1")?,
///     spill_dir: folder.path().to_owned(),
///     on_output: None,
/// };
/// let (_handle, ended) = process::start(spec);
/// let report = ended.await;
/// assert!(matches!(report.ended, Ended::Exited { code: 0 }));
/// assert_eq!(report.stdout, Stdout::Inline(b"hello".to_vec()));
/// # Ok(())
/// # }
/// ```
pub struct ProcessSpec {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Working directory; must exist.
    pub cwd: PathBuf,
    /// The whole environment ([`environment`] builds it); [`NONCE_VARIABLE`] is added.
    pub env: Vec<(OsString, OsString)>,
    /// Written to standard input, then closed. A process that does not read it is fine.
    pub stdin: Bytes,
    /// Longest running time, paused time not counted.
    pub timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL; [`DEFAULT_GRACE`] unless there is a reason.
    pub grace: Duration,
    /// Bounds on what is kept of the output.
    pub limits: OutputLimits,
    /// Names the attempt in its processes' environment.
    pub nonce: Nonce,
    /// Existing directory for standard output that is too long to keep in memory.
    pub spill_dir: PathBuf,
    /// Sees all output, for the peer's log file.
    pub on_output: Option<OnOutput>,
}

/// Five seconds between SIGTERM and SIGKILL: what service managers and container runtimes have taught programs to expect,
/// on the short side because a slot waits for it.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Bounds on the output of one process, in bytes.
///
/// ```
/// use meshwork::process::{self, OutputLimits, ProcessSpec, Stdout};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let limits = OutputLimits { inline_bytes: 4, ..OutputLimits::default() };
/// let (_handle, ended) = process::start(ProcessSpec { limits, ..spec("echo more than four") });
/// let Stdout::File { path, len } = ended.await.stdout else { panic!("it is too long for memory") };
/// assert_eq!((std::fs::read_to_string(path)?, len), ("more than four\n".to_owned(), 15));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    /// Standard output up to this length is kept in memory, longer output goes to a file. Default 32 KiB: what the log
    /// holds of a result.
    pub inline_bytes: usize,
    /// Longer standard output ends the process. Default 1 GiB: the limit of an artifact.
    pub stdout_bytes: u64,
    /// This much of the end of standard error is kept. Default 4 KiB: the last lines, as an error message.
    pub stderr_tail_bytes: usize,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self { inline_bytes: 32 << 10, stdout_bytes: 1 << 30, stderr_tail_bytes: 4 << 10 }
    }
}

/// How an attempt's process ended and what it said. When it exists, nothing of the attempt is running.
///
/// ```
/// use meshwork::process::{self, Ended};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let (_handle, ended) = process::start(spec("echo result; echo why >&2; exit 3"));
/// let report = ended.await;
/// assert!(matches!(report.ended, Ended::Exited { code: 3 }));
/// assert_eq!(report.stderr_tail, "why\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ProcessReport {
    /// Why it ended.
    pub ended: Ended,
    /// Standard output; after [`Ended::OutputLimit`] the part within the limit.
    pub stdout: Stdout,
    /// The end of standard error: valid text, no control characters but newline and tab, no terminal sequences.
    pub stderr_tail: String,
    /// From the leader's start to its end, paused time not counted.
    pub ran: Duration,
}

/// Why a process ended.
///
/// ```
/// use std::time::Duration;
/// use meshwork::process::{self, Ended, ProcessSpec};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let timeout = Some(Duration::from_millis(1));
/// let (_handle, ended) = process::start(ProcessSpec { timeout, ..spec("exec cat /dev/zero > /dev/null") });
/// assert!(matches!(ended.await.ended, Ended::TimedOut));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Ended {
    /// It ended by itself with this exit code.
    Exited {
        /// 0 is success.
        code: i32,
    },
    /// A signal that we did not send ended it: the attempt is lost, not failed.
    Signalled {
        /// Signal number.
        signal: i32,
    },
    /// It ran longer than [`ProcessSpec::timeout`] and was ended.
    TimedOut,
    /// [`ProcessHandle::stop`] or [`ProcessHandle::kill`] ended it.
    Stopped,
    /// Standard output passed its limit; it was killed.
    OutputLimit {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Its output could not be kept (a full disk, say); it was killed.
    OutputUnsaved {
        /// Why writing the spill file failed.
        error: io::Error,
    },
    /// It never ran.
    NotStarted {
        /// Why.
        error: StartError,
    },
}

/// Why a process could not be started. Nothing is left behind.
///
/// ```
/// use meshwork::process::StartError;
/// use meshwork::process::{self, Ended, ProcessSpec};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let (_handle, ended) = process::start(ProcessSpec { program: "no-such-program".into(), ..spec("") });
/// let Ended::NotStarted { error: StartError::ProgramNotFound { program, .. } } = ended.await.ended else {
///     panic!("there is no such program");
/// };
/// assert_eq!(program, "no-such-program");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A bare name that no directory of `PATH` has as an executable file.
    #[error("program {program:?} was not found; looked in PATH {path:?}; nothing was started")]
    ProgramNotFound {
        /// The name given.
        program: OsString,
        /// Where it was looked for.
        path: OsString,
    },
    /// The program's file is missing or cannot be executed.
    #[error("program {program:?} cannot be executed: {reason}; nothing was started")]
    ProgramUnusable {
        /// The path tried.
        program: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The working directory is missing or cannot be entered.
    #[error("working directory {cwd:?} cannot be entered: {error}; nothing was started")]
    WorkingDirectory {
        /// The directory given.
        cwd: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused pipes or a process: often a limit on open files or processes, so a later try may succeed.
    #[error("could not start program {program:?}: {error}; nothing was started")]
    System {
        /// The path tried.
        program: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}
