//! `usage`: tokens that the task that runs this has spent.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};

/// What `usage` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork usage --input 12000 --output 800

The numbers are those since the attempt began, in total: a later report replaces an earlier one.")]
pub(crate) struct Arguments {
    /// Tokens read
    #[arg(long, value_name = "N")]
    input: u64,
    /// Tokens written
    #[arg(long, value_name = "N")]
    output: u64,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Says it.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let body = serde_json::json!({ "inputTokens": arguments.input, "outputTokens": arguments.output });
    let document = place::inside("usage")?.ask("report_usage", &body)?;
    output::answer(arguments.format, &document, String::new)?;
    Ok(Ending::Done)
}
