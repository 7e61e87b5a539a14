//! What a node does with bodies and checks: what it starts, stops and reports.

use super::mesh::{peer, submission, task};
use super::one_node::{OneNode, body_end};
use crate::node::{BodyEnd, Input};
use crate::{AttemptOutcome, Op, PauseReason, Submission};

fn p() -> Vec<crate::PeerSpec> {
    vec![peer("p", &[], 1)]
}

/// Joined, and `a` runs.
fn running_a() -> OneNode {
    let mut n = OneNode::joined(&p());
    n.submit([task("a")]).asks(&["append submit a", "start a on p #1"]);
    n
}

#[test]
fn a_return_is_appended_when_the_body_has_ended() {
    let mut n = running_a();
    let a = n.grant("a");
    assert!(n.node.runs(a.0, a.1));
    n.ended(a, AttemptOutcome::Ok).asks(&["append return a Ok"]);
    assert!(!n.node.runs(a.0, a.1));
    n.stored().asks(&[]);
    // Only once, whatever the driver says.
    n.ended(a, AttemptOutcome::Failed).asks(&[]);
}

#[test]
fn a_cancelled_body_returns_cancelled() {
    let mut n = running_a();
    let a = n.grant("a");
    n.wish(1, Op::Cancel { task: a.0 }).stored().asks(&["append cancel a", "answer 1: accepted", "stop a"]);
    n.ended_by_stop(a).asks(&["append return a Cancelled"]);
}

#[test]
fn a_result_that_came_before_the_stop_is_kept_as_it_is() {
    let mut n = running_a();
    let a = n.grant("a");
    n.wish(1, Op::Cancel { task: a.0 }).stored().quiet();
    n.ended(a, AttemptOutcome::Ok).asks(&["append return a Ok"]);
}

#[test]
fn a_body_that_waits_goes_on_when_its_children_are_closed() {
    let mut n = running_a();
    let (task_no, grant) = n.grant("a");
    let children = Submission { tasks: vec![task("b")], parent: Some((task_no, grant)), more: false };
    n.wish(1, Op::Submit(children)).settle().asks(&["append submit b", "answer 1: accepted b"]);
    n.wish(2, Op::Wait { task: task_no, grant, children: Vec::new() });
    n.settle().asks(&["append wait a", "answer 2: accepted", "start b on p #1"]);
    let b = n.grant("b");
    n.ended(b, AttemptOutcome::Ok).settle().asks(&["append return b Ok", "continue a"]);
}

#[test]
fn evidence_is_looked_at_and_reported() {
    let mut n = OneNode::joined(&p());
    n.submit([task("a").verified()]).quiet();
    let a = n.grant("a");
    n.ended(a, AttemptOutcome::Ok).settle().asks(&["append return a Ok", "check a on p"]);
    let check = n.grant("a");
    n.checked(a, true).asks(&[]);
    n.checked(check, true).settle().asks(&["append checked a true"]);
    assert!(n.node.swarm().task(a.0).unwrap().phase.is_closed());
}

#[test]
fn a_body_never_starts_when_the_same_batch_takes_its_grant_back() {
    let mut n = OneNode::joined(&p());
    let m = n.other_joins("m");
    let lost = n.loss_of("n");
    let work = submission(vec![task("a")]);
    n.others(&m, vec![work, lost]).asks(&["append join after 1.1"]);
}

#[test]
fn a_peer_that_moves_here_within_a_batch_brings_no_foreign_grant() {
    let mut n = OneNode::joined(&[]);
    let m = n.other_joins("m");
    n.other(&m, Op::PeerUp(peer("p", &[], 1)));
    let lost = n.loss_of("m");
    n.wish(1, Op::Alive).wish(2, submission(vec![task("a")])).wish(3, lost).wish(4, Op::PeerUp(peer("p", &[], 1)));
    n.settle();
    let a = n.grant("a");
    assert!(n.node.runs(a.0, a.1));
    n.asks(&[
        "append alive",
        "answer 1: accepted",
        "append submit a, node lost, up p",
        "answer 2: accepted a",
        "answer 3: accepted",
        "answer 4: accepted",
        "start a on p #1",
    ]);
}

#[test]
fn a_paused_peer_stands_still_until_it_is_resumed_or_gone() {
    let mut n = running_a();
    let pause = |reason| Op::Pause { peer: "p".to_owned(), reason };
    n.wish(1, pause(PauseReason::User)).settle();
    n.asks(&["append pause p User", "answer 1: accepted", "p stands still"]);
    n.wish(2, Op::Resume { peer: "p".to_owned() }).settle();
    n.asks(&["append resume p", "answer 2: accepted", "p goes on"]);
    n.wish(3, pause(PauseReason::RateLimit)).settle().quiet();
    let m = n.other_joins("m");
    n.lost_by(&m).asks(&["p goes on", "stop a"]);
}

#[test]
fn who_reads_of_its_own_loss_ends_its_bodies_and_joins_anew() {
    let mut n = OneNode::joined(&[peer("p", &[], 2)]);
    n.submit([task("a"), task("b")]).quiet();
    let (a, b) = (n.grant("a"), n.grant("b"));
    let m = n.other_joins("m");
    n.wish(1, Op::Alive).wish(2, submission(vec![task("c")])).asks(&["append alive"]);
    n.lost_by(&m).asks(&["stop a", "stop b", "answer 1: node lost", "answer 2: node lost"]);
    assert!(!n.node.is_member());
    // What was in flight is stored after the loss, and changes nothing.
    n.stored().asks(&[]);
    n.ended_by_stop(a).wish(3, submission(vec![task("d")])).asks(&[]);
    n.ended_by_stop(b).asks(&["append join after 1.1"]);
    n.stored().asks(&["append up p, submit d"]);
    n.stored().asks(&["start a on p #1", "start b on p #1", "answer 3: accepted d"]);
}

#[test]
fn a_result_that_comes_after_the_loss_is_handed_in_and_kept_as_rejected() {
    let mut n = running_a();
    let m = n.other_joins("m");
    let a = n.grant("a");
    n.lost_by(&m).asks(&["stop a"]);
    n.ended(a, AttemptOutcome::Ok).stored().asks(&["append join after 1.1", "append up p, return a Ok"]);
    n.settle();
    assert_eq!(n.node.swarm().rejected(a.0).map(|kept| kept.outcome).collect::<Vec<_>>(), [AttemptOutcome::Ok]);
    assert_ne!(n.grant("a"), a, "the task runs under a new grant");
}

#[test]
fn a_result_that_waited_for_the_log_at_the_loss_is_not_thrown_away() {
    let mut n = running_a();
    let m = n.other_joins("m");
    let a = n.grant("a");
    n.wish(1, Op::Alive).ended(a, AttemptOutcome::Ok).quiet();
    n.appended.clear();
    n.lost_by(&m).stored().asks(&["answer 1: node lost", "append join after 1.1", "append up p, return a Ok"]);
    n.settle();
    assert_eq!(n.node.swarm().rejected(a.0).count(), 1);
}

#[test]
fn a_result_in_flight_at_the_loss_is_kept_once() {
    let mut n = running_a();
    let m = n.other_joins("m");
    let a = n.grant("a");
    n.ended(a, AttemptOutcome::Ok).lost_by(&m).asks(&["append return a Ok", "append join after 1.1"]);
    n.settle();
    assert_eq!(n.node.swarm().rejected(a.0).count(), 1);
}

#[test]
fn completion_is_told_although_the_node_lost_its_place() {
    let mut n = running_a();
    let m = n.other_joins("m");
    n.other(&m, Op::Seal { round: 1 }).lost_by(&m).quiet();
    let a = n.no("a");
    n.other(&m, Op::Cancel { task: a }).asks(&["round 1: 0 ok, 1 failed"]);
}

#[test]
fn peers_that_came_or_went_since_are_announced_as_they_are() {
    let mut n = OneNode::joined(&[peer("p", &[], 1), peer("q", &[], 1)]);
    n.wish(1, Op::PeerUp(peer("r", &[], 1))).settle();
    n.wish(2, Op::PeerDown { peer: "p".to_owned(), why: crate::DownReason::Left }).settle();
    let m = n.other_joins("m");
    n.quiet().lost_by(&m).stored().asks(&["append join after 1.1", "append up q, up r"]);
}

#[test]
fn messages_hold_the_task_until_they_are_settled() {
    let mut n = running_a();
    let a = n.grant("a");
    n.tell(Input::BodyEnded(BodyEnd { messages_open: true, ..body_end(a, Some(AttemptOutcome::Ok)) })).settle();
    assert!(!n.node.swarm().task(a.0).unwrap().phase.is_closed());
    n.quiet().tell(Input::MessagesSettled { task: a.0, grant: a.1 }).settle().asks(&["append settled a"]);
    assert!(n.node.swarm().task(a.0).unwrap().phase.is_closed());
    n.tell(Input::MessagesSettled { task: a.0, grant: a.1 }).asks(&[]);
}

#[test]
fn handlers_of_a_cancelled_or_lost_attempt_are_told_to_stop() {
    for cancelled in [true, false] {
        let mut n = running_a();
        let m = n.other_joins("m");
        let a = n.grant("a");
        n.tell(Input::BodyEnded(BodyEnd { messages_open: true, ..body_end(a, Some(AttemptOutcome::Ok)) })).settle();
        let op = if cancelled { Op::Cancel { task: a.0 } } else { n.loss_of("n") };
        n.quiet().other(&m, op);
        let then = ["stop a", "append join after 1.1"];
        n.asks(if cancelled { &then[..1] } else { &then });
        n.tell(Input::MessagesSettled { task: a.0, grant: a.1 }).asks(&[]);
    }
}

#[test]
fn a_body_whose_peer_is_gone_reports_nothing() {
    let mut n = running_a();
    let a = n.grant("a");
    n.wish(1, Op::PeerDown { peer: "p".to_owned(), why: crate::DownReason::Left }).settle();
    n.asks(&["append down p Left", "answer 1: accepted", "stop a"]);
    n.tell(Input::Shutdown).asks(&[]);
    n.ended_by_stop(a).asks(&["append leave"]).stored().asks(&["left"]);
}
