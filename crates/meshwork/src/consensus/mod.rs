//! Consensus among peers: a proposal is approved or rejected by real votes of real voters, over any broker.
//!
//! The rules are in [`meshwork_core::consensus`]; here they get names, a clock and a broker. Questions and votes
//! travel on the topic `mesh.<swarm>.consensus`, published without a sender, so that they count as nobody's messages and
//! keep no completion from being detected. Voters may be on this side or behind another [`Consensus`] on the same
//! broker, in this process or in another one.
//!
//! A voter is believed to be who it says: votes are as trustworthy as the broker. Only ballots that this side opened
//! are affected, and their names can't be guessed.

#[cfg(test)]
mod tests;
mod voters;
mod wire;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork_core::consensus::{Ballot, Effect, Input, Outcome, Terms, Timer, Voter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::broker::HandlerError;
use crate::clock::now_ms;
use crate::messaging::{Message, MessageBroker, MessageBrokerError, MessageHandler, Topic};
use voters::{Handler, Reply, Voters};
use wire::{ASK, Ask, Cast, EVERY_SWARM, VOTE};

pub use words::{
    CastVote, ConsensusConfig, ConsensusError, ConsensusMetrics, ConsensusProtocol, Decision, Proposal, Turnout, Vote,
};

/// What a ballot that runs hears.
enum Heard {
    Vote(Cast),
    Lost(String),
}

#[derive(Default)]
struct Books {
    voters: Voters,
    /// Ballots of this side that run. What they hear is bounded by what the broker lets through.
    running: HashMap<String, mpsc::UnboundedSender<Heard>>,
    opened: u64,
    metrics: ConsensusMetrics,
}

struct Inner {
    broker: Arc<dyn MessageBroker>,
    /// Begins the names of this side's ballots.
    side: String,
    books: Mutex<Books>,
}

fn message(kind: &'static str, content: &impl Serialize) -> Result<Message, MessageBrokerError> {
    let payload = serde_json::to_value(content).map_err(|error| MessageBrokerError::Foreign(error.to_string()))?;
    Ok(Message::new(kind, payload, now_ms()))
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(self: &Arc<Self>, message: &Message) -> Result<(), HandlerError> {
        let wrong = |error| HandlerError::new(format!("this is no message of a ballot: {error}"));
        match message.kind.as_str() {
            ASK => self.on_ask(&Ask::deserialize(&message.payload).map_err(wrong)?),
            VOTE => self.on_vote(Cast::deserialize(&message.payload).map_err(wrong)?),
            _ => {}
        }
        Ok(())
    }

    /// Handlers think beside the message, so that one that takes its time holds up nobody else.
    fn on_ask(self: &Arc<Self>, ask: &Ask) {
        for reply in self.books().voters.asked(ask) {
            let (inner, swarm) = (Arc::downgrade(self), ask.swarm_id.clone());
            match reply {
                Reply::Think(handler, proposal) => drop(tokio::spawn(think(inner, swarm, handler, proposal))),
                Reply::Repeat(cast) => drop(tokio::spawn(publish_vote(inner, swarm, cast))),
            }
        }
    }

    fn on_vote(&self, cast: Cast) {
        let mut books = self.books();
        let is_ours = cast.ballot_id.starts_with(&self.side);
        let running = books.running.get(&cast.ballot_id);
        let told = running.is_some_and(|ballot| ballot.send(Heard::Vote(cast)).is_ok());
        if is_ours && !told {
            books.metrics.votes_late += 1;
        }
    }

    fn lose(&self, voter: &str) {
        for ballot in self.books().running.values() {
            // A ballot that just ended does not need to know.
            let _ended = ballot.send(Heard::Lost(voter.to_owned()));
        }
    }
}

async fn think(inner: Weak<Inner>, swarm: String, handler: Handler, proposal: Proposal) {
    let (ballot_id, voter_id) = (proposal.ballot_id.clone(), proposal.voter_id.clone());
    // A task of its own, so that a handler that panics takes nobody with it.
    let vote = tokio::spawn(async move { handler(proposal).await }).await;
    let Some(this) = inner.upgrade() else { return };
    match vote {
        Ok(Vote { approve, reason }) => {
            let cast = Cast { ballot_id, voter_id, approve, reason };
            this.books().voters.voted(&cast);
            drop(this);
            publish_vote(inner, swarm, cast).await;
        }
        Err(error) => {
            this.books().voters.failed(&ballot_id, &voter_id);
            tracing::warn!(ballot_id, voter_id, %error, "a voter broke and has not voted");
        }
    }
}

/// A vote that does not get away is asked for again.
async fn publish_vote(inner: Weak<Inner>, swarm: String, cast: Cast) {
    let Some(broker) = inner.upgrade().map(|inner| Arc::clone(&inner.broker)) else { return };
    let published = match (wire::topic(&swarm), message(VOTE, &cast)) {
        (Ok(topic), Ok(message)) => broker.publish(topic.as_str(), message).await.map_err(|error| error.to_string()),
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(error.to_string()),
    };
    if let Err(error) = published {
        tracing::warn!(ballot = cast.ballot_id, voter = cast.voter_id, error, "a vote was not published");
    }
}

/// Votes of peers on proposals, over any broker.
///
/// ```
/// use std::sync::Arc;
/// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
/// use meshwork::consensus::{Consensus, ConsensusConfig, Vote};
/// use serde_json::json;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let consensus = Consensus::new(ConsensusConfig::default(), Arc::new(broker))?;
/// for voter in ["ada", "ben", "eve"] {
///     consensus.register_voter(voter, move |proposal| async move {
///         match proposal.content["risk"].as_u64() {
///             Some(0..=3) => Vote::approve(),
///             _ => Vote::reject().because("too risky"),
///         }
///     })?;
/// }
/// let voters = ["ada", "ben", "eve"].map(String::from);
/// let decision = consensus.propose("demo", &voters, json!({ "risk": 2 })).await?;
/// assert!(decision.approved);
/// # Ok::<(), meshwork::consensus::ConsensusError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Consensus {
    inner: Arc<Inner>,
    terms: Terms,
    handler: MessageHandler,
}

impl Consensus {
    /// A consensus without voters, on that broker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::{Consensus, ConsensusConfig};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// let consensus = Consensus::new(ConsensusConfig::default(), broker.clone())?;
    /// assert_eq!(consensus.metrics().ballots, 0);
    ///
    /// let config = ConsensusConfig { threshold: 1.5, ..ConsensusConfig::default() };
    /// let error = Consensus::new(config, broker).err().expect("over 1");
    /// assert_eq!(error.to_string(), "threshold is 1.5: expected a share of at least 0.001 and at most 1");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A field of the configuration can't be what it is, or the broker refuses the subscription.
    ///
    /// # Panics
    /// When the operating system has no random source.
    pub fn new(config: ConsensusConfig, broker: Arc<dyn MessageBroker>) -> Result<Self, ConsensusError> {
        let terms = config.terms()?;
        let side = format!("{}-", crate::random::hex::<16>());
        let inner = Arc::new(Inner { broker, side, books: Mutex::default() });
        let weak = Arc::downgrade(&inner);
        let handler = MessageHandler::new(move |message| {
            let heard = weak.upgrade().map_or(Ok(()), |inner| inner.hear(&message));
            async move { heard }
        });
        inner.broker.subscribe(EVERY_SWARM, handler.clone())?;
        Ok(Self { inner, terms, handler })
    }

    /// From now on that handler votes for the peer, in any swarm on this broker. It is asked once a ballot; one that panics
    /// has not voted, and is asked again with the next asking.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::Vote;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
    /// consensus.register_voter("ada", |proposal| async move {
    ///     if proposal.content["risk"].as_u64() > Some(5) { Vote::reject() } else { Vote::approve() }
    /// })?;
    /// let error = consensus.register_voter("ada", |_| async { Vote::approve() }).unwrap_err();
    /// assert_eq!(error.to_string(), r#"voter "ada" is registered already; nothing changed"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The peer has a handler here already. Nothing changed.
    pub fn register_voter<F, Voting>(&self, peer_id: &str, handler: F) -> Result<(), ConsensusError>
    where
        F: Fn(Proposal) -> Voting + Send + Sync + 'static,
        Voting: Future<Output = Vote> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |proposal| handler(proposal).boxed());
        match self.inner.books().voters.register(peer_id, handler) {
            true => Ok(()),
            false => Err(ConsensusError::Registered { voter: peer_id.to_owned() }),
        }
    }

    /// The peer votes no more; to ballots of this side it is lost. False if it was not registered here.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::Vote;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
    /// consensus.register_voter("ada", |_| async { Vote::approve() })?;
    /// assert!(consensus.remove_voter("ada"));
    /// assert!(!consensus.remove_voter("ada"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove_voter(&self, peer_id: &str) -> bool {
        let removed = self.inner.books().voters.remove(peer_id);
        if removed {
            self.inner.lose(peer_id);
        }
        removed
    }

    /// Whoever watches peers says that this one is gone, wherever it was: ballots of this side that run do not wait
    /// for it, and a lost leader is followed by the next.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::{ConsensusError, Vote};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
    /// for voter in ["ada", "ben"] {
    ///     consensus.register_voter(voter, |_| std::future::pending::<Vote>())?;
    /// }
    /// let voters = ["ada", "ben"].map(str::to_owned);
    /// let proposing = consensus.propose("swarm-1", &voters, json!({ "merge": "main" }));
    /// // Meanwhile whoever watches peers sees that Ada is gone: with Ben alone there can't be two votes.
    /// let losing = async { consensus.voter_lost("ada") };
    /// let (decision, ()) = tokio::join!(proposing, losing);
    /// let Err(ConsensusError::Undecided { needed: 2, turnout }) = decision else { panic!("nobody voted") };
    /// assert_eq!(turnout.lost, ["ada"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn voter_lost(&self, peer_id: &str) {
        self.inner.lose(peer_id);
    }

    /// Asks these voters, and waits for their answer. A call that is dropped is forgotten.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::Vote;
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
    /// for (voter, approves) in [("ada", true), ("ben", true), ("eve", false)] {
    ///     let vote = move |_| async move { if approves { Vote::approve() } else { Vote::reject() } };
    ///     consensus.register_voter(voter, vote)?;
    /// }
    /// let voters = ["ada", "ben", "eve"].map(str::to_owned);
    /// let decision = consensus.propose("swarm-1", &voters, json!({ "merge": "main" })).await?;
    /// assert!(decision.approved);
    ///
    /// let twice = ["ada", "ada"].map(str::to_owned);
    /// assert!(consensus.propose("swarm-1", &twice, json!({ "merge": "main" })).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The voters are none, named twice, or fewer than the quorum; the name of the swarm makes no topic; the broker does
    /// not take the question; or too few votes came: [`ConsensusError::Undecided`] says whose.
    pub async fn propose(&self, swarm: &str, voters: &[String], proposal: Value) -> Result<Decision, ConsensusError> {
        let mut names = HashSet::new();
        if let Some(twice) = voters.iter().find(|voter| !names.insert(voter.as_str())) {
            return Err(ConsensusError::Twice { voter: twice.clone() });
        }
        let topic = wire::topic(swarm)?;
        let (ballot, effects) = Ballot::open(self.terms, u32::try_from(voters.len()).unwrap_or(u32::MAX))?;
        let (hears, heard) = mpsc::unbounded_channel();
        let ballot_id = {
            let mut books = self.inner.books();
            books.opened += 1;
            books.metrics.ballots += 1;
            let ballot_id = format!("{}{}", self.inner.side, books.opened);
            books.running.insert(ballot_id.clone(), hears);
            ballot_id
        };
        let ask = Ask { ballot_id, swarm_id: swarm.to_owned(), voters: Vec::new(), proposal };
        let asking = None;
        let reasons = BTreeMap::new();
        let numbers = voters.iter().map(String::as_str).zip((0..).map(Voter)).collect();
        let inner = &*self.inner;
        let mut held =
            Held { inner, ask, topic, voters, numbers, ballot, heard, reasons, timer: None, asking, ended: None };
        let outcome = held.run(effects).await?;
        held.ended = Some(outcome);
        let turnout = held.turnout();
        match outcome {
            Outcome::Approved => Ok(Decision { approved: true, turnout }),
            Outcome::Rejected => Ok(Decision { approved: false, turnout }),
            Outcome::Undecided { needed, .. } => Err(ConsensusError::Undecided { needed, turnout: Box::new(turnout) }),
        }
    }

    /// What was counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::consensus::Vote;
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let consensus = meshwork::consensus::Consensus::new(Default::default(), broker)?;
    /// consensus.register_voter("ada", |_| async { Vote::reject() })?;
    /// assert!(!consensus.propose("swarm-1", &["ada".to_owned()], json!({ "merge": "main" })).await?.approved);
    /// let metrics = consensus.metrics();
    /// assert_eq!((metrics.ballots, metrics.rejected, metrics.votes_counted), (1, 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> ConsensusMetrics {
        self.inner.books().metrics
    }
}

impl Drop for Consensus {
    fn drop(&mut self) {
        self.inner.broker.unsubscribe(EVERY_SWARM, &self.handler);
    }
}

/// A ballot that is being held. Dropped: over, and in the books.
struct Held<'a> {
    inner: &'a Inner,
    ask: Ask,
    topic: Topic,
    voters: &'a [String],
    numbers: HashMap<&'a str, Voter>,
    ballot: Ballot,
    heard: mpsc::UnboundedReceiver<Heard>,
    reasons: BTreeMap<Voter, String>,
    timer: Option<(Timer, Instant)>,
    /// A question on its way.
    asking: Option<BoxFuture<'static, Result<(), MessageBrokerError>>>,
    ended: Option<Outcome>,
}

impl Held<'_> {
    async fn run(&mut self, mut effects: Vec<Effect>) -> Result<Outcome, ConsensusError> {
        loop {
            for effect in effects {
                match effect {
                    Effect::Ask(whom) => self.ask(&whom)?,
                    Effect::Sleep { timer, ms } => {
                        self.timer = Some((timer, Instant::now() + Duration::from_millis(ms)));
                    }
                    Effect::Ended(outcome) => return Ok(outcome),
                }
            }
            let timer = self.timer;
            let ring = async {
                match timer {
                    Some((timer, at)) => sleep_until(at).map(|()| timer).await,
                    None => pending().await,
                }
            };
            let asking = async {
                match self.asking.as_mut() {
                    Some(asking) => asking.await,
                    None => pending().await,
                }
            };
            effects = tokio::select! {
                asked = asking => {
                    self.asking = None;
                    self.asked(asked)?;
                    Vec::new()
                }
                // The books hold the other end until this ballot is over.
                Some(heard) = self.heard.recv() => self.hear(heard),
                timer = ring => {
                    self.timer = None;
                    self.ballot.handle(Input::Fired(timer))
                }
            };
        }
    }

    /// A question that is still on its way is not waited for: this one says the same to fewer.
    fn ask(&mut self, whom: &[Voter]) -> Result<(), ConsensusError> {
        self.ask.voters = whom.iter().map(|voter| self.name(*voter)).collect();
        let (broker, topic) = (Arc::clone(&self.inner.broker), self.topic.clone());
        let message = message(ASK, &self.ask)?;
        self.asking = Some(async move { broker.publish(topic.as_str(), message).await }.boxed());
        Ok(())
    }

    /// Whoever has not got the question may get the next one; others have it.
    fn asked(&self, asked: Result<(), MessageBrokerError>) -> Result<(), ConsensusError> {
        match asked {
            Err(MessageBrokerError::Broadcast(error)) => {
                tracing::warn!(ballot = self.ask.ballot_id, %error, "not every side of a ballot was asked");
                Ok(())
            }
            asked => Ok(asked?),
        }
    }

    fn hear(&mut self, heard: Heard) -> Vec<Effect> {
        match heard {
            Heard::Lost(name) => {
                self.number(&name).map_or_else(Vec::new, |voter| self.ballot.handle(Input::Lost(voter)))
            }
            Heard::Vote(Cast { voter_id, approve, reason, .. }) => {
                // Whoever is no voter has a number that no voter has: the ballot counts it as not asked.
                let voter = self.number(&voter_id).unwrap_or(Voter(u32::MAX));
                let counted = self.ballot.statistics().counted;
                let effects = self.ballot.handle(Input::Voted { voter, approves: approve });
                if let Some(reason) = reason.filter(|_| self.ballot.statistics().counted > counted) {
                    self.reasons.insert(voter, reason);
                }
                effects
            }
        }
    }

    fn number(&self, name: &str) -> Option<Voter> {
        self.numbers.get(name).copied()
    }

    fn name(&self, voter: Voter) -> String {
        self.voters.get(voter.0 as usize).cloned().unwrap_or_default()
    }

    fn turnout(&self) -> Turnout {
        let cast = |(voter, approve): (&Voter, &bool)| CastVote {
            voter_id: self.name(*voter),
            approve: *approve,
            reason: self.reasons.get(voter).cloned(),
        };
        let voters = (0..).map(Voter).zip(self.voters);
        let silent = voters.filter(|(voter, _)| !self.ballot.votes().contains_key(voter));
        Turnout {
            ballot_id: self.ask.ballot_id.clone(),
            votes: self.ballot.votes().iter().map(cast).collect(),
            not_voted: silent.map(|(_, name)| name.clone()).collect(),
            lost: self.ballot.lost().iter().map(|voter| self.name(*voter)).collect(),
            asked: self.ballot.statistics().asked,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Nothing more comes from here on; what came and was not heard is late.
        self.inner.books().running.remove(&self.ask.ballot_id);
        while let Ok(heard) = self.heard.try_recv() {
            let _over = self.hear(heard);
        }
        let statistics = self.ballot.statistics();
        let mut books = self.inner.books();
        let metrics = &mut books.metrics;
        match self.ended {
            Some(Outcome::Approved) => metrics.approved += 1,
            Some(Outcome::Rejected) => metrics.rejected += 1,
            Some(Outcome::Undecided { .. }) | None => metrics.undecided += 1,
        }
        metrics.asked += statistics.asked;
        metrics.asked_again += statistics.asked_again;
        metrics.votes_counted += statistics.counted;
        metrics.votes_duplicate += statistics.duplicate;
        metrics.votes_not_asked += statistics.not_asked;
        metrics.votes_late += statistics.late;
    }
}
