//! Discovery: who is there, what can they do, and are they alive?
//!
//! Every peer speaks for itself, and whatever it says (announcement, heartbeat) is all of it, with the life that it
//! lives and a stamp that rises. So each side keeps the latest word of every peer, and loss, repetition and reordering
//! do no harm: a lost word is made good by the next heartbeat, a late one is not later than what is known. Silence
//! makes a peer stale, never unknown.
//!
//! One machine speaks for all peers of its side. [`Input`] and [`Ask`] are the contract; there is no clock, times come
//! in with inputs. A new life is numbered by the wall clock, or by one more than the last life that is known of the
//! peer; so a peer that starts again after its clock was set back is believed where its last life is forgotten or
//! stored, and else as soon as it has heard of it.
//!
//! Heartbeats with incarnations: van Renesse, Minsky, Hayden, A gossip-style failure detection service (1998); Das,
//! Gupta, Motivala, SWIM (2002). There is no gossip here: the broker brings each word to everybody.

mod contract;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub use contract::{Ask, Config, Heard, Input, Now, Profile, Said, Standing, Statistics, Timer};

/// What is known of a peer.
///
/// ```
/// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
/// let said = Said { incarnation: 1, stamp: 1, profile };
/// let how = Heard::Announcement { answers_us: false };
/// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
/// let bob = discovery.peer("bob").expect("it was heard");
/// assert_eq!((bob.said().stamp, bob.heard_us(), bob.is_local()), (1, Some(0), false));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record<R> {
    said: Said<R>,
    heard_us: Option<u64>,
    local: bool,
    /// The last query of this side that it answered.
    answered: u64,
    /// A life of its own name that is not its own: it goes beyond it with the next word.
    contested: u64,
}

impl<R> Record<R> {
    /// Its latest word.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// let bob = discovery.peer("bob").expect("it was heard");
    /// assert_eq!(bob.said().profile.capabilities, ["review"]);
    /// ```
    #[must_use]
    pub fn said(&self) -> &Said<R> {
        &self.said
    }

    /// When it was last heard, in µs; `None` when only its stored word is known.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let said = Said { incarnation: 1, stamp: 1, profile: Profile::<()>::default() };
    /// let _ = discovery.handle(Input::Recalled { peer: "bob".to_owned(), said }, at(0));
    /// assert_eq!(discovery.peer("bob").and_then(|bob| bob.heard_us()), None, "whether it lives is not known");
    /// ```
    #[must_use]
    pub fn heard_us(&self) -> Option<u64> {
        self.heard_us
    }

    /// Whether this side speaks for it.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Input, Now, Profile};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile::<()>::default();
    /// let _ = discovery.handle(Input::Local { peer: "ada".to_owned(), profile }, at(0));
    /// assert!(discovery.peer("ada").is_some_and(|ada| ada.is_local()));
    /// ```
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }
}

/// The discovery of one side.
///
/// ```
/// use meshwork_core::discovery::Ask;
/// use meshwork_core::discovery::{Config, Discovery, Input, Now, Profile};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let profile = Profile::<()>::default();
/// let _ = discovery.handle(Input::Local { peer: "ada".to_owned(), profile }, at(0));
/// let asks = discovery.handle(Input::Started, at(0));
/// assert!(matches!(&asks[0], Ask::Announce { peer, answers: None, .. } if peer == "ada"));
/// assert!(asks.contains(&Ask::Query), "and who else is there?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Discovery<R> {
    config: Config,
    peers: BTreeMap<String, Record<R>>,
    running: bool,
    run: u64,
    queries: u64,
    queried_us: u64,
    statistics: Statistics,
}

impl<R: Clone + PartialEq> Discovery<R> {
    /// A discovery that knows nobody and does not run.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// assert_eq!(Discovery::<()>::new(config).peers().count(), 0);
    /// ```
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            peers: BTreeMap::new(),
            running: false,
            run: 0,
            queries: 0,
            queried_us: 0,
            statistics: Statistics::default(),
        }
    }

    /// Takes what happened; says what is to be done.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// // An older word that arrives late changes nothing.
    /// let late = Said { incarnation: 1, stamp: 0, profile: Profile::default() };
    /// let asks = discovery.handle(Input::Heard { peer: "bob".to_owned(), how: Heard::Heartbeat, said: late }, at(10));
    /// assert!(asks.is_empty());
    /// assert_eq!(discovery.statistics().outdated, 1);
    /// ```
    #[must_use = "what is asked for is to be done"]
    pub fn handle(&mut self, input: Input<R>, now: Now) -> Vec<Ask<R>> {
        let mut asks = Vec::new();
        match input {
            Input::Started => self.on_started(now, &mut asks),
            Input::Stopped => self.running = false,
            Input::Elsewhere => self.peers.retain(|_, record| record.local),
            Input::Local { peer, profile } => self.on_local(peer, profile, now, &mut asks),
            Input::Heard { peer, how, said } => self.on_heard(&peer, how, said, now, &mut asks),
            Input::Recalled { peer, said } => self.on_recalled(peer, said, &mut asks),
            Input::Queried { side } => self.on_queried(&side, now, &mut asks),
            Input::Fired(timer) => self.on_fired(timer, now, &mut asks),
        }
        asks
    }

    /// What is known of that peer.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// assert!(discovery.peer("bob").is_some() && discovery.peer("nobody").is_none());
    /// ```
    #[must_use]
    pub fn peer(&self, peer: &str) -> Option<&Record<R>> {
        self.peers.get(peer)
    }

    /// Everybody who is known, by id.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// assert_eq!(discovery.peers().map(|(id, _)| id).collect::<Vec<_>>(), ["bob"]);
    /// ```
    pub fn peers(&self) -> impl Iterator<Item = (&str, &Record<R>)> {
        self.peers.iter().map(|(id, record)| (id.as_str(), record))
    }

    /// Whether a peer was heard of within so many µs and has not said good-bye. A local peer is heard of with whatever
    /// it says.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// assert!(discovery.is_alive("bob", 1_000_000, 900_000));
    /// assert!(!discovery.is_alive("bob", 1_000_000, 1_100_000), "silent for longer than a second");
    /// ```
    #[must_use]
    pub fn is_alive(&self, peer: &str, within_us: u64, now_us: u64) -> bool {
        self.peers.get(peer).is_some_and(|record| {
            let fresh = record.heard_us.is_some_and(|heard| now_us.saturating_sub(heard) <= within_us);
            fresh && record.said.profile.standing != Standing::Gone
        })
    }

    /// Whether a peer of another side was silent for too long. Nobody is stale who said good-bye, nor who is here.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// let bob = discovery.peer("bob").expect("it was heard");
    /// assert!(!discovery.is_stale(bob, 3_000_000) && discovery.is_stale(bob, 3_000_001));
    /// ```
    #[must_use]
    pub fn is_stale(&self, record: &Record<R>, now_us: u64) -> bool {
        let silent = record.heard_us.is_none_or(|heard| now_us.saturating_sub(heard) > self.config.timeout_us);
        silent && !record.local && record.said.profile.standing != Standing::Gone
    }

    /// Whether a peer is there: neither stale nor gone.
    ///
    /// ```
    /// use meshwork_core::discovery::Standing;
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// let gone = Profile { standing: Standing::Gone, ..Profile::default() };
    /// let said = Said { incarnation: 1, stamp: 2, profile: gone };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(10));
    /// let bob = discovery.peer("bob").expect("who said good-bye is still known");
    /// assert!(!discovery.is_present(bob, 10) && !discovery.is_stale(bob, 10));
    /// ```
    #[must_use]
    pub fn is_present(&self, record: &Record<R>, now_us: u64) -> bool {
        !self.is_stale(record, now_us) && record.said.profile.standing != Standing::Gone
    }

    /// Peers that are there and have all of these capabilities, by id.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// let review = ["review".to_owned()];
    /// assert_eq!(discovery.capable(&review, 0).collect::<Vec<_>>(), ["bob"]);
    /// assert_eq!(discovery.capable(&review, 9_000_000).count(), 0, "silent for too long");
    /// ```
    pub fn capable<'a>(&'a self, wanted: &'a [String], now_us: u64) -> impl Iterator<Item = &'a str> {
        self.peers().filter_map(move |(id, record)| {
            let has_all = || wanted.iter().all(|one| record.said.profile.capabilities.contains(one));
            (self.is_present(record, now_us) && has_all()).then_some(id)
        })
    }

    /// Whether another peer would be taken in.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// assert!(discovery.has_room(), "1 of 10");
    /// ```
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.peers.len() < self.config.peers_max
    }

    /// What was counted.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// assert_eq!(discovery.statistics().announcements_received, 1);
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn on_started(&mut self, now: Now, asks: &mut Vec<Ask<R>>) {
        if self.running {
            return;
        }
        self.running = true;
        self.run += 1;
        let run = self.run;
        for peer in self.local_peers() {
            if let Some(said) = self.speak(&peer, now) {
                asks.push(Ask::Announce { peer: peer.clone(), said: said.clone(), answers: None });
                asks.push(Ask::Store { peer, said });
            }
        }
        self.query(now, asks);
        asks.push(Ask::Sleep { timer: Timer::Heartbeat { run }, us: self.config.heartbeat_us });
    }

    fn query(&mut self, now: Now, asks: &mut Vec<Ask<R>>) {
        self.queries += 1;
        self.queried_us = now.us;
        asks.push(Ask::Query);
        asks.push(Ask::Sleep { timer: Timer::Discovery { run: self.run }, us: self.config.discovery_us });
    }

    fn on_local(&mut self, peer: String, profile: Profile<R>, now: Now, asks: &mut Vec<Ask<R>>) {
        let gone = profile.standing == Standing::Gone;
        match self.peers.entry(peer.clone()) {
            Entry::Occupied(known) if known.get().local && known.get().said.profile == profile => return,
            Entry::Occupied(mut known) => {
                let record = known.get_mut();
                if !record.local {
                    let lives = record.said.incarnation.max(record.contested);
                    record.said.incarnation = now.clock_ms.max(lives.saturating_add(1));
                }
                record.local = !gone;
                record.said.profile = profile;
            }
            Entry::Vacant(free) => {
                let said = Said { incarnation: now.clock_ms, stamp: 0, profile };
                free.insert(Record { local: !gone, ..Record::of(said) });
            }
        }
        let Some(said) = self.speak(&peer, now) else { return };
        if self.running {
            asks.push(Ask::Announce { peer: peer.clone(), said: said.clone(), answers: None });
            asks.push(Ask::Store { peer, said });
        }
        asks.push(Ask::Look);
    }

    fn on_heard(&mut self, peer: &str, how: Heard, said: Said<R>, now: Now, asks: &mut Vec<Ask<R>>) {
        let full = !self.has_room();
        let known = self.peers.get(peer);
        if known.is_some_and(|record| record.local) {
            self.on_heard_of_local(peer, &said);
            return;
        }
        self.statistics.announcements_received += u64::from(matches!(how, Heard::Announcement { .. }));
        let Some(known) = known else {
            if full {
                self.statistics.refused += 1;
                return;
            }
            self.peers.insert(peer.to_owned(), Record::of(said));
            self.is_heard(peer, how, now);
            asks.push(Ask::Look);
            return;
        };
        // A stored word may be the very one that is heard now.
        let says_more = said.order() > known.said.order();
        let confirms = said.order() == known.said.order() && known.heard_us.is_none();
        if !says_more && !confirms {
            self.statistics.outdated += 1;
            return;
        }
        if let Some(record) = self.peers.get_mut(peer) {
            record.said = said;
        }
        self.is_heard(peer, how, now);
        asks.push(Ask::Look);
    }

    /// Somebody speaks in the name of a local peer: of a life that it does not know of, so it goes beyond that life with
    /// what it says next. Not at once: two of one name would shout at each other.
    fn on_heard_of_local(&mut self, peer: &str, said: &Said<R>) {
        let Some(record) = self.peers.get_mut(peer) else { return };
        if said.order() > record.said.order() {
            self.statistics.contested += 1;
            record.contested = record.contested.max(said.incarnation);
        }
    }

    fn is_heard(&mut self, peer: &str, how: Heard, now: Now) {
        let Some(record) = self.peers.get_mut(peer) else { return };
        record.heard_us = Some(now.us);
        let answers = how == Heard::Announcement { answers_us: true };
        if answers && record.answered < self.queries {
            record.answered = self.queries;
            self.statistics.answers += 1;
            self.statistics.answer_us += now.us.saturating_sub(self.queried_us);
        }
    }

    fn on_recalled(&mut self, peer: String, said: Said<R>, asks: &mut Vec<Ask<R>>) {
        let full = !self.has_room();
        match self.peers.entry(peer) {
            Entry::Occupied(known) if known.get().local => {
                let peer = known.key().clone();
                self.on_heard_of_local(&peer, &said);
                return;
            }
            Entry::Occupied(mut known) => {
                if said.order() <= known.get().said.order() {
                    return;
                }
                // It said so later than what was heard of it, and nobody knows how much later.
                known.get_mut().said = said;
            }
            Entry::Vacant(_) if full => {
                self.statistics.refused += 1;
                return;
            }
            Entry::Vacant(free) => _ = free.insert(Record::of(said)),
        }
        asks.push(Ask::Look);
    }

    fn on_queried(&mut self, side: &str, now: Now, asks: &mut Vec<Ask<R>>) {
        if !self.running {
            return;
        }
        for peer in self.local_peers() {
            if let Some(said) = self.speak(&peer, now) {
                asks.push(Ask::Announce { peer, said, answers: Some(side.to_owned()) });
            }
        }
    }

    fn on_fired(&mut self, timer: Timer, now: Now, asks: &mut Vec<Ask<R>>) {
        if !self.running {
            return;
        }
        match timer {
            Timer::Discovery { run } if run == self.run => self.query(now, asks),
            Timer::Heartbeat { run } if run == self.run => {
                for peer in self.local_peers() {
                    if let Some(said) = self.speak(&peer, now) {
                        asks.push(Ask::Heartbeat { peer, said });
                    }
                }
                asks.push(Ask::Sleep { timer, us: self.config.heartbeat_us });
            }
            Timer::Discovery { .. } | Timer::Heartbeat { .. } => {}
        }
    }

    fn local_peers(&self) -> Vec<String> {
        self.peers().filter(|(_, record)| record.local).map(|(id, _)| id.to_owned()).collect()
    }

    /// What the peer says now: later than all that it said before.
    fn speak(&mut self, peer: &str, now: Now) -> Option<Said<R>> {
        let record = self.peers.get_mut(peer)?;
        if record.contested >= record.said.incarnation {
            record.said.incarnation = record.contested.saturating_add(1);
        }
        record.said.stamp = now.clock_ms.max(record.said.stamp.saturating_add(1));
        record.heard_us = Some(now.us);
        Some(record.said.clone())
    }

    /// Derives every cached fact again.
    ///
    /// ```
    /// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
    ///
    /// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
    /// let mut discovery = Discovery::new(config);
    /// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
    /// let profile = Profile { capabilities: vec!["review".to_owned()], ..Profile::<()>::default() };
    /// let said = Said { incarnation: 1, stamp: 1, profile };
    /// let how = Heard::Announcement { answers_us: false };
    /// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(0));
    /// discovery.check_invariants();
    /// ```
    ///
    /// # Panics
    /// When one of them is wrong.
    pub fn check_invariants(&self) {
        let others = self.peers.values().filter(|record| !record.local).count();
        assert!(others <= self.config.peers_max || !self.has_room(), "more peers of other sides than are taken in");
        let answered = self.peers.values().map(|record| record.answered).max().unwrap_or(0);
        assert!(answered <= self.queries, "a query was answered before it was made");
        for (id, record) in &self.peers {
            let gone = record.said.profile.standing == Standing::Gone;
            assert!(!(record.local && gone), "{id} is gone and still local");
            assert!(!record.local || record.heard_us.is_some(), "{id} is local and never spoke");
        }
    }
}

impl<R> Record<R> {
    fn of(said: Said<R>) -> Self {
        Self { said, heard_us: None, local: false, answered: 0, contested: 0 }
    }
}
