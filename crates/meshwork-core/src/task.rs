//! A task as a record, and the one table of its transitions.

use crate::ids::{ClassNo, Grant, KindNo, PeerNo, Position, TaskNo, WaitNo};
use crate::op::DependencyPolicy;
use crate::review::{ReviewOf, Terms};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a task closed.
///
/// ```
/// use meshwork_core::{Outcome, Phase};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
/// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok), Op::Seal { round: 1 }])?;
/// assert_eq!(swarm.task(build).map(|task| task.phase), Some(Phase::Closed { outcome: Outcome::Ok }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Completed: returned, settled, verified, closed.
    Ok,
    /// Its last attempt failed, or a dependency did.
    Failed,
    /// Its last attempt ran too long.
    TimedOut,
    /// Its attempts were lost too often; it is quarantined.
    Lost,
    /// Its attempts were interrupted too often.
    Interrupted,
    /// It was cancelled.
    Cancelled,
    /// A dependency did not close ok, and its policy is to be skipped then.
    Skipped,
    /// Its evidence did not hold.
    Unverified,
    /// Its reviewers did not approve it, or there was no room for its reviews.
    Rejected,
}

impl Outcome {
    /// Every outcome, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Failed,
        Self::TimedOut,
        Self::Lost,
        Self::Interrupted,
        Self::Cancelled,
        Self::Skipped,
        Self::Unverified,
        Self::Rejected,
    ];

    /// The word of the contracts.
    ///
    /// ```
    /// use meshwork_core::Outcome;
    ///
    /// assert_eq!(Outcome::TimedOut.word(), "timed-out");
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

/// Where a task is in its life.
///
/// ```
/// use meshwork_core::{PeerNo, Phase};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let grant = Position::new(3, 0);
/// assert_eq!(swarm.task(build).map(|task| task.phase), Some(Phase::Running { peer: PeerNo(0), grant }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Dependencies are open, or its submission has not ended.
    Blocked,
    /// It can run; no peer has it.
    Ready,
    /// A further attempt comes when the wait is over.
    Backoff {
        /// The wait.
        wait: WaitNo,
    },
    /// It waits at a peer for a slot.
    Assigned {
        /// The peer.
        peer: PeerNo,
    },
    /// An attempt runs and holds a slot.
    Running {
        /// Who.
        peer: PeerNo,
        /// Its fencing token.
        grant: Grant,
    },
    /// An attempt waits for its children and holds no slot.
    Waiting {
        /// Who.
        peer: PeerNo,
        /// Its fencing token.
        grant: Grant,
        /// Children still open of those that it waits for.
        open: u32,
    },
    /// The children are closed; first in line for a slot of its peer.
    InLine {
        /// Who.
        peer: PeerNo,
        /// Its fencing token.
        grant: Grant,
    },
    /// Its last attempt has ended; children or messages are open.
    Returned,
    /// Children and messages are closed; its evidence waits for a slot of the peer that has its files.
    Settled {
        /// The peer.
        peer: PeerNo,
    },
    /// Evidence is looked at; holds a slot.
    Checking {
        /// Where.
        peer: PeerNo,
        /// The fencing token of the check.
        grant: Grant,
    },
    /// Its evidence held; its reviews, which are children of it, are open. Holds no slot and no grant.
    Reviewing,
    /// The end. Never changes.
    Closed {
        /// How.
        outcome: Outcome,
    },
}

/// The kinds of [`Phase`], for the table.
///
/// ```
/// use meshwork_core::Stage;
///
/// let onward: Vec<Stage> = Stage::ALL.into_iter().filter(|next| Stage::Blocked.may_become(*next)).collect();
/// assert_eq!(onward, [Stage::Ready, Stage::Returned]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// See [`Phase::Blocked`].
    Blocked,
    /// See [`Phase::Ready`].
    Ready,
    /// See [`Phase::Backoff`].
    Backoff,
    /// See [`Phase::Assigned`].
    Assigned,
    /// See [`Phase::Running`].
    Running,
    /// See [`Phase::Waiting`].
    Waiting,
    /// See [`Phase::InLine`].
    InLine,
    /// See [`Phase::Returned`].
    Returned,
    /// See [`Phase::Settled`].
    Settled,
    /// See [`Phase::Checking`].
    Checking,
    /// See [`Phase::Reviewing`].
    Reviewing,
    /// See [`Phase::Closed`].
    Closed,
}

impl Stage {
    /// Every stage, for tests.
    pub const ALL: [Self; 12] = [
        Self::Blocked,
        Self::Ready,
        Self::Backoff,
        Self::Assigned,
        Self::Running,
        Self::Waiting,
        Self::InLine,
        Self::Returned,
        Self::Settled,
        Self::Checking,
        Self::Reviewing,
        Self::Closed,
    ];

    /// **The transition table.** Live and in recovery every change of a phase passes through it.
    ///
    /// ```
    /// use meshwork_core::Stage;
    ///
    /// assert!(Stage::Ready.may_become(Stage::Running));
    /// assert!(Stage::ALL.into_iter().all(|next| !Stage::Closed.may_become(next)), "the end never changes");
    /// ```
    pub fn may_become(self, next: Self) -> bool {
        use Stage::*;
        match self {
            // Released; or ended by a dependency or a cancel.
            Blocked => matches!(next, Ready | Returned),
            // Placed at a peer, or granted at once; a check that lost its peer is granted as a check; amended.
            Ready => matches!(next, Assigned | Running | Checking | Returned | Blocked),
            Backoff => matches!(next, Ready | Returned),
            // Granted; handed on (and placed again, when it moves); ended by a cancel; amended.
            Assigned => matches!(next, Ready | Running | Checking | Returned | Blocked),
            // Ended ok or for good; gives up its slot; ended with a further attempt to come.
            Running | Waiting | InLine => match next {
                Returned | Ready | Backoff => true,
                Running => self == InLine,
                Waiting => self == Running,
                InLine => self == Waiting,
                Checking => self == Running,
                _ => false,
            },
            // Settled: closed, or its evidence waits, or its reviews; interrupted while messages were open, or its
            // peer is gone.
            Returned => matches!(next, Settled | Reviewing | Ready | Closed),
            Settled => matches!(next, Checking | Ready | Returned),
            // Passed or given up on; a further attempt; the check lost its peer.
            Checking => matches!(next, Returned | Ready | Backoff),
            // Approved or given up on; a further attempt.
            Reviewing => matches!(next, Returned | Ready | Backoff),
            Closed => false,
        }
    }
}

impl Phase {
    /// Which kind of phase.
    ///
    /// ```
    /// use meshwork_core::{Outcome, Phase, Stage};
    ///
    /// assert_eq!(Phase::Closed { outcome: Outcome::Ok }.stage(), Stage::Closed);
    /// ```
    pub fn stage(self) -> Stage {
        match self {
            Self::Blocked => Stage::Blocked,
            Self::Ready => Stage::Ready,
            Self::Backoff { .. } => Stage::Backoff,
            Self::Assigned { .. } => Stage::Assigned,
            Self::Running { .. } => Stage::Running,
            Self::Waiting { .. } => Stage::Waiting,
            Self::InLine { .. } => Stage::InLine,
            Self::Returned => Stage::Returned,
            Self::Settled { .. } => Stage::Settled,
            Self::Checking { .. } => Stage::Checking,
            Self::Reviewing => Stage::Reviewing,
            Self::Closed { .. } => Stage::Closed,
        }
    }

    /// The word of the contracts (the seed's `MeshTask.state`).
    ///
    /// ```
    /// use meshwork_core::{Outcome, Phase};
    ///
    /// assert_eq!(Phase::Blocked.word(), "pending");
    /// assert_eq!(Phase::Closed { outcome: Outcome::Cancelled }.word(), "failed");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocked | Self::Ready | Self::Backoff { .. } => "pending",
            Self::Assigned { .. } => "assigned",
            Self::Running { .. }
            | Self::Waiting { .. }
            | Self::InLine { .. }
            | Self::Returned
            | Self::Settled { .. }
            | Self::Checking { .. }
            | Self::Reviewing => "running",
            Self::Closed { outcome: Outcome::Ok } => "completed",
            Self::Closed { .. } => "failed",
        }
    }

    /// Whether the task is closed.
    ///
    /// ```
    /// use meshwork_core::{Outcome, Phase};
    ///
    /// assert!(Phase::Closed { outcome: Outcome::Failed }.is_closed() && !Phase::Returned.is_closed());
    /// ```
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// The present grant and its peer.
    ///
    /// ```
    /// use meshwork_core::{PeerNo, Phase, Position};
    ///
    /// let (peer, grant) = (PeerNo(0), Position::new(3, 0));
    /// assert_eq!(Phase::Running { peer, grant }.grant(), Some((peer, grant)));
    /// assert_eq!(Phase::Assigned { peer }.grant(), None);
    /// ```
    pub fn grant(self) -> Option<(PeerNo, Grant)> {
        match self {
            Self::Running { peer, grant }
            | Self::Waiting { peer, grant, .. }
            | Self::InLine { peer, grant }
            | Self::Checking { peer, grant } => Some((peer, grant)),
            _ => None,
        }
    }

    /// Whether it holds one of its peer's slots.
    ///
    /// ```
    /// use meshwork_core::{PeerNo, Phase, Position};
    ///
    /// let (peer, grant) = (PeerNo(0), Position::new(3, 0));
    /// assert!(Phase::Running { peer, grant }.holds_slot());
    /// assert!(!Phase::Waiting { peer, grant, open: 2 }.holds_slot(), "it waits for its children");
    /// ```
    pub fn holds_slot(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Checking { .. })
    }
}

/// The order in which waiting tasks get a slot; the least is first. Fixed when a task becomes ready.
///
/// Level is priority and age in one number (architecture.md, "Assignment and balance"); then the
/// requirement that fewer peers can serve; then the upward rank (HEFT: the longest path that still
/// depends on it, by learned durations); then first come, first served.
///
/// ```
/// use meshwork_core::Rank;
///
/// let urgent = Rank { level: !9, ready: 7, ..Rank::default() };
/// let early = Rank { level: !5, ready: 1, ..Rank::default() };
/// assert!(urgent < early, "the least goes first");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Rank {
    /// `!level`, so that the highest level is least.
    pub level: u64,
    /// Peers that could take it when it became ready.
    pub peers: u32,
    /// `!upward rank`, in ms.
    pub upward: u32,
    /// Its ready number: unique.
    pub ready: u64,
}

impl Rank {
    /// Equal in everything that expresses a wish; only the order of arrival differs.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        (self.level, self.peers, self.upward) == (other.level, other.peers, other.upward)
    }
}

/// A task of one generation. Its text and input stay in the log, at [`Task::spec`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let task = swarm.task(build).expect("a task");
/// assert_eq!((&*task.id, task.generation, task.round, task.priority), ("build", 1, 1, 5));
/// assert_eq!(task.spec, (Position::new(3, 0), 0), "where its text lies in the log");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: Arc<str>,
    /// Hash of all fields but `priority`. Of a review: that of the task that it reviews.
    pub content: [u64; 2],
    /// Where it was submitted, and its index in that submission. Of a review, which nobody submitted: where
    /// the `Return` lies that it reviews, and its number among the reviews of it, from 0.
    pub spec: (Position, u32),
    /// Generations of one id are numbered from 1.
    pub generation: u32,
    /// The round that it belongs to.
    pub round: u32,
    /// The task that submitted it.
    pub parent: Option<TaskNo>,
    /// The grant of the parent that submitted or adopted it last.
    pub adopted_by: Grant,
    /// 0 for a task of the round itself.
    pub depth: u32,
    /// Its type.
    pub kind: KindNo,
    /// What it requires, and whom it avoids.
    pub class: ClassNo,
    /// What it depends on.
    pub dependencies: Box<[TaskNo]>,
    /// Dependencies not released yet, plus one while its submission has not ended.
    pub open_dependencies: u32,
    /// Its submission has not ended.
    pub held: bool,
    /// 1 to 10.
    pub priority: u8,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// What becomes of it when a dependency does not close ok.
    pub policy: DependencyPolicy,
    /// It must show evidence.
    pub verify: bool,
    /// It must be approved.
    pub review: Option<Terms>,
    /// It is a review of its parent.
    pub reviews: Option<ReviewOf>,
    /// Where it is.
    pub phase: Phase,
    /// Number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// The last attempt was interrupted: the next one keeps its number.
    pub keeps_number: bool,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts that were lost.
    pub crashes: u32,
    /// Attempts that a node's death interrupted.
    pub interruptions: u32,
    /// Children not closed, plus one while messages are open: Dijkstra–Scholten's deficit.
    pub deficit: u32,
    /// Messages of its last attempt are open.
    pub messages_open: bool,
    /// All children ever.
    pub children: u32,
    /// It was told to end.
    pub cancelled: bool,
    /// Its last attempt returned ok and its evidence is still to be looked at.
    pub check: bool,
    /// How it will close when its deficit is 0.
    pub ending: Option<Outcome>,
    /// The dependency that failed, where that ends it.
    pub because: Option<TaskNo>,
    /// Its parent waits for it.
    pub awaited: bool,
    /// Grant of the last attempt.
    pub last_grant: Grant,
    /// Who ran it.
    pub last_peer: PeerNo,
    /// Who should have it, when he can.
    pub prefers: Option<PeerNo>,
    /// Where the last accepted `Return` lies in the log: its result is read back from there.
    pub returned_at: Position,
    /// Whose `Return` that was.
    pub returned_by: PeerNo,
    /// Its place among those that wait.
    pub rank: Rank,
    /// Longest path that still depends on it, in ms of learned durations.
    pub upward: u32,
    /// Tokens reserved for the running attempt.
    pub reserved: u64,
    /// Hash of this record as it is part of the state hash.
    pub(crate) hash: u64,
}
