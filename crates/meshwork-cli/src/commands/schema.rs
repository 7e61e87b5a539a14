//! `schema`: the swarm file, and the run report, as JSON Schema.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output;
use clap::ValueEnum;

/// What `schema` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork schema > swarm.schema.json
  meshwork schema report > report.schema.json")]
pub struct Arguments {
    /// Of what
    #[arg(value_enum, default_value_t)]
    of: Of,
}

/// What has a schema.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Of {
    /// The swarm file
    #[default]
    File,
    /// The run report
    Report,
}

/// Prints a schema.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let schema = match arguments.of {
        Of::File => meshwork::file::json_schema(),
        Of::Report => meshwork::view::RunReport::schema(),
    };
    let _either_way = output::print_json(&schema)?;
    Ok(Ending::Done)
}
