//! The loop: what happened goes into the core, what it asks for is done. It never awaits a peer.

mod places;
mod reshaping;
mod staffing;
mod telling;

use super::agent::{Agent, Attempt, Control};
use super::history::{Clock, History, replay};
use super::mark::Mark;
use super::specs::{SpecRef, Specs};
use super::tools::Tools;
use super::{Mesh, MeshError, MeshOptions, PeerSetup, RoundEnd, Status, Stop, body, evidence};
use crate::broker::AttemptKey;
use crate::failpoint::{self, Point};
use crate::high_water::HighWaterFile;
use crate::log::{Log, LogError, Stored};
use crate::random;
use crate::review::Source;
use crate::timers;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use meshwork_core::node::{Answer, Ask, BodyEnd, Input, Node, Setup, Ticket, Timer};
use meshwork_core::{
    Batch, ClosedRound, Grant, Op, PeerNo, PeerSpec, Position, Swarm, TaskNo, decode_batch, encode_batch,
};
use staffing::Staff;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Wishes that wait for the driver; a full queue holds back those who wish, never the driver.
const COMMANDS: usize = 1_024;
/// Inputs taken in before a batch is formed of what they bring.
const INPUTS_A_TURN: usize = 4_096;
/// Entries after which a snapshot is written, at least; more for large swarms, so that the work for
/// snapshots stays a fixed part of the work for entries.
const SNAPSHOT_ENTRIES: u64 = 100_000;
/// An append that is not answered within this time is made again, unchanged: the acknowledgement may be lost.
const APPEND_ANSWER: Duration = Duration::from_secs(5);
/// A refused append is tried again after this long.
const APPEND_RETRY: Duration = Duration::from_millis(200);

/// Who runs the tasks of each peer.
type Agents = BTreeMap<Arc<str>, Arc<dyn Agent>>;
type Look = Box<dyn FnOnce(&Swarm) + Send>;
/// Who waits for a round: a certain one, or whichever is open.
type RoundWaiter = (Option<u32>, oneshot::Sender<Result<RoundEnd, MeshError>>);

/// What handles ask for; bounded.
pub(super) enum Command {
    Wish { op: Op, answer: oneshot::Sender<Result<Answer, MeshError>> },
    WaitForChildren { task: TaskNo, grant: Grant, op: Op, answer: oneshot::Sender<Result<(), MeshError>> },
    Look(Look),
    Host { setup: PeerSetup, answer: oneshot::Sender<Result<Answer, MeshError>> },
    AwaitRound { round: Option<u32>, answer: oneshot::Sender<Result<RoundEnd, MeshError>> },
}

/// What bodies and timers report; bounded by the number of bodies.
pub(super) enum Event {
    BodyEnded(BodyEnd),
    CheckEnded {
        task: TaskNo,
        grant: Grant,
        passed: bool,
        evidence: String,
        ran_ms: u64,
    },
    AppendFailed(Arc<LogError>),
    AppendAgain,
    /// How far the log was applied is kept up to this position, or could not be.
    Marked(Result<u64, MeshError>),
    /// A body or check that was to start cannot: the log does not give its task's text.
    SpecMissing {
        task: TaskNo,
        grant: Grant,
        error: MeshError,
    },
    Stop(Stop),
}

impl Event {
    /// The body or check that this is the end of.
    fn ends(&self) -> Option<(TaskNo, Grant)> {
        match self {
            Self::BodyEnded(end) => Some((end.task, end.grant)),
            Self::CheckEnded { task, grant, .. } | Self::SpecMissing { task, grant, .. } => Some((*task, *grant)),
            Self::AppendFailed(_) | Self::AppendAgain | Self::Marked(_) | Self::Stop(_) => None,
        }
    }
}

struct RunningBody {
    stop: CancellationToken,
    kill: CancellationToken,
    check: bool,
}

pub(super) struct Driver {
    pub(super) node: Node,
    log: Arc<dyn Log>,
    specs: Arc<Specs>,
    mesh: Mesh,
    pub(super) agents: Agents,
    staff: Option<Staff>,
    reshaping: Option<reshaping::Decided>,
    still: BTreeMap<PeerNo, watch::Sender<bool>>,
    bodies: BTreeMap<(TaskNo, Grant), RunningBody>,
    timers: BinaryHeap<Reverse<(Instant, u64, Timer)>>,
    timers_made: u64,
    pub(super) tickets: BTreeMap<Ticket, oneshot::Sender<Result<Answer, MeshError>>>,
    children: BTreeMap<Ticket, (TaskNo, Grant)>,
    waiting: BTreeMap<(TaskNo, Grant), oneshot::Sender<Result<(), MeshError>>>,
    rounds: Vec<RoundWaiter>,
    closed: BTreeMap<u32, ClosedRound>,
    mark: Mark,
    tickets_made: u64,
    appended: Option<(Bytes, Arc<Batch>)>,
    since_snapshot: u64,
    status: watch::Sender<Status>,
    clock: Clock,
    /// What is told to stop is killed at once.
    killing: bool,
    left: bool,
}

pub(super) async fn start(
    options: MeshOptions,
    memory: Option<HighWaterFile>,
) -> Result<(Mesh, JoinHandle<Result<(), MeshError>>), MeshError> {
    let specs = Arc::new(Specs::new(options.log.clone()));
    let mark = memory.as_ref().and_then(HighWaterFile::found);
    let History { swarm, tail, time_ms, .. } = replay(&options.log, &specs, mark).await?;
    if swarm.is_open() && swarm.swarm_id() != options.swarm_id {
        return Err(MeshError::OtherSwarm { found: swarm.swarm_id().to_owned(), expected: options.swarm_id });
    }
    let (commands, command_queue) = mpsc::channel(COMMANDS);
    let (events, event_queue) = mpsc::unbounded_channel();
    let (status, status_seen) = watch::channel(Status::default());
    let (broker, settled) = options.broker;
    let mesh = Mesh {
        commands,
        events,
        status: status_seen,
        artifacts: options.artifacts,
        swarm_id: Arc::from(&*options.swarm_id),
        specs: specs.clone(),
        broker,
        submitting: Arc::default(),
        has_queen: Arc::default(),
        cause: Arc::default(),
    };
    let (agents, peers) = announced(options.peers);
    let setup = Setup {
        name: options.node,
        nonce: u64::from_le_bytes(random::bytes()),
        open: Some((random::hex::<16>(), options.swarm_id, options.config)),
        sessions: options.max_sessions,
        peers,
        rebalance_ms: options.rebalance.map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX)),
        imbalance_permille: options.imbalance_permille,
    };
    let driver = Driver {
        node: Node::new(setup, swarm),
        log: options.log,
        specs,
        mesh: mesh.clone(),
        agents,
        staff: options.reserve.map(Staff::new),
        reshaping: None,
        still: BTreeMap::new(),
        bodies: BTreeMap::new(),
        timers: BinaryHeap::new(),
        timers_made: 0,
        tickets: BTreeMap::new(),
        children: BTreeMap::new(),
        waiting: BTreeMap::new(),
        rounds: Vec::new(),
        closed: BTreeMap::new(),
        mark: Mark::new(memory),
        tickets_made: 0,
        appended: None,
        since_snapshot: 0,
        status,
        clock: Clock::new(time_ms),
        killing: false,
        left: false,
    };
    let ended = tokio::spawn(driver.run(tail, command_queue, event_queue, settled));
    match mesh.await_member().await {
        Ok(()) => Ok((mesh, ended)),
        // The driver is gone, and knows why.
        Err(MeshError::Stopped) => Err(ended.await.ok().and_then(Result::err).unwrap_or(MeshError::Stopped)),
        Err(error) => Err(error),
    }
}

/// Who runs each peer's tasks, and what is said of each.
fn announced(setups: Vec<PeerSetup>) -> (Agents, Vec<PeerSpec>) {
    let mut agents = BTreeMap::new();
    let mut peers = Vec::new();
    for PeerSetup { mut spec, agent } in setups {
        spec.uses_session = agent.uses_session();
        agents.insert(Arc::from(&*spec.id), agent);
        peers.push(spec);
    }
    (agents, peers)
}

impl Driver {
    async fn run(
        mut self,
        mut tail: BoxStream<'static, Result<Stored, LogError>>,
        mut commands: mpsc::Receiver<Command>,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut settled: crate::broker::Settled,
    ) -> Result<(), MeshError> {
        let result = self.turn_until_left(&mut tail, &mut commands, &mut events, &mut settled).await;
        if let Err(error) = &result {
            self.give_up(error, commands, &mut events).await;
        }
        failpoint::reach(Point::Leaving);
        let saved = if result.is_ok() { self.save_all().await } else { Ok(()) };
        let closed = self.log.close().await;
        result.and(saved).and(closed.map_err(MeshError::from))
    }

    async fn turn_until_left(
        &mut self,
        tail: &mut BoxStream<'static, Result<Stored, LogError>>,
        commands: &mut mpsc::Receiver<Command>,
        events: &mut mpsc::UnboundedReceiver<Event>,
        settled: &mut crate::broker::Settled,
    ) -> Result<(), MeshError> {
        self.feed(Input::CaughtUp)?;
        self.decide()?;
        let mut happened = Vec::with_capacity(INPUTS_A_TURN);
        while !self.left {
            let next_timer = self.timers.peek().map(|Reverse((at, ..))| *at);
            let look_again = self.staff.as_ref().and_then(Staff::again);
            let next_timer = next_timer.into_iter().chain(look_again).min();
            tokio::select! {
                biased;
                stored = tail.next() => self.on_stored(stored).await?,
                count = events.recv_many(&mut happened, INPUTS_A_TURN) => {
                    debug_assert!(count > 0, "the driver itself holds a sender");
                    self.on_events(&mut happened)?;
                }
                Some(key) = settled.next() => self.on_settled(key)?,
                Some(command) = commands.recv() => {
                    self.on_command(command)?;
                    for _ in 1..INPUTS_A_TURN {
                        let Ok(command) = commands.try_recv() else { break };
                        self.on_command(command)?;
                    }
                }
                () = timers::until(next_timer) => {}
            }
            while happened.len() < INPUTS_A_TURN
                && let Ok(event) = events.try_recv()
            {
                happened.push(event);
            }
            self.on_events(&mut happened)?;
            // Each turn, so that no flood of commands holds them back.
            self.on_timers()?;
            self.staff()?;
            self.reshape()?;
            self.decide()?;
            self.tell_stalled();
        }
        Ok(())
    }

    pub(super) fn feed(&mut self, input: Input) -> Result<(), MeshError> {
        let asks = self.node.take_in(input)?;
        asks.into_iter().try_for_each(|ask| self.perform(ask))
    }

    /// Appends what one turn brought, as one batch: the last of several returns does not wait for the first.
    fn decide(&mut self) -> Result<(), MeshError> {
        let asks = self.node.decide(self.clock.now_ms());
        asks.into_iter().try_for_each(|ask| self.perform(ask))
    }

    /// Takes in what has happened until now.
    fn on_events(&mut self, happened: &mut Vec<Event>) -> Result<(), MeshError> {
        let mut going = Ok(());
        for event in happened.drain(..) {
            match going {
                Ok(()) => going = self.on_event(event),
                // Bodies that ended meanwhile are not to be waited for when the node gives up.
                Err(_) => self.forget_body(&event),
            }
        }
        going
    }

    async fn on_stored(&mut self, stored: Option<Result<Stored, LogError>>) -> Result<(), MeshError> {
        let Some(stored) = stored else { return Err(LogError::Closed.into()) };
        let Stored { seq, bytes } = stored?;
        failpoint::reach(Point::Stored);
        if seq <= self.node.swarm().last().seq {
            return Ok(());
        }
        // What this node appended is at hand as a value; what others appended is decoded.
        let batch = match &self.appended {
            Some((mine, batch)) if *mine == bytes => batch.clone(),
            _ => Arc::new(decode_batch(&bytes)?),
        };
        self.specs.keep(seq, &batch, bytes.len());
        self.since_snapshot += batch.entries.len() as u64;
        self.feed(Input::Stored { seq, batch })?;
        failpoint::reach(Point::Applied);
        self.publish();
        self.mark.follow(self.node.swarm(), &self.mesh.events);
        let due = SNAPSHOT_ENTRIES.max(4 * self.node.swarm().tasks().len() as u64);
        if self.since_snapshot >= due { self.save_snapshot().await } else { Ok(()) }
    }

    /// What the next start is to find beside the log.
    async fn save_all(&mut self) -> Result<(), MeshError> {
        self.mark.keep_at_the_end(self.node.swarm()).await?;
        // The last that happened may have been the end of a round.
        self.tell_closed();
        self.save_snapshot().await
    }

    async fn save_snapshot(&mut self) -> Result<(), MeshError> {
        let seq = self.node.swarm().last().seq;
        if seq == 0 || self.since_snapshot == 0 {
            return Ok(());
        }
        self.since_snapshot = 0;
        match self.node.swarm().snapshot() {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes);
                if bytes.len() > crate::log::BATCH_LIMIT {
                    tracing::warn!(bytes = bytes.len(), "the state is too large for a snapshot; the log is whole");
                    return Ok(());
                }
                failpoint::reach(Point::Snapshot);
                // A full disk is found out by the next append; without a snapshot the log is still whole.
                if let Err(error) = self.log.save_snapshot(seq, bytes).await {
                    tracing::warn!(%error, "a snapshot could not be written");
                }
                failpoint::reach(Point::Snapshotted);
            }
            Err(error) => tracing::warn!(%error, "a snapshot could not be made"),
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Result<(), MeshError> {
        match event {
            Event::BodyEnded(mut end) => {
                failpoint::reach(Point::BodyEnded);
                self.bodies.remove(&(end.task, end.grant));
                if let Some(waiting) = self.waiting.remove(&(end.task, end.grant)) {
                    let _gone_with_its_body = waiting.send(Err(MeshError::NodeLost));
                }
                let key = key_of(end.task, end.grant);
                if end.outcome == Some(meshwork_core::AttemptOutcome::Ok) {
                    end.messages_open = self.mesh.broker.body_ended(key).open > 0;
                } else {
                    self.mesh.broker.drop_attempt(key);
                }
                self.feed(Input::BodyEnded(end))?;
                failpoint::reach(Point::Returned);
                Ok(())
            }
            Event::CheckEnded { task, grant, passed, evidence, ran_ms } => {
                failpoint::reach(Point::CheckEnded);
                self.bodies.remove(&(task, grant));
                self.feed(Input::CheckEnded { task, grant, passed, evidence, ran_ms })?;
                failpoint::reach(Point::Checked);
                Ok(())
            }
            Event::AppendFailed(error) => {
                tracing::warn!(%error, "an append failed");
                if !may_pass(&error) {
                    return Err(MeshError::Log(error));
                }
                let again = self.mesh.events.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(APPEND_RETRY).await;
                    let _gone = again.send(Event::AppendAgain);
                });
                Ok(())
            }
            Event::AppendAgain => self.feed(Input::AppendFailed),
            Event::Marked(kept) => {
                self.mark.on_kept(kept, self.node.swarm())?;
                self.mark.follow(self.node.swarm(), &self.mesh.events);
                self.tell_closed();
                Ok(())
            }
            Event::SpecMissing { task, grant, error } => {
                self.bodies.remove(&(task, grant));
                Err(error)
            }
            Event::Stop(how) => {
                if how == Stop::Now {
                    self.killing = true;
                    // A check that is killed before the node has told it to stop would count against its task.
                    for body in self.bodies.values().filter(|body| !body.check || body.stop.is_cancelled()) {
                        body.kill.cancel();
                    }
                }
                self.staff = None;
                self.feed(Input::Shutdown)
            }
        }
    }

    fn on_settled(&mut self, key: AttemptKey) -> Result<(), MeshError> {
        // The broker is open to others, whose keys may be anything: what is no task's is nothing to the log.
        let Ok(task) = u32::try_from(key.task).map(TaskNo) else { return Ok(()) };
        self.feed(Input::MessagesSettled { task, grant: Position::from_u64(key.grant) })
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets_made += 1;
        Ticket(self.tickets_made)
    }

    fn on_command(&mut self, command: Command) -> Result<(), MeshError> {
        match command {
            Command::Wish { op, answer } => {
                let ticket = self.ticket();
                self.tickets.insert(ticket, answer);
                self.feed(Input::Wish { op, ticket: Some(ticket) })
            }
            Command::WaitForChildren { task, grant, op, answer } => {
                let ticket = self.ticket();
                // Only one wait an attempt: the second is refused by the log, and must not take the first's place.
                if self.waiting.contains_key(&(task, grant)) {
                    let id = self.node.swarm().task(task).map_or_else(String::new, |task| task.id.to_string());
                    let refusal = meshwork_core::Refusal::WaitsAlready { task: id };
                    let _gone = answer.send(Err(refusal.into()));
                    return Ok(());
                }
                self.waiting.insert((task, grant), answer);
                self.children.insert(ticket, (task, grant));
                self.feed(Input::Wish { op, ticket: Some(ticket) })
            }
            Command::Look(look) => {
                // A stranger's code: its panic is not the node's end. Who asked is told that there is no answer.
                let swarm = self.node.swarm();
                if catch_unwind(AssertUnwindSafe(|| look(swarm))).is_err() {
                    tracing::error!("a look at the swarm panicked");
                }
                Ok(())
            }
            Command::Host { setup, answer } => self.host(setup, answer),
            Command::AwaitRound { round, answer } => {
                self.rounds.push((round, answer));
                self.tell_closed();
                Ok(())
            }
        }
    }

    fn on_timers(&mut self) -> Result<(), MeshError> {
        if self.timers.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        while let Some(Reverse((at, _, timer))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            self.feed(Input::Fired(timer))?;
        }
        Ok(())
    }

    fn perform(&mut self, ask: Ask) -> Result<(), MeshError> {
        let (before, after) = places::of(&ask);
        failpoint::reach(before);
        self.act(ask)?;
        failpoint::reach(after);
        Ok(())
    }

    fn act(&mut self, ask: Ask) -> Result<(), MeshError> {
        match ask {
            Ask::Append(batch) => self.append(batch)?,
            Ask::Start { task, grant, peer, attempt } => self.start_body(task, grant, peer, attempt, false),
            Ask::Check { task, grant, peer, attempt } => self.start_body(task, grant, peer, attempt, true),
            Ask::Continue { task, grant } => {
                if let Some(waiting) = self.waiting.remove(&(task, grant)) {
                    let _gone = waiting.send(Ok(()));
                }
            }
            Ask::Stop { task, grant } => {
                self.mesh.broker.drop_attempt(key_of(task, grant));
                if let Some(body) = self.bodies.get(&(task, grant)) {
                    body.stop.cancel();
                    if self.killing {
                        body.kill.cancel();
                    }
                }
            }
            Ask::Suspend { peer, still } => {
                self.still(peer).send_replace(still);
            }
            Ask::Sleep { timer, ms } => {
                self.timers_made += 1;
                let at = Instant::now() + Duration::from_millis(ms);
                self.timers.push(Reverse((at, self.timers_made, timer)));
            }
            Ask::Answer { ticket, answer } => self.answer(ticket, answer),
            Ask::RoundClosed(closed) => {
                self.closed.insert(closed.number, closed);
                self.tell_closed();
            }
            Ask::Left => self.left = true,
        }
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(waiter) = self.tickets.remove(&ticket) {
            let _gone = waiter.send(Ok(answer));
        } else if let Some(attempt) = self.children.remove(&ticket) {
            // Accepted: `Continue` comes when the children are closed.
            let error = match answer {
                Answer::Accepted { .. } => return,
                Answer::Refused(refusal) => refusal.into(),
                Answer::TooLarge { found, most } => MeshError::TooLarge { found, most },
                Answer::NodeLost => MeshError::NodeLost,
            };
            if let Some(waiting) = self.waiting.remove(&attempt) {
                let _gone = waiting.send(Err(error));
            }
        }
    }

    fn append(&mut self, batch: Arc<Batch>) -> Result<(), MeshError> {
        let bytes = match &self.appended {
            Some((bytes, same)) if Arc::ptr_eq(same, &batch) => bytes.clone(),
            _ => Bytes::from(encode_batch(&batch)?),
        };
        self.appended = Some((bytes.clone(), batch));
        let appended = self.log.append(bytes);
        let events = self.mesh.events.clone();
        tokio::spawn(async move {
            let answered = tokio::time::timeout(APPEND_ANSWER, appended).await;
            if let Err(error) = answered.unwrap_or(Err(LogError::Unacknowledged)) {
                let _gone = events.send(Event::AppendFailed(Arc::new(error)));
            }
        });
        Ok(())
    }

    fn still(&mut self, peer: PeerNo) -> &watch::Sender<bool> {
        self.still.entry(peer).or_insert_with(|| watch::Sender::new(false))
    }

    fn start_body(&mut self, task: TaskNo, grant: Grant, peer: PeerNo, number: u32, check: bool) {
        let swarm = self.node.swarm();
        let peer_id = swarm.peer(peer).expect("a grant names a peer").id.clone();
        let source = Source::of(swarm, task).expect("a grant names a task");
        let agent = self.agents.get(&peer_id).expect("a grant of this node names one of its peers").clone();
        let running = RunningBody { stop: CancellationToken::new(), kill: CancellationToken::new(), check };
        let still = self.still(peer).subscribe();
        let control = Control { stop: running.stop.clone(), kill: running.kill.clone(), still };
        let (mesh, events) = (self.mesh.clone(), self.mesh.events.clone());
        let tools = Tools { mesh, task, grant, peer: peer_id.clone(), handler: None };
        let make = move |spec: SpecRef| {
            let swarm_id = tools.mesh.swarm_id.clone();
            Attempt { swarm_id, peer_id, task, grant, number, spec, control, tools }
        };
        let started_ms = self.clock.now_ms();
        self.bodies.insert((task, grant), running);
        let run = move |attempt: Attempt| async move {
            if check {
                evidence::run(agent, attempt, events).await;
            } else {
                body::run(agent, attempt, started_ms, events).await;
            }
        };
        if let Some(spec) = self.specs.try_get(&source) {
            tokio::spawn(run(make(spec)));
            return;
        }
        let (specs, events) = (self.specs.clone(), self.mesh.events.clone());
        tokio::spawn(async move {
            match specs.get(&source).await {
                Ok(spec) => run(make(spec)).await,
                Err(error) => {
                    let _gone = events.send(Event::SpecMissing { task, grant, error });
                }
            }
        });
    }

    fn forget_body(&mut self, event: &Event) {
        if let Some(body) = event.ends() {
            self.bodies.remove(&body);
        }
    }

    /// The log is unusable: bodies are ended, everybody who waits is told why.
    async fn give_up(
        &mut self,
        error: &MeshError,
        mut commands: mpsc::Receiver<Command>,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) {
        tracing::error!(%error, "the node stops");
        // Those who ask from here on are told why; the first cause is the cause.
        let _already_known = self.mesh.cause.set(error.clone());
        // A body that waits for an answer would not end, and nothing is answered any more.
        commands.close();
        while commands.try_recv().is_ok() {}
        for body in self.bodies.values() {
            body.stop.cancel();
            body.kill.cancel();
        }
        for (_, answer) in std::mem::take(&mut self.tickets) {
            let _gone = answer.send(Err(error.clone()));
        }
        for (_, answer) in std::mem::take(&mut self.waiting) {
            let _gone = answer.send(Err(error.clone()));
        }
        for (_, answer) in std::mem::take(&mut self.rounds) {
            let _gone = answer.send(Err(error.clone()));
        }
        while !self.bodies.is_empty() {
            let Some(event) = events.recv().await else { break };
            self.forget_body(&event);
        }
    }
}

/// Whether the same append may succeed later. One machine's disk gives its errors for good; a broker's
/// connection comes back.
fn may_pass(error: &LogError) -> bool {
    matches!(error, LogError::Unacknowledged)
}

fn key_of(task: TaskNo, grant: Grant) -> AttemptKey {
    AttemptKey { task: u64::from(task.0), grant: grant.as_u64() }
}

impl Mesh {
    /// Resolves when the node has joined and its peers are up.
    async fn await_member(&self) -> Result<(), MeshError> {
        // The first wish is decided after the Join and the announcements that go ahead of it.
        self.decide(Op::Alive).await.map(|_| ())
    }
}
