//! What detectors say to each other: the seed's `CompletionProbe`, on one topic a swarm.

use meshwork_core::detector::Report;
use serde::{Deserialize, Serialize};

use crate::messaging::{Topic, TopicError};

/// The type of the messages that carry probes.
pub(super) const KIND: &str = "completion-probe";

/// The topic of a swarm's probes: `mesh.<swarm>.completion`. The name of the swarm is one token.
pub(super) fn topic(swarm: &str) -> Result<Topic, TopicError> {
    Topic::of_swarm(swarm, "completion")
}

/// A probe or its answer. Published without a sender, so that it counts as nobody's message.
///
/// ```
/// use meshwork::detector::{CompletionProbe, ProbeKind};
/// use serde_json::json;
///
/// let probe: CompletionProbe = serde_json::from_value(json!({
///     "probeId": "p1", "senderId": "ada", "recipientId": "ben", "timestamp": 1_700_000_000_000_u64, "type": "probe",
/// }))?;
/// assert_eq!((probe.kind, probe.report), (ProbeKind::Probe, None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionProbe {
    /// Names the probe; its answer has the same.
    pub probe_id: String,
    /// In whose name: the lowest peer of the side that asks; of an answer, the peer that was asked.
    pub sender_id: String,
    /// Who is asked; of an answer, who asked.
    pub recipient_id: String,
    /// When it was made, in milliseconds since the epoch.
    pub timestamp: u64,
    /// Which of both.
    #[serde(rename = "type")]
    pub kind: ProbeKind,
    /// How the peer is: of answers. The seed's interface has no place for it; foreign readers may skip it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<PeerReport>,
}

/// A probe asks, an acknowledgment answers.
///
/// ```
/// use meshwork::detector::ProbeKind;
///
/// assert_eq!(serde_json::to_string(&ProbeKind::Acknowledgment)?, r#""acknowledgment""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// Asks.
    Probe,
    /// Answers.
    Acknowledgment,
}

/// A peer as its own side sees it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig, PeerReport};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
/// let config = CompletionDetectorConfig { enable_checkpoints: true, ..CompletionDetectorConfig::default() };
/// let detector = CompletionDetector::new(config, bus)?;
/// detector.initialize(["ada"]).await?;
/// assert!(detector.detect_completion("swarm-1", None).await?);
/// let report: PeerReport = detector.checkpoints()[0].peers["ada"];
/// assert_eq!((report.idle, report.deficit, report.sent), (true, 0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerReport {
    /// No handler of it runs, and no message is known to be on its way to it.
    pub idle: bool,
    /// How many of its handlers run, where the broker says so.
    pub running: u64,
    /// Messages that it sent and that are not closed.
    pub deficit: u64,
    /// Acknowledgements of its messages beyond those that it sent, from a broker that names none.
    #[serde(default)]
    pub surplus: u64,
    /// Messages that it ever sent.
    pub sent: u64,
    /// Runs of its handlers that ever started, where the broker says so.
    pub received: u64,
    /// Which life of the peer.
    pub incarnation: u64,
}

impl From<Report> for PeerReport {
    fn from(report: Report) -> Self {
        let Report { idle, running, deficit, surplus, sent, received, incarnation } = report;
        Self { idle, running, deficit, surplus, sent, received, incarnation }
    }
}

impl From<PeerReport> for Report {
    fn from(report: PeerReport) -> Self {
        let PeerReport { idle, running, deficit, surplus, sent, received, incarnation } = report;
        Self { idle, running, deficit, surplus, sent, received, incarnation }
    }
}
