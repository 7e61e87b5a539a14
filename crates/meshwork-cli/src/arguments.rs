//! What can be asked: the commands, and how a call that is none is answered.

use crate::acting::Acting;
use crate::bench::{BenchArgs, BenchFormat};
use crate::commands::{
    artifacts, check, completions, doctor, events, explain, import, init, peers, report, run, schema, simulate, status,
    tasks,
};
use crate::failure::CliFailure;
use crate::output::{self, Format};
use clap::{Parser, Subcommand};

/// Run a swarm of agents as a peer-to-peer mesh. "Done" means done.
#[derive(Parser)]
#[command(
    name = "meshwork",
    version,
    max_term_width = 120,
    arg_required_else_help = true,
    after_help = "\
EXAMPLES:
  meshwork init                    write a first swarm file
  meshwork check swarm.toml        what would happen
  meshwork run swarm.toml          run it, or go on with it
  meshwork explain task-001        why a task is where it is

EXIT CODES:
  0    all tasks completed
  1    the round closed and some task failed
  2    usage or configuration error; nothing was started or created
  3    not finished: no peer can run what is left, or a limit was reached
  4    the log is unusable
  130  interrupted; the state is saved"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run a swarm file, or go on with it
    Run(run::Arguments),
    /// Say what would happen, without running anything
    Check(check::Arguments),
    /// Say why a task is where it is
    Explain(explain::Arguments),
    /// How far a swarm is
    Status(status::Arguments),
    /// The tasks of a swarm
    Tasks(tasks::Arguments),
    /// The peers of a swarm
    Peers(peers::Arguments),
    /// What happened, in order
    Events(events::Arguments),
    /// What the tasks have stored
    Artifacts(artifacts::Arguments),
    /// The run report again
    Report(report::Arguments),
    /// Turn a recorded workflow into a swarm file
    Import(import::Arguments),
    /// The JSON Schema of the swarm file, for editors
    Schema(schema::Arguments),
    /// Write a first swarm file
    Init(init::Arguments),
    /// Look whether this machine, and a swarm on it, is in order
    Doctor(doctor::Arguments),
    #[command(flatten)]
    Act(Acting),
    /// Measure this machine
    Bench(BenchArgs),
    /// Play swarms against everything that can go wrong, and look for broken promises
    Simulate(simulate::Arguments),
    /// Completions for a shell
    Completions(completions::Arguments),
}

impl Command {
    /// Where errors of this command go.
    pub fn error_format(&self) -> Format {
        match self {
            Self::Run(arguments) => arguments.error_format(),
            Self::Check(arguments) => arguments.format,
            Self::Explain(arguments) => arguments.format,
            Self::Status(arguments) => arguments.format,
            Self::Tasks(arguments) => arguments.format,
            Self::Peers(arguments) => arguments.format,
            Self::Events(arguments) => arguments.format,
            Self::Artifacts(arguments) => arguments.error_format(),
            Self::Report(arguments) => arguments.format,
            Self::Doctor(arguments) => arguments.format,
            Self::Act(acting) => acting.format(),
            Self::Simulate(arguments) => arguments.format,
            Self::Bench(arguments) if arguments.format == BenchFormat::Json => Format::Json,
            Self::Bench(_) => Format::Human,
            Self::Import(_) | Self::Schema(_) | Self::Init(_) | Self::Completions(_) => Format::Human,
        }
    }
}

/// The answer to a call that is no command: help, the version, or what is wrong with it.
pub struct Answer(clap::Error);

/// What was asked.
///
/// # Errors
/// What to answer to a call that is no command.
pub fn parse() -> Result<Cli, Answer> {
    Cli::try_parse().map_err(Answer)
}

impl Answer {
    /// Prints it where it belongs; the exit code.
    pub fn print(self) -> u8 {
        if self.0.use_stderr() && asks_for_json(std::env::args_os().skip(1)) {
            let text = self.0.render().to_string();
            let message = text.trim_start_matches("error: ").trim_end();
            let _gone = output::print_json(&CliFailure::usage("Usage", message).document());
        } else {
            // Nobody is left to be told that nobody listens.
            let _gone = self.0.print();
        }
        if self.0.use_stderr() { 2 } else { 0 }
    }
}

/// Whether a call that could not be understood asks for JSON all the same.
fn asks_for_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let mut before = None;
    for argument in arguments {
        if argument == "--format=json" || (argument == "json" && before.as_deref() == Some("--format".as_ref())) {
            return true;
        }
        before = Some(argument);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_description_of_the_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("EXAMPLES:\n"), "{}", command.get_name());
            assert!(help.contains(&format!("meshwork {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn json_is_found_in_what_is_no_command() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(Into::into));
        assert!(asks("run --bad --format json"));
        assert!(asks("run --format=json --bad"));
        assert!(!asks("run json --format human"));
    }
}
