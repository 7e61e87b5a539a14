//! The swarm as values.
