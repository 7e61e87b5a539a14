//! `put`: an artifact of the task that runs this.

use super::place;
use super::tools::Tools;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use meshwork::view::visible;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What `put` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork put review.md review.md
  cargo test 2>&1 | meshwork put logs/tests.txt")]
pub(crate) struct Arguments {
    /// What it is to be called
    #[arg(value_name = "KEY")]
    key: String,
    /// Where it is; - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Stores the artifact; done when it is durable.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let document = put(&place::inside("put")?, &arguments.key, &arguments.file)?;
    output::answer(arguments.format, &document, || {
        let key = document["key"].as_str().unwrap_or_default();
        format!("{}\t{} bytes\n", visible(key), document["size"])
    })?;
    Ok(Ending::Done)
}

pub(super) fn put(tools: &Tools, key: &str, file: &Path) -> Result<Value, CliFailure> {
    if file.as_os_str() == "-" {
        return tools.put(key, std::io::stdin());
    }
    let refused = |error| crate::errors::file_refused("read it", file, &error);
    let opened = File::open(file).map_err(refused)?;
    if opened.metadata().map_err(refused)?.is_dir() {
        return Err(CliFailure::usage("File", "it is a folder, expected a file; nothing was changed").in_file(file));
    }
    tools.put(key, opened)
}
