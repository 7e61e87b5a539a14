//! Inputs whose size or depth is the attack: made when they are needed, too large to be kept.

/// Levels of nesting that no decoder may follow.
pub const DEEP: usize = 10_000;
/// Bytes of a message that nobody may take, 100 MB.
pub const LARGE: usize = 100_000_000;

/// Deeply nested texts of every format that nests, with a name each.
#[must_use]
pub fn deep() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, middle: &str, close: &str| {
        let text = format!("{}{middle}{}", open.repeat(DEEP), close.repeat(DEEP));
        text.into_bytes()
    };
    let unclosed = |text: &str| text.repeat(DEEP).into_bytes();
    let within = |before: &str, inner: Vec<u8>, after: &str| [before.as_bytes(), &inner, after.as_bytes()].concat();
    vec![
        ("lists", nested("[", "1", "]")),
        ("objects", nested("{\"a\":", "1", "}")),
        ("lists that do not end", unclosed("[")),
        ("objects that do not end", unclosed("{\"a\":")),
        ("lists in TOML", within("a = ", nested("[", "1", "]"), "\n")),
        ("tables in TOML", within("a = ", nested("{a=", "1", "}"), "\n")),
        ("dotted keys in TOML", within("", unclosed("a."), "a = 1\n")),
        ("table names in TOML", within("[", unclosed("a."), "a]\n")),
        ("lists in YAML", within("a: ", nested("[", "1", "]"), "\n")),
        ("dashes in YAML", within("", unclosed("- "), "1\n")),
        ("an input in a task", within("{\"tasks\":[{\"input\":", nested("[", "1", "]"), "}]}")),
        ("a payload of a message", within("{\"to\":\"a\",\"type\":\"b\",\"payload\":", nested("[", "1", "]"), "}")),
        ("a request with tasks", within("{\"submit\":{\"tasks\":[{\"input\":", nested("[", "1", "]"), "}]}}")),
        ("a letter", within("{\"payload\":", nested("[", "1", "]"), "}")),
        ("aliases in YAML", aliases().into_bytes()),
    ]
}

/// Each line names the one before ten times: a billion nodes, if somebody counts them.
fn aliases() -> String {
    let mut text = String::from("a0: &a0 [x]\n");
    for line in 1..10 {
        let before = vec![format!("*a{}", line - 1); 10].join(", ");
        text.push_str(&format!("a{line}: &a{line} [{before}]\n"));
    }
    text.push_str("tasks: [{id: t, input: *a9}]\n");
    text
}
