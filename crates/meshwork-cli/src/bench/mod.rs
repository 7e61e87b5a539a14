//! `meshwork bench`: the figures that this project claims, and the command that produces each of them.
//!
//! Every figure is measured beside its reference in the same run, because machines are shared and noisy:
//! what counts is the ratio. Nothing here fails on a time.

mod artifacts;
mod completion;
mod decision;
mod discovery;
mod measure;
mod memory;
mod messages;
mod restart;
mod resume;
mod shell;
mod spawn;
mod swarm;
mod tasks;
mod traffic;

use clap::{Args, ValueEnum};
use measure::Figure;
use serde::Serialize;

/// Measure this machine: tasks, completion, decisions, restarts, peers, messages, artifacts, memory.
#[derive(Args, Debug)]
#[command(
    after_help = "EXAMPLES:\n  meshwork bench                      everything, in the sizes of docs/benchmarks.md\n  meshwork bench flat dag             only these\n  meshwork bench shell --runs 5       five counted runs\n  meshwork bench flat --tasks 10000   a smaller size\n  meshwork bench --format json > figures.json"
)]
pub struct BenchArgs {
    /// What to measure; everything when none is named.
    #[arg(value_enum)]
    pub what: Vec<What>,
    /// Counted runs of each; one more goes before them as a warm-up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Tasks, where their number is not what is measured; `memory`: entries, `messages`: messages, `spawn`, `discovery`,
    /// `resume` and `artifacts`: samples of a run.
    #[arg(long)]
    pub tasks: Option<u32>,
    /// Slots of each peer in `flat`, `dag` and `scale`.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub slots: u32,
    /// A folder on the disk to measure; default: a temporary one.
    #[arg(long)]
    pub dir: Option<std::path::PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value = "human")]
    pub format: BenchFormat,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchFormat {
    /// A table.
    Human,
    /// One JSON document.
    Json,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum What {
    /// 100,000 independent no-op tasks, 10 in-process peers, durable.
    Flat,
    /// A layered graph, 100 × 100, two dependencies each, durable.
    Dag,
    /// 10,000 × `true` as shell tasks on 10 slots, beside `xargs -P10`.
    Shell,
    /// The last return → completion announced, at 10 and 1,000 peers.
    Completion,
    /// 10³ → 10⁶ tasks and 10 → 1,000 peers: time a task; memory a waiting task.
    Scale,
    /// A task that finds its peer among 10,000 with 100 capabilities, in the core.
    Decision,
    /// A killed swarm of 100,000 tasks: until it is back and running.
    Restart,
    /// 10 in-process peers from nothing to idle, through the coordinator.
    Spawn,
    /// 10 peers on one bus in two discoveries, until everyone knows everyone.
    Discovery,
    /// A paused peer, until it works again: in-process agents, and a `shell` peer beside a bare SIGCONT.
    Resume,
    /// 256-byte messages between 10 peers, acknowledged and counted for completion.
    Messages,
    /// 64 KiB stored durably and read back, beside bare files.
    Artifacts,
    /// 1,000,000 memory entries: to remember one more, to recall by tags, by words.
    Memory,
}

/// What a benchmark is given.
pub(crate) struct Setting {
    pub(crate) runs: u32,
    pub(crate) tasks: Option<u32>,
    pub(crate) slots: u32,
    pub(crate) dir: std::path::PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    version: &'static str,
    cores: usize,
    figures: Vec<Figure>,
}

/// Measures and prints.
///
/// # Errors
/// When something could not be run at all; a slow figure is no error.
pub fn run(args: &BenchArgs) -> Result<(), String> {
    let all = [
        What::Flat,
        What::Dag,
        What::Shell,
        What::Completion,
        What::Decision,
        What::Restart,
        What::Scale,
        What::Spawn,
        What::Discovery,
        What::Resume,
        What::Messages,
        What::Artifacts,
        What::Memory,
    ];
    let chosen: Vec<What> = if args.what.is_empty() { all.to_vec() } else { args.what.clone() };
    let temporary = std::env::temp_dir().join(format!("meshwork-bench-{}", std::process::id()));
    let dir = args.dir.clone().unwrap_or(temporary.clone());
    std::fs::create_dir_all(&dir).map_err(|error| format!("could not make {}: {error}", dir.display()))?;
    let setting = Setting { runs: args.runs, tasks: args.tasks, slots: args.slots, dir };
    let mut figures = Vec::new();
    let mut failed = None;
    for what in chosen {
        let measured = match what {
            What::Flat => tasks::flat(&setting),
            What::Dag => tasks::dag(&setting),
            What::Shell => shell::shell(&setting),
            What::Completion => completion::completion(&setting),
            What::Scale => tasks::scale(&setting),
            What::Decision => decision::decision(&setting),
            What::Restart => restart::restart(&setting),
            What::Spawn => spawn::spawn(&setting),
            What::Discovery => discovery::discovery(&setting),
            What::Resume => resume::resume(&setting),
            What::Messages => messages::messages(&setting),
            What::Artifacts => artifacts::artifacts(&setting),
            What::Memory => memory::memory(&setting),
        };
        match measured {
            Ok(new) => {
                if args.format == BenchFormat::Human {
                    measure::print(&new);
                }
                figures.extend(new);
            }
            Err(error) => failed = Some(error),
        }
        if failed.is_some() {
            break;
        }
    }
    // What was measured is shown even when a later part could not be run.
    let _left_in_the_temporary_folder = std::fs::remove_dir_all(&temporary);
    if args.format == BenchFormat::Json {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let document = Document { schema_version: 1, version: env!("CARGO_PKG_VERSION"), cores, figures };
        measure::print_json(&document).map_err(|error| error.to_string())?;
    }
    failed.map_or(Ok(()), Err)
}
