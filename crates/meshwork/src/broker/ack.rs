//! Deferred acknowledgement: Dijkstra and Scholten's rule, on messages.
//!
//! A participant (the body of an attempt, or the handler of a message) is *engaged* by what
//! started it. While it is active it may send; each message that it sends adds one to its
//! *deficit*, each of those that closes takes one off. It becomes *passive* once, when the body or
//! handler has ended, and from then on sends nothing. It closes when it is passive **and** its
//! deficit is 0, and only then takes one off the deficit of its own parent. So acknowledgements
//! run from the leaves to the root, and the root closes when nothing below it is open.
//!
//! Messages form a tree whatever path they take: a message from A to B to A is three nodes in a
//! line, not a cycle, because a node is a message and not a peer.
//!
//! Dijkstra, Scholten: Termination detection for diffusing computations (1980).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attempts::Attempt;
use super::errors::DeadReason;
use super::letter::Letter;

/// How many messages a participant waits for, and whether it may still send.
#[derive(Debug, Default)]
pub(super) struct Deficit(AtomicU64);

/// Set when the participant is passive; the other bits count.
const PASSIVE: u64 = 1 << 63;

impl Deficit {
    /// One more message below an active participant. False when it is passive: then nothing was
    /// counted, and nothing may be sent.
    pub(super) fn engage(&self) -> bool {
        let one_more = |now: u64| (now & PASSIVE == 0).then_some(now + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    /// One message below it closed. True when that closes the participant.
    fn disengage(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        debug_assert_ne!(before & !PASSIVE, 0, "a message closed that nobody had counted");
        before == PASSIVE | 1
    }

    /// The participant ended. What it still waits for, or nothing if it had ended before. Zero
    /// closes it.
    pub(super) fn become_passive(&self) -> Option<u64> {
        let before = self.0.fetch_or(PASSIVE, Ordering::AcqRel);
        (before & PASSIVE == 0).then_some(before)
    }

    /// How many messages it waits for.
    pub(super) fn open(&self) -> u64 {
        self.0.load(Ordering::Acquire) & !PASSIVE
    }

    /// Whether it may still send.
    pub(super) fn is_active(&self) -> bool {
        self.0.load(Ordering::Acquire) & PASSIVE == 0
    }
}

/// What a message closes towards.
pub(super) enum Parent {
    /// Sent outside any task.
    Outside,
    /// Sent by the body of an attempt.
    Attempt(Arc<Attempt>),
    /// Sent by the handler of this message.
    Message(Arc<Letter>),
}

/// The handler of `letter` has finished well: the message is acknowledged now, or when the last
/// message that it sent closes.
pub(super) fn handler_finished(letter: &Letter) {
    if letter.deficit.become_passive() == Some(0) {
        letter.acknowledge();
        close_towards(&letter.parent);
    }
}

/// `letter` will never be acknowledged. Whoever waits for it learns so at once; its parent is
/// held until what its handler sent before has closed too, because that is still in flight.
pub(super) fn dead_lettered(letter: &Letter, reason: DeadReason) {
    letter.die(reason);
    if letter.deficit.become_passive() == Some(0) {
        close_towards(&letter.parent);
    }
}

/// `letter` was made, but never sent: its parent has nothing to wait for.
pub(super) fn not_sent(letter: &Letter) {
    close_towards(&letter.parent);
}

/// A message below `parent` closed. Goes upwards as long as that closes the parent as well.
fn close_towards(mut parent: &Parent) {
    loop {
        match parent {
            Parent::Outside => return,
            Parent::Attempt(attempt) => {
                if attempt.deficit.disengage() {
                    attempt.settle();
                }
                return;
            }
            Parent::Message(letter) => {
                if !letter.deficit.disengage() {
                    return;
                }
                letter.acknowledge();
                parent = &letter.parent;
            }
        }
    }
}

/// A place in the parent's deficit for a message that is being sent. It becomes the message's
/// parent, or is given back when the send fails or is given up.
pub(super) struct Engagement(Parent);

impl Engagement {
    /// Takes a place below `parent`, if that may still send.
    pub(super) fn below(parent: Parent) -> Option<Self> {
        let engaged = match &parent {
            Parent::Outside => true,
            Parent::Attempt(attempt) => attempt.deficit.engage(),
            Parent::Message(letter) => letter.deficit.engage(),
        };
        // Lazily: an engagement that was not taken must not be given back.
        engaged.then(|| Self(parent))
    }

    /// The message exists now and holds the place itself.
    pub(super) fn into_parent(mut self) -> Parent {
        std::mem::replace(&mut self.0, Parent::Outside)
    }
}

impl Drop for Engagement {
    fn drop(&mut self) {
        close_towards(&self.0);
    }
}
