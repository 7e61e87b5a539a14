//! What must have come about by the end of an entry: nothing that can go on stands still.

use super::{Judge, Wrong};
use crate::sim::finding::FindingKind;
use crate::{Op, TaskNo};

impl Judge {
    /// What an accepted entry must have brought about by itself.
    pub(super) fn after_effects(&mut self, op: &Op) -> Result<(), Wrong> {
        let missing = |what: String| Err(Wrong::broken(what));
        match op {
            Op::Return(returned) if self.is_live(returned.task) && !self.is_checked(returned.task) => {
                missing(format!("{} was taken, and nothing ended", self.word(op)))
            }
            Op::Cancel { task } if !self.tasks[task.index()].cancelled => {
                missing(format!("{} was taken, and it is not cancelled", self.word(op)))
            }
            Op::Seal { round } => {
                let open = self.round.as_ref().is_some_and(|open| open.number == *round && !open.sealed);
                if open { missing(format!("{} was taken, and it is not sealed", self.word(op))) } else { Ok(()) }
            }
            Op::Due { wait } if self.waits.contains_key(wait) => {
                missing(format!("{} was taken, and the wait goes on", self.word(op)))
            }
            Op::NodeLost { incarnation, .. } => {
                let lost = self.incarnations.get(incarnation).map(|no| &self.nodes[no.index()]);
                match lost.filter(|node| node.present) {
                    Some(node) => missing(format!("{} was given up on, and is present", node.name)),
                    None => Ok(()),
                }
            }
            Op::Submit(submission) => {
                let new = submission.tasks.iter().find(|spec| self.find(&spec.id).is_none());
                match new {
                    Some(spec) => {
                        let text = format!("{} was submitted and accepted, and is not there", spec.id);
                        Err(Wrong::new(FindingKind::LostTask, text))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn is_live(&self, task: TaskNo) -> bool {
        self.tasks[task.index()].live.is_some()
    }

    fn is_checked(&self, task: TaskNo) -> bool {
        self.tasks[task.index()].live.as_ref().is_some_and(|live| live.check || live.grant == self.at)
    }

    /// What follows for the tasks that the entry changed, for peers that went, and for the round.
    pub(super) fn musts(&mut self) -> Result<(), Wrong> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        let judged = touched.iter().try_for_each(|task| self.must_go_on(*task));
        self.touched = touched;
        judged?;
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable();
        ended.dedup();
        let judged = ended.iter().try_for_each(|task| self.must_leave_no_child(*task));
        self.ended = ended;
        judged?;
        for peer in std::mem::take(&mut self.downs) {
            let facts = &self.peers[peer.index()];
            if !facts.up && facts.load() > 0 {
                return Err(Wrong::broken(format!("{} is gone, and still has a load of {}", facts.id, facts.load())));
            }
        }
        match &self.round {
            Some(round) if round.sealed && round.open == 0 && round.submitters.is_empty() => {
                let text = format!("round {} is done at {}, and does not close", round.number, self.at);
                Err(Wrong::new(FindingKind::MissedCompletion, text))
            }
            _ => Ok(()),
        }
    }

    fn must_go_on(&self, task: TaskNo) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        if facts.closed.is_some() {
            return Ok(());
        }
        let stands = |what: &str| {
            let text = format!("{} {what} at {}, and nothing comes of it", facts.name(), self.at);
            Err(Wrong::new(FindingKind::MissedCompletion, text))
        };
        if let Some(live) = &facts.live {
            let gone = !self.peers[live.peer.index()].up;
            return if gone { stands("is held by a peer that is gone") } else { Ok(()) };
        }
        let queued = facts.ready || facts.line.is_some();
        if facts.open_children > 0 && self.is_decided(facts) {
            let open = |child: &&TaskNo| {
                let child = &self.tasks[child.index()];
                child.reviews.is_some() && child.closed.is_none() && !child.cancelled
            };
            if facts.children.iter().any(|child| open(&child)) {
                return stands("has its votes, and its reviews go on");
            }
        }
        if facts.open_children > 0 && (facts.returned_ok || facts.ending.is_some()) || facts.messages_open {
            return Ok(());
        }
        if facts.ending.is_some() || facts.held.is_none() && self.fails_by_dependency(facts).is_some() {
            return stands("is to end and has no open children");
        }
        if facts.returned_ok {
            return match (facts.has_passed(), queued) {
                (true, _) => stands("has settled"),
                (false, false) => stands("waits for its evidence to be looked at"),
                (false, true) => Ok(()),
            };
        }
        let released = facts.dependencies.iter().all(|no| self.tasks[no.index()].closed.is_some());
        if released && facts.held.is_none() && facts.backoff.is_none() && !queued {
            return stands("can run");
        }
        Ok(())
    }

    /// What an attempt that is over has not adopted ends with it, and so does all below a task that ends.
    fn must_leave_no_child(&self, task: TaskNo) -> Result<(), Wrong> {
        let facts = &self.tasks[task.index()];
        let all = facts.cancelled || facts.ending.is_some();
        if facts.closed.is_some() || !all && !facts.returned_ok {
            return Ok(());
        }
        for child in &facts.children {
            let child = &self.tasks[child.index()];
            let kept = !all && child.adopted_by == facts.last_grant;
            if child.closed.is_none() && !child.cancelled && !kept {
                let text = format!("{} is over, and its child {} is not told to end", facts.name(), child.name());
                return Err(Wrong::broken(text));
            }
        }
        Ok(())
    }
}
