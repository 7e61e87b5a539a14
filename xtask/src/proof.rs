//! `cargo xtask model` and `cargo xtask mutants`: the campaigns of `proof`, optimised.

use std::io;

use crate::repository::Repository;
use crate::step::succeeds;

/// Runs a command of `proof` with these words; true when everything holds.
pub(crate) fn chore(repository: &Repository, command: &str, words: &[&str]) -> io::Result<bool> {
    let mut cargo = repository.cargo();
    cargo.args(["run", "--quiet", "--release", "-p", "meshwork-proof", "--", command]).args(words);
    succeeds(&mut cargo)
}
