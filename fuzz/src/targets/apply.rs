//! Bytes as entries of several authors: every op, most of them fitting, some stale, foreign, or of nonsense numbers.

use crate::reader::Reader;
use meshwork::view::{NoEntries, View};
use meshwork_core::topology::{Choice, Requested, Strategy, Topology};
use meshwork_core::{
    AttemptOutcome, Author, Batch, Config, DependencyPolicy, DownReason, Grant, Limits, Op, PauseReason, Payload,
    PeerSpec, Position, Returned, Review, Seen, Submission, Swarm, TaskNo, TaskSpec, Tokens, VERSION, Verify, WaitNo,
    decode_batch, encode_batch,
};
use std::collections::BTreeSet;

/// Batches of one input, at most: beyond it an execution takes too long to be worth it.
const BATCHES: usize = 120;
const CAPABILITIES: [&str; 3] = ["a", "b", "c"];
const PEERS: [&str; 6] = ["p0", "p1", "p2", "p3", "", "-"];
const NODES: [&str; 3] = ["n0", "n1", "n2"];

/// Entries are judged, whatever they say: every invariant holds after each batch, the same log gives the same state
/// again, and a snapshot gives it back.
pub(super) fn apply(data: &[u8]) {
    let mut world = World { reader: Reader::new(data), swarm: Swarm::new(), log: Vec::new() };
    world.open();
    while !world.reader.is_empty() && world.log.len() < BATCHES {
        world.step();
    }
    world.replay();
}

/// What these bytes decide: the swarm, the log that made it, and a word for each thing that came about.
pub(crate) fn decided(data: &[u8]) -> (Swarm, Vec<Batch>, BTreeSet<String>) {
    let mut world = World { reader: Reader::new(data), swarm: Swarm::new(), log: Vec::new() };
    world.open();
    while !world.reader.is_empty() && world.log.len() < BATCHES {
        world.step();
    }
    let mut words = BTreeSet::new();
    let mut swarm = Swarm::new();
    let word = |debug: String| debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    for (batch, seq) in world.log.iter().zip(1..) {
        let applied = swarm.apply_batch(seq, batch).expect("what was applied once can be applied again");
        words.extend(applied.duplicate.then(|| "duplicate".to_owned()));
        for (effects, op) in applied.effects.iter().zip(&batch.entries) {
            let op = word(format!("{op:?}"));
            words.extend(effects.list.iter().map(|effect| word(format!("{effect:?}"))));
            words.extend(effects.refusal.iter().map(|refusal| format!("{op} {}", word(format!("{refusal:?}")))));
            words.insert(op);
        }
        words.extend(swarm.tasks().map(|(_, task)| format!("{:?}", task.phase.stage())));
    }
    (world.swarm, world.log, words)
}

struct World<'a> {
    reader: Reader<'a>,
    swarm: Swarm,
    log: Vec<Batch>,
}

impl World<'_> {
    /// Most inputs open a log and join; what happens without is of interest, too.
    fn open(&mut self) {
        if self.reader.chance(3) {
            return;
        }
        let config = self.config();
        let open = Op::Open { log_id: "log".to_owned(), swarm_id: "swarm".to_owned(), config, version: VERSION };
        self.append(newcomer(NODES[0]), vec![open, join(2)]);
        let peer = |id: &str| {
            let capabilities = CAPABILITIES.map(str::to_owned).to_vec();
            Op::PeerUp(PeerSpec { id: id.to_owned(), capabilities, slots: 1, uses_session: false, token_budget: None })
        };
        let author = self.author_of(NODES[0]);
        self.append(author, vec![peer("p0"), peer("p1")]);
    }

    fn step(&mut self) {
        let node = self.reader.pick(&[NODES[0], NODES[0], NODES[0], NODES[1], NODES[2]]);
        let author = if self.reader.chance(4) {
            Author { node: node.to_owned(), incarnation: Position::from_u64(self.reader.number()) }
        } else {
            self.author_of(node)
        };
        let count = 1 + self.reader.below(3);
        let ops: Vec<Op> = (0..count).map(|_| self.op(&author)).collect();
        self.append(author, ops);
    }

    fn append(&mut self, author: Author, entries: Vec<Op>) {
        let last = self.swarm.node_no(author.incarnation).and_then(|no| self.swarm.node(no)).map(|node| node.last_seq);
        let next = last.map_or(0, |last| last + 1);
        let seq = if self.reader.chance(4) { self.reader.number() } else { next };
        let seen = if self.reader.chance(3) {
            Seen { seq: self.reader.number(), hash: self.reader.number() }
        } else {
            self.swarm.last()
        };
        let batch = Batch { author, seq, seen, time_ms: self.reader.number(), entries };
        let bytes = encode_batch(&batch).expect("it is small");
        assert_eq!(decode_batch(&bytes).as_ref(), Ok(&batch));
        let before = (self.swarm.last(), self.swarm.state_hash());
        match self.swarm.apply_batch(before.0.seq + 1, &batch) {
            Ok(applied) => {
                for effects in &applied.effects {
                    assert!(effects.refusal.is_none() || effects.list.is_empty(), "a refused entry has no effects");
                }
                self.swarm.check_invariants();
                self.log.push(batch);
            }
            Err(fault) => {
                assert!(!fault.to_string().is_empty());
                assert_eq!((self.swarm.last(), self.swarm.state_hash()), before, "a faulty batch changes nothing");
            }
        }
    }

    /// The same log once more, as every other node reads it and as people see it, and the snapshot of it.
    fn replay(&self) {
        let mut view = View::new();
        for (batch, seq) in self.log.iter().zip(1..) {
            let rows = view.apply(seq, batch).expect("what was applied once can be applied again");
            assert!(rows.iter().all(|row| !row.to_string().is_empty()));
        }
        assert_eq!(view.swarm().state_hash(), self.swarm.state_hash(), "two nodes have the same state");
        let _table = view.tasks_from(&NoEntries);
        for (no, _) in self.swarm.tasks() {
            assert!(self.swarm.explain(no).is_some_and(|why| !why.reason.to_string().is_empty()), "{no:?}");
        }
        let bytes = self.swarm.snapshot().expect("a swarm can be kept");
        let restored = Swarm::restore(&bytes).expect("what was kept can be restored");
        assert_eq!((restored.last(), restored.state_hash()), (self.swarm.last(), self.swarm.state_hash()));
        restored.check_invariants();
    }

    fn author_of(&self, node: &str) -> Author {
        Author { node: node.to_owned(), incarnation: self.swarm.last_incarnation(node) }
    }

    fn config(&mut self) -> Config {
        let reader = &mut self.reader;
        if reader.chance(60) {
            return Config { retry_backoff_ms: reader.number(), ..Config::default() };
        }
        Config {
            limits: Limits {
                tasks: reader.short(),
                depth: reader.short(),
                children: reader.short(),
                crashes: reader.short(),
                interruptions: reader.short(),
                retries: reader.short(),
                peers: reader.short(),
                capabilities: reader.short(),
                dependencies: reader.short(),
            },
            token_budget: reader.chance(50).then(|| reader.number()),
            backlog: reader.short(),
            ageing: reader.number(),
            retry_backoff_ms: reader.number(),
            crash_backoff_ms: reader.number(),
            backoff_max_ms: reader.number(),
            load_balancing: reader.chance(70),
            strategy: reader.pick(&[Strategy::Balanced, Strategy::Performance, Strategy::Adaptive]),
            topology: Choice {
                requested: reader.pick(&[
                    Requested::Auto,
                    Requested::Explicit(Topology::Mesh),
                    Requested::Explicit(Topology::Hierarchical),
                    Requested::Explicit(Topology::Hybrid),
                ]),
                ..Choice::default()
            },
        }
    }

    fn op(&mut self, author: &Author) -> Op {
        match self.reader.below(32) {
            0 | 1 => Op::PeerUp(self.peer()),
            2 => Op::PeerDown {
                peer: self.peer_name(),
                why: self.reader.pick(&[DownReason::Left, DownReason::Died, DownReason::Shutdown]),
            },
            3 => {
                use PauseReason::{Budget, Idle, RateLimit, Shutdown, User};
                Op::Pause {
                    peer: self.peer_name(),
                    reason: self.reader.pick(&[Idle, User, Budget, RateLimit, Shutdown]),
                }
            }
            4 => Op::Resume { peer: self.peer_name() },
            5..=8 => Op::Submit(self.submission(None)),
            9 | 10 => {
                let parent = self.grant(author);
                Op::Submit(self.submission(Some(parent)))
            }
            11..=16 => Op::Return(self.returned(author)),
            17 | 18 => {
                let (task, grant) = self.grant(author);
                Op::Checked {
                    task,
                    grant,
                    passed: self.reader.chance(60),
                    evidence: String::new(),
                    ran_ms: self.reader.number(),
                }
            }
            19 => {
                let (task, grant) = self.grant(author);
                Op::Settled { task, grant }
            }
            20 | 21 => self.wait(author),
            22 => Op::Cancel { task: self.task() },
            23 => Op::Seal { round: self.round() },
            24 => Op::Due { wait: self.due() },
            25 => Op::Rebalance,
            26 => {
                let (task, grant) = self.grant(author);
                Op::Usage { task, grant, tokens: self.tokens() }
            }
            27 => {
                let (task, grant) = self.grant(author);
                Op::Progress { task, grant, text: "half".to_owned() }
            }
            28 | 29 => self.wait(author),
            _ => self.rare_op(author),
        }
    }

    /// What ends much at once, or is refused mostly.
    fn rare_op(&mut self, author: &Author) -> Op {
        match self.reader.below(8) {
            0 => self.lost(),
            1..=3 => {
                // A node that is there is replaced by its Join, with all that it holds.
                let present = self.swarm.present_nodes().any(|(_, node)| node.incarnation == author.incarnation);
                if present && self.reader.chance(80) {
                    return Op::Alive;
                }
                let replaces = if self.reader.chance(10) {
                    Position::from_u64(self.reader.number())
                } else {
                    self.swarm.last_incarnation(&author.node)
                };
                let version = if self.reader.chance(5) { self.reader.short() } else { VERSION };
                Op::Join { replaces, version, sessions: self.reader.short() }
            }
            4 => Op::Alive,
            5 => Op::Configure { config: self.config() },
            6 => Op::Leave,
            _ => Op::Open {
                log_id: String::new(),
                swarm_id: String::new(),
                config: self.config(),
                version: self.reader.short(),
            },
        }
    }

    fn peer_name(&mut self) -> String {
        self.reader.pick(&PEERS).to_owned()
    }

    fn peer(&mut self) -> PeerSpec {
        let id = self.peer_name();
        let reader = &mut self.reader;
        let capabilities = CAPABILITIES.iter().filter(|_| reader.chance(60)).map(|name| (*name).to_owned()).collect();
        let slots = if reader.chance(80) { u32::try_from(reader.below(4)).unwrap_or(0) } else { reader.short() };
        let (uses_session, token_budget) = (reader.chance(40), reader.chance(20).then(|| reader.number()));
        PeerSpec { id, capabilities, slots, uses_session, token_budget }
    }

    fn spec(&mut self, prefix: &str) -> TaskSpec {
        let reader = &mut self.reader;
        let number = reader.below(12);
        let odd = number + usize::from(reader.chance(10));
        let mut dependencies: Vec<String> =
            (0..reader.below(3)).map(|_| format!("{prefix}{}", reader.below(12))).collect();
        // An unknown one has the whole submission refused.
        if reader.chance(95) {
            dependencies.retain(|id| self.swarm.find_task(id).is_some());
        }
        TaskSpec {
            id: if reader.chance(2) { String::new() } else { format!("{prefix}{number}") },
            kind: format!("k{}", odd % 2),
            description: String::new(),
            requires: CAPABILITIES.iter().skip(odd % 4).take(odd % 3).map(|name| (*name).to_owned()).collect(),
            priority: if reader.chance(90) { 1 + u8::try_from(reader.below(10)).unwrap_or(0) } else { reader.byte() },
            dependencies,
            retries: if reader.chance(80) { u32::try_from(odd % 3).unwrap_or(0) } else { reader.short() },
            timeout_ms: None,
            run: None,
            input: reader.chance(5).then(|| Payload::Artifact { key: "k".to_owned(), bytes: reader.number() }),
            on_dependency_failure: reader.pick(&[
                DependencyPolicy::Fail,
                DependencyPolicy::Skip,
                DependencyPolicy::Run,
            ]),
            review: (odd % 3 == 2).then(|| {
                let number = |reader: &mut Reader<'_>| {
                    if reader.chance(90) { 1 + u32::from(reader.byte() % 3) } else { reader.short() }
                };
                let requires = CAPABILITIES.iter().skip(odd % 2).take(odd % 3).map(|name| (*name).to_owned()).collect();
                Review { requires, approvals: number(reader), of: number(reader), run: None }
            }),
            prefers: (odd % 5 == 1).then(|| format!("p{}", number % 4)),
            verify: (odd % 4 == 1).then(|| Verify { run: Some("true".to_owned()), artifacts: Vec::new() }),
        }
    }

    fn submission(&mut self, parent: Option<(TaskNo, Grant)>) -> Submission {
        let prefix = match parent {
            Some((task, _)) if self.reader.chance(90) => format!("{}/", task.0),
            _ => "t".to_owned(),
        };
        let count = self.reader.below(5);
        let tasks = (0..count).map(|_| self.spec(&prefix)).collect();
        Submission { tasks, parent, more: self.reader.chance(15) }
    }

    fn returned(&mut self, author: &Author) -> Returned {
        use AttemptOutcome::{Cancelled, Failed, Interrupted, Lost, Ok, Rejected, TimedOut, Unverified};
        let is_awaited = |no: TaskNo| self.swarm.task(no).is_some_and(|task| task.awaited);
        let awaited: Vec<(TaskNo, Grant)> =
            self.present(author).into_iter().filter(|(task, _)| is_awaited(*task)).collect();
        let (task, grant) =
            if awaited.is_empty() || self.reader.chance(60) { self.grant(author) } else { self.reader.pick(&awaited) };
        let outcome = self.reader.pick(&[
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Failed,
            TimedOut,
            Lost,
            Interrupted,
            Cancelled,
            Unverified,
            Rejected,
        ]);
        Returned {
            task,
            grant,
            outcome,
            result: None,
            error: None,
            usage: self.tokens(),
            started_ms: self.reader.number(),
            ran_ms: self.reader.number(),
            messages_open: self.reader.chance(25),
        }
    }

    fn wait(&mut self, author: &Author) -> Op {
        let parents = self.present(author);
        let parents: Vec<(TaskNo, Grant)> =
            parents.into_iter().filter(|(task, _)| self.swarm.children(*task).next().is_some()).collect();
        let (task, grant) =
            if parents.is_empty() || self.reader.chance(20) { self.grant(author) } else { self.reader.pick(&parents) };
        let mut children: Vec<TaskNo> = match self.swarm.task(task) {
            Some(_) if self.reader.chance(70) => self.swarm.children(task).collect(),
            _ => Vec::new(),
        };
        if self.reader.chance(50) {
            // One that comes to its end soon.
            children.truncate(1);
        }
        if self.reader.chance(10) {
            children.push(self.task());
        }
        Op::Wait { task, grant, children }
    }

    fn lost(&mut self) -> Op {
        let nodes: Vec<(Position, Position)> =
            self.swarm.present_nodes().map(|(_, node)| (node.incarnation, node.heard)).collect();
        if nodes.is_empty() || self.reader.chance(15) {
            let incarnation = Position::from_u64(self.reader.number());
            return Op::NodeLost { incarnation, heard: Position::from_u64(self.reader.number()) };
        }
        let (incarnation, heard) = self.reader.pick(&nodes);
        Op::NodeLost { incarnation, heard }
    }

    fn tokens(&mut self) -> Tokens {
        let (input, output) = (self.reader.number(), self.reader.number());
        Tokens { input, output }
    }

    fn task(&mut self) -> TaskNo {
        let tasks = self.swarm.tasks().len();
        if self.reader.chance(10) {
            TaskNo(self.reader.short())
        } else {
            TaskNo(u32::try_from(self.reader.below(tasks.min(250) + 1)).unwrap_or(0))
        }
    }

    /// Mostly a present grant of the author; else a task and whatever its last one was, or nonsense.
    fn grant(&mut self, author: &Author) -> (TaskNo, Grant) {
        if self.reader.chance(10) {
            let task = self.task();
            let last = self.swarm.task(task).map(|task| task.last_grant);
            let grant = last.filter(|_| self.reader.chance(70));
            return (task, grant.unwrap_or_else(|| Position::from_u64(self.reader.number())));
        }
        let present = self.present(author);
        if present.is_empty() { (self.task(), Position::new(1, 0)) } else { self.reader.pick(&present) }
    }

    /// What the author holds, and what is open of what it held.
    fn present(&self, author: &Author) -> Vec<(TaskNo, Grant)> {
        let own = |peer| {
            let node = self.swarm.peer(peer).and_then(|peer| self.swarm.node(peer.node));
            node.is_some_and(|node| node.incarnation == author.incarnation)
        };
        self.swarm
            .tasks()
            .filter_map(|(no, task)| match task.phase.grant() {
                Some((peer, grant)) if own(peer) => Some((no, grant)),
                None if task.messages_open => Some((no, task.last_grant)),
                _ => None,
            })
            .collect()
    }

    fn round(&mut self) -> u32 {
        let open = self.swarm.round().map_or(1, |round| round.number);
        if self.reader.chance(90) { open } else { self.reader.short() }
    }

    fn due(&mut self) -> WaitNo {
        let open: Vec<WaitNo> = self.swarm.open_waits().map(|(no, _)| no).collect();
        if open.is_empty() || self.reader.chance(10) { WaitNo(self.reader.short()) } else { self.reader.pick(&open) }
    }
}

fn newcomer(node: &str) -> Author {
    Author { node: node.to_owned(), incarnation: Position::START }
}

fn join(sessions: u32) -> Op {
    Op::Join { replaces: Position::START, version: VERSION, sessions }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use meshwork_core::Stage;

    #[test]
    fn random_bytes_reach_every_phase() {
        let mut missing = Stage::ALL.to_vec();
        let mut dice = Dice::new(7);
        // Most are reached in the first dozens; a parent in line behind another task is rare.
        for _ in 0..50_000 {
            if missing.is_empty() {
                break;
            }
            let data: Vec<u8> = (0..1_500).map(|_| dice.byte()).collect();
            let mut world = World { reader: Reader::new(&data), swarm: Swarm::new(), log: Vec::new() };
            world.open();
            while !world.reader.is_empty() && world.log.len() < BATCHES {
                world.step();
                missing.retain(|stage| world.swarm.tasks().all(|(_, task)| task.phase.stage() != *stage));
            }
        }
        assert!(missing.is_empty(), "never reached: {missing:?}");
    }
}
