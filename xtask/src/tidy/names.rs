//! Names say what a thing is. Some words say nothing.

use super::Finding;
use super::files::Files;
use super::rust::Rust;

/// Words that no module or type has in its name.
const BANNED: [&str; 7] = ["manager", "engine", "util", "utils", "helper", "helpers", "enhanced"];

/// Words that a name follows.
const DECLARING: [&str; 6] = ["mod", "struct", "enum", "trait", "type", "union"];

/// Files, folders, modules and types of Rust sources.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust() {
        let parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
        let bad_path = parts.filter_map(|part| bad_word(part).map(|word| (0, part, word)));
        let bad_names = declared(rust).filter_map(|(line, name)| bad_word(name).map(|word| (line, name, word)));
        findings.extend(bad_path.chain(bad_names).map(|(line, name, word)| {
            Finding::new(path, line, format!("\"{word}\" in the name {name}: say what it is"))
        }));
    }
    findings
}

fn declared(rust: &Rust) -> impl Iterator<Item = (usize, &str)> {
    let mut before = "";
    rust.words().filter_map(move |(at, word)| {
        let declares = DECLARING.contains(&before);
        before = word;
        declares.then(|| (rust.line_of(at), word))
    })
}

/// The first banned word of a name in snake, kebab or camel case; also a version that tells two of a kind apart.
fn bad_word(name: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_lower = false;
    for letter in name.chars() {
        let starts = letter.is_uppercase() && was_lower;
        was_lower = letter.is_lowercase() || letter.is_ascii_digit();
        match words.last_mut() {
            Some(word) if !starts && letter.is_alphanumeric() => word.extend(letter.to_lowercase()),
            _ => words.push(letter.to_lowercase().filter(|letter| letter.is_alphanumeric()).collect()),
        }
    }
    let is_second =
        |word: &str| word.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok_and(|n| n > 1));
    let last = words.iter().rev().find(|word| !word.is_empty()).filter(|word| words.len() > 1 && is_second(word));
    words.iter().find(|word| BANNED.contains(&word.as_str())).or(last).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_found_in_any_spelling() {
        for name in
            ["TaskManager", "string_utils", "Helper", "http-util", "EnhancedMesh", "mesh_v2", "MeshV3", "engine"]
        {
            assert!(bad_word(name).is_some(), "{name}");
        }
        for name in ["Utility", "Managed", "v1", "SnapshotV1", "HelpText", "v2", "utilization", "x86_64"] {
            assert_eq!(bad_word(name), None, "{name}");
        }
    }

    #[test]
    fn files_modules_and_types_are_read_and_locals_are_not() {
        let files = Files::samples(&[
            ("src/task_helpers/mod.rs", ""),
            ("src/a.rs", "struct A;\nstruct QueryEngine;\nmod util {}\nfn f() { let manager = engine; }\n"),
        ]);
        let lines: Vec<String> = check(&files).iter().map(Finding::to_string).collect();
        assert_eq!(
            lines,
            [
                "src/a.rs:2: \"engine\" in the name QueryEngine: say what it is",
                "src/a.rs:3: \"util\" in the name util: say what it is",
                "src/task_helpers/mod.rs: \"helpers\" in the name task_helpers: say what it is",
            ]
        );
    }
}
