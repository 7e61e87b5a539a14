//! The completion detector.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::Arc;

use meshwork::detector::{CompletionDetector, CompletionDetectorConfig};
use napi::bindgen_prelude::{External, within_runtime_if_available};
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;

use crate::broker::AnyBroker;
use crate::config::{millis, parsed, whole};
use crate::failure::Failure;
use crate::foreign::broker::ForeignBroker;
use crate::outcome::{Outcome, Soon, done, failed, soon, told};

/// The seed's `DistributedCompletionConfig`, but for the broker.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Config {
    default_timeout_ms: Option<f64>,
    probe_retry_interval_ms: Option<f64>,
    max_probe_retries: Option<f64>,
    enable_checkpoints: bool,
}

impl Config {
    fn judged(&self) -> std::result::Result<CompletionDetectorConfig, Failure> {
        let default = CompletionDetectorConfig::default();
        let retries = whole("maxProbeRetries", self.max_probe_retries, 0, 1_000_000)?;
        Ok(CompletionDetectorConfig {
            default_timeout: millis("defaultTimeoutMs", self.default_timeout_ms, 0)?.unwrap_or(default.default_timeout),
            probe_retry_interval: millis("probeRetryIntervalMs", self.probe_retry_interval_ms, 1)?
                .unwrap_or(default.probe_retry_interval),
            max_probe_retries: retries
                .and_then(|retries| u32::try_from(retries).ok())
                .unwrap_or(default.max_probe_retries),
            enable_checkpoints: self.enable_checkpoints,
        })
    }
}

/// The detector.
#[napi(js_name = "Detector")]
pub struct NodeDetector(Arc<CompletionDetector>);

#[napi]
impl NodeDetector {
    /// A detector over that broker, or why not.
    #[napi(catch_unwind)]
    pub fn make(broker: &External<AnyBroker>, config: String) -> napi::Either<NodeDetector, String> {
        let made = parsed::<Config>(&config).and_then(|config| config.judged()).and_then(|config| {
            let make = || CompletionDetector::new(config, Arc::clone(&broker.0));
            within_runtime_if_available(make).map_err(Failure::from)
        });
        match made {
            Ok(detector) => napi::Either::A(Self(Arc::new(detector))),
            Err(failure) => napi::Either::B(failed(failure)),
        }
    }

    /// See the library. Where the broker is foreign, it is waited for until it has taken the hooks.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn initialize<'env>(
        &self,
        env: &'env Env,
        peer_ids: Vec<String>,
        foreign: Option<&ForeignBroker>,
    ) -> Result<Soon<'env>> {
        let detector = Arc::clone(&self.0);
        let foreign = foreign.map(ForeignBroker::inner);
        soon(env, async move {
            if let Err(error) = detector.initialize(peer_ids).await {
                return Some(failed(error.into()));
            }
            match foreign {
                Some(foreign) => done(foreign.taken().await),
                None => None,
            }
        })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn detect_completion<'env>(
        &self,
        env: &'env Env,
        swarm_id: String,
        timeout_ms: Option<f64>,
        foreign: Option<&ForeignBroker>,
    ) -> Result<Soon<'env>> {
        let detector = Arc::clone(&self.0);
        let foreign = foreign.map(ForeignBroker::inner);
        soon(env, async move {
            let timeout = match millis("timeoutMs", timeout_ms, 0) {
                Ok(timeout) => timeout,
                Err(failure) => return Some(failed(failure)),
            };
            if let Some(foreign) = foreign {
                if let Err(error) = detector.serve(&swarm_id) {
                    return Some(failed(error.into()));
                }
                if let Err(failure) = foreign.taken().await {
                    return Some(failed(failure));
                }
            }
            told(detector.detect_completion(&swarm_id, timeout).await)
        })
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn is_peer_completed(&self, peer_id: String) -> bool {
        self.0.is_peer_completed(&peer_id)
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn deficit_counter(&self, peer_id: String) -> f64 {
        self.0.deficit_counter(&peer_id) as f64
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn completion_probes(&self, peer_id: String) -> Vec<String> {
        self.0.completion_probes(&peer_id).into_iter().collect()
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn reset<'env>(&self, env: &'env Env) -> Result<Soon<'env>> {
        let detector = Arc::clone(&self.0);
        soon(env, async move { done(detector.reset().await) })
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Outcome {
        told::<_, Failure>(Ok(self.0.metrics()))
    }

    /// What keeps the swarm from being done, as sentences.
    #[napi(catch_unwind)]
    pub fn holders(&self) -> Vec<String> {
        self.0.holders().iter().map(ToString::to_string).collect()
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn checkpoints(&self) -> Outcome {
        told::<_, Failure>(Ok(self.0.checkpoints()))
    }
}
