//! What must hold after any kill.

use crate::program::{answer, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Event rows hold each completed task to its promise: it closes once, and nothing of it starts again. The tasks closed.
pub(crate) fn closed_once(folder: &Path) -> BTreeSet<String> {
    let events = json(folder, &["events", "--format", "json"]);
    let mut closed = BTreeSet::new();
    for row in events["events"].as_array().unwrap() {
        let task = row["taskId"].as_str().unwrap_or_default().to_owned();
        match row["event"].as_str().unwrap() {
            "task-closed" => assert!(closed.insert(task.clone()), "{task} closed twice"),
            "task-started" => assert!(!closed.contains(&task), "{task} ran again after its completion"),
            _ => {}
        }
    }
    closed
}

/// The log replays to one state hash, and no process of the swarm is left.
pub(crate) fn in_order(folder: &Path, swarm: &str) {
    assert_eq!(state_hash(folder, swarm), state_hash(folder, swarm));
    assert_eq!(processes(folder, swarm), Vec::new(), "no process is left");
}

fn state_hash(folder: &Path, swarm: &str) -> String {
    let output = answer(folder, &["doctor", "--swarm", swarm]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("state hash")).unwrap_or_else(|| panic!("no hash in {text}"));
    assert!(!text.contains("BAD  log") && !text.contains("BAD  snapshot"), "{text}");
    line.trim().to_owned()
}

/// Processes whose environment carries the swarm's nonce: their ids and command lines.
pub(crate) fn processes(folder: &Path, swarm: &str) -> Vec<(u32, String)> {
    let nonce = std::fs::read_to_string(folder.join(".meshwork").join(swarm).join("nonce")).unwrap();
    let nonce = nonce.trim();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.windows(nonce.len()).any(|part| part == nonce.as_bytes()))
    };
    let named = |pid: u32| (pid, std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default());
    pids.filter(ours).map(named).collect()
}
