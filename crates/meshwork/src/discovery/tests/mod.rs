//! Discovery on our broker, and on a small one of somebody else.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bus;
mod finding;
mod metrics;
mod settings;
mod stored;
mod trouble;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::artifacts::FolderArtifacts;
use crate::broker::{Broker, BrokerConfig, MailInMemory};
use bus::Bus;

/// Far longer than anything here takes, most of it in the tests' own time: reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(300);
const TOPIC: &str = "mesh.s.discovery";
const BEATS: &str = "mesh.s.heartbeat";

/// The defaults without the store: a disk does not wait for the tests' own time.
fn usual() -> PeerDiscoveryConfig {
    PeerDiscoveryConfig { enable_artifact_sharing: false, ..PeerDiscoveryConfig::default() }
}

/// The same with intervals so long that whoever waits for one misses the deadline.
fn patient() -> PeerDiscoveryConfig {
    PeerDiscoveryConfig {
        discovery_interval: 100 * DEADLINE,
        heartbeat_interval: 100 * DEADLINE,
        peer_timeout: 1_000 * DEADLINE,
        ..usual()
    }
}

struct Place {
    folder: TempDir,
    artifacts: Arc<FolderArtifacts>,
    broker: Arc<dyn MessageBroker>,
}

impl Place {
    fn with(broker: Arc<dyn MessageBroker>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Arc::new(FolderArtifacts::open(folder.path()).unwrap());
        Self { folder, artifacts, broker }
    }

    /// On our broker.
    fn ours() -> Self {
        let (broker, settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
        drop(settled);
        Self::with(Arc::new(broker))
    }

    /// On the small one.
    fn small() -> (Self, Arc<Bus>) {
        let bus = Bus::new();
        (Self::with(bus.clone()), bus)
    }

    fn discovery(&self, config: PeerDiscoveryConfig) -> PeerDiscovery {
        PeerDiscovery::new(config, Arc::clone(&self.broker), self.artifacts.clone()).unwrap()
    }

    /// One that runs, with these local peers; each can do `x`, and what it is called.
    async fn side(&self, config: PeerDiscoveryConfig, peers: &[&str]) -> PeerDiscovery {
        let discovery = self.discovery(config);
        for peer in peers {
            discovery.update_peer_capabilities(peer, &texts(&["x", peer])).await.unwrap();
        }
        within(discovery.start_discovery("s")).await.unwrap();
        discovery
    }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it never happened")
}

/// Waits until it is so, as time goes by: what is waited for hangs on a timer.
async fn until(what: impl Fn() -> bool) {
    within(async {
        while !what() {
            tokio::time::advance(Duration::from_millis(1)).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn info(id: &str, load: f64, state: AgentState) -> PeerInfo {
    PeerInfo { id: id.to_owned(), capabilities: texts(&["x"]), load, state, ..PeerInfo::default() }
}
