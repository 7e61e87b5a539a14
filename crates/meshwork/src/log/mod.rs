//! The ordered durable log.
