//! What is public is shown in use: each item has an example in its documentation, and all examples run as tests.

use super::Finding;
use super::files::{File, Files};

/// Where the modules are.
const LIBRARY: &str = "crates/meshwork/src/";

/// The modules of the library: their public items all have an example.
const MODULES: [&str; 23] = [
    "artifacts",
    "balance",
    "broker",
    "consensus",
    "control",
    "controller",
    "coordinator",
    "detector",
    "discovery",
    "endpoint",
    "file",
    "high_water",
    "local",
    "log",
    "mail",
    "memory",
    "mesh",
    "messaging",
    "peers",
    "process",
    "state",
    "topology",
    "view",
];

/// Modules that documentation leaves out: suites for implementations, and ways in for the fuzz targets.
const HIDDEN: [&str; 2] = ["contract.rs", "fuzzing.rs"];

/// Tags of a code block that is compiled.
const COMPILED: [&str; 4] = ["rust", "no_run", "should_panic", "compile_fail"];

/// No public function, type or trait of these modules, and no method of such a trait, without an example.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    files.iter().filter(|file| is_shown(file)).flat_map(without_example).collect()
}

fn is_shown(file: &File) -> bool {
    let module = file.path.strip_prefix(LIBRARY).and_then(|path| path.split(['/', '.']).next());
    module.is_some_and(|module| MODULES.contains(&module)) && !HIDDEN.contains(&file.name())
}

fn without_example(file: &File) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let (mut findings, mut docs, mut attribute) = (Vec::new(), Docs::default(), 0_usize);
    // The indentation of the public trait that the lines belong to.
    let mut of_trait: Option<usize> = None;
    for ((number, line), code) in file.lines().zip(rust.code().split('\n')) {
        if let Some(text) = line.trim_start().strip_prefix("///") {
            docs.read(text);
            continue;
        }
        if attribute > 0 || code.trim_start().starts_with("#[") {
            attribute = (attribute + code.matches('[').count()).saturating_sub(code.matches(']').count());
            continue;
        }
        let (item, indent) = (code.trim_start(), code.len() - code.trim_start().len());
        if item.is_empty() {
            continue;
        }
        let is_method = of_trait.is_some_and(|outer| indent == outer + 4) && word_after(item, "fn").is_some();
        let name = item.strip_prefix("pub ").map_or_else(|| word_after(item, "fn").filter(|_| is_method), public_name);
        if let Some(name) = name.filter(|_| !docs.show && !rust.is_test_line(number)) {
            let message = format!("{name} is public and not shown in use: add an example to its documentation");
            findings.push(Finding::new(&file.path, number, message));
        }
        if item.starts_with("pub trait ") {
            of_trait = Some(indent);
        } else if of_trait == Some(indent) && item.starts_with('}') {
            of_trait = None;
        }
        docs = Docs::default();
    }
    findings
}

/// What `fn`, `struct`, `enum` or `trait` names, after `pub`.
fn public_name(item: &str) -> Option<&str> {
    ["fn", "struct", "enum", "trait"].into_iter().find_map(|keyword| word_after(item, keyword))
}

/// The name after a keyword that an item begins with, qualifiers aside.
fn word_after<'a>(item: &'a str, keyword: &str) -> Option<&'a str> {
    let mut words = item.split_whitespace().skip_while(|word| matches!(*word, "async" | "const" | "unsafe"));
    let name = words.next().filter(|word| *word == keyword).and_then(|_| words.next())?;
    name.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

/// The documentation above an item, as far as it was read.
#[derive(Default)]
struct Docs {
    in_block: bool,
    /// Whether there was a block that is compiled.
    show: bool,
}

impl Docs {
    fn read(&mut self, text: &str) {
        let Some(tags) = text.trim_start().strip_prefix("```") else { return };
        if !self.in_block {
            self.show |= tags.trim().split(',').all(|tag| tag.is_empty() || COMPILED.contains(&tag.trim()));
        }
        self.in_block = !self.in_block;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(path: &str, source: &str) -> Vec<(String, usize)> {
        let findings = check(&Files::samples(&[(path, source)]));
        let name = |finding: &Finding| finding.message.split(' ').next().unwrap_or_default().to_owned();
        findings.iter().map(|finding| (name(finding), finding.line)).collect()
    }

    fn found(source: &str) -> Vec<(String, usize)> {
        found_in("crates/meshwork/src/broker/mod.rs", source)
    }

    #[test]
    fn public_items_without_an_example_are_found() {
        let source = "/// A.\npub struct A;\n/// B.\n///\n/// ```text\n/// no code\n/// ```\n#[derive(\n    Debug,\n)]\n\
            pub enum B {}\nimpl B {\n    /// C.\n    #[must_use]\n    pub async fn c<T>(&self) {}\n}\n";
        assert_eq!(found(source), [("A".to_owned(), 2), ("B".to_owned(), 11), ("c".to_owned(), 15)]);
        let source = "/// ```\n/// t();\n/// ```\npub trait T {\n    /// F.\n    fn f(&self) {\n        g();\n    }\n}\nfn g() {}\n";
        assert_eq!(found(source), [("f".to_owned(), 6)]);
        assert_eq!(found("/// ```\n/// x();\n/// ```\n\npub const fn x() {}\npub fn y() {}\n").len(), 1);
    }

    #[test]
    fn what_is_shown_and_what_nobody_sees_is_fine() {
        let shown = "/// A.\n///\n/// ```\n/// a();\n/// ```\n///\n/// # Errors\n/// None.\n#[must_use = \"]\"]\npub fn a() {}\n";
        assert_eq!(found(shown), []);
        assert_eq!(found("/// ```no_run\n/// a();\n/// ```\npub fn a() {}\n"), []);
        let inner = "pub(crate) fn a() {}\nfn b() {}\ntrait T {\n    fn f();\n}\nimpl T for U {\n    fn f() {}\n}\npub use c::D;\n";
        assert_eq!(found(inner), []);
        assert_eq!(found("#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}\n"), []);
        assert_eq!(found("const C: &str = \"\npub fn a() {}\";\n"), []);
        for path in ["random.rs", "broker/tests/mod.rs", "messaging/contract.rs", "brokers.rs"] {
            assert_eq!(found_in(&format!("crates/meshwork/src/{path}"), "pub fn a() {}\n"), [], "{path}");
        }
        for path in ["peers.rs", "peers/artifact.rs"] {
            assert_eq!(found_in(&format!("crates/meshwork/src/{path}"), "pub fn a() {}\n").len(), 1, "{path}");
        }
    }
}
