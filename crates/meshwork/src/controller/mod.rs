//! Who pauses and resumes agents, and counts what that saves (seed, section 8).
//!
//! [`QueryController`] is object-safe, so that a controller of somebody else fits. [`AgentController`] is ours: it
//! knows the agents that a host attached to it, wakes those that have a schedule, and keeps a ledger for each.

mod agents;
mod books;
mod told;
mod words;

#[cfg(test)]
mod tests;

pub use agents::{AgentController, ControllerConfig};
pub(crate) use told::events_of;
pub use words::{AgentDefinition, AgentEvent, AgentHost, Attachment, Wake, WakeSchedule, pause_reason};

use std::sync::Arc;

use futures_util::future::BoxFuture;
use meshwork_core::savings::Savings;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Tokens that pausing saved: measured, never assumed (the seed's `TokenSavings`).
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
/// use meshwork::controller::{QueryController, TokenSavings};
///
/// # let controller = meshwork::controller::AgentController::new(Default::default())?;
/// # for id in ["alice", "bob"] {
/// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
/// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
/// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
/// # }
/// let savings: TokenSavings = controller.token_savings("alice");
/// assert_eq!((savings.saved, savings.total, savings.percentage), (0, 0, 0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenSavings {
    /// Wakes that did not happen, times the measured tokens of a wake, less what the first turns after a pause cost
    /// more than others; never below 0.
    pub saved: u64,
    /// Tokens that were spent, as the agents reported them.
    pub total: u64,
    /// 100 × saved ÷ (saved + total); 0 when both are 0.
    pub percentage: f64,
    /// How long agents were paused, in ms.
    pub pause_duration_ms: u64,
    /// How long they were there and not paused, in ms.
    pub active_duration_ms: u64,
}

impl From<Savings> for TokenSavings {
    fn from(savings: Savings) -> Self {
        let Savings { saved, total, pause_ms, active_ms, .. } = savings;
        let all = u128::from(saved) + u128::from(total);
        let percentage = if all == 0 { 0.0 } else { 100.0 * saved as f64 / all as f64 };
        Self { saved, total, percentage, pause_duration_ms: pause_ms, active_duration_ms: active_ms }
    }
}

/// Why a controller did not do what it was asked.
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
/// use meshwork::controller::{ControlError, QueryController};
///
/// # let controller = meshwork::controller::AgentController::new(Default::default())?;
/// # for id in ["alice", "bob"] {
/// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
/// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
/// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
/// # }
/// let error = controller.pause_agent("nobody").await.unwrap_err();
/// assert_eq!(error, ControlError::UnknownAgent { id: "nobody".to_owned() });
/// assert_eq!(error.to_string(), r#"there is no agent "nobody"; nothing changed"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ControlError {
    /// Nobody here knows such an agent.
    #[error("there is no agent {id:?}; nothing changed")]
    UnknownAgent {
        /// What was asked for.
        id: String,
    },
    /// There is no such checkpoint of the agent; the agent is as it was.
    #[error("agent {agent:?} has no checkpoint {checkpoint:?}; it is as it was")]
    UnknownCheckpoint {
        /// The agent.
        agent: String,
        /// What was asked for.
        checkpoint: String,
    },
    /// The reason is none.
    #[error("the pause reason is {found:?}, expected one of idle, user, budget, rate-limit, shutdown; nothing changed")]
    UnknownReason {
        /// What was found.
        found: String,
    },
    /// Another host has an agent of that id; an id names one agent of a controller.
    #[error("agent {id:?} is attached already, by swarm {swarm:?}; nothing changed")]
    AlreadyAttached {
        /// The agent.
        id: String,
        /// The swarm that attached it.
        swarm: String,
    },
    /// A controller knows so many agents, or definitions.
    #[error("there are {limit} already, which is the limit; nothing changed")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// A field is not what it should be.
    #[error("{field} is {found}, expected {expected}; nothing changed")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Some of a batch failed; the others did what was asked.
    #[error("{}", several(.failures))]
    Several {
        /// The agents that failed, and why.
        failures: Vec<(String, ControlError)>,
    },
    /// The agent itself failed, or whoever holds it.
    #[error("{0}")]
    Failed(String),
}

fn several(failures: &[(String, ControlError)]) -> String {
    let each: Vec<String> = failures.iter().map(|(id, error)| format!("{id}: {error}")).collect();
    format!("{} of the agents failed: {}", failures.len(), each.join("; "))
}

/// Pauses and resumes agents. The seed's `IQueryController` in Rust habits.
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
/// # use std::sync::Arc;
/// use meshwork::controller::{AgentEvent, QueryController};
/// use meshwork_core::Tokens;
///
/// # let controller = meshwork::controller::AgentController::new(Default::default())?;
/// # for id in ["alice", "bob"] {
/// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
/// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
/// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
/// # }
/// // Ours, to which a coordinator has attached Alice and Bob; anybody's would do.
/// # let controller: Arc<dyn QueryController> = Arc::new(controller);
/// controller.pause_agent("alice").await?;
/// controller.resume_agent("alice", None).await?;
/// controller.tell("alice", AgentEvent::Turn(Tokens { input: 900, output: 100 }))?;
/// assert_eq!(controller.token_savings("alice").total, 1_000);
/// # Ok(())
/// # }
/// ```
pub trait QueryController: Send + Sync + 'static {
    /// The agent gets no new work. To pause a paused one is no error.
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
    /// controller.pause_agent("alice").await?;
    /// controller.pause_agent("alice").await?;
    /// assert!(controller.is_paused("alice") && !controller.is_paused("bob"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`], [`ControlError::Failed`].
    fn pause_agent<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<(), ControlError>>;

    /// The agent gets work again; with a checkpoint, from there on.
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
    /// controller.pause_agent("alice").await?;
    /// controller.resume_agent("alice", None).await?;
    /// assert!(!controller.is_paused("alice"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`], [`ControlError::UnknownCheckpoint`], [`ControlError::Failed`].
    fn resume_agent<'a>(
        &'a self,
        agent_id: &'a str,
        checkpoint_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>>;

    /// Pauses all of them, at the same time.
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
    /// use meshwork::controller::{ControlError, QueryController};
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// let peers = ["alice", "bob", "nobody"].map(str::to_owned);
    /// let error = controller.pause_peers(&peers, Some("budget")).await.unwrap_err();
    /// let ControlError::Several { failures } = error else { panic!("one is not there") };
    /// assert_eq!(failures[0].0, "nobody");
    /// assert!(controller.is_paused("alice") && controller.is_paused("bob"));
    /// assert!(controller.pause_peers(&peers, Some("boredom")).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::Several`] after each was tried; [`ControlError::UnknownReason`] before any was.
    fn pause_peers<'a>(
        &'a self,
        peer_ids: &'a [String],
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), ControlError>>;

    /// Resumes all of them, at the same time.
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
    /// let peers = ["alice", "bob"].map(str::to_owned);
    /// controller.pause_peers(&peers, None).await?;
    /// controller.resume_peers(&peers).await?;
    /// assert!(!controller.is_paused("alice") && !controller.is_paused("bob"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::Several`] after each was tried.
    fn resume_peers<'a>(&'a self, peer_ids: &'a [String]) -> BoxFuture<'a, Result<(), ControlError>>;

    /// What pausing this agent saved until now; nothing for an unknown one.
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
    /// // Two messages arrive while she is paused, and are handed over as one.
    /// controller.pause_agent("alice").await?;
    /// controller.tell("alice", AgentEvent::MessageArrived)?;
    /// controller.tell("alice", AgentEvent::MessageArrived)?;
    /// controller.resume_agent("alice", None).await?;
    /// controller.tell("alice", AgentEvent::HandedOver { messages: 2 })?;
    /// assert_eq!(controller.token_savings("alice").saved, 1_000);
    /// assert_eq!(controller.token_savings("nobody").saved, 0);
    /// # Ok(())
    /// # }
    /// ```
    fn token_savings(&self, agent_id: &str) -> TokenSavings;

    /// The sum over a swarm's agents; nothing for an unknown swarm.
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
    ///     controller.tell(id, AgentEvent::Turn(Tokens { input: 900, output: 100 }))?;
    /// }
    /// assert_eq!(controller.mesh_token_savings("reviews").total, 2_000);
    /// assert_eq!(controller.mesh_token_savings("nothing").total, 0);
    /// # Ok(())
    /// # }
    /// ```
    fn mesh_token_savings(&self, swarm_id: &str) -> TokenSavings;

    /// What a coordinator makes its peers of, one after the other. None, unless a controller has some.
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
    /// use meshwork::controller::{AgentDefinition, QueryController};
    /// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
    /// use std::sync::Arc;
    ///
    /// # let controller = meshwork::controller::AgentController::new(Default::default())?;
    /// # for id in ["alice", "bob"] {
    /// #     let (swarm_id, agent_id, kind) = ("reviews".to_owned(), id.to_owned(), "llm".to_owned());
    /// #     let agent = meshwork::controller::Attachment { swarm_id, agent_id, kind, wake: None };
    /// #     meshwork::controller::QueryController::attach(&controller, agent, std::sync::Arc::new(Host))?;
    /// # }
    /// assert!(controller.definitions().is_empty());
    /// controller.register(AgentDefinition {
    ///     capabilities: vec!["rust".to_owned()],
    ///     agent: Arc::new(FnAgent::new(|_| async { AttemptEnd::ok(Output::None) })),
    ///     kind: "function".to_owned(),
    ///     max_concurrent_tasks: None,
    ///     wake: None,
    /// })?;
    /// assert_eq!(controller.definitions()[0].capabilities, ["rust"]);
    /// # Ok(())
    /// # }
    /// ```
    fn definitions(&self) -> Vec<AgentDefinition> {
        Vec::new()
    }

    /// A host says that it has an agent, which is active and idle. `true`: the controller takes it, pauses and
    /// resumes it through the host, and is [told](QueryController::tell) what happens to it until it is
    /// [detached](QueryController::detach). A controller that knows its agents from elsewhere answers `false`.
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
    /// use meshwork::controller::{Attachment, ControlError, QueryController};
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
    /// assert!(controller.attach(eve.clone(), Arc::new(Host))?);
    /// let again = controller.attach(eve, Arc::new(Host));
    /// assert!(matches!(again, Err(ControlError::AlreadyAttached { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::AlreadyAttached`], [`ControlError::TooMany`], [`ControlError::Invalid`].
    fn attach(&self, agent: Attachment, host: Arc<dyn AgentHost>) -> Result<bool, ControlError> {
        let _elsewhere = (agent, host);
        Ok(false)
    }

    /// The agent is gone. What it saved is still known.
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
    /// controller.detach("alice");
    /// assert!(controller.pause_agent("alice").await.is_err());
    /// assert_eq!(controller.token_savings("alice").total, 1_000);
    /// # Ok(())
    /// # }
    /// ```
    fn detach(&self, agent_id: &str) {
        let _elsewhere = agent_id;
    }

    /// A host tells what happened to an agent that the controller took.
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
    /// controller.tell("alice", AgentEvent::Busy)?;
    /// controller.tell("alice", AgentEvent::Turn(Tokens { input: 900, output: 100 }))?;
    /// controller.tell("alice", AgentEvent::Idle)?;
    /// assert_eq!(controller.token_savings("alice").total, 1_000);
    /// assert!(controller.tell("nobody", AgentEvent::Busy).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`].
    fn tell(&self, agent_id: &str, event: AgentEvent) -> Result<(), ControlError> {
        let _elsewhere = (agent_id, event);
        Ok(())
    }
}
