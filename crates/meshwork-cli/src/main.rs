//! The meshwork command: run, check and explain a swarm.
//!
//! Read it from here: [`arguments`] says what can be asked, `commands` holds one file for each, `output` puts
//! answers on stdout. A command answers with an [`Ending`](ending::Ending) or a [`CliFailure`]; both are exit codes.
//!
//! What this crate does not know: the inside of the core. It reads the library's view and writes nothing to a swarm
//! but what the library is asked for.

#![expect(
    unreachable_pub,
    reason = "nothing of a program can be reached from outside; `pub` marks what a module offers"
)]

mod acting;
mod arguments;
mod bench;
mod commands;
mod ending;
mod errors;
mod failure;
mod logging;
mod output;
mod state;

use failure::CliFailure;
use output::Format;
use std::process::ExitCode;

/// Buffers of messages and outputs are freed on other threads than they were made on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match arguments::parse() {
        Ok(cli) => cli,
        Err(answer) => return ExitCode::from(answer.print()),
    };
    logging::start();
    let format = cli.command.error_format();
    match commands::dispatch(cli.command) {
        Ok(ending) => ExitCode::from(ending.number()),
        Err(failure) => {
            tell(&failure, format);
            ExitCode::from(failure.code.number())
        }
    }
}

/// Errors go to stderr for people; programs that asked for JSON find them on stdout.
fn tell(failure: &CliFailure, format: Format) {
    if format == Format::Json {
        // Nobody is left to be told that stdout is gone.
        let _gone = output::print_json(&failure.document());
    } else {
        output::note(&format!("error: {failure}"));
    }
}
