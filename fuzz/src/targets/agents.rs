//! What processes write and show.

use crate::reader::Reader;
use meshwork::fuzzing;
use meshwork::process::{USAGE_LINE_BYTES, split_usage, split_usage_file};

/// The last line of standard output.
pub(super) fn usage_line(data: &[u8]) {
    let (rest, usage) = split_usage(data);
    assert!(data.starts_with(rest), "what is kept is the beginning");
    match usage {
        None => assert_eq!(rest.len(), data.len(), "what is no usage line stays output"),
        Some(usage) => {
            let line = data[rest.len()..].trim_ascii();
            assert!(line.len() <= USAGE_LINE_BYTES);
            let (input, output) = (usage.input_tokens, usage.output_tokens);
            let written =
                format!("{{\"meshwork\":{{\"usage\":{{\"inputTokens\":{input},\"outputTokens\":{output}}}}}}}");
            assert_eq!(split_usage(written.as_bytes()), (&b""[..], Some(usage)));
        }
    }
    // A file is split like memory. One execution in 64 pays for a file.
    if data.len() % 64 == 7 {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), data).expect("it can be written");
        let split = split_usage_file(file.path()).expect("it can be split");
        assert_eq!(split, (rest.len() as u64, usage));
        assert_eq!(std::fs::read(file.path()).expect("it can be read"), rest);
    }
}

/// Standard output as a result, standard error as a tail.
pub(super) fn output(data: &[u8]) {
    let json = fuzzing::as_json(data);
    serde_json::from_str::<&serde_json::value::RawValue>(&json).expect("a result is JSON");
    let mut reader = Reader::new(data);
    let most = reader.below(64);
    let mut pieces = Vec::new();
    while !reader.is_empty() {
        pieces.push(reader.until(b';'));
    }
    let tail = fuzzing::stderr_tail(&pieces, most);
    assert!(tail.chars().all(|char| !char.is_control() || matches!(char, '\n' | '\t')), "{tail:?}");
    assert!(tail.chars().count() <= most, "{} characters of {most}", tail.chars().count());
}

/// What the system shows of other processes, which name themselves and their environment as they like.
pub(super) fn process(data: &[u8]) {
    if let Some((swarm, attempt)) = fuzzing::mark_of(data) {
        let link = format!("{swarm}:{attempt}");
        let found = data.windows(link.len()).any(|part| part == link.as_bytes());
        assert!(found, "a mark is part of the environment");
    }
    let text = String::from_utf8_lossy(data);
    if let Some(parent) = fuzzing::parent_of(&text) {
        assert!(text.contains(&parent.unsigned_abs().to_string()), "the parent stands in the line");
    }
}
