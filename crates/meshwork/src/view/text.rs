//! Plain text for people: nothing that acts on a terminal, columns that line up, durations that read.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text in which every character that could act on a terminal, or hide what stands there, is spelled out.
///
/// ```
/// use meshwork::view::visible;
///
/// assert_eq!(visible("plain"), "plain");
/// assert_eq!(visible("red\u{1b}[31m"), "red\\u{1b}[31m");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what changes the direction of text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

/// At most `most` bytes of a text, and how long it was.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{} … ({} bytes)", &text[..text.floor_char_boundary(most)], text.len()))
}

/// The time of day in UTC.
pub(super) fn clock(ms: u64) -> String {
    let (seconds, ms) = (ms / 1_000 % 86_400, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A length of time in the units that it is best read in.
///
/// ```
/// use meshwork::view::duration;
///
/// assert_eq!([duration(80), duration(1_250), duration(3_725_000)], ["80 ms", "1.2 s", "1 h 02 min"]);
/// ```
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Rows under headings, in columns that line up. A heading that starts with `>` is for numbers: to the right.
///
/// ```
/// use meshwork::view::table;
///
/// let rows = [vec!["ada".to_owned(), "7".to_owned()], vec!["bob".to_owned(), "12".to_owned()]];
/// assert_eq!(table(&["PEER", ">TASKS"], &rows), "PEER  TASKS\nada       7\nbob      12\n");
/// ```
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let heads = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).chain(heads.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut out = String::new();
    for row in std::iter::once(&heads).chain(&rows) {
        let mut line = String::new();
        for ((cell, width), heading) in row.iter().zip(&widths).zip(headings) {
            let _ = if heading.starts_with('>') {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
