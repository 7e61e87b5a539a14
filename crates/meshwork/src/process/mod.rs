//! Processes of attempts.
