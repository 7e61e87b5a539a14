//! Votes, losses and timers in any order: one answer at most, the same in any order when all vote, and an end always.

use proptest::prelude::*;

use super::super::*;

fn terms() -> impl Strategy<Value = Terms> {
    (any::<bool>(), prop::option::of(1u32..6), 1u32..=1_000, 0u32..3).prop_map(
        |(leader, quorum, threshold, retries)| {
            let protocol = if leader { Protocol::Leader } else { Protocol::Quorum };
            Terms { protocol, quorum, threshold_permille: threshold, timeout_ms: 1, retries }
        },
    )
}

/// Written anew, from the definition: what these votes mean when no more come.
fn meaning(votes: &[bool], threshold_permille: u32) -> Outcome {
    let yes = votes.iter().filter(|vote| **vote).count();
    let no = votes.len() - yes;
    let share = yes as f64 / votes.len() as f64;
    let approved = if threshold_permille == 500 { yes > no } else { share >= f64::from(threshold_permille) / 1_000.0 };
    if approved { Outcome::Approved } else { Outcome::Rejected }
}

struct Seen {
    ballot: Ballot,
    ended: Vec<Outcome>,
    timer: Option<Timer>,
}

impl Seen {
    fn tell(&mut self, input: Input) {
        let effects = self.ballot.handle(input);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(whom) => {
                    assert!(self.ended.is_empty(), "nobody is asked after the end");
                    assert!(!whom.is_empty(), "somebody is asked");
                    for voter in whom {
                        assert!(!self.ballot.votes().contains_key(&voter), "whoever has voted is not asked");
                        assert!(!self.ballot.lost().contains(&voter), "the lost are not asked");
                    }
                }
                Effect::Sleep { timer, .. } => self.timer = Some(timer),
                Effect::Ended(outcome) => self.ended.push(outcome),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn never_two_answers_and_always_an_end(
        terms in terms(),
        voters in 1u32..9,
        steps in prop::collection::vec((0u8..8, 0u32..9, any::<bool>()), 0..40),
    ) {
        let terms = Terms { quorum: terms.quorum.map(|size| size.min(voters)), ..terms };
        let (ballot, asked) = Ballot::open(terms, voters).unwrap();
        let mut seen = Seen { ballot, ended: Vec::new(), timer: None };
        seen.take(asked);
        let mut votes_told = 0;
        for (what, voter, approves) in steps {
            let before = (seen.ballot.outcome(), seen.ballot.votes().clone());
            let voter = Voter(voter);
            match what {
                0..=4 => {
                    votes_told += 1;
                    seen.tell(Input::Voted { voter, approves });
                }
                5 => seen.tell(Input::Lost(voter)),
                6 => seen.tell(Input::Fired(Timer(voter.0))),
                _ => seen.timer.iter().copied().collect::<Vec<_>>().into_iter().for_each(|timer| seen.tell(Input::Fired(timer))),
            }
            if before.0.is_some() {
                prop_assert_eq!(&(seen.ballot.outcome(), seen.ballot.votes().clone()), &before, "an end is one");
            }
        }
        let Statistics { counted, duplicate, late, not_asked, .. } = seen.ballot.statistics();
        prop_assert_eq!(counted + duplicate + late + not_asked, votes_told, "no vote is lost from the books");
        prop_assert_eq!(counted, seen.ballot.votes().len() as u64);
        // With the timers alone it ends.
        let mut rings = 0;
        while seen.ballot.outcome().is_none() {
            rings += 1;
            prop_assert!(rings <= voters * (terms.retries + 1), "it goes on and on");
            seen.tell(Input::Fired(seen.timer.unwrap()));
        }
        prop_assert_eq!(seen.ended.len(), 1);
        let cast: Vec<bool> = seen.ballot.votes().values().copied().collect();
        match seen.ended[0] {
            Outcome::Undecided { cast, needed } => prop_assert!(cast < needed),
            outcome if terms.protocol == Protocol::Leader => {
                prop_assert_eq!(outcome, meaning(&[seen.ballot.votes()[&seen.ballot.leader().unwrap()]], 1_000));
            }
            outcome => {
                prop_assert!(cast.len() >= seen.ballot.needed() as usize);
                prop_assert_eq!(outcome, meaning(&cast, terms.threshold_permille));
            }
        }
    }

    #[test]
    fn the_same_votes_give_the_same_answer_in_any_order(
        terms in terms(),
        (votes, order) in prop::collection::vec(any::<bool>(), 1..9).prop_flat_map(|votes| {
            let order: Vec<usize> = (0..votes.len()).collect();
            (Just(votes), Just(order).prop_shuffle())
        }),
    ) {
        let voters = u32::try_from(votes.len()).unwrap();
        let quorum = terms.quorum.map(|size| size.min(voters));
        let terms = Terms { protocol: Protocol::Quorum, quorum, ..terms };
        let (mut ballot, _asked) = Ballot::open(terms, voters).unwrap();
        for voter in order {
            let _effects = ballot.handle(Input::Voted { voter: Voter(voter as u32), approves: votes[voter] });
        }
        prop_assert_eq!(ballot.outcome(), Some(meaning(&votes, terms.threshold_permille)));
    }
}
