//! Where the repository and its build folder are, and how a program is started in it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository and the folder that cargo builds in.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    target: PathBuf,
}

impl Repository {
    /// The repository that cargo runs this program for; started without cargo, the one it was built from.
    pub(crate) fn find() -> io::Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR");
        let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package)
            .parent()
            .ok_or_else(|| io::Error::other("xtask has no folder above it; expected the repository"))?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root: root.to_path_buf(), target })
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where chores keep programs that they installed: inside the build folder, so that `cargo clean` removes them.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// `program`, to be run at the root with nothing to read on its standard input.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(std::process::Stdio::null());
        command
    }

    /// The cargo that started this chore, or the one on the path.
    pub(crate) fn cargo(&self) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }
}
