//! Content-addressed artifact storage.
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::pin::Pin;
/// e
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ArtifactError(String);
/// a
pub trait Artifacts: Send + Sync + 'static {
    /// s
    fn store<'a>(&'a self, key: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), ArtifactError>>;
    /// s
    fn store_stream<'a>(
        &'a self,
        key: &'a str,
        from: Pin<Box<dyn tokio::io::AsyncRead + Send>>,
    ) -> BoxFuture<'a, Result<(), ArtifactError>>;
    /// r
    fn retrieve<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Bytes, ArtifactError>>;
}
