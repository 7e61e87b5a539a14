//! The first swarm file of a newcomer.

/// The text that `meshwork init` writes: a small swarm with comments that runs as it is.
///
/// ```
/// use meshwork::file::{Format, parse, template};
///
/// assert!(parse(template(), Format::Toml, "swarm.toml").is_ok(), "it runs as it is");
/// ```
#[must_use]
pub fn template() -> &'static str {
    include_str!("template.toml")
}
