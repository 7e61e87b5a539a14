//! `events`: what happened, in order.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format, Reader, SCHEMA_VERSION};
use crate::state::SwarmChoice;
use meshwork::view::EventRow;
use serde::Serialize;

/// What `events` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork events
  meshwork events --task task-001
  meshwork events --format json | jq '.events[] | select(.event == \"attempt-ended\")'")]
pub struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
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
    if arguments.format == Format::Json {
        let mut events = Vec::new();
        log.read_on(true, |row| {
            if arguments.wants(&row) {
                events.push(row);
            }
            true
        })?;
        let swarm_id = log.view().swarm().swarm_id();
        let _either_way = output::print_json(&Document { schema_version: SCHEMA_VERSION, swarm_id, events })?;
        return Ok(Ending::Done);
    }
    let mut printed = Ok(Reader::Listens);
    log.read_on(true, |row| {
        if arguments.wants(&row) {
            printed = output::print(&format!("{row}\n"));
        }
        matches!(printed, Ok(Reader::Listens))
    })?;
    let _either_way = printed?;
    Ok(Ending::Done)
}
