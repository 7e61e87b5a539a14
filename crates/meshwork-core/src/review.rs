//! Reviews: votes on a result, asked for when its children, messages and evidence are in.
//!
//! A review is a task like any other, made by `apply` as a child of what it reviews: it is placed,
//! retried, lost and handed on as tasks are, and counts in the deficit. What is decided here is only when
//! reviews are made, and when enough of them have voted. Votes are never counted up: they are read from
//! the reviews that are closed, so that nothing can disagree with them.

use crate::class::Requirement;
use crate::config::{ID_BYTES_MAX, REVIEWS_MAX};
use crate::effect::Effect;
use crate::ids::{ClassNo, PeerNo, TaskNo};
use crate::mutant::Mutant;
use crate::op::{AttemptOutcome, Review, TaskSpec};
use crate::refusal::{LimitKind, Refusal};
use crate::swarm::Swarm;
use crate::task::{Outcome, Phase, Task};
use serde::{Deserialize, Serialize};

/// The task type of reviews.
const KIND: &str = "review";
/// What stands in the id of a review between that of the task and the numbers.
const MARK: &str = "#review-";

/// What a result needs in order to count.
///
/// ```
/// use meshwork_core::Review;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let review = Review { approvals: 1, of: 2, ..Review::default() };
/// let _ = write(&mut swarm, vec![submit([TaskSpec { review: Some(review), ..TaskSpec::new("fix") }])])?;
/// let fix = swarm.find_task("fix").expect("it was submitted");
/// # let (_, grant) = swarm.task(fix).and_then(|task| task.phase.grant()).expect("ada runs it");
/// # let _ = write(&mut swarm, vec![returned(fix, grant, AttemptOutcome::Ok)])?;
/// // … and ada has returned it.
/// let terms = swarm.task(fix).and_then(|task| task.review).expect("it must be approved");
/// assert_eq!((terms.approvals, terms.of), (1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What its reviewers must be able to do.
    pub class: ClassNo,
    /// Approvals needed; at least 1.
    pub approvals: u32,
    /// Reviews that are made; at least `approvals`.
    pub of: u32,
}

/// What makes a task a review of its parent.
///
/// ```
/// use meshwork_core::Review;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let review = Review { approvals: 1, of: 2, ..Review::default() };
/// let _ = write(&mut swarm, vec![submit([TaskSpec { review: Some(review), ..TaskSpec::new("fix") }])])?;
/// let fix = swarm.find_task("fix").expect("it was submitted");
/// # let (_, grant) = swarm.task(fix).and_then(|task| task.phase.grant()).expect("ada runs it");
/// # let _ = write(&mut swarm, vec![returned(fix, grant, AttemptOutcome::Ok)])?;
/// // … and ada has returned it.
/// let review = swarm.reviews(fix).next().and_then(|no| swarm.task(no)).expect("two were made");
/// assert_eq!(review.reviews.map(|of| (of.attempt, of.approves)), Some((1, false)), "not voted yet");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewOf {
    /// The attempt of the parent that it reviews.
    pub attempt: u32,
    /// Its last attempt that did its work approves. Counts when the review has closed ok.
    pub approves: bool,
}

/// The reviews of one attempt, counted.
///
/// ```
/// use meshwork_core::Review;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let review = Review { approvals: 1, of: 2, ..Review::default() };
/// let _ = write(&mut swarm, vec![submit([TaskSpec { review: Some(review), ..TaskSpec::new("fix") }])])?;
/// let fix = swarm.find_task("fix").expect("it was submitted");
/// # let (_, grant) = swarm.task(fix).and_then(|task| task.phase.grant()).expect("ada runs it");
/// # let _ = write(&mut swarm, vec![returned(fix, grant, AttemptOutcome::Ok)])?;
/// // … and ada has returned it.
/// let votes = swarm.votes(fix);
/// assert_eq!((votes.approvals, votes.open), (0, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Votes {
    /// Closed, and approve.
    pub approvals: u32,
    /// Not closed.
    pub open: u32,
}

impl Votes {
    /// Whether it was approved; `None` while the open ones can change that.
    ///
    /// ```
    /// use meshwork_core::{ClassNo, Terms, Votes};
    ///
    /// let terms = Terms { class: ClassNo(0), approvals: 2, of: 3 };
    /// assert_eq!(Votes { approvals: 1, open: 1 }.decision(terms), None);
    /// assert_eq!(Votes { approvals: 2, open: 1 }.decision(terms), Some(true));
    /// assert_eq!(Votes { approvals: 0, open: 1 }.decision(terms), Some(false));
    /// ```
    pub fn decision(self, terms: Terms) -> Option<bool> {
        if self.approvals >= terms.approvals {
            Some(true)
        } else {
            (self.approvals + self.open < terms.approvals).then_some(false)
        }
    }
}

impl Swarm {
    pub(crate) fn judge_review(&self, id: &str, review: &Review) -> Result<(), Refusal> {
        let capabilities = review.requires.len() as u64;
        self.within(LimitKind::Capabilities, capabilities, self.config.limits.capabilities)?;
        let fits = |what: &str, found: u32, most: u32| {
            let (what, expected) = (format!("`{what}` in the review of task {id:?}"), format!("1 to {most}"));
            let refusal = Refusal::OutOfRange { what, found: u64::from(found), expected };
            if (1..=most).contains(&found) { Ok(()) } else { Err(refusal) }
        };
        fits("of", review.of, REVIEWS_MAX)?;
        fits("approvals", review.approvals, review.of)
    }

    pub(crate) fn terms_of(&mut self, spec: &TaskSpec) -> Option<Terms> {
        let Review { requires, approvals, of, .. } = spec.review.as_ref()?;
        let capabilities = self.intern_capabilities(requires);
        let class = self.index.classes.intern(Requirement::of(capabilities), &self.peers);
        Some(Terms { class, approvals: *approvals, of: *of })
    }

    /// A review that does not approve has done its work: as an attempt it ended ok.
    pub(crate) fn work_done(&self, task: TaskNo, outcome: AttemptOutcome) -> AttemptOutcome {
        let is_review = self.tasks[task.index()].reviews.is_some();
        if is_review && outcome == AttemptOutcome::Rejected { AttemptOutcome::Ok } else { outcome }
    }

    /// Whether the attempt did its work. That of a review leaves its vote.
    pub(crate) fn vote(&mut self, task: TaskNo, outcome: AttemptOutcome) -> bool {
        let done = self.work_done(task, outcome) == AttemptOutcome::Ok;
        if let (Some(review), true) = (&mut self.tasks[task.index()].reviews, done) {
            review.approves = outcome == AttemptOutcome::Ok;
        }
        done
    }

    /// Children, messages and evidence are in: the task closes, unless it has to be approved first.
    pub(crate) fn pass(&mut self, task: TaskNo) {
        let terms = self.tasks[task.index()].review.filter(|_| !self.switch.breaks(Mutant::ClosesUnreviewed));
        let Some(terms) = terms else {
            self.close(task, Outcome::Ok);
            return;
        };
        if let Some(limit) = self.reviews_exceed(task, terms.of) {
            // A further attempt would find no more room than this one.
            self.emit(Effect::ReviewsOverLimit { task, limit });
            self.end(task, Outcome::Rejected);
            return;
        }
        self.set_phase(task, Phase::Reviewing);
        let class = self.reviewer_class(task, terms.class);
        for number in 0..terms.of {
            self.open_review(task, number, class);
        }
    }

    fn reviews_exceed(&self, task: TaskNo, of: u32) -> Option<LimitKind> {
        let (limits, record) = (&self.config.limits, &self.tasks[task.index()]);
        let limits = [
            (LimitKind::Depth, record.depth.saturating_add(1), limits.depth),
            (LimitKind::Children, record.children.saturating_add(of), limits.children),
            (LimitKind::Tasks, TaskNo::from_index(self.tasks.len()).0.saturating_add(of), limits.tasks),
        ];
        limits.into_iter().find(|(_, found, most)| found > most).map(|(limit, ..)| limit)
    }

    /// Nobody votes on its own work, while anybody else can.
    fn reviewer_class(&mut self, task: TaskNo, class: ClassNo) -> ClassNo {
        let capabilities = self.index.classes.requirement(class).capabilities.clone();
        let author = Some(self.tasks[task.index()].returned_by);
        self.index.classes.intern(Requirement { author, ..Requirement::of(capabilities) }, &self.peers)
    }

    /// Nobody votes twice on one result, while anybody else can: the other reviews of it avoid whoever got this one.
    /// Of a crowd, the first few are remembered.
    pub(crate) fn spread_votes(&mut self, review: TaskNo, voter: PeerNo) {
        let record = &self.tasks[review.index()];
        let Some((of, ReviewOf { attempt, .. })) = record.parent.zip(record.reviews) else { return };
        let open = |other: &TaskNo| *other != review && !self.tasks[other.index()].phase.is_closed();
        let others: Vec<TaskNo> = self.reviews_of(of, attempt).filter(open).collect();
        for other in others {
            self.avoid_voter(other, voter);
        }
    }

    fn avoid_voter(&mut self, review: TaskNo, voter: PeerNo) {
        let Task { class: before, rank, phase, .. } = self.tasks[review.index()];
        let has_others = self.eligible_bits(review).iter().any(|peer| peer != voter.index());
        let requirement = self.index.classes.requirement(before);
        if !has_others || !requirement.has_room() {
            return;
        }
        let requirement = requirement.avoiding(voter);
        let class = self.index.classes.intern(requirement, &self.peers);
        if phase == (Phase::Assigned { peer: voter }) {
            self.unassign(review);
            self.agenda.place.push(review);
        }
        let record = &mut self.tasks[review.index()];
        record.class = class;
        if matches!(record.phase, Phase::Ready | Phase::Assigned { .. }) {
            self.index.waiting.remove(before, rank, review);
            self.index.waiting.insert(class, rank, review);
        }
        if self.tasks[review.index()].phase == Phase::Ready {
            self.index.unassigned.remove(before, rank, review);
            self.index.unassigned.insert(class, rank, review);
        }
        self.touch(review);
    }

    fn open_review(&mut self, of: TaskNo, number: u32, class: ClassNo) {
        let parent = &self.tasks[of.index()];
        let (attempt, returned_at, content, upward) =
            (parent.attempt, parent.returned_at, parent.content, parent.upward);
        let submitted = (of, parent.last_grant);
        let spec = TaskSpec {
            id: review_id(of, parent, number),
            kind: KIND.to_owned(),
            priority: parent.priority,
            retries: parent.retries,
            ..TaskSpec::default()
        };
        let generation = self.find_task(&spec.id).map_or(1, |old| self.tasks[old.index()].generation + 1);
        let mut record = self.record(&spec, number, Some(submitted), Box::default(), content, generation);
        record.spec.0 = returned_at;
        record.class = class;
        record.reviews = Some(ReviewOf { attempt, approves: false });
        // As urgent as what it holds up.
        record.upward = upward;
        let review = self.add_task(record, false);
        self.emit(Effect::ReviewOpened { review, of });
        self.make_ready(review);
    }

    /// A review of a task that is being reviewed has closed.
    pub(crate) fn review_closed(&mut self, of: TaskNo, review: TaskNo) {
        let record = &self.tasks[review.index()];
        if let (Some(ReviewOf { approves, .. }), true) = (record.reviews, has_voted(record)) {
            self.emit(Effect::Voted { review, of, approves });
        }
        self.agenda.settle.push_back(of);
    }

    /// Decided as soon as the open ones can change nothing. These are cancelled, and the last of them to
    /// end takes the task along.
    pub(crate) fn count_votes(&mut self, task: TaskNo) {
        let (terms, votes) = (self.tasks[task.index()].review, self.votes(task));
        let mut decision = terms.and_then(|terms| votes.decision(terms));
        if self.switch.breaks(Mutant::OneVoteDecides) && votes.approvals > 0 {
            decision = Some(true);
        }
        let Some(approved) = decision else { return };
        if votes.open > 0 {
            for review in self.reviews(task).collect::<Vec<_>>() {
                self.cancel_one(review);
            }
            return;
        }
        let Task { attempt, returned_by, .. } = self.tasks[task.index()];
        self.emit(Effect::ReviewEnded { task, attempt, approved });
        if approved {
            self.set_phase(task, Phase::Returned);
            self.close(task, Outcome::Ok);
        } else {
            self.ended_ok_by_its_own_word(returned_by);
            self.attempt_failed(task, AttemptOutcome::Rejected, false);
        }
    }

    /// What counted as completed turns out not to be.
    pub(crate) fn ended_ok_by_its_own_word(&mut self, peer: PeerNo) {
        let record = &mut self.peers[peer.index()];
        record.completed = record.completed.saturating_sub(1);
        record.failed += 1;
        self.touch_peer(peer);
        self.replace(peer);
    }

    /// What must hold of every task that is reviewed or a review, re-derived.
    pub(crate) fn check_review(&self, no: TaskNo, task: &Task) {
        if task.phase == Phase::Reviewing {
            let terms = task.review.expect("a task that is reviewed says by how many");
            let made = self.reviews(no).count();
            assert_eq!(made, terms.of as usize, "reviews of {no:?}");
            let votes = self.votes(no);
            assert_eq!(votes.open, task.deficit, "open reviews of {no:?}, and nothing else is open");
            assert!(votes.open > 0, "the reviews of {no:?} have closed, and it stands still");
            let ending = self.reviews(no).map(|no| &self.tasks[no.index()]).all(|r| r.phase.is_closed() || r.cancelled);
            assert!(votes.decision(terms).is_none() || ending, "{no:?} is decided, and its reviews go on");
        }
        if let (Some(review), false) = (task.reviews, task.phase.is_closed()) {
            let of = task.parent.map(|of| &self.tasks[of.index()]);
            let of = of.unwrap_or_else(|| panic!("{no:?} reviews nothing"));
            assert!(of.phase == Phase::Reviewing || task.cancelled, "{no:?} reviews what is {:?}", of.phase);
            assert_eq!(review.attempt, of.attempt, "the attempt that {no:?} reviews");
        }
    }

    /// The reviews of the task's last attempt, the last one first. None before it is reviewed.
    ///
    /// ```
    /// use meshwork_core::Review;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let review = Review { approvals: 1, of: 2, ..Review::default() };
    /// let _ = write(&mut swarm, vec![submit([TaskSpec { review: Some(review), ..TaskSpec::new("fix") }])])?;
    /// let fix = swarm.find_task("fix").expect("it was submitted");
    /// # let (_, grant) = swarm.task(fix).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// # let _ = write(&mut swarm, vec![returned(fix, grant, AttemptOutcome::Ok)])?;
    /// // … and ada has returned it.
    /// let ids: Vec<&str> = swarm.reviews(fix).filter_map(|no| swarm.task(no)).map(|task| &*task.id).collect();
    /// assert_eq!(ids, ["fix#review-1.2", "fix#review-1.1"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reviews(&self, task: TaskNo) -> impl Iterator<Item = TaskNo> + '_ {
        self.reviews_of(task, self.tasks[task.index()].attempt)
    }

    /// The reviews of one attempt of a task, the last one first.
    ///
    /// ```
    /// use meshwork_core::Review;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let review = Review { approvals: 1, of: 2, ..Review::default() };
    /// let _ = write(&mut swarm, vec![submit([TaskSpec { review: Some(review), ..TaskSpec::new("fix") }])])?;
    /// let fix = swarm.find_task("fix").expect("it was submitted");
    /// # let (_, grant) = swarm.task(fix).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// # let _ = write(&mut swarm, vec![returned(fix, grant, AttemptOutcome::Ok)])?;
    /// // … and ada has returned it.
    /// assert_eq!(swarm.reviews_of(fix, 1).count(), 2);
    /// assert_eq!(swarm.reviews_of(fix, 2).count(), 0, "there was no second attempt");
    /// # Ok(())
    /// # }
    /// ```
    pub fn reviews_of(&self, task: TaskNo, attempt: u32) -> impl Iterator<Item = TaskNo> + '_ {
        let of = self.tasks[task.index()].review.map_or(0, |terms| terms.of);
        let is_one = move |child: &TaskNo| self.tasks[child.index()].reviews.is_some_and(|r| r.attempt == attempt);
        // Nothing is submitted by a task that is being reviewed, so they are the last of its children.
        self.children(task).filter(is_one).take(of as usize)
    }

    /// The reviews of the task's last attempt, counted.
    ///
    /// ```
    /// use meshwork_core::Review;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let review = Review { approvals: 1, of: 2, ..Review::default() };
    /// let _ = write(&mut swarm, vec![submit([TaskSpec { review: Some(review), ..TaskSpec::new("fix") }])])?;
    /// let fix = swarm.find_task("fix").expect("it was submitted");
    /// # let (_, grant) = swarm.task(fix).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// # let _ = write(&mut swarm, vec![returned(fix, grant, AttemptOutcome::Ok)])?;
    /// // … and ada has returned it.
    /// let review = swarm.reviews(fix).last().expect("the first one, which runs");
    /// let (_, grant) = swarm.task(review).and_then(|task| task.phase.grant()).expect("ada is alone here");
    /// let _ = write(&mut swarm, vec![returned(review, grant, AttemptOutcome::Ok)])?;
    /// assert_eq!(swarm.votes(fix).approvals, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn votes(&self, task: TaskNo) -> Votes {
        let mut votes = Votes::default();
        for review in self.reviews(task).map(|no| &self.tasks[no.index()]) {
            votes.open += u32::from(!review.phase.is_closed());
            votes.approvals += u32::from(has_voted(review) && review.reviews.is_some_and(|vote| vote.approves));
        }
        votes
    }
}

fn has_voted(review: &Task) -> bool {
    review.phase == Phase::Closed { outcome: Outcome::Ok }
}

/// `task-001#review-1.2`: the second review of the first attempt. Of an id so long that this would be
/// longer than ids may be: its beginning, and the number of the task, so that no two are alike.
fn review_id(no: TaskNo, task: &Task, number: u32) -> String {
    let tail = format!("{MARK}{}.{}", task.attempt, number + 1);
    if task.id.len() + tail.len() <= ID_BYTES_MAX {
        return format!("{}{tail}", task.id);
    }
    let tail = format!("{tail}-{no:?}");
    let kept = task.id.floor_char_boundary(ID_BYTES_MAX - tail.len());
    format!("{}{tail}", &task.id[..kept])
}

/// Whether an id has the form that `apply` gives to reviews, so that nobody else may use it:
/// `…#review-1.2` or `…#review-1.2-t3`.
///
/// ```
/// use meshwork_core::is_reserved_id;
///
/// assert!(is_reserved_id("fix#review-1.2") && !is_reserved_id("fix-review"));
/// ```
pub fn is_reserved_id(id: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((_, numbers)) = id.rsplit_once(MARK) else { return false };
    let (numbers, task) = numbers.split_once("-t").map_or((numbers, None), |(numbers, task)| (numbers, Some(task)));
    numbers.split_once('.').is_some_and(|(attempt, one)| number(attempt) && number(one)) && task.is_none_or(number)
}
