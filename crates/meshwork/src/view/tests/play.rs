//! One node that plays a log: it decides what the test says, and everything else follows.

use crate::view::{EventKind, EventRow, View};
use bytes::Bytes;
use meshwork_core::{
    AttemptOutcome, Author, Batch, Config, Grant, Op, Payload, PeerSpec, Phase, Position, Returned, Seen, Submission,
    TaskNo, TaskSpec, Tokens, VERSION, decode_batch, encode_batch,
};

pub(super) const LOG: &str = "log-1";
pub(super) const START: u64 = 1_700_000_000_000;

pub(super) struct Play {
    pub(super) view: View,
    pub(super) rows: Vec<EventRow>,
    pub(super) batches: Vec<(u64, Bytes)>,
    pub(super) now: u64,
    pub(super) author: Author,
    seq: u64,
}

impl Play {
    /// Opened and joined, no peer yet.
    pub(super) fn new() -> Self {
        Self::with(Config { retry_backoff_ms: 0, crash_backoff_ms: 0, ..Config::default() })
    }

    pub(super) fn with(config: Config) -> Self {
        let author = Author { node: "n1".into(), incarnation: Position::START };
        let mut play = Self { view: View::new(), rows: Vec::new(), batches: Vec::new(), now: START, author, seq: 0 };
        let (log_id, swarm_id) = (LOG.into(), "sw".into());
        play.act(vec![Op::Open { log_id, swarm_id, config, version: VERSION }]);
        play.join(Position::START);
        play
    }

    pub(super) fn join(&mut self, replaces: Position) {
        self.author.incarnation = Position::START;
        self.seq = 0;
        self.act(vec![Op::Join { replaces, version: VERSION, sessions: 8 }]);
        self.author.incarnation = Position::new(self.batches.len() as u64, 0);
    }

    /// Who speaks now, and how many batches it has written.
    pub(super) fn speaker(&self) -> (Author, u64) {
        (self.author.clone(), self.seq)
    }

    pub(super) fn speak_as(&mut self, speaker: (Author, u64)) {
        (self.author, self.seq) = speaker;
    }

    /// One batch of the author, at the present time.
    pub(super) fn act(&mut self, entries: Vec<Op>) -> Vec<EventRow> {
        if self.author.incarnation != Position::START {
            self.seq += 1;
        }
        let (author, seq) = (self.author.clone(), self.seq);
        let batch = Batch { author, seq, seen: Seen::default(), time_ms: self.now, entries };
        let bytes = Bytes::from(encode_batch(&batch).unwrap());
        let at = self.batches.len() as u64 + 1;
        let rows = self.view.apply(at, &decode_batch(&bytes).unwrap()).unwrap();
        self.batches.push((at, bytes));
        self.rows.extend(rows.iter().cloned());
        rows
    }

    pub(super) fn one(&mut self, op: Op) -> Vec<EventRow> {
        self.act(vec![op])
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    pub(super) fn peer(&mut self, id: &str, capabilities: &[&str], slots: u32) {
        self.one(Op::PeerUp(PeerSpec {
            id: id.into(),
            capabilities: capabilities.iter().map(|one| (*one).into()).collect(),
            slots,
            uses_session: false,
            token_budget: None,
        }));
    }

    pub(super) fn submit(&mut self, tasks: Vec<TaskSpec>) -> Vec<EventRow> {
        self.one(Op::Submit(Submission { tasks, parent: None, more: false }))
    }

    pub(super) fn no(&self, id: &str) -> TaskNo {
        self.view.swarm().find_task(id).unwrap()
    }

    pub(super) fn grant(&self, id: &str) -> Grant {
        self.view.swarm().task(self.no(id)).unwrap().phase.grant().unwrap().1
    }

    /// What runs, in the order of submission.
    pub(super) fn running(&self) -> Vec<TaskNo> {
        let tasks = self.view.swarm().tasks();
        tasks.filter(|(_, task)| matches!(task.phase, Phase::Running { .. })).map(|(no, _)| no).collect()
    }

    /// The present attempt of a task, ended after `ran_ms` until now.
    pub(super) fn end(&self, id: &str, outcome: AttemptOutcome, ran_ms: u64) -> Returned {
        Returned {
            task: self.no(id),
            grant: self.grant(id),
            outcome,
            result: None,
            error: None,
            usage: Tokens::default(),
            started_ms: self.now.saturating_sub(ran_ms),
            ran_ms,
            messages_open: false,
        }
    }

    pub(super) fn ok(&mut self, id: &str, ran_ms: u64) -> Vec<EventRow> {
        let returned = self.end(id, AttemptOutcome::Ok, ran_ms);
        self.one(Op::Return(returned))
    }

    pub(super) fn ok_with(&mut self, id: &str, ran_ms: u64, tokens: u64, result: &str) -> Vec<EventRow> {
        let mut returned = self.end(id, AttemptOutcome::Ok, ran_ms);
        returned.usage = Tokens { input: tokens, output: 0 };
        returned.result = Some(Payload::Json(result.into()));
        self.one(Op::Return(returned))
    }

    pub(super) fn fail(&mut self, id: &str, ran_ms: u64, error: &str) -> Vec<EventRow> {
        let mut returned = self.end(id, AttemptOutcome::Failed, ran_ms);
        returned.error = Some(error.into());
        self.one(Op::Return(returned))
    }

    pub(super) fn seal(&mut self) -> Vec<EventRow> {
        let round = self.view.swarm().round().unwrap().number;
        self.one(Op::Seal { round })
    }
}

pub(super) fn task(id: &str, dependencies: &[&str]) -> TaskSpec {
    TaskSpec {
        id: id.into(),
        kind: "build".into(),
        description: format!("do {id}"),
        priority: 5,
        dependencies: dependencies.iter().map(|one| (*one).into()).collect(),
        ..TaskSpec::default()
    }
}

pub(super) fn kinds(rows: &[EventRow]) -> Vec<EventKind> {
    rows.iter().map(|row| row.event).collect()
}
