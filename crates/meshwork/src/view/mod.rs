//! The one read model for all front ends: tables, the event stream and the run report are folds over the log.
//!
//! A [`View`] runs the production state machine ([`Swarm`]) and keeps beside it what people want to see and the
//! machine has no use for: times, texts, attempts that have ended. It decides nothing. Everything that it tells
//! is measured from entries and from what they brought about; what only a running process knows comes in as
//! [`RuntimeFacts`], and what nobody measured is left out.
//!
//! Times are whole milliseconds since the epoch by the clocks of the batches' authors, made so that they never
//! go back along the log.

mod events;
mod explain;
mod fold;
mod human;
mod measure;
mod record;
mod report;
mod standing;
mod tables;
#[cfg(test)]
mod tests;
mod text;

pub use events::{EventKind, EventRow, TraceId};
pub use explain::ExplainDocument;
pub use report::{
    AttemptReport, CompletionReport, DiscoveryReport, LoadBalancerReport, MetricsReport, OutcomeWord, PeerMetrics,
    PeerReport, PeerRole, PeerState, RejectedReport, RunReport, RuntimeFacts, SCHEMA_VERSION, TaskReport, TaskState,
    TokenSavingsReport, WorthReport,
};
pub use tables::{PeersTable, StatusTable, SwarmState, TaskCounts, TasksTable};
pub use text::{duration, table, visible};

use crate::review::{Source, text_of};
use bytes::Bytes;
use meshwork_core::{Applied, Batch, CodecError, LogFault, Op, Position, Swarm, TaskNo, TaskSpec};
use record::Ledger;

/// What a log says, for people.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let view = view(3); // of the three batches of a finished swarm
/// let status = view.status();
/// assert_eq!((status.state.word(), status.tasks.completed), ("completed", 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct View {
    swarm: Swarm,
    ledger: Ledger,
}

/// What one batch brought about.
///
/// ```
/// use meshwork::view::{Step, View};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let batches = batches();
///
/// let mut view = View::new();
/// let Step { applied, rows } = view.step(1, &batches[0], false)?;
/// assert_eq!(applied.effects.len(), 2, "of each entry: it was opened, and a node has joined");
/// assert!(rows.is_empty(), "nobody wanted any");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// What the state machine answered: the driver performs these effects.
    pub applied: Applied,
    /// What people are told, in order; empty where no rows were wanted, and for a duplicate.
    pub rows: Vec<EventRow>,
}

/// A log that cannot be replayed. The view is gone: what it would show is not what happened.
///
/// ```
/// use meshwork::view::{ReplayError, View};
///
/// let error = View::replay([(1, "no batch".into())].into_iter()).expect_err("it is refused");
/// assert!(matches!(error, ReplayError::Codec { seq: 1, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The bytes are no batch.
    #[error("batch {seq} of the log cannot be read: {error}")]
    Codec {
        /// Where it lies.
        seq: u64,
        /// What is wrong with it.
        error: CodecError,
    },
    /// The batches do not follow each other.
    #[error("the log cannot be applied: {0}")]
    Fault(#[from] LogFault),
}

/// Where entries can be read again: texts over 4 KiB and everything of a task's specification that no table
/// shows stay in the log.
///
/// ```
/// use meshwork::view::EntrySource;
/// use meshwork_core::{Batch, Op, Position};
///
/// /// A log that is small enough for memory.
/// struct Batches(Vec<Batch>);
///
/// impl EntrySource for Batches {
///     fn entry(&self, at: Position) -> Option<Op> {
///         let batch = usize::try_from(at.seq()).ok()?.checked_sub(1)?;
///         self.0.get(batch)?.entries.get(at.index()).cloned()
///     }
/// }
///
/// assert_eq!(Batches(Vec::new()).entry(Position::new(1, 0)), None);
/// ```
pub trait EntrySource {
    /// The entry that lies at a position; `None` if it cannot be had.
    ///
    /// ```
    /// use meshwork::view::{EntrySource as _, NoEntries};
    /// use meshwork_core::Position;
    ///
    /// assert_eq!(NoEntries.entry(Position::new(1, 0)), None);
    /// ```
    fn entry(&self, at: Position) -> Option<Op>;
}

/// A source that has nothing: large texts are then named by their position.
///
/// ```
/// use meshwork::view::NoEntries;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// assert!(view.task(TaskNo(0), &NoEntries).is_some(), "what is small is kept");
/// assert_eq!(view.spec(TaskNo(0), &NoEntries), None, "the whole text of a task lies in the log");
/// # Ok(())
/// # }
/// ```
pub struct NoEntries;

impl EntrySource for NoEntries {
    fn entry(&self, _at: Position) -> Option<Op> {
        None
    }
}

impl View {
    /// A view of a log before its first entry.
    ///
    /// ```
    /// use meshwork::view::View;
    ///
    /// assert_eq!(View::new().status().state.word(), "empty");
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the batch that the log holds at `seq`, and tells what it brought about.
    ///
    /// ```
    /// use meshwork::view::{EventKind, View};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let batches = batches();
    ///
    /// let mut view = View::new();
    /// let rows = view.apply(1, &batches[0])?;
    /// let kinds: Vec<EventKind> = rows.iter().map(|row| row.event).collect();
    /// assert_eq!(kinds, [EventKind::SwarmOpened, EventKind::NodeJoined]);
    /// assert!(view.apply(3, &batches[2]).is_err(), "batch 2 comes next; nothing was applied");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogFault`] when the log is not what it was; then nothing was applied, and the caller must stop.
    pub fn apply(&mut self, seq: u64, batch: &Batch) -> Result<Vec<EventRow>, LogFault> {
        self.step(seq, batch, true).map(|step| step.rows)
    }

    /// The same for a driver that performs the effects; `rows`: whether anybody wants to read them.
    ///
    /// ```
    /// use meshwork::view::View;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let batches = batches();
    ///
    /// let mut view = View::new();
    /// view.step(1, &batches[0], false)?;
    /// let step = view.step(2, &batches[1], true)?;
    /// assert!(step.rows.iter().any(|row| row.event.word() == "task-started"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`View::apply`].
    pub fn step(&mut self, seq: u64, batch: &Batch, rows: bool) -> Result<Step, LogFault> {
        let applied = self.swarm.apply_batch(seq, batch)?;
        let rows = fold::fold(&self.swarm, &mut self.ledger, seq, batch, &applied, rows);
        Ok(Step { applied, rows })
    }

    /// The view of a whole log, from its first batch on.
    ///
    /// ```
    /// use meshwork::view::View;
    /// use meshwork_core::encode_batch;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let batches = batches();
    ///
    /// let mut stored = Vec::new();
    /// for (seq, batch) in (1..).zip(&batches) {
    ///     stored.push((seq, encode_batch(batch)?.into()));
    /// }
    /// let view = View::replay(stored.into_iter())?;
    /// assert_eq!(view.status().batches, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ReplayError`] at the first batch that cannot be read or does not follow.
    pub fn replay(batches: impl Iterator<Item = (u64, Bytes)>) -> Result<Self, ReplayError> {
        let mut view = Self::new();
        for (seq, bytes) in batches {
            let batch = meshwork_core::decode_batch(&bytes).map_err(|error| ReplayError::Codec { seq, error })?;
            view.step(seq, &batch, false)?;
        }
        Ok(view)
    }

    /// The swarm as the log says that it is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert_eq!(view.swarm().swarm_id(), "demo");
    /// assert!(view.swarm().last_round().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// The time of the last batch, in ms since the epoch; 0 before the first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert_eq!(view.now_ms(), 5_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn now_ms(&self) -> u64 {
        self.ledger.now
    }

    /// The id that joins everything of a task; `None` for an unknown number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// let trace = view.trace_id(TaskNo(0)).expect("there is a task 0");
    /// assert_eq!(trace.to_string().len(), 32);
    /// assert_eq!(view.trace_id(TaskNo(9)), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn trace_id(&self, task: TaskNo) -> Option<TraceId> {
        self.ledger.tasks.get(task.index()).map(|record| record.trace)
    }

    /// A task as it was submitted; a review as it is made from the task that it reviews. `None` if the task is unknown or its entry cannot be had.
    ///
    /// ```
    /// use meshwork::view::EntrySource;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    ///
    /// # struct Entries(Vec<Batch>);
    /// # impl EntrySource for Entries {
    /// #     fn entry(&self, at: Position) -> Option<Op> {
    /// #         self.0.get(usize::try_from(at.seq()).ok()? - 1)?.entries.get(at.index()).cloned()
    /// #     }
    /// # }
    /// let log = Entries(batches().to_vec()); // anything that finds an entry by its position
    /// assert_eq!(view.spec(TaskNo(0), &log), Some(TaskSpec::new("build")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn spec(&self, task: TaskNo, source: &dyn EntrySource) -> Option<TaskSpec> {
        let submitted = |(at, index): (Position, u32)| match source.entry(at)? {
            Op::Submit(mut submission) => {
                let index = index as usize;
                (index < submission.tasks.len()).then(|| submission.tasks.swap_remove(index))
            }
            _ => None,
        };
        match Source::of(&self.swarm, task)? {
            Source::Submitted(at) => submitted(at),
            Source::Review { id, attempt, task, returned } => match source.entry(returned)? {
                Op::Return(returned) => Some(text_of(&id, attempt, &submitted(task)?, &returned)),
                _ => None,
            },
        }
    }
}
