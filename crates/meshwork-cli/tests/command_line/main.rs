//! The real program in folders of its own: exit codes, what is printed where, what is left alone, and going on.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod bench;
mod documents;
mod endings;
mod going_on;
mod ledger;
mod reviews;
mod scene;
mod simulate;
mod topologies;
mod wakes;
mod zombies;
