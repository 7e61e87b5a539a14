//! Which children of this program are leaders of live attempts. One for the whole program, because its children are:
//! without it one attempt's search for orphans would take another attempt's leader for one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    starting: 0,
    next: 0,
    leaders: BTreeMap::new(),
    live: BTreeSet::new(),
    strangers: BTreeMap::new(),
});

pub(super) struct Registry {
    /// Starts under way: their processes may exist already, and cannot be in `leaders` yet.
    starting: usize,
    next: u64,
    /// Process id → number of its entry. The number keeps a late removal from hitting the id's next owner.
    leaders: BTreeMap<i32, u64>,
    /// Attempt nonces from before the start until nothing is left.
    live: BTreeSet<String>,
    /// Adopted children that carry no nonce, with their start times: looked at once, then left alone.
    strangers: BTreeMap<i32, u64>,
}

impl Registry {
    pub(super) fn is_leader(&self, pid: i32) -> bool {
        self.leaders.contains_key(&pid)
    }

    pub(super) fn is_live(&self, attempt: &str) -> bool {
        self.live.contains(attempt)
    }

    /// While a process is being started, a child that nobody knows may be the one.
    pub(super) fn is_settled(&self) -> bool {
        self.starting == 0
    }

    pub(super) fn is_stranger(&self, pid: i32, started: u64) -> bool {
        self.strangers.get(&pid) == Some(&started)
    }

    pub(super) fn note_stranger(&mut self, pid: i32, started: u64) {
        self.strangers.insert(pid, started);
    }

    pub(super) fn forget_strangers_except(&mut self, present: &[i32]) {
        if !self.strangers.is_empty() {
            self.strangers.retain(|pid, _| present.contains(pid));
        }
    }
}

/// Nothing here is left half-changed by a panic, so a poisoned lock is as good as any.
pub(super) fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps an attempt known as live; dropping it says that nothing of the attempt is left.
#[derive(Debug)]
pub(super) struct Registration {
    attempt: String,
    leader: Option<(i32, u64)>,
}

impl Registration {
    /// Runs `start`, which makes a child of this program in a process group of its own and answers with its id, so that at
    /// no moment the child can be taken for an orphan.
    pub(super) fn during<T, E>(
        attempt: &str,
        start: impl FnOnce() -> Result<(T, Option<u32>), E>,
    ) -> Result<(T, Self), E> {
        /// Takes back "starting", even if `start` panics.
        struct Starting;
        impl Drop for Starting {
            fn drop(&mut self) {
                registry().starting -= 1;
            }
        }

        let mut registration = {
            let mut registry = registry();
            registry.starting += 1;
            registry.live.insert(attempt.to_owned());
            Self { attempt: attempt.to_owned(), leader: None }
        };
        let starting = Starting;
        let (made, pid) = start()?;
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
            let mut registry = registry();
            registry.next += 1;
            let number = registry.next;
            registry.leaders.insert(pid, number);
            registration.leader = Some((pid, number));
        }
        drop(starting);
        Ok((made, registration))
    }

    /// The leader has been reaped: its id is nobody's now.
    pub(super) fn leader_reaped(&mut self) {
        if let Some((pid, number)) = self.leader.take() {
            let mut registry = registry();
            if registry.leaders.get(&pid) == Some(&number) {
                registry.leaders.remove(&pid);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leader_reaped();
        registry().live.remove(&self.attempt);
    }
}
