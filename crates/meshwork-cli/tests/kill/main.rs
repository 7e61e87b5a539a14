//! kill -9 of the real program, and the same command again: at random moments, and at each failpoint.

#![expect(clippy::unwrap_used, reason = "tests")]

mod checks;
mod failpoints;
mod program;
mod random;
mod scenario;
