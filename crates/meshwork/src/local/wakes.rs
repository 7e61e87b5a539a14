//! Peers of a swarm file that are woken while they have nothing to do, and paused once that has lasted.
//!
//! The controller knows when a wake is due and counts what pausing saves; here it is told what the log says of its agents,
//! and given a process for each wake.

use crate::controller::{
    AgentController, AgentEvent, AgentHost, Attachment, ControlError, ControllerConfig, QueryController, Wake,
    WakeSchedule, events_of,
};
use crate::log::{Log, LogError, Stored};
use crate::mesh::{Mesh, MeshError, ProcessAgent, WakeTurn};
use crate::timers;
use crate::view::View;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use meshwork_core::savings::Savings;
use meshwork_core::{Effect, PauseReason, Peer, PeerNo, Swarm, Tokens, decode_batch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A wake that takes longer is ended: it is a look around, and while it goes on there is no other one of its peer.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// A peer that is woken.
pub(super) struct Sleeper {
    pub(super) id: String,
    pub(super) every: Duration,
    /// What its agent is: agents of one kind cost about the same.
    pub(super) kind: String,
    pub(super) agent: Arc<ProcessAgent>,
}

/// The wakes of one run. Dropped, it ends them.
pub(super) struct Wakes {
    swarm_id: String,
    controller: Arc<AgentController>,
    ends: Ends,
    _ends_all: [DropGuard; 2],
}

/// How wakes are ended, and awaited.
#[derive(Clone)]
struct Ends {
    stop: CancellationToken,
    kill: CancellationToken,
    running: TaskTracker,
}

impl Wakes {
    /// Wakes the sleepers of a swarm from now on, at most `sessions` at the same time; `None` when there are none.
    pub(super) async fn start(
        mesh: &Mesh,
        log: &dyn Log,
        sleepers: Vec<Sleeper>,
        pause_after: Option<Duration>,
        sessions: u32,
    ) -> Result<Option<Self>, MeshError> {
        if sleepers.is_empty() {
            return Ok(None);
        }
        let controller = AgentController::new(ControllerConfig::default()).expect("the default settings are valid");
        let controller = Arc::new(controller);
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let ends = Ends { stop: stop.clone(), kill: kill.clone(), running: TaskTracker::new() };
        let began_after = mesh.look(|swarm| swarm.last().seq).await?;
        let sessions = usize::try_from(sessions).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let awake = Arc::new(Semaphore::new(sessions));
        let spent_by_all = Arc::new(AtomicU64::new(0));
        let known = sleepers.into_iter().map(|sleeper| {
            let Sleeper { id, every, kind, agent } = sleeper;
            let wake = ProcessWake {
                mesh: mesh.clone(),
                agent,
                number: AtomicU64::new(0),
                spent: AtomicU64::new(0),
                spent_by_all: spent_by_all.clone(),
                awake: awake.clone(),
                ends: ends.clone(),
            };
            // A turn ends by its own limit, counted from when its process starts.
            let schedule = WakeSchedule { every, timeout: Duration::MAX, wake: Arc::new(wake) };
            (id, Known { kind, schedule, attached: false })
        });
        let following = Following {
            mesh: mesh.clone(),
            controller: controller.clone(),
            known: known.collect(),
            began_after,
            pause_after,
            idle: BTreeMap::new(),
            view: View::new(),
        };
        ends.running.spawn(following.follow(log.tail(0), stop.clone()));
        let swarm_id = mesh.swarm_id().to_owned();
        Ok(Some(Self { swarm_id, controller, ends, _ends_all: [stop.drop_guard(), kill.drop_guard()] }))
    }

    /// What was measured until now.
    pub(super) fn savings(&self) -> Savings {
        self.controller.mesh_savings(&self.swarm_id)
    }

    /// No more wakes; those that run are to end.
    pub(super) fn stop(&self, at_once: bool) {
        self.ends.stop.cancel();
        if at_once {
            self.ends.kill.cancel();
        }
    }

    /// Resolves when none runs any more.
    pub(super) async fn end(self) {
        self.stop(false);
        self.ends.running.close();
        self.ends.running.wait().await;
    }
}

/// A peer as the controller is to know it while it is there.
struct Known {
    kind: String,
    schedule: WakeSchedule,
    attached: bool,
}

/// Tells the controller what the log says.
struct Following {
    mesh: Mesh,
    controller: Arc<AgentController>,
    known: BTreeMap<String, Known>,
    /// What is older happened to attempts of an earlier run.
    began_after: u64,
    pause_after: Option<Duration>,
    /// Since when they have nothing to do, of those that are to be paused for it.
    idle: BTreeMap<PeerNo, Instant>,
    view: View,
}

impl Following {
    async fn follow(mut self, mut tail: BoxStream<'static, Result<Stored, LogError>>, stop: CancellationToken) {
        loop {
            let next = self.pause_after.and_then(|after| Some(*self.idle.values().min()? + after));
            tokio::select! {
                () = stop.cancelled() => break,
                stored = tail.next() => {
                    let Some(Ok(stored)) = stored else { break };
                    if !self.read(&stored) {
                        break;
                    }
                }
                () = timers::until(next) => self.pause_idle().await,
            }
        }
        // Who is detached is not woken any more.
        self.known.iter().filter(|(_, known)| known.attached).for_each(|(id, _)| self.controller.detach(id));
    }

    /// False: nothing that comes after it can be read either. The node finds that out, too, and says so.
    fn read(&mut self, stored: &Stored) -> bool {
        let Ok(batch) = decode_batch(&stored.bytes) else { return false };
        let Ok(step) = self.view.step(stored.seq, &batch, false) else { return false };
        if stored.seq < self.began_after {
            return true;
        }
        let mut changed = BTreeSet::new();
        for effect in step.applied.effects.iter().flat_map(|effects| &effects.list) {
            let news = if stored.seq > self.began_after { events_of(effect, &self.view) } else { Vec::new() };
            for (no, event) in news {
                self.tell(no, event);
                changed.insert(no);
            }
            match *effect {
                Effect::PeerUp { peer } | Effect::PeerDown { peer, .. } | Effect::Assigned { peer, .. } => {
                    changed.insert(peer);
                }
                _ => {}
            }
        }
        if stored.seq == self.began_after {
            changed = self.view.swarm().peers().map(|(no, _)| no).collect();
        }
        changed.into_iter().for_each(|no| self.look_at(no));
        true
    }

    fn tell(&self, no: PeerNo, event: AgentEvent) {
        let Some(peer) = self.view.swarm().peer(no) else { return };
        if self.known.get(&*peer.id).is_some_and(|known| known.attached) {
            // The controller forgets only whom we detach.
            let _known = self.controller.tell(&peer.id, event);
        }
    }

    /// Whether it is there, and has something to do.
    fn look_at(&mut self, no: PeerNo) {
        let Some(peer) = self.view.swarm().peer(no) else { return };
        let Some(known) = self.known.get_mut(&*peer.id) else { return };
        if peer.up && !known.attached {
            let attachment = Attachment {
                swarm_id: self.mesh.swarm_id().to_owned(),
                agent_id: peer.id.to_string(),
                kind: known.kind.clone(),
                wake: Some(known.schedule.clone()),
            };
            match self.controller.attach(attachment, Arc::new(Nobody)) {
                Ok(attached) => known.attached = attached,
                Err(error) => tracing::warn!(peer = %peer.id, %error, "an idle peer will not be woken"),
            }
            let now = [(!peer.has_nothing_to_do(), AgentEvent::Busy), (peer.paused.is_some(), AgentEvent::Paused)];
            for (_, event) in now.into_iter().filter(|(is_so, _)| *is_so) {
                let _known = self.controller.tell(&peer.id, event);
            }
        } else if !peer.up && known.attached {
            known.attached = false;
            self.controller.detach(&peer.id);
        }
        let is_idle = |peer: &Peer| peer.up && peer.paused.is_none() && peer.has_nothing_to_do();
        if self.pause_after.is_some() && is_idle(peer) {
            self.idle.entry(no).or_insert_with(Instant::now);
        } else {
            self.idle.remove(&no);
        }
    }

    async fn pause_idle(&mut self) {
        let (Some(after), now) = (self.pause_after, Instant::now()) else { return };
        let due: Vec<PeerNo> =
            self.idle.iter().filter(|(_, since)| **since + after <= now).map(|(no, _)| *no).collect();
        for no in due {
            self.idle.remove(&no);
            let Some(id) = self.view.swarm().peer(no).map(|peer| peer.id.to_string()) else { continue };
            // Refused when it has got work, or has left, in the meantime.
            let paused = self.mesh.pause_peer(&id, PauseReason::Idle).await;
            tracing::debug!(peer = id, paused = paused.is_ok(), "an idle peer");
        }
    }
}

/// Nobody asks this controller to pause an agent: a swarm's peers are paused through its log.
struct Nobody;

impl AgentHost for Nobody {
    fn pause<'a>(&'a self, id: &'a str, _: PauseReason) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { Err(ControlError::UnknownAgent { id: id.to_owned() }) })
    }

    fn resume<'a>(&'a self, id: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move { Err(ControlError::UnknownAgent { id: id.to_owned() }) })
    }
}

/// A process for each wake of a peer.
struct ProcessWake {
    mesh: Mesh,
    agent: Arc<ProcessAgent>,
    number: AtomicU64,
    /// Tokens of this peer's wakes.
    spent: AtomicU64,
    /// Tokens of all wakes of this run.
    spent_by_all: Arc<AtomicU64>,
    awake: Arc<Semaphore>,
    ends: Ends,
}

impl ProcessWake {
    /// What the turn cost. One that failed and cost nothing was none.
    async fn run(&self, id: &str) -> Result<Tokens, String> {
        let Ends { stop, kill, .. } = self.ends.clone();
        let _session = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Tokens::default()),
            session = self.awake.acquire() => session,
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let (swarm_id, peer_id) = (self.mesh.swarm_id().to_owned(), id.to_owned());
        let turn = WakeTurn { swarm_id, peer_id, number, most: LONGEST, stop: stop.clone(), kill };
        let (tokens, error) = self.agent.wake(turn).await;
        let error = error.filter(|_| !stop.is_cancelled());
        if let Some(error) = &error {
            tracing::warn!(peer = id, number, error, "a wake did not end well");
        }
        self.keep_to_budgets(id, tokens).await;
        error.filter(|_| tokens == Tokens::default()).map_or(Ok(tokens), Err)
    }

    /// The log knows the tokens of attempts alone: with those of wakes they may reach a budget sooner.
    async fn keep_to_budgets(&self, id: &str, tokens: Tokens) {
        let add = |sum: &AtomicU64| {
            let added =
                sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_add(tokens.total())));
            added.unwrap_or_else(|same| same).saturating_add(tokens.total())
        };
        let (own, all, name) = (add(&self.spent), add(&self.spent_by_all), id.to_owned());
        let is_reached = |budget: Option<u64>, log: Tokens, wakes: u64| {
            budget.is_some_and(|budget| log.total().saturating_add(wakes) >= budget)
        };
        let look = move |swarm: &Swarm| {
            let peer = swarm.find_peer(&name).and_then(|no| swarm.peer(no)).filter(|peer| peer.paused.is_none());
            peer.is_some_and(|peer| {
                is_reached(peer.token_budget, peer.tokens, own)
                    || is_reached(swarm.config().token_budget, swarm.tokens(), all)
            })
        };
        if matches!(self.mesh.look(look).await, Ok(true)) {
            tracing::warn!(peer = id, "paused: with its wakes a token budget is spent");
            // Refused when it has left in the meantime.
            let _gone = self.mesh.pause_peer(id, PauseReason::Budget).await;
        }
    }
}

impl Wake for ProcessWake {
    fn wake<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
        let running = self.ends.running.token();
        Box::pin(async move {
            let _running = running;
            self.run(agent_id).await
        })
    }
}
