//! Scenarios, and random votes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod random;
mod scenarios;
