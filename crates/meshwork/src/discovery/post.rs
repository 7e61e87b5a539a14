//! What goes out: words to the broker, states to the store, timers to their queue. Each has a task of its own, so that
//! a slow disk delays no word; all end when the line is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use meshwork_core::discovery::{Ask, Said, Timer};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::outbox::Outbox;
use super::wire::{self, ANNOUNCEMENT, Carried, HEARTBEAT};
use super::{Announcing, Inner};
use crate::clock::now_ms;
use crate::peers::artifact::{PeerStates, StoredPeer};
use crate::timers;

/// When so much waits to go out, one announcement for everybody takes the place of further answers: whoever asks and
/// asks fills no memory.
pub(super) const ANSWERS_WAITING_MAX: usize = 1_024;
/// States that are stored at the same time: enough that a disk syncs several together, few enough to leave threads to
/// others.
const STORED_AT_ONCE: usize = 8;

/// So long states let words go first: those who are there are to meet before the disk is busy for those that join later.
/// A broker that hangs holds nothing back for longer.
const WORDS_FIRST: Duration = Duration::from_millis(20);

/// What is counted outside the machine.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) broadcasts: AtomicU64,
    pub(super) last_broadcast_ms: AtomicU64,
    pub(super) bad_messages: AtomicU64,
    pub(super) unpublished: AtomicU64,
    pub(super) unstored: AtomicU64,
    pub(super) unreadable_states: AtomicU64,
}

impl Counts {
    pub(super) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// What a message is about; there is one of each at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    Query,
    Announcement(String),
    Answer { side: String, peer: String },
    Heartbeat(String),
}

/// A query says nothing.
type Words = Arc<Outbox<About, Option<Said<Carried>>>>;
type States = Arc<Outbox<String, Said<Carried>>>;

/// Where the machine's asks go. Dropped, it is closed.
pub(super) struct Line {
    words: Words,
    states: States,
    timers: mpsc::UnboundedSender<(Timer, Instant)>,
    closed: CancellationToken,
    _close: DropGuard,
}

impl Line {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<(Timer, Instant)>) {
        let (timers, asked) = mpsc::unbounded_channel();
        let closed = CancellationToken::new();
        let close = closed.clone().drop_guard();
        (Self { words: Outbox::new(), states: Outbox::new(), timers, closed, _close: close }, asked)
    }

    pub(super) fn words(&self) -> Words {
        Arc::clone(&self.words)
    }

    pub(super) fn states(&self) -> States {
        Arc::clone(&self.states)
    }

    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// That, unless the line is closed before.
    pub(super) fn until_closed<F: Future<Output = ()>>(&self, what: F) -> impl Future<Output = ()> + use<F> {
        let closed = self.closed.clone();
        async move { _ = closed.run_until_cancelled(what).await }
    }

    /// For all that was asked for until now.
    pub(super) fn announcing(&self) -> Announcing {
        Announcing { words: Some(self.words.ticket()), states: Some(self.states.ticket()) }
    }

    pub(super) fn take(&self, ask: Ask<Carried>, sharing: bool) {
        match ask {
            Ask::Query => self.words.put(About::Query, None),
            Ask::Announce { peer, said, answers } => {
                let few = self.words.len() < ANSWERS_WAITING_MAX;
                let side = answers.filter(|side| few && !side.is_empty());
                let about = match side {
                    Some(side) => About::Answer { side, peer },
                    None => About::Announcement(peer),
                };
                self.words.put(about, Some(said));
            }
            Ask::Heartbeat { peer, said } => self.words.put(About::Heartbeat(peer), Some(said)),
            Ask::Store { peer, said } if sharing => self.states.put(peer, said),
            Ask::Sleep { timer, us } => {
                // Nobody takes it once the runtime ends; then nobody waits either.
                let _ = self.timers.send((timer, timers::after(Duration::from_micros(us))));
            }
            Ask::Store { .. } | Ask::Look => {}
        }
    }
}

/// Publishes words in their order, for ever. One that does not get away is made good by the next heartbeat.
pub(super) async fn publish(inner: Arc<Inner>, words: Words, swarm: String) {
    loop {
        let batch = words.take().await;
        let number = batch.number();
        for (about, said) in batch.things {
            match publish_one(&inner, &swarm, &about, &said.unwrap_or_default()).await {
                Ok(()) if about == About::Query => {
                    Counts::add(&inner.counts.broadcasts);
                    inner.counts.last_broadcast_ms.store(now_ms(), Ordering::Relaxed);
                }
                Ok(()) => {}
                Err(error) => {
                    Counts::add(&inner.counts.unpublished);
                    tracing::warn!(swarm, ?about, error, "a message of discovery did not reach everybody");
                }
            }
        }
        words.went_out(number);
    }
}

async fn publish_one(inner: &Inner, swarm: &str, about: &About, said: &Said<Carried>) -> Result<(), String> {
    let own = &inner.side;
    let (topic, message) = match about {
        About::Query => (wire::discovery(swarm), Ok(wire::query(own, swarm, now_ms()))),
        About::Announcement(peer) => (wire::discovery(swarm), wire::word(ANNOUNCEMENT, own, peer, said, None)),
        About::Answer { side, peer } => {
            (wire::answers(swarm, side), wire::word(ANNOUNCEMENT, own, peer, said, Some(side)))
        }
        About::Heartbeat(peer) => (wire::heartbeat(swarm), wire::word(HEARTBEAT, own, peer, said, None)),
    };
    let (topic, message) = (topic.map_err(|error| error.to_string())?, message.map_err(|error| error.to_string())?);
    inner.broker.publish(topic.as_str(), message).await.map_err(|error| error.to_string())
}

/// Stores what local peers said, until the line is closed; what is being stored then is stored to its end.
pub(super) async fn store(
    inner: Arc<Inner>,
    line: (Words, States),
    states: PeerStates,
    swarm: String,
    closed: CancellationToken,
) {
    let (words, said) = line;
    while closed.run_until_cancelled(said.filled()).await.is_some() {
        let spoken = tokio::time::timeout(WORDS_FIRST, words.ticket().done());
        // However that ended: what waits is stored now.
        _ = closed.run_until_cancelled(spoken).await;
        let batch = said.take().await;
        let number = batch.number();
        let (inner, states, swarm) = (&inner, &states, &swarm);
        let each = stream::iter(batch.things).for_each_concurrent(STORED_AT_ONCE, |(peer, said)| async move {
            let stored = states.change(swarm, &peer, |before| newer(before, wire::stored(&peer, &said))).await;
            if let Err(error) = stored {
                Counts::add(&inner.counts.unstored);
                tracing::warn!(swarm, peer, %error, "the state of a peer was not stored");
            }
        });
        each.await;
        said.went_out(number);
    }
}

/// The peer's own word, with the tasks that were noted beside it; unless a later life wrote it.
fn newer(before: Option<StoredPeer>, mut now: StoredPeer) -> Option<StoredPeer> {
    if let Some(before) = before {
        if before.incarnation > now.incarnation {
            return None;
        }
        now.state.active_tasks = before.state.active_tasks;
    }
    Some(now)
}
