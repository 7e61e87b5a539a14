//! `pause`: a peer of a live swarm gets no more work.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::Format;
use crate::state::SwarmChoice;
use meshwork::control::Request;
use meshwork::view::visible;

/// What `pause` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork pause reviewer-1
  meshwork pause reviewer-1 --swarm nightly

What it runs stands still; what waited for it goes to others. `meshwork resume` ends it.")]
pub(crate) struct Arguments {
    /// The peer
    #[arg(value_name = "PEER")]
    peer: String,
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Has it decided.
pub(super) fn run(arguments: Arguments) -> Result<Ending, CliFailure> {
    let done = format!("{} is paused", visible(&arguments.peer));
    let request = Request::Pause { peer: arguments.peer };
    place::decide(&arguments.swarm, &request, arguments.format, &done)?;
    Ok(Ending::Done)
}
