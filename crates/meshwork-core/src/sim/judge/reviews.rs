//! Which effects an entry may have: reviews, which `apply` makes itself.

use super::effects::{ensure, rule};
use super::facts::TaskFacts;
use super::{Judge, Wrong};
use crate::sim::finding::FindingKind;
use crate::{AttemptOutcome, Outcome, Swarm, TaskNo, TaskSpec};

impl Judge {
    /// A result is in, with its children, messages and evidence: now it may be reviewed.
    pub(super) fn review_opened(&mut self, review: TaskNo, of: TaskNo, swarm: &Swarm) -> Result<(), Wrong> {
        let parent = &self.tasks[of.index()];
        let due = parent.returned_ok && parent.has_passed() && parent.ending.is_none() && parent.live.is_none();
        rule(due && !parent.messages_open, || format!("{} is reviewed before its result is in", parent.name()))?;
        let Some(terms) = &parent.spec.review else {
            return Err(Wrong::broken(format!("{} is reviewed, and nobody asked for it", parent.name())));
        };
        let Some(record) = swarm.task(review).filter(|_| review.index() == self.tasks.len()) else {
            return Err(Wrong::broken(format!("a review of {} is not the next task", parent.name())));
        };
        let (retries, requires) = (parent.spec.retries, terms.requires.clone());
        let id = record.id.to_string();
        let generation = self.ids.get(&id).map_or(0, |(_, count)| *count) + 1;
        rule(record.generation == generation && record.parent == Some(of), || format!("{id} is not as it must be"))?;
        let spec = TaskSpec { id: id.clone(), kind: "review".to_owned(), retries, requires, ..TaskSpec::default() };
        let (depth, adopted_by, attempt) = (parent.depth + 1, parent.last_grant, parent.attempt);
        let facts = TaskFacts::new(spec, generation, self.rounds);
        self.ids.insert(id, (review, generation));
        self.tasks.push(TaskFacts { parent: Some(of), depth, adopted_by, reviews: Some(attempt), ..facts });
        if let Some(round) = &mut self.round {
            round.open += 1;
        }
        let parent = self.task_mut(of);
        parent.children.push(review);
        parent.open_children += 1;
        self.touched.push(review);
        Ok(())
    }

    pub(super) fn reviews_over_limit(&mut self, task: TaskNo) -> Result<(), Wrong> {
        let limits = &self.config.limits;
        let facts = &self.tasks[task.index()];
        let of = facts.spec.review.as_ref().map_or(0, |review| review.of) as usize;
        let over = facts.depth + 1 > limits.depth
            || facts.children.len() + of > limits.children as usize
            || self.tasks.len() + of > limits.tasks as usize;
        rule(over, || format!("{} is not reviewed, and there is room for it", facts.name()))?;
        self.task_mut(task).ending = Some(Outcome::Rejected);
        self.ended.push(task);
        Ok(())
    }

    pub(super) fn voted(&self, review: TaskNo, of: TaskNo, approves: bool) -> Result<(), Wrong> {
        let facts = &self.tasks[review.index()];
        let said = facts.parent == Some(of) && facts.closed == Some(Outcome::Ok) && facts.vote == Some(approves);
        ensure(said, FindingKind::DoubleCommit, || format!("the vote of {} is not what it said", facts.name()))
    }

    /// Approvals of the task's last attempt, and its open reviews.
    fn votes(&self, task: &TaskFacts) -> (u32, u32) {
        let mut votes = (0, 0);
        for review in task.children.iter().map(|child| &self.tasks[child.index()]) {
            if review.reviews == Some(task.attempt) && review.adopted_by == task.last_grant {
                votes.0 += u32::from(review.closed == Some(Outcome::Ok) && review.vote == Some(true));
                votes.1 += u32::from(review.closed.is_none());
            }
        }
        votes
    }

    /// Whether the open reviews of a task cannot change its result any more.
    pub(super) fn is_decided(&self, task: &TaskFacts) -> bool {
        let Some(terms) = task.spec.review.as_ref().filter(|_| task.returned_ok && task.ending.is_none()) else {
            return false;
        };
        let (approvals, open) = self.votes(task);
        approvals >= terms.approvals || approvals + open < terms.approvals
    }

    pub(super) fn review_ended(&mut self, task: TaskNo, approved: bool) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let needed = facts.spec.review.as_ref().map_or(0, |review| review.approvals);
        let (approvals, open) = self.votes(facts);
        ensure(open == 0, FindingKind::EarlyCompletion, || {
            format!("the vote on {} is over, and {open} reviews are open", facts.name())
        })?;
        ensure(approved == (approvals >= needed), FindingKind::EarlyCompletion, || {
            format!("{} has {approvals} of {needed} approvals, and that is said to be {approved}", facts.name())
        })?;
        if approved {
            self.task_mut(task).approved = true;
        } else {
            self.ended.push(task);
            self.failed(task, AttemptOutcome::Rejected, false);
        }
        Ok(())
    }
}
