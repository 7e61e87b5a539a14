//! What a memory of a million entries costs: to remember one more, to find some by tags, and by their words.

use super::Setting;
use super::measure::{Figure, milliseconds, percentile, syncs_a_second};
use super::swarm::{block_on, empty};
use futures_util::future::try_join_all;
use meshwork::memory::{MemoryConfig, MemoryQuery, SqliteMemory, SwarmMemory};
use serde_json::{Value, json};
use std::time::Instant;

/// Written at the same time while the memory is filled: they share commits.
const AT_ONCE: u32 = 1_000;
/// Samples of each figure.
const SAMPLES: u32 = 2_000;
/// Entries that a recall asks for.
const LIMIT: u32 = 50;
/// Words of an entry, and different ones in all: the more common ones first, as in a text.
const WORDS: u32 = 40;
const VOCABULARY: u32 = 20_000;

pub(super) fn memory(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(1_000_000);
    let dir = empty(&setting.dir, "memory")?;
    let sync_ms = 1e3 / syncs_a_second(&setting.dir).map_err(|error| error.to_string())?;
    block_on(async {
        let memory = SqliteMemory::open(dir.join("memory.db"), MemoryConfig::default()).map_err(|e| e.to_string())?;
        let mut dice = Dice(1);
        let started = Instant::now();
        for first in (0..count).step_by(AT_ONCE as usize) {
            let entries: Vec<_> = (first..count.min(first + AT_ONCE)).map(|n| entry(n, &mut dice)).collect();
            let all = entries.into_iter().map(|(agent, content, about)| remember(&memory, agent, content, about));
            try_join_all(all).await?;
        }
        let rate = f64::from(count) / started.elapsed().as_secs_f64();
        let name = format!("{count} memory entries, {AT_ONCE} at once, durable");
        let mut figures = vec![Figure::of(name, "entries/s", vec![rate])];
        let samples = remembered(&memory, count, &mut dice).await?;
        figures.extend(figures_of("remember, durable", samples, "one commit of this disk", sync_ms));
        for (what, most, query) in questions() {
            let samples = recalled(&memory, &mut dice, query).await?;
            let name = format!("recall {LIMIT} of {count} {what}");
            figures.extend(figures_of(&name, samples, format!("{most} ms"), most));
        }
        Ok(figures)
    })
}

fn figures_of(name: &str, mut samples: Vec<f64>, reference: impl Into<String>, value: f64) -> [Figure; 2] {
    let reference = reference.into();
    let figure = |percent: f64, samples: &mut [f64]| {
        let value_at = percentile(samples, percent);
        Figure::of(format!("{name}, p{percent:.0}"), "ms", vec![value_at]).against(reference.clone(), value)
    };
    [figure(50.0, &mut samples), figure(95.0, &mut samples)]
}

/// One after the other, each durable before the next.
async fn remembered(memory: &SqliteMemory, count: u32, dice: &mut Dice) -> Result<Vec<f64>, String> {
    let mut samples = Vec::new();
    for n in 0..SAMPLES {
        let (agent, content, about) = entry(count + n, dice);
        let started = Instant::now();
        remember(memory, agent, content, about).await?;
        samples.push(milliseconds(started.elapsed()));
    }
    Ok(samples)
}

async fn remember(memory: &SqliteMemory, agent: String, content: Value, about: Value) -> Result<(), String> {
    memory.remember(&agent, "knowledge", content, Some(about)).await.map(drop).map_err(|error| error.to_string())
}

type Question = fn(&mut Dice) -> MemoryQuery;

/// What is asked, and how many ms it may take.
fn questions() -> [(&'static str, f64, Question); 5] {
    [
        ("by a tag that one in 1,000 has", 2.0, |dice| by_tags(vec![format!("topic-{}", dice.below(1_000))])),
        ("by a tag that one in 10 has", 2.0, |dice| by_tags(vec![format!("team-{}", dice.below(10))])),
        ("by both", 2.0, |dice| {
            by_tags(vec![format!("topic-{}", dice.below(1_000)), format!("team-{}", dice.below(10))])
        }),
        ("by two words of a text", 20.0, |dice| by_text(format!("{} {}", word(dice), word(dice)))),
        ("by the two most common words", 20.0, |_| by_text("w0 w1".to_owned())),
    ]
}

fn by_tags(tags: Vec<String>) -> MemoryQuery {
    MemoryQuery { tags: Some(tags), ..asked() }
}

fn by_text(text: String) -> MemoryQuery {
    MemoryQuery { text: Some(text), ..asked() }
}

/// By an agent, which does not see what is private to others.
fn asked() -> MemoryQuery {
    MemoryQuery { requester_id: Some("agent-1".to_owned()), limit: Some(LIMIT), ..MemoryQuery::default() }
}

async fn recalled(memory: &SqliteMemory, dice: &mut Dice, query: Question) -> Result<Vec<f64>, String> {
    let mut samples = Vec::new();
    for _ in 0..SAMPLES / 4 {
        let query = query(dice);
        let started = Instant::now();
        memory.recall(query).await.map_err(|error| error.to_string())?;
        samples.push(milliseconds(started.elapsed()));
    }
    Ok(samples)
}

/// One in ten is private, one in ten public.
fn entry(n: u32, dice: &mut Dice) -> (String, Value, Value) {
    let words: Vec<String> = (0..WORDS).map(|_| word(dice)).collect();
    let tags = [format!("topic-{}", dice.below(1_000)), format!("team-{}", dice.below(10))];
    let level = match dice.below(10) {
        0 => "private",
        1 => "public",
        _ => "team",
    };
    let about = json!({ "taskId": format!("task-{}", n / 20), "tags": tags, "shareLevel": level });
    (format!("agent-{}", dice.below(50)), json!(words.join(" ")), about)
}

/// Half of all words are among the first eighth of the vocabulary.
fn word(dice: &mut Dice) -> String {
    let part = f64::from(dice.below(1 << 20)) / f64::from(1 << 20);
    format!("w{:.0}", (part.powi(3) * f64::from(VOCABULARY)).floor())
}

/// The same entries in every run (xorshift; Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 32) % u64::from(end)).unwrap_or(0)
    }
}
