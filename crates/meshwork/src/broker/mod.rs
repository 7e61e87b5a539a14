//! Messages between peers of one process.
