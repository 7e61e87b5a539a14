//! How it is configured, what it counts, and what it says when it can't.

use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::artifacts::ArtifactError;
use crate::messaging::{MessageBrokerError, TopicError};

/// The seed's `PeerDiscoveryConfig`, with its defaults; broker and artifacts are given beside it.
///
/// ```
/// use meshwork::discovery::PeerDiscoveryConfig;
/// use std::time::Duration;
///
/// let config = PeerDiscoveryConfig { swarm_id: "swarm-1".to_owned(), ..PeerDiscoveryConfig::default() };
/// assert_eq!((config.heartbeat_interval, config.peer_timeout), (Duration::from_secs(1), Duration::from_secs(5)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDiscoveryConfig {
    /// The swarm that it is for: another is refused by [`start_discovery`](super::PeerDiscovery::start_discovery).
    /// Empty, as by default: any that is asked for.
    pub swarm_id: String,
    /// Between two broadcasts that ask who is there. At least a millisecond. Nothing waits for it: it finds those
    /// whose words were all lost.
    pub discovery_interval: Duration,
    /// Between two heartbeats of each local peer. At least a millisecond.
    pub heartbeat_interval: Duration,
    /// A peer that is silent for longer is stale. More than `heartbeat_interval`.
    pub peer_timeout: Duration,
    /// Whether the state of local peers is stored as artifacts, and read when discovery starts.
    pub enable_artifact_sharing: bool,
}

impl Default for PeerDiscoveryConfig {
    fn default() -> Self {
        Self {
            swarm_id: String::new(),
            discovery_interval: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(1),
            peer_timeout: Duration::from_secs(5),
            enable_artifact_sharing: true,
        }
    }
}

impl PeerDiscoveryConfig {
    pub(super) fn check(&self) -> Result<(), DiscoveryConfigError> {
        let intervals =
            [("discovery_interval", self.discovery_interval), ("heartbeat_interval", self.heartbeat_interval)];
        for (field, found) in intervals {
            if found < Duration::from_millis(1) {
                return Err(DiscoveryConfigError::TooShort { field, found, expected: "1 ms at least" });
            }
        }
        if self.peer_timeout <= self.heartbeat_interval {
            let (field, found) = ("peer_timeout", self.peer_timeout);
            return Err(DiscoveryConfigError::TooShort { field, found, expected: "more than heartbeat_interval" });
        }
        if !self.swarm_id.is_empty() {
            super::wire::discovery(&self.swarm_id)?;
        }
        Ok(())
    }
}

/// Why a configuration is none. Nothing was made.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::discovery::{DiscoveryConfigError, PeerDiscovery, PeerDiscoveryConfig};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
/// let config = PeerDiscoveryConfig { swarm_id: "swarm.1".to_owned(), ..PeerDiscoveryConfig::default() };
/// let error = PeerDiscovery::new(config, broker, artifacts).err().expect("a dot");
/// assert!(matches!(error, DiscoveryConfigError::SwarmId(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiscoveryConfigError {
    /// A time is too short.
    #[error("`{field}` of a discovery is {found:?}, expected {expected}")]
    TooShort {
        /// Which.
        field: &'static str,
        /// What was given.
        found: Duration,
        /// What would do.
        expected: &'static str,
    },
    /// The swarm's name makes no topic.
    #[error("`swarm_id` of a discovery: {0}")]
    SwarmId(#[from] TopicError),
}

/// The seed's `PeerDiscoveryMetrics`: counted since the discovery was made. Local peers are peers too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::discovery::PeerDiscoveryMetrics;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
/// # let discovery = new()?;
/// assert_eq!(discovery.metrics(), PeerDiscoveryMetrics::default());
/// discovery.start_discovery("swarm-1").await?;
/// assert_eq!(discovery.metrics().discovery_broadcasts_sent, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDiscoveryMetrics {
    /// Peers that are known, whatever they do.
    pub total_peers_discovered: usize,
    /// Those that are neither stale nor gone nor paused.
    pub active_peers: usize,
    /// Peers of other sides that were silent for longer than `peer_timeout`, and have not said good-bye.
    pub stale_peers: usize,
    /// Broadcasts that asked who is there, and went out.
    pub discovery_broadcasts_sent: u64,
    /// Announcements of peers of other sides that came.
    pub peer_announcements_received: u64,
    /// Mean time from a broadcast to an announcement in answer to it, in ms; one a peer and broadcast, 0 before the
    /// first.
    pub average_discovery_latency_ms: f64,
    /// When the last broadcast went out, in ms since the epoch; 0 before the first.
    pub last_discovery_time: u64,
}

/// What went wrong and did no harm: counted since the discovery was made.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::discovery::HEARTBEAT;
/// use meshwork::messaging::Message;
/// use serde_json::json;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
/// # let discovery = new()?;
/// discovery.start_discovery("swarm-1").await?;
/// // A heartbeat that does not say whose.
/// let nobodys = Message::new(HEARTBEAT, json!({}), 1_700_000_000_000);
/// broker.publish_and_wait("mesh.swarm-1.heartbeat", nobodys).await?;
/// assert_eq!(discovery.faults().bad_messages, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDiscoveryFaults {
    /// Messages on its topics that it did not understand.
    pub bad_messages: u64,
    /// Words of peers that said nothing newer than what was known: late ones, repeated ones.
    pub outdated_words: u64,
    /// Words of further peers when too many are known.
    pub refused_words: u64,
    /// Words in the name of a local peer that it did not say in this life.
    pub contested_words: u64,
    /// Messages of its own that did not get away.
    pub unpublished: u64,
    /// States of local peers that were not stored.
    pub unstored: u64,
    /// Artifacts that should be the state of a peer and are not.
    pub unreadable_states: u64,
}

/// Why a discovery did not do what it was asked. Nothing changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::discovery::DiscoveryError;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
/// # let discovery = new()?;
/// let error = discovery.start_discovery("swarm.1").await.unwrap_err();
/// assert!(matches!(error, DiscoveryError::SwarmId(_)));
/// assert!(matches!(discovery.forget_local_peer("nobody"), Err(DiscoveryError::UnknownPeer { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The swarm's name makes no topic.
    #[error(transparent)]
    SwarmId(#[from] TopicError),
    /// It is configured for another swarm.
    #[error("this discovery is for swarm {expected:?}, {found:?} was asked for; nothing changed")]
    OtherSwarm {
        /// The configured one.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// It runs for another swarm.
    #[error(
        "discovery runs for swarm {running:?}, expected that it is stopped before it starts for {found:?}; nothing changed"
    )]
    Running {
        /// For which.
        running: String,
        /// What was asked for.
        found: String,
    },
    /// The broker does not let it listen.
    #[error("could not listen to peers: {0}; nothing changed")]
    Broker(#[from] MessageBrokerError),
    /// What peers stored can't be read.
    #[error("could not read what peers stored: {0}; discovery has not started")]
    Artifacts(#[from] ArtifactError),
    /// The id can't be a peer's.
    #[error("a peer's id has {found} bytes, expected 1 to {limit}; nothing changed")]
    PeerId {
        /// Its bytes.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// It can do too much.
    #[error("the capabilities of peer {peer:?} have {found} bytes, expected at most {limit}; nothing changed")]
    Capabilities {
        /// The peer.
        peer: String,
        /// Their bytes, with a separator each.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// The load is no number of tasks.
    #[error("the load of peer {peer:?} is {found}, expected a number from 0 on; nothing changed")]
    Load {
        /// The peer.
        peer: String,
        /// What was given.
        found: f64,
    },
    /// Another side speaks for that peer.
    #[error("peer {peer:?} was heard from elsewhere, expected a peer of this side; nothing changed")]
    NotLocal {
        /// The peer.
        peer: String,
    },
    /// Nobody of that name is known.
    #[error("no peer named {peer:?} is on this side; nothing changed")]
    UnknownPeer {
        /// The name.
        peer: String,
    },
    /// Too many.
    #[error("a discovery knows {limit} peers at most, {peer:?} would be one more; nothing changed")]
    TooManyPeers {
        /// The peer.
        peer: String,
        /// The limit.
        limit: usize,
    },
}

/// For whom somebody waits: see [`await_peers`](super::PeerDiscovery::await_peers).
///
/// ```
/// use meshwork::discovery::Awaited;
///
/// assert_eq!(Awaited::from(3), Awaited::Count(3));
/// assert_eq!(Awaited::from(&["reviewer"][..]), Awaited::Ids(vec!["reviewer".to_owned()]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// For so many, whoever they are.
    Count(usize),
    /// For these.
    Ids(Vec<String>),
}

impl From<usize> for Awaited {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<Vec<String>> for Awaited {
    fn from(ids: Vec<String>) -> Self {
        Self::Ids(ids)
    }
}

impl From<&[&str]> for Awaited {
    fn from(ids: &[&str]) -> Self {
        Self::Ids(ids.iter().map(|id| (*id).to_owned()).collect())
    }
}

/// They did not all come in time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::discovery::PeersMissing;
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
/// # let discovery = new()?;
/// let error: PeersMissing = discovery.await_peers(&["reviewer"][..], Duration::ZERO).await.unwrap_err();
/// assert_eq!((error.present, error.missing), (0, vec!["reviewer".to_owned()]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{present} peers were there after {waited:?}, expected {}", self.expected())]
pub struct PeersMissing {
    /// How many are there.
    pub present: usize,
    /// For whom it was waited.
    pub awaited: Awaited,
    /// Those of the awaited ids that are not there.
    pub missing: Vec<String>,
    /// How long it was waited.
    pub waited: Duration,
}

impl PeersMissing {
    fn expected(&self) -> String {
        match &self.awaited {
            Awaited::Count(count) => count.to_string(),
            Awaited::Ids(_) => format!("also {}", self.missing.join(", ")),
        }
    }
}
