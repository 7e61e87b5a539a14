//! The stand-alone detector: is a set of peers done that do nothing but send each other messages?
//!
//! It needs no log and no tasks, only to be told what a broker can tell: who sent, what was acknowledged and, from
//! brokers that say so, which handlers run. It is Dijkstra and Scholten's algorithm with *sets* of messages in place
//! of counts, so that being told twice does no harm; the books of all peers of one side lie here, so that a peer that
//! crashes takes nothing out of them. When the root of the tree is free, a wave of probes asks every peer, also those
//! that other detectors answer for; `detection` says what follows from the answers.
//!
//! Two small machines: `peer` is one peer in the tree, `detection` is one call that wants to know. This file
//! routes between them. [`Input`] and [`Effect`] are the contract. There is no clock: a timer is a value that is
//! asked for and given back.
//!
//! What it takes for granted: a message is told before it can be handled, an acknowledgement not before its handler has
//! finished, and every message of a peer of this side is told. From a broker that names no messages: each is told
//! once. A side whose *detector* is lost takes its books with it; whoever starts it again must know that nothing of
//! the old life is on its way (Freiling, Majuntke, Mittal 2007: in general nobody can).
//!
//! Dijkstra, Scholten: Termination detection for diffusing computations (1980).

mod contract;
mod detection;
mod mutant;
mod peer;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use contract::{
    Config, DetectionNo, Effect, Held, Input, Message, Peer, ProbeNo, Report, Run, Statistics, Timer, Verdict,
    WaveRecord,
};
#[cfg(any(test, feature = "mutants"))]
pub use mutant::DetectorMutant;

use detection::{Detection, Numbers, View, Want};
#[cfg(not(any(test, feature = "mutants")))]
use mutant::DetectorMutant;
use mutant::Switch;
use peer::{Book, Step};

/// Who sent a message that is not closed, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Letter {
    sender: Peer,
    recipient: Option<Peer>,
}

/// The detector of one side.
///
/// ```
/// use meshwork_core::detector::{Config, DetectionNo, Detector, Effect, Input, Peer, Verdict};
///
/// let ada = Peer(0);
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada], remote: vec![], incarnation: 1 });
///
/// // Every peer is asked; the driver answers for those of this side.
/// let mut effects = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// while let Some(&Effect::Probe { probe, to, .. }) = effects.iter().find(|one| matches!(one, Effect::Probe { .. })) {
///     let report = detector.report(to).expect("a peer of this side");
///     effects = detector.handle(Input::Answered { probe, peer: to, report });
/// }
/// assert_eq!(effects, [Effect::Done { detection: DetectionNo(1), verdict: Verdict::Completed }]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Detector {
    config: Config,
    switch: Switch,
    /// Peers of this side.
    books: BTreeMap<Peer, Book>,
    /// Peers of this side and of others.
    peers: BTreeSet<Peer>,
    open: BTreeMap<Message, Letter>,
    /// Peers that the root engaged.
    root_deficit: usize,
    /// Handlers that run on this side.
    running: u64,
    /// A message came without a name: counts are all that is known.
    counting: bool,
    detections: BTreeMap<DetectionNo, Detection>,
    /// What the last complete wave of any call said.
    wave: Option<BTreeMap<Peer, Report>>,
    numbers: Numbers,
    statistics: Statistics,
}

/// A reset was refused, because calls are not answered yet. Nothing changed.
///
/// ```
/// use meshwork_core::detector::{DetectionNo, DetectionRuns};
/// use meshwork_core::detector::{Config, Detector, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// assert_eq!(detector.reset(), Err(DetectionRuns { running: 1 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{running} detections run, a reset needs none; nothing changed")]
pub struct DetectionRuns {
    /// How many.
    pub running: usize,
}

impl Detector {
    /// A detector without peers.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector};
    ///
    /// let detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// assert_eq!(detector.peers().count(), 0);
    /// ```
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            switch: Switch::default(),
            books: BTreeMap::new(),
            peers: BTreeSet::new(),
            open: BTreeMap::new(),
            root_deficit: 0,
            running: 0,
            counting: false,
            detections: BTreeMap::new(),
            wave: None,
            numbers: Numbers::default(),
            statistics: Statistics::default(),
        }
    }

    /// Takes what happened; says what is to be done. What is told of peers that are not there changes nothing.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// assert_eq!(detector.deficit(ada), 1);
    /// let _ = detector.handle(Input::Acknowledged { sender: ada, message: Some(Message(1)) });
    /// assert_eq!(detector.deficit(ada), 0);
    /// ```
    #[must_use = "effects are to be performed"]
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Initialize { local, remote, incarnation } => {
                self.on_initialize(&local, &remote, incarnation, &mut effects);
            }
            Input::Lost(peer) => self.on_membership(peer, &mut effects, |book, switch, steps| {
                book.is_lost(switch, steps);
            }),
            Input::Back(peer) => self.on_membership(peer, &mut effects, |book, _, _| book.is_back()),
            Input::Published { sender, message } => self.on_published(sender, message, &mut effects),
            Input::Acknowledged { sender, message } => self.on_acknowledged(sender, message, &mut effects),
            Input::Started { peer, run } => self.on_run(peer, &mut effects, |book, switch, steps| {
                book.starts(run, switch, steps);
            }),
            Input::Finished { peer, run } => self.on_run(peer, &mut effects, |book, switch, steps| {
                book.ends(run, switch, steps);
            }),
            Input::Detect { detection, timeout_ms } => self.on_detect(detection, timeout_ms, &mut effects),
            Input::Forget(detection) => _ = self.detections.remove(&detection),
            Input::Answered { probe, peer, report } => self.on_answered(probe, peer, report, &mut effects),
            Input::Fired(timer) => self.on_fired(timer, &mut effects),
        }
        effects
    }

    /// Forgets probes, waves and what was counted; not what is on its way.
    ///
    /// ```
    /// use meshwork_core::detector::DetectionNo;
    /// use meshwork_core::detector::{Config, Detector, Input, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
    /// assert!(detector.reset().is_err(), "somebody waits for an answer");
    /// let _ = detector.handle(Input::Forget(DetectionNo(1)));
    /// assert!(detector.reset().is_ok());
    /// assert_eq!(detector.statistics().attempts, 0);
    /// ```
    ///
    /// # Errors
    /// A call is not answered yet.
    pub fn reset(&mut self) -> Result<(), DetectionRuns> {
        let running = self.detections.len();
        if running > 0 {
            return Err(DetectionRuns { running });
        }
        self.wave = None;
        self.statistics = Statistics::default();
        Ok(())
    }

    /// How a peer of this side is: what a probe is answered with. `None` for peers of others.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// let report = detector.report(ada).expect("a peer of this side");
    /// assert_eq!((report.sent, report.deficit, report.incarnation), (1, 1, 1));
    /// assert_eq!(detector.report(Peer(7)), None);
    /// ```
    #[must_use]
    pub fn report(&self, peer: Peer) -> Option<Report> {
        self.books.get(&peer).map(Book::report)
    }

    /// Whether that peer is one of ours and done: no handler runs, nothing that it sent is open, and the last wave, if
    /// there was one, found the same. Of a peer of another side only the last wave is known.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// assert!(!detector.is_completed(ada), "its message is open");
    /// let _ = detector.handle(Input::Acknowledged { sender: ada, message: Some(Message(1)) });
    /// assert!(detector.is_completed(ada));
    /// ```
    #[must_use]
    pub fn is_completed(&self, peer: Peer) -> bool {
        let said = self.wave.as_ref().map(|wave| wave.get(&peer).is_some_and(Report::is_free));
        match self.report(peer) {
            Some(report) => report.is_free() && said.unwrap_or(true),
            None => self.peers.contains(&peer) && said == Some(true),
        }
    }

    /// Messages that the peer sent and that are not closed; of a peer of another side, at the last wave. 0 for
    /// peers that are not known.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// assert_eq!((detector.deficit(ada), detector.deficit(bob)), (1, 0));
    /// ```
    #[must_use]
    pub fn deficit(&self, peer: Peer) -> u64 {
        let said = || self.wave.as_ref().and_then(|wave| wave.get(&peer)).copied();
        self.report(peer).or_else(said).map_or(0, |report| report.deficit)
    }

    /// Every peer, of this side and of others.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// assert_eq!(detector.peers().collect::<Vec<_>>(), [ada, bob]);
    /// ```
    pub fn peers(&self) -> impl Iterator<Item = Peer> + '_ {
        self.peers.iter().copied()
    }

    /// Whether it is one of the peers, of this side or of another.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// assert!(detector.knows(bob) && !detector.knows(Peer(7)));
    /// ```
    #[must_use]
    pub fn knows(&self, peer: Peer) -> bool {
        self.peers.contains(&peer)
    }

    /// How many calls are not answered.
    ///
    /// ```
    /// use meshwork_core::detector::DetectionNo;
    /// use meshwork_core::detector::{Config, Detector, Input, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
    /// assert_eq!(detector.running_detections(), 1);
    /// ```
    #[must_use]
    pub fn running_detections(&self) -> usize {
        self.detections.len()
    }

    /// Whether a message came without a name, so that counts are all that is known.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// assert!(!detector.is_counting());
    /// let _ = detector.handle(Input::Published { sender: ada, message: None });
    /// assert!(detector.is_counting(), "a broker that does not say which");
    /// ```
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.counting
    }

    /// Whether the message is not closed; its number may be given to another once it is.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// assert!(detector.is_open(Message(1)) && !detector.is_open(Message(2)));
    /// ```
    #[must_use]
    pub fn is_open(&self, message: Message) -> bool {
        self.open.contains_key(&message)
    }

    /// What was counted.
    ///
    /// ```
    /// use meshwork_core::detector::DetectionNo;
    /// use meshwork_core::detector::{Config, Detector, Input, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
    /// let counted = detector.statistics();
    /// assert_eq!((counted.attempts, counted.probes_sent), (1, 2));
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// What keeps the swarm from being done, as far as this side knows: by peer, this side first.
    ///
    /// ```
    /// use meshwork_core::detector::Held;
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// let unacknowledged = Held::Unacknowledged { peer: ada, messages: 1 };
    /// assert_eq!(detector.held(), [unacknowledged, Held::Waiting { peer: bob, messages: 1, lost: false }]);
    /// ```
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let mut held = Vec::new();
        for (&peer, book) in &self.books {
            let lost = book.lost();
            let facts = [
                (book.running(), Held::Running { peer, handlers: book.running() }),
                (book.deficit(), Held::Unacknowledged { peer, messages: book.deficit() }),
                (book.waiting(), Held::Waiting { peer, messages: book.waiting(), lost }),
                (book.surplus(), Held::OverAcknowledged { peer, messages: book.surplus() }),
            ];
            held.extend(facts.into_iter().filter(|(count, _)| *count > 0).map(|(_, fact)| fact));
        }
        held
    }

    fn held_by(&self, detection: &Detection) -> Vec<Held> {
        let mut held = self.held();
        held.extend(detection.silent().into_iter().map(|peer| Held::NoAnswer { peer }));
        let remote = detection.last().iter().filter(|(peer, _)| !self.books.contains_key(peer));
        for (&peer, report) in remote {
            if report.running > 0 {
                held.push(Held::Running { peer, handlers: report.running });
            }
            if report.deficit > 0 {
                held.push(Held::Unacknowledged { peer, messages: report.deficit });
            }
            if report.surplus > 0 {
                held.push(Held::OverAcknowledged { peer, messages: report.surplus });
            }
            if !report.idle && report.running == 0 && report.surplus == 0 {
                held.push(Held::NotIdle { peer });
            }
        }
        held
    }

    fn on_initialize(&mut self, local: &[Peer], remote: &[Peer], incarnation: u64, effects: &mut Vec<Effect>) {
        let here: BTreeSet<Peer> = local.iter().copied().collect();
        let mut steps = Vec::new();
        let gone: Vec<Peer> = self.books.keys().filter(|peer| !here.contains(peer)).copied().collect();
        for peer in gone {
            if let Some(book) = self.books.remove(&peer) {
                self.part(&book, &mut steps);
            }
        }
        for peer in &here {
            self.books.entry(*peer).or_insert_with(|| Book::new(incarnation));
        }
        self.peers = here.into_iter().chain(remote.iter().copied()).collect();
        let no_peer = |peer: Peer| !self.peers.contains(&peer);
        for (&message, letter) in &self.open {
            if letter.recipient.map_or_else(|| no_peer(letter.sender), no_peer) {
                steps.push(Step::Close(message));
            }
        }
        self.counting = false;
        self.wave = None;
        self.work_off(steps, effects);
        self.membership_changed(effects);
    }

    /// A peer is taken out of the set: what was on its way to it closes, who was engaged by it belongs to the root.
    fn part(&mut self, book: &Book, steps: &mut Vec<Step>) {
        if book.engager() == Some(peer::Engager::Root) {
            steps.push(Step::RootReleased);
        }
        self.running -= book.running();
        let gone = |message: Message| book.outstanding().contains(&message);
        for other in self.books.values_mut() {
            other.adopt(gone, steps);
        }
    }

    fn on_membership(
        &mut self,
        peer: Peer,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut Book, Switch, &mut Vec<Step>),
    ) {
        let Some(book) = self.books.get_mut(&peer) else {
            return;
        };
        let mut steps = Vec::new();
        let before = book.running();
        change(book, self.switch, &mut steps);
        self.running = self.running - before + book.running();
        self.work_off(steps, effects);
        self.membership_changed(effects);
    }

    fn membership_changed(&mut self, effects: &mut Vec<Effect>) {
        if !self.switch.breaks(DetectorMutant::IgnoreMembership) {
            self.tell(effects, |detection, view, numbers, wants| detection.on_membership(view, numbers, wants));
        }
        self.moved(effects);
    }

    fn on_published(&mut self, sender: Peer, message: Option<(Message, Option<Peer>)>, effects: &mut Vec<Effect>) {
        let told_before = message.is_some_and(|(message, _)| self.open.contains_key(&message));
        let Some(book) = self.books.get_mut(&sender).filter(|_| !told_before) else {
            return;
        };
        let mut steps = Vec::new();
        book.sends(message.map(|(message, _)| message), self.switch, &mut steps);
        match message {
            Some((message, recipient)) => {
                self.open.insert(message, Letter { sender, recipient });
                if let Some(book) = recipient.and_then(|recipient| self.books.get_mut(&recipient)) {
                    book.is_sent(message, &mut steps);
                }
            }
            None => self.counting = true,
        }
        self.work_off(steps, effects);
        self.moved(effects);
    }

    fn on_acknowledged(&mut self, sender: Peer, message: Option<Message>, effects: &mut Vec<Effect>) {
        let mut steps = Vec::new();
        match message {
            Some(message) => self.acknowledge(sender, message, &mut steps),
            None => {
                if let Some(book) = self.books.get_mut(&sender) {
                    self.counting = true;
                    book.closed(None, self.switch, &mut steps);
                }
            }
        }
        self.work_off(steps, effects);
        self.moved(effects);
    }

    /// A named message was handled. Of a closed one, and of one whose recipient has handled it already, nothing follows.
    fn acknowledge(&mut self, sender: Peer, message: Message, steps: &mut Vec<Step>) {
        let Some(letter) = self.open.get(&message).filter(|letter| letter.sender == sender) else {
            let another = self.open.iter().find(|(_, letter)| letter.sender == sender).map(|(message, _)| *message);
            if let Some(another) = another.filter(|_| self.switch.breaks(DetectorMutant::CountDuplicates)) {
                self.acknowledge(sender, another, steps);
            }
            return;
        };
        match letter.recipient.and_then(|recipient| self.books.get_mut(&recipient)) {
            Some(book) => book.handled(message, self.switch, steps),
            None => steps.push(Step::Close(message)),
        }
    }

    fn on_run(
        &mut self,
        peer: Peer,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut Book, Switch, &mut Vec<Step>),
    ) {
        let Some(book) = self.books.get_mut(&peer) else {
            return;
        };
        let mut steps = Vec::new();
        let before = book.running();
        change(book, self.switch, &mut steps);
        self.running = self.running - before + book.running();
        self.work_off(steps, effects);
        self.moved(effects);
    }

    /// Closings go upwards in the tree, one after the other; nothing recurses.
    fn work_off(&mut self, mut steps: Vec<Step>, effects: &mut Vec<Effect>) {
        while let Some(step) = steps.pop() {
            match step {
                Step::RootEngaged => {
                    self.root_deficit += 1;
                    if !self.switch.breaks(DetectorMutant::IgnoreStart) {
                        self.tell(effects, |detection, _, _, _| detection.on_start());
                    }
                }
                Step::RootReleased => self.root_deficit -= 1,
                Step::Close(message) => {
                    let Some(letter) = self.open.remove(&message) else {
                        continue;
                    };
                    if let Some(book) = self.books.get_mut(&letter.sender) {
                        book.closed(Some(message), self.switch, &mut steps);
                    }
                }
            }
        }
    }

    fn moved(&mut self, effects: &mut Vec<Effect>) {
        self.tell(effects, |detection, view, numbers, wants| detection.on_moved(view, numbers, wants));
    }

    fn on_detect(&mut self, no: DetectionNo, timeout_ms: u64, effects: &mut Vec<Effect>) {
        self.statistics.attempts += 1;
        self.detections.insert(no, Detection::new(no, timeout_ms));
        self.tell_one(no, effects, |detection, view, numbers, wants| detection.begin(view, numbers, wants));
    }

    fn on_answered(&mut self, probe: ProbeNo, peer: Peer, report: Report, effects: &mut Vec<Effect>) {
        let any_will_do = self.switch.breaks(DetectorMutant::TakeLateAnswer);
        let asks = |detection: &Detection| detection.awaits(probe, peer) || (any_will_do && detection.misses(peer));
        let Some(asked) = self.detections.iter().find(|(_, detection)| asks(detection)).map(|(no, _)| *no) else {
            return;
        };
        self.statistics.acknowledgements_received += 1;
        self.tell_one(asked, effects, |detection, view, numbers, wants| {
            detection.on_answer(probe, peer, report, view, numbers, wants);
        });
    }

    fn on_fired(&mut self, timer: Timer, effects: &mut Vec<Effect>) {
        match timer {
            Timer::Retry { detection, token } => {
                self.tell_one(detection, effects, |detection, view, numbers, wants| {
                    detection.on_retry(token, view, numbers, wants);
                });
            }
            Timer::Timeout { detection, token } => {
                self.tell_one(detection, effects, |detection, _, numbers, wants| {
                    detection.on_timeout(token, numbers, wants);
                });
            }
        }
    }

    fn tell(
        &mut self,
        effects: &mut Vec<Effect>,
        mut what: impl FnMut(&mut Detection, &View<'_>, &mut Numbers, &mut Vec<Want>),
    ) {
        let calls: Vec<DetectionNo> = self.detections.keys().copied().collect();
        for call in calls {
            self.tell_one(call, effects, &mut what);
        }
    }

    fn tell_one(
        &mut self,
        no: DetectionNo,
        effects: &mut Vec<Effect>,
        what: impl FnOnce(&mut Detection, &View<'_>, &mut Numbers, &mut Vec<Want>),
    ) {
        let Some(detection) = self.detections.get_mut(&no) else {
            return;
        };
        let view = View {
            config: &self.config,
            switch: self.switch,
            root_free: self.root_deficit == 0,
            running: self.running > 0,
            two_waves: self.counting || self.peers.len() > self.books.len(),
            from: self.books.keys().next().or_else(|| self.peers.first()).copied(),
            peers: &self.peers,
        };
        let mut wants = Vec::new();
        what(detection, &view, &mut self.numbers, &mut wants);
        for want in wants {
            self.perform(no, want, effects);
        }
    }

    fn perform(&mut self, no: DetectionNo, want: Want, effects: &mut Vec<Effect>) {
        match want {
            Want::Effect(effect) => {
                self.statistics.probes_sent += u64::from(matches!(effect, Effect::Probe { .. }));
                effects.push(effect);
            }
            Want::Wave(record) => {
                self.wave = Some(record.reports.clone());
                if self.config.checkpoints {
                    effects.push(Effect::Record(record));
                }
            }
            Want::Answer(answer) => {
                let Some(detection) = self.detections.remove(&no) else {
                    return;
                };
                let completed = answer == detection::Answer::Completed;
                self.statistics.successes += u64::from(completed);
                self.statistics.timeouts += u64::from(!completed);
                let held = if completed { Vec::new() } else { self.held_by(&detection) };
                effects.push(Effect::Done { detection: no, verdict: answer.verdict(held) });
            }
        }
    }

    /// Derives every cached fact again.
    ///
    /// ```
    /// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
    ///
    /// let (ada, bob) = (Peer(0), Peer(1));
    /// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
    /// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
    /// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
    /// detector.check_invariants();
    /// ```
    ///
    /// # Panics
    /// When one of them is wrong.
    pub fn check_invariants(&self) {
        let by_root = self.books.values().filter(|book| book.engager() == Some(peer::Engager::Root)).count();
        assert_eq!(self.root_deficit, by_root, "the root counts other peers than it engaged");
        assert_eq!(self.running, self.books.values().map(Book::running).sum::<u64>(), "running handlers");
        for (peer, book) in &self.books {
            book.check();
            assert!(self.peers.contains(peer), "{peer:?} has a book and is no peer");
            for message in book.outstanding() {
                assert_eq!(self.open.get(message).map(|letter| letter.sender), Some(*peer), "{message:?} is not open");
            }
            for message in book.inbound() {
                let recipient = self.open.get(message).and_then(|letter| letter.recipient);
                assert_eq!(recipient, Some(*peer), "{message:?} is on its way to nobody");
            }
            if let Some(peer::Engager::Message(message)) = book.engager() {
                assert!(self.open.contains_key(&message), "{message:?} engages {peer:?} and is closed");
            }
        }
        self.check_no_cycle();
    }

    /// The engagement tree is a tree: from every engaged peer the way up ends at the root.
    fn check_no_cycle(&self) {
        for peer in self.books.keys() {
            let (mut at, mut steps) = (*peer, 0);
            while let Some(peer::Engager::Message(message)) = self.books.get(&at).and_then(Book::engager) {
                at = self.open[&message].sender;
                steps += 1;
                assert!(steps <= self.books.len(), "the engagements above {peer:?} go round in a circle");
            }
        }
    }
}

#[cfg(any(test, feature = "mutants"))]
impl Detector {
    /// The same detector, with one rule broken from now on.
    #[must_use]
    pub fn broken_by(mut self, mutant: Option<DetectorMutant>) -> Self {
        self.switch = Switch { broken: mutant };
        self
    }

    /// Gives every probe and timer that is awaited another number, and forgets what is only counted or shown, so that
    /// a model checker meets the same state again. `rename` is called in a fixed order.
    pub fn renumber(&mut self, next: u64, mut rename: impl FnMut(u64) -> u64) {
        self.detections.values_mut().for_each(|detection| detection.renumber(&mut rename));
        self.numbers = Numbers(next);
        self.statistics = Statistics::default();
        self.wave = None;
    }
}
