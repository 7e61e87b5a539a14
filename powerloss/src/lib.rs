//! Power cuts for the SQLite log.
//!
//! ```text
//!   production log ─► SQLite ─► vfs ──┐                      ┌─► none, all, a prefix, any part of what
//!        └─► fsync, rename, unlink ───┴─► tape ─► disk ──────┤   was not synced; sectors torn
//!   callers: "answered", "delivered" ─────┘    (each point)  └─► image ─► production opens it ─► check
//! ```
//!
//! [`workload`] runs the production log in a folder of which [`tape`] records every change, together with what
//! callers were told, in one order. At every point of that order, [`disk`] says what a power cut may have left:
//! whatever was synced, and any part of the rest. [`check`] opens each such image with the production log on the
//! usual file system and compares it with what had been told until then. [`campaign`] does that by the thousand.
//!
//! Ideas: SQLite's own crash tests, which write a part of the un-synced data after each sync; "All File Systems Are
//! Not Created Equal" (Pillai et al., OSDI 2014) for files, names and lengths that are lost on their own.
//!
//! Test-only, and only on Linux: it replaces functions of the C library in whatever program it is linked into.

mod calls;
pub mod campaign;
pub mod check;
pub mod disk;
pub mod random;
pub mod tape;
mod vfs;
pub mod workload;
