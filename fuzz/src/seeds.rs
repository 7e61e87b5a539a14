//! The inputs of the corpus that are made, not found: real files and real encodings, and the same damaged.

use crate::dice::Dice;
use crate::targets::apply::decided;
use crate::{corpus, mutate};
use meshwork_core::{Batch, encode_batch};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Random logs that are looked through for those that bring about something new.
const LOGS: u64 = 6_000;

/// Writes them all, into the corpus of their targets.
///
/// # Errors
/// What the system says.
pub fn write() -> io::Result<()> {
    files()?;
    texts()?;
    logs()
}

fn keep(target: &str, what: &str, bytes: &[u8]) -> io::Result<()> {
    corpus::keep(target, what, bytes).map(drop)
}

/// The examples of this repository, in each format that they can be written in.
fn files() -> io::Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for name in ["hello-mesh", "code-review"] {
        let text = fs::read_to_string(examples.join(name).with_extension("toml"))?;
        let file = meshwork::file::parse(&text, meshwork::file::Format::Toml, name).map_err(io::Error::other)?;
        let json = serde_json::to_string_pretty(&file).map_err(io::Error::other)?;
        keep("swarm_toml", name, text.as_bytes())?;
        keep("swarm_json", name, json.as_bytes())?;
        // JSON is YAML.
        keep("swarm_yaml", name, json.as_bytes())?;
    }
    for (what, text) in TOML {
        keep("swarm_toml", what, text.as_bytes())?;
    }
    for (what, text) in YAML {
        keep("swarm_yaml", what, text.as_bytes())?;
    }
    for (what, text) in JSON {
        keep("swarm_json", what, text.as_bytes())?;
    }
    keep("wfformat", "diamond", &fs::read(examples.join("workflow/diamond.json"))?)
}

const TOML: &[(&str, &str)] = &[
    (
        "everything",
        "\"$schema\" = \"x\"\n[swarm]\nid = \"a b\"\ntopology = \"mesh\"\nstrategy = \"balanced\"\nmax_agents = 9\n[limits]\n\
         tasks = 10\nretry_backoff = \"1s\"\n[mesh]\nload_imbalance_threshold = 1.5\n[[peers]]\nid = \"p\"\ncount = 3\n\
         capabilities = [\"a\", \"a\"]\nagent = { kind = \"command\", command = [\"x\"], env = { A = \"b\" } }\n[[tasks]]\nid = \
         \"t\"\ntype = \"k\"\npriority = 10\ntimeout = \"1h30m\"\nretries = 2\ninput = { a = [1, 2.5, \"x\", 2020-01-01] }\n\
         verify = { artifacts = [\"out\"] }\n[[tasks]]\nid = \"u\"\ndependencies = [\"t\"]\non_dependency_failure = \"skip\"\n",
    ),
    ("wrong-types", "swarm = 1\npeers = {}\n[[tasks]]\nid = 5\npriority = \"high\"\n[[tasks]]\n"),
    ("unknown-keys", "[swarm]\nname = \"x\"\n[discovery]\n[[peers]]\nid = \"a\"\nreview = 1\n"),
    (
        "cycle",
        "[[peers]]\nid = \"p\"\n[[tasks]]\nid = \"a\"\nrun = \"x\"\ndependencies = [\"b\"]\n[[tasks]]\nid = \"b\"\nrun = \"x\"\ndependencies = [\"a\"]\n",
    ),
    ("not-toml", "[swarm\nid = "),
    ("mark", "\u{feff}[[peers]]\r\nid = \"ö\"\r\n"),
];
const YAML: &[(&str, &str)] = &[
    (
        "plain",
        "swarm:\n  id: y\npeers:\n  - id: p\n    count: 2\n    capabilities: [sh]\ntasks:\n  - id: t\n    run: |\n      echo a\n    \
         input: &i {a: 1, b: ~}\n  - id: u\n    run: 'x'\n    dependencies: [t]\n    input: *i\n",
    ),
    ("words", "peers: [{id: yes, count: 0x2}]\ntasks: [{id: null, run: 1e3}, {id: .nan, run: !!str 5}]\n"),
    ("two-documents", "---\nswarm: {id: a}\n---\nswarm: {id: b}\n"),
    ("tabs", "swarm:\n\tid: a\n"),
    ("merge", "a: &a {id: x}\npeers:\n  - <<: *a\n"),
];
const JSON: &[(&str, &str)] = &[
    (
        "numbers",
        r#"{"peers":[{"id":"p"}],"tasks":[{"id":"t","run":"x","priority":1e1,"input":[1e400,-0,18446744073709551616]}]}"#,
    ),
    ("twice", r#"{"swarm":{"id":"a","id":"b"},"peers":[],"peers":[]}"#),
    ("surrogates", r#"{"swarm":{"id":"\ud83d\ude00 \ud800"}}"#),
    ("lists", r"[[1,2],{}]"),
];

fn texts() -> io::Result<()> {
    for (target, inputs) in TEXTS {
        for (number, input) in inputs.iter().enumerate() {
            keep(target, &format!("made-{number}"), input.as_bytes())?;
        }
    }
    // The first byte of a tool call says which verb it is of.
    for (verb, bodies) in CALLS {
        let known = meshwork::fuzzing::verbs().iter().position(|known| known == verb);
        let number = known.and_then(|number| u8::try_from(number).ok()).unwrap_or_default();
        for body in *bodies {
            keep("tool_call", verb, &[&[number], body.as_bytes()].concat())?;
        }
    }
    Ok(())
}

const TEXTS: &[(&str, &[&str])] = &[
    (
        "control_request",
        &[
            r#"{"submit":{"tasks":[{"id":"a","run":"x"},{"requiredCapabilities":["c"],"dependencies":["a"],"timeout":"2m","input":{"n":1e400}}]}}"#,
            r#"{"cancel":{"id":"a"}}"#,
            r#"{"pause":{"peer":"p"}}"#,
            r#"{"resume":{"peer":"p"}}"#,
            r#""rebalance""#,
            r#""ping""#,
            r#""follow""#,
            "",
            r#"{"submit":{"tasks":[{"timeout":"0s"},{"verify":{}},{"run":"\u0000"}]}}"#,
        ],
    ),
    (
        "control_answer",
        &[
            r#"{"submitted":{"tasks":[{"id":"a"}]}}"#,
            r#"{"decided":{"seq":7}}"#,
            r#"{"pong":{"pid":1,"swarmId":"s","seq":2}}"#,
            r#"{"error":{"code":"NoSuchTask","message":"no task","stateChanged":false}}"#,
        ],
    ),
    (
        "event_row",
        &[
            r#"{"position":"3.1","timeMs":5,"event":"task-closed","swarmId":"s","taskId":"t","attempt":1,"peerId":"p","tokens":4,"outcome":"ok","traceId":"00112233445566778899aabbccddeeff","detail":"x\u001b[2J"}"#,
            r#"{"position":"281474976710656.70000","timeMs":18446744073709551615,"event":"task-started","swarmId":"s","traceId":"0"}"#,
        ],
    ),
    ("http_body", &["\u{5}\u{7f}\u{20}\u{0}\u{3}\u{0}abc\u{2}\u{0}de", "\u{1}\u{7f}\u{60}\u{9}\u{4}\u{0}{\"a\":1}"]),
    ("id", &["task-001", "a/b c", "..", ".old-1", "-x", "ä\u{1f600}%", "x%2Ey", "a%41"]),
    (
        "letter",
        &[
            r#"{"id":{"Number":3},"kind":"note","payload":{"Text":"{}"},"sender":"a","sent_at_ms":5,"attempt":[1,65536],"hops":2}"#,
            r#"{"id":{"Name":"x"},"kind":"","payload":{"Bytes":[255,0]},"sender":"","sent_at_ms":0,"attempt":null,"hops":255}"#,
        ],
    ),
    (
        "output",
        &[
            "{\"a\": 1e400}\n",
            "plain text\n",
            "8\u{1b}[31mred\u{1b}[0m;\u{1b}]0;title\u{7};ä;\r\n10%\r20%",
            "[1,2",
            "\u{feff}1",
        ],
    ),
    (
        "process",
        &[
            "77 (a) S 1 2 (b) Z 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 4242 24 25",
            "1 (x) R 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1 2",
            "A=b\0MESHWORK_NONCE=s:a\0PATH=x\0",
            "MESHWORK_NONCE=s:a,t:b,\0MESHWORK_NONCE=\0",
        ],
    ),
    ("artifact_key", &["notes/one", "a", "/x", "a//b", "a/../b", "c:\\x", "-x", "ä/ö", "x\0"]),
    (
        "timespan",
        &["250ms", "1h30m", "1d2h3m4s5ms", "99999999999999999999s", "213503982334d14h25m51s615ms", "5 s", "s", "30m1h"],
    ),
    ("upload_query", &["key=notes%2Fone", "key=a+b", "key=%", "key=%ff", "key=a&x=1", "Zm9vYg==", "Zh==", ""]),
    (
        "usage_line",
        &[
            "done\n{\"meshwork\":{\"usage\":{\"inputTokens\":12,\"outputTokens\":3}}}\n",
            "{\"meshwork\":{\"usage\":{\"outputTokens\":18446744073709551615,\"inputTokens\":0}}}\r\n\n",
            "{\"meshwork\":{\"usage\":{\"inputTokens\":1,\"inputTokens\":2,\"outputTokens\":3}}}",
            "\n\n",
        ],
    ),
];

const CALLS: &[(&str, &[&str])] = &[
    (
        "submit_task",
        &[
            r#"{"id":"a","run":"x","input":{"n":1e400}}"#,
            r#"[{"run":"a"},{"run":"b"}]"#,
            r#"{"tasks":[{"run":"a"}]}"#,
            "[]",
        ],
    ),
    ("put_artifact", &[r#"{"key":"a","text":"b"}"#, r#"{"key":"a","base64":"Zm9v"}"#, r#"{"key":"a"}"#]),
    ("wait_for_tasks", &[r#"{"ids":["a"]}"#, ""]),
    ("find_peers", &[r#"{"capabilities":["a"]}"#]),
    ("send_message", &[r#"{"to":"a","type":"b","payload":{"c":[1]}}"#]),
    ("broadcast", &[r#"{"type":"b","payload":null}"#]),
    ("read_messages", &[r#"{"limit":3}"#]),
    ("get_artifact", &[r#"{"key":"a"}"#]),
    ("list_artifacts", &[r#"{"prefix":"a"}"#]),
    ("report_progress", &[r#"{"text":"half"}"#]),
    ("report_usage", &[r#"{"inputTokens":18446744073709551615,"outputTokens":1}"#]),
    ("swarm_status", &["{}"]),
];

/// Random logs: of many, those that bring about something that none before did; their batches and snapshots, too.
fn logs() -> io::Result<()> {
    let mut seen = BTreeSet::new();
    let mut batches = BTreeSet::new();
    let mut dice = Dice::new(3);
    for number in 0..LOGS {
        let length = 1 << (4 + dice.below(7));
        let data: Vec<u8> = (0..length).map(|_| dice.byte()).collect();
        let (swarm, log, words) = decided(&data);
        if words.is_subset(&seen) {
            continue;
        }
        seen.extend(words);
        keep("apply", "random", &data)?;
        keep("log", "random", &as_parts(&log))?;
        if number % 4 == 0 {
            let snapshot = swarm.snapshot().map_err(io::Error::other)?;
            keep("snapshot", "random", &snapshot)?;
            keep("snapshot", "damaged", &mutate::input(&[snapshot], 5, number))?;
        }
        for batch in &log {
            one_batch(batch, &mut batches, number)?;
        }
    }
    Ok(())
}

/// One batch for each combination of ops.
fn one_batch(batch: &Batch, seen: &mut BTreeSet<String>, number: u64) -> io::Result<()> {
    let word = |debug: String| debug.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    let new: Vec<String> =
        batch.entries.iter().map(|op| word(format!("{op:?}"))).filter(|word| seen.insert(word.clone())).collect();
    if !new.is_empty() {
        let bytes = encode_batch(batch).map_err(io::Error::other)?;
        keep("batch", &new.join("-").to_lowercase(), &bytes)?;
        keep("batch", "damaged", &mutate::input(&[bytes], 9, number))?;
    }
    Ok(())
}

/// As the target `log` reads them: two bytes of length before each.
fn as_parts(log: &[Batch]) -> Vec<u8> {
    let mut parts = Vec::new();
    for batch in log {
        let bytes = encode_batch(batch).unwrap_or_default();
        if let Ok(length) = u16::try_from(bytes.len()) {
            parts.extend(length.to_le_bytes());
            parts.extend(bytes);
        }
    }
    parts
}
