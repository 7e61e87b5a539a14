//! `peers`: the peers of a swarm.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use crate::state::SwarmChoice;

/// What `peers` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork peers
  meshwork peers --format json")]
pub struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Shows the peers.
///
/// # Errors
/// When there is no such swarm, or its log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let log = arguments.swarm.read()?;
    let table = log.view().peers();
    output::answer(arguments.format, &table, || table.human())?;
    Ok(Ending::Done)
}
