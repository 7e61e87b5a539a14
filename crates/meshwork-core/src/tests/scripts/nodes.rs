//! Scripts about nodes: several machines of their own rules over one log, which a command may lose, delay or
//! repeat. The trace shows what the log stores, what follows from it, and what each node asks for.

use super::ops::{author, config, decision, number, peer_spec};
use super::sentence::{Error, Sentence};
use super::trace::{NOON, Trace, attempt_outcome, without_hashes};
use super::variants::Covered;
use crate::node::{Ask, BodyEnd, Input, Node, Setup, Ticket, Timer};
use crate::tests::mesh::peer;
use crate::tests::one_node::{body_end, setup};
use crate::{Batch, Config, Grant, Mutant, PeerSpec, Position, Swarm, TaskNo};
use goldenscript::{Command, Context, Runner};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Key = (TaskNo, Grant);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pose {
    /// Reads whatever is stored at once.
    Reads,
    /// Has an old view until it is told to read.
    Lags,
    /// Its process stands still: nothing reaches it, and it says nothing.
    Still,
}

/// A machine that bears a node's name, and the world around it.
struct Host {
    setup: Setup,
    node: Option<Node>,
    pose: Pose,
    /// Batches of the log that it was told.
    read: u64,
    /// What it has asked to append.
    appends: Option<Arc<Batch>>,
    /// What is on its way to the log.
    late: Vec<Arc<Batch>>,
    /// Bodies and checks that were started and have not ended.
    runs: BTreeSet<Key>,
    timers: Vec<(u64, Timer)>,
    snapshot: Option<Vec<u8>>,
    clock_ms: u64,
}

/// The hosts, their log, and a reader of the log that does nothing but tell what follows.
#[derive(Default)]
pub(super) struct NodesScript {
    hosts: BTreeMap<String, Host>,
    log: Vec<Arc<Batch>>,
    reader: Swarm,
    wishes: BTreeMap<Ticket, String>,
    mutant: Option<Mutant>,
    pub(super) covered: Covered,
}

impl Runner for NodesScript {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Error> {
        let mut said = Sentence::new(command);
        let covered = self.covered.clone();
        let lines = self.command(&mut said)?;
        if context.silent {
            self.covered = covered;
        }
        said.end()?;
        self.check();
        Ok(lines)
    }
}

impl NodesScript {
    /// Played by nodes that keep all rules but this one.
    pub(super) fn broken_by(mutant: Option<Mutant>) -> Self {
        Self { reader: Swarm::new().broken_by(mutant), mutant, ..Self::default() }
    }

    fn command(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let subject = said.word("who or what")?;
        match subject.as_str() {
            "cast" => self.cast(said),
            "node" => self.add(said),
            "all" if said.takes("append") => self.all_append(),
            "log" => self.log_does(said),
            "late" => self.late_batch_arrives(said),
            "body" | "check" | "messages" => self.end_of(&subject, said),
            "clock" => self.set_clock(said),
            "timer" => self.timer_fires(said),
            "explain" => {
                let id = said.word("a task")?;
                let (node, covered) = self.read_by(said)?;
                let no = number(&id, node.swarm())?;
                let trace = Trace { swarm: node.swarm(), covered };
                trace.explain(no).ok_or_else(|| said.wrong("there is no such task"))
            }
            "state" => {
                let (node, covered) = self.read_by(said)?;
                Ok(Trace { swarm: node.swarm(), covered }.state())
            }
            _ => self.node_does(&subject, said),
        }
    }

    /// `cast n1=p1 n2="p2 p3"`: nodes that have joined one log, and their peers. `slots=2` holds for all peers.
    fn cast(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let covered = self.covered.clone();
        let slots = said.value("slots")?.unwrap_or(1);
        let rebalance_ms = said.value("balance-every")?;
        let opened = config(said)?;
        let mut lines = String::new();
        while let Some((name, peers)) = said.pair() {
            let peers = peers.split_whitespace();
            let peers: Vec<PeerSpec> = peers.map(|id| peer(id, &[], slots)).collect();
            self.put(&name, &peers, rebalance_ms, &opened);
            self.start(&name, Swarm::new())?;
            self.all_append()?;
            let Host { setup, .. } = &self.hosts[&name];
            let peers: Vec<&str> = setup.peers.iter().map(|peer| &*peer.id).collect();
            let at = self.reader.last_incarnation(&name);
            let with = if peers.is_empty() { "no peer".to_owned() } else { peers.join(" ") };
            lines += &format!("{name} has joined as {at}, with {with}\n");
        }
        self.covered = covered;
        Ok(lines)
    }

    /// `node n1 with p1 slots=2`: a machine whose node starts now.
    fn add(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let name = said.word("the name of a node")?;
        let rebalance_ms = said.value("balance-every")?;
        let peers = if said.takes("with") { said.words_until(&[]) } else { Vec::new() };
        let like = peer_spec("", said)?;
        let peers: Vec<PeerSpec> = peers.into_iter().map(|id| PeerSpec { id, ..like.clone() }).collect();
        self.put(&name, &peers, rebalance_ms, &Config::default());
        self.start(&name, Swarm::new())
    }

    fn put(&mut self, name: &str, peers: &[PeerSpec], rebalance_ms: Option<u64>, opened: &Config) {
        let open = Some(("log".to_owned(), "swarm".to_owned(), opened.clone()));
        let setup = Setup { name: name.to_owned(), open, rebalance_ms, ..setup(peers) };
        let host = Host {
            setup,
            node: None,
            pose: Pose::Reads,
            read: 0,
            appends: None,
            late: Vec::new(),
            runs: BTreeSet::new(),
            timers: Vec::new(),
            snapshot: None,
            clock_ms: NOON,
        };
        self.hosts.insert(name.to_owned(), host);
    }

    fn node_does(&mut self, name: &str, said: &mut Sentence) -> Result<String, Error> {
        let verb = said.word("what it does")?;
        let host = self.hosts.get_mut(name).ok_or_else(|| said.wrong("there is no such node"))?;
        match verb.as_str() {
            "wishes" => {
                let node = host.node.as_ref().ok_or("it does not run")?;
                let ticket = Ticket(self.wishes.len() as u64 + 1);
                let wish = said.text().split_once(" wishes ").map_or("", |(_, wish)| wish);
                self.wishes.insert(ticket, wish.to_owned());
                let (op, _) = decision(said, node.swarm())?;
                self.tell(name, Input::Wish { op, ticket: Some(ticket) })
            }
            "appends" => self.appends(name, said),
            "hears" if said.takes_all("an error") => self.tell(name, Input::AppendFailed),
            "suspects" => {
                let other = said.word("the name of a node")?;
                let node = host.node.as_ref().ok_or("it does not run")?;
                let incarnation = author(&other, node.swarm())?.incarnation;
                self.tell(name, Input::Silent { incarnation })
            }
            "is" if said.takes("suspected") => self.tell(name, Input::Suspected),
            "shuts" if said.takes("down") => self.tell(name, Input::Shutdown),
            "stands" if said.takes("still") => {
                host.pose = Pose::Still;
                Ok(format!("{name} stands still\n"))
            }
            "goes" if said.takes("on") => {
                host.pose = Pose::Lags;
                Ok(format!("{name} goes on, and has read up to batch {}\n", host.read))
            }
            "lags" => {
                host.pose = Pose::Lags;
                Ok(format!("{name} has read up to batch {}, and reads no further\n", host.read))
            }
            "reads" => {
                let many = if said.is_empty() { u64::MAX } else { said.word("how many")?.parse()? };
                self.reads(name, many)
            }
            "skips" if said.takes_all("a batch") => {
                host.read += 1;
                Ok(format!("{name} is not told batch {}\n", host.read))
            }
            "crashes" => {
                self.forget(name);
                Ok(format!("{name} is gone\n"))
            }
            "saves" if said.takes_all("a snapshot") => {
                let node = host.node.as_ref().ok_or("it does not run")?;
                host.snapshot = Some(node.swarm().snapshot()?);
                Ok(format!("{name}: a snapshot after batch {}\n", node.swarm().last().seq))
            }
            "starts" => {
                let bytes = host.snapshot.clone();
                let swarm = match (said.takes_all("from its snapshot"), bytes) {
                    (false, _) => Swarm::new(),
                    (true, Some(bytes)) => Swarm::restore(&bytes)?,
                    (true, None) => return Err(said.wrong("it has no snapshot")),
                };
                self.start(name, swarm)
            }
            _ => Err(said.wrong(&format!("a node cannot {verb:?}"))),
        }
    }

    /// The process is gone, and with it everything but what is on its way to the log, and files.
    fn forget(&mut self, name: &str) {
        let host = self.hosts.get_mut(name).expect("its caller found it");
        host.node = None;
        host.appends = None;
        host.runs.clear();
        host.timers.clear();
        host.pose = Pose::Reads;
    }

    fn start(&mut self, name: &str, swarm: Swarm) -> Result<String, Error> {
        self.forget(name);
        let host = self.hosts.get_mut(name).expect("its caller found it");
        host.read = swarm.last().seq;
        let process = host.setup.name.bytes().fold(0, |sum, byte| sum + u64::from(byte));
        let swarm = swarm.broken_by(self.mutant).in_process(process);
        host.node = Some(Node::new(host.setup.clone(), swarm));
        let lines = self.reads(name, u64::MAX)?;
        Ok(lines + &self.tell_if_it_runs(name, Input::CaughtUp)?)
    }

    /// What happened goes in, what is to be done comes out, and is done.
    fn tell(&mut self, name: &str, input: Input) -> Result<String, Error> {
        let host = self.hosts.get_mut(name).ok_or_else(|| format!("there is no node {name}"))?;
        let node = host.node.as_mut().ok_or_else(|| format!("{name} does not run"))?;
        if host.pose == Pose::Still {
            return Err(format!("{name} stands still").into());
        }
        self.covered.show(&input);
        let reads = matches!(input, Input::Stored { .. });
        let asks = match node.handle(input, host.clock_ms) {
            Ok(asks) => asks,
            Err(fault) => {
                self.covered.show(&fault);
                self.forget(name);
                return Ok(format!("{name} stops: {}\n", without_hashes(&fault.to_string())));
            }
        };
        let mut trace = Trace { swarm: node.swarm(), covered: &mut self.covered };
        let nothing = !reads && asks.is_empty();
        let mut lines = if nothing { format!("{name} → nothing\n") } else { String::new() };
        for ask in asks {
            let line = trace.ask(&ask, &self.wishes);
            lines += &format!("{name} → {line}\n");
            match ask {
                Ask::Append(batch) => host.appends = Some(batch),
                Ask::Start { task, grant, .. } | Ask::Check { task, grant, .. } => {
                    host.runs.insert((task, grant));
                }
                Ask::Sleep { timer, ms } => host.timers.push((ms, timer)),
                Ask::Continue { .. } | Ask::Stop { .. } | Ask::Suspend { .. } | Ask::Answer { .. } => {}
                Ask::RoundClosed(_) | Ask::Left => {}
            }
        }
        Ok(lines)
    }

    fn tell_if_it_runs(&mut self, name: &str, input: Input) -> Result<String, Error> {
        if self.hosts[name].node.is_some() { self.tell(name, input) } else { Ok(String::new()) }
    }

    /// Tells it so many batches of the log; all: it reads along from then on.
    fn reads(&mut self, name: &str, many: u64) -> Result<String, Error> {
        let mut lines = String::new();
        let unread = (self.log.len() as u64).saturating_sub(self.hosts[name].read);
        for _ in 0..unread.min(many) {
            let host = self.hosts.get_mut(name).expect("its caller found it");
            host.read += 1;
            let seq = host.read;
            let batch = self.log[usize::try_from(seq - 1)?].clone();
            lines += &self.tell_if_it_runs(name, Input::Stored { seq, batch })?;
        }
        if many >= unread {
            self.hosts.get_mut(name).expect("its caller found it").pose = Pose::Reads;
        }
        Ok(lines)
    }

    /// The log stores a batch, and tells what follows from it.
    fn store(&mut self, batch: &Arc<Batch>) -> String {
        self.log.push(batch.clone());
        let seq = self.log.len() as u64;
        let applied = self.reader.apply_batch(seq, batch);
        let mut trace = Trace { swarm: &self.reader, covered: &mut self.covered };
        let author = trace.author(&batch.author);
        match applied {
            Ok(applied) if applied.duplicate => {
                format!("@{seq} {author}: its batch {} was applied before: dropped\n", batch.seq)
            }
            Ok(applied) => {
                let entries = batch.entries.iter().zip(&applied.effects).enumerate();
                let lines = entries
                    .map(|(index, (op, effects))| trace.entry(Position::new(seq, index), &batch.author, op, effects));
                lines.collect()
            }
            // Whoever reads it says what is wrong.
            Err(_) => format!("@{seq} {author}: {}\n    stored\n", trace.batch(batch)),
        }
    }

    /// Whoever reads along is told what was stored since.
    fn all_read(&mut self, before: u64) -> Result<String, Error> {
        let mut lines = String::new();
        for name in self.hosts.keys().cloned().collect::<Vec<_>>() {
            let host = &self.hosts[&name];
            if host.pose != Pose::Reads || host.node.is_none() {
                continue;
            }
            if host.read > before {
                // The log is shorter than what this node has read: it is told what comes now all the same.
                let (seq, batch) = (self.log.len() as u64, self.log.last().expect("it was just stored").clone());
                lines += &self.tell(&name, Input::Stored { seq, batch })?;
            } else {
                lines += &self.reads(&name, u64::MAX)?;
            }
        }
        Ok(lines)
    }

    /// `n1 appends`: stored. `… lost`, `… twice`, `… late`, `… but hears an error`: what the world may do.
    fn appends(&mut self, name: &str, said: &mut Sentence) -> Result<String, Error> {
        let host = self.hosts.get_mut(name).expect("its caller found it");
        if host.pose == Pose::Still {
            return Err(said.wrong("it stands still"));
        }
        let batch = host.appends.take().ok_or_else(|| said.wrong("it has nothing to append"))?;
        let before = self.log.len() as u64;
        if said.takes("lost") {
            let lines = self.on_its_way(name, &batch, "lost on its way");
            return Ok(lines + &self.tell(name, Input::AppendFailed)?);
        }
        if said.takes("late") {
            let lines = self.on_its_way(name, &batch, "is on its way");
            self.hosts.get_mut(name).expect("it was just found").late.push(batch);
            return Ok(lines);
        }
        let mut lines = self.store(&batch);
        if said.takes("twice") {
            lines += &self.store(&batch);
        } else if said.takes_all("but hears an error") {
            lines += &self.tell(name, Input::AppendFailed)?;
        }
        Ok(lines + &self.all_read(before)?)
    }

    fn on_its_way(&mut self, name: &str, batch: &Batch, what: &str) -> String {
        let trace = Trace { swarm: &self.reader, covered: &mut self.covered };
        format!("~~{name}: {}~~ {what}\n", trace.batch(batch))
    }

    fn late_batch_arrives(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let of = said.takes_all("batch of").then(|| said.word("the name of a node")).transpose()?;
        let host = of.and_then(|name| self.hosts.get_mut(&name));
        let host =
            host.filter(|_| said.takes("arrives")).ok_or_else(|| said.wrong("expected: late batch of n1 arrives"))?;
        if host.late.is_empty() {
            return Err(said.wrong("nothing of it is on its way"));
        }
        let batch = host.late.remove(0);
        let before = self.log.len() as u64;
        let lines = self.store(&batch);
        Ok(lines + &self.all_read(before)?)
    }

    /// In the order of names, until nobody who runs has anything to append.
    fn all_append(&mut self) -> Result<String, Error> {
        let mut lines = String::new();
        loop {
            let ready = |host: &Host| host.pose != Pose::Still && host.node.is_some() && host.appends.is_some();
            let Some(name) = self.hosts.iter().find(|(_, host)| ready(host)).map(|(name, _)| name.clone()) else {
                return Ok(lines);
            };
            lines += &self.appends(&name, &mut Sentence::of_words("appends"))?;
        }
    }

    /// `log loses the last 2 batches`, `log loses batch 3`.
    fn log_does(&mut self, said: &mut Sentence) -> Result<String, Error> {
        if said.takes_all("loses the last") {
            let many: usize = said.word("how many")?.parse()?;
            if !said.takes("batches") {
                return Err(said.wrong("expected: batches"));
            }
            self.log.truncate(self.log.len() - many);
        } else if said.takes_all("loses batch") {
            self.log.remove(said.word("which one")?.parse::<usize>()? - 1);
        } else {
            return Err(said.wrong("a log does not do that"));
        }
        self.reader = Swarm::new().broken_by(self.mutant);
        for (index, batch) in self.log.iter().enumerate() {
            if self.reader.apply_batch(index as u64 + 1, batch).is_err() {
                break;
            }
        }
        Ok(format!("the log ends with batch {}\n", self.log.len()))
    }

    /// `body of a on n1 ends ok`, `… ends stopped`, `check of a on n1 ends passed`, `messages of a on n1 settle`.
    fn end_of(&mut self, what: &str, said: &mut Sentence) -> Result<String, Error> {
        let id = said.takes("of").then(|| said.word("a task")).transpose()?;
        let id = id.ok_or_else(|| said.wrong("expected: of TASK on NODE"))?;
        let name = said.takes("on").then(|| said.word("a node")).transpose()?;
        let name = name.ok_or_else(|| said.wrong("expected: on NODE"))?;
        let host = self.hosts.get_mut(&name).ok_or_else(|| said.wrong("there is no such node"))?;
        let task = host.node.as_ref().map(|node| number(&id, node.swarm())).ok_or("it does not run")??;
        if what == "messages" {
            if !said.takes("settle") {
                return Err(said.wrong("expected: settle"));
            }
            let node = host.node.as_ref().expect("it was just found");
            let grant = node.swarm().task(task).map_or(Position::START, |task| task.last_grant);
            return self.tell(&name, Input::MessagesSettled { task, grant });
        }
        let key = host.runs.iter().copied().find(|(no, _)| *no == task);
        let key = key.ok_or_else(|| said.wrong("nothing of it runs there"))?;
        if !said.takes("ends") {
            return Err(said.wrong("expected: ends"));
        }
        host.runs.remove(&key);
        let end = said.word("how")?;
        let (task, grant) = key;
        let input = match (what, end.as_str()) {
            ("check", "passed" | "failed") => {
                let passed = end == "passed";
                Input::CheckEnded { task, grant, passed, evidence: String::new(), ran_ms: 1 }
            }
            ("body", "stopped") => Input::BodyEnded(body_end(key, None)),
            ("body", word) => {
                let outcome = attempt_outcome(word).ok_or_else(|| said.wrong("expected ok, failed, lost …"))?;
                let messages_open = said.takes_all("with open messages");
                Input::BodyEnded(BodyEnd { messages_open, ..body_end(key, Some(outcome)) })
            }
            _ => return Err(said.wrong("a check ends passed or failed")),
        };
        self.tell(&name, input)
    }

    fn set_clock(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let name = said.takes("of").then(|| said.word("a node")).transpose()?;
        let host = name.and_then(|name| self.hosts.get_mut(&name));
        let host =
            host.filter(|_| said.takes("shows")).ok_or_else(|| said.wrong("expected: clock of n1 shows 5000"))?;
        host.clock_ms = said.word("ms since the epoch")?.parse()?;
        Ok(format!("a clock shows {} ms\n", host.clock_ms))
    }

    /// The one that runs out first.
    fn timer_fires(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let name = said.takes("of").then(|| said.word("a node")).transpose()?;
        let name = name.filter(|_| said.takes("fires")).ok_or_else(|| said.wrong("expected: timer of n1 fires"))?;
        let host = self.hosts.get_mut(&name).ok_or_else(|| said.wrong("there is no such node"))?;
        let first = (0..host.timers.len()).min_by_key(|index| host.timers[*index].0);
        let (_, timer) = first.map(|index| host.timers.remove(index)).ok_or_else(|| said.wrong("it has no timer"))?;
        self.tell(&name, Input::Fired(timer))
    }

    /// The node whose view is asked for: `on n1`.
    fn read_by(&mut self, said: &mut Sentence) -> Result<(&Node, &mut Covered), Error> {
        let name = said.takes("on").then(|| said.word("a node")).transpose()?;
        let node = name.and_then(|name| self.hosts.get(&name)).and_then(|host| host.node.as_ref());
        Ok((node.ok_or_else(|| said.wrong("expected: on NODE, and one that runs"))?, &mut self.covered))
    }

    /// What holds after every step: the invariants, and one state at one place for all.
    fn check(&self) {
        let mut states = BTreeMap::new();
        for node in self.hosts.values().filter_map(|host| host.node.as_ref()) {
            node.swarm().check_invariants();
            let last = node.swarm().last();
            let first = *states.entry(last.seq).or_insert(last.hash);
            assert_eq!(first, last.hash, "two states after batch {}", last.seq);
        }
    }
}
