//! A memory that is written in JavaScript.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork::memory::{MemoryEntry, MemoryError, MemoryQuery, SwarmMemory};
use meshwork::peers::PeerState;
use napi::bindgen_prelude::External;
use napi_derive::napi;
use serde_json::Value;

use super::ask;
use crate::calls::{CallQueue, JsFunction};
use crate::failure::Failure;
use crate::memory::AnyMemory;

/// The numbers by which the methods of a memory are registered.
#[napi(object)]
pub struct MemoryMethods {
    /// `[agentId, type, content, metadata]`.
    pub remember: u32,
    /// `[query]`.
    pub recall: u32,
    /// `[entryId, targetAgentId]`.
    pub share_memory: u32,
    /// `[peerId, state]`.
    pub share_peer_state: u32,
    /// `[swarmId]`.
    pub query_mesh_peers: u32,
    /// `[peerId, load]`.
    pub update_peer_load: u32,
    /// `[peerId]`.
    pub get_peer_load: u32,
}

struct Inner {
    remember: JsFunction,
    recall: JsFunction,
    share_memory: JsFunction,
    share_peer_state: JsFunction,
    query_mesh_peers: JsFunction,
    update_peer_load: JsFunction,
    get_peer_load: JsFunction,
}

fn refused(failure: Failure) -> MemoryError {
    MemoryError::Storage(failure.message)
}

impl SwarmMemory for Inner {
    fn remember<'a>(
        &'a self,
        agent_id: &'a str,
        kind: &'a str,
        content: Value,
        metadata: Option<Value>,
    ) -> BoxFuture<'a, Result<String, MemoryError>> {
        async move {
            let given = (agent_id, kind, content, metadata);
            ask(&self.remember, "remember", &given).await.map_err(refused)
        }
        .boxed()
    }

    fn recall(&self, query: MemoryQuery) -> BoxFuture<'_, Result<Vec<MemoryEntry>, MemoryError>> {
        async move { ask(&self.recall, "recall", &[query]).await.map_err(refused) }.boxed()
    }

    fn share_memory<'a>(&'a self, entry_id: &'a str, target: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        async move {
            let shared = ask::<()>(&self.share_memory, "shareMemory", &(entry_id, target)).await;
            shared.map_err(|failure| match &*failure.code {
                "UnknownEntry" => MemoryError::UnknownEntry { id: entry_id.to_owned() },
                _ => refused(failure),
            })
        }
        .boxed()
    }

    fn share_peer_state<'a>(&'a self, peer_id: &'a str, state: PeerState) -> BoxFuture<'a, Result<(), MemoryError>> {
        async move { ask(&self.share_peer_state, "sharePeerState", &(peer_id, state)).await.map_err(refused) }.boxed()
    }

    fn mesh_peers<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Vec<PeerState>, MemoryError>> {
        async move { ask(&self.query_mesh_peers, "queryMeshPeers", &[swarm_id]).await.map_err(refused) }.boxed()
    }

    fn update_peer_load<'a>(&'a self, peer_id: &'a str, load: f64) -> BoxFuture<'a, Result<(), MemoryError>> {
        async move { ask(&self.update_peer_load, "updatePeerLoad", &(peer_id, load)).await.map_err(refused) }.boxed()
    }

    fn peer_load<'a>(&'a self, peer_id: &'a str) -> BoxFuture<'a, Result<Option<f64>, MemoryError>> {
        async move { ask(&self.get_peer_load, "getPeerLoad", &[peer_id]).await.map_err(refused) }.boxed()
    }
}

/// The memory as its JavaScript side has it.
#[napi(js_name = "ForeignMemory")]
pub struct ForeignMemory(Arc<Inner>);

#[napi]
impl ForeignMemory {
    /// A memory with these methods.
    #[napi(constructor)]
    pub fn new(calls: &CallQueue, methods: MemoryMethods) -> Self {
        let function = |number| calls.calls.function(number);
        Self(Arc::new(Inner {
            remember: function(methods.remember),
            recall: function(methods.recall),
            share_memory: function(methods.share_memory),
            share_peer_state: function(methods.share_peer_state),
            query_mesh_peers: function(methods.query_mesh_peers),
            update_peer_load: function(methods.update_peer_load),
            get_peer_load: function(methods.get_peer_load),
        }))
    }

    /// For other parts.
    #[napi(catch_unwind)]
    pub fn any(&self) -> External<AnyMemory> {
        let memory: Arc<dyn SwarmMemory> = Arc::clone(&self.0) as _;
        External::new(AnyMemory(memory))
    }
}
