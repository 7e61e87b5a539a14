//! A node that runs: the core's rules, driven by real time, a real log and real bodies.
//!
//! [`Mesh`] is the handle; the driver holds the loop. The driver never awaits a peer: bodies are tasks of
//! their own that report back through one queue.

mod agent;
mod body;
mod driver;
mod evidence;
mod handing;
mod history;
mod hosting;
mod mark;
mod process_agent;
mod specs;
mod tools;

pub use agent::{Agent, Attempt, AttemptEnd, Control, FnAgent, Output};
pub(crate) use process_agent::WakeTurn;
pub use process_agent::{ProcessAgent, ProcessHost, Program};
pub use tools::{ChildEnd, Tools, ToolsError};

use crate::artifacts::{ArtifactError, Artifacts};
use crate::broker::Broker;
use crate::high_water::{HighWaterFile, LedgerError};
use crate::log::{Log, LogError};
use driver::{Command, Event};
use meshwork_core::node::Answer;
use meshwork_core::topology::Scaling;
use meshwork_core::{
    ClosedRound, CodecError, Config, LogFault, Op, Payload, PeerSpec, Refusal, Submission, Swarm, TaskNo, TaskSpec,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Larger inputs and results become artifacts (contracts, section 5).
pub const INLINE_BYTES: usize = 32 << 10;
/// Encoded bytes of one part of a submission: well below an entry's limit, so that a part with many
/// small tasks is one entry and a large one is not refused.
const PART_BYTES: usize = 48 << 10;
/// Bytes that one task may have with all its texts and dependencies: the entry of a task that joins many
/// others is larger than others may be, and has to fit a batch.
const TASK_BYTES: usize = 480 << 10;

/// A peer that this node hosts.
///
/// ```
/// use meshwork::mesh::{AttemptEnd, FnAgent, Output, PeerSetup};
/// use meshwork_core::PeerSpec;
/// use std::sync::Arc;
///
/// let agent = FnAgent::new(|_| async { AttemptEnd::ok(Output::None) });
/// let spec = PeerSpec { capabilities: vec!["review".to_owned()], slots: 4, ..PeerSpec::new("ada") };
/// let peer = PeerSetup { spec, agent: Arc::new(agent) };
/// assert_eq!((&*peer.spec.id, peer.spec.slots), ("ada", 4));
/// ```
#[derive(Clone)]
pub struct PeerSetup {
    /// What it announces; `uses_session` is taken from its agent.
    pub spec: meshwork_core::PeerSpec,
    /// What runs its tasks.
    pub agent: Arc<dyn Agent>,
}

/// Workers that come when the queen of a hierarchy wants them, and go when she does not: see
/// [`Queen`](meshwork_core::topology::Queen).
///
/// ```
/// use meshwork::mesh::{AttemptEnd, FnAgent, Output, PeerSetup, Reserve};
/// use meshwork_core::PeerSpec;
/// use meshwork_core::topology::Scaling;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let agent = Arc::new(FnAgent::new(|_| async { AttemptEnd::ok(Output::None) }));
/// let worker = |no| PeerSetup { spec: PeerSpec::new(format!("worker-{no}")), agent: agent.clone() };
/// let reserve = Reserve {
///     scaling: Scaling { min_workers: 1, max_workers: 4, auto: true, threshold_permille: 800 },
///     workers: (1..=4).map(worker).collect(),
///     patience: Duration::from_secs(1),
/// };
/// assert_eq!(reserve.scaling.validate(), Ok(()));
/// ```
#[derive(Clone)]
pub struct Reserve {
    /// How many there are to be.
    pub scaling: Scaling,
    /// All workers that may be there, those that are there from the start included; called in this order.
    pub workers: Vec<PeerSetup>,
    /// How long the load has to be low before workers go.
    pub patience: std::time::Duration,
}

/// How a node is started.
///
/// ```
/// # use meshwork::artifacts::FolderArtifacts;
/// # use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
/// use meshwork::log::MemoryLog;
/// use meshwork::mesh::MeshOptions;
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let artifacts = Arc::new(FolderArtifacts::open(folder.path())?);
/// let broker = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let options = MeshOptions {
///     swarm_id: "nightly".to_owned(),
///     max_sessions: 2,
///     ..MeshOptions::new(Arc::new(MemoryLog::new()), artifacts, broker)
/// };
/// assert!(options.peers.is_empty(), "peers may also come later, by `Mesh::add_peer`");
/// # Ok(())
/// # }
/// ```
pub struct MeshOptions {
    /// The log. An empty one is opened with `swarm_id` and `config`.
    pub log: Arc<dyn Log>,
    /// Where artifacts are kept.
    pub artifacts: Arc<dyn Artifacts>,
    /// Messages between peers, and the attempts whose messages were all acknowledged.
    pub broker: (Broker, crate::broker::Settled),
    /// The node's name; one that joins again under its name replaces what it was.
    pub node: String,
    /// The swarm's id.
    pub swarm_id: String,
    /// Settings for a log that is not open yet.
    pub config: Config,
    /// The peers that are there from the start.
    pub peers: Vec<PeerSetup>,
    /// Workers that come and go with the load; `None`: those that are there stay.
    pub reserve: Option<Reserve>,
    /// Agent sessions that this node may hold at once.
    pub max_sessions: u32,
    /// Look at the balance this often; `None`: never.
    pub rebalance: Option<std::time::Duration>,
    /// Rebalance when the largest load is over this multiple of the mean, in thousandths.
    pub imbalance_permille: u64,
}

impl MeshOptions {
    /// The node `local` of the swarm `swarm`, with default settings: without peers, which may come later, without limit
    /// on sessions, and without rebalancing.
    ///
    /// ```
    /// # use meshwork::artifacts::FolderArtifacts;
    /// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
    /// use meshwork::log::MemoryLog;
    /// use meshwork::mesh::MeshOptions;
    /// use std::sync::Arc;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let artifacts = Arc::new(FolderArtifacts::open(folder.path())?);
    /// let broker = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    /// let options = MeshOptions::new(Arc::new(MemoryLog::new()), artifacts, broker);
    /// assert_eq!((&*options.node, &*options.swarm_id), ("local", "swarm"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(log: Arc<dyn Log>, artifacts: Arc<dyn Artifacts>, broker: (Broker, crate::broker::Settled)) -> Self {
        Self {
            log,
            artifacts,
            broker,
            node: "local".to_owned(),
            swarm_id: "swarm".to_owned(),
            config: Config::default(),
            peers: Vec::new(),
            reserve: None,
            max_sessions: u32::MAX,
            rebalance: None,
            imbalance_permille: 1_500,
        }
    }
}

/// Why a node could not go on, or a wish was not granted.
///
/// ```
/// use meshwork::mesh::MeshError;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// use meshwork_core::Refusal;
///
/// // Two tasks of one submission that wait for each other: the later one does not exist yet.
/// let first = TaskSpec { dependencies: vec!["second".to_owned()], ..TaskSpec::new("first") };
/// let error = mesh.submit(vec![first, TaskSpec::new("second")]).await.expect_err("it is refused");
/// assert!(matches!(error, MeshError::Refused(Refusal::UnknownDependency { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
pub enum MeshError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] Arc<LogError>),
    /// The log is not what it was.
    #[error("the log cannot be applied: {0}; nothing further was applied")]
    Fault(#[from] LogFault),
    /// The log holds bytes that are not a batch.
    #[error("the log cannot be read: {0}; nothing further was applied")]
    Codec(#[from] CodecError),
    /// The swarm in the log has another id.
    #[error("the log belongs to swarm {found:?}, expected {expected:?}; nothing was changed")]
    OtherSwarm {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Decided, and refused: nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Over the limit of an entry.
    #[error("the entry has {found} bytes, the limit is {most}; nothing was changed")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// An input or result could not be kept as an artifact.
    #[error("could not keep an artifact: {0}")]
    Artifact(Arc<ArtifactError>),
    /// A result that was written to a file could not be read back.
    #[error("could not read a result from {path}: {error}")]
    Output {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        error: Arc<std::io::Error>,
    },
    /// The log does not hold what this node had applied, or how far that was cannot be kept.
    #[error(transparent)]
    Ledger(Arc<LedgerError>),
    /// There is no such node, or it is not present any more.
    #[error("no node {node:?} is present; nothing was changed")]
    NodeNotPresent {
        /// Its name.
        node: String,
    },
    /// A peer was announced without what runs its tasks.
    #[error("peer {peer:?} has no agent here; nothing was changed")]
    NoAgent {
        /// The peer.
        peer: String,
    },
    /// The node lost its place in the mesh before this was decided.
    #[error("the node was given up on before this was decided; it may be asked again")]
    NodeLost,
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl From<LogError> for MeshError {
    fn from(error: LogError) -> Self {
        Self::Log(Arc::new(error))
    }
}

impl From<LedgerError> for MeshError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Arc::new(error))
    }
}

impl From<ArtifactError> for MeshError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(Arc::new(error))
    }
}

/// Counts of a running swarm, brought up to date after each batch.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// mesh.submit(vec![TaskSpec::new("build"), TaskSpec::new("test")]).await?;
/// mesh.complete().await?;
///
/// let status = *mesh.status().borrow();
/// assert_eq!((status.round, status.completed, status.open), (1, 2, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The open round, or the last one.
    pub round: u32,
    /// Tasks of the round that are not closed.
    pub open: u32,
    /// Tasks of the round that completed.
    pub completed: u32,
    /// Tasks of the round that closed otherwise.
    pub failed: u32,
    /// Tasks with a present grant.
    pub running: u32,
    /// Ready and assigned tasks.
    pub waiting: u32,
    /// Sequence number of the last batch applied.
    pub seq: u64,
}

/// How a round went for somebody who waited for it.
///
/// ```
/// use meshwork::mesh::RoundEnd;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// // Nobody here can do what it asks for, so the round cannot close.
/// let task = TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new("frame") };
/// mesh.submit(vec![task]).await?;
/// assert_eq!(mesh.complete().await?, RoundEnd::Stalled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// It closed: completion.
    Closed(ClosedRound),
    /// No round was open; this is the last one that closed, if any did.
    Empty(Option<ClosedRound>),
    /// Nothing runs, nothing is awaited, and tasks are open: no peer can ever run what is left, or a
    /// budget is spent.
    Stalled,
}

/// How to stop.
///
/// ```
/// use meshwork::mesh::Stop;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// mesh.stop(Stop::Gently);
/// mesh.stop(Stop::Now); // more firmly
/// ended.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// No new work; bodies are asked to end, and their attempts count as interrupted at no cost.
    Gently,
    /// The same, and bodies are killed at once.
    Now,
}

/// A running node. Clones are handles to the same one.
///
/// ```
/// use meshwork::mesh::{RoundEnd, Stop};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
///
/// let (mesh, ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
/// let built = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
/// mesh.submit(vec![TaskSpec::new("build"), built]).await?;
/// let RoundEnd::Closed(round) = mesh.complete().await? else { panic!("nothing else was asked for") };
/// assert_eq!((round.number, round.ok, round.failed), (1, 2, 0));
///
/// mesh.stop(Stop::Gently);
/// ended.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mesh {
    commands: mpsc::Sender<Command>,
    events: mpsc::UnboundedSender<Event>,
    status: watch::Receiver<Status>,
    artifacts: Arc<dyn Artifacts>,
    swarm_id: Arc<str>,
    specs: Arc<specs::Specs>,
    broker: Broker,
    /// Held by a submission in parts: the log knows one at a time of each node, and another's last part would end it.
    submitting: Arc<tokio::sync::RwLock<()>>,
    /// Whether there is a queen, by the last batch applied: then tasks are handed out by her.
    has_queen: Arc<std::sync::atomic::AtomicBool>,
    /// Why the node stopped, when it did not stop in order.
    cause: Arc<std::sync::OnceLock<MeshError>>,
}

impl Mesh {
    /// What to tell somebody whose wish nobody takes any more.
    fn stopped(&self) -> MeshError {
        self.cause.get().cloned().unwrap_or(MeshError::Stopped)
    }

    /// Starts a node: replays the log, joins, announces its peers. Resolves when it is a member; the
    /// second value resolves when it has stopped.
    ///
    /// ```
    /// use meshwork::mesh::{MeshError, Stop};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let options = options(folder.path());
    /// # let log = options.log.clone();
    ///
    /// let (mesh, ended) = Mesh::start(options).await?;
    /// assert_eq!(mesh.swarm_id(), "swarm");
    ///
    /// // The log remembers whose it is.
    /// # let options = demo::options(folder.path());
    /// let other = MeshOptions { swarm_id: "other".to_owned(), log, ..options };
    /// let error = Mesh::start(other).await.err().expect("it is refused");
    /// assert!(matches!(error, MeshError::OtherSwarm { found, .. } if found == "swarm"));
    ///
    /// mesh.stop(Stop::Gently);
    /// ended.await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log cannot be read or applied, or belongs to another swarm; then nothing was written.
    pub async fn start(
        options: MeshOptions,
    ) -> Result<(Self, tokio::task::JoinHandle<Result<(), MeshError>>), MeshError> {
        driver::start(options, None).await
    }

    /// The same for a node that remembers, outside of its log, how far it has applied it: a log that does not hold that
    /// is refused, and no completion is told before it is remembered.
    ///
    /// ```
    /// use meshwork::high_water::{HighWater, HighWaterFile};
    /// use meshwork::mesh::Stop;
    /// use meshwork::state::StateRoot;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let options = options(folder.path());
    ///
    /// let state = StateRoot::new(folder.path().join("state")).folder("demo")?;
    /// let lock = Arc::new(state.lock(std::time::SystemTime::now())?);
    /// let memory = HighWaterFile::open(&state, &lock)?;
    ///
    /// let (mesh, ended) = Mesh::start_remembering(options, memory).await?;
    /// mesh.stop(Stop::Gently);
    /// ended.await??;
    /// assert!(HighWater::read(&state)?.is_some(), "how far it had applied its log");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Mesh::start`], and [`LedgerError::LedgerRegressed`].
    pub async fn start_remembering(
        options: MeshOptions,
        memory: HighWaterFile,
    ) -> Result<(Self, tokio::task::JoinHandle<Result<(), MeshError>>), MeshError> {
        driver::start(options, Some(memory)).await
    }

    async fn ask(&self, op: Op) -> Result<(meshwork_core::Position, Vec<TaskNo>), MeshError> {
        let (answer, decided) = oneshot::channel();
        self.commands.send(Command::Wish { op, answer }).await.map_err(|_| self.stopped())?;
        match decided.await.map_err(|_| self.stopped())?? {
            Answer::Accepted { position, tasks } => Ok((position, tasks)),
            Answer::Refused(refusal) => Err(refusal.into()),
            Answer::TooLarge { found, most } => Err(MeshError::TooLarge { found, most }),
            Answer::NodeLost => Err(MeshError::NodeLost),
        }
    }

    /// Has something decided; resolves when it is durable and applied.
    ///
    /// ```
    /// use meshwork::mesh::MeshError;
    /// use meshwork_core::{Op, Refusal};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.submit(vec![TaskSpec::new("build")]).await?;
    /// let sealed = mesh.decide(Op::Seal { round: 1 }).await?;
    /// assert!(sealed.seq() > 0, "a position in the log");
    ///
    /// let error = mesh.decide(Op::Seal { round: 7 }).await.expect_err("there is no such round");
    /// assert!(matches!(error, MeshError::Refused(Refusal::RoundNotOpen { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MeshError::Refused`] when it was judged and refused. Who is a member is the node's own affair:
    /// [`Op::Open`] and [`Op::Join`] are refused here, and so is [`Op::PeerUp`]: a peer comes with its agent, by
    /// [`Mesh::add_peer`].
    pub async fn decide(&self, op: Op) -> Result<meshwork_core::Position, MeshError> {
        match op {
            Op::Open { .. } | Op::Join { .. } => return Err(Refusal::AlreadyOpen.into()),
            Op::PeerUp(PeerSpec { id, .. }) => return Err(MeshError::NoAgent { peer: id }),
            _ => {}
        }
        self.ask(op).await.map(|(position, _)| position)
    }

    /// Submits tasks; each lists only dependencies that exist or stand earlier. A large submission is
    /// written in parts, none of which starts before the last.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let test = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
    /// let tasks = mesh.submit(vec![TaskSpec::new("build"), test]).await?;
    /// assert_eq!(tasks.len(), 2);
    ///
    /// // The same again: what is there and has not changed keeps its number.
    /// assert_eq!(mesh.submit(vec![TaskSpec::new("build")]).await?, tasks[..1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MeshError::Refused`] names what is wrong; earlier parts stay submitted, and the submission ends.
    pub async fn submit(&self, mut tasks: Vec<TaskSpec>) -> Result<Vec<TaskNo>, MeshError> {
        self.prepare(&mut tasks).await?;
        self.hand_out(&mut tasks, None).await?;
        if tasks.iter().map(task_bytes).sum::<usize>() <= PART_BYTES {
            // One entry: beside others like it, but not between the parts of a large one.
            let _shared = self.submitting.read().await;
            let submission = Submission { tasks, parent: None, more: false };
            return Ok(self.ask(Op::Submit(submission)).await?.1);
        }
        // A task of its own: one that its caller gave up half-way would hold its round open for ever.
        let mesh = self.clone();
        let submitted = tokio::spawn(async move {
            let turn = mesh.submitting.clone();
            let _turn = turn.write().await;
            mesh.submit_as(tasks, None).await
        });
        // It does not panic; a runtime that shuts down ends it, and the node with it.
        submitted.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    async fn submit_as(
        &self,
        mut tasks: Vec<TaskSpec>,
        parent: Option<(TaskNo, meshwork_core::Grant)>,
    ) -> Result<Vec<TaskNo>, MeshError> {
        self.prepare(&mut tasks).await?;
        let mut parts = parts(tasks);
        let last = parts.pop().unwrap_or_default();
        let mut numbers = Vec::new();
        let more = parent.is_none();
        for tasks in parts {
            let part = self.ask(Op::Submit(Submission { tasks, parent, more })).await;
            match part {
                Ok((_, part)) => numbers.extend(part),
                Err(error) => {
                    // What was submitted before may start: nobody is left waiting for the rest.
                    let end = Submission { tasks: Vec::new(), parent, more: false };
                    let _refused_when_nothing_pends = self.ask(Op::Submit(end)).await;
                    return Err(error);
                }
            }
        }
        let (_, part) = self.ask(Op::Submit(Submission { tasks: last, parent, more: false })).await?;
        numbers.extend(part);
        Ok(numbers)
    }

    /// Makes tasks what the log holds of them: large inputs are in the artifact store. Their content hash is that
    /// of what is submitted from here on. Refuses a task that no entry can hold before anything is submitted.
    pub(crate) async fn prepare(&self, tasks: &mut [TaskSpec]) -> Result<(), MeshError> {
        for task in tasks {
            self.store_large_input(task).await?;
            let found = task_bytes(task);
            if found > TASK_BYTES {
                return Err(MeshError::TooLarge { found, most: TASK_BYTES });
            }
        }
        Ok(())
    }

    async fn store_large_input(&self, task: &mut TaskSpec) -> Result<(), MeshError> {
        if let Some(Payload::Json(text)) = &task.input
            && text.len() > INLINE_BYTES
        {
            let bytes = text.len() as u64;
            let key = format!("inputs/{}", blake3::hash(text.as_bytes()).to_hex());
            self.artifacts.store(&key, text.clone().into()).await?;
            task.input = Some(Payload::Artifact { key, bytes });
        }
        Ok(())
    }

    /// Looks at the swarm as this node has read it. `look` runs between two batches and should be quick.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.submit(vec![TaskSpec::new("build")]).await?;
    /// let ids = mesh.look(|swarm| swarm.tasks().map(|(_, task)| task.id.to_string()).collect::<Vec<_>>()).await?;
    /// assert_eq!(ids, ["build"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MeshError::Stopped`], or why the node stopped.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Swarm) -> T + Send + 'static,
    ) -> Result<T, MeshError> {
        let (answer, seen) = oneshot::channel();
        let look = Box::new(move |swarm: &Swarm| {
            let _nobody_waits = answer.send(look(swarm));
        });
        self.commands.send(Command::Look(look)).await.map_err(|_| self.stopped())?;
        seen.await.map_err(|_| self.stopped())
    }

    /// Seals the open round and waits until it closes, or until nothing can close it.
    ///
    /// ```
    /// use meshwork::mesh::RoundEnd;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.submit(vec![TaskSpec::new("build")]).await?;
    /// let RoundEnd::Closed(round) = mesh.complete().await? else { panic!("ada can do it") };
    /// assert_eq!((round.ok, round.failed), (1, 0));
    ///
    /// // No round is open any more: this is the last one that closed.
    /// assert_eq!(mesh.complete().await?, RoundEnd::Empty(Some(round)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the node stops before.
    pub async fn complete(&self) -> Result<RoundEnd, MeshError> {
        if let Some(round) = self.look(|swarm| swarm.round().map(|round| round.number)).await? {
            match self.decide(Op::Seal { round }).await {
                // It closed by another's seal in the meantime.
                Ok(_) | Err(MeshError::Refused(Refusal::RoundNotOpen { .. })) => {}
                Err(error) => return Err(error),
            }
            return self.await_round(Some(round)).await;
        }
        self.await_round(None).await
    }

    async fn await_round(&self, round: Option<u32>) -> Result<RoundEnd, MeshError> {
        let (answer, ended) = oneshot::channel();
        self.commands.send(Command::AwaitRound { round, answer }).await.map_err(|_| self.stopped())?;
        ended.await.map_err(|_| self.stopped())?
    }

    /// Gives up on a node, for an operator or a failure detector that has not heard of it: all its peers are gone, what
    /// they ran is interrupted (the attempt keeps its number) and goes to others. Resolves when that is decided.
    ///
    /// Being wrong costs time, never truth: whatever the node says under its old incarnation is refused from there on,
    /// and its results are kept as rejected attempts. When it reads of its loss it ends its bodies and joins anew.
    ///
    /// ```
    /// use meshwork::mesh::MeshError;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// // "local" is this very node: when it reads of its loss, it joins anew.
    /// mesh.give_up_on("local").await?;
    ///
    /// let error = mesh.give_up_on("nobody").await.expect_err("it never was");
    /// assert!(matches!(error, MeshError::NodeNotPresent { node } if node == "nobody"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MeshError::NodeNotPresent`] when no node of this name is present: it has left, was given up on, or never was.
    /// [`Refusal::HeardSince`] within [`MeshError::Refused`] when an entry of it came in the meantime: it is alive, and
    /// may be asked about again. Nothing was changed then.
    pub async fn give_up_on(&self, node: &str) -> Result<meshwork_core::Position, MeshError> {
        let name = node.to_owned();
        let look = self.look(move |swarm| {
            let found = swarm.present_nodes().find(|(_, node)| *node.name == *name);
            found.map(|(_, node)| (node.incarnation, node.heard))
        });
        let (incarnation, heard) = look.await?.ok_or_else(|| MeshError::NodeNotPresent { node: node.to_owned() })?;
        self.decide(Op::NodeLost { incarnation, heard }).await
    }

    /// What a task returned with its last attempt.
    ///
    /// ```
    /// use meshwork_core::Payload;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let tasks = mesh.submit(vec![TaskSpec::new("build")]).await?;
    /// mesh.complete().await?;
    /// let returned = mesh.result(tasks[0]).await?.expect("it has returned");
    /// assert_eq!(returned.result, Some(Payload::Json("42".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn result(&self, task: TaskNo) -> Result<Option<meshwork_core::Returned>, MeshError> {
        let at = self.look(move |swarm| swarm.task(task).map(|task| task.returned_at)).await?;
        match at {
            Some(at) => self.returned(at).await,
            None => Ok(None),
        }
    }

    /// What the attempt returned whose return stands there in the log; nothing at the log's start.
    pub(crate) async fn returned(
        &self,
        at: meshwork_core::Position,
    ) -> Result<Option<meshwork_core::Returned>, MeshError> {
        if at == meshwork_core::Position::START { Ok(None) } else { self.specs.returned(at).await }
    }

    /// Counts, brought up to date after each batch.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let mut status = mesh.status();
    /// mesh.submit(vec![TaskSpec::new("build")]).await?;
    /// let done = *status.wait_for(|status| status.completed == 1).await?;
    /// assert_eq!(done.open, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Where artifacts are kept.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.artifacts().store("notes/plan.md", "first things first".into()).await?;
    /// assert_eq!(mesh.artifacts().retrieve("notes/plan.md").await?, "first things first");
    /// # Ok(())
    /// # }
    /// ```
    pub fn artifacts(&self) -> &Arc<dyn Artifacts> {
        &self.artifacts
    }

    /// Messages between this node's peers.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let me = mesh.broker().outside("someone");
    /// assert!(me.is_alive());
    /// assert_eq!(mesh.broker().in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The swarm's id.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// assert_eq!(mesh.swarm_id(), "swarm");
    /// # Ok(())
    /// # }
    /// ```
    pub fn swarm_id(&self) -> &str {
        &self.swarm_id
    }

    /// Asks the node to stop; may be asked again, more firmly. The join handle of [`Mesh::start`] tells
    /// when it has.
    ///
    /// ```
    /// use meshwork::mesh::{MeshError, Stop};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.stop(Stop::Gently);
    /// ended.await??;
    /// let error = mesh.submit(vec![TaskSpec::new("late")]).await.expect_err("nobody takes it any more");
    /// assert!(matches!(error, MeshError::Stopped));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self, how: Stop) {
        // A node that is gone has stopped.
        let _gone = self.events.send(Event::Stop(how));
    }
}

/// A result as the log holds it, for the fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn output_as_json(output: &[u8]) -> String {
    body::as_json(output)
}

/// Splits tasks so that each part fits an entry, in order.
fn parts(tasks: Vec<TaskSpec>) -> Vec<Vec<TaskSpec>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for task in tasks {
        let size = task_bytes(&task);
        if bytes + size > PART_BYTES && bytes > 0 {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        parts.last_mut().expect("there is always a last part").push(task);
    }
    parts
}

/// About what a task takes in an entry, never less: its texts and 64 bytes for the numbers and lengths.
fn task_bytes(task: &TaskSpec) -> usize {
    let lists = task.requires.iter().chain(&task.dependencies).map(|text| text.len() + 3).sum::<usize>();
    let input = match &task.input {
        None => 0,
        Some(Payload::Json(text)) => text.len(),
        Some(Payload::Artifact { key, .. }) => key.len(),
    };
    let verify = task.verify.as_ref().map_or(0, |verify| {
        verify.run.as_ref().map_or(0, String::len) + verify.artifacts.iter().map(|name| name.len() + 3).sum::<usize>()
    });
    let review = task.review.as_ref().map_or(0, |review| {
        review.run.as_ref().map_or(0, String::len) + review.requires.iter().map(|name| name.len() + 3).sum::<usize>()
    });
    let texts = task.id.len() + task.kind.len() + task.description.len() + task.run.as_ref().map_or(0, String::len);
    64 + texts + lists + input + verify + review
}
