//! `read`: the messages of the peer that runs this task.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use meshwork::view::visible;
use serde_json::Value;

/// What `read` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork read
  meshwork read --limit 1 --format json")]
pub(crate) struct Arguments {
    /// At most this many, the oldest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Prints unread messages; they are read then.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let document = place::inside("read")?.ask("read_messages", &serde_json::json!({ "limit": arguments.limit }))?;
    output::answer(arguments.format, &document, || human(&document))?;
    Ok(Ending::Done)
}

/// One line a message: who sent it, its type, and its content as JSON.
pub(super) fn human(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |message: &Value| {
        let (from, kind, payload) = (text(&message["from"]), text(&message["type"]), message["payload"].to_string());
        format!("{}\t{}\t{}\n", visible(&from), visible(&kind), visible(&payload))
    };
    document["messages"].as_array().into_iter().flatten().map(line).collect()
}
