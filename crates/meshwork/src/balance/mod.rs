//! The stand-alone load balancer of the seed: who has least to do, is the mesh in balance, and what is to move?
//!
//! It is told loads, and sees those of peers whose state is stored (`peers::artifact`; discovery stores them). The rule
//! for moves is in [`meshwork_core::balance`], the same that the scheduler uses: it makes Σ L²/c smaller with every move,
//! so that rebalancing comes to an end and moves nothing back and forth. By itself the balancer moves tasks by rewriting
//! the stored states ([`Mover`] says how a coordinator does it instead); one balancer a swarm is to do so.
//!
//! With `enable_auto_rebalance` it looks every `rebalance_interval`, and acts when the largest load is more than
//! `imbalance_threshold` times the mean and there is a move. A balancer that is dropped does no more than end what it
//! has begun.

mod loads;
mod mover;
mod stored;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use meshwork_core::ID_BYTES_MAX;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use loads::Loads;
use stored::StoredTasks;

pub use mover::{MoveError, Moved, Mover, Outlook};
pub use words::{BalanceError, LoadBalancerConfig, LoadBalancerConfigError, LoadBalancerMetrics, LoadDistribution};

use crate::artifacts::Artifacts;
use crate::peers::artifact::PeerStates;
use crate::timers;

/// As many as the largest mesh that is measured.
const PEERS_MAX: usize = 10_000;
/// The largest load: up to here whole numbers are exact, and sums and squares are numbers.
const LOAD_MAX: f64 = 9_007_199_254_740_992.0;

/// Everything that changes.
#[derive(Default)]
struct Books {
    loads: Loads,
    updates: u64,
    successes: u64,
    failures: u64,
    took: Duration,
    moved: u64,
}

struct Inner {
    config: LoadBalancerConfig,
    mover: Arc<dyn Mover>,
    books: Mutex<Books>,
    /// Held while tasks are looked at and moved: one at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, swarm: &str) -> Result<Outlook, MoveError> {
        let outlook = self.mover.look(swarm).await?;
        self.books().loads.see(swarm, outlook.loads.clone());
        Ok(outlook)
    }

    fn is_worth_it(&self, outlook: &Outlook) -> bool {
        outlook.has_move && outlook.tasks >= self.config.min_tasks_for_rebalance
    }

    async fn rebalance(&self, swarm: &str) -> Result<u64, BalanceError> {
        let began = Instant::now();
        let ended = self.look_and_move(swarm).await;
        let mut books = self.books();
        books.took += began.elapsed();
        match &ended {
            Ok(moved) => {
                books.successes += 1;
                books.moved += moved;
            }
            Err(error) => {
                books.failures += 1;
                books.moved += if let MoveError::Partly { moved, .. } = error { *moved } else { 0 };
            }
        }
        ended.map_err(|source| BalanceError::Move { swarm: swarm.to_owned(), source })
    }

    async fn look_and_move(&self, swarm: &str) -> Result<u64, MoveError> {
        let outlook = self.look(swarm).await?;
        if !self.is_worth_it(&outlook) {
            return Ok(0);
        }
        let moved = self.mover.rebalance(swarm).await?;
        self.books().loads.moved(swarm, moved.loads);
        Ok(moved.tasks)
    }

    /// What a balancer that acts by itself does each time. A swarm that can't be looked after keeps no other from it.
    async fn look_after_all(&self) {
        let _turn = self.turn.lock().await;
        let swarms = self.mover.swarms().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a balancer could not tell which swarms there are");
            Vec::new()
        });
        let mut worth_it = Vec::new();
        for swarm in swarms {
            match self.look(&swarm).await {
                Ok(outlook) if self.is_worth_it(&outlook) => worth_it.push(swarm),
                Ok(_) => {}
                Err(error) => tracing::warn!(swarm, %error, "a balancer could not look at a swarm"),
            }
        }
        if !self.config.aggressive_rebalancing && self.books().loads.is_balanced(self.config.imbalance_threshold) {
            return;
        }
        for swarm in worth_it {
            match self.rebalance(&swarm).await {
                Ok(moved) => tracing::debug!(swarm, moved, "rebalanced"),
                Err(error) => tracing::warn!(%error, "a balancer failed"),
            }
        }
    }
}

/// The seed's `MeshLoadBalancer`.
///
/// ```
/// # use std::sync::Arc;
/// use meshwork::artifacts::FolderArtifacts;
/// use meshwork::balance::{LoadBalancer, LoadBalancerConfig};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let artifacts = Arc::new(FolderArtifacts::open(folder.path())?);
/// let balancer = LoadBalancer::new(LoadBalancerConfig::default(), artifacts)?;
/// balancer.update_peer_load("a", 4.0)?;
/// balancer.update_peer_load("b", 1.0)?;
/// let candidates = ["a", "b"].map(str::to_owned);
/// assert_eq!(balancer.select_least_loaded_peer(&candidates)?, "b");
/// assert!(!balancer.is_balanced(1.5));
/// assert_eq!(balancer.load_distribution().overloaded_peers, ["a"]);
/// # Ok(())
/// # }
/// ```
pub struct LoadBalancer {
    inner: Arc<Inner>,
    _acts: Option<DropGuard>,
}

impl LoadBalancer {
    /// A balancer that moves tasks by rewriting the states that peers have stored there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::balance::{LoadBalancer, LoadBalancerConfig};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// let balancer = LoadBalancer::new(LoadBalancerConfig::default(), artifacts.clone())?;
    /// assert!(balancer.is_balanced(1.0));
    ///
    /// let config = LoadBalancerConfig { imbalance_threshold: 0.5, ..LoadBalancerConfig::default() };
    /// let error = LoadBalancer::new(config, artifacts).err().expect("no mesh is that even");
    /// assert_eq!(error.to_string(), "`imbalance_threshold` of a balancer is 0.5, expected a number from 1 on");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The configuration is none: says which field, what was found and what was expected.
    ///
    /// # Panics
    /// When it is to act by itself: outside a tokio runtime.
    pub fn new(config: LoadBalancerConfig, artifacts: Arc<dyn Artifacts>) -> Result<Self, LoadBalancerConfigError> {
        Self::with_mover(config, Arc::new(StoredTasks(PeerStates::new(artifacts))))
    }

    /// A balancer for which somebody else moves tasks.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::future::{BoxFuture, FutureExt, ready};
    /// use meshwork::balance::{LoadBalancer, LoadBalancerConfig, MoveError, Moved, Mover, Outlook};
    /// use std::sync::Arc;
    ///
    /// /// Has 5 tasks, and moves 2 of them.
    /// struct Scheduler;
    ///
    /// impl Mover for Scheduler {
    ///     fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
    ///         ready(Ok(vec!["swarm-1".to_owned()])).boxed()
    ///     }
    ///
    ///     fn look<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
    ///         let loads = [("ada".to_owned(), 5.0), ("ben".to_owned(), 0.0)].into();
    ///         ready(Ok(Outlook { tasks: 5, has_move: true, loads })).boxed()
    ///     }
    ///
    ///     fn rebalance<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
    ///         let loads = [("ada".to_owned(), 3.0), ("ben".to_owned(), 2.0)].into();
    ///         ready(Ok(Moved { tasks: 2, loads })).boxed()
    ///     }
    /// }
    ///
    /// let balancer = LoadBalancer::with_mover(LoadBalancerConfig::default(), Arc::new(Scheduler))?;
    /// assert_eq!(balancer.rebalance("swarm-1").await?, 2);
    /// assert_eq!(balancer.peer_load("ben"), 2.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_mover(config: LoadBalancerConfig, mover: Arc<dyn Mover>) -> Result<Self, LoadBalancerConfigError> {
        config.check()?;
        let (books, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        let inner = Arc::new(Inner { config, mover, books, turn });
        let acts = config.enable_auto_rebalance.then(|| {
            let dropped = CancellationToken::new();
            let mut looks = interval_at(timers::after(config.rebalance_interval), config.rebalance_interval);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tokio::spawn(act(Arc::downgrade(&inner), looks, dropped.clone()));
            dropped.drop_guard()
        });
        Ok(Self { inner, _acts: acts })
    }

    /// The candidate with the least load, of equals the first by id. A peer never heard of has none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// balancer.update_peer_load("ada", 3.0)?;
    /// balancer.update_peer_load("ben", 1.0)?;
    /// let candidates = ["ada", "ben"].map(str::to_owned);
    /// assert_eq!(balancer.select_least_loaded_peer(&candidates)?, "ben");
    /// assert!(balancer.select_least_loaded_peer(&[]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BalanceError::NoCandidates`].
    pub fn select_least_loaded_peer(&self, peer_ids: &[String]) -> Result<String, BalanceError> {
        let books = self.inner.books();
        let least = |one: &&String, other: &&String| {
            books.loads.of(one).total_cmp(&books.loads.of(other)).then_with(|| one.cmp(other))
        };
        peer_ids.iter().min_by(least).cloned().ok_or(BalanceError::NoCandidates)
    }

    /// The peer has that load from now on, in tasks: until the next is told, or tasks of it are moved.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// balancer.update_peer_load("ada", 3.0)?;
    /// balancer.update_peer_load("ada", 2.0)?;
    /// assert_eq!(balancer.peer_load("ada"), 2.0);
    /// let error = balancer.update_peer_load("ada", -1.0).unwrap_err().to_string();
    /// assert_eq!(error, r#"the load of peer "ada" is -1, expected a number from 0 to 2^53; nothing changed"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The load is no number from 0 to 2⁵³, the id can't be a peer's, or too many are known. Nothing changed.
    pub fn update_peer_load(&self, peer_id: &str, load: f64) -> Result<(), BalanceError> {
        if !(0.0..=LOAD_MAX).contains(&load) {
            return Err(BalanceError::Load { peer: peer_id.to_owned(), found: load });
        }
        if peer_id.is_empty() || peer_id.len() > ID_BYTES_MAX {
            return Err(BalanceError::PeerId { found: peer_id.len(), limit: ID_BYTES_MAX });
        }
        let mut books = self.inner.books();
        if !books.loads.knows(peer_id) && books.loads.len() >= PEERS_MAX {
            return Err(BalanceError::TooManyPeers { peer: peer_id.to_owned(), limit: PEERS_MAX });
        }
        books.loads.tell(peer_id, load);
        books.updates += 1;
        Ok(())
    }

    /// The peer has left: its load counts no more. Says whether one was known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// balancer.update_peer_load("ada", 3.0)?;
    /// assert!(balancer.forget_peer("ada"));
    /// assert!(!balancer.forget_peer("ada"));
    /// assert_eq!(balancer.peer_load("ada"), 0.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_peer(&self, peer_id: &str) -> bool {
        self.inner.books().loads.forget(peer_id)
    }

    /// The load of the peer as it was told or seen last; 0 for those never heard of.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// balancer.update_peer_load("ada", 3.0)?;
    /// assert_eq!((balancer.peer_load("ada"), balancer.peer_load("nobody")), (3.0, 0.0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn peer_load(&self, peer_id: &str) -> f64 {
        self.inner.books().loads.of(peer_id)
    }

    /// Moves tasks of the swarm until no move makes it more even, whatever the threshold; with fewer tasks than
    /// `min_tasks_for_rebalance`, none. Says how many changed their peer. That none had to is no error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerState;
    /// use meshwork::peers::artifact::{PeerStates, StoredPeer};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// let states = PeerStates::new(artifacts.clone());
    /// for (id, tasks) in [("ada", &["t1", "t2", "t3", "t4"][..]), ("ben", &[])] {
    ///     let active_tasks: Vec<String> = tasks.iter().map(|&task| task.to_owned()).collect();
    ///     let state = PeerState { peer_id: id.to_owned(), active_tasks, ..PeerState::default() };
    ///     states.change("swarm-1", id, |_| Some(StoredPeer { state, ..StoredPeer::default() })).await?;
    /// }
    /// assert_eq!(balancer.rebalance("swarm-1").await?, 2);
    /// assert_eq!(states.all("swarm-1").await?.peers["ben"].state.active_tasks.len(), 2);
    /// // It is even, and nothing moves back.
    /// assert_eq!(balancer.rebalance("swarm-1").await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Tasks could not be looked at or moved; how many were moved is said.
    pub async fn rebalance(&self, swarm_id: &str) -> Result<u64, BalanceError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.rebalance(swarm_id).await
    }

    /// Whether the largest load is at most `threshold` times the mean. An idle mesh is balanced.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// balancer.update_peer_load("ada", 3.0)?;
    /// balancer.update_peer_load("ben", 1.0)?;
    /// // The largest is 3, and the mean 2.
    /// assert!(balancer.is_balanced(1.5) && !balancer.is_balanced(1.4));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_balanced(&self, threshold: f64) -> bool {
        self.inner.books().loads.is_balanced(threshold)
    }

    /// How load is spread over the peers of which one is known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// for (id, load) in [("ada", 6.0), ("ben", 2.0), ("eve", 1.0)] {
    ///     balancer.update_peer_load(id, load)?;
    /// }
    /// let spread = balancer.load_distribution();
    /// assert_eq!((spread.min_load, spread.average_load, spread.max_load), (1.0, 3.0, 6.0));
    /// assert_eq!((spread.overloaded_peers, spread.underloaded_peers.len()), (vec!["ada".to_owned()], 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn load_distribution(&self) -> LoadDistribution {
        self.inner.books().loads.distribution(self.inner.config.imbalance_threshold)
    }

    /// What was counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let balancer = meshwork::balance::LoadBalancer::new(Default::default(), artifacts.clone())?;
    /// balancer.update_peer_load("ada", 3.0)?;
    /// balancer.update_peer_load("ben", 1.0)?;
    /// assert_eq!(balancer.rebalance("swarm-1").await?, 0);
    /// let metrics = balancer.metrics();
    /// assert_eq!((metrics.load_updates, metrics.successful_rebalances, metrics.tasks_redistributed), (2, 1, 0));
    /// assert_eq!(metrics.current_imbalance_ratio, 1.5);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> LoadBalancerMetrics {
        let books = self.inner.books();
        let total = books.successes + books.failures;
        let average = if total == 0 { 0.0 } else { books.took.as_secs_f64() * 1_000.0 / total as f64 };
        LoadBalancerMetrics {
            total_rebalances: total,
            successful_rebalances: books.successes,
            failed_rebalances: books.failures,
            average_rebalance_time_ms: average,
            tasks_redistributed: books.moved,
            load_updates: books.updates,
            current_imbalance_ratio: books.loads.ratio(),
        }
    }
}

/// Looks again and again, until the balancer is dropped; what has begun then is ended.
async fn act(inner: Weak<Inner>, mut looks: Interval, dropped: CancellationToken) {
    while dropped.run_until_cancelled(looks.tick()).await.is_some() {
        let Some(inner) = inner.upgrade() else { return };
        inner.look_after_all().await;
    }
}
