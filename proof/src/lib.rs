//! What makes "done" believable.
//!
//! Nothing here is a copy of a rule: `apply` and the node's rules are the ones that production runs.

pub mod model;
