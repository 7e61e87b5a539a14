//! Keys and manifests of artifacts.

use meshwork::artifacts::{ArtifactError, check_key};
use meshwork::fuzzing;
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

/// A line of a manifest, and a whole manifest.
pub(super) fn manifest(data: &[u8]) {
    if let Some(again) = fuzzing::manifest_line(data) {
        assert_eq!(fuzzing::manifest_line(&again).as_ref(), Some(&again), "what was read is written and read again");
    }
    // With the right checksums in front, so that what lies behind them is reached.
    let mut summed = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let json = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or(line);
        let line = [fuzzing::manifest_sum(json).as_bytes(), b" ", json].concat();
        if let Some(again) = fuzzing::manifest_line(&line) {
            assert_eq!(fuzzing::manifest_line(&again).as_ref(), Some(&again));
        }
        summed.extend(line);
        summed.push(b'\n');
    }
    // Files cost a hundred times what lines cost.
    if data.len() % 16 == 3 {
        whole_manifest(data);
        whole_manifest(&summed);
    }
}

fn whole_manifest(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("manifest");
    std::fs::write(&path, bytes).expect("it can be written");
    match fuzzing::manifest(&path) {
        Ok(keys) => {
            assert!(keys.iter().all(|key| check_key(key).is_ok()));
            assert_eq!(fuzzing::manifest(&path).ok(), Some(keys), "opening it changes nothing");
        }
        Err(ArtifactError::Damaged { what, .. }) => {
            assert!(what.starts_with("line "), "{what}");
            assert_eq!(std::fs::read(&path).expect("it is there"), bytes, "a damaged manifest is left as it was");
        }
        Err(error) => panic!("{error}"),
    }
}
