//! Swarm files, recorded workflows, and the small texts within them.

use meshwork::file::wfformat::{ImportOptions, import};
use meshwork::file::{Format, MAX_PROBLEMS, SwarmFile, Timespan, check, parse, validate};
use std::path::Path;

/// What errors call the file; its stem is a swarm's id by default.
const NAME: &str = "fuzzed.toml";

/// A swarm file as TOML.
pub(super) fn toml(data: &[u8]) {
    swarm_file(data, Format::Toml);
}

/// A swarm file as YAML.
pub(super) fn yaml(data: &[u8]) {
    swarm_file(data, Format::Yaml);
}

/// A swarm file as JSON.
pub(super) fn json(data: &[u8]) {
    swarm_file(data, Format::Json);
}

fn swarm_file(data: &[u8], format: Format) {
    let text = String::from_utf8_lossy(data);
    let first = parse(&text, format, NAME);
    assert_eq!(first, parse(&text, format, NAME), "the same text is judged twice the same");
    match first {
        Ok(file) => accepted(&file),
        Err(error) => {
            assert!((1..=MAX_PROBLEMS).contains(&error.problems().len()), "between one problem and the limit");
            let lines = u32::try_from(text.lines().count().max(1)).unwrap_or(u32::MAX);
            for problem in error.problems() {
                assert!(!problem.message.is_empty(), "a problem says what is wrong");
                // An empty last line is a line, too.
                assert!(problem.line.is_none_or(|line| (1..=lines + 1).contains(&line)), "{problem}: {lines} lines");
                assert_eq!(problem.line.is_some(), problem.column.is_some(), "{problem}");
            }
        }
    }
}

/// A file that was accepted can be written and means the same then, and what is said of it is said twice.
fn accepted(file: &SwarmFile) {
    assert_eq!(validate(file, NAME), Ok(()), "what was accepted is valid");
    let report = |file: &SwarmFile| serde_json::to_string(&check(file)).expect("a report can be written");
    assert_eq!(report(file), report(file));
    let json = serde_json::to_string(file).expect("a swarm file can be written as JSON");
    let again = parse(&json, Format::Json, NAME).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(&again, file, "written as JSON it means the same");
    // TOML has no null; an input that holds one has no TOML form.
    if let Ok(text) = toml::to_string(file) {
        let again = parse(&text, Format::Toml, NAME).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(&again, file, "written as TOML it means the same");
    }
    for task in &file.tasks {
        let spec = meshwork::local::spec_of(task);
        assert_eq!(meshwork_core::content_hash(&spec), meshwork_core::content_hash(&spec.clone()));
    }
}

/// A recorded workflow. What is imported is a swarm file.
pub(super) fn wfformat(data: &[u8]) {
    for (time_scale, peers) in [(0.01, 1), (1e6, 1_000)] {
        let options = ImportOptions { time_scale, peers, id: None };
        match import(data, &options) {
            Ok(text) => {
                // One without tasks is an instance, and no swarm.
                if let Err(error) = parse(&text, Format::Toml, NAME) {
                    panic!("what was imported is no swarm file: {error}\n{text}");
                }
                assert_eq!(import(data, &options).ok(), Some(text));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// A duration.
pub(super) fn timespan(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Timespan>() {
        Ok(span) => {
            let written = span.to_string();
            assert_eq!(written.parse(), Ok(span), "{written:?} of {text:?}");
            assert_eq!(Timespan::from_millis(span.millis()), span);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// An id, and the folder that is named after it.
pub(super) fn id(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (as_file, as_folder) = (meshwork::file::check_id(&text), meshwork::state::encode(&text));
    // Files are asked for more: a name that cannot be seen is refused there.
    assert!(as_file.is_err() || as_folder.is_ok(), "{as_file:?} {as_folder:?}");
    if let Ok(path) = as_folder {
        assert_eq!(meshwork::state::decode(&path).as_deref(), Some(&*text));
        let names = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        for name in names {
            assert!(!name.is_empty() && !name.starts_with(['.', '-']) && name.len() <= 255, "{name:?}");
        }
    }
    // Anything else that is found in a folder names the one id that is written so, or none.
    if let Some(id) = meshwork::state::decode(Path::new(&*text)) {
        assert_eq!(meshwork::state::encode(&id).as_deref(), Ok(Path::new(&*text)));
    }
}
