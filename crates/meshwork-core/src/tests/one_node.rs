//! One node under test, the log before it, and other nodes that are no more than authors of entries.
//! What the node asks for is compared as lines of text, so that a scenario reads as a story.

use super::mesh::{stranger, submission};
use crate::node::{Answer, Ask, BodyEnd, Input, Node, Setup, Ticket, Timer};
use crate::{
    AttemptOutcome, Author, Batch, Config, Grant, Op, Payload, PeerSpec, Position, Swarm, TaskNo, TaskSpec, Tokens,
    VERSION,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A node, and what it has asked for since somebody looked.
pub(super) struct OneNode {
    pub(super) node: Node,
    /// What the log holds.
    pub(super) log: Vec<Arc<Batch>>,
    /// What the node has appended and the log has not stored yet.
    pub(super) appended: VecDeque<Arc<Batch>>,
    asks: Vec<String>,
    seqs: BTreeMap<Position, u64>,
}

pub(super) fn setup(peers: &[PeerSpec]) -> Setup {
    Setup {
        name: "n".to_owned(),
        nonce: 0,
        open: Some(("log".to_owned(), "swarm".to_owned(), Config::default())),
        sessions: 2,
        peers: peers.to_vec(),
        rebalance_ms: None,
        imbalance_permille: 1_500,
    }
}

impl OneNode {
    /// Born; it has not caught up yet.
    pub(super) fn new(setup: Setup) -> Self {
        let node = Node::new(setup, Swarm::new());
        Self { node, log: Vec::new(), appended: VecDeque::new(), asks: Vec::new(), seqs: BTreeMap::new() }
    }

    /// On an empty log, joined, its peers up.
    pub(super) fn joined(peers: &[PeerSpec]) -> Self {
        Self::joined_as(setup(peers))
    }

    pub(super) fn joined_as(setup: Setup) -> Self {
        let mut one = Self::new(setup);
        one.tell(Input::CaughtUp).settle().quiet();
        one
    }

    /// The process ends and starts again: the log is told to a new node of the same name.
    pub(super) fn restarted(&mut self, setup: Setup) -> &mut Self {
        self.node = Node::new(setup, Swarm::new());
        self.appended.clear();
        self.asks.clear();
        for (index, batch) in self.log.clone().into_iter().enumerate() {
            self.tell(Input::Stored { seq: index as u64 + 1, batch });
        }
        self
    }

    pub(super) fn tell(&mut self, input: Input) -> &mut Self {
        let asks = self.node.handle(input, 7).unwrap();
        for ask in asks {
            let line = self.line(&ask);
            self.asks.push(line);
            if let Ask::Append(batch) = ask {
                self.appended.push_back(batch);
            }
        }
        self
    }

    /// The log stores what was appended first, and tells it.
    #[track_caller]
    pub(super) fn stored(&mut self) -> &mut Self {
        let batch = self.appended.pop_front().expect("something was appended");
        self.store(batch)
    }

    /// The log stores this, and tells it.
    pub(super) fn store(&mut self, batch: Arc<Batch>) -> &mut Self {
        self.log.push(batch.clone());
        self.tell(Input::Stored { seq: self.log.len() as u64, batch })
    }

    /// The log stores whatever is appended until nothing more comes.
    pub(super) fn settle(&mut self) -> &mut Self {
        while !self.appended.is_empty() {
            self.stored();
        }
        self
    }

    /// Another author appends one entry.
    pub(super) fn other(&mut self, author: &Author, op: Op) -> &mut Self {
        self.others(author, vec![op])
    }

    /// Another author appends one batch.
    pub(super) fn others(&mut self, author: &Author, entries: Vec<Op>) -> &mut Self {
        let next = self.seqs.entry(author.incarnation).or_insert(0);
        *next += u64::from(author.incarnation > Position::START);
        let seen = self.node.swarm().last();
        let batch = Batch { author: author.clone(), seq: *next, seen, time_ms: 0, entries };
        self.store(Arc::new(batch))
    }

    /// Another node joins under this name.
    pub(super) fn other_joins(&mut self, name: &str) -> Author {
        let replaces = self.node.swarm().last_incarnation(name);
        self.other(&stranger(name), Op::Join { replaces, version: VERSION, sessions: 1 });
        self.author(name)
    }

    pub(super) fn author(&self, name: &str) -> Author {
        Author { node: name.to_owned(), incarnation: self.node.swarm().last_incarnation(name) }
    }

    /// Somebody else gives up on the node.
    pub(super) fn lost_by(&mut self, author: &Author) -> &mut Self {
        let op = self.loss_of("n");
        self.other(author, op)
    }

    pub(super) fn loss_of(&self, name: &str) -> Op {
        let incarnation = self.node.swarm().last_incarnation(name);
        let (_, node) = self.node.swarm().present_nodes().find(|(_, node)| node.incarnation == incarnation).unwrap();
        Op::NodeLost { incarnation, heard: node.heard }
    }

    pub(super) fn wish(&mut self, ticket: u64, op: Op) -> &mut Self {
        self.tell(Input::Wish { op, ticket: Some(Ticket(ticket)) })
    }

    pub(super) fn submit(&mut self, tasks: impl Into<Vec<TaskSpec>>) -> &mut Self {
        self.tell(Input::Wish { op: submission(tasks.into()), ticket: None }).settle()
    }

    pub(super) fn no(&self, id: &str) -> TaskNo {
        self.node.swarm().find_task(id).unwrap()
    }

    /// A task and its present grant.
    pub(super) fn grant(&self, id: &str) -> (TaskNo, Grant) {
        let no = self.no(id);
        (no, self.node.swarm().task(no).unwrap().phase.grant().unwrap().1)
    }

    /// The body of this grant ends by itself.
    pub(super) fn ended(&mut self, grant: (TaskNo, Grant), outcome: AttemptOutcome) -> &mut Self {
        self.tell(Input::BodyEnded(body_end(grant, Some(outcome))))
    }

    /// The body of this grant ends because it was stopped.
    pub(super) fn ended_by_stop(&mut self, grant: (TaskNo, Grant)) -> &mut Self {
        self.tell(Input::BodyEnded(body_end(grant, None)))
    }

    pub(super) fn checked(&mut self, (task, grant): (TaskNo, Grant), passed: bool) -> &mut Self {
        self.tell(Input::CheckEnded { task, grant, passed, evidence: String::new(), ran_ms: 1 })
    }

    /// What the node has asked for since somebody looked.
    #[track_caller]
    pub(super) fn asks(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.asks, expected);
        self.quiet()
    }

    pub(super) fn quiet(&mut self) -> &mut Self {
        self.asks.clear();
        self
    }

    fn id(&self, task: TaskNo) -> String {
        self.node.swarm().task(task).map_or_else(|| format!("{task:?}"), |task| task.id.to_string())
    }

    fn line(&self, ask: &Ask) -> String {
        let peer = |no: &crate::PeerNo| self.node.swarm().peer(*no).unwrap().id.to_string();
        match ask {
            Ask::Append(batch) => {
                let words: Vec<String> = batch.entries.iter().map(|op| self.word(op)).collect();
                format!("append {}", words.join(", "))
            }
            Ask::Start { task, peer: at, attempt, .. } => {
                format!("start {} on {} #{attempt}", self.id(*task), peer(at))
            }
            Ask::Check { task, peer: at, .. } => format!("check {} on {}", self.id(*task), peer(at)),
            Ask::Continue { task, .. } => format!("continue {}", self.id(*task)),
            Ask::Stop { task, .. } => format!("stop {}", self.id(*task)),
            Ask::Suspend { peer: at, still } => {
                format!("{} {}", peer(at), if *still { "stands still" } else { "goes on" })
            }
            Ask::Sleep { timer: Timer::Due(_), ms } => format!("sleep {ms} for a wait"),
            Ask::Sleep { timer: Timer::Rebalance, ms } => format!("sleep {ms} for the balance"),
            Ask::Answer { ticket, answer } => format!("answer {}: {}", ticket.0, self.answer(answer)),
            Ask::RoundClosed(round) => format!("round {}: {} ok, {} failed", round.number, round.ok, round.failed),
            Ask::Left => "left".to_owned(),
        }
    }

    fn answer(&self, answer: &Answer) -> String {
        match answer {
            Answer::Accepted { tasks, .. } => {
                let ids: Vec<String> = tasks.iter().map(|task| format!(" {}", self.id(*task))).collect();
                format!("accepted{}", ids.concat())
            }
            Answer::Refused(refusal) => format!("refused, {refusal}"),
            Answer::TooLarge { .. } => "too large".to_owned(),
            Answer::NodeLost => "node lost".to_owned(),
        }
    }

    fn word(&self, op: &Op) -> String {
        match op {
            Op::Open { .. } => "open".to_owned(),
            Op::Join { replaces, .. } if *replaces == Position::START => "join".to_owned(),
            Op::Join { replaces, .. } => format!("join after {replaces}"),
            Op::NodeLost { .. } => "node lost".to_owned(),
            Op::Alive => "alive".to_owned(),
            Op::Leave => "leave".to_owned(),
            Op::PeerUp(peer) => format!("up {}", peer.id),
            Op::PeerDown { peer, why } => format!("down {peer} {why:?}"),
            Op::Pause { peer, reason } => format!("pause {peer} {reason:?}"),
            Op::Resume { peer } => format!("resume {peer}"),
            Op::Submit(submission) => {
                let ids: Vec<&str> = submission.tasks.iter().map(|task| &*task.id).collect();
                format!("submit {}", ids.join(" "))
            }
            Op::Return(returned) => format!("return {} {:?}", self.id(returned.task), returned.outcome),
            Op::Settled { task, .. } => format!("settled {}", self.id(*task)),
            Op::Wait { task, .. } => format!("wait {}", self.id(*task)),
            Op::Checked { task, passed, .. } => format!("checked {} {passed}", self.id(*task)),
            Op::Cancel { task } => format!("cancel {}", self.id(*task)),
            Op::Seal { round } => format!("seal {round}"),
            Op::Due { .. } => "due".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

pub(super) fn body_end((task, grant): (TaskNo, Grant), outcome: Option<AttemptOutcome>) -> BodyEnd {
    BodyEnd {
        task,
        grant,
        outcome,
        result: outcome.map(|_| Payload::Json("1".to_owned())),
        error: None,
        usage: Tokens::default(),
        started_ms: 0,
        ran_ms: 1,
        messages_open: false,
    }
}
