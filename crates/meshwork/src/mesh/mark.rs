//! The high-water mark on its way to the disk: one write at a time, and never on the driver's thread.

use super::MeshError;
use super::driver::Event;
use crate::high_water::HighWaterFile;
use meshwork_core::Swarm;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Between two writes while nobody waits for one. A second of work is what a log may be set back by unnoticed after a
/// kill; two syncs a second are nothing beside the hundreds that the log itself makes.
const EVERY: Duration = Duration::from_secs(1);

/// What is kept, and what is being written.
pub(super) struct Mark {
    /// `None`: this node remembers nothing outside of its log.
    file: Option<Arc<HighWaterFile>>,
    /// Kept durably up to this position.
    kept: u64,
    writing: bool,
    last_written: Instant,
}

impl Mark {
    pub(super) fn new(file: Option<HighWaterFile>) -> Self {
        let kept = file.as_ref().and_then(HighWaterFile::found).map_or(0, |mark| mark.seen().seq);
        Self { file: file.map(Arc::new), kept, writing: false, last_written: Instant::now() }
    }

    /// Whether the last completion is remembered, so that it may be told.
    pub(super) fn may_announce(&self, swarm: &Swarm) -> bool {
        self.file.is_none() || swarm.last_round().is_none_or(|round| round.at.seq() <= self.kept)
    }

    /// Writes the mark when a completion waits for it, or it is old. What was applied was read back, so it is durable.
    pub(super) fn follow(&mut self, swarm: &Swarm, events: &mpsc::UnboundedSender<Event>) {
        let Some(file) = self.file.as_ref().filter(|_| !self.writing) else { return };
        let seen = swarm.last();
        let is_old = seen.seq > self.kept && self.last_written.elapsed() >= EVERY;
        if self.may_announce(swarm) && !is_old {
            return;
        }
        self.writing = true;
        let (file, events) = (file.clone(), events.clone());
        tokio::task::spawn_blocking(move || {
            let kept = file.keep(seen).map(|()| seen.seq).map_err(MeshError::from);
            let _gone = events.send(Event::Marked(kept));
        });
    }

    /// A write has ended.
    ///
    /// # Errors
    /// The write's, when a completion waits for it: it is withheld. Any other is made good by the next one.
    pub(super) fn on_kept(&mut self, kept: Result<u64, MeshError>, swarm: &Swarm) -> Result<(), MeshError> {
        (self.writing, self.last_written) = (false, Instant::now());
        match kept {
            Ok(seq) => self.kept = self.kept.max(seq),
            Err(error) if self.may_announce(swarm) => {
                tracing::warn!(%error, "how far the log was applied could not be kept");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the last mark of a node that has left, behind any that is being written.
    ///
    /// # Errors
    /// As [`Mark::on_kept`]: a run that has told of its completion does not end badly for a later mark.
    pub(super) async fn keep_at_the_end(&mut self, swarm: &Swarm) -> Result<(), MeshError> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let seen = swarm.last();
        let kept = tokio::task::spawn_blocking(move || file.keep(seen)).await;
        // Only a runtime that shuts down, or a panic, comes this way.
        let kept = kept.map_err(|_| MeshError::Stopped)?;
        self.on_kept(kept.map(|()| seen.seq).map_err(MeshError::from), swarm)
    }
}
