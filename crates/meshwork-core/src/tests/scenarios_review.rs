//! Votes on a result (completion.md, section 3), one rule a test.

use super::mesh::{Mesh, task};
use crate::{AttemptOutcome, Config, Effect, Grant, LimitKind, Limits, Op, Refusal, is_reserved_id};

const ONE: &str = "a#review-1.1";
const TWO: &str = "a#review-1.2";
const THREE: &str = "a#review-1.3";

/// `a` has returned on `p`, and three reviewers with two slots each look at it; two have to approve.
fn reviewed() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).peer("q", &["judge"], 2).peer("r", &["judge"], 2);
    mesh.submit([task("a").reviewed(2, 3, &["judge"]).retries(1)]).ok("a");
    mesh
}

#[test]
fn a_result_counts_once_it_has_its_approvals() {
    let mut mesh = reviewed();
    mesh.shows("a", "reviewing").ok(ONE).shows("a", "reviewing").rejects(TWO).shows("a", "reviewing");
    mesh.shows(TWO, "completed").ok(THREE).shows("a", "completed");
    let votes: Vec<bool> = mesh.effects.iter().filter_map(vote).collect();
    assert_eq!(votes, [true], "the last vote is a fact of the entry that closes it");
}

fn vote(effect: &Effect) -> Option<bool> {
    match effect {
        Effect::Voted { approves, .. } => Some(*approves),
        _ => None,
    }
}

#[test]
fn once_it_is_approved_open_reviews_are_cancelled_and_it_closes_after_them() {
    let mut mesh = reviewed();
    mesh.ok(ONE).ok(TWO).shows("a", "reviewing");
    assert!(mesh.task(THREE).cancelled);
    assert!(mesh.effects.iter().any(|effect| matches!(effect, Effect::Stop { awaited: true, .. })));
    // What it says now is no vote: it was told to end.
    mesh.rejects(THREE).shows(THREE, "failed cancelled").shows("a", "completed");
    assert_eq!(mesh.effects.iter().filter_map(vote).count(), 0);
}

#[test]
fn a_result_that_cannot_get_its_approvals_any_more_is_a_failed_attempt() {
    let mut mesh = reviewed();
    mesh.rejects(ONE).shows("a", "reviewing").rejects(TWO).shows("a", "reviewing");
    mesh.returns(THREE, AttemptOutcome::Cancelled).shows("a", "backoff").time_passes().ok("a");
    mesh.rejects("a#review-2.1").rejects("a#review-2.3");
    mesh.returns("a#review-2.2", AttemptOutcome::Cancelled).shows("a", "failed rejected");
    assert_eq!(mesh.task("a").failures, 2);
}

#[test]
fn a_review_that_fails_or_is_cancelled_is_no_approval() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).peer("q", &["judge"], 3);
    mesh.submit([task("a").reviewed(2, 3, &["judge"])]).ok("a");
    mesh.fails(ONE).shows(ONE, "failed failed").cancel(TWO).returns(TWO, AttemptOutcome::Cancelled);
    assert!(mesh.task(THREE).cancelled, "one is left, and two would be needed");
    mesh.returns(THREE, AttemptOutcome::Cancelled).shows("a", "failed rejected");
}

#[test]
fn a_review_is_tried_as_often_as_its_task() {
    let mut mesh = reviewed();
    mesh.fails(ONE).shows(ONE, "backoff").time_passes().ok(ONE).ok(TWO);
    mesh.returns(THREE, AttemptOutcome::Cancelled).shows("a", "completed");
}

#[test]
fn evidence_comes_before_votes_and_votes_only_on_evidence_that_held() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a").verified().reviewed(1, 1, &[]).retries(1)]);
    mesh.ok("a").shows("a", "checking").checked("a", false).shows("a", "backoff").time_passes();
    assert_eq!(mesh.swarm.find_task(ONE), None, "nobody is asked about what did not hold");
    mesh.ok("a").shows("a", "checking").checked("a", true).shows("a", "reviewing");
    mesh.ok("a#review-2.1").shows("a", "completed");
}

#[test]
fn reviews_are_made_when_the_children_have_closed() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a").reviewed(1, 1, &[])]).spawn("a", [task("child")]).ok("a");
    mesh.shows("a", "returned");
    assert_eq!(mesh.swarm.find_task(ONE), None);
    mesh.ok("child").shows("a", "reviewing").ok(ONE).shows("a", "completed");
}

#[test]
fn what_a_reviewer_submits_belongs_to_its_vote() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a").reviewed(1, 1, &[])]).ok("a").spawn(ONE, [task("helper")]);
    mesh.ok(ONE).shows("a", "reviewing").ok("helper").shows("a", "completed");
}

#[test]
fn nobody_votes_on_its_own_work_while_somebody_else_can() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 9).submit([task("a").reviewed(1, 1, &[])]).peer("q", &[], 1);
    mesh.ok("a").shows(ONE, "running q");
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").reviewed(1, 1, &[])]).ok("a").shows(ONE, "running p");
}

#[test]
fn nobody_votes_twice_while_somebody_else_can() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).peer("r", &["judge"], 1).submit([task("b").needs(&["judge"])]).peer("q", &["judge"], 9);
    mesh.submit([task("a").reviewed(2, 2, &["judge"])]).ok("a").shows(ONE, "running q").shows(TWO, "assigned r");
    mesh.ok("b").shows(TWO, "running r");
}

#[test]
fn a_second_vote_is_better_than_none_and_than_that_of_the_author() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 9).submit([task("a").reviewed(2, 2, &[])]).join("m").peer_on("m", "q", &[], 1);
    mesh.ok("a").shows(ONE, "running q").shows(TWO, "assigned q");
    mesh.loses("m").shows(ONE, "running p").shows(TWO, "running p");
}

#[test]
fn a_reviewer_that_comes_later_gets_the_vote_that_waits() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 9).submit([task("a").reviewed(2, 2, &["judge"])]).peer("q", &["judge"], 1);
    mesh.ok("a").shows(ONE, "running q").shows(TWO, "assigned q").peer("r", &["judge"], 1).shows(TWO, "running r");
}

#[test]
fn a_review_that_is_tried_again_avoids_who_votes_on_the_same_result() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 9).submit([task("a").reviewed(2, 2, &["judge"]).retries(1)]);
    mesh.peer("q", &["judge"], 9).peer("r", &["judge"], 9).peer("s", &["judge"], 9).ok("a");
    mesh.shows(ONE, "running q").shows(TWO, "running r").fails(ONE).time_passes().shows(ONE, "running s");
}

#[test]
fn the_work_is_that_of_who_returned_it_not_of_who_checked_it() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 1).submit([task("a").verified().reviewed(1, 1, &[])]).ok("a");
    mesh.loses("m").peer("q", &[], 1).shows("a", "checking");
    mesh.join("m").peer_on("m", "p", &[], 1).checked("a", true).shows(ONE, "running q");
}

#[test]
fn a_task_that_is_reviewed_holds_no_slot_and_the_loss_of_its_peer_changes_nothing() {
    let mut mesh = Mesh::new();
    mesh.join("m").peer_on("m", "p", &[], 1).submit([task("a").reviewed(1, 1, &["judge"]), task("b")]);
    mesh.ok("a").shows("b", "running p").shows("a", "reviewing").loses("m").shows("a", "reviewing");
    mesh.peer("q", &["judge"], 1).shows(ONE, "running q").ok(ONE).shows("a", "completed");
    assert_eq!(mesh.task("a").attempt, 1);
}

#[test]
fn a_reviewer_that_is_lost_with_its_node_is_replaced() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).join("m").peer_on("m", "q", &["judge"], 1);
    mesh.submit([task("a").reviewed(1, 1, &["judge"])]).ok("a").shows(ONE, "running q");
    mesh.loses("m").shows(ONE, "ready").shows("a", "reviewing");
    assert!(mesh.swarm.is_stalled(), "nobody can review it");
    mesh.peer("r", &["judge"], 1).shows(ONE, "running r").ok(ONE).shows("a", "completed");
}

#[test]
fn cancelling_a_task_cancels_its_reviews() {
    let mut mesh = reviewed();
    mesh.cancel("a").shows("a", "returned");
    for review in [ONE, TWO, THREE] {
        mesh.returns(review, AttemptOutcome::Cancelled);
    }
    mesh.shows("a", "failed cancelled");
}

#[test]
fn a_dependant_waits_for_the_votes() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a").reviewed(1, 1, &[]), task("b").after(&["a"])]);
    mesh.ok("a").shows("b", "blocked").ok(ONE).shows("b", "running p");
}

#[test]
fn the_round_closes_after_the_votes_and_does_not_count_them() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a").reviewed(1, 1, &[])]).seal().ok("a");
    assert_eq!(mesh.closed_round(), None);
    mesh.rejects(ONE);
    assert_eq!(mesh.closed_round(), Some((1, 0, 1)));
    mesh.submit([task("b").reviewed(1, 2, &[])]).seal().ok("b").ok("b#review-1.1");
    mesh.returns("b#review-1.2", AttemptOutcome::Cancelled);
    assert_eq!(mesh.closed_round(), Some((2, 1, 0)), "a review that was not needed is no failure");
}

#[test]
fn no_room_for_its_reviews_ends_a_task_and_says_which_limit() {
    let cases = [
        (Limits { tasks: 2, ..Limits::default() }, LimitKind::Tasks),
        (Limits { depth: 0, ..Limits::default() }, LimitKind::Depth),
        (Limits { children: 1, ..Limits::default() }, LimitKind::Children),
    ];
    for (limits, expected) in cases {
        let mut mesh = Mesh::with(Config { limits, ..Config::default() });
        mesh.peer("p", &[], 3).submit([task("a").reviewed(1, 2, &[]).retries(5)]).ok("a").shows("a", "failed rejected");
        let no = mesh.no("a");
        assert!(mesh.effects.contains(&Effect::ReviewsOverLimit { task: no, limit: expected }), "{:?}", mesh.effects);
    }
}

#[test]
fn only_a_review_may_reject_and_close_ok() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).rejects("a").shows("a", "failed rejected");
}

#[test]
fn a_review_with_numbers_that_make_no_sense_is_refused() {
    let mut mesh = Mesh::new();
    for (approvals, of) in [(0, 1), (2, 1), (1, 0), (1, 65)] {
        let refusal = mesh.refuses(super::mesh::submission(vec![task("a").reviewed(approvals, of, &[])]));
        assert!(matches!(refusal, Refusal::OutOfRange { .. }), "{approvals} of {of}: {refusal}");
    }
}

#[test]
fn ids_of_reviews_are_nobody_elses() {
    let mut mesh = Mesh::new();
    for id in [ONE, "#review-1.1", "x#review-12.3-t4"] {
        let refusal = mesh.refuses(super::mesh::submission(vec![task(id)]));
        assert_eq!(refusal, Refusal::ReservedId { id: id.to_owned() });
    }
    for id in ["a#review-1", "a#review-1.1/part", "a#review-1.x", "a#review-.1", "a#review-1.1-t", "review-1.1"] {
        assert!(!is_reserved_id(id), "{id}");
    }
    mesh.submit([task("a#review-1.1/part")]);
}

#[test]
fn the_id_of_a_review_is_no_longer_than_ids_may_be_and_no_two_are_alike() {
    let mut mesh = Mesh::new();
    // Alike but for the end, which is cut off; the cut falls into a character of two bytes.
    let long: Vec<String> = (0..2).map(|end| format!("{}{end}", "é".repeat(127))).collect();
    mesh.peer("p", &[], 4).submit(long.iter().map(|id| task(id).reviewed(1, 1, &[])).collect::<Vec<_>>());
    let mut ids = std::collections::BTreeSet::new();
    for id in &long {
        mesh.ok(id);
        let review = mesh.swarm.reviews(mesh.no(id)).next().unwrap();
        let review = mesh.swarm.task(review).unwrap().id.to_string();
        assert!(review.len() <= crate::ID_BYTES_MAX && is_reserved_id(&review), "{review}");
        ids.insert(review);
    }
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_later_round_reviews_anew_what_did_not_get_through() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a").reviewed(1, 1, &[])]).seal().ok("a").rejects(ONE);
    mesh.submit([task("a").reviewed(1, 1, &[])]).ok("a").shows("a", "reviewing").shows(ONE, "running p");
    assert_eq!(mesh.task(ONE).generation, 2);
    mesh.ok(ONE).shows("a", "completed");
}

#[test]
fn a_review_knows_what_it_reviews() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("a").reviewed(1, 2, &[])]).ok("a");
    let at: Grant = mesh.task("a").returned_at;
    assert_eq!((mesh.task(ONE).spec, mesh.task(TWO).spec), ((at, 0), (at, 1)));
    assert_eq!(mesh.task(ONE).parent, Some(mesh.no("a")));
    assert_eq!(mesh.task(ONE).reviews.map(|review| review.attempt), Some(1));
}

#[test]
fn a_reviewer_that_does_not_approve_has_done_its_work() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).peer("q", &["judge"], 1);
    mesh.submit([task("a").reviewed(1, 1, &["judge"])]).ok("a");
    let counts = |mesh: &Mesh, id: &str| {
        let peer = mesh.swarm.peer(mesh.swarm.find_peer(id).unwrap()).unwrap();
        (peer.completed, peer.failed)
    };
    assert_eq!(counts(&mesh, "p"), (1, 0));
    mesh.rejects(ONE);
    assert_eq!((counts(&mesh, "q"), counts(&mesh, "p")), ((1, 0), (0, 1)), "whose work was rejected failed");
}

#[test]
fn a_node_leaves_when_its_peers_are_down_and_nothing_is_interrupted() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).join("m").peer_on("m", "q", &["x"], 1).submit([task("a").needs(&["x"])]);
    let m = mesh.node("m");
    let refusal = mesh.append(&m, Op::Leave);
    assert_eq!(refusal, Some(Refusal::PeersUp { node: "m".to_owned(), peer: "q".to_owned() }));
    mesh.shows("a", "running q");
    mesh.accept(&m, Op::PeerDown { peer: "q".to_owned(), why: crate::DownReason::Shutdown });
    mesh.accept(&m, Op::Leave);
    assert!(matches!(mesh.effects[..], [Effect::NodeLeft { .. }]), "{:?}", mesh.effects);
    assert_eq!(mesh.swarm.present_nodes().count(), 1);
    assert_eq!((mesh.task("a").interruptions, mesh.task("a").failures), (0, 0));
    assert!(matches!(mesh.append(&m, Op::Alive), Some(Refusal::NotPresent { .. })));
    mesh.join("m");
    assert!(matches!(mesh.effects[..], [Effect::Joined { .. }]), "it replaces nobody who is present");
}

#[test]
fn the_open_submission_of_a_node_that_leaves_has_ended() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).join("m");
    let m = mesh.node("m");
    mesh.accept(&m, super::mesh::part(vec![task("a")]));
    mesh.seal().shows("a", "blocked");
    mesh.accept(&m, Op::Leave);
    mesh.shows("a", "running p").ok("a");
    assert_eq!(mesh.closed_round(), Some((1, 1, 0)));
}
