//! Commands that act: on a live swarm from outside, by its control socket, and within an attempt, by the tool
//! endpoint that its environment names.
//!
//! One file a command; `place` says where a command acts, `tools` is the client of the endpoint.

mod cancel;
mod get;
mod pause;
mod place;
mod progress;
mod put;
mod read;
mod rebalance;
mod resume;
mod send;
mod submit;
#[cfg(test)]
mod tests;
mod tools;
mod usage;
mod wait;

use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output::Format;
use clap::Subcommand;

/// The commands that act.
#[derive(Subcommand)]
pub(crate) enum Acting {
    /// Submit tasks: to a live swarm, or as children of the task that runs this
    Submit(Box<submit::Arguments>),
    /// Within a task: wait for its children
    Wait(wait::Arguments),
    /// Within a task: send a message to a peer
    Send(send::Arguments),
    /// Within a task: read the messages of its peer
    Read(read::Arguments),
    /// Within a task: store an artifact
    Put(put::Arguments),
    /// Within a task: fetch an artifact
    Get(get::Arguments),
    /// Within a task: say how far it is
    Progress(progress::Arguments),
    /// Within a task: say how many tokens it has spent
    Usage(usage::Arguments),
    /// End a task of a live swarm, and its children
    Cancel(cancel::Arguments),
    /// Give a peer of a live swarm no more work
    Pause(pause::Arguments),
    /// Let a paused peer go on
    Resume(resume::Arguments),
    /// Hand waiting tasks to peers with less to do
    Rebalance(rebalance::Arguments),
}

impl Acting {
    /// How answers and errors are written.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Submit(arguments) => arguments.format,
            Self::Wait(arguments) => arguments.format,
            Self::Send(arguments) => arguments.format,
            Self::Read(arguments) => arguments.format,
            Self::Put(arguments) => arguments.format,
            Self::Get(arguments) => arguments.format,
            Self::Progress(arguments) => arguments.format,
            Self::Usage(arguments) => arguments.format,
            Self::Cancel(arguments) => arguments.format,
            Self::Pause(arguments) => arguments.format,
            Self::Resume(arguments) => arguments.format,
            Self::Rebalance(arguments) => arguments.format,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Why it was not done, and whether something was changed.
    pub(crate) fn run(self) -> Result<Ending, CliFailure> {
        match self {
            Self::Submit(arguments) => submit::run(*arguments),
            Self::Wait(arguments) => wait::run(&arguments),
            Self::Send(arguments) => send::run(&arguments),
            Self::Read(arguments) => read::run(&arguments),
            Self::Put(arguments) => put::run(&arguments),
            Self::Get(arguments) => get::run(&arguments),
            Self::Progress(arguments) => progress::run(&arguments),
            Self::Usage(arguments) => usage::run(&arguments),
            Self::Cancel(arguments) => cancel::run(arguments),
            Self::Pause(arguments) => pause::run(arguments),
            Self::Resume(arguments) => resume::run(arguments),
            Self::Rebalance(arguments) => rebalance::run(&arguments),
        }
    }
}
