//! What really happened, whatever the log and the nodes say of it.

use super::finding::{FindingKind, Wrong};
use crate::{AttemptOutcome, Effect, Grant, Op, PeerNo, Position, TaskNo};
use std::collections::{BTreeMap, BTreeSet};

/// An attempt or a check: its task and its grant, which is never used twice.
pub(super) type Key = (TaskNo, Grant);

/// A grant as the log gave it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) check: bool,
    pub(super) attempt: u32,
    pub(super) peer: PeerNo,
}

/// The witness of everything that processes did.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Grants that the log gave.
    pub(super) granted: BTreeMap<Key, Granted>,
    /// Bodies and checks that were started.
    pub(super) started: BTreeSet<Key>,
    /// How bodies ended; `None`: because they were stopped.
    pub(super) ended: BTreeMap<Key, Option<AttemptOutcome>>,
    /// What checks saw.
    pub(super) checked: BTreeMap<Key, bool>,
    /// When the end of an attempt was handed to its node, in virtual ms.
    pub(super) handed: BTreeMap<Key, u64>,
    /// The latest of those whose result counts.
    pub(super) last_counted: u64,
    /// Entries that were refused.
    pub(super) refused: BTreeSet<Position>,
    /// Submissions whose authors were told that nothing was decided, by incarnation.
    pub(super) undecided: Vec<(Position, Op)>,
}

impl Witness {
    /// The log gave a grant.
    pub(super) fn grant(&mut self, effect: Effect) {
        match effect {
            Effect::Start { task, grant, peer, attempt } => {
                self.granted.insert((task, grant), Granted { check: false, attempt, peer });
            }
            Effect::Check { task, grant, peer, attempt } => {
                self.granted.insert((task, grant), Granted { check: true, attempt, peer });
            }
            _ => {}
        }
    }

    /// An entry was taken: what it claims must have happened.
    ///
    /// # Errors
    /// When it did not.
    pub(super) fn taken(&mut self, author: Position, op: &Op) -> Result<(), Wrong> {
        let key = match op {
            Op::Return(returned) => {
                let key = (returned.task, returned.grant);
                let said = returned.outcome;
                let true_to = match self.ended.get(&key) {
                    None => return Err(double(&key, "its result was taken, and it has not ended")),
                    Some(Some(outcome)) => *outcome == said,
                    Some(None) => matches!(said, AttemptOutcome::Interrupted | AttemptOutcome::Cancelled),
                };
                if !true_to {
                    return Err(double(&key, &format!("its result was taken as {said:?}, and it ended otherwise")));
                }
                key
            }
            Op::Checked { task, grant, passed, .. } => {
                let key = (*task, *grant);
                if self.checked.get(&key) != Some(passed) {
                    return Err(double(&key, "its evidence was taken, and nobody saw that"));
                }
                key
            }
            Op::Settled { task, grant } => (*task, *grant),
            Op::Submit(_) if self.undecided.iter().any(|(by, other)| *by == author && other == op) => {
                let text = "a submission was said to be undecided, and then it was taken";
                return Err(Wrong::new(FindingKind::FalseAnswer, text));
            }
            _ => return Ok(()),
        };
        let handed = self.handed.get(&key).copied().unwrap_or_default();
        self.last_counted = self.last_counted.max(handed);
        Ok(())
    }
}

fn double((task, grant): &Key, what: &str) -> Wrong {
    Wrong::new(FindingKind::DoubleCommit, format!("attempt {grant} of task number {}: {what}", task.0))
}
