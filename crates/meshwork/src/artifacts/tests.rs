#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::*;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("artifacts")
    }

    fn open(&self) -> FolderArtifacts {
        FolderArtifacts::open(self.root()).unwrap()
    }

    fn blob(&self, content: &[u8]) -> PathBuf {
        let digest = blake3::hash(content).to_hex();
        self.root().join("blobs").join(&digest[..2]).join(&digest[2..])
    }

    /// All regular files under the store, by their path within.
    fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        let root = self.root();
        let mut found: Vec<_> =
            found.iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect();
        found.sort();
        found
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    let open = |scene: &Scene| {
        let store = FolderArtifacts::open_with_limit(scene.root(), contract::LIMIT).unwrap();
        Arc::new(store) as Arc<dyn Artifacts>
    };
    let new = || {
        let scene = Scene::new();
        (open(&scene), scene)
    };
    contract::suite(new, open).await;
}

#[tokio::test]
async fn nothing_is_left_of_what_is_not_stored_or_deleted() {
    let scene = Scene::new();
    let store = FolderArtifacts::open_with_limit(scene.root(), 100).unwrap();
    store.store("a", Bytes::from("one")).await.unwrap();
    store.store("a", Bytes::from("two")).await.unwrap();
    assert!(!scene.blob(b"one").exists(), "overwritten, and nobody else means it");
    store.store_stream("b", Box::pin(tokio::io::repeat(1))).await.unwrap_err();
    store.delete("a").await.unwrap();
    assert_eq!(scene.files(), ["manifest"]);
}

#[tokio::test]
async fn a_store_that_is_given_up_on_leaves_nothing() {
    let scene = Scene::new();
    let store = scene.open();
    let (mut sender, source) = tokio::io::duplex(64);
    let storing = tokio::spawn(store.store_stream("a", Box::pin(source)));
    tokio::io::AsyncWriteExt::write_all(&mut sender, &[0; 1000]).await.unwrap();
    storing.abort();
    assert!(storing.await.unwrap_err().is_cancelled());
    drop(store);
    drop(scene.open());
    assert_eq!(scene.files(), ["manifest"]);
}

#[tokio::test]
async fn everything_is_private() {
    let scene = Scene::new();
    scene.open().store("a", Bytes::from("one")).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let blob = scene.blob(b"one");
    assert_eq!(mode(scene.root()), 0o700);
    assert_eq!(mode(blob.parent().unwrap().to_owned()), 0o700);
    assert_eq!(mode(blob), 0o600);
    assert_eq!(mode(scene.root().join("manifest")), 0o600);
}

/// The files as a crash leaves them between two steps of storing.
#[tokio::test]
async fn a_crash_leaves_what_was_before() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("a", Bytes::from("one")).await.unwrap();
    let manifest = scene.root().join("manifest");
    let before = fs::read(&manifest).unwrap();
    store.store("a", Bytes::from("two")).await.unwrap();
    drop(store);
    let after = fs::read(&manifest).unwrap();
    for written in before.len()..after.len() {
        fs::write(scene.root().join("tmp/0"), "half").unwrap();
        fs::write(scene.blob(b"one"), "one").ok();
        fs::create_dir_all(scene.blob(b"one").parent().unwrap()).unwrap();
        fs::write(scene.blob(b"one"), "one").unwrap();
        fs::create_dir_all(scene.blob(b"two").parent().unwrap()).unwrap();
        fs::write(scene.blob(b"two"), "two").unwrap();
        fs::write(&manifest, &after[..written]).unwrap();
        let store = scene.open();
        assert_eq!(store.retrieve("a").await.unwrap(), "one");
        assert!(!scene.blob(b"two").exists(), "no key means it");
        assert_eq!(scene.files().len(), 2);
        assert_eq!(fs::read(&manifest).unwrap(), before);
    }
}

#[tokio::test]
async fn a_swapped_content_is_noticed() {
    let scene = Scene::new();
    let store = scene.open();
    let content = vec![1; 300_000];
    store.store("a", content.clone().into()).await.unwrap();
    let mut longer = content.clone();
    longer.push(1);
    let mut changed = content.clone();
    changed[299_999] = 2;
    for other in [&changed[..], &longer, &content[..1000], b""] {
        fs::write(scene.blob(&content), other).unwrap();
        // A longer one begins as it should: the stream gives what was stored, the whole is refused.
        let refusal = store.retrieve("a").await;
        assert!(matches!(refusal, Err(ArtifactError::Damaged { .. })));
        let mut read = Vec::new();
        let end = store.open("a").await.unwrap().content.read_to_end(&mut read).await;
        assert!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::InvalidData) || read == content);
        assert!(read.len() < content.len() || read == content);
    }
    fs::remove_file(scene.blob(&content)).unwrap();
    assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })));
    store.store("b", content.clone().into()).await.unwrap();
    assert_eq!(store.retrieve("a").await.unwrap(), content, "storing it again heals it");
}

#[tokio::test]
async fn symbolic_links_are_not_followed() {
    let scene = Scene::new();
    let outside = tempfile::tempdir().unwrap();
    let store = scene.open();
    store.store("a", Bytes::from("one")).await.unwrap();
    let blob = scene.blob(b"one");
    fs::write(outside.path().join("secret"), "one").unwrap();
    fs::remove_file(&blob).unwrap();
    symlink(outside.path().join("secret"), &blob).unwrap();
    assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })));
    // The folder in between is a link too.
    let shard = blob.parent().unwrap();
    fs::remove_dir_all(shard).unwrap();
    symlink(outside.path(), shard).unwrap();
    assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })));
    assert!(matches!(store.store("b", Bytes::from("one")).await, Err(ArtifactError::Damaged { .. })));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "nothing was written outside");
}

#[tokio::test]
async fn a_damaged_manifest_is_refused_and_no_content_is_removed() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("a", Bytes::from("one")).await.unwrap();
    store.store("b", Bytes::from("two")).await.unwrap();
    drop(store);
    let manifest = scene.root().join("manifest");
    let right = fs::read(&manifest).unwrap();
    for place in [0, 30, right.len() - 2] {
        let mut wrong = right.clone();
        wrong[place] ^= 1;
        fs::write(&manifest, &wrong).unwrap();
        let refusal = FolderArtifacts::open(scene.root()).unwrap_err();
        assert!(matches!(refusal, ArtifactError::Damaged { .. }), "{refusal}");
        assert_eq!(fs::read(&manifest).unwrap(), wrong);
    }
    fs::remove_file(&manifest).unwrap();
    assert!(matches!(FolderArtifacts::open(scene.root()), Err(ArtifactError::Damaged { .. })));
    assert!(scene.blob(b"one").exists() && scene.blob(b"two").exists());
    fs::write(&manifest, right).unwrap();
    assert_eq!(scene.open().retrieve("b").await.unwrap(), "two");
}

#[tokio::test]
async fn a_manifest_that_is_mostly_past_is_rewritten() {
    let scene = Scene::new();
    drop(scene.open());
    let path = scene.root().join("manifest");
    let mut manifest = manifest::Manifest::open(&path, true).unwrap();
    let info = |key: &str| ArtifactInfo {
        key: key.to_owned(),
        size: 0,
        digest: blake3::hash(b"").to_hex().to_string(),
        stored: manifest::now(),
    };
    manifest.set(info("other")).unwrap();
    for _ in 0..1100 {
        manifest.set(info("same")).unwrap();
    }
    let keys = manifest.list("");
    drop(manifest);
    let long = fs::metadata(&path).unwrap().len();
    let manifest = manifest::Manifest::open(&path, true).unwrap();
    assert_eq!(manifest.list(""), keys);
    assert!(fs::metadata(&path).unwrap().len() < long / 100);
}

#[tokio::test]
async fn others_may_only_look() {
    let scene = Scene::new();
    assert!(FolderArtifacts::open_read_only(scene.root()).is_err());
    assert!(!scene.root().exists());
    let store = scene.open();
    store.store("a", Bytes::from("one")).await.unwrap();
    let reader = FolderArtifacts::open_read_only(scene.root()).unwrap();
    assert_eq!(reader.retrieve("a").await.unwrap(), "one");
    let refusal = reader.store("b", Bytes::new()).await;
    assert!(matches!(refusal, Err(ArtifactError::ReadOnly { .. })));
    assert!(matches!(reader.delete("a").await, Err(ArtifactError::ReadOnly { .. })));
    assert_eq!(store.list("").await.unwrap().len(), 1);
}

proptest! {
    #[test]
    fn a_key_would_be_harmless_as_a_path(key in "[-./\\\\a-cC:é\u{0}\n ]{0,20}|\\PC{0,1030}|(\\.\\.|/|\\.|x){0,6}") {
        if check_key(&key).is_ok() {
            prop_assert!((1..=1024).contains(&key.len()) && !key.starts_with('-'));
            prop_assert!(!key.contains(['\\', '\0', '\n']));
            let parts: Vec<_> = Path::new(&key).components().collect();
            prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "{parts:?}");
            // And it is written the one way: no key means the same path as another.
            let joined: PathBuf = parts.iter().collect();
            prop_assert_eq!(joined.to_str(), Some(&key[..]));
        }
    }

    #[test]
    fn no_key_leaves_the_folder(key in "[-./\\\\ab:é]{1,12}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let scene = Scene::new();
        let stored = runtime.block_on(scene.open().store(&key, Bytes::from("x")));
        let files = scene.files();
        prop_assert_eq!(files.len(), if stored.is_ok() { 2 } else { 1 }, "{:?}", files);
    }
}
