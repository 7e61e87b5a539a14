//! The event stream: one row for everything that people are told, with the ids that join it to all else.

use super::report::OutcomeWord;
use super::text::{clock, visible};
use meshwork_core::Position;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::sync::Arc;

/// What happened. On the wire in kebab-case: `task-submitted`.
///
/// ```
/// use meshwork::view::EventKind;
///
/// assert_eq!(serde_json::to_value(EventKind::TaskSubmitted)?, "task-submitted");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The log was opened.
    SwarmOpened,
    /// Settings of the open log changed.
    Configured,
    /// A node joined.
    NodeJoined,
    /// A node stopped, and is no longer present.
    NodeLeft,
    /// A node was given up on, or replaced.
    NodeLost,
    /// A node said that it is alive, because it heard that it is suspected.
    NodeAlive,
    /// A peer is there, or changed.
    PeerUp,
    /// A peer is gone.
    PeerDown,
    /// A peer stands still.
    PeerPaused,
    /// A peer goes on.
    PeerResumed,
    /// A round opened.
    RoundOpened,
    /// A round may close.
    RoundSealed,
    /// A round is closed: this position is the completion.
    RoundClosed,
    /// A task is part of the open round.
    TaskSubmitted,
    /// A task that nobody had begun became what was submitted now.
    TaskAmended,
    /// A resubmitted task is there already, unchanged.
    TaskKept,
    /// A task can run.
    TaskReady,
    /// A task waits at a peer.
    TaskAssigned,
    /// A task left the peer that it was assigned to.
    TaskUnassigned,
    /// An attempt was granted: it starts.
    TaskStarted,
    /// An attempt gave up its slot for its children.
    TaskWaiting,
    /// The children that it waited for are closed, and it has a slot again.
    TaskContinued,
    /// The children and messages of a returned task are closed.
    TaskSettled,
    /// A task is closed.
    TaskClosed,
    /// An attempt has ended.
    AttemptEnded,
    /// All messages of a returned attempt are acknowledged.
    MessagesSettled,
    /// Evidence is looked at.
    CheckStarted,
    /// Evidence was looked at.
    CheckEnded,
    /// Who looked at evidence is gone; it is looked at again.
    CheckLost,
    /// A review of a task was made.
    ReviewOpened,
    /// A reviewer voted on a task.
    Voted,
    /// The votes on a task are decided.
    ReviewEnded,
    /// A further attempt comes after a back-off.
    RetryScheduled,
    /// A task is to end.
    CancelRequested,
    /// Waiting tasks were moved to where less waits.
    Rebalanced,
    /// Tokens that a running attempt has spent so far.
    Usage,
    /// What a running attempt says of its progress.
    Progress,
    /// An entry changed nothing.
    EntryRefused,
}

impl EventKind {
    /// The word on the wire.
    ///
    /// ```
    /// use meshwork::view::EventKind;
    ///
    /// assert_eq!(EventKind::RoundClosed.word(), "round-closed");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::SwarmOpened => "swarm-opened",
            Self::Configured => "configured",
            Self::NodeJoined => "node-joined",
            Self::NodeLeft => "node-left",
            Self::NodeLost => "node-lost",
            Self::NodeAlive => "node-alive",
            Self::PeerUp => "peer-up",
            Self::PeerDown => "peer-down",
            Self::PeerPaused => "peer-paused",
            Self::PeerResumed => "peer-resumed",
            Self::RoundOpened => "round-opened",
            Self::RoundSealed => "round-sealed",
            Self::RoundClosed => "round-closed",
            Self::TaskSubmitted => "task-submitted",
            Self::TaskAmended => "task-amended",
            Self::TaskKept => "task-kept",
            Self::TaskReady => "task-ready",
            Self::TaskAssigned => "task-assigned",
            Self::TaskUnassigned => "task-unassigned",
            Self::TaskStarted => "task-started",
            Self::TaskWaiting => "task-waiting",
            Self::TaskContinued => "task-continued",
            Self::TaskSettled => "task-settled",
            Self::TaskClosed => "task-closed",
            Self::AttemptEnded => "attempt-ended",
            Self::MessagesSettled => "messages-settled",
            Self::CheckStarted => "check-started",
            Self::CheckEnded => "check-ended",
            Self::CheckLost => "check-lost",
            Self::ReviewOpened => "review-opened",
            Self::Voted => "voted",
            Self::ReviewEnded => "review-ended",
            Self::RetryScheduled => "retry-scheduled",
            Self::CancelRequested => "cancel-requested",
            Self::Rebalanced => "rebalanced",
            Self::Usage => "usage",
            Self::Progress => "progress",
            Self::EntryRefused => "entry-refused",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// 128 bits that join everything of one task of one generation; of the swarm itself where there is no task.
/// On the wire 32 hex digits, as OpenTelemetry has it.
///
/// ```
/// use meshwork::view::TraceId;
///
/// let trace = TraceId::of_task("log-1", "build", 1);
/// assert_eq!(serde_json::to_value(trace)?, trace.to_string());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace of a log: stable, as it is made from its id.
    ///
    /// ```
    /// use meshwork::view::TraceId;
    ///
    /// assert_eq!(TraceId::of_swarm("log-1"), TraceId::of_swarm("log-1"));
    /// assert_ne!(TraceId::of_swarm("log-1"), TraceId::of_swarm("log-2"));
    /// ```
    pub fn of_swarm(log_id: &str) -> Self {
        Self::derive(log_id, "", 0)
    }

    /// The trace of a task of one generation.
    ///
    /// ```
    /// use meshwork::view::TraceId;
    ///
    /// let (first, again) = (TraceId::of_task("log-1", "build", 1), TraceId::of_task("log-1", "build", 2));
    /// assert_ne!(first, again, "another generation of the same id");
    /// ```
    pub fn of_task(log_id: &str, task_id: &str, generation: u32) -> Self {
        Self::derive(log_id, task_id, generation)
    }

    fn derive(log_id: &str, task_id: &str, generation: u32) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [log_id, task_id] {
            // With its length, so that no two pairs of ids read alike.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&generation.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }

    /// The bytes.
    ///
    /// ```
    /// use meshwork::view::TraceId;
    ///
    /// let trace = TraceId::of_swarm("log-1");
    /// assert_eq!(u128::from_be_bytes(trace.as_bytes()), u128::from_str_radix(&trace.to_string(), 16)?);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn as_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let whole = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| whole);
        let number = number.ok_or_else(|| de::Error::custom(format!("{text:?} is not a trace id of 32 hex digits")))?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// One event. One JSON object a line in `--format json`; [`fmt::Display`] gives one line for people, in which
/// no character acts on a terminal.
///
/// ```
/// use meshwork::view::View;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let batches = batches();
///
/// let rows = View::new().apply(1, &batches[0])?;
/// assert!(rows[0].to_string().starts_with("00:00:01.000      1.0  swarm-opened"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    /// The entry that brought it about: `batch.index`.
    #[serde(with = "position")]
    pub position: Position,
    /// When, in ms since the epoch, never going back along the log.
    pub time_ms: u64,
    /// What.
    pub event: EventKind,
    /// The swarm.
    pub swarm_id: Arc<str>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Arc<str>>,
    /// Number of the attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<Arc<str>>,
    /// The message; the log holds none, the runtime's rows do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_key: Option<String>,
    /// Tokens that the attempt has spent, in total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// How an attempt, a check or a task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// Joins everything of the task.
    pub trace_id: TraceId,
    /// What else there is to say; up to 4 KiB of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl fmt::Display for EventRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:>8}  {:<16}", clock(self.time_ms), self.position.to_string(), self.event)?;
        if let Some(task) = &self.task_id {
            write!(f, " {}", visible(task))?;
        }
        if let Some(attempt) = self.attempt {
            write!(f, " #{attempt}")?;
        }
        if let Some(peer) = &self.peer_id {
            write!(f, " on {}", visible(peer))?;
        }
        if let Some(outcome) = self.outcome {
            write!(f, " {}", outcome.word())?;
        }
        if let Some(tokens) = self.tokens {
            write!(f, " ({tokens} tokens)")?;
        }
        if let Some(key) = &self.artifact_key {
            write!(f, " -> {}", visible(key))?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {}", visible(detail))?;
        }
        Ok(())
    }
}

/// A position as people write it: `batch.index`.
mod position {
    use super::{Deserialize, Deserializer, Position, Serializer, de};
    use meshwork_core::ENTRIES_A_BATCH_MAX;

    pub(super) fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(position)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts = text.split_once('.').and_then(|(seq, index)| Some((seq.parse().ok()?, index.parse().ok()?)));
        match parts {
            Some((seq, index)) if seq < 1_u64 << 48 && index <= ENTRIES_A_BATCH_MAX => Ok(Position::new(seq, index)),
            _ => Err(de::Error::custom(format!("{text:?} is not a position: batch.index"))),
        }
    }
}
