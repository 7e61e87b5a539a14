//! The state machine under test: random operations, scenarios that read as rules, and the codec.
#![expect(clippy::unwrap_used, reason = "tests")]

mod codec;
mod determinism;
mod explain;
mod hostile;
mod mesh;
mod node_bodies;
mod node_leaving;
mod node_log;
mod one_node;
mod random;
mod random_nodes;
mod random_ops;
mod scenarios_balance;
mod scenarios_life;
mod scenarios_review;
mod scenarios_rounds;
mod scripts;
mod standing;
mod stream;
