//! The dependencies of a file as arrays of numbers, and walks over them that need neither recursion
//! nor more than linear time: a chain may be a million tasks long.

use std::collections::HashMap;

use super::model::Task;

/// Tasks by number, with the numbers of their dependencies.
#[derive(Debug)]
pub(super) struct Graph {
    /// Where the dependencies of a task begin in `edges`; one more entry than tasks.
    starts: Vec<u32>,
    edges: Vec<u32>,
}

/// A cycle: each task waits for the next, the last for the first.
pub(super) type Cycle = Vec<u32>;

impl Graph {
    /// Takes over the dependencies that `index` knows; `unknown` hears of the others as
    /// (task, dependency).
    pub(super) fn of<'a>(
        tasks: &'a [Task],
        index: &HashMap<&str, u32>,
        mut unknown: impl FnMut(usize, &'a str),
    ) -> Self {
        let mut starts = Vec::with_capacity(tasks.len() + 1);
        let mut edges = Vec::new();
        for (number, task) in tasks.iter().enumerate() {
            starts.push(count(edges.len()));
            for dependency in &task.dependencies {
                match index.get(dependency.as_str()) {
                    Some(to) => edges.push(*to),
                    None => unknown(number, dependency),
                }
            }
        }
        starts.push(count(edges.len()));
        Self { starts, edges }
    }

    /// How many tasks.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many dependencies in all.
    pub(super) fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// The dependencies of a task.
    pub(super) fn dependencies(&self, task: usize) -> &[u32] {
        &self.edges[self.starts[task] as usize..self.starts[task + 1] as usize]
    }

    /// Up to `most` cycles, by a depth-first walk with its own stack. None are found exactly when
    /// none exist.
    pub(super) fn cycles(&self, most: usize) -> Vec<Cycle> {
        /// Never seen, on the present path, or done with.
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            OnPath,
            Done,
        }
        let mut marks = vec![Mark::New; self.len()];
        let mut cycles = Vec::new();
        // The path: a task, and how many of its dependencies have been looked at.
        let mut path: Vec<(u32, u32)> = Vec::new();
        for root in 0..self.len() {
            if marks[root] != Mark::New {
                continue;
            }
            marks[root] = Mark::OnPath;
            path.push((count(root), 0));
            while let Some((task, seen)) = path.last_mut() {
                let at = *task as usize;
                let Some(next) = self.dependencies(at).get(*seen as usize).copied() else {
                    marks[at] = Mark::Done;
                    path.pop();
                    continue;
                };
                *seen += 1;
                match marks[next as usize] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[next as usize] = Mark::OnPath;
                        path.push((next, 0));
                    }
                    Mark::OnPath => {
                        let start = path.iter().rposition(|(task, _)| *task == next);
                        let start = start.unwrap_or(0);
                        cycles.push(path[start..].iter().map(|(task, _)| *task).collect());
                        if cycles.len() >= most {
                            return cycles;
                        }
                    }
                }
            }
        }
        cycles
    }

    /// Tasks in an order in which every dependency stands before what needs it. Tasks in or behind
    /// a cycle are left out.
    pub(super) fn order(&self) -> Vec<u32> {
        let mut starts = vec![0u32; self.len() + 1];
        for to in &self.edges {
            starts[*to as usize + 1] += 1;
        }
        for at in 0..self.len() {
            starts[at + 1] += starts[at];
        }
        let mut dependants = vec![0u32; self.edges.len()];
        let mut filled = starts.clone();
        let mut open: Vec<usize> = Vec::with_capacity(self.len());
        for task in 0..self.len() {
            open.push(self.dependencies(task).len());
            for to in self.dependencies(task) {
                dependants[filled[*to as usize] as usize] = count(task);
                filled[*to as usize] += 1;
            }
        }
        let mut order: Vec<u32> = (0..self.len()).filter(|task| open[*task] == 0).map(count).collect();
        let mut next = 0;
        while let Some(task) = order.get(next).map(|task| *task as usize) {
            next += 1;
            for dependant in &dependants[starts[task] as usize..starts[task + 1] as usize] {
                let left = &mut open[*dependant as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(*dependant);
                }
            }
        }
        order
    }
}

/// Numbers fit: a file of 512 MiB holds fewer tasks and dependencies than 32 bits count.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A cycle in words, `a → b → c → a`, with its middle left out when nobody could read it.
pub(super) fn cycle_text<'a>(cycle: &[u32], name: impl Fn(u32) -> &'a str) -> String {
    const SHOWN: usize = 16;
    let mut text = String::new();
    for (at, task) in cycle.iter().enumerate() {
        if cycle.len() > 2 * SHOWN && at == SHOWN {
            text.push_str(&format!("… ({} more) … → ", cycle.len() - 2 * SHOWN));
        }
        if cycle.len() <= 2 * SHOWN || !(SHOWN..cycle.len() - SHOWN).contains(&at) {
            text.push_str(name(*task));
            text.push_str(" → ");
        }
    }
    text.push_str(cycle.first().map_or("", |first| name(*first)));
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn graph(lists: &[&[u32]]) -> Graph {
        let mut graph = Graph { starts: vec![0], edges: Vec::new() };
        for list in lists {
            graph.edges.extend_from_slice(list);
            graph.starts.push(u32::try_from(graph.edges.len()).unwrap());
        }
        graph
    }

    #[test]
    fn a_cycle_is_named_in_the_order_of_waiting() {
        let cycles = graph(&[&[1], &[2], &[3], &[1]]).cycles(10);
        assert_eq!(cycles, vec![vec![1, 2, 3]]);
        assert_eq!(graph(&[&[0]]).cycles(10), vec![vec![0]]);
        assert!(graph(&[&[1, 2], &[3], &[3], &[]]).cycles(10).is_empty());
    }

    #[test]
    fn a_long_chain_needs_no_recursion() {
        let lists: Vec<Vec<u32>> = (0..200_000u32).map(|n| vec![(n + 1) % 200_000]).collect();
        let lists: Vec<&[u32]> = lists.iter().map(Vec::as_slice).collect();
        let cycles = graph(&lists).cycles(1);
        assert_eq!(cycles[0].len(), 200_000);
        let text = cycle_text(&cycles[0], |_| "t");
        assert!(text.contains("(199968 more)"), "{text}");
        assert!(graph(&lists).order().is_empty());
    }

    #[test]
    fn order_puts_dependencies_first() {
        assert_eq!(graph(&[&[1, 2], &[3], &[3], &[]]).order(), [3, 1, 2, 0]);
    }
}
