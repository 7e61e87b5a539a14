//! The stand-alone detector of the seed: completion of peers that do nothing but send each other messages, on any
//! broker, without tasks or a log.
//!
//! The rules are in [`meshwork_core::detector`], which says what they rest on; here they get names, a clock and a
//! broker. What a detector knows, the broker's hooks tell it: it should be initialized before its peers begin to
//! work, and whoever sends to them should be one of the peers. Broker hooks can't be taken back, so a detector is
//! something to keep, not something to make anew for each question.
//!
//! Probes and their answers travel over the broker, on the topic `mesh.<swarm>.completion`, published without a
//! sender so that they count as nobody's messages. A detector answers for the peers that were registered on its
//! side; one in another process names those as [`CompletionDetector::initialize_with`]'s `remote`, and the other one
//! [`serve`](CompletionDetector::serve)s the swarm. An answer that counts comes within `probe_retry_interval` times
//! `max_probe_retries`; so these have to fit the broker.

mod books;
#[cfg(test)]
mod tests;
mod wire;
mod words;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshwork_core::detector::{DetectionNo, Input, Timer};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use books::{Books, Job};
use wire::KIND;

pub use wire::{CompletionProbe, PeerReport, ProbeKind};
pub use words::{
    Checkpoint, CompletionDetectorConfig, CompletionDetectorMetrics, DetectorError, Holder, NotCompleted, WaitEnd,
};

use crate::broker::{HandlerError, PeerId};
use crate::clock::now_ms;
use crate::messaging::{Message, MessageBroker, MessageHandler, MessageHook};
use crate::timers;

/// A wave asks every peer with a message of its own: as many as the largest mesh that is measured.
const PEERS_MAX: usize = 10_000;

struct Inner {
    broker: Arc<dyn MessageBroker>,
    books: Mutex<Books>,
    /// Not bounded by themselves: a wave asks each peer once, and each call has one wave and two timers.
    probes: mpsc::UnboundedSender<(String, CompletionProbe)>,
    timers: mpsc::UnboundedSender<(Timer, Instant)>,
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows is handed on before the books are closed, so that its order is that of its causes.
    fn change(&self, what: impl FnOnce(&mut Books, u64) -> Vec<Job>) {
        let mut books = self.books();
        let jobs = what(&mut books, now_ms());
        self.hand_on(jobs);
    }

    fn hand_on(&self, jobs: Vec<Job>) {
        for job in jobs {
            // Nobody takes them once the runtime ends; then nobody waits either.
            match job {
                Job::Publish { swarm, probe } => _ = self.probes.send((swarm, probe)),
                Job::Sleep { timer, ms } => _ = self.timers.send((timer, timers::after(Duration::from_millis(ms)))),
            }
        }
    }

    fn hear(&self, swarm: &str, message: &Message) -> Result<(), HandlerError> {
        if message.kind != KIND {
            return Ok(());
        }
        let probe = CompletionProbe::deserialize(&message.payload);
        let probe = probe.map_err(|error| HandlerError::new(format!("this is no completion probe: {error}")))?;
        self.change(|books, now_ms| books.heard(swarm, probe, now_ms));
        Ok(())
    }
}

/// Publishes probes and answers in their order. A probe that does not get away is sent again by its timer.
async fn publish_probes(
    broker: Arc<dyn MessageBroker>,
    mut probes: mpsc::UnboundedReceiver<(String, CompletionProbe)>,
) {
    while let Some((swarm, probe)) = probes.recv().await {
        let timestamp = probe.timestamp;
        let sent = match (wire::topic(&swarm), serde_json::to_value(&probe)) {
            (Ok(topic), Ok(payload)) => {
                broker.publish(topic.as_str(), Message::new(KIND, payload, timestamp)).await.map_err(|e| e.to_string())
            }
            (Err(error), _) => Err(error.to_string()),
            (_, Err(error)) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            tracing::warn!(swarm, probe = probe.probe_id, error, "a completion probe was not published");
        }
    }
}

/// Takes back a call whose caller has gone away.
struct Waiting<'a> {
    inner: &'a Inner,
    detection: DetectionNo,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.inner.change(|books, now_ms| books.forget(self.detection, now_ms));
    }
}

/// The seed's `DistributedCompletionDetector`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
/// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig};
/// use meshwork::messaging::{Message, MessageBroker, MessageHandler};
/// use serde_json::json;
/// use std::sync::Arc;
///
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
/// let broker: Arc<dyn MessageBroker> = Arc::new(broker);
/// let detector = CompletionDetector::new(CompletionDetectorConfig::default(), broker.clone())?;
/// detector.initialize(["ada", "ben"]).await?;
///
/// broker.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
/// broker.send_to_peer("ada", "ben", Message::new("question", json!(42), 1_700_000_000_000)).await?;
/// assert!(detector.detect_completion("swarm-1", None).await?);
/// assert!(detector.is_peer_completed("ada") && detector.is_peer_completed("ben"));
/// # Ok(())
/// # }
/// ```
pub struct CompletionDetector {
    inner: Arc<Inner>,
    default_timeout: Duration,
}

impl CompletionDetector {
    /// A detector without peers, on that broker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig};
    /// use std::time::Duration;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// // `bus` is any broker.
    /// let detector = CompletionDetector::new(CompletionDetectorConfig::default(), bus.clone())?;
    /// assert_eq!(detector.metrics().total_peers, 0);
    ///
    /// let config = CompletionDetectorConfig::default();
    /// let hasty = CompletionDetectorConfig { probe_retry_interval: Duration::ZERO, ..config };
    /// let error = CompletionDetector::new(hasty, bus).err().expect("without a pause");
    /// assert_eq!(error.to_string(), "the retry interval of probes is 1 ms at least, 0ns was given");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The retry interval is below a millisecond.
    ///
    /// # Panics
    /// Outside a tokio runtime, and when the operating system has no random source.
    pub fn new(config: CompletionDetectorConfig, broker: Arc<dyn MessageBroker>) -> Result<Self, DetectorError> {
        if config.probe_retry_interval < Duration::from_millis(1) {
            return Err(DetectorError::RetryInterval { found: config.probe_retry_interval });
        }
        let side = crate::random::hex::<8>();
        let (probes, probes_asked) = mpsc::unbounded_channel();
        let (timers, timers_asked) = mpsc::unbounded_channel();
        let books = Mutex::new(Books::new(&config, side));
        let inner = Arc::new(Inner { broker: Arc::clone(&broker), books, probes, timers });
        tokio::spawn(publish_probes(broker, probes_asked));
        let told = Arc::downgrade(&inner);
        tokio::spawn(timers::run(timers_asked, move |timer| match told.upgrade() {
            Some(inner) => {
                inner.change(|books, now_ms| books.handle(Input::Fired(timer), now_ms));
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }));
        Ok(Self { inner, default_timeout: config.default_timeout })
    }

    /// These are the peers from now on, all of them on this side. Peers that stay keep their books; what is on its way
    /// to a peer that is no longer there is not waited for. A detection that runs begins its waves anew.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// detector.initialize(["ada", "ben", "eve"]).await?;
    /// assert_eq!(detector.metrics().total_peers, 3);
    /// // Named again: these are all that there are.
    /// detector.initialize(["ada"]).await?;
    /// assert_eq!(detector.metrics().total_peers, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Too many peers.
    pub async fn initialize<P: Into<PeerId>>(
        &self,
        peer_ids: impl IntoIterator<Item = P>,
    ) -> Result<(), DetectorError> {
        self.initialize_with(peer_ids, Vec::<PeerId>::new()).await
    }

    /// The same with peers that another detector answers for: it has them on its side and serves the same swarm.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// // Both are on one broker, in two processes perhaps.
    /// let here = CompletionDetector::new(CompletionDetectorConfig::default(), bus.clone())?;
    /// let there = CompletionDetector::new(CompletionDetectorConfig::default(), bus)?;
    /// here.initialize_with(["ada"], ["ben"]).await?;
    /// there.initialize_with(["ben"], ["ada"]).await?;
    /// there.serve("swarm-1")?;
    /// assert!(here.detect_completion("swarm-1", None).await?);
    /// let error = here.initialize_with(["ada"], ["ada"]).await.unwrap_err();
    /// assert_eq!(error.to_string(), r#""ada" is named both as a peer of this side and of another; nothing changed"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Too many peers, or one on both sides.
    #[expect(clippy::unused_async, reason = "the seed's interface: a broker of another process may be waited for")]
    pub async fn initialize_with<P: Into<PeerId>, R: Into<PeerId>>(
        &self,
        local: impl IntoIterator<Item = P>,
        remote: impl IntoIterator<Item = R>,
    ) -> Result<(), DetectorError> {
        let local: Vec<PeerId> = local.into_iter().map(Into::into).collect();
        let remote: Vec<PeerId> = remote.into_iter().map(Into::into).collect();
        let here: HashSet<&PeerId> = local.iter().collect();
        if let Some(twice) = remote.iter().find(|peer| here.contains(peer)) {
            return Err(DetectorError::TwoSides { peer: twice.to_string() });
        }
        let found = local.len() + remote.len();
        if found > PEERS_MAX {
            return Err(DetectorError::TooManyPeers { limit: PEERS_MAX, found });
        }
        // The hooks first: what is sent before the peer is one of ours is not ours.
        let new: Vec<PeerId> = {
            let mut books = self.inner.books();
            local.iter().filter(|peer| books.hooked.insert((*peer).clone())).cloned().collect()
        };
        new.iter().for_each(|peer| self.hook(peer));
        self.inner.change(|books, now_ms| books.initialize(&local, &remote, now_ms));
        Ok(())
    }

    fn hook(&self, peer: &PeerId) {
        let broker = &self.inner.broker;
        let (inner, watched) = (Arc::downgrade(&self.inner), peer.clone());
        broker.on_publish(
            peer,
            Arc::new(move |event| {
                if let Some(inner) = inner.upgrade() {
                    inner.change(|books, now_ms| books.published(&watched, event, now_ms));
                }
            }),
        );
        let (inner, watched) = (Arc::downgrade(&self.inner), peer.clone());
        let closed: MessageHook = Arc::new(move |event| {
            if let Some(inner) = inner.upgrade() {
                inner.change(|books, now_ms| books.acknowledged(&watched, event, now_ms));
            }
        });
        broker.on_acknowledge(peer, Arc::clone(&closed));
        broker.on_give_up(peer, closed);
        let (inner, watched) = (Arc::downgrade(&self.inner), peer.clone());
        broker.on_handling(
            peer,
            Arc::new(move |event| {
                if let Some(inner) = inner.upgrade() {
                    inner.change(|books, now_ms| books.handling(&watched, *event, now_ms));
                }
            }),
        );
    }

    /// Answers for the peers of this side when another detector asks about that swarm. A detection does so by itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// detector.serve("swarm-1")?;
    /// // Served already: nothing changes.
    /// detector.serve("swarm-1")?;
    /// assert!(detector.serve("swarm.1").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name makes no topic, or the broker refuses the subscription.
    pub fn serve(&self, swarm_id: &str) -> Result<(), DetectorError> {
        let topic = wire::topic(swarm_id)?;
        let (inner, swarm) = (Arc::downgrade(&self.inner), swarm_id.to_owned());
        let handler = MessageHandler::new(move |message| {
            let heard = inner.upgrade().map_or(Ok(()), |inner| inner.hear(&swarm, &message));
            async move { heard }
        });
        match self.inner.books().swarms.entry(swarm_id.to_owned()) {
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(free) => _ = free.insert(handler.clone()),
        }
        // Not with the books open: a broker may give the handler something at once.
        let subscribed = self.inner.broker.subscribe(topic.as_str(), handler);
        if subscribed.is_err() {
            self.inner.books().swarms.remove(swarm_id);
        }
        Ok(subscribed?)
    }

    /// Waits until no handler of the peers runs and none of their messages is on its way. True then; false when
    /// nothing moved for `timeout` (the configured one, if it is not given) or when wave after wave said the same: a
    /// "no" changes nothing, [`last_no`](Self::last_no) says why, and a later call may succeed. While a handler runs,
    /// it waits. Several calls may run beside each other. A call that is dropped is forgotten.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    /// use std::time::Duration;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// bus.on_peer_message("ben", MessageHandler::new(|_| async { Ok(()) }))?;
    /// for _ in 0..100 {
    ///     bus.send_to_peer("ada", "ben", Message::new("question", json!(42), 1_700_000_000_000)).await?;
    /// }
    /// assert!(detector.detect_completion("swarm-1", Some(Duration::from_secs(10))).await?);
    /// assert_eq!(detector.deficit_counter("ada"), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// It was never initialized, the name of the swarm makes no topic, or the broker refuses the subscription.
    pub async fn detect_completion(&self, swarm_id: &str, timeout: Option<Duration>) -> Result<bool, DetectorError> {
        if !self.inner.books().initialized {
            return Err(DetectorError::NotInitialized);
        }
        self.serve(swarm_id)?;
        let timeout = timeout.unwrap_or(self.default_timeout);
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let (waiting, answer) = {
            let mut books = self.inner.books();
            let (detection, answer, jobs) = books.detect(swarm_id, timeout_ms, now_ms());
            self.inner.hand_on(jobs);
            (Waiting { inner: &self.inner, detection }, answer)
        };
        let completed = answer.await.unwrap_or(false);
        drop(waiting);
        Ok(completed)
    }

    /// A peer of this side crashed or left: its handlers do not run any more. What it sent, and what is on its way to
    /// it, is waited for until the broker acknowledges it or gives it up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// bus.on_peer_message("ben", MessageHandler::new(|_| std::future::pending()))?;
    /// bus.send_to_peer("ada", "ben", Message::new("question", json!(42), 1_700_000_000_000)).await?;
    /// // `broker` is the same one as `bus`. It gives up what is on its way to Ben.
    /// broker.unregister("ben");
    /// detector.peer_lost("ben")?;
    /// assert!(detector.detect_completion("swarm-1", None).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The peer is none of this side.
    pub fn peer_lost(&self, peer_id: &str) -> Result<(), DetectorError> {
        self.membership(peer_id, Input::Lost)
    }

    /// A lost peer of this side is there again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// detector.peer_lost("ben")?;
    /// detector.peer_back("ben")?;
    /// assert!(detector.detect_completion("swarm-1", None).await?);
    /// let error = detector.peer_back("nobody").unwrap_err();
    /// assert_eq!(error.to_string(), r#"no peer named "nobody" is on this side; nothing changed"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The peer is none of this side.
    pub fn peer_back(&self, peer_id: &str) -> Result<(), DetectorError> {
        self.membership(peer_id, Input::Back)
    }

    fn membership(
        &self,
        peer_id: &str,
        input: impl FnOnce(meshwork_core::detector::Peer) -> Input,
    ) -> Result<(), DetectorError> {
        let peer = self.inner.books().is_local(peer_id);
        let peer = peer.ok_or_else(|| DetectorError::UnknownPeer { peer: peer_id.to_owned() })?;
        self.inner.change(|books, now_ms| books.handle(input(peer), now_ms));
        Ok(())
    }

    /// Whether the peer is known and done: none of its handlers runs, its deficit is 0, and the last wave, if there was
    /// one, found the same. Of a peer of another side only the last wave is known.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// bus.on_peer_message("ben", MessageHandler::new(|_| std::future::pending()))?;
    /// assert!(detector.is_peer_completed("ada"));
    /// bus.send_to_peer("ada", "ben", Message::new("question", json!(42), 1_700_000_000_000)).await?;
    /// assert!(!detector.is_peer_completed("ada"));
    /// assert!(!detector.is_peer_completed("nobody"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_peer_completed(&self, peer_id: &str) -> bool {
        self.inner.books().is_completed(peer_id)
    }

    /// Messages that the peer sent and that are not closed: not acknowledged, or what came of them is not done. 0 for
    /// peers that are not known; of a peer of another side, at the last wave.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// bus.on_peer_message("ben", MessageHandler::new(|_| std::future::pending()))?;
    /// for _ in 0..2 {
    ///     bus.send_to_peer("ada", "ben", Message::new("question", json!(42), 1_700_000_000_000)).await?;
    /// }
    /// assert_eq!((detector.deficit_counter("ada"), detector.deficit_counter("ben")), (2, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn deficit_counter(&self, peer_id: &str) -> u64 {
        self.inner.books().deficit(peer_id)
    }

    /// Ids of the probes that were sent in the peer's name in the detections that run, or ran last: a wave is sent in
    /// the name of the first peer of this side.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// assert!(detector.completion_probes("ada").is_empty());
    /// assert!(detector.detect_completion("swarm-1", None).await?);
    /// // Each of the two peers was asked, in the name of the first.
    /// assert!(detector.completion_probes("ada").len() >= 2);
    /// assert!(detector.completion_probes("ben").is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn completion_probes(&self, peer_id: &str) -> BTreeSet<String> {
        self.inner.books().probes(peer_id)
    }

    /// Forgets probes, waves, checkpoints and what was counted; not what is on its way.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// assert!(detector.detect_completion("swarm-1", None).await?);
    /// assert_eq!(detector.metrics().detection_successes, 1);
    /// detector.reset().await?;
    /// assert_eq!(detector.metrics().detection_successes, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A detection runs: [`DetectorError::DetectionRuns`], and nothing changed.
    #[expect(clippy::unused_async, reason = "the seed's interface")]
    pub async fn reset(&self) -> Result<(), DetectorError> {
        let reset = self.inner.books().reset();
        reset.map_err(|runs| DetectorError::DetectionRuns { running: runs.running })
    }

    /// What was counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// assert!(detector.detect_completion("swarm-1", None).await?);
    /// let metrics = detector.metrics();
    /// assert_eq!((metrics.total_peers, metrics.completed_peers), (2, 2));
    /// assert_eq!((metrics.detection_attempts, metrics.detection_successes), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> CompletionDetectorMetrics {
        self.inner.books().metrics()
    }

    /// What keeps the swarm from being done now, as far as this side knows.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::messaging::{Message, MessageHandler};
    /// use serde_json::json;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// # let detector = meshwork::detector::CompletionDetector::new(Default::default(), bus.clone())?;
    /// # detector.initialize(["ada", "ben"]).await?;
    /// bus.on_peer_message("ben", MessageHandler::new(|_| std::future::pending()))?;
    /// assert!(detector.holders().is_empty());
    /// bus.send_to_peer("ada", "ben", Message::new("question", json!(42), 1_700_000_000_000)).await?;
    /// let why: Vec<String> = detector.holders().iter().map(ToString::to_string).collect();
    /// assert!(why.contains(&"ada waits for the acknowledgement of 1 message".to_owned()), "{why:?}");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        self.inner.books().holders()
    }

    /// Why the last "no" was one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig, Holder};
    /// use std::time::Duration;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// let config = CompletionDetectorConfig {
    ///     probe_retry_interval: Duration::from_millis(1),
    ///     max_probe_retries: 2,
    ///     ..CompletionDetectorConfig::default()
    /// };
    /// let detector = CompletionDetector::new(config, bus)?;
    /// detector.initialize_with(["ada"], ["far-away"]).await?;
    /// assert!(!detector.detect_completion("swarm-1", None).await?);
    /// let no = detector.last_no().expect("it was a no");
    /// assert!(no.holders.contains(&Holder::NoAnswer { peer: "far-away".into() }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn last_no(&self) -> Option<NotCompleted> {
        self.inner.books().last_no.clone()
    }

    /// The last 1,000 waves, oldest first, where the configuration keeps them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::detector::{CompletionDetector, CompletionDetectorConfig};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let bus: std::sync::Arc<dyn meshwork::messaging::MessageBroker> = std::sync::Arc::new(broker.clone());
    /// let config = CompletionDetectorConfig { enable_checkpoints: true, ..CompletionDetectorConfig::default() };
    /// let detector = CompletionDetector::new(config, bus)?;
    /// detector.initialize(["ada", "ben"]).await?;
    /// assert!(detector.detect_completion("swarm-1", None).await?);
    /// let waves = detector.checkpoints();
    /// let last = waves.last().expect("it asked");
    /// assert!(last.agreed && last.peers["ada"].idle);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.inner.books().checkpoints()
    }
}

impl Drop for CompletionDetector {
    fn drop(&mut self) {
        let swarms = std::mem::take(&mut self.inner.books().swarms);
        for (swarm, handler) in swarms {
            if let Ok(topic) = wire::topic(&swarm) {
                self.inner.broker.unsubscribe(topic.as_str(), &handler);
            }
        }
    }
}
