//! A batch is stored: the production `apply` says what happens, and this module whether it may.

use super::ledger::Ledger;
use super::observer::{Evidence, Observer};
use super::verdict::{Check, Property, Violation, require};
use super::world::{Cell, Key, World};
use meshwork_core::{
    Applied, AttemptOutcome, Batch, ClosedRound, Effect, Grant, Op, Outcome, PauseReason, PeerNo, Phase, Position,
    Submission, Swarm, TaskNo, content_hash,
};
use std::sync::Arc;

/// Everything that a check of one entry looks at.
struct Reader<'a> {
    /// Before the batch.
    before: &'a Swarm,
    /// After it.
    after: &'a Swarm,
    world: &'a World,
    ledger: Ledger,
    observer: Observer,
    closed: Option<ClosedRound>,
}

impl World {
    /// The log stores a batch. What nodes do about it is another step.
    pub(crate) fn store(&mut self, batch: &Arc<Batch>) -> Check {
        let seq = self.reference.last().seq + 1;
        let mut after = (*self.reference).clone();
        // Nobody reads the author's clock for anything, so here it says something else.
        let elsewhere = Batch { time_ms: 0, ..(**batch).clone() };
        let before_seq =
            after.node_no(batch.author.incarnation).and_then(|no| after.node(no)).map(|node| node.last_seq);
        damage_is_found(&mut after, seq, &elsewhere)?;
        let applied = after.apply_batch(seq, &elsewhere);
        let fault = |fault| Violation { property: Property::Log, what: format!("{fault}") };
        let applied = applied.map_err(fault)?;
        after.check_invariants();
        let again = before_seq.is_some_and(|last| batch.seq <= last);
        require(applied.duplicate == again, Property::Commit, || format!("batch {} is applied twice", batch.seq))?;
        let (observer, closed) = {
            let ledger = Ledger::of(&self.reference);
            let observer = self.observer.clone();
            let before = &*self.reference;
            let mut reader = Reader { before, after: &after, world: self, ledger, observer, closed: None };
            reader.read(seq, batch, &applied)?;
            (reader.observer, reader.closed)
        };
        let accepted = applied.effects.iter().map(|effects| effects.refusal.is_none()).collect();
        let hash = after.state_hash();
        let before = self.log.take();
        self.log = Some(Arc::new(Cell { seq, batch: batch.clone(), hash, accepted, closed, before }));
        self.reference = Arc::new(after);
        self.observer = observer;
        Ok(())
    }
}

/// A log with a hole, one that lost a batch of this author, and one in which something else was applied than
/// the author had, are all found out by this batch, before anything of it is applied.
fn damage_is_found(swarm: &mut Swarm, seq: u64, batch: &Batch) -> Check {
    let mut found = |what: &str, seq: u64, damaged: &Batch| {
        let applied = swarm.apply_batch(seq, damaged);
        require(applied.is_err(), Property::Log, || format!("{what} is not found out by batch {seq}: {applied:?}"))
    };
    found("a hole", seq + 1, batch)?;
    let mut damaged = Batch { entries: Vec::new(), ..batch.clone() };
    if batch.author.incarnation > Position::START {
        damaged.seq = u64::MAX;
        found("a lost batch", seq, &damaged)?;
        damaged.seq = batch.seq;
    }
    if batch.seen.seq > 0 {
        damaged.seen.hash = batch.seen.hash ^ 1;
        found("another history", seq, &damaged)?;
    }
    Ok(())
}

impl Reader<'_> {
    fn read(&mut self, seq: u64, batch: &Batch, applied: &Applied) -> Check {
        let author = batch.author.incarnation;
        for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
            let at = Position::new(seq, index);
            if effects.refusal.is_none() {
                self.accepted(op, at, batch)?;
            } else {
                self.refused(op)?;
            }
            if let (Op::Settled { task, .. }, None) = (op, &effects.refusal) {
                self.ledger.messages.remove(task);
            }
            if self.ledger.present.contains_key(&author) {
                self.ledger.heard.insert(author, at);
            }
            for effect in &effects.list {
                self.effect(at, *effect)?;
                self.observe(*effect);
                self.ledger.take(op, author, at, *effect, self.after);
            }
            if effects.refusal.is_none() {
                self.afterwards(op, &effects.list, author)?;
            }
        }
        let agrees = self.ledger.agrees(self.after);
        require(agrees, Property::Invariants, || self.ledger.difference(self.after).unwrap_or_default())?;
        self.limits()
    }

    /// An accepted entry fulfils its row of section 2.
    fn accepted(&self, op: &Op, at: Position, batch: &Batch) -> Check {
        let (author, ledger) = (batch.author.incarnation, &self.ledger);
        let known = ledger.present.get(&author) == Some(&batch.author.node);
        let holds = |task: TaskNo, grant: Grant| ledger.holds(task, grant, author);
        let fulfils = match op {
            Op::Open { .. } => !self.before.is_open() && at.index() == 0,
            Op::Join { replaces, .. } => {
                let last = ledger.last.get(&batch.author.node).copied();
                *replaces == last.unwrap_or_else(|| self.before.last_incarnation(&batch.author.node))
            }
            _ if !known => false,
            Op::NodeLost { incarnation, heard } => {
                let last = ledger.heard.get(incarnation);
                last.is_some_and(|last| last <= heard || *incarnation == author)
            }
            Op::Pause { peer, reason: PauseReason::Idle } if at.index() == 0 => {
                let peer = self.before.find_peer(peer).and_then(|no| self.before.peer(no));
                peer.is_some_and(|peer| peer.load() == 0)
            }
            Op::Submit(Submission { parent: Some((task, grant)), .. }) => {
                let runs = holds(*task, *grant).is_some_and(|live| !live.check);
                let handles = ledger.messages.get(task) == Some(grant);
                (runs || handles) && !ledger.cancelled.contains(task)
            }
            Op::Return(returned) => return self.returned((returned.task, returned.grant), author),
            Op::Settled { task, grant } => ledger.messages.get(task) == Some(grant),
            Op::Wait { task, grant, .. } => holds(*task, *grant).is_some_and(|live| !live.check && !live.waiting),
            Op::Checked { task, grant, .. } => holds(*task, *grant).is_some_and(|live| live.check),
            Op::Usage { task, grant, .. } | Op::Progress { task, grant, .. } => holds(*task, *grant).is_some(),
            Op::Leave => !ledger.hosts.values().any(|host| *host == author),
            Op::Cancel { task } => !ledger.closed.contains_key(task),
            Op::Seal { round } => ledger.round.is_some_and(|(number, _)| number == *round),
            Op::Due { wait } => ledger.waits.contains(wait),
            _ => true,
        };
        require(fulfils, Property::Acceptance, || format!("{at} was accepted: {op:?}"))
    }

    /// A result is taken from the present grant, and when no process of the attempt is left.
    fn returned(&self, key: Key, author: Position) -> Check {
        let live = self.ledger.holds(key.0, key.1, author).filter(|live| !live.check);
        require(live.is_some(), Property::Commit, || format!("a result of {key:?} was taken from {author}"))?;
        let runs = self.world.alive().any(|(_, process)| process.bodies.contains_key(&key));
        require(!runs, Property::Processes, || format!("{key:?} was returned, and its body runs"))
    }

    /// A refused result is kept where people can look at it.
    fn refused(&self, op: &Op) -> Check {
        let Op::Return(returned) = op else { return Ok(()) };
        let known = self.after.task(returned.task).is_some();
        let kept = self.after.rejected(returned.task).any(|rejected| rejected.grant == returned.grant);
        require(kept || !known, Property::Commit, || format!("the refused result of {:?} is not kept", returned.task))
    }

    /// Before the effect is taken in.
    fn effect(&mut self, at: Position, effect: Effect) -> Check {
        match effect {
            Effect::Start { task, grant, peer, attempt } => {
                self.granted(at, (task, grant), peer)?;
                self.is_open(task, peer)?;
                let remembered = *self.observer.of(task);
                require(remembered.evidence != Evidence::Owed, Property::Commit, || {
                    format!("{task:?} is run again, and its evidence was not looked at")
                })?;
                require(attempt == remembered.next, Property::Commit, || {
                    format!("{task:?} begins attempt {attempt}, expected {}", remembered.next)
                })
            }
            Effect::Check { task, grant, peer, .. } => self.granted(at, (task, grant), peer),
            Effect::Continue { peer, task, .. } => {
                let waits = self.ledger.live.get(&task).is_some_and(|live| live.waiting);
                self.fits(peer, usize::from(waits))
            }
            Effect::Closed { task, outcome, .. } => self.closes(task, outcome),
            Effect::RoundClosed { round, at: completion, ok, failed } => {
                self.closed = Some(ClosedRound { number: round, at: completion, ok, failed });
                self.round_closes(at, ClosedRound { number: round, at: completion, ok, failed })
            }
            Effect::Submitted { task, .. } | Effect::ReviewOpened { review: task, .. } => self.is_new(task),
            _ => Ok(()),
        }
    }

    /// A grant is new, of a peer that is there, open, and has a free slot.
    fn granted(&self, at: Position, (task, grant): Key, peer: PeerNo) -> Check {
        let is_new = grant == at && !self.ledger.live.contains_key(&task) && !self.ledger.closed.contains_key(&task);
        require(is_new, Property::Commit, || format!("{task:?} is granted at {at} as {grant}"))?;
        let host = self.ledger.hosts.get(&peer).is_some_and(|host| self.ledger.present.contains_key(host));
        require(host, Property::Invariants, || format!("{task:?} is granted to {peer:?}, whose node is lost"))?;
        self.fits(peer, 1)
    }

    /// An attempt begins on a peer that gets work. (The check of one that returned there is no new work.)
    fn is_open(&self, task: TaskNo, peer: PeerNo) -> Check {
        let reason = self.ledger.paused.get(&peer).filter(|reason| **reason != PauseReason::Idle);
        require(reason.is_none(), Property::Invariants, || {
            format!("{task:?} is granted to {peer:?}, which is paused: {reason:?}")
        })
    }

    fn fits(&self, peer: PeerNo, more: usize) -> Check {
        let slots = self.after.peer(peer).map_or(0, |peer| peer.slots as usize);
        let busy = self.ledger.busy(peer) + more;
        require(busy <= slots, Property::Invariants, || format!("{peer:?} has {slots} slots and is given {busy} tasks"))
    }

    fn closes(&mut self, task: TaskNo, outcome: Outcome) -> Check {
        let open = self.after.children(task).find(|child| !self.ledger.closed.contains_key(child));
        require(open.is_none(), Property::Safety, || format!("{task:?} closes, and its child {open:?} is open"))?;
        let runs = self.ledger.live.contains_key(&task) || self.ledger.messages.contains_key(&task);
        require(!runs, Property::Safety, || format!("{task:?} closes, and something of it runs"))?;
        let again = self.ledger.closed.contains_key(&task);
        require(!again, Property::Commit, || format!("{task:?} closes twice"))?;
        let Some(record) = self.after.task(task).filter(|_| outcome == Outcome::Ok) else { return Ok(()) };
        let held = !record.verify || self.observer.of(task).evidence == Evidence::Held;
        require(held, Property::Commit, || format!("{task:?} closes ok without its evidence"))?;
        let votes = self.after.votes(task);
        let approved = record.review.is_none_or(|terms| votes.approvals >= terms.approvals);
        require(approved, Property::Commit, || format!("{task:?} closes ok with {votes:?}"))
    }

    /// **No early "done".**
    fn round_closes(&self, at: Position, closed: ClosedRound) -> Check {
        let number = closed.number;
        require(closed.at == at, Property::Safety, || format!("round {number} closes at {at} as {}", closed.at))?;
        let sealed = self.ledger.round == Some((number, true));
        require(sealed, Property::Safety, || format!("round {number} closes unsealed: {:?}", self.ledger.round))?;
        let pending = &self.observer.submitters;
        require(pending.is_empty(), Property::Safety, || {
            format!("round {number} closes; more of {pending:?} follows")
        })?;
        let of_round = || self.after.tasks().filter(|(_, task)| task.round == number);
        let open = of_round().find(|(no, _)| !self.ledger.closed.contains_key(no));
        require(open.is_none(), Property::Safety, || format!("round {number} closes, and {open:?} is open"))?;
        let counted = || of_round().filter(|(_, task)| task.reviews.is_none());
        let ok = counted().filter(|(no, _)| self.ledger.closed.get(no) == Some(&Outcome::Ok)).count();
        let counts = (closed.ok as usize, closed.failed as usize) == (ok, counted().count() - ok);
        require(counts, Property::Safety, || format!("round {number} counts wrongly: {closed:?}"))?;
        // Of an attempt whose result counts no body runs, and no message is in flight.
        let counts = |(task, grant): &Key| {
            let record = self.after.task(*task);
            self.ledger.closed.get(task) == Some(&Outcome::Ok) && record.is_some_and(|task| task.last_grant == *grant)
        };
        for (name, process) in self.world.alive() {
            let left = process.bodies.keys().chain(process.messages.keys()).find(|key| counts(key));
            require(left.is_none(), Property::Safety, || format!("round {number} closes; n{name} has left {left:?}"))?;
        }
        Ok(())
    }

    /// Of one id there is one task a generation.
    fn is_new(&self, task: TaskNo) -> Check {
        let Some(new) = self.after.task(task) else { return Ok(()) };
        let same = |(no, other): &(TaskNo, &meshwork_core::Task)| {
            *no != task && other.id == new.id && other.generation == new.generation
        };
        let other = self.after.tasks().find(same);
        require(other.is_none(), Property::Commit, || format!("{} has two tasks of one generation", new.id))
    }

    fn observe(&mut self, effect: Effect) {
        match effect {
            Effect::AttemptEnded { task, attempt, outcome, .. } => {
                let verify = self.after.task(task).is_some_and(|task| task.verify);
                self.observer.attempt_ended(task, attempt, outcome, verify);
            }
            Effect::CheckEnded { task, attempt, passed } => {
                self.observer.check_ended(task, attempt, passed);
            }
            // Revoked with messages open: interrupted, so the next one keeps its number.
            Effect::Stop { task, awaited: false, .. } if !self.ledger.live.contains_key(&task) => {
                if let Some(attempt) = self.after.task(task).map(|task| task.attempt) {
                    self.observer.attempt_ended(task, attempt, AttemptOutcome::Interrupted, false);
                }
            }
            Effect::Closed { task, .. } => {
                self.observer.tasks.remove(&task);
            }
            Effect::NodeLost { node } | Effect::NodeLeft { node } => {
                if let Some(node) = self.after.node(node) {
                    self.observer.submitters.remove(&node.incarnation);
                }
            }
            _ => {}
        }
    }

    /// After the effects of an accepted entry.
    fn afterwards(&mut self, op: &Op, effects: &[Effect], author: Position) -> Check {
        if let Op::Submit(submission) = op {
            return self.submitted(submission, effects, author);
        }
        let ends = effects.iter().filter_map(|effect| match effect {
            Effect::CancelMarked { task } => Some((*task, None)),
            Effect::AttemptEnded { task, grant, outcome: AttemptOutcome::Ok, .. } => Some((*task, Some(*grant))),
            _ => None,
        });
        for (task, grant) in ends {
            let belongs = |child: &TaskNo| {
                let adopted = self.after.task(*child).map(|child| child.adopted_by);
                grant.is_some() && adopted == grant
            };
            let open = |child: &TaskNo| {
                !self.ledger.closed.contains_key(child) && !self.ledger.cancelled.contains(child) && !belongs(child)
            };
            let left = self.after.children(task).find(open);
            require(left.is_none(), Property::Commit, || format!("{task:?} leaves its child {left:?} behind"))?;
        }
        Ok(())
    }

    fn submitted(&mut self, submission: &Submission, effects: &[Effect], author: Position) -> Check {
        if submission.parent.is_none() {
            if submission.more {
                self.observer.submitters.insert(author);
            } else {
                self.observer.submitters.remove(&author);
            }
        }
        for effect in effects {
            let (Effect::Submitted { task, index } | Effect::Kept { task, index } | Effect::Amended { task, index }) =
                effect
            else {
                continue;
            };
            let Some(record) = self.after.task(*task) else { continue };
            let spec = &submission.tasks[*index as usize];
            let same = record.content == content_hash(spec);
            require(same, Property::Commit, || format!("{} passes for a task of other content", record.id))?;
            let adopted = submission.parent.is_none_or(|(_, grant)| record.adopted_by == grant);
            require(adopted, Property::Commit, || format!("{} was submitted, and is not adopted", record.id))?;
            let free = |no: &TaskNo| {
                let other = self.after.task(*no);
                other.is_some_and(|other| other.parent == record.parent) || self.ledger.closed.contains_key(no)
            };
            let foreign = record.dependencies.iter().find(|no| !free(no));
            require(foreign.is_none() || record.parent.is_none(), Property::Acceptance, || {
                format!("{} depends on {foreign:?}, which is neither a sibling nor closed", record.id)
            })?;
        }
        Ok(())
    }

    /// A task that reached a limit goes on to its end.
    fn limits(&self) -> Check {
        let limits = &self.after.config().limits;
        for (no, task) in self.after.tasks() {
            let over = task.failures > task.retries
                || task.crashes >= limits.crashes
                || task.interruptions >= limits.interruptions;
            let ends = matches!(task.phase, Phase::Returned | Phase::Closed { .. });
            require(!over || ends, Property::Commit, || format!("{no:?} is over its limits and goes on"))?;
        }
        Ok(())
    }
}
