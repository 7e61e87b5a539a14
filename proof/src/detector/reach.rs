//! From every state completion can still be reached, once nothing more is sent and nothing more fails.
//!
//! A model checker's `eventually` is a statement about each path; this is one about each state: there is a way. So
//! the whole graph is walked once, and then backwards from the states where completion is announced, over those steps
//! only that are neither new work nor a new fault.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

use super::world::{Action, Setup, World};

/// What the walk found.
#[derive(Clone, Debug)]
pub struct Reach {
    /// States, all of them.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// States where completion is announced.
    pub announced: usize,
    /// A way to a state from which completion can't be reached any more, if there is one.
    pub stuck: Option<Vec<Action>>,
}

/// A 64-bit fingerprint stands for a state, as in the model checker.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

#[derive(Default)]
struct Graph {
    known: HashMap<u64, u32>,
    /// From where a state was first reached, and how.
    first: Vec<Option<(u32, Action)>>,
    /// Steps backwards that are neither new work nor a new fault: `(to, from)`.
    backwards: Vec<(u32, u32)>,
    announced: Vec<u32>,
    steps: usize,
}

impl Graph {
    fn add(&mut self, world: &World, from: Option<(u32, Action)>) -> (u32, bool) {
        let number = self.first.len() as u32;
        match self.known.entry(fingerprint(world)) {
            Entry::Occupied(there) => (*there.get(), false),
            Entry::Vacant(free) => {
                free.insert(number);
                self.first.push(from);
                if world.is_announced() {
                    self.announced.push(number);
                }
                (number, true)
            }
        }
    }

    fn way_to(&self, mut state: u32) -> Vec<Action> {
        let mut way = Vec::new();
        while let Some((from, action)) = self.first[state as usize] {
            way.push(action);
            state = from;
        }
        way.reverse();
        way
    }

    fn stuck(&mut self) -> Option<u32> {
        self.backwards.sort_unstable();
        let mut can = vec![false; self.first.len()];
        let mut open = self.announced.clone();
        for state in &open {
            can[*state as usize] = true;
        }
        while let Some(state) = open.pop() {
            let start = self.backwards.partition_point(|(to, _)| *to < state);
            let into = self.backwards[start..].iter().take_while(|(to, _)| *to == state);
            for (_, from) in into {
                if !std::mem::replace(&mut can[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        can.iter().position(|can| !can).map(|state| state as u32)
    }
}

/// Walks the whole graph.
#[must_use]
pub fn walk(setup: &Setup) -> Reach {
    let mut graph = Graph::default();
    let start = setup.start();
    let (number, _) = graph.add(&start, None);
    // Depth first: what waits is one way long, not one layer wide.
    let mut open = vec![(number, start)];
    while let Some((from, world)) = open.pop() {
        for action in setup.possible(&world) {
            let after = setup.after(&world, action);
            let (to, is_new) = graph.add(&after, Some((from, action)));
            graph.steps += 1;
            if !action.is_new() {
                graph.backwards.push((to, from));
            }
            if is_new {
                open.push((to, after));
            }
        }
    }
    let stuck = graph.stuck().map(|state| graph.way_to(state));
    Reach { states: graph.first.len(), steps: graph.steps, announced: graph.announced.len(), stuck }
}
