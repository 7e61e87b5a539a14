//! Waiting tasks by requirement class: the best one that a peer can take, without walking tasks.

use crate::bits::Bits;
use crate::ids::{ClassNo, TaskNo};
use crate::task::Rank;
use std::collections::{BTreeMap, BTreeSet};

/// One ordered set of waiting tasks a class, and the classes by the level of their first task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    classes: Vec<BTreeSet<(Rank, TaskNo)>>,
    /// Level of the head → classes whose head has it. Levels are stored inverted, the best is least.
    levels: BTreeMap<u64, Bits>,
    len: usize,
}

impl Queue {
    pub(crate) fn insert(&mut self, class: ClassNo, rank: Rank, task: TaskNo) {
        if class.index() >= self.classes.len() {
            self.classes.resize_with(class.index() + 1, BTreeSet::new);
        }
        let before = self.head_level(class);
        let new = self.classes[class.index()].insert((rank, task));
        assert!(new, "{task:?} waits in {class:?} already");
        self.len += 1;
        self.move_head(class, before);
    }

    pub(crate) fn remove(&mut self, class: ClassNo, rank: Rank, task: TaskNo) {
        let before = self.head_level(class);
        let present = self.classes[class.index()].remove(&(rank, task));
        assert!(present, "{task:?} does not wait in {class:?}");
        self.len -= 1;
        self.move_head(class, before);
    }

    /// The best task of these classes.
    pub(crate) fn best(&self, classes: &Bits) -> Option<(Rank, TaskNo)> {
        self.levels
            .values()
            .find_map(|level| level.both(classes).filter_map(|class| self.classes[class].first().copied()).min())
    }

    /// The best task of each class that has one, and the class.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (ClassNo, TaskNo)> + '_ {
        let firsts = self.classes.iter().enumerate();
        firsts.filter_map(|(class, tasks)| Some((ClassNo::from_index(class), tasks.first()?.1)))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn head_level(&self, class: ClassNo) -> Option<u64> {
        self.classes[class.index()].first().map(|(rank, _)| rank.level)
    }

    fn move_head(&mut self, class: ClassNo, before: Option<u64>) {
        let after = self.head_level(class);
        if before == after {
            return;
        }
        if let Some(level) = before
            && let Some(classes) = self.levels.get_mut(&level)
        {
            classes.remove(class.index());
            if classes.is_empty() {
                self.levels.remove(&level);
            }
        }
        if let Some(level) = after {
            self.levels.entry(level).or_default().insert(class.index());
        }
    }
}
