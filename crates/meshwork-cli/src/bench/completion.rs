//! The last return → completion announced: one durable append after the last return.

use super::Setting;
use super::measure::{Figure, milliseconds, percentile, syncs_a_second};
use super::swarm::{block_on, empty, start_with, task};
use meshwork::mesh::{AttemptEnd, FnAgent, Output};
use meshwork_core::Op;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) fn completion(setting: &Setting) -> Result<Vec<Figure>, String> {
    let sync_ms = 1e3 / syncs_a_second(&setting.dir).map_err(|error| error.to_string())?;
    let mut figures = Vec::new();
    for peers in [10u32, 1_000] {
        let mut samples = samples(setting, peers)?;
        let count = samples.len();
        for percent in [50.0, 99.0] {
            let value = percentile(&mut samples, percent);
            let name = format!("last return → completion, {peers} peers, p{percent:.0} of {count} rounds");
            figures.push(Figure::of(name, "ms", vec![value]).against("one commit of this disk", sync_ms));
        }
    }
    Ok(figures)
}

/// One round after another: a task for each peer. The bodies are held until the round is sealed, as it is long
/// before the end of real work; then the time from the moment when the last body returns to the moment when
/// whoever waits is told.
fn samples(setting: &Setting, peers: u32) -> Result<Vec<f64>, String> {
    let dir = empty(&setting.dir, "completion")?;
    let rounds = if peers > 100 { 50 } else { 300 };
    block_on(async {
        let (returned, mut last) = tokio::sync::mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let agent = FnAgent::new(move |_| {
            let (held, returned) = (held.clone(), returned.clone());
            async move {
                // The gate is never closed, and nobody listens once the measurement is over.
                held.acquire().await.map(SemaphorePermit::forget).ok();
                returned.send(Instant::now()).ok();
                AttemptEnd::ok(Output::None)
            }
        });
        let swarm = start_with(&dir, peers, 1, Arc::new(agent)).await?;
        let mut samples = Vec::new();
        for round in 0..rounds {
            let tasks = (0..peers).map(|n| task(format!("round-{round}-{n}"), Vec::new()));
            swarm.mesh.submit(tasks.collect()).await.map_err(|error| error.to_string())?;
            let seal = Op::Seal { round: round + 1 };
            swarm.mesh.decide(seal).await.map_err(|error| error.to_string())?;
            let waiter = swarm.mesh.clone();
            let told = tokio::spawn(async move { waiter.complete().await.map(|_| Instant::now()) });
            gate.add_permits(peers as usize);
            let told = told.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            let mut latest = None;
            for _ in 0..peers {
                latest = latest.max(last.recv().await);
            }
            let latest = latest.ok_or("no body returned")?;
            samples.push(milliseconds(told.saturating_duration_since(latest)));
        }
        swarm.stop().await?;
        Ok(samples)
    })
}
