//! The life of a task (completion.md, section 3), one rule a test.

use super::mesh::{Mesh, returned, task};
use crate::{AttemptOutcome, Config, DependencyPolicy, DownReason, Effect, Limits, Op, Refusal};

#[test]
fn a_task_runs_and_completes() {
    let mut mesh = Mesh::new();
    mesh.submit([task("a")]).shows("a", "ready");
    mesh.peer("p", &[], 1).shows("a", "running p");
    mesh.ok("a").shows("a", "completed");
}

#[test]
fn a_failed_attempt_is_followed_by_as_many_more_as_retries_say() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(1)]);
    mesh.fails("a").shows("a", "backoff").time_passes().shows("a", "running p");
    assert_eq!(mesh.task("a").attempt, 2);
    mesh.fails("a").shows("a", "failed failed");
}

#[test]
fn the_back_off_doubles_up_to_its_maximum() {
    let config = Config { retry_backoff_ms: 100, backoff_max_ms: 350, ..Config::default() };
    let mut mesh = Mesh::with(config);
    mesh.peer("p", &[], 1).submit([task("a").retries(4)]);
    let mut lengths = Vec::new();
    for _ in 0..4 {
        mesh.fails("a");
        lengths.extend(mesh.swarm.open_waits().map(|(_, wait)| wait.ms));
        mesh.time_passes();
    }
    assert_eq!(lengths, [100, 200, 350, 350]);
}

#[test]
fn an_outcome_of_the_last_attempt_is_the_outcome_of_the_task() {
    use AttemptOutcome::{Cancelled, Failed, TimedOut, Unverified};
    for (outcome, end) in [
        (Failed, "failed failed"),
        (TimedOut, "failed timed-out"),
        (Unverified, "failed unverified"),
        (Cancelled, "failed cancelled"),
    ] {
        let mut mesh = Mesh::new();
        mesh.peer("p", &[], 1).submit([task("a")]).returns("a", outcome).shows("a", end);
    }
}

#[test]
fn a_task_that_loses_its_process_three_times_is_quarantined() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(9)]);
    for _ in 0..2 {
        mesh.returns("a", AttemptOutcome::Lost).shows("a", "backoff").time_passes();
    }
    mesh.returns("a", AttemptOutcome::Lost).shows("a", "failed lost");
}

#[test]
fn a_peer_that_died_takes_its_attempt_along_and_it_counts_as_a_crash() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).peer("q", &[], 1).submit([task("a")]);
    mesh.does(Op::PeerDown { peer: "p".to_owned(), why: DownReason::Died }).shows("a", "backoff");
    assert_eq!(mesh.task("a").crashes, 1);
    mesh.time_passes().shows("a", "running q");
}

#[test]
fn an_interruption_keeps_the_attempt_number_and_costs_no_retry() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]);
    let (.., first) = mesh.holder("a");
    mesh.returns("a", AttemptOutcome::Interrupted).shows("a", "running p");
    let (.., second) = mesh.holder("a");
    assert_eq!(mesh.task("a").attempt, 1);
    assert!(second > first, "a grant is never used again");
}

#[test]
fn a_shutdown_counts_as_nothing_and_a_node_that_dies_counts() {
    let limits = Limits { interruptions: 2, ..Limits::default() };
    let mut mesh = Mesh::with(Config { limits, ..Config::default() });
    mesh.submit([task("a")]);
    for _ in 0..3 {
        mesh.peer("p", &[], 1).does(Op::PeerDown { peer: "p".to_owned(), why: DownReason::Shutdown });
        mesh.shows("a", "ready");
    }
    mesh.join("m").peer_on("m", "q", &[], 1).loses("m").shows("a", "ready");
    assert_eq!(mesh.task("a").interruptions, 1);
    mesh.join("m").peer_on("m", "q", &[], 1).loses("m").shows("a", "failed interrupted");
}

#[test]
fn dependencies_release_when_they_close_ok() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a"), task("b"), task("c").after(&["a", "b"])]);
    mesh.ok("a").shows("c", "blocked").ok("b").shows("c", "running p");
}

#[test]
fn a_failed_dependency_acts_by_policy() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([
        task("a"),
        task("fail").after(&["a"]),
        task("skip").after(&["a"]).or(DependencyPolicy::Skip),
        task("run").after(&["a"]).or(DependencyPolicy::Run),
        task("late").after(&["fail"]),
    ]);
    mesh.fails("a").shows("fail", "failed failed").shows("skip", "failed skipped").shows("run", "running p");
    mesh.shows("late", "failed failed");
    assert_eq!(mesh.task("late").because, Some(mesh.no("fail")), "it names the dependency");
}

#[test]
fn a_parent_closes_after_its_children() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a")]).spawn("a", [task("child")]);
    mesh.ok("a").shows("a", "returned").ok("child").shows("a", "completed");
}

#[test]
fn a_failed_child_does_not_fail_its_parent() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a")]).spawn("a", [task("child")]);
    mesh.fails("child").ok("a").shows("a", "completed");
}

#[test]
fn a_waiting_parent_gives_up_its_slot_and_is_first_in_line_for_the_next() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).spawn("a", [task("child")]).submit([task("urgent").priority(10)]);
    mesh.shows("child", "assigned p").waits("a", &[]).shows("a", "waiting").shows("urgent", "running p");
    mesh.peer("q", &[], 1).shows("child", "running q").ok("child").shows("a", "inline");
    mesh.submit([task("more").priority(10)]);
    mesh.ok("urgent").shows("a", "running p");
    assert!(mesh.effects.iter().any(|effect| matches!(effect, Effect::Continue { .. })));
}

#[test]
fn a_wait_for_closed_children_goes_on_at_once() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a")]).spawn("a", [task("child")]).ok("child");
    mesh.waits("a", &["child"]).shows("a", "running p");
    assert!(matches!(mesh.effects[..], [Effect::Continue { .. }]));
}

#[test]
fn a_later_attempt_waits_for_the_children_of_a_former_one() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a")]).spawn("a", [task("child")]).waits("a", &[]);
    mesh.returns("a", AttemptOutcome::Interrupted).spawn("a", [task("child")]);
    mesh.waits("a", &["child"]).shows("a", "waiting").ok("child").shows("a", "running p");
}

#[test]
fn a_waiting_parent_gives_up_its_session() {
    let mut mesh = Mesh::new();
    let author = mesh.node("n");
    let spec = crate::PeerSpec { uses_session: true, ..super::mesh::peer("p", &[], 2) };
    mesh.accept(&author, Op::PeerUp(spec));
    mesh.submit([task("a")]).spawn("a", [task("child")]).shows("child", "assigned p");
    mesh.waits("a", &[]).shows("child", "running p").ok("child").shows("a", "running p");
}

#[test]
fn evidence_is_looked_at_after_the_children_closed() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a").verified()]).spawn("a", [task("child")]);
    mesh.ok("a").shows("a", "returned").ok("child").shows("a", "checking");
    mesh.checked("a", true).shows("a", "completed");
}

#[test]
fn evidence_that_does_not_hold_is_a_failed_attempt() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").verified().retries(1)]);
    mesh.ok("a").shows("a", "checking").checked("a", false).shows("a", "backoff").time_passes();
    mesh.ok("a").checked("a", false).shows("a", "failed unverified");
}

#[test]
fn a_check_lost_with_its_node_is_repeated_and_the_agent_is_not_run_again() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 1).submit([task("a").verified()]).ok("a").shows("a", "checking");
    mesh.loses("m").shows("a", "ready").peer("q", &[], 1).shows("a", "checking");
    let is_start = |effect: &Effect| matches!(effect, Effect::Start { .. });
    assert!(!mesh.effects.iter().any(is_start), "{:?}", mesh.effects);
    assert_eq!(mesh.task("a").attempt, 1);
    mesh.checked("a", true).shows("a", "completed");
}

#[test]
fn evidence_that_waits_for_a_slot_moves_on_when_its_peer_goes() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").verified()]);
    let (author, no, grant) = mesh.ok_but_messages("a");
    mesh.submit([task("b")]).shows("b", "running p");
    mesh.accept(&author, Op::Settled { task: no, grant });
    mesh.shows("a", "settled").peer("q", &[], 2);
    mesh.does(Op::PeerDown { peer: "p".to_owned(), why: DownReason::Left });
    mesh.shows("a", "checking");
}

#[test]
fn a_later_attempt_adopts_children_and_what_it_does_not_adopt_is_cancelled() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 4)
        .submit([task("a").retries(1)])
        .spawn("a", [task("kept"), task("left"), task("bad"), task("done")]);
    mesh.fails("bad").ok("done").fails("a").time_passes();
    let (kept, bad, done) = (mesh.no("kept"), mesh.no("bad"), mesh.no("done"));
    mesh.spawn("a", [task("kept"), task("bad"), task("done")]);
    assert_eq!((mesh.no("kept"), mesh.no("done")), (kept, done), "open or closed ok: adopted");
    assert_ne!(mesh.no("bad"), bad, "what failed is done again");
    mesh.ok("a");
    assert!(mesh.task("left").cancelled && !mesh.task("kept").cancelled);
    mesh.returns("left", AttemptOutcome::Cancelled).ok("kept").shows("a", "returned").ok("bad");
    mesh.shows("a", "completed");
}

#[test]
fn the_end_of_a_task_cancels_its_open_descendants() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a")]).spawn("a", [task("b")]).spawn("b", [task("c")]);
    mesh.fails("a").shows("a", "returned");
    assert!(mesh.task("b").cancelled && mesh.task("c").cancelled);
    mesh.returns("c", AttemptOutcome::Cancelled).returns("b", AttemptOutcome::Cancelled).shows("a", "failed failed");
}

#[test]
fn cancelling_ends_at_once_what_nobody_holds_and_asks_whoever_holds_it() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a"), task("b").after(&["a"]), task("c"), task("d").after(&["b"])]);
    mesh.cancel("b").shows("b", "failed cancelled").shows("d", "failed failed");
    mesh.cancel("c").shows("c", "failed cancelled");
    mesh.cancel("a").shows("a", "running p");
    assert!(matches!(mesh.effects[..], [Effect::CancelMarked { .. }, Effect::Stop { awaited: true, .. }]));
    mesh.ok("a").shows("a", "failed cancelled");
    let closed = mesh.no("a");
    assert!(matches!(mesh.refuses(Op::Cancel { task: closed }), Refusal::Closed { .. }));
}

#[test]
fn a_cancelled_task_may_bring_forth_nothing_more() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).cancel("a");
    let (_, no, grant) = mesh.holder("a");
    let children = crate::Submission { tasks: vec![task("child")], parent: Some((no, grant)), more: false };
    assert!(matches!(mesh.refuses(Op::Submit(children)), Refusal::Cancelled { .. }));
}

#[test]
fn open_messages_hold_a_returned_task_until_they_are_settled() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a"), task("b")]);
    let (author, no, grant) = mesh.ok_but_messages("a");
    mesh.shows("a", "returned").shows("b", "running p");
    mesh.accept(&author, Op::Settled { task: no, grant });
    mesh.shows("a", "completed");
    assert!(matches!(mesh.refuses(Op::Settled { task: no, grant }), Refusal::NoMessagesOpen { .. }));
}

#[test]
fn a_loss_before_the_messages_settle_interrupts_the_attempt() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 1).submit([task("a")]);
    mesh.ok_but_messages("a");
    mesh.loses("m").shows("a", "ready").peer("q", &[], 1).shows("a", "running q");
    assert_eq!(mesh.task("a").attempt, 1, "an interruption keeps the number");
}

#[test]
fn messages_of_a_cancelled_attempt_hold_nothing() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a"), task("b")]);
    mesh.ok_but_messages("a");
    mesh.cancel("a").shows("a", "failed cancelled").cancel("b");
    mesh.ok_but_messages("b");
    mesh.shows("b", "failed cancelled");
}

#[test]
fn a_handler_of_a_returned_task_may_still_submit_its_children() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a")]);
    let (author, no, grant) = mesh.ok_but_messages("a");
    let children = crate::Submission { tasks: vec![task("child")], parent: Some((no, grant)), more: false };
    mesh.accept(&author, Op::Submit(children));
    mesh.accept(&author, Op::Settled { task: no, grant });
    mesh.shows("a", "returned").ok("child").shows("a", "completed");
}

#[test]
fn a_result_of_a_node_that_was_given_up_on_is_refused_and_kept() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 1).submit([task("a")]);
    let (zombie, no, grant) = mesh.holder("a");
    mesh.loses("m").peer("q", &[], 1).shows("a", "running q");
    for _ in 0..20 {
        let refusal = mesh.append(&zombie, Op::Return(returned(no, grant, AttemptOutcome::Ok)));
        assert!(matches!(refusal, Some(Refusal::NotPresent { .. })));
    }
    mesh.shows("a", "running q");
    assert_eq!(mesh.swarm.rejected(no).count(), 16, "the last 16 are kept");
    mesh.ok("a").shows("a", "completed");
}

#[test]
fn a_stale_grant_of_a_present_node_is_refused_and_kept() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]);
    let (_, no, grant) = mesh.holder("a");
    mesh.returns("a", AttemptOutcome::Interrupted);
    let refusal = mesh.refuses(Op::Return(returned(no, grant, AttemptOutcome::Ok)));
    assert!(matches!(refusal, Refusal::StaleGrant { present: Some(_), .. }), "{refusal}");
    assert_eq!(mesh.swarm.rejected(no).map(|kept| kept.grant).collect::<Vec<_>>(), [grant]);
}
