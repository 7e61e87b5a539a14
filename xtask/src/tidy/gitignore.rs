//! Ignored paths are anchored: `/target` ignores one folder, `target` any that is called so, now or later.

use super::Finding;
use super::files::Files;

/// Every pattern of every `.gitignore` starts with `/` (or `!/`).
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.name() == ".gitignore") {
        for (number, line) in file.lines() {
            let pattern = line.strip_prefix('!').unwrap_or(line);
            if !pattern.is_empty() && !line.starts_with('#') && !pattern.starts_with('/') {
                let message = format!("the pattern {line} is not anchored; expected a `/` before it");
                findings.push(Finding::new(&file.path, number, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_matches_anywhere_is_found() {
        let files = Files::samples(&[("a/.gitignore", "# builds\n/target\n!/target/keep\n\n*.log\n!b\n")]);
        let lines: Vec<usize> = check(&files).iter().map(|found| found.line).collect();
        assert_eq!(lines, [5, 6]);
    }
}
