//! The fold itself: an entry and what it brought about go in, records and rows come out.

use super::events::{EventKind, EventRow, TraceId};
use super::record::{Ledger, Product, Rejection, RoundRecord, TEXT_BYTES_KEPT, Text};
use super::report::OutcomeWord;
use super::standing::{place_in_words, topology_in_words};
use super::text::cut;
use meshwork_core::{
    Applied, AttemptOutcome, Batch, Effect, Effects, Grant, NodeNo, Op, Outcome, Payload, PeerNo, Position, Refusal,
    Returned, Swarm, TaskNo,
};
use std::sync::Arc;

mod reviews;

/// Folds one applied batch into the ledger. `wanted`: whether to tell it in rows too.
///
/// The swarm is already past the whole batch: only what never changes about its records is read from it here.
pub(super) fn fold(
    swarm: &Swarm,
    ledger: &mut Ledger,
    seq: u64,
    batch: &Batch,
    applied: &Applied,
    wanted: bool,
) -> Vec<EventRow> {
    let mut rows = Vec::new();
    if applied.duplicate {
        return rows;
    }
    ledger.now = ledger.now.max(batch.time_ms);
    if let Some(node) = ledger.incarnations.get(&batch.author.incarnation).copied() {
        ledger.node_mut(node).seen_ms = ledger.now;
    }
    for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
        let at = Position::new(seq, index);
        let mut fold = Fold { swarm, ledger, at, author: &batch.author.node, wanted, rows: &mut rows };
        fold.entry(op, effects);
    }
    rows
}

struct Fold<'a> {
    swarm: &'a Swarm,
    ledger: &'a mut Ledger,
    at: Position,
    author: &'a str,
    wanted: bool,
    rows: &'a mut Vec<EventRow>,
}

/// What a row says beyond when and where.
#[derive(Default)]
struct Said {
    task: Option<TaskNo>,
    attempt: Option<u32>,
    peer: Option<PeerNo>,
    peer_id: Option<Arc<str>>,
    artifact_key: Option<String>,
    tokens: Option<u64>,
    outcome: Option<OutcomeWord>,
    detail: Option<String>,
}

impl Fold<'_> {
    fn entry(&mut self, op: &Op, effects: &Effects) {
        if let Some(refusal) = &effects.refusal {
            self.refused(op, refusal);
            return;
        }
        self.accepted(op);
        for effect in &effects.list {
            self.happened(op, *effect);
        }
        if let Op::Rebalance = op {
            let moved = effects.list.iter().filter(|effect| matches!(effect, Effect::Unassigned { .. })).count();
            self.ledger.counts.rebalances += 1;
            self.ledger.counts.redistributed += moved as u64;
            self.tell(EventKind::Rebalanced, || Said {
                detail: Some(format!("{moved} tasks moved")),
                ..Said::default()
            });
        }
    }

    fn tell(&mut self, event: EventKind, said: impl FnOnce() -> Said) {
        if !self.wanted {
            return;
        }
        let said = said();
        let task = said.task.and_then(|no| self.swarm.task(no));
        let record = said.task.and_then(|no| self.ledger.tasks.get(no.index()));
        let peer = said.peer.and_then(|no| self.swarm.peer(no)).map(|peer| peer.id.clone());
        self.rows.push(EventRow {
            position: self.at,
            time_ms: self.ledger.now,
            event,
            swarm_id: self.ledger.swarm_id.clone(),
            task_id: task.map(|task| task.id.clone()),
            attempt: said.attempt,
            peer_id: peer.or(said.peer_id),
            message_id: None,
            artifact_key: said.artifact_key,
            tokens: said.tokens,
            outcome: said.outcome,
            trace_id: record.map_or(self.ledger.trace, |record| record.trace),
            detail: said.detail.map(|text| cut(&text, TEXT_BYTES_KEPT).into_owned()),
        });
    }

    fn tell_task(&mut self, event: EventKind, task: TaskNo, peer: Option<PeerNo>) {
        self.tell(event, || Said { task: Some(task), peer, ..Said::default() });
    }

    fn tell_peer(&mut self, event: EventKind, peer: PeerNo, detail: Option<&str>) {
        self.tell(event, || Said { peer: Some(peer), detail: detail.map(str::to_owned), ..Said::default() });
    }

    fn refused(&mut self, op: &Op, refusal: &Refusal) {
        let mut said =
            Said { detail: Some(format!("{} of node {:?}: {refusal}", op_word(op), self.author)), ..Said::default() };
        match op {
            Op::Return(returned) => {
                if self.swarm.task(returned.task).is_some() {
                    let error = returned.error.as_deref().map_or(Text::Absent, |text| self.ledger.keep(text, self.at));
                    let (node, refusal) = (self.author.into(), refusal.to_string().into());
                    self.ledger.reject(returned.task, Rejection { at: self.at, node, error, refusal });
                }
                // The work is not silently thrown away: its tokens were spent.
                if let Some(attempt) = self.ledger.attempt_mut(returned.task, returned.grant) {
                    attempt.tokens = attempt.tokens.max(returned.usage.total());
                    (said.attempt, said.peer) = (Some(attempt.number), Some(attempt.peer));
                }
                said.task = Some(returned.task);
                said.tokens = some_tokens(returned.usage.total());
                said.outcome = Some(OutcomeWord::Rejected);
                said.artifact_key = artifact_key(returned);
            }
            Op::Rebalance => self.ledger.counts.rebalances_refused += 1,
            Op::PeerUp(spec) => said.peer_id = Some(spec.id.as_str().into()),
            Op::PeerDown { peer, .. } | Op::Pause { peer, .. } | Op::Resume { peer } => {
                said.peer_id = Some(peer.as_str().into());
            }
            _ => said.task = op_task(op),
        }
        said.task = said.task.filter(|task| self.swarm.task(*task).is_some());
        self.tell(EventKind::EntryRefused, || said);
    }

    /// What the entry says by itself; what it brought about follows as effects.
    fn accepted(&mut self, op: &Op) {
        match op {
            Op::Open { log_id, swarm_id, config, .. } => {
                self.ledger.swarm_id = swarm_id.as_str().into();
                self.ledger.trace = TraceId::of_swarm(log_id);
                self.tell(EventKind::SwarmOpened, || Said {
                    detail: Some(format!("log {log_id}, {}", topology_in_words(&config.topology))),
                    ..Said::default()
                });
            }
            Op::Configure { config } => self.tell(EventKind::Configured, || Said {
                detail: Some(topology_in_words(&config.topology)),
                ..Said::default()
            }),
            Op::Alive => {
                let detail = Some(self.author.to_owned());
                self.tell(EventKind::NodeAlive, || Said { detail, ..Said::default() });
            }
            Op::Settled { task, .. } => {
                self.ledger.task_mut(*task).messages_open = false;
                self.tell_task(EventKind::MessagesSettled, *task, None);
            }
            Op::Usage { task, grant, tokens } => {
                let (mut number, mut peer) = (None, None);
                if let Some(attempt) = self.ledger.attempt_mut(*task, *grant) {
                    attempt.tokens = tokens.total();
                    (number, peer) = (Some(attempt.number), Some(attempt.peer));
                }
                let tokens = Some(tokens.total());
                self.tell(EventKind::Usage, || Said {
                    task: Some(*task),
                    attempt: number,
                    peer,
                    tokens,
                    ..Said::default()
                });
            }
            Op::Progress { task, grant, text } => {
                let attempt = self.ledger.attempt_mut(*task, *grant).map(|one| (one.number, one.peer));
                self.tell(EventKind::Progress, || Said {
                    task: Some(*task),
                    attempt: attempt.map(|(number, _)| number),
                    peer: attempt.map(|(_, peer)| peer),
                    detail: Some(text.clone()),
                    ..Said::default()
                });
            }
            _ => {}
        }
    }

    fn happened(&mut self, op: &Op, effect: Effect) {
        match effect {
            Effect::Joined { .. }
            | Effect::NodeLeft { .. }
            | Effect::NodeLost { .. }
            | Effect::PeerUp { .. }
            | Effect::PeerDown { .. }
            | Effect::Paused { .. }
            | Effect::Resumed { .. } => self.happened_to_members(op, effect),
            Effect::RoundOpened { .. } | Effect::Sealed { .. } | Effect::RoundClosed { .. } => {
                self.happened_to_round(effect);
            }
            Effect::Submitted { task, index } => self.submitted(op, task, index, EventKind::TaskSubmitted),
            Effect::Amended { task, index } => self.submitted(op, task, index, EventKind::TaskAmended),
            Effect::Kept { task, .. } => self.tell_task(EventKind::TaskKept, task, None),
            Effect::Ready { task } => {
                self.interrupt_open_messages(task);
                self.tell_task(EventKind::TaskReady, task, None);
            }
            Effect::Assigned { task, peer } => {
                self.ledger.counts.load_updates += 1;
                self.ledger.task_mut(task).assigned = Some((peer, self.ledger.now));
                self.tell_task(EventKind::TaskAssigned, task, Some(peer));
            }
            Effect::Unassigned { task, peer } => {
                self.ledger.counts.load_updates += 1;
                self.ledger.task_mut(task).assigned = None;
                self.tell_task(EventKind::TaskUnassigned, task, Some(peer));
            }
            Effect::Retry { task, ms } => {
                self.interrupt_open_messages(task);
                let detail = Some(format!("after a back-off of {ms} ms"));
                self.tell(EventKind::RetryScheduled, || Said { task: Some(task), detail, ..Said::default() });
            }
            Effect::Await { .. } => {}
            Effect::ReviewOpened { .. }
            | Effect::ReviewsOverLimit { .. }
            | Effect::Voted { .. }
            | Effect::ReviewEnded { .. } => self.happened_to_review(effect),
            _ => self.happened_to_attempt(op, effect),
        }
    }

    fn happened_to_attempt(&mut self, op: &Op, effect: Effect) {
        match effect {
            Effect::Start { task, grant, peer, attempt } => {
                let waited_here = self.ledger.task_mut(task).assigned.is_some_and(|(at, _)| at == peer);
                self.ledger.counts.load_updates += u64::from(!waited_here);
                self.ledger.begin_attempt(task, attempt, peer, grant);
                self.tell_attempt(EventKind::TaskStarted, task, attempt, peer);
            }
            Effect::Continue { task, grant, peer } => {
                self.ledger.end_waiting(task);
                let number = self.ledger.attempt_mut(task, grant).map(|one| one.number);
                self.tell_attempt(EventKind::TaskContinued, task, number.unwrap_or(0), peer);
            }
            Effect::Check { task, peer, attempt, .. } => {
                self.tell_attempt(EventKind::CheckStarted, task, attempt, peer);
            }
            Effect::Stop { task, grant, peer, awaited } => {
                // A check has a grant of its own; an attempt that is taken back says so by AttemptEnded.
                let of_a_check = self.ledger.attempt_mut(task, grant).is_none();
                if !awaited && of_a_check {
                    self.tell_task(EventKind::CheckLost, task, Some(peer));
                }
            }
            Effect::Waiting { task, children } => {
                self.ledger.waiting.insert(task, self.ledger.now);
                let attempt = self.ledger.last_attempt_mut(task).map(|one| (one.number, one.peer));
                self.tell(EventKind::TaskWaiting, || Said {
                    task: Some(task),
                    attempt: attempt.map(|(number, _)| number),
                    peer: attempt.map(|(_, peer)| peer),
                    detail: Some(format!("for {children} children")),
                    ..Said::default()
                });
            }
            Effect::AttemptEnded { task, attempt, grant, peer, outcome } => {
                let returned = match op {
                    Op::Return(returned) if (returned.task, returned.grant) == (task, grant) => Some(returned),
                    _ => None,
                };
                self.attempt_ended(task, grant, outcome, returned);
                self.tell(EventKind::AttemptEnded, || Said {
                    task: Some(task),
                    attempt: Some(attempt),
                    peer: Some(peer),
                    artifact_key: returned.and_then(artifact_key),
                    tokens: returned.and_then(|returned| some_tokens(returned.usage.total())),
                    outcome: Some(outcome.into()),
                    detail: returned.and_then(|returned| returned.error.clone()),
                    ..Said::default()
                });
            }
            Effect::SettledTask { task } => self.tell_task(EventKind::TaskSettled, task, None),
            Effect::CheckEnded { task, attempt, passed } => self.check_ended(op, task, attempt, passed),
            Effect::CancelMarked { task } => self.tell_task(EventKind::CancelRequested, task, None),
            Effect::Closed { task, outcome, because } => self.closed(task, outcome, because),
            _ => {}
        }
    }

    fn tell_attempt(&mut self, event: EventKind, task: TaskNo, attempt: u32, peer: PeerNo) {
        self.tell(event, || Said { task: Some(task), attempt: Some(attempt), peer: Some(peer), ..Said::default() });
    }

    fn submitted(&mut self, op: &Op, task: TaskNo, index: u32, event: EventKind) {
        let Some(record) = self.swarm.task(task) else { return };
        let spec = match op {
            Op::Submit(submission) => submission.tasks.get(index as usize),
            _ => None,
        };
        let trace = TraceId::of_task(self.swarm.log_id(), &record.id, record.generation);
        self.ledger.regenerated |= record.generation > 1;
        let description = match spec {
            Some(spec) if !spec.description.is_empty() => self.ledger.keep(&spec.description, self.at),
            _ => Text::Absent,
        };
        let now = self.ledger.now;
        let kept = self.ledger.task_mut(task);
        kept.created_ms = now;
        kept.trace = trace;
        kept.description = description;
        let parent = record.parent.and_then(|parent| self.swarm.task(parent)).map(|parent| parent.id.clone());
        self.tell(event, || {
            let kind = spec.map(|spec| spec.kind.as_str()).filter(|kind| !kind.is_empty());
            let kind = kind.map_or(String::new(), |kind| format!("type {kind:?}, "));
            let parent = parent.map_or(String::new(), |parent| format!(", child of {parent:?}"));
            let detail = Some(format!("{kind}priority {}{parent}", record.priority));
            Said { task: Some(task), detail, ..Said::default() }
        });
    }

    fn attempt_ended(&mut self, task: TaskNo, grant: Grant, outcome: AttemptOutcome, returned: Option<&Returned>) {
        self.ledger.end_waiting(task);
        self.ledger.counts.load_updates += 1;
        let (now, at) = (self.ledger.now, self.at);
        let error = match returned.and_then(|returned| returned.error.as_deref()) {
            Some(error) => self.ledger.keep(error, at),
            None => Text::Absent,
        };
        if let Some(returned) = returned {
            self.mark_return();
            let result = self.product(returned);
            // A review that does not approve has done its work.
            let is_review = self.swarm.task(task).is_some_and(|task| task.reviews.is_some());
            let done = outcome == AttemptOutcome::Ok || is_review && outcome == AttemptOutcome::Rejected;
            let record = self.ledger.task_mut(task);
            record.messages_open = returned.messages_open && done;
            if done {
                record.result = result;
            }
        }
        let Some(attempt) = self.ledger.attempt_mut(task, grant) else { return };
        attempt.ended_ms = Some(now);
        attempt.outcome = Some(outcome);
        attempt.error = error;
        match returned {
            Some(returned) => {
                attempt.started_ms = Some(returned.started_ms.clamp(attempt.granted_ms, now));
                attempt.ran_ms = returned.ran_ms;
                if returned.usage.total() > 0 {
                    attempt.tokens = returned.usage.total();
                }
            }
            None => attempt.ran_ms = now.saturating_sub(attempt.granted_ms),
        }
    }

    fn product(&mut self, returned: &Returned) -> Product {
        match &returned.result {
            None => Product::Absent,
            Some(Payload::Json(text)) => Product::Json(self.ledger.keep(text, self.at)),
            Some(Payload::Artifact { key, bytes }) => Product::Artifact(Box::new((key.clone(), *bytes))),
        }
    }

    /// The holder's word that an attempt or a check has ended.
    fn mark_return(&mut self) {
        let mark = (self.at, self.ledger.now);
        if let Some(round) = self.ledger.rounds.last_mut() {
            round.last_return = Some(mark);
        }
    }

    /// It had returned ok, and was lost before its messages were acknowledged: so it counts as interrupted.
    fn interrupt_open_messages(&mut self, task: TaskNo) {
        if !std::mem::take(&mut self.ledger.task_mut(task).messages_open) {
            return;
        }
        self.ledger.task_mut(task).result = Product::Absent;
        let outcome = AttemptOutcome::Interrupted;
        let Some(attempt) = self.ledger.last_attempt_mut(task) else { return };
        attempt.outcome = Some(outcome);
        let (number, peer) = (attempt.number, attempt.peer);
        self.tell(EventKind::AttemptEnded, || Said {
            task: Some(task),
            attempt: Some(number),
            peer: Some(peer),
            outcome: Some(outcome.into()),
            detail: Some("its peer was lost while its messages were open".to_owned()),
            ..Said::default()
        });
    }

    fn check_ended(&mut self, op: &Op, task: TaskNo, attempt: u32, passed: bool) {
        let evidence = match op {
            Op::Checked { evidence, .. } => evidence.as_str(),
            _ => "",
        };
        self.mark_return();
        if !passed {
            let error = self.ledger.keep(evidence, self.at);
            self.ledger.task_mut(task).result = Product::Absent;
            if let Some(last) = self.ledger.last_attempt_mut(task) {
                last.outcome = Some(AttemptOutcome::Unverified);
                last.error = error;
            }
        }
        let outcome = if passed { OutcomeWord::Ok } else { OutcomeWord::Unverified };
        self.tell(EventKind::CheckEnded, || Said {
            task: Some(task),
            attempt: Some(attempt),
            outcome: Some(outcome),
            detail: (!evidence.is_empty()).then(|| evidence.to_owned()),
            ..Said::default()
        });
    }

    fn closed(&mut self, task: TaskNo, outcome: Outcome, because: Option<TaskNo>) {
        if outcome != Outcome::Ok {
            self.interrupt_open_messages(task);
        }
        self.ledger.task_mut(task).closed_ms = Some(self.ledger.now);
        let attempt = self.ledger.last_attempt_mut(task).map(|one| one.number);
        let because = because.and_then(|no| self.swarm.task(no)).map(|other| other.id.clone());
        self.tell(EventKind::TaskClosed, || Said {
            task: Some(task),
            attempt,
            outcome: Some(outcome.into()),
            detail: because.map(|id| format!("because {id:?} did not complete")),
            ..Said::default()
        });
    }

    fn happened_to_round(&mut self, effect: Effect) {
        let (now, offered) = (self.ledger.now, self.ledger.offered());
        match effect {
            Effect::RoundOpened { round } => {
                let record = RoundRecord { number: round, opened_ms: now, slot_ms: offered, ..RoundRecord::default() };
                self.ledger.rounds.push(record);
                self.tell_round(EventKind::RoundOpened, format!("round {round}"));
            }
            Effect::Sealed { round } => {
                self.ledger.counts.seals += 1;
                if let Some(record) = self.ledger.rounds.last_mut() {
                    record.sealed_ms = Some(now);
                }
                self.tell_round(EventKind::RoundSealed, format!("round {round}"));
            }
            Effect::RoundClosed { round, at, ok, failed } => {
                if let Some(record) = self.ledger.rounds.last_mut() {
                    record.closed = Some((at, now));
                    record.slot_ms_closed = offered;
                }
                self.tell_round(EventKind::RoundClosed, format!("round {round}: {ok} ok, {failed} failed"));
            }
            _ => {}
        }
    }

    fn tell_round(&mut self, event: EventKind, detail: String) {
        self.tell(event, || Said { detail: Some(detail), ..Said::default() });
    }

    fn happened_to_members(&mut self, op: &Op, effect: Effect) {
        let now = self.ledger.now;
        match effect {
            Effect::Joined { node } => {
                let record = self.ledger.node_mut(node);
                (record.joined_ms, record.seen_ms) = (now, now);
                self.ledger.incarnations.insert(self.at, node);
                self.tell_node(EventKind::NodeJoined, node);
            }
            Effect::NodeLeft { node } => self.tell_node(EventKind::NodeLeft, node),
            Effect::NodeLost { node } => self.tell_node(EventKind::NodeLost, node),
            Effect::PeerUp { peer } => self.peer_up(op, peer),
            Effect::PeerDown { peer, why } => {
                self.ledger.set_slots(peer, 0);
                let record = self.ledger.peer_mut(peer);
                record.mark(now);
                (record.up, record.down) = (false, Some(why));
                let detail = why.map_or("with its node", super::report::down_word);
                self.tell_peer(EventKind::PeerDown, peer, Some(detail));
            }
            Effect::Paused { peer, reason } => {
                let record = self.ledger.peer_mut(peer);
                record.mark(now);
                record.paused = true;
                self.tell_peer(EventKind::PeerPaused, peer, Some(reason.word()));
            }
            Effect::Resumed { peer } => {
                let record = self.ledger.peer_mut(peer);
                record.mark(now);
                record.paused = false;
                self.tell_peer(EventKind::PeerResumed, peer, None);
            }
            _ => {}
        }
    }

    fn peer_up(&mut self, op: &Op, peer: PeerNo) {
        let Op::PeerUp(spec) = op else { return };
        let now = self.ledger.now;
        self.ledger.set_slots(peer, spec.slots);
        let record = self.ledger.peer_mut(peer);
        record.mark(now);
        if !record.up {
            record.paused = false;
        }
        (record.up, record.down) = (true, None);
        let first = !std::mem::replace(&mut record.known, true);
        let node = self.swarm.peer(peer).map(|peer| peer.node);
        let joined = node.and_then(|node| self.ledger.nodes.get(node.index())).map_or(now, |node| node.joined_ms);
        let counts = &mut self.ledger.counts;
        counts.announcements += 1;
        counts.last_announcement_ms = Some(now);
        if first {
            counts.peers_discovered += 1;
            counts.latency_ms = counts.latency_ms.saturating_add(now.saturating_sub(joined));
        }
        if self.ledger.rounds.is_empty() || self.ledger.discovered_ms.is_none() {
            self.ledger.discovered_ms = Some(now);
        }
        let slots = spec.slots;
        let place = place_in_words(self.swarm, peer);
        let detail = format!("{slots} slots, capabilities {:?}{place}", spec.capabilities);
        self.tell_peer(EventKind::PeerUp, peer, Some(&detail));
    }

    fn tell_node(&mut self, event: EventKind, node: NodeNo) {
        let name = self.swarm.node(node).map(|node| node.name.to_string());
        self.tell(event, || Said { detail: name, ..Said::default() });
    }
}

fn some_tokens(tokens: u64) -> Option<u64> {
    (tokens > 0).then_some(tokens)
}

fn artifact_key(returned: &Returned) -> Option<String> {
    match &returned.result {
        Some(Payload::Artifact { key, .. }) => Some(key.clone()),
        _ => None,
    }
}

fn op_task(op: &Op) -> Option<TaskNo> {
    match op {
        Op::Return(returned) => Some(returned.task),
        Op::Settled { task, .. }
        | Op::Wait { task, .. }
        | Op::Checked { task, .. }
        | Op::Cancel { task }
        | Op::Usage { task, .. }
        | Op::Progress { task, .. } => Some(*task),
        Op::Submit(submission) => submission.parent.map(|(task, _)| task),
        _ => None,
    }
}

fn op_word(op: &Op) -> &'static str {
    match op {
        Op::Open { .. } => "open",
        Op::Configure { .. } => "configure",
        Op::Join { .. } => "join",
        Op::NodeLost { .. } => "node-lost",
        Op::Alive => "alive",
        Op::PeerUp(_) => "peer-up",
        Op::PeerDown { .. } => "peer-down",
        Op::Pause { .. } => "pause",
        Op::Resume { .. } => "resume",
        Op::Submit(_) => "submit",
        Op::Return(_) => "return",
        Op::Settled { .. } => "settled",
        Op::Wait { .. } => "wait",
        Op::Checked { .. } => "checked",
        Op::Cancel { .. } => "cancel",
        Op::Seal { .. } => "seal",
        Op::Due { .. } => "due",
        Op::Rebalance => "rebalance",
        Op::Usage { .. } => "usage",
        Op::Progress { .. } => "progress",
        Op::Leave => "leave",
    }
}
