//! What the library's errors are to somebody at a command line: an exit code, a name, a place, and what changed.

use crate::failure::{CliFailure, ExitCode};
use meshwork::artifacts::ArtifactError;
use meshwork::file::FileError;
use meshwork::file::wfformat::ImportError;
use meshwork::high_water::LedgerError;
use meshwork::local::LocalError;
use meshwork::log::LogError;
use meshwork::mesh::MeshError;
use meshwork::state::StateError;
use meshwork::view::ReplayError;
use std::fmt::Debug;
use std::io;
use std::path::Path;

/// The name of an error for programs: that of its variant.
pub fn name_of(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(|c| c.is_ascii_alphanumeric()).collect()
}

/// An operation on a file of the user's that the system refused. Nothing was changed.
pub fn file_refused(what: &str, path: &Path, error: &io::Error) -> CliFailure {
    CliFailure::usage("File", format!("could not {what}: {error}; nothing was changed")).in_file(path)
}

impl From<FileError> for CliFailure {
    /// The first problem has the place; the others follow, each with its own.
    fn from(error: FileError) -> Self {
        let first = error.first();
        let mut alone = first.clone();
        (alone.file, alone.line, alone.column) = (String::new(), None, None);
        let mut message = alone.to_string().trim_start_matches(": ").to_owned();
        for problem in &error.problems()[1..] {
            message.push_str(&format!("\n{problem}"));
        }
        match error.omitted() {
            0 => {}
            1 => message.push_str("\nand 1 more problem"),
            more => message.push_str(&format!("\nand {more} more problems")),
        }
        let mut failure = Self::usage(error.code().to_string(), message).in_file(&first.file);
        failure.line = first.line.map(u64::from);
        failure
    }
}

impl From<StateError> for CliFailure {
    fn from(error: StateError) -> Self {
        Self::usage(name_of(&error), error.to_string())
    }
}

impl From<LogError> for CliFailure {
    fn from(error: LogError) -> Self {
        // A folder without a log is one in which no swarm was started yet: nothing is broken.
        let code = if matches!(error, LogError::NotFound { .. }) { ExitCode::Usage } else { ExitCode::Unusable };
        Self::new(code, name_of(&error), error.to_string())
    }
}

impl From<ReplayError> for CliFailure {
    fn from(error: ReplayError) -> Self {
        let name = match &error {
            ReplayError::Fault(fault) => name_of(fault),
            ReplayError::Codec { .. } => name_of(&error),
        };
        Self::unusable(name, error.to_string())
    }
}

impl From<LedgerError> for CliFailure {
    fn from(error: LedgerError) -> Self {
        Self::unusable(name_of(&error), error.to_string())
    }
}

impl From<ArtifactError> for CliFailure {
    fn from(error: ArtifactError) -> Self {
        let code = match &error {
            ArtifactError::Key(_) | ArtifactError::NotFound { .. } => ExitCode::Usage,
            _ => ExitCode::Unusable,
        };
        Self::new(code, name_of(&error), error.to_string())
    }
}

impl From<ImportError> for CliFailure {
    fn from(error: ImportError) -> Self {
        Self::usage(name_of(&error), error.to_string())
    }
}

impl From<LocalError> for CliFailure {
    fn from(error: LocalError) -> Self {
        let code = if error.exit_code() == 2 { ExitCode::Usage } else { ExitCode::Unusable };
        let name = match &error {
            LocalError::State(error) => name_of(error),
            LocalError::Log(error) => name_of(error),
            LocalError::Artifacts(error) => name_of(error),
            LocalError::Mesh(MeshError::Log(error)) => name_of(error),
            LocalError::Mesh(MeshError::Refused(error)) => name_of(error),
            LocalError::Ledger(error) => name_of(error),
            LocalError::Mesh(MeshError::Ledger(error)) => name_of(error),
            LocalError::Mesh(MeshError::Fault(fault)) => name_of(fault),
            LocalError::Mesh(error) => name_of(error),
            other => name_of(other),
        };
        Self::new(code, name, error.to_string())
    }
}
