//! Rounds and generations (completion.md, section 4), and who may append what (section 2).

use super::mesh::{Mesh, part, peer, returned, stranger, submission, task};
use crate::{
    AttemptOutcome, Batch, Config, Difference, Limits, LogFault, Op, PauseReason, Position, Refusal, Seen, Submission,
    VERSION,
};

#[test]
fn a_round_closes_when_it_is_sealed_and_no_task_is_open() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a"), task("b")]).ok("a").fails("b");
    assert_eq!(mesh.closed_round(), None, "not sealed");
    mesh.seal();
    assert_eq!(mesh.closed_round(), Some((1, 1, 1)));
    assert_eq!(mesh.swarm.last_round().unwrap().at, Position::new(mesh.swarm.last().seq, 0), "the completion");
}

#[test]
fn a_sealed_round_closes_with_its_last_task_and_takes_what_is_submitted_before() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).seal().submit([task("b")]).ok("a");
    assert_eq!(mesh.closed_round(), None);
    mesh.ok("b");
    assert_eq!(mesh.closed_round(), Some((1, 2, 0)));
}

#[test]
fn a_round_waits_for_children_and_messages() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a")]).seal().spawn("a", [task("child")]);
    let (author, no, grant) = mesh.ok_but_messages("a");
    mesh.ok("child");
    assert_eq!(mesh.closed_round(), None, "a message is in flight");
    mesh.accept(&author, Op::Settled { task: no, grant });
    assert_eq!(mesh.closed_round(), Some((1, 2, 0)));
}

#[test]
fn a_late_seal_is_refused_and_says_which_round_is_open() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).seal().ok("a");
    assert_eq!(mesh.refuses(Op::Seal { round: 1 }), Refusal::RoundNotOpen { found: 1, open: None });
    mesh.submit([task("b")]);
    assert_eq!(mesh.refuses(Op::Seal { round: 1 }), Refusal::RoundNotOpen { found: 1, open: Some(2) });
}

#[test]
fn a_submission_in_parts_holds_its_tasks_and_its_round_until_the_last_one() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).does(part(vec![task("a")])).shows("a", "blocked").seal();
    mesh.cancel("a").shows("a", "failed cancelled");
    assert_eq!(mesh.closed_round(), None, "the submission has not ended");
    mesh.does(submission(vec![task("b")])).shows("b", "running p").ok("b");
    assert_eq!(mesh.closed_round(), Some((1, 1, 1)));
}

#[test]
fn parts_that_hold_nothing_new_keep_the_round_open_too() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).seal().does(part(vec![task("a")])).ok("a");
    assert_eq!(mesh.closed_round(), None);
    mesh.does(submission(vec![task("b")])).ok("b");
    assert_eq!(mesh.closed_round(), Some((1, 2, 0)));
}

#[test]
fn the_loss_of_its_author_ends_a_submission() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).join("m");
    let author = mesh.node("m");
    mesh.accept(&author, part(vec![task("a")]));
    mesh.seal().shows("a", "blocked").loses("m").shows("a", "running p").ok("a");
    assert_eq!(mesh.closed_round(), Some((1, 1, 0)));
}

#[test]
fn an_empty_submission_is_refused_unless_it_ends_one() {
    let mut mesh = Mesh::new();
    assert_eq!(mesh.refuses(submission(Vec::new())), Refusal::EmptySubmission);
    mesh.does(part(vec![task("a")])).does(submission(Vec::new())).shows("a", "ready");
}

#[test]
fn the_same_task_again_in_its_round_is_the_same_task() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]);
    let no = mesh.no("a");
    mesh.submit([task("a").priority(9)]);
    assert_eq!(mesh.no("a"), no, "priority is not content");
    let refusal = mesh.refuses(submission(vec![task("a").about("else")]));
    assert_eq!(refusal, Refusal::IdTaken { id: "a".to_owned(), difference: Difference::Content });
}

#[test]
fn an_id_belongs_to_one_parent_in_a_round() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a"), task("b")]);
    let (_, no, grant) = mesh.holder("a");
    let refusal =
        mesh.refuses(Op::Submit(Submission { tasks: vec![task("b")], parent: Some((no, grant)), more: false }));
    assert_eq!(refusal, Refusal::IdTaken { id: "b".to_owned(), difference: Difference::Parent });
}

#[test]
fn a_new_round_runs_what_failed_what_changed_and_their_dependants() {
    let mut mesh = Mesh::new();
    let chain = |b: &str| {
        [
            task("kept"),
            task("changed").about(b),
            task("after").after(&["changed"]),
            task("failed"),
            task("other").after(&["kept"]),
        ]
    };
    mesh.peer("p", &[], 9).submit(chain("one")).seal();
    mesh.fails("failed").ok("kept").ok("changed").ok("after").ok("other");
    assert_eq!(mesh.closed_round(), Some((1, 4, 1)));
    mesh.submit(chain("two"));
    let generations: Vec<u32> =
        ["kept", "changed", "after", "failed", "other"].map(|id| mesh.task(id).generation).to_vec();
    assert_eq!(generations, [1, 2, 2, 2, 1]);
    mesh.shows("kept", "completed").shows("failed", "running p").shows("after", "blocked");
}

#[test]
fn a_file_whose_tasks_are_all_done_opens_no_round() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).seal().ok("a").submit([task("a")]);
    assert_eq!(mesh.swarm.round(), None);
    assert_eq!(mesh.swarm.last_round().map(|round| round.number), Some(1));
}

#[test]
fn dependencies_are_known_and_a_child_depends_on_siblings_or_closed_tasks() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1);
    let refusal = mesh.refuses(submission(vec![task("a").after(&["b"]), task("b")]));
    assert!(matches!(refusal, Refusal::UnknownDependency { .. }), "{refusal}");
    mesh.submit([task("old")]).ok("old").submit([task("a"), task("open")]);
    let (_, no, grant) = mesh.holder("a");
    for ancestor in ["a", "open"] {
        let children = vec![task("child").after(&[ancestor])];
        let refusal = mesh.refuses(Op::Submit(Submission { tasks: children, parent: Some((no, grant)), more: false }));
        let (task, dependency) = ("child".to_owned(), ancestor.to_owned());
        assert_eq!(refusal, Refusal::NotASibling { task, dependency });
    }
    mesh.spawn("a", [task("one").after(&["old"]), task("two").after(&["one"])]).shows("two", "blocked");
}

#[test]
fn a_submission_over_a_limit_is_refused_as_a_whole() {
    let limits = Limits { tasks: 3, depth: 1, children: 1, retries: 1, ..Limits::default() };
    let mut mesh = Mesh::with(Config { limits, ..Config::default() });
    let four = ["a", "b", "c", "d"].map(task).to_vec();
    assert!(matches!(mesh.refuses(submission(four)), Refusal::Limit { found: 4, most: 3, .. }));
    assert!(mesh.swarm.find_task("a").is_none() && mesh.swarm.round().is_none());
    assert!(matches!(mesh.refuses(submission(vec![task("a").retries(2)])), Refusal::Limit { .. }));
    assert!(matches!(mesh.refuses(submission(vec![task("a").priority(11)])), Refusal::OutOfRange { .. }));
    assert!(matches!(mesh.refuses(submission(vec![task("-a")])), Refusal::BadId { .. }));
    mesh.peer("p", &[], 2).submit([task("a")]).spawn("a", [task("b")]);
    let (_, no, grant) = mesh.holder("b");
    let deep = Submission { tasks: vec![task("c")], parent: Some((no, grant)), more: false };
    assert!(matches!(mesh.refuses(Op::Submit(deep)), Refusal::Limit { found: 2, most: 1, .. }));
}

#[test]
fn only_a_present_node_may_append() {
    let mut mesh = Mesh::new();
    let refusal = mesh.append(&stranger("x"), Op::Alive);
    assert!(matches!(refusal, Some(Refusal::NotPresent { .. })));
    let former = mesh.node("n");
    mesh.join("n");
    assert!(matches!(mesh.append(&former, Op::Alive), Some(Refusal::NotPresent { .. })));
}

#[test]
fn a_log_is_opened_once_and_first() {
    let mut mesh = Mesh::new();
    let (log_id, swarm_id, config) = ("x".to_owned(), "y".to_owned(), Config::default());
    assert_eq!(mesh.refuses(Op::Open { log_id, swarm_id, config, version: VERSION }), Refusal::AlreadyOpen);
    let mut swarm = crate::Swarm::new();
    let author = stranger("n");
    let batch = Batch { author, seq: 0, seen: Seen::default(), time_ms: 0, entries: vec![Op::Alive] };
    assert_eq!(swarm.apply_batch(1, &batch).unwrap().effects[0].refusal, Some(Refusal::NotOpen));
}

#[test]
fn a_join_names_the_last_incarnation_and_replaces_it() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).shows("a", "running p");
    let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
    assert!(matches!(mesh.append(&stranger("n"), join), Some(Refusal::NotLastIncarnation { .. })));
    let join = Op::Join { replaces: Position::START, version: VERSION + 1, sessions: 1 };
    assert!(matches!(mesh.append(&stranger("new"), join), Some(Refusal::Version { .. })));
    mesh.join("n").shows("a", "ready");
}

#[test]
fn a_node_that_was_heard_since_is_not_lost() {
    let mut mesh = Mesh::new();
    mesh.join("m");
    let (author, incarnation) = (mesh.node("m"), mesh.swarm.last_incarnation("m"));
    mesh.accept(&author, Op::Alive);
    let refusal = mesh.refuses(Op::NodeLost { incarnation, heard: incarnation });
    assert!(matches!(refusal, Refusal::HeardSince { .. }), "{refusal}");
    mesh.loses("m");
    let refusal = mesh.refuses(Op::NodeLost { incarnation, heard: incarnation });
    assert_eq!(refusal, Refusal::NoSuchNode { incarnation });
}

#[test]
fn a_peer_belongs_to_one_node_at_a_time() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 1);
    assert!(matches!(mesh.refuses(Op::PeerUp(peer("p", &[], 1))), Refusal::PeerElsewhere { .. }));
    assert!(matches!(mesh.refuses(Op::PeerUp(peer("q", &[], 0))), Refusal::OutOfRange { .. }));
    let resume = Op::Resume { peer: "nobody".to_owned() };
    assert!(matches!(mesh.refuses(resume), Refusal::NoSuchPeer { .. }));
    mesh.loses("m").peer("p", &[], 1).submit([task("a")]).shows("a", "running p");
}

#[test]
fn only_the_holder_returns_and_waits_for_its_own_children() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 3).submit([task("a"), task("b")]).spawn("a", [task("child")]);
    let (_, no, grant) = mesh.holder("a");
    let refusal = mesh.refuses(Op::Return(returned(no, grant, AttemptOutcome::Ok)));
    assert!(matches!(refusal, Refusal::NotHolder { .. }), "{refusal}");
    let (author, foreign) = (mesh.node("m"), mesh.no("b"));
    let refusal = mesh.append(&author, Op::Wait { task: no, grant, children: vec![foreign] });
    assert!(matches!(refusal, Some(Refusal::NotAChild { .. })));
    mesh.waits("a", &[]);
    let refusal = mesh.append(&author, Op::Wait { task: no, grant, children: Vec::new() });
    assert!(matches!(refusal, Some(Refusal::WaitsAlready { .. })));
}

#[test]
fn a_wait_is_over_once() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(1)]).fails("a");
    let (wait, _) = mesh.swarm.open_waits().next().unwrap();
    mesh.time_passes();
    assert_eq!(mesh.refuses(Op::Due { wait }), Refusal::NoSuchWait { wait });
}

#[test]
fn a_log_that_lost_something_is_found_out() {
    let mut mesh = Mesh::new();
    let (author, seen) = (mesh.node("n"), mesh.swarm.last());
    let next = Batch { author, seq: 1, seen, time_ms: 0, entries: vec![Op::Alive] };
    let mut apply = |seq: u64, batch: Batch| mesh.swarm.apply_batch(seq, &batch).map(|_| ()).unwrap_err();
    assert_eq!(apply(seen.seq + 2, next.clone()), LogFault::Hole { last: seen.seq, found: seen.seq + 2 });
    let gap = apply(seen.seq + 1, Batch { seq: 2, ..next.clone() });
    assert_eq!(gap, LogFault::AuthorGap { node: "n".to_owned(), last: 0, found: 2 });
    let other = Seen { hash: seen.hash ^ 1, ..seen };
    let (at, theirs) = (seen.seq + 1, other.hash);
    let regressed = apply(at, Batch { seen: other, ..next.clone() });
    assert_eq!(regressed, LogFault::LedgerRegressed { at, seen: seen.seq, theirs, ours: Some(seen.hash) });
    let ahead = Seen { seq: seen.seq + 5, hash: 1 };
    let regressed = apply(at, Batch { seen: ahead, ..next });
    assert_eq!(regressed, LogFault::LedgerRegressed { at, seen: ahead.seq, theirs: 1, ours: None });
}

#[test]
fn a_batch_that_comes_twice_is_applied_once() {
    let mut mesh = Mesh::new();
    let (author, seen) = (mesh.node("n"), mesh.swarm.last());
    let batch = Batch { author, seq: 1, seen, time_ms: 0, entries: vec![submission(vec![task("a")])] };
    assert!(!mesh.swarm.apply_batch(seen.seq + 1, &batch).unwrap().duplicate);
    let hash = mesh.swarm.state_hash();
    let again = mesh.swarm.apply_batch(seen.seq + 2, &batch).unwrap();
    assert!(again.duplicate && again.effects.is_empty());
    assert_eq!(mesh.swarm.state_hash(), hash);
}

#[test]
fn a_swarm_stalls_when_nobody_can_run_what_is_left() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &["a"], 1).submit([task("a").needs(&["a"]), task("b").needs(&["b"])]).seal();
    assert!(!mesh.swarm.is_stalled(), "everything that can run runs first");
    mesh.ok("a");
    assert!(mesh.swarm.is_stalled());
    mesh.peer("q", &["b"], 1);
    assert!(!mesh.swarm.is_stalled());
}

#[test]
fn a_parent_that_waits_for_what_nobody_can_run_stalls_too() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).spawn("a", [task("b").needs(&["b"])]).waits("a", &[]);
    assert!(mesh.swarm.is_stalled());
}

#[test]
fn a_swarm_that_waits_for_a_person_or_a_back_off_is_not_stalled() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(1)]).fails("a");
    assert!(!mesh.swarm.is_stalled(), "a back-off runs");
    mesh.time_passes().returns("a", AttemptOutcome::Interrupted).pause("p", PauseReason::User);
    mesh.returns("a", AttemptOutcome::Interrupted).shows("a", "ready");
    assert!(!mesh.swarm.is_stalled(), "a person may resume the peer");
    mesh.resume("p").shows("a", "running p");
}

#[test]
fn what_nobody_has_begun_is_amended_while_its_round_is_open() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("first"), task("b").after(&["first"]), task("c").after(&["b"]), task("d")]);
    mesh.shows("first", "running p").shows("d", "assigned p");
    // "b" depends on nothing any more, "d" requires what nobody has; "c" still depends on "b".
    mesh.submit([task("b").about("other"), task("d").needs(&["gpu"])]);
    mesh.shows("b", "assigned p").shows("c", "blocked").shows("d", "ready");
    assert_eq!(mesh.task("b").generation, 1, "it is the same task");
    mesh.ok("first").ok("b").ok("c").cancel("d").seal();
    assert_eq!(mesh.closed_round(), Some((1, 3, 1)));
}

#[test]
fn what_has_begun_is_not_amended() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]);
    let refusal = mesh.refuses(submission(vec![task("a").about("other")]));
    assert_eq!(refusal, Refusal::IdTaken { id: "a".to_owned(), difference: Difference::Content });
}
