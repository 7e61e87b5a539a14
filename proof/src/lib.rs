//! What makes "done" believable.
//!
//! Nothing here is a copy of a rule: `apply`, the node's rules and the detector are the ones that production runs.

pub mod detector;
pub mod model;
