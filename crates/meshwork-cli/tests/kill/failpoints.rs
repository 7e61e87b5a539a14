//! kill -9 at each failpoint, and acknowledgements lost at each that answers.
//!
//! A case is a place, a time that it is reached, a kind and a scenario. The run is killed there, which is looked at, and
//! the same command given again has to finish: see [`look_at`]. Every day each place is killed at once and each answer
//! lost once; `MESHWORK_KILLS=100 cargo test -p meshwork-cli --test kill failpoints` does so a hundred times, in every
//! scenario that comes to the place and at other times. `MESHWORK_KILL=SCENARIO/NAME:NTH:KIND` repeats one case.

use crate::checks;
use crate::program::{Ended, json};
use crate::scenario::Scenario;
use meshwork::failpoint::Point;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How often each place is reached in a scenario, by name.
type Reached = BTreeMap<String, usize>;

/// One kill, or one answer that is lost.
#[derive(Clone, Debug)]
struct Case {
    scenario: Scenario,
    point: String,
    nth: usize,
    kind: &'static str,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.scenario, self.failpoint())
    }
}

impl Case {
    fn failpoint(&self) -> String {
        format!("{}:{}:{}", self.point, self.nth, self.kind)
    }

    fn parse(text: &str) -> Self {
        let (scenario, failpoint) = text.split_once('/').unwrap();
        let scenario = Scenario::ALL.into_iter().find(|known| format!("{known:?}") == scenario).unwrap();
        let mut words = failpoint.split(':');
        let (point, nth) = (words.next().unwrap().to_owned(), words.next().unwrap().parse().unwrap());
        let kind = words.next().unwrap();
        let kind = ["kill", "lost-ack", "no-ack"].into_iter().find(|known| *known == kind).unwrap();
        Self { scenario, point, nth, kind }
    }
}

/// Runs each scenario once, undisturbed, and counts.
fn count() -> BTreeMap<Scenario, Reached> {
    let counted = |scenario: Scenario| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        scenario.prepare(folder);
        let mut command = scenario.command(folder);
        command.env("MESHWORK_FAILPOINTS_REACHED", folder.join("reached"));
        let ended = scenario.course(folder, command);
        let expected = if scenario == Scenario::Interrupted { 130 } else { 0 };
        assert_eq!(ended.status.code(), Some(expected), "{scenario:?}: {ended:?}");
        let mut reached = Reached::new();
        for name in std::fs::read_to_string(folder.join("reached")).unwrap().lines() {
            *reached.entry(name.to_owned()).or_default() += 1;
        }
        finish(scenario, folder, "kill");
        (scenario, reached)
    };
    Scenario::ALL.into_iter().map(counted).collect()
}

/// The case of a place in a round: rounds go through the scenarios that come to it, and through its times.
fn case(counts: &BTreeMap<Scenario, Reached>, number: usize, point: Point, kind: &'static str, round: usize) -> Case {
    let name = point.name();
    // The large one takes its time: it is for what only it comes to.
    let comes = |scenario: &&Scenario| counts[scenario].contains_key(name);
    let mut scenarios: Vec<Scenario> =
        Scenario::ALL.iter().filter(|scenario| **scenario != Scenario::Large).filter(comes).copied().collect();
    if scenarios.is_empty() {
        scenarios = Scenario::ALL.iter().filter(comes).copied().collect();
    }
    assert!(!scenarios.is_empty(), "no scenario comes to {name}");
    let turn = round + number;
    let scenario = scenarios[turn % scenarios.len()];
    let times = counts[&scenario][name];
    // The first time, one in the middle, and then all of them.
    let nth = match round / scenarios.len() + number % 2 {
        0 => 1,
        1 => times.div_ceil(2),
        more => more % times + 1,
    };
    Case { scenario, point: name.to_owned(), nth, kind }
}

fn cases(counts: &BTreeMap<Scenario, Reached>, rounds: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for round in 0..rounds {
        for (number, point) in Point::ALL.iter().enumerate() {
            cases.push(case(counts, number, *point, "kill", round));
            if point.answers() {
                cases.push(case(counts, number, *point, "lost-ack", round));
            }
        }
    }
    // The driver gives an append five seconds to be answered: once in ten rounds is enough.
    for round in (0..rounds).step_by(10) {
        cases.push(case(counts, round, Point::AppendAnswer, "no-ack", round));
    }
    cases
}

/// One case from its beginning to its end.
fn look_at(case: &Case) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    case.scenario.prepare(folder);
    let mut command = case.scenario.command(folder);
    command.env("MESHWORK_FAILPOINT", case.failpoint());
    let ended = case.scenario.course(folder, command);
    if ended.failpoint().is_none() {
        // Batches form differently each time, and so does what a kill in the middle left to do.
        let other = match (case.nth, case.scenario) {
            (2.., _) => Case { nth: case.nth / 2, ..case.clone() },
            (_, Scenario::Killed) => Case { scenario: Scenario::First, ..case.clone() },
            _ => panic!("it never came there: {ended:?}"),
        };
        return look_at(&other);
    }
    assert_eq!(ended.failpoint(), Some(&*case.failpoint()));
    match case.kind {
        "kill" => assert!(ended.was_killed(), "{ended:?}"),
        _ => went_on(case, &ended),
    }
    let kept = kept(case.scenario, folder, &ended);
    finish(case.scenario, folder, case.kind);
    for (task, ran) in kept {
        assert_eq!(lines(folder, &task), ran, "{task} was completed and ran again");
    }
}

/// A lost answer is no end: only a completion that cannot be remembered is withheld.
fn went_on(case: &Case, ended: &Ended) {
    let well = if case.scenario == Scenario::Interrupted { 130 } else { 0 };
    let withheld = case.point == Point::HighWaterKept.name() && ended.status.code() == Some(4);
    if withheld {
        assert!(!ended.out.contains("completionId") && ended.out.contains("high-water"), "{ended:?}");
    } else {
        assert_eq!(ended.status.code(), Some(well), "{ended:?}");
    }
}

/// How often each task had run that the log holds as completed now. What the run had told of is among them.
fn kept(scenario: Scenario, folder: &Path, ended: &Ended) -> BTreeMap<String, usize> {
    let state = folder.join(".meshwork").join(scenario.swarm());
    if let Some(completion) = ended.out.split_once("\"completionId\": \"").map(|(_, rest)| rest) {
        let seq =
            completion.split_once('@').and_then(|(_, place)| place.split_once('.')?.0.parse::<u64>().ok()).unwrap();
        let mark = std::fs::read_to_string(state.join("high-water")).unwrap();
        let remembered: u64 = mark.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(remembered >= seq, "completion {seq} was told, and {mark:?} is remembered");
    }
    let log = state.join("swarm.db");
    let closed = if log.exists() { checks::closed_once(folder) } else { BTreeSet::new() };
    let told = ended.err.lines().filter_map(|line| line.strip_prefix('[')?.split_once("] ")?.1.split_once(" ok"));
    for (task, _) in told {
        assert!(closed.contains(task), "{task} was told of and is not in the log: {ended:?}");
    }
    closed.into_iter().map(|task| (task.clone(), lines(folder, &task))).collect()
}

fn lines(folder: &Path, task: &str) -> usize {
    std::fs::read_to_string(folder.join("ran").join(task)).map_or(0, |text| text.lines().count())
}

/// The same command again: it finishes, and everything is as if nothing had happened.
fn finish(scenario: Scenario, folder: &Path, kind: &str) {
    let ended = crate::program::Run::start(scenario.again(folder)).ended();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let copy = std::fs::read(folder.join("copy.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&copy).unwrap(), report);
    assert_eq!((&report["completed"], &report["succeeded"]), (&Value::Bool(true), &Value::Bool(true)));
    let tasks = report["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), scenario.tasks(), "no task is lost, and none was made twice");
    for task in tasks {
        check_attempts(folder, task, kind);
    }
    assert_eq!(checks::closed_once(folder).len(), scenario.tasks());
    checks::in_order(folder, scenario.swarm());
    if scenario.swarm() == "all" {
        let unread = json(folder, &["status", "--swarm", "all", "--format", "json"])["unreadMessages"].as_u64();
        assert!(unread >= Some(1), "a message that was sent is there: {unread:?}");
        let artifacts = json(folder, &["artifacts", "list", "--swarm", "all", "--format", "json"]).to_string();
        assert!(artifacts.contains("notes/kept") && artifacts.contains("results/big/"), "{artifacts}");
    }
}

/// Interruptions keep the number of an attempt and cost none; nothing ran that no attempt stands for.
fn check_attempts(folder: &Path, task: &Value, kind: &str) {
    assert_eq!(task["state"], "completed", "{task}");
    let attempts = task["attempts"].as_array().unwrap();
    let (mut number, mut failed) = (1, 0);
    for attempt in attempts {
        assert_eq!(attempt["number"], number, "{task}");
        match attempt["outcome"].as_str().unwrap() {
            "interrupted" => {}
            "failed" => {
                failed += 1;
                number += 1;
            }
            outcome => assert!(outcome == "ok" && std::ptr::eq(attempt, attempts.last().unwrap()), "{task}"),
        }
    }
    let id = task["id"].as_str().unwrap();
    match id {
        "flaky" => assert_eq!(failed, 1, "{task}"),
        // A result whose keeping was not confirmed is made again.
        "big" if kind == "lost-ack" => assert!(failed <= 1, "{task}"),
        _ => assert_eq!(failed, 0, "{task}"),
    }
    assert!(lines(folder, id) <= attempts.len(), "{} runs: {task}", lines(folder, id));
}

/// Looks at all of them, several at once. Those that fail, with what they said on the way.
fn look_at_all(cases: &[Case]) -> Vec<String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // They mostly wait for the disk and for each other.
    let workers = 3 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if std::panic::catch_unwind(|| look_at(case)).is_err() {
                        failed.lock().unwrap().push(case.to_string());
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

/// Two bodies of a task do not overlap on one machine: what a killed run left is ended before the node joins again.
#[test]
fn what_a_killed_run_left_is_gone_before_its_swarm_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let scenario = Scenario::Killed;
    scenario.prepare(folder);
    assert!(!checks::processes(folder, scenario.swarm()).is_empty(), "there is something to end");
    let mut command = scenario.command(folder);
    command.env("MESHWORK_FAILPOINT", "mailboxes:1:kill");
    assert!(scenario.course(folder, command).was_killed());
    assert_eq!(checks::processes(folder, scenario.swarm()), Vec::new());
}

/// A run that has told of its end, and is killed before it can put anything in order, remembers it all the same.
#[test]
fn a_completion_that_was_told_is_not_taken_back_by_an_older_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let scenario = Scenario::Resumed;
    scenario.prepare(folder);
    let log = folder.join(".meshwork").join(scenario.swarm()).join("swarm.db");
    let older = std::fs::read(&log).unwrap();
    let mut command = scenario.command(folder);
    command.env("MESHWORK_FAILPOINT", "printed:1:kill");
    let ended = scenario.course(folder, command);
    assert!(ended.was_killed() && ended.out.contains("completionId"), "{ended:?}");
    std::fs::write(&log, older).unwrap();
    for beside in ["swarm.db-wal", "swarm.db-shm"] {
        std::fs::remove_file(log.with_file_name(beside)).unwrap();
    }
    let refused = crate::program::Run::start(scenario.again(folder)).ended();
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let error: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(error["error"]["code"], "LedgerRegressed", "{refused:?}");
}

#[test]
fn a_kill_at_any_failpoint_loses_nothing() {
    if let Ok(one) = std::env::var("MESHWORK_KILL") {
        return look_at(&Case::parse(&one));
    }
    let rounds = std::env::var("MESHWORK_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(1);
    let started = Instant::now();
    let cases = cases(&count(), rounds);
    let failed = look_at_all(&cases);
    let kills = cases.iter().filter(|case| case.kind == "kill").count();
    let (places, lost, all) = (Point::ALL.len(), failed.len(), cases.len());
    let (lost_answers, took) = (all - kills, started.elapsed());
    let said = format!(
        "{places} failpoints, {rounds} times: {kills} kills, {lost_answers} lost answers, {took:?}; {lost} failed\n"
    );
    // Past libtest, which would keep it to itself: this is the figure.
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    let again = "MESHWORK_KILL=… cargo test -p meshwork-cli --test kill failpoints";
    assert!(failed.is_empty(), "repeat them with {again}\n{}", failed.join("\n"));
}
