//! `artifacts`: what the tasks have stored.

use crate::ending::Ending;
use crate::errors::file_refused;
use crate::failure::CliFailure;
use crate::output::{self, Format, SCHEMA_VERSION};
use crate::state::SwarmChoice;
use clap::Subcommand;
use meshwork::artifacts::{ArtifactError, ArtifactInfo, Artifacts, FolderArtifacts, Opened};
use meshwork::state::StateFolder;
use meshwork::view::table;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Content is handed on in pieces of this size: 64 KiB.
const PIECE: usize = 64 << 10;

/// What `artifacts` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork artifacts
  meshwork artifacts list results/
  meshwork artifacts get review.md -o review.md")]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

/// What is done with them.
#[derive(Subcommand)]
enum What {
    /// List them (what happens without a word, too)
    #[command(after_help = "EXAMPLES:\n  meshwork artifacts list results/")]
    List {
        /// Only those whose keys start with this
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        swarm: SwarmChoice,
    },
    /// Print one, or write it to a file
    #[command(after_help = "EXAMPLES:\n  meshwork artifacts get review.md -o review.md")]
    Get {
        /// Its key
        key: String,
        /// Write it there instead of stdout; a file that is there is replaced
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        swarm: SwarmChoice,
    },
}

impl Arguments {
    /// Content is never JSON of ours, but errors can be.
    pub fn error_format(&self) -> Format {
        self.format
    }

    /// The swarm may be named before the word and behind it.
    fn swarm(&self) -> SwarmChoice {
        let (outer, inner) = match &self.what {
            None => (&self.swarm, &self.swarm),
            Some(What::List { swarm, .. } | What::Get { swarm, .. }) => (&self.swarm, swarm),
        };
        SwarmChoice {
            swarm: inner.swarm.clone().or_else(|| outer.swarm.clone()),
            state: inner.state.clone().or_else(|| outer.state.clone()),
        }
    }
}

/// What `list` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u32,
    swarm_id: &'a str,
    artifacts: Vec<Row<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    key: &'a str,
    size: u64,
    digest: &'a str,
    /// Ms since the epoch.
    stored_at: u64,
}

/// Lists or gets artifacts.
///
/// # Errors
/// When there is no such swarm or key, or the store is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let folder = arguments.swarm().folder()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliFailure::usage("System", format!("could not start: {error}")))?;
    match &arguments.what {
        None => runtime.block_on(list(&folder, "", arguments.format)),
        Some(What::List { prefix, .. }) => runtime.block_on(list(&folder, prefix, arguments.format)),
        Some(What::Get { key, output, .. }) => runtime.block_on(get(&folder, key, output.as_deref())),
    }?;
    Ok(Ending::Done)
}

/// The store; `None` where the swarm has not stored anything yet.
fn open(folder: &StateFolder) -> Result<Option<FolderArtifacts>, CliFailure> {
    match FolderArtifacts::open_read_only(folder.artifacts()) {
        Err(ArtifactError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

async fn list(folder: &StateFolder, prefix: &str, format: Format) -> Result<(), CliFailure> {
    let found = match open(folder)? {
        Some(store) => store.list(prefix).await?,
        None => Vec::new(),
    };
    let artifacts = found.iter().map(row).collect();
    let document = Document { schema_version: SCHEMA_VERSION, swarm_id: folder.id(), artifacts };
    output::answer(format, &document, || {
        let cells = |one: &Row<'_>| vec![one.key.to_owned(), one.size.to_string(), one.digest[..16].to_owned()];
        table(&["KEY", ">BYTES", "BLAKE3"], &document.artifacts.iter().map(cells).collect::<Vec<_>>())
    })
}

fn row(info: &ArtifactInfo) -> Row<'_> {
    let stored = info.stored.duration_since(UNIX_EPOCH).unwrap_or_default();
    let stored_at = u64::try_from(stored.as_millis()).unwrap_or(u64::MAX);
    Row { key: &info.key, size: info.size, digest: &info.digest, stored_at }
}

async fn get(folder: &StateFolder, key: &str, to: Option<&Path>) -> Result<(), CliFailure> {
    let store = open(folder)?.ok_or_else(|| ArtifactError::NotFound { key: key.to_owned() })?;
    let opened = store.open(key).await?;
    match to {
        Some(path) => to_file(opened, path).await,
        None => to_stdout(opened).await,
    }
}

async fn to_stdout(mut opened: Opened) -> Result<(), CliFailure> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = opened.content.read(&mut piece).await.map_err(|error| damaged(&error))?;
        if count == 0 || output::print_bytes(&piece[..count])? == output::Reader::Gone {
            return Ok(());
        }
    }
}

/// The file appears whole or not at all, so that a damaged artifact does not look like a good one.
async fn to_file(mut opened: Opened, path: &Path) -> Result<(), CliFailure> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".part-{}", std::process::id()));
    let part = PathBuf::from(part);
    let refused = |error: std::io::Error| file_refused("write the artifact", path, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&part).await.map_err(refused)?;
    let copied = async {
        let mut piece = vec![0; PIECE];
        loop {
            match opened.content.read(&mut piece).await.map_err(|error| damaged(&error))? {
                0 => break,
                count => file.write_all(&piece[..count]).await.map_err(refused)?,
            }
        }
        file.flush().await.map_err(refused)?;
        std::fs::rename(&part, path).map_err(refused)
    };
    let copied = copied.await;
    if copied.is_err() {
        let _left = std::fs::remove_file(&part);
    }
    copied
}

fn damaged(error: &std::io::Error) -> CliFailure {
    CliFailure::unusable("Damaged", format!("could not read the artifact: {error}"))
}
