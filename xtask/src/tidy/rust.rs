//! A Rust source as the rules see it: words, attributes, functions, and which lines are test code.

use super::mask::{is_word, mask};

/// A source without its comments and literals, and what was found out about it.
#[derive(Debug)]
pub(super) struct Rust {
    code: String,
    uncommented: String,
    /// Where each line starts in `code`.
    starts: Vec<usize>,
    /// For each line, whether it belongs to an item under `#[cfg(test)]`.
    test: Vec<bool>,
}

/// `#[…]` or `#![…]`: what stands between the brackets, and the line it begins on.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) body: &'a str,
    pub(super) line: usize,
    end: usize,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// Of the word `fn`.
    pub(super) line: usize,
    /// From the word `fn` to the closing brace.
    pub(super) lines: usize,
}

impl Rust {
    pub(super) fn new(source: &str) -> Self {
        let masked = mask(source);
        let breaks = masked.code.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let starts: Vec<usize> = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        let test = vec![false; starts.len()];
        let mut rust = Self { code: masked.code, uncommented: masked.uncommented, starts, test };
        for (first, last) in rust.test_items() {
            rust.test[first - 1..last].fill(true);
        }
        rust
    }

    /// The source with literals and comments blanked.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// The number of the line that holds a byte of [`Rust::code`].
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at)
    }

    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.test.get(line - 1).copied().unwrap_or_default()
    }

    pub(super) fn mark_all_as_test(&mut self) {
        self.test.fill(true);
    }

    /// Lines that hold more than white space and comments: (outside test code, in test code).
    pub(super) fn lines_of_code(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for (line, &is_test) in self.uncommented.split('\n').zip(&self.test) {
            if !line.trim().is_empty() {
                *(if is_test { &mut counts.1 } else { &mut counts.0 }) += 1;
            }
        }
        counts
    }

    /// Identifiers, keywords and numbers with their positions in [`Rust::code`].
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        words(&self.code)
    }

    pub(super) fn attributes(&self) -> Vec<Attribute<'_>> {
        let bytes = self.code.as_bytes();
        let mut attributes = Vec::new();
        let mut at = 0;
        while let Some(found) = self.code[at..].find('#') {
            let hash = at + found;
            let open = bytes[hash + 1..].iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'!');
            at = hash + 1;
            if let Some(open) = open.map(|skipped| hash + 1 + skipped).filter(|&open| bytes[open] == b'[')
                && let Some(end) = closing(bytes, open)
            {
                let body = &self.code[open + 1..end];
                attributes.push(Attribute { body, line: self.line_of(hash), end: end + 1 });
                at = end + 1;
            }
        }
        attributes
    }

    /// All functions, also those inside others.
    pub(super) fn functions(&self) -> Vec<Function<'_>> {
        let mut words = self.words().peekable();
        let mut functions = Vec::new();
        while let Some((at, word)) = words.next() {
            let Some(&(named_at, name)) = words.peek().filter(|_| word == "fn") else {
                continue;
            };
            // `fn(` is a type, and `fn $name` a macro's.
            if !self.code[at + 2..named_at].trim().is_empty() {
                continue;
            }
            if let Some((open, b'{')) = self.body_or_semicolon(named_at)
                && let Some(end) = closing(self.code.as_bytes(), open)
            {
                let line = self.line_of(at);
                functions.push(Function { name, line, lines: self.line_of(end) - line + 1 });
            }
        }
        functions
    }

    /// The first `{` or `;` from `at` on that is in no parentheses or brackets.
    fn body_or_semicolon(&self, at: usize) -> Option<(usize, u8)> {
        let mut depth = 0_i32;
        for (offset, byte) in self.code.bytes().enumerate().skip(at) {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth -= 1,
                b'{' | b';' if depth == 0 => return Some((offset, byte)),
                _ => {}
            }
        }
        None
    }

    /// First and last line of what stands under an attribute for tests; a `#![cfg(test)]` means the whole file.
    fn test_items(&self) -> Vec<(usize, usize)> {
        let mut items = Vec::new();
        for attribute in self.attributes().iter().filter(|attribute| is_for_tests(attribute.body)) {
            let is_inner = self.code[self.starts[attribute.line - 1]..].trim_start().starts_with("#!");
            let end = match self.body_or_semicolon(attribute.end) {
                _ if is_inner => self.code.len(),
                Some((open, b'{')) => closing(self.code.as_bytes(), open).unwrap_or(self.code.len()),
                Some((semicolon, _)) => semicolon,
                None => self.code.len(),
            };
            let first = if is_inner { 1 } else { attribute.line };
            items.push((first, self.line_of(end)));
        }
        items
    }
}

/// Whether an attribute says that its item exists in tests only. `cfg(not(test))` and `cfg(any(test, …))` don't.
fn is_for_tests(body: &str) -> bool {
    let spelled: String = body.split_whitespace().collect();
    spelled == "test" || spelled == "cfg(test)" || spelled.starts_with("cfg(all(test,")
}

/// The position of the bracket that closes the one at `open`.
fn closing(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Runs of letters, digits and underscores, with their positions.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes.get(at..)?.iter().position(|&byte| is_word(byte))?;
        let length = bytes[start..].iter().position(|&byte| !is_word(byte));
        at = length.map_or(bytes.len(), |length| start + length);
        Some((start, &text[start..at]))
    })
}

/// Modules that a file declares for tests only, as paths without `.rs`: `src/lib.rs` with `#[cfg(test)] mod samples;`
/// gives `src/samples`.
pub(super) fn test_modules(path: &str, rust: &Rust) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_end_matches(".rs");
    let folder = match stem {
        "mod" | "lib" | "main" => folder.to_owned(),
        _ => format!("{folder}/{stem}"),
    };
    let mut modules = Vec::new();
    let mut words = rust.words().peekable();
    while let Some((at, word)) = words.next() {
        if word == "mod"
            && rust.is_test_line(rust.line_of(at))
            && let Some(&(named_at, name)) = words.peek()
            && rust.code[named_at + name.len()..].trim_start().starts_with(';')
        {
            modules.push(format!("{folder}/{name}"));
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_lines(source: &str) -> Vec<usize> {
        let rust = Rust::new(source);
        (1..=source.lines().count()).filter(|&line| rust.is_test_line(line)).collect()
    }

    #[test]
    fn test_items_reach_to_their_closing_brace() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    const C: char = '}';\n}\nfn b() {}\n";
        assert_eq!(test_lines(source), [2, 3, 4, 5]);
        assert_eq!(test_lines("#[cfg(test)]\nuse x::{y, z};\nfn a() {}\n"), [1, 2]);
        assert_eq!(test_lines("#[cfg(not(test))]\nfn a() {}\n"), [0; 0]);
        assert_eq!(
            test_lines("#[cfg(all(test, unix))]\n#[expect(dead_code)]\nfn a(\n) {\n}\nfn b() {}\n"),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(test_lines("//! x\n#![cfg(test)]\nfn a() {}\n"), [1, 2, 3]);
    }

    #[test]
    fn functions_are_measured_by_braces_that_are_code() {
        let source = "fn a<F: Fn(u8) -> u8>(x: [u8; 4], f: fn(u8)) -> u8 {\n    \"}\";\n    fn inner() {}\n    /* } */ 1\n}\ntrait T { fn no(&self); }\n";
        let functions =
            Rust::new(source).functions().iter().map(|f| (f.name.to_owned(), f.line, f.lines)).collect::<Vec<_>>();
        assert_eq!(functions, [("a".to_owned(), 1, 5), ("inner".to_owned(), 3, 1)]);
    }

    #[test]
    fn lines_of_code_leave_comments_out_and_keep_strings() {
        let source = "//! about\n\nfn a() {\n    f(\"one\ntwo\");\n}\n\n#[cfg(test)]\nmod tests {\n    // nothing\n}\n";
        assert_eq!(Rust::new(source).lines_of_code(), (4, 3));
    }

    #[test]
    fn attributes_are_found_also_inner_and_over_lines() {
        let rust = Rust::new("#![deny(a)]\n# [ cfg(\n  test) ]\nlet x = r#\"#[no]\"#; let y = r#type;\n");
        let found: Vec<(String, usize)> =
            rust.attributes().iter().map(|a| (a.body.trim().to_owned(), a.line)).collect();
        assert_eq!(found, [("deny(a)".to_owned(), 1), ("cfg(\n  test)".to_owned(), 2)]);
    }
}
