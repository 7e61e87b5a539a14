//! Edges of the task graph as linked lists in arrays: eight bytes an edge, no allocation a task.

use crate::ids::TaskNo;

const NONE: u32 = u32::MAX;

/// Who depends on a task, and who its children are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Links>,
    dependants: Vec<Edge>,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    first_dependant: u32,
    last_dependant: u32,
    first_child: u32,
    next_sibling: u32,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    task: TaskNo,
    next: u32,
}

impl Graph {
    /// Adds the next task. Its dependencies and parent have lower numbers, so no cycle can exist.
    pub(crate) fn push(&mut self, dependencies: &[TaskNo], parent: Option<TaskNo>) {
        let task = TaskNo::from_index(self.nodes.len());
        let mut links = Links { first_dependant: NONE, last_dependant: NONE, first_child: NONE, next_sibling: NONE };
        for dependency in dependencies {
            assert!(*dependency < task, "{task:?} depends on {dependency:?}, which is not earlier");
            self.add_dependant(*dependency, task);
        }
        if let Some(parent) = parent {
            assert!(parent < task, "{task:?} has a parent that is not earlier");
            links.next_sibling = self.nodes[parent.index()].first_child;
            self.nodes[parent.index()].first_child = task.0;
        }
        self.nodes.push(links);
    }

    fn add_dependant(&mut self, of: TaskNo, task: TaskNo) {
        let edge = u32::try_from(self.dependants.len()).expect("limits keep the edges below 2^32");
        self.dependants.push(Edge { task, next: NONE });
        let links = &mut self.nodes[of.index()];
        match links.last_dependant {
            NONE => links.first_dependant = edge,
            last => self.dependants[last as usize].next = edge,
        }
        links.last_dependant = edge;
    }

    /// A task depends on others than before. Costs the number of those who depend on the same.
    pub(crate) fn replace_dependencies(&mut self, task: TaskNo, old: &[TaskNo], new: &[TaskNo]) {
        for dependency in old.iter().filter(|no| !new.contains(no)) {
            self.remove_dependant(*dependency, task);
        }
        for dependency in new.iter().filter(|no| !old.contains(no)) {
            assert!(*dependency < task, "{task:?} depends on {dependency:?}, which is not earlier");
            self.insert_dependant(*dependency, task);
        }
    }

    /// Lists are always in the order of numbers, so that a graph derived anew releases in the same order.
    fn insert_dependant(&mut self, of: TaskNo, task: TaskNo) {
        let (mut before, mut next) = (NONE, self.nodes[of.index()].first_dependant);
        while next != NONE && self.dependants[next as usize].task < task {
            (before, next) = (next, self.dependants[next as usize].next);
        }
        let edge = u32::try_from(self.dependants.len()).expect("limits keep the edges below 2^32");
        self.dependants.push(Edge { task, next });
        match before {
            NONE => self.nodes[of.index()].first_dependant = edge,
            before => self.dependants[before as usize].next = edge,
        }
        if next == NONE {
            self.nodes[of.index()].last_dependant = edge;
        }
    }

    /// Takes the edge out of its list; its place in the array stays empty.
    fn remove_dependant(&mut self, of: TaskNo, task: TaskNo) {
        let (mut before, mut edge) = (NONE, self.nodes[of.index()].first_dependant);
        while edge != NONE && self.dependants[edge as usize].task != task {
            (before, edge) = (edge, self.dependants[edge as usize].next);
        }
        assert!(edge != NONE, "{task:?} does not depend on {of:?}");
        let next = self.dependants[edge as usize].next;
        match before {
            NONE => self.nodes[of.index()].first_dependant = next,
            before => self.dependants[before as usize].next = next,
        }
        if self.nodes[of.index()].last_dependant == edge {
            self.nodes[of.index()].last_dependant = before;
        }
    }

    /// Who depends on it, first submitted first.
    pub(crate) fn dependants(&self, of: TaskNo) -> impl Iterator<Item = TaskNo> + '_ {
        let mut edge = self.nodes[of.index()].first_dependant;
        std::iter::from_fn(move || {
            let Edge { task, next } = *self.dependants.get(edge as usize)?;
            edge = next;
            Some(task)
        })
    }

    /// Its children, last submitted first.
    pub(crate) fn children(&self, of: TaskNo) -> impl Iterator<Item = TaskNo> + '_ {
        let mut child = self.nodes[of.index()].first_child;
        std::iter::from_fn(move || {
            let links = self.nodes.get(child as usize)?;
            let task = TaskNo(child);
            child = links.next_sibling;
            Some(task)
        })
    }
}

/// Two graphs are equal when they have the same edges in the same order, wherever these lie in the arrays.
impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        let alike = |task: TaskNo| {
            self.dependants(task).eq(other.dependants(task)) && self.children(task).eq(other.children(task))
        };
        self.nodes.len() == other.nodes.len() && (0..self.nodes.len()).map(TaskNo::from_index).all(alike)
    }
}

impl Eq for Graph {}
