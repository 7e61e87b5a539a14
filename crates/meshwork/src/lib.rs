//! A swarm of agents as a peer-to-peer mesh over one durable log.
//!
//! *Peers* do *tasks*. A task says what a peer must be able to do and which tasks come first; it is given to the least
//! loaded peer that can do it, tried again when it fails, and believed when its evidence holds. Every decision is an
//! entry of one ordered log, and a deterministic state machine over it ([`meshwork_core`]) says who runs what; that all
//! is done is a position in that log. Nothing is shown before the log has it, so a killed run goes on where it was.
//!
//! # A coordinator with two agents
//!
//! ```
//! use meshwork::artifacts::FolderArtifacts;
//! use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
//! use meshwork::controller::{AgentController, AgentDefinition, ControllerConfig};
//! use meshwork::coordinator::{Dependencies, MeshCoordinator, MeshCoordinatorConfig, MeshTask};
//! use meshwork::memory::{MemoryConfig, SqliteMemory};
//! use meshwork::mesh::{AttemptEnd, FnAgent, Output};
//! use std::sync::Arc;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Two agents in this process: each is an async function that answers with what came out.
//!     let agent = |can: &str, answer: &'static str| AgentDefinition {
//!         capabilities: vec![can.to_owned()],
//!         agent: Arc::new(FnAgent::new(move |_attempt| async move {
//!             AttemptEnd::ok(Output::Json(answer.to_owned()))
//!         })),
//!         kind: "function".to_owned(),
//!         max_concurrent_tasks: None,
//!         wake: None,
//!     };
//!     let controller = AgentController::new(ControllerConfig::default())?;
//!     controller.register(agent("write", r#"{"lines": 120}"#))?;
//!     controller.register(agent("review", r#"{"issues": 0}"#))?;
//!
//!     // What it stands on: a message bus, agents, a folder for what is large, a shared memory.
//! #   let folder = tempfile::tempdir()?;
//! #   let path = folder.path().join("artifacts");
//!     let (bus, _) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
//!     let deps = Dependencies::new(
//!         Arc::new(bus),
//!         Arc::new(controller),
//!         Arc::new(FolderArtifacts::open(path)?),
//!         Arc::new(SqliteMemory::in_memory(MemoryConfig::default())?),
//!     );
//!     let config = MeshCoordinatorConfig { swarm_id: "demo".to_owned(), peer_count: 2, ..Default::default() };
//!     let mesh = MeshCoordinator::new(config, deps)?;
//!     mesh.initialize().await?;
//!
//!     // Three tasks: the review comes when both parts are written.
//!     let task = |id: &str, can: &str| MeshTask {
//!         required_capabilities: vec![can.to_owned()],
//!         ..MeshTask::new(id)
//!     };
//!     mesh.submit_task(task("parser", "write")).await?;
//!     mesh.submit_task(task("printer", "write")).await?;
//!     let dependencies = vec!["parser".to_owned(), "printer".to_owned()];
//!     mesh.submit_task(MeshTask { dependencies, ..task("review", "review") }).await?;
//!
//!     assert!(mesh.wait_for_mesh_completion().await?);
//!     assert_eq!(mesh.mesh_metrics().completed_tasks, 3);
//!     let review = mesh.task("review").await?.expect("it was handed in");
//!     assert_eq!(review.result, Some(serde_json::json!({ "issues": 0 })));
//!     mesh.cleanup().await?;
//!     Ok(())
//! }
//! ```
//!
//! # Where to begin
//!
//! - **A program that runs agents**: [`coordinator`], as above. What it is given may be somebody else's: any broker
//!   ([`messaging`]), any store ([`artifacts`]), any memory ([`memory`]), any [`controller`].
//! - **A swarm file with processes**, as the command `meshwork` runs it: [`mod@file`] reads it, [`local`] runs it.
//! - **One node with agents of one's own**, without the rest: [`mesh`], on a [`log`].
//! - **One part alone**: whether a set of peers is done ([`detector`]), who is there ([`discovery`]), who has too much
//!   ([`balance`]), a vote ([`consensus`]), which topology suits ([`topology`]). Each works on any broker.
//!
//! # The modules
//!
//! | module | what it is |
//! | --- | --- |
//! | [`coordinator`], [`local`] | all of it composed: for programs, and for a swarm file |
//! | [`mesh`] | a node that runs: agents, attempts and what they may do |
//! | [`log`], [`high_water`] | the ordered durable log, and how far a node has applied it |
//! | [`broker`], [`messaging`], [`mail`] | messages between peers, and mailboxes that survive the node |
//! | [`detector`], [`discovery`], [`balance`], [`consensus`], [`topology`] | parts that also work alone |
//! | [`controller`], [`peers`] | agents that are paused and woken, and peers in the words of the contract |
//! | [`memory`], [`artifacts`] | what peers share: entries that are searched, and files |
//! | [`process`], [`endpoint`] | attempts that are processes, and what these talk to |
//! | [`state`], [`control`] | the locked folder of a swarm, and how commands reach its live run |
//! | [`mod@file`], [`view`] | the swarm file, and what a log says, for people and programs |

pub mod artifacts;
pub mod balance;
pub mod broker;
mod clock;
pub mod consensus;
pub mod control;
pub mod controller;
pub mod coordinator;
mod database;
pub mod detector;
pub mod discovery;
pub mod endpoint;
#[doc(hidden)]
pub mod failpoint;
pub mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group_commit;
pub mod high_water;
pub mod local;
pub mod log;
pub mod mail;
pub mod memory;
pub mod mesh;
pub mod messaging;
pub mod peers;
pub mod process;
mod random;
mod review;
pub mod state;
mod timers;
pub mod topology;
pub mod view;
