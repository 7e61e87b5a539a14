//! Who knows whom, who tells whom what, and how a task finds its worker: the seed's topologies as values.
//!
//! `choice` says which topology suits how many agents. A [`Shape`] is one topology with peers in it: it says each
//! peer's neighbours, whom it announces itself to, and who is above and below it. Shapes change by joins and losses,
//! one after the other, and are a function of these alone: every node that reads the same log has the same shape, and
//! nobody is elected. A change touches a bounded number of peers, except in a mesh, where everybody meets everybody.
//!
//! A queen or a lead keeps nothing that others do not know, so that anybody can take its place at once.
//!
//! [`Summary`] is what a lead knows of those below it, [`delegate`] how it hands a task on, [`Scaling`] when a
//! queen wants more workers or fewer, [`Tally`] what comes back up.

mod cells;
mod choice;
mod delegate;
mod delegation;
mod heap;
mod scaling;
mod shape;
mod staff;
mod summary;
#[cfg(test)]
mod tests;

pub use choice::{
    BRANCHING, CELL_MAX, Choice, HIERARCHY_MAX, MESH_MAX, Requested, Strategy, Topology, Validation, recommended,
    validate, validate_with,
};
pub use delegate::{HOPS_MAX, Nobody, Step, delegate, next_step};
pub use delegation::Delegation;
pub use scaling::{Scaling, ScalingDecision, ScalingError, Workers};
pub use shape::{Rewired, Shape, ShapeError};
pub use staff::{Queen, Staffing, dispensable, staff};
pub use summary::{Capacity, Summary, Tally, Worker, summaries, tallies};
