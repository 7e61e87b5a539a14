//! Ids as names of files and folders.
//!
//! ASCII letters, digits, `-`, `_` and most dots stand for themselves; every other byte becomes `%` and two
//! upper-case hexadecimal digits. A dot is encoded at the start (`.`, `..`, hidden files) and where `old-` follows it
//! (the names of folders that are kept aside). An encoded name longer than a file name may be is cut into several
//! levels of folders, each but the last ending in a lone `%`. So every id has exactly one path, every such path has one
//! id, and no id leads out of the folder it is encoded for.

use std::path::{Component, Path, PathBuf};

/// The most bytes of an id.
const ID_BYTES: usize = 256;
/// The most bytes of one level. A file name may have 255; an ending such as `.old-123` or `.log` needs some of them.
const LEVEL_BYTES: usize = 200;

/// Why a text is not an id.
///
/// ```
/// use meshwork::state::{IdError, encode};
///
/// assert_eq!(encode(""), Err(IdError::Empty));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The empty text.
    #[error("an id is empty, expected 1 to {ID_BYTES} bytes")]
    Empty,
    /// Too long.
    #[error("an id has {found} bytes, expected 1 to {ID_BYTES}")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// Not printable.
    #[error("the id {id:?} has the control character {found:?}, expected printable text")]
    Control {
        /// The id.
        id: String,
        /// The character.
        found: char,
    },
    /// It would look like an option.
    #[error("the id {id:?} starts with '-', expected another character")]
    LeadingDash {
        /// The id.
        id: String,
    },
}

/// The relative path for `id`: one folder level, or more for a very long one.
///
/// ```
/// use meshwork::state::{IdError, decode, encode};
///
/// // Whatever the id holds, the path stays below the root, and its id can be told from it.
/// let path = encode("../team/nightly")?;
/// assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
/// assert_eq!(decode(&path).as_deref(), Some("../team/nightly"));
/// # Ok::<(), IdError>(())
/// ```
///
/// # Errors
/// What is not an id has no path.
pub fn encode(id: &str) -> Result<PathBuf, IdError> {
    check(id)?;
    let mut levels = PathBuf::new();
    let mut level = String::new();
    for (place, byte) in id.bytes().enumerate() {
        // Room for one encoded byte and for the mark that the name goes on.
        if level.len() + 3 > LEVEL_BYTES {
            level.push('%');
            levels.push(std::mem::take(&mut level));
        }
        let rest = &id.as_bytes()[place..];
        // A level starts with a dot or a dash no more than the id does.
        if stands_for_itself(rest) && !(level.is_empty() && matches!(byte, b'.' | b'-')) {
            level.push(char::from(byte));
        } else {
            level.push_str(&format!("%{byte:02X}"));
        }
    }
    levels.push(level);
    Ok(levels)
}

fn stands_for_itself(rest: &[u8]) -> bool {
    match rest[0] {
        b'.' => !rest.starts_with(b".old-"),
        byte => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
    }
}

fn check(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    if id.len() > ID_BYTES {
        return Err(IdError::TooLong { found: id.len() });
    }
    let id_of = || id.to_owned();
    if let Some(found) = id.chars().find(|character| character.is_control()) {
        return Err(IdError::Control { id: id_of(), found });
    }
    if id.starts_with('-') {
        return Err(IdError::LeadingDash { id: id_of() });
    }
    Ok(())
}

/// The id whose path is `path`, or `None` if it is nobody's.
///
/// ```
/// use meshwork::state::decode;
/// use std::path::Path;
///
/// assert_eq!(decode(Path::new("nightly")).as_deref(), Some("nightly"));
/// assert_eq!(decode(Path::new("../nightly")), None, "no id has this path");
/// ```
#[must_use]
pub fn decode(path: &Path) -> Option<String> {
    let mut encoded = String::new();
    for component in path.components() {
        let Component::Normal(level) = component else {
            return None;
        };
        // A level before this one must have said that the name goes on; the last check below sees to the rest.
        if !encoded.is_empty() {
            encoded.pop().filter(|mark| *mark == '%')?;
        }
        encoded.push_str(level.to_str()?);
    }
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    let id = String::from_utf8(bytes).ok()?;
    // Only the one way in which it is written counts, so that two paths never mean the same.
    (encode(&id).ok()? == path).then_some(id)
}

/// Whether a folder of this name holds only further levels of longer ids.
pub(super) fn goes_on(level: &str) -> bool {
    level.ends_with('%')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn check(id: &str, path: &str) {
        assert_eq!(encode(id).unwrap(), Path::new(path));
        assert_eq!(decode(Path::new(path)).as_deref(), Some(id));
    }

    #[test]
    fn ids_become_names() {
        check("review-auth", "review-auth");
        check("wf.montage_2", "wf.montage_2");
        check(".", "%2E");
        check("..", "%2E.");
        check("../x", "%2E.%2Fx");
        check("/etc/passwd", "%2Fetc%2Fpasswd");
        check("a b", "a%20b");
        check("100%", "100%25");
        check("x.old-1", "x%2Eold-1");
        check("né", "n%C3%A9");
        check("C:\\x", "C%3A%5Cx");
    }

    #[test]
    fn long_ids_become_several_levels() {
        let path = encode(&"x".repeat(256)).unwrap();
        assert_eq!(path.components().count(), 2);
        let path = encode(&format!("{}-x", "x".repeat(198))).unwrap();
        assert!(path.ends_with("%2Dx"), "no level looks like an option");
        let path = encode(&"€".repeat(85)).unwrap();
        assert_eq!(path.components().count(), 4);
        assert_eq!(decode(&path).unwrap(), "€".repeat(85));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        assert_eq!(encode(""), Err(IdError::Empty));
        assert_eq!(encode(&"x".repeat(257)), Err(IdError::TooLong { found: 257 }));
        assert!(matches!(encode("a\nb"), Err(IdError::Control { found: '\n', .. })));
        assert!(matches!(encode("a\0"), Err(IdError::Control { .. })));
        assert!(matches!(encode("-x"), Err(IdError::LeadingDash { .. })));
    }

    #[test]
    fn other_names_are_nobodys() {
        for path in [
            "", ".", "..", "/x", "x/y", "x.old-1", "%2e", "%2", "%", "x%", "a%20b/c", "%41", "%FF", "%00", ".x",
            "x/../y",
        ] {
            assert_eq!(decode(Path::new(path)), None, "{path:?}");
        }
    }

    fn ids() -> impl Strategy<Value = String> {
        let odd = "[-./%\\\\:~ aé€old1_\u{202E}]{1,60}";
        prop_oneof![odd, "\\PC{1,80}", "[.%x/€]{200,256}", "(\\.old-[0-9]|\\.\\.|x){1,40}"]
            .prop_filter("an id", |id| super::check(id).is_ok())
    }

    proptest! {
        #[test]
        fn no_id_leaves_the_folder_and_none_is_lost(id in ids()) {
            let path = encode(&id).unwrap();
            for component in path.components() {
                let Component::Normal(level) = component else {
                    return Err(TestCaseError::fail(format!("{path:?}")));
                };
                let level = level.to_str().unwrap();
                prop_assert!(level.len() <= 201 && !level.starts_with(['.', '-']), "{level}");
                prop_assert!(level.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.%".contains(&b)));
                prop_assert!(!level.contains(".old-"));
            }
            prop_assert_eq!(decode(&path), Some(id));
        }

        #[test]
        fn decoding_takes_anything(path in "\\PC{0,40}") {
            if let Some(id) = decode(Path::new(&path)) {
                prop_assert_eq!(encode(&id).unwrap(), Path::new(&path));
            }
        }
    }
}
