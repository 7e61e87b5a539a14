//! The swarm as values: a deterministic state machine over one durable log.
//!
//! Three enums are the contract: what can be decided ([`Op`]), what follows from it ([`Effect`]), and
//! why an entry changed nothing ([`Refusal`]). [`Swarm::apply`] is the one transition function; every
//! node that reads the log computes the same state, the same assignments, and the same moment of
//! completion, without asking anybody.
//!
//! Nothing here knows a clock, a random source, I/O, threads or `async`.
//!
//! # A swarm in five batches
//!
//! ```
//! use meshwork_core::{
//!     AttemptOutcome, Author, Batch, Config, LogFault, Op, PeerSpec, Position, Returned, Submission, Swarm, TaskSpec,
//!     Tokens, VERSION,
//! };
//!
//! # fn main() -> Result<(), LogFault> {
//! // What a log holds: batches, each of one author, numbered without a hole. The author is a node; its name and the
//! // position of its Join are its incarnation.
//! let mut swarm = Swarm::new();
//! let append = |swarm: &mut Swarm, incarnation: Position, seq: u64, entries: Vec<Op>| {
//!     let author = Author { node: "local".to_owned(), incarnation };
//!     let batch = Batch { author, seq, seen: swarm.last(), time_ms: 0, entries };
//!     swarm.apply_batch(swarm.last().seq + 1, &batch)
//! };
//!
//! // 1. The log is opened, and a node joins.
//! let (log_id, swarm_id, config) = ("log-1".to_owned(), "demo".to_owned(), Config::default());
//! let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
//! let open = Op::Open { log_id, swarm_id, config, version: VERSION };
//! let _ = append(&mut swarm, Position::START, 1, vec![open, join])?;
//! let me = Position::new(1, 1);
//!
//! // 2. A peer comes. 3. Two tasks come; the second waits for the first. Applying answers with effects, which are what
//! // nodes are asked to do; nobody does it here.
//! let _ = append(&mut swarm, me, 1, vec![Op::PeerUp(PeerSpec::new("ada"))])?;
//! let test = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
//! let tasks = vec![TaskSpec::new("build"), test];
//! let _ = append(&mut swarm, me, 2, vec![Op::Submit(Submission { tasks, parent: None, more: false })])?;
//! let build = swarm.find_task("build").expect("it was submitted");
//! assert_eq!(swarm.explain(build).expect("a task").state, "running");
//!
//! // 4., 5. Each attempt ends under the position that granted it; the round was sealed, so it closes with the last.
//! let ended = |task, grant| Returned {
//!     task,
//!     grant,
//!     outcome: AttemptOutcome::Ok,
//!     result: None,
//!     error: None,
//!     usage: Tokens::default(),
//!     started_ms: 0,
//!     ran_ms: 80,
//!     messages_open: false,
//! };
//! let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
//! let _ = append(&mut swarm, me, 3, vec![Op::Return(ended(build, grant)), Op::Seal { round: 1 }])?;
//! let test = swarm.find_task("test").expect("it was submitted");
//! let (_, grant) = swarm.task(test).and_then(|task| task.phase.grant()).expect("it is its turn");
//! let _ = append(&mut swarm, me, 4, vec![Op::Return(ended(test, grant))])?;
//!
//! // Completion is a position of the log, and everybody who reads it says the same one.
//! let round = swarm.last_round().expect("nothing is left to do");
//! assert_eq!((round.ok, round.failed, round.at), (2, 0, Position::new(5, 0)));
//! # Ok(())
//! # }
//! ```
//!
//! # The modules
//!
//! Most of it lies here, at the root: the state ([`Swarm`]), its records ([`Task`], [`Peer`], [`Round`]), batches and
//! their bytes ([`Batch`], [`encode_batch`]), and why a task is where it is ([`Explanation`]). Beside it:
//!
//! - [`node`]: one node's own rules, between the log and whoever makes effects happen;
//! - [`topology`]: who knows whom, how a task finds its worker, when a queen wants more of them;
//! - [`consensus`], [`detector`], [`discovery`], [`balance`], [`savings`]: parts that also work without a log, each a
//!   pure machine: a ballot, whether a set of peers is done, who is there, who has too much, what pausing saved.

pub mod balance;
mod bits;
#[cfg(any(test, feature = "sim"))]
pub mod canonical;
mod class;
mod codec;
mod config;
pub mod consensus;
pub mod detector;
pub mod discovery;
mod effect;
mod explain;
mod graph;
mod hash;
mod ids;
mod invariants;
mod life;
mod membership;
mod mutant;
pub mod node;
mod op;
mod peer;
mod queue;
mod refusal;
mod review;
mod round;
pub mod savings;
mod schedule;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod snapshot;
mod standing;
mod submit;
mod swarm;
mod task;
#[cfg(test)]
mod tests;
pub mod topology;
mod tree;

pub use codec::{CodecError, decode_batch, encode_batch, encoded_len};
pub use config::{BATCH_BYTES_MAX, Config, ENTRY_BYTES_MAX, ID_BYTES_MAX, Limits, REVIEWS_MAX};
pub use effect::{Effect, Effects};
pub use explain::{Explanation, PeerVerdict, Reason};
pub use ids::{CapNo, ClassNo, ENTRIES_A_BATCH_MAX, Grant, KindNo, NodeNo, PeerNo, Position, TaskNo, WaitNo};
#[cfg(any(test, feature = "mutants"))]
pub use mutant::Mutant;
pub use op::{
    AttemptOutcome, Author, Batch, DependencyPolicy, DownReason, Op, PauseReason, Payload, PeerSpec, Returned, Review,
    Seen, Submission, TaskSpec, Tokens, VERSION, Verify,
};
pub use peer::{Kind, Node, Peer};
pub use refusal::{Difference, LimitKind, LogFault, Refusal};
pub use review::{ReviewOf, Terms, Votes, is_reserved_id};
pub use snapshot::SnapshotError;
pub use submit::{content_hash, is_id};
pub use swarm::{Applied, ClosedRound, Rejected, Round, Swarm, Wait};
pub use task::{Outcome, Phase, Rank, Stage, Task};
