//! A swarm file on the embedded default: one node, SQLite, the in-process broker, a locked state folder.

mod wakes;

use crate::artifacts::{Artifacts, FolderArtifacts};
use crate::broker::{Broker, BrokerConfig};
use crate::control::Control;
use crate::endpoint::Endpoint;
use crate::failpoint::{self, Point};
use crate::file::{self, AgentKind, OnDependencyFailure, SwarmFile, Timespan};
use crate::high_water::{HighWaterFile, LedgerError};
use crate::log::{LogError, SqliteLog};
use crate::mail::DurableMail;
use crate::mesh::{
    Agent, Mesh, MeshError, MeshOptions, PeerSetup, ProcessAgent, ProcessHost, Program, Reserve, RoundEnd, Stop,
};
use crate::process::{self, Leftover};
use crate::state::{FolderLock, StateError, StateFolder, StateRoot};
use crate::topology::{Scaling, TopologyError, TopologyRouter};
use meshwork_core::savings::Savings;
use meshwork_core::{Config, DependencyPolicy, Limits, Op, Payload, PeerSpec, Phase, TaskSpec, Verify, content_hash};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use wakes::{Sleeper, Wakes};

/// The embedded node's name: there is one, and it replaces what it was before.
const NODE: &str = "local";
/// Memory that one agent session is expected to take, for the default of `max_sessions`.
const SESSION_BYTES: u64 = 1 << 30;

/// Workers are let go after the load was low for this long: as long as a peer that has nothing to do stays unpaused.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a local swarm is started.
///
/// ```
/// use meshwork::local::LocalOptions;
///
/// let options = LocalOptions { fresh: true, ..LocalOptions::default() };
/// assert_eq!(options.program, None, "scripts find no `$MESHWORK_BIN`");
/// ```
#[derive(Clone, Debug, Default)]
pub struct LocalOptions {
    /// Our own program, for scripts that call it as `$MESHWORK_BIN`.
    pub program: Option<PathBuf>,
    /// Starts over; the old folder is kept beside the new one.
    pub fresh: bool,
}

/// A running local swarm.
///
/// ```
/// use meshwork::file::{Format, parse};
/// use meshwork::local::{LocalOptions, LocalSwarm};
/// use meshwork::mesh::RoundEnd;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let text = r#"
///     swarm.id = "demo"
///     peers = [{ id = "sh", count = 2 }]
///     tasks = [
///         { id = "build", run = "echo built > out.txt" },
///         { id = "test", dependencies = ["build"], run = "grep built out.txt" },
///     ]
/// "#;
/// let file = parse(text, Format::Toml, "swarm.toml")?;
/// let state = folder.path().join("state");
/// let swarm = LocalSwarm::start(&file, folder.path(), &state, LocalOptions::default()).await?;
/// swarm.submit(&file).await?;
/// let RoundEnd::Closed(round) = swarm.complete().await? else { panic!("all of it can be done") };
/// assert_eq!((round.ok, round.failed), (2, 0));
/// # swarm.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub struct LocalSwarm {
    mesh: StopOnDrop,
    wakes: Option<Wakes>,
    ended: JoinHandle<Result<(), MeshError>>,
    folder: StateFolder,
    lock: Arc<FolderLock>,
    control: Control,
    endpoint: Arc<Endpoint>,
    log: Arc<SqliteLog>,
    nonce: String,
    leftovers: Vec<Leftover>,
    kept_aside: Option<PathBuf>,
}

/// A node whose handle is dropped without a shutdown is stopped; the lock is held until it has.
struct StopOnDrop(Mesh);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(Stop::Now);
    }
}

/// What a submission came to.
///
/// ```
/// use meshwork::local::Submitted;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = hello();
/// # let swarm = local(folder.path()).await?;
///
/// assert_eq!(swarm.submit(&file).await?, Submitted { new: 1, kept: 0 });
/// assert_eq!(swarm.submit(&file).await?, Submitted { new: 0, kept: 1 }, "it is there already");
/// # swarm.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Tasks that are to be done.
    pub new: usize,
    /// Tasks that are there already, done or not, and have not changed.
    pub kept: usize,
}

/// Why a local swarm could not be started, or could not go on.
///
/// ```
/// use meshwork::local::LocalError;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let (file, root) = (hello(), folder.path().join("state"));
/// # let swarm = local(folder.path()).await?;
///
/// // One run at a time: the first one holds the folder.
/// let second = LocalSwarm::start(&file, folder.path(), &root, LocalOptions::default()).await;
/// let error = second.err().expect("it is refused");
/// assert!(matches!(error, LocalError::State(_)) && error.to_string().contains("nothing was changed"));
/// # swarm.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log is not the one that the swarm had.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The artifacts cannot be used.
    #[error(transparent)]
    Artifacts(#[from] crate::artifacts::ArtifactError),
    /// The node cannot go on.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// A task was edited after it had started, while its round is open.
    #[error(
        "task {task:?} was changed in the file after it had started, and its round is still open: change it back, let the round end first, or start over with --fresh; nothing was changed"
    )]
    ChangedTask {
        /// Its id.
        task: String,
    },
    /// The file was not checked, and no topology can be as it asks for. Nothing was created.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// Something of the operating system failed.
    #[error("could not {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

impl LocalError {
    /// The exit code of the contracts: 2 usage or configuration, 4 the log is unusable.
    ///
    /// ```
    /// use meshwork::local::LocalError;
    ///
    /// let error = LocalError::ChangedTask { task: "build".to_owned() };
    /// assert_eq!(error.exit_code(), 2);
    /// ```
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::State(_) | Self::ChangedTask { .. } | Self::Topology(_) | Self::System { .. } => 2,
            Self::Mesh(MeshError::Refused(_) | MeshError::TooLarge { .. }) => 2,
            Self::Log(_) | Self::Ledger(_) | Self::Artifacts(_) | Self::Mesh(_) => 4,
        }
    }
}

impl LocalSwarm {
    /// Takes the state folder, ends what a killed run left behind, replays the log and joins.
    /// `file_folder` is what relative paths of the file are relative to; `root` holds the swarms.
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    /// use meshwork::local::{LocalOptions, LocalSwarm};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let state = folder.path().join("state");
    /// let text = "peers = [{ id = \"sh\" }]\ntasks = [{ id = \"hello\", run = \"echo hello\" }]\n";
    /// let file = parse(text, Format::Toml, "swarm.toml")?;
    /// let swarm = LocalSwarm::start(&file, folder.path(), &state, LocalOptions::default()).await?;
    /// assert!(swarm.folder().path().starts_with(&state));
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`LocalError`]. A folder that is locked or damaged is left as it was.
    pub async fn start(
        file: &SwarmFile,
        file_folder: &Path,
        root: &Path,
        options: LocalOptions,
    ) -> Result<Self, LocalError> {
        // The folder of `swarm.toml` is the empty path, which no process can be started in.
        let chosen = TopologyRouter::new().choose(&file.topology_config())?;
        let config = Config { topology: chosen.choice, ..limits_of(file) };
        let file_folder = if file_folder.as_os_str().is_empty() { Path::new(".") } else { file_folder };
        let folder = StateRoot::new(root).folder(&file.swarm.id).map_err(StateError::from)?;
        let now = SystemTime::now();
        let (lock, kept_aside) = if options.fresh { folder.fresh(now)? } else { (folder.lock(now)?, None) };
        let lock = Arc::new(lock);
        failpoint::reach(Point::Locked);
        // First of all: a log that was replaced by an older one is left as it is.
        let memory = HighWaterFile::open(&folder, &lock)?;
        let log = Arc::new(SqliteLog::open(folder.database())?);
        let nonce = folder.nonce(&lock)?;
        failpoint::reach(Point::LeftoversLook);
        let leftovers = process::end_leftovers(&nonce);
        failpoint::reach(Point::LeftoversGone);
        let artifacts: Arc<dyn Artifacts> =
            Arc::new(FolderArtifacts::open_with_limit(folder.artifacts(), file.limits.artifact_bytes)?);
        let broker = Broker::new(broker_config_of(file), Arc::new(DurableMail::new(log.mail())));
        let endpoint = Endpoint::start().map_err(system("listen on loopback for the tools of attempts"))?;
        let spill_dir = folder.path().join("spill");
        fresh_spill(&spill_dir).map_err(system("make the folder for large outputs"))?;
        let host = Arc::new(ProcessHost {
            nonce: nonce.clone(),
            spill_dir,
            endpoint: Some(endpoint.clone()),
            program: options.program,
            grace: process::DEFAULT_GRACE,
            result_bytes: file.limits.artifact_bytes,
        });
        let (all, sleepers) = peers_of(file, file_folder, &host, &folder, &lock)?;
        let ids: Vec<String> = all.iter().map(|peer| peer.spec.id.clone()).collect();
        let opened = crate::mail::register_mailboxes(&broker.0, ids).await;
        opened.map_err(std::io::Error::other).map_err(system("open the mailboxes of the peers"))?;
        failpoint::reach(Point::Mailboxes);
        let (peers, reserve) = staffed(all, chosen.scaling);
        let sessions = file.limits.max_sessions.unwrap_or_else(default_sessions);
        let mesh_options = MeshOptions {
            log: log.clone(),
            artifacts,
            broker,
            node: NODE.to_owned(),
            swarm_id: file.swarm.id.clone(),
            config: config.clone(),
            peers,
            reserve,
            max_sessions: sessions,
            rebalance: (file.mesh.enable_auto_rebalance && file.mesh.enable_load_balancing)
                .then(|| file.mesh.rebalance_interval.duration()),
            imbalance_permille: permille(file.mesh.load_imbalance_threshold),
        };
        let (mesh, ended) = Mesh::start_remembering(mesh_options, memory).await?;
        // From here on the node runs: whatever fails, it is stopped before the lock is free for others.
        let ended = held_until_ended(ended, lock.clone());
        let mesh = StopOnDrop(mesh);
        failpoint::reach(Point::Joined);
        configure(&mesh.0, config).await?;
        let pause_after = file.mesh.pause_idle_after.map(Timespan::duration);
        let wakes = Wakes::start(&mesh.0, &*log, sleepers, pause_after, sessions).await?;
        let socket = folder.prepare_socket(&lock)?;
        let control = Control::serve(&socket, mesh.0.clone()).map_err(system("open the control socket"))?;
        failpoint::reach(Point::SocketReady);
        Ok(Self { mesh, wakes, ended, folder, lock, control, endpoint, log, nonce, leftovers, kept_aside })
    }

    /// Submits what the file holds. Tasks that are there already and have not changed are kept.
    ///
    /// ```
    /// use meshwork::local::Submitted;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let file = hello();
    /// # let swarm = local(folder.path()).await?;
    ///
    /// assert_eq!(swarm.submit(&file).await?, Submitted { new: 1, kept: 0 });
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LocalError::ChangedTask`] before anything is submitted.
    pub async fn submit(&self, file: &SwarmFile) -> Result<Submitted, LocalError> {
        let mut specs: Vec<TaskSpec> = in_order(file).into_iter().map(spec_of).collect();
        self.mesh.0.prepare(&mut specs).await?;
        let contents: Vec<(String, [u64; 2])> =
            specs.iter().map(|spec| (spec.id.clone(), content_hash(spec))).collect();
        let (changed, before) = self
            .mesh
            .0
            .look(move |swarm| {
                let open = swarm.round().map(|round| round.number);
                let changed = contents.into_iter().find_map(|(id, content)| {
                    let task = swarm.task(swarm.find_task(&id)?)?;
                    let differs = Some(task.round) == open && task.content != content;
                    let waits = matches!(task.phase, Phase::Blocked | Phase::Ready | Phase::Assigned { .. });
                    (differs && (task.attempt > 0 || !waits)).then_some(id)
                });
                (changed, swarm.tasks().len())
            })
            .await?;
        if let Some(task) = changed {
            return Err(LocalError::ChangedTask { task });
        }
        let all = specs.len();
        failpoint::reach(Point::Submit);
        let numbers = self.mesh.0.submit(specs).await?;
        failpoint::reach(Point::Submitted);
        let new = numbers.iter().filter(|no| no.index() >= before).count();
        Ok(Submitted { new, kept: all - new })
    }

    /// Seals the open round and waits for its end.
    ///
    /// ```
    /// use meshwork::mesh::RoundEnd;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let file = hello();
    /// # let swarm = local(folder.path()).await?;
    ///
    /// swarm.submit(&file).await?;
    /// assert!(matches!(swarm.complete().await?, RoundEnd::Closed(round) if round.failed == 0));
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log becomes unusable.
    pub async fn complete(&self) -> Result<RoundEnd, LocalError> {
        Ok(self.mesh.0.complete().await?)
    }

    /// The node.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    /// assert_eq!(swarm.mesh().swarm_id(), "demo");
    /// let peers = swarm.mesh().look(|swarm| swarm.peers().len()).await?;
    /// assert_eq!(peers, 1);
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn mesh(&self) -> &Mesh {
        &self.mesh.0
    }

    /// The state folder.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    /// assert_eq!(swarm.folder().id(), "demo");
    /// assert!(swarm.folder().is_locked()?);
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn folder(&self) -> &StateFolder {
        &self.folder
    }

    /// The lock on the state folder: what writes there asks for it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    /// swarm.folder().write_report(b"{}", swarm.lock())?;
    /// assert!(swarm.folder().report().exists());
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lock(&self) -> &FolderLock {
        &self.lock
    }

    /// The log.
    ///
    /// ```
    /// use meshwork::log::Log as _;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    ///
    /// assert!(swarm.log().last().await? > 0, "it was opened, and the node has joined");
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn log(&self) -> &Arc<SqliteLog> {
        &self.log
    }

    /// Processes of a killed run that were ended at the start.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    /// assert!(swarm.leftovers().is_empty(), "no run was killed here before");
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn leftovers(&self) -> &[Leftover] {
        &self.leftovers
    }

    /// Where `fresh` put the old folder.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (file, root) = (hello(), folder.path().join("state"));
    /// # let swarm = local(folder.path()).await?;
    /// swarm.shutdown().await?;
    /// let options = LocalOptions { fresh: true, ..LocalOptions::default() };
    /// let swarm = LocalSwarm::start(&file, folder.path(), &root, options).await?;
    /// assert!(swarm.kept_aside().expect("there was a folder").ends_with("demo.old-1"));
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn kept_aside(&self) -> Option<&Path> {
        self.kept_aside.as_deref()
    }

    /// What waking idle peers cost in this run, and what pausing them saved; `None`: no peer has a `wake_interval`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    /// assert!(swarm.savings().is_none(), "nobody is woken here");
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn savings(&self) -> Option<Savings> {
        self.wakes.as_ref().map(Wakes::savings)
    }

    /// Asks the node to stop; may be asked again, more firmly.
    ///
    /// ```
    /// use meshwork::mesh::Stop;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    ///
    /// swarm.stop(Stop::Gently); // and `shutdown` waits for it
    /// # swarm.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self, how: Stop) {
        if let Some(wakes) = &self.wakes {
            wakes.stop(how == Stop::Now);
        }
        self.mesh.0.stop(how);
    }

    /// Stops gently, waits until nothing runs, and closes the log. The lock is held until the end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let swarm = local(folder.path()).await?;
    /// let state = swarm.folder().clone();
    /// swarm.shutdown().await?;
    /// assert!(!state.is_locked()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log could not be closed in order; what was acknowledged is in it all the same.
    pub async fn shutdown(self) -> Result<(), LocalError> {
        drop(self.control);
        self.folder.remove_socket(&self.lock);
        self.mesh.0.stop(Stop::Gently);
        if let Some(wakes) = self.wakes {
            wakes.end().await;
        }
        let ended = self
            .ended
            .await
            .map_err(|error| LocalError::System { what: "end the node", error: std::io::Error::other(error) })?;
        self.endpoint.shutdown().await;
        // The lock is still held: what carries this swarm's mark now was missed when its attempt ended.
        for stray in process::end_all(&self.nonce) {
            tracing::warn!(pid = stray.pid, command = stray.command, "a process had outlived its attempt");
        }
        Ok(ended?)
    }
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> LocalError {
    move |error| LocalError::System { what, error }
}

/// Waits for the node's end and holds the lock for as long.
pub(crate) fn held_until_ended(
    ended: JoinHandle<Result<(), MeshError>>,
    lock: Arc<FolderLock>,
) -> JoinHandle<Result<(), MeshError>> {
    tokio::spawn(async move {
        let ended = ended.await;
        drop(lock);
        // A driver that panicked has stopped; what it had appended is in the log.
        ended.unwrap_or(Err(MeshError::Stopped))
    })
}

/// Limits and budgets that were edited since the log was opened are in force from here on.
pub(crate) async fn configure(mesh: &Mesh, config: Config) -> Result<(), MeshError> {
    let wanted = config.clone();
    if mesh.look(move |swarm| *swarm.config() != wanted).await? {
        mesh.decide(Op::Configure { config }).await?;
    }
    Ok(())
}

fn broker_config_of(file: &SwarmFile) -> BrokerConfig {
    BrokerConfig {
        mailbox_capacity: file.limits.mailbox_messages,
        max_message_bytes: usize::try_from(file.limits.message_bytes).unwrap_or(usize::MAX),
        ..BrokerConfig::default()
    }
}

/// What an earlier run left in the folder belongs to attempts that are over.
fn fresh_spill(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(folder)
}

fn permille(threshold: f64) -> u64 {
    // Checked to be at least 1 when the file was read; beyond 1,000,000 everything is balanced.
    (threshold.clamp(1.0, 1e6) * 1_000.0) as u64
}

/// One session a core, and no more than the memory holds; at least one.
fn default_sessions() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    let by_memory = memory.map_or(u64::MAX, |kib| kib * 1_024 / SESSION_BYTES);
    // Sessions mostly wait for their model: four a core.
    u32::try_from((4 * cores).min(by_memory).max(1)).unwrap_or(u32::MAX)
}

/// Those who are there from the start, and those who come and go: under a queen with workers the first peer of the file is
/// the queen, the next ones are her least workers, and all but her are in reserve.
fn staffed(all: Vec<PeerSetup>, scaling: Option<Scaling>) -> (Vec<PeerSetup>, Option<Reserve>) {
    // Where all that are allowed are there from the start, nobody comes or goes.
    let comes_and_goes = |scaling: &Scaling| all.len() > 1 + scaling.min_workers as usize;
    let Some(scaling) = scaling.filter(comes_and_goes) else { return (all, None) };
    let workers = all.iter().skip(1).cloned().collect();
    let first = all.into_iter().take(1 + scaling.min_workers as usize).collect();
    (first, Some(Reserve { scaling, workers, patience: PATIENCE }))
}

/// What `apply` needs to know, from the file, but for the topology.
fn limits_of(file: &SwarmFile) -> Config {
    let limits = &file.limits;
    Config {
        limits: Limits {
            tasks: limits.tasks,
            depth: limits.subtask_depth,
            children: limits.children_per_task,
            crashes: limits.crash_attempts,
            interruptions: limits.interruptions,
            ..Limits::default()
        },
        token_budget: limits.token_budget,
        retry_backoff_ms: limits.retry_backoff.millis(),
        load_balancing: file.mesh.enable_load_balancing,
        strategy: file.swarm.strategy.requested().into(),
        ..Config::default()
    }
}

fn peers_of(
    file: &SwarmFile,
    file_folder: &Path,
    host: &Arc<ProcessHost>,
    folder: &StateFolder,
    lock: &FolderLock,
) -> Result<(Vec<PeerSetup>, Vec<Sleeper>), LocalError> {
    let (mut peers, mut sleepers) = (Vec::new(), Vec::new());
    for (id, peer) in file.expanded_peers() {
        let program = match peer.agent.kind {
            AgentKind::Shell => Program::Shell,
            AgentKind::Command => Program::Command(peer.agent.command.clone()),
        };
        let cwd = peer.agent.cwd.as_ref().map_or_else(|| file_folder.to_path_buf(), |cwd| file_folder.join(cwd));
        let env = peer.agent.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let log = folder.open_peer_log(&id, lock)?;
        let agent = Arc::new(ProcessAgent::new(host.clone(), program, cwd, env, Some(log)));
        if let Some(every) = peer.wake_interval {
            // Peers of one entry are of one kind: they cost about the same.
            let (id, every, kind) = (id.clone(), every.duration(), peer.id.clone());
            sleepers.push(Sleeper { id, every, kind, agent: agent.clone() });
        }
        let spec = PeerSpec {
            id,
            capabilities: peer.capabilities.clone(),
            slots: peer.slots(&file.mesh),
            uses_session: agent.uses_session(),
            token_budget: peer.token_budget,
        };
        peers.push(PeerSetup { spec, agent });
    }
    Ok((peers, sleepers))
}

/// The file's tasks, each behind its dependencies; the file was checked to have no cycle.
fn in_order(file: &SwarmFile) -> Vec<&file::Task> {
    let index: BTreeMap<&str, usize> = file.tasks.iter().enumerate().map(|(at, task)| (&*task.id, at)).collect();
    let mut state = vec![0u8; file.tasks.len()];
    let mut order = Vec::with_capacity(file.tasks.len());
    for root in 0..file.tasks.len() {
        let mut stack = vec![(root, 0)];
        while let Some((at, next)) = stack.pop() {
            if state[at] == 2 {
                continue;
            }
            state[at] = 1;
            let dependencies = &file.tasks[at].dependencies;
            match dependencies.get(next) {
                Some(dependency) => {
                    stack.push((at, next + 1));
                    if let Some(on) = index.get(&**dependency).filter(|on| state[**on] == 0) {
                        stack.push((*on, 0));
                    }
                }
                None => {
                    state[at] = 2;
                    order.push(&file.tasks[at]);
                }
            }
        }
    }
    order
}

/// A task of the file as it is submitted.
///
/// ```
/// use meshwork::file::Task;
/// use meshwork::local::spec_of;
///
/// let spec = spec_of(&Task { run: Some("cargo test".to_owned()), ..Task::new("test") });
/// assert_eq!((&*spec.id, spec.priority, spec.run.as_deref()), ("test", 5, Some("cargo test")));
/// ```
pub fn spec_of(task: &file::Task) -> TaskSpec {
    TaskSpec {
        id: task.id.clone(),
        kind: task.task_type.clone(),
        description: task.description.clone(),
        requires: task.required_capabilities.clone(),
        priority: task.priority,
        dependencies: task.dependencies.clone(),
        retries: task.retries,
        timeout_ms: task.timeout.map(|timeout| timeout.millis()),
        run: task.run.clone(),
        input: task.input.as_ref().map(|input| Payload::Json(input.to_string())),
        on_dependency_failure: match task.on_dependency_failure {
            OnDependencyFailure::Fail => DependencyPolicy::Fail,
            OnDependencyFailure::Skip => DependencyPolicy::Skip,
            OnDependencyFailure::Run => DependencyPolicy::Run,
        },
        verify: task
            .verify
            .as_ref()
            .map(|verify| Verify { run: verify.run.clone(), artifacts: verify.artifacts.clone() }),
        review: task.review.as_ref().map(file::Review::spec),
        prefers: None,
    }
}
