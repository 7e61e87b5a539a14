//! One sentence of the ballot each.

use super::super::*;

const YES: bool = true;
const NO: bool = false;

fn open(terms: Terms, voters: u32) -> Ballot {
    Ballot::open(terms, voters).unwrap().0
}

fn vote(ballot: &mut Ballot, voter: u32, approves: bool) -> Vec<Effect> {
    ballot.handle(Input::Voted { voter: Voter(voter), approves })
}

fn lose(ballot: &mut Ballot, voter: u32) -> Vec<Effect> {
    ballot.handle(Input::Lost(Voter(voter)))
}

fn fire(ballot: &mut Ballot, timer: u32) -> Vec<Effect> {
    ballot.handle(Input::Fired(Timer(timer)))
}

fn asks(voters: &[u32], timer: u32) -> Vec<Effect> {
    let whom = voters.iter().copied().map(Voter).collect();
    vec![Effect::Ask(whom), Effect::Sleep { timer: Timer(timer), ms: 30_000 }]
}

fn ended(outcome: Outcome) -> Vec<Effect> {
    vec![Effect::Ended(outcome)]
}

fn leader() -> Terms {
    Terms { protocol: Protocol::Leader, ..Terms::default() }
}

#[test]
fn more_than_half_decide_when_the_rest_cannot_change_it() {
    let mut ballot = open(Terms::default(), 5);
    assert!(vote(&mut ballot, 0, YES).is_empty());
    assert!(vote(&mut ballot, 1, NO).is_empty());
    assert!(vote(&mut ballot, 2, YES).is_empty(), "2 of 3, but 2 of 5 may come");
    assert_eq!(vote(&mut ballot, 3, YES), ended(Outcome::Approved));
    assert_eq!(ballot.outcome(), Some(Outcome::Approved));
}

#[test]
fn an_even_split_is_no_approval() {
    let mut ballot = open(Terms::default(), 4);
    for (voter, approves) in [(0, YES), (1, NO), (2, YES)] {
        assert!(vote(&mut ballot, voter, approves).is_empty());
    }
    assert_eq!(vote(&mut ballot, 3, NO), ended(Outcome::Rejected));
}

#[test]
fn the_threshold_is_a_share_of_the_votes_cast() {
    let two_thirds = Terms { threshold_permille: 666, ..Terms::default() };
    let mut ballot = open(two_thirds, 3);
    assert!(vote(&mut ballot, 0, NO).is_empty());
    assert!(vote(&mut ballot, 1, YES).is_empty());
    assert_eq!(vote(&mut ballot, 2, YES), ended(Outcome::Approved));
    let mut all = open(Terms { threshold_permille: 1_000, ..Terms::default() }, 3);
    assert!(vote(&mut all, 0, NO).is_empty(), "no quorum yet");
    assert_eq!(vote(&mut all, 1, YES), ended(Outcome::Rejected));
    let mut few = open(Terms { threshold_permille: 250, ..Terms::default() }, 4);
    assert!(vote(&mut few, 0, YES).is_empty());
    assert!(vote(&mut few, 1, NO).is_empty());
    assert_eq!(vote(&mut few, 2, NO), ended(Outcome::Approved), "1 of 4 is enough, whatever the last one says");
}

#[test]
fn whoever_is_silent_is_asked_again_and_then_the_votes_that_came_decide() {
    let (mut ballot, asked) = Ballot::open(Terms::default(), 5).unwrap();
    assert_eq!(asked, asks(&[0, 1, 2, 3, 4], 1));
    for (voter, approves) in [(1, YES), (2, YES), (3, NO)] {
        assert!(vote(&mut ballot, voter, approves).is_empty());
    }
    assert_eq!(fire(&mut ballot, 1), asks(&[0, 4], 2));
    assert!(fire(&mut ballot, 1).is_empty(), "a stale timer");
    assert_eq!(fire(&mut ballot, 2), ended(Outcome::Approved), "2 of 3");
    let statistics = ballot.statistics();
    assert_eq!((statistics.asked, statistics.asked_again, statistics.counted), (7, 2, 3));
}

#[test]
fn too_few_votes_are_no_rejection() {
    let mut ballot = open(Terms { retries: 0, ..Terms::default() }, 5);
    assert!(vote(&mut ballot, 0, YES).is_empty());
    assert!(vote(&mut ballot, 1, YES).is_empty());
    assert_eq!(fire(&mut ballot, 1), ended(Outcome::Undecided { cast: 2, needed: 3 }));
}

#[test]
fn a_ballot_ends_when_too_few_voters_are_left() {
    let mut ballot = open(Terms::default(), 3);
    assert!(vote(&mut ballot, 0, YES).is_empty());
    assert!(lose(&mut ballot, 1).is_empty());
    assert!(lose(&mut ballot, 1).is_empty(), "lost once");
    assert!(lose(&mut ballot, 7).is_empty(), "no voter");
    assert_eq!(lose(&mut ballot, 2), ended(Outcome::Undecided { cast: 1, needed: 2 }));
}

#[test]
fn the_lost_are_not_waited_for() {
    let mut ballot = open(Terms { quorum: Some(2), ..Terms::default() }, 4);
    assert!(vote(&mut ballot, 0, YES).is_empty());
    assert!(lose(&mut ballot, 3).is_empty());
    assert_eq!(vote(&mut ballot, 1, YES), ended(Outcome::Approved), "2 of the 3 that are left");
}

#[test]
fn a_decided_ballot_never_changes() {
    let mut ballot = open(Terms::default(), 3);
    assert!(vote(&mut ballot, 0, NO).is_empty());
    assert!(vote(&mut ballot, 0, YES).is_empty(), "one vote a voter");
    assert_eq!(vote(&mut ballot, 1, NO), ended(Outcome::Rejected));
    assert!(vote(&mut ballot, 2, YES).is_empty());
    assert!(vote(&mut ballot, 9, YES).is_empty());
    assert!(lose(&mut ballot, 2).is_empty());
    assert!(fire(&mut ballot, 1).is_empty());
    assert_eq!(ballot.outcome(), Some(Outcome::Rejected));
    let expected = Statistics { asked: 3, asked_again: 0, counted: 2, duplicate: 1, late: 1, not_asked: 1 };
    assert_eq!(ballot.statistics(), expected);
}

#[test]
fn the_leader_alone_decides() {
    let (mut ballot, asked) = Ballot::open(leader(), 3).unwrap();
    assert_eq!(asked, asks(&[0], 1));
    assert_eq!(ballot.leader(), Some(Voter(0)));
    assert!(vote(&mut ballot, 1, YES).is_empty(), "not the leader");
    assert_eq!(vote(&mut ballot, 0, NO), ended(Outcome::Rejected));
    assert_eq!(ballot.votes().len(), 1);
}

#[test]
fn a_lost_leader_is_followed_by_the_next() {
    let mut ballot = open(leader(), 4);
    assert!(lose(&mut ballot, 1).is_empty());
    assert_eq!(lose(&mut ballot, 0), asks(&[2], 2));
    assert!(fire(&mut ballot, 1).is_empty(), "the timer of the one before");
    assert_eq!(fire(&mut ballot, 2), asks(&[2], 3));
    assert_eq!(fire(&mut ballot, 3), asks(&[3], 4), "silent through all its askings");
    assert!(vote(&mut ballot, 2, NO).is_empty(), "its time is over");
    assert_eq!(vote(&mut ballot, 3, YES), ended(Outcome::Approved));
}

#[test]
fn without_a_leader_nothing_is_decided() {
    let mut ballot = open(leader(), 2);
    assert_eq!(lose(&mut ballot, 0), asks(&[1], 2));
    assert_eq!(lose(&mut ballot, 1), ended(Outcome::Undecided { cast: 0, needed: 1 }));
}

#[test]
fn terms_that_cannot_be() {
    let refused = |terms, voters| Ballot::open(terms, voters).unwrap_err().to_string();
    assert_eq!(refused(Terms::default(), 0), "a ballot without voters: found 0, expected at least 1");
    let quorum = |size| Terms { quorum: Some(size), ..Terms::default() };
    assert_eq!(refused(quorum(4), 3), "a quorum of 4 of 3 voters: expected 1 to 3");
    assert_eq!(refused(quorum(0), 3), "a quorum of 0 of 3 voters: expected 1 to 3");
    let threshold = Terms { threshold_permille: 0, ..Terms::default() };
    assert_eq!(refused(threshold, 3), "a threshold of 0 thousandths: expected 1 to 1000");
    assert_eq!(refused(Terms { timeout_ms: 0, ..leader() }, 3), "a timeout of 0 ms: expected at least 1");
}
