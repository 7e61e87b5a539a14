//! Numbers and bytes that nobody meant: each of these was found by a fuzz target.

use super::mesh::{Mesh, task};
use super::random::sequence;
use crate::{Config, Op, SnapshotError, Swarm, Tokens};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before what the checksum is of.
const HEADER: usize = 10;

#[test]
fn tasks_that_age_beyond_all_measure_are_ranked_by_priority_alone() {
    for ageing in [0, u64::from(u32::MAX) + 1, u64::MAX] {
        let mut mesh = Mesh::with(Config { ageing, ..Config::default() });
        mesh.peer("p", &[], 1).submit([task("first")]).submit([task("low"), task("high")]);
        mesh.does(Op::Submit(crate::Submission {
            tasks: vec![crate::TaskSpec { priority: 10, ..task("highest") }],
            parent: None,
            more: false,
        }));
        if ageing > 0 {
            mesh.ok("first");
            assert_eq!(mesh.is("highest"), "running p", "ageing {ageing}");
        }
    }
}

/// What all attempts together reserve must fit, whatever each says that it has spent.
#[test]
fn attempts_that_report_all_tokens_there_can_be_do_not_overflow_what_is_reserved() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a"), task("b"), task("c")]);
    for id in ["a", "b", "c"] {
        let (author, task, grant) = mesh.holder(id);
        let tokens = Tokens { input: u64::MAX, output: 1 };
        mesh.accept(&author, Op::Usage { task, grant, tokens });
    }
    mesh.ok("a").ok("b").ok("c");
    assert_eq!(mesh.swarm.tokens().input, 3 << 40, "more than a trillion tokens of one attempt are not believed");
    // The mean of such reports is reserved for the next one.
    mesh.submit([task("d"), task("e")]);
    assert_eq!((&*mesh.is("d"), &*mesh.is("e")), ("running p", "running p"));
}

/// A checksum that is right says that the bytes were written, not that a swarm was.
#[test]
fn a_snapshot_with_a_right_checksum_over_wrong_records_is_refused_or_whole() {
    let mut refused = 0;
    for seed in [3, 7, 11] {
        let whole = sequence(seed, false).swarm.snapshot().unwrap();
        for at in HEADER..whole.len() {
            for byte in [0x00, 0x01, 0x7f, 0xff, whole[at] ^ 0x01, whole[at] ^ 0x80] {
                let mut other = whole.clone();
                other[at] = byte;
                let sum = xxh3_64(&other[HEADER..]);
                other[2..HEADER].copy_from_slice(&sum.to_le_bytes());
                match Swarm::restore(&other) {
                    Ok(swarm) => drop(swarm.snapshot().unwrap()),
                    Err(SnapshotError::Malformed { what }) => {
                        assert!(!what.is_empty());
                        refused += 1;
                    }
                    Err(error) => assert_eq!(error, SnapshotError::StateHash),
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused} refused");
}
