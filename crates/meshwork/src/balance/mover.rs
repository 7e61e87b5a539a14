//! Whoever moves tasks. A balancer decides when; this decides what, and does it.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::artifacts::ArtifactError;
use crate::peers::artifact::PeerStateError;

/// How a swarm is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Tasks that its peers have.
    pub tasks: u64,
    /// Whether a rebalance would move one.
    pub has_move: bool,
    /// The load of each of its peers.
    pub loads: BTreeMap<String, f64>,
}

/// What a rebalance did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Tasks that changed their peer.
    pub tasks: u64,
    /// The load of each peer for which that made a difference.
    pub loads: BTreeMap<String, f64>,
}

/// Why tasks were not moved, or not all.
#[derive(Debug, Error)]
pub enum MoveError {
    /// The store of peers' states.
    #[error("{0}; no task was moved")]
    Artifacts(#[from] ArtifactError),
    /// A state was not written, after others were.
    #[error(
        "{source}; {moved} tasks were moved, of the others some may be listed with two peers until the next rebalance"
    )]
    Partly {
        /// Tasks that were moved.
        moved: u64,
        /// What went wrong.
        source: PeerStateError,
    },
    /// What a mover of somebody else says.
    #[error("{0}")]
    Foreign(String),
}

/// Moves tasks in place of the balancer's own way, which is to rewrite the stored states of peers: a coordinator, whose
/// scheduler knows which tasks have not started and who can do them.
///
/// The balancer calls one at a time. Whatever moves should make Σ L²/c smaller
/// ([`meshwork_core::balance::is_better`]), so that rebalancing comes to an end.
pub trait Mover: Send + Sync + 'static {
    /// The swarms that a balancer that acts by itself looks after.
    fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>>;

    /// How that swarm is. Nothing changes.
    fn look<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>>;

    /// Moves what is to be moved.
    fn rebalance<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>>;
}
