//! Which peer entries can take a task: the entries by capability, intersected from the rarest on,
//! once for each set of requirements.

use std::collections::{BTreeMap, HashMap};

use super::model::{AgentKind, SwarmFile};

/// What is known about one set of requirements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// A peer of kind shell has all of them.
    pub(super) shell: bool,
    /// A peer of another kind has all of them.
    pub(super) other: bool,
    /// Those that no peer has at all.
    pub(super) missing: Vec<String>,
}

impl Candidates {
    /// True if some peer has all of them.
    pub(super) fn any(&self) -> bool {
        self.shell || self.other
    }
}

/// The sets of requirements of a file's tasks, and who has them.
#[derive(Debug)]
pub(super) struct Requirements {
    /// By task: the number of its set.
    class: Vec<u32>,
    /// By task: that of its reviewers.
    reviewers: Vec<Option<u32>>,
    /// By set.
    candidates: Vec<Candidates>,
    /// By peer entry: some task can be given to it.
    pub(super) used: Vec<bool>,
}

impl Requirements {
    /// Looks at all tasks and peers of a file.
    pub(super) fn of<'a>(file: &'a SwarmFile) -> Self {
        // Peers that are equal here are one column, so that thousands of equal entries cost one.
        let mut groups: BTreeMap<(Vec<&str>, bool), Vec<usize>> = BTreeMap::new();
        for (number, peer) in file.peers.iter().enumerate() {
            let mut has: Vec<&str> = peer.capabilities.iter().map(String::as_str).collect();
            has.sort_unstable();
            let shell = peer.agent.kind == AgentKind::Shell;
            groups.entry((has, shell)).or_default().push(number);
        }
        let groups: Vec<_> = groups.into_iter().collect();
        let mut holders: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, ((has, _), _)) in groups.iter().enumerate() {
            for capability in has {
                holders.entry(capability).or_default().push(number);
            }
        }

        let mut classes: HashMap<Vec<&str>, u32> = HashMap::new();
        let mut candidates = Vec::new();
        let mut used = vec![false; groups.len()];
        let mut class_of = |needs: &'a [String]| {
            let mut needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            needs.sort_unstable();
            *classes.entry(needs).or_insert_with_key(|needs| {
                let mut found = Candidates::default();
                for group in holders_of_all(needs, &holders, groups.len()) {
                    used[group] = true;
                    match groups[group].0.1 {
                        true => found.shell = true,
                        false => found.other = true,
                    }
                }
                let unknown = needs.iter().filter(|need| !holders.contains_key(**need));
                found.missing = unknown.map(|need| (*need).to_owned()).collect();
                candidates.push(found);
                u32::try_from(candidates.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let class = file.tasks.iter().map(|task| class_of(&task.required_capabilities)).collect();
        let reviews = file.tasks.iter().map(|task| task.review.as_ref());
        let reviewers = reviews.map(|review| review.map(|review| class_of(&review.required_capabilities))).collect();

        let mut used_entries = vec![false; file.peers.len()];
        for (group, (_, entries)) in groups.iter().enumerate() {
            for entry in entries {
                used_entries[*entry] = used[group];
            }
        }
        Self { class, reviewers, candidates, used: used_entries }
    }

    /// Who can take the task of that number.
    pub(super) fn candidates(&self, task: usize) -> &Candidates {
        &self.candidates[self.class[task] as usize]
    }

    /// Who can review the task of that number; `None` when nobody has to.
    pub(super) fn reviewers(&self, task: usize) -> Option<&Candidates> {
        self.reviewers[task].map(|class| &self.candidates[class as usize])
    }

    /// True if some peer can take the task, and some peer the reviews that it asks for.
    pub(super) fn can_complete(&self, task: usize) -> bool {
        self.candidates(task).any() && self.reviewers(task).is_none_or(Candidates::any)
    }
}

/// The groups that have every one of `needs`.
fn holders_of_all(needs: &[&str], holders: &HashMap<&str, Vec<usize>>, groups: usize) -> Vec<usize> {
    let mut lists = Vec::with_capacity(needs.len());
    for need in needs {
        match holders.get(need) {
            Some(list) => lists.push(list),
            None => return Vec::new(),
        }
    }
    lists.sort_by_key(|list| list.len());
    match lists.split_first() {
        None => (0..groups).collect(),
        // The lists are in ascending order, because groups were numbered in order.
        Some((rarest, rest)) => {
            rarest.iter().copied().filter(|group| rest.iter().all(|list| list.binary_search(group).is_ok())).collect()
        }
    }
}
