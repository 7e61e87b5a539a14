//! Tests wait for what they expect, with a deadline. A test that sleeps is slow, flaky, or both.

use super::Finding;
use super::files::Files;

/// No call or import of a sleep in test code.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust() {
        let mut before = "";
        for (at, word) in rust.words() {
            let line = rust.line_of(at);
            let is_sleep = matches!(word, "sleep" | "sleep_until" | "sleep_ms") && matches!(before, "thread" | "time");
            if is_sleep && rust.is_test_line(line) {
                findings.push(Finding::new(path, line, "a test that sleeps: wait for the event, with a deadline"));
            }
            before = word;
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_tests_are_found_and_other_sleeps_are_not() {
        let code = "fn f() { std::thread::sleep(d); }\n#[cfg(test)]\nmod tests {\n    use tokio::time::{sleep, Duration};\n\
            fn f() { std::thread::sleep(d); run(\"sleep 5\"); }\n}\n";
        let files = Files::samples(&[("src/a.rs", code), ("tests/b.rs", "fn f() { time::sleep(d).await }\n")]);
        let places: Vec<(String, usize)> = check(&files).into_iter().map(|found| (found.path, found.line)).collect();
        assert_eq!(places, [("src/a.rs".to_owned(), 4), ("src/a.rs".to_owned(), 5), ("tests/b.rs".to_owned(), 1)]);
    }
}
