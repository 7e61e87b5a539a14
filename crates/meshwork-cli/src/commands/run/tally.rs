//! What runs, and how long what closed took, as the event stream tells it.

use meshwork::view::{EventKind, EventRow, OutcomeWord, duration, visible};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// An attempt that runs.
pub(super) struct Running {
    pub(super) task: Arc<str>,
    pub(super) peer: Arc<str>,
    pub(super) attempt: u32,
    pub(super) since: Instant,
}

/// Attempts that run, and those that ended of tasks that are open.
#[derive(Default)]
pub(super) struct Tally {
    /// By the order of their start: the first has run longest.
    running: BTreeMap<u64, Running>,
    /// Task → its number in `running`, and the log's time of its start.
    started: HashMap<Arc<str>, (u64, u64)>,
    /// Task → ms that its last attempt took, and where.
    took: HashMap<Arc<str>, (u64, Arc<str>)>,
    starts: u64,
}

impl Tally {
    /// Takes a row in. A line where something ended: whether it ended well, and what to say.
    pub(super) fn row(&mut self, row: &EventRow) -> Option<(bool, String)> {
        let task = row.task_id.as_ref()?;
        match row.event {
            EventKind::TaskStarted => {
                self.starts += 1;
                let peer = row.peer_id.clone().unwrap_or_else(|| Arc::from(""));
                let (attempt, since) = (row.attempt.unwrap_or(0), Instant::now());
                self.running.insert(self.starts, Running { task: task.clone(), peer, attempt, since });
                self.started.insert(task.clone(), (self.starts, row.time_ms));
                None
            }
            EventKind::AttemptEnded => {
                let (number, from) = self.started.remove(task)?;
                let running = self.running.remove(&number)?;
                let took = row.time_ms.saturating_sub(from);
                self.took.insert(task.clone(), (took, running.peer.clone()));
                let outcome = row.outcome.filter(|outcome| *outcome != OutcomeWord::Ok)?;
                let said = row.detail.as_deref().map_or(String::new(), |error| format!(": {}", last_line(error)));
                let (task, attempt, word) = (visible(task), running.attempt, outcome.word());
                Some((
                    false,
                    format!(
                        "{task}: attempt {attempt} {word} after {} on {}{said}",
                        duration(took),
                        visible(&running.peer)
                    ),
                ))
            }
            EventKind::TaskClosed => {
                let outcome = row.outcome?;
                let took = self.took.remove(task);
                let took =
                    took.map_or(String::new(), |(ms, peer)| format!(" in {} on {}", duration(ms), visible(&peer)));
                Some((outcome == OutcomeWord::Ok, format!("{} {}{took}", visible(task), outcome.word())))
            }
            _ => None,
        }
    }

    /// What runs, longest first.
    pub(super) fn running(&self) -> impl ExactSizeIterator<Item = &Running> {
        self.running.values()
    }
}

/// The last line that says something: errors end with what matters.
fn last_line(text: &str) -> String {
    const SHOWN: usize = 120;
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    let line = visible(line);
    if line.chars().count() <= SHOWN { line.into_owned() } else { line.chars().take(SHOWN).chain(['…']).collect() }
}
