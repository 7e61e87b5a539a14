//! One peer in the tree of Dijkstra and Scholten.
//!
//! A peer is *engaged* by the first message to it while it has nothing to do, or by the root when it starts something
//! by itself. It is *free* again when none of its handlers runs, no message is known to be on its way to it, and
//! every message that it sent is closed; only then is the engaging message closed. Every other message closes when it
//! is handled. So whatever goes on anywhere lies below the root, and the root is free when nothing goes on.
//!
//! The books lie with the detector and not with the peer, so a peer that crashes takes nothing out of them.

use std::collections::BTreeSet;

use super::contract::{Message, Report, Run};
use super::mutant::{DetectorMutant, Switch};

/// What engaged a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Engager {
    /// Nobody: it started something by itself, or somebody unknown sent to it.
    Root,
    /// A message of another peer of this side (or of itself).
    Message(Message),
}

/// What the parent is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The root has one more to wait for.
    RootEngaged,
    /// The root has one less to wait for.
    RootReleased,
    /// That message is closed: its sender is to know.
    Close(Message),
}

/// What is known of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Book {
    engager: Option<Engager>,
    /// Messages on their way to it, or handled now.
    inbound: BTreeSet<Message>,
    /// Messages that it sent and that are not closed.
    outstanding: BTreeSet<Message>,
    /// Messages of which nothing but their number is known. Below zero when an acknowledgement was told first.
    unnamed: i64,
    running: BTreeSet<Run>,
    sent: u64,
    received: u64,
    incarnation: u64,
    lost: bool,
}

impl Book {
    pub(super) fn new(incarnation: u64) -> Self {
        Self { incarnation, ..Self::default() }
    }

    /// It sent a message.
    pub(super) fn sends(&mut self, message: Option<Message>, switch: Switch, steps: &mut Vec<Step>) {
        self.engage(Engager::Root, steps);
        self.sent += 1;
        match message {
            Some(message) => _ = self.outstanding.insert(message),
            None => self.unnamed += 1,
        }
        // Its acknowledgement may have been told before.
        self.release(switch, steps);
    }

    /// A message for it was sent.
    pub(super) fn is_sent(&mut self, message: Message, steps: &mut Vec<Step>) {
        self.engage(Engager::Message(message), steps);
        self.inbound.insert(message);
    }

    /// A message to it was handled, or nobody will handle it.
    pub(super) fn handled(&mut self, message: Message, switch: Switch, steps: &mut Vec<Step>) {
        let engaging = self.engager == Some(Engager::Message(message));
        if !self.inbound.remove(&message) {
            // It was on its way before this peer was one of ours, or it has engaged this peer and closes last.
            steps.extend((!engaging).then_some(Step::Close(message)));
            return;
        }
        if engaging && switch.breaks(DetectorMutant::SignalEngagingAtOnce) {
            self.engager = None;
            steps.push(Step::Close(message));
            return;
        }
        if !engaging {
            steps.push(Step::Close(message));
        }
        self.release(switch, steps);
    }

    /// A message that it sent is closed.
    pub(super) fn closed(&mut self, message: Option<Message>, switch: Switch, steps: &mut Vec<Step>) {
        match message {
            Some(message) => _ = self.outstanding.remove(&message),
            None => {
                self.engage(Engager::Root, steps);
                self.unnamed -= 1;
            }
        }
        self.release(switch, steps);
    }

    pub(super) fn starts(&mut self, run: Run, switch: Switch, steps: &mut Vec<Step>) {
        self.received += 1;
        if !switch.breaks(DetectorMutant::IgnoreRunning) {
            self.engage(Engager::Root, steps);
            self.running.insert(run);
        }
    }

    pub(super) fn ends(&mut self, run: Run, switch: Switch, steps: &mut Vec<Step>) {
        let known = self.running.remove(&run);
        if !known && switch.breaks(DetectorMutant::CountRuns) {
            self.running.pop_first();
        }
        self.release(switch, steps);
    }

    /// Its handlers do not run any more. What it sent, and what is on its way to it, stays.
    pub(super) fn is_lost(&mut self, switch: Switch, steps: &mut Vec<Step>) {
        self.incarnation += 1;
        self.lost = true;
        self.running.clear();
        if switch.breaks(DetectorMutant::ForgetLost) {
            self.outstanding.clear();
            self.unnamed = 0;
        }
        self.release(switch, steps);
    }

    pub(super) fn is_back(&mut self) {
        self.incarnation += 1;
        self.lost = false;
    }

    /// The sender of the message that engaged it is no longer there: the root takes its place.
    pub(super) fn adopt(&mut self, gone: impl Fn(Message) -> bool, steps: &mut Vec<Step>) {
        if matches!(self.engager, Some(Engager::Message(message)) if gone(message)) {
            self.engager = Some(Engager::Root);
            steps.push(Step::RootEngaged);
        }
    }

    fn engage(&mut self, by: Engager, steps: &mut Vec<Step>) {
        if self.engager.is_none() {
            self.engager = Some(by);
            if by == Engager::Root {
                steps.push(Step::RootEngaged);
            }
        }
    }

    fn release(&mut self, switch: Switch, steps: &mut Vec<Step>) {
        let waits = !self.outstanding.is_empty() || self.unnamed != 0;
        if !self.is_idle() || (waits && !switch.breaks(DetectorMutant::SignalWithDeficit)) {
            return;
        }
        match self.engager.take() {
            Some(Engager::Root) => steps.push(Step::RootReleased),
            Some(Engager::Message(message)) => steps.push(Step::Close(message)),
            None => {}
        }
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.inbound.is_empty()
    }

    pub(super) fn deficit(&self) -> u64 {
        self.outstanding.len() as u64 + u64::try_from(self.unnamed).unwrap_or(0)
    }

    pub(super) fn surplus(&self) -> u64 {
        u64::try_from(self.unnamed.saturating_neg()).unwrap_or(0)
    }

    pub(super) fn running(&self) -> u64 {
        self.running.len() as u64
    }

    pub(super) fn waiting(&self) -> u64 {
        self.inbound.len() as u64
    }

    pub(super) fn lost(&self) -> bool {
        self.lost
    }

    pub(super) fn engager(&self) -> Option<Engager> {
        self.engager
    }

    pub(super) fn report(&self) -> Report {
        Report {
            idle: self.is_idle() && self.unnamed >= 0,
            running: self.running(),
            deficit: self.deficit(),
            surplus: self.surplus(),
            sent: self.sent,
            received: self.received,
            incarnation: self.incarnation,
        }
    }

    /// Engaged if and only if there is something to wait for.
    pub(super) fn check(&self) {
        let busy = !self.is_idle() || !self.outstanding.is_empty() || self.unnamed != 0;
        assert_eq!(self.engager.is_some(), busy, "engaged without a reason, or the other way round: {self:?}");
    }

    pub(super) fn outstanding(&self) -> &BTreeSet<Message> {
        &self.outstanding
    }

    pub(super) fn inbound(&self) -> &BTreeSet<Message> {
        &self.inbound
    }
}
