//! Scenarios, and storms of random events.
