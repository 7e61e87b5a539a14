//! How a consensus is configured, what is voted on, and how it ended.

use meshwork_core::consensus::{Protocol, Terms, TermsError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::messaging::{MessageBrokerError, TopicError};

/// Whose votes decide.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{Consensus, ConsensusConfig, ConsensusProtocol, Vote};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// let config = ConsensusConfig { protocol: Some(ConsensusProtocol::Leader), ..ConsensusConfig::default() };
/// let consensus = Consensus::new(config, broker)?;
/// consensus.register_voter("queen", |_| async { Vote::approve() })?;
/// consensus.register_voter("worker", |_| async { Vote::reject() })?;
/// let voters = ["queen", "worker"].map(str::to_owned);
/// let decision = consensus.propose("swarm-1", &voters, json!({ "merge": "main" })).await?;
/// assert!(decision.approved);
/// assert_eq!(decision.turnout.not_voted, ["worker"]);
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use meshwork::consensus::ConsensusConfig;
///
/// let config: ConsensusConfig = serde_json::from_str(r#"{ "quorumSize": 3, "threshold": 0.66 }"#)?;
/// assert_eq!((config.quorum_size, config.protocol, config.max_retries), (Some(3), None, 1));
/// assert!(config.validate().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
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
    /// ```
    /// use meshwork::consensus::ConsensusConfig;
    ///
    /// assert!(ConsensusConfig::default().validate().is_ok());
    /// let error = ConsensusConfig { quorum_size: Some(0), ..ConsensusConfig::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "quorumSize is 0: expected at least 1");
    /// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{Proposal, Vote};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
/// async fn careful(proposal: Proposal) -> Vote {
///     if proposal.swarm_id == "swarm-1" && proposal.voter_id == "ada" { Vote::approve() } else { Vote::reject() }
/// }
///
/// consensus.register_voter("ada", careful)?;
/// assert!(consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await?.approved);
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use meshwork::consensus::Vote;
///
/// let vote = Vote::reject().because("too risky");
/// assert_eq!((vote.approve, vote.reason.as_deref()), (false, Some("too risky")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: Option<String>,
}

impl Vote {
    /// Yes.
    ///
    /// ```
    /// use meshwork::consensus::Vote;
    ///
    /// assert_eq!(Vote::approve(), Vote { approve: true, reason: None });
    /// ```
    #[must_use]
    pub fn approve() -> Self {
        Self { approve: true, reason: None }
    }

    /// No.
    ///
    /// ```
    /// use meshwork::consensus::Vote;
    ///
    /// assert_eq!(Vote::reject(), Vote { approve: false, reason: None });
    /// ```
    #[must_use]
    pub fn reject() -> Self {
        Self { approve: false, reason: None }
    }

    /// The same vote, with why.
    ///
    /// ```
    /// use meshwork::consensus::Vote;
    ///
    /// let vote = Vote::approve().because("the tests pass");
    /// assert!(vote.approve);
    /// assert_eq!(vote.reason.as_deref(), Some("the tests pass"));
    /// ```
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

/// A vote that counted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{CastVote, Vote};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
/// consensus.register_voter("ada", |_| async { Vote::reject().because("too risky") })?;
/// let decision = consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await?;
/// let ada: &CastVote = &decision.turnout.votes[0];
/// assert_eq!((ada.voter_id.as_str(), ada.approve, ada.reason.as_deref()), ("ada", false, Some("too risky")));
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{Turnout, Vote};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
/// consensus.register_voter("ada", |_| async { Vote::approve() })?;
/// let decision = consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await?;
/// let turnout: Turnout = decision.turnout;
/// assert_eq!((turnout.votes.len(), turnout.not_voted.len(), turnout.asked), (1, 0, 1));
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{Decision, Vote};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
/// consensus.register_voter("ada", |_| async { Vote::approve() })?;
/// let decision: Decision =
///     consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await?;
/// let text = serde_json::to_value(&decision)?;
/// assert_eq!((&text["approved"], &text["votes"][0]["voterId"]), (&json!(true), &json!("ada")));
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{ConsensusMetrics, Vote};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
/// assert_eq!(consensus.metrics(), ConsensusMetrics::default());
/// consensus.register_voter("ada", |_| async { Vote::approve() })?;
/// consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await?;
/// assert_eq!((consensus.metrics().approved, consensus.metrics().asked_again), (1, 0));
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::consensus::{Consensus, ConsensusConfig, ConsensusError};
/// use serde_json::json;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// // Nobody of that name votes here.
/// let consensus = Consensus::new(ConsensusConfig { timeout_ms: 1, max_retries: 0, ..Default::default() }, broker)?;
/// let error = consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await.unwrap_err();
/// assert!(matches!(error, ConsensusError::Undecided { needed: 1, .. }));
/// assert_eq!(error.to_string(), "only 0 of 1 votes needed were cast; ada had not voted");
/// # Ok(())
/// # }
/// ```
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
