//! Exceptions to lints say why (`#[expect(…, reason = "…")]`), and every test runs.

use super::Finding;
use super::files::{File, Files};
use super::rust::words;

/// No `allow`, no `expect` without a reason, no `ignore`, in attributes and in fences of documentation tests.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter() {
        let Some(rust) = &file.rust else { continue };
        for attribute in rust.attributes() {
            let names: Vec<&str> = words(attribute.body).map(|(_, word)| word).collect();
            let lints = |level: &str| {
                let (first, is_conditional) = (names.first(), names.first() == Some(&"cfg_attr"));
                first == Some(&level) || (is_conditional && names.contains(&level))
            };
            let messages = [
                (lints("allow"), "allow: use expect, with a reason"),
                (lints("expect") && !names.contains(&"reason"), "expect without a reason"),
                (lints("ignore"), "a test that is ignored: make it run or remove it"),
            ];
            let broken = messages.into_iter().filter(|(is_broken, _)| *is_broken);
            findings.extend(broken.map(|(_, message)| Finding::new(&file.path, attribute.line, message)));
        }
        findings.extend(ignored_examples(file));
    }
    findings
}

fn ignored_examples(file: &File) -> impl Iterator<Item = Finding> {
    let is_ignored = |line: &str| {
        let text = line.trim_start();
        let text = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"));
        let fence = text.and_then(|text| text.trim_start().strip_prefix("```"));
        fence.is_some_and(|tags| tags.split([',', ' ']).any(|tag| tag == "ignore"))
    };
    let lines = file.lines().filter(move |(_, line)| is_ignored(line));
    lines.map(|(number, _)| Finding::new(&file.path, number, "an example that is ignored: make it run or use `text`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<String> {
        check(&Files::samples(&[("a.rs", source)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn exceptions_without_a_reason_are_found() {
        assert_eq!(found("#[allow(dead_code)]\nfn f() {}\n"), ["a.rs:1: allow: use expect, with a reason"]);
        assert_eq!(found("#![allow(dead_code)]\n").len(), 1);
        assert_eq!(found("#[cfg_attr(test, allow(dead_code))]\nfn f() {}\n").len(), 1);
        assert_eq!(found("\n#[expect(dead_code)]\nfn f() {}\n"), ["a.rs:2: expect without a reason"]);
        assert_eq!(found("#[expect(dead_code, reason = \"sample\")]\nfn f() { allow(x); }\n"), [""; 0]);
    }

    #[test]
    fn tests_that_do_not_run_are_found() {
        assert_eq!(
            found("#[test]\n#[ignore]\nfn f() {}\n"),
            ["a.rs:2: a test that is ignored: make it run or remove it"]
        );
        assert_eq!(found("#[ignore = \"slow\"]\nfn f() {}\n").len(), 1);
        assert_eq!(found("/// ```rust,ignore\n/// f();\n/// ```\nfn f() {}\n").len(), 1);
        assert_eq!(found("/// ```text\n/// ignore\n/// ```\nfn f() { ignore(); }\n"), [""; 0]);
    }
}
