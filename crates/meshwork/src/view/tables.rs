//! Rows and tables for `status`, `tasks` and `peers`.

use super::measure::state;
use super::report::{OutcomeWord, PeerReport, PeerRole, SCHEMA_VERSION, TaskReport, TaskState};
use super::text::{cut, duration, table, visible};
use super::{EntrySource, NoEntries, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of an error or a reason in a table.
const WHY_BYTES: usize = 80;

/// What `tasks` shows: every task in its latest generation.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let view = view(3); // of the three batches of a finished swarm
/// let table = view.tasks();
/// assert_eq!((&*table.swarm_id, &*table.tasks[0].id), ("demo", "build"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TasksTable {
    /// Version of this shape.
    pub schema_version: u32,
    /// The swarm.
    pub swarm_id: String,
    /// As in the run report.
    pub tasks: Vec<TaskReport>,
}

/// What `peers` shows: every peer that was ever there.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let view = view(3); // of the three batches of a finished swarm
/// let table = view.peers();
/// assert_eq!((table.topology.as_deref(), &*table.peers[0].id), (Some("mesh"), "ada"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeersTable {
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
    /// How well the topology suits the agents that it was chosen for: the seed's `TopologyValidationResult`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_validation: Option<serde_json::Value>,
    /// As in the run report.
    pub peers: Vec<PeerReport>,
}

/// What `status` shows.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let view = view(3); // of the three batches of a finished swarm
/// let status = view.status();
/// assert_eq!((status.round, status.completion_id.as_deref()), (1, Some("log-1@3.1")));
/// assert_eq!((status.started_at, status.ended_at), (Some(2_000), Some(5_000)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusTable {
    /// Version of this shape.
    pub schema_version: u32,
    /// The swarm.
    pub swarm_id: String,
    /// Name of its log.
    pub log_id: String,
    /// `mesh`, `hierarchical` or `hybrid`; absent before the log is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// The queen, or the lead of a hybrid's first cell; absent in a mesh, and when nobody is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queen: Option<String>,
    /// Where it is.
    pub state: SwarmState,
    /// The last round, from 1; 0 before the first.
    pub round: u32,
    /// `<log id>@<position>` of the last completion, while no later round is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_id: Option<String>,
    /// When the round opened, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Time of the last entry.
    pub last_entry_at: u64,
    /// Batches in the log.
    pub batches: u64,
    /// Tasks by state, each in its latest generation.
    pub tasks: TaskCounts,
    /// Nodes that are present, by name.
    pub nodes: Vec<String>,
    /// Peers that are up and not paused.
    pub active_peers: u64,
    /// Peers that are up and paused.
    pub paused_peers: u64,
    /// Peers that are gone.
    pub gone_peers: u64,
    /// Tokens that attempts reported.
    pub tokens_used: u64,
}

/// Tasks by state.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let view = view(2); // the third batch has not come
/// assert_eq!((view.status().tasks.running, view.status().tasks.completed), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskCounts {
    /// No peer has them.
    pub pending: u64,
    /// They wait at a peer.
    pub assigned: u64,
    /// Started and not closed.
    pub running: u64,
    /// Closed ok.
    pub completed: u64,
    /// Closed otherwise.
    pub failed: u64,
}

/// Where a swarm is.
///
/// ```
/// use meshwork::view::SwarmState;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(2); // the third batch has not come
/// assert_eq!(view.status().state, SwarmState::Open, "nobody has sealed the round");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SwarmState {
    /// No round was ever opened.
    Empty,
    /// A round is open, and more may be submitted to it before anybody seals it.
    Open,
    /// A round is open and closes when its work is done.
    Sealed,
    /// A round is open, nothing runs, and nothing that is left can ever start.
    Stalled,
    /// A round is open, and no peer is there: the same command goes on with it.
    Saved,
    /// The last round is closed.
    Completed,
}

impl SwarmState {
    /// The word.
    ///
    /// ```
    /// use meshwork::view::SwarmState;
    ///
    /// assert_eq!(SwarmState::Stalled.word(), "stalled");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Stalled => "stalled",
            Self::Saved => "saved",
            Self::Completed => "completed",
        }
    }
}

impl View {
    /// What `status` shows.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert_eq!(view.status().nodes, ["local"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> StatusTable {
        let round = self.ledger.rounds.last();
        let closed = round.and_then(|round| round.closed);
        let mut tasks = TaskCounts::default();
        // A review counts by its vote alone.
        for (_, task) in self.latest_tasks().filter(|(_, task)| task.reviews.is_none()) {
            *match state(task.phase) {
                TaskState::Pending => &mut tasks.pending,
                TaskState::Assigned => &mut tasks.assigned,
                TaskState::Running => &mut tasks.running,
                TaskState::Completed => &mut tasks.completed,
                TaskState::Failed => &mut tasks.failed,
            } += 1;
        }
        let count = |up: bool, paused: bool| {
            let peers = self.swarm.peers().map(|(_, peer)| peer);
            peers.filter(|peer| peer.up == up && (!up || peer.paused.is_some() == paused)).count() as u64
        };
        StatusTable {
            schema_version: SCHEMA_VERSION,
            swarm_id: self.swarm.swarm_id().to_owned(),
            log_id: self.swarm.log_id().to_owned(),
            topology: self.topology(),
            queen: self.queen(),
            state: self.swarm_state(),
            round: round.map_or(0, |round| round.number),
            completion_id: closed.map(|(at, _)| format!("{}@{at}", self.swarm.log_id())),
            started_at: round.map(|round| round.opened_ms),
            ended_at: closed.map(|(_, ms)| ms),
            last_entry_at: self.ledger.now,
            batches: self.swarm.last().seq,
            tasks,
            nodes: self.swarm.present_nodes().map(|(_, node)| node.name.to_string()).collect(),
            active_peers: count(true, false),
            paused_peers: count(true, true),
            gone_peers: count(false, false),
            tokens_used: self.ledger.attempts.iter().fold(0, |sum, attempt| sum.saturating_add(attempt.tokens)),
        }
    }

    fn swarm_state(&self) -> SwarmState {
        match self.swarm.round() {
            Some(_) if self.swarm.peers().len() > 0 && !self.swarm.peers().any(|(_, peer)| peer.up) => {
                SwarmState::Saved
            }
            Some(_) if self.swarm.is_stalled() => SwarmState::Stalled,
            Some(round) if round.sealed => SwarmState::Sealed,
            Some(_) => SwarmState::Open,
            None if self.swarm.last_round().is_some() => SwarmState::Completed,
            None => SwarmState::Empty,
        }
    }

    /// What `tasks` shows. Texts over 4 KiB are named by their position in the log.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert_eq!(view.tasks().tasks[0].attempts.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tasks(&self) -> TasksTable {
        self.tasks_from(&NoEntries)
    }

    /// The same, with large texts read again from the log.
    ///
    /// ```
    /// use meshwork::view::NoEntries;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert_eq!(view.tasks_from(&NoEntries), view.tasks());
    /// # Ok(())
    /// # }
    /// ```
    pub fn tasks_from(&self, source: &dyn EntrySource) -> TasksTable {
        let swarm_id = self.swarm.swarm_id().to_owned();
        TasksTable { schema_version: SCHEMA_VERSION, swarm_id, tasks: self.task_reports(source) }
    }

    /// What `peers` shows.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// let ada = &view.peers().peers[0];
    /// assert_eq!((ada.state.word(), ada.tokens_used), ("idle", 1_500));
    /// # Ok(())
    /// # }
    /// ```
    pub fn peers(&self) -> PeersTable {
        PeersTable {
            schema_version: SCHEMA_VERSION,
            swarm_id: self.swarm.swarm_id().to_owned(),
            topology: self.topology(),
            queen: self.queen(),
            topology_validation: self.topology_validation(),
            peers: self.peer_reports(true),
        }
    }
}

impl StatusTable {
    /// For people.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert!(view.status().human().contains("1 completed, 0 failed"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn human(&self) -> String {
        let line = |name: &str, value: String| vec![name.to_owned(), value];
        let TaskCounts { pending, assigned, running, completed, failed } = self.tasks;
        let mut rows = vec![
            line("state", format!("{}, round {}", self.state.word(), self.round)),
            line(
                "tasks",
                format!(
                    "{completed} completed, {failed} failed, {running} running, {assigned} assigned, {pending} pending"
                ),
            ),
            line(
                "peers",
                format!("{} active, {} paused, {} gone", self.active_peers, self.paused_peers, self.gone_peers),
            ),
            line("topology", in_words(self.topology.as_deref(), self.queen.as_deref())),
            line("nodes", if self.nodes.is_empty() { "none".to_owned() } else { self.nodes.join(", ") }),
            line("tokens", self.tokens_used.to_string()),
        ];
        if let Some(started) = self.started_at {
            let until = self.ended_at.unwrap_or(self.last_entry_at);
            rows.push(line("elapsed", duration(until.saturating_sub(started))));
        }
        rows.extend(self.completion_id.iter().map(|id| line("completion", id.clone())));
        table(&["SWARM", &visible(&self.swarm_id)], &rows)
    }
}

/// `hierarchical, queen q`.
fn in_words(topology: Option<&str>, queen: Option<&str>) -> String {
    let queen = queen.map_or_else(String::new, |queen| format!(", queen {queen}"));
    format!("{}{queen}", topology.unwrap_or("none"))
}

impl TasksTable {
    /// For people.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert!(view.tasks().human().starts_with("TASK   STATE"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn human(&self) -> String {
        let row = |task: &TaskReport| {
            vec![
                task.id.clone(),
                task.state.word().to_owned(),
                task.outcome.map_or("-", OutcomeWord::word).to_owned(),
                task.assigned_peer.clone().unwrap_or_else(|| "-".to_owned()),
                task.attempts.len().to_string(),
                task.priority.to_string(),
                cut(task.error.as_deref().or(task.reason.as_deref()).unwrap_or(""), WHY_BYTES).into_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = self.tasks.iter().map(row).collect();
        table(&["TASK", "STATE", "OUTCOME", "PEER", ">ATTEMPTS", ">PRIORITY", "WHY"], &rows)
    }
}

impl PeersTable {
    /// For people.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert!(view.peers().human().starts_with("topology mesh\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn human(&self) -> String {
        let row = |peer: &PeerReport| {
            let state = match &peer.pause_reason {
                Some(reason) => format!("{} ({reason})", peer.state.word()),
                None => peer.state.word().to_owned(),
            };
            let role = match (peer.role, &peer.above) {
                (Some(role), Some(above)) => format!("{} below {above}", role.word()),
                (role, _) => role.map_or("-", PeerRole::word).to_owned(),
            };
            let neighbors = peer.neighbors.as_ref().map_or_else(|| "-".to_owned(), |all| all.len().to_string());
            vec![
                peer.id.clone(),
                state,
                role,
                neighbors,
                peer.load.to_string(),
                peer.metrics.tasks_completed.to_string(),
                peer.metrics.tasks_failed.to_string(),
                peer.tokens_used.to_string(),
                peer.capabilities.join(", "),
            ]
        };
        let rows: Vec<Vec<String>> = self.peers.iter().map(row).collect();
        let topology = in_words(self.topology.as_deref(), self.queen.as_deref());
        let columns = ["PEER", "STATE", "ROLE", ">NEIGHBOURS", ">LOAD", ">OK", ">FAILED", ">TOKENS", "CAPABILITIES"];
        format!("{}\n{}", visible(&format!("topology {topology}")), table(&columns, &rows))
    }
}
