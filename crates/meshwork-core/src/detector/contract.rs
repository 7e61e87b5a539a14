//! What can happen to a detector, and what it may ask for: whoever has read both knows the machine.

use std::collections::BTreeMap;

/// A peer, by the number that the caller gave it.
///
/// ```
/// use meshwork_core::detector::Peer;
///
/// assert!(Peer(0) < Peer(1), "probes go out in the name of the lowest peer of a side");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u32);

/// A message that is not acknowledged, by the number that the caller gave it. Once it has closed, the caller may
/// give its number to another.
///
/// ```
/// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
/// assert!(detector.is_open(Message(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message(pub u64);

/// One run of a handler. Two runs of one message are two.
///
/// ```
/// use meshwork_core::detector::Run;
/// use meshwork_core::detector::{Config, Detector, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Started { peer: bob, run: Run(1) });
/// assert_eq!(detector.report(bob).map(|report| report.running), Some(1));
/// let _ = detector.handle(Input::Finished { peer: bob, run: Run(1) });
/// assert_eq!(detector.report(bob).map(|report| report.running), Some(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run(pub u64);

/// One call that wants to know whether all is done, by the number that the caller gave it.
///
/// ```
/// use meshwork_core::detector::DetectionNo;
/// use meshwork_core::detector::{Config, Detector, Effect, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let effects = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// assert!(matches!(effects[0], Effect::Sleep { ms: 2_000, .. }), "for how long nothing may move");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DetectionNo(pub u64);

/// A probe, by the number that the detector gave it. Never given twice.
///
/// ```
/// use meshwork_core::detector::{DetectionNo, ProbeNo, Report};
/// use meshwork_core::detector::{Config, Detector, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// let late = Input::Answered { probe: ProbeNo(999), peer: ada, report: Report::default() };
/// assert!(detector.handle(late).is_empty(), "nobody asked that");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeNo(pub u64);

/// How a detector asks. The defaults of the seed's `DistributedCompletionConfig` are in the async face.
///
/// ```
/// use meshwork_core::detector::Config;
///
/// let config = Config { retry_ms: 100, retries: 20, checkpoints: true };
/// assert_eq!(config.retry_ms * u64::from(config.retries), 2_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// How long a wave rests before it is repeated, in ms; also how long an answer may take before the probe is sent
    /// again.
    pub retry_ms: u64,
    /// How often a wave is repeated while nothing changes; then the detection ends with `false`.
    pub retries: u32,
    /// Whether each wave is recorded.
    pub checkpoints: bool,
}

/// What happens to a detector.
///
/// ```
/// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
/// let _ = detector.handle(Input::Lost(bob));
/// assert_eq!(detector.deficit(ada), 1, "until the broker gives the message up");
/// let _ = detector.handle(Input::Acknowledged { sender: ada, message: Some(Message(1)) });
/// assert!(detector.held().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// These are the peers from now on. Peers that stay keep their books; what is on its way to a peer that is no
    /// longer there is nobody's business any more.
    Initialize {
        /// Peers that this side answers for: their messages and handlers are told here.
        local: Vec<Peer>,
        /// Peers that another detector answers for.
        remote: Vec<Peer>,
        /// The incarnation of local peers that are new: higher than any that this side ever gave.
        incarnation: u64,
    },
    /// A peer crashed or left: its handlers do not run any more. What it sent stays in the books, and so does what is
    /// on its way to it, until the broker acknowledges it or gives it up.
    Lost(Peer),
    /// A lost peer is there again, as another incarnation.
    Back(Peer),
    /// A local peer sent a message. Told before the message can be handled.
    Published {
        /// The sender.
        sender: Peer,
        /// Which message, and the recipient where it is one of the peers; `None` from a broker that does not say.
        message: Option<(Message, Option<Peer>)>,
    },
    /// A message of a local peer was acknowledged (its handler has finished), or will never be.
    Acknowledged {
        /// The sender of the message.
        sender: Peer,
        /// Which message; `None` from a broker that does not say.
        message: Option<Message>,
    },
    /// A handler of a local peer runs, whoever sent the message.
    Started {
        /// The peer whose handler it is.
        peer: Peer,
        /// This run.
        run: Run,
    },
    /// That run is over, however it ended.
    Finished {
        /// The peer whose handler it was.
        peer: Peer,
        /// The run.
        run: Run,
    },
    /// Somebody wants to know when all is done.
    Detect {
        /// Names the call.
        detection: DetectionNo,
        /// How long nothing may move before the answer is `false`, in ms.
        timeout_ms: u64,
    },
    /// Whoever wanted to know has gone away.
    Forget(DetectionNo),
    /// A probe was answered.
    Answered {
        /// The probe.
        probe: ProbeNo,
        /// Who was asked.
        peer: Peer,
        /// What the peer's own side says about it.
        report: Report,
    },
    /// A timer that was asked for has run out.
    Fired(Timer),
}

/// What a detector asks of the world. In order.
///
/// ```
/// use meshwork_core::detector::DetectionNo;
/// use meshwork_core::detector::{Config, Detector, Effect, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let effects = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// let asked = effects.iter().filter_map(|effect| match effect {
///     Effect::Probe { to, .. } => Some(*to),
///     _ => None,
/// });
/// assert_eq!(asked.collect::<Vec<_>>(), [ada, bob]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Ask a peer's side how that peer is.
    Probe {
        /// For which call.
        detection: DetectionNo,
        /// Names the answer.
        probe: ProbeNo,
        /// In whose name: the lowest peer of this side.
        from: Peer,
        /// Who is asked.
        to: Peer,
    },
    /// Give this timer back after so many ms.
    Sleep {
        /// The timer.
        timer: Timer,
        /// How long.
        ms: u64,
    },
    /// Keep this wave, where waves are recorded.
    Record(WaveRecord),
    /// That call is answered.
    Done {
        /// The call.
        detection: DetectionNo,
        /// The answer.
        verdict: Verdict,
    },
}

/// A timer, as a value; one that is no longer awaited is recognised.
///
/// ```
/// use meshwork_core::detector::{DetectionNo, Timer};
/// use meshwork_core::detector::{Config, Detector, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// let stale = Timer::Timeout { detection: DetectionNo(1), token: 999 };
/// assert!(detector.handle(Input::Fired(stale)).is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The wave, or what is missing of it, is asked again.
    Retry {
        /// For which call.
        detection: DetectionNo,
        /// Which wait it ends.
        token: u64,
    },
    /// Nothing has moved for so long.
    Timeout {
        /// For which call.
        detection: DetectionNo,
        /// Which quiet time it ends.
        token: u64,
    },
}

/// A peer as its own side sees it.
///
/// ```
/// use meshwork_core::detector::Report;
///
/// let report = Report { idle: true, sent: 3, ..Report::default() };
/// assert!(report.is_free(), "what it sent before is closed");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// No handler of it runs, and no message is known to be on its way to it.
    pub idle: bool,
    /// How many of its handlers run, where the broker says so.
    pub running: u64,
    /// Messages that it sent and that are not closed.
    pub deficit: u64,
    /// Acknowledgements of its messages beyond those that it sent, from a broker that names none.
    pub surplus: u64,
    /// Messages that it ever sent.
    pub sent: u64,
    /// Runs of its handlers that ever started, where the broker says so.
    pub received: u64,
    /// Which life of the peer; rises when it is lost and when it is back.
    pub incarnation: u64,
}

impl Report {
    /// Whether the peer has nothing to do and waits for nothing.
    ///
    /// ```
    /// use meshwork_core::detector::Report;
    ///
    /// assert!(Report { idle: true, ..Report::default() }.is_free());
    /// assert!(!Report { idle: true, deficit: 1, ..Report::default() }.is_free());
    /// ```
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.idle && self.running == 0 && self.deficit == 0
    }
}

/// One wave whose answers are all there.
///
/// ```
/// use meshwork_core::detector::{DetectionNo, Peer, Report, WaveRecord};
///
/// let free = Report { idle: true, ..Report::default() };
/// let wave = WaveRecord { detection: DetectionNo(1), reports: [(Peer(0), free)].into(), agreed: true };
/// assert!(wave.reports.values().all(Report::is_free));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WaveRecord {
    /// The call that asked.
    pub detection: DetectionNo,
    /// What each peer's side said.
    pub reports: BTreeMap<Peer, Report>,
    /// Whether every peer was free.
    pub agreed: bool,
}

/// The answer to a call.
///
/// ```
/// use meshwork_core::detector::{DetectionNo, Timer, Verdict};
/// use meshwork_core::detector::{Config, Detector, Effect, Input, Message, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
/// let effects = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// let [Effect::Sleep { timer: quiet @ Timer::Timeout { .. }, .. }] = effects[..] else { panic!("{effects:?}") };
/// let effects = detector.handle(Input::Fired(quiet)); // two seconds later, and nothing has moved
/// assert!(matches!(&effects[..], [Effect::Done { verdict: Verdict::TimedOut { held }, .. }] if held.len() == 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All is done: no handler ran and no message was on its way.
    Completed,
    /// Nothing moved for as long as the caller would wait. Nothing was changed.
    TimedOut {
        /// What holds it up.
        held: Vec<Held>,
    },
    /// Wave after wave said the same, and not that all is done. Nothing was changed.
    Exhausted {
        /// What holds it up.
        held: Vec<Held>,
    },
}

/// One thing that keeps a swarm from being done.
///
/// ```
/// use meshwork_core::detector::Held;
/// use meshwork_core::detector::{Config, Detector, Input, Message, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// let _ = detector.handle(Input::Published { sender: ada, message: Some((Message(1), Some(bob))) });
/// let _ = detector.handle(Input::Lost(bob));
/// assert!(detector.held().contains(&Held::Waiting { peer: bob, messages: 1, lost: true }), "nobody can handle it");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// Handlers of that peer run.
    Running {
        /// The peer.
        peer: Peer,
        /// How many.
        handlers: u64,
    },
    /// Messages of that peer are not closed.
    Unacknowledged {
        /// The peer.
        peer: Peer,
        /// How many.
        messages: u64,
    },
    /// Messages are known to be on their way to that peer.
    Waiting {
        /// The peer.
        peer: Peer,
        /// How many.
        messages: u64,
        /// Whether it is lost, so that nobody can handle them.
        lost: bool,
    },
    /// More messages of that peer were acknowledged than it sent: a message of it is told late, or its broker counts
    /// wrong.
    OverAcknowledged {
        /// The peer.
        peer: Peer,
        /// How many more.
        messages: u64,
    },
    /// The peer has messages to handle, as its own side says.
    NotIdle {
        /// The peer.
        peer: Peer,
    },
    /// Nobody answered for that peer.
    NoAnswer {
        /// The peer.
        peer: Peer,
    },
}

/// What was counted since the detector was made or reset.
///
/// ```
/// use meshwork_core::detector::{DetectionNo, Statistics};
/// use meshwork_core::detector::{Config, Detector, Input, Peer};
///
/// let (ada, bob) = (Peer(0), Peer(1));
/// let mut detector = Detector::new(Config { retry_ms: 50, retries: 3, checkpoints: false });
/// let _ = detector.handle(Input::Initialize { local: vec![ada, bob], remote: vec![], incarnation: 1 });
/// assert_eq!(detector.statistics(), Statistics::default());
/// let _ = detector.handle(Input::Detect { detection: DetectionNo(1), timeout_ms: 2_000 });
/// assert_eq!(detector.statistics().attempts, 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// Probes, one a recipient.
    pub probes_sent: u64,
    /// Answers, at most one a probe.
    pub acknowledgements_received: u64,
    /// Calls.
    pub attempts: u64,
    /// Calls that were answered with `true`.
    pub successes: u64,
    /// Calls that were answered with `false`.
    pub timeouts: u64,
}
