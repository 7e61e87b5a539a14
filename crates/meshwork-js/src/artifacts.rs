//! Artifact storage: a folder that stays, or one that goes with the process.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use meshwork::artifacts::{ArtifactError, ArtifactInfo, Artifacts, FolderArtifacts};
use napi::bindgen_prelude::{Buffer, Either, External, PromiseRaw};
use napi::{Env, Result};
use napi_derive::napi;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::config::parsed;
use crate::failure::Failure;
use crate::outcome::{Outcome, failed, told};

/// An artifact storage as other parts take it, whoever wrote it.
pub struct AnyArtifacts(pub(crate) Arc<dyn Artifacts>);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    path: Option<String>,
}

/// What JavaScript is told of an artifact.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    key: String,
    size: u64,
    digest: String,
    stored_at: u64,
}

impl From<ArtifactInfo> for Info {
    fn from(info: ArtifactInfo) -> Self {
        let stored = info.stored.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let stored_at = u64::try_from(stored).unwrap_or(u64::MAX);
        Self { key: info.key, size: info.size, digest: info.digest, stored_at }
    }
}

/// The storage.
#[napi(js_name = "Artifacts")]
pub struct NodeArtifacts {
    store: Mutex<Option<Arc<dyn Artifacts>>>,
    /// Removed with its content when it is dropped.
    temporary: Mutex<Option<TempDir>>,
}

impl Config {
    fn opened(self) -> std::result::Result<NodeArtifacts, Failure> {
        let temporary = match self.path {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("meshwork-artifacts-").tempdir().map_err(|error| {
                Failure::new("Io", format!("could not make a temporary folder: {error}; nothing was made"))
            })?),
        };
        let path = self.path.as_deref().map(std::path::Path::new);
        let path = path.or(temporary.as_ref().map(TempDir::path)).unwrap_or(std::path::Path::new("."));
        let store: Arc<dyn Artifacts> = Arc::new(FolderArtifacts::open(path)?);
        Ok(NodeArtifacts { store: Mutex::new(Some(store)), temporary: Mutex::new(temporary) })
    }
}

type Answered<'env> = Result<PromiseRaw<'env, Outcome>>;

#[napi]
impl NodeArtifacts {
    /// A storage with this configuration, or why not.
    #[napi(catch_unwind)]
    pub fn make(config: String) -> Either<NodeArtifacts, String> {
        match parsed::<Config>(&config).and_then(Config::opened) {
            Ok(store) => Either::A(store),
            Err(failure) => Either::B(failed(failure)),
        }
    }

    /// The same methods over another storage: what a part of the mesh sees of it.
    #[napi(catch_unwind)]
    pub fn over(other: &External<AnyArtifacts>) -> NodeArtifacts {
        Self { store: Mutex::new(Some(Arc::clone(&other.0))), temporary: Mutex::default() }
    }

    fn store(&self) -> std::result::Result<Arc<dyn Artifacts>, Failure> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).clone();
        store.ok_or_else(|| Failure::closed("artifact storage"))
    }

    /// Runs `work` on the storage and answers what it told.
    fn ask<'env, T, Work>(
        &self,
        env: &'env Env,
        work: impl FnOnce(Arc<dyn Artifacts>) -> Work + Send + 'static,
    ) -> Answered<'env>
    where
        T: Serialize,
        Work: Future<Output = std::result::Result<T, ArtifactError>> + Send,
    {
        let store = self.store();
        env.spawn_future(async move {
            Ok(match store {
                Ok(store) => told(work(store).await),
                Err(failure) => Some(failed(failure)),
            })
        })
    }

    /// For other parts; nothing when it is closed.
    #[napi(catch_unwind)]
    pub fn any(&self) -> Option<External<AnyArtifacts>> {
        self.store().ok().map(|store| External::new(AnyArtifacts(store)))
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(js_name = "store", catch_unwind)]
    pub fn store_bytes<'env>(&self, env: &'env Env, key: String, bytes: Buffer) -> Answered<'env> {
        // The caller may change its bytes as soon as the call has returned.
        let bytes = Bytes::copy_from_slice(&bytes);
        self.ask(env, move |store| async move { store.store(&key, bytes).await.map(Info::from) })
    }

    /// See the trait: bytes, or an outcome.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn retrieve<'env>(&self, env: &'env Env, key: String) -> Result<PromiseRaw<'env, Either<Buffer, String>>> {
        let store = self.store();
        env.spawn_future(async move {
            let read = match store {
                Ok(store) => store.retrieve(&key).await.map_err(Failure::from),
                Err(failure) => Err(failure),
            };
            Ok(match read {
                Ok(bytes) => Either::A(Buffer::from(Vec::from(bytes))),
                Err(failure) => Either::B(failed(failure)),
            })
        })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn delete<'env>(&self, env: &'env Env, key: String) -> Answered<'env> {
        self.ask(env, move |store| async move { store.delete(&key).await })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn list<'env>(&self, env: &'env Env, prefix: String) -> Answered<'env> {
        self.ask(env, move |store| async move {
            let all = store.list(&prefix).await?;
            Ok(all.into_iter().map(Info::from).collect::<Vec<_>>())
        })
    }

    /// See the trait.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn stat<'env>(&self, env: &'env Env, key: String) -> Answered<'env> {
        self.ask(env, move |store| async move { Ok(store.stat(&key).await?.map(Info::from)) })
    }

    /// Ends it: what is under way is finished, a temporary folder is removed.
    #[napi(catch_unwind)]
    pub fn close(&self) -> Outcome {
        drop(self.store.lock().unwrap_or_else(PoisonError::into_inner).take());
        let folder = self.temporary.lock().unwrap_or_else(PoisonError::into_inner).take();
        let removed = folder.map_or(Ok(()), TempDir::close);
        crate::outcome::done(removed.map_err(|error| {
            Failure::new("Io", format!("could not remove the temporary folder: {error}; the storage is closed"))
        }))
    }
}
