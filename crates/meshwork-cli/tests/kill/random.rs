//! kill -9 of the real program in the middle of a swarm, again and again, with fixed seeds.
//!
//! Each time the same command is given again, and has to finish what was begun: no task that was completed
//! runs again, none is lost, none fails for it, no process is left, and the log replays to one state hash.
//! `MESHWORK_KILLS=500 cargo test -p meshwork-cli --test kill random` kills more often than the 50 of every day.

use crate::checks;
use crate::program::{DEADLINE, answer, meshwork};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const TASKS: usize = 300;
const LAYER: usize = 20;

/// Splitmix64: the same kills everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// A swarm of 300 shell tasks in layers; every body leaves a line in a file of its task, and one in ten
/// leaves a process behind that left its group.
fn swarm_file(folder: &Path) -> PathBuf {
    let mut text = "[swarm]\nid = \"killed\"\n[[peers]]\nid = \"sh\"\ncount = 3\nmax_concurrent_tasks = 2\n".to_owned();
    std::fs::create_dir(folder.join("ran")).unwrap();
    for n in 0..TASKS {
        let stray = if n % 10 == 0 { "setsid sleep 300 & " } else { "" };
        let dependencies: Vec<String> = if n < LAYER {
            Vec::new()
        } else {
            [n - LAYER, n - LAYER + (n * 7) % (LAYER - n % LAYER)].iter().map(|d| format!("\"task-{d}\"")).collect()
        };
        write!(
            text,
            "[[tasks]]\nid = \"task-{n}\"\ndependencies = [{}]\nrun = '{stray}echo $MESHWORK_ATTEMPT >> ran/task-{n}'\n",
            dependencies.join(", ")
        )
        .unwrap();
    }
    let path = folder.join("swarm.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn finished(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("ran")).unwrap().count()
}

/// Waits until so many tasks have run, or the program has ended by itself.
fn await_finished(folder: &Path, child: &mut Child, count: usize) {
    let deadline = Instant::now() + DEADLINE;
    while finished(folder) < count && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "only {} of {count} tasks ran", finished(folder));
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn check_report(report: &Value) {
    assert_eq!((&report["completed"], &report["succeeded"]), (&Value::Bool(true), &Value::Bool(true)));
    let tasks = report["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), TASKS);
    for task in tasks {
        assert_eq!(task["state"], "completed", "{task}");
        let attempts = task["attempts"].as_array().unwrap();
        let (last, before) = attempts.split_last().unwrap();
        assert_eq!(last["outcome"], "ok", "{task}");
        assert!(before.iter().all(|attempt| attempt["outcome"] == "interrupted"), "{task}");
        assert!(attempts.iter().all(|attempt| attempt["number"] == 1), "an interruption costs no attempt: {task}");
    }
}

fn kill_once(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = swarm_file(folder);
    let run = ["run", file.to_str().unwrap(), "--format", "json"];
    let mut dice = Dice(seed);
    // Once mostly, twice for some, so that a restart is killed as well.
    let mut kills = vec![dice.below(TASKS - 1)];
    if seed.is_multiple_of(4) {
        kills.push(kills[0] + dice.below(TASKS - kills[0]));
    }
    for count in kills {
        let mut child = meshwork(folder, &run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        await_finished(folder, &mut child, count);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = answer(folder, &run);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    check_report(&serde_json::from_slice(&output.stdout).unwrap());
    assert_eq!(checks::closed_once(folder).len(), TASKS, "no task is lost");
    checks::in_order(folder, "killed");
}

#[test]
fn a_swarm_that_is_killed_finishes_when_it_is_started_again() {
    let kills = std::env::var("MESHWORK_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(50);
    for seed in 0..kills {
        let killed = std::panic::catch_unwind(|| kill_once(seed));
        assert!(killed.is_ok(), "seed {seed} fails: MESHWORK_KILLS={} kills up to it", seed + 1);
    }
}
