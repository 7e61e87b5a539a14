//! Tasks a second, durable; how the cost grows; memory a waiting task.

use super::Setting;
use super::measure::{Figure, resident, syncs_a_second};
use super::swarm::{block_on, empty, start, task};
use meshwork_core::TaskSpec;
use std::time::Instant;

/// Seconds that one run took from the first submission to the completion.
fn timed(setting: &Setting, peers: u32, slots: u32, tasks: Vec<TaskSpec>) -> Result<f64, String> {
    let dir = empty(&setting.dir, "tasks")?;
    let count = u32::try_from(tasks.len()).map_err(|error| error.to_string())?;
    block_on(async {
        let swarm = start(&dir, peers, slots).await?;
        let started = Instant::now();
        swarm.mesh.submit(tasks).await.map_err(|error| error.to_string())?;
        swarm.complete(count).await?;
        let seconds = started.elapsed().as_secs_f64();
        swarm.stop().await?;
        Ok(seconds)
    })
}

fn independent(count: u32) -> Vec<TaskSpec> {
    (0..count).map(|n| task(format!("task-{n}"), Vec::new())).collect()
}

/// Layers of 100; each task depends on two of the layer before, drawn with a fixed seed.
fn layered(count: u32) -> Vec<TaskSpec> {
    const WIDTH: u32 = 100;
    let mut state = 42u64;
    let mut draw = || {
        // Splitmix64: the same graph everywhere.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((z ^ (z >> 31)) % u64::from(WIDTH)).unwrap_or(0)
    };
    (0..count)
        .map(|n| {
            let layer = n / WIDTH;
            let id = |layer: u32, at: u32| format!("task-{layer}-{at}");
            let mut before = Vec::new();
            if layer > 0 {
                let (one, mut two) = (draw(), draw());
                while two == one {
                    two = draw();
                }
                before = vec![id(layer - 1, one), id(layer - 1, two)];
            }
            task(id(layer, n % WIDTH), before)
        })
        .collect()
}

fn rates(setting: &Setting, make: impl Fn() -> Vec<TaskSpec>) -> Result<Vec<f64>, String> {
    let mut rates = Vec::new();
    for run in 0..=setting.runs {
        let tasks = make();
        let count = tasks.len() as f64;
        let seconds = timed(setting, 10, setting.slots, tasks)?;
        if run > 0 {
            rates.push(count / seconds);
        }
    }
    Ok(rates)
}

pub(super) fn flat(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(100_000);
    let syncs = syncs_a_second(&setting.dir).map_err(|error| error.to_string())?;
    let name = format!("{count} independent no-op tasks, 10 peers × {} slots, durable", setting.slots);
    let rates = rates(setting, || independent(count))?;
    Ok(vec![Figure::of(name, "tasks/s", rates).against("commits of this disk a second", syncs)])
}

pub(super) fn dag(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(10_000);
    let syncs = syncs_a_second(&setting.dir).map_err(|error| error.to_string())?;
    let name = format!("layered graph of {count} tasks, 2 dependencies each, durable");
    let rates = rates(setting, || layered(count))?;
    Ok(vec![Figure::of(name, "tasks/s", rates).against("commits of this disk a second", syncs)])
}

pub(super) fn scale(setting: &Setting) -> Result<Vec<Figure>, String> {
    let most = setting.tasks.unwrap_or(1_000_000);
    let mut figures = vec![memory(setting, most)?];
    let micros = |count: u32, seconds: f64| vec![seconds * 1e6 / f64::from(count)];
    let mut smallest = None;
    for count in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|count| *count <= most) {
        let seconds = timed(setting, 10, setting.slots, independent(count))?;
        let figure = Figure::of(format!("time a task, {count} tasks on 10 peers"), "µs", micros(count, seconds));
        let base = *smallest.get_or_insert(figure.median);
        figures.push(figure.against("the smallest size", base));
    }
    let count = most.min(100_000);
    let mut fewest = None;
    for peers in [10, 100, 1_000] {
        let seconds = timed(setting, peers, setting.slots, independent(count))?;
        let figure = Figure::of(format!("time a task, {count} tasks on {peers} peers"), "µs", micros(count, seconds));
        let base = *fewest.get_or_insert(figure.median);
        figures.push(figure.against("10 peers", base));
    }
    Ok(figures)
}

/// Resident bytes that each waiting task adds: tasks that nobody here can run, submitted a part at a time.
fn memory(setting: &Setting, count: u32) -> Result<Figure, String> {
    const PART: u32 = 10_000;
    let dir = empty(&setting.dir, "memory")?;
    let bytes = block_on(async {
        let swarm = start(&dir, 10, 1).await?;
        let before = resident().map_err(|error| error.to_string())?;
        for part in 0..count.div_ceil(PART) {
            let ids = part * PART..((part + 1) * PART).min(count);
            let tasks = ids.map(|n| {
                let requires = vec!["what nobody has".to_owned()];
                let description = "a task that waits, with a line about what it is to do".to_owned();
                TaskSpec { requires, description, ..task(format!("task-{n}"), Vec::new()) }
            });
            swarm.mesh.submit(tasks.collect()).await.map_err(|error| error.to_string())?;
        }
        let after = resident().map_err(|error| error.to_string())?;
        swarm.stop().await?;
        Ok((after - before) / f64::from(count))
    })?;
    let name = format!("memory a waiting task, {count} waiting");
    Ok(Figure::of(name, "bytes", vec![bytes]).against("1 KiB", 1024.0))
}
