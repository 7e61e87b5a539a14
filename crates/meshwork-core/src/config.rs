//! What `apply` needs to know about a swarm, and the limits on everything, each with its reason.

use crate::topology::{Choice, Strategy};
use serde::{Deserialize, Serialize};

/// Settings that `apply` reads. They are part of the log (`Op::Open`), so every node has the same.
///
/// ```
/// use meshwork_core::Config;
///
/// let config = Config { token_budget: Some(1_000_000), retry_backoff_ms: 500, ..Config::default() };
/// assert!(config.load_balancing && config.limits.crashes == 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Limits on what a swarm may hold.
    pub limits: Limits,
    /// Tokens that the whole swarm may spend; `None`: no limit.
    pub token_budget: Option<u64>,
    /// A peer holds at most its slots plus this many tasks; the others stay pending, where any peer
    /// that gets a free slot finds them. 64: enough that a peer never starves between two batches of
    /// the log, few enough that a lost peer hands on a bounded number.
    pub backlog: u32,
    /// How many tasks becoming ready weigh as much as one step of priority: a task of priority 1 passes
    /// one of priority 10 when 9 times this many have become ready since. So nothing starves.
    pub ageing: u64,
    /// First back-off after a failed attempt, in ms; doubles with each further one.
    pub retry_backoff_ms: u64,
    /// First back-off after a lost attempt (its process or peer died), in ms; doubles likewise.
    pub crash_backoff_ms: u64,
    /// No back-off is longer than this, in ms.
    pub backoff_max_ms: u64,
    /// `false`: the first eligible peer takes the task, and nothing is rebalanced.
    pub load_balancing: bool,
    /// What decides who knows whom. It changes no assignment: see [`Swarm::shape`](crate::Swarm::shape).
    pub topology: Choice,
    /// What makes one peer better for a task than another, where loads are balanced.
    pub strategy: Strategy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            token_budget: None,
            backlog: 64,
            ageing: 10_000,
            retry_backoff_ms: 1_000,
            crash_backoff_ms: 100,
            backoff_max_ms: 60_000,
            load_balancing: true,
            topology: Choice::default(),
            strategy: Strategy::Balanced,
        }
    }
}

/// Limits (contracts, section 8). Over a limit an entry is refused with a typed refusal.
///
/// ```
/// use meshwork_core::{Config, Limits};
///
/// let limits = Limits { tasks: 100, ..Limits::default() };
/// assert_eq!(Config { limits, ..Config::default() }.limits.depth, 32);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Tasks a swarm, all generations together: 1,000,000 keeps the state below 1 GiB.
    pub tasks: u32,
    /// How deep tasks may submit tasks: 32; deeper is a spawn bomb, not a plan.
    pub depth: u32,
    /// Children of one task: 100,000.
    pub children: u32,
    /// Attempts of a task that may be lost with their process or peer before the task is quarantined: 3.
    pub crashes: u32,
    /// Attempts that may be interrupted by the death of a node before the task ends: 100.
    pub interruptions: u32,
    /// Further attempts after a failed one that a task may ask for: 1,000.
    pub retries: u32,
    /// Peers known to a swarm: 100,000.
    pub peers: u32,
    /// Capabilities of a peer or requirements of a task: 256.
    pub capabilities: u32,
    /// Dependencies of one task: 100,000.
    pub dependencies: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tasks: 1_000_000,
            depth: 32,
            children: 100_000,
            crashes: 3,
            interruptions: 100,
            retries: 1_000,
            peers: 100_000,
            capabilities: 256,
            dependencies: 100_000,
        }
    }
}

/// Runs of a task type that ended ok from which on its duration counts as learned: 20 (seed map, `strategy`).
pub(crate) const RUNS_TO_LEARN: u64 = 20;

/// Bytes of a batch in its encoded form, at most: what one NATS message holds, with room to spare.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Bytes of one entry, at most; larger inputs and results become artifacts, and the entry holds their key.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an id, at most.
pub const ID_BYTES_MAX: usize = 256;
/// Tokens read, or written, that one attempt is believed to have spent, at most; more counts as this many. A
/// trillion: no attempt comes near it, and what a million of them reserve or spend still has a sum.
pub(crate) const TOKENS_AN_ATTEMPT_MAX: u64 = 1 << 40;
/// Reviews of one result, at most: 64, a committee and not a crowd; each of them is a task.
pub const REVIEWS_MAX: u32 = 64;
/// Rejected results kept a task.
pub(crate) const REJECTED_KEPT: usize = 16;
/// Peers that a task avoids because they failed it, at most; the oldest is forgiven first.
pub(crate) const AVOIDED_MAX: usize = 8;
/// Moves of one `Rebalance` entry, at most; another entry goes on.
pub(crate) const MOVES_A_REBALANCE: usize = 1_024;
/// Tasks becoming ready that weigh as much as one step of priority, at most: beyond the number of tasks it means that
/// nothing ages, and ten times it still leaves room beside the ready number.
pub(crate) const AGEING_MAX: u64 = u32::MAX as u64;
