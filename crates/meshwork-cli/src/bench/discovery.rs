//! Ten peers on one bus, half of them in each of two discoveries: from the start of both until everyone knows everyone.

use super::Setting;
use super::measure::{Figure, milliseconds, percentiles};
use super::swarm::{block_on, empty};
use meshwork::artifacts::{Artifacts, FolderArtifacts};
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::discovery::{PeerDiscovery, PeerDiscoveryConfig};
use meshwork::messaging::MessageBroker;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PEERS: usize = 10;
/// Meetings of each run.
const MEETINGS: u32 = 100;
/// Nobody meets any more by then.
const WITHIN: Duration = Duration::from_secs(30);

pub(super) fn discovery(setting: &Setting) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for (stored, sharing) in [("states stored too", true), ("nothing stored", false)] {
        let mut runs = Vec::new();
        for run in 0..=setting.runs {
            let dir = empty(&setting.dir, "discovery")?;
            let samples = block_on(meetings(&dir, setting.tasks.unwrap_or(MEETINGS), sharing))?;
            if run > 0 {
                runs.push(samples);
            }
        }
        let name = format!("{PEERS} peers in two discoveries know everyone, {stored}");
        figures.extend(percentiles(&name, &runs).map(|figure| figure.against("5 ms", 5.0)));
    }
    Ok(figures)
}

async fn meetings(dir: &Path, count: u32, sharing: bool) -> Result<Vec<f64>, String> {
    let mut samples = Vec::new();
    for meeting in 0..count {
        samples.push(milliseconds(meet(&dir.join(meeting.to_string()), sharing).await?));
    }
    Ok(samples)
}

async fn meet(dir: &Path, sharing: bool) -> Result<Duration, String> {
    let fail = |error: &dyn std::fmt::Display| error.to_string();
    let (bus, _outside_of_tasks) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    let bus: Arc<dyn MessageBroker> = Arc::new(bus);
    let artifacts: Arc<dyn Artifacts> = Arc::new(FolderArtifacts::open(dir).map_err(|error| fail(&error))?);
    let config = PeerDiscoveryConfig { enable_artifact_sharing: sharing, ..PeerDiscoveryConfig::default() };
    let side = || PeerDiscovery::new(config.clone(), bus.clone(), artifacts.clone()).map_err(|error| fail(&error));
    let (here, there) = (side()?, side()?);
    let all: Vec<String> = (0..PEERS).map(|number| format!("peer-{number}")).collect();
    for (number, peer) in all.iter().enumerate() {
        let side = if number % 2 == 0 { &here } else { &there };
        side.update_peer_capabilities(peer, &["work".to_owned()]).await.map_err(|error| fail(&error))?;
    }
    let knows_all = async |side: &PeerDiscovery| {
        side.await_peers(all.clone(), WITHIN).await.map(|()| Instant::now()).map_err(|error| fail(&error))
    };
    let starts = async |side: &PeerDiscovery| side.start_discovery("bench").await.map_err(|error| fail(&error));
    let started = Instant::now();
    let (first, second, _, _) = tokio::try_join!(knows_all(&here), knows_all(&there), starts(&here), starts(&there))?;
    here.stop_discovery().await;
    there.stop_discovery().await;
    Ok(first.max(second).duration_since(started))
}
