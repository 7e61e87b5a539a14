//! Keys of artifacts.

use meshwork::artifacts::check_key;
use std::path::{Component, Path};

/// A key reads like a relative path, and would be harmless as one.
pub(super) fn key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match check_key(&text) {
        Ok(()) => {
            assert!((1..=1024).contains(&text.len()));
            assert!(!text.contains(['\\', '\0', '\n']));
            let path = Path::new(&*text);
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{text:?} leaves its folder");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
