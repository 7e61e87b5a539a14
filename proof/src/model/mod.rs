//! Model checking of the production rules: `Swarm::apply_batch` and `node::Node` are run, not described.
//!
//! A state ([`World`]) is the log as far as somebody has still to read it, the living processes (each a
//! production [`Node`](meshwork_core::node::Node) with the bodies, messages and timers that it asked for),
//! the appends that are on their way, and what may still go wrong. A step ([`Action`]) is anything that the
//! world may do: store whichever append in whichever order, let a node read or lag, let a body do what its
//! script says, let timers run out, crash a process, hold a living one for dead. What a node asks for is
//! done as a driver does it. Everything that misbehaves has a budget ([`Budgets`]), so there are finitely many
//! states; the budgets are part of what is claimed, and are printed.
//!
//! **Crashes between two asks.** A node's step comes out as a list of asks, and a process may die after any of
//! them. Beyond the process reach only an `Append`, an `Answer` to a person and the word of a closed round.
//! A crash before the step, a crash after it, and an append of a dead process that never arrives (it need
//! not be stored, and no step that completion rests on stores it) together cover every place in between.
//! Small models step through them all the same (`Scope::replays`).
//!
//! **Appends that come back with an error** are stored, or not, or twice: an append that is dropped and
//! appended again is the state it was before, one that is stored all the same is on its way once more.
//!
//! **Zombies** are nodes that lag: their bodies run on, their timers run out, their appends arrive.
//!
//! **Completion.** A state is done when every person got what they wanted, no round is open, and nothing is
//! left over in any living process. From every state some done one has to be reachable by good steps alone:
//! none that costs a budget, no return of the dead while anybody lives, no arrival of what a dead process
//! had appended.

mod action;
mod exact;
mod explore;
mod judge;
mod ledger;
mod observer;
mod play;
mod scope;
mod sizes;
mod spent;
mod step;
mod verdict;
mod world;

pub use action::{Action, Lags, Move};
pub use explore::{Effort, Explored, Found, explore};
pub use play::play;
pub use scope::{Budgets, Person, Scope, Script, Want};
pub use sizes::{hunts, named, sized};
pub use verdict::{Property, Violation};
pub use world::World;

use meshwork_core::Mutant;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A state with its fingerprint: two are the same when their fingerprints are.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What is the case.
    pub world: Arc<World>,
    /// See [`World::fingerprint`].
    pub fingerprint: u64,
}

impl Situation {
    fn new(scope: &Scope, world: World) -> Self {
        let fingerprint = world.fingerprint(scope);
        Self { world: Arc::new(world), fingerprint }
    }
}

impl PartialEq for Situation {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Situation {}

impl Hash for Situation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

/// The model as `stateright` checks it, and as [`explore`] does.
#[derive(Clone, Debug)]
pub struct SwarmModel {
    scope: Scope,
    initial: World,
}

impl SwarmModel {
    /// The model of a scope.
    pub fn new(scope: Scope) -> Self {
        let initial = World::initial(&scope);
        Self { scope, initial }
    }
}

impl stateright::Model for SwarmModel {
    type State = Situation;
    type Action = Action;

    fn init_states(&self) -> Vec<Situation> {
        vec![Situation::new(&self.scope, self.initial.clone())]
    }

    fn actions(&self, state: &Situation, actions: &mut Vec<Action>) {
        state.world.actions(&self.scope, actions);
    }

    fn next_state(&self, last: &Situation, action: Action) -> Option<Situation> {
        let next = last.world.after_action(&self.scope, &action)?;
        Some(Situation::new(&self.scope, next))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        let mut properties = vec![
            stateright::Property::sometimes("all is done", |model: &Self, state| state.world.is_done(&model.scope)),
            stateright::Property::always(Property::Invariants.text(), |_, s: &Situation| s.holds(Property::Invariants)),
            stateright::Property::always(Property::Safety.text(), |_, s: &Situation| s.holds(Property::Safety)),
            stateright::Property::always(Property::Commit.text(), |_, s: &Situation| s.holds(Property::Commit)),
            stateright::Property::always(Property::Acceptance.text(), |_, s: &Situation| s.holds(Property::Acceptance)),
        ];
        properties.extend([
            stateright::Property::always(Property::SameHash.text(), |_, s: &Situation| s.holds(Property::SameHash)),
            stateright::Property::always(Property::Answers.text(), |_, s: &Situation| s.holds(Property::Answers)),
            stateright::Property::always(Property::Processes.text(), |_, s: &Situation| s.holds(Property::Processes)),
            stateright::Property::always(Property::NodeRules.text(), |_, s: &Situation| s.holds(Property::NodeRules)),
            stateright::Property::always(Property::Log.text(), |_, s: &Situation| s.holds(Property::Log)),
        ]);
        properties
    }
}

impl Situation {
    fn holds(&self, property: Property) -> bool {
        self.world.violation.as_ref().is_none_or(|violation| violation.property != property)
    }
}

/// What a hunt for a mutant came to.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The model that caught it, or the last one that was tried.
    pub scope: Scope,
    /// States explored in the models that were tried before it.
    pub before: usize,
    /// What was found, and after how many states of this model.
    pub found: Option<Found>,
}

/// Looks for a violation in each of these models in turn, within so many states each, and ends at the first.
/// With no rule broken, none may be found.
pub fn hunt(mutant: Option<Mutant>, scopes: &[Scope], states: usize) -> Hunt {
    let mut before = 0;
    let mut last = None;
    for scope in scopes {
        let scope = Scope { mutant, ..scope.clone() };
        let explored = explore(&scope, Effort::hunt(states));
        if let Some(found) = explored.found {
            return Hunt { scope, before, found: Some(found) };
        }
        before += explored.states;
        last = Some(scope);
    }
    Hunt { scope: last.unwrap_or_else(|| sizes::hunts().remove(0)), before, found: None }
}
