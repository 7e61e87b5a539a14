//! The coordinator. Agents that are functions are in `agent`, what they may do in `attempt`.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over values")]

mod agent;
mod attempt;
mod config;
mod failure;
mod logger;
mod program;

use std::sync::Arc;

use meshwork::consensus::{Proposal, Vote};
use meshwork::controller::AgentDefinition;
use meshwork::coordinator::{
    AgentOptions, CoordinatorError, Dependencies, MeshCoordinator, MeshCoordinatorConfig, MeshTask,
};
use napi::bindgen_prelude::{External, within_runtime_if_available};
use napi::{Either, Env, Result};
use napi_derive::napi;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifacts::AnyArtifacts;
use crate::broker::AnyBroker;
use crate::calls::{CallQueue, Calls, Given, JsFunction};
use crate::config::{parsed, without_place};
use crate::controller::AnyController;
use crate::failure::Failure;
use crate::foreign::broker::ForeignBroker;
use crate::memory::AnyMemory;
use crate::outcome::{Outcome, Soon, done, failed, soon, told};
use agent::{Definition, Home, Usage};
use logger::JsLogger;

/// Tasks as JavaScript wrote them.
fn tasks<T: DeserializeOwned>(text: &str) -> std::result::Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new("InvalidTask", format!("a task can't be used: {}; nothing changed", without_place(&error)))
    })
}

/// A coordinator's configuration, and how many peers it names.
pub(crate) fn settings(text: &str) -> std::result::Result<(MeshCoordinatorConfig, Option<u32>), Failure> {
    let config = parsed::<config::Config>(text)?;
    let names_peers = config.names_peers();
    let config = config.judged()?;
    let peers = names_peers.then_some(config.peer_count);
    Ok((config, peers))
}

/// What `spawnAgent` is given.
#[derive(Deserialize)]
struct Spawn {
    id: Option<String>,
    definition: Definition,
}

/// How a voter answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ballot {
    Plain(bool),
    Reasoned { approve: bool, reason: Option<String> },
}

/// A vote that can't be had is a rejection that says why.
async fn vote_of(function: JsFunction, proposal: Proposal) -> Vote {
    let given = json!([{
        "ballotId": proposal.ballot_id,
        "swarmId": proposal.swarm_id,
        "voterId": proposal.voter_id,
        "content": proposal.content,
    }]);
    let said = function.call(given.to_string(), None).await.map(Given::value);
    match said.map(serde_json::from_value::<Ballot>) {
        Ok(Ok(Ballot::Plain(approve))) => Vote { approve, reason: None },
        Ok(Ok(Ballot::Reasoned { approve, reason })) => Vote { approve, reason },
        Ok(Err(_)) => Vote::reject().because("the voter answered neither a boolean nor {approve, reason}"),
        Err(failure) => Vote::reject().because(failure.message),
    }
}

/// The coordinator.
#[napi]
pub struct Coordinator {
    home: Arc<Home>,
    calls: Calls,
}

/// What a coordinator is made with, beside its configuration.
#[napi]
pub struct CoordinatorDependencies(Dependencies);

#[napi]
impl CoordinatorDependencies {
    /// These objects, and a function that is told `[level, message, context]`.
    #[napi(constructor)]
    pub fn new(
        calls: &CallQueue,
        message_bus: &External<AnyBroker>,
        query_controller: &External<AnyController>,
        artifact_storage: &External<AnyArtifacts>,
        swarm_memory: &External<AnyMemory>,
        logger: u32,
    ) -> Self {
        Self(Dependencies {
            message_bus: Arc::clone(&message_bus.0),
            query_controller: Arc::clone(&query_controller.0),
            artifact_storage: Arc::clone(&artifact_storage.0),
            swarm_memory: Arc::clone(&swarm_memory.0),
            logger: Arc::new(JsLogger(calls.calls.function(logger))),
        })
    }
}

#[napi]
impl Coordinator {
    /// A coordinator with this configuration and these agents, or why not.
    #[napi(catch_unwind)]
    pub fn make(
        calls: &CallQueue,
        config: String,
        agents: String,
        dependencies: &CoordinatorDependencies,
    ) -> Either<Coordinator, String> {
        Self::of(calls, &agents, dependencies, |dependencies, agents| {
            let (config, _) = settings(&config)?;
            Ok(MeshCoordinator::with_agents(config, dependencies, agents)?)
        })
    }

    /// The coordinator that `make` makes of these agents, or why not.
    pub(crate) fn of(
        calls: &CallQueue,
        agents: &str,
        dependencies: &CoordinatorDependencies,
        make: impl FnOnce(Dependencies, Vec<AgentDefinition>) -> std::result::Result<MeshCoordinator, Failure>,
    ) -> Either<Coordinator, String> {
        let made = || {
            let home = Home::new();
            let agents = parsed::<Vec<Definition>>(agents)?;
            // Before anything can be refused: functions that nobody takes are forgotten.
            let made: Vec<_> = agents.into_iter().map(|agent| agent.made(&calls.calls, &home)).collect();
            let agents = made.into_iter().collect::<std::result::Result<_, Failure>>()?;
            home.settle_in(make(dependencies.0.clone(), agents)?);
            Ok(Coordinator { home, calls: calls.calls.clone() })
        };
        match made() {
            Ok(coordinator) => Either::A(coordinator),
            Err(failure) => Either::B(failed(failure)),
        }
    }

    fn open(&self) -> std::result::Result<MeshCoordinator, CoordinatorError> {
        self.home.coordinator().ok_or(CoordinatorError::Closing)
    }

    /// Asks the coordinator something that answers a value.
    fn ask<'env, T: Serialize, Work>(
        &self,
        env: &'env Env,
        work: impl FnOnce(MeshCoordinator) -> Work + Send + 'static,
    ) -> Result<Soon<'env>>
    where
        Work: Future<Output = std::result::Result<T, CoordinatorError>> + Send,
    {
        let coordinator = self.open();
        soon(env, async move {
            match coordinator {
                Ok(coordinator) => told(work(coordinator).await),
                Err(closing) => Some(failed(closing.into())),
            }
        })
    }

    /// See the library. Where the message bus is foreign, it is waited for until it has taken handlers and hooks.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn initialize<'env>(&self, env: &'env Env, foreign: Option<&ForeignBroker>) -> Result<Soon<'env>> {
        let (coordinator, home) = (self.open(), Arc::clone(&self.home));
        let foreign = foreign.map(ForeignBroker::inner);
        soon(env, async move {
            let coordinator = match coordinator {
                Ok(coordinator) => coordinator,
                Err(closing) => return Some(failed(closing.into())),
            };
            let started = coordinator.initialize().await;
            let taken = match (&started, foreign) {
                (Err(CoordinatorError::AlreadyInitialized | CoordinatorError::NoAgentDefinition { .. }), _)
                | (_, None) => Ok(()),
                // Why peers could not meet, where they could not.
                (_, Some(foreign)) => foreign.taken().await,
            };
            if started.is_ok() && taken.is_ok() {
                home.ready.send_replace(true);
            }
            match (taken, started) {
                (Err(refused), Ok(())) => {
                    let _ended = coordinator.cleanup().await;
                    Some(failed(refused))
                }
                (Err(refused), Err(_)) => Some(failed(refused)),
                (Ok(()), started) => done(started),
            }
        })
    }

    /// See the library; calls `flushed` when all that it told before was told.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn cleanup<'env>(&self, env: &'env Env, flushed: u32) -> Result<Soon<'env>> {
        let flushed = self.calls.function(flushed);
        // Taken: functions of agents that know their coordinator are let go with it.
        let coordinator = self.home.take();
        let home = Arc::clone(&self.home);
        soon(env, async move {
            let coordinator = coordinator?;
            let ended = coordinator.cleanup().await;
            drop(coordinator);
            home.programs.end().await;
            // Calls are made in their order.
            let _node_ends = flushed.call("[]".to_owned(), None).await;
            done(ended)
        })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn assign_task_to_peer<'env>(&self, env: &'env Env, text: String) -> Result<Soon<'env>> {
        let coordinator = self.open();
        soon(env, async move {
            let assigned = async {
                let task: MeshTask = tasks(&text)?;
                Ok::<_, Failure>(coordinator?.assign_task_to_peer(task).await?)
            };
            told(assigned.await)
        })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn submit_task<'env>(&self, env: &'env Env, text: String) -> Result<Soon<'env>> {
        let coordinator = self.open();
        soon(env, async move {
            let submitted = async {
                let task: MeshTask = tasks(&text)?;
                Ok::<_, Failure>(coordinator?.submit_task(task).await?)
            };
            done(submitted.await)
        })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn await_task<'env>(&self, env: &'env Env, id: String) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.await_task(&id).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn task<'env>(&self, env: &'env Env, id: String) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.task(&id).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn cancel_task<'env>(&self, env: &'env Env, id: String) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.cancel_task(&id).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn wait_for_mesh_completion<'env>(&self, env: &'env Env) -> Result<Soon<'env>> {
        self.ask(env, |coordinator| async move { coordinator.wait_for_mesh_completion().await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn rebalance_mesh<'env>(&self, env: &'env Env) -> Result<Soon<'env>> {
        self.ask(env, |coordinator| async move { coordinator.rebalance_mesh().await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn find_peers_by_capabilities<'env>(&self, env: &'env Env, all: Vec<String>) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { Ok(coordinator.find_peers_by_capabilities(&all).await) })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn spawn_agent<'env>(&self, env: &'env Env, text: String) -> Result<Soon<'env>> {
        let spawn = parsed::<Spawn>(&text).and_then(|spawn| {
            // Made at once: functions that nobody takes are forgotten again.
            let definition = spawn.definition.made(&self.calls, &self.home)?;
            Ok(AgentOptions { id: spawn.id, definition })
        });
        let coordinator = self.open();
        soon(env, async move {
            let spawned = async { Ok::<_, Failure>(coordinator?.spawn_agent(spawn?).await?) };
            told(spawned.await)
        })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn pause_agent<'env>(&self, env: &'env Env, id: String, reason: Option<String>) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.pause_agent(&id, reason.as_deref()).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn resume_agent<'env>(&self, env: &'env Env, id: String, checkpoint: Option<String>) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.resume_agent(&id, checkpoint.as_deref()).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn cancel_agent<'env>(&self, env: &'env Env, id: String, reason: Option<String>) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.cancel_agent(&id, reason.as_deref()).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn terminate_agent<'env>(&self, env: &'env Env, id: String, reason: Option<String>) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.terminate_agent(&id, reason.as_deref()).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn create_checkpoint<'env>(&self, env: &'env Env, id: String) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.create_checkpoint(&id).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn restore_checkpoint<'env>(&self, env: &'env Env, id: String, checkpoint: String) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.restore_checkpoint(&id, &checkpoint).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn list_checkpoints<'env>(&self, env: &'env Env, id: String) -> Result<Soon<'env>> {
        self.ask(env, move |coordinator| async move { coordinator.list_checkpoints(&id).await })
    }

    /// See the library.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn propose<'env>(&self, env: &'env Env, text: String) -> Result<Soon<'env>> {
        let proposal = serde_json::from_str::<Value>(&text).map_err(|error| {
            let what = without_place(&error);
            Failure::new("InvalidArgument", format!("the proposal can't be used: {what}; nobody was asked"))
        });
        let coordinator = self.open();
        soon(env, async move {
            let decided = async { Ok::<_, Failure>(coordinator?.propose(proposal?).await?) };
            told(decided.await)
        })
    }

    /// From now on the function that was registered by that number votes for the peer.
    #[napi(catch_unwind)]
    pub fn register_voter(&self, peer: String, function: u32) -> Outcome {
        let function = self.calls.function(function);
        let voter = move |proposal| vote_of(function.clone(), proposal);
        done(within_runtime_if_available(|| self.open()?.register_voter(&peer, voter)))
    }

    /// See the library; after the end nobody is.
    #[napi(catch_unwind)]
    pub fn is_ready(&self) -> bool {
        self.open().is_ok_and(|coordinator| coordinator.is_ready())
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn is_at_rest(&self) -> bool {
        self.open().map_or(true, |coordinator| coordinator.is_at_rest())
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn active_peers(&self) -> Outcome {
        self.look(|coordinator| coordinator.active_peers())
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn peer(&self, id: String) -> Outcome {
        self.look(|coordinator| coordinator.peer(&id))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn agent_session(&self, id: String) -> Outcome {
        self.look(|coordinator| coordinator.agent_session(&id))
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn active_agents(&self) -> Outcome {
        self.look(MeshCoordinator::active_agents)
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn paused_agents(&self) -> Outcome {
        self.look(MeshCoordinator::paused_agents)
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn queen(&self) -> Outcome {
        self.look(MeshCoordinator::queen)
    }

    /// See the library; all zero after the end.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Outcome {
        self.look(MeshCoordinator::mesh_metrics)
    }

    /// See the library.
    #[napi(catch_unwind)]
    pub fn update_token_usage(&self, id: String, text: String) -> Outcome {
        let usage = serde_json::from_str::<Usage>(&text).map_err(|error| {
            let what = without_place(&error);
            Failure::new("InvalidArgument", format!("the usage can't be used: {what}; nothing changed"))
        });
        done(usage.map(|usage| {
            if let Ok(coordinator) = self.open() {
                within_runtime_if_available(|| coordinator.update_token_usage(&id, usage.into()));
            }
        }))
    }

    /// What is there now; after the end there is nothing.
    fn look<T: Serialize + Default>(&self, look: impl FnOnce(&MeshCoordinator) -> T) -> Outcome {
        let seen =
            self.open().map_or_else(|_| T::default(), |coordinator| within_runtime_if_available(|| look(&coordinator)));
        told::<_, Failure>(Ok(seen))
    }
}
