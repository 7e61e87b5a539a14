//! Who is told what a coordinator does: in Rust `tracing`, in other systems what they have.

use serde_json::Value;

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// What happened.
    Info,
    /// What may need somebody.
    Warn,
    /// What went wrong.
    Error,
}

/// The seed's `Logger`. It must not block.
pub trait Logger: Send + Sync + 'static {
    /// Tells one thing, with what belongs to it as a JSON object.
    fn log(&self, level: Level, message: &str, context: Value);
}

/// Tells `tracing`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingLogger;

impl Logger for TracingLogger {
    fn log(&self, level: Level, message: &str, context: Value) {
        match level {
            Level::Debug => tracing::debug!(%context, "{message}"),
            Level::Info => tracing::info!(%context, "{message}"),
            Level::Warn => tracing::warn!(%context, "{message}"),
            Level::Error => tracing::error!(%context, "{message}"),
        }
    }
}
