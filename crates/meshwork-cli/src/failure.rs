//! How a command ends when it does not end well: an exit code and an error that says what happened to the state.

use serde::Serialize;
use std::path::PathBuf;

/// Exit codes of the contracts, section 3, for what could not be done; the others are [`Ending`](crate::ending::Ending)s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Usage or configuration: nothing was started or created.
    Usage = 2,
    /// The log, the broker or the swarm's node is unusable.
    Unusable = 4,
}

impl ExitCode {
    /// The number for the operating system.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Why a command did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliFailure {
    /// The exit code.
    pub code: ExitCode,
    /// The error's name for programs, in upper camel case.
    pub error_code: String,
    /// What was found and what was expected, for people.
    pub message: String,
    /// The file that it is about.
    pub file: Option<PathBuf>,
    /// The line in that file, from 1.
    pub line: Option<u64>,
    /// Whether something changed, or may have.
    pub state_changed: bool,
}

impl CliFailure {
    /// A failure that changed nothing.
    pub fn new(code: ExitCode, error_code: impl Into<String>, message: impl Into<String>) -> Self {
        let (error_code, message) = (error_code.into(), message.into());
        Self { code, error_code, message, file: None, line: None, state_changed: false }
    }

    /// Wrong usage or configuration; nothing was changed.
    pub fn usage(error_code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, error_code, message)
    }

    /// The log, the broker or the swarm's node cannot be used; nothing was changed.
    pub fn unusable(error_code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unusable, error_code, message)
    }

    /// The same, about that file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The same, with something changed, or perhaps changed.
    #[must_use]
    pub fn changed(mut self, state_changed: bool) -> Self {
        self.state_changed = state_changed;
        self
    }

    /// The document that `--format json` prints: `{"schemaVersion", "error": {…}}`.
    pub fn document(&self) -> serde_json::Value {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            code: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            file: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            line: Option<u64>,
            state_changed: bool,
        }
        let body = Body {
            code: &self.error_code,
            message: &self.message,
            file: self.file.as_ref().map(|file| file.display().to_string()),
            line: self.line,
            state_changed: self.state_changed,
        };
        serde_json::json!({ "schemaVersion": 1, "error": body })
    }
}

impl std::fmt::Display for CliFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliFailure {}
