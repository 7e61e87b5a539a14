//! Which entries must be taken, and which refused: column two of the table in completion.md, section 2.

use super::Judge;
use super::facts::{Live, TaskFacts};
use crate::config::{ID_BYTES_MAX, REVIEWS_MAX};
use crate::{
    Author, Grant, NodeNo, Op, Outcome, PauseReason, PeerSpec, Position, Submission, TaskNo, TaskSpec, VERSION,
};
use std::collections::BTreeMap;

/// What must become of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Accept,
    Refuse(&'static str),
}

/// What must become of one task of a submission.
#[derive(Clone, Debug)]
pub(super) enum Planned {
    New { dependencies: Vec<TaskNo> },
    Kept(TaskNo),
    Amended { task: TaskNo, dependencies: Vec<TaskNo> },
}

fn accept_if(holds: bool, otherwise: &'static str) -> Verdict {
    if holds { Verdict::Accept } else { Verdict::Refuse(otherwise) }
}

impl Judge {
    /// Notes what any entry of a present author says of that author, and judges it.
    pub(super) fn verdict(&mut self, author: &Author, op: &Op) -> Verdict {
        if let Op::Open { version, .. } = op {
            return accept_if(!self.open && *version == VERSION, "the log is open, or at another version");
        }
        if !self.open {
            return Verdict::Refuse("the log is not open");
        }
        if let Op::Join { replaces, version, .. } = op {
            let last = self.names.get(&author.node).map_or(Position::START, |no| self.nodes[no.index()].incarnation);
            let may = *replaces == last && *version == VERSION && is_id(&author.node);
            return accept_if(may, "it does not replace the last incarnation of that name");
        }
        let known = self.incarnations.get(&author.incarnation).copied();
        let Some(node) = known.filter(|no| {
            let node = &self.nodes[no.index()];
            node.present && node.name == author.node
        }) else {
            return Verdict::Refuse("its author is not present");
        };
        self.nodes[node.index()].heard = self.at;
        self.author = Some(node);
        self.of_member(node, op)
    }

    fn of_member(&mut self, node: NodeNo, op: &Op) -> Verdict {
        match op {
            Op::Open { .. } | Op::Join { .. } | Op::Configure { .. } | Op::Alive | Op::Rebalance => Verdict::Accept,
            Op::Leave => {
                let up = self.peers.iter().any(|peer| peer.up && peer.node == node);
                accept_if(!up, "a peer of its author is up")
            }
            Op::NodeLost { incarnation, heard } => self.of_loss(node, *incarnation, *heard),
            Op::PeerUp(spec) => self.of_peer_up(node, spec),
            Op::PeerDown { peer, .. } => {
                let mine = self.peer(peer).is_some_and(|peer| peer.up && peer.node == node);
                accept_if(mine, "no such peer is up on its author's node")
            }
            Op::Pause { peer, reason } => match self.peer(peer).filter(|peer| peer.up) {
                None => Verdict::Refuse("no such peer is up"),
                Some(peer) => {
                    let may = *reason != PauseReason::Idle || peer.load() == 0;
                    accept_if(may, "a peer with work is not idle")
                }
            },
            Op::Resume { peer } => accept_if(self.peer(peer).is_some_and(|peer| peer.up), "no such peer is up"),
            Op::Submit(submission) => self.of_submission(node, submission),
            Op::Return(returned) => {
                let held = self.holder(node, returned.task, returned.grant).is_some_and(|live| !live.check);
                accept_if(held, "the grant is not the task's present one, or another node's")
            }
            Op::Settled { task, grant } => {
                let open = self.tasks.get(task.index()).is_some_and(|t| t.messages_open && t.last_grant == *grant);
                accept_if(open, "no messages of that grant are open")
            }
            Op::Wait { task, grant, children } => {
                let runs = self.holder(node, *task, *grant).is_some_and(|live| !live.check && live.holds_slot());
                let own =
                    |child: &TaskNo| self.tasks.get(child.index()).is_some_and(|child| child.parent == Some(*task));
                accept_if(runs && children.iter().all(own), "it does not run, or waits for what is not its child")
            }
            Op::Checked { task, grant, .. } => {
                let held = self.holder(node, *task, *grant).is_some_and(|live| live.check);
                accept_if(held, "the grant is not that of a present check of its author's node")
            }
            Op::Cancel { task } => {
                let open = self.tasks.get(task.index()).is_some_and(|task| task.closed.is_none());
                accept_if(open, "there is no such open task")
            }
            Op::Seal { round } => {
                let open = self.round.as_ref().is_some_and(|open| open.number == *round);
                accept_if(open, "that round is not open")
            }
            Op::Due { wait } => accept_if(self.waits.contains_key(wait), "that wait is over, or never was"),
            Op::Usage { task, grant, .. } | Op::Progress { task, grant, .. } => {
                accept_if(self.holder(node, *task, *grant).is_some(), "the grant is not the task's present one")
            }
        }
    }

    fn holder(&self, node: NodeNo, task: TaskNo, grant: Grant) -> Option<&Live> {
        let live = self.tasks.get(task.index())?.live.as_ref()?;
        (live.grant == grant && self.peers[live.peer.index()].node == node).then_some(live)
    }

    fn of_loss(&self, author: NodeNo, incarnation: Position, heard: Position) -> Verdict {
        let Some(lost) = self.incarnations.get(&incarnation).filter(|no| self.nodes[no.index()].present) else {
            return Verdict::Refuse("no such node is present");
        };
        let silent = *lost == author || self.nodes[lost.index()].heard <= heard;
        accept_if(silent, "that node has been heard since")
    }

    fn of_peer_up(&self, node: NodeNo, spec: &PeerSpec) -> Verdict {
        let known = self.peer(&spec.id);
        let limits = &self.config.limits;
        let elsewhere = known.is_some_and(|peer| peer.up && peer.node != node);
        let room = known.is_some() || self.peers.len() < limits.peers as usize;
        let may = is_id(&spec.id) && spec.slots > 0 && spec.capabilities.len() <= limits.capabilities as usize;
        accept_if(may && room && !elsewhere, "it cannot be a peer of this node")
    }

    fn of_submission(&mut self, node: NodeNo, submission: &Submission) -> Verdict {
        if let Some((parent, grant)) = submission.parent
            && !self.may_submit(node, parent, grant)
        {
            return Verdict::Refuse("its parent's attempt may not submit any more");
        }
        let pending = self.round.as_ref().is_some_and(|round| round.submitters.contains(&node));
        if submission.tasks.is_empty() && (submission.parent.is_some() || !pending) {
            return Verdict::Refuse("it is empty, and ends nothing");
        }
        match self.plan(submission) {
            Ok(planned) => {
                self.planned = planned;
                Verdict::Accept
            }
            Err(why) => Verdict::Refuse(why),
        }
    }

    fn may_submit(&self, node: NodeNo, parent: TaskNo, grant: Grant) -> bool {
        let Some(task) = self.tasks.get(parent.index()) else { return false };
        let by_message = task.live.is_none() && task.messages_open && task.last_grant == grant;
        let by_body = self.holder(node, parent, grant).is_some_and(|live| !live.check);
        !task.cancelled && (by_message || by_body)
    }

    fn plan(&self, submission: &Submission) -> Result<Vec<Planned>, &'static str> {
        let parent = submission.parent.map(|(task, _)| task);
        let limits = &self.config.limits;
        if parent.is_some_and(|parent| self.tasks[parent.index()].depth + 1 > limits.depth) {
            return Err("it is too deep");
        }
        let mut new: BTreeMap<&str, (TaskNo, &TaskSpec)> = BTreeMap::new();
        let mut planned = Vec::with_capacity(submission.tasks.len());
        for spec in &submission.tasks {
            let review = spec.review.as_ref().is_none_or(|review| {
                let counts = (1..=REVIEWS_MAX).contains(&review.of) && (1..=review.of).contains(&review.approvals);
                counts && review.requires.len() <= limits.capabilities as usize
            });
            let fits = is_id(&spec.id)
                && !crate::is_reserved_id(&spec.id)
                && review
                && (1..=10).contains(&spec.priority)
                && spec.retries <= limits.retries
                && spec.requires.len() <= limits.capabilities as usize
                && spec.dependencies.len() <= limits.dependencies as usize;
            if !fits {
                return Err("a task of it is over a limit");
            }
            let dependencies = self.resolve(spec, parent, &new)?;
            let plan = match new.get(&*spec.id) {
                Some((task, first)) if is_same(first, spec) => Planned::Kept(*task),
                Some(_) => return Err("one id stands for two tasks"),
                None => self.plan_one(spec, submission, dependencies)?,
            };
            if let Planned::New { .. } = plan {
                new.insert(&spec.id, (TaskNo::from_index(self.tasks.len() + new.len()), spec));
            }
            planned.push(plan);
        }
        let children = parent.map_or(0, |parent| self.tasks[parent.index()].children.len() + new.len());
        if self.tasks.len() + new.len() > limits.tasks as usize || children > limits.children as usize {
            return Err("there would be too many tasks");
        }
        Ok(planned)
    }

    fn resolve(
        &self,
        spec: &TaskSpec,
        parent: Option<TaskNo>,
        new: &BTreeMap<&str, (TaskNo, &TaskSpec)>,
    ) -> Result<Vec<TaskNo>, &'static str> {
        let mut dependencies = Vec::with_capacity(spec.dependencies.len());
        for id in &spec.dependencies {
            if let Some((task, _)) = new.get(&**id) {
                dependencies.push(*task);
                continue;
            }
            let task = self.find(id).ok_or("it depends on what is not known")?;
            let facts = &self.tasks[task.index()];
            if parent.is_some() && facts.parent != parent && facts.closed.is_none() {
                return Err("a child depends on what is neither closed nor its sibling");
            }
            dependencies.push(task);
        }
        dependencies.sort_unstable();
        dependencies.dedup();
        Ok(dependencies)
    }

    /// Section 4: when the same id is the same task, when it is a new generation, and when it is refused.
    fn plan_one(
        &self,
        spec: &TaskSpec,
        submission: &Submission,
        dependencies: Vec<TaskNo>,
    ) -> Result<Planned, &'static str> {
        let Some(task) = self.find(&spec.id) else { return Ok(Planned::New { dependencies }) };
        let old = &self.tasks[task.index()];
        let parent = submission.parent.map(|(task, _)| task);
        let (same, ok) = (is_same(&old.spec, spec), old.closed == Some(Outcome::Ok));
        let in_this_round = self.round.as_ref().is_some_and(|round| round.number == old.round);
        if !in_this_round {
            let kept = ok && same && old.parent == parent && old.dependencies == dependencies;
            return Ok(if kept { Planned::Kept(task) } else { Planned::New { dependencies } });
        }
        if old.parent != parent {
            return Err("its id is taken by a task with another parent");
        }
        if !same {
            let earlier = dependencies.iter().all(|dependency| *dependency < task);
            let may = parent.is_none() && may_be_amended(old) && earlier;
            return if may { Ok(Planned::Amended { task, dependencies }) } else { Err("its id is taken") };
        }
        let by_other_attempt = submission.parent.is_some_and(|(_, grant)| grant != old.adopted_by);
        let again = by_other_attempt && old.closed.is_some() && !ok;
        Ok(if again { Planned::New { dependencies } } else { Planned::Kept(task) })
    }
}

fn may_be_amended(task: &TaskFacts) -> bool {
    task.is_untouched()
}

/// The same content: every field but the priority; lists of names are sets.
fn is_same(one: &TaskSpec, other: &TaskSpec) -> bool {
    let plain = |spec: &TaskSpec| {
        let mut plain = TaskSpec { priority: 0, ..spec.clone() };
        plain.requires.sort_unstable();
        plain.dependencies.sort_unstable();
        if let Some(review) = &mut plain.review {
            review.requires.sort_unstable();
        }
        plain
    };
    plain(one) == plain(other)
}

fn is_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && !id.starts_with('-') && !id.chars().any(char::is_control)
}
