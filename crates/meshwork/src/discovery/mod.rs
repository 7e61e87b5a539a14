//! The stand-alone discovery of the seed: who is there, what can they do, and are they alive? On any broker, without a
//! coordinator.
//!
//! The rules are in [`meshwork_core::discovery`]; here they get a clock, a broker and a store. A side registers its own
//! peers, and hears of those of other sides. It announces a peer when it joins, when it changes and in answer to a
//! query, all at once; a heartbeat says the same again, so that a lost announcement is made good within
//! `heartbeat_interval`. A peer that is silent is stale, keeps its record, and comes back when it is heard again.
//!
//! With artifact sharing, what a local peer announces is also stored (`peers::artifact` says where and in what form),
//! and read when discovery starts: such a peer is known, and stale until it is heard.
//!
//! What others send is not trusted to be right: what can't be understood is counted
//! ([`PeerDiscovery::faults`]), logged, and changes nothing.

mod outbox;
mod post;
#[cfg(test)]
mod tests;
mod wire;
mod words;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use meshwork_core::ID_BYTES_MAX;
use meshwork_core::discovery::{Ask, Config, Discovery, Input, Now, Record, Standing};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use outbox::Ticket;
use post::{Counts, Line};
use wire::{Carried, Incoming};

pub use wire::{ANNOUNCEMENT, HEARTBEAT, PeerWord, QUERY};
pub use words::{
    Awaited, DiscoveryConfigError, DiscoveryError, PeerDiscoveryConfig, PeerDiscoveryFaults, PeerDiscoveryMetrics,
    PeersMissing,
};

use crate::artifacts::Artifacts;
use crate::clock::now_ms;
use crate::messaging::{Message, MessageBroker, MessageHandler, Topic};
use crate::peers::artifact::PeerStates;
use crate::peers::{AgentState, PeerInfo};
use crate::timers;

/// As many as the largest mesh that is measured: whoever floods the topics with names fills no memory.
const PEERS_MAX: usize = 10_000;

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

struct Inner {
    broker: Arc<dyn MessageBroker>,
    states: Option<PeerStates>,
    /// Names this side to others.
    side: String,
    epoch: Instant,
    machine: Mutex<Discovery<Carried>>,
    /// Where what the machine asks for goes, while it runs.
    line: Mutex<Option<Line>>,
    looks: tokio::sync::watch::Sender<u64>,
    counts: Counts,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn now(&self) -> Now {
        Now { us: us(self.epoch.elapsed()), clock_ms: now_ms() }
    }

    fn machine(&self) -> MutexGuard<'_, Discovery<Carried>> {
        locked(&self.machine)
    }

    fn handle(&self, input: Input<Carried>) {
        let mut machine = self.machine();
        let asks = machine.handle(input, self.now());
        self.hand_on(asks);
    }

    /// Called while the machine is held, so that the order of what goes out is that of its causes.
    fn hand_on(&self, asks: Vec<Ask<Carried>>) {
        let line = locked(&self.line);
        for ask in asks {
            match (ask, &*line) {
                (Ask::Look, _) => self.looks.send_modify(|looks| *looks += 1),
                (ask, Some(line)) => line.take(ask, self.states.is_some()),
                // It was stopped at this moment.
                (_, None) => {}
            }
        }
    }

    fn hear(&self, message: &Message) {
        match wire::read(&self.side, message) {
            Ok(Incoming::Query { side }) => self.handle(Input::Queried { side }),
            Ok(Incoming::Word { peer, how, said }) => self.handle(Input::Heard { peer, how, said }),
            Ok(Incoming::NotForUs) => {}
            Err(why) => {
                Counts::add(&self.counts.bad_messages);
                tracing::warn!(why, "a message on a topic of discovery was not understood");
            }
        }
    }

    /// The peer as it is known, last seen by this side's clock.
    fn info(&self, id: &str, record: &Record<Carried>, now: Now) -> PeerInfo {
        // Of one that was never heard, only its own clock tells.
        let seen = record.heard_us().map(|heard| now.clock_ms.saturating_sub(now.us.saturating_sub(heard) / 1_000));
        wire::info(id, record.said(), seen.unwrap_or(record.said().stamp))
    }

    /// Takes what others stored; what is no state of a peer is counted.
    async fn recall(&self, swarm: &str) -> Result<Vec<Input<Carried>>, DiscoveryError> {
        let Some(states) = &self.states else { return Ok(Vec::new()) };
        let found = states.all(swarm).await?;
        let mut unreadable = found.unreadable;
        let mut inputs = Vec::new();
        for (id, stored) in found.peers {
            match wire::recalled(stored) {
                Ok((peer, said)) => inputs.push(Input::Recalled { peer, said }),
                Err(why) => unreadable.push((id, why)),
            }
        }
        for (what, why) in unreadable {
            Counts::add(&self.counts.unreadable_states);
            tracing::warn!(what, why, "a stored state of a peer was not understood");
        }
        Ok(inputs)
    }
}

/// What was changed is on its way to everybody. May be dropped: it goes out all the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::discovery::Announcing;
/// use meshwork::peers::PeerInfo;
///
/// # let folder = tempfile::tempdir()?;
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
/// # let broker = std::sync::Arc::new(broker);
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
/// # let discovery = new()?;
/// discovery.start_discovery("swarm-1").await?;
/// let announcing: Announcing = discovery.update_peer(PeerInfo { id: "reviewer".to_owned(), ..PeerInfo::default() })?;
/// // It goes out all the same without this.
/// announcing.done().await;
/// assert_eq!(discovery.faults().unstored, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Announcing {
    words: Option<Ticket>,
    states: Option<Ticket>,
}

impl Announcing {
    /// Ends when the change was published and stored, or could not be (which is counted, see
    /// [`PeerDiscovery::faults`]), or at once when discovery does not run: then it is announced when it starts.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerInfo;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// // `new` makes one, as the example of the type does.
    /// let (here, there) = (new()?, new()?);
    /// here.start_discovery("swarm-1").await?;
    /// here.update_peer(PeerInfo { id: "reviewer".to_owned(), load: 2.0, ..PeerInfo::default() })?.done().await;
    /// // Who starts now reads it from the store.
    /// there.start_discovery("swarm-1").await?;
    /// assert_eq!(there.peer_info("reviewer").map(|peer| peer.load), Some(2.0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn done(self) {
        join_all(self.words.into_iter().chain(self.states).map(Ticket::done)).await;
    }

    /// The same without the store, whose disk only those wait for that join later: ends when the change was
    /// published, or could not be.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerInfo;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.start_discovery("swarm-1").await?;
    /// let peer = PeerInfo { id: "reviewer".to_owned(), ..PeerInfo::default() };
    /// discovery.update_peer(peer)?.published().await;
    /// assert_eq!(discovery.faults().unpublished, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn published(self) {
        if let Some(words) = self.words {
            words.done().await;
        }
    }
}

impl std::fmt::Debug for Announcing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Announcing")
    }
}

struct Run {
    swarm: String,
    topics: [Topic; 3],
    handler: MessageHandler,
    tasks: Vec<JoinHandle<()>>,
}

/// The seed's `PeerDiscoverySystem`.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// use meshwork::artifacts::FolderArtifacts;
/// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
/// use meshwork::discovery::{PeerDiscovery, PeerDiscoveryConfig};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let broker = Arc::new(broker);
/// let artifacts = Arc::new(FolderArtifacts::open(folder.path())?);
/// let here = PeerDiscovery::new(PeerDiscoveryConfig::default(), broker.clone(), artifacts.clone())?;
/// here.update_peer_capabilities("reviewer", &["code-review".to_owned()]).await?;
/// here.start_discovery("swarm-1").await?;
///
/// let there = PeerDiscovery::new(PeerDiscoveryConfig::default(), broker, artifacts)?;
/// there.start_discovery("swarm-1").await?;
/// there.await_peers(&["reviewer"][..], Duration::from_secs(5)).await?;
/// assert_eq!(there.find_peers_by_capability("code-review"), ["reviewer"]);
/// # Ok(())
/// # }
/// ```
pub struct PeerDiscovery {
    inner: Arc<Inner>,
    config: PeerDiscoveryConfig,
    /// Held while it starts or stops.
    turn: tokio::sync::Mutex<()>,
    run: Mutex<Option<Run>>,
    last_swarm: Mutex<Option<String>>,
}

impl PeerDiscovery {
    /// A discovery that knows nobody and does not run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::discovery::{PeerDiscovery, PeerDiscoveryConfig};
    /// use std::time::Duration;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// // `broker` and `artifacts` are made in the example of the type.
    /// let discovery = PeerDiscovery::new(PeerDiscoveryConfig::default(), broker.clone(), artifacts.clone())?;
    /// assert!(discovery.all_peers().is_empty());
    ///
    /// let hasty = PeerDiscoveryConfig { peer_timeout: Duration::from_millis(500), ..PeerDiscoveryConfig::default() };
    /// let error = PeerDiscovery::new(hasty, broker, artifacts).err().expect("shorter than a heartbeat");
    /// assert_eq!(error.to_string(), "`peer_timeout` of a discovery is 500ms, expected more than heartbeat_interval");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The configuration is none: says which field, what was found and what was expected.
    ///
    /// # Panics
    /// When the operating system has no random source.
    pub fn new(
        config: PeerDiscoveryConfig,
        broker: Arc<dyn MessageBroker>,
        artifacts: Arc<dyn Artifacts>,
    ) -> Result<Self, DiscoveryConfigError> {
        config.check()?;
        let machine = Discovery::new(Config {
            discovery_us: us(config.discovery_interval),
            heartbeat_us: us(config.heartbeat_interval),
            timeout_us: us(config.peer_timeout),
            peers_max: PEERS_MAX,
        });
        let inner = Inner {
            broker,
            states: config.enable_artifact_sharing.then(|| PeerStates::new(artifacts)),
            side: crate::random::hex::<8>(),
            epoch: Instant::now(),
            machine: Mutex::new(machine),
            line: Mutex::new(None),
            looks: tokio::sync::watch::Sender::new(0),
            counts: Counts::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            config,
            turn: tokio::sync::Mutex::new(()),
            run: Mutex::new(None),
            last_swarm: Mutex::new(None),
        })
    }

    /// Begins: reads what peers of the swarm stored, announces the local peers, and asks who else is there. Resolves
    /// when that has gone out. Started again for the same swarm, it changes nothing.
    ///
    /// Started for another swarm than before, it forgets the other peers of that one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.start_discovery("swarm-1").await?;
    /// discovery.start_discovery("swarm-1").await?;
    /// let error = discovery.start_discovery("swarm-2").await.unwrap_err();
    /// assert!(error.to_string().starts_with(r#"discovery runs for swarm "swarm-1""#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name makes no topic, it is for another swarm or runs for another, the broker refuses the subscription, or
    /// the store can't be read. It has not started.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start_discovery(&self, swarm_id: &str) -> Result<(), DiscoveryError> {
        self.begin(swarm_id).await?.done().await;
        Ok(())
    }

    /// The same, without waiting until anything has gone out.
    pub(crate) async fn begin(&self, swarm_id: &str) -> Result<Announcing, DiscoveryError> {
        let found = swarm_id.to_owned();
        if !self.config.swarm_id.is_empty() && self.config.swarm_id != swarm_id {
            return Err(DiscoveryError::OtherSwarm { expected: self.config.swarm_id.clone(), found });
        }
        let topics = self.topics(swarm_id)?;
        let _turn = self.turn.lock().await;
        if let Some(run) = &*locked(&self.run) {
            let running = run.swarm.clone();
            let other = DiscoveryError::Running { running: running.clone(), found: found.clone() };
            return if running == found { Ok(self.announcing()) } else { Err(other) };
        }
        let recalled = self.inner.recall(swarm_id).await?;
        let heard = Arc::downgrade(&self.inner);
        let handler = MessageHandler::new(move |message| {
            if let Some(inner) = heard.upgrade() {
                inner.hear(&message);
            }
            std::future::ready(Ok(()))
        });
        for (at, topic) in topics.iter().enumerate() {
            if let Err(error) = self.inner.broker.subscribe(topic.as_str(), handler.clone()) {
                topics[..at].iter().for_each(|topic| self.inner.broker.unsubscribe(topic.as_str(), &handler));
                return Err(error.into());
            }
        }
        let tasks = self.open_line(swarm_id);
        *locked(&self.run) = Some(Run { swarm: found.clone(), topics, handler, tasks });
        if locked(&self.last_swarm).replace(found.clone()).is_some_and(|last| last != found) {
            self.inner.handle(Input::Elsewhere);
        }
        recalled.into_iter().for_each(|input| self.inner.handle(input));
        self.inner.handle(Input::Started);
        Ok(self.announcing())
    }

    /// What it listens to.
    fn topics(&self, swarm: &str) -> Result<[Topic; 3], DiscoveryError> {
        Ok([wire::discovery(swarm)?, wire::answers(swarm, &self.inner.side)?, wire::heartbeat(swarm)?])
    }

    /// Sets up where the machine's asks go, and those who do them.
    fn open_line(&self, swarm: &str) -> Vec<JoinHandle<()>> {
        let (line, asked) = Line::new();
        let told = Arc::downgrade(&self.inner);
        let ring = timers::run(asked, move |timer| match told.upgrade() {
            Some(inner) => {
                inner.handle(Input::Fired(timer));
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        });
        let publish = post::publish(Arc::clone(&self.inner), line.words(), swarm.to_owned());
        let mut tasks = vec![tokio::spawn(line.until_closed(ring)), tokio::spawn(line.until_closed(publish))];
        if let Some(states) = self.inner.states.clone() {
            let parts = (line.words(), line.states());
            let store = post::store(Arc::clone(&self.inner), parts, states, swarm.to_owned(), line.closed());
            tasks.push(tokio::spawn(store));
        }
        *locked(&self.inner.line) = Some(line);
        tasks
    }

    fn announcing(&self) -> Announcing {
        locked(&self.inner.line).as_ref().map(Line::announcing).unwrap_or_default()
    }

    /// Ends: nothing is heard or said any more, and whoever knew the local peers finds them stale after a while; who
    /// leaves for good says so first ([`forget_local_peer`](Self::forget_local_peer)). What is known stays known, and
    /// it may be started again. Stopped again, it changes nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned()]).await?;
    /// discovery.start_discovery("swarm-1").await?;
    /// discovery.stop_discovery().await;
    /// // What is known stays known, and it may go on elsewhere.
    /// assert!(discovery.peer_info("reviewer").is_some());
    /// discovery.start_discovery("swarm-2").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop_discovery(&self) {
        let _turn = self.turn.lock().await;
        let Some(run) = self.close() else { return };
        for task in run.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of discovery did not end well");
            }
        }
    }

    /// Closes the line; its tasks end by themselves.
    fn close(&self) -> Option<Run> {
        let run = locked(&self.run).take()?;
        self.inner.handle(Input::Stopped);
        drop(locked(&self.inner.line).take());
        for topic in &run.topics {
            self.inner.broker.unsubscribe(topic.as_str(), &run.handler);
        }
        Some(run)
    }

    /// Peers that are there and have that capability, by id. Stale ones and those that left are not there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned(), "security".to_owned()]).await?;
    /// discovery.update_peer_capabilities("writer", &["rust".to_owned()]).await?;
    /// assert_eq!(discovery.find_peers_by_capability("rust"), ["reviewer", "writer"]);
    /// assert_eq!(discovery.find_peers_by_capability("security"), ["reviewer"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn find_peers_by_capability(&self, capability: &str) -> Vec<String> {
        self.find_peers_by_capabilities(&[capability.to_owned()])
    }

    /// Peers that are there and have all of these capabilities, by id. Stale ones and those that left are not there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned(), "security".to_owned()]).await?;
    /// discovery.update_peer_capabilities("writer", &["rust".to_owned()]).await?;
    /// let both = ["rust", "security"].map(str::to_owned);
    /// assert_eq!(discovery.find_peers_by_capabilities(&both), ["reviewer"]);
    /// // Nothing is asked for, and everybody has that.
    /// assert_eq!(discovery.find_peers_by_capabilities(&[]).len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn find_peers_by_capabilities(&self, capabilities: &[String]) -> Vec<String> {
        let now = self.inner.now();
        self.inner.machine().capable(capabilities, now.us).map(str::to_owned).collect()
    }

    /// What is known of that peer, also when it is stale or gone. `lastSeen` is when this side heard it last, by this
    /// side's clock; of a peer that was only read from its artifact, when it stored that.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::AgentState;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned()]).await?;
    /// let peer = discovery.peer_info("reviewer").expect("it was just named");
    /// assert_eq!((peer.state, peer.load, peer.capabilities), (AgentState::Idle, 0.0, vec!["rust".to_owned()]));
    /// assert_eq!(discovery.peer_info("nobody"), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn peer_info(&self, peer_id: &str) -> Option<PeerInfo> {
        let now = self.inner.now();
        self.inner.machine().peer(peer_id).map(|record| self.inner.info(peer_id, record, now))
    }

    /// Everybody who is known, as [`peer_info`](Self::peer_info) has them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("writer", &[]).await?;
    /// discovery.update_peer_capabilities("reviewer", &[]).await?;
    /// let ids: Vec<String> = discovery.all_peers().into_keys().collect();
    /// assert_eq!(ids, ["reviewer", "writer"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all_peers(&self) -> BTreeMap<String, PeerInfo> {
        let now = self.inner.now();
        let machine = self.inner.machine();
        machine.peers().map(|(id, record)| (id.to_owned(), self.inner.info(id, record, now))).collect()
    }

    /// Whether the peer was heard of within `timeout` and has not said good-bye. A local peer is heard of with each of
    /// its own words, so with each heartbeat. False for peers that are not known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.start_discovery("swarm-1").await?;
    /// discovery.update_peer_capabilities("reviewer", &[]).await?;
    /// assert!(discovery.is_peer_alive("reviewer", Duration::from_secs(60)));
    /// discovery.forget_local_peer("reviewer")?.done().await;
    /// assert!(!discovery.is_peer_alive("reviewer", Duration::from_secs(60)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_peer_alive(&self, peer_id: &str, timeout: Duration) -> bool {
        let now = self.inner.now();
        self.inner.machine().is_alive(peer_id, us(timeout), now.us)
    }

    /// A local peer has these capabilities from now on; one that is not known becomes a local peer, idle and without
    /// load. Resolves when that was announced and stored, if discovery runs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned()]).await?;
    /// discovery.update_peer_capabilities("reviewer", &["python".to_owned()]).await?;
    /// assert!(discovery.find_peers_by_capability("rust").is_empty());
    /// let error = discovery.update_peer_capabilities("", &[]).await.unwrap_err();
    /// assert!(error.to_string().starts_with("a peer's id has 0 bytes, expected 1 to"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The id or the capabilities can't be a peer's, the peer is of another side, or too many are known. Nothing changed.
    pub async fn update_peer_capabilities(&self, peer_id: &str, capabilities: &[String]) -> Result<(), DiscoveryError> {
        let capabilities = capabilities.to_vec();
        let announcing = self.change_local(peer_id, |known| {
            // Of its last life only the id is left.
            let rest = known.filter(|known| known.is_local()).map(|known| known.said().profile.rest);
            Some((capabilities, rest.unwrap_or_default()))
        })?;
        announcing.done().await;
        Ok(())
    }

    /// A local peer is like this from now on: `last_seen` is not looked at. One that is not known becomes a local peer;
    /// one that is terminated or dead says so and is no longer of this side. An update that changes nothing says nothing.
    ///
    /// It need not be waited for: updates that come faster than they can go out are made one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::{AgentState, PeerInfo};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// let peer = PeerInfo { id: "reviewer".to_owned(), load: 1.0, state: AgentState::Working, ..PeerInfo::default() };
    /// discovery.update_peer(peer.clone())?;
    /// assert_eq!(discovery.peer_info("reviewer").map(|known| known.state), Some(AgentState::Working));
    /// let error = discovery.update_peer(PeerInfo { load: -1.0, ..peer }).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     r#"the load of peer "reviewer" is -1, expected a number from 0 on; nothing changed"#
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Id, capabilities or load can't be a peer's, the peer is of another side, or too many are known. Nothing changed.
    pub fn update_peer(&self, peer: PeerInfo) -> Result<Announcing, DiscoveryError> {
        let PeerInfo { id, capabilities, load, last_seen: _, state, metadata } = peer;
        if !load.is_finite() || load < 0.0 {
            return Err(DiscoveryError::Load { peer: id, found: load });
        }
        self.change_local(&id, |_| Some((capabilities, Carried { load, state, metadata })))
    }

    /// A local peer leaves: it says good-bye (its state is `terminated`), and sends no more heartbeats. It stays known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::AgentState;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned()]).await?;
    /// discovery.forget_local_peer("reviewer")?.done().await;
    /// assert_eq!(discovery.peer_info("reviewer").map(|peer| peer.state), Some(AgentState::Terminated));
    /// assert!(discovery.find_peers_by_capability("rust").is_empty());
    /// assert!(discovery.forget_local_peer("nobody").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No such peer is on this side. Nothing changed.
    pub fn forget_local_peer(&self, peer_id: &str) -> Result<Announcing, DiscoveryError> {
        self.change_local(peer_id, |known| {
            let profile = &known.filter(|known| known.is_local())?.said().profile;
            Some((profile.capabilities.clone(), Carried { state: AgentState::Terminated, ..profile.rest }))
        })
    }

    fn change_local(
        &self,
        peer: &str,
        what: impl FnOnce(Option<&Record<Carried>>) -> Option<(Vec<String>, Carried)>,
    ) -> Result<Announcing, DiscoveryError> {
        if peer.is_empty() || peer.len() > ID_BYTES_MAX {
            return Err(DiscoveryError::PeerId { found: peer.len(), limit: ID_BYTES_MAX });
        }
        let (mut machine, now) = (self.inner.machine(), self.inner.now());
        let known = machine.peer(peer);
        if known.is_none() && !machine.has_room() {
            return Err(DiscoveryError::TooManyPeers { peer: peer.to_owned(), limit: PEERS_MAX });
        }
        if known.is_some_and(|known| !known.is_local() && machine.is_present(known, now.us)) {
            return Err(DiscoveryError::NotLocal { peer: peer.to_owned() });
        }
        let Some((capabilities, carried)) = what(known) else {
            return Err(DiscoveryError::UnknownPeer { peer: peer.to_owned() });
        };
        let (found, limit) = (wire::capability_bytes(&capabilities), wire::CAPABILITIES_BYTES_MAX);
        if found > limit {
            return Err(DiscoveryError::Capabilities { peer: peer.to_owned(), found, limit });
        }
        let profile = wire::profile(capabilities, carried);
        let asks = machine.handle(Input::Local { peer: peer.to_owned(), profile }, now);
        let changed = !asks.is_empty();
        self.inner.hand_on(asks);
        drop(machine);
        Ok(if changed { self.announcing() } else { Announcing::default() })
    }

    /// Waits until these peers are there, local ones included: so many, or those ids. Stale ones and those that left
    /// are not there. Resolves as soon as the last of them is heard.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// // `new` makes one, as the example of the type does.
    /// let (here, there) = (new()?, new()?);
    /// here.start_discovery("swarm-1").await?;
    /// there.start_discovery("swarm-1").await?;
    /// there.update_peer_capabilities("reviewer", &["rust".to_owned()]).await?;
    /// here.await_peers(&["reviewer"][..], Duration::from_secs(30)).await?;
    /// let error = here.await_peers(2, Duration::ZERO).await.unwrap_err();
    /// assert_eq!(error.to_string(), "1 peers were there after 0ns, expected 2");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// They were not all there after `timeout`: who is missing. Nothing changed.
    pub async fn await_peers(&self, awaited: impl Into<Awaited>, timeout: Duration) -> Result<(), PeersMissing> {
        let awaited = awaited.into();
        let mut looks = self.inner.looks.subscribe();
        let there = async {
            while !self.missing(&awaited).2 {
                // Only its own discovery could drop the sender, and that is borrowed here.
                let _ = looks.changed().await;
            }
        };
        if tokio::time::timeout(timeout, there).await.is_ok() {
            return Ok(());
        }
        let (present, missing, _) = self.missing(&awaited);
        Err(PeersMissing { present, awaited, missing, waited: timeout })
    }

    /// How many are there, which of the awaited ids are not, and whether that will do.
    fn missing(&self, awaited: &Awaited) -> (usize, Vec<String>, bool) {
        let (machine, now) = (self.inner.machine(), self.inner.now());
        let is_there = |record| machine.is_present(record, now.us);
        let present = machine.peers().filter(|(_, record)| is_there(record)).count();
        match awaited {
            Awaited::Count(count) => (present, Vec::new(), present >= *count),
            Awaited::Ids(ids) => {
                let missing: Vec<_> =
                    ids.iter().filter(|id| !machine.peer(id).is_some_and(is_there)).cloned().collect();
                let all_there = missing.is_empty();
                (present, missing, all_there)
            }
        }
    }

    /// What was counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.update_peer_capabilities("reviewer", &["rust".to_owned()]).await?;
    /// discovery.update_peer_capabilities("writer", &["rust".to_owned()]).await?;
    /// let metrics = discovery.metrics();
    /// assert_eq!((metrics.total_peers_discovered, metrics.active_peers, metrics.stale_peers), (2, 2, 0));
    /// assert_eq!(metrics.discovery_broadcasts_sent, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> PeerDiscoveryMetrics {
        let (machine, now) = (self.inner.machine(), self.inner.now());
        let counted = machine.statistics();
        let (mut total, mut active, mut stale) = (0, 0, 0);
        for (_, record) in machine.peers() {
            total += 1;
            let is_stale = machine.is_stale(record, now.us);
            stale += usize::from(is_stale);
            active += usize::from(!is_stale && record.said().profile.standing == Standing::Open);
        }
        let answers = counted.answers as f64;
        let average = if counted.answers == 0 { 0.0 } else { counted.answer_us as f64 / answers / 1_000.0 };
        PeerDiscoveryMetrics {
            total_peers_discovered: total,
            active_peers: active,
            stale_peers: stale,
            discovery_broadcasts_sent: Counts::read(&self.inner.counts.broadcasts),
            peer_announcements_received: counted.announcements_received,
            average_discovery_latency_ms: average,
            last_discovery_time: Counts::read(&self.inner.counts.last_broadcast_ms),
        }
    }

    /// What went wrong and did no harm.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::discovery::PeerDiscoveryFaults;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let broker = std::sync::Arc::new(broker);
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let new = || meshwork::discovery::PeerDiscovery::new(Default::default(), broker.clone(), artifacts.clone());
    /// # let discovery = new()?;
    /// discovery.start_discovery("swarm-1").await?;
    /// assert_eq!(discovery.faults(), PeerDiscoveryFaults::default());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn faults(&self) -> PeerDiscoveryFaults {
        let (counts, counted) = (&self.inner.counts, self.inner.machine().statistics());
        PeerDiscoveryFaults {
            bad_messages: Counts::read(&counts.bad_messages),
            outdated_words: counted.outdated,
            refused_words: counted.refused,
            contested_words: counted.contested,
            unpublished: Counts::read(&counts.unpublished),
            unstored: Counts::read(&counts.unstored),
            unreadable_states: Counts::read(&counts.unreadable_states),
        }
    }
}

impl Drop for PeerDiscovery {
    fn drop(&mut self) {
        drop(self.close());
    }
}
