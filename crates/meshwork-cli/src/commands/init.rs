//! `init`: a first swarm file.

use crate::ending::Ending;
use crate::errors::file_refused;
use crate::failure::CliFailure;
use crate::output;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// What `init` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork init
  meshwork init review.toml && meshwork run review.toml")]
pub struct Arguments {
    /// Where to write it; a file that is there is left as it is
    #[arg(default_value = "swarm.toml")]
    file: PathBuf,
}

/// Writes a first swarm file.
///
/// # Errors
/// When there is such a file, or it cannot be written.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let path = &arguments.file;
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = "the file is there already, expected a new name; nothing was changed";
            return Err(CliFailure::usage("FileExists", message).in_file(path));
        }
        Err(error) => return Err(file_refused("create the file", path, &error)),
    };
    let written = file.write_all(meshwork::file::template().as_bytes());
    written.map_err(|error| {
        let message = format!("could not write the whole file: {error}");
        CliFailure::usage("File", message).in_file(path).changed(true)
    })?;
    let shown = path.display();
    output::note(&format!("wrote {shown}; run it with `meshwork run {shown}`"));
    Ok(Ending::Done)
}
