//! States of a model that will behave alike get the same fingerprint: what makes model checking finite.
//!
//! Along two histories the same situation comes about at other positions of the log, after another number of
//! batches, with other ready numbers. [`fingerprint`] walks over everything that can still be read by
//! `apply` or by a node's rules, and leaves out or renames the rest. It is sound because the relation
//! "same fingerprint" is a bisimulation: related states refuse and accept the same entries, with the same
//! effects up to the same renaming, and what comes out is related again. For each renaming the reason is
//! the same: new values are fresh (a position is larger than all earlier ones), and old ones are only ever
//! compared in the ways that the renaming keeps.
//!
//! | what | how it is read | what is kept |
//! | --- | --- | --- |
//! | grants | equality with another grant of the same task | rank among those of the task that are mentioned |
//! | `adopted_by` | equality with the parent's grant that counts | whether it is that one |
//! | incarnations | equality; a node's number | which node; nodes that are gone, no name's last, and mentioned nowhere are left out |
//! | `heard` | order against the `heard` of a `NodeLost` | rank among those, if there is one |
//! | an author's batch numbers | against the last one applied, and the next | the difference |
//! | nodes | by name; in order for tokens, and for who measures first, which no model's time shows | by name, in order where there is a token budget |
//! | crashes and interruptions | against their limits | distance, when it is below 64 (a model has fewer losses) |
//! | ready numbers | order among waiting tasks | rank |
//! | waits | whether it is open | its task |
//! | attempt number | 0, or whether it is the first; in the ids of reviews | up to 2, and whether a first one keeps it; of what is reviewed all of it |
//! | a review | which attempt it is of, and how it votes | these |
//! | a closed task | its vote, content, parent, outcome, generation, round | these |
//! | `last_grant`, `last_peer`, `rank`, `reserved` | in some phases | in those |
//! | learned numbers | by `load_balancing` and mean durations | when these can read them |
//! | `time_ms`, `seen`, `spec`, `returned_at`, `opened`, `because`, rejected results, completion's position | for display, or against a damaged log | nothing |
//!
//! Positions after the base (what the most backward reader has applied) are named by their distance to it,
//! since the batches in between are part of the walk. Settings are not: all states of one model share them.
//!
//! The proof crate tests the claim: equal fingerprints lead to equal fingerprints, whatever happens next,
//! and what can be observed is the same with and without it.

use crate::ids::{Grant, NodeNo, Position, TaskNo, WaitNo};
use crate::op::{Batch, Op, PauseReason, PeerSpec, Returned, Submission};
use crate::peer::{Node, Peer};
use crate::swarm::Swarm;
use crate::task::{Outcome, Phase, Task};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// Ready numbers below this leave every task's level to its priority alone, for the default ageing.
const READY_NUMBERS: u64 = 7_000;

/// Losses of one task that a model does not come to: a limit that is farther away is as good as none.
const REACH: u32 = 64;

/// Fingerprint of a state: `base` is the swarm as its most backward reader has applied it, `walk` names
/// everything else. The walk is made twice, and has to be the same both times.
pub fn fingerprint(base: &Swarm, mut walk: impl FnMut(&mut Canon<'_>)) -> u64 {
    let mut canon = Canon::new(base);
    walk(&mut canon);
    canon.swarm();
    canon.rank();
    walk(&mut canon);
    canon.swarm();
    canon.digest(0)
}

/// Collects what is mentioned on the first walk, and writes words on the second.
#[derive(Debug)]
pub struct Canon<'a> {
    base: &'a Swarm,
    writes: bool,
    words: Vec<u64>,
    grants: Vec<(TaskNo, Grant)>,
    /// Incarnation, and a last entry of it that a `NodeLost` names.
    heard: Vec<(Position, Position)>,
    mentioned: BTreeSet<Position>,
    /// Nodes of the base that matter, in order.
    nodes: Vec<NodeNo>,
}

impl<'a> Canon<'a> {
    fn new(base: &'a Swarm) -> Self {
        let (words, grants, heard) = (Vec::with_capacity(256), Vec::new(), Vec::new());
        Self { base, writes: false, words, grants, heard, mentioned: BTreeSet::new(), nodes: Vec::new() }
    }

    /// Between the walks: what was mentioned gets its place.
    fn rank(&mut self) {
        self.writes = true;
        self.grants.sort_unstable();
        self.grants.dedup();
        let spoken_of: BTreeSet<Position> = self.heard.iter().map(|(incarnation, _)| *incarnation).collect();
        for incarnation in &spoken_of {
            let node = self.base.node_no(*incarnation).map(|no| &self.base.nodes[no.index()]);
            self.heard.extend(node.map(|node| (*incarnation, node.heard)));
        }
        self.heard.sort_unstable();
        self.heard.dedup();
        self.mentioned.extend(spoken_of);
        let budgets =
            self.base.config.token_budget.is_some() || self.base.peers.iter().any(|p| p.token_budget.is_some());
        for (index, node) in self.base.nodes.iter().enumerate() {
            let last = self.base.last_incarnation(&node.name) == node.incarnation;
            if node.present || last || self.mentioned.contains(&node.incarnation) {
                self.nodes.push(NodeNo::from_index(index));
            }
        }
        if !budgets {
            self.nodes.sort_by_key(|no| (&self.base.nodes[no.index()].name, *no));
        }
    }

    fn digest(&self, from: usize) -> u64 {
        let bytes: Vec<u8> = self.words[from..].iter().flat_map(|word| word.to_le_bytes()).collect();
        xxh3_64(&bytes)
    }

    /// A number that means the same in every history.
    pub fn word(&mut self, word: u64) {
        if self.writes {
            self.words.push(word);
        }
    }

    /// A name.
    pub fn text(&mut self, text: &str) {
        if self.writes {
            self.words.push(xxh3_64(text.as_bytes()));
        }
    }

    /// A yes or no.
    pub fn flag(&mut self, flag: bool) {
        self.word(u64::from(flag));
    }

    /// Numbers in their order, and how many.
    pub fn list(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let from = self.words.len();
        self.word(0);
        numbers.into_iter().for_each(|number| self.word(number));
        if self.writes {
            self.words[from] = (self.words.len() - from) as u64;
        }
    }

    /// Things whose order has no meaning.
    pub fn unordered<T>(&mut self, things: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        let mut digests = Vec::new();
        for thing in things {
            let from = self.words.len();
            each(self, thing);
            digests.push(self.digest(from));
            self.words.truncate(from);
        }
        digests.sort_unstable();
        self.word(digests.len() as u64);
        digests.into_iter().for_each(|digest| self.word(digest));
    }

    /// Whether this lies after the base; then it is named by its distance.
    fn is_future(&mut self, position: Position) -> bool {
        let future = position.seq() > self.base.seq;
        if future {
            self.word(u64::MAX - (position.seq() - self.base.seq));
            self.word(position.index() as u64);
        }
        future
    }

    /// A grant of a task.
    pub fn grant(&mut self, task: TaskNo, grant: Grant) {
        self.word(u64::from(task.0));
        if !self.writes {
            self.grants.push((task, grant));
        } else if !self.is_future(grant) {
            let older = self.grants.iter().filter(|(other, older)| *other == task && *older < grant).count();
            self.word(older as u64);
        }
    }

    /// The last entry of a node that somebody knows.
    fn heard_of(&mut self, incarnation: Position, heard: Position) {
        self.incarnation(incarnation);
        if !self.writes {
            self.heard.push((incarnation, heard));
        } else if !self.is_future(heard) {
            self.heard_rank(incarnation, heard);
        }
    }

    fn heard_rank(&mut self, incarnation: Position, heard: Position) {
        let earlier = self.heard.iter().filter(|(other, before)| *other == incarnation && *before < heard).count();
        self.word(earlier as u64);
    }

    /// A node by its incarnation.
    pub fn incarnation(&mut self, incarnation: Position) {
        if !self.writes {
            self.mentioned.insert(incarnation);
        } else if !self.is_future(incarnation) {
            match self.base.node_no(incarnation) {
                Some(no) => self.node_no(no),
                None => self.word(u64::MAX),
            }
        }
    }

    /// A node by its number.
    pub fn node_no(&mut self, no: NodeNo) {
        let new = no.index().checked_sub(self.base.nodes.len());
        let place = self.nodes.iter().position(|other| *other == no);
        self.word(match (new, place) {
            (Some(new), _) => 1 << 32 | new as u64,
            (None, Some(place)) => place as u64,
            (None, None) => 1 << 33,
        });
    }

    /// The number that an author gives to a batch. Of a joining batch it tells only whose it is.
    pub(crate) fn sequence(&mut self, incarnation: Position, seq: u64) {
        if incarnation == Position::START {
            return self.word(0);
        }
        let last = self.base.node_no(incarnation).map_or(0, |no| self.base.nodes[no.index()].last_seq);
        self.word(seq.wrapping_sub(last));
    }

    /// A wait by its number.
    pub fn wait(&mut self, wait: WaitNo) {
        let open = self.base.waits.get(&wait).map(|open| u64::from(open.task.0));
        let new = wait.0.checked_sub(self.base.next_wait).map(|new| 1 << 32 | u64::from(new));
        self.word(open.or(new).unwrap_or(1 << 33));
    }

    /// What the log holds after the base, or will hold.
    pub fn batch(&mut self, batch: &Batch) {
        self.text(&batch.author.node);
        self.incarnation(batch.author.incarnation);
        self.sequence(batch.author.incarnation, batch.seq);
        self.word(batch.entries.len() as u64);
        for op in &batch.entries {
            self.op(op);
        }
    }

    /// A decision.
    pub fn op(&mut self, op: &Op) {
        match op {
            Op::Open { .. } => self.word(1),
            Op::Join { replaces, version, sessions } => {
                self.word(2);
                self.incarnation(*replaces);
                self.word(u64::from(*version) << 32 | u64::from(*sessions));
            }
            Op::NodeLost { incarnation, heard } => {
                self.word(3);
                self.heard_of(*incarnation, *heard);
            }
            Op::Alive => self.word(4),
            Op::PeerUp(spec) => {
                self.word(5);
                self.peer_spec(spec);
            }
            Op::PeerDown { peer, why } => {
                self.word(6 | (*why as u64) << 8);
                self.text(peer);
            }
            Op::Pause { peer, reason } => {
                self.word(7 | (*reason as u64) << 8);
                self.text(peer);
            }
            Op::Resume { peer } => {
                self.word(8);
                self.text(peer);
            }
            Op::Submit(submission) => self.submission(submission),
            Op::Return(returned) => self.returned(returned),
            Op::Settled { task, grant } => {
                self.word(9);
                self.grant(*task, *grant);
            }
            other => self.rarer(other),
        }
    }

    fn rarer(&mut self, op: &Op) {
        match op {
            Op::Wait { task, grant, children } => {
                self.word(10);
                self.grant(*task, *grant);
                self.list(children.iter().map(|child| u64::from(child.0)));
            }
            Op::Checked { task, grant, passed, .. } => {
                self.word(11 | u64::from(*passed) << 8);
                self.grant(*task, *grant);
            }
            Op::Cancel { task } => self.word(12 | u64::from(task.0) << 8),
            Op::Seal { round } => self.word(13 | u64::from(*round) << 8),
            Op::Due { wait } => {
                self.word(14);
                self.wait(*wait);
            }
            Op::Rebalance => self.word(15),
            Op::Progress { task, grant, .. } => {
                self.word(16);
                self.grant(*task, *grant);
            }
            Op::Usage { task, grant, tokens } => {
                self.word(17);
                self.grant(*task, *grant);
                self.word(tokens.input);
                self.word(tokens.output);
            }
            Op::Leave => self.word(20),
            other => unreachable!("{other:?} changes settings, and all states of a model share theirs"),
        }
    }

    fn submission(&mut self, submission: &Submission) {
        self.word(18 | u64::from(submission.more) << 8 | (submission.tasks.len() as u64) << 9);
        for spec in &submission.tasks {
            let bytes = postcard::to_allocvec(spec).expect("plain data in memory always encodes");
            self.word(xxh3_64(&bytes));
        }
        self.flag(submission.parent.is_some());
        if let Some((task, grant)) = submission.parent {
            self.grant(task, grant);
        }
    }

    fn returned(&mut self, returned: &Returned) {
        let Returned { task, grant, outcome, usage, ran_ms, messages_open, .. } = returned;
        self.word(19 | u64::from(*messages_open) << 8 | (*outcome as u64) << 9);
        self.grant(*task, *grant);
        self.word(usage.total());
        self.word(*ran_ms);
    }

    pub(crate) fn peer_spec(&mut self, spec: &PeerSpec) {
        self.text(&spec.id);
        self.word(u64::from(spec.slots) << 1 | u64::from(spec.uses_session));
        self.list(spec.capabilities.iter().map(|name| xxh3_64(name.as_bytes())));
        self.word(spec.token_budget.map_or(0, |budget| budget.wrapping_add(1)));
    }

    fn swarm(&mut self) {
        let swarm = self.base;
        assert!(swarm.next_ready < READY_NUMBERS, "so many tasks became ready that age weighs");
        self.flag(swarm.is_open());
        let waiting = |task: &&Task| matches!(task.phase, Phase::Ready | Phase::Assigned { .. });
        let mut ready: Vec<u64> = swarm.tasks.iter().filter(waiting).map(|task| task.rank.ready).collect();
        ready.sort_unstable();
        self.word(swarm.tasks.len() as u64);
        for (no, task) in swarm.tasks() {
            self.task(no, task, &ready);
        }
        self.word(swarm.peers.len() as u64);
        for peer in &swarm.peers {
            self.peer(peer);
        }
        for kind in &swarm.kinds {
            let runs = if kind.ran_ms > 0 { kind.runs } else { 0 };
            [kind.ran_ms, runs, kind.tokens, kind.reports].into_iter().for_each(|word| self.word(word));
        }
        self.word(self.nodes.len() as u64);
        for no in self.nodes.clone() {
            self.node_record(&swarm.nodes[no.index()]);
        }
        self.word(swarm.reported.len() as u64);
        for (task, tokens) in &swarm.reported {
            self.word(u64::from(task.0));
            self.word(tokens.input);
            self.word(tokens.output);
        }
        self.word(swarm.tokens.total());
        self.word(swarm.reserved);
        self.flag(swarm.round.is_some());
        if let Some(round) = &swarm.round {
            self.word(u64::from(round.number) << 1 | u64::from(round.sealed));
            self.word(round.submitters.len() as u64);
            round.submitters.iter().for_each(|node| self.node_no(*node));
        }
        self.word(swarm.last_round.map_or(0, |last| u64::from(last.number)));
    }

    fn node_record(&mut self, node: &Node) {
        self.text(&node.name);
        self.flag(node.present);
        if self.heard.iter().any(|(incarnation, _)| *incarnation == node.incarnation) {
            self.heard_rank(node.incarnation, node.heard);
        }
        self.word(u64::from(node.sessions) << 32 | u64::from(node.sessions_held));
        self.list(node.starved.iter().map(|peer| u64::from(peer.0)));
        self.list(node.submitting.iter().map(|task| u64::from(task.0)));
    }

    fn peer(&mut self, peer: &Peer) {
        self.text(&peer.id);
        self.flag(peer.up);
        if self.base.config.load_balancing || peer.ran_ms > 0 {
            self.word(peer.completed << 32 | peer.failed);
            self.word(peer.ran_ms);
        }
        self.word(peer.tokens.total());
        if !peer.up {
            return;
        }
        self.node_no(peer.node);
        self.list(peer.capabilities.iter().map(|cap| u64::from(cap.0)));
        let flags = u64::from(peer.uses_session) << 1 | u64::from(peer.starved);
        self.word(flags << 40 | paused_word(peer.paused) << 32 | u64::from(peer.slots));
        self.word(u64::from(peer.busy));
        self.list(peer.line.iter().map(|task| u64::from(task.0)));
        self.word(peer.token_budget.map_or(0, |budget| budget.wrapping_add(1)));
        self.word(peer.reserved);
    }

    fn task(&mut self, no: TaskNo, task: &Task, ready: &[u64]) {
        self.word(task.content[0]);
        self.word(u64::from(task.generation) << 32 | u64::from(task.round) << 8 | u64::from(task.priority));
        self.word(task.parent.map_or(u64::MAX, |parent| u64::from(parent.0)));
        self.flag(task.parent.is_some_and(|parent| self.counts(parent) == Some(task.adopted_by)));
        self.reviews(task);
        if let Phase::Closed { outcome } = task.phase {
            self.word(1 << 63 | outcome_word(outcome));
            return;
        }
        self.list(task.dependencies.iter().map(|other| u64::from(other.0)));
        self.word(task.prefers.map_or(0, |peer| 1 + u64::from(peer.0)));
        let attempt = task.attempt.min(2);
        let flags = [
            task.held,
            task.messages_open,
            task.cancelled,
            task.check,
            task.awaited,
            task.keeps_number && (attempt == 1 || task.review.is_some()),
        ];
        let flags = flags.iter().fold(0, |bits, flag| bits << 1 | u64::from(*flag));
        self.word(u64::from(attempt) << 16 | task.ending.map_or(0, outcome_word) << 8 | flags);
        let limits = &self.base.config.limits;
        let crashes = near(limits.crashes, task.crashes);
        let interruptions = near(limits.interruptions, task.interruptions);
        self.word(u64::from(task.failures) << 40 | crashes << 20 | interruptions);
        self.word(u64::from(task.children) << 32 | u64::from(task.open_dependencies));
        self.word(u64::from(task.upward) << 32 | u64::from(task.deficit));
        self.word(task.reserved);
        let requirement = self.base.index.classes.requirement(task.class);
        self.list(requirement.capabilities.iter().map(|cap| u64::from(cap.0)));
        self.list(requirement.avoids.iter().map(|peer| u64::from(peer.0)));
        self.list(requirement.author.iter().map(|peer| u64::from(peer.0)));
        self.phase(no, task, ready);
    }

    /// A review is known by its id, which the attempt that it reviews is part of; its vote is read when it is
    /// closed. Who did the work decides who may not vote on it. What a task needs is part of its content.
    fn reviews(&mut self, task: &Task) {
        self.flag(task.reviews.is_some());
        if let Some(vote) = task.reviews {
            self.text(&task.id);
            self.word(u64::from(vote.attempt) << 1 | u64::from(vote.approves));
        }
        if task.review.is_some() && !task.phase.is_closed() {
            self.word(u64::from(task.attempt) << 32 | u64::from(task.returned_by.0));
        }
    }

    fn phase(&mut self, no: TaskNo, task: &Task, ready: &[u64]) {
        self.word(task.phase.stage() as u64);
        if let Some((peer, grant)) = task.phase.grant() {
            self.word(u64::from(peer.0));
            self.grant(no, grant);
        }
        match task.phase {
            Phase::Ready | Phase::Assigned { .. } => {
                self.word(task.rank.level);
                self.word(u64::from(task.rank.peers) << 32 | u64::from(task.rank.upward));
                self.word(ready.iter().filter(|other| **other < task.rank.ready).count() as u64);
            }
            Phase::Waiting { open, .. } => self.word(u64::from(open)),
            Phase::Returned => self.word(u64::from(task.last_peer.0)),
            _ => {}
        }
        if let Phase::Assigned { peer } | Phase::Settled { peer } = task.phase {
            self.word(u64::from(peer.0));
        }
        if task.messages_open {
            self.grant(no, task.last_grant);
        }
    }

    /// The grant in whose name a task may still be given children, or adopt some.
    fn counts(&self, task: TaskNo) -> Option<Grant> {
        let record = &self.base.tasks[task.index()];
        let present = record.phase.grant().map(|(_, grant)| grant);
        present.or_else(|| record.messages_open.then_some(record.last_grant))
    }
}

/// How far a count is from its limit, while that is within reach.
fn near(limit: u32, count: u32) -> u64 {
    let left = limit.saturating_sub(count);
    if left > REACH { u64::MAX >> 44 } else { u64::from(left) }
}

fn outcome_word(outcome: Outcome) -> u64 {
    outcome as u64 + 1
}

fn paused_word(paused: Option<PauseReason>) -> u64 {
    paused.map_or(0, |reason| reason as u64 + 1)
}
