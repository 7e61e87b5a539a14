//! Where a command acts: within an attempt, or on a live swarm from outside.

use super::tools::Tools;
use crate::failure::{CliFailure, ExitCode};
use crate::output::{self, Format, SCHEMA_VERSION};
use crate::state::SwarmChoice;
use meshwork::control::{Answer, ControlClient, ControlError, Request};
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;

/// The variables that an attempt finds in its environment.
const URL: &str = "MESHWORK_URL";
const TOKEN: &str = "MESHWORK_TOKEN";
const SWARM_ID: &str = "MESHWORK_SWARM_ID";

/// The tools of the attempt that runs this; `None` outside of one.
///
/// # Errors
/// When only half of what is needed is there.
pub(super) fn attempt() -> Result<Option<Tools>, CliFailure> {
    attempt_in(|name| std::env::var_os(name))
}

pub(super) fn attempt_in(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Tools>, CliFailure> {
    let text = |name: &str| match variable(name).filter(|value| !value.is_empty()).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(CliFailure::usage("BadEnvironment", format!("{name} is not text; nothing was changed"))),
    };
    match (text(URL)?, text(TOKEN)?) {
        (None, None) => Ok(None),
        (Some(url), Some(token)) => Tools::new(&url, &token, text(SWARM_ID)?).map(Some),
        (url, _) => {
            let (set, missing) = if url.is_some() { (URL, TOKEN) } else { (TOKEN, URL) };
            let message = format!("{set} is set and {missing} is not: expected both or none; nothing was changed");
            Err(CliFailure::usage("BadEnvironment", message))
        }
    }
}

/// The tools of the attempt that runs this.
///
/// # Errors
/// Outside of an attempt.
pub(super) fn inside(command: &str) -> Result<Tools, CliFailure> {
    attempt()?.ok_or_else(|| {
        let message = format!(
            "`meshwork {command}` works within a task only, where {URL} and {TOKEN} are set; they are not; nothing \
             was changed"
        );
        CliFailure::usage("NotInAttempt", message)
    })
}

/// Asks the node of the chosen swarm; its answer and the swarm's id.
///
/// # Errors
/// When there is no such swarm, it does not run, or its node refuses.
pub(super) fn ask(swarm: &SwarmChoice, request: &Request) -> Result<(Answer, String), CliFailure> {
    let folder = swarm.folder()?;
    let answer = ControlClient::connect(folder.socket()).and_then(|mut client| client.ask(request));
    match answer {
        Ok(answer) => Ok((answer, folder.id().to_owned())),
        Err(ControlError::NotRunning { .. }) => {
            let id = folder.id();
            let message = format!("swarm {id:?} does not run, so nothing can act on it; nothing was changed");
            Err(CliFailure::usage("NotRunning", message))
        }
        Err(error) => Err(failure_of(error)),
    }
}

/// Has something decided, and says so.
///
/// # Errors
/// Those of [`ask`].
pub(super) fn decide(swarm: &SwarmChoice, request: &Request, format: Format, done: &str) -> Result<(), CliFailure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Document<'a> {
        schema_version: u32,
        swarm_id: &'a str,
        seq: u64,
    }
    match ask(swarm, request)? {
        (Answer::Decided { seq }, swarm_id) => {
            let document = Document { schema_version: SCHEMA_VERSION, swarm_id: &swarm_id, seq };
            output::answer(format, &document, || format!("{done}\n"))
        }
        (other, _) => Err(unexpected(&other)),
    }
}

/// An answer to another question than was asked.
pub(super) fn unexpected(answer: &Answer) -> CliFailure {
    CliFailure::unusable("NotAnAnswer", format!("the node answered with {answer:?}, which was not asked")).changed(true)
}

fn failure_of(error: ControlError) -> CliFailure {
    match error {
        ControlError::Refused(error) => {
            let code = if matches!(&*error.code, "Stopping" | "NodeLost" | "LogUnusable") {
                ExitCode::Unusable
            } else {
                ExitCode::Usage
            };
            CliFailure::new(code, error.code, error.message).changed(error.state_changed)
        }
        other => CliFailure::unusable("ControlUnusable", other.to_string()).changed(true),
    }
}

/// A file of the user's, or standard input for `-`, of at most `most` bytes.
///
/// # Errors
/// When it cannot be read or is larger.
pub(super) fn read_input(file: &Path, most: usize) -> Result<Vec<u8>, CliFailure> {
    let mut bytes = Vec::new();
    let limit = most as u64 + 1;
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| crate::errors::file_refused("read it", file, &error))?;
    if bytes.len() > most {
        let message = format!("it has more than {most} bytes, the limit; nothing was changed");
        return Err(CliFailure::usage("TooLarge", message).in_file(file));
    }
    Ok(bytes)
}
