//! Which effects an entry may have: submissions, and tasks that wait for a slot.

use super::facts::{TaskFacts, WaitFacts};
use super::{Judge, Planned, Wrong};
use crate::sim::finding::FindingKind;
use crate::{Effect, NodeNo, Op, PeerNo, Position, Swarm, TaskNo};

pub(super) fn ensure(holds: bool, kind: FindingKind, text: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::new(kind, text())) }
}

pub(super) fn rule(holds: bool, text: impl FnOnce() -> String) -> Result<(), Wrong> {
    ensure(holds, FindingKind::Broken, text)
}

impl Judge {
    /// What an accepted entry changes by itself, before anything follows from it.
    pub(super) fn before_effects(&mut self, op: &Op) {
        match op {
            Op::Open { config, .. } => {
                self.open = true;
                self.config = config.clone();
            }
            Op::Configure { config } => self.config = config.clone(),
            Op::Settled { task, .. } => self.task_mut(*task).messages_open = false,
            Op::Submit(submission) if submission.parent.is_none() => {
                let node = self.author.expect("a submission that is taken has an author");
                if submission.more {
                    if let Some(round) = &mut self.round {
                        round.submitters.insert(node);
                    }
                } else {
                    self.end_submission(node);
                }
            }
            _ => {}
        }
    }

    pub(super) fn end_submission(&mut self, node: NodeNo) {
        if let Some(round) = &mut self.round
            && round.submitters.remove(&node)
        {
            for index in 0..self.tasks.len() {
                if self.tasks[index].held == Some(node) {
                    self.tasks[index].held = None;
                    self.touched.push(TaskNo::from_index(index));
                }
            }
        }
    }

    pub(super) fn effect(&mut self, op: &Op, effect: Effect, swarm: &Swarm) -> Result<(), Wrong> {
        match effect {
            Effect::Submitted { task, index } => self.submitted(op, task, index, swarm),
            Effect::Kept { task, index } => self.kept(op, task, index),
            Effect::Amended { task, index } => self.amended(op, task, index),
            Effect::Ready { task } => self.ready(op, task),
            Effect::Assigned { task, peer } => self.assigned(task, peer),
            Effect::Unassigned { task, .. } => {
                self.unassign(task);
                Ok(())
            }
            Effect::Start { task, grant, peer, attempt } => self.start(task, grant, peer, attempt),
            Effect::Check { task, grant, peer, attempt } => self.check(op, task, grant, peer, attempt),
            Effect::Continue { task, grant, peer } => self.goes_on(task, grant, peer),
            Effect::Waiting { task, children } => self.waiting(op, task, children),
            Effect::Stop { task, grant, awaited, .. } => self.stop(op, task, grant, awaited),
            Effect::AttemptEnded { task, grant, outcome, .. } => self.attempt_ended(op, task, grant, outcome),
            Effect::CheckEnded { task, passed, .. } => self.check_ended(op, task, passed),
            Effect::SettledTask { task } => self.settled(task),
            Effect::Retry { task, ms } => self.retries(task, ms),
            Effect::Await { wait, ms } => {
                let Some((task, length)) = self.retry.take() else {
                    return Err(Wrong::broken(format!("{wait:?} begins for nothing")));
                };
                rule(length == ms, || format!("a back-off of {length} ms is awaited for {ms} ms"))?;
                self.task_mut(task).backoff = Some(wait);
                self.waits.insert(wait, WaitFacts { task, ms, since: self.now });
                Ok(())
            }
            Effect::ReviewOpened { review, of } => self.review_opened(review, of, swarm),
            Effect::ReviewsOverLimit { task, .. } => self.reviews_over_limit(task),
            Effect::Voted { review, of, approves } => self.voted(review, of, approves),
            Effect::ReviewEnded { task, approved, .. } => self.review_ended(task, approved),
            Effect::CancelMarked { task } => self.cancel_marked(op, task),
            Effect::Closed { task, outcome, because } => self.closed(task, outcome, because),
            other => self.of_membership(op, other),
        }
    }

    pub(super) fn task_mut(&mut self, task: TaskNo) -> &mut TaskFacts {
        self.touched.push(task);
        &mut self.tasks[task.index()]
    }

    fn submitted(&mut self, op: &Op, task: TaskNo, index: u32, swarm: &Swarm) -> Result<(), Wrong> {
        let Op::Submit(submission) = op else {
            return Err(Wrong::broken("a task comes from no submission"));
        };
        let (Some(Planned::New { dependencies }), Some(spec)) =
            (self.planned.get(index as usize), submission.tasks.get(index as usize))
        else {
            let id = submission.tasks.get(index as usize).map_or("?", |spec| &spec.id);
            return Err(Wrong::broken(format!("{id} becomes a new task, and is one that is there already")));
        };
        let dependencies = dependencies.clone();
        rule(task.index() == self.tasks.len(), || format!("{} is not the next number", spec.id))?;
        let generation = self.ids.get(&spec.id).map_or(0, |(_, count)| *count) + 1;
        self.ids.insert(spec.id.clone(), (task, generation));
        let Some(round) = &mut self.round else {
            return Err(Wrong::broken(format!("{} belongs to no round", spec.id)));
        };
        round.open += 1;
        let parent = submission.parent.map(|(parent, _)| parent);
        let depth = parent.map_or(0, |parent| self.tasks[parent.index()].depth + 1);
        let record = swarm.task(task).map(|record| (record.generation, record.round, record.parent));
        let expected = (generation, round.number, parent);
        rule(record == Some(expected), || {
            format!("generation, round and parent of {} are {record:?}, expected {expected:?}", spec.id)
        })?;
        if let Some(parent) = parent {
            let parent = self.task_mut(parent);
            parent.children.push(task);
            parent.open_children += 1;
        }
        for dependency in &dependencies {
            self.tasks[dependency.index()].dependants.push(task);
        }
        let held = self.author.filter(|_| submission.more && parent.is_none());
        let round = self.rounds;
        self.tasks.push(TaskFacts {
            parent,
            depth,
            adopted_by: submission.parent.map_or(Position::START, |(_, grant)| grant),
            dependencies,
            held,
            ..TaskFacts::new(spec.clone(), generation, round)
        });
        self.touched.push(task);
        Ok(())
    }

    fn kept(&mut self, op: &Op, task: TaskNo, index: u32) -> Result<(), Wrong> {
        let Op::Submit(submission) = op else {
            return Err(Wrong::broken("a task is kept for no submission"));
        };
        let planned = matches!(self.planned.get(index as usize), Some(Planned::Kept(same)) if *same == task);
        rule(planned, || format!("{} is kept, and must be a new generation", self.task_name(task)))?;
        if let Some((_, grant)) = submission.parent {
            self.task_mut(task).adopted_by = grant;
        }
        Ok(())
    }

    fn amended(&mut self, op: &Op, task: TaskNo, index: u32) -> Result<(), Wrong> {
        let (Op::Submit(submission), Some(Planned::Amended { task: same, dependencies })) =
            (op, self.planned.get(index as usize))
        else {
            return Err(Wrong::broken(format!("{} is amended, and may not be", self.task_name(task))));
        };
        rule(*same == task, || format!("{} is amended in place of another", self.task_name(task)))?;
        let dependencies = dependencies.clone();
        for dependency in &dependencies {
            self.tasks[dependency.index()].dependants.push(task);
        }
        self.unassign(task);
        let facts = self.task_mut(task);
        facts.ready = false;
        facts.dependencies = dependencies;
        facts.spec = submission.tasks[index as usize].clone();
        Ok(())
    }

    fn ready(&mut self, op: &Op, task: TaskNo) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        if let Some(wait) = facts.backoff {
            let over = matches!(op, Op::Due { wait: due } if *due == wait);
            rule(over, || format!("{} is ready before its back-off is over", facts.name()))?;
            let begun = self.waits.remove(&wait).expect("a back-off has a wait");
            let ran = self.now - begun.since;
            rule(ran >= begun.ms, || {
                format!("the back-off of {} is over after {ran} ms, expected {} ms", facts.name(), begun.ms)
            })?;
        }
        let open = facts.closed.is_none() && facts.live.is_none() && facts.ending.is_none();
        rule(open, || format!("{} is ready, and is over or runs", facts.name()))?;
        self.leave_line(task);
        let facts = self.task_mut(task);
        facts.backoff = None;
        facts.ready = true;
        Ok(())
    }

    fn assigned(&mut self, task: TaskNo, peer: PeerNo) -> Result<(), Wrong> {
        let (facts, at) = (&self.tasks[task.index()], &self.peers[peer.index()]);
        rule(facts.ready && facts.assigned.is_none(), || format!("{} is not ready to be assigned", facts.name()))?;
        let takes = at.takes_work() && self.nodes[at.node.index()].present;
        rule(takes, || format!("{} is assigned to {}, which takes no work", facts.name(), at.id))?;
        self.peers[peer.index()].assigned += 1;
        self.task_mut(task).assigned = Some(peer);
        Ok(())
    }

    pub(super) fn unassign(&mut self, task: TaskNo) {
        if let Some(peer) = self.task_mut(task).assigned.take() {
            self.peers[peer.index()].assigned -= 1;
        }
    }

    pub(super) fn leave_line(&mut self, task: TaskNo) {
        if let Some(peer) = self.task_mut(task).line.take() {
            self.peers[peer.index()].line -= 1;
        }
    }

    pub(super) fn enter_line(&mut self, task: TaskNo, peer: PeerNo) {
        self.peers[peer.index()].line += 1;
        self.task_mut(task).line = Some(peer);
    }

    pub(super) fn take_slot(&mut self, peer: PeerNo) {
        let facts = &mut self.peers[peer.index()];
        facts.busy += 1;
        self.nodes[facts.node.index()].sessions_held += u32::from(facts.uses_session);
    }

    pub(super) fn free_slot(&mut self, peer: PeerNo) {
        let facts = &mut self.peers[peer.index()];
        facts.busy -= 1;
        self.nodes[facts.node.index()].sessions_held -= u32::from(facts.uses_session);
    }

    /// A slot, and a session where the peer uses one.
    pub(super) fn has_slot(&self, peer: PeerNo) -> bool {
        let facts = &self.peers[peer.index()];
        let node = &self.nodes[facts.node.index()];
        facts.up && facts.busy < facts.slots && (!facts.uses_session || node.sessions_held < node.sessions)
    }
}
