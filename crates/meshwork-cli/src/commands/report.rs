//! `report`: the run report again.

use crate::ending::Ending;
use crate::errors::file_refused;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use crate::state::SwarmChoice;
use meshwork::view::{RunReport, SCHEMA_VERSION};
use std::path::{Path, PathBuf};

/// What `report` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork report
  meshwork report --swarm review-auth --format json
  meshwork report report.json")]
pub struct Arguments {
    /// A report that `run --report` wrote [default: made from the swarm's log]
    #[arg(conflicts_with_all = ["swarm", "state"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Shows the report.
///
/// # Errors
/// When there is no such swarm or file, or the log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let report = match &arguments.file {
        Some(path) => read(path)?,
        None => arguments.swarm.read()?.report()?,
    };
    output::answer(arguments.format, &report, || report.human())?;
    Ok(Ending::Done)
}

fn read(path: &Path) -> Result<RunReport, CliFailure> {
    let bytes = std::fs::read(path).map_err(|error| file_refused("read the report", path, &error))?;
    let not_one = |found: String| {
        let message = format!("{found}, expected a run report of schema version {SCHEMA_VERSION}");
        CliFailure::usage("NotAReport", message).in_file(path)
    };
    let report: RunReport = serde_json::from_slice(&bytes).map_err(|error| {
        let mut failure = not_one(format!("not a report ({error})"));
        failure.line = Some(error.line() as u64).filter(|line| *line > 0);
        failure
    })?;
    match report.schema_version {
        SCHEMA_VERSION => Ok(report),
        other => Err(not_one(format!("found schema version {other}"))),
    }
}
