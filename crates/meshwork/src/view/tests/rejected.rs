//! A result that came after its attempt was given up on, as people and programs are told of it.

use super::play::{Play, task};
use super::report::Log;
use crate::view::{NoEntries, OutcomeWord};
use meshwork_core::{AttemptOutcome, Op, Position, Returned};

/// Node `n1` is replaced while its peer runs a task, and its former self hands in what it had.
fn play(outcome: AttemptOutcome, error: Option<String>) -> Play {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("t", &[])]);
    play.seal();
    let stale = Returned { error, ..play.end("t", outcome, 5) };
    let zombie = play.speaker();
    play.join(play.author.incarnation);
    play.peer("p", &[], 1);
    play.ok_with("t", 5, 1, "\"mine\"");
    play.speak_as(zombie);
    play.one(Op::Return(stale));
    play
}

#[test]
fn a_rejected_result_says_whose_it_was_what_it_said_and_why_it_does_not_count() {
    let play = play(AttemptOutcome::Failed, Some("half done".to_owned()));
    let document = play.view.explain(play.no("t"), true, &NoEntries).unwrap();
    let [kept] = &document.task().rejected[..] else { panic!("{:?}", document.task().rejected) };
    assert_eq!(kept.position, Position::new(play.batches.len() as u64, 0).to_string());
    assert_eq!((kept.outcome, kept.attempt), (OutcomeWord::Failed, Some(1)));
    assert_eq!((kept.peer_id.as_deref(), kept.node.as_deref()), (Some("p"), Some("n1")));
    assert_eq!(kept.error.as_deref(), Some("half done"));
    let refusal = kept.refusal.as_deref().unwrap();
    assert!(refusal.starts_with("node \"n1\" with incarnation 2.0 is not present"), "{refusal}");
    assert_eq!(document.task().result, Some(serde_json::json!("mine")), "the successor's result stands");

    let text = document.human();
    let at = text.find("none of them counts").unwrap_or_else(|| panic!("{text}"));
    for word in [&*kept.position, "p", "n1", "failed", "half done", refusal] {
        assert!(text[at..].contains(word), "{word} in {text}");
    }
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!(json["task"]["rejected"][0]["grant"], serde_json::json!(kept.grant));
}

#[test]
fn a_long_error_of_a_rejected_result_is_read_again_from_the_log() {
    let long = "x".repeat(10_000);
    let play = play(AttemptOutcome::Failed, Some(long.clone()));
    let document = play.view.explain(play.no("t"), true, &Log::of(&play)).unwrap();
    assert_eq!(document.task().rejected[0].error.as_deref(), Some(&*long));
    let without = play.view.explain(play.no("t"), true, &NoEntries).unwrap();
    assert!(without.task().rejected[0].error.as_deref().is_some_and(|text| text.len() < 200), "named by its place");
}
