//! A fingerprint without any reduction: whatever can be seen of a state, display and absolute positions too.

use super::world::World;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};

struct Words(DefaultHasher);

impl Write for Words {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Hash of everything that `Debug` shows. Slow: for small sizes, to hold the reduction against.
pub(crate) fn fingerprint(world: &World) -> u64 {
    let mut words = Words(DefaultHasher::new());
    let shown = write!(words, "{world:?}");
    shown.expect("a hasher takes any text");
    words.0.finish()
}
