//! `events`: what happened, in order.

use crate::ending::Ending;
use crate::errors::name_of;
use crate::failure::CliFailure;
use crate::output::{self, Format, Reader, SCHEMA_VERSION};
use crate::state::{SwarmChoice, SwarmLog};
use meshwork::control::{ControlClient, ControlError};
use meshwork::view::EventRow;
use serde::Serialize;

/// What `events` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork events
  meshwork events --follow --task task-001
  meshwork events --format json | jq '.events[] | select(.event == \"attempt-ended\")'")]
pub struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
    /// Go on with what happens, until the swarm stops; with `--format json` one object a line
    #[arg(long)]
    follow: bool,
    /// Only those of this task
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What `--format json` prints without `--follow`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u32,
    swarm_id: &'a str,
    events: Vec<EventRow>,
}

impl Arguments {
    fn wants(&self, row: &EventRow) -> bool {
        self.task.as_deref().is_none_or(|task| row.task_id.as_deref() == Some(task))
    }
}

/// Shows the events.
///
/// # Errors
/// When there is no such swarm, or its log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let mut log = arguments.swarm.open()?;
    if arguments.follow {
        follow(&mut log, arguments)?;
        return Ok(Ending::Done);
    }
    if arguments.format == Format::Json {
        let mut events = Vec::new();
        log.read_on(0, |row| {
            if arguments.wants(&row) {
                events.push(row);
            }
            true
        })?;
        let swarm_id = log.view().swarm().swarm_id();
        let _either_way = output::print_json(&Document { schema_version: SCHEMA_VERSION, swarm_id, events })?;
        return Ok(Ending::Done);
    }
    let _either_way = show(&mut log, arguments)?;
    Ok(Ending::Done)
}

/// Prints what the log holds beyond what was printed before.
fn show(log: &mut SwarmLog, arguments: &Arguments) -> Result<Reader, CliFailure> {
    let mut printed = Ok(Reader::Listens);
    log.read_on(0, |row| {
        if arguments.wants(&row) {
            printed = match arguments.format {
                Format::Human => output::print(&format!("{row}\n")),
                Format::Json => output::print_json_line(&row),
            };
        }
        matches!(printed, Ok(Reader::Listens))
    })?;
    printed
}

/// What there is, and then what comes, whenever the swarm's node says that there is more.
fn follow(log: &mut SwarmLog, arguments: &Arguments) -> Result<(), CliFailure> {
    let growth = match ControlClient::connect(log.folder().socket()).and_then(ControlClient::follow) {
        Ok(growth) => growth,
        Err(ControlError::NotRunning { .. }) => {
            let _either_way = show(log, arguments)?;
            output::note("the swarm does not run at this moment: nothing more comes");
            return Ok(());
        }
        Err(error) => return Err(unfollowable(&error)),
    };
    // The first answer comes at once and says how long the log is: what was there before is not waited for.
    for grown in growth {
        grown.map_err(|error| unfollowable(&error))?;
        if show(log, arguments)? == Reader::Gone {
            return Ok(());
        }
    }
    // What the node wrote in stopping.
    let _either_way = show(log, arguments)?;
    output::note("the swarm has stopped");
    Ok(())
}

fn unfollowable(error: &ControlError) -> CliFailure {
    CliFailure::unusable(name_of(error), error.to_string())
}
