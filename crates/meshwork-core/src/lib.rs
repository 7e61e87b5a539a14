//! The swarm as values: a deterministic state machine over one durable log.
//!
//! Three enums are the contract: what can be decided ([`Op`]), what follows from it ([`Effect`]), and
//! why an entry changed nothing ([`Refusal`]). [`Swarm::apply`] is the one transition function; every
//! node that reads the log computes the same state, the same assignments, and the same moment of
//! completion, without asking anybody.
//!
//! Nothing here knows a clock, a random source, I/O, threads or `async`.

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
