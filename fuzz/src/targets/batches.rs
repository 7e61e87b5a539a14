//! The log: batches, snapshots, and whole logs of batches that decode.

use crate::reader::Reader;
use meshwork::view::View;
use meshwork_core::{
    Author, BATCH_BYTES_MAX, Batch, CodecError, Op, Position, Seen, SnapshotError, Swarm, decode_batch, encode_batch,
    encoded_len,
};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the checked part, in batches and snapshots: magic, format, checksum.
const HEADER: usize = 10;

/// Magic and format of a batch, as this version writes them.
fn start_of_a_batch() -> [u8; 2] {
    static START: OnceLock<[u8; 2]> = OnceLock::new();
    *START.get_or_init(|| {
        let author = Author { node: String::new(), incarnation: Position::START };
        let batch = Batch { author, seq: 0, seen: Seen::default(), time_ms: 0, entries: Vec::new() };
        let bytes = encode_batch(&batch).expect("it is small");
        [bytes[0], bytes[1]]
    })
}

/// Magic and format of a snapshot.
fn start_of_a_snapshot() -> [u8; 2] {
    static START: OnceLock<[u8; 2]> = OnceLock::new();
    *START.get_or_init(|| {
        let bytes = Swarm::new().snapshot().expect("it is small");
        [bytes[0], bytes[1]]
    })
}

/// The same bytes with the checksum and the start that they should have.
fn put_right(bytes: &[u8], start: [u8; 2]) -> Option<Vec<u8>> {
    let body = bytes.get(HEADER..)?;
    let mut right = start.to_vec();
    right.extend(xxh3_64(body).to_le_bytes());
    right.extend(body);
    Some(right)
}

/// A batch, as it is and with its checksum put right.
pub(super) fn batch(data: &[u8]) {
    one_batch(data);
    if let Some(right) = put_right(data, start_of_a_batch()) {
        one_batch(&right);
    }
}

fn one_batch(data: &[u8]) {
    match decode_batch(data) {
        Ok(batch) => {
            let bytes = encode_batch(&batch).expect("what was read can be written");
            assert_eq!(decode_batch(&bytes).as_ref(), Ok(&batch), "what was read is written and read again");
            let entries: usize = batch.entries.iter().map(encoded_len).sum();
            assert!(entries <= bytes.len(), "a batch holds its entries");
        }
        Err(CodecError::NotABatch { found }) => {
            assert!(found == data.len() && (found < HEADER || data[0] != start_of_a_batch()[0]));
        }
        Err(CodecError::TooLarge { found, most }) => assert!(found > most && most == 2 * BATCH_BYTES_MAX),
        Err(CodecError::NewerFormat { found } | CodecError::OlderFormat { found }) => {
            assert!(found == data[1] && found != start_of_a_batch()[1]);
        }
        Err(CodecError::Checksum { found, expected }) => assert_ne!(found, expected),
        Err(CodecError::Malformed { what }) => assert!(!what.is_empty()),
    }
}

/// A snapshot, as it is and with its checksum put right.
pub(super) fn snapshot(data: &[u8]) {
    one_snapshot(data);
    if let Some(right) = put_right(data, start_of_a_snapshot()) {
        one_snapshot(&right);
    }
}

fn one_snapshot(data: &[u8]) {
    match Swarm::restore(data) {
        Ok(swarm) => {
            let again = swarm.snapshot().expect("what was restored can be kept");
            let restored = Swarm::restore(&again).expect("what was kept can be restored");
            assert_eq!(restored.state_hash(), swarm.state_hash());
            for (no, _) in swarm.tasks() {
                assert!(swarm.explain(no).is_some_and(|why| !why.reason.to_string().is_empty()));
            }
        }
        Err(SnapshotError::NotASnapshot) => assert!(data.len() < HEADER || data[..2] != start_of_a_snapshot()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A log of batches as others might have written it: each is decoded and applied, whatever it says.
pub(super) fn log(data: &[u8]) {
    let (mut swarm, mut view) = (Swarm::new(), View::new());
    let mut reader = Reader::new(data);
    let mut seq = 0;
    while !reader.is_empty() {
        let Some(right) = put_right(reader.part(), start_of_a_batch()) else { continue };
        let Ok(batch) = decode_batch(&right) else { continue };
        // A submission may hold a hundred thousand tasks; here the shape matters, not the size.
        let tasks = |op: &Op| if let Op::Submit(submission) = op { submission.tasks.len() } else { 1 };
        if batch.entries.iter().map(tasks).sum::<usize>() > 200 {
            continue;
        }
        let before = (swarm.last(), swarm.state_hash());
        match swarm.apply_batch(seq + 1, &batch) {
            Ok(_applied) => {
                seq += 1;
                swarm.check_invariants();
                let _rows = view.apply(seq, &batch).expect("a view reads what the swarm reads");
            }
            Err(fault) => {
                assert!(!fault.to_string().is_empty());
                assert_eq!((swarm.last(), swarm.state_hash()), before, "a faulty batch changes nothing");
            }
        }
    }
    assert_eq!(view.swarm().state_hash(), swarm.state_hash());
    let bytes = swarm.snapshot().expect("a swarm can be kept");
    let restored = Swarm::restore(&bytes).expect("what was kept can be restored");
    assert_eq!((restored.last(), restored.state_hash()), (swarm.last(), swarm.state_hash()));
    restored.check_invariants();
}
