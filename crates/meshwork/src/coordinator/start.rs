//! How a coordinator starts: its log, its node, and its peers.

use super::agents::spec_of;
use super::books::Shared;
use super::bus::Traffic;
use super::config::MeshCoordinatorConfig;
use super::error::CoordinatorError;
use super::{Inner, Running};
use crate::broker::{Broker, MailInMemory, Settled};
use crate::clock::now_ms;
use crate::consensus::Consensus;
use crate::controller::{AgentDefinition, AgentEvent};
use crate::detector::{CompletionDetector, CompletionDetectorConfig};
use crate::discovery::{PeerDiscovery, PeerDiscoveryConfig};
use crate::high_water::HighWaterFile;
use crate::local::{configure, held_until_ended};
use crate::log::{Log, MemoryLog, SqliteLog};
use crate::mesh::{Mesh, MeshOptions, PeerSetup};
use crate::state::{FolderLock, StateError, StateRoot};
use meshwork_core::Config;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// The embedded node's name: there is one, and it replaces what it was before.
const NODE: &str = "coordinator";

pub(super) async fn start(inner: &Inner) -> Result<Arc<Running>, CoordinatorError> {
    let mut steps = Steps::begin();
    let started = steps.since;
    let (config, deps) = (&inner.config, &inner.deps);
    let first = first_peers(inner)?;
    // What can be refused comes before the node: a node that runs has to be stopped.
    let detector_config = CompletionDetectorConfig { default_timeout: config.completion_timeout, ..Default::default() };
    let detector = CompletionDetector::new(detector_config, deps.message_bus.clone())?;
    let (discovery, consensus) = (discovery(inner)?, consensus(inner)?);
    let (log, kept) = open_log(inner)?;
    steps.end("log");
    let broker = Broker::new(config.message_bus_config.clone(), Arc::new(MailInMemory::default()));
    let ids = first.keys().cloned();
    let opened = crate::mail::register_mailboxes(&broker.0, ids).await;
    opened.map_err(|error| CoordinatorError::Bus(error.into()))?;
    let options = options(inner, &first, log.clone(), broker);
    let shared = Shared::new();
    let (mesh, ended) = match kept {
        Some((lock, memory)) => {
            let (mesh, ended) = Mesh::start_remembering(options, memory).await?;
            (mesh, held_until_ended(ended, lock))
        }
        None => Mesh::start(options).await?,
    };
    configure(&mesh, settings(config)).await?;
    steps.end("node");
    for (id, definition) in &first {
        shared.books().arrive(id, definition.kind.clone(), now_ms());
    }
    let taken: Arc<Mutex<HashSet<String>>> = Arc::default();
    let (known, controller) = (taken.clone(), deps.query_controller.clone());
    let tell = move |agent: String, event: AgentEvent| {
        if known.lock().unwrap_or_else(PoisonError::into_inner).contains(&agent) {
            // It has left in the meantime.
            let _unknown = controller.tell(&agent, event);
        }
    };
    tokio::spawn(shared.clone().follow(tell, log.tail(0)));
    let ids: Vec<String> = first.keys().cloned().collect();
    let running = Arc::new(Running {
        config: config.clone(),
        deps: deps.clone(),
        detector,
        discovery,
        consensus,
        pool: definitions(inner),
        hired: AtomicUsize::new(first.len()),
        taken,
        mesh,
        ended: Mutex::new(Some(ended)),
        shared,
        traffic: Traffic::default(),
        watched: Mutex::new(HashSet::new()),
        agents: Mutex::new(first),
        over: CancellationToken::new(),
        upkeep: Mutex::new(None),
        started,
        discovery_ms: Mutex::new(0.0),
    });
    let seq = running.mesh.look(|swarm| swarm.last().seq).await?;
    running.shared.hold(seq).await;
    steps.end("books");
    running.welcome(&ids).await?;
    steps.end("welcome");
    running.meet(&ids).await?;
    steps.end("discovery");
    running.keep_up();
    running.info("the coordinator is initialized", &json!({ "peers": ids, "tookMs": steps.took }));
    Ok(running)
}

/// What `apply` needs to know.
fn settings(config: &MeshCoordinatorConfig) -> Config {
    Config {
        load_balancing: config.enable_load_balancing,
        strategy: config.strategy,
        topology: config.choice(),
        ..Config::default()
    }
}

/// The node's, with the first peers.
fn options(
    inner: &Inner,
    first: &BTreeMap<String, AgentDefinition>,
    log: Arc<dyn Log>,
    broker: (Broker, Settled),
) -> MeshOptions {
    let config = &inner.config;
    let peers = first.iter().map(|(id, one)| PeerSetup { spec: spec_of(id, one), agent: one.agent.clone() });
    MeshOptions {
        log,
        artifacts: inner.deps.artifact_storage.clone(),
        broker,
        node: NODE.to_owned(),
        swarm_id: config.swarm_id.clone(),
        config: settings(config),
        peers: peers.collect(),
        // Its workers are agents of the coordinator, which calls them itself.
        reserve: None,
        max_sessions: u32::MAX,
        rebalance: (config.enable_auto_rebalance && config.enable_load_balancing).then_some(config.rebalance_interval),
        // Checked to be at least 1; beyond 1,000,000 everything is balanced.
        imbalance_permille: (config.load_imbalance_threshold.clamp(1.0, 1e6) * 1_000.0) as u64,
    }
}

/// What a start spends its time on.
struct Steps {
    since: Instant,
    last: Instant,
    /// Step by step, in ms.
    took: serde_json::Map<String, Value>,
}

impl Steps {
    fn begin() -> Self {
        let since = Instant::now();
        Self { since, last: since, took: serde_json::Map::new() }
    }

    fn end(&mut self, step: &str) {
        let now = Instant::now();
        let took = now.duration_since(self.last).as_secs_f64() * 1e3;
        self.took.insert(step.to_owned(), took.into());
        self.last = now;
    }
}

/// What peers are made of: those of the coordinator, else the controller's.
fn definitions(inner: &Inner) -> Vec<AgentDefinition> {
    let own = &inner.definitions;
    let definitions = if own.is_empty() { inner.deps.query_controller.definitions() } else { own.clone() };
    let slots = inner.config.max_concurrent_tasks_per_peer;
    let with_slots = |one: AgentDefinition| {
        let max_concurrent_tasks = Some(one.max_concurrent_tasks.unwrap_or(slots));
        AgentDefinition { max_concurrent_tasks, ..one }
    };
    definitions.into_iter().map(with_slots).collect()
}

fn consensus(inner: &Inner) -> Result<Option<Consensus>, CoordinatorError> {
    let Some(config) = inner.config.consensus else { return Ok(None) };
    Ok(Some(Consensus::new(config, inner.deps.message_bus.clone())?))
}

/// As many peers as are wanted, made of the definitions one after the other.
fn first_peers(inner: &Inner) -> Result<BTreeMap<String, AgentDefinition>, CoordinatorError> {
    let peers = inner.config.peer_count;
    let definitions = definitions(inner);
    let round = definitions.iter().cycle().take(peers as usize);
    let named = (1..).zip(round).map(|(number, definition): (u32, &AgentDefinition)| {
        let definition = definition.clone();
        (format!("{}-peer-{number}", inner.config.swarm_id), definition)
    });
    let first: BTreeMap<String, AgentDefinition> = named.collect();
    if first.is_empty() { Err(CoordinatorError::NoAgentDefinition { peers }) } else { Ok(first) }
}

fn discovery(inner: &Inner) -> Result<Option<PeerDiscovery>, CoordinatorError> {
    let (config, deps) = (&inner.config, &inner.deps);
    if !config.enable_peer_discovery {
        return Ok(None);
    }
    let settings = PeerDiscoveryConfig {
        swarm_id: config.swarm_id.clone(),
        discovery_interval: config.discovery_interval,
        ..PeerDiscoveryConfig::default()
    };
    let (bus, storage) = (deps.message_bus.clone(), deps.artifact_storage.clone());
    let discovery = PeerDiscovery::new(settings, bus, storage);
    discovery.map(Some).map_err(|error| CoordinatorError::Discovery(error.to_string()))
}

type Kept = (Arc<FolderLock>, HighWaterFile);

/// In memory, or the locked folder of the swarm.
fn open_log(inner: &Inner) -> Result<(Arc<dyn Log>, Option<Kept>), CoordinatorError> {
    let Some(path) = &inner.config.artifact_storage_path else {
        return Ok((Arc::new(MemoryLog::new()), None));
    };
    let folder = StateRoot::new(path).folder(&inner.config.swarm_id).map_err(StateError::from)?;
    let lock = Arc::new(folder.lock(SystemTime::now())?);
    let memory = HighWaterFile::open(&folder, &lock)?;
    let log = SqliteLog::open(folder.database())?;
    Ok((Arc::new(log), Some((lock, memory))))
}
