//! The controller of agents that hosts attach.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use meshwork_core::PauseReason;
use meshwork_core::savings::Savings;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::books::{Books, Due, Hold};
use super::words::pause_reason;
use super::{
    AgentDefinition, AgentEvent, AgentHost, Attachment, ControlError, QueryController, TokenSavings, WakeSchedule,
};

/// Settings of an [`AgentController`].
///
/// ```
/// use meshwork::controller::ControllerConfig;
/// use meshwork_core::PauseReason;
/// use std::time::Duration;
///
/// let config = ControllerConfig { default_reason: PauseReason::Budget, ..ControllerConfig::default() };
/// assert_eq!((config.host_timeout, config.max_agents), (Duration::from_secs(30), 100_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// Why agents are paused when nobody says why: `user`.
    pub default_reason: PauseReason,
    /// How long a host may take to pause or resume an agent: 30 s, far more than a commit and a signal take.
    pub host_timeout: Duration,
    /// Agents that it knows, those included that left, and definitions: 100,000, as a swarm may have peers.
    pub max_agents: u32,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self { default_reason: PauseReason::User, host_timeout: Duration::from_secs(30), max_agents: 100_000 }
    }
}

fn invalid(field: &'static str, found: impl Into<String>, expected: &str) -> ControlError {
    ControlError::Invalid { field, found: found.into(), expected: expected.to_owned() }
}

fn check_wake(wake: Option<&WakeSchedule>) -> Result<(), ControlError> {
    let Some(wake) = wake else { return Ok(()) };
    for (field, found) in [("wake.every", wake.every), ("wake.timeout", wake.timeout)] {
        if found < Duration::from_millis(1) {
            return Err(invalid(field, format!("{found:?}"), "at least 1 ms"));
        }
    }
    Ok(())
}

struct Inner {
    config: ControllerConfig,
    started: Instant,
    books: Mutex<Books>,
    definitions: Mutex<Vec<AgentDefinition>>,
    /// The first timer may have changed.
    bell: Arc<Notify>,
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn definitions(&self) -> MutexGuard<'_, Vec<AgentDefinition>> {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, and in ms since the start. Agents' times are differences of these.
    fn now(&self) -> (Instant, u64) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.started).as_millis();
        (now, u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn tell(&self, agent: &str, event: AgentEvent) -> Result<(), ControlError> {
        let told = self.books().tell(agent, event, self.now());
        self.bell.notify_one();
        told
    }

    fn savings(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Savings {
        self.books().savings(self.now().1, is_wanted)
    }
}

/// Runs each wake that is due, in a task of its own: one that takes long holds up no other.
fn wake(inner: &Arc<Inner>, due: Due) {
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        let Due { agent, of, schedule, host } = due;
        let (id, most) = (agent.clone(), schedule.timeout);
        // In a task of its own, so that a panic ends nothing else.
        let turn = tokio::spawn(async move { timeout(most, schedule.wake.wake(&id)).await });
        let ended = match turn.await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_late)) => Err(format!("it took longer than {most:?} and was ended")),
            Err(error) => Err(error.to_string()),
        };
        let Some(inner) = inner.upgrade() else { return };
        let is_there = inner.books().woke(&agent, &of, ended.as_ref().ok().copied(), inner.now().1);
        if is_there {
            host.woke(&agent, ended.as_ref().copied().map_err(String::as_str));
        }
    });
}

async fn run_timers(inner: Weak<Inner>, bell: Arc<Notify>, stop: CancellationToken) {
    loop {
        let Some(next) = inner.upgrade().map(|inner| inner.books().next()) else { return };
        let ring = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = bell.notified() => {}
            () = ring => {
                let Some(inner) = inner.upgrade() else { return };
                let due = inner.books().due(inner.now());
                due.into_iter().for_each(|due| wake(&inner, due));
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Deed<'a> {
    Pause(PauseReason),
    Resume(Option<&'a str>),
}

/// The seed's `QueryController`: pauses and resumes the agents that hosts [attach](QueryController::attach) to it,
/// wakes idle ones by their schedules, and counts what pausing saves ([`meshwork_core::savings`] has the rules).
///
/// An agent is known by its id from when it is attached; a definition makes no agent, so there is nothing to pause
/// before. One that was detached can't be paused any more; its savings stay known. What is done to one agent is done
/// one after the other, to several at the same time.
///
/// ```
/// use futures_util::future::{BoxFuture, FutureExt, ready};
/// use meshwork::controller::*;
/// use meshwork_core::{PauseReason, Tokens};
/// use std::sync::Arc;
///
/// struct Host;
/// impl AgentHost for Host {
///     fn pause<'a>(&'a self, _: &'a str, _: PauseReason) -> BoxFuture<'a, Result<(), ControlError>> {
///         ready(Ok(())).boxed()
///     }
///     fn resume<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
///         ready(Ok(())).boxed()
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let controller = AgentController::new(ControllerConfig::default())?;
/// let peer = |id: &str| Attachment { swarm_id: "s".into(), agent_id: id.into(), kind: "llm".into(), wake: None };
/// controller.attach(peer("alice"), Arc::new(Host))?;
/// controller.tell("alice", AgentEvent::Woke(Tokens { input: 900, output: 100 }))?;
///
/// controller.pause_agent("alice").await?;
/// controller.tell("alice", AgentEvent::MessageArrived)?;
/// controller.tell("alice", AgentEvent::MessageArrived)?;
/// controller.resume_agent("alice", None).await?;
/// controller.tell("alice", AgentEvent::HandedOver { messages: 2 })?;
///
/// let savings = controller.token_savings("alice");
/// assert_eq!((savings.saved, savings.total, savings.percentage), (1_000, 1_000, 50.0));
/// # Ok::<(), ControlError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AgentController {
    inner: Arc<Inner>,
    _timers: DropGuard,
}

impl AgentController {
    /// A controller without agents.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::{AgentController, ControllerConfig, QueryController};
    ///
    /// let controller = AgentController::new(ControllerConfig::default())?;
    /// assert!(controller.definitions().is_empty());
    ///
    /// let config = ControllerConfig { max_agents: 0, ..ControllerConfig::default() };
    /// let error = AgentController::new(config).err().expect("for nobody");
    /// assert_eq!(error.to_string(), "maxAgents is 0, expected at least 1; nothing changed");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::Invalid`] for a setting.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    pub fn new(config: ControllerConfig) -> Result<Self, ControlError> {
        if config.host_timeout.is_zero() {
            return Err(invalid("hostTimeout", "0", "more than 0"));
        }
        if config.max_agents == 0 {
            return Err(invalid("maxAgents", "0", "at least 1"));
        }
        let bell = Arc::new(Notify::new());
        let (books, definitions) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { config, started: Instant::now(), books, definitions, bell: Arc::clone(&bell) });
        let stop = CancellationToken::new();
        tokio::spawn(run_timers(Arc::downgrade(&inner), bell, stop.clone()));
        Ok(Self { inner, _timers: stop.drop_guard() })
    }

    /// Adds a definition that coordinators make their peers of.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::{AgentController, AgentDefinition, ControllerConfig, QueryController};
    /// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
    /// use std::sync::Arc;
    ///
    /// let controller = AgentController::new(ControllerConfig::default())?;
    /// let definition = AgentDefinition {
    ///     capabilities: vec!["rust".to_owned()],
    ///     agent: Arc::new(FnAgent::new(|_| async { AttemptEnd::ok(Output::None) })),
    ///     kind: "function".to_owned(),
    ///     max_concurrent_tasks: None,
    ///     wake: None,
    /// };
    /// controller.register(definition.clone())?;
    /// assert_eq!(controller.definitions().len(), 1);
    /// let error = controller.register(AgentDefinition { max_concurrent_tasks: Some(0), ..definition }).unwrap_err();
    /// assert_eq!(error.to_string(), "maxConcurrentTasks is 0, expected at least 1; nothing changed");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::Invalid`], [`ControlError::TooMany`].
    pub fn register(&self, definition: AgentDefinition) -> Result<(), ControlError> {
        check_wake(definition.wake.as_ref())?;
        if definition.max_concurrent_tasks == Some(0) {
            return Err(invalid("maxConcurrentTasks", "0", "at least 1"));
        }
        let limit = self.inner.config.max_agents;
        let mut definitions = self.inner.definitions();
        if definitions.len() >= limit as usize {
            return Err(ControlError::TooMany { limit });
        }
        definitions.push(definition);
        Ok(())
    }

    /// [`QueryController::pause_agent`] with a reason; one that is paused already is paused for this reason from now
    /// on.
    ///
    /// ```
    /// # use futures_util::future::BoxFuture;
    /// # struct Host;
    /// # impl meshwork::controller::AgentHost for Host {
    /// #     fn pause<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: meshwork_core::PauseReason,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// #     fn resume<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: Option<&'a str>,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork_core::PauseReason;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// controller.pause_agent_for("alice", PauseReason::RateLimit).await?;
    /// assert!(controller.is_paused("alice"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`], [`ControlError::Failed`].
    pub async fn pause_agent_for(&self, agent_id: &str, reason: PauseReason) -> Result<(), ControlError> {
        self.perform(agent_id, Deed::Pause(reason)).await
    }

    /// Whether an agent is paused; an unknown one is not.
    ///
    /// ```
    /// # use futures_util::future::BoxFuture;
    /// # struct Host;
    /// # impl meshwork::controller::AgentHost for Host {
    /// #     fn pause<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: meshwork_core::PauseReason,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// #     fn resume<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: Option<&'a str>,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::QueryController;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// assert!(!controller.is_paused("alice"));
    /// controller.pause_agent("alice").await?;
    /// assert!(controller.is_paused("alice"));
    /// assert!(!controller.is_paused("nobody"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_paused(&self, agent_id: &str) -> bool {
        self.inner.books().is_paused(agent_id)
    }

    /// What a report says beside [`TokenSavings`] of an agent: its wakes, and those that were avoided.
    ///
    /// ```
    /// # use futures_util::future::BoxFuture;
    /// # struct Host;
    /// # impl meshwork::controller::AgentHost for Host {
    /// #     fn pause<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: meshwork_core::PauseReason,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// #     fn resume<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: Option<&'a str>,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::{AgentEvent, QueryController};
    /// use meshwork_core::Tokens;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// controller.tell("alice", AgentEvent::Woke(Tokens { input: 900, output: 100 }))?;
    /// controller.pause_agent("alice").await?;
    /// controller.tell("alice", AgentEvent::MessageArrived)?;
    /// controller.tell("alice", AgentEvent::MessageArrived)?;
    /// controller.resume_agent("alice", None).await?;
    /// controller.tell("alice", AgentEvent::HandedOver { messages: 2 })?;
    /// assert_eq!(controller.savings("alice").wakes_avoided, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn savings(&self, agent_id: &str) -> Savings {
        self.inner.savings(|id, _| id == agent_id)
    }

    /// The same of a swarm.
    ///
    /// ```
    /// # use futures_util::future::BoxFuture;
    /// # struct Host;
    /// # impl meshwork::controller::AgentHost for Host {
    /// #     fn pause<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: meshwork_core::PauseReason,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// #     fn resume<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: Option<&'a str>,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::{AgentEvent, QueryController};
    /// use meshwork_core::Tokens;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// for id in ["alice", "bob"] {
    ///     controller.tell(id, AgentEvent::Spent(Tokens { input: 900, output: 100 }))?;
    /// }
    /// assert_eq!(controller.mesh_savings("reviews").total, 2_000);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn mesh_savings(&self, swarm_id: &str) -> Savings {
        self.inner.savings(|_, swarm| swarm == swarm_id)
    }

    /// Scheduled wakes of an agent that failed or took too long; 0 for an unknown one. What they cost is not known, so
    /// they are neither in its [savings](Self::savings) nor in its tokens.
    ///
    /// ```
    /// # use futures_util::future::BoxFuture;
    /// # struct Host;
    /// # impl meshwork::controller::AgentHost for Host {
    /// #     fn pause<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: meshwork_core::PauseReason,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// #     fn resume<'a>(
    /// #         &'a self,
    /// #         _: &'a str,
    /// #         _: Option<&'a str>,
    /// #     ) -> BoxFuture<'a, Result<(), meshwork::controller::ControlError>> {
    /// #         Box::pin(async { Ok(()) })
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::controller::{Attachment, QueryController, Wake, WakeSchedule};
    /// use meshwork_core::Tokens;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use tokio::sync::Notify;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// struct Fails(Arc<Notify>);
    ///
    /// impl Wake for Fails {
    ///     fn wake<'a>(&'a self, _agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
    ///         self.0.notify_one();
    ///         Box::pin(async { Err("the model did not answer".to_owned()) })
    ///     }
    /// }
    ///
    /// let woken = Arc::new(Notify::new());
    /// let wake = WakeSchedule::new(Duration::from_millis(1), Arc::new(Fails(woken.clone())));
    /// let (swarm_id, agent_id, kind) = ("reviews".to_owned(), "eve".to_owned(), "llm".to_owned());
    /// controller.attach(Attachment { swarm_id, agent_id, kind, wake: Some(wake) }, Arc::new(Host))?;
    /// // The second one comes when the first has ended.
    /// woken.notified().await;
    /// woken.notified().await;
    /// assert!(controller.failed_wakes("eve") >= 1);
    /// assert_eq!(controller.failed_wakes("alice"), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn failed_wakes(&self, agent_id: &str) -> u64 {
        self.inner.books().failed_wakes(agent_id)
    }

    async fn perform(&self, agent: &str, deed: Deed<'_>) -> Result<(), ControlError> {
        let Hold { host, turn } = self.inner.books().hold(agent)?;
        let _one_at_a_time = turn.lock().await;
        let most = self.inner.config.host_timeout;
        let (answer, what, event) = match deed {
            Deed::Pause(reason) => (host.pause(agent, reason), "paused", AgentEvent::Paused),
            Deed::Resume(checkpoint) => (host.resume(agent, checkpoint), "resumed", AgentEvent::Resumed),
        };
        let late = |_| ControlError::Failed(format!("no answer within {most:?}; nobody knows whether it was {what}"));
        timeout(most, answer).await.map_err(late)??;
        // One that left meanwhile was told of that by its host.
        self.inner.tell(agent, event)
    }

    async fn perform_all(&self, agents: &[String], deed: Deed<'_>) -> Result<(), ControlError> {
        let mut named = BTreeSet::new();
        let agents = agents.iter().filter(|agent| named.insert(*agent));
        let each = agents.map(async |agent| self.perform(agent, deed).await.map_err(|error| (agent.clone(), error)));
        let failures: Vec<_> = join_all(each).await.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() { Ok(()) } else { Err(ControlError::Several { failures }) }
    }
}

impl QueryController for AgentController {
    fn pause_agent<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(self.perform(agent_id, Deed::Pause(self.inner.config.default_reason)))
    }

    fn resume_agent<'a>(
        &'a self,
        agent_id: &'a str,
        checkpoint_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(self.perform(agent_id, Deed::Resume(checkpoint_id)))
    }

    fn pause_peers<'a>(
        &'a self,
        peer_ids: &'a [String],
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move {
            let reason = reason.map_or(Ok(self.inner.config.default_reason), pause_reason)?;
            self.perform_all(peer_ids, Deed::Pause(reason)).await
        })
    }

    fn resume_peers<'a>(&'a self, peer_ids: &'a [String]) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(self.perform_all(peer_ids, Deed::Resume(None)))
    }

    fn token_savings(&self, agent_id: &str) -> TokenSavings {
        self.savings(agent_id).into()
    }

    fn mesh_token_savings(&self, swarm_id: &str) -> TokenSavings {
        self.mesh_savings(swarm_id).into()
    }

    fn definitions(&self) -> Vec<AgentDefinition> {
        self.inner.definitions().clone()
    }

    fn attach(&self, agent: Attachment, host: Arc<dyn AgentHost>) -> Result<bool, ControlError> {
        check_wake(agent.wake.as_ref())?;
        self.inner.books().attach(agent, host, self.inner.config.max_agents, self.inner.now())?;
        self.inner.bell.notify_one();
        Ok(true)
    }

    fn detach(&self, agent_id: &str) {
        self.inner.books().detach(agent_id, self.inner.now().1);
        self.inner.bell.notify_one();
    }

    fn tell(&self, agent_id: &str, event: AgentEvent) -> Result<(), ControlError> {
        self.inner.tell(agent_id, event)
    }
}
