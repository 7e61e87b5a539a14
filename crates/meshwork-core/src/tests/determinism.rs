//! The same log gives the same state on every node, and through a snapshot.

use super::random::{for_each_seed, sequence};
use crate::sim::dice::Dice;
use crate::{SnapshotError, Swarm, decode_batch, encode_batch};

/// Logs when nobody asks for another number.
const LOGS: u64 = 10_000;

#[test]
fn random_logs_applied_twice_and_through_a_snapshot_give_equal_states() {
    for_each_seed("applied_twice", LOGS, |seed| {
        let world = sequence(seed, false);
        let middle = Dice::new(!seed).below(world.log.len() + 1);
        let mut first = Swarm::new();
        first.probe.unchecked = true;
        let mut second = None;
        for (index, (batch, applied)) in world.log.iter().enumerate() {
            if index == middle {
                second = Some(through_a_snapshot(&first));
            }
            let bytes = encode_batch(batch).unwrap();
            let batch = decode_batch(&bytes).unwrap();
            let seq = index as u64 + 1;
            assert_eq!(first.apply_batch(seq, &batch).as_ref(), Ok(applied), "effects at {seq}");
            if let Some(second) = &mut second {
                assert_eq!(
                    second.apply_batch(seq, &batch).as_ref(),
                    Ok(applied),
                    "effects after the snapshot at {seq}"
                );
                assert_eq!(first.last(), second.last(), "state after the snapshot at {seq}");
            }
        }
        assert_eq!(first.last(), world.swarm.last(), "state at the end");
        assert_eq!(first.state_hash(), world.swarm.state_hash(), "state at the end");
        first.check_invariants();
        let again = through_a_snapshot(&first);
        assert_eq!(first.snapshot(), again.snapshot(), "a restored swarm gives the same snapshot");
    });
}

fn through_a_snapshot(swarm: &Swarm) -> Swarm {
    let mut restored = Swarm::restore(&swarm.snapshot().unwrap()).unwrap();
    assert_eq!(restored.state_hash(), swarm.state_hash(), "state hash of a restored swarm");
    assert_eq!(restored.last(), swarm.last(), "position of a restored swarm");
    restored.check_invariants();
    restored.probe.unchecked = true;
    restored
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let whole = sequence(7, false).swarm.snapshot().unwrap();
    for length in [0, 1, 9, 10, whole.len() - 1] {
        assert!(Swarm::restore(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let error = Swarm::restore(&damaged).unwrap_err();
        let expected = if at < 2 { SnapshotError::NotASnapshot } else { SnapshotError::Checksum };
        assert_eq!(error, expected, "byte {at}");
    }
}
