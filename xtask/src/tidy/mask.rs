//! Blanks out what is not code in a Rust source, so that rules about code don't read strings and comments.

/// A source twice, both with the positions and line breaks of the original (counted in bytes).
#[derive(Debug)]
pub(super) struct Masked {
    /// Comments and the contents of string, byte and character literals are spaces.
    pub(super) code: String,
    /// Only comments are spaces.
    pub(super) uncommented: String,
}

/// Reads a source as the compiler's lexer would, as far as literals and comments go.
/// An unfinished literal or comment reaches to the end of the file.
pub(super) fn mask(source: &str) -> Masked {
    let bytes = source.as_bytes();
    let (mut code, mut uncommented) = (bytes.to_vec(), bytes.to_vec());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at + token(rest, at.checked_sub(1).map(|before| bytes[before]));
        match rest {
            [b'/', b'/' | b'*', ..] => {
                blank(&mut code[at..end]);
                blank(&mut uncommented[at..end]);
            }
            [b'"' | b'\'' | b'r' | b'b' | b'c', ..] if end - at > 1 => blank(&mut code[at..end]),
            _ => {}
        }
        at = end;
    }
    // Only whole tokens are blanked, and their borders are ASCII, so both are UTF-8 still.
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    Masked { code: text(code), uncommented: text(uncommented) }
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// The length of the literal or comment that `rest` begins with, else 1.
fn token(rest: &[u8], before: Option<u8>) -> usize {
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest),
        [b'\'', ..] => character(rest).unwrap_or(1),
        [b'r' | b'b' | b'c', ..] if !before.is_some_and(is_word) => prefixed(rest).unwrap_or(1),
        _ => 1,
    }
}

/// Whether a byte can be part of an identifier.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `'x'`, `'\n'`, `'\u{7f}'`; nothing for a lifetime or a label.
fn character(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'\\' => Some(rest.iter().skip(3).position(|&byte| byte == b'\'')? + 4),
        first => {
            let length = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            (rest.get(1 + length) == Some(&b'\'')).then_some(2 + length)
        }
    }
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `cr"…"`, `b'x'`; nothing for a name such as `r#type` or `bytes`.
fn prefixed(rest: &[u8]) -> Option<usize> {
    let prefix = rest.iter().take(2).take_while(|&&byte| matches!(byte, b'r' | b'b' | b'c')).count();
    let is_raw = rest[prefix - 1] == b'r';
    let after = rest.get(prefix..)?;
    match after {
        [b'\'', ..] if rest[..prefix] == *b"b" => Some(prefix + character(after)?),
        [b'"', ..] if !is_raw => Some(prefix + string(after)),
        [b'"' | b'#', ..] if is_raw => {
            let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
            (after.get(hashes) == Some(&b'"')).then_some(())?;
            let start = prefix + hashes + 1;
            let ends = |window: &[u8]| window[0] == b'"' && window[1..].iter().all(|&byte| byte == b'#');
            let end = rest[start..].windows(hashes + 1).position(ends);
            Some(end.map_or(rest.len(), |end| start + end + hashes + 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The source with what is blanked shown as nothing but single spaces.
    fn code(source: &str) -> String {
        let masked = mask(source).code;
        assert_eq!(masked.len(), source.len(), "positions are kept");
        masked.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_blanked_also_nested_and_documenting() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g /// h"), "a c g");
        assert_eq!(code("a /* never closed"), "a");
    }

    #[test]
    fn strings_of_every_kind_are_blanked() {
        assert_eq!(code(r#"a("b { \" }", c)"#), "a( , c)");
        assert_eq!(code("x(r\"\\\", r#\"a \" b\"#, br##\"\"# \"##, b\"y\", c\"z\") end"), "x( , , , , ) end");
        assert_eq!(code("a \"never closed }"), "a");
        assert_eq!(code("\"// no comment\" b"), "b");
    }

    #[test]
    fn characters_are_blanked_and_lifetimes_are_not() {
        assert_eq!(code("f('{', '\\'', '\\u{7b}', b'}', 'é', '😀')"), "f( , , , , , )");
        assert_eq!(
            code("fn f<'a>(x: &'a str) { 'l: loop { break 'l; } }"),
            "fn f<'a>(x: &'a str) { 'l: loop { break 'l; } }"
        );
    }

    #[test]
    fn names_that_begin_like_literals_stay() {
        assert_eq!(code("r#type bytes var(crate) br b c"), "r#type bytes var(crate) br b c");
    }

    #[test]
    fn strings_stay_where_only_comments_go() {
        assert_eq!(mask("a \"b\" // c\n").uncommented, "a \"b\"     \n");
    }
}
