//! Operations drawn at random: most fit the state, some are stale, foreign or plain wrong.

use super::random::World;
use crate::topology::{Choice, Requested, Strategy, Topology};
use crate::{
    AttemptOutcome, Author, Config, DependencyPolicy, DownReason, Limits, Op, PauseReason, PeerSpec, Phase, Position,
    Returned, Review, Submission, TaskNo, TaskSpec, Tokens, VERSION, Verify, WaitNo,
};
use std::num::NonZeroU32;

const CAPABILITIES: [&str; 3] = ["a", "b", "c"];
const PEERS: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];

impl World {
    pub(super) fn random_config(&mut self) -> Config {
        let dice = &mut self.dice;
        let mut config = Config {
            limits: Limits {
                tasks: [40, 1_000][dice.below(2)],
                depth: 3,
                children: 6,
                crashes: 2,
                interruptions: 2,
                retries: 2,
                peers: 20,
                capabilities: 3,
                dependencies: 3,
            },
            token_budget: dice.chance(30).then(|| dice.below(300) as u64),
            backlog: u32::try_from(dice.below(3)).unwrap(),
            ageing: 1 + dice.below(4) as u64,
            retry_backoff_ms: [0, 100, 100][dice.below(3)],
            crash_backoff_ms: [0, 100][dice.below(2)],
            backoff_max_ms: 150,
            load_balancing: dice.chance(85),
            strategy: [Strategy::Balanced, Strategy::Balanced, Strategy::Performance, Strategy::Adaptive]
                [dice.below(4)],
            topology: Choice::default(),
        };
        let every = [Topology::Mesh, Topology::Hierarchical, Topology::Hybrid];
        config.topology.requested = Requested::Explicit(every[config.ageing as usize % 3]);
        config.topology.branching = NonZeroU32::new(1 + config.backlog).unwrap();
        config
    }

    /// An operation, and the author that appends it.
    pub(super) fn random_op(&mut self, author: &Author) -> Op {
        match self.dice.below(100) {
            0..6 => Op::PeerUp(self.random_peer()),
            6..9 => {
                let why = [DownReason::Left, DownReason::Died, DownReason::Shutdown, DownReason::Dismissed]
                    [self.dice.below(4)];
                Op::PeerDown { peer: self.peer_name(), why }
            }
            9..13 => {
                use PauseReason::{Budget, Idle, RateLimit, Shutdown, User};
                let reason = [Idle, Idle, User, Budget, RateLimit, Shutdown][self.dice.below(6)];
                Op::Pause { peer: self.peer_name(), reason }
            }
            13..18 => Op::Resume { peer: self.peer_name() },
            18..32 => Op::Submit(self.random_submission()),
            32..37 => Op::Submit(self.random_children(author)),
            37..62 => Op::Return(self.random_return(author)),
            62..66 => {
                let open: Vec<_> = self.stream.messages.iter().map(|(task, grant)| (*task, *grant)).collect();
                let (task, grant) = self.dice.pick(&open).unwrap_or_else(|| self.some_grant(author));
                Op::Settled { task, grant }
            }
            66..74 => self.random_wait(author),
            74..80 => self.random_check(author),
            80..83 => Op::Cancel { task: self.some_task() },
            83..86 => Op::Seal { round: self.some_round() },
            86..90 => Op::Due { wait: self.some_wait() },
            90..92 => Op::Rebalance,
            92..95 => {
                let (task, grant) = self.some_grant(author);
                let input = self.dice.below(60) as u64;
                Op::Usage { task, grant, tokens: Tokens { input, output: 1 } }
            }
            95 if self.dice.chance(50) => Op::Leave,
            95 => Op::Configure { config: self.random_config() },
            96 => Op::Alive,
            97 => {
                let (task, grant) = self.some_grant(author);
                Op::Progress { task, grant, text: "half".to_owned() }
            }
            98 => self.random_node_lost(),
            _ => Op::Join { replaces: self.some_incarnation(), version: VERSION, sessions: 2 },
        }
    }

    fn peer_name(&mut self) -> String {
        PEERS[self.dice.below(PEERS.len())].to_owned()
    }

    pub(super) fn random_peer(&mut self) -> PeerSpec {
        let dice = &mut self.dice;
        let capabilities = CAPABILITIES.iter().filter(|_| dice.chance(65)).map(|name| (*name).to_owned()).collect();
        let slots = [0, 1, 1, 1, 1, 1, 2, 2, 3][dice.below(9)];
        let uses_session = dice.chance(40);
        let token_budget = dice.chance(15).then(|| dice.below(150) as u64);
        PeerSpec { id: self.peer_name(), capabilities, slots, uses_session, token_budget }
    }

    fn random_spec(&mut self, prefix: &str) -> TaskSpec {
        let dice = &mut self.dice;
        let id = format!("{prefix}{}", dice.below(8));
        // The content follows from the id, mostly: so that a resubmission is the same task.
        let odd = id.bytes().map(usize::from).sum::<usize>() + usize::from(dice.chance(8));
        let policy = [DependencyPolicy::Fail, DependencyPolicy::Skip, DependencyPolicy::Run][odd % 3];
        let requires = CAPABILITIES.iter().skip(odd % 4).take(odd % 3).map(|name| (*name).to_owned()).collect();
        let mut dependencies = Vec::new();
        for other in 0..odd % 3 {
            let earlier = (odd + other * 3) % 8;
            let known = dice.chance(97);
            if known && self.swarm.find_task(&format!("{prefix}{earlier}")).is_none() {
                continue;
            }
            dependencies.push(format!("{prefix}{earlier}"));
        }
        TaskSpec {
            id,
            kind: format!("k{}", odd % 2),
            requires,
            priority: u8::try_from(1 + self.dice.below(10)).unwrap(),
            dependencies,
            retries: u32::try_from(odd % 3).unwrap(),
            on_dependency_failure: policy,
            review: self.random_review(odd),
            prefers: (odd % 5 == 1).then(|| format!("p{}", odd % 3)),
            verify: (odd % 4 == 1).then(|| Verify { run: Some("true".to_owned()), artifacts: Vec::new() }),
            ..TaskSpec::default()
        }
    }

    /// A third of the tasks are reviewed; some ask for what is refused.
    fn random_review(&mut self, odd: usize) -> Option<Review> {
        let of = 1 + odd / 3 % 3;
        let requires = CAPABILITIES.iter().skip(odd % 2).take(odd % 3).map(|name| (*name).to_owned()).collect();
        let approvals = if self.dice.chance(3) { 0 } else { 1 + odd % of };
        let number = |number: usize| u32::try_from(number).unwrap();
        let review = Review { requires, approvals: number(approvals), of: number(of), run: None };
        (odd % 3 == 2).then_some(review)
    }

    pub(super) fn random_submission(&mut self) -> Submission {
        let count = self.dice.below(5);
        let tasks = (0..count).map(|_| self.random_spec("t")).collect();
        Submission { tasks, parent: None, more: self.dice.chance(20) }
    }

    pub(super) fn random_children(&mut self, author: &Author) -> Submission {
        let parent = self.some_grant(author);
        let prefix = if self.dice.chance(90) { format!("{}/", parent.0.0) } else { "t".to_owned() };
        let count = 1 + self.dice.below(3);
        let tasks = (0..count).map(|_| self.random_spec(&prefix)).collect();
        Submission { tasks, parent: Some(parent), more: self.dice.chance(5) }
    }

    fn random_return(&mut self, author: &Author) -> Returned {
        use AttemptOutcome::{Cancelled, Failed, Interrupted, Lost, Ok, Rejected, TimedOut, Unverified};
        let (task, grant) = self.some_grant(author);
        let is_review = self.swarm.task(task).is_some_and(|task| task.reviews.is_some());
        let outcome = if self.dice.chance(60) {
            if is_review && self.dice.chance(50) { Rejected } else { Ok }
        } else {
            [Failed, Failed, TimedOut, Lost, Interrupted, Cancelled, Unverified, Rejected][self.dice.below(8)]
        };
        let usage = Tokens { input: self.dice.below(3) as u64 * 20, output: 0 };
        let ran_ms = self.dice.below(5_000) as u64;
        let messages_open = self.dice.chance(25);
        let (result, error) = (None, None);
        Returned { task, grant, outcome, result, error, usage, started_ms: 0, ran_ms, messages_open }
    }

    fn random_wait(&mut self, author: &Author) -> Op {
        let (task, grant) = self.some_grant(author);
        let mut children: Vec<TaskNo> = match self.swarm.task(task) {
            Some(_) => self.swarm.children(task).collect(),
            None => Vec::new(),
        };
        let kept = self.dice.below(children.len() + 1);
        children.truncate(kept);
        if self.dice.chance(5) {
            children.push(self.some_task());
        }
        Op::Wait { task, grant, children }
    }

    fn random_check(&mut self, author: &Author) -> Op {
        let checks: Vec<(TaskNo, Position)> =
            self.stream.live.iter().filter(|(_, live)| live.check).map(|(task, live)| (*task, live.grant)).collect();
        let (task, grant) = self.dice.pick(&checks).unwrap_or_else(|| self.some_grant(author));
        let passed = self.dice.chance(60);
        Op::Checked { task, grant, passed, evidence: String::new(), ran_ms: 1 }
    }

    fn random_node_lost(&mut self) -> Op {
        let nodes: Vec<(Position, Position)> =
            self.swarm.present_nodes().map(|(_, node)| (node.incarnation, node.heard)).collect();
        let (incarnation, heard) = self.dice.pick(&nodes).unwrap_or_default();
        let heard = if self.dice.chance(70) { heard } else { incarnation };
        Op::NodeLost { incarnation, heard }
    }

    pub(super) fn some_incarnation(&mut self) -> Position {
        let node = format!("n{}", self.dice.below(3));
        self.swarm.last_incarnation(&node)
    }

    fn some_task(&mut self) -> TaskNo {
        TaskNo(u32::try_from(self.dice.below(self.swarm.tasks().len() + 1)).unwrap())
    }

    /// Mostly a live grant of the author; else somebody's, or one that has ended.
    fn some_grant(&mut self, author: &Author) -> (TaskNo, Position) {
        let own = |peer: crate::PeerNo| {
            let node = self.swarm.peer(peer).map(|peer| peer.node);
            node.and_then(|node| self.swarm.node(node)).is_some_and(|node| node.incarnation == author.incarnation)
        };
        let all = || self.stream.live.iter().map(|(task, live)| (*task, live.grant, live.peer));
        let mine: Vec<(TaskNo, Position)> = all().filter(|(.., peer)| own(*peer)).map(|(t, g, _)| (t, g)).collect();
        let live: Vec<(TaskNo, Position)> = all().map(|(t, g, _)| (t, g)).collect();
        let picked = match self.dice.below(20) {
            0 => self.dice.pick(&self.stream.ended),
            1 => self.dice.pick(&live),
            2 => {
                let open: Vec<_> = self.stream.messages.iter().map(|(task, grant)| (*task, *grant)).collect();
                self.dice.pick(&open)
            }
            // Short-lived, so they are looked for: attempts whose children have closed.
            3..6 => {
                let in_line = |task: TaskNo| matches!(self.swarm.tasks[task.index()].phase, Phase::InLine { .. });
                let line: Vec<_> = mine.iter().copied().filter(|(task, _)| in_line(*task)).collect();
                self.dice.pick(&line).or_else(|| self.dice.pick(&mine))
            }
            _ => self.dice.pick(&mine),
        };
        picked.unwrap_or_else(|| (self.some_task(), Position::new(1, 0)))
    }

    fn some_round(&mut self) -> u32 {
        let open = self.swarm.round().map_or(1, |round| round.number);
        if self.dice.chance(90) { open } else { 1 }
    }

    fn some_wait(&mut self) -> WaitNo {
        let open: Vec<WaitNo> = self.swarm.open_waits().map(|(no, _)| no).collect();
        self.dice.pick(&open).unwrap_or_default()
    }

    /// What a node does whose work all goes well: the next step for each live grant.
    pub(super) fn good_steps(&self) -> Vec<(Author, Op)> {
        let mut steps = Vec::new();
        for (task, live) in &self.stream.live {
            let author = self.author_of(live.peer);
            let (task, grant) = (*task, live.grant);
            let op = match self.swarm.task(task).unwrap().phase {
                Phase::Checking { .. } => Op::Checked { task, grant, passed: true, evidence: String::new(), ran_ms: 1 },
                _ if live.waiting && !live.stopped => continue,
                _ => Op::Return(Returned {
                    task,
                    grant,
                    outcome: if live.stopped { AttemptOutcome::Cancelled } else { AttemptOutcome::Ok },
                    result: None,
                    error: None,
                    usage: Tokens::default(),
                    started_ms: 0,
                    ran_ms: 1,
                    messages_open: false,
                }),
            };
            steps.push((author, op));
        }
        let anyone = self.present_author();
        for (task, grant) in &self.stream.messages {
            steps.push((anyone.clone(), Op::Settled { task: *task, grant: *grant }));
        }
        steps.extend(self.swarm.open_waits().map(|(wait, _)| (anyone.clone(), Op::Due { wait })));
        steps
    }
}
