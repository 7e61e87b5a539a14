//! The state folder of a swarm.
