use crate::mesh::Agent;
use std::sync::Arc;
/// t
#[derive(Clone)]
pub struct AgentDefinition {
    /// c
    pub capabilities: Vec<String>,
    /// a
    pub agent: Arc<dyn Agent>,
    /// k
    pub kind: String,
    /// m
    pub max_concurrent_tasks: Option<u32>,
}
