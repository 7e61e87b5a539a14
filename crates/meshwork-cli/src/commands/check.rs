//! `check`: what would happen with a swarm file.

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, CheckDocument, Format};
use meshwork::file;
use std::path::PathBuf;

/// What `check` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork check swarm.toml
  meshwork check swarm.toml --format json

Exits 0 if all tasks can run, 3 if some never can, 2 if the file is not valid.")]
pub struct Arguments {
    /// The swarm file
    file: PathBuf,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Checks a swarm file.
///
/// # Errors
/// All that is wrong with it.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let report = file::check(&file::load(&arguments.file)?);
    let can_finish = report.can_finish;
    let document = CheckDocument::from(report);
    output::answer(arguments.format, &document, || document.human())?;
    Ok(if can_finish { Ending::Done } else { Ending::NotFinished })
}
