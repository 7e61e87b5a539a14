//! Agents that are processes: `shell` runs a task's line like a CI runner, `command` starts a program for
//! each task (contracts, section 5).

use super::agent::{Agent, Attempt, AttemptEnd, Control, Output};
use crate::endpoint::Endpoint;
use crate::process::{
    self, Channel, Ended, Nonce, OnOutput, OutputLimits, ProcessHandle, ProcessReport, ProcessSpec, Stdout,
};
use crate::random;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use meshwork_core::{AttemptOutcome, TaskSpec, Tokens};
use serde::Serialize;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a process agent starts.
///
/// ```
/// use meshwork::mesh::Program;
///
/// let program = Program::Command(vec!["python3".to_owned(), "agent.py".to_owned()]);
/// assert!(!matches!(program, Program::Shell), "a shell peer runs the line of each task instead");
/// ```
#[derive(Clone, Debug)]
pub enum Program {
    /// `sh -c` with the task's `run` line.
    Shell,
    /// This program and its arguments; the task comes as JSON on standard input.
    Command(Vec<String>),
}

/// How a shell says that what it ran was killed from outside: 128 plus SIGHUP, SIGINT, SIGKILL, SIGTERM. Without this, a
/// task whose one command is killed would have failed where its shell is killed it is lost.
const KILLED: [i32; 4] = [129, 130, 137, 143];

/// Everything that process agents of one node share.
///
/// ```
/// use meshwork::mesh::ProcessHost;
/// use meshwork::process::DEFAULT_GRACE;
///
/// # let folder = tempfile::tempdir()?;
/// let host = ProcessHost {
///     nonce: "6f1c2a".to_owned(),
///     spill_dir: folder.path().to_owned(),
///     endpoint: None, // attempts get no tools
///     program: None,
///     grace: DEFAULT_GRACE,
///     result_bytes: 1 << 30,
/// };
/// assert_eq!(host.grace.as_secs(), 5);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ProcessHost {
    /// Marks the processes of this swarm, so that what a killed node left behind is found.
    pub nonce: String,
    /// Where large outputs are kept until they are in the artifact store.
    pub spill_dir: PathBuf,
    /// What attempts talk to; `None`: they get no tools.
    pub endpoint: Option<Arc<Endpoint>>,
    /// The program that scripts call as `$MESHWORK_BIN`; `None`: the variable is not set.
    pub program: Option<PathBuf>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Largest result, in bytes.
    pub result_bytes: u64,
}

/// A peer whose attempts are processes.
///
/// ```
/// use meshwork::mesh::{ProcessAgent, ProcessHost, Program};
/// use meshwork_core::Payload;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let mut options = options(folder.path());
/// # let spill_dir = folder.path().join("spill");
/// # std::fs::create_dir(&spill_dir)?;
/// # let nonce = "6f1c2a".to_owned();
/// # let grace = meshwork::process::DEFAULT_GRACE;
///
/// let host = Arc::new(ProcessHost { nonce, spill_dir, endpoint: None, program: None, grace, result_bytes: 1 << 20 });
/// let agent = Arc::new(ProcessAgent::new(host, Program::Shell, folder.path().to_owned(), vec![], None));
/// options.peers.push(PeerSetup { spec: PeerSpec::new("shell"), agent });
/// let (mesh, _ended) = Mesh::start(options).await?;
///
/// let task = TaskSpec { run: Some("echo '{\"ok\": true}'".to_owned()), ..TaskSpec::new("check") };
/// let tasks = mesh.submit(vec![task]).await?;
/// mesh.complete().await?;
/// let returned = mesh.result(tasks[0]).await?.expect("it has returned");
/// assert_eq!(returned.result, Some(Payload::Json("{\"ok\": true}".to_owned())));
/// # Ok(())
/// # }
/// ```
pub struct ProcessAgent {
    host: Arc<ProcessHost>,
    program: Program,
    folder: PathBuf,
    env: Vec<(String, String)>,
    log: Option<Arc<Mutex<PeerLog>>>,
}

/// Bytes of a peer's log file, at most: 64 MiB are days of an ordinary agent, and an endless one does not fill the disk.
const LOG_BYTES: u64 = 64 << 20;

/// Where what a peer's processes write is kept, up to [`LOG_BYTES`].
struct PeerLog {
    file: File,
    room: u64,
}

impl PeerLog {
    fn write(&mut self, chunk: &[u8]) {
        if self.room == 0 {
            return;
        }
        let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(chunk.len());
        self.room -= fits as u64;
        let mut bytes = chunk[..fits].to_vec();
        if self.room == 0 {
            bytes.extend_from_slice(b"\nthis log is full; nothing more is written to it\n");
        }
        // A log that cannot be written must not end the work that it is about.
        let _full_disk = self.file.write_all(&bytes);
    }
}

impl ProcessAgent {
    /// An agent that works in `folder`. `env` is added to the allow-list of
    /// [`process::environment`]; `log` gets what the processes write.
    ///
    /// ```
    /// use meshwork::mesh::{Agent as _, ProcessAgent, ProcessHost, Program};
    /// use std::path::Path;
    /// use std::sync::Arc;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let spill_dir = folder.path().to_owned();
    /// # let grace = meshwork::process::DEFAULT_GRACE;
    /// # let nonce = "6f1c2a".to_owned();
    /// # let (endpoint, program, result_bytes) = (None, None, 1 << 20);
    /// # let host = Arc::new(ProcessHost { nonce, spill_dir, endpoint, program, grace, result_bytes });
    /// let words = ["python3", "agent.py"].map(str::to_owned).to_vec();
    /// let env = vec![("MODEL".to_owned(), "small".to_owned())];
    /// let agent = ProcessAgent::new(host, Program::Command(words), "/srv/agents".into(), env, None);
    /// assert_eq!(agent.folder(), Some(Path::new("/srv/agents")));
    /// assert!(agent.uses_session(), "a program of its own for each task is a session");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(
        host: Arc<ProcessHost>,
        program: Program,
        folder: PathBuf,
        env: Vec<(String, String)>,
        log: Option<File>,
    ) -> Self {
        let log = log.map(|file| {
            let written = file.metadata().map_or(0, |file| file.len());
            Arc::new(Mutex::new(PeerLog { file, room: LOG_BYTES.saturating_sub(written) }))
        });
        Self { host, program, folder, env, log }
    }
}

/// A turn of a peer without a task, and how it is told to end.
pub(crate) struct WakeTurn {
    /// The swarm's id.
    pub(crate) swarm_id: String,
    /// Who is woken.
    pub(crate) peer_id: String,
    /// Counts this run's wakes of the peer, from 1.
    pub(crate) number: u64,
    /// It may not take longer.
    pub(crate) most: Duration,
    /// It is to end.
    pub(crate) stop: CancellationToken,
    /// It is to end at once.
    pub(crate) kill: CancellationToken,
}

impl ProcessAgent {
    /// Starts the peer's command without a task: `{"wake": …}` is on its standard input. What it spent, and why it did
    /// not end well. What it writes is in the peer's log and is no result. Nothing of it runs afterwards.
    pub(crate) async fn wake(&self, turn: WakeTurn) -> (Tokens, Option<String>) {
        let Program::Command(words) = &self.program else {
            return (Tokens::default(), Some("a shell peer has nothing to run without a task".to_owned()));
        };
        let Some(what) = program_of(words.clone()) else {
            return (Tokens::default(), Some("the peer's command is empty".to_owned()));
        };
        let nonce = match Nonce::new(&*self.host.nonce, format!("wake-{}", random::hex::<16>())) {
            Ok(nonce) => nonce,
            Err(error) => return (Tokens::default(), Some(error.to_string())),
        };
        let wake = serde_json::json!({ "wake": { "number": turn.number, "peerId": turn.peer_id } });
        let mut variables = vec![
            ("MESHWORK_SWARM_ID".to_owned(), plain(&turn.swarm_id)),
            ("MESHWORK_PEER_ID".to_owned(), plain(&turn.peer_id)),
        ];
        variables.extend(self.env.iter().cloned());
        let spec = self.host.spec(what, self.folder.clone(), variables, format!("{wake}\n").into(), nonce);
        let (handle, ended) =
            process::start(ProcessSpec { timeout: Some(turn.most), on_output: self.log.clone().map(to_log), ..spec });
        // Its peer may be paused meanwhile: a wake that has begun comes to its end.
        let (_moving, still) = watch::channel(false);
        let control = Control { stop: turn.stop, kill: turn.kill, still };
        let end = end_of(supervise(handle, ended, control).await, false);
        if let Output::File(path) = &end.output
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "could not remove the output of a wake");
        }
        (end.usage, end.error)
    }
}

/// A program and its arguments.
fn program_of(words: Vec<String>) -> Option<(OsString, Vec<OsString>)> {
    let mut words = words.into_iter().map(OsString::from);
    Some((words.next()?, words.collect()))
}

impl Agent for ProcessAgent {
    fn run(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        let (host, folder, env) = (self.host.clone(), self.folder.clone(), self.env.clone());
        let (program, log) = (self.program.clone(), self.log.clone());
        Box::pin(async move { run(&host, program, folder, env, log, attempt).await })
    }

    fn uses_session(&self) -> bool {
        matches!(self.program, Program::Command(_))
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }

    fn env(&self) -> &[(String, String)] {
        &self.env
    }

    fn host(&self) -> Option<&Arc<ProcessHost>> {
        Some(&self.host)
    }
}

async fn run(
    host: &Arc<ProcessHost>,
    program: Program,
    folder: PathBuf,
    env: Vec<(String, String)>,
    log: Option<Arc<Mutex<PeerLog>>>,
    attempt: Attempt,
) -> AttemptEnd {
    let shell = matches!(program, Program::Shell);
    let what: (OsString, Vec<OsString>) = match program {
        Program::Shell => match &attempt.spec().run {
            Some(line) => ("/bin/sh".into(), vec!["-c".into(), line.into()]),
            None => return AttemptEnd::failed("the task has no run line, and this peer runs nothing else"),
        },
        Program::Command(words) => match program_of(words) {
            Some(what) => what,
            None => return AttemptEnd::failed("the peer's command is empty"),
        },
    };
    let stdin = match task_json(&attempt).await {
        Ok(json) => json,
        Err(error) => return AttemptEnd::failed(format!("the task's input could not be read: {error}")),
    };
    let lease = host.endpoint.as_ref().map(|endpoint| endpoint.lease(attempt.tools.clone()));
    let mut variables = variables(&attempt);
    if let (Some(endpoint), Some(lease)) = (&host.endpoint, &lease) {
        variables.push(("MESHWORK_URL".to_owned(), endpoint.url().to_owned()));
        variables.push(("MESHWORK_TOKEN".to_owned(), lease.token().to_owned()));
    }
    variables.extend(env);
    let nonce = match host.nonce_of(&attempt) {
        Ok(nonce) => nonce,
        Err(error) => return AttemptEnd::failed(error.to_string()),
    };
    let spec = ProcessSpec {
        timeout: attempt.spec().timeout_ms.map(Duration::from_millis),
        on_output: log.map(to_log),
        ..host.spec(what, folder, variables, stdin, nonce)
    };
    let (handle, ended) = process::start(spec);
    let report = supervise(handle, ended, attempt.control.clone()).await;
    drop(lease);
    end_of(report, shell)
}

impl ProcessHost {
    /// Marks one attempt: its task, grant and nothing that could come again.
    pub(super) fn nonce_of(&self, attempt: &Attempt) -> Result<Nonce, process::NonceError> {
        Nonce::new(&*self.nonce, format!("{}-{}", attempt.task.0, attempt.grant.as_u64()))
    }

    /// A program with its arguments, in a folder with our variables and the peer's. It may take for ever, and nobody
    /// sees its output.
    fn spec(
        &self,
        (program, args): (OsString, Vec<OsString>),
        cwd: PathBuf,
        mut variables: Vec<(String, String)>,
        stdin: Bytes,
        nonce: Nonce,
    ) -> ProcessSpec {
        if let Some(program) = self.program.as_deref().and_then(Path::to_str) {
            variables.push(("MESHWORK_BIN".to_owned(), program.to_owned()));
        }
        ProcessSpec {
            program,
            args,
            cwd,
            env: process::environment(&variables),
            stdin,
            timeout: None,
            grace: self.grace,
            limits: OutputLimits { stdout_bytes: self.result_bytes, ..OutputLimits::default() },
            nonce,
            spill_dir: self.spill_dir.clone(),
            on_output: None,
        }
    }
}

/// Passes on what the attempt is told, until its process has ended.
pub(super) async fn supervise(
    handle: ProcessHandle,
    ended: impl Future<Output = ProcessReport>,
    control: Control,
) -> ProcessReport {
    let mut still = control.still();
    if *still.borrow_and_update() {
        handle.pause();
    }
    let told = async {
        let (mut stopping, mut killing) = (false, false);
        loop {
            tokio::select! {
                () = control.killed(), if !killing => {
                    killing = true;
                    handle.kill();
                }
                () = control.stopped(), if !stopping => {
                    stopping = true;
                    handle.stop();
                }
                changed = still.changed() => {
                    if changed.is_err() {
                        // The driver is gone, and with it whoever could tell anything.
                        handle.stop();
                        return std::future::pending::<()>().await;
                    }
                    if *still.borrow_and_update() { handle.pause() } else { handle.resume() }
                }
            }
        }
    };
    tokio::select! {
        report = ended => report,
        () = told => unreachable!("what is told never ends"),
    }
}

fn end_of(report: ProcessReport, shell: bool) -> AttemptEnd {
    let tail = report.stderr_tail.trim().to_owned();
    let with_tail = |text: String| if tail.is_empty() { text } else { format!("{text}: {tail}") };
    let (outcome, error) = match report.ended {
        Ended::Exited { code: 0 } => (Some(AttemptOutcome::Ok), None),
        Ended::Exited { code } if shell && KILLED.contains(&code) => {
            let signal = code - 128;
            let text = format!("exit code {code}: what the line ran was killed by signal {signal}, which was not ours");
            (Some(AttemptOutcome::Lost), Some(with_tail(text)))
        }
        Ended::Exited { code } => (Some(AttemptOutcome::Failed), Some(with_tail(format!("exit code {code}")))),
        Ended::Signalled { signal } => {
            (Some(AttemptOutcome::Lost), Some(with_tail(format!("killed by signal {signal}, which was not ours"))))
        }
        Ended::TimedOut => (Some(AttemptOutcome::TimedOut), Some(with_tail("ran longer than its timeout".to_owned()))),
        Ended::Stopped => (None, None),
        Ended::OutputLimit { limit } => {
            (Some(AttemptOutcome::Failed), Some(format!("wrote more than {limit} bytes to standard output")))
        }
        Ended::OutputUnsaved { error } => {
            (Some(AttemptOutcome::Failed), Some(format!("its output could not be kept: {error}")))
        }
        Ended::NotStarted { error } => (Some(AttemptOutcome::Failed), Some(error.to_string())),
    };
    let (output, usage) = output_of(report.stdout);
    AttemptEnd { outcome, output, error, usage }
}

fn output_of(stdout: Stdout) -> (Output, Tokens) {
    let tokens = |usage: Option<process::Usage>| {
        usage.map_or_else(Tokens::default, |usage| Tokens { input: usage.input_tokens, output: usage.output_tokens })
    };
    match stdout {
        Stdout::Inline(bytes) => {
            let (rest, usage) = process::split_usage(&bytes);
            let output = if rest.iter().all(u8::is_ascii_whitespace) {
                Output::None
            } else {
                Output::Bytes(Bytes::copy_from_slice(rest))
            };
            (output, tokens(usage))
        }
        Stdout::File { path, .. } => {
            // A usage line that cannot be read is output like any other.
            let usage = process::split_usage_file(&path).map_or_else(
                |error| {
                    tracing::warn!(%error, "the end of a large output could not be looked at for usage");
                    None
                },
                |(_, usage)| usage,
            );
            (Output::File(path), tokens(usage))
        }
    }
}

fn to_log(log: Arc<Mutex<PeerLog>>) -> OnOutput {
    Arc::new(move |_: Channel, chunk: &[u8]| log.lock().unwrap_or_else(PoisonError::into_inner).write(chunk))
}

/// As an environment can hold it.
fn plain(id: &str) -> String {
    id.replace('\0', "")
}

/// What an attempt finds in its environment beside the allow-list.
pub(super) fn variables(attempt: &Attempt) -> Vec<(String, String)> {
    vec![
        ("MESHWORK_SWARM_ID".to_owned(), plain(&attempt.swarm_id)),
        ("MESHWORK_TASK_ID".to_owned(), plain(&attempt.spec().id)),
        ("MESHWORK_PEER_ID".to_owned(), plain(&attempt.peer_id)),
        ("MESHWORK_ATTEMPT".to_owned(), attempt.number.to_string()),
    ]
}

/// The task as JSON, with the seed's field names: what a process gets on standard input.
async fn task_json(attempt: &Attempt) -> Result<Bytes, String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Task<'a> {
        id: &'a str,
        r#type: &'a str,
        description: &'a str,
        required_capabilities: &'a [String],
        priority: u8,
        dependencies: &'a [String],
        attempt: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        input: Option<&'a serde_json::value::RawValue>,
    }
    let TaskSpec { id, kind, description, requires, priority, dependencies, .. } = attempt.spec();
    let input = attempt.input().await.map_err(|error| error.to_string())?;
    let input = match &input {
        Some(text) => Some(serde_json::from_str(text).map_err(|error| error.to_string())?),
        None => None,
    };
    let task = Task {
        id,
        r#type: kind,
        description,
        required_capabilities: requires,
        priority: *priority,
        dependencies,
        attempt: attempt.number,
        input,
    };
    let mut json = serde_json::to_vec(&task).map_err(|error| error.to_string())?;
    json.push(b'\n');
    Ok(json.into())
}
