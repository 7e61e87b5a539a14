//! `cargo xtask fuzz`: a campaign of random inputs against the decoders and `apply`.

use std::io;

use crate::repository::Repository;
use crate::step::succeeds;

/// Builds the campaign with every assertion in it and runs it with these words; true when no promise was broken.
pub(crate) fn chore(repository: &Repository, words: &[&str]) -> io::Result<bool> {
    let words = if words.is_empty() { &["all"] } else { words };
    let mut command = repository.cargo();
    command.args(["run", "--quiet", "--profile", "fuzz", "-p", "meshwork-fuzz", "--"]).args(words);
    succeeds(&mut command)
}
