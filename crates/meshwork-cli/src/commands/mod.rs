//! One file for each command.

pub mod artifacts;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod import;
pub mod init;
pub mod peers;
pub mod report;
pub mod run;
pub mod schema;
pub mod simulate;
pub mod status;
pub mod tasks;

use crate::arguments::Command;
use crate::ending::Ending;
use crate::failure::CliFailure;

/// Does what was asked.
///
/// # Errors
/// Exits 2 and 4, with what was found and expected.
pub fn dispatch(command: Command) -> Result<Ending, CliFailure> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Tasks(arguments) => tasks::run(&arguments),
        Command::Peers(arguments) => peers::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Artifacts(arguments) => artifacts::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Act(acting) => acting.run(),
        Command::Bench(arguments) => match crate::bench::run(&arguments) {
            Ok(()) => Ok(Ending::Done),
            Err(message) => Err(CliFailure::unusable("Bench", message)),
        },
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
