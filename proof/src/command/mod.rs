//! One file a command: it reads its words, runs a campaign of the library, and prints what came of it.

pub(crate) mod detector;
pub(crate) mod model;
