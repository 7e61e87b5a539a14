//! The stand-alone peer discovery.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::Arc;
use std::time::Duration;

use meshwork::discovery::{
    Announcing, Awaited, DiscoveryConfigError, DiscoveryError, PeerDiscovery, PeerDiscoveryConfig, PeersMissing,
};
use napi::bindgen_prelude::{Either, External, within_runtime_if_available};
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::json;

use crate::artifacts::AnyArtifacts;
use crate::broker::AnyBroker;
use crate::config::{millis, parsed};
use crate::failure::Failure;
use crate::foreign::broker::ForeignBroker;
use crate::outcome::{Outcome, Soon, done, failed, soon, told};

/// The seed's `PeerDiscoveryConfig`, but for broker and artifacts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Config {
    swarm_id: Option<String>,
    discovery_interval_ms: Option<f64>,
    heartbeat_interval_ms: Option<f64>,
    peer_timeout_ms: Option<f64>,
    enable_artifact_sharing: Option<bool>,
}

impl Config {
    fn judged(self) -> std::result::Result<PeerDiscoveryConfig, Failure> {
        let default = PeerDiscoveryConfig::default();
        let length = |field, given, default| Ok::<_, Failure>(millis(field, given, 1)?.unwrap_or(default));
        Ok(PeerDiscoveryConfig {
            swarm_id: self.swarm_id.unwrap_or(default.swarm_id),
            discovery_interval: length("discoveryIntervalMs", self.discovery_interval_ms, default.discovery_interval)?,
            heartbeat_interval: length("heartbeatIntervalMs", self.heartbeat_interval_ms, default.heartbeat_interval)?,
            peer_timeout: length("peerTimeoutMs", self.peer_timeout_ms, default.peer_timeout)?,
            enable_artifact_sharing: self.enable_artifact_sharing.unwrap_or(default.enable_artifact_sharing),
        })
    }
}

impl From<DiscoveryConfigError> for Failure {
    fn from(error: DiscoveryConfigError) -> Self {
        let (field, text) = match &error {
            // The other lengths of time were judged when they were read.
            DiscoveryConfigError::TooShort { found, .. } => {
                let text = format!("peerTimeoutMs is {}, expected more than heartbeatIntervalMs", found.as_millis());
                ("peerTimeoutMs", text)
            }
            DiscoveryConfigError::SwarmId(topic) => ("swarmId", format!("swarmId: {topic}")),
        };
        Self::new("InvalidConfig", format!("{text}; nothing was made")).with("field", json!(field))
    }
}

impl From<DiscoveryError> for Failure {
    fn from(error: DiscoveryError) -> Self {
        let text = error.to_string();
        match error {
            DiscoveryError::SwarmId(_) => Self::new("InvalidTopic", text),
            DiscoveryError::OtherSwarm { expected, .. } => {
                Self::new("OtherSwarm", text).with("expected", json!(expected))
            }
            DiscoveryError::Running { running, .. } => Self::new("DiscoveryRuns", text).with("running", json!(running)),
            DiscoveryError::Broker(error) => Self { message: text, ..error.into() },
            DiscoveryError::Artifacts(error) => Self { message: text, ..error.into() },
            DiscoveryError::PeerId { limit, .. } => Self::new("InvalidPeerId", text).with("limit", json!(limit)),
            DiscoveryError::Capabilities { peer, limit, .. } => {
                Self::new("TooLarge", text).with("peerId", json!(peer)).with("limit", json!(limit))
            }
            DiscoveryError::Load { peer, .. } => Self::new("InvalidLoad", text).with("peerId", json!(peer)),
            DiscoveryError::NotLocal { peer } => Self::new("NotLocal", text).with("peerId", json!(peer)),
            DiscoveryError::UnknownPeer { peer } => Self::new("UnknownPeer", text).with("peerId", json!(peer)),
            DiscoveryError::TooManyPeers { peer, limit } => {
                Self::new("TooManyPeers", text).with("peerId", json!(peer)).with("limit", json!(limit))
            }
        }
    }
}

impl From<PeersMissing> for Failure {
    fn from(error: PeersMissing) -> Self {
        let text = format!("{error}; nothing changed");
        Self::new("PeersMissing", text).with("present", json!(error.present)).with("missing", json!(error.missing))
    }
}

/// So long; a number that no length of time is, is for ever.
fn length(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(Duration::MAX)
}

async fn announced(announcing: std::result::Result<Announcing, DiscoveryError>) -> Outcome {
    match announcing {
        Ok(announcing) => {
            announcing.done().await;
            None
        }
        Err(error) => Some(failed(error.into())),
    }
}

/// The discovery.
#[napi(js_name = "Discovery")]
pub struct NodeDiscovery(Arc<PeerDiscovery>);

#[napi]
impl NodeDiscovery {
    /// A discovery over that broker and those artifacts, or why not.
    #[napi(catch_unwind)]
    pub fn make(
        broker: &External<AnyBroker>,
        artifacts: &External<AnyArtifacts>,
        config: String,
    ) -> Either<NodeDiscovery, String> {
        let made = parsed::<Config>(&config).and_then(Config::judged).and_then(|config| {
            let make = || PeerDiscovery::new(config, Arc::clone(&broker.0), Arc::clone(&artifacts.0));
            within_runtime_if_available(make).map_err(Failure::from)
        });
        match made {
            Ok(discovery) => Either::A(Self(Arc::new(discovery))),
            Err(failure) => Either::B(failed(failure)),
        }
    }

    /// See the library. Where the broker is foreign, it is waited for until it has taken the handlers; where it refuses
    /// them, discovery has not started.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn start<'env>(&self, env: &'env Env, swarm: String, foreign: Option<&ForeignBroker>) -> Result<Soon<'env>> {
        let discovery = Arc::clone(&self.0);
        let foreign = foreign.map(ForeignBroker::inner);
        soon(env, async move {
            if let Err(error) = discovery.start_discovery(&swarm).await {
                return Some(failed(error.into()));
            }
            let foreign = foreign?;
            let refused = foreign.taken().await.err()?;
            discovery.stop_discovery().await;
            // What it says about the way back adds nothing.
            let _taken_back = foreign.taken().await;
            Some(failed(refused))
        })
    }

    /// See the library. Where the broker is foreign, it is waited for until it has let the handlers go.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn stop<'env>(&self, env: &'env Env, foreign: Option<&ForeignBroker>) -> Result<Soon<'env>> {
        let discovery = Arc::clone(&self.0);
        let foreign = foreign.map(ForeignBroker::inner);
        soon(env, async move {
            discovery.stop_discovery().await;
            match foreign {
                Some(foreign) => done(foreign.taken().await),
                None => None,
            }
        })
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn find(&self, capabilities: Vec<String>) -> Vec<String> {
        self.0.find_peers_by_capabilities(&capabilities)
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn peer_info(&self, peer: String) -> Outcome {
        told::<_, Failure>(Ok(self.0.peer_info(&peer)))
    }

    /// See the library: as an array, by id.
    #[napi(catch_unwind)]
    pub fn all_peers(&self) -> Outcome {
        told::<_, Failure>(Ok(self.0.all_peers().into_values().collect::<Vec<_>>()))
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn update_capabilities<'env>(&self, env: &'env Env, peer: String, all: Vec<String>) -> Result<Soon<'env>> {
        let discovery = Arc::clone(&self.0);
        soon(env, async move { done(discovery.update_peer_capabilities(&peer, &all).await) })
    }

    /// See the library; waits until it was said.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn forget_local_peer<'env>(&self, env: &'env Env, peer: String) -> Result<Soon<'env>> {
        let discovery = Arc::clone(&self.0);
        soon(env, async move { announced(discovery.forget_local_peer(&peer)).await })
    }

    /// See the library: waits for so many, or for those.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn await_peers<'env>(
        &self,
        env: &'env Env,
        peers: Either<u32, Vec<String>>,
        timeout_ms: f64,
    ) -> Result<Soon<'env>> {
        let discovery = Arc::clone(&self.0);
        let awaited = match peers {
            Either::A(count) => Awaited::Count(count as usize),
            Either::B(ids) => Awaited::Ids(ids),
        };
        soon(env, async move { done(discovery.await_peers(awaited, length(timeout_ms)).await) })
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn is_peer_alive(&self, peer: String, timeout_ms: f64) -> bool {
        self.0.is_peer_alive(&peer, length(timeout_ms))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Outcome {
        told::<_, Failure>(Ok(self.0.metrics()))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn faults(&self) -> Outcome {
        told::<_, Failure>(Ok(self.0.faults()))
    }
}
