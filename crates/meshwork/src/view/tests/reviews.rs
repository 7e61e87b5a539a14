//! Votes as people are told of them: rows, reports, and what a reviewer is given.

use super::play::{Play, kinds, task};
use super::report::{Log, of, report};
use crate::view::{EventKind, OutcomeWord, TaskState};
use meshwork_core::{AttemptOutcome, Config, DownReason, Limits, Op, Payload, Position, Review, TaskSpec};

fn reviewed(approvals: u32, of: u32, retries: u32) -> TaskSpec {
    let review = Review { requires: vec!["judge".into()], approvals, of, run: None };
    TaskSpec { review: Some(review), retries, ..task("a", &[]) }
}

/// `a` has returned, and is reviewed by `q` and `r`.
fn play(approvals: u32, retries: u32) -> Play {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.peer("q", &["judge"], 1);
    play.peer("r", &["judge"], 1);
    play.submit(vec![reviewed(approvals, 2, retries)]);
    play.seal();
    play.ok_with("a", 4, 10, r#"{"made": 1}"#);
    play
}

fn votes(play: &mut Play, id: &str, why: Option<&str>) -> Vec<crate::view::EventRow> {
    let outcome = if why.is_some() { AttemptOutcome::Rejected } else { AttemptOutcome::Ok };
    let mut returned = play.end(id, outcome, 2);
    returned.error = why.map(str::to_owned);
    returned.result = Some(Payload::Json("{}".into()));
    play.one(Op::Return(returned))
}

#[test]
fn votes_are_told_one_by_one_and_the_decision_with_all_of_them() {
    let mut play = play(2, 0);
    let opened: Vec<_> = play.rows.iter().filter(|row| row.event == EventKind::ReviewOpened).collect();
    let titles: Vec<_> = opened.iter().map(|row| (row.task_id.as_deref().unwrap(), row.detail.as_deref())).collect();
    let title = Some("Review attempt 1 of task \"a\"");
    assert_eq!(titles, [("a#review-1.1", title), ("a#review-1.2", title)]);
    assert_ne!(opened[0].trace_id, opened[1].trace_id);

    let rows = votes(&mut play, "a#review-1.1", None);
    assert_eq!(
        kinds(&rows),
        [EventKind::AttemptEnded, EventKind::TaskSettled, EventKind::TaskClosed, EventKind::Voted]
    );
    let vote = &rows[3];
    assert_eq!((vote.task_id.as_deref(), vote.attempt, vote.outcome), (Some("a"), Some(1), Some(OutcomeWord::Ok)));

    let rows = votes(&mut play, "a#review-1.2", Some("no tests"));
    let vote = rows.iter().find(|row| row.event == EventKind::Voted).unwrap();
    let said = (vote.peer_id.as_deref(), vote.outcome, vote.detail.as_deref());
    assert_eq!(said, (Some("r"), Some(OutcomeWord::Rejected), Some("no tests")));
    let end = rows.iter().find(|row| row.event == EventKind::ReviewEnded).unwrap();
    let all = "q approves; r does not approve: no tests";
    assert_eq!((end.outcome, end.detail.as_deref()), (Some(OutcomeWord::Rejected), Some(all)));

    let report = report(&play);
    assert!(report.completed && !report.succeeded);
    let a = of(&report, "a");
    assert_eq!((a.state, a.outcome, a.error.as_deref()), (TaskState::Failed, Some(OutcomeWord::Rejected), Some(all)));
    assert_eq!((a.returned, a.settled, a.verified, a.closed), (true, true, Some(false), true));
    assert_eq!((a.attempts[0].outcome, a.result.clone()), (Some(OutcomeWord::Rejected), None));
    let review = of(&report, "a#review-1.2");
    assert_eq!((review.state, review.outcome), (TaskState::Completed, Some(OutcomeWord::Ok)), "it did its work");
    assert_eq!((review.review_of.as_deref(), review.parent.as_deref()), (Some("a"), Some("a")));
    assert_eq!(review.attempts[0].outcome, Some(OutcomeWord::Rejected));
    assert_eq!(review.attempts[0].error.as_deref(), Some("no tests"));
    let done = |id: &str| {
        let peer = report.peers.iter().find(|peer| peer.id == id).unwrap();
        (peer.metrics.tasks_completed, peer.metrics.tasks_failed)
    };
    assert_eq!((done("p"), done("q"), done("r")), ((0, 1), (1, 0), (1, 0)));
    assert_eq!((report.metrics.total_tasks, report.metrics.failed_tasks), (1, 1), "reviews are not counted");
    assert_eq!(report.worth.tokens_not_used, 10);
}

#[test]
fn an_approved_task_is_a_success_although_a_review_was_cut_short() {
    let mut play = play(1, 0);
    votes(&mut play, "a#review-1.1", None);
    let late = play.end("a#review-1.2", AttemptOutcome::Cancelled, 2);
    let rows = play.one(Op::Return(late));
    let end = rows.iter().find(|row| row.event == EventKind::ReviewEnded).unwrap();
    assert_eq!((end.outcome, end.detail.as_deref()), (Some(OutcomeWord::Ok), Some("q approves")));
    let report = report(&play);
    assert!(report.completed && report.succeeded);
    let a = of(&report, "a");
    assert_eq!((a.state, a.verified), (TaskState::Completed, Some(true)));
    assert_eq!(a.result, Some(serde_json::json!({ "made": 1 })));
    assert_eq!(play.view.status().tasks.completed, 1);
    assert_eq!(play.view.status().tasks.failed, 0);
}

#[test]
fn a_review_is_told_what_it_reviews_although_nobody_submitted_it() {
    let mut play = play(2, 1);
    let log = Log::of(&play);
    let text = play.view.spec(play.no("a#review-1.2"), &log).unwrap();
    assert!(text.description.starts_with("Review attempt 1 of task \"a\": do a\n"), "{}", text.description);
    let Some(Payload::Json(input)) = text.input else { panic!("no input") };
    assert!(input.contains(r#""result":{"made":1}"#) && input.contains(r#""attempt":1"#), "{input}");
    // The reviews of the first attempt are still those of the first, when the second one has returned.
    votes(&mut play, "a#review-1.1", Some("no"));
    let late = play.end("a#review-1.2", AttemptOutcome::Cancelled, 2);
    play.one(Op::Return(late));
    play.ok_with("a", 4, 10, r#"{"made": 2}"#);
    let log = Log::of(&play);
    let input = |id: &str| match play.view.spec(play.no(id), &log).unwrap().input {
        Some(Payload::Json(input)) => input,
        other => panic!("found {other:?}"),
    };
    assert!(input("a#review-1.1").contains(r#"{"made":1}"#), "{}", input("a#review-1.1"));
    assert!(input("a#review-2.1").contains(r#"{"made":2}"#), "{}", input("a#review-2.1"));
}

#[test]
fn no_room_for_reviews_is_told_with_the_limit() {
    let limits = Limits { tasks: 2, ..Limits::default() };
    let mut play = Play::with(Config { limits, ..Config::default() });
    play.peer("p", &[], 1);
    play.submit(vec![reviewed(1, 2, 3)]);
    play.ok("a", 1);
    let a = report(&play).tasks.remove(0);
    let why = "there is no room for its reviews within the limit on tasks a swarm";
    assert_eq!((a.outcome, a.error.as_deref()), (Some(OutcomeWord::Rejected), Some(why)));
}

#[test]
fn a_node_that_leaves_is_told_as_such_and_is_not_among_the_nodes() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.one(Op::PeerDown { peer: "p".into(), why: DownReason::Shutdown });
    assert_eq!(play.view.status().nodes, ["n1"]);
    let rows = play.one(Op::Leave);
    assert_eq!((rows[0].event, rows[0].detail.as_deref()), (EventKind::NodeLeft, Some("n1")));
    assert!(play.view.status().nodes.is_empty());
    let before = play.view.swarm().last_incarnation("n1");
    assert!(before > Position::START);
    play.join(before);
    assert_eq!(play.view.status().nodes, ["n1"]);
    assert!(play.rows.iter().all(|row| row.event != EventKind::NodeLost), "nobody was lost");
}
