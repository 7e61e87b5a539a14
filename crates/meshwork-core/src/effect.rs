//! What follows from an entry: what nodes are asked to do, and the facts that people are told.

use crate::ids::{Grant, NodeNo, PeerNo, Position, TaskNo, WaitNo};
use crate::op::{AttemptOutcome, DownReason, PauseReason};
use crate::refusal::{LimitKind, Refusal};
use crate::task::Outcome;

/// What one entry brought about, in order.
///
/// ```
/// use meshwork_core::{Op, Refusal};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let applied = write(&mut swarm, vec![Op::Seal { round: 1 }])?;
/// let refused = &applied.effects[0];
/// assert!(refused.list.is_empty() && matches!(refused.refusal, Some(Refusal::RoundNotOpen { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "effects are to be performed, or to be dropped on purpose"]
pub struct Effects {
    /// The effects, in the order in which they came about.
    pub list: Vec<Effect>,
    /// Set when the entry was refused; then `list` is empty.
    pub refusal: Option<Refusal>,
}

/// One effect. The first six are asks: a node performs those of its own peers; `Await` is for all nodes.
/// The rest are facts: nothing is to be done for them.
///
/// ```
/// use meshwork_core::{Effect, PeerNo};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let applied = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let start = applied.effects[0].list.iter().find(|effect| matches!(effect, Effect::Start { .. }));
/// let (task, grant, peer) = (TaskNo(0), Position::new(3, 0), PeerNo(0));
/// assert_eq!(start, Some(&Effect::Start { task, grant, peer, attempt: 1 }), "what ada's node is asked to do");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the body of a task.
    Start {
        /// The task.
        task: TaskNo,
        /// The attempt's fencing token.
        grant: Grant,
        /// Who runs it.
        peer: PeerNo,
        /// The attempt's number, for people.
        attempt: u32,
    },
    /// The children that the attempt waited for are closed, and it has a slot again.
    Continue {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
        /// Who runs it.
        peer: PeerNo,
    },
    /// Look at the evidence of a task.
    Check {
        /// The task.
        task: TaskNo,
        /// The grant of the check.
        grant: Grant,
        /// Where.
        peer: PeerNo,
        /// The attempt that is checked.
        attempt: u32,
    },
    /// End the body or check of a grant: its task was cancelled, or the grant no longer counts.
    Stop {
        /// The task.
        task: TaskNo,
        /// The grant.
        grant: Grant,
        /// Who ran it.
        peer: PeerNo,
        /// The grant still counts: a `Return` is awaited.
        awaited: bool,
    },
    /// Append `Due` when the node's own clock has run this long since now.
    Await {
        /// The wait.
        wait: WaitNo,
        /// Its length in ms.
        ms: u64,
    },
    /// A peer's processes are to stand still (or, for an idle pause, its agent may be unloaded).
    Paused {
        /// The peer.
        peer: PeerNo,
        /// Why.
        reason: PauseReason,
    },
    /// A peer's processes go on.
    Resumed {
        /// The peer.
        peer: PeerNo,
    },
    /// A node joined.
    Joined {
        /// It.
        node: NodeNo,
    },
    /// A node stopped, and is no longer present.
    NodeLeft {
        /// It.
        node: NodeNo,
    },
    /// A node was given up on, or replaced while it was present.
    NodeLost {
        /// It.
        node: NodeNo,
    },
    /// A peer is up.
    PeerUp {
        /// It.
        peer: PeerNo,
    },
    /// A peer is gone.
    PeerDown {
        /// It.
        peer: PeerNo,
        /// Why; `None` with its node.
        why: Option<DownReason>,
    },
    /// A round opened.
    RoundOpened {
        /// Its number.
        round: u32,
    },
    /// A round may close.
    Sealed {
        /// Its number.
        round: u32,
    },
    /// A round is closed: the position of this entry is the completion.
    RoundClosed {
        /// Its number.
        round: u32,
        /// The completion.
        at: Position,
        /// Tasks that closed ok in it; reviews count in neither.
        ok: u32,
        /// Tasks that closed otherwise.
        failed: u32,
    },
    /// A task is part of the open round.
    Submitted {
        /// It.
        task: TaskNo,
        /// Index in the submission that `apply` was given.
        index: u32,
    },
    /// A resubmitted task is there already, unchanged.
    Kept {
        /// It.
        task: TaskNo,
        /// Index in the submission.
        index: u32,
    },
    /// A task that nobody had begun became what was submitted now.
    Amended {
        /// It.
        task: TaskNo,
        /// Index in the submission.
        index: u32,
    },
    /// A task can run.
    Ready {
        /// It.
        task: TaskNo,
    },
    /// A task waits at a peer; it may still move.
    Assigned {
        /// The task.
        task: TaskNo,
        /// The peer.
        peer: PeerNo,
    },
    /// A task left the peer that it was assigned to.
    Unassigned {
        /// The task.
        task: TaskNo,
        /// The peer.
        peer: PeerNo,
    },
    /// An attempt gave up its slot for its children.
    Waiting {
        /// The task.
        task: TaskNo,
        /// How many children it waits for.
        children: u32,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// The task.
        task: TaskNo,
        /// Its number.
        attempt: u32,
        /// Its grant.
        grant: Grant,
        /// Who ran it.
        peer: PeerNo,
        /// How.
        outcome: AttemptOutcome,
    },
    /// The children and messages of a returned task are closed.
    SettledTask {
        /// It.
        task: TaskNo,
    },
    /// Evidence was looked at.
    CheckEnded {
        /// The task.
        task: TaskNo,
        /// The attempt that was checked.
        attempt: u32,
        /// Whether it held.
        passed: bool,
    },
    /// A review was made: a task like any other, which nobody submitted.
    ReviewOpened {
        /// The review.
        review: TaskNo,
        /// What it reviews.
        of: TaskNo,
    },
    /// There is no room for the reviews of a task within the limits, so that it ends.
    ReviewsOverLimit {
        /// The task.
        task: TaskNo,
        /// Which limit they would exceed.
        limit: LimitKind,
    },
    /// A review ended with a vote. One that ends otherwise is no approval.
    Voted {
        /// The review.
        review: TaskNo,
        /// What it reviewed.
        of: TaskNo,
        /// Whether it approves.
        approves: bool,
    },
    /// The votes on a task are decided, and its reviews have ended.
    ReviewEnded {
        /// The task.
        task: TaskNo,
        /// The attempt that was reviewed.
        attempt: u32,
        /// Whether it was approved.
        approved: bool,
    },
    /// A further attempt comes after a back-off.
    Retry {
        /// The task.
        task: TaskNo,
        /// The back-off, in ms.
        ms: u64,
    },
    /// A task is to end; it does when its holder says so.
    CancelMarked {
        /// The task.
        task: TaskNo,
    },
    /// A task is closed.
    Closed {
        /// It.
        task: TaskNo,
        /// How.
        outcome: Outcome,
        /// The dependency that failed, where that is why.
        because: Option<TaskNo>,
    },
}
