//! What a reader of effects alone believes; held against the swarm after every batch.

use crate::{Applied, AttemptOutcome, Effect, Grant, Outcome, PeerNo, Phase, Position, Swarm, TaskNo};
use std::collections::{BTreeMap, BTreeSet};

/// The world as the effects tell it.
#[derive(Default)]
pub(super) struct Stream {
    /// Bodies and checks that were started and have not ended, with their peer and attempt number.
    pub(super) live: BTreeMap<TaskNo, Live>,
    /// Attempts that returned with messages open.
    pub(super) messages: BTreeMap<TaskNo, Grant>,
    granted: BTreeSet<(TaskNo, Grant)>,
    /// Number of the last attempt, and whether the next one keeps it.
    attempts: BTreeMap<TaskNo, (u32, bool)>,
    closed: BTreeMap<TaskNo, Outcome>,
    reviews: BTreeSet<TaskNo>,
    submitted: usize,
    round: Option<(u32, u32, u32)>,
    rounds: u32,
    /// Grants that are not live any more, for stale returns.
    pub(super) ended: Vec<(TaskNo, Grant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) grant: Grant,
    pub(super) peer: PeerNo,
    pub(super) attempt: u32,
    pub(super) check: bool,
    pub(super) waiting: bool,
    pub(super) stopped: bool,
}

impl Stream {
    /// Takes in what a batch brought about, and compares with the state that it left.
    pub(super) fn take(&mut self, swarm: &Swarm, seq: u64, applied: &Applied) {
        for (index, effects) in applied.effects.iter().enumerate() {
            assert!(effects.refusal.is_none() || effects.list.is_empty(), "a refused entry has effects");
            let at = Position::new(seq, index);
            for effect in &effects.list {
                self.effect(at, *effect);
            }
        }
        self.compare(swarm);
    }

    fn effect(&mut self, at: Position, effect: Effect) {
        match effect {
            Effect::Start { task, grant, peer, attempt } => {
                self.begin(at, task, Live { grant, peer, attempt, check: false, waiting: false, stopped: false });
                let (last, keeps) = self.attempts.get(&task).copied().unwrap_or((0, false));
                assert_eq!(attempt, if keeps { last } else { last + 1 }, "number of the attempt of {task:?}");
                self.attempts.insert(task, (attempt, false));
            }
            Effect::Check { task, grant, peer, attempt } => {
                let last = self.attempts.get(&task).map(|(number, _)| *number);
                assert_eq!(Some(attempt), last, "a check is of the last attempt of {task:?}");
                self.begin(at, task, Live { grant, peer, attempt, check: true, waiting: false, stopped: false });
            }
            Effect::Continue { task, grant, peer } => {
                let live = self.live.get_mut(&task).expect("only a body goes on");
                assert_eq!((live.grant, live.peer, live.check), (grant, peer, false), "{task:?} goes on");
                live.waiting = false;
            }
            Effect::Waiting { task, children } => {
                assert!(children > 0, "{task:?} waits for nothing");
                let live = self.live.get_mut(&task).expect("only a body waits");
                assert!(!std::mem::replace(&mut live.waiting, true), "{task:?} waits twice");
            }
            Effect::Stop { task, grant, awaited: true, .. } => {
                let live = self.live.get_mut(&task).expect("only what was started is stopped");
                assert_eq!(live.grant, grant, "the stopped grant of {task:?}");
                assert!(!std::mem::replace(&mut live.stopped, true), "{task:?} is stopped twice");
            }
            Effect::Stop { task, grant, awaited: false, .. } => self.revoked(task, grant),
            Effect::AttemptEnded { task, attempt, grant, outcome, .. } => {
                if let Some(live) = self.live.remove(&task) {
                    assert_eq!((live.grant, live.attempt, live.check), (grant, attempt, false), "{task:?} ended");
                    self.ended.push((task, grant));
                }
                let keeps = outcome == AttemptOutcome::Interrupted;
                self.attempts.insert(task, (attempt, keeps));
            }
            Effect::CheckEnded { task, attempt, .. } => {
                let live = self.live.remove(&task).expect("a check that ends was started");
                assert_eq!((live.attempt, live.check), (attempt, true), "check of {task:?}");
                self.ended.push((task, live.grant));
            }
            other => self.fact(at, other),
        }
    }

    fn begin(&mut self, at: Position, task: TaskNo, live: Live) {
        assert_eq!(live.grant, at, "a grant is the position that made it");
        assert!(self.granted.insert((task, at)), "a grant of {task:?} is given twice");
        assert!(!self.closed.contains_key(&task), "{task:?} starts after its end");
        assert_eq!(self.live.insert(task, live), None, "{task:?} has two grants");
        assert!(live.check || !self.messages.contains_key(&task), "{task:?} starts while messages are open");
    }

    fn revoked(&mut self, task: TaskNo, grant: Grant) {
        if let Some(live) = self.live.get(&task) {
            assert_eq!(live.grant, grant, "the revoked grant of {task:?}");
            if live.check {
                self.live.remove(&task);
            }
            self.ended.push((task, grant));
        } else {
            assert!(self.granted.contains(&(task, grant)), "{task:?} was never started and is stopped");
            // Its messages were open: the attempt is interrupted, and keeps its number.
            self.messages.remove(&task);
            if let Some((_, keeps)) = self.attempts.get_mut(&task) {
                *keeps = true;
            }
        }
    }

    fn fact(&mut self, at: Position, effect: Effect) {
        match effect {
            Effect::ReviewOpened { review, .. } => {
                self.reviews.insert(review);
                self.fact(at, Effect::Submitted { task: review, index: 0 });
            }
            // Its messages are acknowledged: a later entry of the same batch may give it a further attempt.
            Effect::SettledTask { task } => {
                self.messages.remove(&task);
            }
            Effect::Submitted { task, .. } => {
                assert_eq!(task.index(), self.submitted, "tasks are numbered in order");
                self.submitted += 1;
                assert!(self.round.is_some(), "{task:?} belongs to no round");
            }
            Effect::Closed { task, outcome, .. } => {
                assert_eq!(self.closed.insert(task, outcome), None, "{task:?} closes twice");
                assert!(!self.live.contains_key(&task), "{task:?} closes while it runs");
                let (_, ok, failed) = self.round.as_mut().expect("a task closes in an open round");
                *(if outcome == Outcome::Ok { ok } else { failed }) += u32::from(!self.reviews.contains(&task));
            }
            Effect::RoundOpened { round } => {
                assert_eq!(self.round.replace((round, 0, 0)), None, "two rounds are open");
                assert_eq!(round, self.rounds + 1, "rounds are numbered in order");
                self.rounds = round;
            }
            Effect::RoundClosed { round, at: completion, ok, failed } => {
                assert_eq!(self.round.take(), Some((round, ok, failed)), "the round that closes");
                assert_eq!(completion, at, "the position of the close is the completion");
                assert_eq!(self.closed.len(), self.submitted, "an early done");
            }
            _ => {}
        }
    }

    fn compare(&mut self, swarm: &Swarm) {
        for (no, task) in swarm.tasks() {
            let live = self.live.get(&no);
            assert_eq!(task.phase.grant(), live.map(|live| (live.peer, live.grant)), "grant of {no:?}");
            let closed = self.closed.get(&no).map(|outcome| Phase::Closed { outcome: *outcome });
            assert_eq!(task.phase.is_closed().then_some(task.phase), closed, "end of {no:?}");
            if let Some(live) = live {
                assert_eq!(matches!(task.phase, Phase::Checking { .. }), live.check, "check of {no:?}");
                let waits = matches!(task.phase, Phase::Waiting { .. } | Phase::InLine { .. });
                assert_eq!(waits, live.waiting, "{no:?} waits");
                assert_eq!(task.cancelled, live.stopped, "{no:?} is told to end");
            }
            if task.messages_open {
                self.messages.insert(no, task.last_grant);
            } else {
                self.messages.remove(&no);
            }
        }
        assert_eq!(swarm.tasks().len(), self.submitted, "tasks");
        assert_eq!(swarm.round().map(|round| round.number), self.round.map(|(number, ..)| number), "open round");
    }
}
