//! Where `unsafe` is allowed because an attribute writes it, nobody else does.

use super::Finding;
use super::files::Files;

/// What Node loads: `#[napi]` writes the functions that Node calls.
const WRITTEN_FOR_US: &str = "crates/meshwork-js/";

/// No `unsafe` in the sources of the crates whose lints allow it for what is written for them.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, rust) in files.rust().filter(|(path, _)| path.starts_with(WRITTEN_FOR_US)) {
        let found = rust.words().filter(|(_, word)| *word == "unsafe");
        findings.extend(found.map(|(at, _)| {
            Finding::new(path, rust.line_of(at), "unsafe by hand: only what an attribute writes may be")
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_by_hand_is_found_where_it_would_pass_the_lints() {
        let by_hand = "/// Nothing unsafe.\nfn f() {\n    unsafe { g() }\n}\n";
        let files = Files::samples(&[
            ("crates/meshwork-js/src/a.rs", by_hand),
            ("crates/meshwork-js/src/b.rs", "// unsafe\nfn f() {}\n"),
            ("powerloss/src/a.rs", by_hand),
        ]);
        let lines: Vec<String> = check(&files).iter().map(Finding::to_string).collect();
        assert_eq!(lines, ["crates/meshwork-js/src/a.rs:3: unsafe by hand: only what an attribute writes may be"]);
    }
}
