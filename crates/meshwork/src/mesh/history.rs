//! What the log held when the node was started, and a clock that goes on from there.

use super::MeshError;
use super::specs::Specs;
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

/// Reads the log, from its last snapshot on where there is one.
pub(super) async fn replay(log: &Arc<dyn Log>, specs: &Specs) -> Result<History, MeshError> {
    let last = log.last().await?;
    let mut swarm = Swarm::new();
    if let Some((seq, bytes)) = log.load_snapshot().await? {
        match Swarm::restore(&bytes) {
            Ok(restored) if restored.last().seq == seq => swarm = restored,
            // The log is the truth; without a snapshot it is only read for longer.
            Ok(_) => tracing::warn!(seq, "the snapshot is of another position; replaying the whole log"),
            Err(error) => tracing::warn!(seq, %error, "replaying the whole log instead of the snapshot"),
        }
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
    }
    if time_ms == 0 && last > 0 {
        // All of it was in the snapshot, which knows no time.
        time_ms = decode_batch(&log.read(last).await?)?.time_ms;
    }
    Ok(History { swarm, tail, time_ms })
}
