//! Scenarios over the whole of the module: a text goes in, a model or named problems come out.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

const PEER: &str = "[[peers]]\nid = \"p\"\n";

fn toml(text: &str) -> Result<SwarmFile, FileError> {
    parse(text, Format::Toml, "swarm.toml")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every example of the repository that is a swarm file.
pub(super) fn examples() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository().join("examples")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let examples: Vec<_> = paths.filter(|path| Format::from_path(path) == Some(Format::Toml)).collect();
    assert!(examples.len() >= 2);
    examples
}

#[test]
fn defaults_are_applied() {
    let file = toml(&format!("{PEER}[[tasks]]\nid = \"a\"\nrun = \"true\"\n")).unwrap();
    assert_eq!(file.swarm.id, "swarm");
    assert_eq!(file.swarm.max_agents, Some(1));
    assert_eq!(file.limits, Limits::default());
    assert_eq!(file.peers[0].slots(&file.mesh), 3);
    assert_eq!(file.peers[0].agent, Agent::default());
    let mut task = Task::new("a");
    task.run = Some("true".to_owned());
    assert_eq!(file.tasks, [task]);
}

/// One file with every key, in the three formats.
const FULL: [(Format, &str); 3] = [
    (
        Format::Toml,
        r#"
"$schema" = "swarm.schema.json"
[swarm]
id = "s"
topology = "mesh"
strategy = "adaptive"
max_agents = 5
[limits]
token_budget = 2_000_000
max_sessions = 8
run_timeout = "2h"
retry_backoff = "2s"
tasks = 10
subtask_depth = 3
children_per_task = 4
crash_attempts = 5
interruptions = 6
message_bytes = 7
mailbox_messages = 8
artifact_bytes = 9
[mesh]
max_concurrent_tasks_per_peer = 2
enable_load_balancing = false
enable_auto_rebalance = false
rebalance_interval = "1s"
load_imbalance_threshold = 2
pause_idle_after = "1m"
[[peers]]
id = "a"
count = 2
capabilities = ["x", "y", "x"]
max_concurrent_tasks = 4
token_budget = 100
wake_interval = "5s"
workspace = "shared"
[peers.agent]
kind = "command"
command = ["agent", "--json"]
cwd = "."
env = { RUST_LOG = "warn" }
[[peers]]
id = "b"
[[tasks]]
id = "one"
[[tasks]]
id = "two"
type = "review"
description = "words"
required_capabilities = ["x"]
priority = 8
dependencies = ["one", "one"]
retries = 2
timeout = "10m"
run = "true"
input = { path = "src", list = [1, 2.5, true, "s"] }
on_dependency_failure = "skip"
verify = { run = "test -f x", artifacts = ["x"] }
review = { required_capabilities = ["y"], approvals = 1, of = 2, run = "look" }
"#,
    ),
    (
        Format::Yaml,
        r#"
$schema: swarm.schema.json
swarm: {id: s, topology: mesh, strategy: adaptive, max_agents: 5}
limits:
  token_budget: 2000000
  max_sessions: 8
  run_timeout: 2h
  retry_backoff: 2s
  tasks: 10
  subtask_depth: 3
  children_per_task: 4
  crash_attempts: 5
  interruptions: 6
  message_bytes: 7
  mailbox_messages: 8
  artifact_bytes: 9
mesh:
  max_concurrent_tasks_per_peer: 2
  enable_load_balancing: false
  enable_auto_rebalance: false
  rebalance_interval: 1s
  load_imbalance_threshold: 2
  pause_idle_after: 1m
peers:
  - id: a
    count: 2
    capabilities: [x, "y", x]
    max_concurrent_tasks: 4
    token_budget: 100
    wake_interval: 5s
    workspace: shared
    agent:
      kind: command
      command: [agent, --json]
      cwd: .
      env: {RUST_LOG: warn}
  - id: b
tasks:
  - id: one
  - id: two
    type: review
    description: words
    required_capabilities: [x]
    priority: 8
    dependencies:
      - one
      - one
    retries: 2
    timeout: 10m
    run: "true"
    input: {path: src, list: [1, 2.5, true, s]}
    on_dependency_failure: skip
    verify: {run: test -f x, artifacts: [x]}
    review: {required_capabilities: [y], approvals: 1, of: 2, run: look}
"#,
    ),
    (
        Format::Json,
        r#"{"$schema": "swarm.schema.json",
"swarm": {"id": "s", "topology": "mesh", "strategy": "adaptive", "max_agents": 5},
"limits": {"token_budget": 2000000, "max_sessions": 8, "run_timeout": "2h", "retry_backoff": "2s",
  "tasks": 10, "subtask_depth": 3, "children_per_task": 4, "crash_attempts": 5, "interruptions": 6,
  "message_bytes": 7, "mailbox_messages": 8, "artifact_bytes": 9},
"mesh": {"max_concurrent_tasks_per_peer": 2, "enable_load_balancing": false,
  "enable_auto_rebalance": false, "rebalance_interval": "1s", "load_imbalance_threshold": 2,
  "pause_idle_after": "1m"},
"peers": [
  {"id": "a", "count": 2, "capabilities": ["x", "y", "x"], "max_concurrent_tasks": 4,
   "token_budget": 100, "wake_interval": "5s", "workspace": "shared",
   "agent": {"kind": "command", "command": ["agent", "--json"], "cwd": ".",
             "env": {"RUST_LOG": "w\u0061rn"}}},
  {"id": "b"}],
"tasks": [
  {"id": "one"},
  {"id": "two", "type": "review", "description": "words", "required_capabilities": ["x"],
   "priority": 8, "dependencies": ["one", "one"], "retries": 2, "timeout": "10m", "run": "true",
   "input": {"path": "src", "list": [1, 2.5, true, "s"]}, "on_dependency_failure": "skip",
   "verify": {"run": "test -f x", "artifacts": ["x"]},
   "review": {"required_capabilities": ["y"], "approvals": 1, "of": 2, "run": "look"}}]}"#,
    ),
];

#[test]
fn the_three_formats_mean_the_same() {
    let [toml, yaml, json] = FULL.map(|(format, text)| parse(text, format, "f").unwrap());
    assert_eq!(toml, yaml);
    assert_eq!(toml, json);
    assert_eq!(toml.peer_count(), 3);
    let ids: Vec<_> = toml.expanded_peers().map(|(id, _)| id).collect();
    assert_eq!(ids, ["a-1", "a-2", "b"]);
    assert_eq!(toml.tasks[1].dependencies, ["one"]);
    assert_eq!(toml.tasks[1].timeout.unwrap().millis(), 600_000);
    assert_eq!(toml.tasks[1].on_dependency_failure, OnDependencyFailure::Skip);
    let list = &toml.tasks[1].input.as_ref().unwrap()["list"];
    assert_eq!(*list, serde_json::json!([1, 2.5, true, "s"]));
}

#[test]
fn the_model_written_and_read_again_is_the_same() {
    let file = parse(FULL[0].1, Format::Toml, "f").unwrap();
    let json = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<SwarmFile>(&json).unwrap(), file);
    assert_eq!(parse(&json, Format::Json, "f").unwrap(), file);
    let text = ::toml::to_string(&file).unwrap();
    assert_eq!(parse(&text, Format::Toml, "f").unwrap(), file);
}

/// Runs a table of (text, code, line, part of the message).
fn refused(format: Format, head: &str, cases: &[(&str, Code, u32, &str)]) {
    for (text, code, line, words) in cases {
        let whole = format!("{head}{text}");
        let error = parse(&whole, format, "f").expect_err(text);
        let (first, shown) = (error.first(), error.to_string());
        assert_eq!(first.code, *code, "{text}\n{shown}");
        assert_eq!(first.line.unwrap_or(0), *line, "{text}\n{shown}");
        assert!(shown.contains(words), "{text}\n{shown}");
    }
}

#[test]
fn bad_shapes_in_toml() {
    use Code as C;
    let text = |line| format!("{PEER}{line}");
    for (section, table) in
        [("[discovery]", "discovery"), ("[completion]", "completion"), ("[balance]", "balance"), ("[broker]", "broker")]
    {
        let error = toml(&text(section)).unwrap_err();
        assert_eq!((error.code(), error.line()), (C::NotYet, Some(3)));
        assert!(error.to_string().contains(&format!("`{table}` is a key")));
    }
    #[rustfmt::skip]
    let cases = [
        ("[swarm\n", C::Syntax, 3, "not well-formed TOML"),
        ("[swarm]\nid = 'a'\nid = 'b'\n", C::DuplicateKey, 5, "twice"),
        ("[swarm]\nid = 5\n", C::WrongType, 4, "wrong type for `id`: found the number 5, expected a string"),
        ("[swarm]\nid = 2020-01-01\n", C::WrongType, 4, "found the date 2020-01-01"),
        ("[swarm]\nidd = 'a'\n", C::UnknownKey, 4, "unknown key in [swarm]: found \"idd\", expected \"id\""),
        ("[[swarm]]\n", C::WrongType, 3, "found a list, expected a table"),
        ("[[peers]]\nid = 'x'\ncolour = 'x'\n", C::UnknownKey, 5, "expected one of \"id\""),
        ("[consensus]\nthreshold = 0.5\n", C::UnknownKey, 3, "unknown key in the file: found \"consensus\", expected `[tasks.review]` with `approvals`"),
        ("[[peers]]\nid = 'x'\nwake_interval = 5\n", C::WrongType, 5, "expected a duration such as"),
        ("[[peers]]\nid = 'x'\nwake_intervall = '5s'\n", C::UnknownKey, 5, "expected \"wake_interval\""),
        ("[mesh]\npause_idle_after = 'soon'\n", C::InvalidDuration, 4, "expected a duration such as"),
        ("[[peers]]\nid = 'x'\nworkspace = 'worktree'\n", C::NotYet, 5, "`worktree` is a word"),
        ("[[peers]]\nid = 'x'\nworkspace = 'worktre'\n", C::UnknownWord, 5, "expected \"shared\""),
        ("[[peers]]\nid = 'x'\nagent.kind = 'acp'\n", C::NotYet, 5, "`acp`"),
        ("[[peers]]\nid = 'x'\nagent.kind = 'llm'\n", C::NotYet, 5, "`llm`"),
        ("[[peers]]\nid = 'x'\nagent.kind = 'comand'\n", C::UnknownWord, 5, "expected \"command\""),
        ("[[peers]]\nid = 'x'\nagent.kind = 1\n", C::WrongType, 5, "found the number 1"),
        ("[[peers]]\nid = 'x'\ncount = -1\n", C::OutOfRange, 5, "found the number -1"),
        ("[[peers]]\nid = 'x'\ncapabilities = 'a'\n", C::WrongType, 5, "expected a list"),
        ("[[peers]]\nid = 'x'\nagent.env.A = 1\n", C::WrongType, 5, "wrong type for `A`"),
        ("[swarm]\ntopology = 'ring'\n", C::UnknownWord, 4, "expected one of \"auto\", \"mesh\", \"hierarchical\", \"hybrid\""),
        ("[hierarchical]\nmin_worker = 1\n", C::UnknownKey, 4, "unknown key in [hierarchical]: found \"min_worker\", expected \"min_workers\""),
        ("[hierarchical]\nauto_scale = 1\n", C::WrongType, 4, "expected true or false"),
        ("[swarm]\nstrategy = 'adaptiv'\n", C::UnknownWord, 4, "found \"adaptiv\", expected \"adaptive\""),
        ("[swarm]\nstrategy = 'fast'\n", C::UnknownWord, 4, "expected one of \"balanced\", \"performance\", \"adaptive\""),
        ("[swarm]\nstrategy = 1\n", C::WrongType, 4, "wrong type for `strategy`: found the number 1"),
        ("[mesh]\nenable_peer_discovery = true\n", C::NotYet, 4, "key in [mesh]"),
        ("[mesh]\ndiscovery_interval = '1s'\n", C::NotYet, 4, "not built yet"),
        ("[mesh]\ncompletion_timeout = '1s'\n", C::NotYet, 4, "not built yet"),
        ("[mesh]\nenable_load_balancing = 1\n", C::WrongType, 4, "expected true or false"),
        ("[mesh]\nload_imbalance_threshold = nan\n", C::InvalidValue, 4, "finite"),
        ("[limits]\ntokens = 5\n", C::UnknownKey, 4, "expected"),
        ("[limits]\nrun_timeout = '5'\n", C::InvalidDuration, 4, "expected a duration such as"),
        ("[limits]\nrun_timeout = 5\n", C::WrongType, 4, "expected a duration such as"),
        ("[limits]\ntasks = 99999999999999999999\n", C::InvalidValue, 4, "64 bits"),
        ("[[tasks]]\nrun = 'true'\n", C::MissingKey, 3, "a key is missing in [[tasks]]; expected `id`"),
        ("[[tasks]]\nid = 'a'\nrequiredCapabilities = []\n", C::UnknownKey, 5, "expected \"required_capabilities\""),
        ("[[tasks]]\nid = 'a'\npriority = 11\n", C::PriorityOutOfRange, 5, "found the number 11, expected a whole number from 1 to 10"),
        ("[[tasks]]\nid = 'a'\npriority = 0\n", C::PriorityOutOfRange, 5, "found the number 0"),
        ("[[tasks]]\nid = 'a'\npriority = -1000\n", C::PriorityOutOfRange, 5, "found the number -1000"),
        ("[[tasks]]\nid = 'a'\npriority = 'high'\n", C::WrongType, 5, "found the string \"high\""),
        ("[[tasks]]\nid = 'a'\non_dependency_failure = 'ignore'\n", C::UnknownWord, 5, "one of \"fail\", \"skip\", \"run\""),
        ("[[tasks]]\nid = 'a'\nparent = 'b'\n", C::UnknownKey, 5, "unknown key in [[tasks]]"),
        ("[[tasks]]\nid = 'a'\n[tasks.review]\nvotes = 2\n", C::UnknownKey, 6, "unknown key in [tasks.review]"),
        ("[[tasks]]\nid = 'a'\n[tasks.verify]\nrunn = 'x'\n", C::UnknownKey, 6, "[tasks.verify]: found \"runn\", expected \"run\""),
        ("[tasks]\nid = 'a'\n", C::WrongType, 3, "expected a list of tables ([[tasks]])"),
        ("[colour]\n", C::UnknownKey, 3, "unknown key in the file"),
    ];
    refused(Format::Toml, PEER, &cases);
}

#[test]
fn bad_meanings_in_toml() {
    use Code as C;
    #[rustfmt::skip]
    let cases = [
        ("[[tasks]]\nid = ''\n", C::InvalidId, 4, "is empty"),
        ("[[tasks]]\nid = '-a'\n", C::InvalidId, 4, "begins with `-`"),
        ("[[tasks]]\nid = \"a\\nb\"\n", C::InvalidId, 4, "U+000A"),
        ("[swarm]\nid = '-s'\n", C::InvalidId, 4, "the swarm's id"),
        ("[[peers]]\nid = 'x'\ncapabilities = ['']\n", C::InvalidId, 4, "a capability of peer \"x\""),
        ("[[tasks]]\nid='a'\nrun='true'\n[[tasks]]\nid='a'\nrun='true'\n", C::DuplicateId, 7, "two tasks are called \"a\" (the first in line 4)"),
        ("[[peers]]\nid = 'p'\n", C::DuplicateId, 4, "two peers are called \"p\" (the first in line 2)"),
        ("[[peers]]\nid='x'\ncount=2\n[[peers]]\nid='x-2'\n", C::DuplicateId, 7, "called \"x-2\" (the first in line 4)"),
        ("[[peers]]\nid='x'\ncount=0\n", C::OutOfRange, 4, "count of peer \"x\" out of range: found 0"),
        ("[[peers]]\nid='x'\ncount=4294967295\n", C::TooManyPeers, 2, "found 4294967296, expected at most 100000"),
        ("[[peers]]\nid='x'\nmax_concurrent_tasks=0\n", C::OutOfRange, 4, "found 0, expected 1 to 65535"),
        ("[[peers]]\nid='x'\ntoken_budget=0\n", C::OutOfRange, 4, "token_budget of peer \"x\""),
        ("[swarm]\nmax_agents = 1\n[[peers]]\nid='x'\n", C::TooManyPeers, 4, "found 2, expected at most 1"),
        ("[[peers]]\nid='x'\nagent.command=['a']\n", C::CommandNotAllowed, 4, "kind shell and has a command"),
        ("[[peers]]\nid='x'\nagent.kind='command'\n", C::MissingCommand, 4, "has no command"),
        ("[[peers]]\nid='x'\nagent.kind='command'\nagent.command=['']\n", C::MissingCommand, 4, "empty program"),
        ("[[peers]]\nid='x'\nagent.cwd=''\n", C::InvalidValue, 4, "cwd of peer"),
        ("[[peers]]\nid='x'\nagent.env={'A=B'='x'}\n", C::InvalidEnvironment, 4, "A=B"),
        ("[[peers]]\nid='x'\nagent.env={MESHWORK_URL='x'}\n", C::InvalidEnvironment, 4, "reserved"),
        ("[mesh]\nmax_concurrent_tasks_per_peer = 0\n", C::OutOfRange, 4, "found 0"),
        ("[[peers]]\nid='x'\nwake_interval='5s'\n", C::WakeNotAllowed, 4, "peer \"x\" is of kind shell and has a wake_interval: found 5s, expected kind = \"command\""),
        ("[[peers]]\nid='x'\nwake_interval='0s'\nagent={kind='command', command=['a']}\n", C::OutOfRange, 4, "wake_interval (ms) of peer \"x\" out of range: found 0"),
        ("[mesh]\npause_idle_after = '0s'\n", C::OutOfRange, 4, "mesh.pause_idle_after (ms) out of range: found 0"),
        ("[mesh]\nload_imbalance_threshold = 0.5\n", C::OutOfRange, 4, "found 0.5, expected at least 1.0"),
        ("[hierarchical]\nbranching = 0\n", C::OutOfRange, 4, "hierarchical.branching out of range: found 0, expected at least 1"),
        ("[hierarchical]\nmin_workers = 0\n", C::OutOfRange, 4, "found 0, expected 1 to"),
        ("[hierarchical]\nmin_workers = 9\n", C::OutOfRange, 4, "hierarchical.min_workers out of range: found 9"),
        ("[hierarchical]\nmax_workers = 0\n", C::OutOfRange, 4, "hierarchical.max_workers out of range: found 0"),
        ("[hierarchical]\nmax_workers = 9\n", C::OutOfRange, 4, "found 9, expected 1 to 1"),
        ("[hierarchical]\nscaling_threshold = 1.5\n", C::OutOfRange, 4, "found 1.5, expected 0.001 to 1.0"),
        ("[hierarchical]\nscaling_threshold = 0.0\n", C::OutOfRange, 4, "hierarchical.scaling_threshold"),
        ("[mesh]\nrebalance_interval = '0s'\n", C::OutOfRange, 4, "rebalance_interval"),
        ("[limits]\nretry_backoff = '2m'\n", C::OutOfRange, 4, "found 120000, expected 0 to 60000"),
        ("[limits]\ncrash_attempts = 0\n", C::OutOfRange, 4, "limits.crash_attempts"),
        ("[limits]\ntasks = 1000001\n", C::OutOfRange, 4, "expected 1 to 1000000"),
        ("[limits]\ntasks = 1\n[[tasks]]\nid='a'\nrun='x'\n[[tasks]]\nid='b'\nrun='x'\n", C::TooManyTasks, 4, "found 2, expected at most 1"),
        ("[[tasks]]\nid='a'\nretries=1001\n", C::OutOfRange, 4, "retries of task \"a\""),
        ("[[tasks]]\nid='a'\ntimeout='0s'\n", C::OutOfRange, 4, "timeout (ms) of task \"a\""),
        ("[[tasks]]\nid='a'\ntimeout='366d'\n", C::OutOfRange, 4, "timeout (ms)"),
        ("[[tasks]]\nid='a'\nrun=' '\n", C::EmptyRun, 4, "`run` of task \"a\" is empty"),
        ("[[tasks]]\nid='a'\nrun=\"a\\u0000b\"\n", C::InvalidValue, 4, "NUL"),
        ("[[tasks]]\nid='a'\n", C::MissingRun, 4, "only shell peers can take it"),
        ("[[tasks]]\nid='a'\nrun='x'\nverify={}\n", C::EmptyVerify, 4, "asks for no evidence"),
        ("[[tasks]]\nid='a'\nrun='x'\nverify.run=''\n", C::EmptyRun, 4, "`verify.run`"),
        ("[[tasks]]\nid='a'\nrun='x'\nverify.artifacts=['/etc/x']\n", C::InvalidPath, 4, "/etc/x"),
        ("[[tasks]]\nid='a'\nrun='x'\nverify.artifacts=['a/../b']\n", C::InvalidPath, 4, "without `..`"),
        ("[[tasks]]\nid='a'\nrun='x'\nverify.artifacts=['.']\n", C::InvalidPath, 4, "artifact path"),
        ("[[tasks]]\nid='a#review-1.2'\nrun='x'\n", C::InvalidId, 4, "ends as only those of reviews do"),
        ("[[tasks]]\nid='a'\nrun='x'\nreview={approvals=0, run='x'}\n", C::OutOfRange, 4, "review.approvals of task \"a\" out of range: found 0, expected 1 to 64"),
        ("[[tasks]]\nid='a'\nrun='x'\nreview={approvals=3, of=2, run='x'}\n", C::OutOfRange, 4, "review.of of task \"a\" out of range: found 2, expected 3 to 64"),
        ("[[tasks]]\nid='a'\nrun='x'\nreview={run=''}\n", C::EmptyRun, 4, "`review.run`"),
        ("[[tasks]]\nid='a'\nrun='x'\nreview={}\n", C::MissingRun, 4, "`review` of task \"a\" has no `run`"),
        ("[[tasks]]\nid='build'\nrun='x'\n[[tasks]]\nid='b'\nrun='x'\ndependencies=['biuld']\n", C::UnknownDependency, 9, "found \"biuld\", expected \"build\""),
        ("[[tasks]]\nid='a'\nrun='x'\ndependencies=['a']\n", C::DependencyCycle, 6, "a → a"),
        ("[[tasks]]\nid='a'\nrun='x'\ndependencies=['b']\n[[tasks]]\nid='b'\nrun='x'\ndependencies=['c']\n[[tasks]]\nid='c'\nrun='x'\ndependencies=['a']\n", C::DependencyCycle, 6, "a → b → c → a"),
    ];
    refused(Format::Toml, PEER, &cases);
    refused(
        Format::Toml,
        "",
        &[("", C::NoPeers, 0, "no peers"), ("[swarm]\n", C::NoPeers, 0, "at least one [[peers]]")],
    );
}

#[test]
fn bad_yaml() {
    use Code as C;
    #[rustfmt::skip]
    let cases = [
        ("", C::NoPeers, 0, "no peers"),
        ("peers: [", C::Syntax, 1, "not well-formed YAML"),
        ("- 1\n", C::WrongType, 1, "found a list, expected a table"),
        ("peers:\n  - id: p\n    id: q\n", C::DuplicateKey, 3, "a key stands twice in one table: found \"id\""),
        ("peers:\n  - id: p\n    capabilites: [a]\n", C::UnknownKey, 3, "expected \"capabilities\""),
        ("peers:\n  - id: p\ntasks:\n  - id: a\n    priority: 11\n", C::PriorityOutOfRange, 5, "found the number 11"),
        ("peers:\n  - id: p\ntasks:\n  - id: a\n    run: true\n", C::WrongType, 5, "found true, expected a string (in quotes)"),
        ("peers:\n  - id: p\ntasks:\n  - run: x\n", C::MissingKey, 4, "`id`"),
        ("peers:\n  - id: p\ntasks:\n  - id: a\n    run: x\n    dependencies:\n    - b\n", C::UnknownDependency, 6, "does not exist"),
        ("peers:\n  - id: p\ntasks:\n  - id: a\n    run: x\n  - id: a\n    run: x\n", C::DuplicateId, 6, "the first in line 4"),
        ("peers:\n  - id: p\n    agent: {kind: acp}\n", C::NotYet, 3, "`acp`"),
        ("peers:\n  - id: p\n---\npeers: []\n", C::Syntax, 4, "more than one YAML document"),
    ];
    refused(Format::Yaml, "", &cases);
}

#[test]
fn bad_json() {
    use Code as C;
    #[rustfmt::skip]
    let cases = [
        ("", C::Syntax, 1, "not well-formed JSON: EOF"),
        ("{\n\"peers\": [}", C::Syntax, 2, "expected value"),
        ("{}\n{}", C::Syntax, 2, "trailing"),
        ("[]", C::WrongType, 1, "found a list, expected a table"),
        ("{\"peers\": [\n{\"id\": \"p\",\n\"id\": \"q\"}]}", C::DuplicateKey, 3, "found \"id\""),
        ("{\"peers\": [\n{\"id\": \"p\",\n\"maxConcurrentTasks\": 2}]}", C::UnknownKey, 3, "expected \"max_concurrent_tasks\""),
        ("{\"peers\": [{\"id\": \"p\"}],\n\"tasks\": [\n{\"id\": \"a\",\n\"priority\":\n 11}]}", C::PriorityOutOfRange, 4, "found the number 11"),
        ("{\"peers\": [{\"id\": \"p\"}],\n\"tasks\": [\n{\"id\": \"a\", \"run\": \"x\"},\n{\"id\": \"a\", \"run\": \"x\"}]}", C::DuplicateId, 4, "the first in line 3"),
        ("{\"peers\": [{\"id\": \"p\"}],\n\"tasks\": [{\"id\": null}]}", C::WrongType, 2, "found nothing (null)"),
        ("{\"consensus\": {}}", C::UnknownKey, 1, "`[tasks.review]`"),
        ("{\"swarm\": {\"max_agents\": 1e400}}", C::Syntax, 1, "number out of range"),
    ];
    refused(Format::Json, "", &cases);
}

#[test]
fn many_problems_are_named_in_the_order_of_the_file() {
    let text = format!("[[tasks]]\nid = 'a'\npriority = 11\ncolour = 1\n[[tasks]]\nid = 7\n[swarm]\nx = 1\n{PEER}");
    let error = toml(&text).unwrap_err();
    let found: Vec<_> = error.problems().iter().map(|p| (p.line, p.code)).collect();
    assert_eq!(
        found,
        [
            (Some(3), Code::PriorityOutOfRange),
            (Some(4), Code::UnknownKey),
            (Some(6), Code::WrongType),
            (Some(8), Code::UnknownKey),
        ]
    );
    assert!(error.to_string().ends_with("(and 3 more problems)"));

    let mut text = PEER.to_owned();
    for number in 0..70 {
        writeln!(text, "[[tasks]]\nid = 't{number}'").unwrap();
    }
    let error = toml(&text).unwrap_err();
    assert_eq!(error.problems().len(), MAX_PROBLEMS);
    assert_eq!(error.omitted(), 20);
}

#[test]
fn a_problem_is_plain_data() {
    let error = toml("[swarm]\nx = 1\n").unwrap_err();
    let json = serde_json::to_value(error.first()).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "file", "line", "column", "message", "found", "expected"]);
    assert_eq!((&json["code"], &json["column"]), (&"UnknownKey".into(), &1.into()));
}

#[test]
fn run_is_asked_for_only_where_shell_peers_alone_can_take_the_task() {
    let peers = "[[peers]]\nid='sh'\ncapabilities=['a', 'b']\n\
                 [[peers]]\nid='cmd'\ncapabilities=['b', 'c']\nagent={kind='command', command=['x']}\n";
    let task = |needs: &str| {
        let text = format!("{peers}[[tasks]]\nid='t'\nrequired_capabilities={needs}\n");
        toml(&text).map_err(|error| error.code())
    };
    assert_eq!(task("['a']").unwrap_err(), Code::MissingRun);
    assert!(task("['c']").is_ok());
    assert!(task("['a', 'c']").is_ok(), "check says that nobody can take it");
    let mixed = check(&task("['b']").unwrap());
    assert!(mixed.warnings[0].contains("could be given to a shell peer"));
}

#[test]
fn input_may_be_nested_64_deep() {
    for (format, depth) in [(Format::Json, 64), (Format::Yaml, 64), (Format::Toml, 64)] {
        let nested = |depth: usize| {
            let input = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            match format {
                Format::Toml => {
                    format!("{PEER}[[tasks]]\nid = 'a'\nrun = 'x'\ninput = {input}\n")
                }
                _ => format!(
                    "{{\"peers\": [{{\"id\": \"p\"}}], \"tasks\": [{{\"id\": \"a\", \"run\": \"x\", \"input\": {input}}}]}}"
                ),
            }
        };
        parse(&nested(depth), format, "f").unwrap();
        let error = parse(&nested(depth + 1), format, "f").unwrap_err();
        assert_eq!(error.code(), Code::TooDeep, "{format:?} {error}");
        for depth in [200, 100_000] {
            let error = parse(&nested(depth), format, "f").unwrap_err();
            assert!(matches!(error.code(), Code::TooDeep | Code::Syntax), "{format:?} {error}");
        }
    }
    let dotted = format!("{}b = 1", "a.".repeat(100_000));
    assert_eq!(toml(&dotted).unwrap_err().code(), Code::TooDeep);
}

#[test]
fn aliases_cannot_blow_up_a_small_file() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{before}]").unwrap();
    }
    let error = parse(&text, Format::Yaml, "f").unwrap_err();
    assert_eq!(error.code(), Code::Syntax, "{error}");
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let missing = load(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(missing.code(), Code::FileNotFound);
    assert!(missing.to_string().ends_with("none.toml: no such file"));
    let is_folder = load(folder.path()).unwrap_err();
    assert_eq!(is_folder.code(), Code::NotAFile);
    assert_eq!(load(Path::new("/dev/null")).unwrap_err().code(), Code::NotAFile);
    let through_file = write("x.toml", b"").join("y.toml");
    assert_eq!(load(&through_file).unwrap_err().code(), Code::Unreadable);
    let ending = load(&write("swarm.ini", b"")).unwrap_err();
    assert_eq!(ending.code(), Code::UnknownFormat);
    let utf8 = load(&write("latin.toml", b"[swarm]\n# ok\nid = \"\xff\"\n")).unwrap_err();
    assert_eq!((utf8.code(), utf8.line()), (Code::InvalidUtf8, Some(3)));
    assert!(utf8.to_string().contains("0xff"));

    let huge = write("huge.toml", b"");
    let file = std::fs::OpenOptions::new().write(true).open(&huge).unwrap();
    file.set_len(2 << 30).unwrap(); // sparse: it would have to be read to take memory
    let error = load(&huge).unwrap_err();
    assert_eq!(error.code(), Code::FileTooLarge);
    assert!(error.to_string().contains("2147483648 bytes"));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_read() {
    let text = format!("\u{feff}{PEER}").replace('\n', "\r\n");
    assert!(toml(&text).is_ok());
    let yaml = "\u{feff}peers:\r\n  - id: p\r\n";
    assert!(parse(yaml, Format::Yaml, "f").is_ok());
}

#[test]
fn a_swarm_built_in_memory_is_validated_too() {
    let mut file = toml(PEER).unwrap();
    validate(&file, "memory").unwrap();
    let mut task = Task::new("a");
    task.priority = 11;
    file.tasks.push(task);
    let error = validate(&file, "memory").unwrap_err();
    assert_eq!((error.code(), error.line()), (Code::PriorityOutOfRange, None));
}

#[test]
fn large_files_take_linear_time() {
    let mut text = PEER.to_owned();
    for number in 0..20_000 {
        writeln!(text, "[[tasks]]\nid = \"t{number}\"\nrun = \"true\"").unwrap();
        if number > 0 {
            writeln!(text, "dependencies = [\"t{}\"]", number - 1).unwrap();
        }
    }
    let file = toml(&text).unwrap();
    let report = check(&file);
    assert_eq!((report.critical_path, report.widest_layer), (20_000, 1));

    // The same closed to a ring, every id twice, and every dependency unknown: all still quick.
    let ring = text.replacen("run = \"true\"", "run = \"true\"\ndependencies = [\"t19999\"]", 1);
    assert_eq!(toml(&ring).unwrap_err().code(), Code::DependencyCycle);
    let twice = format!("{text}{}", text.strip_prefix(PEER).unwrap());
    assert_eq!(toml(&twice).unwrap_err().omitted(), 20_000 - MAX_PROBLEMS);
    let unknown = text.replace("[\"t", "[\"u");
    assert_eq!(toml(&unknown).unwrap_err().code(), Code::UnknownDependency);
}

#[test]
fn examples_and_template_are_valid_and_can_finish() {
    for path in examples() {
        let file = load(&path).unwrap_or_else(|error| panic!("{error}"));
        let report = check(&file);
        assert!(report.can_finish, "{report:?}");
        assert!(report.topology.warnings.is_empty() && report.unused_peers.is_empty());
    }
    let file = toml(template()).unwrap();
    assert!(check(&file).can_finish);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn garbage_is_refused_and_never_panics(text in "\\PC{0,200}") {
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let _ = parse(&text, format, "f");
        }
    }

    /// Pieces of swarm files in any order come further into the reader than plain noise.
    #[test]
    fn shuffled_pieces_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "[swarm]", "[[tasks]]", "[[peers]]", "id", "=", ":", "'a'", "\"b\"", "\n", "\n  ", "- ", "{", "}", "[",
        "]", ",", "priority", "11", "1e999", "-5", "dependencies", "input", "tasks", "peers", "count",
        "&a", "*a", "<<", "!!binary", "null", "nan", "2020-01-01", "\u{0}", "é", "---", "|", "\\u0000", "#",
    ]), 0..40)) {
        let text = pieces.concat();
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            let _ = parse(&text, format, "f");
        }
    }

    /// A good file with one character changed is read or refused with a line that it has.
    #[test]
    fn a_changed_character_is_read_or_refused_with_a_place(
        which in 0..3usize, at in any::<prop::sample::Index>(), new in any::<char>()
    ) {
        let (format, text) = FULL[which];
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        chars[at] = new;
        let text: String = chars.into_iter().collect();
        if let Err(error) = parse(&text, format, "f") {
            let lines = u32::try_from(text.matches('\n').count()).unwrap() + 1;
            for problem in error.problems() {
                prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
            }
        }
    }
}
