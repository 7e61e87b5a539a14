//! The loads that are known, and how they are spread.

use std::collections::BTreeMap;

use super::words::LoadDistribution;

/// From whom a load is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// Somebody told it.
    Told,
    /// It was seen when that swarm was looked at.
    Seen { swarm: String },
}

#[derive(Clone, Debug)]
struct Load {
    tasks: f64,
    source: Source,
}

/// 0 of none.
fn mean(all: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = all.fold((0.0, 0.0), |(sum, count), one| (sum + one, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// By peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads(BTreeMap<String, Load>);

impl Loads {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn knows(&self, peer: &str) -> bool {
        self.0.contains_key(peer)
    }

    pub(super) fn of(&self, peer: &str) -> f64 {
        self.0.get(peer).map_or(0.0, |load| load.tasks)
    }

    pub(super) fn tell(&mut self, peer: &str, tasks: f64) {
        // Minus nothing is nothing: it would sort before it.
        self.0.insert(peer.to_owned(), Load { tasks: tasks.abs(), source: Source::Told });
    }

    pub(super) fn forget(&mut self, peer: &str) -> bool {
        self.0.remove(peer).is_some()
    }

    /// The swarm was looked at: this is so of all its peers of which nobody told a load.
    pub(super) fn see(&mut self, swarm: &str, seen: BTreeMap<String, f64>) {
        self.0.retain(|_, load| !matches!(&load.source, Source::Seen { swarm: of } if of == swarm));
        for (peer, tasks) in seen {
            self.0.entry(peer).or_insert_with(|| Load { tasks, source: Source::Seen { swarm: swarm.to_owned() } });
        }
    }

    /// Tasks were moved: these are the loads now, whatever was told before.
    pub(super) fn moved(&mut self, swarm: &str, loads: BTreeMap<String, f64>) {
        for (peer, tasks) in loads {
            let source = self.0.remove(&peer).map_or(Source::Seen { swarm: swarm.to_owned() }, |load| load.source);
            self.0.insert(peer, Load { tasks, source });
        }
    }

    fn largest(&self) -> f64 {
        self.0.values().map(|load| load.tasks).fold(0.0, f64::max)
    }

    fn mean(&self) -> f64 {
        mean(self.0.values().map(|load| load.tasks))
    }

    /// The largest load is at most that many times the mean; an idle mesh is balanced.
    pub(super) fn is_balanced(&self, threshold: f64) -> bool {
        let largest = self.largest();
        largest <= 0.0 || largest <= threshold * self.mean()
    }

    /// The largest load ÷ the mean; 1 in an idle mesh.
    pub(super) fn ratio(&self) -> f64 {
        let largest = self.largest();
        if largest > 0.0 { largest / self.mean() } else { 1.0 }
    }

    pub(super) fn distribution(&self, threshold: f64) -> LoadDistribution {
        let mean = self.mean();
        let variance = self::mean(self.0.values().map(|load| (load.tasks - mean).powi(2)));
        let those = |is: &dyn Fn(f64) -> bool| {
            self.0.iter().filter(|(_, load)| is(load.tasks)).map(|(peer, _)| peer.clone()).collect()
        };
        let least = self.0.values().map(|load| load.tasks).reduce(f64::min);
        LoadDistribution {
            average_load: mean,
            min_load: least.unwrap_or(0.0),
            max_load: self.largest(),
            standard_deviation: variance.sqrt(),
            variance,
            load_by_peer: self.0.iter().map(|(peer, load)| (peer.clone(), load.tasks)).collect(),
            overloaded_peers: those(&|load| load > threshold * mean),
            underloaded_peers: those(&|load| load < mean / threshold),
        }
    }
}
