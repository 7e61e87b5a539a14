//! The core is values: no clock, no random source, no I/O, no async, no threads, no floats, no unordered maps.
//!
//! Its test code may use them; what is decided may not depend on anything but the log.

use super::Finding;
use super::files::Files;
use super::manifest::{Entry, entries};
use super::rust::{Rust, words};

const SOURCES: &str = "crates/meshwork-core/src/";
const MANIFEST: &str = "crates/meshwork-core/Cargo.toml";

/// What the core may depend on. Each is a function of its input.
const DEPENDENCIES: [&str; 5] = ["blake3", "postcard", "serde", "thiserror", "xxhash-rust"];

/// Modules of the standard library that reach outside the program, or into another thread.
const MODULES: [&str; 9] = ["time", "fs", "net", "thread", "env", "process", "io", "os", "random"];

/// Words with which something other than the input gets into a result, or out of the program.
const WORDS: [&str; 29] = [
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "HashMap",
    "HashSet",
    "RandomState",
    "DefaultHasher",
    "async",
    "await",
    "tokio",
    "rand",
    "getrandom",
    "println",
    "print",
    "eprintln",
    "eprint",
    "dbg",
    "thread_local",
    "Mutex",
    "RwLock",
    "Condvar",
    "OnceLock",
    "LazyLock",
    "OnceCell",
    "LazyCell",
    "atomic",
    "mpsc",
    "f32",
    "f64",
];

/// No word of these outside tests.
pub(super) fn code(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust().filter(|(path, _)| path.starts_with(SOURCES)) {
        for (at, what) in impurities(rust) {
            let line = rust.line_of(at);
            if !rust.is_test_line(line) {
                findings.push(Finding::new(path, line, format!("{what} in the core, which is a function of the log")));
            }
        }
    }
    findings
}

/// Dependencies of the core are on the list; those of its tests are free.
pub(super) fn dependencies(files: &Files) -> Vec<Finding> {
    let text = files.text_of(MANIFEST).unwrap_or_default();
    let is_foreign = |entry: &Entry<'_>| entry.section == "dependencies" && !DEPENDENCIES.contains(&entry.name);
    let foreign = entries(text).into_iter().filter(is_foreign);
    let finding = |entry: Entry<'_>| {
        let message = format!("the core depends on {}; expected one of {}", entry.name, DEPENDENCIES.join(", "));
        Finding::new(MANIFEST, entry.line, message)
    };
    foreign.map(finding).collect()
}

fn impurities(rust: &Rust) -> Vec<(usize, String)> {
    let code = rust.code();
    let mut found = Vec::new();
    let mut before = "";
    for (at, word) in rust.words() {
        if WORDS.contains(&word) || is_float(code, at, word) {
            found.push((at, word.to_owned()));
        } else if word == "mut" && before == "static" {
            found.push((at, "static mut".to_owned()));
        } else if word == "std" {
            found.extend(
                imports(code, at + word.len())
                    .into_iter()
                    .filter(|(_, module)| MODULES.contains(module))
                    .map(|(at, module)| (at, format!("std::{module}"))),
            );
        }
        before = word;
    }
    found
}

/// A number with a decimal point or an exponent, or with a float's suffix. `x.0.1` and `0..1` are none.
fn is_float(code: &str, at: usize, word: &str) -> bool {
    let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if !word.starts_with(|first: char| first.is_ascii_digit()) || word.starts_with("0x") {
        return false;
    }
    let has_suffix = word.ends_with("f32") || word.ends_with("f64");
    let has_exponent = word.split_once(['e', 'E']).is_some_and(|(whole, power)| digits(whole) && digits(power));
    let after = &code.as_bytes()[at + word.len()..];
    let has_point = digits(word)
        && !code[..at].ends_with('.')
        && matches!(after, [b'.', next, ..] if next.is_ascii_digit() || !(next.is_ascii_alphabetic() || matches!(next, b'.' | b'_')));
    has_suffix || has_exponent || has_point
}

/// The names right below `std`: one for `std::fs::read`, several for `std::{fs, io::Read}`.
fn imports(code: &str, at: usize) -> Vec<(usize, &str)> {
    let rest = &code[at..];
    let Some(path) = rest.trim_start().strip_prefix("::") else {
        return Vec::new();
    };
    let start = at + rest.len() - path.len();
    let Some(group) = path.trim_start().strip_prefix('{') else {
        return words(path).take(1).map(|(offset, name)| (start + offset, name)).collect();
    };
    let start = start + path.len() - group.len();
    let (mut depth, mut is_first) = (0_usize, true);
    let mut names = Vec::new();
    for (offset, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            _ if is_first && !letter.is_whitespace() => {
                is_first = false;
                names.extend(words(&group[offset..]).next().map(|(skipped, name)| (start + offset + skipped, name)));
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<String> {
        impurities(&Rust::new(source)).into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn every_way_out_of_the_core_is_seen() {
        assert_eq!(found("use std::time::Duration;"), ["std::time"]);
        assert_eq!(
            found("use std::{collections::{BTreeMap, HashMap}, fmt, io::{self, Read}, fs};"),
            ["std::io", "std::fs", "HashMap"]
        );
        assert_eq!(found("let now = Instant::now();"), ["Instant"]);
        assert_eq!(found("async fn f() { g().await }"), ["async", "await"]);
        assert_eq!(found("static mut N: u8 = 0; fn f(x: &'static str, y: &mut u8) {}"), ["static mut"]);
        assert_eq!(found("use std::sync::{Arc, Mutex}; println!()"), ["Mutex", "println"]);
    }

    #[test]
    fn floats_are_seen_and_tuples_and_ranges_are_not() {
        assert_eq!(found("f(1.5, 2., 1e9, 3f64, x as f32)"), ["1", "2", "1e9", "3f64", "f32"]);
        assert_eq!(found("x.0.1 + (0..10) + 1.max(2) + 0x1e5 + 7_u32 + y.1"), [""; 0]);
    }

    #[test]
    fn strings_comments_and_tests_may_say_what_they_like() {
        let source = "//! No HashMap, no std::fs.\nfn f() { \"tokio\"; }\n#[cfg(test)]\nmod tests { use std::io; }\n";
        let files = Files::samples(&[
            ("crates/meshwork-core/src/lib.rs", source),
            ("crates/meshwork/src/lib.rs", "use std::fs;\n"),
        ]);
        assert_eq!(code(&files), []);
    }

    #[test]
    fn findings_name_the_line() {
        let files = Files::samples(&[("crates/meshwork-core/src/a.rs", "\nuse std::fs;\n")]);
        let lines: Vec<String> = code(&files).iter().map(Finding::to_string).collect();
        assert_eq!(lines, ["crates/meshwork-core/src/a.rs:2: std::fs in the core, which is a function of the log"]);
    }

    #[test]
    fn dependencies_beyond_the_list_are_refused() {
        let manifest =
            "[dependencies]\nserde = \"1\" # data\ntokio = \"1\" # no\n[dev-dependencies]\nproptest = \"1\" # yes\n";
        let found = dependencies(&Files::samples(&[(MANIFEST, manifest)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("crates/meshwork-core/Cargo.toml:3: the core depends on tokio"));
    }
}
