//! Scenarios, and what holds for every run.

use proptest::prelude::*;

use super::{Input, Ledger, Measured, Savings, Tally};

const WOKE: Input = Input::Woke { tokens: 100 };

fn played(inputs: &[(u64, Input)]) -> Ledger {
    let mut ledger = Ledger::new(0);
    inputs.iter().for_each(|(now, input)| ledger.handle(*now, *input));
    ledger
}

fn saved(inputs: &[Input]) -> u64 {
    let inputs: Vec<(u64, Input)> = (0..).zip(inputs.iter().copied()).collect();
    played(&inputs).savings(1_000, Measured::default()).saved
}

#[test]
fn an_idle_agent_that_nobody_wakes_saves_nothing() {
    assert_eq!(saved(&[Input::Paused, Input::WakeDue, Input::WakeDue, Input::Resumed]), 0);
    let joined = [Input::Paused, Input::MessageArrived, Input::MessageArrived, Input::HandedOver { messages: 2 }];
    assert_eq!(saved(&joined), 0, "nobody knows what a wake costs");
}

#[test]
fn a_scheduled_wake_that_does_not_happen_saves_what_a_wake_costs() {
    assert_eq!(saved(&[WOKE, Input::Paused, Input::WakeDue, Input::WakeDue, Input::Resumed]), 200);
    assert_eq!(saved(&[WOKE, Input::WakeDue, Input::WakeDue]), 0, "while it is active it is woken");
    let uneven = [WOKE, WOKE, Input::Woke { tokens: 1 }, Input::Paused, Input::WakeDue, Input::WakeDue];
    assert_eq!(saved(&uneven), 134, "2 × 201 ÷ 3, not 2 × 67");
    assert_eq!(saved(&[Input::Paused, Input::WakeDue, WOKE]), 100, "the wake may be measured later");
}

#[test]
fn messages_that_are_handed_over_together_need_one_wake() {
    let three = [WOKE, Input::Paused, Input::MessageArrived, Input::MessageArrived, Input::MessageArrived];
    let then = |rest: &[Input]| saved(&[&three[..], rest].concat());
    assert_eq!(then(&[]), 0, "they still wait");
    assert_eq!(then(&[Input::Resumed, Input::HandedOver { messages: 3 }]), 200);
    let one = Input::HandedOver { messages: 1 };
    assert_eq!(then(&[Input::Resumed, one, one, one]), 0, "each on its own");
    assert_eq!(then(&[Input::Resumed, one, Input::HandedOver { messages: 2 }]), 100);
    let more = [Input::Resumed, Input::MessageArrived, Input::HandedOver { messages: 4 }];
    assert_eq!(then(&more), 200, "what arrives after the pause is no saving");
    assert_eq!(then(&[Input::Resumed, Input::HandedOver { messages: 3 }, Input::HandedOver { messages: 3 }]), 200);
}

#[test]
fn the_first_turn_after_a_resume_costs_what_it_costs_more() {
    let pause = [Input::Paused, Input::WakeDue, Input::WakeDue, Input::WakeDue, Input::Resumed];
    let turn = |tokens| Input::Turn { tokens };
    let run = |turns: &[Input]| saved(&[&[WOKE, turn(50)], &pause[..], turns].concat());
    assert_eq!(run(&[turn(50)]), 300);
    assert_eq!(run(&[turn(170)]), 180);
    assert_eq!(run(&[turn(10)]), 300, "a cheap one adds nothing");
    assert_eq!(run(&[turn(1_000)]), 0, "never below nothing");
    // (50 + 70) ÷ 2 is what others cost.
    assert_eq!(run(&[turn(170), turn(70)]), 190);
    // A wake that is the first says nothing of what a wake costs.
    assert_eq!(run(&[Input::Woke { tokens: 140 }]), 260);
    let unknown = saved(&[&[WOKE], &pause[..], &[turn(170)]].concat());
    assert_eq!(unknown, 300, "there is no other turn to compare with");
}

#[test]
fn the_kind_speaks_for_what_was_not_measured() {
    let other = played(&[(0, WOKE), (0, Input::Woke { tokens: 200 }), (0, Input::Turn { tokens: 10 })]);
    let kind: Measured = [other.measured(), Measured::default()].into_iter().sum();
    let pause = [(0, Input::Paused), (0, Input::WakeDue), (0, Input::WakeDue), (0, Input::Resumed)];
    let mut ledger = played(&pause);
    assert_eq!(ledger.savings(0, kind).saved, 300);
    ledger.handle(0, Input::Turn { tokens: 30 });
    assert_eq!(ledger.savings(0, kind).saved, 280);
    ledger.handle(0, Input::Woke { tokens: 40 });
    assert_eq!(ledger.savings(0, kind).saved, 60, "its own measure is the better one");
    let wakes = ledger.savings(0, kind).wakes;
    assert_eq!((wakes.count, wakes.mean(), Tally::default().mean()), (1, Some(40), None));
}

#[test]
fn time_is_paused_or_active() {
    let ledger = played(&[(10, Input::Paused), (10, Input::Paused), (25, Input::Resumed), (25, Input::Resumed)]);
    let times = |ledger: &Ledger, now| {
        let savings = ledger.savings(now, Measured::default());
        (savings.pause_ms, savings.active_ms)
    };
    assert_eq!(times(&ledger, 40), (15, 25));
    assert_eq!(times(&ledger, 7), (15, 10), "a clock that goes back stands still");
    let mut ledger = ledger;
    ledger.handle(30, Input::Left);
    ledger.handle(35, Input::Paused);
    assert_eq!(times(&ledger, 100), (15, 15));
    ledger.handle(100, Input::CameBack);
    assert_eq!(times(&ledger, 104), (15, 19));
    assert!(!ledger.is_paused());
}

#[test]
fn sums_are_sums_of_parts() {
    let one = Savings {
        saved: 1,
        total: 2,
        pause_ms: 3,
        active_ms: 4,
        wakes: Tally { count: 5, tokens: 6 },
        wakes_avoided: 7,
    };
    let sum: Savings = [one, one].into_iter().sum();
    let expected = Savings {
        saved: 2,
        total: 4,
        pause_ms: 6,
        active_ms: 8,
        wakes: Tally { count: 10, tokens: 12 },
        wakes_avoided: 14,
    };
    assert_eq!(sum, expected);
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..1_000_u64, 1 => Just(u64::MAX)]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        tokens().prop_map(|tokens| Input::Spent { tokens }),
        tokens().prop_map(|tokens| Input::Woke { tokens }),
        tokens().prop_map(|tokens| Input::Turn { tokens }),
        Just(Input::Paused),
        Just(Input::Resumed),
        Just(Input::WakeDue),
        Just(Input::MessageArrived),
        (0..5_u64).prop_map(|messages| Input::HandedOver { messages }),
        Just(Input::Left),
        Just(Input::CameBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn savings_are_counted(inputs in prop::collection::vec((0..100_u64, input()), 0..60)) {
        let mut now = 0;
        let timed: Vec<(u64, Input)> = inputs.into_iter().map(|(passed, input)| { now += passed; (now, input) }).collect();
        let savings = played(&timed).savings(now, Measured::default());
        // Counted again, each by itself.
        let spent = |input: &Input| match input {
            Input::Spent { tokens } | Input::Woke { tokens } | Input::Turn { tokens } => *tokens,
            _ => 0,
        };
        let woke: Vec<u64> =
            timed.iter().filter_map(|(_, input)| if let Input::Woke { tokens } = input { Some(*tokens) } else { None }).collect();
        let total = timed.iter().fold(0_u64, |sum, (_, input)| sum.saturating_add(spent(input)));
        prop_assert_eq!(savings.total, total);
        prop_assert_eq!(savings.wakes.count, woke.len() as u64);
        prop_assert!(savings.pause_ms + savings.active_ms <= now);
        let has = |wanted: Input| timed.iter().any(|(_, input)| *input == wanted);
        if !has(Input::Left) {
            prop_assert_eq!(savings.pause_ms + savings.active_ms, now);
        }
        if woke.is_empty() || !has(Input::Paused) {
            prop_assert_eq!(savings.saved, 0);
        }
        let dearest = woke.iter().copied().max().unwrap_or(0);
        prop_assert!(savings.saved <= dearest.saturating_mul(savings.wakes_avoided));
        let arrived = timed.iter().filter(|(_, input)| matches!(input, Input::WakeDue | Input::MessageArrived)).count();
        prop_assert!(savings.wakes_avoided <= arrived as u64);
    }

    #[test]
    fn looking_changes_nothing(
        inputs in prop::collection::vec((0..100_u64, input()), 0..30),
        looks in prop::collection::vec(0..200_u64, 30),
    ) {
        let (mut seen, mut unseen, mut now) = (Ledger::new(0), Ledger::new(0), 0);
        for ((passed, input), look) in inputs.into_iter().zip(looks) {
            now += passed;
            seen.handle(now, input);
            unseen.handle(now, input);
            let _savings = seen.savings(now + look, Measured::default());
        }
        prop_assert_eq!(seen, unseen);
    }
}
