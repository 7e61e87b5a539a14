//! A swarm as its state folder has it: live, finished or killed, read without ever writing to it.

use crate::failure::CliFailure;
use crate::output;
use clap::Args;
use meshwork::high_water::HighWater;
use meshwork::log::{LogError, LogReader};
use meshwork::state::{StateFolder, StateRoot};
use meshwork::view::{EntrySource, EventRow, ReplayError, RunReport, RuntimeFacts, View};
use meshwork_core::{Op, Position, decode_batch};
use std::path::PathBuf;

/// The folder that holds swarms, unless another is named.
pub const STATE_FOLDER: &str = ".meshwork";
/// For [`SwarmLog::read_on`]: nobody wants to be told what happened.
pub const NO_ROWS: u64 = u64::MAX;
/// Batches are read in portions of this size: 4 MiB.
const PORTION_BYTES: usize = 4 << 20;

/// Which swarm a command is about.
#[derive(Args, Clone, Debug, Default)]
pub struct SwarmChoice {
    /// The swarm [default: the only one, else the one started last]
    #[arg(long, value_name = "ID")]
    pub swarm: Option<String>,
    /// The folder that holds swarms [default: .meshwork in the current folder]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

impl SwarmChoice {
    /// The swarm's folder; which one of several is said on stderr.
    ///
    /// # Errors
    /// When there is no such swarm.
    pub fn folder(&self) -> Result<StateFolder, CliFailure> {
        let dir = self.state.clone().unwrap_or_else(|| PathBuf::from(STATE_FOLDER));
        let chosen = StateRoot::new(dir).choose(self.swarm.as_deref())?;
        if let Some(note) = &chosen.note {
            output::note(note);
        }
        Ok(chosen.folder)
    }

    /// The swarm's log, not yet read.
    ///
    /// # Errors
    /// When there is no such swarm, or its log cannot be opened.
    pub fn open(&self) -> Result<SwarmLog, CliFailure> {
        SwarmLog::open(self.folder()?)
    }

    /// The swarm as its log has it.
    ///
    /// # Errors
    /// Those of [`SwarmChoice::open`], and what is wrong with the log.
    pub fn read(&self) -> Result<SwarmLog, CliFailure> {
        let mut log = self.open()?;
        log.read_on(NO_ROWS, |_| true)?;
        Ok(log)
    }
}

/// A log that is being read into a view.
pub struct SwarmLog {
    folder: StateFolder,
    reader: LogReader,
    /// What the log is known to have held.
    mark: Option<HighWater>,
    view: View,
}

impl SwarmLog {
    /// The log in `folder`, not yet read.
    ///
    /// # Errors
    /// When it cannot be opened, or is not the log that the swarm had.
    pub fn open(folder: StateFolder) -> Result<Self, CliFailure> {
        // Before the log, which may grow meanwhile.
        let mark = HighWater::read(&folder)?;
        let reader = match (LogReader::open(folder.database()), &mark) {
            (Err(LogError::NotFound { .. }), Some(mark)) => return Err(mark.gone().into()),
            (opened, _) => opened?,
        };
        Ok(Self { folder, reader, mark, view: View::new() })
    }

    /// Reads what the log holds beyond what was read before. `each` is given the rows of batches after `told_after`
    /// (0: all, [`NO_ROWS`]: none) and says whether to go on.
    ///
    /// # Errors
    /// What is wrong with the log.
    pub fn read_on(&mut self, told_after: u64, each: impl FnMut(EventRow) -> bool) -> Result<(), CliFailure> {
        self.read_to(u64::MAX, told_after, each)
    }

    /// The same, but nothing after the batch `last`.
    ///
    /// # Errors
    /// What is wrong with the log.
    pub fn read_to(
        &mut self,
        last: u64,
        told_after: u64,
        mut each: impl FnMut(EventRow) -> bool,
    ) -> Result<(), CliFailure> {
        loop {
            let portion = self.reader.batches(self.view.swarm().last().seq + 1, PORTION_BYTES)?;
            if portion.is_empty() {
                if let Some(mark) = &self.mark {
                    mark.reached_by(self.view.swarm().last().seq)?;
                }
                return Ok(());
            }
            for stored in portion {
                let seq = stored.seq;
                if seq > last {
                    return Ok(());
                }
                let batch = decode_batch(&stored.bytes).map_err(|error| ReplayError::Codec { seq, error })?;
                let step = self.view.step(seq, &batch, seq > told_after).map_err(ReplayError::from)?;
                if let Some(mark) = self.mark.as_ref().filter(|mark| mark.seen().seq == seq) {
                    mark.agrees_with(self.view.swarm())?;
                }
                for row in step.rows {
                    if !each(row) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The view of what was read.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Where the swarm is.
    pub fn folder(&self) -> &StateFolder {
        &self.folder
    }

    /// The log itself.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// The run report: the one that the run left, while it is about the present completion; else as of what was read.
    ///
    /// # Errors
    /// When the mailboxes cannot be read.
    pub fn report(&self) -> Result<RunReport, CliFailure> {
        if let Some(completion) = self.view.status().completion_id {
            let same = |report: &RunReport| report.completion_id.as_ref() == Some(&completion);
            if let Some(report) = self.stored_report().filter(same) {
                return Ok(report);
            }
        }
        Ok(self.view.report_from(&self.facts()?, self))
    }

    /// What the last run left; one that cannot be read is as good as none, since the log has it all.
    fn stored_report(&self) -> Option<RunReport> {
        serde_json::from_slice(&std::fs::read(self.folder.report()).ok()?).ok()
    }

    /// What the log does not hold: measured by the run itself and left in its report, where that is about the same
    /// round.
    fn facts(&self) -> Result<RuntimeFacts, CliFailure> {
        let status = self.view.status();
        let same = |report: &RunReport| (report.round, report.started_at) == (status.round, status.started_at);
        let mut facts = self.stored_report().filter(same).as_ref().map(measured_facts).unwrap_or_default();
        facts.unread_messages = Some(self.unread()?.iter().map(|(_, count)| count).sum());
        Ok(facts)
    }

    /// Peers with messages that nobody has read, and how many.
    ///
    /// # Errors
    /// When the mailboxes cannot be read.
    pub fn unread(&self) -> Result<Vec<(String, u64)>, CliFailure> {
        Ok(self.reader.count_unread()?)
    }
}

fn measured_facts(report: &RunReport) -> RuntimeFacts {
    RuntimeFacts {
        messages_sent: report.metrics.messages_sent,
        messages_received: report.metrics.messages_received,
        p95_peer_latency_ms: report.metrics.p95_peer_latency_ms,
        discovery_broadcasts_sent: report.discovery.discovery_broadcasts_sent,
        average_rebalance_time_ms: report.load_balancer.average_rebalance_time_ms,
        detection_timeouts: report.completion.detection_timeouts,
        ..RuntimeFacts::default()
    }
}

impl EntrySource for SwarmLog {
    fn entry(&self, at: Position) -> Option<Op> {
        let mut batch = decode_batch(&self.reader.read(at.seq()).ok()?).ok()?;
        (at.index() < batch.entries.len()).then(|| batch.entries.swap_remove(at.index()))
    }
}
