//! Ten in-process peers from nothing to idle: `MeshCoordinator::initialize`, with all that it waits for.

use super::Setting;
use super::measure::{Figure, milliseconds, percentiles, syncs_a_second};
use super::swarm::{block_on, empty};
use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::controller::{AgentController, AgentDefinition, ControllerConfig};
use meshwork::coordinator::{Dependencies, Level, Logger, MeshCoordinator, MeshCoordinatorConfig};
use meshwork::memory::{MemoryConfig, SqliteMemory};
use meshwork::mesh::{AttemptEnd, FnAgent, Output};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::ready;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

const PEERS: u32 = 10;
/// Starts of each run.
const STARTS: u32 = 50;

pub(super) fn spawn(setting: &Setting) -> Result<Vec<Figure>, String> {
    let sync_ms = 1e3 / syncs_a_second(&setting.dir).map_err(|error| error.to_string())?;
    let mut figures = Vec::new();
    for (log, durable) in [("log in memory", false), ("log on disk", true)] {
        for (discovered, discovery) in [("discovery", true), ("no discovery", false)] {
            let name = format!("{PEERS} peers from nothing to idle, {log}, {discovered}");
            let (mut runs, mut steps) = (Vec::new(), Vec::new());
            for run in 0..=setting.runs {
                let dir = empty(&setting.dir, "spawn")?;
                let measured = block_on(starts(&dir, setting.tasks.unwrap_or(STARTS), durable, discovery))?;
                if run > 0 {
                    runs.push(measured.0);
                    steps.push(measured.1);
                }
            }
            for mut figure in percentiles(&name, &runs) {
                if durable {
                    figure = figure.against("one commit of this disk", sync_ms);
                }
                figures.push(figure);
            }
            figures.extend(figures_of(&name, &steps));
        }
    }
    Ok(figures)
}

/// What a start told of its steps, summed over the starts of a run, in ms.
type Steps = BTreeMap<String, f64>;

fn figures_of(name: &str, runs: &[Steps]) -> Vec<Figure> {
    let steps = runs.first().into_iter().flat_map(Steps::keys);
    let of_each = |step: &String| runs.iter().filter_map(|run| run.get(step).copied()).collect();
    steps.map(|step| Figure::of(format!("{name}: mean of its {step}"), "ms", of_each(step))).collect()
}

async fn starts(dir: &Path, count: u32, durable: bool, discovery: bool) -> Result<(Vec<f64>, Steps), String> {
    let (mut samples, mut steps) = (Vec::new(), Steps::new());
    for start in 0..count {
        let told = Arc::new(Told::default());
        let coordinator = coordinator(&dir.join(start.to_string()), durable, discovery, told.clone())?;
        let started = Instant::now();
        coordinator.initialize().await.map_err(|error| error.to_string())?;
        samples.push(milliseconds(started.elapsed()));
        let idle = coordinator.active_agents().len();
        if idle != PEERS as usize {
            return Err(format!("expected {PEERS} idle peers, found {idle}"));
        }
        coordinator.cleanup().await.map_err(|error| error.to_string())?;
        for (step, took) in std::mem::take(&mut *told.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            *steps.entry(step).or_default() += took / f64::from(count);
        }
    }
    Ok((samples, steps))
}

fn coordinator(dir: &Path, durable: bool, discovery: bool, told: Arc<Told>) -> Result<MeshCoordinator, String> {
    let fail = |error: &dyn std::fmt::Display| error.to_string();
    let controller = AgentController::new(ControllerConfig::default()).map_err(|error| fail(&error))?;
    let definition = AgentDefinition {
        capabilities: vec!["work".to_owned()],
        agent: Arc::new(FnAgent::new(|_| ready(AttemptEnd::ok(Output::None)))),
        kind: "function".to_owned(),
        max_concurrent_tasks: None,
        wake: None,
    };
    controller.register(definition).map_err(|error| fail(&error))?;
    let (bus, _outside_of_tasks) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    let artifacts = FolderArtifacts::open(dir.join("artifacts")).map_err(|error| fail(&error))?;
    let memory = SqliteMemory::in_memory(MemoryConfig::default()).map_err(|error| fail(&error))?;
    let mut deps = Dependencies::new(Arc::new(bus), Arc::new(controller), Arc::new(artifacts), Arc::new(memory));
    deps.logger = told;
    let config = MeshCoordinatorConfig {
        peer_count: PEERS,
        enable_peer_discovery: discovery,
        artifact_storage_path: durable.then(|| dir.join("state")),
        ..MeshCoordinatorConfig::default()
    };
    MeshCoordinator::new(config, deps).map_err(|error| fail(&error))
}

/// Keeps what a start says that it took.
#[derive(Default)]
struct Told(Mutex<Vec<(String, f64)>>);

impl Logger for Told {
    fn log(&self, _: Level, _: &str, context: Value) {
        let took = context.get("tookMs").and_then(Value::as_object);
        let steps = took.into_iter().flatten().filter_map(|(step, took)| Some((step.clone(), took.as_f64()?)));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(steps);
    }
}
