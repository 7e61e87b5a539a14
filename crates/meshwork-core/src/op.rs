//! What can be decided: the entries of the log.

use crate::config::Config;
use crate::ids::{Grant, Position, TaskNo, WaitNo};
use serde::{Deserialize, Serialize};

/// The version of `apply` that this crate implements; `Open` and `Join` carry it.
pub const VERSION: u32 = 4;

/// What one author appends at once: stored whole or not at all, its entries judged one by one.
///
/// ```
/// use meshwork_core::{Author, Batch, Config, Op, Position, Seen, Swarm, VERSION};
///
/// let (log_id, swarm_id, config) = ("log-1".to_owned(), "demo".to_owned(), Config::default());
/// let batch = Batch {
///     author: Author { node: "local".to_owned(), incarnation: Position::START },
///     seq: 1,
///     seen: Seen::default(),
///     time_ms: 1_700_000_000_000,
///     entries: vec![
///         Op::Open { log_id, swarm_id, config, version: VERSION },
///         Op::Join { replaces: Position::START, version: VERSION, sessions: 1 },
///     ],
/// };
/// let mut swarm = Swarm::new();
/// let applied = swarm.apply_batch(1, &batch)?;
/// assert_eq!(applied.effects.len(), 2);
/// # Ok::<(), meshwork_core::LogFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Who appends.
    pub author: Author,
    /// Numbers an author's batches from 1; a batch that was applied already is dropped by it. Of a joining
    /// batch: any number that tells its process from others of the same name.
    pub seq: u64,
    /// What the author had applied when it wrote this: a log that lost entries is found out by it.
    pub seen: Seen,
    /// The author's clock in ms since the epoch. For display only: `apply` reads it for nothing.
    pub time_ms: u64,
    /// The decisions.
    pub entries: Vec<Op>,
}

/// A node and its incarnation.
///
/// ```
/// use meshwork_core::{Author, Position};
///
/// let joining = Author { node: "local".to_owned(), incarnation: Position::START };
/// let member = Author { incarnation: Position::new(1, 1), ..joining.clone() };
/// assert!(joining < member);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Author {
    /// Name of the node.
    pub node: String,
    /// Position of its Join; [`Position::START`] before it has joined.
    pub incarnation: Position,
}

/// The last position that an author had applied, and the state hash there.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// assert_eq!((swarm.last().seq, swarm.hash_at(3)), (3, Some(swarm.last().hash)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Sequence number of the last batch applied; 0 for none.
    pub seq: u64,
    /// State hash after it.
    pub hash: u64,
}

/// One decision. When each is accepted, and what it does, is `completion.md` section 2 in code.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let applied = write(&mut swarm, vec![submit([TaskSpec::new("build")]), Op::Seal { round: 1 }, Op::Alive])?;
/// assert!(applied.effects.iter().all(|effects| effects.refusal.is_none()));
/// assert!(swarm.round().is_some_and(|round| round.sealed));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Opens the log. First entry, once.
    Open {
        /// Random name of this log, part of every completion id.
        log_id: String,
        /// The swarm's id.
        swarm_id: String,
        /// Everything that `apply` needs to know.
        config: Config,
        /// Version of `apply`.
        version: u32,
    },
    /// Changes settings of an open log; a limit below what is in use ends nothing, and admits nothing more.
    Configure {
        /// The settings from now on.
        config: Config,
    },
    /// A node joins under a name; what it replaces is lost in the same apply.
    Join {
        /// The name's last incarnation; [`Position::START`] for none.
        replaces: Position,
        /// Version of `apply` that the node runs.
        version: u32,
        /// Agent sessions that the node may hold at once.
        sessions: u32,
    },
    /// A node is given up on.
    NodeLost {
        /// The incarnation given up on.
        incarnation: Position,
        /// Last entry of that node that the author knows; a later one clears it of the suspicion.
        heard: Position,
    },
    /// A node that is suspected says that it is alive. Any entry of it does.
    Alive,
    /// A peer of the author's node is there, or changes.
    PeerUp(PeerSpec),
    /// A peer of the author's node is gone.
    PeerDown {
        /// Its id.
        peer: String,
        /// Why.
        why: DownReason,
    },
    /// A peer gets no new work.
    Pause {
        /// Its id.
        peer: String,
        /// Why; only an `idle` pause leaves it eligible.
        reason: PauseReason,
    },
    /// A paused peer gets work again.
    Resume {
        /// Its id.
        peer: String,
    },
    /// Tasks join the open round, or open one.
    Submit(Submission),
    /// An attempt has ended; no process of it is left.
    Return(Returned),
    /// The messages of a returned attempt are all acknowledged.
    Settled {
        /// The task.
        task: TaskNo,
        /// The grant whose Return said that messages were open.
        grant: Grant,
    },
    /// An attempt gives up its slot until some of its children are closed.
    Wait {
        /// The parent.
        task: TaskNo,
        /// Its present grant.
        grant: Grant,
        /// Its own children; empty: all that it has.
        children: Vec<TaskNo>,
    },
    /// Evidence was looked at.
    Checked {
        /// The task.
        task: TaskNo,
        /// The grant of the check.
        grant: Grant,
        /// Whether it held.
        passed: bool,
        /// What was seen, for people.
        evidence: String,
        /// How long the check ran, in ms.
        ran_ms: u64,
    },
    /// A task and its open descendants are to end.
    Cancel {
        /// The task.
        task: TaskNo,
    },
    /// The round may close.
    Seal {
        /// Its number.
        round: u32,
    },
    /// A wait is over, by the author's own clock.
    Due {
        /// Its number.
        wait: WaitNo,
    },
    /// Moves assigned, not running, tasks until no move lowers the imbalance.
    Rebalance,
    /// Tokens spent so far by an attempt that still runs: replaces its reservation.
    Usage {
        /// The task.
        task: TaskNo,
        /// Its present grant.
        grant: Grant,
        /// Tokens since the attempt began, in total.
        tokens: Tokens,
    },
    /// What an attempt says of its progress, for people.
    Progress {
        /// The task.
        task: TaskNo,
        /// Its present grant.
        grant: Grant,
        /// The text.
        text: String,
    },
    /// The author's node has stopped: its peers are down, and it is present no longer. Unlike a loss it
    /// interrupts nothing. Refused while a peer of it is up.
    Leave,
}

/// A peer as its node announces it.
///
/// ```
/// use meshwork_core::PeerSpec;
///
/// let reviewer = PeerSpec {
///     capabilities: vec!["code-review".to_owned(), "security".to_owned()],
///     token_budget: Some(500_000),
///     ..PeerSpec::new("ada")
/// };
/// assert_eq!(reviewer.slots, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSpec {
    /// Unique in the swarm.
    pub id: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Tasks that it runs at once; at least 1.
    pub slots: u32,
    /// Whether each of its attempts takes one of its node's sessions.
    pub uses_session: bool,
    /// Tokens that it may spend; `None`: no limit of its own.
    pub token_budget: Option<u64>,
}

impl PeerSpec {
    /// A peer with one slot, without capabilities, sessions or a budget of its own.
    ///
    /// ```
    /// use meshwork_core::PeerSpec;
    ///
    /// let peer = PeerSpec { slots: 4, ..PeerSpec::new("ada") };
    /// assert_eq!((&*peer.id, peer.slots, peer.token_budget), ("ada", 4, None));
    /// ```
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), capabilities: Vec::new(), slots: 1, uses_session: false, token_budget: None }
    }
}

/// Tasks that are submitted together. Accepted as a whole or refused as a whole.
///
/// ```
/// use meshwork_core::{Submission, TaskSpec};
///
/// let test = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
/// let submission = Submission { tasks: vec![TaskSpec::new("build"), test], parent: None, more: false };
/// assert_eq!(submission.tasks[1].dependencies, ["build"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The tasks; each lists only dependencies that exist or stand earlier.
    pub tasks: Vec<TaskSpec>,
    /// The submitting attempt, when it is one.
    pub parent: Option<(TaskNo, Grant)>,
    /// More of this submission follows: the round stays open, and none of these starts, until this
    /// author's last part or its loss.
    pub more: bool,
}

/// A task as it is submitted.
///
/// ```
/// use meshwork_core::TaskSpec;
///
/// let test = TaskSpec {
///     description: "run the tests".to_owned(),
///     dependencies: vec!["build".to_owned()],
///     priority: 8,
///     retries: 2,
///     timeout_ms: Some(600_000),
///     ..TaskSpec::new("test")
/// };
/// assert_eq!((&*test.kind, test.priority), ("task", 8));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Unique in its round.
    pub id: String,
    /// Its type: durations and tokens are learned a type.
    pub kind: String,
    /// For people and agents.
    pub description: String,
    /// Capabilities that one peer must have, all of them.
    pub requires: Vec<String>,
    /// 1 to 10, 10 first.
    pub priority: u8,
    /// Ids of tasks that must close first.
    pub dependencies: Vec<String>,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// How long one attempt may take, in ms.
    pub timeout_ms: Option<u64>,
    /// The line that a shell peer runs.
    pub run: Option<String>,
    /// Anything, handed to the agent.
    pub input: Option<Payload>,
    /// What becomes of this task when a dependency does not close ok.
    pub on_dependency_failure: DependencyPolicy,
    /// Evidence before it counts as completed.
    pub verify: Option<Verify>,
    /// Votes before it counts as completed; asked for once its evidence, if it shows any, has held.
    pub review: Option<Review>,
    /// The peer that should have it: it is placed there when that peer can take it and has a free slot, or has
    /// room while no other has a free slot. A peer whose slot becomes free may take it from there. Not part of the task's content.
    pub prefers: Option<String>,
}

impl TaskSpec {
    /// A task of type `task` and priority 5, and nothing else: as in a swarm file that gives no more than its id.
    ///
    /// ```
    /// use meshwork_core::TaskSpec;
    ///
    /// let test = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
    /// assert_eq!((&*test.kind, test.priority, test.retries), ("task", 5, 0));
    /// ```
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: "task".to_owned(), priority: 5, ..Self::default() }
    }
}

/// JSON text, or the artifact that holds it when it is too large for an entry.
///
/// ```
/// use meshwork_core::{Payload, TaskSpec};
///
/// let input = Some(Payload::Json(r#"{"path": "src/auth"}"#.to_owned()));
/// let large = Some(Payload::Artifact { key: "inputs/dump".to_owned(), bytes: 70_000_000 });
/// assert_ne!(TaskSpec { input, ..TaskSpec::new("review") }, TaskSpec { input: large, ..TaskSpec::new("review") });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// JSON text.
    Json(String),
    /// Key of an artifact, and its size in bytes.
    Artifact {
        /// Its key.
        key: String,
        /// Its size.
        bytes: u64,
    },
}

/// Evidence that a result must show. Looked at by the node, never by the agent.
///
/// ```
/// use meshwork_core::{TaskSpec, Verify};
///
/// let verify = Verify { run: Some("cargo test".to_owned()), artifacts: vec!["report.txt".to_owned()] };
/// let task = TaskSpec { verify: Some(verify), ..TaskSpec::new("fix") };
/// assert!(task.verify.is_some_and(|verify| verify.artifacts == ["report.txt"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verify {
    /// A shell line that must exit 0.
    pub run: Option<String>,
    /// Files, relative to the peer's folder, that must exist and not be empty.
    pub artifacts: Vec<String>,
}

/// Votes on a result, by other agents. `apply` makes a review task for each, as a child of the task; a
/// review approves by ending [`AttemptOutcome::Ok`], and does not by ending [`AttemptOutcome::Rejected`].
///
/// Reviewers are not the peer that did the work, while anybody else can do it. A review that fails for
/// good, is lost or cancelled is no approval.
///
/// ```
/// use meshwork_core::{Review, TaskSpec};
///
/// // Two of three reviewers have to approve.
/// let review = Review { requires: vec!["security".to_owned()], approvals: 2, of: 3, run: None };
/// assert!(TaskSpec { review: Some(review), ..TaskSpec::new("fix") }.review.is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Review {
    /// Capabilities that a reviewer must have, all of them.
    pub requires: Vec<String>,
    /// Approvals that the result needs; 1 to `of`.
    pub approvals: u32,
    /// Reviews that are made; 1 to [`crate::REVIEWS_MAX`].
    pub of: u32,
    /// The line that a shell peer runs as its review.
    pub run: Option<String>,
}

/// What becomes of a task when a dependency does not close ok.
///
/// ```
/// use meshwork_core::{DependencyPolicy, TaskSpec};
///
/// let cleanup = TaskSpec {
///     dependencies: vec!["deploy".to_owned()],
///     on_dependency_failure: DependencyPolicy::Run,
///     ..TaskSpec::new("cleanup")
/// };
/// assert_ne!(cleanup.on_dependency_failure, DependencyPolicy::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DependencyPolicy {
    /// It fails, naming the dependency.
    #[default]
    Fail,
    /// It is skipped.
    Skip,
    /// It runs all the same.
    Run,
}

/// The end of an attempt, as its holder reports it.
///
/// ```
/// use meshwork_core::{AttemptOutcome, Payload, Position, Returned, TaskNo, Tokens};
///
/// let returned = Returned {
///     task: TaskNo(0),
///     grant: Position::new(3, 0),
///     outcome: AttemptOutcome::Ok,
///     result: Some(Payload::Json("42".to_owned())),
///     error: None,
///     usage: Tokens { input: 1_200, output: 300 },
///     started_ms: 1_700_000_000_000,
///     ran_ms: 80,
///     messages_open: false,
/// };
/// assert_eq!(returned.usage.total(), 1_500);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The task.
    pub task: TaskNo,
    /// The attempt's grant.
    pub grant: Grant,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What came out.
    pub result: Option<Payload>,
    /// Why it did not end ok, for people.
    pub error: Option<String>,
    /// Tokens that it spent, in total.
    pub usage: Tokens,
    /// When it started, ms since the epoch by its node's clock; for display.
    pub started_ms: u64,
    /// How long it ran, in ms.
    pub ran_ms: u64,
    /// Messages that it sent are not acknowledged yet.
    pub messages_open: bool,
}

/// Tokens that an agent reports.
///
/// ```
/// use meshwork_core::Tokens;
///
/// let usage = Tokens { input: 1_200, output: 300 };
/// assert_eq!(usage.total(), 1_500);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
}

impl Tokens {
    /// Both together.
    ///
    /// ```
    /// use meshwork_core::Tokens;
    ///
    /// assert_eq!(Tokens { input: u64::MAX, output: 1 }.total(), u64::MAX, "it does not wrap around");
    /// ```
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// At most so many of each: what a peer says of itself may be anything.
    #[must_use]
    pub(crate) fn at_most(self, most: u64) -> Self {
        Self { input: self.input.min(most), output: self.output.min(most) }
    }

    /// The larger of both, each for itself: a total only ever grows.
    ///
    /// ```
    /// use meshwork_core::Tokens;
    ///
    /// let told = Tokens { input: 900, output: 50 }.at_least(Tokens { input: 400, output: 80 });
    /// assert_eq!(told, Tokens { input: 900, output: 80 });
    /// ```
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self { input: self.input.max(other.input), output: self.output.max(other.output) }
    }
}

/// How an attempt ended.
///
/// ```
/// use meshwork_core::Phase;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
/// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Interrupted)])?;
/// let task = swarm.task(build).expect("a task");
/// assert_eq!((task.attempt, matches!(task.phase, Phase::Running { .. })), (1, true), "it costs no attempt");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// It says that it did its work.
    Ok,
    /// It says that it failed.
    Failed,
    /// It ran longer than the task allows.
    TimedOut,
    /// Its process or peer died, not by our hand.
    Lost,
    /// It was ended because its node stops or died; costs no retry.
    Interrupted,
    /// It was ended because its task was cancelled.
    Cancelled,
    /// It returned, but its evidence did not hold.
    Unverified,
    /// Of a task with a review: it returned, but was not approved. Of a review: it did its work, and does
    /// not approve, so that the review itself closes ok.
    Rejected,
}

/// Why a peer is gone.
///
/// ```
/// use meshwork_core::DownReason;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let down = Op::PeerDown { peer: "ada".to_owned(), why: DownReason::Left };
/// let _ = write(&mut swarm, vec![down])?;
/// assert_eq!(swarm.explain(build).expect("a task").state, "pending", "it waits for another peer");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownReason {
    /// It left on purpose.
    Left,
    /// Its process died.
    Died,
    /// Its node stops; its attempts count as interrupted at no cost.
    Shutdown,
    /// Its queen let it go: it had nothing to do, and others suffice.
    Dismissed,
}

/// Why a peer is paused.
///
/// ```
/// use meshwork_core::PauseReason;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![Op::Pause { peer: "ada".to_owned(), reason: PauseReason::Idle }])?;
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
/// assert_eq!((ada.paused, ada.busy), (None, 1), "work resumed it");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PauseReason {
    /// It had nothing to do; work resumes it.
    Idle,
    /// A person asked for it.
    User,
    /// A budget is spent.
    Budget,
    /// The provider limits its rate.
    RateLimit,
    /// Its node stops.
    Shutdown,
}
