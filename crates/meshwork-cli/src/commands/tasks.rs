//! `tasks`: the tasks of a swarm.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use crate::state::SwarmChoice;
use clap::ValueEnum;
use meshwork::view::TaskState;

/// What `tasks` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork tasks
  meshwork tasks --only failed
  meshwork tasks --only running,assigned --limit 10 --format json")]
pub struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
    /// Only tasks in these states
    #[arg(long, value_enum, value_name = "STATE", value_delimiter = ',')]
    only: Vec<State>,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The states of the contracts.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Assigned,
    Running,
    Completed,
    Failed,
}

impl From<TaskState> for State {
    fn from(state: TaskState) -> Self {
        match state {
            TaskState::Pending => Self::Pending,
            TaskState::Assigned => Self::Assigned,
            TaskState::Running => Self::Running,
            TaskState::Completed => Self::Completed,
            TaskState::Failed => Self::Failed,
        }
    }
}

/// Shows the tasks.
///
/// # Errors
/// When there is no such swarm, or its log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let log = arguments.swarm.read()?;
    let mut table = log.view().tasks_from(&log);
    let wanted = &arguments.only;
    table.tasks.retain(|task| wanted.is_empty() || wanted.contains(&State::from(task.state)));
    let found = table.tasks.len();
    table.tasks.truncate(arguments.limit.unwrap_or(found));
    output::answer(arguments.format, &table, || table.human())?;
    if table.tasks.len() < found {
        output::note(&format!("{} of {found} tasks shown", table.tasks.len()));
    }
    Ok(Ending::Done)
}
