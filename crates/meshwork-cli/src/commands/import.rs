//! `import`: a recorded workflow as a swarm file.

use crate::ending::Ending;
use crate::errors::file_refused;
use crate::failure::CliFailure;
use crate::output;
use clap::Subcommand;
use meshwork::file::MAX_FILE_BYTES;
use meshwork::file::wfformat::{self, ImportOptions};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What `import` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork import wfformat instance.json > swarm.toml
  meshwork import wfformat instance.json --time-scale 0 --peers 8 > swarm.toml")]
pub struct Arguments {
    #[command(subcommand)]
    from: From,
}

/// The formats.
#[derive(Subcommand)]
enum From {
    /// A WfCommons workflow instance (WfFormat, schema 1.5)
    #[command(after_help = "\
EXAMPLES:
  meshwork import wfformat instance.json > swarm.toml
  meshwork import wfformat instance.json --time-scale 0 --peers 8 > swarm.toml")]
    Wfformat(Wfformat),
}

#[derive(clap::Args)]
struct Wfformat {
    /// The instance
    file: PathBuf,
    /// Seconds of sleep for each recorded second; 0: tasks that do nothing
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    time_scale: f64,
    /// Shell peers, with one slot each [default: the cores]
    #[arg(long, value_name = "N")]
    peers: Option<usize>,
    /// The swarm's id [default: the instance's name]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// Prints the swarm file.
///
/// # Errors
/// What is wrong with the instance.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let From::Wfformat(wanted) = &arguments.from;
    let json = read(&wanted.file)?;
    let peers = wanted.peers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let options = ImportOptions { time_scale: wanted.time_scale, peers, id: wanted.id.clone() };
    let text = wfformat::import(&json, &options).map_err(|error| CliFailure::from(error).in_file(&wanted.file))?;
    let _either_way = output::print(&text)?;
    Ok(Ending::Done)
}

/// The file's bytes, never more than a swarm file may have.
fn read(path: &Path) -> Result<Vec<u8>, CliFailure> {
    let refused = |error| file_refused("read the instance", path, &error);
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("the file is too large: expected at most {MAX_FILE_BYTES} bytes; nothing was changed");
        return Err(CliFailure::usage("FileTooLarge", message).in_file(path));
    }
    Ok(bytes)
}
