//! Who stands where, in words: the topology as the log has it.

use super::View;
use super::report::PeerRole;
use crate::topology::TopologyValidationResult;
use meshwork_core::topology::Choice;
use meshwork_core::{PeerNo, Swarm};

impl View {
    /// The topology; `None` before the log is opened.
    pub(super) fn topology(&self) -> Option<String> {
        self.swarm.is_open().then(|| self.swarm.shape().topology().word().to_owned())
    }

    /// The queen, or the lead of a hybrid's first cell.
    pub(super) fn queen(&self) -> Option<String> {
        self.swarm.shape().queen().map(|no| self.peer_id(no))
    }

    /// How well the topology suits the agents that it was chosen for.
    pub(super) fn topology_validation(&self) -> Option<serde_json::Value> {
        let validation = self.swarm.is_open().then(|| self.swarm.config().topology.validation())?;
        serde_json::to_value(TopologyValidationResult::from(validation)).ok()
    }

    /// What a peer is, and who is above it.
    pub(super) fn standing(&self, no: PeerNo) -> (Option<PeerRole>, Option<String>) {
        let shape = self.swarm.shape();
        let Some(queen) = shape.queen().filter(|_| shape.contains(no)) else { return (None, None) };
        let role = if no == queen {
            PeerRole::Queen
        } else if shape.lead_of(no) == Some(no) {
            PeerRole::Lead
        } else {
            PeerRole::Worker
        };
        (Some(role), shape.above(no).map(|above| self.peer_id(above)))
    }
}

/// The topology and what it was chosen by, for the rows that tell of it.
pub(super) fn topology_in_words(choice: &Choice) -> String {
    let agents = choice.agents;
    format!("{} (asked for: {}, for {agents} agents)", choice.topology(), choice.requested.word())
}

/// Where a peer that has come stands: `" below q"`, or nothing in a mesh and for a queen.
pub(super) fn place_in_words(swarm: &Swarm, no: PeerNo) -> String {
    let above = swarm.shape().above(no).and_then(|above| swarm.peer(above));
    above.map_or_else(String::new, |above| format!(", below {:?}", above.id))
}
