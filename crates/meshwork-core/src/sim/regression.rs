//! A log that loses what it had acknowledged: no completion survives that, and it must be found out.

use super::faults::Fault;
use super::finding::FindingKind;
use super::host::Start;
use super::world::{Event, Process, World, say};
use crate::{Batch, LogFault, Swarm};
use std::sync::Arc;

/// Batches that a log loses, at most.
const LOST_BATCHES: u64 = 8;

/// What is left, and who has noticed.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    /// Batches that were left.
    pub(super) kept: u64,
    /// Processes that had applied more than that.
    ahead: Vec<Process>,
    /// What they have said since, on its way into the log.
    said: Vec<Arc<Batch>>,
    /// Where the first of it lies: nobody who has read less before may get past it.
    pub(super) witness_at: Option<u64>,
    /// Somebody found the log damaged.
    pub(super) found: bool,
    /// Everybody was started again, to read what is left.
    restarted: bool,
}

impl World<'_> {
    /// The log loses batches that it had acknowledged.
    pub(super) fn regress(&mut self) -> bool {
        let ahead = self.hosts.iter().filter_map(|host| host.node.as_ref()).map(|node| node.swarm().last().seq);
        let (Some(most), true) = (ahead.max(), self.regressed.is_none()) else { return false };
        let kept = most.saturating_sub(1 + self.dice.ms(LOST_BATCHES));
        // Before the first node has joined there is nothing to lose.
        if kept < 2 {
            self.after(500, Event::Deed(Fault::Regress));
            return false;
        }
        say!(self, "log", "loses everything after batch {kept}");
        self.log.forget_after(kept);
        let knows = |host: &usize| self.hosts[*host].node.as_ref().is_some_and(|node| node.swarm().last().seq > kept);
        let ahead = (0..self.hosts.len()).filter(knows).map(|host| self.process(host)).collect();
        self.regressed =
            Some(Regression { kept, ahead, said: Vec::new(), witness_at: None, found: false, restarted: false });
        true
    }

    /// A node says something. What it had said before and says again tells of nothing that it has applied since.
    pub(super) fn speaks(&mut self, process: Process, batch: &Arc<Batch>) {
        let knows = |loss: &&mut Regression| loss.ahead.contains(&process) && batch.seen.seq > loss.kept;
        if let Some(regression) = self.regressed.as_mut().filter(knows) {
            regression.said.push(batch.clone());
        }
    }

    /// A batch is stored in a log that has lost others: nobody applies it but those who still can.
    pub(super) fn stored_after_loss(&mut self, seq: u64, batch: &Arc<Batch>) {
        if let Some(loss) = &self.regressed
            && loss.witness_at.is_none()
            && loss.said.contains(batch)
            && self.tells_of_loss(seq, batch)
            && let Some(loss) = &mut self.regressed
        {
            loss.witness_at = Some(seq);
        }
        for host in 0..self.hosts.len() {
            self.reads_soon(host);
        }
    }

    /// Whether its author had applied what this log does not hold. Who was killed may have said the same again,
    /// and what was refused leaves nothing behind: then nothing is lost.
    fn tells_of_loss(&self, seq: u64, batch: &Batch) -> bool {
        let mut reader = Swarm::new();
        #[cfg(test)]
        {
            reader.probe.unchecked = true;
        }
        let same = (1..=batch.seen.seq).all(|place| {
            let stored = self.log.get(place).filter(|_| place < seq);
            stored.is_some_and(|stored| reader.apply_batch(place, stored).is_ok())
        });
        !same || reader.state_hash() != batch.seen.hash
    }

    /// Whether a completion may be told after the loss: while nobody who knows has spoken, nobody can know.
    /// Who knows tells of nothing that the log took since.
    pub(super) fn may_tell(&self, host: usize, at: u64) -> bool {
        let Some(loss) = &self.regressed else { return false };
        let knows = loss.ahead.contains(&self.process(host));
        at <= loss.kept || !knows && loss.witness_at.is_none_or(|witness| at < witness)
    }

    /// A node found out: it stops for good.
    pub(super) fn found_out(&mut self, host: usize, fault: &LogFault) {
        say!(self, self.hosts[host].name, "stops: {fault}");
        if let Some(regression) = &mut self.regressed {
            regression.found = true;
        }
        self.report.note("a damaged log was found out");
        self.hosts[host].faulted = true;
        self.kill(host);
    }

    /// When all is quiet, everybody is started again once, and reads what is left.
    pub(super) fn read_what_is_left(&mut self) -> bool {
        let Some(regression) = &mut self.regressed else { return false };
        if std::mem::replace(&mut regression.restarted, true) {
            return false;
        }
        for host in 0..self.hosts.len() {
            self.hosts[host].start = Start::Replay;
            self.kill(host);
        }
        true
    }

    /// Whoever spoke after the loss has told everybody: the next reader must have found out.
    pub(super) fn judge_the_regression(&mut self) {
        let Some(regression) = &self.regressed else { return };
        if regression.found {
            self.report.regressions_found += 1;
        } else if regression.witness_at.is_some() {
            let text = format!("the log lost what came after batch {}, and nobody found out", regression.kept);
            self.found(FindingKind::LogFault, text);
        }
    }
}
