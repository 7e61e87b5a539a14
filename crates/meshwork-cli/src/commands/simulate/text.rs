//! What people are told of a campaign.

use super::Arguments;
use super::campaign::{Campaign, First};
use meshwork::view::{duration, table};
use meshwork_core::sim::{FindingKind, Report};
use std::fmt::Write as _;

const MS_A_DAY: u64 = 24 * 60 * 60 * 1_000;
const MS_A_YEAR: u64 = 365 * MS_A_DAY;

/// What was played, injected and found.
pub(super) fn summary(arguments: &Arguments, campaign: &Campaign) -> String {
    let Campaign { report, .. } = campaign;
    let mut text = played(arguments, campaign);
    if !report.injected.is_empty() {
        let rows: Vec<Vec<String>> =
            report.injected.iter().map(|(name, count)| vec![(*name).to_owned(), grouped(*count)]).collect();
        let _infallible = write!(text, "\n{}", table(&["injected", ">times"], &rows));
    }
    let _infallible = write!(text, "\n{}", costs(report));
    let _infallible = writeln!(text, "\nfound: {}", found(campaign));
    if let Some(first) = &campaign.first {
        text.push_str(&story(arguments, first));
    }
    text
}

fn played(arguments: &Arguments, campaign: &Campaign) -> String {
    let Campaign { report, interrupted, took, .. } = campaign;
    let plan = arguments.plan(arguments.seed);
    let mut text = format!(
        "{} of {} schedules from seed {} on: {} nodes, {} peers, about {} tasks, faults {}\n",
        grouped(report.schedules),
        grouped(arguments.schedules),
        arguments.seed,
        plan.nodes,
        plan.peers,
        plan.tasks,
        plan.faults,
    );
    let took = duration(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let _infallible = writeln!(
        text,
        "simulated {} in {took}: {} events, {} tasks, {} attempts, {} rounds closed",
        simulated(report.simulated_ms),
        grouped(report.events),
        grouped(report.tasks),
        grouped(report.attempts),
        grouped(report.rounds),
    );
    if *interrupted {
        text.push_str("interrupted: this is what was done so far\n");
    }
    text
}

/// What a task costs, how long a completion takes to be told, how even the load was.
fn costs(report: &Report) -> String {
    let a_task = |count: u64| permille(count * 1_000, report.tasks);
    let mut text = format!(
        "a task: {} entries, {} batches, {} appends, {} deliveries, {} messages between peers\n",
        a_task(report.entries),
        a_task(report.batches),
        a_task(report.appends),
        a_task(report.deliveries),
        a_task(report.messages),
    );
    let seen = &report.detection;
    if seen.count > 0 {
        let _infallible = writeln!(
            text,
            "from the last result to completion told, in virtual ms: {} at the first node (longest {}), {} at the last (longest {})",
            permille(seen.first_sum_ms * 1_000, seen.count),
            grouped(seen.first_max_ms),
            permille(seen.last_sum_ms * 1_000, seen.count),
            grouped(seen.last_max_ms),
        );
    }
    if report.schedules == 1 && !report.imbalance.is_empty() {
        let samples: Vec<String> =
            report.imbalance.iter().map(|(at, load)| format!("{at}: {}", permille(*load, 1))).collect();
        let _infallible = writeln!(text, "largest over mean load, by virtual ms: {}", samples.join(", "));
    }
    let _infallible = writeln!(
        text,
        "{} results came too late and were refused, {} batches came twice and were dropped",
        grouped(report.stale_results),
        grouped(report.duplicates),
    );
    if report.regressions_found > 0 {
        let found = grouped(report.regressions_found);
        let _infallible = writeln!(text, "{found} logs lost what they had acknowledged, and were found out");
    }
    text
}

fn found(campaign: &Campaign) -> String {
    let count = |kind: &FindingKind| campaign.findings.get(kind).copied().unwrap_or(0);
    let counts: Vec<String> = FindingKind::ALL.iter().map(|kind| format!("{kind} {}", grouped(count(kind)))).collect();
    counts.join(" · ")
}

fn story(arguments: &Arguments, first: &First) -> String {
    let First { seed, finding, trace } = first;
    let replay = arguments.replay(*seed);
    format!("\nseed {seed}: {finding}\nto see it again: {replay}\n\nits last lines:\n{}\n", trace.join("\n"))
}

/// A length of virtual time, which may be years.
fn simulated(ms: u64) -> String {
    match ms {
        0..MS_A_DAY => duration(ms),
        MS_A_DAY..MS_A_YEAR => format!("{} days", permille(ms, MS_A_DAY / 1_000)),
        _ => format!("{} years", permille(ms, MS_A_YEAR / 1_000)),
    }
}

/// A number in thousandths over another, with two decimals.
pub(super) fn permille(thousandths: u64, of: u64) -> String {
    let value = thousandths.checked_div(of).unwrap_or(0);
    format!("{}.{:02}", grouped(value / 1_000), value % 1_000 / 10)
}

/// A number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let text = |numbers: &[u64]| numbers.iter().map(|number| grouped(*number)).collect::<Vec<_>>().join(" ");
        assert_eq!(text(&[0, 999, 1_000, 1_234_567]), "0 999 1,000 1,234,567");
        assert_eq!((permille(2_345, 1), permille(1_000, 0)), ("2.34".to_owned(), "0.00".to_owned()));
    }

    #[test]
    fn a_broken_promise_comes_with_the_command_that_shows_it_again() {
        use crate::arguments::{Cli, Command};
        use clap::Parser;
        use meshwork_core::sim::Finding;
        let call = ["meshwork", "simulate", "--workload", "all", "--faults", "crash,cancel", "--schedules", "100"];
        let Command::Simulate(arguments) = Cli::parse_from(call).command else { panic!("a simulation") };
        let finding = Finding { kind: FindingKind::LostTask, at_ms: 12, text: "t1 is gone".to_owned() };
        let first = First { seed: 22, finding, trace: vec!["its end".to_owned()] };
        let mut report = Report::default();
        report.schedules = 100;
        let campaign = Campaign {
            report,
            findings: [(FindingKind::LostTask, 1)].into(),
            first: Some(first),
            interrupted: false,
            took: std::time::Duration::from_secs(1),
        };
        let text = summary(&arguments, &campaign);
        assert!(text.contains("lost tasks 1 · double commits 0"), "{text}");
        assert!(text.contains("seed 22: lost tasks at 12 ms: t1 is gone"), "{text}");
        let replay = "meshwork simulate --nodes 3 --peers 6 --tasks 12 --workload diamond --faults crash,cancel --seed 22 --trace";
        assert!(text.contains(replay), "{text}");
        assert!(text.ends_with("its last lines:\nits end\n"), "{text}");
        assert_eq!(campaign.ending().number(), 1);
        let Command::Simulate(again) = Cli::parse_from(replay.split(' ')).command else { panic!("a simulation") };
        let (one, other) = (arguments.plan(22), again.plan(22));
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "the same schedule");
    }

    #[test]
    fn virtual_time_may_be_years() {
        let texts = [90_000, 36 * MS_A_DAY / 24, 400 * MS_A_DAY].map(simulated);
        assert_eq!(texts, ["1 min 30 s", "1.50 days", "1.09 years"]);
    }
}
