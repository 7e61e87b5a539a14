//! A query controller that is written in JavaScript.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork::controller::{ControlError, QueryController, TokenSavings};
use napi::bindgen_prelude::External;
use napi_derive::napi;

use super::{answered, arguments, ask};
use crate::calls::{CallQueue, JsFunction};
use crate::controller::AnyController;
use crate::failure::Failure;

/// The numbers by which the methods of a controller are registered.
#[napi(object)]
pub struct ControllerMethods {
    /// `[agentId]`.
    pub pause_agent: u32,
    /// `[agentId, checkpointId | null]`.
    pub resume_agent: u32,
    /// `[peerIds, reason | null]`.
    pub pause_peers: u32,
    /// `[peerIds]`.
    pub resume_peers: u32,
    /// `[agentId]`, at once.
    pub get_token_savings: u32,
    /// `[swarmId]`, at once.
    pub get_mesh_token_savings: u32,
    /// `[what failed]`: told where the caller can't be.
    pub complain: u32,
}

struct Inner {
    pause_agent: JsFunction,
    resume_agent: JsFunction,
    pause_peers: JsFunction,
    resume_peers: JsFunction,
    get_token_savings: JsFunction,
    get_mesh_token_savings: JsFunction,
    complain: JsFunction,
}

fn refused(failure: Failure) -> ControlError {
    ControlError::Failed(failure.message)
}

fn about<'a>(agent_id: &'a str, checkpoint_id: Option<&'a str>) -> impl FnOnce(Failure) -> ControlError + use<'a> {
    move |failure| match (&*failure.code, checkpoint_id) {
        ("UnknownAgent", _) => ControlError::UnknownAgent { id: agent_id.to_owned() },
        ("UnknownCheckpoint", Some(checkpoint)) => {
            ControlError::UnknownCheckpoint { agent: agent_id.to_owned(), checkpoint: checkpoint.to_owned() }
        }
        _ => refused(failure),
    }
}

impl Inner {
    /// Savings that can't be had are none, and somebody is told: the trait has no other answer.
    fn savings(&self, function: &JsFunction, method: &str, id: &str) -> TokenSavings {
        let savings = arguments(&[id]).and_then(|given| answered(method, function.call_now(given)));
        savings.unwrap_or_else(|failure| {
            if let Ok(text) = arguments(&[format!("{method}({id:?}): {}", failure.message)]) {
                self.complain.tell(text);
            }
            TokenSavings::default()
        })
    }
}

impl QueryController for Inner {
    fn pause_agent<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        async move { ask(&self.pause_agent, "pauseAgent", &[agent_id]).await.map_err(about(agent_id, None)) }.boxed()
    }

    fn resume_agent<'a>(
        &'a self,
        agent_id: &'a str,
        checkpoint_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        async move {
            let given = (agent_id, checkpoint_id);
            ask(&self.resume_agent, "resumeAgent", &given).await.map_err(about(agent_id, checkpoint_id))
        }
        .boxed()
    }

    fn pause_peers<'a>(
        &'a self,
        peer_ids: &'a [String],
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        async move { ask(&self.pause_peers, "pausePeers", &(peer_ids, reason)).await.map_err(refused) }.boxed()
    }

    fn resume_peers<'a>(&'a self, peer_ids: &'a [String]) -> BoxFuture<'a, Result<(), ControlError>> {
        async move { ask(&self.resume_peers, "resumePeers", &[peer_ids]).await.map_err(refused) }.boxed()
    }

    fn token_savings(&self, agent_id: &str) -> TokenSavings {
        self.savings(&self.get_token_savings, "getTokenSavings", agent_id)
    }

    fn mesh_token_savings(&self, swarm_id: &str) -> TokenSavings {
        self.savings(&self.get_mesh_token_savings, "getMeshTokenSavings", swarm_id)
    }
}

/// The controller as its JavaScript side has it.
#[napi(js_name = "ForeignController")]
pub struct ForeignController(Arc<Inner>);

#[napi]
impl ForeignController {
    /// A controller with these methods.
    #[napi(constructor)]
    pub fn new(calls: &CallQueue, methods: ControllerMethods) -> Self {
        let function = |number| calls.calls.function(number);
        Self(Arc::new(Inner {
            pause_agent: function(methods.pause_agent),
            resume_agent: function(methods.resume_agent),
            pause_peers: function(methods.pause_peers),
            resume_peers: function(methods.resume_peers),
            get_token_savings: function(methods.get_token_savings),
            get_mesh_token_savings: function(methods.get_mesh_token_savings),
            complain: function(methods.complain),
        }))
    }

    /// For other parts.
    #[napi(catch_unwind)]
    pub fn any(&self) -> External<AnyController> {
        let controller: Arc<dyn QueryController> = Arc::clone(&self.0) as _;
        External::new(AnyController(controller))
    }
}
