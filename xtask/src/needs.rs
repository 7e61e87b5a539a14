//! What the tests need on a machine beside the Rust toolchain, and how it gets there.
//!
//! One function a kind of need, called by [`provide`]: programs of the operating system are the first kind.
//! A server, packages of another language or a browser are further kinds: each finds what is on the path,
//! else fetches it below [`Repository::tools`](crate::repository::Repository::tools), and fails with a sentence that says what is missing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::repository::Repository;
use crate::step::succeeds;

/// A program that tests or builds start, and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    name: &'static str,
    package: &'static str,
    why: &'static str,
}

/// What the npm package needs. Its tests are left out where these can't be had, and the run says so.
const NODE: [Program; 2] = [
    Program { name: "node", package: "nodejs", why: "runs the tests of the npm package" },
    Program { name: "npm", package: "npm", why: "fetches the compiler of their types" },
];

/// The oldest Node.js that the npm package is for.
const NODE_AT_LEAST: u32 = 20;

const PROGRAMS: [Program; 5] = [
    Program { name: "cc", package: "build-essential", why: "compiles the bundled SQLite" },
    Program { name: "git", package: "git", why: "lists the files that tidy looks at" },
    Program { name: "sh", package: "dash", why: "runs the tasks of shell peers" },
    Program { name: "setsid", package: "util-linux", why: "tests make processes that leave their group" },
    Program { name: "xargs", package: "findutils", why: "the reference that shell tasks are measured against" },
];

/// Makes sure that everything is there which the tests start. Installs what is missing where it may; true, or
/// an error that names what is still missing.
pub(crate) fn provide(repository: &Repository) -> io::Result<bool> {
    provide_programs(repository)?;
    Ok(true)
}

fn provide_programs(repository: &Repository) -> io::Result<()> {
    let missing = provided(repository, &PROGRAMS)?;
    if missing.is_empty() { Ok(()) } else { Err(io::Error::other(explain(&missing))) }
}

/// Installs those of `programs` that are missing, where it may; those that still are.
fn provided(repository: &Repository, programs: &[Program]) -> io::Result<Vec<Program>> {
    let missing = missing(programs, &search_path());
    let has_apt = search_path().iter().any(|folder| is_program(&folder.join("apt-get")));
    if missing.is_empty() || !has_apt || !is_root()? {
        return Ok(missing);
    }
    install(repository, &missing)?;
    Ok(self::missing(&missing, &search_path()))
}

/// Nothing when there is a Node.js that the npm package can be tested with; else why there is none.
pub(crate) fn provide_node(repository: &Repository) -> io::Result<Option<String>> {
    let missing = provided(repository, &NODE)?;
    if !missing.is_empty() {
        return Ok(Some(explain(&missing)));
    }
    let output = repository.command("node").arg("--version").output()?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let too_old = major(&found).is_none_or(|major| major < NODE_AT_LEAST);
    Ok(too_old.then(|| format!("node is {found}, expected v{NODE_AT_LEAST} or later")))
}

/// `v20.1.0` → 20.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Those of `programs` that no folder holds.
fn missing(programs: &[Program], folders: &[PathBuf]) -> Vec<Program> {
    let here = |program: &Program| folders.iter().any(|folder| is_program(&folder.join(program.name)));
    programs.iter().filter(|program| !here(program)).copied().collect()
}

fn explain(missing: &[Program]) -> String {
    let mut text = String::from("programs are missing and could not be installed (that needs root and apt-get):");
    for Program { name, package, why } in missing {
        text.push_str(&format!("\n  {name} ({why}): Debian package {package}"));
    }
    text
}

fn install(repository: &Repository, missing: &[Program]) -> io::Result<()> {
    let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    crate::say(&format!("installing {}", packages.join(", ")))?;
    let apt = || {
        let mut apt = repository.command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        apt
    };
    // Failures are not final here: whether the programs are there is looked at afterwards.
    if succeeds(apt().arg("update"))? {
        succeeds(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
    }
    Ok(())
}

fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// Whether this process may install packages. Linux shows the owner of a process as the owner of its folder.
fn is_root() -> io::Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_found_out_and_named_with_its_package() {
        let nowhere = [PathBuf::from("/nonexistent")];
        let missing = missing(&PROGRAMS, &nowhere);
        assert_eq!(missing, PROGRAMS);
        let text = explain(&missing);
        assert!(text.contains("setsid") && text.contains("util-linux"), "{text}");
    }

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(["v20.20.2", "v9.0.0", "20.1.0", ""].map(major), [Some(20), Some(9), None, None]);
    }

    #[test]
    fn what_is_on_the_path_is_not_missing() {
        let shell = PROGRAMS.iter().find(|program| program.name == "sh").copied();
        assert_eq!(missing(shell.as_slice(), &search_path()), []);
    }
}
