//! Several nodes, one log, and a world that does to them whatever it may: in the end everybody agrees,
//! every round is closed, and nothing is left running.
//!
//! `MESHWORK_SEQUENCES` sets how many schedules run, `MESHWORK_SEED` replays one.

use super::random::for_each_seed;
use crate::sim::{Plan, Workload, run};

/// Schedules when nobody asks for another number: some seconds on two cores.
const SCHEDULES: u64 = 2_000;

#[test]
fn nodes_that_crash_stall_and_are_suspected_finish_every_round() {
    for_each_seed("nodes_that_crash", SCHEDULES, |seed| {
        let workloads = Workload::ALL;
        let workload = workloads[usize::try_from(seed / 2).unwrap() % workloads.len()];
        let plan = Plan { workload, ..Plan::small(seed) };
        let mut lines = Vec::new();
        let mut keep = |line: &str| lines.push(line.to_owned());
        let trace: Option<&mut dyn FnMut(&str)> =
            if std::env::var_os("MESHWORK_SEED").is_some() { Some(&mut keep) } else { None };
        let outcome = run(&plan, trace);
        assert!(outcome.findings.is_empty(), "{}\n{}", lines.join("\n"), outcome.findings[0]);
    });
}
