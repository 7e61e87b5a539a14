//! `send`: a message to a peer, in the name of the task that runs this.

use super::place;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::{self, Format};
use serde_json::value::RawValue;
use std::path::Path;

/// Bytes of a message (contracts, section 8).
const MESSAGE_BYTES: usize = 256 << 10;

/// What `send` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork send reviewer-1 question '{\"file\": \"src/main.rs\"}'
  git diff | jq -Rs . | meshwork send reviewer-1 diff -")]
pub(crate) struct Arguments {
    /// The peer that is to get it
    #[arg(value_name = "PEER")]
    to: String,
    /// The type of the message
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Its content; - for standard input [default: null]
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    payload: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Sends; done when the message is stored with its recipient.
pub(super) fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let tools = place::inside("send")?;
    let payload = payload(arguments.payload.as_deref())?;
    let (to, kind) = (&arguments.to, &arguments.kind);
    let document = tools.ask("send_message", &Body { to, r#type: kind, payload: payload.as_deref() })?;
    output::answer(arguments.format, &document, String::new)?;
    Ok(Ending::Done)
}

/// A struct, so that the payload is sent as it was written: a number too large for us may not be for its reader.
#[derive(serde::Serialize)]
struct Body<'a> {
    to: &'a str,
    r#type: &'a str,
    payload: Option<&'a RawValue>,
}

pub(super) fn payload(given: Option<&str>) -> Result<Option<Box<RawValue>>, CliFailure> {
    let text = match given {
        None => return Ok(None),
        Some("-") => String::from_utf8(place::read_input(Path::new("-"), MESSAGE_BYTES)?)
            .map_err(|_| CliFailure::usage("BadPayload", "the message is not UTF-8; nothing was changed"))?,
        Some(text) => text.to_owned(),
    };
    RawValue::from_string(text.trim().to_owned()).map(Some).map_err(|error| {
        CliFailure::usage("BadPayload", format!("the message is not JSON: {error}; nothing was changed"))
    })
}
