//! Files and functions stay readable. What is longer is listed in `xtask/tidy-ratchet.txt`, which only shrinks.

use std::collections::BTreeMap;

use super::Finding;
use super::files::Files;

/// The list of exceptions: lines of `path limit` and `path::function limit`, and `#` comments.
const RATCHET: &str = "xtask/tidy-ratchet.txt";

/// Lines of code of a file outside its tests. White space and comments are free.
const FILE: usize = 600;
/// Lines of code of a file with its tests: beyond this the tests move to a file of their own.
const FILE_WITH_TESTS: usize = 1_000;
/// All lines of a function, from `fn` to the closing brace: one screen.
const FUNCTION: usize = 70;

/// Something with a length, and the limit that it would have without an exception.
struct Length<'a> {
    path: &'a str,
    line: usize,
    what: String,
    found: usize,
    limit: usize,
}

/// Nothing is longer than its limit or its exception, and every exception is needed.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let (mut exceptions, mut findings) = read(files.text_of(RATCHET).unwrap_or_default());
    for (key, length) in too_long(files) {
        let Length { path, line, what, found, limit } = length;
        match exceptions.remove(&key) {
            Some((_, allowed)) if found <= allowed => {}
            Some((_, allowed)) => {
                let message = format!("{what} has {found} lines; its exception in {RATCHET} ends at {allowed}");
                findings.push(Finding::new(path, line, message));
            }
            None => {
                findings.push(Finding::new(path, line, format!("{what} has {found} lines; expected at most {limit}")));
            }
        }
    }
    findings.extend(exceptions.into_iter().map(|(key, (line, _))| {
        Finding::new(RATCHET, line, format!("the exception for {key} is no longer needed: remove it"))
    }));
    findings
}

/// The exceptions by key with their line and limit, and what could not be read.
fn read(text: &str) -> (BTreeMap<String, (usize, usize)>, Vec<Finding>) {
    let (mut exceptions, mut findings) = (BTreeMap::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.rsplit_once(' ').and_then(|(key, limit)| Some((key.to_owned(), limit.parse().ok()?)));
        let is_new = entry.map(|(key, limit)| exceptions.insert(key, (index + 1, limit)).is_none());
        match is_new {
            Some(true) => {}
            Some(false) => findings.push(Finding::new(RATCHET, index + 1, "this exception is listed twice")),
            None => findings.push(Finding::new(RATCHET, index + 1, "expected `path limit` or `path::function limit`")),
        }
    }
    (exceptions, findings)
}

/// What is over its limit, by the key that an exception would have. Of two functions with one name the longer.
fn too_long(files: &Files) -> BTreeMap<String, Length<'_>> {
    let mut lengths: BTreeMap<String, Length<'_>> = BTreeMap::new();
    for (path, rust) in files.rust() {
        let (code, tests) = rust.lines_of_code();
        if code > FILE {
            let what = "the code of this file".to_owned();
            lengths.insert(path.to_owned(), Length { path, line: 0, what, found: code, limit: FILE });
        } else if code + tests > FILE_WITH_TESTS {
            let what = "this file with its tests".to_owned();
            let length = Length { path, line: 0, what, found: code + tests, limit: FILE_WITH_TESTS };
            lengths.insert(path.to_owned(), length);
        }
        for function in rust.functions().into_iter().filter(|function| function.lines > FUNCTION) {
            let key = format!("{path}::{}", function.name);
            if lengths.get(&key).is_some_and(|longer| longer.found >= function.lines) {
                continue;
            }
            let what = format!("function {}", function.name);
            lengths.insert(key, Length { path, line: function.line, what, found: function.lines, limit: FUNCTION });
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    fn found(source: &str, ratchet: &str) -> Vec<String> {
        let files = Files::samples(&[("a.rs", source), (RATCHET, ratchet)]);
        check(&files).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn functions_end_on_the_screen_they_began_on() {
        assert_eq!(found(&function(FUNCTION), ""), [""; 0]);
        assert_eq!(found(&function(FUNCTION + 1), ""), ["a.rs:1: function long has 71 lines; expected at most 70"]);
    }

    #[test]
    fn files_are_measured_without_and_with_their_tests() {
        let code = "const A: u8 = 0;\n// why\n\n";
        assert_eq!(found(&code.repeat(FILE), ""), [""; 0]);
        assert_eq!(
            found(&code.repeat(FILE + 1), ""),
            ["a.rs: the code of this file has 601 lines; expected at most 600"]
        );
        let tests =
            |lines| format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", code.repeat(FILE), "use a;\n".repeat(lines));
        assert_eq!(found(&tests(397), ""), [""; 0]);
        assert_eq!(found(&tests(398), ""), ["a.rs: this file with its tests has 1001 lines; expected at most 1000"]);
    }

    #[test]
    fn an_exception_holds_up_to_its_own_limit() {
        assert_eq!(found(&function(80), "# split it\na.rs::long 80\n"), [""; 0]);
        let longer = found(&function(81), "a.rs::long 80\n");
        assert_eq!(longer, ["a.rs:1: function long has 81 lines; its exception in xtask/tidy-ratchet.txt ends at 80"]);
    }

    #[test]
    fn an_exception_that_nothing_needs_is_found() {
        let stale = ["xtask/tidy-ratchet.txt:1: the exception for a.rs::long is no longer needed: remove it"];
        assert_eq!(found(&function(70), "a.rs::long 80\n"), stale);
        assert_eq!(
            found("", "a.rs 700 lines\n"),
            ["xtask/tidy-ratchet.txt:1: expected `path limit` or `path::function limit`"]
        );
        assert_eq!(found(&function(80), "a.rs::long 80\na.rs::long 81\n").len(), 1);
    }
}
