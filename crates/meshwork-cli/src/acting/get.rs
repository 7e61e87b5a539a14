//! `get`: an artifact of the swarm, for the task that runs this.

use super::place;
use super::tools::Tools;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format, SCHEMA_VERSION};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// What `get` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork get review.md
  meshwork get build/app.tar.gz app.tar.gz")]
pub(crate) struct Arguments {
    /// Its key
    #[arg(value_name = "KEY")]
    key: String,
    /// Where it is to be written; - for standard output
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// How what is said beside the content is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Fetches the artifact. A file appears whole or not at all.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let tools = place::inside("get")?;
    if arguments.file.as_os_str() == "-" {
        match copy(&tools, &arguments.key, &mut io::stdout().lock()) {
            // Nobody reads on: what is left is dropped.
            Err(Broken::Sink(error)) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(broken) => return Err(broken.at(Path::new("-"))),
            Ok(_) => {}
        }
        return Ok(Ending::Done);
    }
    let size = to_file(&tools, &arguments.key, &arguments.file)?;
    let document = serde_json::json!({ "schemaVersion": SCHEMA_VERSION, "key": arguments.key, "size": size });
    output::answer(arguments.format, &document, String::new)?;
    Ok(Ending::Done)
}

/// Written beside its place first.
pub(super) fn to_file(tools: &Tools, key: &str, file: &Path) -> Result<u64, CliFailure> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let write = || {
        let mut opened = File::create_new(&part).map_err(Broken::Sink)?;
        let size = copy(tools, key, &mut opened)?;
        std::fs::rename(&part, file).map_err(Broken::Sink)?;
        Ok(size)
    };
    write().map_err(|broken: Broken| {
        // One that stays is named after this process, and in nobody's way.
        let _gone = std::fs::remove_file(&part);
        broken.at(file)
    })
}

enum Broken {
    Source(CliFailure),
    Sink(io::Error),
}

impl Broken {
    fn at(self, file: &Path) -> CliFailure {
        match self {
            Self::Source(failure) => failure,
            Self::Sink(error) => crate::errors::file_refused("write it", file, &error),
        }
    }
}

fn copy(tools: &Tools, key: &str, to: &mut impl Write) -> Result<u64, Broken> {
    let (mut from, size) = tools.get(key).map_err(Broken::Source)?;
    let ended_early = |what: String| {
        let message = format!("artifact {key:?} did not come whole: {what}; nothing was changed");
        Broken::Source(CliFailure::unusable("ArtifactIncomplete", message))
    };
    let (mut piece, mut copied) = (vec![0; 64 << 10], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                to.write_all(&piece[..read]).map_err(Broken::Sink)?;
                copied += read as u64;
            }
            Err(error) => return Err(ended_early(error.to_string())),
        }
    }
    if copied != size {
        return Err(ended_early(format!("{copied} of {size} bytes came")));
    }
    to.flush().map_err(Broken::Sink)?;
    Ok(size)
}
