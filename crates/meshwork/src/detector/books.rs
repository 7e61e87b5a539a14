//! The machine, with names in place of numbers, and everybody who waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use meshwork_core::detector::{
    Config, DetectionNo, Detector, Effect, Input, Message, Peer, ProbeNo, Run, Timer, Verdict, WaveRecord,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::wire::{CompletionProbe, ProbeKind};
use super::words::{Checkpoint, CompletionDetectorConfig, CompletionDetectorMetrics, Holder, NotCompleted, WaitEnd};
use crate::broker::{MessageId, PeerId};
use crate::messaging::{HandlingEvent, MessageEvent, MessageHandler};

/// Waves that are kept where waves are kept: an hour of one a retry interval would be more than anybody reads.
const CHECKPOINTS: usize = 1_000;

/// What is to be done when the books are closed again.
pub(super) enum Job {
    Publish { swarm: String, probe: CompletionProbe },
    Sleep { timer: Timer, ms: u64 },
}

struct Call {
    swarm: String,
    began: Instant,
    reply: oneshot::Sender<bool>,
}

/// A message by the names that the broker has for it.
type MessageKey = (Peer, Option<PeerId>, MessageId);

/// Everything that changes.
pub(super) struct Books {
    machine: Detector,
    /// Begins the ids of probes of this detector.
    side: String,
    numbers: HashMap<PeerId, Peer>,
    names: Vec<PeerId>,
    /// Peers whose hooks are set; a hook is never taken back.
    pub(super) hooked: HashSet<PeerId>,
    pub(super) swarms: HashMap<String, MessageHandler>,
    messages: HashMap<MessageKey, Message>,
    next_message: u64,
    /// Closed messages are looked for when there are so many.
    sweep_at: usize,
    calls: HashMap<DetectionNo, Call>,
    next_call: u64,
    pub(super) initialized: bool,
    incarnation: u64,
    probes: BTreeMap<Peer, BTreeSet<String>>,
    checkpoints: VecDeque<Checkpoint>,
    waves: u64,
    detection_ms: u64,
    longest_ms: u64,
    pub(super) last_no: Option<NotCompleted>,
}

fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Books {
    pub(super) fn new(config: &CompletionDetectorConfig, side: String) -> Self {
        let machine = Detector::new(Config {
            retry_ms: ms(config.probe_retry_interval),
            retries: config.max_probe_retries,
            checkpoints: config.enable_checkpoints,
        });
        Self {
            machine,
            side,
            numbers: HashMap::new(),
            names: Vec::new(),
            hooked: HashSet::new(),
            swarms: HashMap::new(),
            messages: HashMap::new(),
            next_message: 0,
            sweep_at: 1_024,
            calls: HashMap::new(),
            next_call: 0,
            initialized: false,
            incarnation: 0,
            probes: BTreeMap::new(),
            checkpoints: VecDeque::new(),
            waves: 0,
            detection_ms: 0,
            longest_ms: 0,
            last_no: None,
        }
    }

    pub(super) fn initialize(&mut self, local: &[PeerId], remote: &[PeerId], now_ms: u64) -> Vec<Job> {
        let local = local.iter().map(|name| self.number(name)).collect();
        let remote = remote.iter().map(|name| self.number(name)).collect();
        // Higher than that of a detector that ran before this one, as long as the clock was not set back.
        self.incarnation = now_ms.max(self.incarnation + 1);
        self.initialized = true;
        self.handle(Input::Initialize { local, remote, incarnation: self.incarnation }, now_ms)
    }

    pub(super) fn is_local(&self, name: &str) -> Option<Peer> {
        self.numbers.get(name).copied().filter(|peer| self.machine.report(*peer).is_some())
    }

    pub(super) fn published(&mut self, sender: &PeerId, event: &MessageEvent<'_>, now_ms: u64) -> Vec<Job> {
        let Some(sender) = self.is_local(sender) else {
            return Vec::new();
        };
        let message = event.message.map(|name| {
            let to = event.recipient.and_then(|name| self.numbers.get(name)).copied();
            let key = (sender, event.recipient.cloned(), name.clone());
            (self.message(key), to.filter(|peer| self.machine.knows(*peer)))
        });
        self.handle(Input::Published { sender, message }, now_ms)
    }

    pub(super) fn acknowledged(&mut self, sender: &PeerId, event: &MessageEvent<'_>, now_ms: u64) -> Vec<Job> {
        let Some(&sender) = self.numbers.get(sender) else {
            return Vec::new();
        };
        let message = match event.message {
            None => None,
            Some(name) => match self.messages.get(&(sender, event.recipient.cloned(), name.clone())) {
                // Closed already, or sent before anybody looked.
                None => return Vec::new(),
                Some(message) => Some(*message),
            },
        };
        self.handle(Input::Acknowledged { sender, message }, now_ms)
    }

    pub(super) fn handling(&mut self, peer: &PeerId, event: HandlingEvent, now_ms: u64) -> Vec<Job> {
        let Some(&peer) = self.numbers.get(peer) else {
            return Vec::new();
        };
        let run = Run(event.run);
        let input = if event.begins { Input::Started { peer, run } } else { Input::Finished { peer, run } };
        self.handle(input, now_ms)
    }

    pub(super) fn detect(
        &mut self,
        swarm: &str,
        timeout_ms: u64,
        now_ms: u64,
    ) -> (DetectionNo, oneshot::Receiver<bool>, Vec<Job>) {
        if self.machine.running_detections() == 0 {
            self.probes.clear();
        }
        self.next_call += 1;
        let (detection, (reply, answer)) = (DetectionNo(self.next_call), oneshot::channel());
        self.calls.insert(detection, Call { swarm: swarm.to_owned(), began: Instant::now(), reply });
        let jobs = self.handle(Input::Detect { detection, timeout_ms }, now_ms);
        (detection, answer, jobs)
    }

    pub(super) fn forget(&mut self, detection: DetectionNo, now_ms: u64) -> Vec<Job> {
        self.calls.remove(&detection);
        self.handle(Input::Forget(detection), now_ms)
    }

    /// A probe for a peer of this side is answered; an answer to one of ours is taken; all others are not for us.
    pub(super) fn heard(&mut self, swarm: &str, probe: CompletionProbe, now_ms: u64) -> Vec<Job> {
        match (probe.kind, probe.report) {
            (ProbeKind::Probe, _) => {
                let report = self.is_local(&probe.recipient_id).and_then(|peer| self.machine.report(peer));
                let answer = report.map(|report| CompletionProbe {
                    probe_id: probe.probe_id,
                    sender_id: probe.recipient_id,
                    recipient_id: probe.sender_id,
                    timestamp: now_ms,
                    kind: ProbeKind::Acknowledgment,
                    report: Some(report.into()),
                });
                answer.map(|probe| Job::Publish { swarm: swarm.to_owned(), probe }).into_iter().collect()
            }
            (ProbeKind::Acknowledgment, Some(report)) => {
                let number = probe.probe_id.strip_prefix(&self.side).and_then(|rest| rest.strip_prefix('-'));
                let Some(number) = number.and_then(|number| number.parse().ok()) else {
                    return Vec::new();
                };
                let Some(&peer) = self.numbers.get(&*probe.sender_id) else {
                    return Vec::new();
                };
                self.handle(Input::Answered { probe: ProbeNo(number), peer, report: report.into() }, now_ms)
            }
            // It says nothing of the peer: the probe is sent again.
            (ProbeKind::Acknowledgment, None) => Vec::new(),
        }
    }

    pub(super) fn handle(&mut self, input: Input, now_ms: u64) -> Vec<Job> {
        let effects = self.machine.handle(input);
        let jobs = effects.into_iter().filter_map(|effect| self.perform(effect, now_ms)).collect();
        if self.messages.len() >= self.sweep_at {
            let machine = &self.machine;
            self.messages.retain(|_, message| machine.is_open(*message));
            self.sweep_at = (2 * self.messages.len()).max(1_024);
        }
        jobs
    }

    fn perform(&mut self, effect: Effect, now_ms: u64) -> Option<Job> {
        match effect {
            Effect::Probe { detection, probe, from, to } => {
                let swarm = self.calls.get(&detection)?.swarm.clone();
                let probe = CompletionProbe {
                    probe_id: format!("{}-{}", self.side, probe.0),
                    sender_id: self.name(from).to_string(),
                    recipient_id: self.name(to).to_string(),
                    timestamp: now_ms,
                    kind: ProbeKind::Probe,
                    report: None,
                };
                self.probes.entry(from).or_default().insert(probe.probe_id.clone());
                Some(Job::Publish { swarm, probe })
            }
            Effect::Sleep { timer, ms } => Some(Job::Sleep { timer, ms }),
            Effect::Record(wave) => {
                self.keep(&wave, now_ms);
                None
            }
            Effect::Done { detection, verdict } => {
                self.done(detection, verdict);
                None
            }
        }
    }

    fn keep(&mut self, wave: &WaveRecord, now_ms: u64) {
        self.waves += 1;
        let swarm_id = self.calls.get(&wave.detection).map(|call| call.swarm.clone()).unwrap_or_default();
        let peers = wave.reports.iter().map(|(peer, report)| (self.name(*peer).to_string(), (*report).into()));
        let peers = peers.collect();
        self.checkpoints.push_back(Checkpoint {
            swarm_id,
            wave: self.waves,
            at_ms: now_ms,
            agreed: wave.agreed,
            peers,
        });
        if self.checkpoints.len() > CHECKPOINTS {
            self.checkpoints.pop_front();
        }
    }

    fn done(&mut self, detection: DetectionNo, verdict: Verdict) {
        let (ended, held) = match verdict {
            Verdict::Completed => (None, Vec::new()),
            Verdict::TimedOut { held } => (Some(WaitEnd::TimedOut), held),
            Verdict::Exhausted { held } => (Some(WaitEnd::RetriesExhausted), held),
        };
        let Some(call) = self.calls.remove(&detection) else {
            return;
        };
        match ended {
            None => {
                let took = ms(call.began.elapsed());
                self.detection_ms = self.detection_ms.saturating_add(took);
                self.longest_ms = self.longest_ms.max(took);
            }
            Some(ended) => {
                let holders = held.into_iter().map(|held| Holder::of(held, |peer| self.name(peer))).collect();
                self.last_no = Some(NotCompleted { ended, holders });
            }
        }
        // Whoever asked may have gone away.
        let _ = call.reply.send(ended.is_none());
    }

    pub(super) fn reset(&mut self) -> Result<(), meshwork_core::detector::DetectionRuns> {
        self.machine.reset()?;
        self.probes.clear();
        self.checkpoints.clear();
        (self.waves, self.detection_ms, self.longest_ms) = (0, 0, 0);
        self.last_no = None;
        Ok(())
    }

    pub(super) fn is_completed(&self, peer: &str) -> bool {
        self.numbers.get(peer).is_some_and(|peer| self.machine.is_completed(*peer))
    }

    pub(super) fn deficit(&self, peer: &str) -> u64 {
        self.numbers.get(peer).map_or(0, |peer| self.machine.deficit(*peer))
    }

    pub(super) fn probes(&self, peer: &str) -> BTreeSet<String> {
        self.numbers.get(peer).and_then(|peer| self.probes.get(peer)).cloned().unwrap_or_default()
    }

    pub(super) fn checkpoints(&self) -> Vec<Checkpoint> {
        self.checkpoints.iter().cloned().collect()
    }

    pub(super) fn holders(&self) -> Vec<Holder> {
        self.machine.held().into_iter().map(|held| Holder::of(held, |peer| self.name(peer))).collect()
    }

    pub(super) fn metrics(&self) -> CompletionDetectorMetrics {
        let counted = self.machine.statistics();
        let average = if counted.successes == 0 { 0.0 } else { self.detection_ms as f64 / counted.successes as f64 };
        CompletionDetectorMetrics {
            total_peers: self.machine.peers().count(),
            completed_peers: self.machine.peers().filter(|peer| self.machine.is_completed(*peer)).count(),
            total_probes_sent: counted.probes_sent,
            total_acks_received: counted.acknowledgements_received,
            average_detection_time_ms: average,
            longest_detection_time_ms: self.longest_ms,
            detection_attempts: counted.attempts,
            detection_successes: counted.successes,
            detection_timeouts: counted.timeouts,
        }
    }

    fn number(&mut self, name: &PeerId) -> Peer {
        if let Some(peer) = self.numbers.get(name) {
            return *peer;
        }
        let peer = Peer(self.names.len() as u32);
        self.numbers.insert(name.clone(), peer);
        self.names.push(name.clone());
        peer
    }

    fn name(&self, peer: Peer) -> PeerId {
        self.names[peer.0 as usize].clone()
    }

    /// The number of an open message, or a new one: a name that comes again after its message has closed is another.
    fn message(&mut self, key: MessageKey) -> Message {
        if let Some(message) = self.messages.get(&key).filter(|message| self.machine.is_open(**message)) {
            return *message;
        }
        self.next_message += 1;
        let message = Message(self.next_message);
        self.messages.insert(key, message);
        message
    }
}
