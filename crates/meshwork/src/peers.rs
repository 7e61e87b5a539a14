//! A peer, in the seed's words: what discovery announces, what memory shares and what the balancer counts.
//!
//! In JSON they have the seed's names (`PeerInfo` in section 2.1, `PeerState` in section 7.1). A load is a number of
//! tasks; other systems may say parts of one, so it is a float here.

pub mod artifact;

use serde::{Deserialize, Serialize};

/// What an agent does at the moment (contracts, section 1).
///
/// ```
/// use meshwork::peers::AgentState;
///
/// assert_eq!(serde_json::from_str::<AgentState>(r#""working""#)?, AgentState::Working);
/// assert_eq!(AgentState::default(), AgentState::Idle);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentState {
    /// Nothing to do.
    #[default]
    Idle,
    /// It works on a task.
    Working,
    /// It waits for children or for messages.
    Waiting,
    /// It answers somebody who asked for help.
    Helping,
    /// It gets no new work.
    Paused,
    /// It cannot go on before somebody else does something.
    Blocked,
    /// It has done all that it had.
    Completed,
    /// Its process died, or its node was given up on.
    Error,
    /// It left.
    Terminated,
}

impl AgentState {
    /// The word.
    ///
    /// ```
    /// use meshwork::peers::AgentState;
    ///
    /// assert_eq!((AgentState::Idle.word(), AgentState::Terminated.word()), ("idle", "terminated"));
    /// ```
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Helping => "helping",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Terminated => "terminated",
        }
    }

    /// Whether it is dead, or has left.
    ///
    /// ```
    /// use meshwork::peers::AgentState;
    ///
    /// assert!(AgentState::Error.is_gone() && AgentState::Terminated.is_gone());
    /// assert!(!AgentState::Paused.is_gone());
    /// ```
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Error | Self::Terminated)
    }
}

/// How a peer did so far (the seed's `metrics` of a peer).
///
/// ```
/// use meshwork::peers::PeerStats;
///
/// let stats = PeerStats { tasks_completed: 3, tasks_failed: 1, success_rate: 0.75, ..PeerStats::default() };
/// assert_eq!(stats.average_response_time, 0.0);
/// // Who has done nothing has failed at nothing.
/// assert_eq!(PeerStats::default().success_rate, 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStats {
    /// Attempts that ended ok ÷ attempts that ended, 0 to 1; 1 before the first.
    pub success_rate: f64,
    /// Mean from assignment to result, in ms; 0 before the first.
    pub average_response_time: f64,
    /// Attempts that ended ok.
    pub tasks_completed: u64,
    /// Attempts that ended otherwise.
    pub tasks_failed: u64,
}

impl Default for PeerStats {
    fn default() -> Self {
        Self { success_rate: 1.0, average_response_time: 0.0, tasks_completed: 0, tasks_failed: 0 }
    }
}

/// As much of [`PeerStats`] as somebody said (the seed's `PeerInfo.metadata`).
///
/// ```
/// use meshwork::peers::{PeerMetadata, PeerStats};
///
/// let some = PeerMetadata { tasks_completed: Some(3), ..PeerMetadata::default() };
/// assert_eq!(serde_json::to_string(&some)?, r#"{"tasksCompleted":3}"#);
/// assert_eq!(PeerMetadata::from(PeerStats::default()).success_rate, Some(1.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerMetadata {
    /// See [`PeerStats::success_rate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// See [`PeerStats::average_response_time`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_response_time: Option<f64>,
    /// See [`PeerStats::tasks_completed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_completed: Option<u64>,
    /// See [`PeerStats::tasks_failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_failed: Option<u64>,
}

impl From<PeerStats> for PeerMetadata {
    fn from(stats: PeerStats) -> Self {
        Self {
            success_rate: Some(stats.success_rate),
            average_response_time: Some(stats.average_response_time),
            tasks_completed: Some(stats.tasks_completed),
            tasks_failed: Some(stats.tasks_failed),
        }
    }
}

/// A peer as others know it (the seed's `PeerInfo`).
///
/// ```
/// use meshwork::peers::{AgentState, PeerInfo};
///
/// let peer: PeerInfo = serde_json::from_str(
///     r#"{ "id": "reviewer", "capabilities": ["rust"], "load": 2, "lastSeen": 1700000000000, "state": "working" }"#,
/// )?;
/// assert_eq!((peer.state, peer.load, peer.metadata), (AgentState::Working, 2.0, None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerInfo {
    /// Its id.
    pub id: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Tasks that it has.
    pub load: f64,
    /// When it was last heard of, in ms since the epoch, by the clock of whoever tells.
    pub last_seen: u64,
    /// What it does.
    pub state: AgentState,
    /// How it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PeerMetadata>,
}

/// A snapshot of a peer, as memory and artifacts share it (the seed's `PeerState`).
///
/// ```
/// use meshwork::peers::PeerState;
///
/// let state = PeerState {
///     peer_id: "reviewer".to_owned(),
///     active_tasks: vec!["task-7".to_owned()],
///     load: 1.0,
///     ..PeerState::default()
/// };
/// let text = serde_json::to_value(&state)?;
/// assert_eq!((&text["peerId"], &text["activeTasks"][0]), (&"reviewer".into(), &"task-7".into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerState {
    /// Its id.
    pub peer_id: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Tasks that it has.
    pub load: f64,
    /// What it does.
    pub state: AgentState,
    /// Ids of the tasks that it has.
    pub active_tasks: Vec<String>,
    /// How it did.
    pub metrics: PeerStats,
    /// When this was so, in ms since the epoch.
    pub last_updated: u64,
}
