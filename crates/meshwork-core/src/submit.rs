//! Submissions: judged as a whole, then made into records.

use crate::class::Requirement;
use crate::config::ID_BYTES_MAX;
use crate::effect::Effect;
use crate::ids::{CapNo, ClassNo, Grant, KindNo, NodeNo, PeerNo, Position, TaskNo};
use crate::mutant::Mutant;
use crate::op::{DependencyPolicy, Submission, TaskSpec};
use crate::peer::Kind;
use crate::refusal::{Difference, LimitKind, Refusal};
use crate::review::is_reserved_id;
use crate::swarm::Swarm;
use crate::task::{Outcome, Phase, Rank, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What becomes of one task of a submission.
enum Plan {
    New {
        dependencies: Box<[TaskNo]>,
        content: [u64; 2],
        generation: u32,
    },
    Same(TaskNo),
    /// It has not started: it becomes what is submitted now.
    Amend {
        task: TaskNo,
        dependencies: Box<[TaskNo]>,
        content: [u64; 2],
    },
}

/// The submission as far as it was judged.
struct Planned<'a> {
    plans: Vec<Plan>,
    /// Ids of this submission that get a new task.
    new: BTreeMap<&'a str, TaskNo>,
}

impl Swarm {
    pub(crate) fn submit(&mut self, node: NodeNo, submission: &Submission) -> Result<(), Refusal> {
        let parent = match submission.parent {
            Some((task, grant)) => Some((self.submitter(node, task, grant)?, grant)),
            None => None,
        };
        let pending = self.round.as_ref().is_some_and(|round| round.submitters.contains(&node));
        let ends_parts = parent.is_none() && pending;
        if submission.tasks.is_empty() && !ends_parts {
            return Err(Refusal::EmptySubmission);
        }
        let planned = self.plan(submission, parent.map(|(task, _)| task))?;
        let new: Vec<TaskNo> = planned.new.values().copied().collect();
        if !new.is_empty() {
            self.open_round();
        }
        let hold = parent.is_none() && (submission.more || ends_parts);
        let mut amended = Vec::new();
        for (index, (spec, plan)) in submission.tasks.iter().zip(planned.plans).enumerate() {
            let index = u32::try_from(index).expect("an entry holds less than 2^32 tasks");
            match plan {
                Plan::Same(task) => self.keep(task, index, parent.map(|(_, grant)| grant)),
                Plan::Amend { task, dependencies, content } => {
                    self.amend(task, spec, index, dependencies, content);
                    amended.push(task);
                }
                Plan::New { dependencies, content, generation } => {
                    let task = self.record(spec, index, parent, dependencies, content, generation);
                    let task = self.add_task(task, hold);
                    self.emit(Effect::Submitted { task, index });
                }
            }
        }
        if hold {
            self.nodes[node.index()].submitting.extend(&new);
            if let Some(round) = &mut self.round
                && submission.more
            {
                round.submitters.insert(node);
            }
            self.touch_node(node);
            if !submission.more {
                self.end_submission(node);
            }
        } else {
            self.release_new(new);
        }
        self.release_new(amended);
        Ok(())
    }

    /// The node's last part has come, or the node is lost: its tasks may start.
    pub(crate) fn end_submission(&mut self, node: NodeNo) {
        let tasks = std::mem::take(&mut self.nodes[node.index()].submitting);
        if let Some(round) = &mut self.round {
            round.submitters.remove(&node);
        }
        self.touch_node(node);
        for task in &tasks {
            self.tasks[task.index()].held = false;
            self.tasks[task.index()].open_dependencies -= 1;
            self.touch(*task);
        }
        self.release_new(tasks);
    }

    /// Ranks what was submitted together, then starts what can start.
    fn release_new(&mut self, mut tasks: Vec<TaskNo>) {
        tasks.sort_unstable();
        self.rank_upward(&tasks);
        for task in tasks {
            let record = &self.tasks[task.index()];
            if record.phase != Phase::Blocked {
                continue;
            }
            if let Some(failed) = self.failed_dependency(record) {
                self.end_for_dependency(task, failed);
            } else if record.open_dependencies == 0 {
                self.make_ready(task);
            }
        }
    }

    /// Upward rank (HEFT): one pass against the order of submission, then frozen.
    fn rank_upward(&mut self, tasks: &[TaskNo]) {
        for task in tasks.iter().rev() {
            let after = self.index.graph.dependants(*task).map(|next| self.tasks[next.index()].upward).max();
            let record = &mut self.tasks[task.index()];
            let own = u32::try_from(self.kinds[record.kind.index()].mean_ms()).unwrap_or(u32::MAX);
            record.upward = after.unwrap_or(0).saturating_add(own);
            self.touch(*task);
        }
    }

    /// A dependency that closed before this task was there, and not ok.
    fn failed_dependency(&self, task: &Task) -> Option<TaskNo> {
        let fails = |no: &&TaskNo| match self.tasks[no.index()].phase {
            Phase::Closed { outcome } => outcome != Outcome::Ok,
            _ => false,
        };
        match task.policy {
            DependencyPolicy::Run => None,
            DependencyPolicy::Fail | DependencyPolicy::Skip => task.dependencies.iter().find(fails).copied(),
        }
    }

    /// The parent of a submission: its attempt runs, or has returned with messages still open.
    fn submitter(&self, node: NodeNo, task: TaskNo, grant: Grant) -> Result<TaskNo, Refusal> {
        let record = self.task(task).ok_or(Refusal::NoSuchTask { task })?;
        if record.cancelled {
            return Err(Refusal::Cancelled { task: record.id.to_string() });
        }
        if record.phase == Phase::Returned && record.messages_open && record.last_grant == grant {
            return Ok(task);
        }
        if self.switch.breaks(Mutant::ChildOfDeadAttempt) && !record.phase.is_closed() {
            return Ok(task);
        }
        self.holder(node, task, grant)?;
        if matches!(record.phase, Phase::Checking { .. }) {
            return Err(self.stale(task, grant));
        }
        Ok(task)
    }

    fn plan<'a>(&self, submission: &'a Submission, parent: Option<TaskNo>) -> Result<Planned<'a>, Refusal> {
        let mut planned = Planned { plans: Vec::with_capacity(submission.tasks.len()), new: BTreeMap::new() };
        let depth = parent.map_or(0, |parent| self.tasks[parent.index()].depth + 1);
        self.within(LimitKind::Depth, u64::from(depth), self.config.limits.depth)?;
        for spec in &submission.tasks {
            self.judge_spec(spec)?;
            let dependencies = self.resolve(spec, parent, &planned)?;
            let content = content_hash(spec);
            let plan = self.plan_one(spec, parent, dependencies, content, &planned, submission)?;
            if let Plan::New { .. } = plan {
                let number = TaskNo::from_index(self.tasks.len() + planned.new.len());
                planned.new.insert(&spec.id, number);
            }
            planned.plans.push(plan);
        }
        let new = planned.new.len() as u64;
        self.within(LimitKind::Tasks, self.tasks.len() as u64 + new, self.config.limits.tasks)?;
        if let Some(parent) = parent {
            let children = u64::from(self.tasks[parent.index()].children) + new;
            self.within(LimitKind::Children, children, self.config.limits.children)?;
        }
        Ok(planned)
    }

    fn plan_one(
        &self,
        spec: &TaskSpec,
        parent: Option<TaskNo>,
        dependencies: Box<[TaskNo]>,
        content: [u64; 2],
        planned: &Planned<'_>,
        submission: &Submission,
    ) -> Result<Plan, Refusal> {
        let taken = |difference| Refusal::IdTaken { id: spec.id.clone(), difference };
        if let Some(earlier) = planned.new.get(&*spec.id) {
            let first = submission.tasks.iter().find(|other| other.id == spec.id).map(content_hash);
            let same = first == Some(content);
            return if same { Ok(Plan::Same(*earlier)) } else { Err(taken(Difference::Content)) };
        }
        let Some(old) = self.find_task(&spec.id) else {
            return Ok(Plan::New { dependencies, content, generation: 1 });
        };
        let task = &self.tasks[old.index()];
        let ok = task.phase == Phase::Closed { outcome: Outcome::Ok };
        let generation = task.generation + u32::from(!self.switch.breaks(Mutant::GenerationNotRaised));
        if self.round.as_ref().is_none_or(|round| round.number != task.round) {
            let unchanged = task.content == content && task.dependencies == dependencies;
            let kept = ok && unchanged && task.parent == parent;
            return Ok(if kept { Plan::Same(old) } else { Plan::New { dependencies, content, generation } });
        }
        if task.parent != parent {
            return Err(taken(Difference::Parent));
        }
        if task.content != content && !self.switch.breaks(Mutant::OtherContentTaken) {
            let amend = parent.is_none() && may_be_amended(old, task, &dependencies);
            let amended = Plan::Amend { task: old, dependencies, content };
            return if amend { Ok(amended) } else { Err(taken(Difference::Content)) };
        }
        // A later attempt of the parent does again what did not close ok.
        let by_other_attempt = submission.parent.is_some_and(|(_, grant)| grant != task.adopted_by);
        let again = by_other_attempt && task.phase.is_closed() && !ok;
        Ok(if again { Plan::New { dependencies, content, generation } } else { Plan::Same(old) })
    }

    fn resolve(
        &self,
        spec: &TaskSpec,
        parent: Option<TaskNo>,
        planned: &Planned<'_>,
    ) -> Result<Box<[TaskNo]>, Refusal> {
        let mut resolved = Vec::with_capacity(spec.dependencies.len());
        for id in &spec.dependencies {
            if let Some(new) = planned.new.get(&**id) {
                resolved.push(*new);
                continue;
            }
            let (task, dependency) = (spec.id.clone(), id.clone());
            let Some(known) = self.find_task(id) else {
                return Err(Refusal::UnknownDependency { task, dependency });
            };
            let record = &self.tasks[known.index()];
            let foreign = parent.is_some() && record.parent != parent && !record.phase.is_closed();
            if foreign && !self.switch.breaks(Mutant::SiblingRuleIgnored) {
                return Err(Refusal::NotASibling { task, dependency });
            }
            resolved.push(known);
        }
        resolved.sort_unstable();
        resolved.dedup();
        Ok(resolved.into())
    }

    fn judge_spec(&self, spec: &TaskSpec) -> Result<(), Refusal> {
        judge_id(&spec.id)?;
        if is_reserved_id(&spec.id) {
            return Err(Refusal::ReservedId { id: spec.id.clone() });
        }
        if let Some(review) = &spec.review {
            self.judge_review(&spec.id, review)?;
        }
        if !(1..=10).contains(&spec.priority) {
            return Err(Refusal::OutOfRange {
                what: format!("the priority of task {:?}", spec.id),
                found: u64::from(spec.priority),
                expected: "1 to 10".to_owned(),
            });
        }
        let limits = &self.config.limits;
        self.within(LimitKind::Retries, u64::from(spec.retries), limits.retries)?;
        self.within(LimitKind::Capabilities, spec.requires.len() as u64, limits.capabilities)?;
        self.within(LimitKind::Dependencies, spec.dependencies.len() as u64, limits.dependencies)
    }

    pub(crate) fn within(&self, limit: LimitKind, found: u64, most: u32) -> Result<(), Refusal> {
        let most = u64::from(most);
        if found > most { Err(Refusal::Limit { limit, found, most }) } else { Ok(()) }
    }

    /// A task that nobody has begun becomes what its author says now. Its number stays, so whoever depends
    /// on it still does; its own dependencies have lower numbers, so no cycle can come about.
    fn amend(&mut self, no: TaskNo, spec: &TaskSpec, index: u32, dependencies: Box<[TaskNo]>, content: [u64; 2]) {
        self.withdraw(no);
        if self.tasks[no.index()].phase != Phase::Blocked {
            self.set_phase(no, Phase::Blocked);
        }
        let old = std::mem::take(&mut self.tasks[no.index()].dependencies);
        self.index.graph.replace_dependencies(no, &old, &dependencies);
        let open = self.open_among(&dependencies);
        let kind = self.intern_kind(&spec.kind);
        let class = self.class_of(spec);
        let review = self.terms_of(spec);
        let prefers = self.preferred(spec);
        let at = self.at;
        let task = &mut self.tasks[no.index()];
        task.content = content;
        task.spec = (at, index);
        task.kind = kind;
        task.class = class;
        task.open_dependencies = open + u32::from(task.held);
        task.dependencies = dependencies;
        task.priority = spec.priority;
        task.retries = spec.retries;
        task.policy = spec.on_dependency_failure;
        task.verify = spec.verify.is_some();
        task.review = review;
        task.prefers = prefers;
        self.touch(no);
        self.emit(Effect::Amended { task: no, index });
    }

    /// A peer that nobody has heard of is no preference.
    fn preferred(&self, spec: &TaskSpec) -> Option<PeerNo> {
        spec.prefers.as_deref().and_then(|id| self.find_peer(id))
    }

    /// A task that is there already: a later attempt of its parent adopts it.
    fn keep(&mut self, task: TaskNo, index: u32, by: Option<Grant>) {
        if let Some(grant) = by.filter(|_| !self.switch.breaks(Mutant::AdoptionForgotten)) {
            self.tasks[task.index()].adopted_by = grant;
            self.touch(task);
        }
        self.emit(Effect::Kept { task, index });
    }

    pub(crate) fn record(
        &mut self,
        spec: &TaskSpec,
        index: u32,
        parent: Option<(TaskNo, Grant)>,
        dependencies: Box<[TaskNo]>,
        content: [u64; 2],
        generation: u32,
    ) -> Task {
        let round = self.round.as_ref().map_or(0, |round| round.number);
        Task {
            id: Arc::from(&*spec.id),
            content,
            spec: (self.at, index),
            generation,
            round,
            parent: parent.map(|(task, _)| task),
            adopted_by: parent.map_or(Position::START, |(_, grant)| grant),
            depth: parent.map_or(0, |(task, _)| self.tasks[task.index()].depth + 1),
            kind: self.intern_kind(&spec.kind),
            class: self.class_of(spec),
            dependencies,
            open_dependencies: 0,
            held: false,
            priority: spec.priority,
            retries: spec.retries,
            policy: spec.on_dependency_failure,
            verify: spec.verify.is_some(),
            review: self.terms_of(spec),
            reviews: None,
            phase: Phase::Blocked,
            attempt: 0,
            keeps_number: false,
            failures: 0,
            crashes: 0,
            interruptions: 0,
            deficit: 0,
            messages_open: false,
            children: 0,
            cancelled: false,
            check: false,
            ending: None,
            because: None,
            awaited: false,
            last_grant: Position::START,
            last_peer: PeerNo::default(),
            prefers: self.preferred(spec),
            returned_at: Position::START,
            returned_by: PeerNo::default(),
            rank: Rank::default(),
            upward: 0,
            reserved: 0,
            hash: 0,
        }
    }

    pub(crate) fn add_task(&mut self, mut task: Task, hold: bool) -> TaskNo {
        let no = TaskNo::from_index(self.tasks.len());
        let open = self.open_among(&task.dependencies);
        task.held = hold;
        task.open_dependencies = open + u32::from(hold);
        self.index.graph.push(&task.dependencies, task.parent);
        self.index.tasks.insert(task.id.clone(), no);
        if let Some(parent) = task.parent {
            let parent_task = &mut self.tasks[parent.index()];
            parent_task.deficit += 1;
            parent_task.children += 1;
            self.touch(parent);
        }
        self.tasks.push(task);
        self.touch(no);
        if let Some(round) = &mut self.round {
            round.open += 1;
        }
        no
    }

    /// How many of these are not closed.
    fn open_among(&self, tasks: &[TaskNo]) -> u32 {
        let open = tasks.iter().filter(|no| !self.tasks[no.index()].phase.is_closed()).count();
        TaskNo::from_index(open).0
    }

    /// The class of a task that avoids nobody yet.
    fn class_of(&mut self, spec: &TaskSpec) -> ClassNo {
        let capabilities = self.intern_capabilities(&spec.requires);
        self.index.classes.intern(Requirement::of(capabilities), &self.peers)
    }

    pub(crate) fn intern_capabilities(&mut self, names: &[String]) -> Box<[CapNo]> {
        let mut numbers: Vec<CapNo> = names.iter().map(|name| self.intern_capability(name)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into()
    }

    fn intern_capability(&mut self, name: &str) -> CapNo {
        if let Some(no) = self.index.capabilities.get(name) {
            return CapNo(no);
        }
        let no = CapNo::from_index(self.capabilities.len());
        let name: Arc<str> = name.into();
        self.index.capabilities.insert(name.clone(), no.0);
        self.capabilities.push(name);
        no
    }

    fn intern_kind(&mut self, name: &str) -> KindNo {
        if let Some(no) = self.index.kinds.get(name) {
            return KindNo(no);
        }
        let no = KindNo::from_index(self.kinds.len());
        let name: Arc<str> = name.into();
        self.index.kinds.insert(name.clone(), no.0);
        self.kinds.push(Kind { name, runs: 0, ran_ms: 0, tokens: 0, reports: 0, hash: 0 });
        self.touch_kind(no);
        self.learned_changed();
        no
    }
}

/// Nobody has begun it or is told to end it, and what it would depend on was there before it.
fn may_be_amended(no: TaskNo, task: &Task, dependencies: &[TaskNo]) -> bool {
    let waits = matches!(task.phase, Phase::Blocked | Phase::Ready | Phase::Assigned { .. });
    waits && task.attempt == 0 && !task.cancelled && dependencies.iter().all(|dependency| *dependency < no)
}

/// An id is 1 to 256 bytes of printable text without a leading `-`.
/// Whether this can be an id: 1 to 256 bytes of printable text without a leading `-`.
///
/// ```
/// use meshwork_core::is_id;
///
/// assert!(is_id("src/größe 3") && !is_id("") && !is_id("-rf") && !is_id("two\nlines"));
/// ```
pub fn is_id(id: &str) -> bool {
    let fits = (1..=ID_BYTES_MAX).contains(&id.len());
    fits && !id.starts_with('-') && !id.chars().any(char::is_control)
}

pub(crate) fn judge_id(id: &str) -> Result<(), Refusal> {
    if is_id(id) {
        return Ok(());
    }
    let id = id.chars().take(ID_BYTES_MAX).collect();
    Err(Refusal::BadId { id })
}

/// 128-bit hash of every field but `priority` and `prefers`. Sets are hashed sorted: their order has no meaning.
///
/// ```
/// use meshwork_core::{TaskSpec, content_hash};
///
/// let build = TaskSpec::new("build");
/// assert_eq!(content_hash(&build), content_hash(&TaskSpec { priority: 9, ..build.clone() }));
/// assert_ne!(content_hash(&build), content_hash(&TaskSpec { retries: 1, ..build }));
/// ```
pub fn content_hash(spec: &TaskSpec) -> [u64; 2] {
    let mut plain = spec.clone();
    plain.priority = 0;
    plain.prefers = None;
    plain.requires.sort_unstable();
    plain.dependencies.sort_unstable();
    if let Some(review) = &mut plain.review {
        review.requires.sort_unstable();
    }
    let bytes = postcard::to_allocvec(&plain).expect("plain data in memory always encodes");
    let hash = blake3::hash(&bytes);
    let (low, high) = hash.as_bytes()[..16].split_at(8);
    [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")))
}
