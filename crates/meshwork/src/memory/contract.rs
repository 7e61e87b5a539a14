//! What every memory must do, as scenarios that each implementation runs in its own tests.
//!
//! It asserts and therefore panics; it is public (and hidden) so that a memory outside this crate can run it too.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{EntryKind, MemoryEntry, MemoryError, MemoryQuery, ShareLevel, SwarmMemory};
use crate::peers::{AgentState, PeerState, PeerStats};

/// The swarm that the memories of the suite must serve.
pub const SWARM: &str = "contract";
/// The limit on an entry that they must have, in bytes.
pub const LIMIT: usize = 100_000;

/// Runs every scenario, each with an empty memory of [`SWARM`] whose entries may have [`LIMIT`] bytes.
///
/// # Panics
/// When the memory does not do what the trait says.
pub async fn suite(new: impl Fn() -> Arc<dyn SwarmMemory>) {
    entries_come_back(&*new()).await;
    every_filter_counts(&*new()).await;
    filters_combine(&*new()).await;
    times_have_two_ends(&*new()).await;
    the_newest_come_first(&*new()).await;
    words_are_found(&*new()).await;
    words_are_data(&*new()).await;
    private_is_private(&*new()).await;
    sharing_makes_an_entry(&*new()).await;
    what_cannot_be_shared(&*new()).await;
    bad_input_is_refused(&*new()).await;
    too_much_is_refused(&*new()).await;
    peers_say_what_they_do(&*new()).await;
    one_memory_from_many_sides(&new()).await;
}

/// Runs what a memory that outlives its program must do. `reopen` gives the same memory again.
///
/// # Panics
/// When something is not there any more.
pub async fn outlives<S>(new: impl Fn() -> (Arc<dyn SwarmMemory>, S), reopen: impl Fn(&S) -> Arc<dyn SwarmMemory>) {
    let (memory, place) = new();
    let id = remember(&*memory, "a", json!("kept"), json!({ "tags": ["t"], "more": 1 })).await;
    memory.share_memory(&id, "b").await.expect("it is shared");
    memory.share_peer_state("p", state("p", 2.0)).await.expect("a state is kept");
    memory.update_peer_load("q", 7.5).await.expect("a load is kept");
    let before = recall(&*memory, MemoryQuery::default()).await;
    drop(memory);
    let memory = reopen(&place);
    assert_eq!(recall(&*memory, MemoryQuery::default()).await, before);
    assert_eq!(ids(&*memory, with_text("kept")).await.len(), 2);
    assert_eq!(memory.mesh_peers(SWARM).await, Ok(vec![state("p", 2.0)]));
    assert_eq!(memory.peer_load("q").await, Ok(Some(7.5)));
    let next = remember(&*memory, "a", json!("later"), Value::Null).await;
    assert!(before.iter().all(|entry| entry.id != next));
    assert_eq!(recall(&*memory, MemoryQuery::default()).await[0].id, next);
}

/// The entries of a swarm that a query wants, by looking at each; `entries` come in the order of their making.
#[must_use]
pub fn wanted<'a>(entries: &'a [MemoryEntry], query: &MemoryQuery) -> Vec<&'a MemoryEntry> {
    let text = query.text.as_deref().unwrap_or_default();
    let words = words(text);
    let nothing = words.is_empty() && !text.trim().is_empty();
    let is_wanted = |entry: &&MemoryEntry| {
        let about = &entry.metadata;
        let level = about.share_level.unwrap_or_default();
        let readable = |asks: &String| level != ShareLevel::Private || *asks == entry.agent_id;
        let own = || [text_of(&entry.content), about.tags.clone().unwrap_or_default().join(" ")].join(" ");
        !nothing
            && query.agent_id.as_ref().is_none_or(|id| *id == entry.agent_id)
            && query.kind.is_none_or(|kind| kind == entry.kind)
            && query.task_id.as_ref().is_none_or(|id| about.task_id.as_ref() == Some(id))
            && query.objective_id.as_ref().is_none_or(|id| about.objective_id.as_ref() == Some(id))
            && query.tags.iter().flatten().all(|tag| about.tags.iter().flatten().any(|t| t == tag))
            && query.since.is_none_or(|since| entry.timestamp >= since)
            && query.before.is_none_or(|before| entry.timestamp < before)
            && query.share_level.is_none_or(|wanted| wanted == level)
            && query.requester_id.as_ref().is_none_or(readable)
            && words.is_subset(&self::words(&own()))
    };
    let mut found: Vec<&MemoryEntry> = entries.iter().filter(is_wanted).collect();
    found.reverse();
    found.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp));
    found.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
    found
}

fn words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() {
            word.push(c);
        } else if !word.is_empty() {
            words.insert(std::mem::take(&mut word).to_lowercase());
        }
    }
    words
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", text_of(value))).collect::<Vec<_>>().join(" ")
        }
    }
}

async fn remember(memory: &dyn SwarmMemory, agent: &str, content: Value, metadata: Value) -> String {
    memory.remember(agent, "knowledge", content, Some(metadata)).await.expect("it is remembered")
}

async fn recall(memory: &dyn SwarmMemory, query: MemoryQuery) -> Vec<MemoryEntry> {
    memory.recall(query).await.expect("an answer")
}

async fn ids(memory: &dyn SwarmMemory, query: MemoryQuery) -> Vec<String> {
    recall(memory, query).await.into_iter().map(|entry| entry.id).collect()
}

fn with_text(text: &str) -> MemoryQuery {
    MemoryQuery { text: Some(text.to_owned()), ..MemoryQuery::default() }
}

fn asked_by(requester: &str) -> MemoryQuery {
    MemoryQuery { requester_id: Some(requester.to_owned()), ..MemoryQuery::default() }
}

async fn entries_come_back(memory: &dyn SwarmMemory) {
    let contents = [
        Value::Null,
        json!(true),
        json!(-7),
        json!(0.1 + 0.2),
        json!(u64::MAX),
        json!("text with \"quotes\", a\nline, a \0 and ☂"),
        json!([1, [2, { "deep": [] }]]),
        json!({ "b": 1, "a": null }),
    ];
    for (kind, content) in EntryKind::ALL.into_iter().cycle().zip(contents) {
        let about = json!({ "taskId": "t", "objectiveId": "o", "tags": ["x", "y z"], "priority": 2.5,
                            "shareLevel": "public", "unknown": { "kept": [1, null] } });
        let id = memory.remember("né b", kind.word(), content.clone(), Some(about)).await.expect("it is remembered");
        let found = recall(memory, MemoryQuery { limit: Some(1), ..MemoryQuery::default() }).await;
        let [entry] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&entry.id, &entry.agent_id[..], entry.kind, &entry.content), (&id, "né b", kind, &content));
        let about = &entry.metadata;
        assert_eq!((about.task_id.as_deref(), about.objective_id.as_deref()), (Some("t"), Some("o")));
        assert_eq!(about.tags, Some(vec!["x".to_owned(), "y z".to_owned()]));
        assert_eq!((about.priority, about.share_level), (Some(2.5), Some(ShareLevel::Public)));
        assert_eq!(about.extra.get("unknown"), Some(&json!({ "kept": [1, null] })));
        assert_eq!((about.original_id.as_ref(), about.shared_at), (None, None));
    }
    for nothing in [None, Some(Value::Null), Some(json!({})), Some(json!({ "taskId": null, "tags": null }))] {
        memory.remember("a", "state", json!(1), nothing).await.expect("it is remembered");
        assert_eq!(recall(memory, MemoryQuery::default()).await[0].metadata, super::EntryMetadata::default());
    }
}

/// Entries that differ in one thing each, and all that can be asked about it.
async fn every_filter_counts(memory: &dyn SwarmMemory) {
    let about = json!({ "taskId": "t1", "objectiveId": "o1", "tags": ["g1", "g2"], "shareLevel": "public" });
    let one = memory.remember("a1", "result", json!("word"), Some(about)).await.expect("it is remembered");
    let about = json!({ "taskId": "t2", "objectiveId": "o2", "tags": ["g2", "g3"] });
    let two = memory.remember("a2", "error", json!("other"), Some(about)).await.expect("it is remembered");
    let bare = memory.remember("A1", "state", json!("more"), None).await.expect("it is remembered");
    let all = || vec![bare.clone(), two.clone(), one.clone()];
    let text = |text: &str| Some(text.to_owned());
    let none = MemoryQuery::default;
    let tags = |tags: &[&str]| Some(tags.iter().map(ToString::to_string).collect());
    let cases = [
        (none(), all()),
        (MemoryQuery { agent_id: text("a1"), ..none() }, vec![one.clone()]),
        (MemoryQuery { agent_id: text("a"), ..none() }, vec![]),
        (MemoryQuery { kind: Some(EntryKind::Error), ..none() }, vec![two.clone()]),
        (MemoryQuery { kind: Some(EntryKind::Communication), ..none() }, vec![]),
        (MemoryQuery { task_id: text("t1"), ..none() }, vec![one.clone()]),
        (MemoryQuery { task_id: text("o1"), ..none() }, vec![]),
        (MemoryQuery { objective_id: text("o2"), ..none() }, vec![two.clone()]),
        (MemoryQuery { tags: tags(&["g2"]), ..none() }, vec![two.clone(), one.clone()]),
        (MemoryQuery { tags: tags(&["g2", "g1"]), ..none() }, vec![one.clone()]),
        (MemoryQuery { tags: tags(&["g1", "g3"]), ..none() }, vec![]),
        (MemoryQuery { tags: tags(&["G1"]), ..none() }, vec![]),
        (MemoryQuery { tags: tags(&[]), ..none() }, all()),
        (MemoryQuery { share_level: Some(ShareLevel::Public), ..none() }, vec![one.clone()]),
        (MemoryQuery { share_level: Some(ShareLevel::Team), ..none() }, vec![bare.clone(), two.clone()]),
        (MemoryQuery { share_level: Some(ShareLevel::Private), ..none() }, vec![]),
        (MemoryQuery { limit: Some(2), ..none() }, vec![bare.clone(), two.clone()]),
        (MemoryQuery { limit: Some(0), ..none() }, vec![]),
        (MemoryQuery { limit: Some(u32::MAX), ..none() }, all()),
        (with_text("WORD"), vec![one.clone()]),
        (asked_by("a3"), all()),
    ];
    for (query, expected) in cases {
        assert_eq!(ids(memory, query.clone()).await, expected, "{query:?}");
    }
}

async fn filters_combine(memory: &dyn SwarmMemory) {
    for n in 0..24_u32 {
        let (agent, kind) = (format!("a{}", n % 2), EntryKind::ALL[n as usize % 3].word());
        let level = ShareLevel::ALL[n as usize % 3].word();
        let about = json!({ "taskId": format!("t{}", n % 4), "tags": [format!("g{}", n % 3)], "shareLevel": level });
        memory.remember(&agent, kind, json!(format!("n{n} half{}", n / 12)), Some(about)).await.expect("remembered");
    }
    let mut all = recall(memory, MemoryQuery::default()).await;
    all.reverse();
    let some = |text: &str| Some(text.to_owned());
    let mut found = 0;
    for bits in 0..64_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let query = MemoryQuery {
            agent_id: some("a0").filter(|_| has(0)),
            kind: Some(EntryKind::Knowledge).filter(|_| has(1)),
            task_id: some("t2").filter(|_| has(2)),
            tags: Some(vec!["g0".to_owned()]).filter(|_| has(3)),
            text: some("half1").filter(|_| has(4)),
            requester_id: some("a1").filter(|_| has(5)),
            limit: Some(3).filter(|_| has(0)),
            ..MemoryQuery::default()
        };
        let expected: Vec<MemoryEntry> = wanted(&all, &query).into_iter().cloned().collect();
        found += expected.len();
        assert_eq!(recall(memory, query.clone()).await, expected, "{query:?}");
    }
    assert!(found > 100, "the queries find something");
}

async fn times_have_two_ends(memory: &dyn SwarmMemory) {
    for n in 0..20 {
        remember(memory, "a", json!(n), Value::Null).await;
    }
    let mut all = recall(memory, MemoryQuery::default()).await;
    all.reverse();
    assert!(all.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    let (first, last) = (all[0].timestamp, all[19].timestamp);
    let times = [0, first, first + 1, last, last + 1, u64::MAX];
    for since in times.map(Some).into_iter().chain([None]) {
        for before in times.map(Some).into_iter().chain([None]) {
            let query = MemoryQuery { since, before, ..MemoryQuery::default() };
            let expected: Vec<MemoryEntry> = wanted(&all, &query).into_iter().cloned().collect();
            assert_eq!(recall(memory, query).await, expected, "{since:?} {before:?}");
        }
    }
    let query = MemoryQuery { since: Some(first), before: Some(first), ..MemoryQuery::default() };
    assert_eq!(recall(memory, query).await, []);
}

async fn the_newest_come_first(memory: &dyn SwarmMemory) {
    let mut made = Vec::new();
    for n in 0..50 {
        made.push(remember(memory, "a", json!(n), json!({ "tags": ["g"] })).await);
    }
    made.reverse();
    assert_eq!(ids(memory, MemoryQuery::default()).await, made);
    let tags = Some(vec!["g".to_owned()]);
    assert_eq!(ids(memory, MemoryQuery { tags, limit: Some(7), ..MemoryQuery::default() }).await, made[..7]);
}

async fn words_are_found(memory: &dyn SwarmMemory) {
    let content = json!({ "Finding": ["the Parser's übergröße", 3.5, true, { "任务": null }], "at": "line\nbreak" });
    let id = remember(memory, "a", content, json!({ "tags": ["release-notes"] })).await;
    let long = "x".repeat(70_000);
    let other = remember(memory, "a", json!(long), Value::Null).await;
    let yes = ["parser", "PARSER finding", "ÜBERGRÖSSE".to_lowercase().as_str(), "3.5", "true", "任务", "line break"]
        .map(str::to_owned);
    for text in yes.into_iter().filter(|text| text != "übergrösse").chain(["übergröße notes release".to_owned()]) {
        assert_eq!(ids(memory, with_text(&text)).await, [&id[..]], "{text}");
    }
    for text in ["pars", "parser missing", "null", "knowledge", "a", "linebreak"] {
        assert_eq!(ids(memory, with_text(text)).await, [""; 0], "{text}");
    }
    assert_eq!(ids(memory, with_text(&long)).await, [other]);
    assert_eq!(ids(memory, with_text(&long[1..])).await, [""; 0]);
}

/// Nothing in a text is a query language: not its operators, not its quotes, not the memory's own words.
async fn words_are_data(memory: &dyn SwarmMemory) {
    let id = remember(memory, "a", json!("alpha and near not or beta"), json!({ "tags": ["tag"] })).await;
    let secret = remember(memory, "b", json!("secret"), json!({ "shareLevel": "private" })).await;
    let as_a = |text: &str| MemoryQuery { requester_id: Some("a".to_owned()), ..with_text(text) };
    let found = [
        "alpha AND beta",
        "alpha OR beta",
        "alpha NOT beta",
        "NEAR(alpha beta)",
        "alpha NEAR beta",
        "\"beta alpha\"",
        "alpha\"",
        "\"\"alpha",
        "(alpha",
        "alpha)",
        "^alpha",
        "alpha*",
        "+alpha",
        "-alpha",
        "alpha;",
        "'alpha",
        "alpha--",
        "{alpha} beta",
        "alpha\0beta",
        "alpha\u{E000}",
        "alpha \" OR \"beta",
    ];
    for text in found {
        assert_eq!(ids(memory, as_a(text)).await, [&id[..]], "{text:?}");
    }
    let not_found = [
        "alph*",
        "content:alpha",
        "tokens : alpha",
        "alpha OR gamma",
        "alpha\" OR \"secret",
        "secret) OR (alpha",
        "NOT secret",
        "secret",
        "*",
        "\"",
        "()",
        "' OR 1=1 --",
        "\u{E000}s",
        "-",
        "\"\"",
        "☂",
        ": ^ {}",
        "alpha; DROP TABLE entry",
    ];
    for text in not_found {
        assert_eq!(ids(memory, as_a(text)).await, [""; 0], "{text:?}");
    }
    for blank in ["", " \n\t"] {
        assert_eq!(ids(memory, with_text(blank)).await, [&secret[..], &id], "{blank:?}");
    }
    let evil = "g\" OR \"1*) NEAR";
    let tagged = remember(memory, "a", json!(0), json!({ "tags": [evil], "taskId": evil })).await;
    let query = MemoryQuery { tags: Some(vec![evil.to_owned()]), task_id: Some(evil.to_owned()), ..asked_by("a") };
    assert_eq!(ids(memory, query).await, [tagged]);
    let flood: String = (0..10_000).map(|n| format!("w{n} ")).collect();
    match memory.recall(with_text(&flood)).await {
        Ok(found) => assert_eq!(found, []),
        Err(error) => assert!(matches!(error, MemoryError::Invalid { .. }), "{error}"),
    }
}

async fn private_is_private(memory: &dyn SwarmMemory) {
    let own = remember(memory, "a", json!("mine"), json!({ "shareLevel": "private", "tags": ["g"] })).await;
    let team = remember(memory, "a", json!("ours"), json!({ "tags": ["g"] })).await;
    let public = remember(memory, "a", json!("theirs"), json!({ "shareLevel": "public", "tags": ["g"] })).await;
    assert_eq!(ids(memory, asked_by("a")).await, [&public[..], &team, &own]);
    assert_eq!(ids(memory, MemoryQuery::default()).await, [&public[..], &team, &own]);
    for stranger in ["b", "A", "", "a ", "operator", "*"] {
        assert_eq!(ids(memory, asked_by(stranger)).await, [&public[..], &team], "{stranger:?}");
        for query in [
            MemoryQuery {
                agent_id: Some("a".to_owned()),
                share_level: Some(ShareLevel::Private),
                ..asked_by(stranger)
            },
            MemoryQuery { text: Some("mine".to_owned()), ..asked_by(stranger) },
        ] {
            assert_eq!(recall(memory, query).await, []);
        }
        let limited = MemoryQuery { limit: Some(2), tags: Some(vec!["g".to_owned()]), ..asked_by(stranger) };
        assert_eq!(ids(memory, limited).await, [&public[..], &team], "what is hidden takes no place");
    }
}

async fn sharing_makes_an_entry(memory: &dyn SwarmMemory) {
    let about = json!({ "taskId": "t", "tags": ["g"], "shareLevel": "public", "more": 1 });
    let id = remember(memory, "a", json!({ "k": "word" }), about).await;
    memory.share_memory(&id, "b").await.expect("it is shared");
    let all = recall(memory, MemoryQuery::default()).await;
    let [shared, original] = &all[..] else { panic!("{all:?}") };
    assert_eq!(original.id, id);
    assert_eq!(original.metadata.shared_to, None, "the original stays as it was");
    assert_ne!(shared.id, original.id);
    assert_eq!((&shared.agent_id[..], &shared.content, shared.kind), ("b", &original.content, original.kind));
    let expected = super::EntryMetadata {
        original_id: Some(id.clone()),
        shared_from: Some("a".to_owned()),
        shared_to: Some("b".to_owned()),
        shared_at: Some(shared.timestamp),
        ..original.metadata.clone()
    };
    assert_eq!(shared.metadata, expected);
    assert!(shared.timestamp >= original.timestamp);
    let of_b = MemoryQuery { agent_id: Some("b".to_owned()), ..with_text("word") };
    assert_eq!(ids(memory, of_b).await, [&shared.id[..]]);
    memory.share_memory(&shared.id, "c").await.expect("what was shared can be shared");
    let of_c = MemoryQuery { agent_id: Some("c".to_owned()), ..MemoryQuery::default() };
    let again = recall(memory, of_c).await.remove(0).metadata;
    assert_eq!((again.original_id, again.shared_from), (Some(shared.id.clone()), Some("b".to_owned())));
}

async fn what_cannot_be_shared(memory: &dyn SwarmMemory) {
    let id = remember(memory, "a", json!(1), json!({ "shareLevel": "private" })).await;
    let refusal = memory.share_memory(&id, "b").await;
    assert_eq!(refusal, Err(MemoryError::Private { id: id.clone(), author: "a".to_owned() }));
    for unknown in ["", "nobody", "m0", "m999999", "m-1", "m01", "1"] {
        let refusal = memory.share_memory(unknown, "b").await;
        assert_eq!(refusal, Err(MemoryError::UnknownEntry { id: unknown.to_owned() }));
    }
    let team = remember(memory, "a", json!(2), Value::Null).await;
    let refusal = memory.share_memory(&team, "").await;
    assert!(matches!(refusal, Err(MemoryError::Invalid { field: "targetAgentId", .. })), "{refusal:?}");
    assert_eq!(ids(memory, MemoryQuery::default()).await, [&team[..], &id]);
}

async fn bad_input_is_refused(memory: &dyn SwarmMemory) {
    let field =
        async |agent: &str, kind: &str, about: Value| match memory.remember(agent, kind, json!(1), Some(about)).await {
            Err(MemoryError::Invalid { field, .. }) => field,
            other => panic!("{agent:?} {kind:?}: {other:?}"),
        };
    for agent in ["", "a\nb", "-rf", &"x".repeat(257)] {
        assert_eq!(field(agent, "state", json!({})).await, "agentId");
    }
    for kind in ["", "Knowledge", "knowledge ", "opinion", &"x".repeat(9_999)] {
        assert_eq!(field("a", kind, json!({})).await, "type");
    }
    for about in [json!([]), json!("text"), json!(1), json!(false)] {
        assert_eq!(field("a", "state", about).await, "metadata");
    }
    for (name, value, expected) in [
        ("taskId", json!(1), "metadata.taskId"),
        ("objectiveId", json!({}), "metadata.objectiveId"),
        ("tags", json!("g"), "metadata.tags"),
        ("tags", json!(["g", 1]), "metadata.tags"),
        ("priority", json!("high"), "metadata.priority"),
        ("shareLevel", json!("secret"), "metadata.shareLevel"),
        ("shareLevel", json!(1), "metadata.shareLevel"),
        ("originalId", json!("m1"), "metadata.originalId"),
        ("sharedFrom", json!("a"), "metadata.sharedFrom"),
        ("sharedTo", json!("a"), "metadata.sharedTo"),
        ("sharedAt", json!(1), "metadata.sharedAt"),
    ] {
        assert_eq!(field("a", "state", json!({ name: value })).await, expected);
    }
    assert_eq!(recall(memory, MemoryQuery::default()).await, []);
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

async fn too_much_is_refused(memory: &dyn SwarmMemory) {
    for about in [None, Some(json!({ "more": "x".repeat(LIMIT) }))] {
        let refusal = memory.remember("a", "state", json!("x".repeat(LIMIT)), about).await;
        assert!(matches!(refusal, Err(MemoryError::TooLarge { most: LIMIT, .. })), "{refusal:?}");
    }
    let refusal = memory.remember("a", "state", nested(1_000), None).await;
    assert!(matches!(refusal, Err(MemoryError::Invalid { field: "content", .. })), "{refusal:?}");
    let refusal = memory.remember("a", "state", json!(1), Some(json!({ "more": nested(1_000) }))).await;
    assert!(matches!(refusal, Err(MemoryError::Invalid { field: "metadata", .. })), "{refusal:?}");
    assert_eq!(recall(memory, MemoryQuery::default()).await, []);
    // The limit itself is allowed: two quotes around the content, two braces for no metadata.
    for most in [json!("x".repeat(LIMIT - 4)), nested(100)] {
        memory.remember("a", "state", most.clone(), None).await.expect("that much is allowed");
        assert_eq!(recall(memory, MemoryQuery::default()).await[0].content, most);
    }
}

fn state(id: &str, load: f64) -> PeerState {
    PeerState {
        peer_id: id.to_owned(),
        capabilities: vec!["code".to_owned()],
        load,
        state: AgentState::Working,
        active_tasks: vec!["t1".to_owned()],
        metrics: PeerStats { success_rate: 0.1, average_response_time: 12.5, tasks_completed: 1, tasks_failed: 9 },
        last_updated: 1_700_000_000_000,
    }
}

async fn peers_say_what_they_do(memory: &dyn SwarmMemory) {
    assert_eq!(memory.mesh_peers(SWARM).await, Ok(vec![]));
    assert_eq!(memory.peer_load("p").await, Ok(None));
    memory.share_peer_state("q", state("q", 1.0)).await.expect("a state is kept");
    memory.share_peer_state("p", state("p", 3.0)).await.expect("a state is kept");
    assert_eq!(memory.mesh_peers(SWARM).await, Ok(vec![state("p", 3.0), state("q", 1.0)]));
    assert_eq!(memory.peer_load("p").await, Ok(Some(3.0)));
    memory.update_peer_load("p", 0.25).await.expect("a load is kept");
    assert_eq!(memory.peer_load("p").await, Ok(Some(0.25)));
    assert_eq!(memory.mesh_peers(SWARM).await, Ok(vec![state("p", 0.25), state("q", 1.0)]), "there is one load");
    memory.share_peer_state("p", state("p", 0.0)).await.expect("a state is kept");
    assert_eq!(memory.peer_load("p").await, Ok(Some(0.0)));
    memory.update_peer_load("only-a-load", 2.0).await.expect("a load is kept");
    assert_eq!(memory.peer_load("only-a-load").await, Ok(Some(2.0)));
    assert_eq!(memory.mesh_peers(SWARM).await.expect("an answer").len(), 2, "nobody said what that one does");
    assert_eq!(memory.mesh_peers("another").await, Ok(vec![]));
    for load in [f64::NAN, f64::INFINITY, -1.0] {
        let refusal = memory.update_peer_load("p", load).await;
        assert!(matches!(refusal, Err(MemoryError::Invalid { field: "load", .. })), "{refusal:?}");
        let refusal = memory.share_peer_state("p", state("p", load)).await;
        assert!(matches!(refusal, Err(MemoryError::Invalid { field: "state.load", .. })), "{refusal:?}");
    }
    let refusal = memory.share_peer_state("p", state("q", 1.0)).await;
    assert!(matches!(refusal, Err(MemoryError::Invalid { field: "state.peerId", .. })), "{refusal:?}");
    let refusal = memory.update_peer_load("", 1.0).await;
    assert!(matches!(refusal, Err(MemoryError::Invalid { field: "peerId", .. })), "{refusal:?}");
    assert_eq!(memory.peer_load("p").await, Ok(Some(0.0)));
}

async fn one_memory_from_many_sides(memory: &Arc<dyn SwarmMemory>) {
    let sides = (0..8_u8).map(|side| {
        let memory = Arc::clone(memory);
        tokio::spawn(async move {
            let agent = format!("a{side}");
            let own = || MemoryQuery { agent_id: Some(agent.clone()), ..MemoryQuery::default() };
            let mut made = Vec::new();
            for round in 0..20_u8 {
                made.insert(0, remember(&*memory, &agent, json!([side, round]), Value::Null).await);
                assert_eq!(ids(&*memory, own()).await, made, "what was answered is there");
            }
            made
        })
    });
    let mut all = BTreeSet::new();
    for side in sides.collect::<Vec<_>>() {
        all.extend(side.await.expect("every side ends well"));
    }
    assert_eq!(all.len(), 160);
    assert_eq!(ids(&**memory, MemoryQuery::default()).await.into_iter().collect::<BTreeSet<_>>(), all);
}
