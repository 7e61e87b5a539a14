//! The judge: reads entries and effects, and says on its own what each entry must have brought about.
//!
//! It states every rule of completion.md a second time, in the plainest form, and believes nothing: its facts
//! come from the entries and the effects alone, never from a count that the swarm keeps. An entry is judged in
//! three steps: must it have been accepted (`verdict`), may each of its effects have come about (`effects`),
//! and is anything missing that must have come about by now (`musts`).

mod attempts;
mod effects;
mod facts;
mod membership;
mod musts;
mod reviews;
mod verdict;

use super::finding::{FindingKind, Wrong};
use crate::{Applied, Author, Batch, Config, NodeNo, Op, PeerNo, Position, Swarm, TaskNo, WaitNo};
use facts::{NodeFacts, PeerFacts, RoundFacts, TaskFacts, WaitFacts};
use std::collections::BTreeMap;
use verdict::{Planned, Verdict};

/// What the log says, as the judge understands it.
#[derive(Default)]
pub(crate) struct Judge {
    open: bool,
    config: Config,
    pub(crate) tasks: Vec<TaskFacts>,
    /// Latest task of an id, and how many there were.
    ids: BTreeMap<String, (TaskNo, u32)>,
    pub(crate) peers: Vec<PeerFacts>,
    peer_ids: BTreeMap<String, PeerNo>,
    pub(crate) nodes: Vec<NodeFacts>,
    names: BTreeMap<String, NodeNo>,
    incarnations: BTreeMap<Position, NodeNo>,
    waits: BTreeMap<WaitNo, WaitFacts>,
    pub(crate) round: Option<RoundFacts>,
    rounds: u32,
    /// Virtual time of the entry that is judged, and where it lies.
    now: u64,
    at: Position,
    author: Option<NodeNo>,
    /// What becomes of each task of the submission that is judged.
    planned: Vec<Planned>,
    /// The further attempt that was just announced, and its back-off.
    retry: Option<(TaskNo, u64)>,
    /// Tasks that the entry changed, and those that it told to end.
    touched: Vec<TaskNo>,
    ended: Vec<TaskNo>,
    /// Peers that it took down.
    downs: Vec<PeerNo>,
    /// Name of the author, for a Join.
    joining: String,
}

impl Judge {
    /// Takes in what a batch brought about.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub(crate) fn batch(
        &mut self,
        now: u64,
        seq: u64,
        batch: &Batch,
        applied: &Applied,
        swarm: &Swarm,
    ) -> Result<(), Wrong> {
        self.now = now;
        if let Some(node) = self.incarnations.get(&batch.author.incarnation) {
            let node = &mut self.nodes[node.index()];
            let again = batch.seq <= node.last_seq;
            if again != applied.duplicate {
                let what = if again { "came again, and was applied" } else { "is new, and was dropped" };
                let text = format!("batch {} of {} {what}", batch.seq, node.name);
                return Err(Wrong::new(if again { FindingKind::DoubleCommit } else { FindingKind::LostTask }, text));
            }
            if again {
                return Ok(());
            }
            if batch.seq != node.last_seq + 1 {
                let text = format!("batch {} of {} follows its batch {}", batch.seq, node.name, node.last_seq);
                return Err(Wrong::broken(text));
            }
            node.last_seq = batch.seq;
        } else if applied.duplicate {
            return Err(Wrong::new(FindingKind::LostTask, "a batch of an unknown author was dropped as a duplicate"));
        }
        for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
            self.at = Position::new(seq, index);
            self.entry(&batch.author, op, effects, swarm)?;
        }
        Ok(())
    }

    fn entry(&mut self, author: &Author, op: &Op, effects: &crate::Effects, swarm: &Swarm) -> Result<(), Wrong> {
        self.touched.clear();
        self.ended.clear();
        self.downs.clear();
        self.joining.clone_from(&author.node);
        self.planned.clear();
        self.retry = None;
        self.author = None;
        let verdict = self.verdict(author, op);
        match (verdict, &effects.refusal) {
            (Verdict::Refuse(why), None) => return Err(self.taken(op, why)),
            (Verdict::Accept, Some(refusal)) => {
                let text = format!("{} of {} was refused, and must be taken: {refusal}", self.word(op), author.node);
                return Err(Wrong::broken(text));
            }
            _ => {}
        }
        if effects.refusal.is_some() {
            return self.refused(op, effects, swarm);
        }
        self.before_effects(op);
        for effect in &effects.list {
            self.effect(op, *effect, swarm)?;
        }
        self.after_effects(op)?;
        self.musts()
    }

    /// A refused entry changes nothing, but a result is kept where people can look at it.
    fn refused(&self, op: &Op, effects: &crate::Effects, swarm: &Swarm) -> Result<(), Wrong> {
        if !effects.list.is_empty() {
            return Err(Wrong::broken(format!("{} was refused, and has effects", self.word(op))));
        }
        match op {
            Op::Return(returned) if returned.task.index() < self.tasks.len() => {
                let mut kept = swarm.rejected(returned.task).peekable();
                // Later entries of the batch may have pushed it out.
                let there =
                    kept.peek().is_some_and(|oldest| oldest.at > self.at) || kept.any(|kept| kept.at == self.at);
                let text = || format!("{} was refused, and nobody can look at it", self.word(op));
                if there { Ok(()) } else { Err(Wrong::broken(text())) }
            }
            _ => Ok(()),
        }
    }

    /// An entry was taken that must be refused.
    fn taken(&self, op: &Op, why: &'static str) -> Wrong {
        let kind = match op {
            Op::Return(_) | Op::Checked { .. } => FindingKind::DoubleCommit,
            Op::Settled { .. } | Op::Seal { .. } => FindingKind::EarlyCompletion,
            _ => FindingKind::Broken,
        };
        Wrong::new(kind, format!("{} was taken at {}, and must be refused: {why}", self.word(op), self.at))
    }

    /// A task by name, with what is known of its attempt.
    pub(crate) fn task_name(&self, task: TaskNo) -> String {
        self.tasks.get(task.index()).map_or_else(|| format!("task number {}", task.0), |facts| facts.name())
    }

    pub(crate) fn peer_name(&self, peer: PeerNo) -> String {
        self.peers.get(peer.index()).map_or_else(|| format!("peer number {}", peer.0), |facts| facts.id.clone())
    }

    pub(crate) fn node_name(&self, node: NodeNo) -> String {
        self.nodes.get(node.index()).map_or_else(|| format!("node number {}", node.0), |facts| facts.name.clone())
    }

    /// An entry in words.
    pub(crate) fn word(&self, op: &Op) -> String {
        super::trace::op(op, &|task| self.task_name(task), &|wait| {
            self.waits.get(&wait).map(|wait| self.task_name(wait.task))
        })
    }

    /// Tasks that are not closed, with what holds them.
    pub(crate) fn open_tasks(&self) -> impl Iterator<Item = (TaskNo, &TaskFacts)> {
        let numbered = self.tasks.iter().enumerate();
        numbered.filter(|(_, task)| task.closed.is_none()).map(|(index, task)| (TaskNo::from_index(index), task))
    }

    /// The latest task of an id.
    pub(crate) fn find(&self, id: &str) -> Option<TaskNo> {
        self.ids.get(id).map(|(task, _)| *task)
    }

    /// Whether a submission of this incarnation has not ended.
    pub(crate) fn submits(&self, incarnation: Position) -> bool {
        let node = self.incarnations.get(&incarnation);
        node.is_some_and(|node| self.round.as_ref().is_some_and(|round| round.submitters.contains(node)))
    }

    /// The last incarnation of a name, if it is present.
    pub(crate) fn present(&self, name: &str) -> Option<&NodeFacts> {
        self.names.get(name).map(|no| &self.nodes[no.index()]).filter(|node| node.present)
    }

    /// A peer by id.
    pub(crate) fn peer(&self, id: &str) -> Option<&PeerFacts> {
        self.peer_ids.get(id).map(|no| &self.peers[no.index()])
    }

    /// Holds the swarm's own records against the facts: the records must tell the same story.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn compare(&self, swarm: &Swarm) -> Result<(), Wrong> {
        if swarm.tasks().len() != self.tasks.len() {
            let text = format!("{} tasks are in the state, {} were submitted", swarm.tasks().len(), self.tasks.len());
            return Err(Wrong::new(FindingKind::LostTask, text));
        }
        for (no, task) in swarm.tasks() {
            let facts = &self.tasks[no.index()];
            let live = facts.live.as_ref().map(|live| (live.peer, live.grant));
            let same = task.phase.grant() == live
                && task.phase.is_closed() == facts.closed.is_some()
                && task.deficit == facts.open_children + u32::from(facts.messages_open)
                && task.messages_open == facts.messages_open
                && (task.cancelled == facts.cancelled || facts.closed.is_some())
                && task.generation == facts.generation;
            if !same {
                let text = format!("the state of {} is {:?}, the log says {facts:?}", facts.name(), task.phase);
                return Err(Wrong::broken(text));
            }
        }
        let rounds = (swarm.round().map(|round| round.number), self.round.as_ref().map(|round| round.number));
        if rounds.0 != rounds.1 {
            return Err(Wrong::broken(format!("the open round is {:?}, the log says {:?}", rounds.0, rounds.1)));
        }
        Ok(())
    }
}
