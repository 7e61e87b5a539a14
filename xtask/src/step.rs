//! A step of a chore: announced when it starts, timed when it ends.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a step was called, whether it succeeded, and how long it took.
#[derive(Debug)]
pub(crate) struct Step {
    name: &'static str,
    /// False when its program failed or it could not be run at all.
    pub(crate) succeeded: bool,
    /// Why it could not be run.
    error: Option<io::Error>,
    took: Duration,
}

impl Step {
    /// Runs `work`, which says whether it succeeded, between two lines on standard output.
    /// An error counts as a failure and is shown: the steps after it still have something to tell.
    pub(crate) fn run(name: &'static str, work: impl FnOnce() -> io::Result<bool>) -> io::Result<Self> {
        crate::say(&format!("==> {name}"))?;
        let step = Self::timed(name, work);
        crate::say(&step.to_string())?;
        Ok(step)
    }

    fn timed(name: &'static str, work: impl FnOnce() -> io::Result<bool>) -> Self {
        let start = Instant::now();
        let (succeeded, error) = match work() {
            Ok(succeeded) => (succeeded, None),
            Err(error) => (false, Some(error)),
        };
        Self { name, succeeded, error, took: start.elapsed() }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.succeeded { "ok" } else { "FAILED" };
        write!(out, "<== {}: {word}, {:.1} s", self.name, self.took.as_secs_f64())?;
        match &self.error {
            Some(error) => write!(out, ": {error}"),
            None => Ok(()),
        }
    }
}

/// Runs a program to its end; true when it exits with 0. Its output goes where ours goes.
pub(crate) fn succeeds(command: &mut Command) -> io::Result<bool> {
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            Err(io::Error::new(error.kind(), format!("could not start {program}: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_error_is_a_failed_step_and_not_the_end_of_the_chore() {
        let step = Step::timed("sample", || Err(io::Error::other("no such program")));
        assert!(!step.succeeded);
        let line = step.to_string();
        assert!(line.starts_with("<== sample: FAILED, "), "{line}");
        assert!(line.ends_with(" s: no such program"), "{line}");
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = succeeds(&mut Command::new("meshwork-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("meshwork-no-such-program"), "{error}");
    }
}
