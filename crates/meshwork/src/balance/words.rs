//! How it is configured, what it counts, and what it says when it can't.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::mover::MoveError;

/// The seed's `LoadBalancerConfig`, with its defaults; the artifacts are given beside it.
///
/// ```
/// use meshwork::balance::LoadBalancerConfig;
///
/// let asked_only = LoadBalancerConfig { enable_auto_rebalance: false, ..LoadBalancerConfig::default() };
/// assert_eq!((asked_only.imbalance_threshold, asked_only.min_tasks_for_rebalance), (1.5, 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadBalancerConfig {
    /// How many times the mean the largest load may be before a balancer acts by itself, and from which load on a peer
    /// is overloaded. At least 1.
    pub imbalance_threshold: f64,
    /// Between two looks of a balancer that acts by itself. At least a millisecond.
    pub rebalance_interval: Duration,
    /// Whether it acts by itself.
    pub enable_auto_rebalance: bool,
    /// Whether it acts by itself as soon as there is a move, whatever the threshold.
    pub aggressive_rebalancing: bool,
    /// With fewer tasks in a swarm nothing is moved.
    pub min_tasks_for_rebalance: u64,
}

impl Default for LoadBalancerConfig {
    fn default() -> Self {
        Self {
            imbalance_threshold: 1.5,
            rebalance_interval: Duration::from_secs(5),
            enable_auto_rebalance: true,
            aggressive_rebalancing: false,
            min_tasks_for_rebalance: 2,
        }
    }
}

impl LoadBalancerConfig {
    pub(super) fn check(&self) -> Result<(), LoadBalancerConfigError> {
        let found = self.imbalance_threshold;
        if !found.is_finite() || found < 1.0 {
            return Err(LoadBalancerConfigError::ImbalanceThreshold { found });
        }
        let found = self.rebalance_interval;
        if found < Duration::from_millis(1) {
            return Err(LoadBalancerConfigError::RebalanceInterval { found });
        }
        Ok(())
    }
}

/// Why a configuration is none. Nothing was made.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::balance::{LoadBalancer, LoadBalancerConfig, LoadBalancerConfigError};
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// let config = LoadBalancerConfig { rebalance_interval: Duration::ZERO, ..LoadBalancerConfig::default() };
/// let error = LoadBalancer::new(config, artifacts).err().expect("it would never rest");
/// assert_eq!(error, LoadBalancerConfigError::RebalanceInterval { found: Duration::ZERO });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum LoadBalancerConfigError {
    /// No mesh is more even than even.
    #[error("`imbalance_threshold` of a balancer is {found}, expected a number from 1 on")]
    ImbalanceThreshold {
        /// What was given.
        found: f64,
    },
    /// It would never rest.
    #[error("`rebalance_interval` of a balancer is {found:?}, expected 1 ms at least")]
    RebalanceInterval {
        /// What was given.
        found: Duration,
    },
}

/// How load is spread (the seed's `LoadDistribution`): over the peers of which a load is known. All is 0 and empty when
/// none is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::balance::LoadDistribution;
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
/// assert_eq!(balancer.load_distribution(), LoadDistribution::default());
/// balancer.update_peer_load("ada", 5.0)?;
/// balancer.update_peer_load("ben", 1.0)?;
/// let spread: LoadDistribution = balancer.load_distribution();
/// assert_eq!((spread.variance, spread.standard_deviation), (4.0, 2.0));
/// assert_eq!(spread.load_by_peer["ada"], 5.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadDistribution {
    /// The mean.
    pub average_load: f64,
    /// The least.
    pub min_load: f64,
    /// The largest.
    pub max_load: f64,
    /// The square root of the variance.
    pub standard_deviation: f64,
    /// The mean of the squared distances from the mean, over all peers (not a sample's).
    pub variance: f64,
    /// The load of each peer, by id.
    pub load_by_peer: BTreeMap<String, f64>,
    /// Those with a load of more than the threshold times the mean, by id.
    pub overloaded_peers: Vec<String>,
    /// Those with a load of less than the mean divided by the threshold, by id.
    pub underloaded_peers: Vec<String>,
}

/// The seed's `LoadBalancerMetrics`: counted since the balancer was made.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::balance::LoadBalancerMetrics;
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
/// balancer.update_peer_load("ada", 3.0)?;
/// let metrics: LoadBalancerMetrics = balancer.metrics();
/// assert_eq!((metrics.load_updates, metrics.total_rebalances, metrics.current_imbalance_ratio), (1, 0, 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerMetrics {
    /// Rebalances that ended, asked for or by itself.
    pub total_rebalances: u64,
    /// Those that ended well; one that needs no move does.
    pub successful_rebalances: u64,
    /// Those that did not.
    pub failed_rebalances: u64,
    /// Mean time that one took, in ms; 0 before the first.
    pub average_rebalance_time_ms: f64,
    /// Tasks that changed their peer.
    pub tasks_redistributed: u64,
    /// Loads that were told.
    pub load_updates: u64,
    /// The largest load ÷ the mean; 1 when nobody has any.
    pub current_imbalance_ratio: f64,
}

/// Why a balancer did not do what it was asked.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::balance::BalanceError;
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
/// assert!(matches!(balancer.select_least_loaded_peer(&[]), Err(BalanceError::NoCandidates)));
/// assert!(matches!(balancer.update_peer_load("ada", f64::NAN), Err(BalanceError::Load { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Error)]
pub enum BalanceError {
    /// Nobody to choose from.
    #[error("no peer to choose from: expected one candidate at least; nothing changed")]
    NoCandidates,
    /// The load is no number of tasks.
    #[error("the load of peer {peer:?} is {found}, expected a number from 0 to 2^53; nothing changed")]
    Load {
        /// The peer.
        peer: String,
        /// What was given.
        found: f64,
    },
    /// The id can't be a peer's.
    #[error("a peer's id has {found} bytes, expected 1 to {limit}; nothing changed")]
    PeerId {
        /// Its bytes.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// Too many.
    #[error("a balancer knows {limit} peers at most, {peer:?} would be one more; nothing changed")]
    TooManyPeers {
        /// The peer.
        peer: String,
        /// The limit.
        limit: usize,
    },
    /// Tasks were not moved, or not all; it says how many were.
    #[error("could not rebalance swarm {swarm:?}: {source}")]
    Move {
        /// The swarm.
        swarm: String,
        /// Why.
        source: MoveError,
    },
}
