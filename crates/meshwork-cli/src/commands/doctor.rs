//! `doctor`: is this machine, and a swarm on it, in order?

mod machine;
mod swarm;

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format, SCHEMA_VERSION};
use crate::state::{STATE_FOLDER, SwarmChoice};
use meshwork::view::visible;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What `doctor` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork doctor
  meshwork doctor --state /var/lib/swarms
  meshwork doctor --swarm review-auth      replays its log, and looks at every promise of it

Exits 0 if all is well, 1 if something is not, 4 if the swarm's log is unusable.")]
pub struct Arguments {
    #[command(flatten)]
    swarm: SwarmChoice,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// One thing that was looked at.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

impl Check {
    /// Well, or not, and what was found.
    fn of(name: &'static str, found: Result<String, String>) -> Self {
        let ok = found.is_ok();
        Self { name, ok, detail: found.unwrap_or_else(|what| what) }
    }
}

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    ok: bool,
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swarm: Option<swarm::Replayed>,
}

/// Looks at the machine, and at a swarm if one is named.
///
/// # Errors
/// When the named swarm's log is unusable.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let dir = arguments.swarm.state.clone().unwrap_or_else(|| PathBuf::from(STATE_FOLDER));
    let mut checks = machine::look(&dir);
    let swarm = match &arguments.swarm.swarm {
        None => None,
        Some(_) => Some(swarm::replay(arguments.swarm.open()?, &mut checks)?),
    };
    let ok = checks.iter().all(|check| check.ok);
    let document = Document { schema_version: SCHEMA_VERSION, ok, checks, swarm };
    output::answer(arguments.format, &document, || human(&document))?;
    Ok(if ok { Ending::Done } else { Ending::TaskFailed })
}

fn human(document: &Document) -> String {
    let mut out = String::new();
    for check in &document.checks {
        let word = if check.ok { "ok  " } else { "BAD " };
        let _ = writeln!(out, "{word} {}: {}", check.name, visible(&check.detail));
    }
    if let Some(swarm) = &document.swarm {
        let _ = writeln!(out, "state hash {} at {}", swarm.state_hash, swarm.seq);
    }
    out
}
