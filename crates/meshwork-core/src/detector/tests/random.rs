//! Random worlds of one detector: many peers, many messages, everything told late, twice and out of order. After every
//! step the invariants hold; "done" is never said while something goes on; and once nothing more is sent, it is said.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::*;

const CALL: DetectionNo = DetectionNo(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    run: Run,
    peer: Peer,
    handles: Option<(Message, Peer)>,
}

struct World {
    detector: Detector,
    peers: u32,
    flight: BTreeSet<(Message, Peer, Peer)>,
    work: BTreeSet<Work>,
    /// Acknowledgements to be told, with their sender; some are told twice.
    acks: Vec<(Message, Peer)>,
    lost: BTreeSet<Peer>,
    probes: Vec<(ProbeNo, Peer)>,
    answers: Vec<(ProbeNo, Peer, Report)>,
    timers: BTreeSet<Timer>,
    asking: bool,
    announced: usize,
    next: u64,
}

impl World {
    fn new(peers: u32) -> Self {
        let config = Config { retry_ms: 1, retries: 3, checkpoints: false };
        let mut world = Self {
            detector: Detector::new(config),
            peers,
            flight: BTreeSet::new(),
            work: BTreeSet::new(),
            acks: Vec::new(),
            lost: BTreeSet::new(),
            probes: Vec::new(),
            answers: Vec::new(),
            timers: BTreeSet::new(),
            asking: false,
            announced: 0,
            next: 0,
        };
        let local = (0..peers).map(Peer).collect();
        world.tell(Input::Initialize { local, remote: Vec::new(), incarnation: 1 });
        world
    }

    fn tell(&mut self, input: Input) {
        for effect in self.detector.handle(input) {
            match effect {
                Effect::Probe { probe, to, .. } => self.probes.push((probe, to)),
                Effect::Sleep { timer, .. } => _ = self.timers.insert(timer),
                Effect::Record(_) => panic!("waves are not to be recorded"),
                Effect::Done { verdict, .. } => {
                    self.asking = false;
                    if verdict == Verdict::Completed {
                        assert!(self.work.is_empty(), "done, while these run: {:?}", self.work);
                        assert!(self.flight.is_empty(), "done, while these are on their way: {:?}", self.flight);
                        self.announced += 1;
                    }
                }
            }
        }
        self.detector.check_invariants();
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn begin(&mut self, peer: Peer, handles: Option<(Message, Peer)>) {
        let run = Run(self.number());
        self.work.insert(Work { run, peer, handles });
        self.tell(Input::Started { peer, run });
    }

    fn send(&mut self, from: Peer, to: Peer, twice: bool) {
        let message = Message(self.number());
        for _ in 0..=usize::from(twice) {
            self.tell(Input::Published { sender: from, message: Some((message, Some(to))) });
        }
        self.flight.insert((message, from, to));
    }

    fn deliver(&mut self, at: usize) {
        let there = self.flight.iter().filter(|(_, _, to)| !self.lost.contains(to));
        let there: Vec<_> = there.copied().collect();
        if let Some(&(message, from, to)) = pick(&there, at) {
            self.flight.remove(&(message, from, to));
            self.begin(to, Some((message, from)));
        }
    }

    fn finish(&mut self, at: usize, twice: bool) {
        let work: Vec<Work> = self.work.iter().copied().collect();
        if let Some(&done) = pick(&work, at) {
            self.work.remove(&done);
            self.tell(Input::Finished { peer: done.peer, run: done.run });
            for _ in 0..=usize::from(twice) {
                self.acks.extend(done.handles);
            }
        }
    }

    fn crash(&mut self, peer: Peer) {
        let dead: Vec<Work> = self.work.iter().filter(|work| work.peer == peer).copied().collect();
        for work in dead {
            self.work.remove(&work);
            self.flight.extend(work.handles.map(|(message, from)| (message, from, peer)));
        }
        self.lost.insert(peer);
        self.tell(Input::Lost(peer));
    }

    /// One thing happens; `quiet`: nothing new.
    fn step(&mut self, what: u8, at: usize, quiet: bool) {
        let what = what % 16;
        let peer = Peer(at as u32 % self.peers);
        let there = !self.lost.contains(&peer);
        match what {
            0 if !quiet && there => self.begin(peer, None),
            1..=3 if !quiet => {
                let work: Vec<Work> = self.work.iter().copied().collect();
                if let Some(work) = pick(&work, at) {
                    self.send(work.peer, Peer((at / 7) as u32 % self.peers), what == 2);
                }
            }
            4 if !quiet && there && at.is_multiple_of(5) => self.crash(peer),
            5 if self.lost.remove(&peer) => self.tell(Input::Back(peer)),
            6 | 7 => self.deliver(at),
            8 | 9 => self.finish(at, what == 9),
            10 | 11 if !self.acks.is_empty() => {
                let (message, sender) = self.acks.swap_remove(at % self.acks.len());
                self.tell(Input::Acknowledged { sender, message: Some(message) });
            }
            12 | 13 if !self.probes.is_empty() => {
                let (probe, peer) = self.probes.swap_remove(at % self.probes.len());
                let report = self.detector.report(peer).unwrap();
                for _ in 0..=usize::from(what == 13) {
                    self.answers.push((probe, peer, report));
                }
            }
            14 if !self.answers.is_empty() => {
                let (probe, peer, report) = self.answers.swap_remove(at % self.answers.len());
                self.tell(Input::Answered { probe, peer, report });
            }
            _ => self.ask(at),
        }
    }

    fn ask(&mut self, at: usize) {
        let timers: Vec<Timer> = self.timers.iter().copied().collect();
        if !self.asking {
            self.asking = true;
            self.tell(Input::Detect { detection: CALL, timeout_ms: 1 });
        } else if let Some(&timer) = pick(&timers, at) {
            self.timers.remove(&timer);
            self.tell(Input::Fired(timer));
        }
    }

    /// Everything that is on its way arrives, in an order of its own.
    fn drain(&mut self) {
        for peer in std::mem::take(&mut self.lost) {
            self.tell(Input::Back(peer));
        }
        while !(self.flight.is_empty() && self.work.is_empty() && self.acks.is_empty()) {
            for what in [6, 8, 10] {
                self.step(what, 3, true);
            }
        }
    }
}

fn pick<T>(list: &[T], at: usize) -> Option<&T> {
    if list.is_empty() { None } else { list.get(at % list.len()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn done_is_never_said_early_and_always_said(
        peers in 1_u32..7,
        steps in prop::collection::vec((any::<u8>(), any::<u16>()), 1..300),
    ) {
        let mut world = World::new(peers);
        for (what, at) in steps {
            world.step(what, usize::from(at), false);
        }
        world.drain();
        let before = world.announced;
        // Nothing is left but questions and answers; a timer never overtakes an answer for ever.
        for at in 0..100 {
            while !(world.probes.is_empty() && world.answers.is_empty()) {
                world.step(12, at, true);
                world.step(14, at, true);
            }
            world.ask(at);
        }
        prop_assert!(world.announced > before, "all was done and nobody said so");
        prop_assert_eq!(world.detector.held(), vec![]);
        for peer in (0..peers).map(Peer) {
            prop_assert_eq!(world.detector.deficit(peer), 0);
        }
    }
}
