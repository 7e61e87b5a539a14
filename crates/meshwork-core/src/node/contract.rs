//! What can happen to a node, and what it may ask for: whoever has read both knows the machine.

use crate::config::Config;
use crate::ids::{Grant, PeerNo, Position, TaskNo, WaitNo};
use crate::op::{AttemptOutcome, Batch, Op, Payload, PeerSpec, Tokens};
use crate::refusal::Refusal;
use crate::swarm::ClosedRound;
use std::sync::Arc;

/// Names a wish, so that its answer finds whoever made it.
///
/// ```
/// use meshwork_core::node::{Answer, Ticket};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut node = member()?; // it has joined, and its peer ada is up
/// let op = submit([TaskSpec::new("build")]);
/// let asks = node.handle(Input::Wish { op, ticket: Some(Ticket(1)) }, 0)?;
/// let asks = settle(&mut node, asks)?;
/// assert!(asks.iter().any(|ask| matches!(ask, Ask::Answer { ticket: Ticket(1), answer: Answer::Accepted { .. } })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What happens to a node.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut node = member()?; // it has joined, and its peer ada is up
/// let op = submit([TaskSpec::new("build")]);
/// let asks = node.handle(Input::Wish { op, ticket: None }, 0)?;
/// assert!(matches!(&asks[..], [Ask::Append(batch)] if batch.entries.len() == 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub enum Input {
    /// The log holds this batch, the next one after those that were told before.
    Stored {
        /// Its sequence number.
        seq: u64,
        /// The batch; the very value that was appended, where the driver still has it.
        batch: Arc<Batch>,
    },
    /// Everything that the log held at the start has been told: the node may join.
    CaughtUp,
    /// The append in flight came back with an error; it may have been stored all the same.
    AppendFailed,
    /// Somebody wants something decided.
    Wish {
        /// What.
        op: Op,
        /// Who is answered; `None`: nobody.
        ticket: Option<Ticket>,
    },
    /// A body has ended, and no process of it is left.
    BodyEnded(BodyEnd),
    /// Evidence was looked at, and no process of the check is left.
    CheckEnded {
        /// The task.
        task: TaskNo,
        /// The grant of the check.
        grant: Grant,
        /// Whether it held.
        passed: bool,
        /// What was seen.
        evidence: String,
        /// How long it took, in ms.
        ran_ms: u64,
    },
    /// The messages of a returned attempt are all acknowledged.
    MessagesSettled {
        /// The task.
        task: TaskNo,
        /// The grant of its attempt.
        grant: Grant,
    },
    /// A timer that was asked for has run out.
    Fired(Timer),
    /// The failure detector has not heard of a node for too long.
    Silent {
        /// Its incarnation.
        incarnation: Position,
    },
    /// Somebody says that this node is suspected.
    Suspected,
    /// The node is to stop: no new work, bodies are interrupted, peers leave.
    Shutdown,
}

/// How a body ended.
///
/// ```
/// use meshwork_core::node::BodyEnd;
/// use meshwork_core::{AttemptOutcome, Tokens};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut node = member()?; // it has joined, and its peer ada is up
/// let op = submit([TaskSpec::new("build")]);
/// let asks = node.handle(Input::Wish { op, ticket: None }, 0)?;
/// let asks = settle(&mut node, asks)?;
/// let Some(&Ask::Start { task, grant, .. }) = asks.iter().find(|ask| matches!(ask, Ask::Start { .. })) else {
///     panic!("ada is free");
/// };
/// let outcome = Some(AttemptOutcome::Ok);
/// let (result, error, usage) = (None, None, Tokens::default());
/// let (started_ms, ran_ms, messages_open) = (0, 80, false);
/// let end = BodyEnd { task, grant, outcome, result, error, usage, started_ms, ran_ms, messages_open };
/// let asks = node.handle(Input::BodyEnded(end), 100)?;
/// assert!(matches!(&asks[..], [Ask::Append(batch)] if matches!(batch.entries[..], [Op::Return(_)])));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BodyEnd {
    /// Its task.
    pub task: TaskNo,
    /// Its grant.
    pub grant: Grant,
    /// How it ended by itself; `None`: because it was stopped.
    pub outcome: Option<AttemptOutcome>,
    /// What came out.
    pub result: Option<Payload>,
    /// Why it did not end ok.
    pub error: Option<String>,
    /// Tokens spent.
    pub usage: Tokens,
    /// When it started, ms since the epoch; for display.
    pub started_ms: u64,
    /// How long it ran, in ms.
    pub ran_ms: u64,
    /// Messages that it sent are not acknowledged yet.
    pub messages_open: bool,
}

/// What a node asks of the world. In order; "start" and "stop" of one body never cross.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut node = member()?; // it has joined, and its peer ada is up
/// let op = submit([TaskSpec::new("build")]);
/// let asks = node.handle(Input::Wish { op, ticket: None }, 0)?;
/// let asks = settle(&mut node, asks)?;
/// assert!(matches!(asks[..], [Ask::Start { attempt: 1, .. }]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "asks are to be performed"]
pub enum Ask {
    /// Append this batch; again and unchanged until it has been read back.
    Append(Arc<Batch>),
    /// Start a body.
    Start {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
        /// The peer.
        peer: PeerNo,
        /// Number of the attempt.
        attempt: u32,
    },
    /// Let a body that waits for its children go on.
    Continue {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
    },
    /// Look at the evidence of a task.
    Check {
        /// The task.
        task: TaskNo,
        /// The grant of the check.
        grant: Grant,
        /// The peer.
        peer: PeerNo,
        /// The attempt that is checked.
        attempt: u32,
    },
    /// End a body or check; its end is awaited as an input. Of an attempt whose body has ended: its messages
    /// hold nothing any more, and nothing is awaited.
    Stop {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
    },
    /// A peer's processes are to stand still, or to go on.
    Suspend {
        /// The peer.
        peer: PeerNo,
        /// `false`: go on.
        still: bool,
    },
    /// Give this timer back after so many ms.
    Sleep {
        /// The timer.
        timer: Timer,
        /// How long.
        ms: u64,
    },
    /// A wish was decided.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What became of it.
        answer: Answer,
    },
    /// A round closed: completion.
    RoundClosed(ClosedRound),
    /// The node has left; nothing of it runs.
    Left,
}

/// What became of a wish.
///
/// ```
/// use meshwork_core::node::{Answer, Ticket};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut node = member()?; // it has joined, and its peer ada is up
/// let asks = node.handle(Input::Wish { op: Op::Seal { round: 7 }, ticket: Some(Ticket(1)) }, 0)?;
/// let asks = settle(&mut node, asks)?;
/// assert!(matches!(asks[..], [Ask::Answer { answer: Answer::Refused(_), .. }]), "there is no such round");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Decided, and applied.
    Accepted {
        /// Where it lies in the log.
        position: Position,
        /// For a submission: its tasks, by index.
        tasks: Vec<TaskNo>,
    },
    /// Decided, and refused: nothing changed.
    Refused(Refusal),
    /// Over the limit of an entry; it was not written.
    TooLarge {
        /// Bytes of the entry.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// The node lost its place, or left, before this was decided; it may be asked again.
    NodeLost,
}

/// A timer as a value. A stale one is recognised, not cancelled.
///
/// ```
/// use meshwork_core::WaitNo;
/// use meshwork_core::node::Timer;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut node = member()?; // it has joined, and its peer ada is up
/// let asks = node.handle(Input::Fired(Timer::Due(WaitNo(9))), 0)?;
/// assert!(asks.is_empty(), "a stale one is recognised");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A wait may be over.
    Due(WaitNo),
    /// Time to look at the balance.
    Rebalance,
}

/// What a node is told at its birth.
///
/// ```
/// use meshwork_core::node::Setup;
/// use meshwork_core::{Config, PeerSpec};
///
/// let setup = Setup {
///     name: "local".to_owned(),
///     nonce: 7, // a random one for each process
///     open: Some(("log-1".to_owned(), "demo".to_owned(), Config::default())),
///     sessions: 4,
///     peers: vec![PeerSpec::new("ada")],
///     rebalance_ms: Some(5_000),
///     imbalance_permille: 1_500,
/// };
/// assert_eq!(setup.peers.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's name.
    pub name: String,
    /// Tells this process from any other under the same name: two that join at one moment would say the same, and
    /// each would take the other's Join for its own.
    pub nonce: u64,
    /// Opens an empty log with these; `None`: an empty log is an error of the caller.
    pub open: Option<(String, String, Config)>,
    /// Sessions that it may hold.
    pub sessions: u32,
    /// Its peers.
    pub peers: Vec<PeerSpec>,
    /// Look at the balance this often, in ms; `None`: never.
    pub rebalance_ms: Option<u64>,
    /// Rebalance when the largest load is more than this many thousandths of the mean.
    pub imbalance_permille: u64,
}
