//! The tests of the npm package: its compiled part is built, its types are compared with the seed's, its behaviour is
//! tested by `node --test`. What passed is added to the counts.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::counts::Counts;
use crate::repository::Repository;
use crate::step::succeeds;
use crate::{needs, say};

/// Below the root.
const PACKAGE: &str = "crates/meshwork-js";

/// Runs them, and adds to `counts`; true when all passed. Where there is no Node.js to be had, they count as skipped.
pub(crate) fn test(repository: &Repository, counts: &mut Counts) -> io::Result<bool> {
    if let Some(why) = needs::provide_node(repository)? {
        say(&format!("the npm package is not tested: {why}"))?;
        counts.skipped += 1;
        return Ok(true);
    }
    let package = repository.root().join(PACKAGE);
    let command = |program: &str, arguments: &[&str]| {
        let mut command = repository.command(program);
        command.current_dir(&package).args(arguments);
        command
    };
    let fetched = is_fetched(&package) || succeeds(&mut command("npm", &["ci", "--no-audit", "--no-fund"]))?;
    if !fetched || !succeeds(&mut command("node", &["scripts/build.js", "--debug"]))? {
        counts.failed += 1;
        return Ok(false);
    }
    let mut tests = command("node", &["--test", "--test-reporter=tap"]);
    tests.args(files(&package.join("test"))?);
    let output = tests.stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    say(&text)?;
    let found = tally(&text, output.status.success());
    counts.passed += found.passed;
    counts.failed += found.failed;
    counts.skipped += found.skipped;
    Ok(output.status.success())
}

/// The files that hold tests; their order is that of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let all: io::Result<Vec<PathBuf>> = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect();
    let mut all = all?;
    all.retain(|path| path.to_string_lossy().ends_with(".test.js"));
    all.sort();
    Ok(all)
}

/// Whether the packages that the tests need are there, as the lock file has them.
fn is_fetched(package: &Path) -> bool {
    let changed = |path: &str| package.join(path).metadata().and_then(|found| found.modified());
    let there = changed("node_modules/.package-lock.json");
    there.is_ok_and(|there| changed("package-lock.json").is_ok_and(|wanted| wanted <= there))
}

/// The summary of `node --test`: `# pass 3` and its like, at the end. One that says nothing of a failure, although the
/// program failed, is one failure.
fn tally(text: &str, succeeded: bool) -> Counts {
    let number = |what: &str| {
        let lines = text.lines().rev();
        let mut found = lines.filter_map(|line| line.strip_prefix("# ")?.strip_prefix(what)?.strip_prefix(' '));
        found.find_map(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    let failed: u64 = number("fail") + number("cancelled");
    let failed = if succeeded { failed } else { failed.max(1) };
    Counts { passed: number("pass"), failed, skipped: number("skipped") + number("todo") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read_and_nothing_else() {
        let text = "# Subtest: pass 9\nok 1 - pass 9\n# pass me\n1..2\n# tests 7\n# suites 0\n# pass 3\n# fail 1\n\
            # cancelled 1\n# skipped 1\n# todo 1\n# duration_ms 5\n";
        assert_eq!(tally(text, false), Counts { passed: 3, failed: 2, skipped: 2 });
    }

    #[test]
    fn the_files_of_tests_are_found_and_no_others() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PACKAGE);
        let found = files(&package.join("test")).expect("the folder is there");
        let is_there = |name: &str| found.iter().any(|path| path.ends_with(name));
        assert!(is_there("broker.test.js") && is_there("types.test.js") && !is_there("support.js"), "{found:?}");
    }

    #[test]
    fn a_program_that_fails_without_a_word_is_a_failure() {
        assert_eq!(tally("", false).to_string(), "0 passed, 1 failed, 0 skipped");
        assert_eq!(tally("# pass 5\n# fail 0\n", false).to_string(), "5 passed, 1 failed, 0 skipped");
        assert_eq!(tally("# pass 5\n# fail 0\n", true).to_string(), "5 passed, 0 failed, 0 skipped");
    }
}
