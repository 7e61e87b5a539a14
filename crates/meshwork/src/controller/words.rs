//! What a controller and the hosts of agents say to each other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use meshwork_core::{PauseReason, Tokens};

use super::ControlError;
use crate::mesh::Agent;

/// The reason that a word names.
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
    #[must_use]
    pub fn new(every: Duration, wake: Arc<dyn Wake>) -> Self {
        Self { every, timeout: Self::TIMEOUT, wake }
    }
}

/// Gives an idle agent a turn without a task.
pub trait Wake: Send + Sync + 'static {
    /// Ends when the turn does, with what it cost. Those tokens are counted by the controller, which tells the host of
    /// them: no host tells them again.
    /// Dropped when it takes longer than its [`WakeSchedule::timeout`]; so it must not block its thread.
    ///
    /// # Errors
    /// Why it failed. What it cost is not known then, and it is no measure.
    fn wake<'a>(&'a self, agent_id: &'a str) -> BoxFuture<'a, Result<Tokens, String>>;
}

/// Who holds agents, and can pause and resume them: a coordinator its peers.
///
/// A controller keeps the host until the agent is detached; a host that keeps the controller too is best made of weak
/// references.
pub trait AgentHost: Send + Sync + 'static {
    /// The agent gets no new work. It may be paused already, also for another reason.
    ///
    /// # Errors
    /// [`ControlError::UnknownAgent`], [`ControlError::Failed`]: the agent is as it was.
    fn pause<'a>(&'a self, agent_id: &'a str, reason: PauseReason) -> BoxFuture<'a, Result<(), ControlError>>;

    /// The agent gets work again; with a checkpoint, from there on. It may not be paused at all.
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
    fn woke(&self, agent_id: &str, ended: Result<Tokens, &str>) {
        if let Err(error) = ended {
            tracing::warn!(agent = agent_id, error, "a wake failed");
        }
    }
}

/// An agent that a host attaches.
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
