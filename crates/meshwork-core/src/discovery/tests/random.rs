//! Any order of changes, restarts, losses, repetitions and delays: once the network is whole again, all agree.

use proptest::prelude::*;

use super::*;

const SIDES: usize = 3;
const PEERS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    Change { side: usize, peer: usize, rest: u32 },
    Leave { side: usize, peer: usize },
    Restart { side: usize },
    Wait { ms: u64 },
    Deliver { which: prop::sample::Index },
    Repeat { which: prop::sample::Index },
    Lose { which: prop::sample::Index },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..SIDES, 0..PEERS, any::<u32>()).prop_map(|(side, peer, rest)| Step::Change { side, peer, rest }),
        1 => (0..SIDES, 0..PEERS).prop_map(|(side, peer)| Step::Leave { side, peer }),
        1 => (0..SIDES).prop_map(|side| Step::Restart { side }),
        3 => (0..4_000_u64).prop_map(|ms| Step::Wait { ms }),
        8 => any::<prop::sample::Index>().prop_map(|which| Step::Deliver { which }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Repeat { which }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Lose { which }),
    ];
    prop::collection::vec(step, 0..120)
}

#[derive(Clone, Debug)]
struct Letter {
    to: usize,
    input: Input<u32>,
}

struct World {
    sides: Vec<Discovery<u32>>,
    timers: Vec<(u64, usize, Timer)>,
    letters: Vec<Letter>,
    ms: u64,
}

fn name(side: usize, peer: usize) -> String {
    format!("p{side}{peer}")
}

impl World {
    fn new() -> Self {
        let machine = Discovery::new(config());
        let mut world = Self { sides: vec![machine; SIDES], timers: Vec::new(), letters: Vec::new(), ms: 0 };
        (0..SIDES).for_each(|side| world.handle(side, Input::Started));
        world
    }

    fn handle(&mut self, side: usize, input: Input<u32>) {
        let now = Now { us: self.ms * MS, clock_ms: 1_000_000 + self.ms };
        let before: Vec<_> =
            self.sides[side].peers().map(|(id, record)| (id.to_owned(), record.said.order())).collect();
        let asks = self.sides[side].handle(input, now);
        self.sides[side].check_invariants();
        for (id, order) in before {
            let known = self.sides[side].peer(&id).expect("a peer that is known stays known");
            assert!(known.said.order() >= order, "an earlier word of {id} took the place of a later one");
        }
        for ask in asks {
            let input = match ask {
                Ask::Query => Input::Queried { side: side.to_string() },
                Ask::Announce { peer, said, answers } => {
                    for to in (0..SIDES).filter(|to| *to != side) {
                        let answers_us = answers.as_ref().is_some_and(|asked| *asked == to.to_string());
                        let how = Heard::Announcement { answers_us };
                        self.letters
                            .push(Letter { to, input: Input::Heard { peer: peer.clone(), how, said: said.clone() } });
                    }
                    continue;
                }
                Ask::Heartbeat { peer, said } => Input::Heard { peer, how: Heard::Heartbeat, said },
                Ask::Sleep { timer, us } => {
                    self.timers.push((self.ms + us / MS, side, timer));
                    continue;
                }
                Ask::Store { .. } | Ask::Look => continue,
            };
            self.letters.extend((0..SIDES).filter(|to| *to != side).map(|to| Letter { to, input: input.clone() }));
        }
    }

    fn wait(&mut self, ms: u64) {
        let until = self.ms + ms;
        loop {
            let next =
                self.timers.iter().enumerate().filter(|(_, (at, ..))| *at <= until).min_by_key(|(_, timer)| **timer);
            let Some((index, _)) = next else { break };
            let (at, side, timer) = self.timers.swap_remove(index);
            self.ms = self.ms.max(at);
            self.handle(side, Input::Fired(timer));
        }
        self.ms = until;
    }

    fn take(&mut self, which: prop::sample::Index) -> Option<Letter> {
        (!self.letters.is_empty()).then(|| self.letters.swap_remove(which.index(self.letters.len())))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change { side, peer, rest } => {
                let input = Input::Local { peer: name(side, peer), profile: profile(&["x"], rest) };
                self.handle(side, input);
            }
            Step::Leave { side, peer } => {
                if self.sides[side].peer(&name(side, peer)).is_some_and(Record::is_local) {
                    let profile = Profile { standing: Standing::Gone, ..profile(&[], 0) };
                    self.handle(side, Input::Local { peer: name(side, peer), profile });
                }
            }
            Step::Restart { side } => {
                // A new process does not start within the ms in which the old one did.
                self.ms += 1;
                self.timers.retain(|(_, other, _)| *other != side);
                self.sides[side] = Discovery::new(config());
                self.handle(side, Input::Started);
            }
            Step::Wait { ms } => self.wait(ms),
            Step::Deliver { which } => {
                if let Some(Letter { to, input }) = self.take(which) {
                    self.handle(to, input);
                }
            }
            Step::Repeat { which } => {
                let again = (!self.letters.is_empty()).then(|| self.letters[which.index(self.letters.len())].clone());
                self.letters.extend(again);
            }
            Step::Lose { which } => _ = self.take(which),
        }
    }

    /// Nothing is lost any more, and all that is under way arrives, in whatever order it lies there.
    fn settle(&mut self) {
        // Longer than a heartbeat, a timeout and a heartbeat take: who is silent is stale, who is not is heard.
        for _ in 0..8 {
            self.wait(1_000);
            while let Some(Letter { to, input }) = self.letters.pop() {
                self.handle(to, input);
            }
        }
    }

    fn check_agreement(&self) {
        let us = self.ms * MS;
        for (owner, peer) in (0..SIDES).flat_map(|side| (0..PEERS).map(move |peer| (side, name(side, peer)))) {
            let own = self.sides[owner].peer(&peer).filter(|record| record.is_local());
            for (side, machine) in self.sides.iter().enumerate() {
                let known = machine.peer(&peer);
                let present = known.is_some_and(|record| machine.is_present(record, us));
                assert_eq!(present, own.is_some(), "side {side} about {peer}: {known:?}");
                if let Some(own) = own {
                    assert_eq!(
                        known.map(|record| &record.said.profile),
                        Some(&own.said.profile),
                        "side {side} about {peer}"
                    );
                    assert!(machine.is_alive(&peer, config().timeout_us, us));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn all_sides_agree_in_the_end(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check_agreement();
    }
}
