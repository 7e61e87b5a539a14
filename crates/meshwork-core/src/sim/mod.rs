//! The simulator: several nodes on one simulated log, in virtual time, from one seed.
//!
//! What runs are the production rules: [`Node`](crate::node::Node) for each node and `apply` under it. The
//! simulator plays everything else: the log, the processes of bodies, the messages between peers, people, the
//! failure detector, clocks. It does to them whatever completion.md, section 7, allows, and a judge that states
//! the rules a second time looks at every entry and at what the bodies really did.
//!
//! The same plan gives the same trace, byte for byte: there is no clock and no random source but the seed.
//!
//! After TigerBeetle's VOPR (a whole cluster in one thread, faults from a seed) and iroh-gossip's `sim`.

mod body;
mod deeds;
pub(crate) mod dice;
mod faults;
mod finding;
mod host;
mod judge;
mod log;
mod messages;
mod people;
mod regression;
mod report;
pub mod topology;
mod trace;
mod witness;
mod workload;
mod world;

pub use faults::{Fault, Faults, UnknownFault};
pub use finding::{Finding, FindingKind};
pub use report::{Detection, Report};
pub use workload::Workload;

#[cfg(any(test, feature = "mutants"))]
use crate::Mutant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// How often the swarm's invariants are derived anew and its records held against the judge's facts. Every
/// effect of every entry is judged in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Check {
    /// After every batch: costs time in the size of the swarm, each time.
    EveryBatch,
    /// After one batch in sixteen, and at the end.
    #[default]
    Sampled,
    /// At the end.
    End,
}

/// With this many tasks or peers, deriving every invariant anew takes longer than the schedule.
const SIZE_SAMPLED: u32 = 1_000;

/// One schedule. The same plan gives the same schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes; at least 1.
    pub nodes: u32,
    /// Peers of all nodes together; at least 1.
    pub peers: u32,
    /// Slots of each peer; 0: each gets 1 to 3.
    pub slots: u32,
    /// Tasks, children included, about.
    pub tasks: u32,
    /// Shape of the work.
    pub workload: Workload,
    /// What may go wrong.
    pub faults: Faults,
    /// Decides everything else.
    pub seed: u64,
    /// How often invariants are derived anew.
    pub check: Check,
    /// A rule that is broken in every node and in the reader that plays the log: the judge must notice.
    #[cfg(any(test, feature = "mutants"))]
    pub mutant: Option<Mutant>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 3,
            peers: 6,
            slots: 0,
            tasks: 16,
            workload: Workload::default(),
            faults: Faults::all(),
            seed: 0,
            check: Check::default(),
            #[cfg(any(test, feature = "mutants"))]
            mutant: None,
        }
    }
}

impl Plan {
    /// A small plan with this seed: two or three nodes, about a dozen tasks, everything may go wrong.
    pub fn small(seed: u64) -> Self {
        let nodes = 2 + u32::from(seed % 2 == 1);
        Self { nodes, peers: nodes * 2, tasks: 12, seed, ..Self::default() }.checked_by_size()
    }

    /// Derives invariants anew as often as its size allows: of small plans one in sixteen does after every batch,
    /// large ones do at the end.
    #[must_use]
    pub fn checked_by_size(self) -> Self {
        let check = match (self.tasks.max(self.peers), self.seed % 16) {
            (SIZE_SAMPLED.., _) => Check::End,
            (_, 0) => Check::EveryBatch,
            _ => Check::Sampled,
        };
        Self { check, ..self }
    }
}

#[cfg(any(test, feature = "mutants"))]
impl Plan {
    /// The small plan of this seed with a rule broken: every workload in turn, and now and then a log that loses
    /// what it had acknowledged.
    pub fn breaking(mutant: Mutant, seed: u64) -> Self {
        let count = Workload::ALL.len() as u64;
        let workload = Workload::ALL[usize::try_from(seed / 2 % count).unwrap_or(0)];
        let faults = if seed % 8 == 7 { Faults::only(Fault::Regress) } else { Faults::all() };
        Self { mutant: Some(mutant), workload, faults, ..Self::small(seed) }
    }
}

/// What a schedule did, and what it showed that must never be.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was injected, and what came of it.
    pub report: Report,
    /// What is not as it must be: the first thing, since what follows from a broken rule proves nothing more.
    pub findings: Vec<Finding>,
}

/// Plays one schedule to its end. Each line of the trace is handed to `trace` as it comes about.
///
/// An assertion of the core that fails is caught and becomes a finding. The program's panic hook is called
/// first, as for any panic: a caller that wants silence sets one.
pub fn run(plan: &Plan, trace: Option<&mut dyn FnMut(&str)>) -> Outcome {
    let mut world = World::new(plan.clone(), trace);
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        world.found(FindingKind::Broken, format!("an assertion failed: {}", text.unwrap_or("without a message")));
    }
    world.into_outcome()
}
