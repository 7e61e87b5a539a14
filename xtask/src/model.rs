//! `cargo xtask model`: every state of a model of the production rules.

use std::io;

use crate::repository::Repository;
use crate::step::succeeds;

/// Builds the explorer as a release and runs it with these words; true when every property holds.
pub(crate) fn chore(repository: &Repository, words: &[&str]) -> io::Result<bool> {
    let mut command = repository.cargo();
    command.args(["run", "--quiet", "--release", "-p", "meshwork-proof", "--", "model"]).args(words);
    succeeds(&mut command)
}
