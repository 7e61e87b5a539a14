#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::folder::ROW_BYTES;
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

    fn database(&self) -> PathBuf {
        self.root().join("artifacts.db")
    }

    fn open(&self) -> FolderArtifacts {
        FolderArtifacts::open(self.root()).unwrap()
    }

    /// The large contents, by the names of their files.
    fn blobs(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.root().join("blobs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The file of the one large content.
    fn blob(&self) -> PathBuf {
        let blobs = self.blobs();
        assert_eq!(blobs.len(), 1, "{blobs:?}");
        self.root().join("blobs").join(blobs.first().unwrap())
    }

    /// How many rows with contents there are.
    fn rows(&self) -> u32 {
        let database = Connection::open(self.database()).unwrap();
        database.query_row("SELECT count(*) FROM content", [], |row| row.get(0)).unwrap()
    }
}

/// A content for a file of its own.
fn large(fill: u8) -> Bytes {
    vec![fill; ROW_BYTES + 1].into()
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
async fn small_contents_are_rows_and_large_ones_files() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("most", vec![1; ROW_BYTES].into()).await.unwrap();
    store.store_stream("streamed", Box::pin(std::io::Cursor::new(vec![2; ROW_BYTES]))).await.unwrap();
    assert_eq!((scene.rows(), scene.blobs().len()), (2, 0));
    store.store("more", large(3)).await.unwrap();
    store.store_stream("streamed", Box::pin(std::io::Cursor::new(large(4)))).await.unwrap();
    assert_eq!((scene.rows(), scene.blobs().len()), (3, 2));
    for (key, content) in [("most", vec![1; ROW_BYTES].into()), ("more", large(3)), ("streamed", large(4))] {
        assert!(store.retrieve(key).await.unwrap() == content, "{key}");
    }
}

#[tokio::test]
async fn a_content_is_kept_once() {
    let scene = Scene::new();
    let store = scene.open();
    for content in [Bytes::from("small"), large(1)] {
        for key in ["a", "b", "b"] {
            store.store(key, content.clone()).await.unwrap();
        }
        assert_eq!(scene.rows(), 1);
        store.delete("a").await.unwrap();
        assert!(store.retrieve("b").await.unwrap() == content);
    }
    assert_eq!(scene.blobs().len(), 1);
}

#[tokio::test]
async fn nothing_is_left_of_what_is_not_stored_or_deleted() {
    let scene = Scene::new();
    let store = FolderArtifacts::open_with_limit(scene.root(), 2 * large(1).len() as u64).unwrap();
    for (first, second) in [(large(1), large(2)), (large(3), "small".into()), ("other".into(), large(4))] {
        store.store("a", first).await.unwrap();
        store.store("a", second).await.unwrap();
        assert_eq!(scene.rows(), 1, "overwritten, and nobody else means it");
        store.store_stream("b", Box::pin(tokio::io::repeat(1))).await.unwrap_err();
        assert!(scene.blobs().len() <= 1);
    }
    store.delete("a").await.unwrap();
    assert_eq!((scene.rows(), scene.blobs().len()), (0, 0));
    drop(store);
    let left: BTreeSet<_> = fs::read_dir(scene.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["artifacts.db", "blobs"].map(Into::into).into(), "the database was put in order");
}

#[tokio::test]
async fn a_store_that_is_given_up_on_leaves_nothing() {
    let scene = Scene::new();
    let store = scene.open();
    let (mut sender, source) = tokio::io::duplex(64 * 1024);
    let storing = tokio::spawn(store.store_stream("a", Box::pin(source)));
    tokio::io::AsyncWriteExt::write_all(&mut sender, &vec![0; 3 * ROW_BYTES]).await.unwrap();
    assert_eq!(scene.blobs().len(), 1);
    storing.abort();
    assert!(storing.await.unwrap_err().is_cancelled());
    drop(store);
    drop(scene.open());
    assert_eq!((scene.rows(), scene.blobs().len()), (0, 0));
}

#[tokio::test]
async fn everything_is_private() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("a", large(1)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scene.root()), 0o700);
    assert_eq!(mode(&scene.root().join("blobs")), 0o700);
    assert_eq!(mode(&scene.blob()), 0o600);
    for file in ["artifacts.db", "artifacts.db-wal", "artifacts.db-shm"] {
        assert_eq!(mode(&scene.root().join(file)), 0o600, "{file}");
    }
}

/// The files as a crash leaves them between two steps of storing.
#[tokio::test]
async fn what_a_crash_left_is_removed_unless_another_process_may_have_it_in_hand() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("a", large(1)).await.unwrap();
    let before = scene.blobs();
    let unnamed = scene.root().join("blobs").join("0123456789abcdef0123456789abcdef");
    let half_made = scene.root().join("artifacts.db-new-0123456789abcdef");
    let foreign = scene.root().join("blobs").join("notes.txt");
    for path in [&unnamed, &half_made, &foreign] {
        fs::write(path, "half").unwrap();
    }
    let other = scene.open();
    drop(store);
    let third = scene.open();
    assert!(unnamed.exists() && half_made.exists(), "it may be what another one is about to name");
    drop((other, third));
    let store = scene.open();
    assert!(!unnamed.exists() && !half_made.exists(), "nobody names it any more");
    assert!(foreign.exists(), "it is not ours");
    fs::remove_file(foreign).unwrap();
    assert_eq!(scene.blobs(), before);
    assert!(store.retrieve("a").await.unwrap() == large(1));
}

#[tokio::test]
async fn a_swapped_content_is_noticed() {
    let scene = Scene::new();
    let store = scene.open();
    let content = large(1).to_vec();
    store.store("a", content.clone().into()).await.unwrap();
    let mut longer = content.clone();
    longer.push(1);
    let mut changed = content.clone();
    changed[ROW_BYTES] = 2;
    for other in [&changed[..], &longer, &content[..1000], b""] {
        fs::write(scene.blob(), other).unwrap();
        // A longer one begins as it should: the stream gives what was stored, the whole is refused.
        let refusal = store.retrieve("a").await;
        assert!(matches!(refusal, Err(ArtifactError::Damaged { .. })));
        let mut read = Vec::new();
        let end = store.open("a").await.unwrap().content.read_to_end(&mut read).await;
        assert!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::InvalidData) || read == content);
        assert!(read.len() < content.len() || read == content);
    }
    fs::remove_file(scene.blob()).unwrap();
    assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })));
    store.store("b", content.clone().into()).await.unwrap();
    assert_eq!(store.retrieve("a").await.unwrap(), content, "storing it again heals it");
}

#[tokio::test]
async fn a_changed_row_is_noticed() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("a", "one".into()).await.unwrap();
    let digest = blake3::hash(b"one");
    for change in ["bytes = x'6f6e66'", "bytes = x''", "bytes = NULL, file = '../../secret'"] {
        let database = Connection::open(scene.database()).unwrap();
        let changed = format!("UPDATE content SET {change} WHERE digest = ?");
        assert_eq!(database.execute(&changed, [digest.as_bytes()]).unwrap(), 1);
        assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })), "{change}");
        let opened = store.open("a").await;
        if let Ok(mut opened) = opened {
            let end = opened.content.read_to_end(&mut Vec::new()).await;
            assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::InvalidData, "{change}");
        }
        store.store("b", "one".into()).await.unwrap();
        assert_eq!(store.retrieve("a").await.unwrap(), "one", "storing it again heals it");
    }
    let database = Connection::open(scene.database()).unwrap();
    database.execute("DELETE FROM content", []).unwrap();
    assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })));
}

#[tokio::test]
async fn symbolic_links_are_not_followed() {
    let scene = Scene::new();
    let outside = tempfile::tempdir().unwrap();
    let store = scene.open();
    store.store("a", large(1)).await.unwrap();
    let blob = scene.blob();
    fs::write(outside.path().join("secret"), large(1)).unwrap();
    fs::remove_file(&blob).unwrap();
    symlink(outside.path().join("secret"), &blob).unwrap();
    assert!(matches!(store.retrieve("a").await, Err(ArtifactError::Damaged { .. })));
    drop(store);
    // The folder in between is a link, and then the database.
    let (blobs, database) = (scene.root().join("blobs"), scene.database());
    fs::remove_dir_all(&blobs).unwrap();
    symlink(outside.path(), &blobs).unwrap();
    let refused = || {
        for refusal in [FolderArtifacts::open(scene.root()), FolderArtifacts::open_read_only(scene.root())] {
            assert!(matches!(refusal, Err(ArtifactError::Damaged { .. })), "{refusal:?}");
        }
    };
    refused();
    fs::remove_file(&blobs).unwrap();
    fs::create_dir(&blobs).unwrap();
    fs::rename(&database, outside.path().join("secret.db")).unwrap();
    symlink(outside.path().join("secret.db"), &database).unwrap();
    refused();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2, "nothing was written outside");
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_no_content_is_removed() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("a", large(1)).await.unwrap();
    store.store("b", large(2)).await.unwrap();
    drop(store);
    let unnamed = scene.root().join("blobs").join("0123456789abcdef0123456789abcdef");
    fs::write(&unnamed, "half").unwrap();
    let (path, blobs) = (scene.database(), scene.blobs());
    let right = fs::read(&path).unwrap();
    // The header, the index of the names of files, and the table behind it.
    for (place, length) in [(0, 16), (5 * 4096, 4096), (3 * 4096, 4096)] {
        let mut wrong = right.clone();
        wrong[place..place + length].fill(0);
        fs::write(&path, &wrong).unwrap();
        let refusal = FolderArtifacts::open(scene.root()).unwrap_err();
        assert!(matches!(refusal, ArtifactError::Damaged { .. }), "{refusal}");
        assert_eq!((fs::read(&path).unwrap(), scene.blobs()), (wrong, blobs.clone()));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(FolderArtifacts::open(scene.root()), Err(ArtifactError::Damaged { .. })));
    assert_eq!(scene.blobs(), blobs);
    fs::write(&path, right).unwrap();
    assert!(scene.open().retrieve("b").await.unwrap() == large(2));
    assert!(!unnamed.exists());
}

#[test]
fn another_layout_is_refused_and_left_alone() {
    let scene = Scene::new();
    fs::create_dir(scene.root()).unwrap();
    fs::write(scene.root().join("manifest"), "0123456789abcdef {}\n").unwrap();
    for refusal in [FolderArtifacts::open(scene.root()), FolderArtifacts::open_read_only(scene.root())] {
        let refusal = refusal.unwrap_err();
        assert!(matches!(refusal, ArtifactError::OtherLayout { .. }), "{refusal}");
        assert!(refusal.to_string().contains("\"manifest\" of an earlier version"), "{refusal}");
    }
    assert_eq!(fs::read_dir(scene.root()).unwrap().count(), 1);
    fs::remove_file(scene.root().join("manifest")).unwrap();
    drop(scene.open());
    for pragma in ["user_version = 2", "application_id = 7"] {
        Connection::open(scene.database()).unwrap().execute_batch(&format!("PRAGMA {pragma}")).unwrap();
        let before = fs::read(scene.database()).unwrap();
        let refusal = FolderArtifacts::open(scene.root()).unwrap_err();
        assert!(matches!(refusal, ArtifactError::OtherLayout { .. }), "{refusal}");
        assert!(fs::read(scene.database()).unwrap() == before);
    }
}

#[tokio::test]
async fn others_may_look_at_any_time() {
    let scene = Scene::new();
    let missing = FolderArtifacts::open_read_only(scene.root()).unwrap_err();
    assert!(matches!(&missing, ArtifactError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
    assert!(!scene.root().exists());
    let store = scene.open();
    store.store("a", large(1)).await.unwrap();
    let reader = FolderArtifacts::open_read_only(scene.root()).unwrap();
    assert!(reader.retrieve("a").await.unwrap() == large(1));
    let refusal = reader.store("b", Bytes::new()).await;
    assert!(matches!(refusal, Err(ArtifactError::ReadOnly { .. })));
    let refusal = reader.store_stream("b", Box::pin(&b"x"[..])).await;
    assert!(matches!(refusal, Err(ArtifactError::ReadOnly { .. })));
    assert!(matches!(reader.delete("a").await, Err(ArtifactError::ReadOnly { .. })));
    store.store("b", "two".into()).await.unwrap();
    assert_eq!(reader.retrieve("b").await.unwrap(), "two");
    assert_eq!(reader.list("").await.unwrap(), store.list("").await.unwrap());
    drop(store);
    assert_eq!(reader.list("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_does_not_fit_takes_nothing_with_it() {
    let scene = Scene::new();
    let store = scene.open();
    store.store("before", "kept".into()).await.unwrap();
    store.limit_pages(40).await.unwrap();
    // At once, so that they share a transaction.
    let small = (0..8).map(|n| store.store(if n % 2 == 0 { "a" } else { "b" }, vec![n; 100].into()));
    let (refusal, small) = tokio::join!(store.store("before", vec![1; ROW_BYTES].into()), join_all(small));
    assert!(matches!(refusal, Err(ArtifactError::Full { .. })), "{refusal:?}");
    assert!(small.iter().all(Result::is_ok), "{small:?}");
    assert_eq!(store.retrieve("before").await.unwrap(), "kept");
    assert_eq!(scene.rows(), 3);
}

/// Stores, overwrites and deletes a few keys again and again, and reads them; each content is all of one byte.
async fn live(store: FolderArtifacts, name: u8, rounds: u8) {
    for round in 0..rounds {
        let key = format!("k{}", round % 3);
        let fill = (name + round) % 4;
        let content = if fill == 0 { vec![0; 1000].into() } else { large(fill) };
        store.store(&key, content).await.unwrap();
        if round % 5 == 4 {
            store.delete(&key).await.unwrap();
        }
        for key in ["k0", "k1", "k2"] {
            match store.retrieve(key).await {
                Ok(bytes) => assert!(bytes.iter().all(|byte| *byte == bytes[0])),
                Err(error) => assert!(matches!(error, ArtifactError::NotFound { .. }), "{error}"),
            }
        }
    }
}

/// Every key has its content, and every file its key.
async fn in_order(scene: &Scene) {
    let store = scene.open();
    let mut large = BTreeSet::new();
    for info in store.list("").await.unwrap() {
        let bytes = store.retrieve(&info.key).await.unwrap();
        large.extend((bytes.len() > ROW_BYTES).then_some(info.digest));
    }
    assert_eq!(scene.blobs().len(), large.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_writers_share_a_folder() {
    let scene = Scene::new();
    let sides = (0..4).map(|name| tokio::spawn(live(scene.open(), name, 20)));
    for side in sides.collect::<Vec<_>>() {
        side.await.unwrap();
    }
    in_order(&scene).await;
}

const SHARED: &str = "MESHWORK_TEST_SHARED_ARTIFACTS";

/// The other half of the test below, in a process of its own.
#[tokio::test]
async fn one_of_several_processes() {
    if let Some(root) = std::env::var_os(SHARED) {
        for start in 0..4 {
            live(FolderArtifacts::open(&root).unwrap(), start, 10).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_share_a_folder() {
    let scene = Scene::new();
    let program = std::env::current_exe().unwrap();
    let start = || {
        let mut other = Command::new(&program);
        other.args(["--exact", "artifacts::tests::one_of_several_processes"]).env(SHARED, scene.root());
        other.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let others = [start(), start()];
    for start in 0..4 {
        live(scene.open(), start, 10).await;
    }
    for other in others {
        let output = other.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    in_order(&scene).await;
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
        let stored = runtime.block_on(scene.open().store(&key, large(1)));
        prop_assert_eq!(scene.blobs().len(), usize::from(stored.is_ok()));
        prop_assert_eq!(fs::read_dir(scene.root()).unwrap().count(), 2);
        prop_assert_eq!(fs::read_dir(scene.folder.path()).unwrap().count(), 1);
    }
}
