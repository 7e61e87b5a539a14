//! What the world may do to a swarm (completion.md, section 7), each under a name of its own.

use std::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal,)*) => {
        /// One thing that the world may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// The name that commands and reports use.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    /// A batch is not stored, and an error comes back.
    AppendLost = "append-lost",
    /// A batch is stored, and an error comes back all the same.
    AckLost = "ack-lost",
    /// Nothing comes back, whether the batch was stored or not: its node makes the append again after a time.
    AckMissing = "ack-missing",
    /// A batch is stored twice.
    StoredTwice = "stored-twice",
    /// A batch is stored long after its append, when an error has come back already.
    AppendDelayed = "append-delayed",
    /// A node's process is killed, and started again under the same name.
    Crash = "crash",
    /// A node is killed between two of the things that one input made it ask for.
    CrashMidway = "crash-midway",
    /// A node is killed again while it catches up with the log.
    CrashCatchingUp = "crash-catching-up",
    /// A node is killed and starts from a snapshot of the log's state.
    SnapshotRestart = "snapshot-restart",
    /// A node is killed and never comes back.
    NodeGone = "node-gone",
    /// A node stands still with all its processes, and goes on as if nothing had been: a zombie.
    NodePause = "node-pause",
    /// A node reads what the log holds late, and acts on an old view.
    OldView = "old-view",
    /// A node that lives is suspected; it may hear of it, or not.
    WrongSuspicion = "wrong-suspicion",
    /// A node is told to stop in good order, and starts again later.
    Shutdown = "shutdown",
    /// A node's clock jumps, forwards or backwards.
    ClockJump = "clock-jump",
    /// A peer leaves on purpose, and comes back later.
    PeerLeft = "peer-left",
    /// A peer's process dies, and comes back later.
    PeerDied = "peer-died",
    /// A peer joins late.
    PeerLate = "peer-late",
    /// A peer announces other slots and capabilities than before.
    PeerChanged = "peer-changed",
    /// A peer reports absurd run times and tokens.
    PeerLies = "peer-lies",
    /// A body never answers: its time-out ends it, or a person who loses patience.
    NeverAnswers = "never-answers",
    /// A body fails, or runs too long.
    BodyFails = "body-fails",
    /// A body's process dies.
    BodyLost = "body-lost",
    /// People and providers pause and resume peers; an idle one is unloaded.
    Pause = "pause",
    /// A person cancels a task.
    Cancel = "cancel",
    /// A person seals the round while others still submit.
    EarlySeal = "early-seal",
    /// A message between peers is delivered twice.
    MessageTwice = "message-twice",
    /// A message between peers takes long.
    MessageDelayed = "message-delayed",
    /// The log loses batches that it had acknowledged. The outcome is not completion, but that it is found out;
    /// never part of `all`.
    Regress = "regress",
}

impl Fault {
    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no fault; expected all, none, or some of {}, separated by commas", names())]
pub struct UnknownFault {
    /// The word.
    pub found: String,
}

fn names() -> String {
    let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    names.join(", ")
}

/// A set of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u64);

impl Faults {
    /// A world in which nothing goes wrong.
    pub const NONE: Self = Self(0);

    /// Everything but [`Fault::Regress`], which no completion survives.
    pub fn all() -> Self {
        let every = Fault::ALL.iter().filter(|fault| **fault != Fault::Regress);
        every.fold(Self::NONE, |faults, fault| faults.with(*fault))
    }

    /// This fault alone.
    pub fn only(fault: Fault) -> Self {
        Self::NONE.with(fault)
    }

    /// This one too.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u32)
    }

    /// Whether this one may happen.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u32) != 0
    }

    /// Those that may happen.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |fault| self.has(*fault))
    }

    /// How many kinds may happen.
    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// `all`, `none`, or names separated by commas.
    ///
    /// # Errors
    /// The first word that names no fault.
    pub fn parse(text: &str) -> Result<Self, UnknownFault> {
        match text {
            "all" => Ok(Self::all()),
            "none" => Ok(Self::NONE),
            _ => text.split(',').try_fold(Self::NONE, |faults, word| {
                let fault = Fault::named(word.trim()).ok_or_else(|| UnknownFault { found: word.trim().to_owned() })?;
                Ok(faults.with(fault))
            }),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        if *self == Self::all() {
            return f.write_str("all");
        }
        let names: Vec<&str> = self.iter().map(Fault::name).collect();
        f.write_str(&names.join(","))
    }
}
