//! `simulate`: plays swarms against everything that the world may do to them, and looks for broken promises.
//!
//! What runs is the core of the product under a virtual clock; see `meshwork_core::sim`.

mod campaign;
mod document;
mod text;
mod topology;

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format, Reader};
use campaign::Campaign;
use meshwork_core::sim::{Faults, Plan, Workload, run as play};

/// Peers of a node, where nobody says how many there are.
const PEERS_A_NODE: u32 = 2;
/// Tasks of a schedule, where nobody says how many there are.
const TASKS: u32 = 12;

/// What `simulate` is told.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
EXAMPLES:
  meshwork simulate --schedules 10000
  meshwork simulate --faults crash,node-pause,wrong-suspicion --workload waiting --schedules 1000
  meshwork simulate --seed 7 --trace                       one schedule, told like a play
  meshwork simulate --faults none --nodes 10 --peers 10000 --tasks 100000
  meshwork simulate --topology hybrid --peers 10000        what a topology costs, message by message

Exits 0 if every promise was kept, 1 if one was broken: then the command is printed that shows it again.")]
pub struct Arguments {
    /// Nodes of a swarm
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// Peers of all nodes together [default: 2 a node]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    peers: Option<u32>,
    /// Slots of each peer; 0: each gets 1 to 3
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    slots: u32,
    /// Tasks, children included, about [default: 12; with --topology 2 a peer, at most 10000]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=500_000))]
    tasks: Option<u32>,
    /// fan-out, chain, diamond, spawning, waiting, messages, checks, rounds, mixed, or all in turn
    #[arg(long, value_name = "W", default_value = "mixed", value_parser = workloads)]
    workload: Workloads,
    /// all, none, or names separated by commas; `regress` is never part of all
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = Faults::parse)]
    faults: Faults,
    /// Decides everything else
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Schedules, each with the next seed
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// Tell what happens, line by line; of one schedule only
    #[arg(long)]
    trace: bool,
    /// Schedules that are played at once [default: one a core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    jobs: Option<u32>,
    #[command(flatten)]
    topology: topology::TopologyArguments,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// One workload, or all in turn.
#[derive(Clone, Copy, Debug)]
enum Workloads {
    One(Workload),
    All,
}

fn workloads(name: &str) -> Result<Workloads, String> {
    if name == "all" {
        return Ok(Workloads::All);
    }
    let names: Vec<&str> = Workload::ALL.iter().map(|workload| workload.name()).collect();
    let unknown = || format!("{name:?} is no workload; expected all or one of {}", names.join(", "));
    Workload::named(name).map(Workloads::One).ok_or_else(unknown)
}

impl Arguments {
    /// The schedule of this seed.
    fn plan(&self, seed: u64) -> Plan {
        let every = Workload::ALL;
        let workload = match self.workload {
            Workloads::One(workload) => workload,
            // One that any seed has, whatever the first one is.
            Workloads::All => every[usize::try_from(seed % every.len() as u64).unwrap_or(0)],
        };
        let peers = self.peers.unwrap_or(self.nodes * PEERS_A_NODE);
        let Self { nodes, slots, faults, .. } = *self;
        let tasks = self.tasks.unwrap_or(TASKS);
        Plan { nodes, peers, slots, tasks, workload, faults, seed, ..Plan::default() }.checked_by_size()
    }

    /// The command that shows this schedule, and nothing else, line by line.
    fn replay(&self, seed: u64) -> String {
        let Plan { nodes, peers, slots, tasks, workload, faults, .. } = self.plan(seed);
        let slots = if slots == 0 { String::new() } else { format!(" --slots {slots}") };
        format!(
            "meshwork simulate --nodes {nodes} --peers {peers}{slots} --tasks {tasks} --workload {workload} \
             --faults {faults} --seed {seed} --trace"
        )
    }
}

/// Plays.
///
/// # Errors
/// When the call makes no sense, or the answer cannot be written.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    if let Some(plan) = arguments.topology.plan(arguments)? {
        return topology::run(&plan, arguments.format);
    }
    if arguments.trace && arguments.schedules > 1 {
        let message = format!("--trace tells one schedule, found --schedules {}", arguments.schedules);
        return Err(CliFailure::usage("Usage", message));
    }
    if arguments.seed.checked_add(arguments.schedules - 1).is_none() {
        let message = format!("the last seed would be beyond {}, found --seed {}", u64::MAX, arguments.seed);
        return Err(CliFailure::usage("Usage", message));
    }
    let lines = if arguments.trace { tell(arguments)? } else { Vec::new() };
    let campaign = Campaign::play(arguments)?;
    let ending = campaign.ending();
    match arguments.format {
        Format::Human => {
            let _either_way = output::print(&text::summary(arguments, &campaign))?;
        }
        Format::Json => {
            let _either_way = output::print_json(&document::Document::new(arguments, &campaign, &lines))?;
        }
    }
    Ok(ending)
}

/// Tells one schedule: to people as it happens; for a program the lines are kept.
fn tell(arguments: &Arguments) -> Result<Vec<String>, CliFailure> {
    let mut lines = Vec::new();
    let mut told = Ok(Reader::Listens);
    let human = arguments.format == Format::Human;
    let mut line = |line: &str| {
        if !human {
            lines.push(line.to_owned());
        } else if matches!(told, Ok(Reader::Listens)) {
            told = output::print(&format!("{line}\n"));
        }
    };
    let _silent = campaign::Silence::begin();
    let _played_again_to_be_counted = play(&arguments.plan(arguments.seed), Some(&mut line));
    told.map(|_| lines)
}
