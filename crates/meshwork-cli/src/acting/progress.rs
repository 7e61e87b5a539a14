//! `progress`: how far the task that runs this is.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};

/// What `progress` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork progress half of the files are done")]
pub(crate) struct Arguments {
    /// What to say
    #[arg(value_name = "TEXT", required = true, allow_hyphen_values = true)]
    text: Vec<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Says it.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let body = serde_json::json!({ "text": arguments.text.join(" ") });
    let document = place::inside("progress")?.ask("report_progress", &body)?;
    output::answer(arguments.format, &document, String::new)?;
    Ok(Ending::Done)
}
