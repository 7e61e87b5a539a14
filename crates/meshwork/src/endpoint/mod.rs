//! The tool endpoint: what attempts that are processes talk to, over HTTP on loopback.

use crate::mesh::Tools;
use std::sync::Arc;

/// The endpoint of one node.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
}

/// The right of one attempt to use the tools; ends when it is dropped.
#[derive(Debug)]
pub struct Lease {
    token: String,
}

impl Endpoint {
    /// Where it listens: `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token that is good for this attempt, for as long as the lease is kept.
    pub fn lease(self: &Arc<Self>, tools: Tools) -> Lease {
        drop(tools);
        Lease { token: self.url.clone() }
    }
}

impl Lease {
    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }
}
