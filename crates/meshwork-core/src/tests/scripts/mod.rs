//! Plain-text scripts with their traces, in `testscripts/`: commands, and under each what comes of it.
//!
//! `testscripts/log` plays on the log alone, `testscripts/nodes` with several nodes over one log. After every
//! command all invariants are checked. `UPDATE_GOLDENFILES=1` writes the traces anew, to be read before they
//! are committed. The form is goldenscript's; the idea is from toyDB's `src/raft/testscripts`.

mod log;
mod nodes;
mod ops;
mod sentence;
mod trace;
mod variants;

use crate::Mutant;
use goldenscript::Runner;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use variants::Covered;

fn scripts(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts").join(folder);
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    scripts
}

/// Plays every script of a folder; those that go otherwise than written show how, and are named at the end.
fn play<R: Runner>(folder: &str, new: fn() -> R) {
    let go_otherwise = |path: &PathBuf| {
        let played = catch_unwind(AssertUnwindSafe(|| goldenscript::run(&mut new(), path)));
        match played {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{}: {error}", path.display())),
            Err(_) => Some(format!("{}: its trace differs, see above", path.display())),
        }
    };
    let wrong: Vec<String> = scripts(folder).iter().filter_map(go_otherwise).collect();
    assert!(wrong.is_empty(), "scripts that did not go as written:\n{}", wrong.join("\n"));
}

#[test]
fn scripts_of_the_log_go_as_written() {
    play("log", log::LogScript::default);
}

#[test]
fn scripts_of_nodes_go_as_written() {
    play("nodes", nodes::NodesScript::default);
}

#[test]
fn whatever_can_be_decided_follow_or_be_refused_has_a_story() {
    let mut covered = Covered::default();
    for path in scripts("log") {
        let mut script = log::LogScript::default();
        goldenscript::generate(&mut script, &std::fs::read_to_string(path).unwrap()).unwrap();
        covered.join(script.covered);
    }
    for path in scripts("nodes") {
        let mut script = nodes::NodesScript::default();
        goldenscript::generate(&mut script, &std::fs::read_to_string(path).unwrap()).unwrap();
        covered.join(script.covered);
    }
    let missing = covered.missing();
    assert!(missing.is_empty(), "no trace shows:\n{}", missing.join("\n"));
}

/// Whether a script goes as written; a panic is a way of going otherwise.
fn goes_as_written(path: &Path, broken: Option<Mutant>) -> bool {
    let text = std::fs::read_to_string(path).unwrap();
    let of_nodes = path.parent().is_some_and(|folder| folder.ends_with("nodes"));
    let generate = || match of_nodes {
        true => goldenscript::generate(&mut nodes::NodesScript::broken_by(broken), &text),
        false => goldenscript::generate(&mut log::LogScript::broken_by(broken), &text),
    };
    matches!(catch_unwind(AssertUnwindSafe(generate)), Ok(Ok(played)) if played == text)
}

#[test]
fn a_rule_that_is_broken_changes_a_story() {
    let all = || scripts("log").into_iter().chain(scripts("nodes"));
    assert!(all().all(|path| goes_as_written(&path, None)), "nothing is broken yet");
    let unnoticed = Mutant::ALL.iter().filter(|(mutant, ..)| all().all(|path| goes_as_written(&path, Some(*mutant))));
    let unnoticed: Vec<&str> = unnoticed.map(|(_, name, _)| *name).collect();
    assert!(unnoticed.is_empty(), "no script shows that these are broken: {unnoticed:?}");
}

#[test]
fn every_script_says_which_rule_it_shows() {
    for path in scripts("log").into_iter().chain(scripts("nodes")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let named = head.iter().any(|line| ["Section ", "Sections "].iter().any(|word| line.contains(word)));
        assert!(head.len() >= 3 && head[1] == "#" && named, "{}: {head:?}", path.display());
        assert!(text.lines().count() <= LINES_MAX, "{}: longer than {LINES_MAX} lines", path.display());
    }
}

/// A script is read at one go.
const LINES_MAX: usize = 70;
