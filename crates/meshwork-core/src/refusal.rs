//! Why an entry changed nothing, and why a log cannot be applied at all.

use crate::ids::{Grant, Position, TaskNo, WaitNo};
use serde::{Deserialize, Serialize};

/// An entry was judged and refused: the state is unchanged. Its author gets this as the answer.
///
/// ```
/// use meshwork_core::Refusal;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let task = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
/// let applied = write(&mut swarm, vec![submit([task])])?;
/// let (task, dependency) = ("test".to_owned(), "build".to_owned());
/// assert_eq!(applied.effects[0].refusal, Some(Refusal::UnknownDependency { task, dependency }));
/// assert_eq!(swarm.tasks().len(), 0, "nothing changed");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// `Open` on a log that is open.
    #[error("the log is open already")]
    AlreadyOpen,
    /// Anything else on a log that is not.
    #[error("the log is not open yet")]
    NotOpen,
    /// The author is not a present node: it has not joined, was replaced, or was given up on.
    #[error("node {node:?} with incarnation {incarnation} is not present")]
    NotPresent {
        /// Its name.
        node: String,
        /// Its incarnation.
        incarnation: Position,
    },
    /// `Join` names another last incarnation than the log does.
    #[error("node {node:?} replaces {found}, but its last incarnation is {expected}")]
    NotLastIncarnation {
        /// Its name.
        node: String,
        /// What the entry named.
        found: Position,
        /// What the log says.
        expected: Position,
    },
    /// The node runs another version of `apply` than the log is at.
    #[error("version {found} of apply cannot join a log at version {expected}")]
    Version {
        /// The node's.
        found: u32,
        /// The log's.
        expected: u32,
    },
    /// `NodeLost` of a node that has been heard since.
    #[error("the node has been heard at {last}, after {heard}")]
    HeardSince {
        /// What the author knew.
        heard: Position,
        /// Its last entry.
        last: Position,
    },
    /// No such incarnation is present.
    #[error("no present node has incarnation {incarnation}")]
    NoSuchNode {
        /// What the entry named.
        incarnation: Position,
    },
    /// No such peer, or it is not up.
    #[error("no peer {peer:?} is up")]
    NoSuchPeer {
        /// What the entry named.
        peer: String,
    },
    /// The peer is up on another node.
    #[error("peer {peer:?} is up on node {node:?}")]
    PeerElsewhere {
        /// The peer.
        peer: String,
        /// Where it is.
        node: String,
    },
    /// An idle pause of a peer that has work.
    #[error("peer {peer:?} has a load of {load}, so it is not idle")]
    NotIdle {
        /// The peer.
        peer: String,
        /// Its load.
        load: u32,
    },
    /// An id that cannot be one.
    #[error("{id:?} cannot be an id: 1 to 256 bytes of printable text without a leading '-'")]
    BadId {
        /// What was given.
        id: String,
    },
    /// An id of the form that only reviews have.
    #[error(
        "task id {id:?} ends as only the ids of reviews do, which the swarm makes itself: \"#review-\" and numbers"
    )]
    ReservedId {
        /// What was given.
        id: String,
    },
    /// `Leave` of a node that still has peers.
    #[error("node {node:?} cannot leave while its peer {peer:?} is up")]
    PeersUp {
        /// The node.
        node: String,
        /// The first of its peers that is up.
        peer: String,
    },
    /// A number out of its range.
    #[error("{what} is {found}, expected {expected}")]
    OutOfRange {
        /// Of what.
        what: String,
        /// What was given.
        found: u64,
        /// What is accepted.
        expected: String,
    },
    /// A limit of the swarm.
    #[error("{limit}: {found} would be over the limit of {most}")]
    Limit {
        /// Which.
        limit: LimitKind,
        /// What it would be.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// The id is taken in this round by a task with other content or another parent.
    #[error("task {id:?} exists in this round with {difference}")]
    IdTaken {
        /// The id.
        id: String,
        /// What differs.
        difference: Difference,
    },
    /// A dependency that is neither known nor earlier in the submission.
    #[error("task {task:?} depends on {dependency:?}, which is not known and does not stand earlier in the submission")]
    UnknownDependency {
        /// The task.
        task: String,
        /// What it named.
        dependency: String,
    },
    /// A child depends on a task that is neither a sibling nor closed; an ancestor would be a cycle.
    #[error("task {task:?} depends on {dependency:?}, which is neither closed nor a child of the same task")]
    NotASibling {
        /// The child.
        task: String,
        /// What it named.
        dependency: String,
    },
    /// The grant is not the task's present one: the attempt was given up on, or has ended.
    #[error("grant {found} of task {task:?} {}", why_not(*found, *present))]
    StaleGrant {
        /// The task.
        task: String,
        /// What the entry named.
        found: Grant,
        /// The present one.
        present: Option<Grant>,
    },
    /// Only the node that holds the grant may say this.
    #[error("task {task:?} is held by another node")]
    NotHolder {
        /// The task.
        task: String,
    },
    /// No task has this number.
    #[error("no task has the number {task:?}")]
    NoSuchTask {
        /// What the entry named.
        task: TaskNo,
    },
    /// The task is closed.
    #[error("task {task:?} is closed")]
    Closed {
        /// The task.
        task: String,
    },
    /// The task is to end, and may bring forth nothing more.
    #[error("task {task:?} is cancelled")]
    Cancelled {
        /// The task.
        task: String,
    },
    /// A wait for a task that is not a child.
    #[error("task {child:?} is not a child of {task:?}")]
    NotAChild {
        /// The parent.
        task: String,
        /// What it named.
        child: String,
    },
    /// The attempt waits already.
    #[error("task {task:?} waits for its children already")]
    WaitsAlready {
        /// The task.
        task: String,
    },
    /// No messages of this task stand open.
    #[error("no messages of task {task:?} are counted as open")]
    NoMessagesOpen {
        /// The task.
        task: String,
    },
    /// That round is not open.
    #[error("round {found} is not open{}", open.map_or(String::new(), |n| format!(", round {n} is")))]
    RoundNotOpen {
        /// What the entry named.
        found: u32,
        /// The open one.
        open: Option<u32>,
    },
    /// The wait is over, or never was.
    #[error("wait {wait:?} is not open")]
    NoSuchWait {
        /// What the entry named.
        wait: WaitNo,
    },
    /// An empty submission that ends nothing.
    #[error("the submission holds no task")]
    EmptySubmission,
}

/// Why a grant does not count. An attempt may be named where its check is meant, and the other way round.
fn why_not(found: Grant, present: Option<Grant>) -> String {
    match present {
        None => "is stale: the task has no present grant".to_owned(),
        Some(present) if present == found => {
            "does not allow this: a running attempt and the check of its evidence have a grant each".to_owned()
        }
        Some(present) => format!("is stale: the present one is {present}"),
    }
}

/// Which limit.
///
/// ```
/// use meshwork_core::{LimitKind, Refusal};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let task = TaskSpec { retries: 2_000, ..TaskSpec::new("build") };
/// let applied = write(&mut swarm, vec![submit([task])])?;
/// let Some(Refusal::Limit { limit, .. }) = &applied.effects[0].refusal else { panic!("it is over a limit") };
/// assert_eq!((*limit, limit.to_string()), (LimitKind::Retries, "retries a task".to_owned()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitKind {
    /// Tasks a swarm.
    Tasks,
    /// Depth of subtasks.
    Depth,
    /// Children a task.
    Children,
    /// Peers a swarm.
    Peers,
    /// Capabilities of a peer or requirements of a task.
    Capabilities,
    /// Dependencies of a task.
    Dependencies,
    /// Retries of a task.
    Retries,
}

impl std::fmt::Display for LimitKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tasks => "tasks a swarm",
            Self::Depth => "depth of subtasks",
            Self::Children => "children a task",
            Self::Peers => "peers a swarm",
            Self::Capabilities => "capabilities of a peer or task",
            Self::Dependencies => "dependencies a task",
            Self::Retries => "retries a task",
        })
    }
}

/// How a resubmitted task differs from the one that is there.
///
/// ```
/// use meshwork_core::{Difference, Refusal};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let other = TaskSpec { run: Some("make".to_owned()), ..TaskSpec::new("build") };
/// let applied = write(&mut swarm, vec![submit([other])])?;
/// let Some(Refusal::IdTaken { difference, .. }) = &applied.effects[0].refusal else { panic!("it runs") };
/// assert_eq!(*difference, Difference::Content);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    /// Another type, description, requirement, dependency, input …
    Content,
    /// Another parent.
    Parent,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Content => "other content",
            Self::Parent => "another parent",
        })
    }
}

/// The log itself is not what it was: nothing of the batch was applied, and nothing further may be.
///
/// ```
/// use meshwork_core::{Author, Batch, LogFault, Position, Seen, Swarm};
///
/// let author = Author { node: "local".to_owned(), incarnation: Position::START };
/// let batch = Batch { author, seq: 1, seen: Seen::default(), time_ms: 0, entries: vec![] };
/// assert_eq!(Swarm::new().apply_batch(5, &batch), Err(LogFault::Hole { last: 0, found: 5 }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// The batch does not follow the last one.
    #[error("batch {found} follows batch {last}: the log has a hole")]
    Hole {
        /// The last one applied.
        last: u64,
        /// What came.
        found: u64,
    },
    /// An author's batch is missing.
    #[error("node {node:?} goes on with its batch {found}, but its last one here is {last}: the log lost entries")]
    AuthorGap {
        /// The author.
        node: String,
        /// The last one applied.
        last: u64,
        /// What came.
        found: u64,
    },
    /// An author had applied something that this log does not hold: it was replaced by a shorter or another one.
    #[error("the author of batch {at} had applied batch {seen} with state hash {theirs:016x}, this log gives {}", ours.map_or("nothing there".into(), |h| format!("{h:016x}")))]
    LedgerRegressed {
        /// The batch that says so.
        at: u64,
        /// What its author had applied.
        seen: u64,
        /// The author's state hash.
        theirs: u64,
        /// Ours at the same place.
        ours: Option<u64>,
    },
    /// More entries than a batch may hold.
    #[error("batch {at} holds {found} entries, at most {} are possible", crate::ids::ENTRIES_A_BATCH_MAX)]
    TooManyEntries {
        /// The batch.
        at: u64,
        /// Its entries.
        found: usize,
    },
}
