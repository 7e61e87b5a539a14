//! A controller and a memory as another system could have them: only the seed's members.

use crate::controller::{ControlError, QueryController, TokenSavings};
use crate::memory::{MemoryEntry, MemoryError, MemoryQuery, SwarmMemory};
use crate::peers::PeerState;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Remembers what it was asked for.
#[derive(Default)]
pub(super) struct ForeignController {
    pub(super) asked: Mutex<Vec<String>>,
}

impl ForeignController {
    fn ask(&self, what: String) -> BoxFuture<'_, Result<(), ControlError>> {
        self.asked.lock().expect("not poisoned").push(what);
        Box::pin(async { Ok(()) })
    }
}

impl QueryController for ForeignController {
    fn pause_agent<'a>(&'a self, agent: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        self.ask(format!("pause {agent}"))
    }

    fn resume_agent<'a>(&'a self, agent: &'a str, from: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
        self.ask(format!("resume {agent} {}", from.unwrap_or("as it was")))
    }

    fn pause_peers<'a>(&'a self, ids: &'a [String], _: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
        self.ask(format!("pause {}", ids.join(" ")))
    }

    fn resume_peers<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<(), ControlError>> {
        self.ask(format!("resume {}", ids.join(" ")))
    }

    fn token_savings(&self, _: &str) -> TokenSavings {
        TokenSavings::default()
    }

    fn mesh_token_savings(&self, _: &str) -> TokenSavings {
        TokenSavings { percentage: 12.5, ..TokenSavings::default() }
    }
}

/// Keeps peers' states, and nothing else.
#[derive(Default)]
pub(super) struct ForeignMemory {
    pub(super) states: Mutex<BTreeMap<String, PeerState>>,
    pub(super) loads: Mutex<BTreeMap<String, f64>>,
}

impl SwarmMemory for ForeignMemory {
    fn remember<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Value,
        _: Option<Value>,
    ) -> BoxFuture<'a, Result<String, MemoryError>> {
        Box::pin(async { Err(MemoryError::Storage("not here".to_owned())) })
    }

    fn recall(&self, _: MemoryQuery) -> BoxFuture<'_, Result<Vec<MemoryEntry>, MemoryError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn share_memory<'a>(&'a self, id: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(async move { Err(MemoryError::UnknownEntry { id: id.to_owned() }) })
    }

    fn share_peer_state<'a>(&'a self, id: &'a str, state: PeerState) -> BoxFuture<'a, Result<(), MemoryError>> {
        self.states.lock().expect("not poisoned").insert(id.to_owned(), state);
        Box::pin(async { Ok(()) })
    }

    fn mesh_peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<PeerState>, MemoryError>> {
        let states = self.states.lock().expect("not poisoned").values().cloned().collect();
        Box::pin(async { Ok(states) })
    }

    fn update_peer_load<'a>(&'a self, id: &'a str, load: f64) -> BoxFuture<'a, Result<(), MemoryError>> {
        self.loads.lock().expect("not poisoned").insert(id.to_owned(), load);
        Box::pin(async { Ok(()) })
    }

    fn peer_load<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<f64>, MemoryError>> {
        let load = self.loads.lock().expect("not poisoned").get(id).copied();
        Box::pin(async move { Ok(load) })
    }
}
