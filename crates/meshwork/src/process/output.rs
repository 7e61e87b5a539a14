//! What is kept of a process's output, within its limits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::usage::{Usage, split_usage, split_usage_file};

/// Standard output as it was kept.
///
/// ```
/// use meshwork::process::Stdout;
///
/// let stdout = Stdout::Inline(b"hello\n".to_vec());
/// assert!(matches!(stdout, Stdout::Inline(bytes) if bytes.len() == 6));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdout {
    /// Short enough for memory.
    Inline(Vec<u8>),
    /// In a file that only its owner may read; it now belongs to whoever has the report.
    File {
        /// Where.
        path: PathBuf,
        /// Bytes in it.
        len: u64,
    },
}

impl Stdout {
    /// Takes the usage line off the end, if there is one ([`split_usage`]).
    ///
    /// ```
    /// use meshwork::process::Stdout;
    ///
    /// let text = "done\n{\"meshwork\":{\"usage\":{\"inputTokens\":1200,\"outputTokens\":300}}}\n";
    /// let mut stdout = Stdout::Inline(text.into());
    /// assert_eq!(stdout.take_usage()?.map(|usage| usage.input_tokens), Some(1_200));
    /// assert_eq!(stdout, Stdout::Inline(b"done\n".to_vec()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read or shortened; it is unchanged then.
    pub fn take_usage(&mut self) -> io::Result<Option<Usage>> {
        match self {
            Self::Inline(bytes) => {
                let (rest, usage) = split_usage(bytes);
                let kept = rest.len();
                bytes.truncate(kept);
                Ok(usage)
            }
            Self::File { path, len } => {
                let (kept, usage) = split_usage_file(path)?;
                *len = kept;
                Ok(usage)
            }
        }
    }
}

/// Why no more output is taken.
#[derive(Debug)]
pub(super) enum Refused {
    Limit,
    Unsaved(io::Error),
}

/// Collects standard output: in memory first, in a file once it is long.
pub(super) struct Capture {
    inline_bytes: usize,
    limit: u64,
    path: PathBuf,
    memory: Vec<u8>,
    spilled: Option<(File, u64)>,
}

impl Capture {
    /// `path` is made when it is needed and must not exist.
    pub(super) fn new(inline_bytes: usize, limit: u64, path: PathBuf) -> Self {
        Self { inline_bytes, limit, path, memory: Vec::new(), spilled: None }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Keeps the chunk; of one that passes the limit, the part within it.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<(), Refused> {
        let room = self.limit - self.len();
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
        self.store(&chunk[..fits]).map_err(Refused::Unsaved)?;
        if fits < chunk.len() { Err(Refused::Limit) } else { Ok(()) }
    }

    fn len(&self) -> u64 {
        self.spilled.as_ref().map_or(self.memory.len() as u64, |(_, len)| *len)
    }

    fn store(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.spilled.is_none() {
            if self.memory.len() + chunk.len() <= self.inline_bytes {
                self.memory.extend_from_slice(chunk);
                return Ok(());
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
            let (file, len) = self.spilled.insert((file, 0));
            file.write_all(&self.memory)?;
            *len = self.memory.len() as u64;
            self.memory = Vec::new();
        }
        if let Some((file, len)) = &mut self.spilled {
            file.write_all(chunk)?;
            *len += chunk.len() as u64;
        }
        Ok(())
    }

    /// Hands over what was kept; the file is no longer ours to remove.
    pub(super) fn finish(&mut self) -> Stdout {
        match self.spilled.take() {
            Some((_, len)) => Stdout::File { path: std::mem::take(&mut self.path), len },
            None => Stdout::Inline(std::mem::take(&mut self.memory)),
        }
    }
}

impl Drop for Capture {
    /// An attempt that was given up on leaves no file behind.
    fn drop(&mut self) {
        if self.spilled.is_some()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the output of an abandoned attempt");
        }
    }
}

/// Keeps the last bytes of a stream.
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    /// Something before `bytes` was dropped.
    cut: bool,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, cut: false }
    }

    pub(super) fn take(&mut self, chunk: &[u8]) {
        let skipped = chunk.len().saturating_sub(self.limit);
        self.bytes.extend_from_slice(&chunk[skipped..]);
        self.cut |= skipped > 0;
        // Shifting once every `limit` bytes instead of at each chunk.
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
            self.cut = true;
        }
    }

    pub(super) fn text(&self) -> String {
        let mut tail = &self.bytes[self.bytes.len().saturating_sub(self.limit)..];
        if self.cut || tail.len() < self.bytes.len() {
            // The cut may have gone through a character: its rest is not garbage of the process's making.
            let rest = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            tail = &tail[rest..];
        }
        printable(&String::from_utf8_lossy(tail))
    }
}

/// Without control characters (newline and tab stay) and without terminal sequences, whose letters would stay otherwise.
fn printable(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' | '\t' => kept.push(char),
            '\r' if chars.peek().is_some_and(|next| *next != '\n') => kept.push('\n'),
            '\u{1b}' => skip_sequence(&mut chars),
            char if char.is_control() => {}
            char => kept.push(char),
        }
    }
    kept
}

/// After an escape character: `[ … letter` (colour, cursor) or `] … BEL` (title, links).
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while chars.next_if(|char| matches!(char, '\u{20}'..='\u{3f}')).is_some() {}
            chars.next_if(|char| matches!(char, '\u{40}'..='\u{7e}'));
        }
        Some(']') => {
            while chars.next_if(|char| !matches!(char, '\u{7}' | '\u{1b}' | '\n')).is_some() {}
            if chars.next_if_eq(&'\u{1b}').is_some() {
                chars.next_if_eq(&'\\');
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_output_stays_in_memory_and_long_output_goes_to_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut capture = Capture::new(4, 10, path.clone());
        capture.take(b"abcd").unwrap();
        assert!(!path.exists());
        capture.take(b"ef").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(capture.take(b"ghijkl"), Err(Refused::Limit)));
        assert_eq!(capture.finish(), Stdout::File { path: path.clone(), len: 10 });
        drop(capture);
        assert_eq!(std::fs::read(path).unwrap(), b"abcdefghij");
    }

    #[test]
    fn an_abandoned_file_is_removed_and_a_missing_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut capture = Capture::new(0, 10, path.clone());
        capture.take(b"a").unwrap();
        drop(capture);
        assert!(!path.exists());
        let mut capture = Capture::new(0, 10, dir.path().join("missing/out"));
        assert!(matches!(capture.take(b"a"), Err(Refused::Unsaved(_))));
    }

    #[test]
    fn the_tail_is_clean_text() {
        let mut tail = Tail::new(8);
        tail.take("xxxxäbcdef\u{1}g".as_bytes());
        assert_eq!(tail.text(), "bcdefg");
        assert_eq!(
            printable("\u{1b}[1;31mred\u{1b}[0m\r\n10%\r20%\tok\u{1b}]0;title\u{7}!\u{0}"),
            "red\n10%\n20%\tok!"
        );
        assert_eq!(printable("\u{1b}"), "");
    }

    proptest! {
        #[test]
        fn the_tail_is_the_end_however_it_is_cut(chunks in prop::collection::vec("[a-zäß ]{0,40}", 0..20), limit in 0_usize..64) {
            let mut tail = Tail::new(limit);
            chunks.iter().for_each(|chunk| tail.take(chunk.as_bytes()));
            let (whole, text) = (chunks.concat(), tail.text());
            prop_assert!(whole.ends_with(&text), "{whole:?} {text:?}");
            prop_assert!(text.len() + 1 >= limit.min(whole.len()));
        }

        #[test]
        fn no_control_character_passes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut tail = Tail::new(100);
            tail.take(&bytes);
            prop_assert!(tail.text().chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
