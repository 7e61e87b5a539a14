//! `cancel`: a task of a live swarm is to end, and its open children.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::Format;
use crate::state::SwarmChoice;
use meshwork::control::Request;
use meshwork::view::visible;

/// What `cancel` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork cancel task-007
  meshwork cancel task-007 --swarm nightly")]
pub(crate) struct Arguments {
    /// The task
    #[arg(value_name = "TASK")]
    id: String,
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Has it decided. What runs is told to stop; it has ended when `tasks` says so.
pub(super) fn run(arguments: Arguments) -> Result<Ending, CliFailure> {
    let done = format!("{} is cancelled", visible(&arguments.id));
    let request = Request::Cancel { id: arguments.id };
    place::decide(&arguments.swarm, &request, arguments.format, &done)?;
    Ok(Ending::Done)
}
