//! Scenarios, and storms of random events.

#![expect(clippy::unwrap_used, reason = "tests")]

mod random;
mod scenarios;
