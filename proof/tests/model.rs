//! Small models, exhausted: by `stateright` and by the own explorer, with and without the reduction.

#![expect(clippy::unwrap_used, reason = "tests")]

use meshwork_core::Mutant;
use meshwork_proof::model::{
    Action, Effort, Explored, Property, Scope, Situation, SwarmModel, explore, hunt, hunts, named, play, sized,
};
use stateright::{Checker, Model};
use std::collections::BTreeMap;

/// With at most one fault beside the scope's failures.
fn calm(mut scope: Scope) -> Scope {
    scope.budgets.faults = scope.budgets.faults.min(1);
    scope
}

#[track_caller]
fn holds(scope: &Scope) -> Explored {
    let explored = explore(scope, Effort::ALL);
    if let Some(found) = &explored.found {
        panic!("{scope}\n{}\n{}", found.violation, play(scope, &found.path));
    }
    assert!(explored.exhausted, "{scope}");
    assert!(explored.done > 0, "{scope}: nothing is ever done");
    explored
}

#[test]
fn every_named_model_holds_with_one_fault() {
    for scope in hunts() {
        let explored = holds(&calm(scope.clone()));
        assert!(explored.states > 50, "{scope} has {} states: it explores nothing", explored.states);
    }
}

#[test]
fn sizes_hold_with_as_many_faults_as_a_test_has_time_for() {
    for (tasks, attempts, nodes, faults) in [(1, 1, 1, 3), (2, 2, 1, 2), (1, 2, 2, 1), (4, 2, 2, 0), (3, 1, 3, 0)] {
        let mut scope = sized(tasks, attempts, nodes);
        scope.budgets.faults = faults;
        holds(&scope);
    }
}

#[test]
fn stateright_finds_the_same_states_and_no_violation() {
    for scope in [calm(sized(1, 2, 2)), calm(named("rounds").unwrap()), calm(named("parts").unwrap())] {
        let own = holds(&scope);
        let checker = SwarmModel::new(scope).checker().threads(2).spawn_bfs().join();
        checker.assert_properties();
        assert_eq!(checker.unique_state_count(), own.states);
    }
}

#[test]
fn stateright_catches_a_result_that_is_taken_without_its_grant() {
    let scope = Scope { mutant: Some(Mutant::ReturnWithoutGrant), ..named("paused-node").unwrap() };
    let checker = SwarmModel::new(scope).checker().threads(2).target_state_count(60_000).spawn_bfs().join();
    checker.assert_any_discovery(Property::Commit.text());
}

/// A task falsely taken from a paused node, run elsewhere under the same attempt number, then returned by both.
#[test]
fn a_result_that_is_taken_without_its_grant_is_caught_and_told() {
    let hunt = hunt(Some(Mutant::ReturnWithoutGrant), &[named("paused-node").unwrap()], 60_000);
    let found = hunt.found.unwrap();
    assert_eq!(found.violation.property, Property::Commit);
    let text = play(&hunt.scope, &found.path);
    for line in ["for too long, wrongly", "ends Ok", "return task", "not so: a result is taken once"] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
fn a_rule_whose_loss_lets_nothing_wrong_happen_is_caught_by_the_backward_search() {
    let hunt = hunt(Some(Mutant::SubmissionOfLostNodeOpen), &[named("parts").unwrap()], 60_000);
    let found = hunt.found.unwrap();
    assert_eq!(found.violation.property, Property::Completion, "{}", found.violation);
}

/// What can be observed of rounds is the same when every difference counts, although there are more states.
#[test]
fn the_reduction_hides_nothing_that_can_be_observed() {
    let mut scopes = vec![sized(1, 2, 1), sized(2, 1, 1), named("dependants").unwrap(), named("rounds").unwrap()];
    for scope in &mut scopes {
        // Who lags asks for a seal again and again: without the reduction that never ends.
        (scope.budgets.faults, scope.budgets.lags) = (scope.budgets.faults.min(1), 0);
        let reduced = holds(scope);
        let exact = holds(&Scope { exact: true, ..scope.clone() });
        assert_eq!(reduced.observed, exact.observed, "{scope}");
        assert!(!reduced.observed.is_empty(), "{scope}");
        assert!(exact.states > reduced.states, "{scope}: {} and {} states", exact.states, reduced.states);
    }
}

/// Random walks through a model that remember what they met.
struct Walks {
    scope: Scope,
    model: SwarmModel,
    exact: Scope,
    dice: u64,
    /// By fingerprint: a state that was met with it, and its exact fingerprint.
    met: BTreeMap<u64, (Situation, u64)>,
    compared: usize,
}

impl Walks {
    fn new(scope: Scope) -> Self {
        let exact = Scope { exact: true, ..scope.clone() };
        let model = SwarmModel::new(scope.clone());
        Self { scope, model, exact, dice: 1, met: BTreeMap::new(), compared: 0 }
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % end
    }

    fn successors(&self, state: &Situation) -> Vec<u64> {
        let mut next: Vec<u64> = self.model.next_steps(state).iter().map(|(_, next)| next.fingerprint).collect();
        next.sort_unstable();
        next
    }

    /// From the beginning; where a fingerprint is met again in another state, both have to go on alike.
    fn walk(&mut self) {
        let mut state = self.model.init_states().remove(0);
        for _ in 0..80 {
            let exact = state.world.fingerprint(&self.exact);
            match self.met.get(&state.fingerprint) {
                None => {
                    self.met.insert(state.fingerprint, (state.clone(), exact));
                }
                Some((other, same)) if *same != exact => {
                    assert_eq!(self.successors(other), self.successors(&state), "{}", self.scope);
                    let done = (other.world.is_done(&self.scope), state.world.is_done(&self.scope));
                    assert_eq!(done.0, done.1, "{}", self.scope);
                    self.compared += 1;
                }
                Some(_) => {}
            }
            let mut steps: Vec<(Action, Situation)> = self.model.next_steps(&state);
            if steps.is_empty() {
                return;
            }
            let step = self.below(steps.len());
            state = steps.swap_remove(step).1;
        }
    }
}

/// The claim of `meshwork_core::canonical`: equal fingerprints have equal successors.
#[test]
fn states_with_equal_fingerprints_behave_alike() {
    let mut scopes = hunts();
    scopes.extend([sized(4, 2, 2), sized(2, 2, 3)]);
    let mut compared = 0;
    for mut scope in scopes {
        scope.budgets.faults = 3;
        let mut walks = Walks::new(scope);
        for _ in 0..60 {
            walks.walk();
        }
        compared += walks.compared;
    }
    assert!(compared > 1_000, "only {compared} states were met in two ways");
}

/// A node that starts from a snapshot is the one that has read the whole log.
#[test]
fn a_snapshot_is_as_good_as_the_log() {
    let mut scope = calm(sized(2, 2, 2));
    (scope.budgets.lags, scope.budgets.suspicions, scope.budgets.errors) = (0, 0, 0);
    let snapshot = holds(&scope);
    let log = holds(&Scope { replays: true, ..scope });
    assert_eq!(snapshot.observed, log.observed);
    assert_eq!((snapshot.states, snapshot.transitions), (log.states, log.transitions));
}

#[test]
fn an_exploration_that_is_cut_off_says_so() {
    let explored = explore(&sized(2, 2, 2), Effort { states: 1_000, ..Effort::ALL });
    assert!(!explored.exhausted);
    assert!(explored.found.is_none());
}
