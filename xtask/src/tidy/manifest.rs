//! `Cargo.toml` files: every dependency says why it is there, every crate takes the workspace's lints, and what is for
//! tests alone is in no release.

use std::collections::BTreeSet;

use super::Finding;
use super::files::{File, Files};

/// Features that break the program on purpose.
const FOR_TESTS: [&str; 2] = ["failpoints", "mutants"];
/// This crate is for tests as a whole, and nothing depends on it.
const PROOF: &str = "proof/";
/// The crates with lints of their own, since those of the workspace forbid `unsafe`. One lies below SQLite as a file
/// system, which can't be written without; only tests are built from it. In the other an attribute writes the code
/// that Node calls, and [`super::unsafety`] sees to it that nobody else does. Their manifests repeat all other lints.
const OWN_LINTS: [&str; 2] = ["powerloss/Cargo.toml", "crates/meshwork-js/Cargo.toml"];
/// The only lint that [`OWN_LINTS`] may relax.
const UNSAFE: &str = "unsafe_code";

/// A dependency as a manifest declares it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// `dependencies`, `dev-dependencies` or `build-dependencies`.
    pub(super) section: &'a str,
    pub(super) name: &'a str,
    pub(super) line: usize,
    /// What stands behind the `#` of its line.
    comment: &'a str,
}

/// Both rules, for every manifest of a crate.
///
/// The crate that has lints of its own must have all of the workspace's, each as strict, but for the one.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let manifests: Vec<(&File, &str)> = files
        .iter()
        .filter(|file| file.name() == "Cargo.toml")
        .filter_map(|file| Some((file, file.text.as_deref()?)))
        .filter(|(_, text)| has_line(text, "package", |_| true))
        .collect();
    let own: BTreeSet<&str> = manifests.iter().filter_map(|(_, text)| package_name(text)).collect();
    let mut findings = Vec::new();
    for (file, text) in manifests {
        if OWN_LINTS.contains(&file.path.as_str()) {
            findings.extend(missing_lints(files, text).map(|lint| {
                Finding::new(
                    &file.path,
                    0,
                    format!("no lint {lint}, which the workspace has: expected every one but {UNSAFE}"),
                )
            }));
        } else if !has_line(text, "workspace", |_| true)
            && !has_line(text, "lints", |line| line.split_whitespace().eq(["workspace", "=", "true"]))
        {
            // A crate that is a workspace of its own has no lints of ours to take.
            findings.push(Finding::new(&file.path, 0, "no [lints] with workspace = true"));
        }
        let silent = entries(text).into_iter().filter(|entry| entry.comment.is_empty() && !own.contains(entry.name));
        findings.extend(silent.map(|Entry { name, line, .. }| {
            Finding::new(&file.path, line, format!("no comment says why {name} is needed"))
        }));
    }
    findings
}

/// A feature that is for tests is asked for by tests: no manifest turns it on by default, by another feature, or for what
/// a release is built of.
pub(super) fn features_for_tests(files: &Files) -> Vec<Finding> {
    let manifests = files.iter().filter(|file| file.name() == "Cargo.toml" && !file.path.starts_with(PROOF));
    let mut findings = Vec::new();
    for (file, text) in manifests.filter_map(|file| Some((file, file.text.as_deref()?))) {
        for (section, line, text) in lines(text) {
            if section.split('.').any(|part| part == "dev-dependencies") {
                continue;
            }
            let text = split_comment(text).0;
            // Named as a value: `"failpoints"` or `"meshwork/failpoints"`; its own line in `[features]` has no quotes.
            for feature in FOR_TESTS.iter().filter(|feature| text.contains(&format!("{feature}\""))) {
                let message = format!("turns on {feature}, which is for [dev-dependencies] alone");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The lints of the workspace that a crate's own do not repeat word for word.
fn missing_lints<'a>(files: &'a Files, manifest: &'a str) -> impl Iterator<Item = &'a str> {
    let workspace = files.iter().find(|file| file.path == "Cargo.toml").and_then(|file| file.text.as_deref());
    let lints = lines(workspace.unwrap_or_default()).filter_map(|(section, _, line)| {
        let section = section.strip_prefix("workspace.").filter(|section| section.starts_with("lints."))?;
        let line = split_comment(line).0;
        (!line.is_empty() && !line.starts_with('[') && !line.starts_with(UNSAFE)).then_some((section, line))
    });
    lints.filter(|(section, lint)| !has_line(manifest, section, |line| line == *lint)).map(|(_, lint)| lint)
}

/// The dependencies of a manifest, for any platform.
pub(super) fn entries(manifest: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    for (section, line, text) in lines(manifest) {
        let (text, comment) = split_comment(text);
        let parts: Vec<&str> = section.rsplit('.').collect();
        let kind = |name: &str| matches!(name, "dependencies" | "dev-dependencies" | "build-dependencies");
        match parts.as_slice() {
            ["dependencies", "workspace"] => {}
            // `name = …`, or `name.workspace = true`.
            [section, ..] if kind(section) && !text.starts_with('[') => {
                let key = text.split_once('=').map(|(key, _)| key.trim());
                let key = key.and_then(|key| key.split('.').next()).map(|key| key.trim_matches(['"', ' ']));
                let is_name = |key: &&str| !key.is_empty() && key.bytes().all(is_name);
                entries.extend(key.filter(is_name).map(|name| Entry { section, name, line, comment }));
            }
            // `[dependencies.name]`.
            [name, section, ..] if kind(section) && text.starts_with('[') => {
                entries.push(Entry { section, name, line, comment });
            }
            _ => {}
        }
    }
    entries
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Every line with its number and the section that it stands in; a header stands in its own.
fn lines(manifest: &str) -> impl Iterator<Item = (&str, usize, &str)> {
    let mut section = "";
    manifest.lines().enumerate().map(move |(index, line)| {
        let header = split_comment(line).0;
        if let Some(name) = header.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = name.trim_matches(['[', ']', ' ']);
        }
        (section, index + 1, line.trim())
    })
}

fn has_line(manifest: &str, wanted: &str, is_it: impl Fn(&str) -> bool) -> bool {
    lines(manifest).any(|(section, _, line)| section == wanted && is_it(split_comment(line).0))
}

fn package_name(manifest: &str) -> Option<&str> {
    let name = lines(manifest)
        .filter(|(section, _, _)| *section == "package")
        .find_map(|(_, _, line)| split_comment(line).0.strip_prefix("name")?.trim_start().strip_prefix('='))?;
    Some(name.trim().trim_matches('"'))
}

/// A line before its `#`, and what follows it. A `#` in a string is none.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') => return (line[..at].trim(), line[at + 1..].trim()),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    (line.trim(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(manifest: &str) -> Vec<String> {
        let files = Files::samples(&[
            ("a/Cargo.toml", manifest),
            ("b/Cargo.toml", "[package]\nname = \"own\"\n[lints]\nworkspace = true\n"),
        ]);
        check(&files).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_dependency_without_a_reason_is_found_in_every_section() {
        let manifest = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n[dependencies]\nserde = \"1\" # data\nx = \"1\"\n\
            own = { path = \"../b\" }\n[dev-dependencies]\ny.workspace = true\n[target.'cfg(unix)'.build-dependencies]\n\
            z = { version = \"1\", features = [\n    \"q\",\n] } #\n[dependencies.w]\nversion = \"1#2\"\n";
        assert_eq!(
            found(manifest),
            [
                "a/Cargo.toml:7: no comment says why x is needed",
                "a/Cargo.toml:10: no comment says why y is needed",
                "a/Cargo.toml:12: no comment says why z is needed",
                "a/Cargo.toml:15: no comment says why w is needed",
            ]
        );
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        assert_eq!(found("[package]\nname = \"a\"\n"), ["a/Cargo.toml: no [lints] with workspace = true"]);
        assert_eq!(found("[package]\nname = \"a\"\n[lints.rust]\nworkspace = true\n").len(), 1);
    }

    #[test]
    fn features_for_tests_are_turned_on_by_tests_alone() {
        let manifest = "[features]\ndefault = [\"failpoints\"]\nfailpoints = []\nall = [\"core/mutants\"] # all\n\
            [dependencies]\na = { path = \"a\", features = [\n    \"failpoints\",\n] } # why: \"mutants\"\n\
            [dev-dependencies]\nb = { features = [\"failpoints\"] }\n[target.'cfg(unix)'.dev-dependencies.c]\n\
            features = [\"mutants\"]\n";
        let files = Files::samples(&[("a/Cargo.toml", manifest), ("proof/Cargo.toml", "x = [\"mutants\"]\n")]);
        let places: Vec<usize> = features_for_tests(&files).iter().map(|found| found.line).collect();
        assert_eq!(places, [2, 4, 7]);
    }

    #[test]
    fn the_crate_below_sqlite_may_relax_one_lint_and_no_other() {
        let workspace = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\" # all\n\
            [workspace.lints.clippy]\nall = { level = \"warn\", priority = -1 }\n";
        let found = |path: &str, own: &str| {
            let manifest = format!("[package]\nname = \"a\"\n{own}");
            let files = Files::samples(&[("Cargo.toml", workspace), (path, &manifest)]);
            check(&files).iter().map(Finding::to_string).collect::<Vec<_>>()
        };
        let strict = "[lints.rust]\nunsafe_code = \"allow\"\nmissing_docs = \"warn\"\n\
            [lints.clippy]\nall = { level = \"warn\", priority = -1 }\n";
        assert_eq!(found(OWN_LINTS[0], strict), [""; 0]);
        assert_eq!(found("b/Cargo.toml", strict), ["b/Cargo.toml: no [lints] with workspace = true"]);
        let lax = strict.replace("missing_docs = \"warn\"", "missing_docs = \"allow\"");
        assert_eq!(
            found(OWN_LINTS[0], &lax),
            ["powerloss/Cargo.toml: no lint missing_docs = \"warn\", which the workspace has: expected every one but \
                unsafe_code"]
        );
        assert_eq!(found(OWN_LINTS[0], "").len(), 2);
    }

    #[test]
    fn a_workspace_manifest_is_no_crate() {
        assert_eq!(found("[workspace]\n[workspace.dependencies]\nserde = \"1\"\n"), [""; 0]);
    }
}
