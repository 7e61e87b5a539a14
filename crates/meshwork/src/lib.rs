//! A swarm of agents as a peer-to-peer mesh over one durable log.

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
