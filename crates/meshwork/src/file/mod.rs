//! The swarm file.
