//! The usage line: how a process says what it spent, at the end of its standard output.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

/// A longer last line is output, whatever it holds: the form with the two largest numbers has about 100 bytes, the rest is
/// room for blanks.
pub const USAGE_LINE_BYTES: usize = 1024;

/// Line ends after the usage line that are tolerated in a file.
const TRAILING_BYTES: usize = 64;

/// Tokens that an attempt reported.
///
/// ```
/// use meshwork::process::{Usage, split_usage};
///
/// let line = br#"{"meshwork":{"usage":{"inputTokens":1200,"outputTokens":300}}}"#;
/// assert_eq!(split_usage(line).1, Some(Usage { input_tokens: 1_200, output_tokens: 300 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Read by the model.
    pub input_tokens: u64,
    /// Written by the model.
    pub output_tokens: u64,
}

/// Splits off the last line when it has exactly the form `{"meshwork":{"usage":{"inputTokens":n,"outputTokens":n}}}`;
/// line ends after it go with it. Anything else stays output.
///
/// ```
/// use meshwork::process::split_usage;
///
/// let stdout = b"42\n{\"meshwork\":{\"usage\":{\"inputTokens\":7,\"outputTokens\":1}}}\n";
/// let (rest, usage) = split_usage(stdout);
/// assert_eq!((rest, usage.map(|usage| usage.output_tokens)), (&b"42\n"[..], Some(1)));
/// assert_eq!(split_usage(b"42\n"), (&b"42\n"[..], None));
/// ```
#[must_use]
pub fn split_usage(stdout: &[u8]) -> (&[u8], Option<Usage>) {
    let end = stdout.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let start = stdout[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    match parse(&stdout[start..end]) {
        Some(usage) => (&stdout[..start], Some(usage)),
        None => (stdout, None),
    }
}

fn parse(line: &[u8]) -> Option<Usage> {
    if line.len() > USAGE_LINE_BYTES || !line.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let line: Value = serde_json::from_slice(line).ok()?;
    let usage = only(only(&line, "meshwork")?, "usage")?.as_object()?;
    let tokens = |name| usage.get(name)?.as_u64();
    let parsed = Usage { input_tokens: tokens("inputTokens")?, output_tokens: tokens("outputTokens")? };
    (usage.len() == 2).then_some(parsed)
}

/// The value of an object's one and only key.
fn only<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.as_object().filter(|object| object.len() == 1)?.get(key)
}

/// The same for output that went to a file: looks at its end only, and shortens the file by the usage line.
/// Answers with the file's length afterwards.
///
/// ```
/// use meshwork::process::split_usage_file;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("stdout");
/// std::fs::write(&path, "42\n{\"meshwork\":{\"usage\":{\"inputTokens\":7,\"outputTokens\":1}}}\n")?;
/// let (len, usage) = split_usage_file(&path)?;
/// assert_eq!((len, usage.is_some()), (3, true));
/// assert_eq!(std::fs::read(&path)?, b"42\n");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the file cannot be opened, read or shortened; it is unchanged then.
pub fn split_usage_file(path: &Path) -> io::Result<(u64, Option<Usage>)> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    // One byte more than a line can have, so that a line which begins before the window is seen to be too long.
    let window = (USAGE_LINE_BYTES + TRAILING_BYTES + 1) as u64;
    let skipped = len.saturating_sub(window);
    let mut tail = vec![0; usize::try_from(len - skipped).unwrap_or_default()];
    file.read_exact_at(&mut tail, skipped)?;
    let (rest, usage) = split_usage(&tail);
    if usage.is_none() || (rest.is_empty() && skipped > 0) {
        return Ok((len, None));
    }
    let kept = skipped + rest.len() as u64;
    file.set_len(kept)?;
    Ok((kept, usage))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"meshwork":{"usage":{"inputTokens":12,"outputTokens":3}}}"#;
    const USAGE: Usage = Usage { input_tokens: 12, output_tokens: 3 };

    #[test]
    fn the_last_line_is_taken() {
        for (stdout, rest) in [
            (LINE.to_owned(), ""),
            (format!("{LINE}\n"), ""),
            (format!("done\n{LINE}\n"), "done\n"),
            (format!("done\r\n {LINE}\r\n\n"), "done\r\n"),
            (format!("{LINE}\n{LINE}\n"), &format!("{LINE}\n")),
        ] {
            assert_eq!(split_usage(stdout.as_bytes()), (rest.as_bytes(), Some(USAGE)), "{stdout:?}");
        }
    }

    #[test]
    fn anything_else_stays_output() {
        let padded = format!("{}{LINE}", " ".repeat(USAGE_LINE_BYTES));
        for stdout in [
            "",
            "\n\n",
            "done",
            "{",
            r#"{"meshwork":{}}"#,
            r#"{"meshwork":[[1,2]]}"#,
            r#"{"meshwork":{"usage":{"inputTokens":1}}}"#,
            r#"{"meshwork":{"usage":{"inputTokens":-1,"outputTokens":1}}}"#,
            r#"{"meshwork":{"usage":{"inputTokens":1.5,"outputTokens":1}}}"#,
            r#"{"meshwork":{"usage":{"inputTokens":1,"outputTokens":1,"more":1}}}"#,
            r#"{"meshwork":{"usage":{"inputTokens":1,"outputTokens":1}},"more":1}"#,
            &format!("{LINE}\nafter"),
            &format!("before {LINE}"),
            &padded,
        ] {
            assert_eq!(split_usage(stdout.as_bytes()), (stdout.as_bytes(), None), "{stdout:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_is_never_changed(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(split_usage(&bytes), (&bytes[..], None));
        }

        #[test]
        fn broken_lines_never_panic(cut in 0..LINE.len(), byte in any::<u8>()) {
            let mut line = LINE.as_bytes().to_vec();
            line[cut] = byte;
            let (rest, usage) = split_usage(&line);
            prop_assert!(usage.is_some() || rest == line);
            prop_assert_eq!(split_usage(&LINE.as_bytes()[..cut]).1, None);
        }

        #[test]
        fn a_file_is_split_like_memory(
            head in prop::collection::vec(any::<u8>(), 0..3000), newline in any::<bool>(), blanks in 0_usize..1100, with in any::<bool>(), ends in 0_usize..4,
        ) {
            let mut bytes = head;
            if newline { bytes.push(b'\n'); }
            bytes.extend(std::iter::repeat_n(b' ', blanks));
            if with { bytes.extend(LINE.as_bytes()); }
            bytes.extend(std::iter::repeat_n(b'\n', ends));
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let (rest, usage) = split_usage(&bytes);
            prop_assert_eq!(split_usage_file(file.path()).unwrap(), (rest.len() as u64, usage));
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), rest);
        }
    }
}
