//! How a node speaks to the log: joining, one batch in flight, answers, waits.

use super::mesh::{peer, stranger, submission, task};
use super::one_node::{OneNode, setup};
use crate::config::{BATCH_BYTES_MAX, ENTRY_BYTES_MAX};
use crate::node::{Input, Setup, Timer};
use crate::{AttemptOutcome, Config, Op, Position, VERSION};
use std::sync::Arc;

fn p() -> Vec<crate::PeerSpec> {
    vec![peer("p", &[], 1)]
}

#[test]
fn opens_an_empty_log_joins_and_announces_its_peers() {
    let mut n = OneNode::new(setup(&[peer("p", &[], 1), peer("q", &[], 1)]));
    n.tell(Input::CaughtUp).asks(&["append open, join"]);
    assert!(!n.node.is_member(), "an append is done when it is read back");
    n.stored().asks(&["append up p, up q"]);
    assert!(n.node.is_member());
    n.stored().asks(&[]);
    let seqs: Vec<(u64, Position)> = n.log.iter().map(|batch| (batch.seq, batch.author.incarnation)).collect();
    assert_eq!(seqs, [(0, Position::START), (1, Position::new(1, 1))]);
}

#[test]
fn what_is_wished_before_the_join_follows_it() {
    let mut n = OneNode::new(setup(&p()));
    n.wish(1, submission(vec![task("a")])).asks(&[]);
    n.tell(Input::CaughtUp).stored().asks(&["append open, join", "append up p, submit a"]);
    n.stored().asks(&["answer 1: accepted a", "start a on p #1"]);
}

#[test]
fn a_log_that_another_node_opened_first_is_joined_all_the_same() {
    let mut n = OneNode::new(setup(&p()));
    n.tell(Input::CaughtUp).asks(&["append open, join"]);
    let (log_id, swarm_id, config) = ("other".to_owned(), "swarm".to_owned(), Config::default());
    n.other(&stranger("m"), Op::Open { log_id, swarm_id, config, version: VERSION }).asks(&[]);
    n.stored().asks(&["append up p"]);
    assert_eq!(n.node.swarm().log_id(), "other");
}

#[test]
fn after_a_restart_it_replaces_its_last_incarnation_and_counts_waits_anew() {
    let mut n = OneNode::joined(&p());
    n.submit([task("a").retries(1), task("b")]).asks(&["append submit a b", "start a on p #1"]);
    let a = n.grant("a");
    n.ended(a, AttemptOutcome::Failed).stored().asks(&[
        "append return a Failed",
        "sleep 1000 for a wait",
        "start b on p #1",
    ]);
    n.restarted(setup(&p())).asks(&[]);
    n.tell(Input::CaughtUp).asks(&["append join after 1.1"]);
    n.stored().asks(&["sleep 1000 for a wait", "append up p"]);
    n.stored().asks(&["start b on p #1"]);
}

#[test]
fn effects_read_while_catching_up_or_of_others_peers_are_not_performed() {
    let mut n = OneNode::joined(&p());
    let m = n.other_joins("m");
    n.other(&m, Op::PeerUp(peer("q", &[], 1)));
    n.submit([task("a"), task("b")]).asks(&["append submit a b", "start a on p #1"]);
    n.restarted(setup(&p())).asks(&[]);
}

#[test]
fn a_join_that_an_earlier_process_left_behind_is_replaced() {
    let mut n = OneNode::joined(&p());
    let ghost = Op::Join { replaces: n.author("n").incarnation, version: VERSION, sessions: 9 };
    n.restarted(setup(&p())).tell(Input::CaughtUp).asks(&["append join after 1.1"]);
    n.other(&stranger("n"), ghost).asks(&[]);
    n.stored().asks(&["append join after 3.0"]);
    n.stored().asks(&["append up p"]);
    n.stored();
    assert!(n.node.is_member());
}

#[test]
fn two_processes_that_join_under_one_name_at_one_moment_are_two() {
    let mut first = OneNode::new(Setup { nonce: 1, ..setup(&p()) });
    let mut second = OneNode::new(Setup { nonce: 2, ..setup(&p()) });
    first.tell(Input::CaughtUp).asks(&["append open, join"]);
    second.tell(Input::CaughtUp).asks(&["append open, join"]);
    let join = first.appended.pop_front().expect("it joins");
    first.store(join.clone());
    second.store(join);
    assert!(first.node.is_member());
    assert!(!second.node.is_member(), "the other one's Join is not its own");
    let later = second.appended.pop_front().expect("it joins");
    second.store(later).asks(&["append join after 1.1"]);
}

#[test]
fn a_node_that_can_never_join_says_why_and_leaves() {
    let mut n = OneNode::new(Setup { name: "-n".to_owned(), ..setup(&p()) });
    n.wish(1, Op::Alive).tell(Input::CaughtUp).stored();
    let why = r#"answer 1: refused, "-n" cannot be an id: 1 to 256 bytes of printable text without a leading '-'"#;
    n.asks(&["append open, join", why, "left"]);
    n.wish(2, Op::Alive).asks(&["answer 2: node lost"]);
}

#[test]
fn one_batch_is_in_flight_and_an_unanswered_one_is_appended_again_unchanged() {
    let mut n = OneNode::joined(&p());
    n.wish(1, submission(vec![task("a")])).asks(&["append submit a"]);
    n.wish(2, submission(vec![task("b")])).wish(3, Op::Seal { round: 1 }).asks(&[]);
    n.tell(Input::AppendFailed).tell(Input::AppendFailed).asks(&["append submit a", "append submit a"]);
    assert!(n.appended.iter().all(|batch| Arc::ptr_eq(batch, &n.appended[0])), "the very same value");
    n.stored().asks(&["answer 1: accepted a", "start a on p #1", "append submit b, seal 1"]);
}

#[test]
fn a_batch_that_is_stored_twice_counts_once() {
    let mut n = OneNode::joined(&p());
    n.wish(1, submission(vec![task("a")])).tell(Input::AppendFailed).quiet();
    n.stored().asks(&["answer 1: accepted a", "start a on p #1"]);
    n.stored().asks(&[]);
    // An error that comes after it was read back means nothing.
    n.tell(Input::AppendFailed).asks(&[]);
    assert_eq!(n.node.swarm().tasks().len(), 1);
}

#[test]
fn a_join_that_is_stored_twice_counts_once() {
    let mut n = OneNode::new(setup(&p()));
    n.tell(Input::CaughtUp).tell(Input::AppendFailed).quiet();
    n.stored().asks(&["append up p"]);
    let again = n.appended.pop_front().unwrap();
    n.store(again).asks(&[]);
    n.stored().asks(&[]);
    assert_eq!(n.node.swarm().present_nodes().count(), 1);
}

#[test]
fn a_batch_holds_what_fits_in_bytes() {
    let mut n = OneNode::joined(&p());
    n.wish(0, Op::Alive);
    let large = |id: &str| submission(vec![task(id).about(&"x".repeat(60 * 1024))]);
    for number in 0..20u64 {
        n.wish(number + 1, large(&format!("t{number}")));
    }
    n.settle();
    let bytes: Vec<usize> = n.log.iter().map(|batch| crate::encode_batch(batch).unwrap().len()).collect();
    assert!(bytes.iter().all(|bytes| *bytes <= BATCH_BYTES_MAX), "{bytes:?}");
    assert_eq!(n.node.swarm().tasks().len(), 20);
    let sizes: Vec<usize> = n.log.iter().map(|batch| batch.entries.len()).collect();
    assert_eq!(sizes, [2, 1, 1, 8, 8, 4]);
}

#[test]
fn a_batch_holds_what_fits_in_number() {
    let mut n = OneNode::joined(&p());
    for _ in 0..crate::ids::ENTRIES_A_BATCH_MAX + 2 {
        n.tell(Input::Wish { op: Op::Alive, ticket: None });
    }
    n.settle();
    let sizes: Vec<usize> = n.log.iter().map(|batch| batch.entries.len()).collect();
    assert_eq!(sizes, [2, 1, 1, crate::ids::ENTRIES_A_BATCH_MAX, 1]);
}

#[test]
fn an_entry_over_the_limit_is_answered_and_not_written() {
    let mut n = OneNode::joined(&p());
    let text = "x".repeat(ENTRY_BYTES_MAX);
    let (task_no, grant) = (crate::TaskNo(0), crate::Position::START);
    n.wish(1, Op::Progress { task: task_no, grant, text: text.clone() }).asks(&["answer 1: too large"]);
    // A task that joins thousands of others names them all: a submission may fill a batch, and no more.
    n.wish(2, submission(vec![task("a").about(&text.repeat(8))])).asks(&["answer 2: too large"]);
    assert!(!n.node.has_undecided());
    n.wish(3, submission(vec![task("a").about(&text)]));
    assert!(n.node.has_undecided());
}

#[test]
fn refusals_are_answered_in_the_order_of_the_wishes() {
    let mut n = OneNode::joined(&p());
    n.wish(1, Op::Alive).wish(2, Op::Seal { round: 4 }).wish(3, submission(vec![task("a"), task("b")]));
    n.settle().asks(&[
        "append alive",
        "answer 1: accepted",
        "append seal 4, submit a b",
        "answer 2: refused, round 4 is not open",
        "answer 3: accepted a b",
        "start a on p #1",
    ]);
}

#[test]
fn the_lowest_node_ends_a_wait_first_and_a_stale_timer_says_nothing() {
    let mut n = OneNode::joined(&p());
    let m = n.other_joins("m");
    n.submit([task("a").retries(2)]);
    let a = n.grant("a");
    n.quiet().ended(a, AttemptOutcome::Failed).stored();
    n.asks(&["append return a Failed", "sleep 1000 for a wait"]);
    let wait = n.node.swarm().open_waits().next().unwrap().0;
    n.tell(Input::Fired(Timer::Due(wait))).stored().asks(&["append due", "start a on p #2"]);
    n.tell(Input::Fired(Timer::Due(wait))).asks(&[]);
    // Its next incarnation is the second in the order of joining: it waits for the first one to say so.
    n.restarted(setup(&p())).tell(Input::CaughtUp).settle().quiet();
    let a = n.grant("a");
    n.ended(a, AttemptOutcome::Failed).stored();
    n.asks(&["append return a Failed", "sleep 2500 for a wait"]);
    let wait = n.node.swarm().open_waits().next().unwrap().0;
    n.other(&m, Op::Due { wait }).asks(&["start a on p #3"]);
    n.tell(Input::Fired(Timer::Due(wait))).asks(&[]);
}

#[test]
fn a_silent_node_is_given_up_on_and_a_suspected_one_says_that_it_is_alive() {
    let mut n = OneNode::joined(&p());
    let m = n.other_joins("m");
    n.tell(Input::Silent { incarnation: m.incarnation }).asks(&["append node lost"]);
    // It is heard of before that is decided.
    n.other(&m, Op::Alive).stored();
    assert_eq!(n.node.swarm().present_nodes().count(), 2);
    n.tell(Input::Silent { incarnation: m.incarnation }).stored().asks(&["append node lost"]);
    assert_eq!(n.node.swarm().present_nodes().count(), 1);
    n.tell(Input::Silent { incarnation: m.incarnation }).asks(&[]);
    n.tell(Input::Suspected).stored().asks(&["append alive"]);
}

#[test]
fn only_the_first_node_looks_at_the_balance_and_only_when_it_is_lost() {
    let looks = Setup { rebalance_ms: Some(5_000), ..setup(&[peer("p", &["x"], 1)]) };
    let mut n = OneNode::new(looks.clone());
    n.tell(Input::CaughtUp).asks(&["sleep 5000 for the balance", "append open, join"]);
    n.settle().submit([task("a").needs(&["x"]), task("b").needs(&["x"]), task("c").needs(&["x"])]);
    n.quiet().tell(Input::Fired(Timer::Rebalance)).asks(&["sleep 5000 for the balance"]);
    let m = n.other_joins("m");
    n.other(&m, Op::PeerUp(peer("q", &["x"], 1))).quiet();
    let balanced = n.node.swarm().is_balanced(1_500);
    n.tell(Input::Fired(Timer::Rebalance));
    assert_eq!(balanced, n.appended.is_empty());
    n.settle().quiet();
    n.restarted(looks).tell(Input::CaughtUp).settle().quiet();
    n.tell(Input::Fired(Timer::Rebalance)).asks(&["sleep 5000 for the balance"]);
}

#[test]
fn completion_is_told_once_for_every_round_that_closes() {
    let mut n = OneNode::joined(&p());
    let m = n.other_joins("m");
    let (one, two) = (submission(vec![task("a").needs(&["nobody"])]), submission(vec![task("b").needs(&["nobody"])]));
    let cancel = |number| Op::Cancel { task: crate::TaskNo(number) };
    let both = vec![one, Op::Seal { round: 1 }, cancel(0), two, Op::Seal { round: 2 }, cancel(1)];
    n.others(&m, both).asks(&["round 1: 0 ok, 1 failed", "round 2: 0 ok, 1 failed"]);
}

#[test]
fn a_log_that_lost_something_stops_the_node() {
    let mut n = OneNode::joined(&p());
    let hole = Input::Stored { seq: 9, batch: n.log[0].clone() };
    assert!(n.node.handle(hole, 0).is_err());
}
