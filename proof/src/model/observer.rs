//! What somebody remembers who has read only entries and effects, and believes no record.

use meshwork_core::canonical::Canon;
use meshwork_core::{AttemptOutcome, Position, Swarm, TaskNo};
use std::collections::{BTreeMap, BTreeSet};

/// Part of every state: two states that differ in it are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observer {
    /// Incarnations that said that more follows, and have not said the last.
    pub(crate) submitters: BTreeSet<Position>,
    pub(crate) tasks: BTreeMap<TaskNo, Remembered>,
}

/// Of an open task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Number of the next attempt.
    pub(crate) next: u32,
    pub(crate) evidence: Evidence,
}

/// What is known of the evidence of the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The attempt has not ended ok, or none is asked for.
    Nothing,
    /// It was not looked at yet.
    Owed,
    Held,
}

impl Observer {
    pub(crate) fn of(&mut self, task: TaskNo) -> &mut Remembered {
        self.tasks.entry(task).or_insert(Remembered { next: 1, evidence: Evidence::Nothing })
    }

    pub(crate) fn attempt_ended(&mut self, task: TaskNo, attempt: u32, outcome: AttemptOutcome, verify: bool) {
        let next = attempt + u32::from(outcome != AttemptOutcome::Interrupted);
        let owed = verify && outcome == AttemptOutcome::Ok;
        *self.of(task) = Remembered { next, evidence: if owed { Evidence::Owed } else { Evidence::Nothing } };
    }

    pub(crate) fn check_ended(&mut self, task: TaskNo, attempt: u32, passed: bool) {
        let evidence = if passed { Evidence::Held } else { Evidence::Nothing };
        *self.of(task) = Remembered { next: attempt + 1, evidence };
    }

    /// Numbers of attempts are compared with the record's own, so that only a difference tells states apart.
    pub(crate) fn walk(&self, canon: &mut Canon<'_>, swarm: &Swarm) {
        canon.word(self.submitters.len() as u64);
        self.submitters.iter().for_each(|incarnation| canon.incarnation(*incarnation));
        for (no, remembered) in &self.tasks {
            let next = swarm.task(*no).map(|task| task.attempt + u32::from(!task.keeps_number));
            let agrees =
                swarm.task(*no).is_some_and(|task| task.phase.grant().is_some()) || next == Some(remembered.next);
            canon.word(u64::from(no.0) << 3 | (remembered.evidence as u64) << 1 | u64::from(agrees));
        }
    }
}
