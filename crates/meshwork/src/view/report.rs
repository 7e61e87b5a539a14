//! The run report: its shape. How it is measured is `measure`, how it reads to people is `human`.

use meshwork_core::savings::Tally;
use meshwork_core::{AttemptOutcome, DownReason, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of every JSON document of this module.
pub const SCHEMA_VERSION: u32 = 1;

/// What only the running process knows. Absent fields are left out of the report.
///
/// ```
/// use meshwork::view::{RuntimeFacts, View};
///
/// let facts = RuntimeFacts { unread_messages: Some(3), ..RuntimeFacts::default() };
/// let json = serde_json::to_value(View::new().metrics(&facts))?;
/// assert_eq!(json["unreadMessages"], 3);
/// assert_eq!(json.get("messagesSent"), None, "what nobody measured is left out");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RuntimeFacts {
    /// Application messages sent, one a recipient.
    pub messages_sent: Option<u64>,
    /// Application messages handed to their recipients.
    pub messages_received: Option<u64>,
    /// Accepted → handler started, 95th percentile, in ms.
    pub p95_peer_latency_ms: Option<f64>,
    /// Messages in mailboxes that nobody has read.
    pub unread_messages: Option<u64>,
    /// Discovery broadcasts sent.
    pub discovery_broadcasts_sent: Option<u64>,
    /// Mean time that a rebalance took, in ms.
    pub average_rebalance_time_ms: Option<f64>,
    /// Waits for completion that ran into their time limit.
    pub detection_timeouts: Option<u64>,
    /// Tokens that pausing saved: avoided wakes times their measured mean; 0 while nobody measured a wake.
    pub tokens_saved: Option<u64>,
    /// Wakes: how many, and the tokens of all of them, which the log does not know.
    pub wakes: Option<Tally>,
    /// Wakes that did not happen because their peer was paused.
    pub wakes_avoided: Option<u64>,
}

/// The run report (contracts, section 4).
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!((&*report.swarm_id, report.round, report.succeeded), ("demo", 1, true));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Version of this shape.
    pub schema_version: u32,
    /// The swarm.
    pub swarm_id: String,
    /// `mesh`, `hierarchical` or `hybrid`; absent before the log is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// The queen, or the lead of a hybrid's first cell; absent in a mesh, and when nobody is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queen: Option<String>,
    /// Completion was announced.
    pub completed: bool,
    /// And every task of the round completed.
    pub succeeded: bool,
    /// `<log id>@<position>` of the completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_id: Option<String>,
    /// The last round, from 1; 0 before the first.
    pub round: u32,
    /// When the round opened, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Every task in its latest generation, in the order of submission.
    pub tasks: Vec<TaskReport>,
    /// Every peer that was ever there.
    pub peers: Vec<PeerReport>,
    /// The seed's `MeshMetrics`.
    pub metrics: MetricsReport,
    /// The seed's `PeerDiscoveryMetrics`.
    pub discovery: DiscoveryReport,
    /// The seed's `CompletionDetectorMetrics`.
    pub completion: CompletionReport,
    /// The seed's `LoadBalancerMetrics`.
    pub load_balancer: LoadBalancerReport,
    /// The seed's `TokenSavings`.
    pub token_savings: TokenSavingsReport,
    /// The seed's `TopologyValidationResult`: how well the topology suits the agents that it was chosen for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_validation: Option<Value>,
    /// What the swarm was worth, of the last round.
    pub worth: WorthReport,
}

impl RunReport {
    /// The JSON Schema of the report.
    ///
    /// ```
    /// use meshwork::view::RunReport;
    ///
    /// assert!(RunReport::schema()["properties"]["completionId"].is_object());
    /// ```
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// The seed's `MeshTask`, and how it came about.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// let build = &report.tasks[0];
/// assert_eq!((build.returned, build.settled, build.verified, build.closed), (true, true, None, true));
/// assert_eq!((build.created_at, build.completed_at), (2_000, Some(5_000)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    /// Its id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people and agents.
    pub description: String,
    /// Capabilities that one peer must have, all of them.
    pub required_capabilities: Vec<String>,
    /// 1 to 10, 10 first.
    pub priority: u8,
    /// Ids of the tasks that it depends on, in the order of their submission.
    pub dependencies: Vec<String>,
    /// The peer that it waits at, runs on, or ran on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_peer: Option<String>,
    /// Where it is.
    pub state: TaskState,
    /// What came out; `{"artifact": key, "bytes": n}` when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was submitted, in ms since the epoch.
    pub created_at: u64,
    /// When it came to its last peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<u64>,
    /// When it closed, however it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// How it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// The agent said that it was done.
    pub returned: bool,
    /// Its children and messages too.
    pub settled: bool,
    /// Its evidence held; absent when it has to show none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// It is closed. Only that is the end.
    pub closed: bool,
    /// Why it is where it is; of the first open tasks only: `explain` tells it of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The task that submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The task that it reviews; absent for a task that is no review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_of: Option<String>,
    /// Generations of one id are numbered from 1.
    pub generation: u32,
    /// The round that it belongs to.
    pub round: u32,
    /// Joins everything of the task; 32 hex digits.
    pub trace_id: String,
    /// The attempts that were granted, in order. An interrupted one and the next have the same number.
    pub attempts: Vec<AttemptReport>,
    /// Results that came from grants that were given up on; the last 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedReport>,
}

/// One attempt.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// let attempt = &report.tasks[0].attempts[0];
/// assert_eq!((attempt.number, &*attempt.peer_id, attempt.tokens), (1, "ada", Some(1_500)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReport {
    /// From 1.
    pub number: u32,
    /// Who ran it.
    pub peer_id: String,
    /// When its body started; absent while it runs, and for one that was lost before it reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// Why it did not end ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tokens that it spent; absent when it reported none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// A result that came too late.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert!(report.tasks[0].rejected.is_empty(), "no result of a former grant came in");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedReport {
    /// Where it lies in the log, in full: `batch.index`.
    pub position: String,
    /// What it said.
    pub outcome: OutcomeWord,
    /// The grant under which it ran: the fencing token that no longer counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Number of the attempt; another one may have the same. Absent where the grant was never this task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Who ran it; absent where the grant was never this task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The node that handed it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why it did not end ok, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// The seed's `PeerAgent` without its session.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// let ada = &report.peers[0];
/// assert_eq!((&*ada.id, ada.load, ada.last_seen), ("ada", 0, 5_000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerReport {
    /// Its id.
    pub id: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Assigned-not-started plus running tasks.
    pub load: u32,
    /// Where it is.
    pub state: PeerState,
    /// By the topology: in a mesh all other live peers, left out there over 1,000 peers; nobody for a peer that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbors: Option<Vec<String>>,
    /// What it is in the topology; absent in a mesh, and for a peer that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<PeerRole>,
    /// Who hands tasks to it: its parent in the tree, or its lead; absent for the queen and in a mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<String>,
    /// When its node last wrote to the log, in ms since the epoch.
    pub last_seen: u64,
    /// How it did.
    pub metrics: PeerMetrics,
    /// Why it is paused, when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_reason: Option<String>,
    /// Tokens that its attempts reported.
    pub tokens_used: u64,
    /// How long it was up and paused, in ms.
    pub paused_ms: u64,
    /// How long it was up and not paused, in ms.
    pub active_ms: u64,
}

/// What a peer is in a tree or in cells.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!(report.peers[0].role, None, "a mesh has no queen");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PeerRole {
    /// At the root: of a hierarchy, or of the tree of a hybrid's leads.
    Queen,
    /// Of a cell of a hybrid.
    Lead,
    /// Below somebody.
    Worker,
}

impl PeerRole {
    /// The word.
    ///
    /// ```
    /// use meshwork::view::PeerRole;
    ///
    /// assert_eq!(PeerRole::Queen.word(), "queen");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Queen => "queen",
            Self::Lead => "lead",
            Self::Worker => "worker",
        }
    }
}

/// How a peer did, over its attempts that ended.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// let metrics = &report.peers[0].metrics;
/// assert_eq!((metrics.success_rate, metrics.tasks_completed, metrics.tasks_failed), (1.0, 1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerMetrics {
    /// 0 to 1; 1 before the first.
    pub success_rate: f64,
    /// Mean from assignment to result, in ms; 0 before the first.
    pub average_response_time: f64,
    /// Attempts that ended ok, and whose evidence held where it was looked at.
    pub tasks_completed: u64,
    /// Attempts that ended otherwise; interrupted and cancelled ones count as neither.
    pub tasks_failed: u64,
}

/// The seed's `MeshMetrics`, `CoordinatorMetrics` included.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!((report.metrics.total_peers, report.metrics.uptime_ms), (1, 4_000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricsReport {
    /// Peers ever known.
    pub total_agents: u64,
    /// Peers that are up and not paused.
    pub active_agents: u64,
    /// Peers that are up and paused.
    pub paused_agents: u64,
    /// Tasks, each in its latest generation.
    pub total_tasks: u64,
    /// Of these, not started: pending and assigned.
    pub pending_tasks: u64,
    /// Started and not closed.
    pub running_tasks: u64,
    /// Closed ok.
    pub completed_tasks: u64,
    /// Closed otherwise.
    pub failed_tasks: u64,
    /// Tokens that attempts reported, of all generations, those that did not count included.
    pub total_tokens_used: u64,
    /// From the Join of the oldest present node to the last entry, in ms.
    pub uptime_ms: u64,
    /// The same as `totalAgents`.
    pub total_peers: u64,
    /// The same as `activeAgents`.
    pub active_peers: u64,
    /// Mean load of the active peers; 0 with none.
    pub average_peer_load: f64,
    /// From the first Join until the peers that were there before the first round were known, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_time_ms: Option<u64>,
    /// From the last return (or the seal, if that came later) to the completion of the last closed round, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_detection_time_ms: Option<u64>,
    /// Application messages sent, one a recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_sent: Option<u64>,
    /// Application messages received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_received: Option<u64>,
    /// Messages that nobody has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread_messages: Option<u64>,
    /// Accepted → handler started, 95th percentile, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_peer_latency_ms: Option<f64>,
    /// See `tokenSavings.percentage`.
    pub token_savings_percentage: f64,
}

/// The seed's `PeerDiscoveryMetrics`. Within one log a peer is known to all when its entry is applied.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!((report.discovery.peer_announcements_received, report.discovery.stale_peers), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveryReport {
    /// Peers ever known.
    pub total_peers_discovered: u64,
    /// Peers that are up.
    pub active_peers: u64,
    /// Peers that went with a node that was given up on, and have not come back.
    pub stale_peers: u64,
    /// Broadcasts sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_broadcasts_sent: Option<u64>,
    /// Announcements applied.
    pub peer_announcements_received: u64,
    /// Mean from a node's Join to the first announcement of each of its peers, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_discovery_latency_ms: Option<f64>,
    /// When the last announcement was applied, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_discovery_time: Option<u64>,
}

/// The seed's `CompletionDetectorMetrics`, over all rounds.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!(report.completion.last_return_position.as_deref(), Some("3.0"));
/// assert_eq!(report.completion.completion_position.as_deref(), Some("3.1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompletionReport {
    /// Peers ever known.
    pub total_peers: u64,
    /// Of these, up and holding nothing.
    pub completed_peers: u64,
    /// 0: completion is a position in the log, and nobody is asked.
    pub total_probes_sent: u64,
    /// 0, likewise.
    pub total_acks_received: u64,
    /// Mean over the closed rounds, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_detection_time_ms: Option<f64>,
    /// The longest, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_detection_time_ms: Option<u64>,
    /// Rounds that were sealed.
    pub detection_attempts: u64,
    /// Rounds that closed.
    pub detection_successes: u64,
    /// Waits that ran into their time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_timeouts: Option<u64>,
    /// Where the last return of the last round lies: `batch.index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_return_position: Option<String>,
    /// Where the last round closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_position: Option<String>,
}

/// The seed's `LoadBalancerMetrics`.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!((report.load_balancer.total_rebalances, report.load_balancer.current_imbalance_ratio), (0, 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerReport {
    /// Rebalance entries.
    pub total_rebalances: u64,
    /// Accepted ones; one without a needed move is successful.
    pub successful_rebalances: u64,
    /// Refused ones.
    pub failed_rebalances: u64,
    /// Mean time of one, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_rebalance_time_ms: Option<f64>,
    /// Tasks that a rebalance moved.
    pub tasks_redistributed: u64,
    /// How often a task came to a peer or left it, and an attempt ended.
    pub load_updates: u64,
    /// Highest load ÷ mean load of the active peers; 1 when idle.
    pub current_imbalance_ratio: f64,
}

/// The seed's `TokenSavings`: measured, never assumed.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!((report.token_savings.total, report.token_savings.saved), (1_500, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSavingsReport {
    /// Wakes avoided times the measured tokens of a wake; 0 while nobody measured one or nothing was paused.
    pub saved: u64,
    /// Tokens that were spent, those of wakes included.
    pub total: u64,
    /// 100 × saved ÷ (saved + total); 0 when both are 0.
    pub percentage: f64,
    /// Sum over the peers, in ms.
    pub pause_duration_ms: u64,
    /// Sum over the peers, in ms.
    pub active_duration_ms: u64,
    /// Wakes: turns that idle peers took without a task.
    #[serde(default)]
    pub wakes: u64,
    /// Mean tokens of a wake, rounded down; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_wake: Option<u64>,
    /// Scheduled wakes that did not happen because their peer was paused.
    #[serde(default)]
    pub wakes_avoided: u64,
}

/// What the last round was worth.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!((report.worth.elapsed_ms, report.worth.busy_ms), (3_000, 2_800));
/// assert_eq!(report.worth.tokens_per_completed_task, Some(1_500.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorthReport {
    /// From its opening to its close, or to the last entry while it is open, in ms.
    pub elapsed_ms: u64,
    /// The longest chain of run times along dependencies, in ms: with peers without end it takes that long.
    pub critical_path_ms: u64,
    /// Run time of all attempts, without what they waited for children, in ms.
    pub busy_ms: u64,
    /// Busy time ÷ slots of the peers that were up, over the elapsed time, 0 to 1; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_efficiency: Option<f64>,
    /// Tokens of the round's attempts ÷ its tasks that completed; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_completed_task: Option<f64>,
    /// Tokens of attempts that ended and did not count.
    pub tokens_not_used: u64,
}

/// State of a task (the seed's words).
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!(report.tasks[0].state, meshwork::view::TaskState::Completed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// No peer has it.
    Pending,
    /// It waits at a peer.
    Assigned,
    /// It has started and is not closed.
    Running,
    /// Closed ok.
    Completed,
    /// Closed otherwise.
    Failed,
}

impl TaskState {
    /// The word.
    ///
    /// ```
    /// use meshwork::view::TaskState;
    ///
    /// assert_eq!(TaskState::Pending.word(), "pending");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// State of a peer: those of the contract's words that the log can tell.
///
/// ```
/// use meshwork::view::RuntimeFacts;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let report = view.report(&RuntimeFacts::default());
/// assert_eq!(report.peers[0].state, meshwork::view::PeerState::Idle);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// Up, with nothing to do.
    Idle,
    /// It runs something, or something waits for it to start.
    Working,
    /// All that it holds waits for children, messages or a slot.
    Waiting,
    /// It gets no new work.
    Paused,
    /// Its process died, or its node was given up on.
    Error,
    /// It left, or its node was shut down.
    Terminated,
}

impl PeerState {
    /// The word.
    ///
    /// ```
    /// use meshwork::view::PeerState;
    ///
    /// assert_eq!(PeerState::Paused.word(), "paused");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::Terminated => "terminated",
        }
    }
}

/// How an attempt or a task ended (contracts, section 1).
///
/// ```
/// use meshwork::view::OutcomeWord;
/// use meshwork_core::AttemptOutcome;
///
/// assert_eq!(OutcomeWord::from(AttemptOutcome::TimedOut), OutcomeWord::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// It did its work.
    Ok,
    /// It failed.
    Failed,
    /// It ran too long.
    TimedOut,
    /// Its process or peer died.
    Lost,
    /// Its node died or stopped.
    Interrupted,
    /// It was cancelled.
    Cancelled,
    /// A dependency did not complete, and it was to be skipped then.
    Skipped,
    /// Its evidence did not hold.
    Unverified,
    /// Its reviewers did not approve it; of a review: it does not approve. Of an entry that was refused: it came from a
    /// grant that no longer counted.
    Rejected,
}

impl OutcomeWord {
    /// The word on the wire.
    ///
    /// ```
    /// use meshwork::view::OutcomeWord;
    ///
    /// assert_eq!(OutcomeWord::TimedOut.word(), "timed-out");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Lost => "lost",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Unverified => "unverified",
            Self::Rejected => "rejected",
        }
    }
}

impl From<Outcome> for OutcomeWord {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Failed => Self::Failed,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Lost => Self::Lost,
            Outcome::Interrupted => Self::Interrupted,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Skipped => Self::Skipped,
            Outcome::Unverified => Self::Unverified,
            Outcome::Rejected => Self::Rejected,
        }
    }
}

impl From<AttemptOutcome> for OutcomeWord {
    fn from(outcome: AttemptOutcome) -> Self {
        match outcome {
            AttemptOutcome::Ok => Self::Ok,
            AttemptOutcome::Failed => Self::Failed,
            AttemptOutcome::TimedOut => Self::TimedOut,
            AttemptOutcome::Lost => Self::Lost,
            AttemptOutcome::Interrupted => Self::Interrupted,
            AttemptOutcome::Cancelled => Self::Cancelled,
            AttemptOutcome::Unverified => Self::Unverified,
            AttemptOutcome::Rejected => Self::Rejected,
        }
    }
}

pub(super) fn down_word(why: DownReason) -> &'static str {
    match why {
        DownReason::Left => "left",
        DownReason::Died => "died",
        DownReason::Shutdown => "shutdown",
        DownReason::Dismissed => "let go: it had nothing to do",
    }
}
