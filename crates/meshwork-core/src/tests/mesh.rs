//! A small language for scenarios: a swarm, its nodes and peers by name, and tasks by id.

use crate::{
    AttemptOutcome, Author, Batch, Config, DependencyPolicy, Effect, Grant, Op, Outcome, PauseReason, PeerNo, PeerSpec,
    Phase, Position, Refusal, Returned, Review, Submission, Swarm, Task, TaskNo, TaskSpec, Tokens, VERSION, Verify,
};
use std::collections::BTreeMap;

/// A swarm with one log; every entry is a batch of its own.
pub(super) struct Mesh {
    pub(super) swarm: Swarm,
    /// What the last entry brought about.
    pub(super) effects: Vec<Effect>,
    seqs: BTreeMap<Position, u64>,
}

impl Mesh {
    /// Opened with these settings; node `n` has joined.
    pub(super) fn with(config: Config) -> Self {
        let mut mesh = Self { swarm: Swarm::new(), effects: Vec::new(), seqs: BTreeMap::new() };
        let (log_id, swarm_id) = ("log".to_owned(), "swarm".to_owned());
        mesh.accept(&stranger("n"), Op::Open { log_id, swarm_id, config, version: VERSION });
        mesh.join("n");
        mesh
    }

    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    /// Appends one entry; its refusal, if it is refused.
    pub(super) fn append(&mut self, author: &Author, op: Op) -> Option<Refusal> {
        let next = self.seqs.entry(author.incarnation).or_insert(0);
        *next += u64::from(author.incarnation > Position::START);
        let seen = self.swarm.last();
        let batch = Batch { author: author.clone(), seq: *next, seen, time_ms: 0, entries: vec![op] };
        let mut applied = self.swarm.apply_batch(seen.seq + 1, &batch).unwrap();
        let effects = applied.effects.remove(0);
        self.effects = effects.list;
        effects.refusal
    }

    pub(super) fn accept(&mut self, author: &Author, op: Op) {
        let refusal = self.append(author, op);
        assert_eq!(refusal, None);
    }

    /// As node `n`.
    pub(super) fn does(&mut self, op: Op) -> &mut Self {
        let author = self.node("n");
        self.accept(&author, op);
        self
    }

    /// As node `n`: must be refused.
    pub(super) fn refuses(&mut self, op: Op) -> Refusal {
        let author = self.node("n");
        self.append(&author, op).expect("a refusal")
    }

    /// Joins, and replaces the last incarnation of the name.
    pub(super) fn join(&mut self, name: &str) -> &mut Self {
        let replaces = self.swarm.last_incarnation(name);
        self.accept(&stranger(name), Op::Join { replaces, version: VERSION, sessions: 1 });
        self
    }

    /// The last incarnation of a node.
    pub(super) fn node(&self, name: &str) -> Author {
        Author { node: name.to_owned(), incarnation: self.swarm.last_incarnation(name) }
    }

    /// A peer of node `n` comes up.
    pub(super) fn peer(&mut self, id: &str, capabilities: &[&str], slots: u32) -> &mut Self {
        self.peer_on("n", id, capabilities, slots)
    }

    pub(super) fn peer_on(&mut self, node: &str, id: &str, capabilities: &[&str], slots: u32) -> &mut Self {
        let author = self.node(node);
        self.accept(&author, Op::PeerUp(peer(id, capabilities, slots)));
        self
    }

    pub(super) fn submit(&mut self, tasks: impl Into<Vec<TaskSpec>>) -> &mut Self {
        self.does(submission(tasks.into()))
    }

    /// Children of the present attempt of a task.
    pub(super) fn spawn(&mut self, parent: &str, tasks: impl Into<Vec<TaskSpec>>) -> &mut Self {
        let (author, task, grant) = self.holder(parent);
        let submission = Submission { tasks: tasks.into(), parent: Some((task, grant)), more: false };
        self.accept(&author, Op::Submit(submission));
        self
    }

    /// The author, number and present grant of a running task.
    pub(super) fn holder(&self, id: &str) -> (Author, TaskNo, Grant) {
        let task = self.no(id);
        let (peer, grant) = self.task(id).phase.grant().unwrap_or_else(|| panic!("{id} is {:?}", self.task(id).phase));
        (self.author_of(peer), task, grant)
    }

    fn author_of(&self, peer: PeerNo) -> Author {
        let node = self.swarm.node(self.swarm.peer(peer).unwrap().node).unwrap();
        Author { node: node.name.to_string(), incarnation: node.incarnation }
    }

    pub(super) fn returns(&mut self, id: &str, outcome: AttemptOutcome) -> &mut Self {
        let (author, task, grant) = self.holder(id);
        self.accept(&author, Op::Return(returned(task, grant, outcome)));
        self
    }

    pub(super) fn ok(&mut self, id: &str) -> &mut Self {
        self.returns(id, AttemptOutcome::Ok)
    }

    pub(super) fn fails(&mut self, id: &str) -> &mut Self {
        self.returns(id, AttemptOutcome::Failed)
    }

    /// A review that does not approve.
    pub(super) fn rejects(&mut self, id: &str) -> &mut Self {
        self.returns(id, AttemptOutcome::Rejected)
    }

    /// Returns ok, with messages on their way.
    pub(super) fn ok_but_messages(&mut self, id: &str) -> (Author, TaskNo, Grant) {
        let (author, task, grant) = self.holder(id);
        let messages_open = true;
        self.accept(&author, Op::Return(Returned { messages_open, ..returned(task, grant, AttemptOutcome::Ok) }));
        (author, task, grant)
    }

    /// Gives up the slot until these children are closed; none named: all.
    pub(super) fn waits(&mut self, id: &str, children: &[&str]) -> &mut Self {
        let (author, task, grant) = self.holder(id);
        let children = children.iter().map(|child| self.no(child)).collect();
        self.accept(&author, Op::Wait { task, grant, children });
        self
    }

    pub(super) fn checked(&mut self, id: &str, passed: bool) -> &mut Self {
        let (author, task, grant) = self.holder(id);
        self.accept(&author, Op::Checked { task, grant, passed, evidence: String::new(), ran_ms: 1 });
        self
    }

    /// Every back-off is over.
    pub(super) fn time_passes(&mut self) -> &mut Self {
        for wait in self.swarm.open_waits().map(|(no, _)| no).collect::<Vec<_>>() {
            self.does(Op::Due { wait });
        }
        self
    }

    pub(super) fn pause(&mut self, peer: &str, reason: PauseReason) -> &mut Self {
        self.does(Op::Pause { peer: peer.to_owned(), reason })
    }

    pub(super) fn resume(&mut self, peer: &str) -> &mut Self {
        self.does(Op::Resume { peer: peer.to_owned() })
    }

    pub(super) fn cancel(&mut self, id: &str) -> &mut Self {
        let task = self.no(id);
        self.does(Op::Cancel { task })
    }

    /// Seals the open round.
    pub(super) fn seal(&mut self) -> &mut Self {
        let round = self.swarm.round().expect("a round is open").number;
        self.does(Op::Seal { round })
    }

    /// A node of this name is given up on, by node `n`.
    pub(super) fn loses(&mut self, name: &str) -> &mut Self {
        let incarnation = self.swarm.last_incarnation(name);
        let heard = self.swarm.present_nodes().find(|(_, node)| node.incarnation == incarnation).unwrap().1.heard;
        self.does(Op::NodeLost { incarnation, heard })
    }

    pub(super) fn no(&self, id: &str) -> TaskNo {
        self.swarm.find_task(id).unwrap_or_else(|| panic!("no task {id}"))
    }

    pub(super) fn task(&self, id: &str) -> &Task {
        self.swarm.task(self.no(id)).unwrap()
    }

    /// The word of the contracts, and where: `pending`, `assigned p`, `running p`, `failed lost` …
    pub(super) fn is(&self, id: &str) -> String {
        let phase = self.task(id).phase;
        let peer = |no: PeerNo| self.swarm.peer(no).unwrap().id.to_string();
        match phase {
            Phase::Assigned { peer: at } => format!("assigned {}", peer(at)),
            Phase::Running { peer: at, .. } => format!("running {}", peer(at)),
            Phase::Closed { outcome } if outcome != Outcome::Ok => format!("failed {}", outcome.word()),
            Phase::Closed { .. } => "completed".to_owned(),
            other => format!("{:?}", other.stage()).to_lowercase(),
        }
    }

    #[track_caller]
    pub(super) fn shows(&mut self, id: &str, state: &str) -> &mut Self {
        assert_eq!(self.is(id), state, "{id}");
        self
    }

    /// Number and counts of the round that the last entry closed.
    pub(super) fn closed_round(&self) -> Option<(u32, u32, u32)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::RoundClosed { round, ok, failed, .. } => Some((*round, *ok, *failed)),
            _ => None,
        })
    }
}

pub(super) fn stranger(name: &str) -> Author {
    Author { node: name.to_owned(), incarnation: Position::START }
}

pub(super) fn peer(id: &str, capabilities: &[&str], slots: u32) -> PeerSpec {
    let capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
    PeerSpec { id: id.to_owned(), capabilities, slots, uses_session: false, token_budget: None }
}

pub(super) fn submission(tasks: Vec<TaskSpec>) -> Op {
    Op::Submit(Submission { tasks, parent: None, more: false })
}

pub(super) fn part(tasks: Vec<TaskSpec>) -> Op {
    Op::Submit(Submission { tasks, parent: None, more: true })
}

pub(super) fn returned(task: TaskNo, grant: Grant, outcome: AttemptOutcome) -> Returned {
    Returned {
        task,
        grant,
        outcome,
        result: None,
        error: None,
        usage: Tokens::default(),
        started_ms: 0,
        ran_ms: 1_000,
        messages_open: false,
    }
}

pub(super) fn task(id: &str) -> TaskSpec {
    TaskSpec { id: id.to_owned(), kind: "work".to_owned(), priority: 5, ..TaskSpec::default() }
}

impl TaskSpec {
    pub(super) fn after(mut self, dependencies: &[&str]) -> Self {
        self.dependencies = dependencies.iter().map(|id| (*id).to_owned()).collect();
        self
    }

    pub(super) fn needs(mut self, capabilities: &[&str]) -> Self {
        self.requires = capabilities.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(super) fn kind(mut self, kind: &str) -> Self {
        self.kind = kind.to_owned();
        self
    }

    pub(super) fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    pub(super) fn prefers(mut self, peer: &str) -> Self {
        self.prefers = Some(peer.to_owned());
        self
    }

    pub(super) fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    pub(super) fn or(mut self, policy: DependencyPolicy) -> Self {
        self.on_dependency_failure = policy;
        self
    }

    pub(super) fn verified(mut self) -> Self {
        self.verify = Some(Verify { run: Some("true".to_owned()), artifacts: Vec::new() });
        self
    }

    pub(super) fn reviewed(mut self, approvals: u32, of: u32, requires: &[&str]) -> Self {
        let requires = requires.iter().map(|name| (*name).to_owned()).collect();
        self.review = Some(Review { requires, approvals, of, run: None });
        self
    }

    pub(super) fn about(mut self, description: &str) -> Self {
        self.description = description.to_owned();
        self
    }
}
