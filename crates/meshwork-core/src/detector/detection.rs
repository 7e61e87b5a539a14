//! One call that wants to know: it waits for the root, asks every peer, and judges what they say.
//!
//! Within one side the root is free if and only if nothing goes on, and stays free until a peer starts something by
//! itself; so one wave is enough, and it is given up when that happens or when a peer comes or goes. Peers of another
//! side are in no tree of ours, and a broker that names no messages gives no tree at all. Then two waves in a row have
//! to say the same, and that every peer is free. Each peer has sent nothing between its two answers and had nothing
//! open at either, so at the moment between the waves nobody had anything open: nothing ran, nothing was on its way.
//!
//! Mattern: Algorithms for distributed termination detection (1987), the four-counter method.

use std::collections::{BTreeMap, BTreeSet};

use super::contract::{Config, DetectionNo, Effect, Peer, ProbeNo, Report, Timer, Verdict, WaveRecord};
use super::mutant::{DetectorMutant, Switch};

/// What a call sees of the detector.
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) switch: Switch,
    /// Nothing goes on on this side.
    pub(super) root_free: bool,
    /// A handler runs on this side.
    pub(super) running: bool,
    /// Two waves have to say the same.
    pub(super) two_waves: bool,
    /// Every peer, of this side and of others, with who asks first.
    pub(super) from: Option<Peer>,
    pub(super) peers: &'a BTreeSet<Peer>,
}

/// What a call wants.
pub(super) enum Want {
    /// This.
    Effect(Effect),
    /// A wave is complete.
    Wave(WaveRecord),
    /// The call is answered; whoever asks "what holds it up" is told by the parent.
    Answer(Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Completed,
    TimedOut,
    Exhausted,
}

impl Answer {
    pub(super) fn verdict(self, held: Vec<super::Held>) -> Verdict {
        match self {
            Self::Completed => Verdict::Completed,
            Self::TimedOut => Verdict::TimedOut { held },
            Self::Exhausted => Verdict::Exhausted { held },
        }
    }
}

/// Where numbers come from that are never given twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Something goes on on this side.
    AwaitRoot,
    /// Probes are on their way; `token` is the retry timer.
    Asking { token: u64, asked: BTreeMap<ProbeNo, Peer>, missing: BTreeSet<Peer>, reports: BTreeMap<Peer, Report> },
    /// The last wave was no use; the next begins with this timer.
    Resting { token: u64 },
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Detection {
    no: DetectionNo,
    timeout_ms: u64,
    phase: Phase,
    /// Waves and repeated probes since something last moved.
    tries: u32,
    /// What the last wave said if it agreed and stands.
    agreed: Option<BTreeMap<Peer, Report>>,
    /// What the last complete wave said.
    last: BTreeMap<Peer, Report>,
    /// The timer of the quiet time; `None` while a handler runs here.
    quiet: Option<u64>,
    /// Something has moved since that timer was set.
    moved: bool,
}

impl Detection {
    pub(super) fn new(no: DetectionNo, timeout_ms: u64) -> Self {
        Self {
            no,
            timeout_ms,
            phase: Phase::AwaitRoot,
            tries: 0,
            agreed: None,
            last: BTreeMap::new(),
            quiet: None,
            moved: false,
        }
    }

    pub(super) fn begin(&mut self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        if !view.running {
            self.be_quiet(numbers, wants);
        }
        self.ask(view, numbers, wants);
    }

    /// Something moved on this side: the root may be free now, handlers may run or not.
    pub(super) fn on_moved(&mut self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        self.has_moved();
        if view.running {
            self.quiet = None;
        } else if self.quiet.is_none() {
            self.be_quiet(numbers, wants);
        }
        if self.phase == Phase::AwaitRoot {
            self.ask(view, numbers, wants);
        }
    }

    /// A peer started something by itself: what was said before is no longer of use.
    pub(super) fn on_start(&mut self) {
        self.agreed = None;
        self.phase = Phase::AwaitRoot;
    }

    /// Peers came or went: another wave, after the usual rest.
    pub(super) fn on_membership(&mut self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        self.has_moved();
        self.agreed = None;
        self.last.clear();
        if self.phase != Phase::AwaitRoot {
            self.rest(view, numbers, wants);
        }
    }

    pub(super) fn on_retry(&mut self, token: u64, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        match &self.phase {
            Phase::Resting { token: awaited } if *awaited == token => self.ask(view, numbers, wants),
            Phase::Asking { token: awaited, .. } if *awaited == token => self.ask_missing(view, numbers, wants),
            _ => {}
        }
    }

    pub(super) fn on_timeout(&mut self, token: u64, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        if self.quiet != Some(token) {
            return;
        }
        if self.moved {
            self.be_quiet(numbers, wants);
        } else {
            wants.push(Want::Answer(Answer::TimedOut));
        }
    }

    /// Whether the probe is one that this call waits for.
    pub(super) fn awaits(&self, probe: ProbeNo, peer: Peer) -> bool {
        matches!(&self.phase, Phase::Asking { asked, .. } if asked.get(&probe) == Some(&peer))
    }

    /// An answer to a probe that this call waits for.
    pub(super) fn on_answer(
        &mut self,
        probe: ProbeNo,
        peer: Peer,
        report: Report,
        view: &View<'_>,
        numbers: &mut Numbers,
        wants: &mut Vec<Want>,
    ) {
        let Phase::Asking { asked, missing, reports, .. } = &mut self.phase else {
            return;
        };
        asked.remove(&probe);
        // A peer that was asked again may answer twice: the first answer stands.
        if !missing.remove(&peer) {
            return;
        }
        reports.insert(peer, report);
        if missing.is_empty() {
            let reports = std::mem::take(reports);
            self.judge(reports, view, numbers, wants);
        }
    }

    /// Whether that peer's answer is missing: then one mutant takes any.
    pub(super) fn misses(&self, peer: Peer) -> bool {
        matches!(&self.phase, Phase::Asking { missing, .. } if missing.contains(&peer))
    }

    /// Who has not answered the present wave.
    pub(super) fn silent(&self) -> Vec<Peer> {
        match &self.phase {
            Phase::Asking { missing, .. } => missing.iter().copied().collect(),
            Phase::AwaitRoot | Phase::Resting { .. } => Vec::new(),
        }
    }

    /// What the last complete wave said.
    pub(super) fn last(&self) -> &BTreeMap<Peer, Report> {
        &self.last
    }

    fn has_moved(&mut self) {
        self.moved = true;
        self.tries = 0;
    }

    fn be_quiet(&mut self, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        let token = numbers.next();
        self.quiet = Some(token);
        self.moved = false;
        let timer = Timer::Timeout { detection: self.no, token };
        wants.push(Want::Effect(Effect::Sleep { timer, ms: self.timeout_ms }));
    }

    /// Begins a wave if the root is free.
    fn ask(&mut self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        if !view.root_free {
            self.agreed = None;
            self.phase = Phase::AwaitRoot;
            return;
        }
        if view.peers.is_empty() {
            wants.push(Want::Answer(Answer::Completed));
            return;
        }
        let mut asked = BTreeMap::new();
        for peer in view.peers {
            asked.insert(self.probe(*peer, view, numbers, wants), *peer);
        }
        let token = self.sleep(view, numbers, wants);
        let missing = view.peers.clone();
        self.phase = Phase::Asking { token, asked, missing, reports: BTreeMap::new() };
    }

    /// Some answers are late: their probes may be lost. An answer to either probe counts.
    fn ask_missing(&mut self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        if self.is_exhausted(view, wants) {
            return;
        }
        let again: Vec<(ProbeNo, Peer)> =
            self.silent().into_iter().map(|peer| (self.probe(peer, view, numbers, wants), peer)).collect();
        let next = self.sleep(view, numbers, wants);
        if let Phase::Asking { token, asked, .. } = &mut self.phase {
            *token = next;
            asked.extend(again);
        }
    }

    fn probe(&self, to: Peer, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) -> ProbeNo {
        let probe = ProbeNo(numbers.next());
        let from = view.from.unwrap_or(to);
        wants.push(Want::Effect(Effect::Probe { detection: self.no, probe, from, to }));
        probe
    }

    fn sleep(&self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) -> u64 {
        let token = numbers.next();
        let timer = Timer::Retry { detection: self.no, token };
        wants.push(Want::Effect(Effect::Sleep { timer, ms: view.config.retry_ms }));
        token
    }

    fn rest(&mut self, view: &View<'_>, numbers: &mut Numbers, wants: &mut Vec<Want>) {
        let token = self.sleep(view, numbers, wants);
        self.phase = Phase::Resting { token };
    }

    fn is_exhausted(&mut self, view: &View<'_>, wants: &mut Vec<Want>) -> bool {
        if self.tries >= view.config.retries {
            wants.push(Want::Answer(Answer::Exhausted));
            return true;
        }
        self.tries += 1;
        false
    }

    fn judge(
        &mut self,
        reports: BTreeMap<Peer, Report>,
        view: &View<'_>,
        numbers: &mut Numbers,
        wants: &mut Vec<Want>,
    ) {
        let by_idleness = view.switch.breaks(DetectorMutant::IgnoreDeficitInWave);
        let agreed = reports.values().all(|report| if by_idleness { report.idle } else { report.is_free() });
        wants.push(Want::Wave(WaveRecord { detection: self.no, reports: reports.clone(), agreed }));
        let works = reports.values().any(|report| report.running > 0);
        let differs = !self.last.is_empty() && self.last != reports;
        self.last = reports.clone();
        if works || differs {
            self.has_moved();
        }
        let before = self.agreed.take();
        if agreed {
            let one_is_enough = !view.two_waves || view.switch.breaks(DetectorMutant::OneWave);
            let any_will_do = view.switch.breaks(DetectorMutant::UnequalWaves);
            let stands = before.as_ref().is_some_and(|before| any_will_do || *before == reports);
            if one_is_enough || stands {
                wants.push(Want::Answer(Answer::Completed));
                return;
            }
            self.agreed = Some(reports);
            if before.is_none() {
                // The second of two waves is no repetition, and there is nothing to wait for.
                self.ask(view, numbers, wants);
                return;
            }
        }
        if !self.is_exhausted(view, wants) {
            self.rest(view, numbers, wants);
        }
    }

    /// Gives every number that it waits for another name, in a fixed order.
    #[cfg(any(test, feature = "mutants"))]
    pub(super) fn renumber(&mut self, rename: &mut impl FnMut(u64) -> u64) {
        if let Some(token) = &mut self.quiet {
            *token = rename(*token);
        }
        match &mut self.phase {
            Phase::AwaitRoot => {}
            Phase::Resting { token } => *token = rename(*token),
            Phase::Asking { token, asked, .. } => {
                *token = rename(*token);
                *asked = std::mem::take(asked).into_iter().map(|(no, peer)| (ProbeNo(rename(no.0)), peer)).collect();
            }
        }
    }
}
