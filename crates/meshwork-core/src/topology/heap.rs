//! A complete tree with places in an array, as a binary heap has them: what stands at `i` has its children at
//! `b·i + 1` to `b·i + b`. Whoever joins takes the next place; whoever is lost is replaced by whoever stands last. So
//! the tree is never deeper than it has to be, and a change touches the neighbours of two places only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a branching is at most, so that places can be calculated with.
const BRANCHING_MAX: usize = u32::MAX as usize;

/// Something with a place in the tree: peers of a hierarchy, cells of a hybrid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    try_from = "Places<T>",
    into = "Places<T>",
    bound(deserialize = "T: Copy + Ord + Deserialize<'de>", serialize = "T: Copy + Ord + Serialize")
)]
pub(super) struct Heap<T> {
    branching: usize,
    places: Vec<T>,
    index: BTreeMap<T, usize>,
}

/// What is written of a tree; who stands where follows from it.
#[derive(Serialize, Deserialize)]
struct Places<T> {
    branching: usize,
    places: Vec<T>,
}

impl<T: Copy + Ord> From<Heap<T>> for Places<T> {
    fn from(heap: Heap<T>) -> Self {
        Self { branching: heap.branching, places: heap.places }
    }
}

impl<T: Copy + Ord> TryFrom<Places<T>> for Heap<T> {
    type Error = &'static str;

    fn try_from(Places { branching, places }: Places<T>) -> Result<Self, Self::Error> {
        let index: BTreeMap<T, usize> = places.iter().enumerate().map(|(place, what)| (*what, place)).collect();
        if !(1..=BRANCHING_MAX).contains(&branching) {
            return Err("a tree branches into none, or into more than it could");
        }
        if index.len() != places.len() {
            Err("something stands in a tree twice")
        } else {
            Ok(Self { branching, places, index })
        }
    }
}

impl<T: Copy + Ord> Heap<T> {
    pub(super) fn new(branching: usize) -> Self {
        Self { branching, places: Vec::new(), index: BTreeMap::new() }
    }

    pub(super) fn branching(&self) -> usize {
        self.branching
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn contains(&self, what: T) -> bool {
        self.index.contains_key(&what)
    }

    pub(super) fn root(&self) -> Option<T> {
        self.places.first().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.index.keys().copied()
    }

    pub(super) fn parent(&self, of: T) -> Option<T> {
        let place = *self.index.get(&of)?;
        let above = place.checked_sub(1)? / self.branching;
        Some(self.places[above])
    }

    /// In the order of their places.
    pub(super) fn children(&self, of: T) -> &[T] {
        let Some(place) = self.index.get(&of) else { return &[] };
        let len = self.places.len();
        let first = (place * self.branching + 1).min(len);
        &self.places[first..(first + self.branching).min(len)]
    }

    /// Steps to the root.
    pub(super) fn depth(&self, of: T) -> usize {
        std::iter::successors(self.parent(of), |above| self.parent(*above)).count()
    }

    /// Parent and children.
    pub(super) fn around(&self, of: T) -> Vec<T> {
        self.parent(of).into_iter().chain(self.children(of).iter().copied()).collect()
    }

    /// Takes the next place. Says who has other neighbours now, itself included.
    pub(super) fn push(&mut self, what: T) -> Vec<T> {
        self.index.insert(what, self.places.len());
        self.places.push(what);
        self.parent(what).into_iter().chain([what]).collect()
    }

    /// Whoever stands last takes its place. Says who of those that remain has other neighbours now.
    pub(super) fn remove(&mut self, what: T) -> Vec<T> {
        let Some(place) = self.index.remove(&what) else { return Vec::new() };
        let last = self.places[self.places.len() - 1];
        // Read before the change: the parent of the last place loses a child, the neighbours of this one get another.
        let above_last = if last == what { None } else { self.parent_of_place(self.places.len() - 1) };
        let above = self.parent_of_place(place);
        self.places.swap_remove(place);
        let mut rewired: Vec<T> = above.into_iter().chain(above_last).filter(|peer| *peer != what).collect();
        if last != what {
            self.index.insert(last, place);
            rewired.push(last);
            rewired.extend_from_slice(self.children(last));
        }
        rewired.sort_unstable();
        rewired.dedup();
        rewired
    }

    fn parent_of_place(&self, place: usize) -> Option<T> {
        Some(self.places[place.checked_sub(1)? / self.branching])
    }

    /// # Panics
    /// When the index and the places disagree.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.index.len(), self.places.len(), "the index has everybody");
        for (place, what) in self.places.iter().enumerate() {
            assert_eq!(self.index.get(what), Some(&place), "the index knows each place");
            for child in self.children(*what) {
                assert!(self.parent(*child) == Some(*what), "a child's parent is the one that has it");
            }
        }
    }
}
