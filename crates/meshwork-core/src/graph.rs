//! Edges of the task graph as linked lists in arrays: eight bytes an edge, no allocation a task.

use crate::ids::TaskNo;

const NONE: u32 = u32::MAX;

/// Who depends on a task, and who its children are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    nodes: Vec<Links>,
    dependants: Vec<Edge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Links {
    first_dependant: u32,
    last_dependant: u32,
    first_child: u32,
    next_sibling: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
