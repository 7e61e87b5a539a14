//! What can be wrong with a swarm file, as one typed error. Reading a file changes nothing, so no
//! error here leaves any state behind.

use std::fmt;

use serde::Serialize;

/// Problems that are kept with their text; further ones are counted.
pub const MAX_PROBLEMS: usize = 50;

/// A stable word for what is wrong; scripts may rely on it.
///
/// ```
/// use meshwork::file::{Code, Format, parse};
///
/// let text = r#"
///     peers = [{ id = "ada" }]
///     tasks = [
///         { id = "test", run = "make", dependencies = ["biuld"] },
///         { id = "docs", run = "" },
///     ]
/// "#;
/// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
/// let codes: Vec<Code> = error.problems().iter().map(|problem| problem.code).collect();
/// assert_eq!(codes, [Code::UnknownDependency, Code::EmptyRun]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub enum Code {
    /// There is no such file.
    FileNotFound,
    /// The path is a folder, a device or a pipe.
    NotAFile,
    /// The operating system refused to read it.
    Unreadable,
    /// More than [`super::MAX_FILE_BYTES`].
    FileTooLarge,
    /// A byte sequence that is not UTF-8.
    InvalidUtf8,
    /// The file's ending is none of .toml, .yaml, .yml, .json.
    UnknownFormat,
    /// Not well-formed TOML, YAML or JSON.
    Syntax,
    /// Nested deeper than the limit.
    TooDeep,
    /// A key that is not known here.
    UnknownKey,
    /// A key that stands twice.
    DuplicateKey,
    /// A required key is missing.
    MissingKey,
    /// A key or word of the design that this version does not have.
    NotYet,
    /// A value of another type.
    WrongType,
    /// A value that is not one of the known words.
    UnknownWord,
    /// A value of the right type that is not allowed.
    InvalidValue,
    /// A text that is not a duration.
    InvalidDuration,
    /// A priority outside 1 to 10.
    PriorityOutOfRange,
    /// A number outside its limits.
    OutOfRange,
    /// An id, type or capability that breaks the rules for names.
    InvalidId,
    /// Two tasks, two peers or two expanded peers of one name.
    DuplicateId,
    /// A dependency on a task that the file does not have.
    UnknownDependency,
    /// Tasks that wait for each other.
    DependencyCycle,
    /// A task for shell peers without a `run` line.
    MissingRun,
    /// A `run` line without anything in it.
    EmptyRun,
    /// The file names no peers.
    NoPeers,
    /// More peers than `max_agents` or than the limit.
    TooManyPeers,
    /// More tasks than `limits.tasks`.
    TooManyTasks,
    /// `command` given to a shell agent.
    CommandNotAllowed,
    /// `wake_interval` given to a shell agent.
    WakeNotAllowed,
    /// An agent of kind command without `command`.
    MissingCommand,
    /// An environment variable that cannot be set.
    InvalidEnvironment,
    /// `verify` without `run` and without artifacts.
    EmptyVerify,
    /// An artifact path that is absolute, empty or leaves the folder.
    InvalidPath,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that is wrong.
///
/// ```
/// use meshwork::file::{Format, parse};
///
/// let text = r#"
///     peers = [{ id = "ada" }]
///     tasks = [
///         { id = "test", run = "make", dependencies = ["biuld"] },
///         { id = "docs", run = "" },
///     ]
/// "#;
/// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
/// let problem = error.first();
/// assert_eq!((&*problem.file, problem.line), ("swarm.toml", Some(4)));
/// assert!(problem.found.contains("biuld"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What sort of problem.
    pub code: Code,
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong, without the two below.
    pub message: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)?;
        match (self.found.is_empty(), self.expected.is_empty()) {
            (false, false) => write!(f, ": found {}, expected {}", self.found, self.expected),
            (false, true) => write!(f, ": found {}", self.found),
            (true, false) => write!(f, "; expected {}", self.expected),
            (true, true) => Ok(()),
        }
    }
}

/// Everything that is wrong with a swarm file, in the order of the file. Never empty.
///
/// ```
/// use meshwork::file::{Format, parse};
///
/// let text = r#"
///     peers = [{ id = "ada" }]
///     tasks = [
///         { id = "test", run = "make", dependencies = ["biuld"] },
///         { id = "docs", run = "" },
///     ]
/// "#;
/// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
/// assert!(error.to_string().starts_with("swarm.toml:4:") && error.to_string().ends_with("(and 1 more problem)"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct FileError {
    /// The first [`MAX_PROBLEMS`] problems.
    problems: Vec<Problem>,
    /// How many more there are.
    omitted: usize,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first())?;
        match self.problems.len() + self.omitted - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more problem)"),
            more => write!(f, " (and {more} more problems)"),
        }
    }
}

impl FileError {
    /// An error of one problem and those that follow it.
    pub(super) fn new(first: Problem, rest: Vec<Problem>, omitted: usize) -> Self {
        let mut problems = vec![first];
        problems.extend(rest);
        Self { problems, omitted }
    }

    /// The problems, in the order of the file, at most [`MAX_PROBLEMS`].
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = r#"
    ///     peers = [{ id = "ada" }]
    ///     tasks = [
    ///         { id = "test", run = "make", dependencies = ["biuld"] },
    ///         { id = "docs", run = "" },
    ///     ]
    /// "#;
    /// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
    /// assert_eq!(error.problems().len(), 2);
    /// ```
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems there are beyond [`Self::problems`].
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = r#"
    ///     peers = [{ id = "ada" }]
    ///     tasks = [
    ///         { id = "test", run = "make", dependencies = ["biuld"] },
    ///         { id = "docs", run = "" },
    ///     ]
    /// "#;
    /// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
    /// assert_eq!(error.omitted(), 0, "all of them are told");
    /// ```
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// The first problem.
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = r#"
    ///     peers = [{ id = "ada" }]
    ///     tasks = [
    ///         { id = "test", run = "make", dependencies = ["biuld"] },
    ///         { id = "docs", run = "" },
    ///     ]
    /// "#;
    /// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
    /// assert_eq!(error.first(), &error.problems()[0]);
    /// ```
    #[must_use]
    pub fn first(&self) -> &Problem {
        &self.problems[0]
    }

    /// The first problem's code.
    ///
    /// ```
    /// use meshwork::file::{Code, Format, parse};
    ///
    /// let text = r#"
    ///     peers = [{ id = "ada" }]
    ///     tasks = [
    ///         { id = "test", run = "make", dependencies = ["biuld"] },
    ///         { id = "docs", run = "" },
    ///     ]
    /// "#;
    /// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
    /// assert_eq!(error.code(), Code::UnknownDependency);
    /// ```
    #[must_use]
    pub fn code(&self) -> Code {
        self.first().code
    }

    /// The first problem's line.
    ///
    /// ```
    /// use meshwork::file::{Format, parse};
    ///
    /// let text = r#"
    ///     peers = [{ id = "ada" }]
    ///     tasks = [
    ///         { id = "test", run = "make", dependencies = ["biuld"] },
    ///         { id = "docs", run = "" },
    ///     ]
    /// "#;
    /// let error = parse(text, Format::Toml, "swarm.toml").expect_err("two things are wrong with it");
    /// assert_eq!(error.line(), Some(4));
    /// ```
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.first().line
    }
}
