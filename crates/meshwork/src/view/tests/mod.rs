//! The read model against logs that one node plays by hand, through the codec and the real state machine.
#![expect(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod counts;
mod events;
mod play;
mod rejected;
mod report;
mod reviews;
mod scale;
