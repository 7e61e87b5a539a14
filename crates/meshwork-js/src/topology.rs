//! The topology router. The coordinators that it makes are the same as all others: `coordinator`.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use meshwork::coordinator::{SelectError, SwarmConfig};
use meshwork::topology::{TopologyConfig, TopologyError, TopologyRouter, TopologyType};
use napi::Either;
use napi_derive::napi;
use serde_json::{Value, json};

use crate::calls::CallQueue;
use crate::config::parsed;
use crate::coordinator::{self, Coordinator, CoordinatorDependencies};
use crate::failure::Failure;
use crate::outcome::{Outcome, told};

fn invalid(field: &str, text: &str) -> Failure {
    Failure::new("InvalidConfig", format!("{text}; nothing was made")).with("field", json!(field))
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Self {
        let text = error.to_string();
        match error {
            TopologyError::Invalid { validation } => {
                invalid("maxAgents", &text).with("errors", json!(validation.errors))
            }
            TopologyError::Config { field, .. } => invalid(field, &text),
            TopologyError::Consensus(_) => invalid("consensusConfig", &text),
        }
    }
}

/// What is wrong with the mesh's own part of a configuration.
fn of_the_mesh(mut failure: Failure) -> Failure {
    failure.message = format!("in meshConfig: {}", failure.message);
    if let Some(Value::String(field)) = failure.details.get_mut("field") {
        *field = format!("meshConfig.{field}");
    }
    failure
}

fn topology(word: &str) -> std::result::Result<TopologyType, Failure> {
    serde_json::from_value(json!(word)).map_err(|error| {
        let text = format!("the topology {word:?} can't be used: {error}; nothing changed");
        Failure::new("InvalidArgument", text)
    })
}

/// The router.
#[napi(js_name = "Router")]
#[derive(Default)]
pub struct NodeRouter(TopologyRouter);

#[napi]
impl NodeRouter {
    /// A router that has chosen nothing.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// See the library. The number is whole; fewer than no agents are none.
    #[napi(catch_unwind)]
    pub fn validate(&self, topology: String, agents: f64) -> Outcome {
        told(self::topology(&topology).map(|topology| self.0.validate_topology(topology, agents as u64)))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn recommended(&self, agents: f64) -> Outcome {
        told::<_, Failure>(Ok(self.0.recommended_topology(agents as u64)))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Outcome {
        told::<_, Failure>(Ok(self.0.metrics()))
    }

    /// The coordinator for a swarm: its own part of the configuration, and the mesh's. Where that names `peerCount`, so
    /// many peers are begun with.
    #[napi(catch_unwind)]
    pub fn select(
        &self,
        calls: &CallQueue,
        swarm: String,
        mesh: String,
        agents: String,
        dependencies: &CoordinatorDependencies,
    ) -> Either<Coordinator, String> {
        Coordinator::of(calls, &agents, dependencies, |dependencies, agents| {
            let topology = parsed::<TopologyConfig>(&swarm)?;
            let (mesh, peer_count) = coordinator::settings(&mesh).map_err(of_the_mesh)?;
            let selected = self.0.select_coordinator(&SwarmConfig { topology, mesh, peer_count }, dependencies, agents);
            selected.map_err(|error| match error {
                SelectError::Topology(error) => error.into(),
                SelectError::Config(error) => of_the_mesh(error.into()),
            })
        })
    }
}
