//! What is kept by patterns of topics, found by a topic without walking all of it.

use std::collections::HashMap;

use crate::messaging::{Pattern, Topic};

/// Patterns without a wildcard are looked up; those with one are tried one after the other, each once, whatever the
/// number of entries that share it.
pub(super) struct Index<T> {
    next: u64,
    exact: Entries<T>,
    wild: Entries<T>,
}

/// Of each pattern the entries with their numbers, which rise.
type Entries<T> = HashMap<Pattern, Vec<(u64, T)>>;

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { next: 0, exact: HashMap::new(), wild: HashMap::new() }
    }
}

impl<T: Clone> Index<T> {
    pub(super) fn insert(&mut self, pattern: &Pattern, entry: T) {
        let entries = if pattern.is_exact() { &mut self.exact } else { &mut self.wild };
        entries.entry(pattern.clone()).or_default().push((self.next, entry));
        self.next += 1;
    }

    /// Takes out the first entry of that very pattern that is wanted.
    pub(super) fn remove(&mut self, pattern: &str, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let all = if self.exact.contains_key(pattern) { &mut self.exact } else { &mut self.wild };
        let entries = all.get_mut(pattern)?;
        let at = entries.iter().position(|(_, entry)| wanted(entry))?;
        let (_, gone) = entries.remove(at);
        if entries.is_empty() {
            all.remove(pattern);
        }
        Some(gone)
    }

    /// The entries whose patterns match, in the order in which they were put in.
    pub(super) fn matching(&self, topic: &Topic) -> Vec<T> {
        let mut found: Vec<&(u64, T)> = self.exact.get(topic.as_str()).into_iter().flatten().collect();
        let exact = found.len();
        found.extend(self.wild.iter().filter(|(pattern, _)| pattern.matches(topic)).flat_map(|(_, entries)| entries));
        if found.len() > exact {
            found.sort_unstable_by_key(|(number, _)| *number);
        }
        found.into_iter().map(|(_, entry)| entry.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    /// Few tokens, so that patterns and topics meet.
    fn tokens(of: &'static str) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(of.prop_map(String::from), 1..4)
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        (tokens("[ab*]"), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest {
                tokens.push(">".to_owned());
            }
            Pattern::new(&tokens.join(".")).unwrap()
        })
    }

    fn any_topic() -> impl Strategy<Value = Topic> {
        tokens("[abc]").prop_map(|tokens| Topic::new(&tokens.join(".")).unwrap())
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Pattern),
        /// Of this pattern the first whose number leaves that rest.
        Remove(Pattern, usize),
        Find(Topic),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => any_pattern().prop_map(Step::Insert),
            1 => (any_pattern(), 0..2_usize).prop_map(|(pattern, rest)| Step::Remove(pattern, rest)),
            2 => any_topic().prop_map(Step::Find),
        ]
    }

    proptest! {
        #[test]
        fn it_finds_what_a_walk_finds_in_the_same_order(steps in prop::collection::vec(any_step(), 0..80)) {
            let (mut index, mut list) = (Index::default(), Vec::<(Pattern, usize)>::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(pattern) => {
                        index.insert(&pattern, number);
                        list.push((pattern, number));
                    }
                    Step::Remove(pattern, rest) => {
                        let at = list.iter().position(|(of, number)| *of == pattern && number % 2 == rest);
                        let gone = at.map(|at| list.remove(at).1);
                        prop_assert_eq!(index.remove(pattern.as_str(), |number| number % 2 == rest), gone);
                    }
                    Step::Find(topic) => {
                        let walked = list.iter().filter(|(pattern, _)| pattern.matches(&topic));
                        let walked: Vec<usize> = walked.map(|(_, number)| *number).collect();
                        prop_assert_eq!(index.matching(&topic), walked);
                    }
                }
            }
            for (pattern, number) in list {
                prop_assert_eq!(index.remove(pattern.as_str(), |one| *one == number), Some(number));
            }
            prop_assert!(index.exact.is_empty() && index.wild.is_empty(), "nothing is left behind");
        }
    }
}
