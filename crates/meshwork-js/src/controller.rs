//! The query controller, as other parts see it.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::Arc;

use meshwork::controller::{AgentController, ControllerConfig, QueryController};
use napi::bindgen_prelude::{External, within_runtime_if_available};
use napi::{Env, Result};
use napi_derive::napi;

use crate::failure::Failure;
use crate::outcome::{Outcome, Soon, done, soon, told};

/// A controller as other parts take it, whoever wrote it.
pub struct AnyController(pub(crate) Arc<dyn QueryController>);

/// The controller.
#[napi(js_name = "Controller")]
pub struct NodeController(Arc<dyn QueryController>);

#[napi]
impl NodeController {
    /// A controller that has no agents yet: coordinators attach theirs.
    ///
    /// # Errors
    /// Never with these settings.
    #[napi(catch_unwind)]
    pub fn make() -> Result<NodeController> {
        let make = || AgentController::new(ControllerConfig::default());
        let made = within_runtime_if_available(make).map_err(|error| napi::Error::from_reason(error.to_string()))?;
        Ok(Self(Arc::new(made)))
    }

    /// For other parts.
    #[napi(catch_unwind)]
    pub fn any(&self) -> External<AnyController> {
        External::new(AnyController(Arc::clone(&self.0)))
    }

    /// The methods of the trait over that controller: what a part of the mesh sees of it.
    #[napi(catch_unwind)]
    pub fn over(other: &External<AnyController>) -> NodeController {
        Self(Arc::clone(&other.0))
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn pause_agent<'env>(&self, env: &'env Env, agent_id: String) -> Result<Soon<'env>> {
        let controller = Arc::clone(&self.0);
        soon(env, async move { done(controller.pause_agent(&agent_id).await) })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn resume_agent<'env>(
        &self,
        env: &'env Env,
        agent_id: String,
        checkpoint_id: Option<String>,
    ) -> Result<Soon<'env>> {
        let controller = Arc::clone(&self.0);
        soon(env, async move { done(controller.resume_agent(&agent_id, checkpoint_id.as_deref()).await) })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn pause_peers<'env>(
        &self,
        env: &'env Env,
        peer_ids: Vec<String>,
        reason: Option<String>,
    ) -> Result<Soon<'env>> {
        let controller = Arc::clone(&self.0);
        soon(env, async move { done(controller.pause_peers(&peer_ids, reason.as_deref()).await) })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn resume_peers<'env>(&self, env: &'env Env, peer_ids: Vec<String>) -> Result<Soon<'env>> {
        let controller = Arc::clone(&self.0);
        soon(env, async move { done(controller.resume_peers(&peer_ids).await) })
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn token_savings(&self, agent_id: String) -> Outcome {
        told::<_, Failure>(Ok(self.0.token_savings(&agent_id)))
    }

    /// See the trait.
    #[napi(catch_unwind)]
    pub fn mesh_token_savings(&self, swarm_id: String) -> Outcome {
        told::<_, Failure>(Ok(self.0.mesh_token_savings(&swarm_id)))
    }

    /// The same on another thread, as a part asks that works there.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn mesh_token_savings_elsewhere<'env>(&self, env: &'env Env, swarm_id: String) -> Result<Soon<'env>> {
        let controller = Arc::clone(&self.0);
        soon(env, async move {
            tokio::task::yield_now().await;
            told::<_, Failure>(Ok(controller.mesh_token_savings(&swarm_id)))
        })
    }
}
