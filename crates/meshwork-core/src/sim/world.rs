//! The world: virtual time, what is to happen, and the reader that plays the log.

use super::dice::Dice;
use super::faults::Fault;
use super::finding::{Finding, FindingKind};
use super::host::Host;
use super::judge::Judge;
use super::log::Log;
use super::messages::Post;
use super::people::{Closing, People};
use super::regression::Regression;
use super::report::Report;
use super::witness::{Key, Witness};
use super::workload::Wanted;
use super::{Check, Outcome, Plan};
use crate::node::Input;
use crate::topology::{Requested, Topology};
use crate::{Applied, Batch, ClosedRound, Config, Effect, Limits, PeerSpec, Position, Swarm};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the world misbehaves, in virtual ms.
const UNREST_MS: u64 = 6_000;
/// Plans with at most this many peers get a variety of capabilities, sessions and small limits.
const SMALL_PEERS: u32 = 64;
/// People put things right at most this often in a row without a task that closes.
const HELP_MAX: u32 = 200;

/// A process: its host, and how many came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) host: usize,
    pub(super) life: u32,
}

/// What is to happen, and to which process.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The log stores a batch.
    Store(Arc<Batch>),
    /// A node is told something.
    Tell(Process, Box<Input>),
    /// A node is told that it is suspected.
    Suspected(Process),
    /// A node looks after its balance; the world is quiet although this comes again and again.
    Tick(Process, Box<Input>),
    /// A node decides on what it was told.
    Decide(Process),
    /// A node reads what the log holds.
    Read(Process),
    /// A body does its next step, or ends.
    Body(Process, Key),
    /// The time of a body is over.
    Timeout(Process, Key),
    /// A message arrives.
    Deliver(Process, u64),
    /// A handler does what it does.
    Handler(Process, u64),
    /// The messages of an attempt are acknowledged.
    Settled(Process, Key),
    /// A process starts.
    Start(usize),
    /// Somebody submits.
    Errand(usize),
    /// The world does something.
    Deed(Fault),
}

impl Event {
    /// The process to which it happens; of one that stands still it happens later, of a dead one never.
    fn process(&self) -> Option<Process> {
        match self {
            Self::Tell(process, _)
            | Self::Tick(process, _)
            | Self::Suspected(process)
            | Self::Decide(process)
            | Self::Read(process)
            | Self::Body(process, _)
            | Self::Timeout(process, _)
            | Self::Settled(process, _) => Some(*process),
            // A message that meets a dead process is a dead letter.
            Self::Deliver(..) | Self::Handler(..) => None,
            Self::Store(_) | Self::Start(_) | Self::Errand(_) | Self::Deed(_) => None,
        }
    }
}

/// Writes a line of the trace, if anybody reads it.
macro_rules! say {
    ($world:expr, $who:expr, $($text:tt)*) => {
        if $world.trace.is_some() {
            let (who, text) = ($who.to_string(), format!($($text)*));
            $world.line(&who, &text);
        }
    };
}
pub(super) use say;

/// Everything.
pub(super) struct World<'a> {
    pub(super) plan: Plan,
    pub(super) wanted: Wanted,
    pub(super) config: Config,
    pub(super) sessions: u32,
    pub(super) dice: Dice,
    pub(super) now: u64,
    serial: u64,
    agenda: BTreeMap<(u64, u64), Event>,
    /// Events that are more than a look at the balance.
    lively: usize,
    pub(super) hosts: Vec<Host>,
    pub(super) log: Log,
    /// Plays what the log says; broken as the nodes are, so that they agree.
    pub(super) reader: Swarm,
    pub(super) judge: Judge,
    pub(super) witness: Witness,
    pub(super) post: Post,
    pub(super) people: People,
    /// The world behaves from now on.
    pub(super) calm: bool,
    /// The log has lost batches.
    pub(super) regressed: Option<Regression>,
    pub(super) report: Report,
    pub(super) findings: Vec<Finding>,
    pub(super) trace: Option<&'a mut dyn FnMut(&str)>,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: Plan, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut dice = Dice::new(plan.seed);
        let small = plan.peers <= SMALL_PEERS;
        let config = if small { small_config(&mut dice) } else { Config::default() };
        let sessions = if small { dice.between(1, 4) } else { u32::MAX };
        let hosts = hosts(&plan, &mut dice);
        let tasks = usize::try_from(plan.tasks).unwrap_or(usize::MAX);
        let wanted = Wanted { workload: plan.workload, tasks, faults: plan.faults };
        let mut people = People { later: wanted.rounds(&mut dice), ..People::default() };
        people.later.reverse();
        let mut world = Self {
            wanted,
            config,
            sessions,
            dice,
            now: 0,
            serial: 0,
            agenda: BTreeMap::new(),
            lively: 0,
            hosts,
            log: Log::default(),
            reader: Swarm::new(),
            judge: Judge::default(),
            witness: Witness::default(),
            post: Post::default(),
            people,
            calm: plan.faults.count() == 0,
            regressed: None,
            report: Report { schedules: 1, sample_every: 1, ..Report::default() },
            findings: Vec::new(),
            trace,
            plan,
        };
        world.reader = world.fresh_swarm(0);
        world
    }

    /// A state before the first entry.
    pub(super) fn fresh_swarm(&self, process: u64) -> Swarm {
        self.as_broken(Swarm::new(), process)
    }

    /// With the rule broken that the plan breaks, in a process that differs from others by this number.
    #[cfg_attr(
        not(any(test, feature = "mutants")),
        expect(unused_variables, clippy::unused_self, reason = "without mutants nothing is broken")
    )]
    pub(super) fn as_broken(&self, swarm: Swarm, process: u64) -> Swarm {
        #[cfg(any(test, feature = "mutants"))]
        let swarm = swarm.broken_by(self.plan.mutant).in_process(process);
        #[cfg(test)]
        let swarm = {
            let mut swarm = swarm;
            swarm.probe.unchecked = true;
            swarm
        };
        swarm
    }

    /// Unrest, then everybody behaves and rounds are sealed: until nothing more is to be done.
    pub(super) fn play(&mut self) {
        for host in 0..self.hosts.len() {
            let ms = self.dice.ms(100);
            self.after(ms, Event::Start(host));
        }
        self.begin_round(if self.calm { 1 } else { UNREST_MS / 3 });
        self.plan_deeds(UNREST_MS);
        let most = 20_000 + 1_000 * u64::from(self.plan.tasks) + 100 * u64::from(self.plan.peers);
        loop {
            while self.lively > 0 && self.findings.is_empty() {
                let Some(((at, _), event)) = self.agenda.pop_first() else { break };
                self.lively -= usize::from(!matches!(event, Event::Tick(..)));
                self.now = at;
                if at >= UNREST_MS && !self.calm {
                    self.calm_down();
                }
                self.report.events += 1;
                if self.report.events > most {
                    if self.regressed.is_some() {
                        // What it does on a log that has lost batches is of no use; that it is found out is.
                        return self.judge_the_regression();
                    }
                    return self.found(FindingKind::MissedCompletion, "it goes on and on, and comes to no rest");
                }
                self.happen(event);
            }
            if !self.findings.is_empty() {
                return;
            }
            if !self.calm {
                self.now = self.now.max(UNREST_MS);
                self.calm_down();
            }
            if !self.goes_on_with_help() {
                break;
            }
        }
        if self.findings.is_empty() {
            self.finish();
        }
    }

    fn goes_on_with_help(&mut self) -> bool {
        if self.regressed.is_some() {
            return self.read_what_is_left();
        }
        self.people.helped += 1;
        if self.people.helped > HELP_MAX {
            let text = format!("people did what they could, and it does not end: {}", self.standing());
            self.found(FindingKind::MissedCompletion, text);
            return false;
        }
        if self.help() {
            return true;
        }
        if self.judge.round.is_some() {
            let text = format!("it is quiet and sealed, and the round does not close: {}", self.standing());
            self.found(FindingKind::MissedCompletion, text);
        }
        false
    }

    /// What stands still, in words.
    fn standing(&self) -> String {
        let open: Vec<String> = self.judge.open_tasks().take(3).map(|(_, task)| format!("{task:?}")).collect();
        if open.is_empty() { "no task is open".to_owned() } else { open.join("; ") }
    }

    fn finish(&mut self) {
        if self.regressed.is_some() {
            return self.judge_the_regression();
        }
        self.check_state();
        if self.findings.is_empty() {
            self.judge_the_end();
        }
    }

    pub(super) fn into_outcome(mut self) -> Outcome {
        self.report.simulated_ms = self.now;
        self.report.batches = self.log.len();
        self.report.tasks = self.judge.tasks.len() as u64;
        for closing in self.people.closings.values() {
            let Some(first) = closing.first_told else { continue };
            let detection = &mut self.report.detection;
            let delay = |at: u64| at.saturating_sub(closing.last_result);
            detection.count += 1;
            detection.first_sum_ms += delay(first);
            detection.first_max_ms = detection.first_max_ms.max(delay(first));
            detection.last_sum_ms += delay(closing.last_told);
            detection.last_max_ms = detection.last_max_ms.max(delay(closing.last_told));
        }
        Outcome { report: self.report, findings: self.findings }
    }

    pub(super) fn found(&mut self, kind: FindingKind, text: impl Into<String>) {
        let finding = Finding { kind, at_ms: self.now, text: text.into() };
        say!(self, "JUDGE", "{}: {}", finding.kind, finding.text);
        self.findings.push(finding);
    }

    pub(super) fn line(&mut self, who: &str, text: &str) {
        let line = format!("{:>8}  {who:<6} {text}", self.now);
        if let Some(trace) = &mut self.trace {
            trace(&line);
        }
    }

    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.serial += 1;
        self.lively += usize::from(!matches!(event, Event::Tick(..)));
        self.agenda.insert((self.now.saturating_add(ms), self.serial), event);
    }

    fn happen(&mut self, event: Event) {
        if let Some(process) = event.process() {
            let host = &self.hosts[process.host];
            if host.life != process.life || host.node.is_none() {
                return;
            }
            if host.still_until > self.now {
                let ms = host.still_until - self.now;
                return self.after(ms, event);
            }
        }
        match event {
            Event::Store(batch) => self.store(&batch),
            Event::Tell(process, input) | Event::Tick(process, input) => self.tell(process.host, *input),
            Event::Suspected(process) => self.suspected(process.host),
            Event::Decide(process) => self.decide(process.host),
            Event::Read(process) => self.read(process.host),
            Event::Body(process, key) => self.body_goes_on(process.host, key),
            Event::Timeout(process, key) => self.body_times_out(process.host, key),
            Event::Deliver(to, message) => self.deliver(to, message),
            Event::Handler(to, message) => self.handler_goes_on(to, message),
            Event::Settled(process, key) => self.tell_settled(process.host, key),
            Event::Start(host) => self.start(host),
            Event::Errand(index) => self.errand(index),
            Event::Deed(fault) => self.deed(fault),
        }
    }

    /// The log stores a batch, the reader applies it, and the judge looks at what came of it.
    fn store(&mut self, batch: &Arc<Batch>) {
        let Some(seq) = self.log.store(batch) else {
            return self.found(FindingKind::LogFault, "a batch that is read back is not what was written");
        };
        if self.regressed.is_some() {
            return self.stored_after_loss(seq, batch);
        }
        let applied = match self.reader.apply_batch(seq, batch) {
            Ok(applied) => applied,
            Err(fault) => {
                let text = format!("batch {seq} by {} cannot be applied: {fault}", batch.author.node);
                return self.found(FindingKind::LogFault, text);
            }
        };
        self.log.hashed(self.reader.state_hash());
        self.count(batch, &applied);
        self.tell_stored(seq, batch, &applied);
        if let Err(wrong) = self.judge.batch(self.now, seq, batch, &applied, &self.reader) {
            return self.found(wrong.kind, wrong.text);
        }
        if let Err(wrong) = self.bear_witness(seq, batch, &applied) {
            return self.found(wrong.kind, wrong.text);
        }
        let due = match self.plan.check {
            Check::EveryBatch => true,
            Check::Sampled => seq.is_multiple_of(16),
            Check::End => false,
        };
        if due {
            self.check_state();
        }
        for host in 0..self.hosts.len() {
            self.reads_soon(host);
        }
    }

    fn count(&mut self, batch: &Batch, applied: &Applied) {
        self.report.entries += batch.entries.len() as u64;
        self.report.duplicates += u64::from(applied.duplicate);
        for (op, effects) in batch.entries.iter().zip(&applied.effects) {
            if effects.refusal.is_some() {
                self.report.refused += 1;
                if let crate::Op::Return(returned) = op
                    && returned.outcome == crate::AttemptOutcome::Ok
                {
                    self.report.stale_results += 1;
                    self.report.note("a result came too late");
                }
            }
        }
        if self.log.len().is_multiple_of(self.report.sample_every) && self.reader.round().is_some() {
            let (mut most, mut sum, mut count) = (0, 0, 0);
            for (_, peer) in self.reader.peers().filter(|(_, peer)| peer.is_open()) {
                most = most.max(u64::from(peer.load()));
                sum += u64::from(peer.load());
                count += 1;
            }
            if let Some(permille) = (most * count * 1_000).checked_div(sum) {
                self.report.sample(self.now, permille);
            }
        }
    }

    fn tell_stored(&mut self, seq: u64, batch: &Batch, applied: &Applied) {
        if self.trace.is_none() {
            return;
        }
        if applied.duplicate {
            say!(self, "log", "batch {seq} of {} came before, and is dropped", batch.author.node);
        }
        for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
            let word = self.judge.word(op);
            let end = effects.refusal.as_ref().map_or_else(String::new, |refusal| format!(" - refused: {refusal}"));
            say!(self, "log", "{seq}.{index} {}: {word}{end}", batch.author.node);
        }
    }

    /// What the log says happened must have happened; what it grants may now be started.
    fn bear_witness(&mut self, seq: u64, batch: &Batch, applied: &Applied) -> Result<(), super::finding::Wrong> {
        for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
            if let crate::Op::Return(returned) = op {
                self.handed_in(&batch.author.node, (returned.task, returned.grant));
            }
            if effects.refusal.is_some() {
                self.witness.refused.insert(Position::new(seq, index));
                continue;
            }
            self.witness.taken(batch.author.incarnation, op)?;
            for effect in &effects.list {
                self.witness.grant(*effect);
                self.see(*effect)?;
            }
        }
        Ok(())
    }

    fn see(&mut self, effect: Effect) -> Result<(), super::finding::Wrong> {
        match effect {
            Effect::Closed { task, outcome, .. } => {
                self.people.helped = 0;
                let grant = self.judge.tasks[task.index()].last_grant;
                let open = self.open_messages((task, grant));
                if outcome == crate::Outcome::Ok && open > 0 {
                    let text = format!("{} closes while {open} messages of it are open", self.judge.task_name(task));
                    return Err(super::finding::Wrong::new(FindingKind::EarlyCompletion, text));
                }
                say!(self, "log", "{} is closed: {outcome:?}", self.judge.task_name(task));
            }
            Effect::RoundClosed { round: number, at, ok, failed } => {
                self.report.rounds += 1;
                let round = ClosedRound { number, at, ok, failed };
                let last_result = self.witness.last_counted;
                let closing = Closing { round, last_result, first_told: None, last_told: self.now };
                self.people.closings.insert(number, closing);
                say!(self, "log", "round {number} is closed at {at}: {ok} ok, {failed} failed");
            }
            _ => self.note_effect(effect),
        }
        Ok(())
    }

    fn note_effect(&mut self, effect: Effect) {
        let note = match effect {
            Effect::Waiting { .. } => "a parent gave up its slot",
            Effect::Kept { .. } => "a task was there already",
            Effect::Amended { .. } => "a task was amended",
            Effect::Retry { .. } => "a further attempt came after a back-off",
            Effect::NodeLost { .. } => "a node was lost",
            Effect::Submitted { task, .. } if self.judge.tasks[task.index()].generation > 1 => "a new generation began",
            Effect::Submitted { task, .. } if self.judge.tasks[task.index()].depth > 1 => "a grandchild was submitted",
            Effect::Submitted { task, .. } if self.judge.tasks[task.index()].depth > 0 => "a child was submitted",
            Effect::CancelMarked { .. } => "a task was cancelled",
            Effect::Voted { approves: false, .. } => "a review did not approve",
            Effect::ReviewEnded { approved: true, .. } => "a result was approved",
            Effect::ReviewEnded { approved: false, .. } => "a result was rejected",
            Effect::NodeLeft { .. } => "a node left the log",
            _ => return,
        };
        self.report.note(note);
    }

    /// Every invariant is derived anew, and the state is held against what the judge knows.
    fn check_state(&mut self) {
        if self.regressed.is_some() {
            return;
        }
        self.reader.check_invariants();
        if let Err(wrong) = self.judge.compare(&self.reader) {
            self.found(wrong.kind, wrong.text);
        }
    }

    /// Everybody behaves from now on; what is broken is repaired.
    fn calm_down(&mut self) {
        say!(self, "world", "calms down");
        self.calm = true;
        for host in 0..self.hosts.len() {
            let state = &mut self.hosts[host];
            (state.still_until, state.blind_until, state.trip) = (0, 0, None);
            self.after(0, Event::Start(host));
            self.reads_soon(host);
        }
    }
}

/// Settings whose limits are reached within a small schedule.
fn small_config(dice: &mut Dice) -> Config {
    let mut config = Config {
        limits: Limits { crashes: 2, interruptions: dice.between(2, 6), ..Limits::default() },
        retry_backoff_ms: 100,
        backlog: dice.between(0, 3),
        ageing: 1 + dice.ms(20),
        load_balancing: dice.chance(90),
        ..Config::default()
    };
    // Not drawn: schedules stay the same, and no decision depends on it.
    config.topology.requested = Requested::Explicit(match config.backlog {
        0 => Topology::Mesh,
        1 => Topology::Hierarchical,
        _ => Topology::Hybrid,
    });
    config
}

/// The hosts with their peers. The first peer of the first host can do everything: whatever goes, it stays.
fn hosts(plan: &Plan, dice: &mut Dice) -> Vec<Host> {
    let nodes = usize::try_from(plan.nodes.max(1)).unwrap_or(1);
    let mut specs: Vec<Vec<PeerSpec>> = vec![Vec::new(); nodes];
    let small = plan.peers <= SMALL_PEERS;
    for number in 0..plan.peers.max(1) {
        let names: &[&str] = if number == 0 {
            &["a", "b"]
        } else {
            dice.pick(&[&["a"][..], &["b"], &[], &["a", "b"]]).unwrap_or_default()
        };
        let spec = PeerSpec {
            id: format!("p{number}"),
            capabilities: names.iter().map(|name| (*name).to_owned()).collect(),
            slots: if plan.slots == 0 { dice.between(1, 3) } else { plan.slots },
            uses_session: small && dice.chance(20),
            token_budget: None,
        };
        specs[usize::try_from(number).unwrap_or(0) % nodes].push(spec);
    }
    let slow = dice.chance(50);
    let host = |(index, specs): (usize, Vec<PeerSpec>)| Host::new(format!("n{index}"), specs, slow && index % 2 == 0);
    specs.into_iter().enumerate().map(host).collect()
}
