//! The machine on its own: scenarios and random runs.

mod random;
mod scenarios;

use super::*;

const MS: u64 = 1_000;

fn config() -> Config {
    Config { discovery_us: 30_000 * MS, heartbeat_us: 1_000 * MS, timeout_us: 5_000 * MS, peers_max: 100 }
}

/// The rest is a number.
fn profile(capabilities: &[&str], rest: u32) -> Profile<u32> {
    let capabilities = capabilities.iter().map(|one| (*one).to_owned()).collect();
    Profile { capabilities, standing: Standing::Open, rest }
}

/// One side, with its time in ms; the wall clock is a million ms ahead.
struct Side {
    machine: Discovery<u32>,
    ms: u64,
}

impl Side {
    fn new() -> Self {
        Self { machine: Discovery::new(config()), ms: 0 }
    }

    fn started() -> Self {
        let mut side = Self::new();
        let _ = side.handle(Input::Started);
        side
    }

    fn now(&self) -> Now {
        Now { us: self.ms * MS, clock_ms: 1_000_000 + self.ms }
    }

    fn handle(&mut self, input: Input<u32>) -> Vec<Ask<u32>> {
        let asks = self.machine.handle(input, self.now());
        self.machine.check_invariants();
        asks
    }

    fn local(&mut self, peer: &str, profile: Profile<u32>) -> Vec<Ask<u32>> {
        self.handle(Input::Local { peer: peer.to_owned(), profile })
    }

    fn hears(&mut self, peer: &str, incarnation: u64, stamp: u64, rest: u32) -> Vec<Ask<u32>> {
        let said = Said { incarnation, stamp, profile: profile(&["x"], rest) };
        self.handle(Input::Heard { peer: peer.to_owned(), how: Heard::Announcement { answers_us: false }, said })
    }

    fn rest(&self, peer: &str) -> Option<u32> {
        self.machine.peer(peer).map(|record| record.said.profile.rest)
    }

    fn is_stale(&self, peer: &str) -> bool {
        self.machine.peer(peer).is_some_and(|record| self.machine.is_stale(record, self.now().us))
    }

    fn capable(&self, wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|one| (*one).to_owned()).collect();
        self.machine.capable(&wanted, self.now().us).map(str::to_owned).collect()
    }
}

/// The words among the asks: who, what kind, what.
fn words(asks: &[Ask<u32>]) -> Vec<(String, Heard, Said<u32>)> {
    let word = |ask: &Ask<u32>| match ask.clone() {
        Ask::Announce { peer, said, answers } => {
            Some((peer, Heard::Announcement { answers_us: answers.is_some() }, said))
        }
        Ask::Heartbeat { peer, said } => Some((peer, Heard::Heartbeat, said)),
        _ => None,
    };
    asks.iter().filter_map(word).collect()
}
