//! What can happen to a ballot, and what it may ask for.

use std::collections::BTreeMap;

/// A voter, by its place in the list that the caller gave.
///
/// ```
/// use meshwork_core::consensus::Voter;
///
/// let peers = ["ada", "bob"];
/// assert_eq!(peers[Voter(1).0 as usize], "bob");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter(pub u32);

/// Whose votes decide.
///
/// ```
/// use meshwork_core::consensus::{Ballot, Input, Protocol, Terms, Voter};
///
/// let terms = Terms { protocol: Protocol::Leader, ..Terms::default() };
/// let (mut ballot, _asked) = Ballot::open(terms, 3)?;
/// let _ = ballot.handle(Input::Voted { voter: Voter(0), approves: true });
/// assert!(ballot.outcome().is_some(), "the leader's vote is the answer");
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Enough voters, and enough approvals among their votes: for a mesh.
    #[default]
    Quorum,
    /// The first voter alone; if it is lost, the next one: for a hierarchy.
    Leader,
}

/// On what terms a ballot is held.
///
/// ```
/// use meshwork_core::consensus::{Ballot, Terms};
///
/// // Two thirds of the votes, and everybody has to cast one.
/// let terms = Terms { quorum: Some(3), threshold_permille: 667, ..Terms::default() };
/// let (ballot, _asked) = Ballot::open(terms, 3)?;
/// assert_eq!(ballot.needed(), 3);
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// Whose votes decide.
    pub protocol: Protocol,
    /// Votes that have to be cast; `None`: more than half of the voters. Only of a quorum.
    pub quorum: Option<u32>,
    /// The share of approvals among the votes cast that approves, in thousandths; at 500, an even split does not.
    /// Only of a quorum.
    pub threshold_permille: u32,
    /// How long votes are waited for before those who have not voted are asked again, in ms.
    pub timeout_ms: u64,
    /// How often they are asked again.
    pub retries: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { protocol: Protocol::Quorum, quorum: None, threshold_permille: 500, timeout_ms: 30_000, retries: 1 }
    }
}

/// Why a ballot can't be held.
///
/// ```
/// use meshwork_core::consensus::{Ballot, Terms, TermsError};
///
/// let terms = Terms { quorum: Some(4), ..Terms::default() };
/// let error = Ballot::open(terms, 3).expect_err("it could never be reached");
/// assert_eq!(error, TermsError::Quorum { found: 4, voters: 3 });
/// assert_eq!(error.to_string(), "a quorum of 4 of 3 voters: expected 1 to 3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Nobody would vote.
    #[error("a ballot without voters: found 0, expected at least 1")]
    NoVoters,
    /// It could never be reached, or says nothing.
    #[error("a quorum of {found} of {voters} voters: expected 1 to {voters}")]
    Quorum {
        /// What was asked for.
        found: u32,
        /// Voters.
        voters: u32,
    },
    /// It is no share, or approves what everybody rejects.
    #[error("a threshold of {found} thousandths: expected 1 to 1000")]
    Threshold {
        /// What was asked for.
        found: u32,
    },
    /// Nobody could answer in no time.
    #[error("a timeout of 0 ms: expected at least 1")]
    Timeout,
}

/// Names a timer that was asked for; one of an earlier asking is stale.
///
/// ```
/// use meshwork_core::consensus::Timer;
/// use meshwork_core::consensus::{Ballot, Input, Terms};
///
/// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
/// assert!(ballot.handle(Input::Fired(Timer(99))).is_empty(), "nobody asked for it");
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(pub u32);

/// What happens to a ballot.
///
/// ```
/// use meshwork_core::consensus::{Effect, Timer};
/// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
///
/// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
/// let _ = ballot.handle(Input::Voted { voter: Voter(0), approves: true });
/// let effects = ballot.handle(Input::Fired(Timer(1)));
/// assert_eq!(effects[0], Effect::Ask(vec![Voter(1), Voter(2)]), "who is silent is asked again");
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A vote came.
    Voted {
        /// Whose.
        voter: Voter,
        /// Yes or no.
        approves: bool,
    },
    /// A voter is gone: it is not waited for. A vote of it that comes all the same counts.
    Lost(Voter),
    /// A timer has run out.
    Fired(Timer),
}

/// What a ballot asks of the world. In order.
///
/// ```
/// use meshwork_core::consensus::{Ballot, Effect, Terms};
///
/// let (_, effects) = Ballot::open(Terms { timeout_ms: 500, ..Terms::default() }, 3)?;
/// assert!(matches!(effects[..], [Effect::Ask(_), Effect::Sleep { ms: 500, .. }]));
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Ask these for their votes.
    Ask(Vec<Voter>),
    /// Give this timer back after so many ms.
    Sleep {
        /// Which.
        timer: Timer,
        /// After how long.
        ms: u64,
    },
    /// It is over. Said once.
    Ended(Outcome),
}

/// How a ballot ended.
///
/// ```
/// use meshwork_core::consensus::Outcome;
/// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
///
/// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
/// for voter in [0, 1] {
///     let _ = ballot.handle(Input::Voted { voter: Voter(voter), approves: false });
/// }
/// assert_eq!(ballot.outcome(), Some(Outcome::Rejected), "the third vote can't change it");
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Neither: too few votes came, after all askings, or too few voters are left.
    Undecided {
        /// Votes that were cast.
        cast: u32,
        /// Votes that were needed.
        needed: u32,
    },
}

/// What became of a vote.
///
/// ```
/// use meshwork_core::consensus::Reception;
/// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
///
/// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
/// for voter in [0, 1] {
///     let _ = ballot.handle(Input::Voted { voter: Voter(voter), approves: true });
/// }
/// assert_eq!(ballot.reception(Voter(2)), Reception::Late);
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reception {
    /// It counts.
    Counted,
    /// This voter has voted: the first vote stands.
    Duplicate,
    /// The ballot is over.
    Late,
    /// It is not for this voter to decide: it is none, or not the leader.
    NotAsked,
}

/// What a ballot counted.
///
/// ```
/// use meshwork_core::consensus::Timer;
/// use meshwork_core::consensus::{Ballot, Input, Terms};
///
/// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
/// let _ = ballot.handle(Input::Fired(Timer(1)));
/// assert_eq!((ballot.statistics().asked, ballot.statistics().asked_again), (6, 3));
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// Requests for a vote, one a voter and asking.
    pub asked: u64,
    /// Of these, repeated ones.
    pub asked_again: u64,
    /// Votes that count.
    pub counted: u64,
    /// Further votes of voters that have voted.
    pub duplicate: u64,
    /// Votes that came after the end.
    pub late: u64,
    /// Votes of those that were not to decide.
    pub not_asked: u64,
}

/// The votes that count, by voter.
pub type Votes = BTreeMap<Voter, bool>;
