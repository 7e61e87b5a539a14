//! The library for Node.js: what `lib/*.js` calls. One file a part of the mesh, no rule of the mesh in any.
//!
//! How things cross:
//! - plain data as JSON text, in both directions: a text crosses once, an object property by property;
//! - bytes as buffers;
//! - what went wrong as a code, a sentence and details (`failure`), which the JavaScript side throws as an `Error` with a `code`;
//! - calls into JavaScript through one queue (`calls`), taken in batches on JavaScript's own thread;
//! - waits as promises, and without a promise where nothing has to be waited for (`outcome`).

mod artifacts;
mod balance;
mod broker;
mod calls;
mod config;
mod controller;
mod coordinator;
mod detector;
mod discovery;
mod failure;
mod foreign;
mod memory;
mod outcome;
mod topology;
