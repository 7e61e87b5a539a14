//! Shutdown: pause, stop the bodies, report them interrupted, take the peers down, say so, leave.

use super::mesh::{peer, submission, task};
use super::one_node::{OneNode, setup};
use crate::node::Input;
use crate::{AttemptOutcome, DownReason, Op, Phase};

fn running(peers: &[crate::PeerSpec], tasks: &[&str]) -> OneNode {
    let mut n = OneNode::joined(peers);
    n.submit(tasks.iter().map(|id| task(id)).collect::<Vec<_>>()).quiet();
    n
}

fn p() -> Vec<crate::PeerSpec> {
    vec![peer("p", &[], 1)]
}

/// Nothing is granted, nothing is counted against anybody.
fn assert_unharmed(n: &OneNode, id: &str, attempts: u32) {
    let task = n.node.swarm().task(n.no(id)).unwrap();
    assert_eq!(task.phase, Phase::Ready, "{id}");
    assert_eq!((task.failures, task.crashes, task.interruptions), (0, 0, 0), "{id} after a shutdown");
    assert_eq!(task.attempt, attempts, "{id}");
    assert!(task.keeps_number || attempts == 0, "{id} keeps its number");
    assert_eq!(n.node.swarm().granted(), 0);
}

#[test]
fn a_node_with_nothing_to_do_leaves() {
    let mut n = OneNode::joined(&p());
    n.tell(Input::Shutdown).settle();
    n.asks(&["append pause p Shutdown", "append down p Shutdown", "append leave", "left"]);
}

#[test]
fn each_step_waits_for_the_one_before() {
    let mut n = running(&[peer("p", &[], 1), peer("q", &[], 1)], &["a", "b", "c"]);
    n.tell(Input::Shutdown).asks(&["append pause p Shutdown, pause q Shutdown"]);
    n.stored().asks(&["stop a", "stop b"]);
    let (a, b) = (n.grant("a"), n.grant("b"));
    n.ended_by_stop(a).stored().asks(&["append return a Interrupted"]);
    n.ended_by_stop(b).asks(&["append return b Interrupted, down p Shutdown, down q Shutdown"]);
    n.stored().asks(&["append leave"]);
    n.stored().asks(&["left"]);
    assert_unharmed(&n, "a", 1);
    assert_unharmed(&n, "b", 1);
    assert_unharmed(&n, "c", 0);
}

#[test]
fn what_was_interrupted_goes_on_after_the_restart_under_the_same_number() {
    let mut n = running(&p(), &["a"]);
    let a = n.grant("a");
    n.tell(Input::Shutdown).stored().ended_by_stop(a).settle();
    n.restarted(setup(&p())).tell(Input::CaughtUp).settle();
    n.asks(&["append join after 1.1", "append up p", "start a on p #1"]);
}

#[test]
fn asked_twice_it_says_nothing_twice() {
    let mut n = running(&p(), &["a"]);
    let a = n.grant("a");
    n.tell(Input::Shutdown).tell(Input::Shutdown).stored().tell(Input::Shutdown).ended_by_stop(a);
    n.tell(Input::Shutdown).settle().tell(Input::Shutdown);
    n.asks(&[
        "append pause p Shutdown",
        "stop a",
        "append return a Interrupted, down p Shutdown",
        "append leave",
        "left",
    ]);
}

#[test]
fn asked_before_it_has_caught_up_it_does_not_join() {
    let mut n = OneNode::new(setup(&p()));
    n.wish(1, Op::Alive).tell(Input::Shutdown).tell(Input::CaughtUp).asks(&["answer 1: node lost", "left"]);
}

#[test]
fn asked_while_joining_it_announces_nobody() {
    let mut n = OneNode::new(setup(&p()));
    n.tell(Input::CaughtUp).tell(Input::Shutdown).asks(&["append open, join"]);
    n.stored().asks(&["append leave"]);
    n.stored().asks(&["left"]);
}

#[test]
fn asked_while_its_peers_are_announced_it_takes_them_down_again() {
    let mut n = OneNode::new(setup(&p()));
    n.wish(1, submission(vec![task("a")])).tell(Input::CaughtUp).stored().tell(Input::Shutdown).quiet();
    n.stored().asks(&["answer 1: accepted a", "start a on p #1", "append pause p Shutdown"]);
    n.stored().asks(&["stop a"]);
    let a = n.grant("a");
    n.ended_by_stop(a).settle().asks(&["append return a Interrupted, down p Shutdown", "append leave", "left"]);
    assert_unharmed(&n, "a", 1);
}

#[test]
fn a_check_is_interrupted_and_done_again_later_without_its_agent() {
    let mut n = OneNode::joined(&p());
    n.submit([task("a").verified()]);
    let a = n.grant("a");
    n.ended(a, AttemptOutcome::Ok).settle().quiet();
    let check = n.grant("a");
    n.tell(Input::Shutdown).settle().asks(&["append pause p Shutdown", "stop a"]);
    n.checked(check, false).settle().asks(&["append down p Shutdown", "append leave", "left"]);
    n.restarted(setup(&p())).tell(Input::CaughtUp).settle();
    n.asks(&["append join after 1.1", "append up p", "check a on p"]);
}

#[test]
fn a_check_that_begins_while_bodies_are_stopped_is_stopped_too() {
    let mut n = OneNode::joined(&[peer("p", &[], 2)]);
    n.submit([task("a").verified(), task("b")]).quiet();
    let (a, b) = (n.grant("a"), n.grant("b"));
    n.tell(Input::Shutdown).stored().asks(&["append pause p Shutdown", "stop a", "stop b"]);
    // Its result came before it was stopped, and its evidence is looked at in its slot.
    n.ended(a, AttemptOutcome::Ok).stored().asks(&["append return a Ok", "check a on p", "stop a"]);
    let check = n.grant("a");
    n.checked(check, true).ended_by_stop(b).settle();
    n.asks(&["append return b Interrupted, down p Shutdown", "append leave", "left"]);
}

#[test]
fn a_peer_that_is_resumed_meanwhile_is_paused_again() {
    let mut n = running(&p(), &["a", "b"]);
    let m = n.other_joins("m");
    let a = n.grant("a");
    n.tell(Input::Shutdown).stored().quiet();
    n.other(&m, Op::Resume { peer: "p".to_owned() }).asks(&["append pause p Shutdown"]);
    n.ended_by_stop(a).settle().asks(&["append return a Interrupted, down p Shutdown", "append leave", "left"]);
    assert_unharmed(&n, "a", 1);
}

#[test]
fn a_peer_that_comes_meanwhile_is_taken_down_too() {
    let mut n = running(&p(), &["a", "b"]);
    let a = n.grant("a");
    n.tell(Input::Shutdown).wish(1, Op::PeerUp(peer("q", &[], 1))).quiet();
    n.stored().asks(&["stop a", "append up q"]);
    n.stored().asks(&["answer 1: accepted", "start b on q #1", "append pause q Shutdown"]);
    let b = n.grant("b");
    n.ended_by_stop(a).stored().asks(&["stop b", "append return a Interrupted"]);
    n.ended_by_stop(b).settle();
    n.asks(&["append return b Interrupted, down p Shutdown, down q Shutdown", "append leave", "left"]);
    assert_unharmed(&n, "b", 1);
}

#[test]
fn work_that_arrives_meanwhile_is_decided_and_waits_for_others() {
    let mut n = running(&p(), &["a"]);
    let a = n.grant("a");
    n.tell(Input::Shutdown).wish(1, submission(vec![task("b")])).stored().quiet();
    n.wish(2, submission(vec![task("c")])).settle().asks(&[
        "answer 1: accepted b",
        "append submit c",
        "answer 2: accepted c",
    ]);
    n.ended_by_stop(a).wish(3, submission(vec![task("d")])).settle();
    n.asks(&["append return a Interrupted, down p Shutdown", "answer 3: node lost", "append leave", "left"]);
    assert_unharmed(&n, "a", 1);
    assert_unharmed(&n, "c", 0);
}

#[test]
fn a_result_that_comes_while_leaving_counts() {
    let mut n = running(&p(), &["a"]);
    let a = n.grant("a");
    n.tell(Input::Shutdown).stored().ended(a, AttemptOutcome::Ok).settle();
    n.asks(&["append pause p Shutdown", "stop a", "append return a Ok, down p Shutdown", "append leave", "left"]);
    assert!(n.node.swarm().task(a.0).unwrap().phase.is_closed());
}

#[test]
fn who_is_given_up_on_while_leaving_does_not_join_anew() {
    let mut n = running(&p(), &["a"]);
    let m = n.other_joins("m");
    let a = n.grant("a");
    n.tell(Input::Shutdown).stored().quiet();
    n.lost_by(&m).asks(&[]);
    n.ended_by_stop(a).asks(&["left"]);
}

#[test]
fn a_result_of_a_lost_node_is_handed_in_before_it_leaves() {
    let mut n = running(&p(), &["a"]);
    let m = n.other_joins("m");
    let a = n.grant("a");
    n.lost_by(&m).tell(Input::Shutdown).quiet();
    n.ended(a, AttemptOutcome::Ok).settle().asks(&[
        "append join after 1.1",
        "append return a Ok",
        "append leave",
        "left",
    ]);
    assert_eq!(n.node.swarm().rejected(a.0).count(), 1);
}

#[test]
fn a_node_that_has_left_is_present_no_longer_and_its_successor_replaces_nobody_that_is() {
    let mut n = running(&p(), &["a"]);
    n.other_joins("m");
    let a = n.grant("a");
    n.tell(Input::Shutdown).stored().ended_by_stop(a).settle().quiet();
    let swarm = n.node.swarm();
    let present: Vec<&str> = swarm.present_nodes().map(|(_, node)| &*node.name).collect();
    assert_eq!(present, ["m"]);
    assert_unharmed(&n, "a", 1);
    n.restarted(setup(&p())).tell(Input::CaughtUp).settle();
    n.asks(&["append join after 1.1", "append up p", "start a on p #1"]);
    let lost = n.node.swarm().tasks().map(|(_, task)| task.interruptions).sum::<u32>();
    assert_eq!(lost, 0, "nothing was lost with it");
}

#[test]
fn who_is_given_up_on_before_its_leave_is_stored_leaves_all_the_same() {
    let mut n = OneNode::joined(&p());
    let m = n.other_joins("m");
    n.tell(Input::Shutdown).stored().stored().asks(&[
        "append pause p Shutdown",
        "append down p Shutdown",
        "append leave",
    ]);
    n.lost_by(&m).asks(&["left"]);
}

#[test]
fn a_leave_that_is_not_answered_is_said_again() {
    let mut n = OneNode::joined(&p());
    n.tell(Input::Shutdown).stored().stored().quiet();
    n.tell(Input::AppendFailed).asks(&["append leave"]);
    n.stored().asks(&["left"]);
}

/// Found by the simulator: the node had left while a body of a peer that was gone still ran.
#[test]
fn a_leave_that_somebody_asks_for_too_early_waits_until_nothing_runs() {
    let mut n = running(&p(), &["a"]);
    let a = n.grant("a");
    n.wish(1, Op::PeerDown { peer: "p".to_owned(), why: DownReason::Left }).wish(2, Op::Leave).settle();
    n.asks(&["append down p Left", "answer 1: accepted", "stop a", "append leave", "answer 2: accepted"]);
    n.ended_by_stop(a).asks(&["left"]);
}
