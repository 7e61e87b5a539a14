//! What may be a key: something that reads like a relative path and would be harmless as one.

/// The most bytes of a key.
const KEY_BYTES: usize = 1024;

/// Why a text is not a key.
///
/// ```
/// use meshwork::artifacts::{KeyError, check_key};
///
/// let error = check_key("reports/../secrets").unwrap_err();
/// assert_eq!(error, KeyError::Part { key: "reports/../secrets".to_owned(), found: "..".to_owned() });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty or too long.
    #[error("an artifact key has {found} bytes, expected 1 to {KEY_BYTES}")]
    Length {
        /// Its bytes.
        found: usize,
    },
    /// It starts like a path from the root, an option or a drive.
    #[error("the artifact key {key:?} starts with {found:?}, expected a relative name")]
    Start {
        /// The key.
        key: String,
        /// What it starts with.
        found: String,
    },
    /// A character that a file name should not have.
    #[error("the artifact key {key:?} has the character {found:?}, expected printable text without backslashes")]
    Character {
        /// The key.
        key: String,
        /// The character.
        found: char,
    },
    /// A part between slashes that is empty, `.` or `..`.
    #[error("the artifact key {key:?} has the part {found:?} between slashes, expected a name")]
    Part {
        /// The key.
        key: String,
        /// The part.
        found: String,
    },
}

/// Refuses what is not a key: 1 to 1024 bytes, relative, printable, no `.`, `..` or empty part, no backslash, no
/// drive letter, no leading `-`.
///
/// ```
/// use meshwork::artifacts::check_key;
///
/// assert!(check_key("reports/2026/one.json").is_ok());
/// for wrong in ["", "/etc/passwd", "-x", "a//b", "a\\b", "C:x"] {
///     assert!(check_key(wrong).is_err());
/// }
/// ```
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(KeyError::Length { found: key.len() });
    }
    let bytes = key.as_bytes();
    let drive = bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    let start = if drive { 2 } else { usize::from(matches!(bytes[0], b'/' | b'-')) };
    if start > 0 {
        let found = key[..start].to_owned();
        return Err(KeyError::Start { key: key.to_owned(), found });
    }
    if let Some(found) = key.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(KeyError::Character { key: key.to_owned(), found });
    }
    if let Some(found) = key.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        let found = found.to_owned();
        return Err(KeyError::Part { key: key.to_owned(), found });
    }
    Ok(())
}
