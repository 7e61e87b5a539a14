//! What a controller knows of each agent, and when which one is to be woken.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshwork_core::savings::{Input, Ledger, Measured, Savings};
use meshwork_core::{Tokens, savings};
use tokio::time::Instant;

use super::{AgentEvent, AgentHost, Attachment, ControlError, WakeSchedule};

/// An agent that is attached, or was.
struct Known {
    swarm: String,
    kind: String,
    ledger: Ledger,
    /// Wakes of which nobody knows what they cost.
    failed_wakes: u64,
    attached: Option<Attached>,
}

struct Attached {
    /// Tells this attachment from those before it.
    life: u64,
    host: Arc<dyn AgentHost>,
    /// What is done to an agent is done one after the other.
    turn: Arc<tokio::sync::Mutex<()>>,
    schedule: Option<WakeSchedule>,
    timer: Option<(Instant, u64)>,
    busy: bool,
    waking: bool,
}

/// Who can do something to an agent, and the lock that it takes.
pub(super) struct Hold {
    pub(super) host: Arc<dyn AgentHost>,
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// The attachment that a wake is of.
pub(super) struct Life {
    swarm: String,
    number: u64,
}

/// A wake that is to happen now.
pub(super) struct Due {
    pub(super) agent: String,
    pub(super) of: Life,
    pub(super) schedule: WakeSchedule,
    pub(super) host: Arc<dyn AgentHost>,
}

#[derive(Default)]
pub(super) struct Books {
    agents: BTreeMap<String, Known>,
    /// The one ordered queue of timers: when, and of whom.
    timers: BTreeMap<(Instant, u64), String>,
    /// Of timers and of lives.
    numbers: u64,
}

fn unknown(id: &str) -> ControlError {
    ControlError::UnknownAgent { id: id.to_owned() }
}

impl Books {
    pub(super) fn attach(
        &mut self,
        agent: Attachment,
        host: Arc<dyn AgentHost>,
        limit: u32,
        (now, now_ms): (Instant, u64),
    ) -> Result<(), ControlError> {
        let Attachment { swarm_id, agent_id, kind, wake } = agent;
        let before = self.agents.get(&agent_id);
        if let Some(Known { swarm, attached: Some(_), .. }) = before {
            return Err(ControlError::AlreadyAttached { id: agent_id, swarm: swarm.clone() });
        }
        if before.is_none() && self.agents.len() >= limit as usize {
            return Err(ControlError::TooMany { limit });
        }
        let (mut ledger, failed_wakes) = match self.agents.remove(&agent_id) {
            Some(before) if before.swarm == swarm_id => (before.ledger, before.failed_wakes),
            _ => (Ledger::new(now_ms), 0),
        };
        ledger.handle(now_ms, Input::CameBack);
        self.numbers += 1;
        let attached = Attached {
            life: self.numbers,
            host,
            turn: Arc::default(),
            schedule: wake,
            timer: None,
            busy: false,
            waking: false,
        };
        let known = Known { swarm: swarm_id, kind, ledger, failed_wakes, attached: Some(attached) };
        self.agents.insert(agent_id.clone(), known);
        self.arm(&agent_id, now);
        Ok(())
    }

    pub(super) fn detach(&mut self, agent: &str, now_ms: u64) {
        if let Some(known) = self.agents.get_mut(agent)
            && let Some(attached) = known.attached.take()
        {
            known.ledger.handle(now_ms, Input::Left);
            attached.timer.map(|timer| self.timers.remove(&timer));
        }
    }

    pub(super) fn hold(&self, agent: &str) -> Result<Hold, ControlError> {
        let attached =
            self.agents.get(agent).and_then(|known| known.attached.as_ref()).ok_or_else(|| unknown(agent))?;
        Ok(Hold { host: Arc::clone(&attached.host), turn: Arc::clone(&attached.turn) })
    }

    pub(super) fn is_paused(&self, agent: &str) -> bool {
        self.agents.get(agent).is_some_and(|known| known.ledger.is_paused())
    }

    pub(super) fn tell(
        &mut self,
        agent: &str,
        event: AgentEvent,
        (now, now_ms): (Instant, u64),
    ) -> Result<(), ControlError> {
        let known = self.agents.get_mut(agent).ok_or_else(|| unknown(agent))?;
        let attached = known.attached.as_mut().ok_or_else(|| unknown(agent))?;
        let input = match event {
            AgentEvent::Busy => {
                attached.busy = true;
                attached.timer.take().map(|timer| self.timers.remove(&timer));
                return Ok(());
            }
            AgentEvent::Idle => {
                if std::mem::take(&mut attached.busy) {
                    self.arm(agent, now);
                }
                return Ok(());
            }
            AgentEvent::Spent(tokens) => Input::Spent { tokens: tokens.total() },
            AgentEvent::Turn(tokens) => Input::Turn { tokens: tokens.total() },
            AgentEvent::Woke(tokens) => Input::Woke { tokens: tokens.total() },
            AgentEvent::Paused => Input::Paused,
            AgentEvent::Resumed => Input::Resumed,
            AgentEvent::MessageArrived => Input::MessageArrived,
            AgentEvent::HandedOver { messages } => Input::HandedOver { messages },
        };
        known.ledger.handle(now_ms, input);
        Ok(())
    }

    /// Its next wake is due one interval after `from`.
    fn arm(&mut self, agent: &str, from: Instant) {
        let Some(attached) = self.agents.get_mut(agent).and_then(|known| known.attached.as_mut()) else { return };
        let Some(schedule) = &attached.schedule else { return };
        // What is due after the end of the clock is never due.
        let Some(at) = from.checked_add(schedule.every) else { return };
        self.numbers += 1;
        let timer = (at, self.numbers);
        attached.timer = Some(timer);
        self.timers.insert(timer, agent.to_owned());
    }

    /// When the next wake is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// The wakes that are due and happen. Each is followed by the next one, also where it does not happen.
    pub(super) fn due(&mut self, (now, now_ms): (Instant, u64)) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            let ((at, _), agent) = timer.remove_entry();
            due.extend(self.wake(&agent, now_ms));
            self.arm(&agent, at);
        }
        due
    }

    fn wake(&mut self, agent: &str, now_ms: u64) -> Option<Due> {
        let known = self.agents.get_mut(agent)?;
        let attached = known.attached.as_mut()?;
        if known.ledger.is_paused() {
            known.ledger.handle(now_ms, Input::WakeDue);
            return None;
        }
        // One that still takes its turn is awake.
        if std::mem::replace(&mut attached.waking, true) {
            return None;
        }
        let schedule = attached.schedule.clone()?;
        let of = Life { swarm: known.swarm.clone(), number: attached.life };
        Some(Due { agent: agent.to_owned(), of, schedule, host: Arc::clone(&attached.host) })
    }

    /// A wake has ended; `None`: nobody knows what it cost. It counts unless the id is another swarm's now. Says whether
    /// the agent is attached as it was.
    pub(super) fn woke(&mut self, agent: &str, of: &Life, tokens: Option<Tokens>, now_ms: u64) -> bool {
        let Some(known) = self.agents.get_mut(agent).filter(|known| known.swarm == of.swarm) else { return false };
        match tokens {
            Some(tokens) => known.ledger.handle(now_ms, Input::Woke { tokens: tokens.total() }),
            None => known.failed_wakes = known.failed_wakes.saturating_add(1),
        }
        let attached = known.attached.as_mut().filter(|attached| attached.life == of.number);
        attached.map(|attached| attached.waking = false).is_some()
    }

    pub(super) fn failed_wakes(&self, agent: &str) -> u64 {
        self.agents.get(agent).map_or(0, |known| known.failed_wakes)
    }

    /// What pausing saved: of those that `is_wanted`, with the measure of each one's kind.
    pub(super) fn savings(&self, now_ms: u64, is_wanted: impl Fn(&str, &str) -> bool) -> savings::Savings {
        let wanted = self.agents.iter().filter(|(id, known)| is_wanted(id, &known.swarm));
        let mut kinds: BTreeMap<&str, Measured> = BTreeMap::new();
        let each = wanted.map(|(_, known)| {
            let measured = || self.agents.values().filter(|other| other.kind == known.kind);
            let kind =
                kinds.entry(&known.kind).or_insert_with(|| measured().map(|other| other.ledger.measured()).sum());
            known.ledger.savings(now_ms, *kind)
        });
        each.sum::<Savings>()
    }
}
