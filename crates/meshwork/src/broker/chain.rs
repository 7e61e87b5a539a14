//! A list that only grows and is walked without a lock: who watches a peer, and who listens to it.

use std::sync::OnceLock;

/// Whoever walks it sees what was there when it began, and may see what is added meanwhile.
pub(super) struct Chain<T> {
    first: OnceLock<Box<Link<T>>>,
}

struct Link<T> {
    value: T,
    next: OnceLock<Box<Link<T>>>,
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self { first: OnceLock::new() }
    }
}

impl<T> Chain<T> {
    /// Puts it behind the others.
    pub(super) fn push(&self, value: T) {
        let mut link = Box::new(Link { value, next: OnceLock::new() });
        let mut end = &self.first;
        // Another may have been faster, any number of times.
        while let Err(refused) = end.set(link) {
            link = refused;
            while let Some(there) = end.get() {
                end = &there.next;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// In the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::successors(self.first.get(), |link| link.next.get()).map(|link| &link.value)
    }
}

impl<T> Drop for Chain<T> {
    /// One after the other: each link dropping the next would need a stack as long as the chain.
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut link) = next {
            next = link.next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_keeps_the_order_of_each_who_adds_and_loses_nothing() {
        let chain = Chain::default();
        assert!(chain.is_empty());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let chain = &chain;
                scope.spawn(move || (0..500).for_each(|number| chain.push((thread, number))));
            }
        });
        for thread in 0..4 {
            let numbers: Vec<i32> = chain.iter().filter(|(by, _)| *by == thread).map(|(_, number)| *number).collect();
            assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        }
        assert_eq!(chain.iter().count(), 2_000);
    }

    #[test]
    fn a_long_one_is_dropped_without_a_long_stack() {
        let held = Arc::new(());
        let mut chain = Chain::default();
        let mut end = &mut chain.first;
        for _ in 0..1_000_000 {
            // By hand: `push` walks the whole chain.
            assert!(end.set(Box::new(Link { value: held.clone(), next: OnceLock::new() })).is_ok());
            end = &mut end.get_mut().expect("it was set just now").next;
        }
        drop(chain);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
