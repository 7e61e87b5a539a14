//! How a run ended, in a report, in sentences and in an exit code.

use super::{Arguments, RunFormat};
use crate::ending::Ending;
use crate::errors::file_refused;
use crate::failure::CliFailure;
use crate::output;
use crate::state::SwarmLog;
use meshwork::failpoint::{self, Point};
use meshwork::mesh::RoundEnd;
use meshwork::view::{RunReport, visible};
use meshwork_core::{Outcome, Phase, Task};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Tasks that are told of one by one; the report has all of them.
pub(super) const LISTED: usize = 20;

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The round came to its end.
    Ended(RoundEnd),
    /// The file's `run_timeout` was reached.
    TimedOut,
    /// A signal.
    Interrupted,
}

/// The exit code.
pub(super) fn of(cause: Cause) -> Ending {
    match cause {
        Cause::Ended(RoundEnd::Closed(round) | RoundEnd::Empty(Some(round))) if round.failed > 0 => Ending::TaskFailed,
        Cause::Ended(RoundEnd::Closed(_) | RoundEnd::Empty(_)) => Ending::Done,
        Cause::Ended(RoundEnd::Stalled) | Cause::TimedOut => Ending::NotFinished,
        Cause::Interrupted => Ending::Interrupted,
    }
}

/// What was asked for.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn print(format: RunFormat, report: &RunReport) -> Result<(), CliFailure> {
    let _either_way = match format {
        RunFormat::Human => output::print(&report.human())?,
        RunFormat::Json => output::print_json(report)?,
        RunFormat::Quiet => return Ok(()),
    };
    Ok(())
}

/// Replaces the file as a whole, so that nobody reads a part.
///
/// # Errors
/// When it cannot be written; what was there stays. The run itself is in its state folder.
pub(super) fn write_report(path: &Path, json: &[u8]) -> Result<(), CliFailure> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(json)?;
        file.sync_all()?;
        failpoint::reach(Point::CopyNew);
        fs::rename(&new, path)?;
        failpoint::reach(Point::CopyPlaced);
        Ok(())
    };
    write().map_err(|error| {
        let _left = fs::remove_file(&new);
        file_refused("write the report", path, &error).changed(true)
    })
}

/// Says on stderr why it is not all well, and how to go on.
pub(super) fn explain(arguments: &Arguments, log: &SwarmLog, cause: Cause) {
    match cause {
        Cause::Ended(RoundEnd::Closed(round) | RoundEnd::Empty(Some(round))) => {
            if round.failed > 0 {
                arguments.say(&format!("{} failed:", counted(u64::from(round.failed), "task")));
                sentences(arguments, log, |task| task.round == round.number && has_failed(task));
            }
        }
        Cause::Ended(RoundEnd::Empty(None)) => {}
        Cause::Ended(RoundEnd::Stalled) => {
            arguments.say("not finished: nothing that is left can run");
            sentences(arguments, log, |task| !task.phase.is_closed());
        }
        Cause::TimedOut => {
            arguments.say("not finished: the run's time limit was reached");
            sentences(arguments, log, |task| !task.phase.is_closed());
            arguments.say(&format!("go on with: {}", arguments.again()));
        }
        Cause::Interrupted => {
            arguments.say(&format!("interrupted; the state is saved. Go on with: {}", arguments.again()));
        }
    }
    match log.unread() {
        Ok(unread) => {
            for (peer, count) in unread {
                arguments.say(&format!("unread: {} to {peer:?}", counted(count, "message")));
            }
        }
        Err(error) => arguments.say(&format!("unread messages could not be counted: {error}")),
    }
}

/// `1 task`, `2 tasks`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn has_failed(task: &Task) -> bool {
    // A review counts by its vote alone.
    task.reviews.is_none() && matches!(task.phase, Phase::Closed { outcome } if outcome != Outcome::Ok)
}

/// Why the first of these tasks are where they are.
fn sentences(arguments: &Arguments, log: &SwarmLog, which: impl Fn(&Task) -> bool) {
    let swarm = log.view().swarm();
    let mut found = swarm.tasks().filter(|(_, task)| which(task)).map(|(no, _)| no);
    for explanation in found.by_ref().take(LISTED).filter_map(|no| swarm.explain(no)) {
        let sentence = format!("task {:?} {}", explanation.task, explanation.reason);
        arguments.say(&format!("  {}", visible(&sentence)));
    }
    match found.count() {
        0 => {}
        more => arguments.say(&format!("  and {more} more (see `meshwork tasks`)")),
    }
}
