//! The life of a task after it was granted: returns, settling, evidence, further attempts, the end.

use crate::config::RUNS_TO_LEARN;
use crate::config::{REJECTED_KEPT, TOKENS_AN_ATTEMPT_MAX};
use crate::effect::Effect;
use crate::ids::{Grant, NodeNo, PeerNo, TaskNo, WaitNo};
use crate::mutant::Mutant;
use crate::op::{AttemptOutcome, DependencyPolicy, Returned, Tokens};
use crate::refusal::Refusal;
use crate::swarm::{Rejected, Swarm, Wait};
use crate::task::{Outcome, Phase};

/// Doublings of a back-off after which it stays: 2^20 times the first is beyond every maximum.
const DOUBLINGS_MAX: u32 = 20;

impl Swarm {
    /// The peer that holds this grant, if it is the task's present one and on the author's node.
    pub(crate) fn holder(&self, node: NodeNo, task: TaskNo, grant: Grant) -> Result<PeerNo, Refusal> {
        let record = self.task(task).ok_or(Refusal::NoSuchTask { task })?;
        match record.phase.grant() {
            Some((peer, present)) if present == grant => {
                if self.peers[peer.index()].node == node {
                    Ok(peer)
                } else {
                    Err(Refusal::NotHolder { task: record.id.to_string() })
                }
            }
            _ => Err(self.stale(task, grant)),
        }
    }

    pub(crate) fn stale(&self, task: TaskNo, found: Grant) -> Refusal {
        let record = &self.tasks[task.index()];
        let present = record.phase.grant().map(|(_, grant)| grant);
        Refusal::StaleGrant { task: record.id.to_string(), found, present }
    }

    /// Keeps a refused result where people can look at it. Not part of what entries are judged by.
    pub(crate) fn reject(&mut self, task: TaskNo, grant: Grant, outcome: AttemptOutcome) {
        if self.task(task).is_none() || self.switch.breaks(Mutant::RejectedForgotten) {
            return;
        }
        let kept = self.rejected.entry(task).or_default();
        if kept.len() == REJECTED_KEPT {
            kept.pop_front();
        }
        kept.push_back(Rejected { at: self.at, grant, outcome });
    }

    pub(crate) fn returned(&mut self, node: NodeNo, returned: &Returned) -> Result<(), Refusal> {
        let Returned { task, mut grant, outcome, .. } = *returned;
        let mut held = self.holder(node, task, grant);
        if let Some((peer, present)) = self.task(task).and_then(|task| task.phase.grant())
            && self.switch.breaks(Mutant::ReturnWithoutGrant)
        {
            (grant, held) = (present, Ok(peer));
        }
        let checking = self.task(task).is_some_and(|t| matches!(t.phase, Phase::Checking { .. }));
        let peer = match held {
            Ok(peer) if !checking => peer,
            Ok(_) => {
                self.reject(task, grant, outcome);
                return Err(self.stale(task, grant));
            }
            Err(refusal) => {
                self.reject(task, grant, outcome);
                return Err(refusal);
            }
        };
        self.learn(peer, returned);
        self.tasks[task.index()].returned_at = self.at;
        self.tasks[task.index()].returned_by = peer;
        let attempt = self.tasks[task.index()].attempt;
        self.emit(Effect::AttemptEnded { task, attempt, grant, peer, outcome });
        if self.vote(task, outcome) {
            self.returned_ok(returned, peer);
        } else {
            self.release_grant(task);
            self.attempt_failed(task, outcome, false);
        }
        Ok(())
    }

    fn returned_ok(&mut self, returned: &Returned, peer: PeerNo) {
        let task = returned.task;
        if !self.switch.breaks(Mutant::OrphansKept) {
            self.cancel_children_but(task, Some(returned.grant));
        }
        let record = &self.tasks[task.index()];
        let settled = record.deficit == 0 && !returned.messages_open;
        let slot = matches!(record.phase, Phase::Running { .. });
        let at_once = !self.switch.breaks(Mutant::ClosesBeforeEvidence);
        if record.verify && settled && slot && !record.cancelled && at_once {
            // The slot is kept: evidence is looked at where the files are, and nobody overtakes.
            self.emit(Effect::SettledTask { task });
            self.settle_reservation(task);
            self.start_check(task, peer);
            return;
        }
        self.release_grant(task);
        let record = &mut self.tasks[task.index()];
        record.ending = record.cancelled.then_some(Outcome::Cancelled);
        record.check = record.verify && !self.switch.breaks(Mutant::ClosesBeforeEvidence);
        if record.cancelled && returned.messages_open {
            // Messages of a cancelled attempt hold nothing.
            self.emit(Effect::Stop { task, grant: returned.grant, peer, awaited: false });
        } else if returned.messages_open {
            record.messages_open = true;
            record.deficit += u32::from(!self.switch.breaks(Mutant::MessagesNotCounted));
            self.index.messages_open += 1;
            self.peers[peer.index()].held.insert(task);
        }
        self.set_phase(task, Phase::Returned);
        self.agenda.settle.push_back(task);
    }

    /// Takes in what a `Return` says of time and tokens: integer sums, so that every node learns alike.
    fn learn(&mut self, peer: PeerNo, returned: &Returned) {
        let outcome = self.work_done(returned.task, returned.outcome);
        let kind_no = self.tasks[returned.task.index()].kind;
        let kind = &mut self.kinds[kind_no.index()];
        let record = &mut self.peers[peer.index()];
        match outcome {
            AttemptOutcome::Ok => {
                kind.runs += 1;
                kind.ran_ms = kind.ran_ms.saturating_add(returned.ran_ms);
                record.completed += 1;
                record.ran_ms = record.ran_ms.saturating_add(returned.ran_ms);
            }
            AttemptOutcome::Failed
            | AttemptOutcome::TimedOut
            | AttemptOutcome::Lost
            | AttemptOutcome::Unverified
            | AttemptOutcome::Rejected => {
                record.failed += 1;
                record.ran_ms = record.ran_ms.saturating_add(returned.ran_ms);
            }
            AttemptOutcome::Interrupted | AttemptOutcome::Cancelled => {}
        }
        let reported = self.reported.remove(&returned.task).unwrap_or_default();
        let usage = returned.usage.at_most(TOKENS_AN_ATTEMPT_MAX).at_least(reported);
        if usage.total() > 0 {
            kind.tokens = kind.tokens.saturating_add(usage.total());
            kind.reports += 1;
            self.spend(peer, usage);
        }
        self.touch_kind(kind_no);
        self.touch_peer(peer);
        self.replace(peer);
        if outcome == AttemptOutcome::Ok && self.kinds[kind_no.index()].runs == RUNS_TO_LEARN {
            self.learned_changed();
        }
    }

    fn spend(&mut self, peer: PeerNo, usage: Tokens) {
        for tokens in [&mut self.tokens, &mut self.peers[peer.index()].tokens] {
            tokens.input = tokens.input.saturating_add(usage.input);
            tokens.output = tokens.output.saturating_add(usage.output);
        }
    }

    /// Slot, session and reservation go back; the phase is the caller's to change.
    pub(crate) fn release_grant(&mut self, task: TaskNo) {
        let phase = self.tasks[task.index()].phase;
        let Some((peer, _)) = phase.grant() else {
            unreachable!("only a task with a grant releases one");
        };
        self.settle_reservation(task);
        self.index.granted -= 1;
        self.peers[peer.index()].held.remove(&task);
        match phase {
            Phase::InLine { .. } => self.leave_line(task, peer),
            Phase::Waiting { .. } => self.await_no_child(task),
            _ => {}
        }
        if phase.holds_slot() {
            self.free_slot(peer);
        }
        self.touch_peer(peer);
        self.replace(peer);
    }

    fn settle_reservation(&mut self, task: TaskNo) {
        let reserved = std::mem::take(&mut self.tasks[task.index()].reserved);
        let peer = self.tasks[task.index()].last_peer;
        // An attempt that is given up on has spent what it had reported.
        if let Some(tokens) = self.reported.remove(&task) {
            self.spend(peer, tokens);
        }
        self.reserved -= reserved;
        self.peers[peer.index()].reserved -= reserved;
        self.touch(task);
        self.touch_peer(peer);
        self.agenda.tokens_back |=
            self.config.token_budget.is_some() || self.peers[peer.index()].token_budget.is_some();
    }

    /// Tokens of an attempt that still runs: what is known replaces what was guessed.
    pub(crate) fn usage(&mut self, node: NodeNo, task: TaskNo, grant: Grant, tokens: Tokens) -> Result<(), Refusal> {
        let peer = self.holder(node, task, grant)?;
        let record = &mut self.tasks[task.index()];
        let known = self.reported.entry(task).or_default();
        *known = known.at_least(tokens.at_most(TOKENS_AN_ATTEMPT_MAX));
        let more = known.total().saturating_sub(record.reserved);
        record.reserved += more;
        self.reserved += more;
        self.peers[peer.index()].reserved += more;
        self.touch(task);
        self.touch_peer(peer);
        Ok(())
    }

    pub(crate) fn messages_settled(&mut self, task: TaskNo, grant: Grant) -> Result<(), Refusal> {
        let record = self.task(task).ok_or(Refusal::NoSuchTask { task })?;
        if !record.messages_open {
            return Err(Refusal::NoMessagesOpen { task: record.id.to_string() });
        }
        if record.last_grant != grant && !self.switch.breaks(Mutant::SettledWithoutGrant) {
            return Err(self.stale(task, grant));
        }
        self.drop_messages(task);
        self.agenda.settle.push_back(task);
        Ok(())
    }

    /// The one deficit that stood for open messages is taken off.
    fn drop_messages(&mut self, task: TaskNo) {
        let record = &mut self.tasks[task.index()];
        if !std::mem::take(&mut record.messages_open) {
            return;
        }
        record.deficit -= u32::from(!self.switch.breaks(Mutant::MessagesNotCounted));
        let peer = record.last_peer;
        self.index.messages_open -= 1;
        self.peers[peer.index()].held.remove(&task);
        self.touch(task);
        self.touch_peer(peer);
    }

    /// Messages of a lost or cancelled attempt hold nothing; their handlers are told to stop.
    pub(crate) fn stop_messages(&mut self, task: TaskNo) {
        let record = &self.tasks[task.index()];
        if record.messages_open {
            let (grant, peer) = (record.last_grant, record.last_peer);
            self.emit(Effect::Stop { task, grant, peer, awaited: false });
            self.drop_messages(task);
        }
    }

    /// A returned task whose deficit is 0 goes on: to its end, or to its evidence.
    pub(crate) fn settle(&mut self, task: TaskNo) {
        let record = &self.tasks[task.index()];
        if record.phase == Phase::Reviewing {
            self.count_votes(task);
            return;
        }
        let open = record.deficit > 0 && !self.switch.breaks(Mutant::ClosesWithOpenChildren);
        if record.phase != Phase::Returned || open {
            return;
        }
        if let Some(outcome) = record.ending {
            self.close(task, outcome);
            return;
        }
        let (check, peer) = (record.check, record.last_peer);
        self.emit(Effect::SettledTask { task });
        if !check {
            self.pass(task);
        } else if self.peers[peer.index()].up {
            self.set_phase(task, Phase::Settled { peer });
            self.peers[peer.index()].line.push_back(task);
            self.touch_peer(peer);
            self.replace(peer);
            self.agenda.fill.push_back(peer);
        } else {
            self.make_ready(task);
        }
    }

    pub(crate) fn checked(&mut self, node: NodeNo, task: TaskNo, grant: Grant, passed: bool) -> Result<(), Refusal> {
        let mut grant = grant;
        if self.switch.breaks(Mutant::CheckedWithoutGrant) {
            grant = self.task(task).and_then(|task| task.phase.grant()).map_or(grant, |(_, present)| present);
        }
        let peer = self.holder(node, task, grant)?;
        let record = &self.tasks[task.index()];
        if !matches!(record.phase, Phase::Checking { .. }) {
            return Err(self.stale(task, grant));
        }
        let attempt = record.attempt;
        self.emit(Effect::CheckEnded { task, attempt, passed });
        self.release_grant(task);
        let record = &mut self.tasks[task.index()];
        record.check = false;
        if record.cancelled {
            self.end(task, Outcome::Cancelled);
        } else if passed || self.switch.breaks(Mutant::FailedEvidencePasses) {
            self.set_phase(task, Phase::Returned);
            self.pass(task);
        } else {
            self.ended_ok_by_its_own_word(peer);
            self.attempt_failed(task, AttemptOutcome::Unverified, false);
        }
        Ok(())
    }

    /// A further attempt, or the end. The grant is released already.
    pub(crate) fn attempt_failed(&mut self, task: TaskNo, outcome: AttemptOutcome, node_died: bool) {
        self.drop_messages(task);
        let limits = (self.config.limits.crashes, self.config.limits.interruptions);
        let record = &mut self.tasks[task.index()];
        record.check = false;
        record.keeps_number = outcome == AttemptOutcome::Interrupted && !self.switch.breaks(Mutant::InterruptionCosts);
        let (end, times) = match outcome {
            AttemptOutcome::Lost => {
                record.crashes += 1;
                let spent = record.crashes >= limits.0 && !self.switch.breaks(Mutant::CrashLimitIgnored);
                (spent.then_some(Outcome::Lost), record.crashes)
            }
            AttemptOutcome::Interrupted => {
                record.interruptions += u32::from(node_died);
                ((record.interruptions >= limits.1).then_some(Outcome::Interrupted), 0)
            }
            AttemptOutcome::Ok | AttemptOutcome::Cancelled => (Some(Outcome::Cancelled), 0),
            AttemptOutcome::Failed
            | AttemptOutcome::TimedOut
            | AttemptOutcome::Unverified
            | AttemptOutcome::Rejected => {
                record.failures += 1;
                let last = match outcome {
                    AttemptOutcome::TimedOut => Outcome::TimedOut,
                    AttemptOutcome::Unverified => Outcome::Unverified,
                    AttemptOutcome::Rejected => Outcome::Rejected,
                    _ => Outcome::Failed,
                };
                let spent = record.failures > record.retries && !self.switch.breaks(Mutant::RetryLimitIgnored);
                (spent.then_some(last), record.failures)
            }
        };
        let end = if record.cancelled { Some(Outcome::Cancelled) } else { end };
        match end {
            Some(outcome) => self.end(task, outcome),
            None => {
                if times > 0 {
                    self.avoid(task);
                }
                self.retry(task, outcome, times);
            }
        }
    }

    fn retry(&mut self, task: TaskNo, outcome: AttemptOutcome, times: u32) {
        let first = match outcome {
            AttemptOutcome::Interrupted => 0,
            AttemptOutcome::Lost => self.config.crash_backoff_ms,
            _ => self.config.retry_backoff_ms,
        };
        let doublings = times.saturating_sub(1).min(DOUBLINGS_MAX);
        let ms = first.saturating_mul(1 << doublings).min(self.config.backoff_max_ms);
        if ms == 0 {
            self.make_ready(task);
            return;
        }
        let wait = WaitNo(self.next_wait);
        self.next_wait += 1;
        self.add_wait(wait, Wait { task, ms });
        self.set_phase(task, Phase::Backoff { wait });
        self.emit(Effect::Retry { task, ms });
        self.emit(Effect::Await { wait, ms });
    }

    /// The peer that failed it is avoided while another is eligible.
    fn avoid(&mut self, task: TaskNo) {
        let record = &self.tasks[task.index()];
        let peer = record.last_peer;
        let requirement = self.index.classes.requirement(record.class).avoiding(peer);
        self.tasks[task.index()].class = self.index.classes.intern(requirement, &self.peers);
        self.touch(task);
    }

    /// A grant is taken back because its peer is gone.
    pub(crate) fn revoke(&mut self, task: TaskNo, outcome: AttemptOutcome, counts: bool) {
        let record = &self.tasks[task.index()];
        let (attempt, checking) = (record.attempt, matches!(record.phase, Phase::Checking { .. }));
        let Some((peer, grant)) = record.phase.grant() else {
            // It had returned, and its messages were open: a loss before `Settled` interrupts it.
            self.stop_messages(task);
            self.attempt_failed(task, AttemptOutcome::Interrupted, counts);
            return;
        };
        self.emit(Effect::Stop { task, grant, peer, awaited: false });
        self.release_grant(task);
        if !checking {
            self.emit(Effect::AttemptEnded { task, attempt, grant, peer, outcome });
            self.attempt_failed(task, outcome, counts);
        } else if self.tasks[task.index()].cancelled {
            self.end(task, Outcome::Cancelled);
        } else {
            // The agent is not run again for it; the check is.
            self.tasks[task.index()].check = !self.switch.breaks(Mutant::AgentRunsForCheck);
            self.make_ready(task);
        }
    }

    /// A task that nobody holds ends. It closes when its deficit is 0.
    pub(crate) fn end(&mut self, task: TaskNo, outcome: Outcome) {
        self.withdraw(task);
        self.set_phase(task, Phase::Returned);
        self.tasks[task.index()].ending = Some(outcome);
        self.touch(task);
        self.cancel_children_but(task, None);
        self.agenda.settle.push_back(task);
    }

    pub(crate) fn end_for_dependency(&mut self, task: TaskNo, failed: TaskNo) {
        let record = &mut self.tasks[task.index()];
        record.because = Some(failed);
        let outcome = match record.policy {
            DependencyPolicy::Skip => Outcome::Skipped,
            _ => Outcome::Failed,
        };
        self.end(task, outcome);
    }

    /// Closed. Signals its parent last, as in Dijkstra–Scholten, then releases who depends on it.
    pub(crate) fn close(&mut self, task: TaskNo, outcome: Outcome) {
        self.set_phase(task, Phase::Closed { outcome });
        let (parent, because) = (self.tasks[task.index()].parent, self.tasks[task.index()].because);
        self.emit(Effect::Closed { task, outcome, because });
        if let Some(round) = &mut self.round {
            round.open -= 1;
            // A review counts by its vote alone: that it was not needed in the end is no failure.
            let counts = u32::from(self.tasks[task.index()].reviews.is_none());
            if outcome == Outcome::Ok {
                round.ok += counts;
            } else {
                round.failed += counts;
            }
        }
        if let Some(parent) = parent {
            self.child_closed(parent, task);
        }
        let dependants: Vec<TaskNo> = self.index.graph.dependants(task).collect();
        for dependant in dependants {
            self.dependency_closed(dependant, task, outcome);
        }
    }

    fn dependency_closed(&mut self, task: TaskNo, dependency: TaskNo, outcome: Outcome) {
        let record = &mut self.tasks[task.index()];
        if record.phase != Phase::Blocked {
            return;
        }
        record.open_dependencies -= 1;
        let (open, policy) = (record.open_dependencies, record.policy);
        self.touch(task);
        let released = self.switch.breaks(Mutant::FailureReleases) && open == 0;
        if outcome != Outcome::Ok && policy != DependencyPolicy::Run && !released {
            self.end_for_dependency(task, dependency);
        } else if open == 0 {
            self.make_ready(task);
        }
    }
}
