//! The seed's words of a coordinator (sections 1.1 and `ICoordinator`): in JSON they have its names.

use super::error::CoordinatorError;
use crate::peers::{AgentState, PeerStats};
use crate::view::{MetricsReport, TaskReport, TaskState};
use meshwork_core::{DependencyPolicy, Payload, TaskSpec, is_id};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// A task (the seed's `MeshTask`), as it is handed in and as it is shown.
///
/// ```
/// use meshwork::coordinator::MeshTask;
/// use serde_json::json;
///
/// let task = MeshTask { priority: 8, retries: 2, ..MeshTask::new("review") };
/// let text = serde_json::to_value(&task)?;
/// assert_eq!((&text["id"], &text["state"]), (&json!("review"), &json!("pending")));
/// assert_eq!(text["requiredCapabilities"], json!([]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshTask {
    /// Unique in the swarm.
    pub id: String,
    /// Its type: durations are learned by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people and agents.
    pub description: String,
    /// Capabilities that one peer must have, all of them.
    pub required_capabilities: Vec<String>,
    /// 1 to 10, 10 first.
    pub priority: u8,
    /// Ids of tasks that must complete first.
    pub dependencies: Vec<String>,
    /// Who has it. Handed in: who should have it, if he can take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_peer: Option<String>,
    /// Where it is; `pending` when it is handed in.
    pub state: TaskState,
    /// What came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was made, in ms since the epoch.
    pub created_at: u64,
    /// When it came to its peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<u64>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// Anything, handed to the agent. Not of the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The line that a `shell` agent runs. Not of the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Further attempts after a failed one. Not of the seed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// How long one attempt may take, in ms. Not of the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl MeshTask {
    /// A task of that id, without a type, requirements or dependencies, of priority 5.
    ///
    /// ```
    /// use meshwork::coordinator::MeshTask;
    /// use meshwork::view::TaskState;
    ///
    /// let task = MeshTask::new("review");
    /// assert_eq!((task.priority, task.state, task.retries), (5, TaskState::Pending, 0));
    /// ```
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: String::new(),
            description: String::new(),
            required_capabilities: Vec::new(),
            priority: 5,
            dependencies: Vec::new(),
            assigned_peer: None,
            state: TaskState::Pending,
            result: None,
            error: None,
            created_at: 0,
            assigned_at: None,
            completed_at: None,
            input: None,
            run: None,
            retries: 0,
            timeout_ms: None,
        }
    }

    /// The task as the mesh takes it, such as for [`Tools::submit`](crate::mesh::Tools::submit).
    ///
    /// ```
    /// use meshwork::coordinator::MeshTask;
    ///
    /// let spec = MeshTask { required_capabilities: vec!["code".to_owned()], ..MeshTask::new("review") }.spec()?;
    /// assert_eq!((spec.id.as_str(), spec.requires), ("review", vec!["code".to_owned()]));
    /// let error = MeshTask { priority: 11, ..MeshTask::new("review") }.spec().unwrap_err();
    /// assert_eq!(error.to_string(), r#"priority of task "review" is 11, expected 1 to 10; nothing changed"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::InvalidTask`] names the first field that is wrong.
    pub fn spec(self) -> Result<TaskSpec, CoordinatorError> {
        let wrong = |field, found: String, expected| {
            let task = self.id.clone();
            Err(CoordinatorError::InvalidTask { task, field, found, expected })
        };
        if !is_id(&self.id) {
            return wrong("id", format!("{:?}", self.id), "1 to 256 bytes of printable text without a leading '-'");
        }
        if !(1..=10).contains(&self.priority) {
            return wrong("priority", self.priority.to_string(), "1 to 10");
        }
        if self.state != TaskState::Pending {
            return wrong("state", self.state.word().to_owned(), "pending");
        }
        if self.dependencies.contains(&self.id) {
            return wrong("dependencies", format!("{:?}", self.dependencies), "other tasks than itself");
        }
        Ok(TaskSpec {
            id: self.id,
            kind: self.kind,
            description: self.description,
            requires: self.required_capabilities,
            priority: self.priority,
            dependencies: self.dependencies,
            retries: self.retries,
            timeout_ms: self.timeout_ms,
            run: self.run,
            input: self.input.map(|input| Payload::Json(input.to_string())),
            on_dependency_failure: DependencyPolicy::Fail,
            verify: None,
            review: None,
            prefers: self.assigned_peer,
        })
    }

    pub(super) fn shown(report: TaskReport) -> Self {
        Self {
            id: report.id,
            kind: report.kind,
            description: report.description,
            required_capabilities: report.required_capabilities,
            priority: report.priority,
            dependencies: report.dependencies,
            assigned_peer: report.assigned_peer,
            state: report.state,
            result: report.result,
            error: report.error,
            created_at: report.created_at,
            assigned_at: report.assigned_at,
            completed_at: report.completed_at,
            input: None,
            run: None,
            retries: 0,
            timeout_ms: None,
        }
    }
}

/// One stay of an agent in the mesh (the seed's `AgentSession`): what is known of it. What it can be told is on
/// [`MeshCoordinator`](super::MeshCoordinator), by the agent's id.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::coordinator::AgentSession;
///
/// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
/// let session: AgentSession = mesh.agent_session("swarm-peer-1").expect("it is there");
/// assert!(session.started_at > 0 && session.last_activity >= session.started_at);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSession {
    /// Unique in the coordinator.
    pub id: String,
    /// Whose it is.
    pub agent_id: String,
    /// `function`, `shell`, `command`, …
    pub kind: String,
    /// What the agent does.
    pub state: AgentState,
    /// When it joined, in ms since the epoch.
    pub started_at: u64,
    /// When it last began or ended something, or reported tokens.
    pub last_activity: u64,
    /// Tokens that it reported, inside tasks and outside, such as in wakes.
    pub tokens_used: u64,
    /// The last checkpoint that was made of it or restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_id: Option<String>,
}

/// A peer of the mesh (the seed's `PeerAgent`).
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::coordinator::PeerAgent;
///
/// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
/// let peers: Vec<PeerAgent> = mesh.active_peers();
/// assert_eq!((peers[0].load, peers[0].metrics.tasks_completed), (0, 0));
/// assert!(peers[0].neighbors.contains(&peers[1].id));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAgent {
    /// Its id.
    pub id: String,
    /// Its stay in the mesh.
    pub session: AgentSession,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Assigned-not-started plus running tasks.
    pub load: u64,
    /// What it does.
    pub state: AgentState,
    /// Whom it talks to, by the topology.
    pub neighbors: BTreeSet<String>,
    /// When it was last heard of, in ms since the epoch.
    pub last_seen: u64,
    /// How it did.
    pub metrics: PeerStats,
}

/// A saved point of an agent.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::coordinator::CheckpointInfo;
///
/// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
/// let id = mesh.create_checkpoint("swarm-peer-1").await?;
/// let kept: Vec<CheckpointInfo> = mesh.list_checkpoints("swarm-peer-1").await?;
/// assert_eq!((&kept[0].id, kept[0].tokens_used), (&id, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointInfo {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub agent_id: String,
    /// When it was made, in ms since the epoch.
    pub created_at: u64,
    /// Tokens that the agent had used by then.
    pub tokens_used: u64,
}

/// The seed's `CoordinatorMetrics` and, with the rest, its `MeshMetrics`.
///
/// ```
/// use meshwork::coordinator::MeshMetrics;
///
/// // What `MeshCoordinator::mesh_metrics` gives while nothing runs. In JSON the names are the seed's.
/// let metrics = serde_json::to_value(MeshMetrics::default())?;
/// assert_eq!((&metrics["completedTasks"], &metrics["averagePeerLoad"]), (&0.into(), &0.0.into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshMetrics {
    /// Peers that are or were there.
    pub total_agents: u64,
    /// Up and not paused.
    pub active_agents: u64,
    /// Up and paused.
    pub paused_agents: u64,
    /// Tasks.
    pub total_tasks: u64,
    /// Not started.
    pub pending_tasks: u64,
    /// Started, and not closed.
    pub running_tasks: u64,
    /// Closed ok.
    pub completed_tasks: u64,
    /// Closed otherwise.
    pub failed_tasks: u64,
    /// Tokens that agents reported, inside tasks and outside.
    pub total_tokens_used: u64,
    /// Since `initialize`, in ms.
    pub uptime_ms: u64,
    /// The same as `total_agents`.
    pub total_peers: u64,
    /// The same as `active_agents`.
    pub active_peers: u64,
    /// Mean load of the active peers; 0 with none.
    pub average_peer_load: f64,
    /// From `initialize` until all first peers knew each other, in ms.
    pub discovery_time_ms: f64,
    /// From the last return (or the wait for completion, if that came later) to the completion of the last round, in
    /// ms; 0 before the first.
    pub completion_detection_time_ms: u64,
    /// Messages that peers sent over the message bus.
    pub messages_sent: u64,
    /// Of these, handled by whom they went to.
    pub messages_received: u64,
    /// From the moment when the bus took a message to the start of its handler, 95th percentile, in ms; with a bus
    /// that does not measure it: to its acknowledgement.
    pub p95_peer_latency_ms: f64,
    /// What pausing saved, 0 to 100.
    pub token_savings_percentage: f64,
}

impl MeshMetrics {
    pub(super) fn counted(report: &MetricsReport) -> Self {
        Self {
            total_agents: report.total_agents,
            active_agents: report.active_agents,
            paused_agents: report.paused_agents,
            total_tasks: report.total_tasks,
            pending_tasks: report.pending_tasks,
            running_tasks: report.running_tasks,
            completed_tasks: report.completed_tasks,
            failed_tasks: report.failed_tasks,
            total_tokens_used: report.total_tokens_used,
            uptime_ms: 0,
            total_peers: report.total_peers,
            active_peers: report.active_peers,
            average_peer_load: report.average_peer_load,
            discovery_time_ms: 0.0,
            completion_detection_time_ms: report.completion_detection_time_ms.unwrap_or(0),
            messages_sent: 0,
            messages_received: 0,
            p95_peer_latency_ms: 0.0,
            token_savings_percentage: 0.0,
        }
    }
}
