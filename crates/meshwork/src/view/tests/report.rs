use super::play::{LOG, Play, START, task};
use crate::view::{
    EntrySource, OutcomeWord, PeerState, RunReport, RuntimeFacts, SwarmState, TaskReport, TaskState, View,
};
use bytes::Bytes;
use meshwork_core::{
    AttemptOutcome, DownReason, Op, PauseReason, Payload, Position, Returned, Submission, TaskSpec, Tokens, Verify,
    decode_batch,
};
use serde_json::json;

pub(super) fn report(play: &Play) -> RunReport {
    play.view.report(&RuntimeFacts::default())
}

pub(super) fn of<'a>(report: &'a RunReport, id: &str) -> &'a TaskReport {
    report.tasks.iter().find(|task| task.id == id).unwrap()
}

/// The batches as the log would give them back.
pub(super) struct Log(Vec<(u64, Bytes)>);

impl Log {
    pub(super) fn of(play: &Play) -> Self {
        Self(play.batches.clone())
    }
}

impl EntrySource for Log {
    fn entry(&self, at: Position) -> Option<Op> {
        let (_, bytes) = self.0.iter().find(|(seq, _)| *seq == at.seq())?;
        Some(decode_batch(bytes).ok()?.entries.swap_remove(at.index()))
    }
}

/// A diamond on two peers: a, then b and c side by side, then d.
fn diamond() -> Play {
    let mut play = Play::new();
    play.pass(10);
    play.peer("p", &["x"], 1);
    play.pass(10);
    play.peer("q", &["y"], 1);
    // Who runs what is fixed by capabilities: the scheduler's taste is not looked at here.
    let at = |capability: &str, task: TaskSpec| TaskSpec { requires: vec![capability.into()], ..task };
    let (a, b) = (at("x", task("a", &[])), at("x", task("b", &["a"])));
    let (c, d) = (at("y", task("c", &["a"])), at("x", task("d", &["b", "c"])));
    play.submit(vec![a, b, c, d]);
    play.seal();
    play.pass(100);
    play.ok_with("a", 90, 10, "{\"n\":1}");
    play.pass(200);
    play.ok_with("b", 200, 20, "not json");
    play.pass(100);
    play.ok("c", 300);
    play.pass(100);
    play.ok_with("d", 100, 30, "null");
    play
}

#[test]
fn a_run_is_measured_from_its_log() {
    let play = diamond();
    let facts = RuntimeFacts { messages_sent: Some(4), ..RuntimeFacts::default() };
    let report = play.view.report(&facts);
    assert!(report.completed && report.succeeded);
    let end = play.batches.len();
    assert_eq!(report.completion_id.as_deref(), Some(&*format!("{LOG}@{end}.0")));
    assert_eq!((report.round, report.started_at, report.ended_at), (1, Some(START + 20), Some(START + 520)));
    let a = of(&report, "a");
    assert_eq!((a.kind.as_str(), a.description.as_str(), a.priority), ("build", "do a", 5));
    assert_eq!((a.state, a.outcome), (TaskState::Completed, Some(OutcomeWord::Ok)));
    assert_eq!((a.returned, a.settled, a.verified, a.closed), (true, true, None, true));
    assert_eq!(a.result, Some(json!({"n": 1})));
    assert_eq!((a.created_at, a.assigned_at, a.completed_at), (START + 20, Some(START + 20), Some(START + 120)));
    let attempt = &a.attempts[0];
    assert_eq!((attempt.started_at, attempt.ended_at), (Some(START + 30), Some(START + 120)));
    assert_eq!((attempt.number, attempt.tokens, attempt.outcome), (1, Some(10), Some(OutcomeWord::Ok)));
    assert_eq!(of(&report, "b").result, Some(json!("not json")));
    assert_eq!(of(&report, "c").result, None);
    assert_eq!(of(&report, "d").dependencies, ["b", "c"]);

    let worth = &report.worth;
    assert_eq!((worth.elapsed_ms, worth.critical_path_ms), (500, 90 + 300 + 100));
    assert_eq!(worth.busy_ms, 690);
    assert_eq!(worth.parallel_efficiency, Some(690.0 / 1_000.0));
    assert_eq!((worth.tokens_per_completed_task, worth.tokens_not_used), (Some(15.0), 0));
    let metrics = &report.metrics;
    assert_eq!((metrics.total_tasks, metrics.completed_tasks, metrics.total_tokens_used), (4, 4, 60));
    assert_eq!((metrics.discovery_time_ms, metrics.completion_detection_time_ms), (Some(20), Some(0)));
    assert_eq!((metrics.messages_sent, metrics.messages_received, metrics.uptime_ms), (Some(4), None, 520));
    assert_eq!(report.discovery.average_discovery_latency_ms, Some(15.0));
    assert_eq!(report.completion.completion_position, report.completion.last_return_position);
    assert_eq!(report.peers[0].neighbors, Some(vec!["q".to_owned()]));
    assert_eq!(report.peers[0].state, PeerState::Idle);
    assert_eq!(report.token_savings.saved, 0);
    assert_eq!(report.token_savings.active_duration_ms, 510 + 500);
}

#[test]
fn failures_carry_their_reason_and_their_attempts() {
    let mut play = Play::new();
    play.peer("p", &[], 2);
    let again = TaskSpec { retries: 1, ..task("a", &[]) };
    play.submit(vec![again, task("b", &["a"]), TaskSpec { verify: Some(Verify::default()), ..task("v", &[]) }]);
    play.seal();
    play.fail("a", 3, "first");
    play.fail("a", 3, "second");
    play.ok_with("v", 1, 40, "1");
    let (no, grant) = (play.no("v"), play.grant("v"));
    play.one(Op::Checked { task: no, grant, passed: false, evidence: "review.md is empty".into(), ran_ms: 1 });
    let report = report(&play);
    assert!(report.completed && !report.succeeded);
    let a = of(&report, "a");
    assert_eq!((a.state, a.error.as_deref()), (TaskState::Failed, Some("second")));
    let numbers: Vec<_> = a.attempts.iter().map(|one| (one.number, one.error.as_deref().unwrap())).collect();
    assert_eq!(numbers, [(1, "first"), (2, "second")]);
    let b = of(&report, "b");
    assert_eq!(b.error.as_deref(), Some("failed without running, because \"a\" is failed"));
    assert!(b.attempts.is_empty() && b.assigned_peer.is_none());
    let v = of(&report, "v");
    assert_eq!((v.outcome, v.error.as_deref()), (Some(OutcomeWord::Unverified), Some("review.md is empty")));
    assert_eq!((v.returned, v.settled, v.verified, v.closed), (true, true, Some(false), true));
    assert_eq!((v.attempts[0].outcome, v.result.clone()), (Some(OutcomeWord::Unverified), None));
    assert_eq!((report.worth.tokens_not_used, report.worth.tokens_per_completed_task), (40, None));
    let peer = &report.peers[0].metrics;
    assert_eq!((peer.tasks_completed, peer.tasks_failed, peer.success_rate), (0, 3, 0.0));
    let human = report.human();
    assert!(human.starts_with("sw: completed, with failed tasks, 0 of 3 tasks ok in 0 ms\n"), "{human}");
    assert!(human.contains("review.md is empty"), "{human}");
}

#[test]
fn an_attempt_lost_with_its_node_has_no_start_and_keeps_its_number() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    let (no, grant) = (play.no("a"), play.grant("a"));
    play.one(Op::Usage { task: no, grant, tokens: Tokens { input: 5, output: 6 } });
    play.pass(50);
    let old = play.author.incarnation;
    play.join(old);
    let stopped = report(&play);
    assert_eq!(stopped.peers[0].state, PeerState::Error);
    assert_eq!((stopped.discovery.stale_peers, stopped.discovery.active_peers), (1, 0));
    play.peer("p", &[], 1);
    play.pass(10);
    play.ok("a", 10);
    let report = report(&play);
    let attempts = &of(&report, "a").attempts;
    assert_eq!(attempts.len(), 2);
    let lost = &attempts[0];
    assert_eq!((lost.number, lost.started_at, lost.outcome), (1, None, Some(OutcomeWord::Interrupted)));
    assert_eq!((lost.ended_at, lost.tokens), (Some(START + 50), Some(11)));
    assert_eq!((attempts[1].number, attempts[1].tokens), (1, None));
    assert_eq!((report.worth.tokens_not_used, report.metrics.total_tokens_used), (11, 11));
    assert_eq!(report.peers[0].metrics.tasks_failed, 0);
}

#[test]
fn a_result_whose_messages_were_open_at_the_loss_does_not_count() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    let mut returned = play.end("a", AttemptOutcome::Ok, 0);
    returned.messages_open = true;
    returned.result = Some(Payload::Json("1".into()));
    play.one(Op::Return(returned));
    let open = report(&play);
    let a = of(&open, "a");
    assert_eq!((a.state, a.returned, a.settled), (TaskState::Running, true, false));
    play.one(Op::PeerDown { peer: "p".into(), why: DownReason::Died });
    let report = report(&play);
    let a = of(&report, "a");
    assert_eq!((a.attempts[0].outcome, a.result.clone()), (Some(OutcomeWord::Interrupted), None));
    assert_eq!((a.state, a.returned), (TaskState::Pending, false));
    assert_eq!(a.reason.as_deref(), Some("waits until a peer that can run it is up again: \"p\""));
    assert_eq!(play.view.status().state, SwarmState::Saved);
}

#[test]
fn pauses_are_measured_and_waiting_for_children_is_not_work() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    play.pass(100);
    let (no, grant) = (play.no("a"), play.grant("a"));
    play.one(Op::Submit(Submission { tasks: vec![task("kid", &[])], parent: Some((no, grant)), more: false }));
    play.one(Op::Wait { task: no, grant, children: Vec::new() });
    play.pass(300);
    play.one(Op::Alive);
    assert_eq!(report(&play).worth.busy_ms, 100 + 300, "the waiting parent does not work, its child does");
    play.ok("kid", 300);
    play.pass(100);
    play.ok("a", 500);
    play.seal();
    play.one(Op::Pause { peer: "p".into(), reason: PauseReason::Idle });
    play.pass(1_000);
    play.one(Op::Resume { peer: "p".into() });
    play.pass(5);
    play.one(Op::Alive);
    let facts = RuntimeFacts { tokens_saved: Some(25), ..RuntimeFacts::default() };
    let report = play.view.report(&facts);
    assert_eq!((report.peers[0].paused_ms, report.peers[0].active_ms), (1_000, 505));
    assert_eq!((report.worth.busy_ms, report.worth.elapsed_ms), (500, 500));
    assert_eq!(report.worth.parallel_efficiency, Some(1.0));
    assert_eq!(of(&report, "kid").parent.as_deref(), Some("a"));
    assert_eq!((report.token_savings.saved, report.token_savings.percentage), (25, 100.0));
}

#[test]
fn a_late_seal_does_not_count_as_detection_time() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    play.pass(10);
    play.ok("a", 10);
    play.pass(60_000);
    play.seal();
    let report = report(&play);
    assert_eq!(report.metrics.completion_detection_time_ms, Some(0));
    assert_ne!(report.completion.completion_position, report.completion.last_return_position);
}

#[test]
fn detection_takes_from_the_last_return_to_the_completion() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[])]);
    play.seal();
    play.pass(10);
    let (task, grant) = (play.no("a"), play.grant("a"));
    let returned = play.end("a", AttemptOutcome::Ok, 10);
    play.one(Op::Return(Returned { messages_open: true, ..returned }));
    // Its messages are on their way for so long.
    play.pass(70);
    play.one(Op::Settled { task, grant });
    assert_eq!(report(&play).metrics.completion_detection_time_ms, Some(70));
    assert_eq!(report(&play).completion.longest_detection_time_ms, Some(70));
}

#[test]
fn a_new_round_shows_the_latest_generation_only() {
    let mut play = Play::new();
    play.peer("p", &[], 1);
    play.submit(vec![task("a", &[]), task("b", &[])]);
    play.ok("a", 1);
    play.fail("b", 1, "no");
    play.seal();
    assert!(!report(&play).succeeded);
    play.pass(1_000);
    play.submit(vec![task("a", &[]), task("b", &[])]);
    let open = report(&play);
    assert!(!open.completed && open.completion_id.is_none() && open.ended_at.is_none());
    play.seal();
    play.pass(20);
    play.ok("b", 20);
    let report = report(&play);
    let b = of(&report, "b");
    assert_eq!((report.tasks.len(), b.generation, b.round), (2, 2, 2));
    assert_eq!((of(&report, "a").round, report.round, report.succeeded), (1, 2, true));
    assert_eq!((report.worth.elapsed_ms, report.worth.critical_path_ms), (20, 20));
    assert_ne!(b.trace_id, of(&open, "a").trace_id);
    assert_eq!(report.completion.detection_successes, 2);
}

#[test]
fn large_texts_stay_in_the_log_and_are_read_from_it() {
    let mut play = Play::new();
    play.peer("p", &[], 2);
    let (large, larger) = ("d".repeat(5_000), format!("\"{}\"", "r".repeat(6_000)));
    play.submit(vec![TaskSpec { description: large.clone(), ..task("a", &[]) }, task("b", &[])]);
    play.ok_with("a", 1, 0, &larger);
    play.fail("b", 1, &large);
    let without = report(&play);
    assert_eq!(of(&without, "a").description, "(5000 bytes, in the log at 4.0)");
    assert_eq!(of(&without, "b").error.as_deref(), Some("(5000 bytes, in the log at 6.0)"));
    let log = Log(play.batches.clone());
    let with = play.view.report_from(&RuntimeFacts::default(), &log);
    assert_eq!(of(&with, "a").description, large);
    assert_eq!(of(&with, "a").result, serde_json::from_str(&larger).ok());
    assert_eq!(of(&with, "b").error.as_ref(), Some(&large));
    assert_eq!(play.view.spec(play.no("b"), &log).unwrap().id, "b");
}

#[test]
fn a_replay_says_the_same_as_the_view_that_followed() {
    let play = diamond();
    let again = View::replay(play.batches.clone().into_iter()).unwrap();
    let facts = RuntimeFacts::default();
    assert_eq!(again.report(&facts), play.view.report(&facts));
    assert_eq!(again.status(), play.view.status());
    assert_eq!(again.tasks(), play.view.tasks());
    assert_eq!(again.peers(), play.view.peers());
}

#[test]
fn the_tables_read_well() {
    let mut play = Play::new();
    play.peer("p", &["x", "y"], 1);
    let mut bad = task("evil", &["a"]);
    bad.description = "\u{1b}[31m".into();
    play.submit(vec![task("a", &[]), bad]);
    play.one(Op::Pause { peer: "p".into(), reason: PauseReason::User });
    let tasks = play.view.tasks().human();
    let expected = "\
TASK  STATE    OUTCOME  PEER  ATTEMPTS  PRIORITY  WHY
a     running  -        p            1         5  runs at \"p\" under grant 4.0
evil  pending  -        -            0         5  waits for \"a\"
";
    assert_eq!(tasks, expected);
    let peers = play.view.peers().human();
    let expected = "\
topology mesh
PEER  STATE          ROLE  NEIGHBOURS  LOAD  OK  FAILED  TOKENS  CAPABILITIES
p     paused (user)  -              0     1   0       0       0  x, y
";
    assert_eq!(peers, expected);
    let status = play.view.status();
    let expected = "\
SWARM     sw
state     open, round 1
tasks     0 completed, 0 failed, 1 running, 0 assigned, 1 pending
peers     0 active, 1 paused, 0 gone
topology  mesh
nodes     n1
tokens    0
elapsed   0 ms
";
    assert_eq!(status.human(), expected);
    assert_eq!(View::new().status().state, SwarmState::Empty);
}

#[test]
fn the_report_reads_well() {
    let play = diamond();
    let human = report(&play).human();
    let expected = "\
sw: completed, 4 of 4 tasks ok in 500 ms
topology mesh
completion log-1@10.0, round 1

OUTCOME  TASKS
ok           4

PEER  STATE  OK  FAILED  SUCCESS  RESPONSE  TOKENS  ACTIVE  PAUSED
p     idle    3       0    100 %    133 ms      60  510 ms    0 ms
q     idle    1       0    100 %    300 ms       0  500 ms    0 ms

WORTH
elapsed                  500 ms
critical path            490 ms
parallel efficiency        69 %
tokens                       60
tokens a completed task      15
tokens not used               0
tokens saved by pausing       0
";
    assert_eq!(human, expected);
}
