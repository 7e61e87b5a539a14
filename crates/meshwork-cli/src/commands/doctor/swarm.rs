//! A swarm's log, replayed from its first batch on and held against itself.

use super::Check;
use crate::failure::CliFailure;
use crate::state::{NO_ROWS, SwarmLog};
use meshwork_core::{Swarm, decode_batch};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where the log leads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Replayed {
    swarm_id: String,
    /// Position of its last batch.
    pub(super) seq: u64,
    /// Hash of the state there, 16 hex digits: equal wherever this log was replayed.
    pub(super) state_hash: String,
}

/// Replays the log, and checks the promises of the state and that snapshots lead to the same one.
///
/// # Errors
/// When the log is damaged, or its state breaks a promise.
pub(super) fn replay(mut log: SwarmLog, checks: &mut Vec<Check>) -> Result<Replayed, CliFailure> {
    log.reader().check()?;
    log.read_on(NO_ROWS, |_| true)?;
    let swarm = log.view().swarm();
    let (seq, hash) = (swarm.last().seq, swarm.state_hash());
    // What it asserts is our own promise, so a breach is a panic; here it is what was asked for.
    if catch_unwind(AssertUnwindSafe(|| swarm.check_invariants())).is_err() {
        let message = format!("the state of swarm {:?} breaks an invariant at {seq}", swarm.swarm_id());
        return Err(CliFailure::unusable("InvariantBroken", message));
    }
    checks.push(Check::of("log", Ok(format!("{seq} batches, every checksum right, every invariant holds"))));
    checks.push(Check::of("snapshot", snapshot(&log, seq, hash)));
    Ok(Replayed { swarm_id: swarm.swarm_id().to_owned(), seq, state_hash: format!("{hash:016x}") })
}

/// Whether the newest snapshot and what follows it lead to the same state as the whole log.
fn snapshot(log: &SwarmLog, last: u64, expected: u64) -> Result<String, String> {
    let taken = log.reader().snapshot().map_err(|error| error.to_string())?;
    let Some((from, bytes)) = taken else { return Ok("none yet; the whole log is replayed".to_owned()) };
    let mut swarm = Swarm::restore(&bytes).map_err(|error| error.to_string())?;
    // A live swarm may have written on: the comparison is for the same position.
    if from > last {
        return Ok(format!("of {from}, newer than what was replayed"));
    }
    for seq in swarm.last().seq + 1..=last {
        let bytes = log.reader().read(seq).map_err(|error| error.to_string())?;
        let batch = decode_batch(&bytes).map_err(|error| error.to_string())?;
        let _effects_of_the_past = swarm.apply_batch(seq, &batch).map_err(|error| error.to_string())?;
    }
    match swarm.state_hash() {
        hash if hash == expected => Ok(format!("of {from}, leads to the same state")),
        other => Err(format!("of {from}, leads to state hash {other:016x}, expected {expected:016x}")),
    }
}
