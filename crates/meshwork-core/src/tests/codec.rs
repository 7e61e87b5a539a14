//! Batches as bytes: what is written is read, what is damaged is refused, and nothing panics.

use super::random::{for_each_seed, sequence};
use crate::sim::dice::Dice;
use crate::{
    Author, BATCH_BYTES_MAX, Batch, CodecError, Op, Position, Review, Seen, Submission, TaskSpec, decode_batch,
    encode_batch, encoded_len,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn batches_come_back_as_they_were_written(seed in 0u64..100_000) {
        for (batch, _) in sequence(seed, false).log {
            let bytes = encode_batch(&batch).unwrap();
            prop_assert_eq!(decode_batch(&bytes).unwrap(), batch);
        }
    }

    #[test]
    fn garbage_is_refused_and_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..400), start in 0..3) {
        if start > 0 && bytes.len() > 10 {
            // What looks like a batch from outside has to be refused by what is inside.
            bytes[0] = 0xB7;
            bytes[1] = 3;
            if start > 1 {
                let sum = xxhash_rust::xxh3::xxh3_64(&bytes[10..]).to_le_bytes();
                bytes[2..10].copy_from_slice(&sum);
            }
        }
        // Bytes with a right checksum may even be a batch; then they say so again.
        if let Ok(batch) = decode_batch(&bytes) {
            prop_assert_eq!(decode_batch(&encode_batch(&batch).unwrap()).unwrap(), batch);
        }
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    for_each_seed("every_damaged_byte", 50, |seed| {
        let log = sequence(seed, false).log;
        let (batch, _) = &log[Dice::new(seed).below(log.len())];
        let whole = encode_batch(batch).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(decode_batch(&damaged).is_err(), "byte {at} of seed {seed}");
            assert!(decode_batch(&whole[..at]).is_err(), "{at} bytes of seed {seed}");
        }
    });
}

#[test]
fn an_error_says_what_was_found() {
    let (mut batch, _) = sequence(1, false).log[0].clone();
    let mut bytes = encode_batch(&batch).unwrap();
    assert_eq!(decode_batch(&bytes[..4]), Err(CodecError::NotABatch { found: 4 }));
    bytes[1] = 4;
    assert_eq!(decode_batch(&bytes), Err(CodecError::NewerFormat { found: 4 }));
    bytes[1] = 2;
    assert_eq!(decode_batch(&bytes), Err(CodecError::OlderFormat { found: 2 }));
    bytes[1] = 3;
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(decode_batch(&bytes), Err(CodecError::Checksum { .. })));

    let text = "x".repeat(BATCH_BYTES_MAX + 1);
    let progress = Op::Progress { task: crate::TaskNo(0), grant: crate::Position::START, text };
    assert!(encoded_len(&progress) > BATCH_BYTES_MAX);
    batch.entries = vec![progress.clone(), progress];
    assert!(matches!(encode_batch(&batch), Err(CodecError::TooLarge { .. })));
}

/// What is written today is read by every later version that calls its format the same. Whoever changes a
/// field of an entry raises the format, and then this.
#[test]
fn the_bytes_of_a_format_do_not_change() {
    let review = Review { requires: vec!["j".to_owned()], approvals: 1, of: 2, run: Some("r".to_owned()) };
    let task = TaskSpec { id: "a".to_owned(), priority: 5, review: Some(review), ..TaskSpec::default() };
    let entries = vec![Op::Submit(Submission { tasks: vec![task], parent: None, more: true }), Op::Leave];
    let author = Author { node: "n".to_owned(), incarnation: Position::new(1, 1) };
    let batch = Batch { author, seq: 3, seen: Seen { seq: 9, hash: 7 }, time_ms: 300, entries };
    let bytes: String = encode_batch(&batch).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        bytes,
        "b703a21fde7a25fc0cad016e818004030907ac02020901016100000005000000000000000101016a010201017200000114"
    );
}
