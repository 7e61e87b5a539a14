//! A logger that is a JavaScript object.

use meshwork::coordinator::{Level, Logger};
use serde_json::{Value, json};

use crate::calls::JsFunction;

/// Tells `[level, message, context]`. Nobody waits for it.
pub(super) struct JsLogger(pub(super) JsFunction);

impl Logger for JsLogger {
    fn log(&self, level: Level, message: &str, context: Value) {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.0.tell(json!([level, message, context]).to_string());
    }
}
