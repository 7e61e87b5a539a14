//! `simulate --topology`: what a topology costs in messages; see `meshwork_core::sim::topology`.

use super::Arguments;
use super::text::{grouped, permille};
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format, SCHEMA_VERSION};
use meshwork_core::sim::topology::{Plan, Report, run as play};
use meshwork_core::topology::{BRANCHING, Topology};
use serde::Serialize;
use std::fmt::Write as _;

/// What the other simulation is told and this one has no use for.
const OTHERS: [&str; 7] = ["nodes", "slots", "workload", "faults", "schedules", "trace", "jobs"];
/// Peers, where nobody says how many there are.
const PEERS: u32 = 10;
/// Tasks, where nobody says how many there are.
const TASKS_MAX: u32 = 10_000;

/// What is asked about topologies.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TopologyArguments {
    /// Count what a topology costs instead: mesh, hierarchical or hybrid
    #[arg(long, value_name = "T", value_parser = topology, conflicts_with_all = OTHERS)]
    topology: Option<Topology>,
    /// With --topology: the most peers, or cells, right below another
    #[arg(long, value_name = "B", requires = "topology", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    branching: Option<u32>,
    /// With --topology: virtual seconds that are measured [default: 10]
    #[arg(long, value_name = "S", requires = "topology", value_parser = clap::value_parser!(u32).range(8..=3_600))]
    seconds: Option<u32>,
}

fn topology(word: &str) -> Result<Topology, String> {
    let every = [Topology::Mesh, Topology::Hierarchical, Topology::Hybrid];
    let unknown = || format!("{word:?} is no topology; expected mesh, hierarchical or hybrid");
    every.into_iter().find(|topology| topology.word() == word).ok_or_else(unknown)
}

impl TopologyArguments {
    /// What is to be played; `None`: the other simulation.
    pub(super) fn plan(&self, arguments: &Arguments) -> Result<Option<Plan>, CliFailure> {
        let Some(topology) = self.topology else { return Ok(None) };
        let peers = arguments.peers.unwrap_or(PEERS);
        if peers < 2 {
            let message =
                format!("--topology needs a peer that stays when one dies: found --peers {peers}, expected at least 2");
            return Err(CliFailure::usage("Usage", message));
        }
        let tasks = arguments.tasks.unwrap_or((peers * 2).min(TASKS_MAX));
        let branching = self.branching.map_or(BRANCHING, |branching| branching as usize);
        let seconds = self.seconds.unwrap_or(Plan::default().seconds);
        Ok(Some(Plan { topology, peers, branching, tasks, seconds, seed: arguments.seed }))
    }
}

/// Plays, and says what it cost.
pub(super) fn run(plan: &Plan, format: Format) -> Result<Ending, CliFailure> {
    let report = play(plan);
    let _either_way = match format {
        Format::Human => output::print(&text(plan, &report))?,
        Format::Json => output::print_json(&Document::new(plan, &report))?,
    };
    Ok(Ending::Done)
}

fn text(plan: &Plan, report: &Report) -> String {
    let Plan { topology, peers, branching, tasks, seconds, seed } = plan;
    let mut text = format!(
        "{topology}: {} peers, {} tasks in {seconds} s, seed {seed}",
        grouped(u64::from(*peers)),
        grouped(u64::from(*tasks)),
    );
    let shape = match topology {
        Topology::Mesh => String::new(),
        Topology::Hierarchical => format!(", a tree {} deep with branching {branching}", report.depth),
        Topology::Hybrid => format!(
            ", {} cells in a tree with branching {branching}, all {} deep",
            grouped(report.cells as u64),
            report.depth
        ),
    };
    let count = |count: u64| permille(count * 1_000, u64::from(*peers));
    let _infallible = writeln!(
        text,
        "{shape}; at most {} neighbours\n\n\
         joining: {} messages a peer\n\
         upkeep: {} messages a peer and virtual second ({} heartbeats, {} of them with a summary)\n\
         work: {} messages a task ({} steps, {} results); {} of {} results came back, {} tasks began anew\n\
         busiest peer: {} messages a virtual second\n\
         one died: missed after {} virtual ms, {} peers have other neighbours, {} messages",
        grouped(report.neighbors as u64),
        count(report.joining),
        permille(report.upkeep_permille(plan), 1),
        grouped(report.heartbeats),
        grouped(report.summaries),
        permille(report.task_permille(), 1),
        grouped(report.steps),
        grouped(report.results),
        grouped(u64::from(report.done)),
        grouped(u64::from(*tasks)),
        grouped(u64::from(report.restarted)),
        permille(report.busiest_permille(), 1),
        grouped(report.noticed_after_ms),
        grouped(report.rewired as u64),
        grouped(report.repair),
    );
    text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    topology: &'static str,
    peers: u32,
    branching: usize,
    tasks: u32,
    seconds: u32,
    seed: u64,
    measured_ms: u64,
    neighbors: usize,
    depth: usize,
    cells: usize,
    joining: u64,
    heartbeats: u64,
    summaries: u64,
    steps: u64,
    results: u64,
    repair: u64,
    received: u64,
    undelivered: u64,
    busiest: u64,
    done: u32,
    restarted: u32,
    noticed_after_ms: u64,
    rewired: usize,
    upkeep_a_peer_and_second: f64,
    messages_a_task: f64,
}

impl Document {
    fn new(plan: &Plan, report: &Report) -> Self {
        let Plan { topology, peers, branching, tasks, seconds, seed } = *plan;
        let thousandths = |value: u64| value as f64 / 1_000.0;
        Self {
            schema_version: SCHEMA_VERSION,
            topology: topology.word(),
            peers,
            branching,
            tasks,
            seconds,
            seed,
            measured_ms: report.measured_ms,
            neighbors: report.neighbors,
            depth: report.depth,
            cells: report.cells,
            joining: report.joining,
            heartbeats: report.heartbeats,
            summaries: report.summaries,
            steps: report.steps,
            results: report.results,
            repair: report.repair,
            received: report.received,
            undelivered: report.undelivered,
            busiest: report.busiest,
            done: report.done,
            restarted: report.restarted,
            noticed_after_ms: report.noticed_after_ms,
            rewired: report.rewired,
            upkeep_a_peer_and_second: thousandths(report.upkeep_permille(plan)),
            messages_a_task: thousandths(report.task_permille()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::arguments::{Cli, Command};
    use clap::Parser;

    fn arguments(call: &str) -> Result<Arguments, String> {
        let words = ["meshwork", "simulate"].into_iter().chain(call.split(' '));
        let Command::Simulate(arguments) = Cli::try_parse_from(words).map_err(|error| error.to_string())?.command
        else {
            panic!("a simulation")
        };
        Ok(arguments)
    }

    fn plan(call: &str) -> Plan {
        let arguments = arguments(call).unwrap();
        arguments.topology.plan(&arguments).unwrap().unwrap()
    }

    #[test]
    fn every_argument_has_its_place() {
        let usual = Plan { topology: Topology::Hybrid, peers: 100, tasks: 200, ..Plan::default() };
        assert_eq!(plan("--topology hybrid --peers 100"), usual);
        let call = "--topology hierarchical --peers 9 --branching 3 --tasks 5 --seconds 8 --seed 4";
        let other = Plan { topology: Topology::Hierarchical, peers: 9, branching: 3, tasks: 5, seconds: 8, seed: 4 };
        assert_eq!(plan(call), other);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |call: &str| arguments(call).unwrap_err();
        assert!(refused("--topology star").contains("expected mesh, hierarchical or hybrid"));
        assert!(refused("--topology mesh --nodes 3").contains("cannot be used with"));
        assert!(refused("--branching 3").contains("--topology"));
        let alone = arguments("--topology mesh --peers 1").unwrap();
        assert!(alone.topology.plan(&alone).is_err());
        let other = arguments("--schedules 3").unwrap();
        assert!(other.topology.plan(&other).unwrap().is_none());
    }

    #[test]
    fn what_it_cost_is_told_in_numbers() {
        let plan = plan("--topology hybrid --peers 100");
        let report = play(&plan);
        let told = text(&plan, &report);
        assert!(told.starts_with("hybrid: 100 peers, 200 tasks in 10 s, seed 0, 15 cells in a tree"), "{told}");
        assert!(told.contains("200 of 200 results came back"), "{told}");
        let json = serde_json::to_value(Document::new(&plan, &report)).unwrap();
        assert_eq!((&json["topology"], &json["done"], &json["cells"]), (&"hybrid".into(), &200.into(), &15.into()));
        assert_eq!(json["heartbeats"], report.heartbeats);
    }
}
