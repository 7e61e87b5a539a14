//! Scripts about the log alone: every command is an entry, and its trace is what `apply` makes of it.

use super::ops::{author, decision, number};
use super::sentence::{Error, Sentence};
use super::trace::{Trace, without_hashes};
use super::variants::Covered;
use crate::{Author, Batch, Mutant, Position, Seen, Swarm};
use goldenscript::{Command, Context, Runner};
use std::collections::BTreeMap;

/// A swarm, its log, and what the traces have shown.
#[derive(Default)]
pub(super) struct LogScript {
    swarm: Swarm,
    /// The last batch, and where it lies.
    last: Option<(u64, Batch)>,
    /// Last batch of each author.
    seqs: BTreeMap<Position, u64>,
    pub(super) covered: Covered,
}

impl Runner for LogScript {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Error> {
        let mut said = Sentence::new(command);
        let covered = self.covered.clone();
        let lines = if said.takes("explain") {
            let no = number(&said.word("a task")?, &self.swarm)?;
            said.end()?;
            let trace = Trace { swarm: &self.swarm, covered: &mut self.covered };
            trace.explain(no).ok_or_else(|| said.wrong("there is no such task"))?
        } else if said.takes("state") {
            said.end()?;
            Trace { swarm: &self.swarm, covered: &mut self.covered }.state()
        } else if said.takes("cast") {
            self.cast(&mut said)?
        } else if said.takes_all("the last batch again") {
            said.end()?;
            let (seq, batch) = self.last.clone().ok_or("there is no batch yet")?;
            self.store(seq + 1, batch)
        } else {
            self.decide(&mut said)?
        };
        if context.silent {
            self.covered = covered;
        }
        self.check();
        Ok(lines)
    }
}

impl LogScript {
    /// Played by a swarm that keeps all rules but this one.
    pub(super) fn broken_by(mutant: Option<Mutant>) -> Self {
        Self { swarm: Swarm::new().broken_by(mutant), ..Self::default() }
    }

    /// `cast n1=p1 n2="p2 p3"`: an open log, nodes that have joined, and their peers, all with one slot.
    fn cast(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let covered = self.covered.clone();
        if !self.swarm.is_open() {
            self.decide(&mut Sentence::of_words("open"))?;
        }
        let mut lines = String::new();
        while let Some((node, peers)) = said.pair() {
            self.decide(&mut Sentence::of_words(&format!("join {node}")))?;
            for peer in peers.split_whitespace() {
                self.decide(&mut Sentence::of_words(&format!("peer {peer} on {node}")))?;
            }
            let incarnation = self.swarm.last_incarnation(&node);
            lines += &format!(
                "{node} has joined as {incarnation}, with {}\n",
                if peers.is_empty() { "no peer" } else { &peers }
            );
        }
        said.end()?;
        self.covered = covered;
        Ok(lines)
    }

    /// One entry, as a batch of its own. `by=` names another author, `seq=` another number of its batch,
    /// `at=` another place in the log, `seen=` what it says that it had applied.
    fn decide(&mut self, said: &mut Sentence) -> Result<String, Error> {
        let by = said.value::<String>("by")?;
        let (seq, at) = (said.value("seq")?, said.value("at")?);
        let seen = said.value::<u64>("seen")?;
        let entries_of_it = said.value("times")?.unwrap_or(1);
        let (op, falls_to) = decision(said, &self.swarm)?;
        let author = match by {
            Some(name) => author(&name, &self.swarm)?,
            None => falls_to.unwrap_or_else(|| self.anybody()),
        };
        let next = self.seqs.get(&author.incarnation).map_or(0, |last| *last)
            + u64::from(author.incarnation > Position::START);
        let seq = seq.unwrap_or(next);
        let seen = seen.map_or(self.swarm.last(), |seq| Seen { seq, hash: 1 });
        let batch = Batch { author, seq, seen, time_ms: 0, entries: vec![op; entries_of_it] };
        Ok(self.store(at.unwrap_or(self.swarm.last().seq + 1), batch))
    }

    fn store(&mut self, at: u64, batch: Batch) -> String {
        let applied = match self.swarm.apply_batch(at, &batch) {
            Ok(applied) => applied,
            Err(fault) => {
                self.covered.show(&fault);
                return format!("batch {at} cannot be applied: {}\n", without_hashes(&fault.to_string()));
            }
        };
        let Author { incarnation, .. } = batch.author;
        self.seqs.insert(incarnation, batch.seq);
        let mut trace = Trace { swarm: &self.swarm, covered: &mut self.covered };
        let mut lines = String::new();
        if applied.duplicate {
            let author = trace.author(&batch.author);
            lines = format!("@{at} {author}: its batch {} was applied before: dropped\n", batch.seq);
        }
        for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
            lines += &trace.entry(Position::new(at, index), &batch.author, op, effects);
        }
        self.last = Some((at, batch));
        lines
    }

    /// The first present node; before there is one, somebody who has not joined.
    fn anybody(&self) -> Author {
        let present = self.swarm.present_nodes().next();
        present.map_or(Author { node: "n1".to_owned(), incarnation: Position::START }, |(_, node)| Author {
            node: node.name.to_string(),
            incarnation: node.incarnation,
        })
    }

    /// What holds after every step; and a swarm that is restored from its snapshot is the same swarm.
    fn check(&self) {
        self.swarm.check_invariants();
        let restored = Swarm::restore(&self.swarm.snapshot().unwrap()).unwrap();
        assert_eq!(restored.last(), self.swarm.last());
        restored.check_invariants();
    }
}
