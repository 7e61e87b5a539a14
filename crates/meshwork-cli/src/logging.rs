//! Where logs go: to stderr, chosen by `MESHWORK_LOG` (`warn` by default), in colour only where a person looks.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The variable that chooses what is logged: `debug`, `meshwork::mesh=trace`, ….
const VARIABLE: &str = "MESHWORK_LOG";

/// Starts logging. A filter that cannot be read is said to be so by the logger itself, and its good parts are used.
pub fn start() {
    let filter = EnvFilter::builder().with_env_var(VARIABLE).with_default_directive(LevelFilter::WARN.into());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .init();
}
