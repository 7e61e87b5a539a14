//! Content-addressed artifact storage.
