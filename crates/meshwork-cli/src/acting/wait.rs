//! `wait`: until children of the task that runs this are closed.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use meshwork::view::visible;
use serde_json::Value;

/// What `wait` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork wait
  meshwork wait lint tests
  meshwork wait tests --format json

Meanwhile the task has given up its slot, so its children can run in it. Exits with 1 when one of
them did not complete.")]
pub(crate) struct Arguments {
    /// The children [default: all of them]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Waits, and prints what the tasks returned.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let document = place::inside("wait")?.ask("wait_for_tasks", &serde_json::json!({ "ids": arguments.ids }))?;
    output::answer(arguments.format, &document, || human(&document))?;
    Ok(ending(&document))
}

pub(super) fn ending(document: &Value) -> Ending {
    let tasks = document["tasks"].as_array();
    let all = tasks.is_some_and(|tasks| tasks.iter().all(|task| task["state"] == "completed"));
    if all { Ending::Done } else { Ending::TaskFailed }
}

/// One line a task: its id, how it closed, and what it returned or why it did not complete.
pub(super) fn human(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |task: &Value| {
        let (id, state) = (text(&task["id"]), text(&task["state"]));
        let what = match (task.get("error"), task.get("result")) {
            (Some(error), _) => format!("{}: {}", text(&task["outcome"]), text(error)),
            (None, Some(Value::String(result))) => result.clone(),
            (None, Some(result)) => result.to_string(),
            (None, None) => String::new(),
        };
        let line = format!("{}\t{state}\t{}", visible(&id), visible(what.trim_end()));
        format!("{}\n", line.trim_end())
    };
    document["tasks"].as_array().into_iter().flatten().map(line).collect()
}
