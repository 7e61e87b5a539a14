//! The chores of this repository: `cargo xtask test`, `cargo xtask ci`, `cargo xtask tidy`, `cargo xtask fuzz`,
//! `cargo xtask model`.
//!
//! Only the standard library is used, so that the chores build in seconds on a machine that has nothing yet.

use std::io::{self, Write};
use std::process::ExitCode;

mod ci;
mod counts;
mod deny;
mod fuzz;
mod needs;
mod node;
mod proof;
mod repository;
mod step;
mod test;
mod tidy;

use repository::Repository;

const HELP: &str = "\
The chores of this repository.

Usage: cargo xtask <chore>

  test     install what the tests need, build, run every test, end with one line of counts
  tidy     check the rules of the house: purity of the core, lengths, names, phrases, manifests, white space
  fuzz     run random inputs against the decoders: TARGET or all, --executions N, --seed S
  model    explore every state of a small swarm: --size TASKSxATTEMPTSxNODES and more, `cargo xtask model --help`
  mutants  break each rule in turn, and look who notices: `cargo xtask mutants --help`
  ci       format check, clippy, documentation, cargo deny, tidy, test; each with its time
  help     show this text

Exit codes: 0 the chore succeeded, 1 it failed, 2 it is not a chore.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let succeeded = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => say(HELP),
        [chore @ ("test" | "tidy" | "fuzz" | "model" | "ci"), "--help" | "-h"] => say(help_of(chore)),
        ["test"] => Repository::find().and_then(|repository| test::chore(&repository)),
        ["tidy"] => Repository::find().and_then(|repository| tidy::chore(&repository)),
        ["fuzz", words @ ..] => Repository::find().and_then(|repository| fuzz::chore(&repository, words)),
        [campaign @ ("model" | "mutants"), words @ ..] => {
            Repository::find().and_then(|repository| proof::chore(&repository, campaign, words))
        }
        ["ci"] => Repository::find().and_then(|repository| ci::chore(&repository)),
        unknown => {
            complain(&format!(
                "\"{}\" is not a chore; expected test, tidy, fuzz, model, mutants, ci or help",
                unknown.join(" ")
            ));
            return ExitCode::from(2);
        }
    };
    match succeeded {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The line of [`HELP`] about one chore.
fn help_of(chore: &str) -> &'static str {
    HELP.lines().find(|line| line.trim_start().starts_with(chore)).unwrap_or(HELP)
}

/// Writes text to standard output, in order with what the chores' programs write there.
fn say(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(true)
}

/// Writes an error to standard error. A closed standard error leaves nobody to tell.
fn complain(text: &str) {
    let _closed = writeln!(io::stderr().lock(), "error: {text}");
}
