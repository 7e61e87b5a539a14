//! How a command ends when it could do what it was asked: the exit codes of the contracts, section 3, but 2 and 4.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done; for a run: all tasks completed.
    Done,
    /// The round closed, and some task failed.
    TaskFailed,
    /// A simulation showed a broken promise.
    PromiseBroken,
    /// Not finished: no peer can run what is left, or a limit was reached.
    NotFinished,
    /// Interrupted by a signal; the state is saved.
    Interrupted,
}

impl Ending {
    /// The exit code.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::TaskFailed | Self::PromiseBroken => 1,
            Self::NotFinished => 3,
            Self::Interrupted => 130,
        }
    }
}
