//! Whoever moves tasks. A balancer decides when; this decides what, and does it.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::artifacts::ArtifactError;
use crate::peers::artifact::PeerStateError;

/// How a swarm is.
///
/// ```
/// use meshwork::balance::Outlook;
///
/// let outlook = Outlook {
///     tasks: 5,
///     has_move: true,
///     loads: [("ada".to_owned(), 5.0), ("ben".to_owned(), 0.0)].into(),
/// };
/// assert_eq!(outlook.loads["ada"], 5.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Tasks that its peers have.
    pub tasks: u64,
    /// Whether a rebalance would move one.
    pub has_move: bool,
    /// The load of each of its peers.
    pub loads: BTreeMap<String, f64>,
}

/// What a rebalance did.
///
/// ```
/// use meshwork::balance::Moved;
///
/// // Ben got two; nobody else's load changed.
/// let moved = Moved { tasks: 2, loads: [("ada".to_owned(), 3.0), ("ben".to_owned(), 2.0)].into() };
/// assert_eq!((moved.tasks, moved.loads.len()), (2, 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Tasks that changed their peer.
    pub tasks: u64,
    /// The load of each peer for which that made a difference.
    pub loads: BTreeMap<String, f64>,
}

/// Why tasks were not moved, or not all.
///
/// ```
/// use meshwork::balance::MoveError;
///
/// let error = MoveError::Foreign("the scheduler is down".to_owned());
/// assert_eq!(error.to_string(), "the scheduler is down");
/// ```
#[derive(Debug, Error)]
pub enum MoveError {
    /// The store of peers' states.
    #[error("{0}; no task was moved")]
    Artifacts(#[from] ArtifactError),
    /// A state was not written, after others were.
    #[error(
        "{source}; {moved} tasks were moved, of the others some may be listed with two peers until the next rebalance"
    )]
    Partly {
        /// Tasks that were moved.
        moved: u64,
        /// What went wrong.
        source: PeerStateError,
    },
    /// What a mover of somebody else says.
    #[error("{0}")]
    Foreign(String),
}

/// Moves tasks in place of the balancer's own way, which is to rewrite the stored states of peers: a coordinator, whose
/// scheduler knows which tasks have not started and who can do them.
///
/// The balancer calls one at a time. Whatever moves should make Σ L²/c smaller
/// ([`meshwork_core::balance::is_better`]), so that rebalancing comes to an end.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::future::{BoxFuture, FutureExt, ready};
/// use meshwork::balance::{LoadBalancer, LoadBalancerConfig, MoveError, Moved, Mover, Outlook};
/// use std::sync::Arc;
///
/// /// Has nothing to move, ever.
/// struct AtRest;
///
/// impl Mover for AtRest {
///     fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
///         ready(Ok(Vec::new())).boxed()
///     }
///
///     fn look<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
///         ready(Ok(Outlook { tasks: 7, has_move: false, ..Outlook::default() })).boxed()
///     }
///
///     fn rebalance<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
///         ready(Err(MoveError::Foreign("there was no move".to_owned()))).boxed()
///     }
/// }
///
/// // It is asked to move only when there is a move.
/// let balancer = LoadBalancer::with_mover(LoadBalancerConfig::default(), Arc::new(AtRest))?;
/// assert_eq!(balancer.rebalance("swarm-1").await?, 0);
/// # Ok(())
/// # }
/// ```
pub trait Mover: Send + Sync + 'static {
    /// The swarms that a balancer that acts by itself looks after.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::future::BoxFuture;
    /// use meshwork::balance::{MoveError, Moved, Mover, Outlook};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
    /// struct OneSwarm(String);
    ///
    /// impl Mover for OneSwarm {
    ///     fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
    ///         Box::pin(async { Ok(vec![self.0.clone()]) })
    ///     }
    /// #     fn look<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
    /// #         Box::pin(async { Ok(Outlook::default()) })
    /// #     }
    /// #     fn rebalance<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
    /// #         Box::pin(async { Ok(Moved::default()) })
    /// #     }
    ///     // …
    /// }
    ///
    /// assert_eq!(OneSwarm("swarm-1".to_owned()).swarms().await?, ["swarm-1"]);
    /// # Ok(())
    /// # }
    /// ```
    fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>>;

    /// How that swarm is. Nothing changes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::future::BoxFuture;
    /// use meshwork::balance::{MoveError, Moved, Mover, Outlook};
    ///
    /// struct Queue(Vec<String>);
    ///
    /// impl Mover for Queue {
    ///     fn look<'a>(&'a self, _swarm: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
    ///         let tasks = self.0.len() as u64;
    ///         let loads = [("ada".to_owned(), tasks as f64), ("ben".to_owned(), 0.0)].into();
    ///         Box::pin(async move { Ok(Outlook { tasks, has_move: tasks > 1, loads }) })
    ///     }
    /// #     fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
    /// #         Box::pin(async { Ok(Vec::new()) })
    /// #     }
    /// #     fn rebalance<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
    /// #         Box::pin(async { Ok(Moved::default()) })
    /// #     }
    ///     // …
    /// }
    ///
    /// let queue = Queue(vec!["t1".to_owned(), "t2".to_owned()]);
    /// assert!(queue.look("swarm-1").await?.has_move);
    /// # Ok(())
    /// # }
    /// ```
    fn look<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>>;

    /// Moves what is to be moved.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::future::BoxFuture;
    /// use meshwork::balance::{MoveError, Moved, Mover, Outlook};
    /// use std::sync::Mutex;
    ///
    /// struct Two(Mutex<[u64; 2]>);
    ///
    /// impl Mover for Two {
    ///     fn rebalance<'a>(&'a self, _swarm: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
    ///         let [ada, ben] = &mut *self.0.lock().unwrap();
    ///         let tasks = ada.saturating_sub(*ben) / 2;
    ///         (*ada, *ben) = (*ada - tasks, *ben + tasks);
    ///         let loads = [("ada".to_owned(), *ada as f64), ("ben".to_owned(), *ben as f64)].into();
    ///         Box::pin(async move { Ok(Moved { tasks, loads }) })
    ///     }
    /// #     fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
    /// #         Box::pin(async { Ok(Vec::new()) })
    /// #     }
    /// #     fn look<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
    /// #         Box::pin(async { Ok(Outlook::default()) })
    /// #     }
    ///     // …
    /// }
    ///
    /// let two = Two(Mutex::new([5, 0]));
    /// assert_eq!(two.rebalance("swarm-1").await?.tasks, 2);
    /// assert_eq!(*two.0.lock().unwrap(), [3, 2]);
    /// # Ok(())
    /// # }
    /// ```
    fn rebalance<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>>;
}
