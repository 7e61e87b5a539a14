use super::play::{LOG, Play, START, kinds, task};
use crate::view::{EventKind, EventRow, OutcomeWord, TraceId, visible};
use meshwork_core::{Author, Op, PauseReason, Payload, Position, Returned, Submission, TaskSpec, Tokens, Verify};
use serde_json::json;

#[test]
fn a_task_from_submission_to_completion_is_told_in_order() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    use EventKind::{AttemptEnded, RoundClosed, RoundOpened, RoundSealed, TaskClosed, TaskReady, TaskSettled};
    let rows = play.submit(vec![task("a", &[]), task("b", &["a"])]);
    let submitted = EventKind::TaskSubmitted;
    assert_eq!(kinds(&rows), [RoundOpened, submitted, submitted, TaskReady, EventKind::TaskStarted]);
    play.pass(5);
    let rows = play.ok("a", 5);
    assert_eq!(kinds(&rows), [AttemptEnded, TaskSettled, TaskClosed, TaskReady, EventKind::TaskStarted]);
    assert_eq!(kinds(&play.seal()), [RoundSealed]);
    assert_eq!(kinds(&play.ok("b", 5)), [AttemptEnded, TaskSettled, TaskClosed, RoundClosed]);
}

#[test]
fn a_row_carries_the_joining_fields_as_one_json_object() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    play.pass(7);
    let mut returned = play.end("a", meshwork_core::AttemptOutcome::Ok, 7);
    returned.usage = Tokens { input: 3, output: 4 };
    returned.result = Some(Payload::Artifact { key: "out.md".into(), bytes: 9 });
    let rows = play.one(Op::Return(returned));
    let trace = TraceId::of_task(LOG, "a", 1).to_string();
    let expected = json!({
        "position": "5.0", "timeMs": START + 7, "event": "attempt-ended", "swarmId": "sw", "taskId": "a",
        "attempt": 1, "peerId": "p", "artifactKey": "out.md", "tokens": 7, "outcome": "ok", "traceId": trace,
    });
    assert_eq!(serde_json::to_value(&rows[0]).unwrap(), expected);
    let back: EventRow = serde_json::from_value(expected).unwrap();
    assert_eq!(back, rows[0]);
    assert!(!serde_json::to_string(&rows[0]).unwrap().contains('\n'));
}

#[test]
fn the_word_of_an_event_is_its_name_on_the_wire() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    for row in &play.rows {
        assert_eq!(serde_json::to_value(row.event).unwrap(), json!(row.event.word()));
    }
}

#[test]
fn trace_ids_are_stable_and_differ_by_log_task_and_generation() {
    let one = TraceId::of_task("l", "t", 1);
    assert_eq!(one, TraceId::of_task("l", "t", 1));
    let others = [
        TraceId::of_task("l", "t", 2),
        TraceId::of_task("l", "u", 1),
        TraceId::of_task("m", "t", 1),
        TraceId::of_task("lt", "", 1),
        TraceId::of_swarm("l"),
    ];
    assert!(others.iter().all(|other| *other != one));
    let text = one.to_string();
    assert_eq!(text.len(), 32);
    assert_eq!(serde_json::from_value::<TraceId>(json!(text)).unwrap(), one);
    assert!(serde_json::from_value::<TraceId>(json!("+123")).is_err());
}

#[test]
fn nothing_in_a_line_for_people_acts_on_a_terminal() {
    let mut play = Play::new();
    play.peer("p\u{202e}q", &[], 1);
    play.submit(vec![task("a", &[])]);
    let (no, grant) = (play.no("a"), play.grant("a"));
    let text = "\u{1b}[2Jred\r\nnext\u{9b}31m\u{7f}".to_owned();
    let rows = play.one(Op::Progress { task: no, grant, text });
    let line = rows[0].to_string();
    assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    assert!(line.contains(r"\u{1b}[2Jred\r\nnext\u{9b}31m\u{7f}"), "{line}");
    assert!(line.contains(r"on p\u{202e}q"), "{line}");
    assert!(line.starts_with("22:13:20.000      5.0  progress"), "{line}");
    assert!(matches!(visible("plain é"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_long_text_is_cut_in_a_row() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    let (task, grant) = (play.no("a"), play.grant("a"));
    let rows = play.one(Op::Progress { task, grant, text: "é".repeat(5_000) });
    let detail = rows[0].detail.clone().unwrap();
    assert!(detail.len() < 4_200 && detail.ends_with("… (10000 bytes)"));
}

#[test]
fn checks_waits_cancels_and_pauses_are_told() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    let checked = TaskSpec { verify: Some(Verify::default()), ..task("a", &[]) };
    play.submit(vec![checked]);
    let rows = play.ok("a", 0);
    assert_eq!(rows.last().unwrap().event, EventKind::CheckStarted);
    let (no, grant) = (play.no("a"), play.grant("a"));
    let rows = play.one(Op::Checked { task: no, grant, passed: false, evidence: "no file".into(), ran_ms: 1 });
    assert_eq!(rows[0].event, EventKind::CheckEnded);
    assert_eq!((rows[0].outcome, rows[0].detail.as_deref()), (Some(OutcomeWord::Unverified), Some("no file")));

    play.submit(vec![task("b", &[])]);
    let (no, grant) = (play.no("b"), play.grant("b"));
    play.one(Op::Submit(Submission { tasks: vec![task("c", &[])], parent: Some((no, grant)), more: false }));
    let rows = play.one(Op::Wait { task: no, grant, children: Vec::new() });
    assert_eq!(kinds(&rows), [EventKind::TaskWaiting, EventKind::TaskStarted]);
    let rows = play.ok("c", 0);
    assert_eq!(rows.last().unwrap().event, EventKind::TaskContinued);
    let rows = play.one(Op::Cancel { task: no });
    assert_eq!(kinds(&rows), [EventKind::CancelRequested]);
    let (peer, reason) = ("p".to_owned(), PauseReason::User);
    let rows = play.one(Op::Pause { peer: peer.clone(), reason });
    assert_eq!((rows[0].event, rows[0].detail.as_deref()), (EventKind::PeerPaused, Some("user")));
    let rows = play.one(Op::Resume { peer });
    assert_eq!(kinds(&rows), [EventKind::PeerResumed]);
}

#[test]
fn a_refused_entry_is_told_with_what_it_was_about() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    let late =
        Returned { usage: Tokens { input: 9, output: 0 }, ..play.end("a", meshwork_core::AttemptOutcome::Ok, 1) };
    // The name joins anew: what the old incarnation held is taken back, and then the old one speaks.
    let zombie = play.speaker();
    play.join(zombie.0.incarnation);
    play.speak_as(zombie);
    let rows = play.one(Op::Return(late));
    assert_eq!(kinds(&rows), [EventKind::EntryRefused]);
    let row = &rows[0];
    assert_eq!((row.task_id.as_deref(), row.attempt, row.peer_id.as_deref()), (Some("a"), Some(1), Some("p")));
    assert_eq!((row.tokens, row.outcome), (Some(9), Some(OutcomeWord::Rejected)));
    assert!(row.detail.as_ref().unwrap().starts_with("return of node \"n1\": node \"n1\" with incarnation"));
    let rows = play.one(Op::Cancel { task: meshwork_core::TaskNo(77) });
    assert_eq!((rows[0].event, rows[0].task_id.clone()), (EventKind::EntryRefused, None));
}

#[test]
fn times_never_go_back_and_a_duplicate_tells_nothing() {
    let mut play = Play::new();
    play.pass(1_000);
    play.peer("p", &[], 1);
    play.now -= 900;
    play.peer("q", &[], 1);
    let times: Vec<u64> = play.rows.iter().map(|row| row.time_ms).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(play.view.now_ms(), START + 1_000);
    let last = play.batches.last().unwrap().1.clone();
    let mut again = meshwork_core::decode_batch(&last).unwrap();
    again.time_ms += 1 << 40;
    let at = play.batches.len() as u64 + 1;
    assert!(play.view.apply(at, &again).unwrap().is_empty());
    assert_eq!(play.view.now_ms(), START + 1_000);
}

#[test]
fn a_hole_in_the_log_is_an_error_and_changes_nothing() {
    let mut play = Play::new();
    let author = Author { node: "x".into(), incarnation: Position::START };
    let batch =
        meshwork_core::Batch { author, seq: 0, seen: meshwork_core::Seen::default(), time_ms: 9, entries: Vec::new() };
    assert!(play.view.apply(9, &batch).is_err());
    let mut bytes = play.batches.clone();
    bytes[1].1 = bytes::Bytes::from_static(b"junk");
    let error = crate::view::View::replay(bytes.into_iter()).unwrap_err();
    assert!(error.to_string().starts_with("batch 2 of the log cannot be read"), "{error}");
}
