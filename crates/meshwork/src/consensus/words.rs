//! How a consensus is configured, what is voted on, and how it ended.

use meshwork_core::consensus::{Protocol, Terms, TermsError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::messaging::{MessageBrokerError, TopicError};

/// Whose votes decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsensusProtocol {
    /// Enough voters, and enough approvals among their votes: for a mesh.
    #[default]
    Quorum,
    /// The first voter alone; if it is lost or silent, the next one: for a hierarchy.
    Leader,
}

/// The seed's `ConsensusConfig`, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConsensusConfig {
    /// Whose votes decide. Default: `quorum`, and in a hierarchy that a router chose, `leader`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ConsensusProtocol>,
    /// Votes that have to be cast. Default: more than half of the voters, ⌊n/2⌋ + 1. Of `quorum` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum_size: Option<u32>,
    /// The share of approvals among the votes cast that approves: above 0, at most 1, in steps of a thousandth. At 0.5, an
    /// even split does not. Of `quorum` only.
    pub threshold: f64,
    /// How long votes are waited for before those who have not voted are asked again, in ms; at least 1.
    pub timeout_ms: u64,
    /// How often they are asked again.
    pub max_retries: u32,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        let Terms { threshold_permille, timeout_ms, retries, .. } = Terms::default();
        Self {
            protocol: None,
            quorum_size: None,
            threshold: f64::from(threshold_permille) / 1_000.0,
            timeout_ms,
            max_retries: retries,
        }
    }
}

impl ConsensusConfig {
    /// Whether it can be, whoever votes.
    ///
    /// # Errors
    /// Names the field, what was found and what was expected.
    pub fn validate(&self) -> Result<(), ConsensusError> {
        self.terms().map(drop)
    }

    pub(super) fn terms(&self) -> Result<Terms, ConsensusError> {
        let wrong = |field, found: String, expected| Err(ConsensusError::Config { field, found, expected });
        if self.quorum_size == Some(0) {
            return wrong("quorumSize", "0".to_owned(), "at least 1");
        }
        // Two thirds are 666 thousandths, so that two of three are enough; 0.29 is 290 although its float is less.
        let permille = (self.threshold * 1_000.0 + 1e-6).floor();
        if !(permille >= 1.0 && self.threshold <= 1.0) {
            return wrong("threshold", self.threshold.to_string(), "a share of at least 0.001 and at most 1");
        }
        if self.timeout_ms == 0 {
            return wrong("timeoutMs", "0".to_owned(), "at least 1");
        }
        let protocol = match self.protocol.unwrap_or_default() {
            ConsensusProtocol::Quorum => Protocol::Quorum,
            ConsensusProtocol::Leader => Protocol::Leader,
        };
        Ok(Terms {
            protocol,
            quorum: self.quorum_size,
            threshold_permille: permille as u32, // 1 to 1000
            timeout_ms: self.timeout_ms,
            retries: self.max_retries,
        })
    }
}

/// What a voter is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Names the ballot.
    pub ballot_id: String,
    /// The swarm that it is held in.
    pub swarm_id: String,
    /// Who is asked.
    pub voter_id: String,
    /// What is proposed.
    pub content: Value,
}

/// What a voter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: Option<String>,
}

impl Vote {
    /// Yes.
    #[must_use]
    pub fn approve() -> Self {
        Self { approve: true, reason: None }
    }

    /// No.
    #[must_use]
    pub fn reject() -> Self {
        Self { approve: false, reason: None }
    }

    /// The same vote, with why.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

/// A vote that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CastVote {
    /// Whose.
    pub voter_id: String,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who voted, and who did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turnout {
    /// Names the ballot.
    pub ballot_id: String,
    /// The votes that counted when it ended, in the order of the voters.
    pub votes: Vec<CastVote>,
    /// Voters whose vote did not count or come, in their order; under a leader also those that were not asked.
    pub not_voted: Vec<String>,
    /// Of these, the ones that were lost.
    pub lost: Vec<String>,
    /// Requests for a vote, one a voter and asking.
    pub asked: u64,
}

/// The answer of a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Approved, or rejected.
    pub approved: bool,
    /// Who voted how.
    #[serde(flatten)]
    pub turnout: Turnout,
}

/// What was counted since the consensus was made. Votes by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsensusMetrics {
    /// Ballots that were opened.
    pub ballots: u64,
    /// Ballots that ended approved.
    pub approved: u64,
    /// Ballots that ended rejected.
    pub rejected: u64,
    /// Ballots that ended without an answer.
    pub undecided: u64,
    /// Requests for a vote, one a voter and asking; of ballots that have ended.
    pub asked: u64,
    /// Of these, repeated ones.
    pub asked_again: u64,
    /// Votes that counted; of ballots that have ended.
    pub votes_counted: u64,
    /// Further votes of voters that had voted; of ballots that have ended.
    pub votes_duplicate: u64,
    /// Votes of those that were not to decide; of ballots that have ended.
    pub votes_not_asked: u64,
    /// Votes that came after the end.
    pub votes_late: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, Error)]
pub enum ConsensusError {
    /// A field of the configuration can't be what it is.
    #[error("{field} is {found}: expected {expected}")]
    Config {
        /// The field, by its name in JSON.
        field: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The ballot can't be held with these voters. Nobody was asked.
    #[error("{0}; nobody was asked")]
    Terms(#[from] TermsError),
    /// Somebody would have two votes. Nobody was asked.
    #[error("voter {voter:?} is named twice: expected each once; nobody was asked")]
    Twice {
        /// Who.
        voter: String,
    },
    /// Its handler is there. Nothing changed.
    #[error("voter {voter:?} is registered already; nothing changed")]
    Registered {
        /// Who.
        voter: String,
    },
    /// The name of the swarm makes no topic. Nobody was asked.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The broker did not take the question. The ballot is over without an answer.
    #[error("the voters could not be asked: {0}")]
    Broker(#[from] MessageBrokerError),
    /// Too few votes came. This is no rejection.
    #[error("only {} of {needed} votes needed were cast; {} had not voted", turnout.votes.len(), turnout.not_voted.join(", "))]
    Undecided {
        /// Votes that were needed.
        needed: u32,
        /// Who voted, and who did not.
        turnout: Box<Turnout>,
    },
}
