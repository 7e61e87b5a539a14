//! `cargo xtask test`: all tests, from a fresh machine, with one closing line.

use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;

use crate::counts::{Counts, Tally};
use crate::repository::Repository;
use crate::step::{Step, succeeds};
use crate::{needs, node, say};

/// How many random sequences of operations the core is put through: a plain `cargo test` tries 10,000 in some
/// seconds, this command the number that the project claims, in a minute or two.
const SEQUENCES: &str = "MESHWORK_SEQUENCES";
const SEQUENCES_HERE: &str = "100000";

/// Runs the tests; true when all passed. The last line of output is the counts, alone on its line.
pub(crate) fn chore(repository: &Repository) -> io::Result<bool> {
    let needs = Step::run("needs", || needs::provide(repository))?;
    let (steps, counts) = steps(repository, needs)?;
    say(&counts.to_string())?;
    Ok(succeeded(&steps))
}

/// The build and the tests, when what they need is there. Each rests on the one before, so the first failure
/// ends it; all that were begun are returned.
pub(crate) fn steps(repository: &Repository, needs: Step) -> io::Result<(Vec<Step>, Counts)> {
    let mut counts = Tally::default().finish(false);
    let mut steps = vec![needs];
    if succeeded(&steps) {
        let arguments = ["test", "--workspace", "--no-run"];
        steps.push(Step::run("build tests", || succeeds(repository.cargo().args(arguments)))?);
    }
    if succeeded(&steps) {
        steps.push(Step::run("run tests", || run(repository, &mut counts))?);
        // Also when those failed: it rests on the build alone, and has something else to tell.
        steps.push(Step::run("node tests", || node::test(repository, &mut counts))?);
    }
    Ok((steps, counts))
}

fn succeeded(steps: &[Step]) -> bool {
    steps.iter().all(|step| step.succeeded)
}

/// Runs unit, integration and documentation tests, passing their output on as it comes.
fn run(repository: &Repository, counts: &mut Counts) -> io::Result<bool> {
    let mut command = repository.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    if std::env::var_os(SEQUENCES).is_none() {
        command.env(SEQUENCES, SEQUENCES_HERE);
    }
    let mut child = command.spawn()?;
    let output = child.stdout.take().ok_or_else(|| io::Error::other("cargo test has no output to read"))?;
    let tally = pass_on(BufReader::new(output), io::stdout());
    let status = child.wait()?;
    let succeeded = status.success();
    *counts = tally?.finish(succeeded);
    Ok(succeeded)
}

/// Copies lines to `out` and counts them. Bytes that are not text are copied too; they are not libtest's.
fn pass_on(mut lines: impl BufRead, mut out: impl Write) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        tally.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn output_goes_through_unchanged_and_is_counted() {
        let output =
            b"\xff\nrunning 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; 2 ignored; 0 measured\nlast";
        let mut copy = Vec::new();
        let tally = pass_on(&output[..], &mut copy).unwrap();
        assert_eq!(copy, output);
        assert_eq!(tally.finish(true), Counts { passed: 1, failed: 0, skipped: 2 });
    }
}
