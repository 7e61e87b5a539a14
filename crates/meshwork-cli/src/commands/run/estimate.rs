//! How long it may still take: by what was learned of each type of task, never by a guess.

use meshwork_core::{Phase, Swarm};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that is left if tasks go on as their types did: the longest chain of what is open, or the work of those
/// that the same peers must do divided by the slots that may do it, whichever is more. It is a lower bound of a
/// schedule, so it is on the hopeful side.
///
/// `None` while less than half of what is open is of a type of which anything is known, or no peer is there.
pub(super) fn time_left(swarm: &Swarm) -> Option<Duration> {
    let mut left = Left::default();
    let mut longest: Vec<u64> = vec![0; swarm.tasks().len()];
    let mean = mean_of_all(swarm)?;
    // Dependants have higher numbers than what they depend on, so one pass from the end finds every chain.
    let tasks: Vec<_> = swarm.tasks().collect();
    for (no, task) in tasks.into_iter().rev() {
        if task.phase.is_closed() {
            continue;
        }
        let kind = swarm.kind(task.kind).filter(|kind| kind.runs > 0);
        left.open += 1;
        left.known += u64::from(kind.is_some());
        let runs = matches!(task.phase, Phase::Running { .. } | Phase::Waiting { .. } | Phase::InLine { .. });
        let returned = matches!(task.phase, Phase::Returned | Phase::Settled { .. } | Phase::Checking { .. });
        let whole = kind.map_or(mean, |kind| kind.mean_ms());
        // How far it is, nobody knows: on average, half.
        let ms = if returned {
            0
        } else if runs {
            whole / 2
        } else {
            whole
        };
        let chain = longest[no.index()] + ms;
        left.chain = left.chain.max(chain);
        for dependency in &task.dependencies {
            let before = &mut longest[dependency.index()];
            *before = (*before).max(chain);
        }
        let class = left.classes.entry(task.class.index()).or_insert_with(|| (0, slots(swarm, no)));
        class.0 += ms;
        left.work += ms;
    }
    left.time(all_slots(swarm))
}

/// Sums over what is open.
#[derive(Default)]
struct Left {
    open: u64,
    known: u64,
    /// The longest chain, in ms.
    chain: u64,
    /// Of all, in ms.
    work: u64,
    /// Requirement class → its work in ms, and the slots that may do it.
    classes: BTreeMap<usize, (u64, u64)>,
}

impl Left {
    fn time(&self, slots: u64) -> Option<Duration> {
        if self.open == 0 || 2 * self.known < self.open {
            return None;
        }
        // What nobody can do takes no time: it is not going to happen.
        let classes = self.classes.values().filter_map(|(work, slots)| work.checked_div(*slots));
        let spread = self.work.checked_div(slots)?;
        Some(Duration::from_millis(classes.fold(spread, u64::max).max(self.chain)))
    }
}

fn mean_of_all(swarm: &Swarm) -> Option<u64> {
    let kinds = (0..).map_while(|number| swarm.kind(meshwork_core::KindNo(number)));
    let (ms, runs) = kinds.fold((0u64, 0u64), |(ms, runs), kind| (ms + kind.ran_ms, runs + kind.runs));
    ms.checked_div(runs)
}

fn slots(swarm: &Swarm, task: meshwork_core::TaskNo) -> u64 {
    swarm.eligible(task).filter_map(|peer| swarm.peer(peer)).map(|peer| u64::from(peer.slots)).sum()
}

fn all_slots(swarm: &Swarm) -> u64 {
    swarm.peers().filter(|(_, peer)| peer.up && peer.is_open()).map(|(_, peer)| u64::from(peer.slots)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(open: u64, known: u64, chain: u64, work: u64, classes: &[(u64, u64)]) -> Left {
        Left { open, known, chain, work, classes: classes.iter().copied().enumerate().collect() }
    }

    #[test]
    fn the_tightest_bound_counts() {
        let time = |left: Left, slots| left.time(slots).map(|time| time.as_millis());
        assert_eq!(time(left(4, 4, 100, 4_000, &[(4_000, 4)]), 4), Some(1_000), "the work over all slots");
        assert_eq!(time(left(4, 4, 3_000, 4_000, &[(4_000, 4)]), 4), Some(3_000), "the longest chain");
        assert_eq!(time(left(4, 4, 100, 4_000, &[(3_000, 1), (1_000, 3)]), 4), Some(3_000), "the scarce peer");
    }

    #[test]
    fn nothing_is_said_where_nothing_is_known() {
        assert_eq!(left(4, 1, 1, 1, &[]).time(1), None, "mostly unknown types");
        assert_eq!(left(0, 0, 0, 0, &[]).time(1), None, "nothing is open");
        assert_eq!(left(1, 1, 1, 1, &[]).time(0), None, "nobody is there");
        assert_eq!(time_left(&Swarm::new()), None);
    }
}
