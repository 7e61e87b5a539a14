//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// In ms since the epoch; 0 before it.
pub(crate) fn now_ms() -> u64 {
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX)
}
