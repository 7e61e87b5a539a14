//! Tidy: the rules of the house that a program can check, run as a test (`cargo test -p xtask`).
//!
//! A rule is a function from the files to findings; [`RULES`] lists them. A new rule is a function in the
//! module of its concern, a line there, and a test with a small bad sample.

use std::fmt;
use std::io;
use std::path::Path;

use crate::repository::Repository;

mod attributes;
mod examples;
mod files;
mod gitignore;
mod length;
mod manifest;
mod mask;
mod names;
mod phrases;
mod purity;
mod rust;
mod size;
mod sleep;
mod text;
mod unsafety;

use files::Files;

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 when the file as a whole is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.message),
            line => write!(out, "{}:{line}: {}", self.path, self.message),
        }
    }
}

type Rule = fn(&Files) -> Vec<Finding>;

const RULES: [Rule; 14] = [
    purity::code,
    purity::dependencies,
    length::check,
    phrases::check,
    names::check,
    attributes::check,
    examples::check,
    sleep::check,
    gitignore::check,
    text::check,
    size::check,
    manifest::check,
    manifest::features_for_tests,
    unsafety::check,
];

/// Checks all files that git tracks or would track. Sorted by path and line.
fn check(root: &Path) -> io::Result<(usize, Vec<Finding>)> {
    let files = Files::of_repository(root)?;
    Ok((files.len(), findings(&files)))
}

fn findings(files: &Files) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(files)).collect();
    findings.sort();
    findings.dedup();
    findings
}

/// Prints what was found, one line each, and how many files were looked at. True when nothing was found.
pub(crate) fn chore(repository: &Repository) -> io::Result<bool> {
    let (count, findings) = check(repository.root())?;
    for finding in &findings {
        crate::say(&finding.to_string())?;
    }
    crate::say(&format!("{count} files, {} findings", findings.len()))?;
    Ok(findings.is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let (count, findings) = check(Repository::find().unwrap().root()).unwrap();
        assert!(count > 10, "only {count} files were looked at");
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }

    #[test]
    fn findings_are_ordered_and_say_where() {
        let files = Files::samples(&[("b.md", "x \n"), ("a.md", "one\ntwo \n")]);
        let lines: Vec<String> = findings(&files).iter().map(Finding::to_string).collect();
        assert_eq!(lines, ["a.md:2: white space at the end of the line", "b.md:1: white space at the end of the line"]);
    }
}
