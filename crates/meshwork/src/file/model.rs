//! The swarm file as plain data. Doc comments here are the descriptions in the published schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Timespan;
use crate::topology::{CoordinationStrategy, QueenAgentConfig, TopologyConfig, TopologyType};

/// What a priority has to be; errors quote it.
pub(super) const EXPECTED_PRIORITY: &str = "a whole number from 1 to 10";

/// A swarm: who the peers are, what they can do, what has to be done and what depends on what.
///
/// ```
/// use meshwork::file::{Format, parse};
///
/// let text = r#"
///     swarm.id = "demo"
///     [[peers]]
///     id = "ada"
///     count = 2
///     capabilities = ["code"]
///     [[tasks]]
///     id = "build"
///     run = "make"
///     [[tasks]]
///     id = "test"
///     dependencies = ["build"]
///     run = "make test"
/// "#;
/// let file = parse(text, Format::Toml, "swarm.toml")?;
/// assert_eq!((file.peers.len(), file.peer_count(), file.tasks.len()), (1, 2, 2));
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmFile {
    /// Where the schema of this file is published, for editors; not read otherwise.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The swarm as a whole.
    pub swarm: Swarm,
    /// Limits of this swarm, each with a default.
    pub limits: Limits,
    /// How peers share the work.
    pub mesh: Mesh,
    /// The tree of a hierarchy, and how many workers its queen has; `branching` is a hybrid's, too. Nothing of it has an effect in a mesh.
    pub hierarchical: Hierarchical,
    /// The peers that do the work.
    #[schemars(length(min = 1))]
    pub peers: Vec<Peer>,
    /// The work.
    pub tasks: Vec<Task>,
}

/// The swarm as a whole.
///
/// ```
/// use meshwork::file::{Swarm, Topology};
///
/// let swarm = Swarm { id: "nightly".to_owned(), ..Swarm::default() };
/// assert_eq!(swarm.topology, Topology::Auto);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Swarm {
    /// Name of the swarm, 1 to 256 bytes of printable UTF-8 without a leading `-`. Default: the file's name without its ending.
    #[schemars(length(max = 256))]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// How the peers are connected.
    pub topology: Topology,
    /// What makes one peer better for a task than another, and how many peers `auto` takes for many.
    pub strategy: Strategy,
    /// Most peers that the file may name, counts included. Default: as many as it names. The topology that `auto` takes is the one for so many; with `strategy = "adaptive"` it is the one for those that are there.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_agents: Option<u32>,
}

/// How the peers are connected.
///
/// ```
/// use meshwork::file::{Format, Topology, parse};
///
/// let text = "swarm.topology = \"hierarchical\"\npeers = [{ id = \"ada\" }]\ntasks = []\n";
/// assert_eq!(parse(text, Format::Toml, "swarm.toml")?.swarm.topology, Topology::Hierarchical);
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// The recommended one for `max_agents` peers: mesh up to 7, hierarchical up to 49, hybrid from 50.
    #[default]
    Auto,
    /// Everybody knows everybody; recommended for up to 7 peers.
    Mesh,
    /// The first peer is the queen, the others are workers in a tree below it, who come and go with the load where `[hierarchical] min_workers` says how few are enough; recommended for 8 to 49 peers.
    Hierarchical,
    /// Cells of at most 7 peers, their leads in a tree; recommended for 50 peers and more.
    Hybrid,
}

/// How work is given out.
///
/// ```
/// use meshwork::file::{Strategy, Swarm};
///
/// assert_eq!(Swarm::default().strategy, Strategy::Balanced);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// To the eligible peer with the least relative load.
    #[default]
    Balanced,
    /// To the one that is expected to end it first: what it has, times how long its tasks take, by its success rate and slots. `auto` is a mesh up to 14 peers, hierarchical up to 98.
    Performance,
    /// `balanced` until each task type has 20 attempts that ended ok, then `performance`. `auto` takes the topology for the peers that are there, and another one, for new work, when their number crosses 8 or 50.
    Adaptive,
}

/// Limits of a swarm. Going over one is a typed error that names it.
///
/// ```
/// use meshwork::file::Limits;
///
/// let limits = Limits::default();
/// assert_eq!((limits.token_budget, limits.retry_backoff.millis()), (None, 1_000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Tokens that the whole swarm may use; reserved before a task is handed out. On reaching it everything pauses. Default: no limit.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
    /// Agent processes alive at once on this node. Default: from its cores and memory.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// How long the run may take. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<Timespan>,
    /// Wait before the first retry of a task; doubles with each further one, to at most one minute.
    pub retry_backoff: Timespan,
    /// Tasks in the swarm, subtasks included.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tasks: u32,
    /// How deep subtasks may nest.
    pub subtask_depth: u32,
    /// Subtasks of one task.
    pub children_per_task: u32,
    /// Attempts of a task that may end with its peer lost before it is quarantined.
    #[schemars(range(min = 1))]
    pub crash_attempts: u32,
    /// Interruptions of a task (death or shutdown of its node) before it fails.
    #[schemars(range(min = 1))]
    pub interruptions: u32,
    /// Bytes of one message between peers.
    #[schemars(range(min = 1))]
    pub message_bytes: u64,
    /// Messages that may wait for one peer.
    #[schemars(range(min = 1))]
    pub mailbox_messages: u32,
    /// Bytes of one artifact.
    #[schemars(range(min = 1))]
    pub artifact_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token_budget: None,
            max_sessions: None,
            run_timeout: None,
            retry_backoff: Timespan::from_millis(1_000),
            tasks: 1_000_000,
            subtask_depth: 32,
            children_per_task: 100_000,
            crash_attempts: 3,
            interruptions: 100,
            message_bytes: 256 << 10,
            mailbox_messages: 10_000,
            artifact_bytes: 1 << 30,
        }
    }
}

/// How peers share the work.
///
/// ```
/// use meshwork::file::Mesh;
///
/// assert_eq!(Mesh::default().max_concurrent_tasks_per_peer, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mesh {
    /// Tasks that a peer runs at once when it does not say so itself.
    #[schemars(range(min = 1, max = 65_535))]
    pub max_concurrent_tasks_per_peer: u32,
    /// Give work to the least loaded peer; otherwise to the first eligible one by id.
    pub enable_load_balancing: bool,
    /// Move waiting tasks from overloaded peers to others.
    pub enable_auto_rebalance: bool,
    /// How often loads are compared.
    pub rebalance_interval: Timespan,
    /// Largest load divided by mean load that still counts as balanced.
    #[schemars(range(min = 1.0))]
    pub load_imbalance_threshold: f64,
    /// A peer with a `wake_interval` that has had nothing to do for this long is paused, and not woken until work resumes it. Others are not paused: idle, they cost nothing. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_idle_after: Option<Timespan>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            max_concurrent_tasks_per_peer: 3,
            enable_load_balancing: true,
            enable_auto_rebalance: true,
            rebalance_interval: Timespan::from_millis(5_000),
            load_imbalance_threshold: 1.5,
            pause_idle_after: None,
        }
    }
}

/// The tree of a hierarchy, and how many workers its queen has.
///
/// ```
/// use meshwork::file::Hierarchical;
///
/// let tree = Hierarchical { max_workers: Some(20), ..Hierarchical::default() };
/// assert!(tree.auto_scale && tree.min_workers.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hierarchical {
    /// Workers that are there from the start, in the order of the file; never fewer. Default: all of the file, or `max_workers` if that is fewer: nobody comes and goes.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_workers: Option<u32>,
    /// Never more workers; at most one less than `max_agents`. Default: one less than `max_agents`.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<u32>,
    /// Most peers right below another, and most cells right below another.
    #[schemars(range(min = 1))]
    pub branching: u32,
    /// Start workers above `min_workers` when the load asks for them and let them go when they have nothing to do. Otherwise `max_workers` are there from the start.
    pub auto_scale: bool,
    /// Share of busy slots from which on there are too few workers: above 0, at most 1.
    #[schemars(range(min = 0.001, max = 1.0))]
    pub scaling_threshold: f64,
}

impl Default for Hierarchical {
    fn default() -> Self {
        let QueenAgentConfig { branching, auto_scale, scaling_threshold, .. } = QueenAgentConfig::default();
        Self { min_workers: None, max_workers: None, branching, auto_scale, scaling_threshold }
    }
}

/// A peer, or several equal ones.
///
/// ```
/// use meshwork::file::{Format, parse};
///
/// let text = "peers = [{ id = \"ada\", count = 3 }, { id = \"bob\", max_concurrent_tasks = 1 }]\ntasks = []\n";
/// let file = parse(text, Format::Toml, "swarm.toml")?;
/// let (ada, bob) = (&file.peers[0], &file.peers[1]);
/// assert_eq!((&*ada.id, ada.count, bob.count), ("ada", Some(3), None));
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Name of the peer, 1 to 256 bytes of printable UTF-8 without a leading `-`.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// How many peers like this; when given, they are called `id-1`, `id-2`, ….
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What the peer can do; tasks name what they require.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Tasks that the peer runs at once. Default: `mesh.max_concurrent_tasks_per_peer`.
    #[schemars(range(min = 1, max = 65_535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_tasks: Option<u32>,
    /// Tokens that this peer may use; on reaching it the peer is paused. Default: no limit.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
    /// The peer is given a turn without a task this often while it has nothing to do: its `command` is started with `{"wake": …}` on standard input. For kind `command`. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_interval: Option<Timespan>,
    /// Where its attempts work.
    #[serde(default)]
    pub workspace: Workspace,
    /// What does the work.
    #[serde(default)]
    pub agent: Agent,
}

/// Where attempts of a peer work.
///
/// ```
/// use meshwork::file::Workspace;
///
/// assert_eq!(Workspace::default(), Workspace::Shared, "all in the agent's working folder");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Workspace {
    /// All in the agent's working folder.
    #[default]
    Shared,
}

/// What does a peer's work.
///
/// ```
/// use meshwork::file::{Agent, AgentKind};
///
/// let command = ["python3", "agent.py"].map(str::to_owned).to_vec();
/// let agent = Agent { kind: AgentKind::Command, command, ..Agent::default() };
/// assert!(agent.cwd.is_none(), "the file's folder");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// The kind of agent.
    pub kind: AgentKind,
    /// Program and arguments, for kind `command`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Working folder, relative to the file. Default: the file's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment variables beside the allow-list that every agent inherits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The kind of agent.
///
/// ```
/// use meshwork::file::{Agent, AgentKind};
///
/// assert_eq!(Agent::default().kind, AgentKind::Shell);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// Runs the task's `run` line with `sh -c`.
    #[default]
    Shell,
    /// Starts `command` for each task: the task as JSON on stdin, its result on stdout.
    Command,
}

/// A unit of work.
///
/// ```
/// use meshwork::file::Task;
///
/// let task = Task { run: Some("make test".to_owned()), dependencies: vec!["build".to_owned()], ..Task::new("test") };
/// assert_eq!((&*task.task_type, task.priority), ("task", 5));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name of the task, 1 to 256 bytes of printable UTF-8 without a leading `-`.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// What sort of task it is; durations are learned per type.
    #[schemars(length(min = 1, max = 256))]
    #[serde(rename = "type", default = "default_task_type")]
    pub task_type: String,
    /// What has to be done, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// A peer must have all of these to be given the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_capabilities: Vec<String>,
    /// 1 to 10, 10 first.
    #[schemars(range(min = 1, max = 10))]
    #[serde(default = "default_priority", deserialize_with = "priority")]
    pub priority: u8,
    /// Tasks that must be completed before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// Further attempts after a failed one.
    #[schemars(range(max = 1_000))]
    #[serde(default)]
    pub retries: u32,
    /// How long one attempt may take. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timespan>,
    /// The line that shell peers run.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Any value; handed to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
    /// What happens when a dependency did not complete.
    #[serde(default)]
    pub on_dependency_failure: OnDependencyFailure,
    /// Evidence that is looked at before the task counts as completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// Votes that are asked for before the task counts as completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// What happens to a task when a dependency did not complete.
///
/// ```
/// use meshwork::file::{OnDependencyFailure, Task};
///
/// assert_eq!(Task::new("test").on_dependency_failure, OnDependencyFailure::Fail);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDependencyFailure {
    /// It fails too and names the dependency.
    #[default]
    Fail,
    /// It is skipped.
    Skip,
    /// It runs all the same.
    Run,
}

/// Evidence, gathered by the node and never by the agent. At least one of the two is given.
///
/// ```
/// use meshwork::file::Verify;
///
/// let verify = Verify { run: Some("cargo test".to_owned()), ..Verify::default() };
/// assert!(verify.artifacts.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Verify {
    /// A line that must exit 0, run with `sh -c`.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Files that must exist and not be empty, relative to the agent's working folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// Votes on a result, by other peers where there are any, each by a different one where there are enough: a review
/// waits for such a peer, rather than let one vote twice. Each is a task of type `review`: it is given what was to be
/// done and what came out, and approves unless its result is `false` or `{"approve": false}`.
///
/// ```
/// use meshwork::file::Review;
///
/// let review = Review { approvals: 2, of: Some(3), ..Review::default() };
/// assert_eq!((review.spec().approvals, review.spec().of), (2, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Review {
    /// A peer must have all of these to be given a review.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_capabilities: Vec<String>,
    /// Approvals that the result needs.
    #[schemars(range(min = 1, max = 64))]
    pub approvals: u32,
    /// Reviews that are made; at least as many as approvals. Default: as many.
    #[schemars(range(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
    /// The line that shell peers run as their review; the task and its result come on standard input. Its last line of
    /// output is the vote; another exit code than 0 is a review that failed, which is no approval.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Default for Review {
    fn default() -> Self {
        Self { required_capabilities: Vec::new(), approvals: 1, of: None, run: None }
    }
}

impl Review {
    /// As the log has it.
    ///
    /// ```
    /// use meshwork::file::Review;
    ///
    /// assert_eq!(Review { approvals: 2, ..Review::default() }.spec().of, 2, "as many as approvals");
    /// ```
    #[must_use]
    pub fn spec(&self) -> meshwork_core::Review {
        meshwork_core::Review {
            requires: self.required_capabilities.clone(),
            approvals: self.approvals,
            of: self.of.unwrap_or(self.approvals),
            run: self.run.clone(),
        }
    }
}

fn default_task_type() -> String {
    "task".to_owned()
}

const fn default_priority() -> u8 {
    5
}

/// Every whole number is read, so that 11 and 1000 and -1 get the same answer.
fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let number = i64::deserialize(deserializer)?;
    match u8::try_from(number) {
        Ok(priority @ 1..=10) => Ok(priority),
        _ => Err(de::Error::invalid_value(de::Unexpected::Signed(number), &EXPECTED_PRIORITY)),
    }
}

impl Topology {
    /// As the router has it.
    ///
    /// ```
    /// use meshwork::file::Topology;
    /// use meshwork::topology::TopologyType;
    ///
    /// assert_eq!(Topology::Mesh.requested(), TopologyType::Mesh);
    /// ```
    #[must_use]
    pub fn requested(self) -> TopologyType {
        match self {
            Self::Auto => TopologyType::Auto,
            Self::Mesh => TopologyType::Mesh,
            Self::Hierarchical => TopologyType::Hierarchical,
            Self::Hybrid => TopologyType::Hybrid,
        }
    }
}

impl Strategy {
    /// As the router has it.
    ///
    /// ```
    /// use meshwork::file::Strategy;
    /// use meshwork::topology::CoordinationStrategy;
    ///
    /// assert_eq!(Strategy::Adaptive.requested(), CoordinationStrategy::Adaptive);
    /// ```
    #[must_use]
    pub fn requested(self) -> CoordinationStrategy {
        match self {
            Self::Balanced => CoordinationStrategy::Balanced,
            Self::Performance => CoordinationStrategy::Performance,
            Self::Adaptive => CoordinationStrategy::Adaptive,
        }
    }
}

impl SwarmFile {
    /// Peers that the topology is chosen for: those that there are to be at most, under `adaptive` those that there are.
    ///
    /// ```
    /// # use meshwork::file::{Format, parse};
    /// # let text = "peers = [{ id = \"ada\", count = 2 }]\ntasks = [{ id = \"build\", run = \"make\" }]\n";
    /// # let file = parse(text, Format::Toml, "swarm.toml")?;
    /// assert_eq!(file.agents(), 2, "as many as it names");
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    #[must_use]
    pub fn agents(&self) -> u32 {
        let named = || u32::try_from(self.peer_count()).unwrap_or(u32::MAX);
        let most = self.swarm.max_agents.filter(|_| self.swarm.strategy != Strategy::Adaptive);
        most.unwrap_or_else(named)
    }

    /// What the router is asked for.
    ///
    /// ```
    /// use meshwork::topology::TopologyType;
    /// # use meshwork::file::{Format, parse};
    /// # let text = "peers = [{ id = \"ada\", count = 2 }]\ntasks = [{ id = \"build\", run = \"make\" }]\n";
    /// # let file = parse(text, Format::Toml, "swarm.toml")?;
    ///
    /// let config = file.topology_config();
    /// assert_eq!((config.topology, config.max_agents), (TopologyType::Auto, 2));
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    #[must_use]
    pub fn topology_config(&self) -> TopologyConfig {
        let Hierarchical { min_workers, max_workers, branching, auto_scale, scaling_threshold } = self.hierarchical;
        let max_agents = self.agents();
        let most = max_workers.unwrap_or_else(|| max_agents.saturating_sub(1).max(1));
        // Whoever was written down is there from the start, unless somebody says how few are enough.
        let named = || u32::try_from(self.peer_count().saturating_sub(1)).unwrap_or(u32::MAX).clamp(1, most.max(1));
        // All that there may be, where the load does not decide.
        let least = if auto_scale { min_workers.unwrap_or_else(named) } else { most };
        let queen =
            QueenAgentConfig { min_workers: least, max_workers: Some(most), branching, auto_scale, scaling_threshold };
        TopologyConfig {
            topology: self.swarm.topology.requested(),
            max_agents,
            strategy: Some(self.swarm.strategy.requested()),
            hierarchical_config: Some(queen),
            ..TopologyConfig::default()
        }
    }

    /// How many peers the file names, counts included.
    ///
    /// ```
    /// # use meshwork::file::{Format, parse};
    /// # let text = "peers = [{ id = \"ada\", count = 2 }]\ntasks = [{ id = \"build\", run = \"make\" }]\n";
    /// # let file = parse(text, Format::Toml, "swarm.toml")?;
    /// assert_eq!((file.peers.len(), file.peer_count()), (1, 2));
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    #[must_use]
    pub fn peer_count(&self) -> u64 {
        self.peers.iter().map(|peer| u64::from(peer.size())).sum()
    }

    /// Every single peer: its id and the entry that it comes from, in the order of the file.
    ///
    /// ```
    /// # use meshwork::file::{Format, parse};
    /// # let text = "peers = [{ id = \"ada\", count = 2 }]\ntasks = [{ id = \"build\", run = \"make\" }]\n";
    /// # let file = parse(text, Format::Toml, "swarm.toml")?;
    /// assert_eq!(file.expanded_peers().map(|(id, _)| id).collect::<Vec<_>>(), ["ada-1", "ada-2"]);
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    pub fn expanded_peers(&self) -> impl Iterator<Item = (String, &Peer)> {
        self.peers.iter().flat_map(|peer| peer.ids().map(move |id| (id, peer)))
    }
}

impl Peer {
    /// How many peers the entry stands for.
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = "peers = [{ id = \"ada\", count = 3 }, { id = \"bob\", max_concurrent_tasks = 1 }]\ntasks = []\n";
    /// let file = parse(text, Format::Toml, "swarm.toml")?;
    /// let (ada, bob) = (&file.peers[0], &file.peers[1]);
    /// assert_eq!((ada.size(), bob.size()), (3, 1));
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    #[must_use]
    pub fn size(&self) -> u32 {
        self.count.unwrap_or(1)
    }

    /// Their ids: `id` itself without a count, else `id-1` to `id-count`.
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = "peers = [{ id = \"ada\", count = 3 }, { id = \"bob\", max_concurrent_tasks = 1 }]\ntasks = []\n";
    /// let file = parse(text, Format::Toml, "swarm.toml")?;
    /// let (ada, bob) = (&file.peers[0], &file.peers[1]);
    /// assert_eq!(ada.ids().collect::<Vec<_>>(), ["ada-1", "ada-2", "ada-3"]);
    /// assert_eq!(bob.ids().collect::<Vec<_>>(), ["bob"]);
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    pub fn ids(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.size()).map(|number| match self.count {
            None => self.id.clone(),
            Some(_) => format!("{}-{number}", self.id),
        })
    }

    /// Tasks that each of these peers runs at once.
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = "peers = [{ id = \"ada\", count = 3 }, { id = \"bob\", max_concurrent_tasks = 1 }]\ntasks = []\n";
    /// let file = parse(text, Format::Toml, "swarm.toml")?;
    /// let (ada, bob) = (&file.peers[0], &file.peers[1]);
    /// assert_eq!((ada.slots(&file.mesh), bob.slots(&file.mesh)), (3, 1));
    /// # Ok::<(), meshwork::file::FileError>(())
    /// ```
    #[must_use]
    pub fn slots(&self, mesh: &Mesh) -> u32 {
        self.max_concurrent_tasks.unwrap_or(mesh.max_concurrent_tasks_per_peer)
    }
}

impl Task {
    /// A task with that id and defaults otherwise.
    ///
    /// ```
    /// use meshwork::file::Task;
    ///
    /// let task = Task::new("build");
    /// assert_eq!((&*task.id, task.retries, task.timeout), ("build", 0, None));
    /// ```
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            task_type: default_task_type(),
            description: String::new(),
            required_capabilities: Vec::new(),
            priority: default_priority(),
            dependencies: Vec::new(),
            retries: 0,
            timeout: None,
            run: None,
            input: None,
            on_dependency_failure: OnDependencyFailure::default(),
            verify: None,
            review: None,
        }
    }
}
