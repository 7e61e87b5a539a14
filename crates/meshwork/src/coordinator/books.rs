//! What a coordinator knows: the read model of its swarm, and who waits for something in it.

use super::error::CoordinatorError;
use super::words::{AgentSession, PeerAgent};
use crate::clock::now_ms;
use crate::controller::{AgentEvent, events_of};
use crate::log::{LogError, Stored};
use crate::peers::{AgentState, PeerState, PeerStats};
use crate::view::{self, PeerReport, View};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use meshwork_core::{Effect, Outcome, Peer, PeerNo, Phase, Swarm, Task, TaskNo, Tokens, decode_batch};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot, watch};

type Assigned = Result<String, CoordinatorError>;

/// One stay of an agent, as far as the log does not know it.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub(super) number: u64,
    pub(super) kind: String,
    pub(super) started_at: u64,
    pub(super) last_activity: u64,
    /// Reported outside of tasks.
    pub(super) tokens: Tokens,
    pub(super) checkpoint: Option<String>,
}

/// Everything behind the lock.
pub(super) struct Books {
    pub(super) view: View,
    pub(super) stays: BTreeMap<String, Stay>,
    stays_made: u64,
    /// Ids that are on their way to the log, with their content: none of other content may pass them.
    pub(super) arriving: HashMap<String, ([u64; 2], u8, usize)>,
    assigned: HashMap<TaskNo, Vec<oneshot::Sender<Assigned>>>,
    closed: HashMap<TaskNo, Vec<oneshot::Sender<()>>>,
    over: bool,
}

/// The books, and who is told of their changes.
pub(super) struct Shared {
    books: Mutex<Books>,
    /// The last batch that they hold.
    reached: watch::Sender<u64>,
    /// Peers of which something changed since they were shared.
    changed: Mutex<BTreeSet<PeerNo>>,
    pub(super) something: Notify,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        let (reached, _) = watch::channel(0);
        let books = Books {
            view: View::new(),
            stays: BTreeMap::new(),
            stays_made: 0,
            arriving: HashMap::new(),
            assigned: HashMap::new(),
            closed: HashMap::new(),
            over: false,
        };
        Arc::new(Self { books: Mutex::new(books), reached, changed: Mutex::default(), something: Notify::new() })
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of each batch that was read.
    pub(super) fn reached(&self) -> watch::Receiver<u64> {
        self.reached.subscribe()
    }

    /// Resolves when the books hold that batch, or will never hold more.
    pub(super) async fn hold(&self, seq: u64) {
        let mut reached = self.reached();
        // The sender is a part of this very value.
        let _there = reached.wait_for(|reached| *reached >= seq).await;
    }

    /// Peers that changed since it was asked last.
    pub(super) fn take_changed(&self) -> BTreeSet<PeerNo> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the log until it ends. Whoever waits then is told.
    ///
    /// `tell` is told what happens to agents, in order, without the books.
    pub(super) async fn follow(
        self: Arc<Self>,
        tell: impl Fn(String, AgentEvent) + Send,
        mut tail: BoxStream<'static, Result<Stored, LogError>>,
    ) {
        while let Some(Ok(Stored { seq, bytes })) = tail.next().await {
            let Ok(batch) = decode_batch(&bytes) else { break };
            let mut books = self.books();
            let Ok(step) = books.view.step(seq, &batch, false) else { break };
            let now = now_ms();
            // What the controller is to be told of its agents.
            let mut events = Vec::new();
            for effect in step.applied.effects.iter().flat_map(|effects| &effects.list) {
                events.extend(events_of(effect, &books.view).into_iter().map(|(no, event)| (books.peer_id(no), event)));
                if let Some(peer) = books.on_effect(effect, now) {
                    self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
                }
            }
            drop(books);
            events.into_iter().for_each(|(agent, event)| tell(agent, event));
            self.something.notify_one();
            self.reached.send_replace(seq);
        }
        self.books().end();
        // Nothing more comes: who waits for a batch is let go.
        self.reached.send_replace(u64::MAX);
    }
}

impl Books {
    /// Tells who waits, and answers the peer that it concerns.
    fn on_effect(&mut self, effect: &Effect, now_ms: u64) -> Option<PeerNo> {
        match *effect {
            Effect::Assigned { task, peer } | Effect::Start { task, peer, .. } => {
                let id = self.peer_id(peer);
                for waiter in self.assigned.remove(&task).unwrap_or_default() {
                    let _gone = waiter.send(Ok(id.clone()));
                }
                if matches!(effect, Effect::Start { .. }) {
                    self.touch(&id, now_ms);
                }
                Some(peer)
            }
            Effect::Closed { task, .. } => {
                for waiter in self.closed.remove(&task).unwrap_or_default() {
                    let _gone = waiter.send(());
                }
                let fate = self.fate(task);
                let waiters = self.assigned.remove(&task).unwrap_or_default();
                if let Some(fate) = fate {
                    for waiter in waiters {
                        let _gone = waiter.send(fate.clone());
                    }
                }
                None
            }
            Effect::AttemptEnded { peer, .. } => {
                let id = self.peer_id(peer);
                self.touch(&id, now_ms);
                Some(peer)
            }
            Effect::Paused { peer, .. } | Effect::Resumed { peer } => Some(peer),
            Effect::PeerUp { peer } | Effect::PeerDown { peer, .. } => Some(peer),
            Effect::Unassigned { peer, .. } | Effect::Continue { peer, .. } | Effect::Check { peer, .. } => Some(peer),
            _ => None,
        }
    }

    fn end(&mut self) {
        self.over = true;
        for (_, waiters) in std::mem::take(&mut self.assigned) {
            for waiter in waiters {
                let _gone = waiter.send(Err(CoordinatorError::Closing));
            }
        }
        // Dropped: who waits for a close sees that there is none.
        self.closed.clear();
    }

    /// Ids of the peers that this one is connected to.
    pub(super) fn neighbors(&self, id: &str) -> BTreeSet<String> {
        let Some(no) = self.view.swarm().find_peer(id) else { return BTreeSet::new() };
        self.view.swarm().shape().neighbors(no).into_iter().map(|other| self.peer_id(other)).collect()
    }

    pub(super) fn peer_id(&self, no: PeerNo) -> String {
        self.view.swarm().peer(no).map_or_else(String::new, |peer| peer.id.to_string())
    }

    /// The agent did something.
    pub(super) fn touch(&mut self, id: &str, now_ms: u64) {
        if let Some(stay) = self.stays.get_mut(id) {
            stay.last_activity = stay.last_activity.max(now_ms);
        }
    }

    /// The agent spent tokens outside of tasks.
    pub(super) fn spend(&mut self, id: &str, tokens: Tokens, now_ms: u64) {
        self.touch(id, now_ms);
        if let Some(stay) = self.stays.get_mut(id) {
            stay.tokens.input = stay.tokens.input.saturating_add(tokens.input);
            stay.tokens.output = stay.tokens.output.saturating_add(tokens.output);
        }
    }

    /// An agent begins to stay.
    pub(super) fn arrive(&mut self, id: &str, kind: String, now_ms: u64) {
        self.stays_made += 1;
        let (number, tokens) = (self.stays_made, Tokens::default());
        let stay = Stay { number, kind, started_at: now_ms, last_activity: now_ms, tokens, checkpoint: None };
        self.stays.insert(id.to_owned(), stay);
    }

    /// Resolves when the task is assigned, or never will be.
    pub(super) fn await_assignment(&mut self, no: TaskNo) -> oneshot::Receiver<Assigned> {
        let (answer, assigned) = oneshot::channel();
        match self.fate(no) {
            Some(fate) => _ = answer.send(fate),
            None if self.over => _ = answer.send(Err(CoordinatorError::Closing)),
            None => self.assigned.entry(no).or_default().push(answer),
        }
        assigned
    }

    /// Resolves when the task is closed; an error: nothing more is read.
    pub(super) fn await_close(&mut self, no: TaskNo) -> oneshot::Receiver<()> {
        let (answer, closed) = oneshot::channel();
        let is_closed = self.view.swarm().task(no).is_some_and(|task| matches!(task.phase, Phase::Closed { .. }));
        if is_closed {
            let _gone = answer.send(());
        } else if !self.over {
            self.closed.entry(no).or_default().push(answer);
        }
        closed
    }

    /// Who has the task, or why nobody ever will; `None` while that is open, or its entry is not read yet.
    fn fate(&self, no: TaskNo) -> Option<Assigned> {
        let task = self.view.swarm().task(no)?;
        let had = || (task.attempt > 0).then(|| Ok(self.peer_id(task.last_peer)));
        match task.phase {
            Phase::Assigned { peer }
            | Phase::Running { peer, .. }
            | Phase::Waiting { peer, .. }
            | Phase::InLine { peer, .. }
            | Phase::Settled { peer }
            | Phase::Checking { peer, .. } => Some(Ok(self.peer_id(peer))),
            Phase::Blocked | Phase::Ready | Phase::Backoff { .. } | Phase::Returned | Phase::Reviewing => had(),
            Phase::Closed { outcome } => had().or_else(|| Some(Err(self.never_assigned(no, task, outcome)))),
        }
    }

    fn never_assigned(&self, no: TaskNo, task: &Task, outcome: Outcome) -> CoordinatorError {
        let id = task.id.to_string();
        if outcome == Outcome::Cancelled {
            return CoordinatorError::Cancelled { task: id };
        }
        let why = self.view.swarm().explain(no).map_or_else(String::new, |why| why.reason.to_string());
        CoordinatorError::DependencyFailed { task: id, why }
    }

    /// What a peer says of itself to others.
    pub(super) fn state_of(&self, no: PeerNo, now_ms: u64) -> Option<PeerState> {
        let report = self.view.peer(no)?;
        let peer = self.view.swarm().peer(no)?;
        let assigned = peer.assigned.iter().map(|(_, task)| *task);
        let mut active: BTreeSet<TaskNo> = assigned.chain(peer.held.iter().copied()).collect();
        active.extend(peer.line.iter().copied());
        let name = |task: TaskNo| self.view.swarm().task(task).map(|task| task.id.to_string());
        Some(PeerState {
            peer_id: report.id.clone(),
            capabilities: report.capabilities.clone(),
            load: f64::from(report.load),
            state: state_word(&report),
            active_tasks: active.into_iter().filter_map(name).collect(),
            metrics: stats(&report),
            last_updated: now_ms,
        })
    }

    pub(super) fn session(&self, id: &str) -> Option<AgentSession> {
        let stay = self.stays.get(id)?;
        let report = self.view.swarm().find_peer(id).and_then(|no| self.view.peer(no))?;
        Some(self.session_from(id, stay, &report))
    }

    fn session_from(&self, id: &str, stay: &Stay, report: &PeerReport) -> AgentSession {
        AgentSession {
            id: format!("session-{}", stay.number),
            agent_id: id.to_owned(),
            kind: stay.kind.clone(),
            state: state_word(report),
            started_at: stay.started_at,
            last_activity: stay.last_activity,
            tokens_used: report.tokens_used.saturating_add(stay.tokens.total()),
            checkpoint_id: stay.checkpoint.clone(),
        }
    }

    /// A peer as the seed shows it. Looks at every attempt once.
    pub(super) fn agent(&self, no: PeerNo) -> Option<PeerAgent> {
        self.agent_from(self.view.peer(no)?)
    }

    /// The peers that are up and not paused, in order. Looks at every attempt once, however many they are.
    pub(super) fn active(&self) -> Vec<PeerAgent> {
        let peers = self.view.swarm().peers().zip(self.view.peer_reports(false));
        let active = peers.filter(|((_, peer), _)| peer.up && peer.paused.is_none());
        let mut active: Vec<PeerAgent> = active.filter_map(|(_, report)| self.agent_from(report)).collect();
        active.sort_by(|a, b| a.id.cmp(&b.id));
        active
    }

    fn agent_from(&self, report: PeerReport) -> Option<PeerAgent> {
        let stay = self.stays.get(&report.id)?;
        let session = self.session_from(&report.id, stay, &report);
        Some(PeerAgent {
            session,
            load: u64::from(report.load),
            state: state_word(&report),
            neighbors: self.neighbors(&report.id),
            last_seen: report.last_seen,
            metrics: stats(&report),
            id: report.id,
            capabilities: report.capabilities,
        })
    }
}

/// Whether the peer has that capability.
pub(super) fn has(swarm: &Swarm, peer: &Peer, wanted: &str) -> bool {
    peer.capabilities.iter().any(|cap| swarm.capability(*cap) == Some(wanted))
}

fn stats(report: &PeerReport) -> PeerStats {
    PeerStats {
        success_rate: report.metrics.success_rate,
        average_response_time: report.metrics.average_response_time,
        tasks_completed: report.metrics.tasks_completed,
        tasks_failed: report.metrics.tasks_failed,
    }
}

/// The view's word among all words.
fn state_word(report: &PeerReport) -> AgentState {
    match report.state {
        view::PeerState::Idle => AgentState::Idle,
        view::PeerState::Working => AgentState::Working,
        view::PeerState::Waiting => AgentState::Waiting,
        view::PeerState::Paused => AgentState::Paused,
        view::PeerState::Error => AgentState::Error,
        view::PeerState::Terminated => AgentState::Terminated,
    }
}
