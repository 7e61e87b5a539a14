//! `submit`: tasks for a live swarm, or children of the task that runs this.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format, SCHEMA_VERSION};
use crate::state::SwarmChoice;
use clap::builder::PossibleValuesParser;
use meshwork::control::{Answer, Request, Submitted};
use meshwork::endpoint::{TASKS_BYTES, TaskRequest, parse_tasks};
use meshwork::file::{OnDependencyFailure, Timespan, Verify};
use meshwork::view::visible;
use serde_json::value::RawValue;
use std::path::PathBuf;

/// What `submit` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork submit --run 'cargo test' --capability rust
  meshwork submit --id docs --type write --after tests --input '{\"path\": \"src\"}'
  meshwork submit --file tasks.json
  generate-tasks | meshwork submit --file - --swarm nightly

Within a task, the tasks are its children: it is not complete before they are. --swarm or --state
submit to that swarm all the same.")]
pub(crate) struct Arguments {
    /// Its id [default: one is made]
    #[arg(long)]
    id: Option<String>,
    /// The line that a shell peer runs
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    run: Option<String>,
    /// A capability that its peer must have; may be given again
    #[arg(long = "capability", value_name = "NAME")]
    capabilities: Vec<String>,
    /// Its type [default: task]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// What it is about, for people and agents
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    description: Option<String>,
    /// 1 to 10, 10 first [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=10))]
    priority: Option<u8>,
    /// A task that must close first; may be given again
    #[arg(long = "after", value_name = "ID")]
    after: Vec<String>,
    /// What becomes of it when such a task does not complete [default: fail]
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["fail", "skip", "run"]))]
    on_dependency_failure: Option<String>,
    /// Further attempts after a failed one
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// How long one attempt may take, such as 30s or 10m
    #[arg(long, value_name = "SPAN")]
    timeout: Option<Timespan>,
    /// Anything, handed to the agent
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    input: Option<String>,
    /// Evidence before it counts as completed: a line that must exit 0
    #[arg(long, value_name = "LINE", allow_hyphen_values = true)]
    verify: Option<String>,
    /// Tasks as JSON, one or a list; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "id", "run", "capabilities", "kind", "description", "priority", "after", "on_dependency_failure", "retries",
        "timeout", "input", "verify",
    ])]
    file: Option<PathBuf>,
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Submits, and prints the ids.
pub(super) fn run(arguments: Arguments) -> Result<Ending, CliFailure> {
    let (format, swarm) = (arguments.format, arguments.swarm.clone());
    let tasks = arguments.tasks()?;
    let outside = swarm.swarm.is_some() || swarm.state.is_some();
    let tools = if outside { None } else { place::attempt()? };
    let document = match tools {
        Some(tools) => tools.ask("submit_task", &serde_json::json!({ "tasks": tasks }))?,
        None => match place::ask(&swarm, &Request::Submit { tasks })? {
            (Answer::Submitted { tasks }, swarm_id) => document(&tasks, &swarm_id),
            (other, _) => return Err(place::unexpected(&other)),
        },
    };
    output::answer(format, &document, || {
        let tasks = document["tasks"].as_array().into_iter().flatten();
        tasks.map(|task| format!("{}\n", visible(task["id"].as_str().unwrap_or_default()))).collect()
    })?;
    Ok(Ending::Done)
}

fn document(tasks: &[Submitted], swarm_id: &str) -> serde_json::Value {
    serde_json::json!({ "schemaVersion": SCHEMA_VERSION, "swarmId": swarm_id, "tasks": tasks })
}

impl Arguments {
    /// The tasks that are meant.
    pub(super) fn tasks(self) -> Result<Vec<TaskRequest>, CliFailure> {
        if let Some(file) = &self.file {
            let bytes = place::read_input(file, TASKS_BYTES)?;
            return parse_tasks(&bytes).map_err(|error| CliFailure::usage(error.code, error.message).in_file(file));
        }
        if self.run.is_none() && self.description.is_none() && self.input.is_none() && self.kind.is_none() {
            let message = "nothing says what the task is: expected one of --run, --description, --input, --type or \
                           --file; nothing was changed";
            return Err(CliFailure::usage("EmptyTask", message));
        }
        let input = self.input.map(|text| {
            RawValue::from_string(text).map_err(|error| {
                CliFailure::usage("BadInput", format!("--input is not JSON: {error}; nothing was changed"))
            })
        });
        Ok(vec![TaskRequest {
            id: self.id,
            kind: self.kind,
            description: self.description.unwrap_or_default(),
            required_capabilities: self.capabilities,
            priority: self.priority,
            dependencies: self.after,
            retries: self.retries,
            timeout: self.timeout,
            run: self.run,
            input: input.transpose()?,
            on_dependency_failure: self.on_dependency_failure.as_deref().map(|what| match what {
                "skip" => OnDependencyFailure::Skip,
                "run" => OnDependencyFailure::Run,
                _ => OnDependencyFailure::Fail,
            }),
            review: None,
            verify: self.verify.map(|run| Verify { run: Some(run), artifacts: Vec::new() }),
        }])
    }
}
