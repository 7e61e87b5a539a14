//! Bodies and checks: what runs in a host's processes.

use super::faults::Fault;
use super::finding::FindingKind;
use super::people::{Asked, Whom};
use super::witness::Key;
use super::workload::{STEP_MS, Step};
use super::world::{Event, World, say};
use crate::node::{Answer, BodyEnd, Input};
use crate::{AttemptOutcome, Op, Payload, PeerNo, Submission, TaskNo, TaskSpec, Tokens};
use std::collections::VecDeque;

/// A body that is told to stop ends within this time, in virtual ms.
const STOP_MS: u64 = 200;

/// How a body comes to its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Own(AttemptOutcome),
    Check(bool),
    Never,
}

/// What runs.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) peer: PeerNo,
    steps: VecDeque<Step>,
    pub(super) end: End,
    pub(super) stopped: bool,
    /// For an answer, or for its children.
    waits: bool,
    /// Its peer stands still, and it would go on.
    pub(super) frozen: bool,
    started_ms: u64,
    spawned: u32,
    children: Vec<TaskNo>,
}

impl Body {
    /// Whether it only ends when somebody ends it.
    pub(super) fn hangs(&self) -> bool {
        self.end == End::Never && self.steps.is_empty() && !self.stopped
    }
}

impl World<'_> {
    /// A task's attempt in words.
    pub(super) fn attempt(&self, key: Key) -> String {
        let task = self.judge.task_name(key.0);
        let Some(granted) = self.witness.granted.get(&key) else { return task };
        let peer = self.judge.peer_name(granted.peer);
        let what = if granted.check { "check of attempt" } else { "attempt" };
        format!("{task} {what} {} on {peer}", granted.attempt)
    }

    pub(super) fn start_body(&mut self, host: usize, key: Key, check: bool) {
        let granted = self.witness.granted.get(&key).copied();
        if granted.is_none_or(|granted| granted.check != check) && self.regressed.is_some() {
            // It acts on what the log has lost, and nobody knows what that is.
            return;
        }
        let Some(granted) = granted.filter(|granted| granted.check == check) else {
            let text =
                format!("{} starts {}, and the log gave no such grant", self.hosts[host].name, self.attempt(key));
            return self.found(FindingKind::Broken, text);
        };
        let node = self.hosts[host].node.as_ref().expect("a node that asks");
        let present = node.swarm().task(key.0).and_then(|task| task.phase.grant());
        if present.map(|(_, grant)| grant) != Some(key.1) {
            let text = format!("{} starts {}, whose grant is gone", self.hosts[host].name, self.attempt(key));
            return self.found(FindingKind::Broken, text);
        }
        if !self.witness.started.insert(key) {
            return self.found(FindingKind::DoubleCommit, format!("{} starts twice", self.attempt(key)));
        }
        let record = self.hosts[host].node.as_ref().and_then(|node| node.swarm().task(key.0));
        let is_review = record.is_some_and(|task| task.reviews.is_some());
        let spec = match record.map(|task| task.spec) {
            // Nobody submitted it: `apply` made it.
            Some(_) if is_review => Some(TaskSpec { kind: "review".to_owned(), ..TaskSpec::default() }),
            at => at.and_then(|at| self.log.spec(at)).cloned(),
        };
        let Some(spec) = spec else {
            if self.regressed.is_some() {
                return self.found_out(host, &crate::LogFault::Hole { last: self.log.len(), found: key.1.seq() });
            }
            return self
                .found(FindingKind::LostTask, format!("the log does not hold the text of {}", self.attempt(key)));
        };
        let (steps, end) = if check {
            (vec![Step::Work(STEP_MS)], End::Check(self.holds()))
        } else {
            self.report.attempts += 1;
            (self.wanted.steps(&spec.kind, &mut self.dice), self.fate(is_review))
        };
        say!(self, self.hosts[host].name, "starts {}", self.attempt(key));
        let started_ms = self.now;
        let body = Body {
            peer: granted.peer,
            steps: steps.into(),
            end,
            stopped: false,
            waits: false,
            frozen: false,
            started_ms,
            spawned: 0,
            children: Vec::new(),
        };
        self.hosts[host].bodies.insert(key, body);
        self.crowded(host, granted.peer);
        let process = self.process(host);
        if let (Some(ms), false) = (spec.timeout_ms, check) {
            self.after(ms, Event::Timeout(process, key));
        }
        self.after(0, Event::Body(process, key));
    }

    /// Processes of one peer with a present grant, those that wait aside, never outnumber the slots in the log.
    fn crowded(&mut self, host: usize, peer: PeerNo) {
        let state = &self.hosts[host];
        let swarm = state.node.as_ref().expect("a node that starts a body").swarm();
        let holds = |key: &Key| {
            swarm.task(key.0).is_some_and(|task| {
                task.phase.holds_slot() && task.phase.grant().is_some_and(|(_, grant)| grant == key.1)
            })
        };
        let alive = state.bodies.iter().filter(|(key, body)| body.peer == peer && holds(key)).count();
        // What was announced last, or what this host is about to announce; lowering a number stops nothing.
        let slots = swarm.peer(peer).map_or(0, |peer| peer.slots.max(peer.busy)) as usize;
        if alive > slots {
            let text = format!("{alive} processes run on {}, which has {slots} slots", self.judge.peer_name(peer));
            self.found(FindingKind::Overlap, text);
        }
    }

    /// Whether the evidence of a check will hold.
    fn holds(&mut self) -> bool {
        self.dice.chance(if self.calm { 95 } else { 75 })
    }

    fn fate(&mut self, is_review: bool) -> End {
        let faults = self.plan.faults;
        let percent = if faults.count() == 1 { 30 } else { 8 };
        let kinds = [Fault::NeverAnswers, Fault::BodyFails, Fault::BodyLost];
        let fault =
            kinds.into_iter().filter(|fault| !self.calm && faults.has(*fault)).find(|_| self.dice.chance(percent));
        if let Some(fault) = fault {
            self.report.inject(fault.name());
        }
        match fault {
            None if is_review && self.dice.chance(30) => End::Own(AttemptOutcome::Rejected),
            None => End::Own(AttemptOutcome::Ok),
            Some(Fault::NeverAnswers) => End::Never,
            Some(Fault::BodyLost) => End::Own(AttemptOutcome::Lost),
            Some(_) if self.dice.chance(20) => End::Own(AttemptOutcome::TimedOut),
            Some(_) => End::Own(AttemptOutcome::Failed),
        }
    }

    pub(super) fn body_goes_on(&mut self, host: usize, key: Key) {
        let process = self.process(host);
        let still = |state: &super::host::Host, peer| state.peers_still.contains(&peer);
        let Some(peer) = self.hosts[host].bodies.get(&key).map(|body| body.peer) else { return };
        let is_still = still(&self.hosts[host], peer);
        let Some(body) = self.hosts[host].bodies.get_mut(&key) else { return };
        if body.stopped {
            // A stopped body mostly ends by that; now and then its own end came first.
            let own = match body.end {
                End::Own(outcome) if body.steps.is_empty() => Some(outcome),
                // What it saw is awaited all the same.
                End::Check(passed) => return self.end_check(host, key, passed),
                _ => None,
            };
            let own = own.filter(|_| self.dice.chance(30));
            return self.end_body(host, key, own);
        }
        if body.waits {
            return;
        }
        if is_still {
            body.frozen = true;
            return;
        }
        match body.steps.pop_front() {
            Some(Step::Work(most)) => {
                let ms = 1 + self.dice.ms(most);
                self.after(ms, Event::Body(process, key));
            }
            Some(Step::Spawn(count)) => self.spawn(host, key, count),
            Some(Step::Wait { some }) => self.wait_for_children(host, key, some),
            Some(Step::Send(count)) => {
                for _ in 0..count {
                    self.send(host, key, None);
                }
                self.after(1, Event::Body(process, key));
            }
            Some(Step::Tell) => {
                let (task, grant) = key;
                let tokens = Tokens { input: self.dice.ms(1_000), output: self.dice.ms(100) };
                self.wish(host, Op::Usage { task, grant, tokens }, Whom::Nobody);
                let text = "half of it".to_owned();
                self.wish(host, Op::Progress { task, grant, text }, Whom::Nobody);
                if self.dice.chance(30) {
                    self.ask_for_a_cycle(host, key);
                }
                self.after(1, Event::Body(process, key));
            }
            None => match body.end {
                End::Never => {}
                End::Check(passed) => self.end_check(host, key, passed),
                End::Own(outcome) => self.end_body(host, key, Some(outcome)),
            },
        }
    }

    fn spawn(&mut self, host: usize, key: Key, count: u32) {
        let parent = &self.judge.tasks[key.0.index()];
        let (id, depth) = (parent.spec.id.clone(), parent.depth);
        let body = self.hosts[host].bodies.get_mut(&key).expect("a body that goes on");
        body.waits = true;
        // The same ids at each attempt, so that a later one adopts what an earlier one has submitted; not always
        // as many, so that some are left behind.
        let first = body.spawned;
        body.spawned += count;
        let wanted = self.wanted;
        let tasks = (first..first + count).map(|child| {
            let mut dice = super::dice::Dice::new(self.plan.seed ^ u64::from(child) << 32 ^ u64::from(key.0.0));
            wanted.child(&id, child, depth + 1, &mut dice)
        });
        let submission = Submission { tasks: tasks.collect(), parent: Some(key), more: false };
        self.wish(host, Op::Submit(submission), Whom::Spawn(key));
    }

    /// A child that depends on its own parent: refused, with both named.
    fn ask_for_a_cycle(&mut self, host: usize, key: Key) {
        let id = self.judge.tasks[key.0.index()].spec.id.clone();
        let dependencies = vec![id.clone()];
        let child = TaskSpec {
            id: format!("{id}.cycle"),
            kind: "plain".to_owned(),
            priority: 5,
            dependencies,
            ..TaskSpec::default()
        };
        self.report.note("a child was to depend on its parent");
        let submission = Submission { tasks: vec![child], parent: Some(key), more: false };
        self.wish(host, Op::Submit(submission), Whom::Nobody);
    }

    fn wait_for_children(&mut self, host: usize, key: Key, some: bool) {
        let process = self.process(host);
        let body = self.hosts[host].bodies.get_mut(&key).expect("a body that goes on");
        if body.children.is_empty() {
            return self.after(1, Event::Body(process, key));
        }
        body.waits = true;
        let children = if some { vec![body.children[0]] } else { Vec::new() };
        let (task, grant) = key;
        self.wish(host, Op::Wait { task, grant, children }, Whom::Wait(key));
    }

    /// A body's own wish was answered.
    pub(super) fn body_answered(&mut self, host: usize, asked: &Asked, answer: &Answer) {
        let (Whom::Spawn(key) | Whom::Wait(key)) = asked.whom else { return };
        let process = self.process(host);
        let waits_on = matches!((asked.whom, answer), (Whom::Wait(_), Answer::Accepted { .. }));
        let Some(body) = self.hosts[host].bodies.get_mut(&key) else { return };
        match answer {
            // It goes on when its children are closed.
            Answer::Accepted { .. } if waits_on => return,
            Answer::Accepted { tasks, .. } => body.children.extend(tasks),
            _ => {
                body.steps.clear();
                if let End::Own(outcome) = &mut body.end {
                    *outcome = AttemptOutcome::Failed;
                }
            }
        }
        body.waits = false;
        self.after(1, Event::Body(process, key));
    }

    pub(super) fn body_continues(&mut self, host: usize, key: Key) {
        let process = self.process(host);
        match self.hosts[host].bodies.get_mut(&key) {
            Some(body) => {
                body.waits = false;
                self.report.note("a parent went on after its children");
                self.after(1, Event::Body(process, key));
            }
            None => {
                let text = format!("{} is to go on, and does not run", self.attempt(key));
                self.found(FindingKind::Broken, text);
            }
        }
    }

    pub(super) fn stop_body(&mut self, host: usize, key: Key) {
        self.drop_mail(key);
        let process = self.process(host);
        let Some(body) = self.hosts[host].bodies.get_mut(&key) else { return };
        let twice = std::mem::replace(&mut body.stopped, true);
        say!(self, self.hosts[host].name, "stops {}", self.attempt(key));
        if twice {
            return self.found(FindingKind::Broken, format!("{} is stopped twice", self.attempt(key)));
        }
        let ms = 1 + self.dice.ms(STOP_MS);
        self.after(ms, Event::Body(process, key));
    }

    pub(super) fn body_times_out(&mut self, host: usize, key: Key) {
        let Some(body) = self.hosts[host].bodies.get(&key) else { return };
        if !body.stopped {
            self.report.note("a body ran too long");
            self.end_body(host, key, Some(AttemptOutcome::TimedOut));
        }
    }

    fn end_check(&mut self, host: usize, key: Key, passed: bool) {
        let Some(body) = self.hosts[host].bodies.remove(&key) else { return };
        let (task, grant) = key;
        self.witness.checked.insert(key, passed);
        self.witness.handed.insert(key, self.now);
        self.report.note(if passed { "evidence held" } else { "evidence did not hold" });
        say!(self, self.hosts[host].name, "{} {}", self.attempt(key), if passed { "holds" } else { "does not hold" });
        let ran_ms = self.now - body.started_ms;
        let evidence = String::new();
        self.tell(host, Input::CheckEnded { task, grant, passed, evidence, ran_ms });
    }

    fn end_body(&mut self, host: usize, key: Key, outcome: Option<AttemptOutcome>) {
        let Some(body) = self.hosts[host].bodies.remove(&key) else { return };
        let (task, grant) = key;
        let messages_open = self.mail_ends(key, outcome == Some(AttemptOutcome::Ok)) > 0;
        if messages_open {
            self.report.note("a body ended with messages open");
        }
        self.witness.ended.insert(key, outcome);
        if outcome.is_some() {
            self.hosts[host].owed.insert(key);
        }
        self.witness.handed.insert(key, self.now);
        say!(self, self.hosts[host].name, "{} ends: {}", self.attempt(key), ending(outcome, messages_open));
        let mut usage = Tokens { input: self.dice.ms(1_000), output: self.dice.ms(1_000) };
        let mut ran_ms = self.now - body.started_ms;
        if !self.calm && self.plan.faults.has(Fault::PeerLies) && self.dice.chance(20) {
            self.report.inject(Fault::PeerLies.name());
            let absurd = [0, 1, u64::from(u32::MAX), u64::MAX / 2, u64::MAX];
            let mut lie = || self.dice.pick(&absurd).expect("there are lies");
            usage = Tokens { input: lie(), output: lie() };
            ran_ms = lie();
        }
        let end = BodyEnd {
            task,
            grant,
            outcome,
            result: outcome.map(|_| Payload::Json(format!("\"{grant}\""))),
            error: None,
            usage,
            started_ms: self.clock(host),
            ran_ms,
            messages_open,
        };
        self.tell(host, Input::BodyEnded(end));
    }
}

fn ending(outcome: Option<AttemptOutcome>, messages_open: bool) -> String {
    let how = outcome.map_or_else(|| "it was stopped".to_owned(), |outcome| format!("{outcome:?}"));
    if messages_open { format!("{how}, messages open") } else { how }
}
