//! The way from one sender to one recipient: in order, one handler at a time.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

use super::Shared;
use super::ack::dead_lettered;
use super::dead_letters::DeadLetter;
use super::errors::{DeadReason, Fate};
use super::letter::{Letter, Receipt};
use super::mailbox::Mailbox;
use super::message::MessageId;
use super::metrics::Count;
use super::pump;
use super::sender::{Moment, Sender};

/// One sender's messages to one recipient.
pub(super) struct Lane {
    pub(super) sender: Arc<Sender>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) shared: Arc<Shared>,
    /// Who waits for room.
    pub(super) entry: Entry,
    /// Held while a message is put into the mail store, to keep the sender's order there.
    pub(super) storing: tokio::sync::Mutex<()>,
    queue: Mutex<Queue>,
}

/// Where the sends of one lane wait for room, each behind those that came before it: the room itself is shared with
/// other senders, and whoever gets it first may be scheduled last.
#[derive(Default)]
pub(super) struct Entry {
    waiting: AtomicUsize,
    turn: tokio::sync::Mutex<()>,
}

/// A send that waits, or has waited and is not in the lane yet.
pub(super) struct Queued<'a>(&'a Entry);

impl Entry {
    /// Whether nobody is to be waited for.
    pub(super) fn is_free(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    pub(super) fn queue(&self) -> Queued<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Queued(self)
    }
}

impl<'a> Queued<'a> {
    /// The turns come in the order in which they are asked for.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'a, ()> {
        self.0.turn.lock().await
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct Queue {
    letters: VecDeque<Arc<Letter>>,
    /// Set while the pump waits for letters.
    pump: Option<Waker>,
    pump_started: bool,
    closed: bool,
    /// Only for senders that name their messages.
    known: Option<Box<Known>>,
}

/// The messages that the sender named, the last ones: a name that comes again is the same
/// message.
#[derive(Default)]
struct Known {
    entries: HashMap<Arc<str>, KnownMessage>,
    order: VecDeque<Arc<str>>,
}

enum KnownMessage {
    Open(Weak<Letter>),
    Ended(Fate),
}

impl Known {
    fn find(&self, name: &Arc<str>) -> Option<Receipt> {
        match self.entries.get(name)? {
            KnownMessage::Ended(fate) => Some(Receipt::ended(MessageId::Name(Arc::clone(name)), fate.clone())),
            // Gone without an end: it never came into the lane.
            KnownMessage::Open(letter) => letter.upgrade().map(Receipt::Letter),
        }
    }

    fn remember(&mut self, name: &Arc<str>, message: KnownMessage, limit: usize) {
        if self.entries.insert(Arc::clone(name), message).is_none() {
            self.order.push_back(Arc::clone(name));
        }
        while self.order.len() > limit.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }
}

impl Lane {
    pub(super) fn new(sender: Arc<Sender>, mailbox: Arc<Mailbox>) -> Self {
        let shared = Arc::clone(&sender.shared);
        let storing = tokio::sync::Mutex::new(());
        Self { sender, mailbox, shared, entry: Entry::default(), storing, queue: Mutex::default() }
    }

    /// Puts a letter behind the others and wakes the pump. False when the recipient is gone: then
    /// the letter is not in the lane.
    pub(super) fn push(self: &Arc<Self>, letter: Arc<Letter>) -> bool {
        let (waiting, start) = {
            let mut queue = self.queue();
            if queue.closed {
                return false;
            }
            queue.letters.push_back(letter);
            (queue.pump.take(), !std::mem::replace(&mut queue.pump_started, true))
        };
        if let Some(pump) = waiting {
            pump.wake();
        }
        if start {
            self.shared.runtime.spawn(pump::run(Arc::clone(self)));
        }
        true
    }

    /// Everything that waits, into the empty `batch`. False when the lane is closed.
    pub(super) async fn next_batch(&self, batch: &mut VecDeque<Arc<Letter>>) -> bool {
        poll_fn(|wakeup| {
            let mut queue = self.queue();
            if !queue.letters.is_empty() {
                std::mem::swap(&mut queue.letters, batch);
                return Poll::Ready(true);
            }
            if queue.closed {
                return Poll::Ready(false);
            }
            queue.pump = Some(wakeup.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The recipient is gone: what waits here dies, and the pump ends.
    pub(super) fn close(&self) {
        let (letters, pump) = {
            let mut queue = self.queue();
            queue.closed = true;
            (std::mem::take(&mut queue.letters), queue.pump.take())
        };
        self.sender.forget(self);
        for letter in letters {
            dead_lettered(&letter, DeadReason::RecipientGone);
        }
        if let Some(pump) = pump {
            pump.wake();
        }
    }

    /// The message of that name, if the sender sent it before.
    pub(super) fn known(&self, name: &Arc<str>) -> Option<Receipt> {
        self.queue().known.as_ref()?.find(name)
    }

    /// Remembers a letter that its sender named, unless the name is known: then what is known.
    pub(super) fn known_or_remember(&self, name: &Arc<str>, letter: &Arc<Letter>) -> Option<Receipt> {
        let limit = self.shared.config.known_messages;
        let mut queue = self.queue();
        let known = queue.known.get_or_insert_default();
        let there = known.find(name);
        if there.is_none() {
            known.remember(name, KnownMessage::Open(Arc::downgrade(letter)), limit);
        }
        there
    }

    /// How a named message ended, for those who send it again.
    pub(super) fn remember_fate(&self, id: &MessageId, fate: Fate) {
        if let MessageId::Name(name) = id {
            let limit = self.shared.config.known_messages;
            let mut queue = self.queue();
            let known = queue.known.get_or_insert_default();
            known.remember(name, KnownMessage::Ended(fate), limit);
        }
    }

    pub(super) fn on_acknowledged(&self, letter: &Letter) {
        self.shared.counters.add(Count::Acknowledged, 1);
        self.remember_fate(&letter.id, Fate::Acknowledged);
        self.sender.tell(Moment::Acknowledge, &letter.id, self.mailbox.peer());
    }

    pub(super) fn on_dead(&self, letter: &Letter, reason: DeadReason) {
        self.shared.counters.add(Count::Dead, 1);
        self.remember_fate(&letter.id, Fate::DeadLettered(reason.clone()));
        self.sender.tell(Moment::GiveUp, &letter.id, self.mailbox.peer());
        let at_ms = self.shared.clock.epoch_ms(self.shared.clock.now_ns());
        let message = letter.to_message();
        self.shared.dead.push(DeadLetter { message, reason, at_ms });
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
