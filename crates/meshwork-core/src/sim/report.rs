//! What a schedule did, in integers: thousandths where a fraction is meant.

use std::collections::BTreeMap;

/// Samples of the imbalance that a report holds, at most; with more, every second one is dropped.
const SAMPLES: usize = 40;

/// What happened in one schedule, or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Schedules that this sums up.
    pub schedules: u64,
    /// Faults by name, and how often each was injected.
    pub injected: BTreeMap<&'static str, u64>,
    /// Situations that came about, by name, and how often: what the workloads and faults really exercised.
    pub situations: BTreeMap<&'static str, u64>,
    /// Things that happened in virtual time.
    pub events: u64,
    /// Virtual time, in ms.
    pub simulated_ms: u64,
    /// Tasks that the log accepted.
    pub tasks: u64,
    /// Those that closed ok.
    pub closed_ok: u64,
    /// Those that closed otherwise.
    pub closed_failed: u64,
    /// Attempts that were started.
    pub attempts: u64,
    /// Entries that the log holds.
    pub entries: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Batches that the log holds.
    pub batches: u64,
    /// Those of them that were dropped as duplicates.
    pub duplicates: u64,
    /// Appends that nodes made, repeated ones included.
    pub appends: u64,
    /// Batches read, summed over the nodes that read them.
    pub deliveries: u64,
    /// Messages between peers.
    pub messages: u64,
    /// Those that were never handled to the end.
    pub dead_letters: u64,
    /// Rounds that closed.
    pub rounds: u64,
    /// Results that were refused because their grant was stale.
    pub stale_results: u64,
    /// From the last result handed to its node to the completion told: at the first node, and at the last.
    pub detection: Detection,
    /// Largest over mean load of the open peers, in thousandths, by virtual time in ms; of the first schedule.
    pub imbalance: Vec<(u64, u64)>,
    /// Logs that lost acknowledged batches, and were found out.
    pub regressions_found: u64,
    pub(crate) sample_every: u64,
}

/// Delays of completions, in virtual ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// Completions measured.
    pub count: u64,
    /// Sum of the delays until the first node told of it.
    pub first_sum_ms: u64,
    /// The longest of them.
    pub first_max_ms: u64,
    /// Sum of the delays until the last node told of it.
    pub last_sum_ms: u64,
    /// The longest of them.
    pub last_max_ms: u64,
}

impl Report {
    /// Counts a fault that was injected.
    pub(crate) fn inject(&mut self, name: &'static str) {
        *self.injected.entry(name).or_insert(0) += 1;
    }

    /// Notes that a situation came about.
    pub(crate) fn note(&mut self, situation: &'static str) {
        *self.situations.entry(situation).or_insert(0) += 1;
    }

    /// Keeps a sample of the imbalance; of many, those at regular distances.
    pub(crate) fn sample(&mut self, at_ms: u64, permille: u64) {
        self.imbalance.push((at_ms, permille));
        if self.imbalance.len() > SAMPLES {
            let mut index = 0;
            self.imbalance.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.sample_every *= 2;
        }
    }

    /// Adds what another schedule did.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.injected {
            *self.injected.entry(name).or_insert(0) += count;
        }
        for (name, count) in &other.situations {
            *self.situations.entry(name).or_insert(0) += count;
        }
        let pairs = [
            (&mut self.schedules, other.schedules),
            (&mut self.events, other.events),
            (&mut self.simulated_ms, other.simulated_ms),
            (&mut self.tasks, other.tasks),
            (&mut self.closed_ok, other.closed_ok),
            (&mut self.closed_failed, other.closed_failed),
            (&mut self.attempts, other.attempts),
            (&mut self.entries, other.entries),
            (&mut self.refused, other.refused),
            (&mut self.batches, other.batches),
            (&mut self.duplicates, other.duplicates),
            (&mut self.appends, other.appends),
            (&mut self.deliveries, other.deliveries),
            (&mut self.messages, other.messages),
            (&mut self.dead_letters, other.dead_letters),
            (&mut self.rounds, other.rounds),
            (&mut self.stale_results, other.stale_results),
            (&mut self.regressions_found, other.regressions_found),
            (&mut self.detection.count, other.detection.count),
            (&mut self.detection.first_sum_ms, other.detection.first_sum_ms),
            (&mut self.detection.last_sum_ms, other.detection.last_sum_ms),
        ];
        for (sum, more) in pairs {
            *sum += more;
        }
        self.detection.first_max_ms = self.detection.first_max_ms.max(other.detection.first_max_ms);
        self.detection.last_max_ms = self.detection.last_max_ms.max(other.detection.last_max_ms);
        if self.imbalance.is_empty() {
            self.imbalance.clone_from(&other.imbalance);
        }
    }
}
