//! The comparison runs, and prints its document. No figure is judged.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

#[test]
fn everybody_delivers_every_message() {
    let mut versus = Command::new(env!("CARGO_BIN_EXE_meshwork-versus"));
    let ended = versus.args(["--runs", "1", "--messages", "1000", "--format", "json"]).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let figures = document["figures"].as_array().unwrap();
    let names: Vec<&str> = figures.iter().map(|figure| figure["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    for of in ["ours, by attempts", "ours, by `send_to_peer`", "kameo ", "ractor "] {
        assert_eq!(names.iter().filter(|name| name.contains(of)).count(), 3, "{of} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("unknown version")), "{names:?}");
    assert!(figures.iter().all(|figure| figure["median"].as_f64().unwrap() > 0.0), "{document}");
}
