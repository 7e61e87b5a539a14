//! What the log held when the node was started, and a clock that goes on from there.

use super::MeshError;
use super::specs::Specs;
use crate::failpoint::{self, Point};
use crate::high_water::HighWater;
use crate::log::{Log, LogError, Stored};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use meshwork_core::{Swarm, decode_batch};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds since the epoch that never go back, whatever the system's clock does.
pub(super) struct Clock {
    started: Instant,
    epoch_ms: u64,
}

impl Clock {
    pub(super) fn new(not_before: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let epoch_ms = u64::try_from(now).unwrap_or(u64::MAX).max(not_before);
        Self { started: Instant::now(), epoch_ms }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.epoch_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// What the log held when the node was started.
pub(super) struct History {
    pub(super) swarm: Swarm,
    pub(super) tail: BoxStream<'static, Result<Stored, LogError>>,
    pub(super) time_ms: u64,
}

/// Reads the log, from its last snapshot on where there is one, and holds it against what this node had applied.
///
/// # Errors
/// Those of the log; [`LedgerError::LedgerRegressed`](crate::high_water::LedgerError::LedgerRegressed) for one that does
/// not hold what was applied before.
pub(super) async fn replay(log: &Arc<dyn Log>, specs: &Specs, mark: Option<&HighWater>) -> Result<History, MeshError> {
    let last = log.last().await?;
    if let Some(mark) = mark {
        mark.reached_by(last)?;
    }
    let mut swarm = Swarm::new();
    // Of nothing there is no snapshot, and looking for one costs a thread and a connection.
    let snapshot = if last > 0 { log.load_snapshot().await? } else { None };
    if let Some((seq, bytes)) = snapshot {
        match Swarm::restore(&bytes) {
            Ok(restored) if restored.last().seq == seq => {
                swarm = restored;
                failpoint::reach(Point::ReplaySnapshot);
            }
            // The log is the truth; without a snapshot it is only read for longer.
            Ok(_) => tracing::warn!(seq, "the snapshot is of another position; replaying the whole log"),
            Err(error) => tracing::warn!(seq, %error, "replaying the whole log instead of the snapshot"),
        }
    }
    // A snapshot remembers only so far back, and is judged by the log, not the log by it.
    if mark.is_some_and(|mark| mark.seen().seq <= swarm.last().seq && !mark.is_confirmed_by(&swarm)) {
        swarm = Swarm::new();
    }
    let mut tail = log.tail(swarm.last().seq + 1);
    let mut time_ms = 0;
    while swarm.last().seq < last {
        let Some(stored) = tail.next().await else { return Err(MeshError::Stopped) };
        let Stored { seq, bytes } = stored?;
        if seq <= swarm.last().seq {
            continue;
        }
        let batch = Arc::new(decode_batch(&bytes)?);
        specs.keep(seq, &batch, bytes.len());
        time_ms = batch.time_ms.max(time_ms);
        let _effects_of_the_past = swarm.apply_batch(seq, &batch)?;
        failpoint::reach(Point::ReplayBatch);
        if let Some(mark) = mark.filter(|mark| mark.seen().seq == seq) {
            mark.agrees_with(&swarm)?;
        }
    }
    if time_ms == 0 && last > 0 {
        // All of it was in the snapshot, which knows no time.
        time_ms = decode_batch(&log.read(last).await?)?.time_ms;
    }
    failpoint::reach(Point::Replayed);
    Ok(History { swarm, tail, time_ms })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::high_water::{HighWaterFile, LedgerError};
    use crate::log::MemoryLog;
    use crate::state::StateRoot;
    use bytes::Bytes;
    use meshwork_core::{Author, Batch, Config, Op, Position, Seen, VERSION, encode_batch};

    /// A log of so many batches of one author, with a snapshot of its end; and the state hash after each.
    async fn log_of(batches: u64) -> (Arc<dyn Log>, Vec<u64>) {
        let (log, mut swarm, mut hashes) = (MemoryLog::new(), Swarm::new(), Vec::new());
        for seq in 1..=batches {
            let (incarnation, entries) = match seq {
                1 => {
                    let (log_id, swarm_id, config) = ("log".to_owned(), "swarm".to_owned(), Config::default());
                    let open = Op::Open { log_id, swarm_id, config, version: VERSION };
                    (Position::START, vec![open, Op::Join { replaces: Position::START, version: VERSION, sessions: 1 }])
                }
                _ => (Position::new(1, 1), vec![Op::Alive]),
            };
            let author = Author { node: "n".to_owned(), incarnation };
            let batch = Batch { author, seq: seq - 1, seen: Seen::default(), time_ms: seq, entries };
            let _nobody_performs = swarm.apply_batch(seq, &batch).unwrap();
            hashes.push(swarm.state_hash());
            log.append(Bytes::from(encode_batch(&batch).unwrap())).await.unwrap();
        }
        log.save_snapshot(batches, swarm.snapshot().unwrap().into()).await.unwrap();
        (Arc::new(log), hashes)
    }

    fn mark(seen: Seen) -> HighWater {
        let dir = tempfile::tempdir().unwrap();
        let folder = StateRoot::new(dir.path()).folder("one").unwrap();
        let lock = Arc::new(folder.lock(UNIX_EPOCH).unwrap());
        HighWaterFile::open(&folder, &lock).unwrap().keep(seen).unwrap();
        HighWater::read(&folder).unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_log_is_held_against_the_mark_wherever_its_snapshot_is() {
        let (log, hashes) = log_of(1_100).await;
        let specs = Specs::new(log.clone());
        // The snapshot remembers the last 1,024 batches; what lies before is replayed.
        for seq in [3u64, 500, 1_100] {
            let hash = hashes[usize::try_from(seq).unwrap() - 1];
            let kept = replay(&log, &specs, Some(&mark(Seen { seq, hash }))).await.unwrap();
            assert_eq!(kept.swarm.last().seq, 1_100);
            let other = replay(&log, &specs, Some(&mark(Seen { seq, hash: hash ^ 1 }))).await.err().unwrap();
            let MeshError::Ledger(error) = &other else { panic!("{other}") };
            let LedgerError::LedgerRegressed { hash: found, .. } = &**error else { panic!("{error}") };
            assert_eq!(*found, Some(hash), "position {seq}");
        }
        let beyond = replay(&log, &specs, Some(&mark(Seen { seq: 1_101, hash: 1 }))).await.err().unwrap();
        assert!(beyond.to_string().contains("ends at position 1100"), "{beyond}");
    }
}
