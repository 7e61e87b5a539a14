//! A host: one node's name, and the processes that bear it one after the other. It does for the node what the
//! driver does: hands it inputs, performs its asks in order, and makes appends again.

use super::body::Body;
use super::faults::Fault;
use super::finding::FindingKind;
use super::log;
use super::people::Asked;
use super::witness::Key;
use super::world::{Event, Process, World, say};
use crate::node::{Ask, Input, Node, Setup, Ticket, Timer};
use crate::{Batch, Op, PeerNo, PeerSpec, Position, Swarm};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A process that was killed starts again within this time, in virtual ms.
const RESTART_MS: u64 = 2_000;
/// A node reads a batch this long after it was stored, at most, unless it has an old view.
const READ_MS: u64 = 20;
/// An input is taken in this long before the node decides, at most, where a host turns slowly.
const TURN_MS: u64 = 4;

/// How the next process of a host starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Reads the whole log.
    Replay,
    /// Is killed while it reads.
    KilledIn,
    /// Starts from a snapshot of what lies in the middle.
    Snapshot,
}

/// One node's name and its present process.
pub(super) struct Host {
    pub(super) name: String,
    /// Processes that came before the present one.
    pub(super) life: u32,
    pub(super) node: Option<Box<Node>>,
    /// Its peers as they are meant to be.
    pub(super) specs: Vec<PeerSpec>,
    pub(super) bodies: BTreeMap<Key, Body>,
    pub(super) asked: BTreeMap<Ticket, Asked>,
    /// It stands still until then.
    pub(super) still_until: u64,
    /// It reads nothing until then.
    pub(super) blind_until: u64,
    /// Its clock is this much ahead of virtual time, in ms.
    pub(super) skew: u64,
    /// It never comes back.
    pub(super) gone: bool,
    pub(super) start: Start,
    /// It is killed after so many asks of one input.
    pub(super) trip: Option<usize>,
    pub(super) peers_still: BTreeSet<PeerNo>,
    /// Rounds whose completion the present process told of.
    pub(super) told: BTreeSet<u32>,
    /// Where the log ended when the present process had caught up.
    pub(super) caught_up: u64,
    /// Its node has left.
    left: bool,
    /// Results of its bodies that the log does not hold yet.
    pub(super) owed: BTreeSet<Key>,
    /// The log is damaged, as it saw, and it has stopped.
    pub(super) faulted: bool,
    /// It takes several inputs in before it decides, as the driver does.
    slow_turns: bool,
    decides: bool,
    reads: bool,
    /// The batch whose effects it performs at this moment.
    pub(super) reading: Option<u64>,
    appended: Option<Arc<Batch>>,
}

impl Host {
    pub(super) fn new(name: String, specs: Vec<PeerSpec>, slow_turns: bool) -> Self {
        Self {
            name,
            life: 0,
            node: None,
            specs,
            bodies: BTreeMap::new(),
            asked: BTreeMap::new(),
            still_until: 0,
            blind_until: 0,
            skew: 1 << 40,
            gone: false,
            start: Start::Replay,
            trip: None,
            peers_still: BTreeSet::new(),
            told: BTreeSet::new(),
            caught_up: 0,
            left: false,
            owed: BTreeSet::new(),
            faulted: false,
            slow_turns,
            decides: false,
            reads: false,
            reading: None,
            appended: None,
        }
    }

    pub(super) fn is_member(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_member())
    }
}

impl World<'_> {
    pub(super) fn process(&self, host: usize) -> Process {
        Process { host, life: self.hosts[host].life }
    }

    fn setup(&self, host: usize) -> Setup {
        let Host { name, specs, life, .. } = &self.hosts[host];
        Setup {
            name: name.clone(),
            nonce: u64::from(*life),
            open: Some(("log".to_owned(), "swarm".to_owned(), self.config.clone())),
            sessions: self.sessions,
            peers: specs.clone(),
            rebalance_ms: Some(300),
            imbalance_permille: 1_500,
        }
    }

    /// A process starts: it reads what the log holds, and joins.
    pub(super) fn start(&mut self, host: usize) {
        if self.hosts[host].node.is_some() || self.hosts[host].gone || self.hosts[host].faulted {
            return;
        }
        let how = std::mem::replace(&mut self.hosts[host].start, Start::Replay);
        let end = match how {
            Start::KilledIn => self.dice.ms(self.log.len() + 1),
            Start::Replay | Start::Snapshot => self.log.len(),
        };
        let Some(swarm) = self.restored(host, how) else { return };
        let mut node = Box::new(Node::new(self.setup(host), swarm));
        let clock = self.clock(host);
        for seq in node.swarm().last().seq + 1..=end {
            let batch = self.log.get(seq).expect("within the log").clone();
            match node.handle(Input::Stored { seq, batch }, clock) {
                Ok(asks) if asks.is_empty() => {}
                Ok(asks) => {
                    let text = format!("{} asks for {asks:?} in catching up", self.hosts[host].name);
                    return self.found(FindingKind::Broken, text);
                }
                Err(fault) => return self.faulted(host, &fault),
            }
        }
        self.compare_hash(host, node.swarm());
        let state = &mut self.hosts[host];
        state.life += 1;
        if how == Start::KilledIn {
            self.report.inject(Fault::CrashCatchingUp.name());
            say!(self, self.hosts[host].name, "is killed again after {end} batches of catching up");
            let ms = 1 + self.dice.ms(RESTART_MS);
            return self.after(ms, Event::Start(host));
        }
        (state.node, state.caught_up) = (Some(node), end);
        say!(self, self.hosts[host].name, "starts and has read {end} batches");
        self.tell(host, Input::CaughtUp);
    }

    /// A fresh state, or that of a snapshot, which says the same as the log up to there.
    fn restored(&mut self, host: usize, how: Start) -> Option<Swarm> {
        // The reader of the log is the first process of all.
        let process = 1 + host as u64;
        if how != Start::Snapshot {
            return Some(self.fresh_swarm(process));
        }
        self.report.inject(Fault::SnapshotRestart.name());
        let restored = self.reader.snapshot().and_then(|bytes| Swarm::restore(&bytes));
        match restored {
            Ok(swarm) => Some(self.as_broken(swarm, process)),
            Err(error) => {
                self.found(FindingKind::Divergence, format!("a snapshot cannot be restored: {error}"));
                None
            }
        }
    }

    /// Everything volatile is gone; what it had appended may still be stored.
    pub(super) fn kill(&mut self, host: usize) {
        self.lose_mail(host);
        let state = &mut self.hosts[host];
        state.node = None;
        state.bodies.clear();
        state.told.clear();
        state.owed.clear();
        state.peers_still.clear();
        (state.trip, state.appended, state.reading, state.left) = (None, None, None, false);
        (state.reads, state.decides, state.still_until, state.blind_until) = (false, false, 0, 0);
        let asked = std::mem::take(&mut state.asked);
        self.asked_in_vain(asked);
        if !self.hosts[host].gone && !self.hosts[host].faulted {
            let ms = 1 + self.dice.ms(RESTART_MS);
            self.after(ms, Event::Start(host));
        }
    }

    /// The node found its log damaged: it stops for good.
    pub(super) fn faulted(&mut self, host: usize, fault: &crate::LogFault) {
        if self.regressed.is_some() {
            return self.found_out(host, fault);
        }
        self.found(FindingKind::LogFault, format!("{} stops: {fault}", self.hosts[host].name));
    }

    pub(super) fn clock(&self, host: usize) -> u64 {
        self.now.saturating_add(self.hosts[host].skew)
    }

    /// The log holds something that this host has not read.
    pub(super) fn reads_soon(&mut self, host: usize) {
        if self.hosts[host].reads || self.hosts[host].node.is_none() {
            return;
        }
        self.hosts[host].reads = true;
        let ms = 1 + self.dice.ms(READ_MS);
        let at = (self.now + ms).max(self.hosts[host].blind_until);
        self.after(at - self.now, Event::Read(self.process(host)));
    }

    pub(super) fn read(&mut self, host: usize) {
        self.hosts[host].reads = false;
        loop {
            let Some(node) = &self.hosts[host].node else { return };
            if self.now < self.hosts[host].blind_until {
                return self.reads_soon(host);
            }
            let seq = node.swarm().last().seq + 1;
            let Some(batch) = self.log.get(seq).cloned() else { return };
            self.hosts[host].reading = Some(seq);
            self.report.deliveries += 1;
            self.tell(host, Input::Stored { seq, batch });
            self.hosts[host].reading = None;
            if let Some(node) = self.hosts[host].node.take() {
                self.compare_hash(host, node.swarm());
                self.hosts[host].node = Some(node);
            }
            // It may be interrupted by anything between two batches.
            if !self.findings.is_empty() || !self.calm && self.dice.chance(20) {
                return self.reads_soon(host);
            }
        }
    }

    fn compare_hash(&mut self, host: usize, swarm: &Swarm) {
        let seq = swarm.last().seq;
        if seq > 0 && self.regressed.is_none() && Some(swarm.state_hash()) != self.log.hash_after(seq) {
            let text =
                format!("{} has another state after batch {seq} than the reader of the log", self.hosts[host].name);
            self.found(FindingKind::Divergence, text);
        }
    }

    pub(super) fn tell(&mut self, host: usize, input: Input) {
        let clock = self.clock(host);
        let Host { slow_turns: slow, life, .. } = self.hosts[host];
        let Some(node) = &mut self.hosts[host].node else { return };
        let asks = if slow { node.take_in(input) } else { node.handle(input, clock) };
        match asks {
            Ok(asks) => self.perform_all(host, asks),
            Err(fault) => return self.faulted(host, &fault),
        }
        let lives = self.hosts[host].node.is_some() && self.hosts[host].life == life;
        if slow && lives && !self.hosts[host].decides {
            self.hosts[host].decides = true;
            let ms = self.dice.ms(TURN_MS);
            self.after(ms, Event::Decide(self.process(host)));
        }
    }

    pub(super) fn decide(&mut self, host: usize) {
        self.hosts[host].decides = false;
        let clock = self.clock(host);
        let Some(node) = &mut self.hosts[host].node else { return };
        let asks = node.decide(clock);
        self.perform_all(host, asks);
    }

    fn perform_all(&mut self, host: usize, asks: Vec<Ask>) {
        let life = self.hosts[host].life;
        for ask in asks {
            if let Some(left) = self.hosts[host].trip {
                if left == 0 {
                    self.report.inject(Fault::CrashMidway.name());
                    say!(self, self.hosts[host].name, "is killed before it can do this: {ask:?}");
                    return self.kill(host);
                }
                self.hosts[host].trip = Some(left - 1);
            }
            self.perform(host, ask);
            if self.hosts[host].life != life || self.hosts[host].node.is_none() || !self.findings.is_empty() {
                return;
            }
        }
        // As the driver does: what else this input brought is done before.
        if self.hosts[host].left {
            self.has_left(host);
        }
    }

    fn perform(&mut self, host: usize, ask: Ask) {
        let process = self.process(host);
        match ask {
            Ask::Append(batch) => self.append(host, &batch),
            Ask::Start { task, grant, .. } => self.start_body(host, (task, grant), false),
            Ask::Check { task, grant, .. } => self.start_body(host, (task, grant), true),
            Ask::Continue { task, grant } => self.body_continues(host, (task, grant)),
            Ask::Stop { task, grant } => self.stop_body(host, (task, grant)),
            Ask::Sleep { timer, ms } => {
                let fired = Box::new(Input::Fired(timer));
                match timer {
                    Timer::Rebalance => self.after(ms, Event::Tick(process, fired)),
                    Timer::Due(_) => self.after(ms, Event::Tell(process, fired)),
                }
            }
            Ask::Answer { ticket, answer } => self.answered(host, ticket, &answer),
            Ask::RoundClosed(round) => self.told(host, round),
            Ask::Suspend { peer, still } => self.suspend(host, peer, still),
            Ask::Left => self.hosts[host].left = true,
        }
    }

    /// A node that has left has answered everybody, and nothing of it runs.
    fn has_left(&mut self, host: usize) {
        say!(self, self.hosts[host].name, "has left");
        let Host { name, bodies, asked, owed, .. } = &self.hosts[host];
        let wrong = if self.regressed.is_some() {
            None
        } else if !bodies.is_empty() {
            Some((FindingKind::Overlap, format!("{name} has left, and processes of it run")))
        } else if !asked.is_empty() {
            Some((FindingKind::Unanswered, format!("{name} has left, and owes answers")))
        } else {
            let kept = |key: &Key| format!("{name} has left, and kept what {} said", self.attempt(*key));
            owed.first().map(|key| (FindingKind::LostTask, kept(key)))
        };
        if let Some((kind, text)) = wrong {
            return self.found(kind, text);
        }
        self.report.note("a node left in good order");
        self.kill(host);
    }

    fn append(&mut self, host: usize, batch: &Arc<Batch>) {
        if let Err((kind, text)) = self.may_append(host, batch) {
            return self.found(kind, text);
        }
        self.hosts[host].appended = Some(batch.clone());
        self.report.appends += 1;
        let log::Fortune { stored, failed, fault } = log::fortune(&mut self.dice, self.plan.faults, self.calm);
        if self.trace.is_some() {
            let words: Vec<String> = batch.entries.iter().map(|op| self.judge.word(op)).collect();
            let fate = fault.map_or_else(String::new, |fault| format!(" [{fault}]"));
            say!(self, self.hosts[host].name, "appends {}{fate}", words.join("; "));
        }
        if let Some(fault) = fault {
            self.report.inject(fault.name());
        }
        self.speaks(self.process(host), batch);
        for ms in stored {
            self.after(ms, Event::Store(batch.clone()));
        }
        if let Some(ms) = failed {
            self.after(ms, Event::Tell(self.process(host), Box::new(Input::AppendFailed)));
        }
    }

    /// The node's own rules, from the outside: one batch in flight, unchanged until it is read back; nothing
    /// is said of an attempt while something of it runs; a node that was lost joins when its bodies are gone.
    fn may_append(&self, host: usize, batch: &Batch) -> Result<(), (FindingKind, String)> {
        let Host { name, node, appended, bodies, .. } = &self.hosts[host];
        let swarm = node.as_ref().expect("a node that asks").swarm();
        let again = appended.as_ref().is_some_and(|last| {
            let member = batch.author.incarnation > Position::START;
            last.author == batch.author && last.seq == batch.seq && (member || **last == *batch)
        });
        let broken = |what: String| Err((FindingKind::Broken, format!("{name} {what}")));
        if again && appended.as_ref().is_some_and(|last| **last != *batch) {
            return broken(format!("appends another batch under number {}", batch.seq));
        }
        if !again {
            let own = swarm.node_no(batch.author.incarnation).and_then(|no| swarm.node(no));
            if own.is_some_and(|own| own.last_seq + 1 != batch.seq) {
                return broken(format!("appends batch {} before it has read what came before", batch.seq));
            }
            if batch.seen != swarm.last() {
                return broken("claims to have applied what it has not".to_owned());
            }
        }
        for op in &batch.entries {
            match op {
                Op::Join { .. } if !bodies.is_empty() => return broken("joins while bodies of it run".to_owned()),
                Op::Return(returned) if bodies.contains_key(&(returned.task, returned.grant)) => {
                    let text = format!("{name} returns {} while its process runs", self.judge.task_name(returned.task));
                    return Err((FindingKind::Overlap, text));
                }
                Op::Return(returned) if !returned.messages_open => {
                    let open = self.open_messages((returned.task, returned.grant));
                    if open > 0 && returned.outcome == crate::AttemptOutcome::Ok {
                        let task = self.judge.task_name(returned.task);
                        let text = format!("{name} returns {task} as settled while {open} messages of it are open");
                        return Err((FindingKind::EarlyCompletion, text));
                    }
                }
                Op::Settled { task, grant } => {
                    let open = self.open_messages((*task, *grant));
                    if open > 0 {
                        let task = self.judge.task_name(*task);
                        let text = format!("{name} says that {task} has settled while {open} messages are open");
                        return Err((FindingKind::EarlyCompletion, text));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The log holds what became of an attempt.
    pub(super) fn handed_in(&mut self, name: &str, key: Key) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.name == name) {
            host.owed.remove(&key);
        }
    }

    /// Somebody says that this node is suspected: a member says that it is alive.
    pub(super) fn suspected(&mut self, host: usize) {
        self.tell(host, Input::Suspected);
        let state = &self.hosts[host];
        let Some(node) = &state.node else { return };
        if node.is_member() && !node.undecided().any(|op| *op == Op::Alive) {
            let text = format!("{} hears that it is suspected, and says nothing", state.name);
            self.found(FindingKind::Broken, text);
        }
    }

    fn suspend(&mut self, host: usize, peer: PeerNo, still: bool) {
        let process = self.process(host);
        if still {
            self.hosts[host].peers_still.insert(peer);
            return;
        }
        self.hosts[host].peers_still.remove(&peer);
        let thawed: Vec<Key> = self.hosts[host]
            .bodies
            .iter_mut()
            .filter_map(|(key, body)| (body.peer == peer && std::mem::take(&mut body.frozen)).then_some(*key))
            .collect();
        for key in thawed {
            self.after(1, Event::Body(process, key));
        }
    }

    /// A host that lives, by chance; members first when `member`.
    pub(super) fn living(&mut self, member: bool) -> Option<usize> {
        let lives = |host: &Host| host.node.is_some() && (!member || host.is_member());
        let living: Vec<usize> =
            self.hosts.iter().enumerate().filter(|(_, host)| lives(host)).map(|(index, _)| index).collect();
        self.dice.pick(&living)
    }

    /// The present incarnation of a host's process, as the log knows it.
    pub(super) fn incarnation(&self, host: usize) -> Option<Position> {
        self.judge.present(&self.hosts[host].name).map(|node| node.incarnation)
    }
}
