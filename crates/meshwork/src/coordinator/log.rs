//! Who is told what a coordinator does: in Rust `tracing`, in other systems what they have.

use serde_json::Value;

/// How much something matters.
///
/// ```
/// use meshwork::coordinator::Level;
///
/// let shown = |level: Level| level >= Level::Warn;
/// assert!(shown(Level::Error) && !shown(Level::Info));
/// ```
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
///
/// ```
/// use meshwork::coordinator::{Level, Logger};
/// use serde_json::{Value, json};
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct Warnings(Mutex<Vec<String>>);
///
/// impl Logger for Warnings {
///     fn log(&self, level: Level, message: &str, context: Value) {
///         if level >= Level::Warn {
///             self.0.lock().unwrap().push(format!("{}: {message}", context["swarmId"]));
///         }
///     }
/// }
///
/// let warnings = Warnings::default();
/// warnings.log(Level::Info, "an agent joined", json!({ "swarmId": "reviews" }));
/// warnings.log(Level::Warn, "a worker could not be added", json!({ "swarmId": "reviews" }));
/// assert_eq!(*warnings.0.lock().unwrap(), [r#""reviews": a worker could not be added"#]);
/// ```
pub trait Logger: Send + Sync + 'static {
    /// Tells one thing, with what belongs to it as a JSON object.
    ///
    /// ```
    /// use meshwork::coordinator::{Level, Logger};
    /// use serde_json::{Value, json};
    /// use std::sync::Mutex;
    ///
    /// struct Last(Mutex<String>);
    ///
    /// impl Logger for Last {
    ///     fn log(&self, level: Level, message: &str, context: Value) {
    ///         *self.0.lock().unwrap() = format!("{level:?}: {message} {context}");
    ///     }
    /// }
    ///
    /// let last = Last(Mutex::default());
    /// last.log(Level::Info, "an agent joined", json!({ "agentId": "expert" }));
    /// assert_eq!(*last.0.lock().unwrap(), r#"Info: an agent joined {"agentId":"expert"}"#);
    /// ```
    fn log(&self, level: Level, message: &str, context: Value);
}

/// Tells `tracing`.
///
/// ```
/// use meshwork::coordinator::{Level, Logger, TracingLogger};
/// use serde_json::json;
///
/// // An event of that level; whoever subscribed to `tracing` gets it, with the context as its field `context`.
/// TracingLogger.log(Level::Info, "an agent joined", json!({ "agentId": "expert" }));
/// ```
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
