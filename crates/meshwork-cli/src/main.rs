//! The meshwork command.
fn main() {}
