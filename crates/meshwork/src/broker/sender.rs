//! A peer as a sender: its lanes to others, its numbers, and who watches it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Shared;
use super::chain::Chain;
use super::lane::Lane;
use super::message::{MessageId, PeerId};
use crate::messaging::{HandlingEvent, HandlingHook};

/// Called with the id of a message that the watched peer sent, and its recipient; `$topic.` and the topic stand for
/// whoever subscribed.
///
/// ```
/// use meshwork::broker::{Hook, MessageId};
/// use std::sync::{Arc, Mutex};
///
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let notes = seen.clone();
/// let hook: Hook = Arc::new(move |id, recipient| notes.lock().unwrap().push(format!("{id} to {recipient}")));
/// hook(&MessageId::Number(1), &"ben".into());
/// assert_eq!(*seen.lock().unwrap(), ["1 to ben"]);
/// ```
pub type Hook = Arc<dyn Fn(&MessageId, &PeerId) + Send + Sync>;

/// When a hook is called.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    Publish,
    Acknowledge,
    /// It will never be acknowledged.
    GiveUp,
}

#[derive(Default)]
struct Hooks {
    publish: Chain<Hook>,
    acknowledge: Chain<Hook>,
    give_up: Chain<Hook>,
    handling: Chain<HandlingHook>,
}

/// Made when a peer is first heard of; kept, so that its numbers never start again.
pub(super) struct Sender {
    pub(super) id: PeerId,
    pub(super) shared: Arc<Shared>,
    /// The upper bits of its message numbers.
    index: u64,
    next: AtomicU64,
    lanes: RwLock<HashMap<PeerId, Arc<Lane>>>,
    hooks: Hooks,
}

/// A sender numbers 2^40 messages, about a million million, before its numbers meet another's.
const SEQUENCE_BITS: u32 = 40;

impl Sender {
    pub(super) fn new(id: PeerId, shared: Arc<Shared>, index: u64) -> Self {
        Self { id, shared, index, next: AtomicU64::new(0), lanes: RwLock::default(), hooks: Hooks::default() }
    }

    pub(super) fn next_id(&self) -> MessageId {
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        MessageId::Number(self.index << SEQUENCE_BITS | sequence)
    }

    /// The lane to that peer as it is registered now.
    pub(super) fn lane_to(self: &Arc<Self>, peer: &str) -> Option<Arc<Lane>> {
        {
            let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(lane) = lanes.get(peer).filter(|lane| !lane.mailbox.is_gone()) {
                return Some(Arc::clone(lane));
            }
        }
        let mailbox = self.shared.mailbox(peer)?;
        let lane = {
            let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
            // Another context of this sender may have been faster.
            if let Some(lane) = lanes.get(peer).filter(|lane| !lane.mailbox.is_gone()) {
                return Some(Arc::clone(lane));
            }
            let lane = Arc::new(Lane::new(Arc::clone(self), mailbox));
            lanes.insert(lane.mailbox.peer().clone(), Arc::clone(&lane));
            lane
        };
        // Not under the lock: a recipient that has left meanwhile closes the lane here.
        lane.mailbox.attach(&lane);
        Some(lane)
    }

    /// That lane is closed; it and its recipient's handler need not be kept.
    pub(super) fn forget(&self, closed: &Lane) {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let peer = closed.mailbox.peer();
        if lanes.get(peer).is_some_and(|lane| std::ptr::eq(&**lane, closed)) {
            lanes.remove(peer);
        }
    }

    /// Forgets its lanes, which refer back to it.
    pub(super) fn close(&self) {
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn hook(&self, moment: Moment, hook: Hook) {
        self.hooks_of(moment).push(hook);
    }

    fn hooks_of(&self, moment: Moment) -> &Chain<Hook> {
        match moment {
            Moment::Publish => &self.hooks.publish,
            Moment::Acknowledge => &self.hooks.acknowledge,
            Moment::GiveUp => &self.hooks.give_up,
        }
    }

    pub(super) fn hook_handling(&self, hook: HandlingHook) {
        self.hooks.handling.push(hook);
    }

    /// A handler of this peer begins; its end is told to the same hooks.
    pub(super) fn handling_begins(&self) -> Option<Handling<'_>> {
        let hooks = &self.hooks.handling;
        if hooks.is_empty() {
            return None;
        }
        let run = self.shared.runs.fetch_add(1, Ordering::Relaxed);
        let handling = Handling { run, hooks: hooks.iter().collect() };
        handling.tell(true);
        Some(handling)
    }

    /// Calls the hooks of that moment, with no lock held: a hook may do anything.
    pub(super) fn tell(&self, moment: Moment, id: &MessageId, recipient: &PeerId) {
        for hook in self.hooks_of(moment).iter() {
            // A hook that panics must not end the lane that called it.
            if catch_unwind(AssertUnwindSafe(|| hook(id, recipient))).is_err() {
                tracing::error!(peer = %self.id, message = %id, "a message hook panicked");
            }
        }
    }
}

/// A run of a handler that somebody watches. Its end is told when it is dropped.
pub(super) struct Handling<'a> {
    run: u64,
    /// Those who heard of the begin hear of the end.
    hooks: Vec<&'a HandlingHook>,
}

impl Handling<'_> {
    fn tell(&self, begins: bool) {
        for hook in &self.hooks {
            if catch_unwind(AssertUnwindSafe(|| hook(&HandlingEvent { run: self.run, begins }))).is_err() {
                tracing::error!(run = self.run, "a handling hook panicked");
            }
        }
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.tell(false);
    }
}
