//! White space: no tabs, none at the end of a line, lines end with LF, the last one too.

use super::Finding;
use super::files::{File, Files};

/// Inputs of the fuzz targets: what is wrong with them is their point.
const INPUTS: &str = "fuzz/corpus/";

/// All texts but the lock file, which cargo writes, and inputs of fuzz targets.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let ours = |file: &&File| file.name() != "Cargo.lock" && !file.path.starts_with(INPUTS);
    files.iter().filter(ours).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |line, message: &str| findings.push(Finding::new(&file.path, line, message));
    for (number, line) in file.lines() {
        if line.contains('\r') {
            say(number, "a carriage return; expected LF alone");
        } else if line.ends_with(|letter: char| letter.is_whitespace()) {
            say(number, "white space at the end of the line");
        }
        if line.contains('\t') {
            say(number, "a tab; expected spaces");
        }
    }
    let text = file.text.as_deref().unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        say(0, "no line break at the end of the file");
    } else if text.ends_with("\n\n") {
        say(0, "empty lines at the end of the file");
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check(&Files::samples(&[("a", text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn white_space_that_nobody_sees_is_found() {
        assert_eq!(found("a \n"), ["a:1: white space at the end of the line"]);
        assert_eq!(found("x\n\ta\n"), ["a:2: a tab; expected spaces"]);
        assert_eq!(found("a\r\n"), ["a:1: a carriage return; expected LF alone"]);
        assert_eq!(found("a"), ["a: no line break at the end of the file"]);
        assert_eq!(found("a\n\n"), ["a: empty lines at the end of the file"]);
    }

    #[test]
    fn clean_and_empty_files_pass() {
        assert_eq!(found("a\n\n  b\n"), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }
}
