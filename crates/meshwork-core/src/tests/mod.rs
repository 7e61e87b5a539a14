//! The state machine under test: random operations, scenarios that read as rules, and the codec.
#![expect(clippy::unwrap_used, reason = "tests")]

mod dice;
mod random;
mod random_ops;
mod stream;
