//! How it is configured, what it counts, and what it says when all is not done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use meshwork_core::detector::Held;
use serde::Serialize;
use thiserror::Error;

use super::wire::PeerReport;
use crate::broker::PeerId;
use crate::messaging::{MessageBrokerError, TopicError};

/// The seed's `DistributedCompletionConfig`, with its defaults; the broker is given beside it.
///
/// ```
/// use meshwork::detector::CompletionDetectorConfig;
/// use std::time::Duration;
///
/// let config = CompletionDetectorConfig { enable_checkpoints: true, ..CompletionDetectorConfig::default() };
/// assert_eq!((config.default_timeout, config.max_probe_retries), (Duration::from_secs(2), 40));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionDetectorConfig {
    /// How long nothing may move before the answer is "no", where the caller does not say.
    pub default_timeout: Duration,
    /// How long a wave of probes rests before it is repeated, and how long an answer may take before the probe is sent
    /// again. At least a millisecond.
    pub probe_retry_interval: Duration,
    /// How often a wave is repeated while nothing changes.
    pub max_probe_retries: u32,
    /// Whether each wave is kept: [`super::CompletionDetector::checkpoints`].
    pub enable_checkpoints: bool,
}

impl Default for CompletionDetectorConfig {
    fn default() -> Self {
        Self {
            default_timeout: Duration::from_millis(2_000),
            probe_retry_interval: Duration::from_millis(50),
            max_probe_retries: 40,
            enable_checkpoints: false,
        }
    }
}

/// The seed's `CompletionDetectorMetrics`: counted since the detector was made or reset.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::detector::CompletionDetectorMetrics;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
/// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
/// # detector.initialize(["ada", "ben"]).await?;
/// let metrics: CompletionDetectorMetrics = detector.metrics();
/// assert_eq!((metrics.total_peers, metrics.detection_attempts, metrics.average_detection_time_ms), (2, 0, 0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionDetectorMetrics {
    /// Peers, of this side and of others.
    pub total_peers: usize,
    /// Those that are done, see [`super::CompletionDetector::is_peer_completed`].
    pub completed_peers: usize,
    /// Probes that were sent, one a recipient.
    pub total_probes_sent: u64,
    /// Answers that were waited for and came, at most one a probe.
    pub total_acks_received: u64,
    /// Mean time from a call to its "yes", in milliseconds; 0 before the first.
    pub average_detection_time_ms: f64,
    /// The longest of these, in milliseconds.
    pub longest_detection_time_ms: u64,
    /// Calls.
    pub detection_attempts: u64,
    /// Calls that were answered with "yes".
    pub detection_successes: u64,
    /// Calls that were answered with "no".
    pub detection_timeouts: u64,
}

/// A wave of probes whose answers were all there.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::detector::{Checkpoint, CompletionDetector, CompletionDetectorConfig};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
/// let config = CompletionDetectorConfig { enable_checkpoints: true, ..CompletionDetectorConfig::default() };
/// let detector = CompletionDetector::new(config, bus)?;
/// detector.initialize(["ada"]).await?;
/// assert!(detector.detect_completion("swarm-1", None).await?);
/// let waves: Vec<Checkpoint> = detector.checkpoints();
/// assert_eq!((waves[0].swarm_id.as_str(), waves[0].wave), ("swarm-1", 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// The swarm that was asked about.
    pub swarm_id: String,
    /// Counts the waves of this detector, from 1.
    pub wave: u64,
    /// When the last answer came, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Whether every peer was free.
    pub agreed: bool,
    /// What was said of each peer.
    pub peers: BTreeMap<String, PeerReport>,
}

/// Why the answer was "no". Nothing was changed by it.
///
/// ```
/// use meshwork::detector::{Holder, NotCompleted, WaitEnd};
///
/// // What `CompletionDetector::last_no` says, such as:
/// let no = NotCompleted {
///     ended: WaitEnd::TimedOut,
///     holders: vec![Holder::Waiting { peer: "ben".into(), messages: 2, lost: true }],
/// };
/// assert_eq!(no.holders[0].to_string(), "ben has not handled 2 messages, and is lost");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCompleted {
    /// What ended the wait.
    pub ended: WaitEnd,
    /// What held it up at that moment.
    pub holders: Vec<Holder>,
}

/// What ended the wait for completion.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig, WaitEnd};
/// use std::time::Duration;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
/// let config = CompletionDetectorConfig {
///     probe_retry_interval: Duration::from_millis(1),
///     max_probe_retries: 2,
///     ..CompletionDetectorConfig::default()
/// };
/// let detector = CompletionDetector::new(config, bus)?;
/// detector.initialize_with(["ada"], ["far-away"]).await?;
/// assert!(!detector.detect_completion("swarm-1", Some(Duration::from_secs(60))).await?);
/// assert_eq!(detector.last_no().map(|no| no.ended), Some(WaitEnd::RetriesExhausted));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// No handler ran, and nothing moved for as long as the caller would wait.
    TimedOut,
    /// Wave after wave of probes said the same, and not that all is done.
    RetriesExhausted,
}

/// One thing that keeps a swarm from being done. Reads as a sentence.
///
/// ```
/// use meshwork::detector::Holder;
///
/// let holder = Holder::Running { peer: "ben".into(), handlers: 1 };
/// assert_eq!(holder.to_string(), "ben runs 1 handler");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Handlers of that peer run.
    Running {
        /// The peer.
        peer: PeerId,
        /// How many.
        handlers: u64,
    },
    /// Messages of that peer are not acknowledged, or what came of them is not done.
    Unacknowledged {
        /// The peer.
        peer: PeerId,
        /// How many.
        messages: u64,
    },
    /// Messages to that peer are not handled.
    Waiting {
        /// The peer.
        peer: PeerId,
        /// How many.
        messages: u64,
        /// Whether it is lost, so that nobody can handle them.
        lost: bool,
    },
    /// More messages of that peer were acknowledged than it sent: a message of it is told late, or its broker counts
    /// wrong.
    OverAcknowledged {
        /// The peer.
        peer: PeerId,
        /// How many more.
        messages: u64,
    },
    /// The peer has messages to handle, as its own side says.
    NotIdle {
        /// The peer.
        peer: PeerId,
    },
    /// Nobody answered for that peer.
    NoAnswer {
        /// The peer.
        peer: PeerId,
    },
}

impl Holder {
    pub(super) fn of(held: Held, name: impl Fn(meshwork_core::detector::Peer) -> PeerId) -> Self {
        match held {
            Held::Running { peer, handlers } => Self::Running { peer: name(peer), handlers },
            Held::Unacknowledged { peer, messages } => Self::Unacknowledged { peer: name(peer), messages },
            Held::Waiting { peer, messages, lost } => Self::Waiting { peer: name(peer), messages, lost },
            Held::OverAcknowledged { peer, messages } => Self::OverAcknowledged { peer: name(peer), messages },
            Held::NotIdle { peer } => Self::NotIdle { peer: name(peer) },
            Held::NoAnswer { peer } => Self::NoAnswer { peer: name(peer) },
        }
    }
}

fn plural(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { peer, handlers } => write!(f, "{peer} runs {}", plural(*handlers, "handler")),
            Self::Unacknowledged { peer, messages } => {
                write!(f, "{peer} waits for the acknowledgement of {}", plural(*messages, "message"))
            }
            Self::Waiting { peer, messages, lost } => {
                let lost = if *lost { ", and is lost" } else { "" };
                write!(f, "{peer} has not handled {}{lost}", plural(*messages, "message"))
            }
            Self::OverAcknowledged { peer, messages } => {
                write!(f, "{peer} was acknowledged {} more than it sent", plural(*messages, "message"))
            }
            Self::NotIdle { peer } => write!(f, "{peer} has messages to handle, as its own side says"),
            Self::NoAnswer { peer } => write!(f, "nobody answered for {peer}"),
        }
    }
}

/// Why a detector did not do what it was asked. Nothing changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig, DetectorError};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
/// let detector = CompletionDetector::new(CompletionDetectorConfig::default(), bus)?;
/// let error = detector.detect_completion("swarm-1", None).await.unwrap_err();
/// assert!(matches!(error, DetectorError::NotInitialized));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Error)]
pub enum DetectorError {
    /// No peers were given yet.
    #[error("the detector knows no peers yet: it is to be initialized first; nothing changed")]
    NotInitialized,
    /// The peer is none of this side.
    #[error("no peer named {peer:?} is on this side; nothing changed")]
    UnknownPeer {
        /// The name.
        peer: String,
    },
    /// The peer was named on both sides.
    #[error("{peer:?} is named both as a peer of this side and of another; nothing changed")]
    TwoSides {
        /// The name.
        peer: String,
    },
    /// More peers than a wave may ask.
    #[error("a detector takes {limit} peers at most, {found} were given; nothing changed")]
    TooManyPeers {
        /// The limit.
        limit: usize,
        /// How many were given.
        found: usize,
    },
    /// A probe would be repeated without a pause.
    #[error("the retry interval of probes is 1 ms at least, {found:?} was given")]
    RetryInterval {
        /// What was given.
        found: Duration,
    },
    /// The swarm's name makes no topic.
    #[error(transparent)]
    Swarm(#[from] TopicError),
    /// The broker does not let it listen to probes.
    #[error("could not listen to probes: {0}")]
    Broker(#[from] MessageBrokerError),
    /// A reset has to wait until nobody waits for completion.
    #[error("{running} detections run, a reset needs none; nothing changed")]
    DetectionRuns {
        /// How many.
        running: usize,
    },
}
