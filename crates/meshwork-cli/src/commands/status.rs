//! `status`: how far a swarm is.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use crate::state::SwarmChoice;
use meshwork::view::StatusTable;
use serde::Serialize;

/// What `status` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork status
  meshwork status --swarm review-auth --format json")]
pub struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The table, and what the lock says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(flatten)]
    table: StatusTable,
    /// A process holds the swarm's folder: it runs.
    live: bool,
    /// That process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// Messages that nobody has read.
    unread_messages: u64,
}

/// Shows the status.
///
/// # Errors
/// When there is no such swarm, or its log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let log = arguments.swarm.read()?;
    let live = log.folder().is_locked()?;
    let pid = log.folder().holder().filter(|_| live).map(|holder| holder.pid);
    let unread_messages = log.unread()?.iter().map(|(_, count)| count).sum();
    let document = Document { table: log.view().status(), live, pid, unread_messages };
    output::answer(arguments.format, &document, || human(&document))?;
    Ok(Ending::Done)
}

fn human(document: &Document) -> String {
    let process = match (document.live, document.pid) {
        (true, Some(pid)) => format!("runs in process {pid}"),
        (true, None) => "runs".to_owned(),
        (false, _) => "does not run at this moment".to_owned(),
    };
    let unread = match document.unread_messages {
        0 => String::new(),
        count => format!("unread messages: {count}\n"),
    };
    format!("{}{process}\n{unread}", document.table.human())
}
