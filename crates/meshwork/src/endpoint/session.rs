//! Attempts that may ask, by the hash of their token.

use super::failure::Failure;
use crate::broker;
use crate::mesh::Tools;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Requests of one attempt at once: a script that forks without end must not take the node's memory.
const CALLS_AT_ONCE: usize = 64;

/// Sessions are looked up by it, so no comparison tells how much of a guessed token was right.
pub(super) type TokenHash = [u8; 32];

/// 128 random bits in hex.
pub(super) fn new_token() -> String {
    crate::random::hex::<16>()
}

/// What one attempt has.
pub(super) struct Session {
    pub(super) tools: Tools,
    /// Made with the lease: one that is made after the body has ended would be a new attempt for the broker.
    pub(super) messages: broker::Context,
    /// Cancelled when the lease ends.
    pub(super) ended: CancellationToken,
    /// Cancelled when the endpoint ends.
    pub(super) stopping: CancellationToken,
    /// Ids made so far for tasks that came without one; held while such tasks are submitted.
    pub(super) numbered: tokio::sync::Mutex<u32>,
    /// The log takes one wait of an attempt at a time; others take turns.
    pub(super) waiting: Arc<tokio::sync::Mutex<()>>,
    calls: Arc<Semaphore>,
}

impl Session {
    /// One more request.
    pub(super) fn begin_call(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.calls).try_acquire_owned().map_err(|_| {
            let message = format!("the attempt has {CALLS_AT_ONCE} requests under way, the limit; nothing was changed");
            Failure::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
        })
    }
}

/// All sessions of an endpoint.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<TokenHash, Arc<Session>>>);

impl Sessions {
    pub(super) fn add(&self, token: &str, tools: Tools, stopping: CancellationToken) -> TokenHash {
        let hash = hash_of(token);
        let session = Session {
            messages: tools.messages(),
            tools,
            ended: CancellationToken::new(),
            stopping,
            numbered: tokio::sync::Mutex::new(0),
            waiting: Arc::default(),
            calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
        };
        self.all().insert(hash, Arc::new(session));
        hash
    }

    pub(super) fn find(&self, token: &str) -> Option<Arc<Session>> {
        self.all().get(&hash_of(token)).cloned()
    }

    pub(super) fn end(&self, hash: &TokenHash) {
        let session = self.all().remove(hash);
        if let Some(session) = session {
            session.ended.cancel();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TokenHash, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash_of(token: &str) -> TokenHash {
    *blake3::hash(token.as_bytes()).as_bytes()
}
