//! The peers, what they were told, and what is on its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::super::dice::Dice;
use super::{HEARTBEAT_MS, Plan, Report, TIMEOUT_MS};
use crate::ids::{CapNo, PeerNo};
use crate::topology::{Capacity, HOPS_MAX, Rewired, Shape, Step, Summary, Topology, Worker, next_step};

const CAPABILITIES: u32 = 8;
const SLOTS: u32 = 2;
const TASK_MS: u64 = 200;
/// How long a message takes.
const HOP_MS: u64 = 1;
/// A queen or lead dies so long after the measuring began.
const DEATH_MS: u64 = 1_500;
/// Nothing takes longer than this; more is an error of the simulation.
const PATIENCE_MS: u64 = 600_000;

type TaskNo = usize;

struct Peer {
    alive: bool,
    worker: Worker,
    /// Tasks that it runs or that wait for a slot of it.
    queue: VecDeque<(TaskNo, u32)>,
    running: u32,
    /// The last that it told: itself and all below it.
    told: Summary,
    told_at: u64,
    messages: u64,
}

struct Task {
    required: BTreeSet<CapNo>,
    /// From where it came about to where it is.
    path: Vec<PeerNo>,
    goes_up: bool,
    /// Which life: what is on its way for an earlier one is nobody's business.
    life: u32,
    done: bool,
}

enum Event {
    Beat(PeerNo),
    /// A heartbeat arrives at all of these.
    Heard(PeerNo, Rc<Vec<PeerNo>>),
    Arises(TaskNo),
    /// A task arrives at the end of its path.
    Handed(TaskNo, u32),
    Worked(PeerNo, TaskNo, u32),
    /// A result arrives at that place of the path.
    Returned(TaskNo, u32, usize),
    Dies,
    Noticed(PeerNo),
}

pub(super) struct World {
    plan: Plan,
    shape: Shape,
    peers: Vec<Peer>,
    tasks: Vec<Task>,
    /// Tasks that one handed to another since that one last told how it is.
    owed: BTreeMap<(PeerNo, PeerNo), u64>,
    everybody: Rc<Vec<PeerNo>>,
    agenda: BTreeMap<(u64, u64), Event>,
    number: u64,
    now: u64,
    open: usize,
    dead: Option<(PeerNo, u64)>,
    noticed: bool,
    dice: Dice,
    report: Report,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let shape = Shape::new(plan.topology, plan.branching).expect("the plan has a branching");
        Self {
            plan,
            shape,
            peers: Vec::new(),
            tasks: Vec::new(),
            owed: BTreeMap::new(),
            everybody: Rc::default(),
            agenda: BTreeMap::new(),
            number: 0,
            now: 0,
            open: 0,
            dead: None,
            noticed: false,
            dice: Dice::new(plan.seed),
            report: Report::default(),
        }
    }

    /// One after the other: the shape changes, whom it concerns is told; the peer announces itself and is answered.
    pub(super) fn join_all(&mut self) {
        for number in 0..self.plan.peers {
            let peer = PeerNo(number);
            let can = [(); 2].map(|()| CapNo(self.dice.between(0, CAPABILITIES - 1)));
            let worker = Worker { capabilities: can.into(), slots: SLOTS, load: 0 };
            let told = Summary::of(&worker);
            let queue = VecDeque::new();
            self.peers.push(Peer { alive: true, worker, queue, running: 0, told, told_at: 0, messages: 0 });
            let rewired = self.shape.join(peer).expect("each joins once");
            let concerned = self.concerned(&rewired);
            let audience = self.shape.neighbors(peer).len();
            self.report.joining += (concerned + 2 * audience) as u64;
        }
        self.everybody = Rc::new(self.shape.peers());
        self.shape.check_invariants();
        let depths = self.everybody.iter().map(|peer| self.shape.depth(*peer));
        self.report.depth = depths.max().unwrap_or(0);
        let neighbors = self.everybody.iter().map(|peer| match self.plan.topology {
            Topology::Mesh => self.everybody.len() - 1,
            Topology::Hierarchical | Topology::Hybrid => self.shape.neighbors(*peer).len(),
        });
        self.report.neighbors = neighbors.max().unwrap_or(0);
        self.report.cells = self.shape.cells();
    }

    pub(super) fn measure(&mut self) {
        for number in 0..self.plan.peers {
            let first = u64::from(number) * HEARTBEAT_MS / u64::from(self.plan.peers);
            self.at(first, Event::Beat(PeerNo(number)));
        }
        let time = u64::from(self.plan.seconds) * 1_000;
        self.open = self.plan.tasks as usize;
        for task in 0..self.open {
            // What one of those can who stay: the first of all is the one that dies.
            let able = self.dice.between(1, self.plan.peers - 1);
            let able: Vec<CapNo> = self.peers[able as usize].worker.capabilities.iter().copied().collect();
            let required = self.dice.pick(&able).into_iter().collect();
            self.tasks.push(Task { required, path: Vec::new(), goes_up: true, life: 0, done: false });
            let when = task as u64 * time / self.open as u64;
            self.at(when, Event::Arises(task));
        }
        self.at(DEATH_MS, Event::Dies);
        while let Some(next) = self.agenda.first_entry() {
            let (when, _) = *next.key();
            if when >= time && self.open == 0 && self.noticed {
                break;
            }
            assert!(when < PATIENCE_MS, "{} tasks never come back", self.open);
            let event = next.remove();
            self.now = when;
            self.on(event);
        }
        self.now = self.now.max(time);
    }

    pub(super) fn into_report(mut self) -> Report {
        self.shape.check_invariants();
        self.report.measured_ms = self.now;
        self.report.busiest = self.peers.iter().map(|peer| peer.messages).max().unwrap_or(0);
        self.report
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Beat(peer) => self.on_beat(peer),
            Event::Heard(sender, recipients) => self.on_heard(sender, &recipients),
            Event::Arises(task) => self.on_arises(task),
            Event::Handed(task, life) => self.on_handed(task, life),
            Event::Worked(peer, task, life) => self.on_worked(peer, task, life),
            Event::Returned(task, life, place) => self.on_returned(task, life, place),
            Event::Dies => self.on_dies(),
            Event::Noticed(peer) => self.on_noticed(peer),
        }
    }

    fn at(&mut self, when: u64, event: Event) {
        self.number += 1;
        self.agenda.insert((when, self.number), event);
    }

    fn peer(&mut self, peer: PeerNo) -> &mut Peer {
        &mut self.peers[peer.0 as usize]
    }

    fn is_alive(&self, peer: PeerNo) -> bool {
        self.peers[peer.0 as usize].alive
    }

    /// How many a change of the shape has to be told to.
    fn concerned(&self, rewired: &Rewired) -> usize {
        match rewired {
            Rewired::Everybody => self.shape.len(),
            Rewired::Peers(peers) => peers.len(),
        }
    }

    /// Whom a peer sends its heartbeat to; in a mesh to everybody, itself left out on the way.
    fn audience(&self, peer: PeerNo) -> Rc<Vec<PeerNo>> {
        match self.plan.topology {
            Topology::Mesh => Rc::clone(&self.everybody),
            Topology::Hierarchical | Topology::Hybrid => Rc::new(self.shape.neighbors(peer)),
        }
    }

    fn on_beat(&mut self, peer: PeerNo) {
        if !self.is_alive(peer) || !self.shape.contains(peer) {
            return;
        }
        let recipients = self.audience(peer);
        let sent = recipients.iter().filter(|other| **other != peer).count() as u64;
        self.report.heartbeats += sent;
        self.report.summaries += u64::from(self.shape.summarizes_to(peer).is_some());
        self.peer(peer).messages += sent;
        self.miss(peer, &recipients);
        self.at(self.now + HOP_MS, Event::Heard(peer, recipients));
        self.at(self.now + HEARTBEAT_MS, Event::Beat(peer));
    }

    /// Whoever has a neighbour that was silent for too long says so.
    fn miss(&mut self, peer: PeerNo, neighbors: &[PeerNo]) {
        let Some((dead, _)) = self.dead.filter(|_| !self.noticed) else { return };
        let silent_for = self.now - self.peers[dead.0 as usize].told_at;
        if silent_for > TIMEOUT_MS && peer != dead && neighbors.contains(&dead) {
            self.noticed = true;
            self.at(self.now + HOP_MS, Event::Noticed(dead));
        }
    }

    fn on_heard(&mut self, sender: PeerNo, recipients: &[PeerNo]) {
        for recipient in recipients.iter().filter(|recipient| **recipient != sender) {
            let recipient = &mut self.peers[recipient.0 as usize];
            if recipient.alive {
                recipient.messages += 1;
                self.report.received += 1;
            } else {
                self.report.undelivered += 1;
            }
        }
        let summary = self.summary(sender);
        let now = self.now;
        let peer = self.peer(sender);
        (peer.told, peer.told_at) = (summary, now);
        // What was handed to it meanwhile is in what it told.
        if self.plan.topology == Topology::Mesh {
            self.owed.retain(|(_, to), _| *to != sender);
        } else if let Some(above) = self.shape.above(sender) {
            self.owed.remove(&(above, sender));
        }
    }

    /// Itself and, where it has somebody below it, what those told last.
    fn summary(&self, peer: PeerNo) -> Summary {
        let mut summary = Summary::of(&self.peers[peer.0 as usize].worker);
        if self.plan.topology != Topology::Mesh {
            for below in self.shape.below(peer) {
                summary.add(&self.peers[below.0 as usize].told);
            }
        }
        summary
    }

    fn on_arises(&mut self, task: TaskNo) {
        let from = match self.plan.topology {
            Topology::Hierarchical => self.shape.queen(),
            Topology::Mesh | Topology::Hybrid => None,
        };
        let from = from.filter(|queen| self.is_alive(*queen)).unwrap_or_else(|| self.somebody());
        let (life, goes_up) = (self.tasks[task].life, true);
        self.tasks[task].path = vec![from];
        self.tasks[task].goes_up = goes_up;
        self.decide(task, life);
    }

    fn somebody(&mut self) -> PeerNo {
        let from = self.dice.below(self.everybody.len());
        let around = self.everybody.iter().cycle().skip(from).take(self.everybody.len());
        around.copied().find(|peer| self.is_alive(*peer)).expect("only one of two or more dies")
    }

    fn on_handed(&mut self, task: TaskNo, life: u32) {
        let Some(&at) = self.tasks[task].path.last() else { return };
        if self.tasks[task].life != life {
            return;
        }
        if self.arrives(at) {
            self.decide(task, life);
        }
    }

    /// Counts a message at its recipient; false if that one is dead.
    fn arrives(&mut self, at: PeerNo) -> bool {
        let alive = self.is_alive(at);
        if alive {
            self.report.received += 1;
            self.peer(at).messages += 1;
        } else {
            self.report.undelivered += 1;
        }
        alive
    }

    /// The peer at the end of the path does what it thinks best.
    fn decide(&mut self, task: TaskNo, life: u32) {
        let Task { required, path, goes_up, .. } = &self.tasks[task];
        let (at, goes_up, steps) = (path[path.len() - 1], *goes_up, path.len());
        assert!(steps <= HOPS_MAX, "a task finds its worker in {HOPS_MAX} steps");
        let own = self.peers[at.0 as usize].worker.capacity(required);
        let is_mesh = self.plan.topology == Topology::Mesh;
        let below = match is_mesh {
            true if goes_up => self.room(at, &self.everybody, required),
            true => Vec::new(),
            false => self.room(at, &self.shape.below(at), required),
        };
        let above = self.shape.above(at).filter(|_| goes_up);
        match next_step(own, &below, above, self.shape.queen() == Some(at)) {
            Step::Take => self.take(at, task, life),
            Step::Down(to) => {
                *self.owed.entry((at, to)).or_default() += 1;
                self.tasks[task].goes_up = false;
                self.hand(task, life, at, to);
            }
            Step::Up(to) => self.hand(task, life, at, to),
            Step::Nobody => self.give_back(task, at),
        }
    }

    /// What a peer thinks of the room of others: what they told, less what it handed to them since.
    fn room(&self, at: PeerNo, others: &[PeerNo], required: &BTreeSet<CapNo>) -> Vec<(PeerNo, Capacity)> {
        let others = others.iter().filter(|other| **other != at);
        let room = |other: &PeerNo| {
            let told = self.peers[other.0 as usize].told.capacity(required);
            let owed = self.owed.get(&(at, *other)).copied().unwrap_or(0);
            let free = told.free.saturating_sub(owed);
            (*other, Capacity { free, waiting: told.waiting + owed.saturating_sub(told.free), ..told })
        };
        others.map(room).filter(|(_, room)| room.any()).collect()
    }

    fn hand(&mut self, task: TaskNo, life: u32, from: PeerNo, to: PeerNo) {
        self.report.steps += 1;
        self.peer(from).messages += 1;
        self.tasks[task].path.push(to);
        self.at(self.now + HOP_MS, Event::Handed(task, life));
    }

    /// Whoever was thought to have somebody who can has not, any more: its subtree is forgotten until it tells anew, and the
    /// one above tries elsewhere.
    fn give_back(&mut self, task: TaskNo, at: PeerNo) {
        let required = self.tasks[task].required.clone();
        self.peer(at).told.forget(&required);
        self.tasks[task].path.pop();
        match self.tasks[task].path.last().copied() {
            Some(above) => {
                self.tasks[task].life += 1;
                let life = self.tasks[task].life;
                self.report.steps += 1;
                self.peer(at).messages += 1;
                self.at(self.now + HOP_MS, Event::Handed(task, life));
                self.owed.remove(&(above, at));
            }
            None => self.again(task, HEARTBEAT_MS),
        }
    }

    /// From the start, later.
    fn again(&mut self, task: TaskNo, after_ms: u64) {
        self.tasks[task].life += 1;
        self.at(self.now + after_ms, Event::Arises(task));
    }

    fn take(&mut self, at: PeerNo, task: TaskNo, life: u32) {
        let peer = self.peer(at);
        peer.worker.load += 1;
        peer.queue.push_back((task, life));
        self.start_next(at);
    }

    fn start_next(&mut self, at: PeerNo) {
        let now = self.now;
        let peer = self.peer(at);
        if peer.running < SLOTS
            && let Some((task, life)) = peer.queue.pop_front()
        {
            peer.running += 1;
            self.at(now + TASK_MS, Event::Worked(at, task, life));
        }
    }

    fn on_worked(&mut self, at: PeerNo, task: TaskNo, life: u32) {
        if !self.is_alive(at) {
            return;
        }
        let peer = self.peer(at);
        peer.worker.load -= 1;
        peer.running -= 1;
        self.start_next(at);
        if self.tasks[task].life == life {
            let place = self.tasks[task].path.len() - 1;
            self.send_result(task, life, place);
        }
    }

    /// Back the way that the task came.
    fn send_result(&mut self, task: TaskNo, life: u32, place: usize) {
        match place.checked_sub(1) {
            None => {
                assert!(!self.tasks[task].done, "a task is done once");
                self.tasks[task].done = true;
                self.report.done += 1;
                self.open -= 1;
            }
            Some(above) => {
                self.report.results += 1;
                let at = self.tasks[task].path[place];
                self.peer(at).messages += 1;
                self.at(self.now + HOP_MS, Event::Returned(task, life, above));
            }
        }
    }

    fn on_returned(&mut self, task: TaskNo, life: u32, place: usize) {
        if self.tasks[task].life == life && self.arrives(self.tasks[task].path[place]) {
            self.send_result(task, life, place);
        }
    }

    /// The queen, the first lead, or in a mesh the first peer.
    fn on_dies(&mut self) {
        let dies = self.shape.queen().unwrap_or(PeerNo(0));
        self.peer(dies).alive = false;
        self.dead = Some((dies, self.now));
    }

    fn on_noticed(&mut self, dead: PeerNo) {
        let (_, died_at) = self.dead.expect("somebody died who is missed");
        let rewired = self.shape.leave(dead).expect("it was there");
        self.shape.check_invariants();
        self.everybody = Rc::new(self.shape.peers());
        let peers: Vec<PeerNo> = match &rewired {
            Rewired::Everybody => self.everybody.to_vec(),
            Rewired::Peers(peers) => peers.iter().copied().collect(),
        };
        self.report.noticed_after_ms = self.now - died_at;
        self.report.rewired = peers.len();
        self.report.repair += peers.len() as u64;
        for &peer in &peers {
            if !self.arrives(peer) || self.plan.topology == Topology::Mesh {
                continue; // in a mesh nobody is new to anybody
            }
            let neighbors = self.audience(peer);
            self.report.repair += neighbors.len() as u64;
            self.peer(peer).messages += neighbors.len() as u64;
            self.at(self.now + HOP_MS, Event::Heard(peer, neighbors));
        }
        for task in 0..self.tasks.len() {
            let Task { path, done, .. } = &self.tasks[task];
            if !done && path.contains(&dead) {
                self.report.restarted += 1;
                self.again(task, HOP_MS);
            }
        }
    }

    /// What each peer was last told of those below agrees with what they are.
    #[cfg(test)]
    pub(super) fn has_converged(&self) -> bool {
        let workers = self.everybody.iter().map(|peer| (*peer, self.peers[peer.0 as usize].worker.clone()));
        let exact = crate::topology::summaries(&self.shape, &workers.collect());
        self.everybody.iter().all(|peer| self.peers[peer.0 as usize].told == exact[peer])
    }

    /// Lets so much time pass.
    #[cfg(test)]
    pub(super) fn rest(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(next) = self.agenda.first_entry().filter(|next| next.key().0 < until) {
            self.now = next.key().0;
            let event = next.remove();
            self.on(event);
        }
    }
}
