//! The contract, on a file and without one; what only a file can show; and a naive memory beside it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::contract::{self, LIMIT, SWARM};
use super::super::{EntryKind, EntryMetadata, MemoryEntry, MemoryError, MemoryQuery, ShareLevel, SwarmMemory};
use super::{MemoryConfig, SqliteMemory};

fn config() -> MemoryConfig {
    MemoryConfig { swarm_id: SWARM.to_owned(), entry_bytes: LIMIT, ..MemoryConfig::default() }
}

/// A folder, and the memory in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("memory.db")
    }

    fn open(&self) -> SqliteMemory {
        SqliteMemory::open(self.path(), config()).expect("it opens")
    }
}

async fn remember(memory: &SqliteMemory, agent: &str, about: Value) -> String {
    memory.remember(agent, "state", json!("word"), Some(about)).await.expect("it is remembered")
}

async fn count(memory: &SqliteMemory) -> usize {
    memory.recall(MemoryQuery::default()).await.expect("an answer").len()
}

#[tokio::test]
async fn what_is_remembered_at_once_is_found_newest_first_and_what_is_hidden_passed_over() {
    let place = Place::new();
    let memory = place.open();
    let level = |number: usize| if number.is_multiple_of(3) { "team" } else { "private" };
    for _ in 0..3 {
        // Each of these shares transactions with others.
        let all = (0..40).map(|number| remember(&memory, "author", json!({ "shareLevel": level(number) })));
        join_all(all).await;
    }
    let asked = |requester: Option<&str>, limit| MemoryQuery {
        text: Some("word".to_owned()),
        requester_id: requester.map(str::to_owned),
        limit,
        ..MemoryQuery::default()
    };
    let whole = memory.recall(asked(None, None)).await.expect("an answer");
    let numbers: Vec<u64> = whole.iter().map(|entry| entry.id[1..].parse().expect("a number")).collect();
    assert_eq!(numbers, (1..=120).rev().collect::<Vec<_>>());
    assert_eq!(memory.recall(asked(Some("author"), None)).await.as_ref(), Ok(&whole));
    let seen: Vec<_> = whole.iter().filter(|one| one.metadata.share_level != Some(ShareLevel::Private)).collect();
    assert_eq!(seen.len(), 42);
    let by_other = memory.recall(asked(Some("other"), None)).await.expect("an answer");
    assert_eq!(by_other.iter().collect::<Vec<_>>(), seen);
    let few = memory.recall(asked(Some("other"), Some(9))).await.expect("an answer");
    assert_eq!(few.iter().collect::<Vec<_>>(), seen[..9]);
}

#[tokio::test]
async fn on_a_file_it_keeps_the_contract() {
    let places = std::cell::RefCell::new(Vec::new());
    contract::suite(|| {
        let place = Place::new();
        let memory = place.open();
        places.borrow_mut().push(place);
        Arc::new(memory)
    })
    .await;
    let new = || {
        let place = Place::new();
        (Arc::new(place.open()) as Arc<dyn SwarmMemory>, place)
    };
    contract::outlives(new, |place| Arc::new(place.open())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_it_keeps_the_contract() {
    contract::suite(|| Arc::new(SqliteMemory::in_memory(config()).expect("a memory"))).await;
}

#[tokio::test]
async fn every_setting_counts() {
    for (field, config) in [
        ("swarmId", MemoryConfig { swarm_id: String::new(), ..config() }),
        ("entryBytes", MemoryConfig { entry_bytes: 0, ..config() }),
        ("recallBytes", MemoryConfig { recall_bytes: 0, ..config() }),
    ] {
        let refusal = SqliteMemory::in_memory(config.clone()).map(drop);
        assert!(matches!(&refusal, Err(MemoryError::Invalid { field: found, .. }) if *found == field), "{refusal:?}");
        let place = Place::new();
        assert_eq!(SqliteMemory::open(place.path(), config).map(drop), refusal);
        assert!(!place.path().exists(), "nothing is made for a setting that is refused");
    }
    let memory = SqliteMemory::in_memory(MemoryConfig { recall_bytes: 30, ..config() }).expect("a memory");
    for _ in 0..4 {
        remember(&memory, "a", json!({})).await;
    }
    // Each has six bytes of content and two of metadata.
    let limited = |limit| memory.recall(MemoryQuery { limit, ..MemoryQuery::default() });
    assert_eq!(limited(Some(3)).await.map(|found| found.len()), Ok(3));
    for limit in [None, Some(4)] {
        let refusal = limited(limit).await;
        assert!(matches!(&refusal, Err(MemoryError::Invalid { field: "limit", .. })), "{refusal:?}");
    }
}

#[tokio::test]
async fn what_was_handed_over_is_stored_when_the_last_clone_goes() {
    let place = Place::new();
    let memory = place.open();
    let clone = memory.clone();
    drop(memory);
    let mut entry = clone.remember("a", "state", json!(1), None);
    // Handed over, and nobody waits for the answer.
    let handed_over = futures_util::poll!(&mut entry);
    assert!(handed_over.is_pending());
    drop(entry);
    drop(clone);
    assert_eq!(count(&place.open()).await, 1);
    let files = std::fs::read_dir(place.0.path()).expect("a folder").count();
    assert_eq!(files, 1, "a clean end leaves one file");
}

#[tokio::test]
async fn two_memories_on_one_file_see_each_other() {
    let place = Place::new();
    // Two connections that write, as two processes have.
    let (one, two) = (place.open(), place.open());
    for round in 0..20 {
        let writes = [(&one, "one"), (&two, "two")].map(|(memory, agent)| remember(memory, agent, json!({})));
        join_all(writes).await;
        assert_eq!((count(&one).await, count(&two).await), (2 * round + 2, 2 * round + 2));
    }
    two.update_peer_load("p", 1.5).await.expect("a load is kept");
    assert_eq!(one.peer_load("p").await, Ok(Some(1.5)));
    drop(one);
    remember(&two, "two", json!({})).await;
    assert_eq!(count(&place.open()).await, 41);
}

#[tokio::test]
async fn one_of_two_that_make_it_wins() {
    for _ in 0..10 {
        let place = Place::new();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| place.open())).collect();
            threads.into_iter().map(|thread| thread.join().expect("it opens")).collect()
        });
        join_all(opened.iter().map(|memory| remember(memory, "a", json!({})))).await;
        for memory in &opened {
            assert_eq!(count(memory).await, 4);
        }
    }
}

#[tokio::test]
async fn another_swarm_sees_what_is_public() {
    let place = Place::new();
    let other = MemoryConfig { swarm_id: "other".to_owned(), ..config() };
    let (here, there) = (place.open(), SqliteMemory::open(place.path(), other).expect("it opens"));
    let public = remember(&here, "a", json!({ "shareLevel": "public" })).await;
    let team = remember(&here, "a", json!({})).await;
    let private = remember(&here, "a", json!({ "shareLevel": "private" })).await;
    for requester_id in [None, Some("a".to_owned()), Some("b".to_owned())] {
        let found = there.recall(MemoryQuery { requester_id, ..MemoryQuery::default() }).await.expect("an answer");
        assert_eq!(found.into_iter().map(|entry| entry.id).collect::<Vec<_>>(), [&public[..]]);
    }
    for id in [team, private] {
        assert_eq!(there.share_memory(&id, "b").await, Err(MemoryError::UnknownEntry { id }));
    }
    there.share_memory(&public, "b").await.expect("it is for everybody");
    here.update_peer_load("p", 1.0).await.expect("a load is kept");
    assert_eq!(there.peer_load("p").await, Ok(None));
    let state = crate::peers::PeerState { peer_id: "p".to_owned(), ..Default::default() };
    there.share_peer_state("p", state.clone()).await.expect("a state is kept");
    assert_eq!(here.mesh_peers("other").await, Ok(vec![state]));
    assert_eq!(here.mesh_peers(SWARM).await, Ok(vec![]));
}

#[test]
fn what_is_no_memory_stays_as_it_is() {
    let place = Place::new();
    let foreign = rusqlite::Connection::open(place.path()).expect("a database");
    foreign.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").expect("a table");
    drop(foreign);
    let database = std::fs::read(place.path()).expect("a file");
    let log = crate::log::SqliteLog::open(place.0.path().join("log.db")).expect("a log");
    drop(log);
    let log = std::fs::read(place.0.path().join("log.db")).expect("a file");
    for bytes in [&b""[..], b"text", &database, &log, &[7; 5_000]] {
        std::fs::write(place.path(), bytes).expect("it is written");
        let refusal = SqliteMemory::open(place.path(), config()).map(drop);
        assert!(matches!(refusal, Err(MemoryError::Storage(_))), "{refusal:?}");
        assert!(std::fs::read(place.path()).expect("a file") == bytes, "it is as it was");
    }
    let nowhere = place.0.path().join("no/folder/memory.db");
    assert!(matches!(SqliteMemory::open(nowhere, config()).map(drop), Err(MemoryError::Storage(_))));
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open());
    let newer = rusqlite::Connection::open(place.path()).expect("a database");
    newer.pragma_update(None, "user_version", 3).expect("a version");
    drop(newer);
    let refusal = SqliteMemory::open(place.path(), config()).map(drop);
    assert!(matches!(&refusal, Err(MemoryError::Storage(what)) if what.contains("schema version is 3")), "{refusal:?}");
}

/// An entry and what the clock says when it is written; the clock may go back.
#[derive(Clone, Debug)]
struct Made {
    clock: u64,
    agent: String,
    kind: EntryKind,
    content: Value,
    metadata: EntryMetadata,
}

fn of(letter: &'static str, range: std::ops::Range<u8>) -> impl Strategy<Value = String> {
    range.prop_map(move |n| format!("{letter}{n}"))
}

fn text() -> impl Strategy<Value = String> {
    let pieces = vec!["red", "Green", "blue", "né", " ", " ", "-", "\"", "*", "AND", "(", "1", "\u{E000}"];
    prop::collection::vec(prop::sample::select(pieces), 0..6).prop_map(|pieces| pieces.concat())
}

fn content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn made() -> impl Strategy<Value = Made> {
    let metadata = (
        prop::option::of(of("t", 0..3)),
        prop::option::of(of("o", 0..2)),
        prop::option::of(prop::collection::vec(prop_oneof![of("g", 0..3), text()], 0..3)),
        prop::option::of(prop::num::f64::NORMAL),
        prop::option::of(prop::sample::select(ShareLevel::ALL.to_vec())),
        prop::collection::btree_map("x[a-c]", content(), 0..2),
    );
    let metadata = metadata.prop_map(|(task_id, objective_id, tags, priority, share_level, extra)| EntryMetadata {
        task_id,
        objective_id,
        tags,
        priority,
        share_level,
        extra: extra.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        ..EntryMetadata::default()
    });
    let kind = prop::sample::select(EntryKind::ALL.to_vec());
    (0..12_u64, of("a", 0..3), kind, content(), metadata).prop_map(|(clock, agent, kind, content, metadata)| Made {
        clock,
        agent,
        kind,
        content,
        metadata,
    })
}

fn query() -> impl Strategy<Value = MemoryQuery> {
    let of_whom = (
        prop::option::weighted(0.3, of("a", 0..3)),
        prop::option::weighted(0.3, prop::sample::select(EntryKind::ALL.to_vec())),
        prop::option::weighted(0.2, of("t", 0..3)),
        prop::option::weighted(0.2, of("o", 0..2)),
        prop::option::weighted(0.3, prop::collection::vec(of("g", 0..3), 0..3)),
    );
    let which = (
        prop::option::weighted(0.3, 0..14_u64),
        prop::option::weighted(0.3, 0..14_u64),
        prop::option::weighted(0.3, 0..6_u32),
        prop::option::weighted(0.2, prop::sample::select(ShareLevel::ALL.to_vec())),
        prop::option::weighted(0.3, text()),
        prop::option::weighted(0.5, of("a", 0..3)),
    );
    (of_whom, which).prop_map(|((agent_id, kind, task_id, objective_id, tags), which)| {
        let (since, before, limit, share_level, text, requester_id) = which;
        MemoryQuery {
            agent_id,
            kind,
            task_id,
            objective_id,
            tags,
            since,
            before,
            limit,
            share_level,
            text,
            requester_id,
        }
    })
}

/// Remembers them one after the other; what a naive memory has then.
async fn fill(memory: &SqliteMemory, clock: &AtomicU64, all: Vec<Made>) -> Vec<MemoryEntry> {
    let mut entries: Vec<MemoryEntry> = Vec::new();
    for Made { clock: now, agent, kind, content, metadata } in all {
        clock.store(now, Ordering::SeqCst);
        let about = serde_json::to_value(&metadata).expect("metadata is JSON");
        let id = memory.remember(&agent, kind.word(), content.clone(), Some(about)).await.expect("it is remembered");
        let timestamp = entries.last().map_or(0, |last| last.timestamp).max(now);
        entries.push(MemoryEntry { id, agent_id: agent, kind, content, timestamp, metadata });
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn recall_is_a_look_at_every_entry(
        all in prop::collection::vec(made(), 0..40),
        queries in prop::collection::vec(query(), 20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let clock = Arc::new(AtomicU64::new(0));
            let shown = Arc::clone(&clock);
            let place = Place::new();
            let shows = Box::new(move || shown.load(Ordering::SeqCst));
            let memory = SqliteMemory::open_with(place.path(), config(), shows).expect("it opens");
            let entries = fill(&memory, &clock, all).await;
            for query in queries {
                let expected: Vec<MemoryEntry> = contract::wanted(&entries, &query).into_iter().cloned().collect();
                let found = memory.recall(query.clone()).await.expect("an answer");
                prop_assert_eq!(found, expected, "{:?}", query);
            }
            Ok(())
        })?;
    }
}
