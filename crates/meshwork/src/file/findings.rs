//! Problems while they are gathered: byte offsets instead of lines, which only the few that are
//! shown pay for.

use super::error::{Code, FileError, MAX_PROBLEMS, Problem};

/// A problem at a byte offset of the text.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: Code,
    pub(super) at: Option<u32>,
    /// The place of the first of two that collide.
    pub(super) first: Option<u32>,
    pub(super) message: String,
    pub(super) found: String,
    pub(super) expected: String,
}

impl Finding {
    pub(super) fn new(code: Code, at: Option<u32>, message: impl Into<String>) -> Self {
        Self { code, at, first: None, message: message.into(), found: String::new(), expected: String::new() }
    }

    pub(super) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = found.into();
        self
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// The problem with lines of `text`.
    pub(super) fn into_problem(self, file: &str, text: &str) -> Problem {
        let place = |at: Option<u32>| at.map(|at| line_and_column(text, at as usize));
        let mut message = self.message;
        if let Some((line, _)) = place(self.first) {
            message.push_str(&format!(" (the first in line {line})"));
        }
        Problem {
            code: self.code,
            file: file.to_owned(),
            line: place(self.at).map(|(line, _)| line),
            column: place(self.at).map(|(_, column)| column),
            message,
            found: self.found,
            expected: self.expected,
        }
    }
}

/// The problems of one file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    omitted: usize,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.kept.len() < MAX_PROBLEMS {
            self.kept.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// `Ok` without problems, else all of them with lines of `text`, in its order.
    pub(super) fn into_result(mut self, file: &str, text: &str) -> Result<(), FileError> {
        self.kept.sort_by_key(|finding| finding.at);
        let kept = self.kept.into_iter();
        let mut problems = kept.map(|finding| finding.into_problem(file, text));
        match problems.next() {
            None => Ok(()),
            Some(first) => Err(FileError::new(first, problems.collect(), self.omitted)),
        }
    }
}

/// Line and column (in characters) of a byte offset, both from 1.
pub(super) fn line_and_column(text: &str, at: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(line), number(column))
}

/// A text in quotes, escaped, and shortened where nobody would read it to the end.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start:?}… ({} bytes)", text.len())
}

/// The known word nearest to `word`, if one is near enough to have been meant.
///
/// ```
/// use meshwork::file::nearest;
///
/// let known = ["build", "test", "deploy"];
/// assert_eq!(nearest("biuld", known), Some("build"));
/// assert_eq!(nearest("something else", known), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Beyond this length a comparison costs more than it tells.
    const LONGEST: usize = 256;
    if word.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        // The distance is at least the difference in length, so most of a long list costs nothing.
        let limit = best.map_or(wanted.len() / 3 + 1, |(distance, _)| distance - 1);
        if candidate.len() > LONGEST || candidate.len().abs_diff(word.len()) > limit + 8 {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&wanted, &plain(candidate));
        if distance == 0 {
            return Some(candidate);
        }
        if distance <= limit {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, word)| word)
}

/// What was meant, or all words that are known.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("{near:?}");
    }
    let all: Vec<_> = known.iter().map(|word| format!("{word:?}")).collect();
    match all.as_slice() {
        [one] => one.clone(),
        _ => format!("one of {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_lines_from_one() {
        let text = "a\nöb\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 2), (2, 1));
        assert_eq!(line_and_column(text, 4), (2, 2));
        assert_eq!(line_and_column(text, 99), (3, 1));
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["required_capabilities", "retries", "run"];
        assert_eq!(nearest("requiredCapabilities", known), Some("required_capabilities"));
        assert_eq!(nearest("retrys", known), Some("retries"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(suggestion("colour", &known[1..]), "one of \"retries\", \"run\"");
    }
}
