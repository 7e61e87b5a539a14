//! A swarm of agents as a peer-to-peer mesh over one durable log.

pub mod artifacts;
pub mod broker;
pub mod control;
pub mod endpoint;
pub mod file;
pub mod local;
pub mod log;
pub mod mail;
pub mod mesh;
pub mod messaging;
pub mod process;
pub mod state;
pub mod view;
