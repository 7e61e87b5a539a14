//! `cargo xtask ci`: everything that must hold before a change goes in.

use std::io;

use crate::repository::Repository;
use crate::step::{Step, succeeds};
use crate::{deny, needs, say, test, tidy};

/// Runs all checks, also after one failed, so that one run tells everything. True when all held.
/// The last line of output is the test counts, after a table of the steps.
pub(crate) fn chore(repository: &Repository) -> io::Result<bool> {
    let cargo = |arguments: &[&str]| succeeds(repository.cargo().args(arguments));
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    // First, because linting compiles C too.
    let needs = Step::run("needs", || needs::provide(repository))?;
    let mut steps = vec![
        Step::run("format", || cargo(&["fmt", "--all", "--check"]))?,
        Step::run("clippy", || cargo(&clippy))?,
        Step::run("documentation", || document(repository))?,
        Step::run("deny", || deny::check(repository))?,
        Step::run("tidy", || tidy::chore(repository))?,
    ];
    let (tests, counts) = test::steps(repository, needs)?;
    steps.extend(tests);
    for step in &steps {
        say(&step.to_string())?;
    }
    say(&counts.to_string())?;
    Ok(steps.iter().all(|step| step.succeeded))
}

/// Builds the pages with every warning an error: broken links are found here.
fn document(repository: &Repository) -> io::Result<bool> {
    let mut command = repository.cargo();
    command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    succeeds(&mut command)
}
