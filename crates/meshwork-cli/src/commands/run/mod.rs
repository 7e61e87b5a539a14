//! `run`: a swarm file from its first line to its report.
//!
//! `course` carries a started swarm to its end; `follower` reads its log on a thread of its own and feeds `progress`;
//! `ending` says how it went.

mod course;
mod ending;
mod estimate;
mod follower;
mod progress;
mod tally;

use crate::ending::Ending;
use crate::errors::file_refused;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use crate::state::STATE_FOLDER;
use clap::ValueEnum;
use course::Course;
use meshwork::failpoint::{self, Point};
use meshwork::file::{self, CheckReport, SwarmFile};
use meshwork::local::{LocalOptions, LocalSwarm};
use meshwork::log::{LogError, LogReader};
use meshwork::process::become_subreaper;
use meshwork::state::{StateError, StateRoot};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What `run` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork run swarm.toml
  meshwork run swarm.toml --format json > report.json
  meshwork run swarm.toml --fresh          start over; what was is kept beside it

Running the same file again goes on where it was: what is completed and has not changed is not run again.
Ctrl-C once ends it in order, twice at once; the same command goes on with it.

Exits 0 if all tasks completed, 1 if some failed, 3 if some can not run or a limit was reached, 130 if interrupted.")]
pub struct Arguments {
    /// The swarm file
    file: PathBuf,
    /// The folder that holds swarms [default: .meshwork beside the file]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Start over; the old folder is kept beside the new one
    #[arg(long)]
    fresh: bool,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t)]
    format: RunFormat,
    /// Write the run report there, too, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What a run prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// Progress, and a summary.
    #[default]
    Human,
    /// Progress, and the run report as one JSON document.
    Json,
    /// Nothing: the exit code tells.
    Quiet,
}

impl Arguments {
    /// Where errors go.
    pub fn error_format(&self) -> Format {
        if self.format == RunFormat::Json { Format::Json } else { Format::Human }
    }

    /// The folder that relative paths of the file are relative to.
    fn file_folder(&self) -> Result<PathBuf, CliFailure> {
        let path = std::path::absolute(&self.file).map_err(|error| file_refused("find", &self.file, &error))?;
        Ok(path.parent().map_or_else(|| path.clone(), Path::to_owned))
    }

    fn state_root(&self) -> Result<PathBuf, CliFailure> {
        match &self.state {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.file.parent().unwrap_or(Path::new("")).join(STATE_FOLDER)),
        }
    }

    /// The command that goes on with this run.
    fn again(&self) -> String {
        let mut line = format!("meshwork run {}", quoted(&self.file));
        for (flag, path) in [("--state", &self.state), ("--report", &self.report)] {
            if let Some(path) = path {
                let _ = write!(line, " {flag} {}", quoted(path));
            }
        }
        match self.format {
            RunFormat::Human => {}
            RunFormat::Json => line.push_str(" --format json"),
            RunFormat::Quiet => line.push_str(" --format quiet"),
        }
        line
    }

    fn say(&self, text: &str) {
        if self.format != RunFormat::Quiet {
            output::note(text);
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "-_./+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Runs a swarm file to its end, or until it can not go on.
///
/// # Errors
/// Before anything is created: what is wrong with the call or the file. Later: what became unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let file = file::load(&arguments.file)?;
    let check = file::check(&file);
    let root = arguments.state_root()?;
    let began_after = refuse_early(arguments, &file, &root)?;
    say_what_is_to_come(arguments, &file, &check);
    if let Err(error) = become_subreaper() {
        // Orphans are then looked for in /proc.
        tracing::warn!(%error, "orphans of attempts are not adopted");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        CliFailure::usage("System", format!("could not start threads: {error}; nothing was created"))
    })?;
    runtime.block_on(async {
        let options = LocalOptions { program: std::env::current_exe().ok(), fresh: arguments.fresh };
        let swarm = LocalSwarm::start(&file, &arguments.file_folder()?, &root, options).await?;
        let (course, follower) = Course::begin(arguments, &file, &swarm, began_after)?;
        let ended = course.run(follower).await;
        // In order, however it went: what runs is ended, and the log is closed.
        failpoint::reach(Point::Shutdown);
        let stopped = swarm.shutdown().await;
        failpoint::reach(Point::ShutDown);
        let ending = ended?;
        stopped.map_err(|error| CliFailure::from(error).changed(true))?;
        Ok(ending)
    })
}

/// What can be refused before anything is created or changed. The last batch of the log that is there; 0: there is
/// none.
fn refuse_early(arguments: &Arguments, file: &SwarmFile, root: &Path) -> Result<u64, CliFailure> {
    if let Some(path) = &arguments.report {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() || path.is_dir() {
            let message = "expected the name of a file in a folder that is there; nothing was created";
            return Err(CliFailure::usage("ReportPath", format!("no place for the report: {message}")).in_file(path));
        }
    }
    let folder = StateRoot::new(root).folder(&file.swarm.id).map_err(StateError::from)?;
    if arguments.fresh || !folder.database().exists() || folder.is_locked()? {
        // The start says what is wrong, and changes nothing then.
        return Ok(0);
    }
    match LogReader::open(folder.database()) {
        Ok(reader) => {
            // A start that has a snapshot does not read what lies before it, but those who look on do.
            reader.check_batches()?;
            Ok(reader.last()?)
        }
        // The start migrates it; then all of it is told of once.
        Err(LogError::NotFound { .. } | LogError::OlderSchema { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn say_what_is_to_come(arguments: &Arguments, file: &SwarmFile, check: &CheckReport) {
    let (tasks, peers, slots) = (
        ending::counted(check.tasks, "task"),
        ending::counted(check.peers, "peer"),
        ending::counted(check.slots, "slot"),
    );
    let topology = check.chosen_topology.word();
    arguments.say(&format!("swarm {:?}: {tasks}, {peers} with {slots}, {topology}", file.swarm.id));
    for warning in check.topology.warnings.iter().chain(&check.warnings) {
        arguments.say(&format!("warning: {warning}"));
    }
    for task in check.unsatisfiable_tasks.iter().take(ending::LISTED) {
        arguments.say(&format!("warning: {}", task.message));
    }
    if check.unsatisfiable_tasks.len() > ending::LISTED {
        let more = check.unsatisfiable_tasks.len() - ending::LISTED;
        arguments.say(&format!("warning: and {more} more tasks that can never run"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell_where_they_must_be() {
        assert_eq!(quoted(Path::new("a/b-c_1.toml")), "a/b-c_1.toml");
        assert_eq!(quoted(Path::new("it's mine.toml")), "'it'\\''s mine.toml'");
    }
}
