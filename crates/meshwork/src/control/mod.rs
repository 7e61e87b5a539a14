//! The control socket of a live run: how the commands that act on it reach its node.
//!
//! One line of JSON asks, one line answers; `follow` answers with a line each time the log has grown. The socket is
//! its owner's alone (0600, and the other side's user is looked at), so there is no token.
//!
//! Not here: where the socket lies, which is the state folder's business, and reading what the log says: a follower
//! is told that there is more, and reads it itself.

mod client;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{ControlClient, ControlError, Follow};
pub use server::Control;
pub use wire::{Answer, Request, Submitted};

#[cfg(feature = "fuzzing")]
pub(crate) use wire::line;
