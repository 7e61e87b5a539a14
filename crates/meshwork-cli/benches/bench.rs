//! `cargo bench`: the same as `meshwork bench`, built with the bench profile. Arguments after `--` are passed on.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Cargo adds `--bench`, which is its own word.
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--bench");
    let status = Command::new(env!("CARGO_BIN_EXE_meshwork")).arg("bench").args(arguments).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            use std::io::Write as _;
            // Without a place to say it there is still the exit code.
            let _closed = writeln!(std::io::stderr(), "could not start {}: {error}", env!("CARGO_BIN_EXE_meshwork"));
            ExitCode::FAILURE
        }
    }
}
