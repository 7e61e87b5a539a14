//! What a swarm is given to do: the shapes of work, and what the body of each kind of task does.

use super::dice::Dice;
use super::faults::Fault;
use crate::{DependencyPolicy, Review, TaskSpec, Verify};
use std::fmt;

/// Tasks that one entry submits, at most: a few dozen bytes each, far below what a batch holds.
const TASKS_A_PART: usize = 1_000;
/// Bodies run this long between two steps, at most, in virtual ms.
pub(crate) const STEP_MS: u64 = 400;
/// How deep tasks of `spawning` submit tasks.
const SPAWN_DEPTH: u32 = 3;

/// A shape of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Workload {
    /// Independent tasks.
    FanOut,
    /// Each task depends on the one before.
    Chain,
    /// One task, several that depend on it, one that depends on them, and so on.
    Diamond,
    /// Tasks that submit tasks, several levels deep.
    Spawning,
    /// Parents that give up their slot and wait for their children.
    Waiting,
    /// Bodies and handlers that send messages to other peers, and handlers that submit tasks.
    Messages,
    /// Tasks that must show evidence, which does not always hold.
    Checks,
    /// Tasks that other peers must approve.
    Reviews,
    /// Several rounds with the same ids: unchanged, edited, new.
    Rounds,
    /// All of it.
    #[default]
    Mixed,
}

impl Workload {
    /// Every workload.
    pub const ALL: &[Self] = &[
        Self::FanOut,
        Self::Chain,
        Self::Diamond,
        Self::Spawning,
        Self::Waiting,
        Self::Messages,
        Self::Checks,
        Self::Reviews,
        Self::Rounds,
        Self::Mixed,
    ];

    /// The name that commands and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::FanOut => "fan-out",
            Self::Chain => "chain",
            Self::Diamond => "diamond",
            Self::Spawning => "spawning",
            Self::Waiting => "waiting",
            Self::Messages => "messages",
            Self::Checks => "checks",
            Self::Reviews => "reviews",
            Self::Rounds => "rounds",
            Self::Mixed => "mixed",
        }
    }

    /// The workload of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|workload| workload.name() == name)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one person submits, in one part or several.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) parts: Vec<Vec<TaskSpec>>,
}

/// What a body does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Works for up to this long, in ms.
    Work(u64),
    /// Submits children.
    Spawn(u32),
    /// Waits for them; for the first one only when `some`.
    Wait { some: bool },
    /// Sends messages to other peers.
    Send(u32),
    /// Says how far it is and what it has spent.
    Tell,
}

/// What a plan asks for, as far as the shape of the work goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) workload: Workload,
    pub(crate) tasks: usize,
    pub(crate) faults: super::Faults,
}

impl Wanted {
    /// What is submitted, round by round.
    pub(crate) fn rounds(self, dice: &mut Dice) -> Vec<Vec<Job>> {
        let top = match self.workload {
            // The others are their children.
            Workload::Spawning => self.tasks.div_ceil(4),
            Workload::Waiting | Workload::Mixed => self.tasks.div_ceil(2),
            Workload::Rounds | Workload::Reviews => self.tasks.div_ceil(3),
            _ => self.tasks,
        };
        let specs: Vec<TaskSpec> = (0..top.max(1)).map(|number| self.task(number, dice)).collect();
        let first = self.jobs(specs.clone(), dice);
        let further = match self.workload {
            Workload::Rounds => 2,
            Workload::Mixed if dice.chance(30) => 1,
            _ => 0,
        };
        let mut rounds = vec![first];
        let mut last = specs;
        for _ in 0..further {
            last = self.edited(last, dice);
            let jobs = self.jobs(last.clone(), dice);
            rounds.push(jobs);
        }
        rounds
    }

    /// One task of the round itself.
    fn task(self, number: usize, dice: &mut Dice) -> TaskSpec {
        let id = format!("t{number}");
        let mut spec = TaskSpec { id, kind: "plain".to_owned(), priority: 5, ..TaskSpec::default() };
        spec.retries = dice.between(0, 3);
        let earlier = |back: usize| format!("t{}", number - back);
        match self.workload {
            Workload::FanOut => {}
            Workload::Chain if number > 0 => spec.dependencies.push(earlier(1)),
            Workload::Chain => {}
            Workload::Diamond => spec.dependencies = diamond(number),
            Workload::Spawning => "spawner".clone_into(&mut spec.kind),
            Workload::Waiting => "waiter".clone_into(&mut spec.kind),
            Workload::Messages => "talker".clone_into(&mut spec.kind),
            Workload::Checks => {
                spec.verify = dice.chance(80).then(evidence);
                if number > 0 && dice.chance(30) {
                    spec.dependencies.push(earlier(1));
                }
            }
            Workload::Reviews => {
                spec.review = Some(review(dice));
                spec.verify = dice.chance(30).then(evidence);
            }
            Workload::Rounds | Workload::Mixed => self.mix(&mut spec, number, dice),
        }
        self.may_never_answer(&mut spec, dice);
        spec
    }

    /// A bit of everything.
    fn mix(self, spec: &mut TaskSpec, number: usize, dice: &mut Dice) {
        let kinds = ["plain", "plain", "plain", "spawner", "waiter", "talker"];
        let kind = dice.pick(&kinds).expect("there are kinds");
        kind.clone_into(&mut spec.kind);
        spec.priority = u8::try_from(dice.between(1, 10)).expect("ten is a small number");
        for _ in 0..2 {
            if number > 0 && dice.chance(30) {
                let back = 1 + dice.below(number.min(4));
                spec.dependencies.push(format!("t{}", number - back));
            }
        }
        let policies = [DependencyPolicy::Fail, DependencyPolicy::Skip, DependencyPolicy::Run];
        spec.on_dependency_failure = dice.pick(&policies).expect("there are policies");
        if dice.chance(25) {
            let capability = dice.pick(&["a", "b"]).expect("there are capabilities");
            spec.requires.push(capability.to_owned());
        }
        spec.verify = dice.chance(25).then(evidence);
        spec.review = dice.chance(15).then(|| review(dice));
    }

    fn may_never_answer(self, spec: &mut TaskSpec, dice: &mut Dice) {
        if self.faults.has(Fault::NeverAnswers) && dice.chance(70) {
            spec.timeout_ms = Some(1_500 + dice.ms(1_500));
        }
    }

    /// The same tasks for another round: some edited, some new ones.
    fn edited(self, mut specs: Vec<TaskSpec>, dice: &mut Dice) -> Vec<TaskSpec> {
        for spec in &mut specs {
            if dice.chance(30) {
                spec.description.push_str("edited ");
            } else if dice.chance(20) {
                spec.priority = u8::try_from(dice.between(1, 10)).expect("ten is a small number");
            }
        }
        for _ in 0..specs.len().div_ceil(4) {
            let spec = self.task(specs.len(), dice);
            specs.push(spec);
        }
        specs
    }

    /// Splits tasks among the people who submit them. Dependencies stand earlier, so later jobs may be refused
    /// when they come first: their authors try again.
    fn jobs(self, specs: Vec<TaskSpec>, dice: &mut Dice) -> Vec<Job> {
        let people = match self.workload {
            Workload::FanOut | Workload::Chain | Workload::Diamond => 1,
            _ => 1 + dice.below(3),
        };
        let share = specs.len().div_ceil(people).max(1);
        let mut jobs = Vec::new();
        let mut rest = specs.into_iter().peekable();
        while rest.peek().is_some() {
            let mine: Vec<TaskSpec> = rest.by_ref().take(share).collect();
            let size = if mine.len() > 2 && dice.chance(40) { mine.len().div_ceil(2) } else { mine.len() };
            let parts = mine.chunks(size.min(TASKS_A_PART)).map(<[TaskSpec]>::to_vec).collect();
            jobs.push(Job { parts });
        }
        jobs
    }

    /// A child of a task of this kind.
    pub(crate) fn child(self, parent: &str, number: u32, depth: u32, dice: &mut Dice) -> TaskSpec {
        let kind = match self.workload {
            Workload::Spawning if depth < SPAWN_DEPTH && dice.chance(40) => "spawner",
            Workload::Waiting if depth < 2 && dice.chance(25) => "waiter",
            Workload::Mixed if depth < 2 && dice.chance(15) => "spawner",
            Workload::Mixed if dice.chance(15) => "talker",
            _ => "plain",
        };
        let mut spec = TaskSpec {
            id: format!("{parent}.{number}"),
            kind: kind.to_owned(),
            priority: 5,
            retries: 1,
            ..TaskSpec::default()
        };
        if number > 0 && dice.chance(25) {
            spec.dependencies.push(format!("{parent}.{}", number - 1));
        }
        if matches!(self.workload, Workload::Mixed | Workload::Checks) && dice.chance(20) {
            spec.verify = Some(evidence());
        }
        self.may_never_answer(&mut spec, dice);
        spec
    }

    /// What the body of such a task does before it ends.
    pub(crate) fn steps(self, kind: &str, dice: &mut Dice) -> Vec<Step> {
        let work = Step::Work(STEP_MS);
        let children = dice.between(1, 3);
        match kind {
            "spawner" if dice.chance(30) => vec![work, Step::Spawn(children), Step::Tell, work, Step::Spawn(children)],
            "spawner" => vec![work, Step::Spawn(children), work],
            "waiter" if dice.chance(30) => {
                vec![work, Step::Spawn(children), Step::Wait { some: true }, work, Step::Wait { some: false }, work]
            }
            "waiter" => vec![Step::Spawn(children), Step::Wait { some: false }, work],
            "talker" if dice.chance(50) => vec![work, Step::Send(children), work, Step::Send(1)],
            "talker" => vec![Step::Send(children)],
            _ if dice.chance(15) => vec![work, Step::Tell, work],
            _ => vec![work],
        }
    }
}

/// Layers of one task and of three: the one depends on the three before it, each of the three on the one.
fn diamond(number: usize) -> Vec<String> {
    let first = number - number % 4;
    match number % 4 {
        0 if number == 0 => Vec::new(),
        0 => (1..4).map(|back| format!("t{}", number - back)).collect(),
        _ => vec![format!("t{first}")],
    }
}

fn evidence() -> Verify {
    Verify { run: Some("true".to_owned()), artifacts: Vec::new() }
}

fn review(dice: &mut Dice) -> Review {
    let of = dice.between(1, 3);
    Review { requires: Vec::new(), approvals: dice.between(1, of), of, run: None }
}
