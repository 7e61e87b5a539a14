//! Several nodes on one simulated log, in virtual time, with everything that the world may do to them.

use super::dice::Dice;
use super::mesh::{part, peer, submission, task};
use super::one_node::{body_end, setup};
use super::stream::Stream;
use crate::node::{Answer, Ask, BodyEnd, Input, Node, Setup, Ticket, Timer};
use crate::{
    AttemptOutcome, Batch, Config, Effect, Grant, Limits, Op, PauseReason, Position, Submission, Swarm, TaskNo,
    TaskSpec, decode_batch, encode_batch,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long the world misbehaves, in virtual ms.
const UNREST_MS: u64 = 8_000;
/// Things that people and the world do in that time.
const DEEDS: usize = 60;

type Key = (TaskNo, Grant);

/// What is to happen, and to which process.
#[derive(Clone, Debug)]
enum Event {
    /// The log stores a batch.
    Store(Arc<Batch>),
    /// A process is told something.
    Tell(Process, Box<Input>),
    /// A process reads what the log holds.
    Read(Process),
    /// A body does its next step, or ends.
    Body(Process, Key),
    /// A crashed process, or one that has left, starts again.
    Start(usize),
    /// Somebody does something.
    Deed,
}

/// A process: index of its node's name, and how many came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    name: usize,
    life: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Ends(AttemptOutcome),
    EndsWithMessages,
    /// Submits children, waits for them, ends ok.
    HasChildren,
    /// Waits for an answer or for its children.
    Waits,
    NeverEnds,
    Check(bool),
}

/// What runs in a process.
#[derive(Clone, Copy, Debug)]
struct Body {
    fate: Fate,
    stopped: bool,
}

enum Asked {
    /// A person's submission of this task, which must not be there when the answer is that nothing was decided.
    Task(String),
    Children(Key),
    Wait(Key),
    Other,
}

struct Host {
    life: u32,
    node: Option<Node>,
    bodies: BTreeMap<Key, Body>,
    asked: BTreeMap<Ticket, Asked>,
    /// It stands still until then: a zombie.
    still_until: u64,
}

/// The nodes, their log, and a reader that believes nothing.
pub(super) struct NodesWorld {
    dice: Dice,
    now: u64,
    serial: u64,
    agenda: BTreeMap<(u64, u64), Event>,
    hosts: Vec<Host>,
    pub(super) log: Vec<Vec<u8>>,
    pub(super) swarm: Swarm,
    stream: Stream,
    /// State hash after each batch.
    hashes: Vec<u64>,
    /// Grants that the log gave, and whether it was for a check.
    granted: BTreeMap<Key, bool>,
    started: BTreeSet<Key>,
    ended: BTreeSet<Key>,
    accepted: BTreeSet<Position>,
    undecided_tasks: BTreeSet<String>,
    tasks_made: usize,
    tickets_made: u64,
    calm: bool,
    /// Things that happened, for tests that ask whether they ever do.
    pub(super) seen: BTreeSet<&'static str>,
}

impl NodesWorld {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.below(3);
        let mut swarm = Swarm::new();
        // What holds after every entry is looked at in some worlds; all of it costs most of the time.
        swarm.probe.unchecked = !seed.is_multiple_of(4);
        let host = || Host { life: 0, node: None, bodies: BTreeMap::new(), asked: BTreeMap::new(), still_until: 0 };
        let mut world = Self {
            dice,
            now: 0,
            serial: 0,
            agenda: BTreeMap::new(),
            hosts: (0..count).map(|_| host()).collect(),
            log: Vec::new(),
            swarm,
            stream: Stream::default(),
            hashes: vec![0],
            granted: BTreeMap::new(),
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
            accepted: BTreeSet::new(),
            undecided_tasks: BTreeSet::new(),
            tasks_made: 0,
            tickets_made: 0,
            calm: false,
            seen: BTreeSet::new(),
        };
        for name in 0..count {
            let ms = world.below(200);
            world.after(ms, Event::Start(name));
        }
        for _ in 0..DEEDS {
            let ms = world.below(UNREST_MS);
            world.after(ms, Event::Deed);
        }
        world
    }

    /// Unrest, then everybody behaves, and rounds are sealed: until nothing more happens.
    pub(super) fn run(&mut self) {
        while let Some(((at, _), event)) = self.agenda.pop_first() {
            if at >= UNREST_MS && !self.calm {
                self.calm_down();
            }
            self.now = at;
            self.happen(&event);
            if self.agenda.is_empty() && !self.finish() {
                break;
            }
        }
    }

    fn calm_down(&mut self) {
        self.calm = true;
        for name in 0..self.hosts.len() {
            self.hosts[name].still_until = 0;
            if self.hosts[name].node.is_none() {
                self.after(0, Event::Start(name));
            }
            let process = self.process(name);
            for (key, body) in self.hosts[name].bodies.clone() {
                if body.fate == Fate::NeverEnds {
                    self.hosts[name].bodies.get_mut(&key).unwrap().fate = Fate::Ends(AttemptOutcome::Ok);
                    self.after(1, Event::Body(process, key));
                }
            }
        }
    }

    /// What good people do when all is quiet and the round is open; `false`: it is closed.
    fn finish(&mut self) -> bool {
        let Some(round) = self.swarm.round() else { return false };
        let (number, sealed) = (round.number, round.sealed);
        let submitters: Vec<String> =
            round.submitters.iter().map(|no| self.swarm.node(*no).unwrap().name.to_string()).collect();
        let paused = |peer: &crate::Peer| peer.up && peer.paused.is_some();
        let paused: Vec<String> =
            self.swarm.peers().filter(|(_, p)| paused(p)).map(|(_, p)| p.id.to_string()).collect();
        assert!(!sealed || !submitters.is_empty() || !paused.is_empty(), "it is quiet, and the round does not close");
        for node in submitters {
            let name = (0..self.hosts.len()).find(|name| node_name(*name) == node).unwrap();
            let last = Submission { tasks: Vec::new(), parent: None, more: false };
            self.wish(name, Op::Submit(last), Asked::Other);
        }
        for peer in paused {
            self.wish(0, Op::Resume { peer }, Asked::Other);
        }
        self.wish(0, Op::Seal { round: number }, Asked::Other);
        true
    }

    /// Everybody has read everything, nothing runs, nothing is owed.
    pub(super) fn assert_done(&self) {
        assert_eq!(self.swarm.round(), None, "every round closes");
        assert_eq!(self.swarm.granted(), 0);
        for (name, host) in self.hosts.iter().enumerate() {
            let node = host.node.as_ref().unwrap();
            assert_eq!(node.swarm().last(), self.swarm.last(), "{name} has read everything");
            assert_eq!(node.swarm().state_hash(), self.swarm.state_hash(), "state of {name}");
            node.swarm().check_invariants();
            assert!(node.is_member(), "{name} is a member");
            assert!(!node.has_undecided(), "{name} has nothing to say");
            assert_eq!(host.bodies.keys().collect::<Vec<_>>(), Vec::<&Key>::new(), "bodies that {name} still runs");
            assert!(host.asked.is_empty(), "{name} owes an answer");
        }
        for id in &self.undecided_tasks {
            assert_eq!(self.swarm.find_task(id), None, "{id} was said to be undecided");
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.dice.below(usize::try_from(end).unwrap()) as u64
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.serial += 1;
        self.agenda.insert((self.now + ms, self.serial), event);
    }

    fn process(&self, name: usize) -> Process {
        Process { name, life: self.hosts[name].life }
    }

    /// Whether this process still lives; one that stands still gets the event when it goes on.
    fn may(&mut self, process: Process, event: &Event) -> bool {
        let host = &self.hosts[process.name];
        if host.life != process.life || host.node.is_none() {
            return false;
        }
        if host.still_until > self.now {
            let ms = host.still_until - self.now;
            self.after(ms, event.clone());
            return false;
        }
        true
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Store(batch) => self.store(batch),
            Event::Start(name) => self.start(*name),
            Event::Deed => self.deed(),
            Event::Tell(process, input) => {
                if self.may(*process, event) {
                    self.tell(process.name, (**input).clone());
                }
            }
            Event::Read(process) => {
                if self.may(*process, event) {
                    self.read(process.name);
                }
            }
            Event::Body(process, key) => {
                if self.may(*process, event) {
                    self.body_goes_on(process.name, *key);
                }
            }
        }
    }

    #[expect(clippy::print_stderr, reason = "a replay shows its log")]
    fn store(&mut self, batch: &Batch) {
        let seq = self.log.len() as u64 + 1;
        if std::env::var_os("MESHWORK_SEED").is_some() {
            let Batch { author, seq: number, entries, .. } = batch;
            eprintln!("{:>5} {seq}: {} {} ({number}) {entries:?}", self.now, author.node, author.incarnation);
        }
        let applied = self.swarm.apply_batch(seq, batch).unwrap();
        self.stream.take(&self.swarm, seq, &applied);
        self.hashes.push(self.swarm.state_hash());
        self.log.push(encode_batch(batch).unwrap());
        for (index, effects) in applied.effects.iter().enumerate() {
            if effects.refusal.is_none() {
                self.accepted.insert(Position::new(seq, index));
            }
            for effect in &effects.list {
                self.believe(*effect);
            }
        }
        for name in 0..self.hosts.len() {
            let ms = 1 + self.below(20);
            self.after(ms, Event::Read(self.process(name)));
        }
    }

    fn believe(&mut self, effect: Effect) {
        match effect {
            Effect::Start { task, grant, .. } => {
                self.granted.insert((task, grant), false);
            }
            Effect::Check { task, grant, .. } => {
                self.granted.insert((task, grant), true);
            }
            Effect::AttemptEnded { task, grant, .. } => {
                assert!(self.ended.insert((task, grant)), "the attempt {grant} of {task:?} ends twice");
            }
            _ => {}
        }
    }

    fn setup(&self, name: usize) -> Setup {
        let config = Config {
            limits: Limits { crashes: 2, interruptions: 4, ..Limits::default() },
            retry_backoff_ms: 100,
            backlog: 1,
            ..Config::default()
        };
        let slots = 1 + u32::try_from(name % 2).unwrap();
        let peers = [peer(&format!("p{name}"), &[], slots), peer(&format!("q{name}"), &[], 1)];
        Setup {
            name: node_name(name),
            open: Some(("log".to_owned(), "swarm".to_owned(), config)),
            rebalance_ms: Some(300),
            ..setup(&peers)
        }
    }

    fn start(&mut self, name: usize) {
        if self.hosts[name].node.is_some() {
            return;
        }
        let mut swarm = Swarm::new();
        swarm.probe.unchecked = true;
        let mut node = Node::new(self.setup(name), swarm);
        for (index, bytes) in self.log.iter().enumerate() {
            let batch = Arc::new(decode_batch(bytes).unwrap());
            let asks = node.handle(Input::Stored { seq: index as u64 + 1, batch }, self.now).unwrap();
            assert!(asks.is_empty(), "nothing is asked for in catching up: {asks:?}");
        }
        let host = &mut self.hosts[name];
        host.life += 1;
        host.node = Some(node);
        self.tell(name, Input::CaughtUp);
    }

    /// Everything volatile is gone; what it had appended may still be stored.
    fn crash(&mut self, name: usize) {
        let host = &mut self.hosts[name];
        host.node = None;
        host.bodies.clear();
        host.asked.clear();
        let ms = 1 + self.below(2_000);
        self.after(ms, Event::Start(name));
    }

    fn read(&mut self, name: usize) {
        loop {
            let Some(node) = &self.hosts[name].node else { return };
            let last = node.swarm().last().seq;
            let Some(bytes) = self.log.get(usize::try_from(last).unwrap()) else { return };
            let batch = Arc::new(decode_batch(bytes).unwrap());
            self.tell(name, Input::Stored { seq: last + 1, batch });
            if let Some(node) = &self.hosts[name].node {
                let hash = self.hashes[usize::try_from(last).unwrap() + 1];
                assert_eq!(node.swarm().state_hash(), hash, "{name} after batch {}", last + 1);
            }
            // It may be interrupted by anything between two batches.
            if !self.calm && self.dice.chance(20) {
                self.after(1, Event::Read(self.process(name)));
                return;
            }
        }
    }

    fn tell(&mut self, name: usize, input: Input) {
        let now = self.now;
        let Some(node) = &mut self.hosts[name].node else { return };
        let asks = node.handle(input, now).unwrap();
        for ask in asks {
            self.perform(name, ask);
        }
    }

    fn wish(&mut self, name: usize, op: Op, asked: Asked) {
        if self.hosts[name].node.is_none() {
            return;
        }
        self.tickets_made += 1;
        let ticket = Ticket(self.tickets_made);
        self.hosts[name].asked.insert(ticket, asked);
        self.tell(name, Input::Wish { op, ticket: Some(ticket) });
    }

    fn perform(&mut self, name: usize, ask: Ask) {
        let process = self.process(name);
        match ask {
            Ask::Append(batch) => self.append(process, &batch),
            Ask::Start { task, grant, .. } => self.start_body(name, (task, grant), false),
            Ask::Check { task, grant, .. } => self.start_body(name, (task, grant), true),
            Ask::Continue { task, grant } => {
                let body = self.hosts[name].bodies.get_mut(&(task, grant)).expect("only a body goes on");
                body.fate = Fate::Ends(AttemptOutcome::Ok);
                self.soon(process, (task, grant));
            }
            Ask::Stop { task, grant } => {
                if let Some(body) = self.hosts[name].bodies.get_mut(&(task, grant)) {
                    assert!(!std::mem::replace(&mut body.stopped, true), "{task:?} is stopped twice");
                    self.soon(process, (task, grant));
                }
            }
            Ask::Sleep { timer: Timer::Rebalance, .. } if self.calm => {}
            Ask::Sleep { timer, ms } => self.after(ms, Event::Tell(process, Box::new(Input::Fired(timer)))),
            Ask::Answer { ticket, answer } => self.answer(name, ticket, &answer),
            Ask::RoundClosed(round) => {
                assert!(self.accepted.contains(&round.at), "completion is a fact of the log");
                self.seen.insert("a round closed");
            }
            Ask::Left => {
                let host = &self.hosts[name];
                assert!(host.bodies.is_empty(), "{name} left, and something runs");
                self.seen.insert("a node left");
                self.crash(name);
            }
            Ask::Suspend { .. } => {}
        }
    }

    fn soon(&mut self, process: Process, key: Key) {
        let ms = if self.calm { 1 } else { 1 + self.below(400) };
        self.after(ms, Event::Body(process, key));
    }

    /// The log stores it; or it does not, or twice, or late, and an error may come back all the same.
    fn append(&mut self, process: Process, batch: &Arc<Batch>) {
        let ms = 1 + self.below(15);
        let what = if self.calm { 0 } else { self.dice.below(100) };
        let (times, failed, late) = match what {
            0..70 => (1, false, 0),
            70..78 => (0, true, 0),
            78..86 => (1, true, 0),
            86..93 => (2, false, 300),
            93..97 => (1, true, 1_500),
            _ => (2, true, 3_000),
        };
        for _ in 0..times {
            let more = if late == 0 { 0 } else { self.below(late) };
            self.after(ms + more, Event::Store(batch.clone()));
        }
        if failed {
            let more = self.below(60);
            self.after(ms + more, Event::Tell(process, Box::new(Input::AppendFailed)));
        }
    }

    fn start_body(&mut self, name: usize, key: Key, check: bool) {
        assert_eq!(self.granted.get(&key), Some(&check), "a body starts under a grant of the log");
        assert!(self.started.insert(key), "the grant {} of {:?} starts twice", key.1, key.0);
        let fate = if check { Fate::Check(self.calm || self.dice.chance(75)) } else { self.random_fate(key.0) };
        self.hosts[name].bodies.insert(key, Body { fate, stopped: false });
        if fate != Fate::NeverEnds {
            self.soon(self.process(name), key);
        }
    }

    fn random_fate(&mut self, task: TaskNo) -> Fate {
        let deep = self.swarm.task(task).is_some_and(|task| task.parent.is_some());
        let roll = if self.calm { self.dice.below(60) } else { self.dice.below(100) };
        match roll {
            0..40 => Fate::Ends(AttemptOutcome::Ok),
            40..60 if deep => Fate::Ends(AttemptOutcome::Ok),
            40..60 => Fate::HasChildren,
            60..70 => Fate::EndsWithMessages,
            70..80 => Fate::Ends(AttemptOutcome::Failed),
            80..88 => Fate::Ends(AttemptOutcome::Lost),
            _ => Fate::NeverEnds,
        }
    }

    fn body_goes_on(&mut self, name: usize, key: Key) {
        let Some(body) = self.hosts[name].bodies.get(&key).copied() else { return };
        let (task, grant) = key;
        let own_end = match body.fate {
            Fate::Check(passed) => {
                self.hosts[name].bodies.remove(&key);
                self.tell(name, Input::CheckEnded { task, grant, passed, evidence: String::new(), ran_ms: 1 });
                return;
            }
            Fate::HasChildren if !body.stopped => {
                self.hosts[name].bodies.get_mut(&key).unwrap().fate = Fate::Waits;
                self.submit_children(name, key);
                return;
            }
            Fate::Waits if !body.stopped => return,
            Fate::Ends(outcome) => Some(outcome),
            Fate::EndsWithMessages => Some(AttemptOutcome::Ok),
            Fate::HasChildren | Fate::Waits | Fate::NeverEnds => None,
        };
        // A stopped body mostly ends by that; now and then its own end came first.
        let outcome = if body.stopped && self.dice.chance(70) { None } else { own_end };
        let messages_open = body.fate == Fate::EndsWithMessages && outcome.is_some();
        self.hosts[name].bodies.remove(&key);
        if outcome.is_some() && self.swarm.task(task).is_some_and(|t| t.phase.grant().map(|(_, g)| g) != Some(grant)) {
            self.seen.insert("a result came too late");
        }
        self.tell(name, Input::BodyEnded(BodyEnd { messages_open, ..body_end(key, outcome) }));
        if messages_open {
            let ms = 1 + self.below(600);
            let settled = Input::MessagesSettled { task, grant };
            self.after(ms, Event::Tell(self.process(name), Box::new(settled)));
        }
    }

    fn submit_children(&mut self, name: usize, key: Key) {
        let count = 1 + self.dice.below(2);
        // The same ids at each attempt: a later one adopts what an earlier one has submitted.
        let tasks = (0..count).map(|child| task(&format!("{:?}/{child}", key.0))).collect();
        let children = Submission { tasks, parent: Some(key), more: false };
        self.wish(name, Op::Submit(children), Asked::Children(key));
    }

    fn answer(&mut self, name: usize, ticket: Ticket, answer: &Answer) {
        let asked = self.hosts[name].asked.remove(&ticket).expect("an answer is given once");
        if let Answer::Accepted { position, .. } = answer {
            assert!(self.accepted.contains(position), "{position} was answered, and is not in the log");
        }
        let accepted = matches!(answer, Answer::Accepted { .. });
        match asked {
            Asked::Task(id) if *answer == Answer::NodeLost => {
                self.seen.insert("a wish was left undecided");
                self.undecided_tasks.insert(id);
            }
            Asked::Children((task, grant)) if accepted => {
                let wait = Op::Wait { task, grant, children: Vec::new() };
                // Not within the answer: the node is told one thing after the other.
                self.tickets_made += 1;
                let ticket = Ticket(self.tickets_made);
                self.hosts[name].asked.insert(ticket, Asked::Wait((task, grant)));
                let wish = Input::Wish { op: wait, ticket: Some(ticket) };
                self.after(0, Event::Tell(self.process(name), Box::new(wish)));
            }
            Asked::Children(key) | Asked::Wait(key) if !accepted => {
                if let Some(body) = self.hosts[name].bodies.get_mut(&key) {
                    body.fate = Fate::Ends(AttemptOutcome::Failed);
                    self.soon(self.process(name), key);
                }
            }
            Asked::Task(_) | Asked::Children(_) | Asked::Wait(_) | Asked::Other => {}
        }
    }

    /// Something that a person, a failure detector or fate does.
    fn deed(&mut self) {
        let name = self.dice.below(self.hosts.len());
        match self.dice.below(100) {
            0..40 => self.submit_tasks(name),
            40..45 => {
                let count = self.swarm.tasks().len();
                if count > 0 {
                    let task = TaskNo(u32::try_from(self.dice.below(count)).unwrap());
                    self.wish(name, Op::Cancel { task }, Asked::Other);
                }
            }
            45..50 => {
                let round = self.swarm.round().map_or(1, |round| round.number);
                self.wish(name, Op::Seal { round }, Asked::Other);
            }
            50..60 if self.hosts[name].node.is_some() => {
                self.seen.insert("a node crashed");
                self.crash(name);
            }
            60..70 => {
                self.hosts[name].still_until = self.now + 100 + self.below(2_500);
            }
            70..88 => self.suspect(name),
            88..93 => {
                let peer = format!("p{}", self.dice.below(self.hosts.len()));
                self.wish(name, Op::Pause { peer, reason: PauseReason::User }, Asked::Other);
            }
            93..97 => {
                let peer = format!("p{}", self.dice.below(self.hosts.len()));
                self.wish(name, Op::Resume { peer }, Asked::Other);
            }
            _ => self.after(0, Event::Tell(self.process(name), Box::new(Input::Shutdown))),
        }
    }

    /// A node has not heard of another: rightly or not.
    fn suspect(&mut self, name: usize) {
        let present: Vec<Position> = self.swarm.present_nodes().map(|(_, node)| node.incarnation).collect();
        let Some(incarnation) = self.dice.pick(&present) else { return };
        self.after(0, Event::Tell(self.process(name), Box::new(Input::Silent { incarnation })));
        if self.dice.chance(40) {
            let node = &self.swarm.node(self.swarm.node_no(incarnation).unwrap()).unwrap().name;
            let other = (0..self.hosts.len()).find(|other| node_name(*other) == **node).unwrap();
            self.after(0, Event::Tell(self.process(other), Box::new(Input::Suspected)));
        }
    }

    fn submit_tasks(&mut self, name: usize) {
        let mut tasks: Vec<TaskSpec> = Vec::new();
        let first = format!("t{}", self.tasks_made);
        for _ in 0..1 + self.dice.below(3) {
            let mut spec = task(&format!("t{}", self.tasks_made)).retries(u32::try_from(self.dice.below(3)).unwrap());
            self.tasks_made += 1;
            if let Some(earlier) = tasks.last()
                && self.dice.chance(40)
            {
                spec = spec.after(&[&earlier.id.clone()]);
            }
            tasks.push(if self.dice.chance(30) { spec.verified() } else { spec });
        }
        let op = if self.dice.chance(15) { part(tasks) } else { submission(tasks) };
        self.wish(name, op, Asked::Task(first));
    }
}

fn node_name(name: usize) -> String {
    format!("n{name}")
}
