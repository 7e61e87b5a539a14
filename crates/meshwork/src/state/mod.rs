//! The state folder of a swarm: where its log, artifacts, logs and report lie, and who may write them.
//!
//! ```text
//! DIR/                        StateRoot: the swarms of one place
//!   <swarm>/                  StateFolder, 0700
//!     lock                    held by the run, names its process
//!     swarm.db                the log
//!     high-water              how far the log was applied, so that an older copy in its place is found out
//!     artifacts/              artifacts.db: keys and small contents; blobs/: large ones
//!     logs/<peer>.log  report.json  nonce
//!     control.sock            or control.path, which says where the socket is
//!   <swarm>.old-1/            kept aside by a fresh start
//! ```
//!
//! Ids are other people's text; `encoding` alone turns them into names. Nothing here is created by looking.

mod encoding;
mod error;
mod folder;
mod lock;
mod root;
mod socket;
#[cfg(test)]
mod tests;

pub use encoding::{IdError, decode, encode};
pub use error::StateError;
pub use folder::StateFolder;
pub use lock::{FolderLock, Holder};
pub use root::{Chosen, StateRoot, SwarmEntry};
