//! The swarm file.
//!
//! [`load`] reads a file in TOML, YAML or JSON into a [`SwarmFile`], plain data with all defaults
//! applied, or says everything that is wrong with it, with lines ([`FileError`]). [`check()`] says
//! what would happen with it, without running it. [`json_schema`] describes it for editors,
//! [`wfformat`] makes one out of a recorded workflow, [`template`] is a first one.
//!
//! What this module does not know: how a swarm is run, and which folders and programs exist on this
//! machine. Nothing here changes anything.
//!
//! How it is built: `tree` reads any of the formats into nodes that know their place, `decode` turns
//! these into the `model` by the model's own serde description, `validate` checks what goes beyond
//! shape. Everything takes linear time and no recursion over tasks.

mod capabilities;
mod check;
mod decode;
mod error;
mod findings;
mod graph;
mod ids;
mod init;
mod model;
mod parse;
mod schema;
mod timespan;
mod tree;
mod validate;
pub mod wfformat;

#[cfg(test)]
mod tests;

pub use check::{CheckReport, Reason, UnreachableTask, UnsatisfiableTask, check};
pub use decode::MAX_INPUT_DEPTH;
pub use error::{Code, FileError, MAX_PROBLEMS, Problem};
pub use findings::nearest;
pub use ids::{IdError, MAX_ID_BYTES, check_id};
pub use init::template;
pub use model::{
    Agent, AgentKind, Hierarchical, Limits, Mesh, OnDependencyFailure, Peer, Review, Strategy, Swarm, SwarmFile, Task,
    Topology, Verify, Workspace,
};
pub use parse::{Format, MAX_FILE_BYTES, load, parse};
pub use schema::json_schema;
pub use timespan::{Timespan, TimespanError};
pub use validate::{MAX_BACKOFF_MS, MAX_PEERS, MAX_RETRIES, MAX_SLOTS, MAX_TASKS, MAX_TIMEOUT_MS, validate};
