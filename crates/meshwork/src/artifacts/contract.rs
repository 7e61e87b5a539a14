//! What every store of artifacts must do, as scenarios that each implementation runs in its own tests.
//!
//! It asserts and therefore panics; it is public (and hidden) so that a store outside this crate can run it too.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::{ArtifactError, Artifacts};

/// The limit that the stores of the suite must have, in bytes.
pub const LIMIT: u64 = 1_000_000;

/// Runs every scenario, each with an empty store whose limit is [`LIMIT`]. `reopen` gives the same store again.
///
/// # Panics
/// When the store does not do what the trait says.
pub async fn suite<S>(new: impl Fn() -> (Arc<dyn Artifacts>, S), reopen: impl Fn(&S) -> Arc<dyn Artifacts>) {
    bytes_come_back(&*new().0).await;
    streams_come_back(&*new().0).await;
    keys_are_overwritten(&*new().0).await;
    keys_share_a_content(&*new().0).await;
    keys_are_listed(&*new().0).await;
    what_is_not_there(&*new().0).await;
    bad_keys_are_refused(&*new().0).await;
    too_much_is_refused(&*new().0).await;
    a_failing_source_stores_nothing(&*new().0).await;
    one_key_from_many_sides(&new().0).await;
    let (store, place) = new();
    content(&*store, "kept", b"before").await;
    content(&*store, "gone", b"gone").await;
    store.delete("gone").await.expect("a key is deleted");
    drop(store);
    let store = reopen(&place);
    assert_eq!(store.retrieve("kept").await.expect("it is kept"), "before");
    assert_eq!(store.list("").await.expect("a list").len(), 1);
}

async fn content(store: &dyn Artifacts, key: &str, bytes: &'static [u8]) {
    let info = store.store(key, Bytes::from_static(bytes)).await.expect("an artifact is stored");
    assert_eq!((&info.key[..], info.size), (key, bytes.len() as u64));
    assert_eq!(info.digest, *blake3::hash(bytes).to_hex());
    assert_eq!(store.stat(key).await.expect("an answer"), Some(info));
}

async fn bytes_come_back(store: &dyn Artifacts) {
    for (key, bytes) in [("a", &b"text"[..]), ("empty", b""), ("dir/né b.txt", &[0, 255, 10])] {
        content(store, key, bytes).await;
        assert_eq!(store.retrieve(key).await.expect("it is there"), bytes);
        let mut opened = store.open(key).await.expect("it is there");
        let mut read = Vec::new();
        opened.content.read_to_end(&mut read).await.expect("it is intact");
        assert_eq!((&read[..], opened.info.size), (bytes, bytes.len() as u64));
    }
}

async fn streams_come_back(store: &dyn Artifacts) {
    for size in [0, 1, 262_144, 700_001] {
        let bytes: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[n as usize % 4]).collect();
        let source = io::Cursor::new(bytes.clone());
        let info = store.store_stream("s", Box::pin(source)).await.expect("a stream is stored");
        assert_eq!((info.size, &info.digest[..]), (u64::from(size), &*blake3::hash(&bytes).to_hex()));
        assert_eq!(store.retrieve("s").await.expect("it is there"), bytes);
        let mut read = Vec::new();
        let mut opened = store.open("s").await.expect("it is there");
        opened.content.read_to_end(&mut read).await.expect("it is intact");
        assert!(read == bytes);
    }
}

async fn keys_are_overwritten(store: &dyn Artifacts) {
    content(store, "k", b"one").await;
    let mut opened = store.open("k").await.expect("it is there");
    content(store, "k", b"two").await;
    content(store, "k", b"two").await;
    assert_eq!(store.retrieve("k").await.expect("it is there"), "two");
    let mut read = String::new();
    opened.content.read_to_string(&mut read).await.expect("what was opened stays readable");
    assert_eq!(read, "one");
    assert_eq!(store.list("").await.expect("a list").len(), 1);
}

async fn keys_share_a_content(store: &dyn Artifacts) {
    content(store, "a", b"same").await;
    content(store, "b", b"same").await;
    assert!(store.delete("a").await.expect("an answer"));
    assert_eq!(store.retrieve("b").await.expect("the other key keeps it"), "same");
    assert!(store.delete("b").await.expect("an answer"));
    content(store, "c", b"same").await;
    assert_eq!(store.retrieve("c").await.expect("it was stored again"), "same");
}

async fn keys_are_listed(store: &dyn Artifacts) {
    for key in ["b/2", "a", "b/1", "b-", "bc"] {
        content(store, key, b"x").await;
    }
    let keys = async |prefix| {
        let infos = store.list(prefix).await.expect("a list");
        infos.into_iter().map(|info| info.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("").await, ["a", "b-", "b/1", "b/2", "bc"]);
    assert_eq!(keys("b/").await, ["b/1", "b/2"]);
    assert_eq!(keys("z").await, [""; 0]);
}

async fn what_is_not_there(store: &dyn Artifacts) {
    assert!(matches!(store.retrieve("no").await, Err(ArtifactError::NotFound { .. })));
    assert!(matches!(store.open("no").await.map(drop), Err(ArtifactError::NotFound { .. })));
    assert_eq!(store.stat("no").await.expect("an answer"), None);
    assert!(!store.delete("no").await.expect("an answer"));
}

async fn bad_keys_are_refused(store: &dyn Artifacts) {
    for key in ["", "..", "/etc/passwd", "a/../b", "a//b", "C:x", "a\\b", "-rf", "a\0b"] {
        let refusal = store.store(key, Bytes::from("x")).await;
        assert!(matches!(refusal, Err(ArtifactError::Key(_))), "{key:?}");
        let refusal = store.store_stream(key, Box::pin(&b"x"[..])).await;
        assert!(matches!(refusal, Err(ArtifactError::Key(_))), "{key:?}");
        assert!(matches!(store.retrieve(key).await, Err(ArtifactError::Key(_))), "{key:?}");
        assert!(matches!(store.delete(key).await, Err(ArtifactError::Key(_))), "{key:?}");
    }
    assert_eq!(store.list("").await.expect("a list"), []);
}

async fn too_much_is_refused(store: &dyn Artifacts) {
    content(store, "k", b"before").await;
    let size = usize::try_from(LIMIT).expect("it fits") + 1;
    let refusal = store.store("k", vec![0; size].into()).await;
    assert!(matches!(refusal, Err(ArtifactError::TooLarge { limit: LIMIT, .. })));
    // A source without an end is given up on at the limit.
    let refusal = store.store_stream("k", Box::pin(tokio::io::repeat(7))).await;
    assert!(matches!(refusal, Err(ArtifactError::TooLarge { limit: LIMIT, .. })));
    assert_eq!(store.retrieve("k").await.expect("it is as it was"), "before");
    let most = Bytes::from(vec![0; size - 1]);
    store.store("k", most.clone()).await.expect("the limit itself is allowed");
    assert!(store.retrieve("k").await.expect("it is there") == most);
}

struct Failing;

impl AsyncRead for Failing {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the source broke")))
    }
}

async fn a_failing_source_stores_nothing(store: &dyn Artifacts) {
    content(store, "k", b"before").await;
    let source = (&b"a beginning"[..]).chain(Failing);
    let refusal = store.store_stream("k", Box::pin(source)).await;
    assert!(matches!(refusal, Err(ArtifactError::Source { .. })));
    assert_eq!(store.retrieve("k").await.expect("it is as it was"), "before");
}

async fn one_key_from_many_sides(store: &Arc<dyn Artifacts>) {
    let sides = (0..8_u8).map(|side| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for round in 0..10_u8 {
                let bytes = Bytes::from(vec![(side + round) % 3; 100]);
                store.store("k", bytes).await.expect("an artifact is stored");
                if round % 4 == 3 {
                    store.delete("k").await.expect("an answer");
                }
                match store.retrieve("k").await {
                    Ok(bytes) => {
                        assert!(bytes.len() == 100 && bytes.iter().all(|byte| *byte == bytes[0]));
                    }
                    Err(error) => {
                        assert!(matches!(error, ArtifactError::NotFound { .. }), "{error}");
                    }
                }
            }
        })
    });
    for side in sides.collect::<Vec<_>>() {
        side.await.expect("every side ends well");
    }
}
