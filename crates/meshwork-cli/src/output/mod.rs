//! What is said where: stdout carries what was asked for, stderr everything else.
//!
//! A reader of stdout that has gone away (`| head`) is nobody's error: what it would have read is dropped.

mod check;

pub use check::CheckDocument;

use crate::failure::CliFailure;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, BufWriter, ErrorKind, Write};

/// Version of the JSON documents that this crate adds to those of the library.
pub const SCHEMA_VERSION: u32 = meshwork::view::SCHEMA_VERSION;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

/// Whether anybody still reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reader {
    /// Somebody does.
    Listens,
    /// Nobody does; writing on is pointless.
    Gone,
}

/// Prints text as it is.
///
/// # Errors
/// When stdout takes no more for another reason than that nobody reads it: a full disk, say.
pub fn print(text: &str) -> Result<Reader, CliFailure> {
    written(|out| out.write_all(text.as_bytes()))
}

/// Prints a document, indented, and an end of line.
///
/// # Errors
/// As [`print`].
pub fn print_json(document: &impl Serialize) -> Result<Reader, CliFailure> {
    written(|out| {
        serde_json::to_writer_pretty(&mut *out, document)?;
        out.write_all(b"\n")
    })
}

/// Prints a document on one line.
///
/// # Errors
/// As [`print`].
pub fn print_json_line(document: &impl Serialize) -> Result<Reader, CliFailure> {
    written(|out| {
        serde_json::to_writer(&mut *out, document)?;
        out.write_all(b"\n")
    })
}

/// In the format that was asked for.
///
/// # Errors
/// As [`print`].
pub fn answer(format: Format, document: &impl Serialize, human: impl FnOnce() -> String) -> Result<(), CliFailure> {
    let _either_way = match format {
        Format::Human => print(&human())?,
        Format::Json => print_json(document)?,
    };
    Ok(())
}

/// Bytes, as they are.
///
/// # Errors
/// As [`print`].
pub fn print_bytes(bytes: &[u8]) -> Result<Reader, CliFailure> {
    written(|out| out.write_all(bytes))
}

fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Reader, CliFailure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = write(&mut out).and_then(|()| out.flush());
    // What could not be written is not tried again when the buffer is dropped.
    let _unwritten = out.into_parts();
    match result {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliFailure::usage("Output", format!("could not write to stdout: {error}"))),
    }
}

/// Says something on stderr. Where nobody can be told, nobody is.
pub fn note(text: &str) {
    let _unheard = writeln!(io::stderr().lock(), "{text}");
}
