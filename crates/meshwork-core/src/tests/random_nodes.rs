//! Several nodes, one log, and a world that does to them whatever it may: the simulator's own campaigns.
//!
//! `MESHWORK_SEQUENCES` sets how many schedules run, `MESHWORK_SEED` replays one and tells it line by line.

use super::random::for_each_seed;
use crate::Mutant;
use crate::sim::{Fault, Faults, FindingKind, Outcome, Plan, Report, Workload, run};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Schedules when nobody asks for another number: some seconds on two cores.
const SCHEDULES: u64 = 2_000;
/// What comes about once in thousands of schedules is demanded of so many.
const MANY: usize = 40_000;
/// Schedules of one fault, or of one workload, alone.
const FEW: u64 = 40;
/// Schedules in which a broken rule has to show itself; most do in the first dozen.
const ENOUGH: u64 = 4_000;
/// Rules that no schedule of this size shows broken: the model checker does, and so do tests of `apply` alone.
/// A gap is hidden behind what its author had seen; the other takes three accidents within one batch.
const BY_OTHERS: [Mutant; 2] = [Mutant::GapIgnored, Mutant::SettledWithoutGrant];

fn plan(seed: u64) -> Plan {
    let workload = Workload::ALL[usize::try_from(seed / 2).unwrap() % Workload::ALL.len()];
    Plan { workload, ..Plan::small(seed) }
}

fn traced(plan: &Plan) -> (Vec<String>, Outcome) {
    let mut lines = Vec::new();
    let mut keep = |line: &str| lines.push(line.to_owned());
    let outcome = run(plan, Some(&mut keep));
    (lines, outcome)
}

fn sum(reports: &[Report]) -> Report {
    let mut sum = Report::default();
    reports.iter().for_each(|report| sum.add(report));
    sum
}

#[expect(clippy::print_stderr, reason = "a replay shows its trace")]
fn keeps_its_promises(seed: u64, plan: &Plan) -> Report {
    let outcome = if std::env::var_os("MESHWORK_SEED").is_some() {
        let (lines, outcome) = traced(plan);
        lines.iter().for_each(|line| eprintln!("{line}"));
        outcome
    } else {
        run(plan, None)
    };
    if let Some(finding) = outcome.findings.first() {
        let Plan { nodes, peers, tasks, workload, faults, .. } = plan;
        panic!(
            "{finding}\nmeshwork simulate --nodes {nodes} --peers {peers} --tasks {tasks} --workload {workload} \
             --faults {faults} --seed {seed} --trace"
        );
    }
    outcome.report
}

#[test]
fn nodes_that_crash_stall_and_are_suspected_finish_every_round() {
    let reports = for_each_seed("nodes_that_crash", SCHEDULES, |seed| keeps_its_promises(seed, &plan(seed)));
    if (reports.len() as u64) < SCHEDULES {
        return;
    }
    let Report { injected, situations, stale_results, duplicates, .. } = sum(&reports);
    let missing: Vec<Fault> = Faults::all().iter().filter(|fault| !injected.contains_key(fault.name())).collect();
    assert_eq!(missing, [], "faults that were never injected");
    assert!(stale_results > 0 && duplicates > 0, "zombies return, and batches come twice");
    for situation in [
        "a wish was left undecided",
        "a node left in good order",
        "a dead node was given up on",
        "a submission came in parts",
        "a message died with its recipient",
        "a duplicate message was dropped",
        "a body ran too long",
    ] {
        assert!(situations.contains_key(situation), "it never came about that {situation}: {situations:?}");
    }
    let amended = situations.contains_key("a task was amended");
    assert!(amended || reports.len() < MANY, "it never came about that a task was amended: {situations:?}");
}

#[test]
fn each_fault_is_injected_where_it_is_alone() {
    for fault in Faults::all().iter() {
        let workload = match fault {
            Fault::MessageTwice | Fault::MessageDelayed => Workload::Messages,
            _ => Workload::Mixed,
        };
        let faults = Faults::only(fault);
        let reports = (0..FEW).map(|seed| keeps_its_promises(seed, &Plan { workload, faults, ..Plan::small(seed) }));
        let reports: Vec<Report> = reports.collect();
        let injected = sum(&reports).injected;
        assert!(injected.get(fault.name()).is_some_and(|count| *count > 0), "{fault} is never injected");
        assert_eq!(injected.keys().copied().collect::<Vec<_>>(), [fault.name()], "{fault} is alone");
    }
}

#[test]
fn each_workload_exercises_what_it_is_named_after() {
    let situations = |workload| -> &[&str] {
        match workload {
            Workload::FanOut | Workload::Chain | Workload::Diamond => &["a completion was told"],
            Workload::Spawning => &["a child was submitted", "a grandchild was submitted"],
            Workload::Waiting => &["a parent gave up its slot", "a parent went on after its children"],
            Workload::Messages => &[
                "a body ended with messages open",
                "a handler sent a message",
                "a handler submitted a task",
                "open messages were settled",
            ],
            Workload::Checks => &["evidence held", "evidence did not hold"],
            Workload::Reviews => &["a result was approved", "a result was rejected", "a review did not approve"],
            Workload::Rounds => &["another round began", "a new generation began", "a task was there already"],
            Workload::Mixed => &["a child was submitted", "evidence held", "a result was approved"],
        }
    };
    for workload in Workload::ALL.iter().copied() {
        let faults = Faults::NONE;
        let reports = (0..FEW).map(|seed| keeps_its_promises(seed, &Plan { workload, faults, ..Plan::small(seed) }));
        let reports: Vec<Report> = reports.collect();
        let Report { situations: seen, injected, rounds, detection, .. } = sum(&reports);
        assert!(injected.is_empty(), "nothing goes wrong: {injected:?}");
        assert!(rounds >= FEW && detection.count == rounds, "every round closes, and is told of");
        for situation in situations(workload) {
            assert!(seen.contains_key(situation), "{workload}: it never came about that {situation}: {seen:?}");
        }
    }
}

#[test]
fn the_same_plan_gives_the_same_trace_byte_for_byte() {
    for seed in 0..20 {
        let (lines, outcome) = traced(&plan(seed));
        let (again, same) = traced(&plan(seed));
        assert_eq!(lines, again, "seed {seed}");
        assert_eq!(outcome.report, same.report, "seed {seed}");
        assert_eq!(run(&plan(seed), None).report, outcome.report, "seed {seed} without a trace");
        assert!(lines.iter().any(|line| line.contains("attempt 1 on p")), "tasks and peers are named: {lines:?}");
    }
    assert_ne!(traced(&plan(1)).0, traced(&plan(3)).0, "another seed is another schedule");
}

#[test]
fn a_log_that_loses_what_it_had_acknowledged_is_found_out() {
    let faults = Faults::only(Fault::Regress);
    let reports = (0..4 * FEW).map(|seed| keeps_its_promises(seed, &Plan { faults, ..plan(seed) }));
    let reports: Vec<Report> = reports.collect();
    let Report { regressions_found, injected, .. } = sum(&reports);
    assert!(injected["regress"] > 3 * FEW, "logs do lose something: {injected:?}");
    assert!(regressions_found > 2 * FEW, "whoever had applied it mostly says something: {regressions_found}");
}

#[test]
fn a_swarm_far_beyond_one_machine_finishes_its_round() {
    let plan = Plan { nodes: 5, peers: 500, tasks: 2_000, workload: Workload::FanOut, ..Plan::default() };
    let report = keeps_its_promises(0, &Plan { faults: Faults::NONE, ..plan }.checked_by_size());
    assert_eq!((report.tasks, report.closed_ok, report.rounds), (2_000, 2_000, 1));
    assert!(report.deliveries >= report.batches && !report.imbalance.is_empty(), "{report:?}");
}

/// The first schedule that shows this rule broken.
fn caught(mutant: Mutant) -> Option<FindingKind> {
    (0..ENOUGH).find_map(|seed| {
        let regress = seed % 8 == 7;
        let faults = if regress { Faults::only(Fault::Regress) } else { Faults::all() };
        let broken = Plan { mutant: Some(mutant), faults, ..plan(seed) };
        run(&broken, None).findings.first().map(|finding| finding.kind)
    })
}

#[test]
fn a_broken_rule_is_found() {
    let next = AtomicUsize::new(0);
    let look = || {
        let mut missed = BTreeSet::new();
        while let Some((mutant, name, _)) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !BY_OTHERS.contains(mutant) && caught(*mutant).is_none() {
                missed.insert(*name);
            }
        }
        missed
    };
    let missed: BTreeSet<&str> = std::thread::scope(|scope| {
        let lanes = [scope.spawn(look), scope.spawn(look)];
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    assert_eq!(missed, BTreeSet::new(), "rules that may be broken without a schedule that shows it");
    assert_eq!(caught(Mutant::ReturnWithoutGrant), Some(FindingKind::DoubleCommit));
}
