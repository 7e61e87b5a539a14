//! What a controller and the hosts of agents say to each other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use meshwork_core::{PauseReason, Tokens};

use super::ControlError;
use crate::mesh::Agent;

/// The reason that a word names.
///
/// ```
/// use meshwork::controller::pause_reason;
/// use meshwork_core::PauseReason;
///
/// assert_eq!(pause_reason("rate-limit"), Ok(PauseReason::RateLimit));
/// assert_eq!(
///     pause_reason("boredom").unwrap_err().to_string(),
///     r#"the pause reason is "boredom", expected one of idle, user, budget, rate-limit, shutdown; nothing changed"#
/// );
/// ```
///
/// # Errors
/// [`ControlError::UnknownReason`].
pub fn pause_reason(word: &str) -> Result<PauseReason, ControlError> {
    let reasons =
        [PauseReason::Idle, PauseReason::User, PauseReason::Budget, PauseReason::RateLimit, PauseReason::Shutdown];
    let reason = reasons.into_iter().find(|reason| reason.word() == word);
    reason.ok_or_else(|| ControlError::UnknownReason { found: word.to_owned() })
}

/// What a peer can be made of. A coordinator takes the definitions in turn until it has the peers that it wants.
///
/// ```
/// use meshwork::controller::AgentDefinition;
/// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
/// use std::sync::Arc;
///
/// let reviewer = AgentDefinition {
///     capabilities: vec!["code-review".to_owned()],
///     agent: Arc::new(FnAgent::new(|attempt| async move {
///         AttemptEnd::ok(Output::Json(format!(r#"{{"reviewed": "{}"}}"#, attempt.spec().id)))
///     })),
///     kind: "function".to_owned(),
///     max_concurrent_tasks: Some(2),
///     wake: None,
/// };
/// assert!(!reviewer.agent.uses_session());
/// ```
#[derive(Clone)]
pub struct AgentDefinition {
    /// What the peer can do.
    pub capabilities: Vec<String>,
    /// What runs its tasks.
    pub agent: Arc<dyn Agent>,
    /// Its kind (`shell`, `llm`, …): agents of one kind cost about the same.
    pub kind: String,
    /// Tasks at the same time; `None`: as many as the coordinator says.
    pub max_concurrent_tasks: Option<u32>,
    /// How it is woken while it is idle; `None`: never.
    pub wake: Option<WakeSchedule>,
}

/// How often an idle agent is woken, and how.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::future::BoxFuture;
/// use meshwork::controller::{Wake, WakeSchedule};
/// use meshwork_core::Tokens;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// struct Look;
///
/// impl Wake for Look {
///     fn wake<'a>(&'a self, _agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
///         Box::pin(async { Ok(Tokens { input: 900, output: 100 }) })
///     }
/// }
///
/// let each_minute = WakeSchedule::new(Duration::from_secs(60), Arc::new(Look));
/// assert_eq!(each_minute.wake.wake("alice").await, Ok(Tokens { input: 900, output: 100 }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WakeSchedule {
    /// From the moment that it became idle on; at least 1 ms.
    pub every: Duration,
    /// How long a turn may take, at least 1 ms. One that takes longer is ended and counted as
    /// [failed](super::AgentController::failed_wakes), and the next comes when it is due.
    pub timeout: Duration,
    /// How.
    pub wake: Arc<dyn Wake>,
}

impl WakeSchedule {
    /// How long a turn may take where nobody says: 10 minutes. As long as clients of language models wait for one
    /// answer; a turn that takes longer has almost certainly hung.
    pub const TIMEOUT: Duration = Duration::from_secs(600);

    /// One with the usual [timeout](Self::TIMEOUT).
    ///
    /// ```
    /// use futures_util::future::BoxFuture;
    /// use meshwork::controller::{Wake, WakeSchedule};
    /// use meshwork_core::Tokens;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// struct Look;
    ///
    /// impl Wake for Look {
    ///     fn wake<'a>(&'a self, _agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
    ///         Box::pin(async { Ok(Tokens { input: 900, output: 100 }) })
    ///     }
    /// }
    ///
    /// let each_minute = WakeSchedule::new(Duration::from_secs(60), Arc::new(Look));
    /// assert_eq!(each_minute.timeout, WakeSchedule::TIMEOUT);
    /// ```
    #[must_use]
    pub fn new(every: Duration, wake: Arc<dyn Wake>) -> Self {
        Self { every, timeout: Self::TIMEOUT, wake }
    }
}

/// Gives an idle agent a turn without a task.
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
/// struct Look(Arc<Notify>);
///
/// impl Wake for Look {
///     fn wake<'a>(&'a self, _agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
///         self.0.notify_one();
///         Box::pin(async { Ok(Tokens { input: 900, output: 100 }) })
///     }
/// }
///
/// let looked = Arc::new(Notify::new());
/// let wake = WakeSchedule::new(Duration::from_millis(1), Arc::new(Look(looked.clone())));
/// let (swarm_id, agent_id, kind) = ("reviews".to_owned(), "eve".to_owned(), "llm".to_owned());
/// controller.attach(Attachment { swarm_id, agent_id, kind, wake: Some(wake) }, Arc::new(Host))?;
/// looked.notified().await;
/// # Ok(())
/// # }
/// ```
pub trait Wake: Send + Sync + 'static {
    /// Ends when the turn does, with what it cost. Those tokens are counted by the controller, which tells the host of
    /// them: no host tells them again.
    /// Dropped when it takes longer than its [`WakeSchedule::timeout`]; so it must not block its thread.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::future::BoxFuture;
    /// use meshwork::controller::Wake;
    /// use meshwork_core::Tokens;
    ///
    /// struct Look;
    ///
    /// impl Wake for Look {
    ///     fn wake<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
    ///         // A turn costs what its name does here.
    ///         Box::pin(async move { Ok(Tokens { input: agent_id.len() as u64, output: 1 }) })
    ///     }
    /// }
    ///
    /// assert_eq!(Look.wake("alice").await, Ok(Tokens { input: 5, output: 1 }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why it failed. What it cost is not known then, and it is no measure.
    fn wake<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>>;
}

/// Who holds agents, and can pause and resume them: a coordinator its peers.
///
/// A controller keeps the host until the agent is detached; a host that keeps the controller too is best made of weak
/// references.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::future::BoxFuture;
/// use meshwork::controller::{
///
///     AgentController, AgentHost, Attachment, ControlError, ControllerConfig, QueryController,
/// };
/// use meshwork_core::PauseReason;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Host(Mutex<Vec<String>>);
///
/// impl AgentHost for Host {
///     fn pause<'a>(&'a self, id: &'a str, reason: PauseReason) -> BoxFuture<'a, Result<(), ControlError>> {
///         self.0.lock().unwrap().push(format!("{id} is paused: {}", reason.word()));
///         Box::pin(async { Ok(()) })
///     }
///
///     fn resume<'a>(&'a self, id: &'a str, _from: Option<&'a str>) -> BoxFuture<'a, Result<(), ControlError>> {
///         self.0.lock().unwrap().push(format!("{id} goes on"));
///         Box::pin(async { Ok(()) })
///     }
/// }
///
/// let (controller, host) = (AgentController::new(ControllerConfig::default())?, Arc::new(Host::default()));
/// let (swarm_id, agent_id, kind) = ("reviews".to_owned(), "alice".to_owned(), "llm".to_owned());
/// controller.attach(Attachment { swarm_id, agent_id, kind, wake: None }, host.clone())?;
/// controller.pause_agent("alice").await?;
/// controller.resume_agent("alice", None).await?;
/// assert_eq!(*host.0.lock().unwrap(), ["alice is paused: user", "alice goes on"]);
/// # Ok(())
/// # }
/// ```
pub trait AgentHost: Send + Sync + 'static {
    /// The agent gets no new work. It may be paused already, also for another reason.
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
    /// use meshwork::controller::AgentHost;
    /// use meshwork_core::PauseReason;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// // What a controller calls; `Host` takes every wish.
    /// assert_eq!(Host.pause("alice", PauseReason::Idle).await, Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`], [`ControlError::Failed`]: the agent is as it was.
    fn pause<'a>(&'a self, agent_id: &'a str, reason: PauseReason) -> BoxFuture<'a, Result<(), ControlError>>;

    /// The agent gets work again; with a checkpoint, from there on. It may not be paused at all.
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
    /// use meshwork::controller::AgentHost;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// // What a controller calls; `Host` takes every wish.
    /// assert_eq!(Host.resume("alice", Some("cp-1")).await, Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`], [`ControlError::UnknownCheckpoint`], [`ControlError::Failed`]: the agent is as
    /// it was.
    fn resume<'a>(
        &'a self,
        agent_id: &'a str,
        checkpoint_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>>;

    /// A scheduled wake of the agent has ended: with what it cost, which the controller has counted, or with why it
    /// failed or was ended.
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
    /// use meshwork::controller::AgentHost;
    /// use meshwork_core::Tokens;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// // What a controller calls. `Host` has no use for it: by default a failed wake is warned of.
    /// Host.woke("alice", Ok(Tokens { input: 900, output: 100 }));
    /// Host.woke("alice", Err("the model did not answer"));
    /// # Ok(())
    /// # }
    /// ```
    fn woke(&self, agent_id: &str, ended: Result<Tokens, &str>) {
        if let Err(error) = ended {
            tracing::warn!(agent = agent_id, error, "a wake failed");
        }
    }
}

/// An agent that a host attaches.
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
/// use meshwork::controller::{Attachment, QueryController};
/// use std::sync::Arc;
///
/// # let controller = meshwork::controller::AgentController::new(Default::default())?;
/// # for id in ["alice", "bob"] {
/// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
/// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
/// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
/// # }
/// let eve = Attachment {
///     swarm_id: "reviews".to_owned(),
///     agent_id: "eve".to_owned(),
///     kind: "llm".to_owned(),
///     wake: None,
/// };
/// // `Host` can pause and resume her.
/// controller.attach(eve, Arc::new(Host))?;
/// controller.pause_agent("eve").await?;
/// assert!(controller.is_paused("eve"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Attachment {
    /// The swarm that it is of.
    pub swarm_id: String,
    /// Its id, which no other agent of the controller has.
    pub agent_id: String,
    /// Its kind, as in [`AgentDefinition::kind`].
    pub kind: String,
    /// How it is woken while it is idle; `None`: never.
    pub wake: Option<WakeSchedule>,
}

/// What happened to an agent. Every token is told once: as part of a wake, of a turn, or of neither.
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
/// controller.tell("alice", AgentEvent::Turn(Tokens { input: 900, output: 100 }))?;
/// controller.tell("alice", AgentEvent::Spent(Tokens { input: 50, output: 0 }))?;
/// assert_eq!(controller.token_savings("alice").total, 1_050);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentEvent {
    /// It spent tokens outside of turns and wakes.
    Spent(Tokens),
    /// It took a turn on a task, which cost that.
    Turn(Tokens),
    /// It took a turn without a task, such as for one message, which cost that. The scheduled ones are measured by the
    /// controller.
    Woke(Tokens),
    /// It has work: it is not woken.
    Busy,
    /// It has none.
    Idle,
    /// It was paused by somebody else than this controller.
    Paused,
    /// It was resumed by somebody else, such as by work.
    Resumed,
    /// A message for it arrived.
    MessageArrived,
    /// So many messages were handed over to it together.
    HandedOver {
        /// How many.
        messages: u64,
    },
}
