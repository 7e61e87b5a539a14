//! The kept corpus, inputs that are hostile by size or depth, and a short campaign: on every change, on stable Rust.

#![expect(clippy::unwrap_used, reason = "tests")]

use meshwork_fuzz::campaign::{Plan, check, run};
use meshwork_fuzz::{TARGETS, corpus, hostile};
use std::time::{Duration, Instant};

/// Executions a target: few seconds in all.
const EXECUTIONS: u64 = 400;
/// The largest that the whole corpus may be: it is cloned by everybody.
const CORPUS_BYTES: usize = 1 << 20;

#[test]
fn the_kept_corpus_breaks_no_promise() {
    let mut bytes = 0;
    for (name, target) in TARGETS {
        let inputs = corpus::named(name).unwrap();
        assert!(!inputs.is_empty(), "{name} has no corpus: `meshwork-fuzz seeds` makes one");
        for (file, input) in inputs {
            bytes += input.len();
            check(*target, &input).unwrap_or_else(|what| panic!("corpus/{name}/{file}: {what}"));
        }
    }
    assert!(bytes < CORPUS_BYTES, "the corpus has {bytes} bytes, the limit is {CORPUS_BYTES}");
}

#[test]
fn no_folder_of_the_corpus_belongs_to_nobody() {
    for entry in std::fs::read_dir(corpus::folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(meshwork_fuzz::find(&name).is_some(), "{name} is no target");
    }
}

#[test]
fn a_short_campaign_breaks_no_promise() {
    for (name, target) in TARGETS {
        let inputs = corpus::inputs(name).unwrap();
        let outcome = run(*target, &inputs, Plan { executions: EXECUTIONS, seed: 20 }, |_| {});
        if let Some(crash) = outcome.crash {
            panic!("{name}, input {}: {}\n{:?}", crash.number, crash.what, String::from_utf8_lossy(&crash.input));
        }
    }
}

#[test]
fn deep_nesting_is_refused_and_soon() {
    for (what, input) in hostile::deep() {
        for (name, target) in TARGETS {
            let started = Instant::now();
            check(*target, &input).unwrap_or_else(|said| panic!("{what} for {name}: {said}"));
            let took = started.elapsed();
            assert!(took < Duration::from_secs(20), "{what} for {name} took {took:?}");
        }
    }
}

/// Each is looked at before it is copied: what it would cost to take it in is not paid.
#[test]
fn a_message_of_100_megabytes_is_refused_by_its_size() {
    let large = vec![b'['; hostile::LARGE];
    let announced = u64::try_from(large.len()).unwrap();
    let refused = meshwork::fuzzing::read_body(Vec::new(), Some(announced), None, meshwork::endpoint::TASKS_BYTES);
    assert_eq!(refused.unwrap_err().code, "RequestTooLarge");
    let pieces = large.chunks(1 << 20).map(|piece| piece.to_vec().into()).collect();
    let refused = meshwork::fuzzing::read_body(pieces, None, None, meshwork::endpoint::TASKS_BYTES);
    assert_eq!(refused.unwrap_err().code, "RequestTooLarge");
    let batch = [&[0xB7, 1][..], &large].concat();
    let refused = meshwork_core::decode_batch(&batch).unwrap_err();
    assert!(matches!(refused, meshwork_core::CodecError::TooLarge { .. }), "{refused}");
    assert_eq!(meshwork::fuzzing::control_request(&large).unwrap_err().code, "TooDeep");
}
