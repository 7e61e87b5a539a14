//! A ballot: voters are asked, votes come or do not, and at most one answer is given. The seed's consensus as a value.
//!
//! **Quorum**: the answer is given as soon as enough votes are cast and those that are outstanding can't change it. So
//! it does not depend on who was fastest: as long as nobody is lost or silent, the same votes give the same answer in
//! any order. Whoever is silent is asked again; after the last asking the votes that came decide, if they are enough.
//!
//! **Leader**: the first voter alone is asked, and its vote is the answer. If it is lost, or silent through all its
//! askings, the next one is.
//!
//! Each voter has one vote, its first. An answer never changes: later votes are counted as late. Too few votes are no
//! rejection: the ballot ends undecided. There is no clock: a timer is a value that is asked for and given back.
//!
//! This is a vote among peers who mean it, not agreement among liars: a voter is believed to be who it says. What a
//! quorum of the same voters approved twice was seen by at least one of them twice, if it is more than half (Gifford,
//! Weighted voting for replicated data, 1979).

mod contract;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use contract::{Effect, Input, Outcome, Protocol, Reception, Statistics, Terms, TermsError, Timer, Voter, Votes};

/// One ballot.
///
/// ```
/// use meshwork_core::consensus::{Ballot, Effect, Input, Outcome, Terms, Voter};
///
/// let (mut ballot, asked) = Ballot::open(Terms::default(), 3)?;
/// assert_eq!(asked[0], Effect::Ask(vec![Voter(0), Voter(1), Voter(2)]));
/// assert!(ballot.handle(Input::Voted { voter: Voter(2), approves: true }).is_empty());
/// let answer = ballot.handle(Input::Voted { voter: Voter(0), approves: true });
/// assert_eq!(answer, [Effect::Ended(Outcome::Approved)]);
/// # Ok::<(), meshwork_core::consensus::TermsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ballot {
    terms: Terms,
    voters: u32,
    quorum: u32,
    votes: Votes,
    lost: BTreeSet<Voter>,
    /// The one whose vote decides, under a leader.
    leader: Voter,
    /// Askings so far, of all voters or of this leader.
    askings: u32,
    /// The last timer that was asked for.
    timer: Timer,
    outcome: Option<Outcome>,
    statistics: Statistics,
}

impl Ballot {
    /// Opens a ballot and asks.
    ///
    /// ```
    /// use meshwork_core::consensus::{Ballot, Effect, Terms, TermsError, Timer, Voter};
    ///
    /// let (_, effects) = Ballot::open(Terms::default(), 2)?;
    /// let wait = Effect::Sleep { timer: Timer(1), ms: 30_000 };
    /// assert_eq!(effects, [Effect::Ask(vec![Voter(0), Voter(1)]), wait]);
    /// assert_eq!(Ballot::open(Terms::default(), 0), Err(TermsError::NoVoters));
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    ///
    /// # Errors
    /// The terms do not suit the voters.
    pub fn open(terms: Terms, voters: u32) -> Result<(Self, Vec<Effect>), TermsError> {
        let quorum = terms.quorum.unwrap_or(voters / 2 + 1);
        if voters == 0 {
            return Err(TermsError::NoVoters);
        }
        if terms.protocol == Protocol::Quorum && !(1..=voters).contains(&quorum) {
            return Err(TermsError::Quorum { found: quorum, voters });
        }
        if !(1..=1_000).contains(&terms.threshold_permille) {
            return Err(TermsError::Threshold { found: terms.threshold_permille });
        }
        if terms.timeout_ms == 0 {
            return Err(TermsError::Timeout);
        }
        let mut ballot = Self {
            terms,
            voters,
            quorum,
            votes: Votes::new(),
            lost: BTreeSet::new(),
            leader: Voter(0),
            askings: 0,
            timer: Timer(0),
            outcome: None,
            statistics: Statistics::default(),
        };
        let mut effects = Vec::new();
        ballot.ask(&mut effects);
        Ok((ballot, effects))
    }

    /// Takes what happened; says what is to be done.
    ///
    /// ```
    /// use meshwork_core::consensus::{Effect, Outcome};
    /// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
    ///
    /// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// assert!(ballot.handle(Input::Lost(Voter(2))).is_empty());
    /// assert!(ballot.handle(Input::Voted { voter: Voter(0), approves: false }).is_empty());
    /// let effects = ballot.handle(Input::Voted { voter: Voter(1), approves: true });
    /// assert_eq!(effects, [Effect::Ended(Outcome::Rejected)], "an even split approves nothing");
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use = "effects are to be performed"]
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Voted { voter, approves } => self.on_voted(voter, approves, &mut effects),
            Input::Lost(voter) => self.on_lost(voter, &mut effects),
            Input::Fired(timer) => self.on_fired(timer, &mut effects),
        }
        effects
    }

    /// What would become of a vote of that voter now.
    ///
    /// ```
    /// use meshwork_core::consensus::Reception;
    /// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
    ///
    /// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// let _ = ballot.handle(Input::Voted { voter: Voter(0), approves: true });
    /// assert_eq!(ballot.reception(Voter(0)), Reception::Duplicate);
    /// assert_eq!(ballot.reception(Voter(1)), Reception::Counted);
    /// assert_eq!(ballot.reception(Voter(7)), Reception::NotAsked);
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn reception(&self, voter: Voter) -> Reception {
        if voter.0 >= self.voters {
            Reception::NotAsked
        } else if self.votes.contains_key(&voter) {
            Reception::Duplicate
        } else if self.outcome.is_some() {
            Reception::Late
        } else if self.terms.protocol == Protocol::Leader && voter != self.leader {
            Reception::NotAsked
        } else {
            Reception::Counted
        }
    }

    /// How it ended, once it has.
    ///
    /// ```
    /// use meshwork_core::consensus::Outcome;
    /// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
    ///
    /// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// assert_eq!(ballot.outcome(), None);
    /// let _ = ballot.handle(Input::Lost(Voter(0)));
    /// let _ = ballot.handle(Input::Lost(Voter(1)));
    /// assert_eq!(ballot.outcome(), Some(Outcome::Undecided { cast: 0, needed: 2 }), "too few are left");
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The votes that count.
    ///
    /// ```
    /// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
    ///
    /// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// let _ = ballot.handle(Input::Voted { voter: Voter(1), approves: true });
    /// let _ = ballot.handle(Input::Voted { voter: Voter(1), approves: false });
    /// assert_eq!(ballot.votes().get(&Voter(1)), Some(&true), "the first vote stands");
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn votes(&self) -> &Votes {
        &self.votes
    }

    /// Voters that are gone.
    ///
    /// ```
    /// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
    ///
    /// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// let _ = ballot.handle(Input::Lost(Voter(2)));
    /// assert!(ballot.lost().contains(&Voter(2)));
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn lost(&self) -> &BTreeSet<Voter> {
        &self.lost
    }

    /// The one whose vote decides, under a leader.
    ///
    /// ```
    /// use meshwork_core::consensus::{Ballot, Input, Protocol, Terms, Voter};
    ///
    /// let terms = Terms { protocol: Protocol::Leader, ..Terms::default() };
    /// let (mut ballot, _asked) = Ballot::open(terms, 3)?;
    /// assert_eq!(ballot.leader(), Some(Voter(0)));
    /// let _ = ballot.handle(Input::Lost(Voter(0)));
    /// assert_eq!(ballot.leader(), Some(Voter(1)), "the next one decides");
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn leader(&self) -> Option<Voter> {
        (self.terms.protocol == Protocol::Leader).then_some(self.leader)
    }

    /// Votes that have to be cast.
    ///
    /// ```
    /// use meshwork_core::consensus::{Ballot, Terms};
    ///
    /// let (ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// assert_eq!(ballot.needed(), 2, "more than half of 3");
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn needed(&self) -> u32 {
        match self.terms.protocol {
            Protocol::Quorum => self.quorum,
            Protocol::Leader => 1,
        }
    }

    /// What was counted.
    ///
    /// ```
    /// use meshwork_core::consensus::{Ballot, Input, Terms, Voter};
    ///
    /// let (mut ballot, _asked) = Ballot::open(Terms::default(), 3)?;
    /// let _ = ballot.handle(Input::Voted { voter: Voter(9), approves: true });
    /// let counted = ballot.statistics();
    /// assert_eq!((counted.asked, counted.counted, counted.not_asked), (3, 0, 1));
    /// # Ok::<(), meshwork_core::consensus::TermsError>(())
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn on_voted(&mut self, voter: Voter, approves: bool, effects: &mut Vec<Effect>) {
        let counter = match self.reception(voter) {
            Reception::Counted => &mut self.statistics.counted,
            Reception::Duplicate => &mut self.statistics.duplicate,
            Reception::Late => &mut self.statistics.late,
            Reception::NotAsked => &mut self.statistics.not_asked,
        };
        *counter += 1;
        if self.reception(voter) == Reception::Counted {
            self.votes.insert(voter, approves);
            self.decide(effects);
        }
    }

    fn on_lost(&mut self, voter: Voter, effects: &mut Vec<Effect>) {
        if self.outcome.is_some() || voter.0 >= self.voters || !self.lost.insert(voter) {
            return;
        }
        match self.terms.protocol {
            Protocol::Quorum => self.decide(effects),
            Protocol::Leader if voter == self.leader => self.next_leader(effects),
            Protocol::Leader => {}
        }
    }

    fn on_fired(&mut self, timer: Timer, effects: &mut Vec<Effect>) {
        if timer != self.timer || self.outcome.is_some() {
            return;
        }
        if self.askings <= self.terms.retries {
            self.ask(effects);
        } else if self.terms.protocol == Protocol::Leader {
            self.next_leader(effects);
        } else if self.cast() >= self.quorum {
            let outcome = self.judged(self.approvals(), self.cast());
            self.end(outcome, effects);
        } else {
            self.end_undecided(effects);
        }
    }

    fn ask(&mut self, effects: &mut Vec<Effect>) {
        let whom = match self.terms.protocol {
            Protocol::Leader => vec![self.leader],
            Protocol::Quorum => self.outstanding().collect(),
        };
        let count = whom.len() as u64;
        self.statistics.asked += count;
        if self.askings > 0 {
            self.statistics.asked_again += count;
        }
        self.askings += 1;
        self.timer = Timer(self.timer.0 + 1);
        effects.push(Effect::Ask(whom));
        effects.push(Effect::Sleep { timer: self.timer, ms: self.terms.timeout_ms });
    }

    fn next_leader(&mut self, effects: &mut Vec<Effect>) {
        let next = (self.leader.0 + 1..self.voters).map(Voter).find(|voter| !self.lost.contains(voter));
        match next {
            Some(next) => {
                self.leader = next;
                self.askings = 0;
                self.ask(effects);
            }
            None => self.end_undecided(effects),
        }
    }

    /// Whether what is outstanding can still change the answer.
    fn decide(&mut self, effects: &mut Vec<Effect>) {
        if self.terms.protocol == Protocol::Leader {
            if let Some(approves) = self.votes.get(&self.leader) {
                let outcome = if *approves { Outcome::Approved } else { Outcome::Rejected };
                self.end(outcome, effects);
            }
            return;
        }
        let outstanding = u32::try_from(self.outstanding().count()).unwrap_or(u32::MAX);
        let (cast, approvals) = (self.cast(), self.approvals());
        if cast + outstanding < self.quorum {
            self.end_undecided(effects);
        } else if cast >= self.quorum {
            let all = cast + outstanding;
            let (worst, best) = (self.judged(approvals, all), self.judged(approvals + outstanding, all));
            if worst == best {
                self.end(worst, effects);
            }
        }
    }

    fn judged(&self, approvals: u32, cast: u32) -> Outcome {
        let threshold = self.terms.threshold_permille;
        let enough = u64::from(approvals) * 1_000 >= u64::from(threshold) * u64::from(cast);
        let even = threshold == 500 && approvals * 2 == cast;
        if enough && !even { Outcome::Approved } else { Outcome::Rejected }
    }

    fn cast(&self) -> u32 {
        u32::try_from(self.votes.len()).unwrap_or(u32::MAX)
    }

    fn approvals(&self) -> u32 {
        u32::try_from(self.votes.values().filter(|approves| **approves).count()).unwrap_or(u32::MAX)
    }

    /// Voters that are there and have not voted.
    fn outstanding(&self) -> impl Iterator<Item = Voter> + '_ {
        let voters = (0..self.voters).map(Voter);
        voters.filter(|voter| !self.votes.contains_key(voter) && !self.lost.contains(voter))
    }

    fn end_undecided(&mut self, effects: &mut Vec<Effect>) {
        self.end(Outcome::Undecided { cast: self.cast(), needed: self.needed() }, effects);
    }

    fn end(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.outcome = Some(outcome);
        effects.push(Effect::Ended(outcome));
    }
}
