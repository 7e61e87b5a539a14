//! An own explorer: every state once, every step recorded, so that a backward search can ask what a model
//! checker's `eventually` does not: whether completion can still be reached, from each of them.

use super::action::Action;
use super::scope::Scope;
use super::verdict::{Property, Violation};
use super::world::World;
use super::{Situation, SwarmModel};
use stateright::Model;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// States are numbered in the order in which they were found.
type No = u32;

/// Marks a step that good processes take.
const GOOD: u32 = 1 << 31;

/// The map's keys are hashes already.
#[derive(Default)]
struct Kept(u64);

impl Hasher for Kept {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are looked up")
    }
    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

/// How to explore.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Workers.
    pub threads: usize,
    /// Nearest states first: the first violation found is a near one, and the frontier needs memory.
    /// Otherwise the newest first, which needs next to none.
    pub breadth_first: bool,
    /// No more states than this; then the result says that it is not exhausted.
    pub states: usize,
    /// End at the first violation.
    pub first: bool,
}

impl Effort {
    /// Everything, with little memory.
    pub const ALL: Self = Self { threads: 2, breadth_first: false, states: 400_000_000, first: true };
    /// The nearest violation within so many states.
    pub const fn hunt(states: usize) -> Self {
        Self { threads: 2, breadth_first: true, states, first: true }
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Distinct states.
    pub states: usize,
    /// Steps that lead to another state.
    pub transitions: usize,
    /// Steps to the farthest state, by the shortest way there.
    pub depth: usize,
    /// States in which all is said and done.
    pub done: usize,
    /// Wall-clock time.
    pub took: Duration,
    /// Whether there was nothing left to explore.
    pub exhausted: bool,
    /// The first property that was found not to hold, and the shortest way there.
    pub found: Option<Found>,
    /// What could be observed at the close of rounds, over all states.
    pub observed: std::collections::BTreeSet<String>,
}

/// A violation and the steps that lead to it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What does not hold.
    pub violation: Violation,
    /// The steps from the initial state.
    pub path: Vec<Action>,
    /// States that were known when it was found.
    pub states: usize,
}

struct Shared {
    ids: HashMap<u64, No, BuildHasherDefault<Kept>>,
    queue: VecDeque<(World, No)>,
    /// Blocks of: the state, how many steps, where each leads.
    steps: Vec<u32>,
    transitions: usize,
    done: Vec<No>,
    violated: Vec<(No, Violation, usize)>,
    working: usize,
    over: bool,
    exhausted: bool,
    observed: std::collections::BTreeSet<String>,
}

/// Explores everything that can be reached.
pub fn explore(scope: &Scope, effort: Effort) -> Explored {
    let begun = Instant::now();
    let model = SwarmModel::new(scope.clone());
    let initial = model.init_states().remove(0);
    let mut ids = HashMap::default();
    ids.insert(initial.fingerprint, 0);
    let violated = initial.world.violation.iter().map(|violation| (0, (**violation).clone(), 1)).collect();
    let shared = Mutex::new(Shared {
        ids,
        queue: VecDeque::from([((*initial.world).clone(), 0)]),
        steps: Vec::new(),
        transitions: 0,
        done: Vec::new(),
        violated,
        working: 0,
        over: false,
        exhausted: true,
        observed: std::collections::BTreeSet::new(),
    });
    let wake = Condvar::new();
    std::thread::scope(|threads| {
        for _ in 0..effort.threads {
            threads.spawn(|| work(scope, effort, &shared, &wake));
        }
    });
    let mut shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let steps = std::mem::take(&mut shared.steps);
    let graph = Graph::of(shared.ids.len(), steps);
    let found = find(scope, &model, &shared, &graph);
    Explored {
        states: shared.ids.len(),
        transitions: shared.transitions,
        depth: graph.depth(),
        done: shared.done.len(),
        took: begun.elapsed(),
        exhausted: shared.exhausted && (found.is_none() || !effort.first),
        found,
        observed: shared.observed,
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker: takes a state, makes all its successors, hands in the new ones.
fn work(scope: &Scope, effort: Effort, shared: &Mutex<Shared>, wake: &Condvar) {
    let mut actions = Vec::new();
    loop {
        let (world, from) = {
            let mut all = lock(shared);
            loop {
                if all.over || all.queue.is_empty() && all.working == 0 {
                    all.over = true;
                    wake.notify_all();
                    return;
                }
                let next = if effort.breadth_first { all.queue.pop_front() } else { all.queue.pop_back() };
                if let Some(next) = next {
                    all.working += 1;
                    break next;
                }
                all = wake.wait(all).unwrap_or_else(PoisonError::into_inner);
            }
        };
        actions.clear();
        world.actions(scope, &mut actions);
        let mut successors = Vec::with_capacity(actions.len());
        for action in &actions {
            if let Some(next) = world.after_action(scope, action) {
                let fingerprint = next.fingerprint(scope);
                successors.push((fingerprint, world.is_good(action), next));
            }
        }
        let mut all = lock(shared);
        all.working -= 1;
        all.take(scope, &world, from, successors, effort);
        wake.notify_all();
    }
}

impl Shared {
    fn take(&mut self, scope: &Scope, world: &World, from: No, successors: Vec<(u64, bool, World)>, effort: Effort) {
        let block = self.steps.len();
        self.steps.extend([from, 0]);
        for (fingerprint, good, next) in successors {
            let new = No::try_from(self.ids.len()).expect("fewer states than 2^31 fit into memory");
            let to = *self.ids.entry(fingerprint).or_insert(new);
            if to != from {
                self.transitions += 1;
                self.steps.push(if good { to | GOOD } else { to });
            }
            if to != new {
                continue;
            }
            if let Some(violation) = &next.violation {
                let states = self.ids.len();
                self.violated.push((to, (**violation).clone(), states));
                self.over |= effort.first;
            } else {
                next.observe(&mut self.observed, world);
                self.queue.push_back((next, to));
            }
        }
        self.steps[block + 1] = u32::try_from(self.steps.len() - block - 2).expect("a state has few successors");
        if world.is_done(scope) {
            self.done.push(from);
        }
        if self.ids.len() >= effort.states {
            (self.over, self.exhausted) = (true, false);
        }
    }
}

/// The recorded steps, by the state that they start from.
struct Graph {
    starts: Vec<usize>,
    steps: Vec<u32>,
    /// By state, on the shortest way from the initial one: the state before it, and how many steps.
    before: Vec<(No, u32)>,
    /// Whether all successors of a state are known.
    expanded: Vec<bool>,
}

impl Graph {
    fn of(states: usize, steps: Vec<u32>) -> Self {
        let mut starts = vec![0; states];
        let mut expanded = vec![false; states];
        let mut at = 0;
        while at < steps.len() {
            let (from, count) = (steps[at] as usize, steps[at + 1] as usize);
            starts[from] = at + 1;
            expanded[from] = true;
            at += 2 + count;
        }
        let mut graph = Self { starts, steps, before: vec![(0, u32::MAX); states], expanded };
        graph.shortest();
        graph
    }

    fn successors(&self, from: No) -> &[u32] {
        let at = self.starts[from as usize];
        if !self.expanded[from as usize] {
            return &[];
        }
        &self.steps[at + 1..at + 1 + self.steps[at] as usize]
    }

    fn good(&self, from: usize) -> impl Iterator<Item = usize> {
        let steps = self.successors(from as No).iter().filter(|step| **step & GOOD != 0);
        steps.map(|step| (*step & !GOOD) as usize)
    }

    fn shortest(&mut self) {
        self.before[0] = (0, 0);
        let mut queue = VecDeque::from([0]);
        while let Some(from) = queue.pop_front() {
            let steps = self.before[from as usize].1 + 1;
            for index in 0..self.successors(from).len() {
                let to = self.successors(from)[index] & !GOOD;
                if self.before[to as usize].1 == u32::MAX {
                    self.before[to as usize] = (from, steps);
                    queue.push_back(to);
                }
            }
        }
    }

    fn depth(&self) -> usize {
        self.before.iter().filter(|(_, steps)| *steps != u32::MAX).map(|(_, steps)| *steps as usize).max().unwrap_or(0)
    }

    /// The states on the shortest way to this one.
    fn way(&self, to: No) -> Vec<No> {
        let mut way = vec![to];
        while let Some(last) = way.last().filter(|last| **last != 0) {
            way.push(self.before[*last as usize].0);
        }
        way.reverse();
        way
    }

    /// Backwards from where all is done, along good steps: the nearest state that is not reached. Only of
    /// states whose successors are all known can it be said.
    fn lost(&self, done: &[No]) -> Option<No> {
        let states = self.starts.len();
        let mut counts = vec![0u32; states + 1];
        for from in 0..states {
            self.good(from).for_each(|to| counts[to + 1] += 1);
        }
        let mut sum = 0;
        for count in &mut counts {
            sum += *count;
            *count = sum;
        }
        let mut backward = vec![0 as No; sum as usize];
        let mut fill = counts.clone();
        for from in 0..states {
            for to in self.good(from) {
                backward[fill[to] as usize] = from as No;
                fill[to] += 1;
            }
        }
        let mut reached = vec![false; states];
        let unknown = (0..states).filter(|no| !self.expanded[*no]).map(|no| no as No);
        let mut queue: Vec<No> = done.iter().copied().chain(unknown).collect();
        while let Some(to) = queue.pop() {
            if std::mem::replace(&mut reached[to as usize], true) {
                continue;
            }
            let range = counts[to as usize] as usize..counts[to as usize + 1] as usize;
            queue.extend(backward[range].iter().copied().filter(|from| !reached[*from as usize]));
        }
        let lost = (0..states).filter(|no| !reached[*no]);
        lost.min_by_key(|no| self.before[*no].1).map(|no| no as No)
    }
}

/// The nearest violation, or else the nearest state from which completion cannot be reached any more.
fn find(scope: &Scope, model: &SwarmModel, shared: &Shared, graph: &Graph) -> Option<Found> {
    let nearest = shared.violated.iter().min_by_key(|(no, ..)| graph.before[*no as usize].1);
    let (no, violation, states) = match nearest {
        Some((no, violation, states)) => (*no, violation.clone(), *states),
        // A hunt that was cut off has a frontier, and from there anything might be reached.
        None => {
            let lost = graph.lost(&shared.done)?;
            let what = "no further step of good processes leads to completion".to_owned();
            (lost, Violation { property: Property::Completion, what }, shared.ids.len())
        }
    };
    let way = graph.way(no);
    let fingerprints: HashMap<No, u64> = {
        let wanted: std::collections::BTreeSet<No> = way.iter().copied().collect();
        shared.ids.iter().filter(|(_, no)| wanted.contains(no)).map(|(print, no)| (*no, *print)).collect()
    };
    let path = retrace(scope, model, &way, &fingerprints);
    Some(Found { violation, path, states })
}

/// The actions along a way of states.
fn retrace(scope: &Scope, model: &SwarmModel, way: &[No], fingerprints: &HashMap<No, u64>) -> Vec<Action> {
    let mut situation: Situation = model.init_states().remove(0);
    let mut path = Vec::new();
    for no in &way[1..] {
        let wanted = fingerprints[no];
        let mut actions = Vec::new();
        situation.world.actions(scope, &mut actions);
        let step = actions.into_iter().find_map(|action| {
            let next = model.next_state(&situation, action.clone())?;
            (next.fingerprint == wanted).then_some((action, next))
        });
        let (action, next) = step.expect("equal fingerprints have equal successors: see `canonical`");
        path.push(action);
        situation = next;
    }
    path
}
