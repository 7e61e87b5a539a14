//! A task and its children: waiting for them, adopting or cancelling them, and what their closing brings.

use crate::effect::Effect;
use crate::ids::{Grant, NodeNo, TaskNo};
use crate::mutant::Mutant;
use crate::refusal::Refusal;
use crate::swarm::Swarm;
use crate::task::{Outcome, Phase};

impl Swarm {
    pub(crate) fn child_closed(&mut self, parent: TaskNo, child: TaskNo) {
        let awaited = std::mem::take(&mut self.tasks[child.index()].awaited);
        let record = &mut self.tasks[parent.index()];
        record.deficit -= 1;
        let done = record.deficit == 0 && record.phase == Phase::Returned;
        let phase = record.phase;
        self.touch(parent);
        if done {
            self.agenda.settle.push_back(parent);
        } else if phase == Phase::Reviewing {
            self.review_closed(parent, child);
        }
        if let (true, Phase::Waiting { peer, grant, open }) = (awaited, phase) {
            if open > 1 {
                self.tasks[parent.index()].phase = Phase::Waiting { peer, grant, open: open - 1 };
            } else {
                self.set_phase(parent, Phase::InLine { peer, grant });
                self.peers[peer.index()].line.push_back(parent);
                self.touch_peer(peer);
                self.replace(peer);
                self.agenda.fill.push_back(peer);
            }
        }
    }

    pub(crate) fn wait(
        &mut self,
        node: NodeNo,
        task: TaskNo,
        grant: Grant,
        children: &[TaskNo],
    ) -> Result<(), Refusal> {
        let peer = self.holder(node, task, grant)?;
        let record = &self.tasks[task.index()];
        match record.phase {
            Phase::Running { .. } => {}
            Phase::Checking { .. } => return Err(self.stale(task, grant)),
            _ => return Err(Refusal::WaitsAlready { task: record.id.to_string() }),
        }
        for child in children {
            let other = self.task(*child).ok_or(Refusal::NoSuchTask { task: *child })?;
            if other.parent != Some(task) {
                return Err(Refusal::NotAChild { task: record.id.to_string(), child: other.id.to_string() });
            }
        }
        let own: Vec<TaskNo>;
        let children = if children.is_empty() {
            own = self.index.graph.children(task).collect();
            &own
        } else {
            children
        };
        let mut open = 0;
        for child in children {
            let record = &mut self.tasks[child.index()];
            if !record.phase.is_closed() && !std::mem::replace(&mut record.awaited, true) {
                open += 1;
                self.touch(*child);
            }
        }
        if open == 0 {
            self.emit(Effect::Continue { task, grant, peer });
            return Ok(());
        }
        self.set_phase(task, Phase::Waiting { peer, grant, open });
        if !self.switch.breaks(Mutant::WaitKeepsSlot) {
            self.free_slot(peer);
        }
        self.touch_peer(peer);
        self.replace(peer);
        self.emit(Effect::Waiting { task, children: open });
        Ok(())
    }

    pub(crate) fn cancel(&mut self, task: TaskNo) -> Result<(), Refusal> {
        let record = self.task(task).ok_or(Refusal::NoSuchTask { task })?;
        if record.phase.is_closed() {
            return Err(Refusal::Closed { task: record.id.to_string() });
        }
        self.cancel_one(task);
        Ok(())
    }

    /// Open children end: those that this grant did not submit or adopt, or all of them.
    pub(crate) fn cancel_children_but(&mut self, parent: TaskNo, grant: Option<Grant>) {
        let children: Vec<TaskNo> = self.index.graph.children(parent).collect();
        if grant.is_none() && self.switch.breaks(Mutant::CancelLeavesChildren) {
            return;
        }
        for child in children {
            if grant.is_none_or(|grant| self.tasks[child.index()].adopted_by != grant) {
                self.cancel_one(child);
            }
        }
    }

    /// Marks a task and its open descendants. Depth is limited, so this may recurse.
    pub(crate) fn cancel_one(&mut self, task: TaskNo) {
        let record = &mut self.tasks[task.index()];
        if record.phase.is_closed() || record.cancelled {
            return;
        }
        record.cancelled = true;
        let phase = record.phase;
        self.touch(task);
        self.emit(Effect::CancelMarked { task });
        if let Some((peer, grant)) = phase.grant() {
            self.cancel_children_but(task, None);
            self.emit(Effect::Stop { task, grant, peer, awaited: true });
        } else if phase == Phase::Returned {
            let record = &mut self.tasks[task.index()];
            record.ending.get_or_insert(Outcome::Cancelled);
            self.stop_messages(task);
            self.cancel_children_but(task, None);
            self.agenda.settle.push_back(task);
        } else {
            self.end(task, Outcome::Cancelled);
        }
    }

    /// Its attempt is over, and so is its wait: a later one may wait for the same children anew.
    pub(crate) fn await_no_child(&mut self, task: TaskNo) {
        for child in self.index.graph.children(task).collect::<Vec<_>>() {
            if std::mem::take(&mut self.tasks[child.index()].awaited) {
                self.touch(child);
            }
        }
    }
}
