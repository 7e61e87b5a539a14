//! `rebalance`: waiting tasks of a live swarm are handed to peers with less to do.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::Format;
use crate::state::SwarmChoice;
use meshwork::control::Request;

/// What `rebalance` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork rebalance
  meshwork rebalance --swarm nightly

Tasks that run stay where they are.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Has it decided.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    place::decide(&arguments.swarm, &Request::Rebalance, arguments.format, "the waiting tasks are balanced")?;
    Ok(Ending::Done)
}
