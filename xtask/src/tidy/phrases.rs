//! Nothing pretends: phrases that mark work not done, names of registries, paths of somebody's machine.

use super::Finding;
use super::files::{File, Files};
use super::mask::is_word;

/// This folder has to name what it looks for.
const EXEMPT: &str = "xtask/src/tidy/";

/// Marks of unfinished work, in any spelling.
const STUBS: [&str; 10] = [
    "in a real implementation",
    "in production this would",
    "for now",
    "todo!",
    "unimplemented!",
    "fixme",
    "xxx",
    "placeholder",
    "not implemented",
    "not yet implemented",
];

/// Host names of package registries, in two pieces so that this list doesn't hold any. A build may use a
/// mirror; where packages come from is the machine's business.
const REGISTRIES: [(&str, &str); 12] = [
    ("index.", "crates.io"),
    ("static.", "crates.io"),
    ("crates.io", "/api"),
    ("registry.", "npmjs"),
    ("registry.", "yarnpkg"),
    ("deb.", "debian"),
    ("security.", "debian"),
    ("archive.", "ubuntu"),
    ("security.", "ubuntu"),
    ("proxy.", "golang"),
    ("files.", "pythonhosted"),
    ("pypi", ".org"),
];

/// Folders that exist on one person's machine, in pieces as well.
const HOMES: [(&str, &str); 4] = [("/ho", "me/"), ("/Us", "ers/"), ("/ro", "ot/"), (r"C:\Us", r"ers\")];

/// All three kinds, in every text but the lock file.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let is_read = |file: &&File| file.name() != "Cargo.lock" && !file.path.starts_with(EXEMPT);
    files.iter().filter(is_read).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        let lower = line.to_ascii_lowercase();
        for phrase in STUBS.iter().filter(|phrase| holds(&lower, phrase)) {
            findings.push(Finding::new(&file.path, number, format!("\"{phrase}\": finish it, or file an issue")));
        }
        for (first, second) in REGISTRIES {
            let host = format!("{first}{second}");
            if lower.contains(&host) {
                findings.push(Finding::new(&file.path, number, format!("names the registry {host}")));
            }
        }
        for (first, second) in HOMES {
            if holds(line, &format!("{first}{second}")) {
                findings.push(Finding::new(&file.path, number, "a path that exists on one machine only"));
            }
        }
    }
    findings
}

/// Whether `phrase` stands in `line` as words of its own: `xxx` is not in `XXXX`, a home not in `a/b`.
fn holds(line: &str, phrase: &str) -> bool {
    let is_part = |byte: Option<&u8>, edge: Option<&u8>| match edge {
        Some(edge) if is_word(*edge) => byte.is_some_and(|byte| is_word(*byte)),
        Some(b'/') => byte.is_some_and(|byte| is_word(*byte) || matches!(byte, b'/' | b'.' | b'}' | b')' | b'~')),
        _ => false,
    };
    let (bytes, wanted) = (line.as_bytes(), phrase.as_bytes());
    line.match_indices(phrase).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(at + wanted.len());
        let ends_in_word = wanted.last().is_some_and(|byte| is_word(*byte));
        let goes_on = ends_in_word && is_part(after, wanted.last());
        !is_part(before, wanted.first()) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&Files::samples(&[("a.md", text)])).len()
    }

    #[test]
    fn marks_of_unfinished_work_are_found_in_code_comments_and_text() {
        for phrase in STUBS {
            assert_eq!(found(&format!("one\n// {phrase} two\n")), 1, "{phrase}");
        }
        assert_eq!(found("For Now, this.\n"), 1);
        let files = Files::samples(&[("a.rs", "fn f() {\n    todo!()\n}\n")]);
        assert_eq!(
            check(&files).iter().map(Finding::to_string).collect::<Vec<_>>(),
            ["a.rs:2: \"todo!\": finish it, or file an issue"]
        );
    }

    #[test]
    fn parts_of_other_words_are_not() {
        assert_eq!(found("wait for nowhere, mktemp run.XXXXXX, placeholders\n"), 0);
    }

    #[test]
    fn registries_and_homes_are_found() {
        for (first, second) in REGISTRIES {
            assert_eq!(found(&format!("see https://{first}{second}/x\n")), 1, "{first}{second}");
        }
        for (first, second) in HOMES {
            assert_eq!(found(&format!("see `{first}{second}me`\n")), 1, "{first}{second}");
        }
        let (first, second) = HOMES[0];
        assert_eq!(found(&format!("https://example.org{first}{second}x and docs{first}{second}x\n")), 0);
    }

    #[test]
    fn the_lock_file_and_the_rules_themselves_are_not_read() {
        let files = Files::samples(&[("Cargo.lock", "placeholder\n"), ("xtask/src/tidy/a.rs", "// fixme\n")]);
        assert_eq!(check(&files), []);
    }
}
