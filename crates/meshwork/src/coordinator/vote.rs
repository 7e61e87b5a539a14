//! Proposals, voted on by the peers.

use super::error::CoordinatorError;
use super::{MeshCoordinator, Running};
use crate::consensus::{Consensus, Decision, Proposal, Vote};
use serde_json::Value;

impl MeshCoordinator {
    /// From now on that handler votes for a peer.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::{ConsensusConfig, Vote};
    /// use meshwork::coordinator::MeshCoordinatorConfig;
    ///
    /// let config = MeshCoordinatorConfig { consensus: Some(ConsensusConfig::default()), ..Default::default() };
    /// # let (mesh, _folder) = started(config, echo(&[])).await?;
    /// mesh.register_voter("swarm-peer-1", |proposal| async move {
    ///     if proposal.content["risk"].as_u64() > Some(5) { Vote::reject() } else { Vote::approve() }
    /// })?;
    /// let again = mesh.register_voter("swarm-peer-1", |_| async { Vote::approve() });
    /// assert_eq!(again.unwrap_err().code(), "ConsensusFailed");
    /// # Ok(())
    /// # }
    /// ```
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
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::{ConsensusConfig, Vote};
    /// use meshwork::coordinator::MeshCoordinatorConfig;
    /// use serde_json::json;
    ///
    /// let config = MeshCoordinatorConfig {
    ///     peer_count: 3,
    ///     consensus: Some(ConsensusConfig::default()),
    ///     pause_idle_after: None,
    ///     ..MeshCoordinatorConfig::default()
    /// };
    /// # let (mesh, _folder) = started(config, echo(&[])).await?;
    /// for id in mesh.active_agents() {
    ///     mesh.register_voter(&id, |_| async { Vote::approve() })?;
    /// }
    /// assert!(mesh.propose(json!({ "merge": "main" })).await?.approved);
    /// # Ok(())
    /// # }
    /// ```
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
