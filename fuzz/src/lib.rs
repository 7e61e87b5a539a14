//! What decoders and `apply` do with bytes that nobody meant to send.
//!
//! A target is a function of bytes that panics when a promise is broken: not only "no panic", but that what is read can
//! be written and read again, that a refusal says what was found, that a limit holds. The same functions are run by
//! the ordinary tests over the kept corpus ([`corpus`]), by a seeded campaign on stable Rust ([`campaign`]), and by
//! libFuzzer (`fuzz/libfuzzer`). `fuzz/README.md` has the commands.
//!
//! Not here: the decoders themselves, and anything that needs a clock, a network or a running node.

pub mod campaign;
pub mod corpus;
pub mod dice;
pub mod hostile;
pub mod mutate;
pub mod reader;
pub mod seeds;
mod targets;

pub use targets::{TARGETS, Target, find};
