//! People: who submits, seals, cancels, pauses and resumes, asks again when nobody answered, and puts things
//! right once the world has calmed down. And what everybody who asks was answered.

use super::faults::Fault;
use super::finding::FindingKind;
use super::trace;
use super::witness::Key;
use super::workload::Job;
use super::world::{Event, World, say};
use crate::node::{Answer, Input, Ticket};
use crate::{ClosedRound, Op, Outcome, PauseReason, Position, Refusal, Submission, TaskNo};
use std::collections::BTreeMap;

/// Who is not answered asks again after this long, in virtual ms.
const PATIENCE_MS: u64 = 300;
/// The next part of a submission comes within this time, in virtual ms, where its author is slow.
const SLOW_PART_MS: u64 = 2_500;
/// Who is refused for what somebody else has yet to submit asks so often.
const TRIES: u32 = 40;

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Who submits this job.
    Job(usize),
    /// A body that submits children.
    Spawn(Key),
    /// A body that waits for them.
    Wait(Key),
    /// The handler of this message.
    Handler(u64),
    Nobody,
}

/// A wish that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) op: Op,
    pub(super) whom: Whom,
}

/// A job on its way into the log.
pub(super) struct Errand {
    job: Job,
    part: usize,
    /// Whom it was given to, while it is not answered.
    host: Option<usize>,
    tries: u32,
    pub(super) done: bool,
    /// What it was told its tasks are.
    tasks: Vec<(String, TaskNo)>,
}

/// A round that closed, and who told of it when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) round: ClosedRound,
    /// When the last result that counts was handed to its node.
    pub(super) last_result: u64,
    pub(super) first_told: Option<u64>,
    pub(super) last_told: u64,
}

/// People and what they have in mind.
#[derive(Default)]
pub(super) struct People {
    /// What is still to be submitted, round by round, the next one last.
    pub(super) later: Vec<Vec<Job>>,
    pub(super) errands: Vec<Errand>,
    pub(super) closings: BTreeMap<u32, Closing>,
    pub(super) tickets: u64,
    /// How often people had to put something right since the last thing that happened by itself.
    pub(super) helped: u32,
}

impl World<'_> {
    /// The next round's jobs are given out.
    pub(super) fn begin_round(&mut self, within_ms: u64) -> bool {
        let Some(jobs) = self.people.later.pop() else { return false };
        for job in jobs {
            let errand = Errand { job, part: 0, host: None, tries: 0, done: false, tasks: Vec::new() };
            self.people.errands.push(errand);
            let ms = self.dice.ms(within_ms);
            self.after(ms, Event::Errand(self.people.errands.len() - 1));
        }
        true
    }

    pub(super) fn wish(&mut self, host: usize, op: Op, whom: Whom) {
        if self.hosts[host].node.is_none() {
            return;
        }
        self.people.tickets += 1;
        let ticket = Ticket(self.people.tickets);
        say!(self, self.hosts[host].name, "is asked: {}", self.judge.word(&op));
        self.hosts[host].asked.insert(ticket, Asked { op: op.clone(), whom });
        self.tell(host, Input::Wish { op, ticket: Some(ticket) });
    }

    pub(super) fn errand(&mut self, index: usize) {
        let errand = &self.people.errands[index];
        if errand.done {
            return;
        }
        let host = errand.host.filter(|host| errand.part > 0 && self.hosts[*host].node.is_some());
        let Some(host) = host.or_else(|| self.living(false)) else {
            if self.hosts.iter().all(|host| host.gone || host.faulted) {
                return;
            }
            return self.after(PATIENCE_MS, Event::Errand(index));
        };
        let errand = &mut self.people.errands[index];
        if errand.host != Some(host) {
            errand.part = 0;
        }
        errand.host = Some(host);
        if errand.part == 0 {
            errand.tasks.clear();
        }
        let tasks = errand.job.parts[errand.part].clone();
        let more = errand.part + 1 < errand.job.parts.len();
        if more {
            self.report.note("a submission came in parts");
        }
        self.wish(host, Op::Submit(Submission { tasks, parent: None, more }), Whom::Job(index));
    }

    fn errand_answered(&mut self, index: usize, host: usize, op: &Op, answer: &Answer) {
        let errand = &mut self.people.errands[index];
        let (Op::Submit(submission), part) = (op, errand.part) else { return };
        match answer {
            Answer::Accepted { tasks, .. } => {
                let ids = submission.tasks.iter().map(|spec| spec.id.clone());
                errand.tasks.extend(ids.zip(tasks.iter().copied()));
                errand.part += 1;
                errand.done = errand.part == errand.job.parts.len();
                if errand.done {
                    self.may_seal(host);
                } else {
                    // Who has more to come may take a while; others may think that it was all.
                    let slow = !self.calm && self.dice.chance(30);
                    let ms = 1 + if slow { self.dice.ms(SLOW_PART_MS) } else { 0 };
                    self.after(ms, Event::Errand(index));
                    if slow && self.plan.faults.has(Fault::EarlySeal) {
                        self.report.inject(Fault::EarlySeal.name());
                        self.seal(host);
                    }
                }
            }
            Answer::NodeLost => {
                self.report.note("a wish was left undecided");
                errand.part = 0;
                let ms = PATIENCE_MS + self.dice.ms(PATIENCE_MS);
                self.after(ms, Event::Errand(index));
            }
            Answer::Refused(refusal) => {
                // What it depends on may be somebody else's to submit; what has begun cannot be changed.
                errand.tries += 1;
                errand.done = !matches!(refusal, Refusal::UnknownDependency { .. }) || errand.tries == TRIES;
                errand.part = 0;
                let done = errand.done;
                self.report.note(if done { "a submission was refused" } else { "a submission came too early" });
                if part > 0 {
                    let last = Submission { tasks: Vec::new(), parent: None, more: false };
                    self.wish(host, Op::Submit(last), Whom::Nobody);
                }
                if !done {
                    self.after(PATIENCE_MS, Event::Errand(index));
                }
            }
            Answer::TooLarge { .. } => {
                self.found(FindingKind::FalseAnswer, "a small submission is said to be too large");
            }
        }
    }

    /// Who has submitted the last of it mostly seals at once, as `meshwork run` does.
    fn may_seal(&mut self, host: usize) {
        let all = self.people.errands.iter().all(|errand| errand.done);
        if all && self.dice.chance(70) {
            self.seal(host);
        }
    }

    pub(super) fn seal(&mut self, host: usize) {
        let node = self.hosts[host].node.as_ref();
        if let Some(round) = node.and_then(|node| node.swarm().round()).map(|round| round.number) {
            self.wish(host, Op::Seal { round }, Whom::Nobody);
        }
    }

    /// A process died: who had asked it asks somebody else.
    pub(super) fn asked_in_vain(&mut self, asked: BTreeMap<Ticket, Asked>) {
        for (_, asked) in asked {
            match asked.whom {
                Whom::Job(index) => {
                    self.people.errands[index].host = None;
                    self.after(PATIENCE_MS, Event::Errand(index));
                }
                Whom::Handler(id) => self.handler_finished(id),
                _ => {}
            }
        }
    }

    /// A wish is answered: once, and with what the log says.
    pub(super) fn answered(&mut self, host: usize, ticket: Ticket, answer: &Answer) {
        let Some(asked) = self.hosts[host].asked.remove(&ticket) else {
            let text = format!("{} answers what nobody asked, or a second time", self.hosts[host].name);
            return self.found(FindingKind::FalseAnswer, text);
        };
        if asked.whom != Whom::Nobody {
            say!(self, self.hosts[host].name, "answers {}: {}", self.judge.word(&asked.op), trace::answer(answer));
        }
        if let Err(why) = self.is_borne_out(host, &asked.op, answer) {
            let word = self.judge.word(&asked.op);
            let text = format!("{} answers {word}: {}, {why}", self.hosts[host].name, trace::answer(answer));
            return self.found(FindingKind::FalseAnswer, text);
        }
        match asked.whom {
            Whom::Job(index) => self.errand_answered(index, host, &asked.op, answer),
            Whom::Spawn(_) | Whom::Wait(_) => self.body_answered(host, &asked, answer),
            Whom::Handler(id) => self.handler_finished(id),
            Whom::Nobody => {}
        }
    }

    fn is_borne_out(&mut self, host: usize, op: &Op, answer: &Answer) -> Result<(), &'static str> {
        if self.regressed.is_some() {
            return Ok(());
        }
        let name = &self.hosts[host].name;
        match answer {
            Answer::Accepted { position, tasks } => {
                let batch = self.log.get(position.seq()).ok_or("and the log does not reach so far")?;
                let there = batch.author.node == *name && batch.entries.get(position.index()) == Some(op);
                if !there || self.hosts[host].reading != Some(position.seq()) {
                    return Err("and the log holds something else there");
                }
                if self.witness.refused.contains(position) {
                    return Err("and it was refused");
                }
                let Op::Submit(submission) = op else { return Ok(()) };
                let is_named = |(spec, task): (&crate::TaskSpec, &TaskNo)| {
                    self.judge.tasks.get(task.index()).is_some_and(|facts| facts.spec.id == spec.id)
                };
                let all = tasks.len() == submission.tasks.len() && submission.tasks.iter().zip(tasks).all(is_named);
                if all { Ok(()) } else { Err("and its tasks are others") }
            }
            Answer::Refused(_) => {
                let seq = self.hosts[host].reading.ok_or("and nothing was read")?;
                let batch = self.log.get(seq).ok_or("and the log does not reach so far")?;
                let refused = batch.entries.iter().enumerate().any(|(index, entry)| {
                    let is_it = entry == op || matches!(entry, Op::Join { .. });
                    is_it && self.witness.refused.contains(&Position::new(seq, index))
                });
                if refused { Ok(()) } else { Err("and it was not") }
            }
            Answer::NodeLost => {
                if let (Op::Submit(_), Some(incarnation)) = (op, self.incarnation_before(host)) {
                    self.witness.undecided.push((incarnation, op.clone()));
                }
                Ok(())
            }
            Answer::TooLarge { .. } => Ok(()),
        }
    }

    /// The incarnation that the present process has or had last.
    fn incarnation_before(&self, host: usize) -> Option<Position> {
        let node = self.hosts[host].node.as_ref()?;
        Some(node.swarm().last_incarnation(&self.hosts[host].name))
    }

    /// A node tells of a completion: it must be a fact of the log.
    pub(super) fn told(&mut self, host: usize, round: ClosedRound) {
        say!(self, self.hosts[host].name, "tells that round {} is closed at {}", round.number, round.at);
        let name = self.hosts[host].name.clone();
        let now = self.now;
        // What the log has lost is no fact any more, and what it took since then is none yet.
        let is_fact = |closing: &&mut Closing| {
            closing.round == round && self.regressed.as_ref().is_none_or(|loss| round.at.seq() <= loss.kept)
        };
        let Some(closing) = self.people.closings.get_mut(&round.number).filter(is_fact) else {
            let text = format!("{name} tells that round {} is closed, and the log does not say so", round.number);
            return self.found(FindingKind::EarlyCompletion, text);
        };
        closing.first_told.get_or_insert(now);
        closing.last_told = now;
        if !self.hosts[host].told.insert(round.number) {
            return self.found(FindingKind::DoubleCommit, format!("{name} tells of round {} twice", round.number));
        }
        self.report.note("a completion was told");
        if self.people.errands.iter().all(|errand| errand.done) && self.begin_round(200) {
            self.report.note("another round began");
        }
    }

    /// What good people do when nothing happens any more by itself. `false`: there is nothing to do.
    pub(super) fn help(&mut self) -> bool {
        let mut helped = self.start_and_bury();
        let Some(host) = self.living(true).or_else(|| self.living(false)) else { return helped };
        let waiting: Vec<usize> =
            (0..self.people.errands.len()).filter(|index| !self.people.errands[*index].done).collect();
        if let Some(first) = waiting.first() {
            self.after(1, Event::Errand(*first));
            return true;
        }
        helped |= self.put_right(host);
        match self.judge.round.as_ref().map(|round| round.sealed) {
            Some(false) => {
                self.seal(host);
                true
            }
            None if !helped => self.begin_round(200),
            _ => helped,
        }
    }

    /// Starts what is to come back, and gives up on nodes that never will.
    fn start_and_bury(&mut self) -> bool {
        let mut helped = false;
        for host in 0..self.hosts.len() {
            let state = &self.hosts[host];
            if state.node.is_none() && !state.gone && !state.faulted {
                self.after(1, Event::Start(host));
                helped = true;
            }
            let (Some(incarnation), true) = (self.incarnation(host), self.hosts[host].gone) else { continue };
            if let Some(other) = self.living(true) {
                self.after(1, Event::Tell(self.process(other), Box::new(Input::Silent { incarnation })));
                self.report.note("a dead node was given up on");
                helped = true;
            }
        }
        helped
    }

    fn put_right(&mut self, host: usize) -> bool {
        let mut ops = Vec::new();
        for peer in self.judge.peers.iter().filter(|peer| peer.up) {
            if matches!(peer.paused, Some(reason) if reason != PauseReason::Idle && reason != PauseReason::Shutdown) {
                ops.push((host, Op::Resume { peer: peer.id.clone() }));
            }
        }
        for index in 0..self.hosts.len() {
            let state = &self.hosts[index];
            if !state.is_member() {
                continue;
            }
            for spec in &state.specs {
                let as_meant = self.judge.peer(&spec.id).is_some_and(|peer| {
                    peer.up && peer.slots == spec.slots && peer.capabilities.len() == spec.capabilities.len()
                });
                if !as_meant {
                    ops.push((index, Op::PeerUp(spec.clone())));
                }
            }
            let submits = self.incarnation(index).is_some_and(|incarnation| self.judge.submits(incarnation));
            if submits {
                let last = Submission { tasks: Vec::new(), parent: None, more: false };
                ops.push((index, Op::Submit(last)));
            }
            let hanging = state.bodies.iter().filter(|(key, body)| {
                let open =
                    self.judge.tasks.get(key.0.index()).is_some_and(|task| task.closed.is_none() && !task.cancelled);
                body.hangs() && open
            });
            ops.extend(hanging.map(|(key, _)| (index, Op::Cancel { task: key.0 })));
        }
        let helped = !ops.is_empty();
        for (index, op) in ops {
            self.wish(index, op, Whom::Nobody);
        }
        helped
    }

    /// Everything that was submitted has come to an end, and everybody knows.
    pub(super) fn judge_the_end(&mut self) {
        for index in 0..self.people.errands.len() {
            let errand = &self.people.errands[index];
            for (id, task) in &errand.tasks {
                let facts = self.judge.tasks.get(task.index());
                if facts.is_none_or(|facts| facts.spec.id != *id || facts.closed.is_none()) {
                    let text = format!("{id} was submitted and accepted, and has not come to an end");
                    return self.found(FindingKind::LostTask, text);
                }
            }
        }
        let last = self.log.len();
        for host in 0..self.hosts.len() {
            let state = &self.hosts[host];
            let Some(node) = &state.node else { continue };
            let name = state.name.clone();
            if node.swarm().last().seq != last {
                return self.found(FindingKind::MissedCompletion, format!("{name} has not read the whole log"));
            }
            if !node.is_member() || node.has_undecided() {
                return self
                    .found(FindingKind::MissedCompletion, format!("{name} is not at rest, and nothing happens"));
            }
            if !state.asked.is_empty() {
                return self.found(FindingKind::Unanswered, format!("{name} owes {} answers", state.asked.len()));
            }
            if let Some(key) = state.owed.first() {
                let text = format!("what {} said was never handed in by {name}", self.attempt(*key));
                return self.found(FindingKind::LostTask, text);
            }
            if let Some(key) = state.bodies.keys().next() {
                let text = format!("{} still runs at {name}", self.attempt(*key));
                return self.found(FindingKind::LostTask, text);
            }
            let due = |closing: &&Closing| closing.round.at.seq() > state.caught_up;
            let due = self.people.closings.values().filter(due).find(|due| !state.told.contains(&due.round.number));
            if let Some(due) = due {
                let text = format!("{name} never told that round {} is closed", due.round.number);
                return self.found(FindingKind::MissedCompletion, text);
            }
        }
        let outcomes = self.judge.tasks.iter().map(|task| task.closed == Some(Outcome::Ok));
        let (ok, failed): (Vec<bool>, Vec<bool>) = outcomes.partition(|ok| *ok);
        (self.report.closed_ok, self.report.closed_failed) = (ok.len() as u64, failed.len() as u64);
    }
}
