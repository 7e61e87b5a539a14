//! What the sides of a ballot say to each other, on one topic a swarm.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::messaging::{Topic, TopicError};

/// The type of the messages that ask.
pub(super) const ASK: &str = "consensus-ask";
/// The type of the messages that vote.
pub(super) const VOTE: &str = "consensus-vote";
/// The topics of all swarms.
pub(super) const EVERY_SWARM: &str = "mesh.*.consensus";

/// The topic of a swarm's ballots: `mesh.<swarm>.consensus`. The name of the swarm is one token.
pub(super) fn topic(swarm: &str) -> Result<Topic, TopicError> {
    if swarm.contains('.') {
        return Err(TopicError { text: swarm.to_owned(), what: "name of a swarm", why: "it contains a dot" });
    }
    Topic::new(&format!("mesh.{swarm}.consensus"))
}

/// Asks for votes. Published without a sender, so that it counts as nobody's message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ask {
    pub(super) ballot_id: String,
    pub(super) swarm_id: String,
    /// Who is to vote.
    pub(super) voters: Vec<String>,
    pub(super) proposal: Value,
}

/// One vote. Published without a sender, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cast {
    pub(super) ballot_id: String,
    pub(super) voter_id: String,
    pub(super) approve: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}
