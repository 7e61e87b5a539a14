//! Proposals, voted on by the peers.

use super::error::CoordinatorError;
use super::{MeshCoordinator, Running};
use crate::consensus::{Consensus, Decision, Proposal, Vote};
use serde_json::Value;

impl MeshCoordinator {
    /// From now on that handler votes for a peer.
    ///
    /// # Errors
    /// [`CoordinatorError::ConsensusDisabled`]; [`CoordinatorError::Consensus`] when the peer has one already.
    pub fn register_voter<F, Voting>(&self, peer: &str, handler: F) -> Result<(), CoordinatorError>
    where
        F: Fn(Proposal) -> Voting + Send + Sync + 'static,
        Voting: Future<Output = Vote> + Send + 'static,
    {
        Ok(self.running()?.consensus()?.register_voter(peer, handler)?)
    }

    /// Asks the active peers, the queen first where there is one, and resolves with what they decided.
    ///
    /// # Errors
    /// [`CoordinatorError::ConsensusDisabled`]; [`CoordinatorError::Consensus`] when too few votes came.
    pub async fn propose(&self, proposal: Value) -> Result<Decision, CoordinatorError> {
        let running = self.running()?;
        let queen = self.queen();
        let mut voters = self.active_agents();
        voters.sort_by_key(|id| Some(id) != queen.as_ref());
        Ok(running.consensus()?.propose(&running.config.swarm_id, &voters, proposal).await?)
    }
}

impl Running {
    fn consensus(&self) -> Result<&Consensus, CoordinatorError> {
        self.consensus.as_ref().ok_or(CoordinatorError::ConsensusDisabled)
    }
}
