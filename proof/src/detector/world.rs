//! A few peers, the broker between them and one detector or two: everything that may happen to them, in every order.
//!
//! The detectors are the production machine. The rest is what a broker may do at its worst: messages of different
//! senders overtake each other, an acknowledgement is told long after its handler has finished, a message is delivered
//! twice and acknowledged twice, a peer crashes and what it was handling is delivered again to its next life, the end
//! of a run of the former life is told late. Timers run out at any moment.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::detector::{
    Config, DetectionNo, Detector, DetectorMutant, Effect, Input, Message, Peer, ProbeNo, Report, Run, Timer, Verdict,
};
use stateright::{Model, Property};

/// What the world consists of, and how much may happen in it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What it is called in the tables.
    pub name: &'static str,
    /// How many peers.
    pub peers: u32,
    /// The first peer of the second detector; `peers` where one detector has them all. Only the first one is asked.
    pub second_side: u32,
    /// Whether the broker names messages and tells which handlers run.
    pub named: bool,
    /// How many messages are sent at most.
    pub messages: u32,
    /// How many messages one run of a handler sends at most.
    pub fan_out: u32,
    /// Who may send to whom; empty: everybody to everybody else.
    pub routes: &'static [(u32, u32)],
    /// How often a peer starts something by itself: those of the first side at any time, others before the question.
    pub starts: u32,
    /// How many peers, from the first on, do that.
    pub starters: u32,
    /// How many probes or answers that nobody waits for any more may still be on their way.
    pub stale: usize,
    /// How many deliveries are repeated, each with its acknowledgement.
    pub duplicates: u32,
    /// How many crashes, each with a restart.
    pub crashes: u32,
    /// Timers run out at any moment. Else the quiet time is long and an answer is never later than the retry timer.
    pub hasty: bool,
    /// The last peer is not among the peers at first and joins at any time.
    pub joins: bool,
    /// The rule that is broken.
    pub mutant: Option<DetectorMutant>,
}

const CALL: DetectionNo = DetectionNo(1);

/// What a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Running {
    run: Run,
    peer: Peer,
    /// What it handles; `None`: something of its own.
    message: Option<Message>,
    /// The message was handled before: the peer knows it and sends nothing.
    again: bool,
    /// Messages that it has sent.
    sent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Letter {
    sender: Peer,
    recipient: Peer,
    deliveries: u64,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    sides: Vec<Detector>,
    letters: BTreeMap<Message, Letter>,
    flight: BTreeSet<Message>,
    /// Delivered once, may be delivered once more.
    repeatable: BTreeSet<Message>,
    running: BTreeSet<Running>,
    /// Runs of a former life, whose end is not told yet.
    ghosts: BTreeSet<(Peer, Run)>,
    /// Acknowledgements that are not told yet; the number tells two of one message apart.
    acks: BTreeSet<(Message, u64)>,
    lost: BTreeSet<Peer>,
    outside: Option<Peer>,
    probes: BTreeSet<(ProbeNo, Peer)>,
    answers: BTreeMap<ProbeNo, (Peer, Report)>,
    /// Probes that nobody waits for any more, on their way there or back.
    stale: BTreeSet<ProbeNo>,
    timers: BTreeSet<Timer>,
    asking: bool,
    announced: bool,
    early: bool,
    starts: u32,
    duplicates: u32,
    crashes: u32,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A peer starts something by itself.
    Start(Peer),
    /// What runs at a peer sends to another.
    Send(Run, Peer, Peer),
    /// A message reaches its handler.
    Deliver(Message),
    /// A message reaches its handler although it was there before.
    Repeat(Message),
    /// A handler is done.
    End(Run, Peer),
    /// The sender's side is told of an acknowledgement.
    Acknowledge(Message, u64),
    /// A peer crashes.
    Crash(Peer),
    /// It is there again.
    Restart(Peer),
    /// The end of a run of a former life is told.
    LateEnd(Peer, Run),
    /// The peer that was outside is one of the peers.
    Join,
    /// The first side is asked.
    Detect,
    /// A probe reaches the side of its peer.
    Probe(ProbeNo, Peer),
    /// An answer reaches the first side.
    Answer(ProbeNo),
    /// A timer runs out.
    Fire(Timer),
}

impl Action {
    /// Whether it is new work or a new fault: what has to stop before completion must be possible.
    #[must_use]
    pub fn is_new(self) -> bool {
        matches!(self, Self::Start(_) | Self::Send(..) | Self::Repeat(_) | Self::Crash(_))
    }
}

impl World {
    /// Whether completion was announced.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// Whether it was announced although a handler ran or a message was on its way.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.early
    }

    fn side_of(&self, peer: Peer, setup: &Setup) -> usize {
        usize::from(peer.0 >= setup.second_side).min(self.sides.len() - 1)
    }

    fn tell(&mut self, side: usize, input: Input) {
        let effects = self.sides[side].handle(input);
        for effect in effects {
            match effect {
                Effect::Probe { probe, to, .. } => _ = self.probes.insert((probe, to)),
                Effect::Sleep { timer, .. } => _ = self.timers.insert(timer),
                Effect::Record(_) => {}
                Effect::Done { verdict, .. } => {
                    self.asking = false;
                    if verdict == Verdict::Completed {
                        self.announced = true;
                        self.early = self.is_busy();
                    }
                }
            }
        }
    }

    /// A handler runs or a message is on its way. A repeated delivery counts where one detector sees everything;
    /// that somewhere else nobody delivers again is nothing that a detector could know.
    fn is_busy(&self) -> bool {
        let counts = |running: &Running| Some(running.peer) != self.outside && !(running.again && self.sides.len() > 1);
        self.running.iter().any(counts) || !self.flight.is_empty()
    }

    fn deliver(&mut self, message: Message, again: bool, setup: &Setup) {
        let Some(letter) = self.letters.get_mut(&message) else {
            return;
        };
        letter.deliveries += 1;
        let peer = letter.recipient;
        let run = Run(message.0 * 8 + letter.deliveries);
        self.running.insert(Running { run, peer, message: Some(message), again, sent: 0 });
        self.tell_run(peer, Input::Started { peer, run }, setup);
    }

    fn tell_run(&mut self, peer: Peer, input: Input, setup: &Setup) {
        if setup.named {
            self.tell(self.side_of(peer, setup), input);
        }
    }

    fn send(&mut self, sender: Peer, recipient: Peer, setup: &Setup) {
        let message = Message(self.letters.len() as u64 + 1);
        self.letters.insert(message, Letter { sender, recipient, deliveries: 0 });
        let named = setup.named.then_some((message, Some(recipient)));
        self.tell(self.side_of(sender, setup), Input::Published { sender, message: named });
        self.flight.insert(message);
    }

    /// A running handler sends.
    fn send_from(&mut self, run: Run, sender: Peer, recipient: Peer, setup: &Setup) {
        let by = |running: &Running| (running.run, running.peer) == (run, sender);
        if let Some(running) = self.running.extract_if(.., |running| by(running)).next() {
            self.running.insert(Running { sent: running.sent + 1, ..running });
        }
        self.send(sender, recipient, setup);
    }

    fn end(&mut self, run: Run, peer: Peer, setup: &Setup) {
        let Some(ended) = self.running.iter().find(|running| (running.run, running.peer) == (run, peer)).copied()
        else {
            return;
        };
        self.running.remove(&ended);
        self.tell_run(peer, Input::Finished { peer, run }, setup);
        // A broker that names no messages tells one acknowledgement a message, or its counts were worth nothing.
        if let Some(message) = ended.message
            && (setup.named || !ended.again)
        {
            self.acks.insert((message, run.0));
            if !ended.again {
                self.repeatable.insert(message);
            }
        }
    }

    fn crash(&mut self, peer: Peer, setup: &Setup) {
        let dead: Vec<Running> = self.running.iter().filter(|running| running.peer == peer).copied().collect();
        for running in dead {
            self.running.remove(&running);
            if setup.named {
                self.ghosts.insert((peer, running.run));
            }
            self.flight.extend(running.message.filter(|_| !running.again));
        }
        self.lost.insert(peer);
        self.tell(self.side_of(peer, setup), Input::Lost(peer));
    }

    fn perform(&mut self, action: Action, setup: &Setup) {
        match action {
            Action::Start(peer) => {
                self.starts += 1;
                if !setup.named {
                    // Nobody is told what a peer does, only what it sends.
                    return self.send(peer, Peer((peer.0 + 1) % setup.peers), setup);
                }
                let run = Run(1_000 + u64::from(self.starts));
                self.running.insert(Running { run, peer, message: None, again: false, sent: 0 });
                self.tell_run(peer, Input::Started { peer, run }, setup);
            }
            Action::Send(run, sender, recipient) => self.send_from(run, sender, recipient, setup),
            Action::Deliver(message) => {
                self.flight.remove(&message);
                self.deliver(message, false, setup);
            }
            Action::Repeat(message) => {
                self.duplicates += 1;
                self.repeatable.remove(&message);
                self.deliver(message, true, setup);
            }
            Action::End(run, peer) => self.end(run, peer, setup),
            Action::Acknowledge(message, number) => {
                self.acks.remove(&(message, number));
                let sender = self.letters[&message].sender;
                let message = setup.named.then_some(message);
                self.tell(self.side_of(sender, setup), Input::Acknowledged { sender, message });
            }
            Action::Crash(peer) => {
                self.crashes += 1;
                self.crash(peer, setup);
            }
            Action::Restart(peer) => {
                self.lost.remove(&peer);
                self.tell(self.side_of(peer, setup), Input::Back(peer));
            }
            Action::LateEnd(peer, run) => {
                self.ghosts.remove(&(peer, run));
                self.tell(self.side_of(peer, setup), Input::Finished { peer, run });
            }
            Action::Join => {
                self.outside = None;
                self.tell(0, first_side(setup, None));
            }
            Action::Detect => {
                self.asking = true;
                self.tell(0, Input::Detect { detection: CALL, timeout_ms: 1 });
            }
            Action::Probe(probe, peer) => {
                self.probes.remove(&(probe, peer));
                if let Some(report) = self.sides[self.side_of(peer, setup)].report(peer) {
                    self.answers.insert(probe, (peer, report));
                }
            }
            Action::Answer(probe) => {
                if let Some((peer, report)) = self.answers.remove(&probe) {
                    self.tell(0, Input::Answered { probe, peer, report });
                }
            }
            Action::Fire(timer) => {
                self.timers.remove(&timer);
                self.tell(0, Input::Fired(timer));
            }
        }
    }

    /// Of the probes and answers that nobody waits for any more, the last ones are kept: they may still arrive.
    fn forget_old(&mut self, awaited: &BTreeSet<u64>, limit: usize) {
        let old = |probe: &ProbeNo| !awaited.contains(&probe.0);
        let probes = self.probes.iter().map(|(probe, _)| *probe);
        let mut stale: BTreeSet<ProbeNo> = probes.chain(self.answers.keys().copied()).filter(old).collect();
        while stale.len() > limit {
            stale.pop_first();
        }
        self.probes.retain(|(probe, _)| !old(probe) || stale.contains(probe));
        self.answers.retain(|probe, _| !old(probe) || stale.contains(probe));
        self.stale = stale;
    }

    /// The same world by other numbers, so that a state that comes again is recognised. Timers that nobody waits for
    /// are left out: that a stale one changes nothing is a comparison of two numbers.
    fn canonical(&mut self, limit: usize) {
        let mut awaited = BTreeSet::new();
        self.sides[0].clone().renumber(0, |number| {
            awaited.insert(number);
            number
        });
        self.timers.retain(|timer| awaited.contains(&token(*timer)));
        self.forget_old(&awaited, limit);
        awaited.extend(self.probes.iter().map(|(probe, _)| probe.0));
        awaited.extend(self.answers.keys().map(|probe| probe.0));
        let names: BTreeMap<u64, u64> = awaited.into_iter().zip(1..).collect();
        let name = |number: u64| names.get(&number).copied().unwrap_or(number);
        self.sides[0].renumber(names.len() as u64, name);
        self.probes = std::mem::take(&mut self.probes).into_iter().map(|(no, to)| (ProbeNo(name(no.0)), to)).collect();
        self.answers =
            std::mem::take(&mut self.answers).into_iter().map(|(no, said)| (ProbeNo(name(no.0)), said)).collect();
        self.stale = std::mem::take(&mut self.stale).into_iter().map(|no| ProbeNo(name(no.0))).collect();
        self.timers = std::mem::take(&mut self.timers).into_iter().map(|timer| renamed(timer, name)).collect();
    }
}

fn token(timer: Timer) -> u64 {
    match timer {
        Timer::Retry { token, .. } | Timer::Timeout { token, .. } => token,
    }
}

fn renamed(timer: Timer, name: impl Fn(u64) -> u64) -> Timer {
    match timer {
        Timer::Retry { detection, token } => Timer::Retry { detection, token: name(token) },
        Timer::Timeout { detection, token } => Timer::Timeout { detection, token: name(token) },
    }
}

fn range(from: u32, to: u32, without: Option<Peer>) -> Vec<Peer> {
    (from..to).map(Peer).filter(|peer| Some(*peer) != without).collect()
}

fn first_side(setup: &Setup, without: Option<Peer>) -> Input {
    let local = range(0, setup.second_side, without);
    let remote = range(setup.second_side, setup.peers, without);
    Input::Initialize { local, remote, incarnation: 1 }
}

impl Setup {
    /// The world before anything has happened.
    #[must_use]
    pub fn start(&self) -> World {
        let config = Config { retry_ms: 1, retries: 1, checkpoints: false };
        let outside = self.joins.then_some(Peer(self.peers - 1));
        let mut first = Detector::new(config).broken_by(self.mutant);
        let mut effects = first.handle(first_side(self, outside));
        let mut sides = vec![first];
        if self.second_side < self.peers {
            let mut second = Detector::new(config).broken_by(self.mutant);
            let (local, remote) = (range(self.second_side, self.peers, None), range(0, self.second_side, None));
            effects.extend(second.handle(Input::Initialize { local, remote, incarnation: 1 }));
            sides.push(second);
        }
        debug_assert!(effects.is_empty(), "nobody asked for anything yet");
        World {
            sides,
            letters: BTreeMap::new(),
            flight: BTreeSet::new(),
            repeatable: BTreeSet::new(),
            running: BTreeSet::new(),
            ghosts: BTreeSet::new(),
            acks: BTreeSet::new(),
            lost: BTreeSet::new(),
            outside,
            probes: BTreeSet::new(),
            answers: BTreeMap::new(),
            stale: BTreeSet::new(),
            timers: BTreeSet::new(),
            asking: false,
            announced: false,
            early: false,
            starts: 0,
            duplicates: 0,
            crashes: 0,
        }
    }

    /// Everything that may happen next.
    #[must_use]
    pub fn possible(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        if !world.announced {
            self.work(world, &mut actions);
            self.faults(world, &mut actions);
            self.questions(world, &mut actions);
        }
        actions
    }

    fn work(&self, world: &World, actions: &mut Vec<Action>) {
        // Work that begins somewhere else while one asks here is new work: whoever asks can't wait for it.
        let may_start = |peer: &Peer| world.side_of(*peer, self) == 0 || !world.asking;
        // With one detector all peers are alike: whoever is the first is called 0.
        let is_first = |peer: &Peer| world.sides.len() > 1 || world.starts > 0 || peer.0 == 0;
        if world.starts < self.starts {
            let peers = range(0, self.starters.min(self.peers), None);
            let free = peers.into_iter().filter(|peer| !world.lost.contains(peer) && may_start(peer) && is_first(peer));
            actions.extend(free.map(Action::Start));
        }
        let may_send =
            |running: &&Running| !running.again && Some(running.peer) != world.outside && running.sent < self.fan_out;
        let senders = world.running.iter().filter(may_send);
        if (world.letters.len() as u32) < self.messages {
            let may = |from: Peer, to: Peer| self.routes.is_empty() || self.routes.contains(&(from.0, to.0));
            let others = |peer: Peer| {
                range(0, self.peers, world.outside).into_iter().filter(move |to| *to != peer && may(peer, *to))
            };
            actions.extend(
                senders.flat_map(|running| others(running.peer).map(|to| Action::Send(running.run, running.peer, to))),
            );
        }
        let there = |message: &&Message| !world.lost.contains(&world.letters[*message].recipient);
        actions.extend(world.flight.iter().filter(there).copied().map(Action::Deliver));
        actions.extend(world.running.iter().map(|running| Action::End(running.run, running.peer)));
        actions.extend(world.acks.iter().map(|(message, number)| Action::Acknowledge(*message, *number)));
    }

    fn faults(&self, world: &World, actions: &mut Vec<Action>) {
        if world.duplicates < self.duplicates {
            let there = |message: &&Message| !world.lost.contains(&world.letters[*message].recipient);
            actions.extend(world.repeatable.iter().filter(there).copied().map(Action::Repeat));
        }
        if world.crashes < self.crashes {
            let there = range(0, self.peers, world.outside).into_iter().filter(|peer| !world.lost.contains(peer));
            actions.extend(there.map(Action::Crash));
        }
        actions.extend(world.lost.iter().copied().map(Action::Restart));
        actions.extend(world.ghosts.iter().map(|(peer, run)| Action::LateEnd(*peer, *run)));
    }

    fn questions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(world.outside.map(|_| Action::Join));
        if world.asking {
            let asked = |probe: &ProbeNo| !world.stale.contains(probe);
            let waits = world.probes.iter().any(|(probe, _)| asked(probe)) || world.answers.keys().any(asked);
            let may = |timer: &Timer| self.hasty || (!waits && matches!(timer, Timer::Retry { .. }));
            actions.extend(world.timers.iter().copied().filter(may).map(Action::Fire));
        } else {
            actions.push(Action::Detect);
        }
        actions.extend(world.probes.iter().map(|(probe, peer)| Action::Probe(*probe, *peer)));
        actions.extend(world.answers.keys().copied().map(Action::Answer));
    }

    /// The world after that has happened.
    #[must_use]
    pub fn after(&self, world: &World, action: Action) -> World {
        let mut next = world.clone();
        next.perform(action, self);
        next.canonical(self.stale);
        if self.mutant.is_none() {
            next.sides.iter().for_each(Detector::check_invariants);
        }
        next
    }
}

/// The one thing that must never happen.
pub const NEVER_EARLY: &str = "completion is announced only when no handler runs and no message is on its way";

impl Model for Setup {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.start()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(self.possible(world));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(self.after(world, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_EARLY, |_, world: &World| !world.early),
            Property::sometimes("completion is announced", |_, world: &World| world.announced),
        ]
    }
}
