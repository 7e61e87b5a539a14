//! Would anybody notice? Each rule is broken in turn, and model and simulator look for it.

use crate::model::{self, Scope};
use meshwork_core::Mutant;
use meshwork_core::sim::{self, Plan};

/// How long to look.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Schedules of the simulator, at most.
    pub schedules: u64,
    /// States of each small model, at most; 0: the models are not asked.
    pub states: usize,
}

/// What came of one broken rule.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The rule.
    pub mutant: Mutant,
    /// Schedules that the simulator played until it noticed, and what it noticed.
    pub simulator: Option<(u64, String)>,
    /// States of the model that noticed, explored until then, its name, and the property that did not hold.
    pub model: Option<(usize, String, String)>,
}

impl Caught {
    /// Somebody noticed.
    pub fn is_caught(&self) -> bool {
        self.simulator.is_some() || self.model.is_some()
    }
}

/// Breaks one rule, and looks for it.
pub fn look(mutant: Mutant, effort: Effort) -> Caught {
    Caught { mutant, simulator: simulate(mutant, effort.schedules), model: explore(mutant, effort.states) }
}

/// Schedules from seed 0 on, until one shows something that must never be.
fn simulate(mutant: Mutant, schedules: u64) -> Option<(u64, String)> {
    (0..schedules).find_map(|seed| {
        let found = sim::run(&Plan::breaking(mutant, seed), None).findings.into_iter().next()?;
        Some((seed + 1, found.kind.name().to_owned()))
    })
}

fn explore(mutant: Mutant, states: usize) -> Option<(usize, String, String)> {
    if states == 0 {
        return None;
    }
    let scopes: Vec<Scope> = model::hunts();
    let hunt = model::hunt(Some(mutant), &scopes, states);
    let found = hunt.found?;
    Some((found.states, hunt.scope.name, format!("{:?}", found.violation.property).to_lowercase()))
}

/// The table of the manual.
pub fn table(all: &[Caught]) -> String {
    let mut text = String::from(
        "| broken rule | what it does | noticed by the simulator after | noticed by the model after |\n| --- | --- | --- | --- |\n",
    );
    for caught in all {
        let (_, name, doc) =
            Mutant::ALL.iter().find(|(mutant, ..)| *mutant == caught.mutant).expect("every mutant is listed");
        let simulator = caught.simulator.as_ref().map_or("—".to_owned(), |(seeds, what)| {
            format!("{seeds} schedule{}: {what}", if *seeds == 1 { "" } else { "s" })
        });
        let model = caught
            .model
            .as_ref()
            .map_or("—".to_owned(), |(states, scope, property)| format!("{states} states of `{scope}`: {property}"));
        text.push_str(&format!("| `{name}` | {doc} | {simulator} | {model} |\n"));
    }
    text
}
