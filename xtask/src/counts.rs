//! Adds up what libtest prints, over all test programs of one `cargo test`.

/// Tests that passed, failed, and were skipped (ignored).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that ran and held.
    pub(crate) passed: u64,
    /// Tests that ran and did not hold, or whose program ended before it could say.
    pub(crate) failed: u64,
    /// Tests that were not run.
    pub(crate) skipped: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads the output of test programs line by line.
///
/// A program that dies (abort, signal) prints no `test result:` line. Its announced tests that had not
/// been reported as passed or skipped count as failed, so that a crash can't make the sum look better.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Counts,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    announced: u64,
    passed: u64,
    skipped: u64,
}

impl Tally {
    /// Takes in one line of a test program's standard output.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(announced) = announced(line) {
            self.settle();
            self.running = Some(Running { announced, passed: 0, skipped: 0 });
        } else if let Some(counts) = result(line) {
            self.running = None;
            self.add(counts);
        } else if line.starts_with("test ")
            && let Some(running) = &mut self.running
        {
            if line.ends_with(" ... ok") {
                running.passed += 1;
            } else if line.contains(" ... ignored") {
                running.skipped += 1;
            }
        }
    }

    /// The sum. `succeeded` is what cargo's exit code said: when it failed and no test did (nothing could
    /// be built, say), one failure is counted, because the closing line must not read like a success.
    pub(crate) fn finish(mut self, succeeded: bool) -> Counts {
        self.settle();
        if !succeeded && self.counts.failed == 0 {
            self.counts.failed = 1;
        }
        self.counts
    }

    fn settle(&mut self) {
        if let Some(Running { announced, passed, skipped }) = self.running.take() {
            let failed = announced.saturating_sub(passed + skipped).max(1);
            self.add(Counts { passed, failed, skipped });
        }
    }

    fn add(&mut self, counts: Counts) {
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        self.counts.skipped += counts.skipped;
    }
}

/// `running 12 tests` → 12.
fn announced(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("running ")?;
    let number = rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"))?;
    number.parse().ok()
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …` → its first three numbers.
fn result(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?;
    let (_verdict, numbers) = rest.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split("; ") {
        match part.split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().ok()?,
            Some((number, "failed")) => counts.failed = number.parse().ok()?,
            Some((number, "ignored")) => counts.skipped = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str, succeeded: bool) -> String {
        let mut tally = Tally::default();
        for line in output.lines() {
            tally.line(line);
        }
        tally.finish(succeeded).to_string()
    }

    #[test]
    fn results_of_several_programs_are_summed() {
        let output = "\
running 2 tests
test one ... ok
test two ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 3 tests
test three ... FAILED
test four ... ok
test five ... ignored, needs a server

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s
";
        assert_eq!(tally(output, false), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_program_that_dies_counts_what_it_had_not_reported_as_failed() {
        let output = "running 4 tests\ntest one ... ok\ntest two ... ignored\nrunning 1 test\ntest x ... ok\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(tally(output, false), "2 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_failure_without_any_test_is_still_a_failure() {
        assert_eq!(tally("", false), "0 passed, 1 failed, 0 skipped");
        assert_eq!(tally("", true), "0 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn other_lines_are_not_counted() {
        let output = "running late\nthe test result: ok. 9 passed; 9 failed\ntest of nothing ... ok\n";
        assert_eq!(tally(output, true), "0 passed, 0 failed, 0 skipped");
    }
}
