//! Campaigns that are too long for the ordinary tests. `cargo xtask` calls them.

mod command;

use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Campaigns over the production rules.

Usage: proof <command>

  model     explore every state of a model; `proof model --help` says which
  detector  explore every state of the stand-alone detector's model, and hunt its mutants; `detector small` in less time
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["model", rest @ ..] => command::model::run(rest),
        ["detector"] => command::detector::run(meshwork_proof::detector::LARGE),
        ["detector", "small"] => command::detector::run(meshwork_proof::detector::SMALL),
        ["help" | "--help" | "-h"] => {
            let _closed = std::io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        _ => {
            let _closed = std::io::stderr().write_all(HELP.as_bytes());
            ExitCode::from(2)
        }
    }
}
