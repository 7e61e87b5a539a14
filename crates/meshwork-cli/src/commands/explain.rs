//! `explain`: why a task is where it is.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use crate::state::SwarmChoice;
use meshwork::view::View;

/// Ids that are suggested for an unknown one.
const SUGGESTED: usize = 3;

/// What `explain` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork explain task-001
  meshwork explain task-001 --swarm review-auth --format json")]
pub struct Arguments {
    /// The task's id
    task: String,
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Explains a task.
///
/// # Errors
/// When there is no such task or swarm, or the log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let log = arguments.swarm.read()?;
    let view = log.view();
    let Some(task) = view.swarm().find_task(&arguments.task) else {
        return Err(unknown(view, &arguments.task));
    };
    let document = view.explain(task, log.folder().is_locked()?, &log).ok_or_else(|| {
        CliFailure::unusable("Damaged", format!("task {:?} has no record in the log", arguments.task))
    })?;
    output::answer(arguments.format, &document, || document.human())?;
    Ok(Ending::Done)
}

/// No such task, and which may have been meant.
fn unknown(view: &View, wanted: &str) -> CliFailure {
    let swarm = view.swarm();
    let ids = || swarm.tasks().map(|(_, task)| &*task.id);
    let near = meshwork::file::nearest(wanted, ids());
    let holding = ids().filter(|id| !wanted.is_empty() && id.contains(wanted));
    let mut suggested: Vec<String> = Vec::new();
    for id in near.into_iter().chain(holding) {
        let id = format!("{id:?}");
        if suggested.len() < SUGGESTED && !suggested.contains(&id) {
            suggested.push(id);
        }
    }
    let (count, swarm_id) = (swarm.tasks().len(), swarm.swarm_id());
    let expected = match suggested.as_slice() {
        [] => format!("expected one of its {count} tasks (see `meshwork tasks`)"),
        some => format!("did you mean {}?", some.join(", ")),
    };
    let message = format!("no task {wanted:?} in swarm {swarm_id:?}; {expected}");
    CliFailure::usage("UnknownTask", message)
}
