//! What a schedule must never show.

use std::fmt;

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Completion was announced, or a task closed, while something was open.
    EarlyCompletion,
    /// A submitted task is not in the log, or never came to an end.
    LostTask,
    /// Two results count for one attempt or task, or a stale one does.
    DoubleCommit,
    /// Everything is done, and yet the round does not close or nobody is told.
    MissedCompletion,
    /// An invariant or a rule of the protocol does not hold.
    Broken,
    /// Two nodes at the same position have other states.
    Divergence,
    /// A slot was free in the log before the process that held it was gone.
    Overlap,
    /// Somebody asked, and was never answered.
    Unanswered,
    /// An answer that the log does not bear out.
    FalseAnswer,
    /// A node found its log damaged, and nothing had damaged it; or a damaged log was not found out.
    LogFault,
}

impl FindingKind {
    /// Every kind, in the order of reports.
    pub const ALL: &[Self] = &[
        Self::EarlyCompletion,
        Self::LostTask,
        Self::DoubleCommit,
        Self::MissedCompletion,
        Self::Broken,
        Self::Divergence,
        Self::Overlap,
        Self::Unanswered,
        Self::FalseAnswer,
        Self::LogFault,
    ];

    /// What a report counts it as.
    pub fn name(self) -> &'static str {
        match self {
            Self::EarlyCompletion => "early completions",
            Self::LostTask => "lost tasks",
            Self::DoubleCommit => "double commits",
            Self::MissedCompletion => "missed completions",
            Self::Broken => "broken rules",
            Self::Divergence => "divergences",
            Self::Overlap => "overlaps",
            Self::Unanswered => "unanswered",
            Self::FalseAnswer => "false answers",
            Self::LogFault => "log faults",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub kind: FindingKind,
    /// When, in virtual ms.
    pub at_ms: u64,
    /// What was seen, with names.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.kind, self.at_ms, self.text)
    }
}

/// A finding before its time is known.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) kind: FindingKind,
    pub(crate) text: String,
}

impl Wrong {
    pub(crate) fn new(kind: FindingKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn broken(text: impl Into<String>) -> Self {
        Self::new(FindingKind::Broken, text)
    }
}
