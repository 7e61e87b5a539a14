//! The rule for names: of swarms, peers and tasks, and of types and capabilities alike.

/// Longest name, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Why a text is no name.
///
/// ```
/// use meshwork::file::{IdError, check_id};
///
/// assert_eq!(check_id(""), Err(IdError::Empty));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was written.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`] bytes.
    #[error("has {0} bytes, at most {MAX_ID_BYTES} are allowed")]
    TooLong(usize),
    /// It would be read as an option on a command line.
    #[error("begins with `-`")]
    LeadingDash,
    /// A character that cannot be seen or that changes how its neighbours are shown.
    #[error("holds the unprintable character U+{0:04X}")]
    Unprintable(u32),
}

/// Checks a name: 1 to 256 bytes of printable UTF-8 without a leading `-`.
///
/// ```
/// use meshwork::file::check_id;
///
/// assert!(check_id("src/größe 3").is_ok());
/// assert!(check_id("-rf").is_err(), "it would look like an option");
/// ```
///
/// # Errors
/// Which part of the rule it breaks.
pub fn check_id(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong(id.len()));
    }
    if id.starts_with('-') {
        return Err(IdError::LeadingDash);
    }
    match id.chars().find(|c| is_unprintable(*c)) {
        Some(c) => Err(IdError::Unprintable(u32::from(c))),
        None => Ok(()),
    }
}

/// Control characters, line and paragraph separators, byte order marks, and the marks that turn the
/// direction of writing, by which one name can be made to look like another.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_names() {
        for good in ["a", "task-001", "a b", "größe/ü.x", "任务", &"x".repeat(256)] {
            assert_eq!(check_id(good), Ok(()), "{good}");
        }
        assert_eq!(check_id(""), Err(IdError::Empty));
        assert_eq!(check_id("-rf"), Err(IdError::LeadingDash));
        assert_eq!(check_id(&"x".repeat(257)), Err(IdError::TooLong(257)));
        assert_eq!(check_id("a\nb"), Err(IdError::Unprintable(10)));
        assert_eq!(check_id("a\u{202e}b"), Err(IdError::Unprintable(0x202e)));
    }
}
