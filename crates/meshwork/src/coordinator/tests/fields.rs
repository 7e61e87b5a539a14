//! docs/fields.md names for each setting and each figure of the npm package, which are those of Rust too, a test in either
//! language. This holds it against the declared types, and looks that the tests are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `Type.field` of what is configured and what is measured, as the package declares it.
fn declared() -> BTreeSet<String> {
    let types = text(&root().join("crates/meshwork-js/index.d.ts"));
    let mut found = BTreeSet::new();
    let mut of: Option<&str> = None;
    for line in types.lines() {
        if let Some(rest) = line.strip_prefix("export interface ") {
            let name = rest.split([' ', '{']).next().unwrap_or_default();
            let ends = ["Config", "Metrics", "Savings", "Distribution", "PeerAgent"];
            let counts = ends.iter().any(|end| name.ends_with(end));
            of = counts.then_some(name);
        } else if line.starts_with('}') {
            of = None;
        } else if let (Some(of), Some(rest)) = (of, line.strip_prefix("  "))
            && let Some((field, _)) = rest.split_once(':')
            && let field = field.trim_end_matches('?')
            && !field.is_empty()
            && field.chars().all(|letter| letter.is_ascii_alphanumeric())
        {
            found.insert(format!("{of}.{field}"));
        }
    }
    found
}

/// Names of tests in the files below that folder.
fn tests_below(folder: &Path, ends: &str, names: &dyn Fn(&str) -> Vec<String>, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
                tests_below(&path, ends, names, found);
            }
        } else if path.to_string_lossy().ends_with(ends) {
            found.extend(names(&text(&path)));
        }
    }
}

/// Functions right below an attribute that makes them tests.
fn rust_tests(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let tests = lines.windows(2).filter(|pair| pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test"));
    let names = tests.filter_map(|pair| pair[1].strip_prefix("async fn ").or_else(|| pair[1].strip_prefix("fn ")));
    names.filter_map(|rest| Some(rest.split('(').next()?.to_owned())).collect()
}

fn node_tests(source: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim_start();
        let plain = line.strip_prefix("test('").and_then(|rest| rest.split_once("', "));
        let template = || line.strip_prefix("test(`").and_then(|rest| rest.split_once("`, "));
        Some(plain.or_else(template)?.0.replace("\\'", "'"))
    };
    source.lines().filter_map(name).collect()
}

/// By `Type.field`: its tests in Rust and in JavaScript, in backquotes in the last two columns.
fn documented() -> BTreeMap<String, [Vec<String>; 2]> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut rows = BTreeMap::new();
    let mut of = String::new();
    let document = text(&root().join("docs/fields.md"));
    for line in document.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            of = name.trim_matches('`').to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let ([fields, _, rust, node], true) = (cells.as_slice(), line.starts_with("| `")) {
            for field in quoted(fields) {
                let before = rows.insert(format!("{of}.{field}"), [quoted(rust), quoted(node)]);
                assert!(before.is_none(), "{of}.{field} is there twice");
            }
        }
    }
    rows
}

#[test]
fn every_setting_and_figure_has_a_test_in_either_language() {
    let (mut rust, mut node) = (BTreeSet::new(), BTreeSet::new());
    for folder in ["crates/meshwork/src", "crates/meshwork-core/src"] {
        tests_below(&root().join(folder), ".rs", &rust_tests, &mut rust);
    }
    tests_below(&root().join("crates/meshwork-js/test"), ".test.js", &node_tests, &mut node);
    let documented = documented();
    let (there, named) = (declared(), documented.keys().cloned().collect::<BTreeSet<_>>());
    assert!(there.len() > 100, "the types could not be read: {there:?}");
    let missing: Vec<_> = there.difference(&named).collect();
    assert!(missing.is_empty(), "docs/fields.md has no row for {missing:?}");
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(gone.is_empty(), "docs/fields.md has rows for what is not declared: {gone:?}");
    // In Rust the logger is `tracing`, and no broker claims that it could be durable.
    let only_npm = |field: &str| field.starts_with("LoggerConfig.") || field == "MessageBrokerConfig.durable";
    for (field, tests) in &documented {
        for (tests, known, language) in [(&tests[0], &rust, "Rust"), (&tests[1], &node, "JavaScript")] {
            let is_elsewhere = language == "Rust" && only_npm(field);
            assert!(
                tests.is_empty() == is_elsewhere,
                "docs/fields.md and {field}: no {language} test is named, or one too many"
            );
            let unknown: Vec<_> = tests.iter().filter(|test| !known.contains(*test)).collect();
            assert!(unknown.is_empty(), "docs/fields.md, {field}: there is no {language} test {unknown:?}");
        }
    }
}
