//! The targets, by the subject of what they read.

mod agents;
pub(crate) mod apply;
mod artifacts;
pub(crate) mod batches;
mod files;
mod wire;

/// A function of bytes that panics when a promise is broken.
pub type Target = fn(&[u8]);

/// All targets, sorted by name; the name is that of the folder of the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("apply", apply::apply),
    ("artifact_key", artifacts::key),
    ("batch", batches::batch),
    ("control_answer", wire::control_answer),
    ("control_request", wire::control_request),
    ("event_row", wire::event_row),
    ("http_body", wire::http_body),
    ("id", files::id),
    ("letter", wire::letter),
    ("log", batches::log),
    ("output", agents::output),
    ("process", agents::process),
    ("snapshot", batches::snapshot),
    ("swarm_json", files::json),
    ("swarm_toml", files::toml),
    ("swarm_yaml", files::yaml),
    ("timespan", files::timespan),
    ("tool_call", wire::tool_call),
    ("upload_query", wire::upload_query),
    ("usage_line", agents::usage_line),
    ("wfformat", files::wfformat),
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
