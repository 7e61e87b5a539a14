//! Scenarios, and random joins, leaves and losses.

#![expect(clippy::unwrap_used, reason = "tests")]

mod choosing;
mod random;
mod scenarios;
