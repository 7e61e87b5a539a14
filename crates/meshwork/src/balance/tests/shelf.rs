//! A deliberately small store of somebody else: artifacts in memory, without streams. It refuses keys that it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::artifacts::{ArtifactError, ArtifactInfo, Artifacts, ByteStream, Opened};

#[derive(Default)]
pub(super) struct Shelf {
    artifacts: Mutex<BTreeMap<String, Bytes>>,
    refused: Mutex<Option<String>>,
}

fn missing<T>(key: &str) -> Result<T, ArtifactError> {
    Err(ArtifactError::NotFound { key: key.to_owned() })
}

fn info(key: &str, bytes: &Bytes) -> ArtifactInfo {
    ArtifactInfo {
        key: key.to_owned(),
        size: bytes.len() as u64,
        digest: blake3::hash(bytes).to_string(),
        stored: UNIX_EPOCH,
    }
}

impl Shelf {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn refuse(&self, key: Option<String>) {
        *self.refused.lock().unwrap() = key;
    }

    fn with<T>(&self, what: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T) -> T {
        what(&mut self.artifacts.lock().unwrap())
    }
}

impl Artifacts for Shelf {
    fn store(&self, key: &str, bytes: Bytes) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        let stored = if self.refused.lock().unwrap().as_deref() == Some(key) {
            Err(ArtifactError::TooLarge { key: key.to_owned(), limit: 0 })
        } else {
            let info = info(key, &bytes);
            self.with(|all| all.insert(key.to_owned(), bytes));
            Ok(info)
        };
        async { stored }.boxed()
    }

    fn store_stream(&self, key: &str, _: ByteStream) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        let refused = missing(key);
        async { refused }.boxed()
    }

    fn retrieve(&self, key: &str) -> BoxFuture<'static, Result<Bytes, ArtifactError>> {
        let found = self.with(|all| all.get(key).cloned()).map_or_else(|| missing(key), Ok);
        async { found }.boxed()
    }

    fn open(&self, key: &str) -> BoxFuture<'static, Result<Opened, ArtifactError>> {
        let refused = missing(key);
        async { refused }.boxed()
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<bool, ArtifactError>> {
        let was_there = self.with(|all| all.remove(key).is_some());
        async move { Ok(was_there) }.boxed()
    }

    fn list(&self, prefix: &str) -> BoxFuture<'static, Result<Vec<ArtifactInfo>, ArtifactError>> {
        let found = self.with(|all| {
            all.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(key, bytes)| info(key, bytes)).collect()
        });
        async { Ok(found) }.boxed()
    }

    fn stat(&self, key: &str) -> BoxFuture<'static, Result<Option<ArtifactInfo>, ArtifactError>> {
        let found = self.with(|all| all.get(key).map(|bytes| info(key, bytes)));
        async { Ok(found) }.boxed()
    }
}
