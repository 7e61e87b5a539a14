//! `cargo deny`: the licences, sources and versions of what we depend on, by the rules in `deny.toml`.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use crate::repository::Repository;
use crate::step::succeeds;

/// Pinned, so that a release of the checker can't turn a green tree red.
const VERSION: &str = "0.20.2";

/// Checks the lock file; installs the checker first when neither cargo nor the build folder has it.
pub(crate) fn check(repository: &Repository) -> io::Result<bool> {
    let arguments = ["check", "bans", "licenses", "sources"];
    if is_installed(repository)? {
        return succeeds(repository.cargo().arg("deny").args(arguments));
    }
    let program = cached(repository);
    if !program.is_file() && !install(repository)? {
        return Ok(false);
    }
    succeeds(repository.command(program).args(arguments))
}

fn is_installed(repository: &Repository) -> io::Result<bool> {
    let mut command = repository.cargo();
    command.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    succeeds(&mut command)
}

/// The folder carries the version: another pin means another build.
fn folder(repository: &Repository) -> PathBuf {
    repository.tools().join(format!("cargo-deny-{VERSION}"))
}

fn cached(repository: &Repository) -> PathBuf {
    folder(repository).join("bin").join("cargo-deny")
}

/// Builds the checker from source, once: about a minute on two cores without optimisation (with it, more than three).
fn install(repository: &Repository) -> io::Result<bool> {
    let folder = folder(repository);
    let build = folder.join("build");
    let mut command = repository.cargo();
    command
        .args(["install", "cargo-deny", "--locked", "--debug", "--version", VERSION])
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.arg("--root").arg(&folder).arg("--target-dir").arg(&build);
    let installed = succeeds(&mut command)?;
    if build.is_dir() {
        std::fs::remove_dir_all(&build)?;
    }
    Ok(installed)
}
