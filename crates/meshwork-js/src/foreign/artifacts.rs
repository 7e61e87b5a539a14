//! An artifact storage that is written in JavaScript.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork::artifacts::{ARTIFACT_LIMIT, ArtifactError, ArtifactInfo, Artifacts, ByteStream, Opened, check_key};
use napi::bindgen_prelude::External;
use napi_derive::napi;
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use super::{answered, arguments, ask};
use crate::artifacts::AnyArtifacts;
use crate::calls::{CallQueue, Given, JsFunction};
use crate::failure::Failure;

/// The numbers by which the methods of a storage are registered.
#[napi(object)]
pub struct ArtifactMethods {
    /// `[key]` and bytes.
    pub store: u32,
    /// `[key]`, answered by bytes.
    pub retrieve: u32,
    /// `[key]`.
    pub delete: u32,
    /// `[prefix]`.
    pub list: u32,
    /// `[key]`.
    pub stat: u32,
}

/// What a foreign storage says of an artifact: the key and the size are needed, the rest is taken if it is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    key: String,
    size: u64,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    stored_at: u64,
}

impl From<Info> for ArtifactInfo {
    fn from(info: Info) -> Self {
        let stored = UNIX_EPOCH + Duration::from_millis(info.stored_at);
        Self { key: info.key, size: info.size, digest: info.digest, stored }
    }
}

#[derive(Clone)]
struct Inner {
    store: JsFunction,
    retrieve: JsFunction,
    delete: JsFunction,
    list: JsFunction,
    stat: JsFunction,
}

fn refused(key: &str) -> impl FnOnce(Failure) -> ArtifactError + use<'_> {
    move |failure| match &*failure.code {
        "NotFound" => ArtifactError::NotFound { key: key.to_owned() },
        _ => ArtifactError::Foreign { what: failure.message },
    }
}

impl Inner {
    async fn store_whole(&self, key: &str, bytes: Bytes) -> Result<ArtifactInfo, ArtifactError> {
        check_key(key)?;
        let size = bytes.len() as u64;
        let text = arguments(&[key]).map_err(refused(key))?;
        let answer = self.store.ask(text, Some(bytes)).await;
        let info: Info = answered("store", answer).map_err(refused(key))?;
        if info.key == key && info.size == size {
            return Ok(info.into());
        }
        let what = format!("store answered {} bytes of {:?}, expected {size} of {key:?}", info.size, info.key);
        Err(ArtifactError::Foreign { what })
    }

    async fn retrieve_whole(&self, key: &str) -> Result<Bytes, ArtifactError> {
        check_key(key)?;
        let text = arguments(&[key]).map_err(refused(key))?;
        match self.retrieve.ask(text, None).await.map_err(refused(key))? {
            Given::Bytes(bytes) => Ok(bytes),
            Given::Value(_) => Err(ArtifactError::NotFound { key: key.to_owned() }),
        }
    }
}

impl Artifacts for Inner {
    fn store(&self, key: &str, bytes: Bytes) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        let (inner, key) = (self.clone(), key.to_owned());
        async move { inner.store_whole(&key, bytes).await }.boxed()
    }

    fn store_stream(&self, key: &str, content: ByteStream) -> BoxFuture<'static, Result<ArtifactInfo, ArtifactError>> {
        let (inner, key) = (self.clone(), key.to_owned());
        async move {
            check_key(&key)?;
            let mut bytes = Vec::new();
            // The seed's storage takes bytes as a whole, so they have to be in memory once.
            let read = content.take(ARTIFACT_LIMIT + 1).read_to_end(&mut bytes).await;
            read.map_err(|source| ArtifactError::Source { key: key.clone(), source })?;
            if bytes.len() as u64 > ARTIFACT_LIMIT {
                return Err(ArtifactError::TooLarge { key, limit: ARTIFACT_LIMIT });
            }
            inner.store_whole(&key, bytes.into()).await
        }
        .boxed()
    }

    fn retrieve(&self, key: &str) -> BoxFuture<'static, Result<Bytes, ArtifactError>> {
        let (inner, key) = (self.clone(), key.to_owned());
        async move { inner.retrieve_whole(&key).await }.boxed()
    }

    fn open(&self, key: &str) -> BoxFuture<'static, Result<Opened, ArtifactError>> {
        let (inner, key) = (self.clone(), key.to_owned());
        async move {
            let bytes = inner.retrieve_whole(&key).await?;
            let info: Option<Info> = ask(&inner.stat, "stat", &[&key]).await.map_err(refused(&key))?;
            let mut info: ArtifactInfo = info.ok_or_else(|| ArtifactError::NotFound { key: key.clone() })?.into();
            // It may have been stored again in between: what is read is what was read.
            info.size = bytes.len() as u64;
            Ok(Opened { info, content: Box::pin(Cursor::new(bytes)) })
        }
        .boxed()
    }

    fn delete(&self, key: &str) -> BoxFuture<'static, Result<bool, ArtifactError>> {
        let (inner, key) = (self.clone(), key.to_owned());
        async move {
            check_key(&key)?;
            ask(&inner.delete, "delete", &[&key]).await.map_err(refused(&key))
        }
        .boxed()
    }

    fn list(&self, prefix: &str) -> BoxFuture<'static, Result<Vec<ArtifactInfo>, ArtifactError>> {
        let (inner, prefix) = (self.clone(), prefix.to_owned());
        async move {
            let all: Vec<Info> = ask(&inner.list, "list", &[&prefix]).await.map_err(refused(&prefix))?;
            Ok(all.into_iter().map(ArtifactInfo::from).collect())
        }
        .boxed()
    }

    fn stat(&self, key: &str) -> BoxFuture<'static, Result<Option<ArtifactInfo>, ArtifactError>> {
        let (inner, key) = (self.clone(), key.to_owned());
        async move {
            check_key(&key)?;
            let info: Option<Info> = ask(&inner.stat, "stat", &[&key]).await.map_err(refused(&key))?;
            Ok(info.map(ArtifactInfo::from))
        }
        .boxed()
    }
}

/// The storage as its JavaScript side has it.
#[napi(js_name = "ForeignArtifacts")]
pub struct ForeignArtifacts(Inner);

#[napi]
impl ForeignArtifacts {
    /// A storage with these methods.
    #[napi(constructor)]
    pub fn new(calls: &CallQueue, methods: ArtifactMethods) -> Self {
        let function = |number| calls.calls.function(number);
        Self(Inner {
            store: function(methods.store),
            retrieve: function(methods.retrieve),
            delete: function(methods.delete),
            list: function(methods.list),
            stat: function(methods.stat),
        })
    }

    /// For other parts.
    #[napi(catch_unwind)]
    pub fn any(&self) -> External<AnyArtifacts> {
        External::new(AnyArtifacts(Arc::new(self.0.clone())))
    }
}
