//! What peers are made of: the query controller's word.

pub use crate::controller::AgentDefinition;
