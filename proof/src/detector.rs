//! The stand-alone detector: every order of everything that may happen to a few peers, and mutants that must be found.
//!
//! `proof detector` runs the larger sizes; the tests run the smaller ones and every mutant.

pub mod reach;
pub mod world;

use meshwork_core::detector::DetectorMutant;
use stateright::{Checker, HasDiscoveries, Model};

use world::{NEVER_EARLY, Setup};

const NOTHING: Setup = Setup {
    name: "",
    peers: 2,
    second_side: 2,
    named: true,
    messages: 2,
    fan_out: u32::MAX,
    routes: &[],
    starts: 1,
    starters: u32::MAX,
    stale: 1,
    duplicates: 0,
    crashes: 0,
    hasty: false,
    joins: false,
    mutant: None,
};

const THREE: Setup = Setup { peers: 3, second_side: 3, ..NOTHING };
const RING: Setup = Setup { routes: &[(0, 1), (1, 2), (2, 0)], ..THREE };

/// Sizes that are exhausted in the tests.
pub const SMALL: &[Setup] = &[
    Setup { name: "one detector", messages: 3, ..NOTHING },
    Setup { name: "one detector, any timer", messages: 1, hasty: true, ..NOTHING },
    Setup { name: "one detector, told twice", duplicates: 1, ..NOTHING },
    Setup { name: "one detector, a crash", messages: 1, starts: 2, crashes: 1, ..NOTHING },
    Setup { name: "one detector, a chain", messages: 4, fan_out: 1, stale: 0, ..RING },
    Setup { name: "two detectors", second_side: 1, ..NOTHING },
    Setup { name: "two detectors, a crash", second_side: 1, messages: 1, crashes: 1, ..NOTHING },
    Setup { name: "two detectors, one joins", second_side: 1, messages: 1, joins: true, ..THREE },
    Setup { name: "counts alone", named: false, messages: 3, ..NOTHING },
    Setup { name: "counts alone, two detectors", second_side: 1, named: false, ..THREE },
];

/// Sizes that take longer.
pub const LARGE: &[Setup] = &[
    Setup { name: "one detector", messages: 4, ..NOTHING },
    Setup { name: "one detector", messages: 3, ..THREE },
    Setup { name: "one detector, told twice", messages: 3, duplicates: 1, ..NOTHING },
    Setup { name: "one detector, a crash", messages: 2, crashes: 1, ..THREE },
    Setup { name: "one detector, any timer", messages: 2, hasty: true, ..NOTHING },
    Setup { name: "two detectors", second_side: 1, messages: 3, stale: 0, ..NOTHING },
    Setup { name: "two detectors", second_side: 1, messages: 2, stale: 0, ..THREE },
    Setup { name: "two detectors, a crash", second_side: 1, messages: 2, crashes: 1, ..NOTHING },
    Setup { name: "two detectors, one joins", second_side: 1, messages: 1, joins: true, ..THREE },
    Setup { name: "counts alone, two detectors", second_side: 1, named: false, messages: 3, ..THREE },
];

/// A mutant and what found it.
#[derive(Clone, Debug)]
pub struct Caught {
    /// States that were looked at until then.
    pub states: usize,
    /// The steps that end with an early announcement.
    pub way: Vec<world::Action>,
}

/// Looks for an early announcement, with the model checker; `None`: there is none in the whole graph.
#[must_use]
pub fn early(setup: &Setup) -> (usize, Option<Caught>) {
    let finish = HasDiscoveries::AnyFailures;
    let checker = setup.clone().checker().finish_when(finish).spawn_bfs().join();
    let states = checker.unique_state_count();
    let caught = checker.discovery(NEVER_EARLY).map(|path| Caught { states, way: path.into_actions() });
    (states, caught)
}

/// The world in which that mutant is looked for.
#[must_use]
pub fn hunting_ground(mutant: DetectorMutant) -> Setup {
    let one = NOTHING;
    let two = Setup { second_side: 1, ..NOTHING };
    let back_and_forth = &[(1, 2), (2, 1)];
    let counts = Setup { named: false, second_side: 1, ..THREE };
    let ground = match mutant {
        DetectorMutant::SignalWithDeficit => Setup { messages: 3, fan_out: 1, stale: 0, ..RING },
        DetectorMutant::SignalEngagingAtOnce => Setup { messages: 4, fan_out: 1, stale: 0, ..RING },
        DetectorMutant::CountDuplicates => Setup { duplicates: 1, ..one },
        DetectorMutant::OneWave => Setup { routes: back_and_forth, ..counts },
        DetectorMutant::UnequalWaves => Setup { messages: 3, routes: back_and_forth, ..counts },
        DetectorMutant::IgnoreMembership => Setup { messages: 1, second_side: 1, joins: true, ..THREE },
        DetectorMutant::IgnoreRunning | DetectorMutant::IgnoreStart => one,
        DetectorMutant::TakeLateAnswer => Setup { starts: 2, starters: 1, fan_out: 1, stale: 2, ..two },
        DetectorMutant::IgnoreDeficitInWave => two,
        DetectorMutant::ForgetLost => Setup { messages: 1, crashes: 1, ..two },
        DetectorMutant::CountRuns => Setup { messages: 1, crashes: 1, starts: 2, ..one },
    };
    Setup { mutant: Some(mutant), ..ground }
}
