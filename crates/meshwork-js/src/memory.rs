//! Memory: in a database at a path, or one that goes with the process.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::{Arc, Mutex, PoisonError};

use meshwork::memory::{MemoryConfig, MemoryError, MemoryQuery, SqliteMemory, SwarmMemory};
use meshwork::peers::PeerState;
use napi::bindgen_prelude::{Either, External, PromiseRaw};
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{parsed, without_place};
use crate::failure::Failure;
use crate::outcome::{Outcome, failed, told};

/// A memory as other parts take it, whoever wrote it.
pub struct AnyMemory(pub(crate) Arc<dyn SwarmMemory>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Config {
    path: Option<String>,
    swarm_id: Option<String>,
}

impl Config {
    fn opened(self) -> std::result::Result<SqliteMemory, Failure> {
        let default = MemoryConfig::default();
        let config = MemoryConfig { swarm_id: self.swarm_id.unwrap_or(default.swarm_id.clone()), ..default };
        let opened = match self.path {
            Some(path) => SqliteMemory::open(path, config),
            None => SqliteMemory::in_memory(config),
        };
        opened.map_err(|error| match error {
            MemoryError::Invalid { .. } => Failure { code: "InvalidConfig".into(), ..error.into() },
            error => error.into(),
        })
    }
}

/// The memory.
#[napi(js_name = "Memory")]
pub struct NodeMemory(Mutex<Option<Arc<dyn SwarmMemory>>>);

type Answered<'env> = Result<PromiseRaw<'env, Outcome>>;

fn read<T: DeserializeOwned>(what: &str, text: &str) -> std::result::Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new("Invalid", format!("the {what} can't be used: {}; nothing changed", without_place(&error)))
    })
}

#[napi]
impl NodeMemory {
    /// A memory with this configuration, or why not.
    #[napi(catch_unwind)]
    pub fn make(config: String) -> Either<NodeMemory, String> {
        match parsed::<Config>(&config).and_then(Config::opened) {
            Ok(memory) => Either::A(Self(Mutex::new(Some(Arc::new(memory))))),
            Err(failure) => Either::B(failed(failure)),
        }
    }

    /// The same methods over another memory: what a part of the mesh sees of it.
    #[napi(catch_unwind)]
    pub fn over(other: &External<AnyMemory>) -> NodeMemory {
        Self(Mutex::new(Some(Arc::clone(&other.0))))
    }

    fn memory(&self) -> std::result::Result<Arc<dyn SwarmMemory>, Failure> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        memory.ok_or_else(|| Failure::closed("memory"))
    }

    fn ask<'env, T, Work>(
        &self,
        env: &'env Env,
        work: impl FnOnce(Arc<dyn SwarmMemory>) -> Work + Send + 'static,
    ) -> Answered<'env>
    where
        T: Serialize,
        Work: Future<Output = std::result::Result<T, Failure>> + Send,
    {
        let memory = self.memory();
        env.spawn_future(async move {
            Ok(match memory {
                Ok(memory) => told(work(memory).await),
                Err(failure) => Some(failed(failure)),
            })
        })
    }

    /// For other parts; nothing when it is closed.
    #[napi(catch_unwind)]
    pub fn any(&self) -> Option<External<AnyMemory>> {
        self.memory().ok().map(|memory| External::new(AnyMemory(memory)))
    }

    /// See the trait; content and metadata are JSON text.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn remember<'env>(
        &self,
        env: &'env Env,
        agent_id: String,
        kind: String,
        content: String,
        metadata: Option<String>,
    ) -> Answered<'env> {
        self.ask(env, move |memory| async move {
            let content: Value = read("content", &content)?;
            let metadata: Option<Value> = metadata.map(|metadata| read("metadata", &metadata)).transpose()?;
            Ok(memory.remember(&agent_id, &kind, content, metadata).await?)
        })
    }

    /// See the trait; the query is JSON text.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn recall<'env>(&self, env: &'env Env, query: String) -> Answered<'env> {
        self.ask(env, move |memory| async move {
            let query: MemoryQuery = read("query", &query)?;
            Ok(memory.recall(query).await?)
        })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn share_memory<'env>(&self, env: &'env Env, entry_id: String, target: String) -> Answered<'env> {
        self.ask(env, move |memory| async move { Ok(memory.share_memory(&entry_id, &target).await?) })
    }

    /// See the trait; the state is JSON text.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn share_peer_state<'env>(&self, env: &'env Env, peer_id: String, state: String) -> Answered<'env> {
        self.ask(env, move |memory| async move {
            let state: PeerState = read("state", &state)?;
            Ok(memory.share_peer_state(&peer_id, state).await?)
        })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn mesh_peers<'env>(&self, env: &'env Env, swarm_id: String) -> Answered<'env> {
        self.ask(env, move |memory| async move { Ok(memory.mesh_peers(&swarm_id).await?) })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn update_peer_load<'env>(&self, env: &'env Env, peer_id: String, load: f64) -> Answered<'env> {
        self.ask(env, move |memory| async move { Ok(memory.update_peer_load(&peer_id, load).await?) })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn peer_load<'env>(&self, env: &'env Env, peer_id: String) -> Answered<'env> {
        self.ask(env, move |memory| async move { Ok(memory.peer_load(&peer_id).await?) })
    }

    /// Ends it; what was handed over is stored first. The file is closed when this has resolved, unless another part
    /// still uses it.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Answered<'env> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        env.spawn_future(async move {
            let closed = tokio::task::spawn_blocking(move || drop(memory)).await;
            Ok(crate::outcome::done(closed.map_err(|error| Failure::new("Storage", error.to_string()))))
        })
    }
}
