//! What must hold, and what it looks like when it does not.

use std::fmt;

/// A property of every state or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// `check_invariants` after every stored batch, and no other assertion of the core fails.
    Invariants,
    /// At the close of a round nothing of it is open, runs, or is in flight.
    Safety,
    /// A result is taken once, from the holder of the present grant; evidence comes before the end.
    Commit,
    /// An accepted entry fulfils its row of `completion.md`, section 2.
    Acceptance,
    /// Nodes at the same position have the same state hash.
    SameHash,
    /// What was answered as accepted is in the log, and what is told as closed is closed.
    Answers,
    /// No peer runs more than it has slots, and bodies run under present grants of their node's own peers.
    Processes,
    /// The node's rules: what it appends, when, and what it keeps.
    NodeRules,
    /// No reader finds the log damaged.
    Log,
    /// From every reachable state completion can be reached without any further fault.
    Completion,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Invariants,
        Self::Safety,
        Self::Commit,
        Self::Acceptance,
        Self::SameHash,
        Self::Answers,
        Self::Processes,
        Self::NodeRules,
        Self::Log,
        Self::Completion,
    ];

    /// One line that says it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Invariants => "the invariants hold after every stored batch",
            Self::Safety => "a closed round has nothing open, running or in flight",
            Self::Commit => "a result is taken once, from the present grant, and evidence comes first",
            Self::Acceptance => "accepted entries fulfil their conditions",
            Self::SameHash => "nodes at the same position have the same state hash",
            Self::Answers => "what is answered or told is in the log",
            Self::Processes => "bodies run under present grants, and never more than there are slots",
            Self::NodeRules => "nodes append what they should, when they may",
            Self::Log => "no reader finds the log damaged",
            Self::Completion => "completion can be reached from every state, without further faults",
        }
    }
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "not so: {}: {}", self.property.text(), self.what)
    }
}

/// For checks that can fail.
pub(crate) type Check = Result<(), Violation>;

pub(crate) fn require(holds: bool, property: Property, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation { property, what: what() }) }
}
