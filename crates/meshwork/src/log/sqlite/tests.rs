#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures_util::StreamExt;
use tempfile::TempDir;

use super::super::contract::{self, Place};
use super::*;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("swarm.db")
    }

    fn open(&self) -> SqliteLog {
        SqliteLog::open(self.path()).unwrap()
    }

    /// A closed log of ten batches of 5,000 bytes, so that each has pages of its own.
    async fn of_ten() -> Self {
        let scene = Self::new();
        let log = scene.open();
        for number in 1..=10 {
            log.append(large(number)).await.unwrap();
        }
        log.close().await.unwrap();
        scene
    }

    /// Another connection, as somebody else would have it.
    fn sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path()).unwrap();
        change(&mut bytes);
        fs::write(self.path(), bytes).unwrap();
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
    }

    /// Opening is refused and leaves everything as it is.
    fn refuses(&self) -> LogError {
        // The index in shared memory is SQLite's scratch: it says nothing and is made anew.
        let files = || {
            let mut files = self.files();
            files.remove("swarm.db-shm");
            files
        };
        let before = files();
        let refusal = SqliteLog::open(self.path()).unwrap_err();
        assert_eq!(SqliteLog::open_existing(self.path()).unwrap_err(), refusal);
        assert_eq!(files(), before, "{refusal}");
        refusal
    }

    /// What `kill -9` leaves: the files as they are at this moment, without the shared-memory index.
    fn killed(&self) -> Self {
        let copy = Self::new();
        for name in ["swarm.db", "swarm.db-wal"] {
            fs::copy(self.folder.path().join(name), copy.folder.path().join(name)).unwrap();
        }
        copy
    }
}

fn large(number: u8) -> Bytes {
    Bytes::from(vec![number; 5000])
}

fn place_of(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_sqlite_keeps_the_contract() {
    contract::suite(|| {
        let scene = Scene::new();
        Place::durable(move || Arc::new(scene.open()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_faults_it_keeps_the_contract_too() {
    use super::super::{FaultPlan, Faulty};
    contract::suite(|| {
        let scene = Scene::new();
        Place::durable(move || Arc::new(Faulty::new(Arc::new(scene.open()), FaultPlan::none(3))))
    })
    .await;
}

#[tokio::test]
async fn a_killed_log_has_everything_that_was_acknowledged() {
    let scene = Scene::new();
    let log = scene.open();
    for number in 1..=20 {
        log.append(large(number)).await.unwrap();
        if number == 12 {
            log.save_snapshot(12, Bytes::from("state")).await.unwrap();
        }
    }
    let killed = scene.killed();
    let reader = SqliteLog::open_read_only(killed.path()).unwrap();
    assert_eq!(reader.last(), Ok(20));
    assert_eq!(reader.snapshot(), Ok(Some((12, Bytes::from("state")))));
    assert_eq!(reader.check(), Ok(()));
    drop(reader);
    let again = killed.open();
    assert_eq!(again.last().await, Ok(20));
    again.append(large(21)).await.unwrap();
    let all: Vec<_> = again.tail(1).take(21).map(|stored| stored.unwrap().bytes).collect().await;
    assert!(all.into_iter().eq((1..=21).map(large)));
}

#[tokio::test]
async fn what_was_handed_over_is_stored_when_the_log_is_dropped() {
    let scene = Scene::new();
    let log = scene.open();
    let answers: Vec<_> = (1..=50).map(|number| log.append(large(number))).collect();
    drop(log);
    for answer in answers {
        answer.await.unwrap();
    }
    assert_eq!(LogReader::open(scene.path()).unwrap().last(), Ok(50));
}

#[tokio::test]
async fn a_clean_end_leaves_one_private_file() {
    let scene = Scene::of_ten().await;
    let names: Vec<_> = scene.files().into_keys().collect();
    assert_eq!(names, ["swarm.db"]);
    let mode = fs::metadata(scene.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_reads_while_it_is_written() {
    let scene = Scene::new();
    let log = scene.open();
    log.append(large(1)).await.unwrap();
    let path = scene.path();
    let follower = tokio::task::spawn_blocking(move || {
        let reader = LogReader::open(path).unwrap();
        let mut seen = Vec::new();
        while seen.len() < 200 {
            seen.extend(reader.batches(seen.len() as u64 + 1, 20_000).unwrap());
            std::thread::yield_now();
        }
        seen
    });
    for number in 2..=200 {
        log.append(large(number)).await.unwrap();
    }
    let seen = within(follower).await.unwrap();
    assert!(seen.iter().map(|stored| stored.seq).eq(1..=200));
    assert!(seen.into_iter().map(|stored| stored.bytes).eq((1..=200).map(large)));
}

#[tokio::test]
async fn a_reader_takes_as_much_as_it_may() {
    let scene = Scene::of_ten().await;
    let reader = LogReader::open(scene.path()).unwrap();
    let count = |from, bytes| reader.batches(from, bytes).unwrap().len();
    assert_eq!(count(1, 0), 1, "one, whatever its size");
    assert_eq!(count(1, 5000), 1);
    assert_eq!(count(1, 14_999), 2);
    assert_eq!(count(0, usize::MAX), 10);
    assert_eq!(count(9, usize::MAX), 2);
    assert_eq!(count(11, usize::MAX), 0);
    assert_eq!(count(u64::MAX, usize::MAX), 0);
}

#[tokio::test]
async fn what_is_not_there_is_not_created_by_looking() {
    let scene = Scene::new();
    let path = scene.path();
    let missing = LogError::NotFound { path: path.clone() };
    assert_eq!(SqliteLog::open_existing(&path).unwrap_err(), missing);
    assert_eq!(LogReader::open(&path).unwrap_err(), missing);
    assert!(scene.files().is_empty());
    let nowhere = scene.folder.path().join("no/such/folder/swarm.db");
    assert!(matches!(SqliteLog::open(nowhere), Err(LogError::Io { .. })));
    assert!(scene.files().is_empty());
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let scene = Scene::of_ten().await;
    scene.change(|bytes| bytes[..16].copy_from_slice(b"something else!!"));
    assert!(matches!(scene.refuses(), LogError::NotADatabase { .. }));
    for content in ["", "short", &"[swarm]\n".repeat(100)] {
        fs::write(scene.path(), content).unwrap();
        assert!(matches!(scene.refuses(), LogError::NotADatabase { .. }), "{content:?}");
    }
    let folder = Scene::new();
    let refusal = SqliteLog::open(folder.folder.path()).unwrap_err();
    assert!(matches!(refusal, LogError::NotADatabase { .. }));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let scene = Scene::new();
    scene.sql("CREATE TABLE theirs (a); PRAGMA application_id = 77");
    let refusal = LogError::ForeignDatabase { found: 77, expected: schema::APPLICATION_ID, path: scene.path() };
    assert_eq!(scene.refuses(), refusal);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let scene = Scene::of_ten().await;
    scene.sql("PRAGMA user_version = 99");
    let refusal = LogError::NewerSchema { found: 99, supported: schema::SUPPORTED, path: scene.path() };
    assert_eq!(scene.refuses(), refusal);
    assert_eq!(LogReader::open(scene.path()).unwrap_err(), refusal);
}

/// A newer version that only the write-ahead log knows of: the main file still looks like ours.
#[tokio::test]
async fn a_newer_schema_in_the_write_ahead_log_is_refused() {
    let scene = Scene::of_ten().await;
    let newer = rusqlite::Connection::open(scene.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let killed = scene.killed();
    let before = killed.files();
    let refusal = SqliteLog::open(killed.path()).unwrap_err();
    assert!(matches!(refusal, LogError::NewerSchema { found: 99, .. }), "{refusal}");
    let after = killed.files();
    for name in ["swarm.db", "swarm.db-wal"] {
        assert_eq!(after[name], before[name], "{name}");
    }
}

#[tokio::test]
async fn an_empty_database_of_version_0_is_migrated() {
    let scene = Scene::new();
    let ours = format!("PRAGMA application_id = {}; PRAGMA user_version = 0", schema::APPLICATION_ID);
    scene.sql(&ours);
    let refusal = LogReader::open(scene.path()).unwrap_err();
    assert!(matches!(refusal, LogError::OlderSchema { found: 0, .. }));
    let log = scene.open();
    log.append(large(1)).await.unwrap();
    log.close().await.unwrap();
    assert_eq!(schema::inspect(&scene.path()), Ok(Some(schema::SUPPORTED)));
    assert_eq!(scene.open().last().await, Ok(1));
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let scene = Scene::new();
    let ours = format!("PRAGMA application_id = {}; CREATE TABLE meta (odd)", schema::APPLICATION_ID);
    scene.sql(&ours);
    assert!(SqliteLog::open(scene.path()).is_err());
    let connection = rusqlite::Connection::open(scene.path()).unwrap();
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1, "the tables before `meta` were made in the same transaction");
    assert_eq!(schema::inspect(&scene.path()), Ok(Some(0)));
}

#[tokio::test]
async fn a_truncated_database_is_refused() {
    let scene = Scene::of_ten().await;
    scene.change(|bytes| bytes.truncate(bytes.len() - 4096));
    assert!(matches!(scene.refuses(), LogError::Damaged { .. }));
    assert!(matches!(LogReader::open(scene.path()), Err(LogError::Damaged { .. })));
}

/// Overwrites the pages of the table in which the rows of batches start.
fn break_leaves(bytes: &mut [u8]) {
    // Page 1 has the schema; 13 marks a leaf of a table.
    let leaves = bytes.chunks_mut(4096).skip(1).filter(|page| page[0] == 13);
    for leaf in leaves.filter(|page| page.windows(100).any(|window| window == [5; 100])) {
        leaf.fill(0xA5);
    }
}

#[tokio::test]
async fn a_damaged_structure_is_refused() {
    let scene = Scene::of_ten().await;
    scene.change(|bytes| break_leaves(bytes));
    assert!(matches!(scene.refuses(), LogError::Damaged { .. }));
}

/// After an unclean end every page is looked at, also those that only hold the middle of a batch.
#[tokio::test]
async fn damage_is_looked_for_after_an_unclean_end() {
    let scene = Scene::of_ten().await;
    let log = scene.open();
    log.append(large(11)).await.unwrap();
    let killed = scene.killed();
    killed.change(|bytes| {
        let overflow = bytes.chunks_mut(4096).find(|page| page[4..104] == [5; 100]).unwrap();
        overflow.fill(0xA5);
    });
    assert!(matches!(killed.refuses(), LogError::Damaged { .. }));
}

/// The power may go while the first sector of the database is written back from the write-ahead log, which has it.
#[tokio::test]
async fn a_header_that_was_torn_in_writing_back_is_taken_from_the_write_ahead_log() {
    let scene = Scene::of_ten().await;
    let log = scene.open();
    log.append(large(11)).await.unwrap();
    let killed = scene.killed();
    killed.change(|bytes| bytes[..512].fill(0xA5));
    let reader = LogReader::open(killed.path()).unwrap();
    assert_eq!((reader.last(), reader.check()), (Ok(11), Ok(())));
    drop(reader);
    let again = killed.open();
    again.append(large(12)).await.unwrap();
    again.close().await.unwrap();
    let reader = LogReader::open(killed.path()).unwrap();
    assert_eq!((reader.last(), reader.check()), (Ok(12), Ok(())));
}

/// A write-ahead log that belongs to no such file does not make it a database of ours.
#[tokio::test]
async fn a_file_that_is_no_database_is_refused_beside_a_write_ahead_log_too() {
    for wal in [&[0xA5; 5000][..], b"short"] {
        let scene = Scene::new();
        fs::write(scene.path(), [0xA5; 5000]).unwrap();
        fs::write(scene.folder.path().join("swarm.db-wal"), wal).unwrap();
        assert!(matches!(scene.refuses(), LogError::NotADatabase { .. }));
    }
}

#[tokio::test]
async fn a_changed_byte_is_noticed_when_it_is_read() {
    let scene = Scene::of_ten().await;
    scene.change(|bytes| {
        let place = place_of(bytes, &[5; 200]);
        bytes[place + 100] ^= 1;
    });
    let damaged = LogError::Checksum { what: "batch 5".to_owned(), path: scene.path() };
    let log = scene.open();
    assert_eq!(log.read(4).await, Ok(large(4)));
    assert_eq!(log.read(5).await, Err(damaged.clone()));
    let items: Vec<_> = log.tail(1).collect().await;
    assert_eq!(items, [Err(damaged.clone())]);
    let reader = LogReader::open(scene.path()).unwrap();
    assert_eq!(reader.batches(1, 1000).unwrap().len(), 1);
    assert_eq!(reader.check(), Err(damaged));
}

#[tokio::test]
async fn a_swapped_row_is_noticed() {
    let scene = Scene::of_ten().await;
    scene.sql("UPDATE batch SET seq = -1 WHERE seq = 3; UPDATE batch SET seq = 3 WHERE seq = 4; UPDATE batch SET seq = 4 WHERE seq = -1");
    let reader = LogReader::open(scene.path()).unwrap();
    assert!(matches!(reader.read(3), Err(LogError::Checksum { .. })));
}

#[tokio::test]
async fn a_hole_is_refused() {
    for (gone, after, found) in [("seq = 4", 3, 5), ("seq <= 2", 0, 3)] {
        let scene = Scene::of_ten().await;
        scene.sql(&format!("DELETE FROM batch WHERE {gone}"));
        let path = scene.path();
        let hole = LogError::Hole { after, found, path };
        assert_eq!(scene.refuses(), hole);
        let reader = LogReader::open(scene.path()).unwrap();
        assert_eq!(reader.batches(1, usize::MAX), Err(hole));
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over() {
    let scene = Scene::of_ten().await;
    let log = scene.open();
    log.save_snapshot(3, Bytes::from("the older")).await.unwrap();
    log.save_snapshot(7, Bytes::from("the newer")).await.unwrap();
    log.close().await.unwrap();
    scene.sql("UPDATE snapshot SET bytes = x'00' WHERE seq = 7");
    assert_eq!(scene.open().load_snapshot().await, Ok(Some((3, Bytes::from("the older")))));
    scene.sql("UPDATE snapshot SET bytes = x'00'");
    assert_eq!(scene.open().load_snapshot().await, Ok(None));
}

#[tokio::test]
async fn a_full_disk_refuses_and_stays_usable() {
    let scene = Scene::of_ten().await;
    let log = scene.open();
    let pages = log.limit_pages(0).await.unwrap();
    assert!(pages > 1000);
    let used = fs::metadata(scene.path()).unwrap().len() / 4096;
    log.limit_pages(u32::try_from(used).unwrap() + 4).await.unwrap();
    let full = LogError::Full { path: scene.path() };
    let huge = Bytes::from(vec![0; 100_000]);
    assert_eq!(log.append(huge.clone()).await, Err(full.clone()));
    assert_eq!(log.last().await, Ok(10));
    // What fits is not refused with what does not.
    let answers = [huge.clone(), large(11), huge.clone()].map(|batch| log.append(batch));
    let answers = future::join_all(answers).await;
    assert_eq!(answers, [Err(full.clone()), Ok(()), Err(full)]);
    log.limit_pages(pages.try_into().unwrap()).await.unwrap();
    log.append(huge.clone()).await.unwrap();
    let reader = LogReader::open(scene.path()).unwrap();
    assert_eq!(reader.check(), Ok(()));
    assert_eq!(reader.read(11), Ok(large(11)));
    assert_eq!(reader.read(12), Ok(huge));
}

#[tokio::test]
async fn a_second_writer_is_noticed() {
    let scene = Scene::of_ten().await;
    let (one, two) = (scene.open(), scene.open());
    one.append(large(11)).await.unwrap();
    let refusal = LogError::OtherWriter { path: scene.path() };
    assert_eq!(two.append(large(12)).await, Err(refusal));
    assert_eq!(one.read(11).await, Ok(large(11)));
    // It goes on behind what the other has written, and its tail sees that too.
    two.append(large(12)).await.unwrap();
    let tail: Vec<_> = two.tail(10).take(3).map(|stored| stored.unwrap().bytes).collect().await;
    assert_eq!(tail, [large(10), large(11), large(12)]);
}

#[tokio::test]
async fn letters_wait_until_they_are_read() {
    let scene = Scene::new();
    let log = scene.open();
    let mail = log.mail();
    let letter = |text: &'static str| Bytes::from(text);
    assert_eq!(mail.put("ann", "m1", letter("one")).await, Ok(true));
    assert_eq!(mail.put("ann", "m2", letter("two")).await, Ok(true));
    assert_eq!(mail.put("bob", "m1", letter("to bob")).await, Ok(true));
    assert_eq!(mail.put("ann", "m1", letter("again")).await, Ok(false));
    assert_eq!(mail.put("ann", "m3", Bytes::new()).await, Ok(true), "an empty letter is one");
    assert_eq!(mail.count_unread().await, Ok(vec![("ann".to_owned(), 3), ("bob".to_owned(), 1)]));
    drop(log);
    let log = scene.open();
    let mail = log.mail();
    let unread = mail.unread("ann", 2).await.unwrap();
    let content: Vec<_> = unread.iter().map(|letter| (&letter.id[..], &letter.bytes[..])).collect();
    assert_eq!(content, [("m1", &b"one"[..]), ("m2", b"two")]);
    assert_eq!(mail.mark_read("ann", unread[1].number).await, Ok(2));
    assert_eq!(mail.mark_read("ann", unread[1].number).await, Ok(0));
    assert_eq!(mail.put("ann", "m2", letter("late copy")).await, Ok(false), "read, and still known");
    assert_eq!(mail.count_unread().await, Ok(vec![("ann".to_owned(), 1), ("bob".to_owned(), 1)]));
    assert_eq!(mail.unread("ann", 10).await.unwrap()[0].id, "m3");
    log.close().await.unwrap();
    assert_eq!(mail.put("ann", "m9", letter("late")).await, Err(LogError::Closed));
    assert_eq!(mail.unread("ann", 1).await, Err(LogError::Closed));
}

#[tokio::test]
async fn a_mailbox_has_a_limit() {
    let scene = Scene::new();
    let log = scene.open();
    let mail = log.mail();
    let letters = (0..MAILBOX_LIMIT).map(|nth| mail.put("ann", &nth.to_string(), Bytes::from("x")));
    for stored in within(future::join_all(letters)).await {
        assert_eq!(stored, Ok(true));
    }
    let refusal = LogError::MailboxFull { peer: "ann".to_owned(), limit: MAILBOX_LIMIT };
    assert_eq!(mail.put("ann", "more", Bytes::new()).await, Err(refusal));
    assert_eq!(mail.put("bob", "more", Bytes::new()).await, Ok(true));
    let first = mail.unread("ann", 1).await.unwrap()[0].number;
    mail.mark_read("ann", first).await.unwrap();
    assert_eq!(mail.put("ann", "more", Bytes::new()).await, Ok(true));
}

#[tokio::test]
async fn values_are_kept_beside_the_log() {
    let scene = Scene::new();
    let log = scene.open();
    assert_eq!(log.meta("swarm").await, Ok(None));
    log.set_meta("swarm", Bytes::from("one")).await.unwrap();
    log.set_meta("swarm", Bytes::from("two")).await.unwrap();
    log.close().await.unwrap();
    assert_eq!(scene.open().meta("swarm").await, Ok(Some(Bytes::from("two"))));
}

/// 64 MiB pass through a log whose tail keeps up, while the write-ahead log is written back in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_does_not_grow_with_the_log() {
    let scene = Scene::new();
    let log = scene.open();
    let batch = Bytes::from(vec![3; 1024 * 1024]);
    for _ in 0..8 {
        let answers = (0..8).map(|_| log.append(batch.clone()));
        for answer in within(future::join_all(answers)).await {
            answer.unwrap();
        }
    }
    let wal = fs::metadata(scene.folder.path().join("swarm.db-wal")).unwrap().len();
    assert!(wal <= 48 * 1024 * 1024, "{wal} bytes");
    assert_eq!(log.last().await, Ok(64));
}
