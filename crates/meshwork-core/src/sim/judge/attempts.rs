//! Which effects an entry may have: attempts and checks, from their grant to the end of their task.

use super::effects::{ensure, rule};
use super::facts::{Live, TaskFacts};
use super::{Judge, Wrong};
use crate::sim::finding::FindingKind;
use crate::{AttemptOutcome, DownReason, Grant, Op, Outcome, PauseReason, PeerNo, TaskNo};
use std::collections::BTreeSet;

impl Judge {
    pub(super) fn start(&mut self, task: TaskNo, grant: Grant, peer: PeerNo, attempt: u32) -> Result<(), Wrong> {
        let (facts, at) = (&self.tasks[task.index()], &self.peers[peer.index()]);
        let name = || facts.name();
        rule(grant == self.at, || format!("the grant of {} is not the position that made it", name()))?;
        ensure(facts.live.is_none(), FindingKind::DoubleCommit, || format!("{} is granted twice", name()))?;
        ensure(facts.closed.is_none(), FindingKind::DoubleCommit, || format!("{} starts after its end", name()))?;
        rule(!facts.returned_ok, || format!("{} starts again, and it had returned ok", name()))?;
        rule(!facts.cancelled && facts.ending.is_none(), || format!("{} starts, and is to end", name()))?;
        rule(facts.held.is_none(), || format!("{} starts before its submission has ended", name()))?;
        rule(facts.backoff.is_none(), || format!("{} starts before its back-off is over", name()))?;
        let next = if facts.keeps_number { facts.attempt } else { facts.attempt + 1 };
        rule(attempt == next, || format!("attempt {attempt} of {} starts, {next} is the next", name()))?;
        let may_fail = facts.spec.on_dependency_failure == crate::DependencyPolicy::Run;
        for dependency in &facts.dependencies {
            let closed = self.tasks[dependency.index()].closed;
            let released = closed == Some(Outcome::Ok) || may_fail && closed.is_some();
            rule(released, || format!("{} starts before {}", name(), self.task_name(*dependency)))?;
        }
        let limits = &self.config.limits;
        let left = facts.failures <= facts.spec.retries
            && facts.crashes < limits.crashes
            && facts.interruptions < limits.interruptions;
        rule(left, || format!("{} starts again, and its attempts are used up", name()))?;
        let takes = at.takes_work() && self.nodes[at.node.index()].present;
        rule(takes, || format!("{} starts on {}, which takes no work", name(), at.id))?;
        let able = facts.spec.requires.iter().all(|capability| at.capabilities.contains(capability));
        rule(able, || format!("{} starts on {}, which cannot do it", name(), at.id))?;
        let free = self.has_slot(peer);
        ensure(free, FindingKind::Overlap, || format!("{} starts on {}, which has no free slot", name(), at.id))?;
        self.unassign(task);
        self.take_slot(peer);
        let facts = self.task_mut(task);
        facts.live = Some(Live { grant, peer, check: false, waits_for: None, stopped: false });
        facts.ready = false;
        facts.attempt = attempt;
        facts.keeps_number = false;
        facts.passed = false;
        facts.approved = false;
        facts.vote = None;
        facts.last_grant = grant;
        facts.last_peer = Some(peer);
        Ok(())
    }

    pub(super) fn check(
        &mut self,
        op: &Op,
        task: TaskNo,
        grant: Grant,
        peer: PeerNo,
        attempt: u32,
    ) -> Result<(), Wrong> {
        let (facts, at) = (&self.tasks[task.index()], &self.peers[peer.index()]);
        let name = || facts.name();
        rule(grant == self.at, || format!("the grant of the check of {} is not its position", name()))?;
        ensure(facts.live.is_none(), FindingKind::DoubleCommit, || format!("{} is granted twice", name()))?;
        ensure(facts.closed.is_none(), FindingKind::DoubleCommit, || format!("{} is checked after its end", name()))?;
        let due = facts.returned_ok && facts.spec.verify.is_some() && facts.ending.is_none() && !facts.passed;
        rule(due, || format!("{} is checked, and there is nothing to check", name()))?;
        let settled = facts.open_children == 0 && !facts.messages_open;
        rule(settled, || format!("{} is checked before it has settled", name()))?;
        rule(attempt == facts.attempt, || format!("attempt {attempt} of {} is checked", name()))?;
        // Right after its own Return the slot is kept.
        let kept = matches!(op, Op::Return(returned) if returned.task == task);
        let free = kept || self.has_slot(peer);
        ensure(free, FindingKind::Overlap, || format!("{} is checked on {}, which has no slot", name(), at.id))?;
        self.unassign(task);
        self.leave_line(task);
        self.take_slot(peer);
        let facts = self.task_mut(task);
        facts.live = Some(Live { grant, peer, check: true, waits_for: None, stopped: false });
        facts.ready = false;
        facts.last_peer = Some(peer);
        Ok(())
    }

    pub(super) fn goes_on(&mut self, task: TaskNo, grant: Grant, peer: PeerNo) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let Some(live) = facts.live.as_ref().filter(|live| live.grant == grant && !live.check) else {
            return Err(Wrong::broken(format!("{} goes on, and does not run", facts.name())));
        };
        let Some(open) = &live.waits_for else { return Ok(()) };
        ensure(open.is_empty(), FindingKind::EarlyCompletion, || {
            format!("{} goes on before its children are closed", facts.name())
        })?;
        let (at, name) = (&self.peers[peer.index()], facts.name());
        let stands = matches!(at.paused, Some(PauseReason::User | PauseReason::Shutdown));
        rule(!stands, || format!("{name} goes on at {}, which is paused", at.id))?;
        ensure(self.has_slot(peer), FindingKind::Overlap, || format!("{name} goes on at {}, without a slot", at.id))?;
        self.leave_line(task);
        self.take_slot(peer);
        if let Some(live) = &mut self.task_mut(task).live {
            live.waits_for = None;
        }
        Ok(())
    }

    pub(super) fn waiting(&mut self, op: &Op, task: TaskNo, children: u32) -> Result<(), Wrong> {
        let Op::Wait { children: named, .. } = op else {
            return Err(Wrong::broken(format!("{} waits, and did not ask to", self.task_name(task))));
        };
        let named: &[TaskNo] = if named.is_empty() { &self.tasks[task.index()].children } else { named };
        let open: BTreeSet<TaskNo> =
            named.iter().filter(|child| self.tasks[child.index()].closed.is_none()).copied().collect();
        rule(open.len() == children as usize && children > 0, || {
            format!("{} waits for {children} children, {} are open", self.task_name(task), open.len())
        })?;
        let Some(live) = &mut self.task_mut(task).live else {
            return Err(Wrong::broken(format!("{} waits, and does not run", self.task_name(task))));
        };
        live.waits_for = Some(open);
        let peer = live.peer;
        self.free_slot(peer);
        Ok(())
    }

    /// A grant is gone, or is to go.
    pub(super) fn stop(&mut self, op: &Op, task: TaskNo, grant: Grant, awaited: bool) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let down = |peer: PeerNo| !self.peers[peer.index()].up;
        let Some(live) = facts.live.as_ref().filter(|live| live.grant == grant) else {
            rule(!awaited, || format!("{} is to return, and does not run", facts.name()))?;
            let lost = facts.last_peer.is_some_and(down);
            rule(facts.cancelled || lost, || format!("the messages of {} are stopped for nothing", facts.name()))?;
            if facts.messages_open && lost && !facts.cancelled {
                self.interrupted(op, task);
            }
            self.task_mut(task).messages_open = false;
            return Ok(());
        };
        if awaited {
            rule(facts.cancelled && !live.stopped, || format!("{} is stopped for nothing", facts.name()))?;
            if let Some(live) = &mut self.task_mut(task).live {
                live.stopped = true;
            }
            return Ok(());
        }
        rule(down(live.peer), || format!("the grant of {} is taken back, and its peer is there", facts.name()))?;
        if live.check {
            self.release(task);
            let facts = self.task_mut(task);
            if facts.cancelled {
                facts.ending = Some(Outcome::Cancelled);
                self.ended.push(task);
            }
        }
        Ok(())
    }

    /// It had returned, and its peer was lost before its messages were acknowledged.
    fn interrupted(&mut self, op: &Op, task: TaskNo) {
        let counts =
            !matches!(op, Op::PeerDown { why: DownReason::Left | DownReason::Shutdown | DownReason::Dismissed, .. });
        let limit = self.config.limits.interruptions;
        let facts = self.task_mut(task);
        facts.returned_ok = false;
        facts.keeps_number = true;
        facts.interruptions += u32::from(counts);
        if facts.interruptions >= limit {
            facts.ending = Some(Outcome::Interrupted);
            self.ended.push(task);
        }
    }

    fn release(&mut self, task: TaskNo) -> Option<Live> {
        self.leave_line(task);
        let live = self.task_mut(task).live.take()?;
        if live.holds_slot() {
            self.free_slot(live.peer);
        }
        Some(live)
    }

    pub(super) fn attempt_ended(
        &mut self,
        op: &Op,
        task: TaskNo,
        grant: Grant,
        outcome: AttemptOutcome,
    ) -> Result<(), Wrong> {
        let name = self.task_name(task);
        let Some(live) = self.release(task).filter(|live| live.grant == grant && !live.check) else {
            return Err(Wrong::new(FindingKind::DoubleCommit, format!("an attempt of {name} ends, and none runs")));
        };
        let mut messages_open = false;
        match op {
            Op::Return(returned) if returned.task == task => {
                messages_open = returned.messages_open;
                let same = returned.grant == grant && returned.outcome == outcome;
                ensure(same, FindingKind::DoubleCommit, || {
                    format!("attempt {grant} of {name} ends as {outcome:?} by what {} returned", returned.grant)
                })?;
            }
            _ => {
                let died = matches!(op, Op::PeerDown { why: DownReason::Died, .. });
                let lost = if died { AttemptOutcome::Lost } else { AttemptOutcome::Interrupted };
                let down = !self.peers[live.peer.index()].up;
                rule(down && outcome == lost, || format!("an attempt of {name} ends as {outcome:?} by nobody"))?;
            }
        }
        self.ended.push(task);
        // A review that does not approve has done its work.
        let voted = outcome == AttemptOutcome::Rejected && self.tasks[task.index()].reviews.is_some();
        if outcome == AttemptOutcome::Ok || voted {
            let facts = self.task_mut(task);
            facts.vote = facts.reviews.map(|_| !voted);
            facts.returned_ok = true;
            facts.messages_open = messages_open && !facts.cancelled;
            facts.ending = facts.cancelled.then_some(Outcome::Cancelled);
        } else {
            let counts = match op {
                Op::Return(_) => false,
                _ => !matches!(
                    op,
                    Op::PeerDown { why: DownReason::Left | DownReason::Shutdown | DownReason::Dismissed, .. }
                ),
            };
            self.failed(task, outcome, counts);
        }
        Ok(())
    }

    /// Another attempt is due, or the end: section 3, "Next attempt".
    pub(super) fn failed(&mut self, task: TaskNo, outcome: AttemptOutcome, node_died: bool) {
        let limits = (self.config.limits.crashes, self.config.limits.interruptions);
        let facts = self.task_mut(task);
        facts.returned_ok = false;
        facts.keeps_number = outcome == AttemptOutcome::Interrupted;
        let over = match outcome {
            AttemptOutcome::Ok | AttemptOutcome::Cancelled => Some(Outcome::Cancelled),
            AttemptOutcome::Lost => {
                facts.crashes += 1;
                (facts.crashes >= limits.0).then_some(Outcome::Lost)
            }
            AttemptOutcome::Interrupted => {
                facts.interruptions += u32::from(node_died);
                (facts.interruptions >= limits.1).then_some(Outcome::Interrupted)
            }
            AttemptOutcome::Failed
            | AttemptOutcome::TimedOut
            | AttemptOutcome::Unverified
            | AttemptOutcome::Rejected => {
                facts.failures += 1;
                let outcome = match outcome {
                    AttemptOutcome::TimedOut => Outcome::TimedOut,
                    AttemptOutcome::Unverified => Outcome::Unverified,
                    AttemptOutcome::Rejected => Outcome::Rejected,
                    _ => Outcome::Failed,
                };
                (facts.failures > facts.spec.retries).then_some(outcome)
            }
        };
        facts.ending = if facts.cancelled { Some(Outcome::Cancelled) } else { over };
    }

    pub(super) fn check_ended(&mut self, op: &Op, task: TaskNo, passed: bool) -> Result<(), Wrong> {
        let name = self.task_name(task);
        let said = matches!(op, Op::Checked { task: checked, passed: held, .. } if *checked == task && *held == passed);
        let live = self.release(task).filter(|live| live.check);
        ensure(live.is_some() && said, FindingKind::DoubleCommit, || format!("a check of {name} ends, and none ran"))?;
        self.ended.push(task);
        let facts = self.task_mut(task);
        facts.passed = passed;
        if facts.cancelled {
            facts.ending = Some(Outcome::Cancelled);
        } else if !passed {
            self.failed(task, AttemptOutcome::Unverified, false);
        }
        Ok(())
    }

    pub(super) fn settled(&mut self, task: TaskNo) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let settled = facts.returned_ok && facts.live.is_none() && facts.open_children == 0 && !facts.messages_open;
        ensure(settled, FindingKind::EarlyCompletion, || {
            format!("{} has settled with {} open children", facts.name(), facts.open_children)
        })?;
        if facts.spec.verify.is_some()
            && facts.ending.is_none()
            && let Some(peer) = facts.last_peer.filter(|peer| self.peers[peer.index()].up)
        {
            self.enter_line(task, peer);
        }
        Ok(())
    }

    pub(super) fn retries(&mut self, task: TaskNo, ms: u64) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        rule(facts.ending.is_none() && facts.closed.is_none(), || {
            format!("{} gets a further attempt, and its attempts are used up", facts.name())
        })?;
        self.retry = Some((task, ms));
        Ok(())
    }

    pub(super) fn cancel_marked(&mut self, op: &Op, task: TaskNo) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let by_entry = matches!(op, Op::Cancel { task: named } if *named == task);
        let by_parent = facts.parent.map(|parent| &self.tasks[parent.index()]).is_some_and(|parent| {
            let left = parent.returned_ok && facts.adopted_by != parent.last_grant;
            let decided = facts.reviews.is_some() && self.is_decided(parent);
            decided || parent.cancelled || parent.ending.is_some() || self.fails_by_dependency(parent).is_some() || left
        });
        rule(by_entry || by_parent, || format!("{} is cancelled by nobody", facts.name()))?;
        rule(!facts.cancelled && facts.closed.is_none(), || format!("{} is cancelled twice", facts.name()))?;
        if facts.live.is_none() {
            self.unassign(task);
            self.leave_line(task);
        }
        let facts = self.task_mut(task);
        facts.cancelled = true;
        let mut wait = None;
        if facts.live.is_none() {
            facts.ready = false;
            facts.ending.get_or_insert(Outcome::Cancelled);
            wait = facts.backoff.take();
        }
        self.ended.push(task);
        wait.map(|wait| self.waits.remove(&wait));
        Ok(())
    }

    pub(super) fn closed(&mut self, task: TaskNo, outcome: Outcome, because: Option<TaskNo>) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let name = || facts.name();
        ensure(facts.closed.is_none(), FindingKind::DoubleCommit, || format!("{} closes twice", name()))?;
        let early = |holds: bool, what: &str| {
            ensure(holds, FindingKind::EarlyCompletion, || format!("{} closes, and {what}", name()))
        };
        early(facts.live.is_none(), "it runs")?;
        early(facts.open_children == 0, "a child of it is open")?;
        early(!facts.messages_open, "its messages are open")?;
        let by_dependency = self.fails_by_dependency(facts);
        if outcome == Outcome::Ok {
            early(facts.returned_ok, "it has not returned ok")?;
            early(facts.has_passed(), "its evidence was not looked at")?;
            early(facts.is_approved(), "it has not been approved")?;
        }
        let expected = facts.ending.or(by_dependency).unwrap_or(Outcome::Ok);
        rule(outcome == expected, || format!("{} closes as {outcome:?}, expected {expected:?}", name()))?;
        let named = because.is_none_or(|because| facts.dependencies.contains(&because));
        rule(named, || format!("{} closes because of what it does not depend on", name()))?;
        let (parent, dependants, is_review) = (facts.parent, facts.dependants.clone(), facts.reviews.is_some());
        self.task_mut(task).closed = Some(outcome);
        if let Some(round) = &mut self.round {
            round.open = round.open.saturating_sub(1);
            let counts = u32::from(!is_review);
            *(if outcome == Outcome::Ok { &mut round.ok } else { &mut round.failed }) += counts;
        }
        self.touched.extend(dependants);
        if let Some(parent) = parent {
            let facts = self.task_mut(parent);
            facts.open_children -= 1;
            if let Some(Live { waits_for: Some(open), peer, .. }) = &mut facts.live
                && open.remove(&task)
                && open.is_empty()
            {
                let peer = *peer;
                self.enter_line(parent, peer);
            }
        }
        Ok(())
    }

    /// How it ends because of a dependency that did not close ok.
    pub(super) fn fails_by_dependency(&self, task: &TaskFacts) -> Option<Outcome> {
        let bad = |no: &TaskNo| self.tasks[no.index()].closed.is_some_and(|outcome| outcome != Outcome::Ok);
        let outcome = match task.spec.on_dependency_failure {
            crate::DependencyPolicy::Run => return None,
            crate::DependencyPolicy::Skip => Outcome::Skipped,
            crate::DependencyPolicy::Fail => Outcome::Failed,
        };
        task.dependencies.iter().any(bad).then_some(outcome)
    }
}
