//! A paused peer, until it works again: an in-process agent through its coordinator, and a `shell` peer whose process
//! was stopped, through its mesh, beside a bare SIGCONT. The decision is durable before anybody hears of it, so one
//! commit is part of each figure with its log on disk.

use super::Setting;
use super::measure::{Figure, milliseconds, percentiles, syncs_a_second};
use super::swarm::{block_on, empty};
use meshwork::artifacts::FolderArtifacts;
use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
use meshwork::controller::{AgentController, AgentDefinition, ControllerConfig};
use meshwork::coordinator::{Dependencies, MeshCoordinator, MeshCoordinatorConfig, MeshTask};
use meshwork::file::{Format, parse};
use meshwork::local::{LocalOptions, LocalSwarm};
use meshwork::memory::{MemoryConfig, SqliteMemory};
use meshwork::mesh::{Attempt, AttemptEnd, FnAgent, Output, Stop};
use meshwork_core::PauseReason;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Pauses of each run.
const PAUSES: u32 = 200;
/// What has not happened by then does not happen.
const WITHIN: Duration = Duration::from_secs(30);

fn fail(error: &dyn std::fmt::Display) -> String {
    error.to_string()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(WITHIN, future).await.map_err(|_| format!("{what}: not within {WITHIN:?}"))
}

pub(super) fn resume(setting: &Setting) -> Result<Vec<Figure>, String> {
    let sync_ms = 1e3 / syncs_a_second(&setting.dir).map_err(|error| fail(&error))?;
    let pauses = setting.tasks.unwrap_or(PAUSES);
    let mut figures = Vec::new();
    for (log, durable) in [("log in memory", false), ("log on disk", true)] {
        let (mut bodies, mut waiting) = (Vec::new(), Vec::new());
        for run in 0..=setting.runs {
            let dir = empty(&setting.dir, "resume")?;
            let (body, task) = block_on(in_process(&dir, pauses, durable))?;
            if run > 0 {
                bodies.push(body);
                waiting.push(task);
            }
        }
        let named = |what: &str| format!("resume → {what}, {log}");
        let body = percentiles(&named("the body of an in-process agent goes on"), &bodies);
        let task = percentiles(&named("a waiting task starts in process"), &waiting);
        for figure in body.into_iter().chain(task) {
            figures.push(if durable { figure.against("one commit of this disk", sync_ms) } else { figure });
        }
    }
    figures.extend(of_processes(setting, pauses)?);
    Ok(figures)
}

fn of_processes(setting: &Setting, pauses: u32) -> Result<Vec<Figure>, String> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 0..=setting.runs {
        let dir = empty(&setting.dir, "resume")?;
        let (a, b) = block_on(shell(&dir, pauses))?;
        if run > 0 {
            ours.push(a);
            bare.push(b);
        }
    }
    let bare = percentiles("SIGCONT → the first byte of a bare process", &bare);
    let ours = percentiles("resume → the first byte of a `shell` peer's process, log on disk", &ours);
    let against = |(figure, bare): (Figure, &Figure)| figure.against("a bare SIGCONT", bare.median);
    let mut figures: Vec<Figure> = ours.into_iter().zip(&bare).map(against).collect();
    figures.extend(bare);
    Ok(figures)
}

/// One agent has a body that runs all the time, the other runs a task for each pause.
async fn in_process(dir: &Path, pauses: u32, durable: bool) -> Result<(Vec<f64>, Vec<f64>), String> {
    let (stands, mut stood) = unbounded_channel();
    let (starts, mut started) = unbounded_channel();
    let steady = definition("steady", move |attempt| steadily(attempt, stands.clone()));
    let quick = definition("quick", move |_| {
        // Nobody listens once the measurement is over.
        let _over = starts.send(Instant::now());
        std::future::ready(AttemptEnd::ok(Output::None))
    });
    let coordinator = coordinator(dir, durable, vec![steady, quick])?;
    coordinator.initialize().await.map_err(|error| fail(&error))?;
    let task = |id: String, kind: &str| MeshTask { required_capabilities: vec![kind.to_owned()], ..MeshTask::new(id) };
    let steady = coordinator.assign_task_to_peer(task("steady".to_owned(), "steady")).await;
    let steady = steady.map_err(|error| fail(&error))?;
    let first = coordinator.assign_task_to_peer(task("first".to_owned(), "quick")).await;
    let quick = first.map_err(|error| fail(&error))?;
    next(&mut started).await?;
    next(&mut stood).await?;
    let (mut bodies, mut waiting) = (Vec::new(), Vec::new());
    for pause in 0..pauses {
        coordinator.pause_agent(&steady, None).await.map_err(|error| fail(&error))?;
        next(&mut stood).await?;
        bodies.push(resumed(&coordinator, &steady, &mut stood).await?);
        coordinator.pause_agent(&quick, None).await.map_err(|error| fail(&error))?;
        let waits = task(format!("task-{pause}"), "quick");
        coordinator.submit_task(waits).await.map_err(|error| fail(&error))?;
        waiting.push(resumed(&coordinator, &quick, &mut started).await?);
    }
    coordinator.cleanup().await.map_err(|error| fail(&error))?;
    Ok((bodies, waiting))
}

/// From the call to the moment of which the agent tells.
async fn resumed(
    coordinator: &MeshCoordinator,
    peer: &str,
    works: &mut UnboundedReceiver<Instant>,
) -> Result<f64, String> {
    let called = Instant::now();
    coordinator.resume_agent(peer, None).await.map_err(|error| fail(&error))?;
    Ok(milliseconds(next(works).await?.duration_since(called)))
}

async fn next(told: &mut UnboundedReceiver<Instant>) -> Result<Instant, String> {
    soon("an agent tells", told.recv()).await?.ok_or_else(|| "the agent is gone".to_owned())
}

/// Tells when it begins, each time when it stands still, and each time when it goes on.
async fn steadily(attempt: Attempt, told: UnboundedSender<Instant>) -> AttemptEnd {
    let mut still = attempt.control.still();
    // Nobody listens once the measurement is over.
    let tell = || _ = told.send(Instant::now());
    tell();
    let changes = async {
        while still.changed().await.is_ok() {
            tell();
        }
    };
    tokio::select! {
        () = changes => {}
        () = attempt.control.stopped() => {}
    }
    AttemptEnd::stopped()
}

fn definition<F, Fut>(kind: &str, run: F) -> AgentDefinition
where
    F: Fn(Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = AttemptEnd> + Send + 'static,
{
    let (capabilities, agent) = (vec![kind.to_owned()], Arc::new(FnAgent::new(run)));
    AgentDefinition { capabilities, agent, kind: kind.to_owned(), max_concurrent_tasks: None, wake: None }
}

fn coordinator(dir: &Path, durable: bool, agents: Vec<AgentDefinition>) -> Result<MeshCoordinator, String> {
    let controller = AgentController::new(ControllerConfig::default()).map_err(|error| fail(&error))?;
    let (bus, _outside_of_tasks) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    let artifacts = FolderArtifacts::open(dir.join("artifacts")).map_err(|error| fail(&error))?;
    let memory = SqliteMemory::in_memory(MemoryConfig::default()).map_err(|error| fail(&error))?;
    let deps = Dependencies::new(Arc::new(bus), Arc::new(controller), Arc::new(artifacts), Arc::new(memory));
    let config = MeshCoordinatorConfig {
        peer_count: 2,
        artifact_storage_path: durable.then(|| dir.join("state")),
        // Only those pauses are measured that are asked for.
        pause_idle_after: None,
        ..MeshCoordinatorConfig::default()
    };
    MeshCoordinator::with_agents(config, deps, agents).map_err(|error| fail(&error))
}

/// Of a `shell` peer, and of a process of our own beside it, in turn.
async fn shell(dir: &Path, pauses: u32) -> Result<(Vec<f64>, Vec<f64>), String> {
    let mut pipe = open_pipe(&dir.join("pipe"))?;
    let mut bare = Bare::start(dir)?;
    let text = "[[peers]]\nid = \"sh\"\ncapabilities = [\"sh\"]\n[[tasks]]\nid = \"steady\"\n\
                run = \"echo $$ > pid && exec cat /dev/zero > pipe\"\n";
    let file = parse(text, Format::Toml, "bench.toml").map_err(|error| fail(&error))?;
    let swarm = LocalSwarm::start(&file, dir, &dir.join("state"), LocalOptions::default()).await;
    let swarm = swarm.map_err(|error| fail(&error))?;
    swarm.submit(&file).await.map_err(|error| fail(&error))?;
    first_byte(&mut pipe).await?;
    let pid = std::fs::read_to_string(dir.join("pid")).map_err(|error| fail(&error))?;
    let pid = Pid::from_raw(pid.trim().parse().map_err(|error| fail(&error))?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..pauses {
        swarm.mesh().pause_peer("sh", PauseReason::User).await.map_err(|error| fail(&error))?;
        stands_still(pid).await?;
        drain(&pipe)?;
        let called = Instant::now();
        let (resumed, first) = tokio::join!(swarm.mesh().resume_peer("sh"), first_byte(&mut pipe));
        resumed.map_err(|error| fail(&error))?;
        ours.push(milliseconds(first?.duration_since(called)));
        theirs.push(bare.pause_and_resume().await?);
    }
    swarm.stop(Stop::Now);
    swarm.shutdown().await.map_err(|error| fail(&error))?;
    Ok((ours, theirs))
}

/// A process that writes without end, and is nobody's peer.
struct Bare {
    child: Child,
    pipe: Receiver,
}

impl Bare {
    fn start(dir: &Path) -> Result<Self, String> {
        let path = dir.join("bare");
        let pipe = open_pipe(&path)?;
        let into = std::fs::OpenOptions::new().write(true).open(&path).map_err(|error| fail(&error))?;
        let child = Command::new("cat").arg("/dev/zero").stdout(into).spawn().map_err(|error| fail(&error))?;
        Ok(Self { child, pipe })
    }

    async fn pause_and_resume(&mut self) -> Result<f64, String> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).map_err(|error| fail(&error))?);
        kill(pid, Signal::SIGSTOP).map_err(|error| fail(&error))?;
        stands_still(pid).await?;
        drain(&self.pipe)?;
        let called = Instant::now();
        kill(pid, Signal::SIGCONT).map_err(|error| fail(&error))?;
        Ok(milliseconds(first_byte(&mut self.pipe).await?.duration_since(called)))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn open_pipe(path: &Path) -> Result<Receiver, String> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| fail(&error))?;
    // For writing too: then it has no end before somebody writes.
    OpenOptions::new().read_write(true).open_receiver(path).map_err(|error| fail(&error))
}

/// Resolves when a byte can be read, with the moment.
async fn first_byte(pipe: &mut Receiver) -> Result<Instant, String> {
    soon("a process writes", pipe.readable()).await?.map_err(|error| fail(&error))?;
    Ok(Instant::now())
}

/// Takes all that a process wrote before it stood still.
fn drain(pipe: &Receiver) -> Result<(), String> {
    let mut taken = vec![0; 64 * 1024];
    loop {
        match pipe.try_read(&mut taken) {
            Ok(0) => return Err("the pipe has ended".to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(fail(&error)),
        }
    }
}

/// Resolves when the operating system says that the process is stopped.
async fn stands_still(pid: Pid) -> Result<(), String> {
    let path = format!("/proc/{pid}/stat");
    let stopped = async {
        loop {
            let stat = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            // The name is in brackets and may hold anything.
            if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    soon("a process stands still", stopped).await?
}
