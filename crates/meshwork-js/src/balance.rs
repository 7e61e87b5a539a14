//! The stand-alone load balancer.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::{Arc, Mutex, PoisonError};

use meshwork::balance::{BalanceError, LoadBalancer, LoadBalancerConfig, LoadBalancerConfigError, MoveError};
use napi::bindgen_prelude::{Either, External, within_runtime_if_available};
use napi::{Env, Result};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifacts::AnyArtifacts;
use crate::config::{millis, parsed, whole};
use crate::failure::Failure;
use crate::outcome::{Outcome, Soon, done, failed, soon, told};

/// The seed's `LoadBalancerConfig`, but for the artifacts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Config {
    imbalance_threshold: Option<f64>,
    rebalance_interval_ms: Option<f64>,
    enable_auto_rebalance: Option<bool>,
    aggressive_rebalancing: Option<bool>,
    min_tasks_for_rebalance: Option<f64>,
}

impl Config {
    fn judged(&self) -> std::result::Result<LoadBalancerConfig, Failure> {
        let default = LoadBalancerConfig::default();
        Ok(LoadBalancerConfig {
            imbalance_threshold: self.imbalance_threshold.unwrap_or(default.imbalance_threshold),
            rebalance_interval: millis("rebalanceIntervalMs", self.rebalance_interval_ms, 1)?
                .unwrap_or(default.rebalance_interval),
            enable_auto_rebalance: self.enable_auto_rebalance.unwrap_or(default.enable_auto_rebalance),
            aggressive_rebalancing: self.aggressive_rebalancing.unwrap_or(default.aggressive_rebalancing),
            min_tasks_for_rebalance: whole("minTasksForRebalance", self.min_tasks_for_rebalance, 0, 1 << 53)?
                .unwrap_or(default.min_tasks_for_rebalance),
        })
    }
}

impl From<LoadBalancerConfigError> for Failure {
    fn from(error: LoadBalancerConfigError) -> Self {
        let (field, found, expected) = match error {
            LoadBalancerConfigError::ImbalanceThreshold { found } => {
                ("imbalanceThreshold", found.to_string(), "a number from 1 on")
            }
            LoadBalancerConfigError::RebalanceInterval { found } => {
                ("rebalanceIntervalMs", found.as_millis().to_string(), "at least 1")
            }
        };
        let text = format!("{field} is {found}, expected {expected}; nothing was made");
        Self::new("InvalidConfig", text).with("field", json!(field))
    }
}

impl From<BalanceError> for Failure {
    fn from(error: BalanceError) -> Self {
        let text = error.to_string();
        match error {
            BalanceError::NoCandidates => Self::new("NoCandidates", text),
            BalanceError::Load { peer, .. } => Self::new("InvalidLoad", text).with("peerId", json!(peer)),
            BalanceError::PeerId { limit, .. } => Self::new("InvalidPeerId", text).with("limit", json!(limit)),
            BalanceError::TooManyPeers { peer, limit } => {
                Self::new("TooManyPeers", text).with("peerId", json!(peer)).with("limit", json!(limit))
            }
            BalanceError::Move { swarm, source } => {
                let moved = if let MoveError::Partly { moved, .. } = source { moved } else { 0 };
                Self::new("RebalanceFailed", text).with("swarmId", json!(swarm)).with("moved", json!(moved))
            }
        }
    }
}

/// The balancer, until it is closed.
#[napi(js_name = "Balancer")]
pub struct NodeBalancer(Mutex<Option<Arc<LoadBalancer>>>);

#[napi]
impl NodeBalancer {
    /// A balancer over those artifacts, or why not.
    #[napi(catch_unwind)]
    pub fn make(artifacts: &External<AnyArtifacts>, config: String) -> Either<NodeBalancer, String> {
        let made = parsed::<Config>(&config).and_then(|config| config.judged()).and_then(|config| {
            let make = || LoadBalancer::new(config, Arc::clone(&artifacts.0));
            within_runtime_if_available(make).map_err(Failure::from)
        });
        match made {
            Ok(balancer) => Either::A(Self(Mutex::new(Some(Arc::new(balancer))))),
            Err(failure) => Either::B(failed(failure)),
        }
    }

    fn open(&self) -> std::result::Result<Arc<LoadBalancer>, Failure> {
        let balancer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        balancer.ok_or_else(|| Failure::closed("load balancer"))
    }

    fn look<T: Serialize>(&self, look: impl FnOnce(&LoadBalancer) -> std::result::Result<T, BalanceError>) -> Outcome {
        told(self.open().and_then(|balancer| look(&balancer).map_err(Failure::from)))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn select_least_loaded_peer(&self, peers: Vec<String>) -> Outcome {
        self.look(|balancer| balancer.select_least_loaded_peer(&peers))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn update_peer_load(&self, peer: String, load: f64) -> Outcome {
        self.look(|balancer| balancer.update_peer_load(&peer, load))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn forget_peer(&self, peer: String) -> Outcome {
        self.look(|balancer| Ok(balancer.forget_peer(&peer)))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn peer_load(&self, peer: String) -> Outcome {
        self.look(|balancer| Ok(balancer.peer_load(&peer)))
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn rebalance<'env>(&self, env: &'env Env, swarm: String) -> Result<Soon<'env>> {
        let balancer = self.open();
        soon(env, async move {
            let rebalanced = async { Ok::<_, Failure>(balancer?.rebalance(&swarm).await?) };
            done(rebalanced.await.map(drop))
        })
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn is_balanced(&self, threshold: f64) -> Outcome {
        self.look(|balancer| Ok(balancer.is_balanced(threshold)))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn load_distribution(&self) -> Outcome {
        self.look(|balancer| Ok(balancer.load_distribution()))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Outcome {
        self.look(|balancer| Ok(balancer.metrics()))
    }

    /// It does nothing by itself any more; what has begun is ended.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
