//! Workers that come and go as the queen wants them.

use super::super::{MeshError, PeerSetup, Reserve};
use super::Driver;
use meshwork_core::node::{Answer, Input};
use meshwork_core::topology::Queen;
use meshwork_core::{DownReason, Op, Swarm};
use std::collections::BTreeMap;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

type Decided = oneshot::Receiver<Result<Answer, MeshError>>;

/// The queen of this node's swarm, and those whom she may call.
pub(super) struct Staff {
    queen: Queen,
    setups: BTreeMap<String, PeerSetup>,
    /// Who is to come or go, not decided yet: until then nothing more is wished.
    awaited: Vec<(String, Decided)>,
    since: Instant,
    looked_at: u64,
    again: Option<Instant>,
}

impl Staff {
    pub(super) fn new(reserve: Reserve) -> Self {
        let Reserve { scaling, workers, patience } = reserve;
        let specs = workers.iter().map(|setup| setup.spec.clone()).collect();
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Self {
            queen: Queen::new(scaling, specs, patience_ms),
            setups: workers.into_iter().map(|setup| (setup.spec.id.clone(), setup)).collect(),
            awaited: Vec::new(),
            since: Instant::now(),
            looked_at: 0,
            again: None,
        }
    }

    /// When she wants to look again, though nothing happens.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again.filter(|_| self.awaited.is_empty())
    }

    /// Whether somebody who is not there yet could do what nobody can.
    pub(super) fn could_help(&self, swarm: &Swarm) -> bool {
        self.queen.could_help(swarm)
    }

    /// Workers that are not there and may be called.
    pub(super) fn absent(&self, swarm: &Swarm) -> usize {
        let is_up = |id: &str| swarm.find_peer(id).and_then(|no| swarm.peer(no)).is_some_and(|peer| peer.up);
        self.setups.keys().filter(|id| !is_up(id)).count()
    }

    /// Takes note of what was decided; whether everything was.
    fn is_settled(&mut self) -> bool {
        let queen = &mut self.queen;
        self.awaited.retain_mut(|(id, decided)| match decided.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            Ok(Ok(Answer::Refused(refusal))) => {
                tracing::warn!(peer = id, %refusal, "a worker could not come or go");
                queen.give_up_on(id);
                false
            }
            _ => false,
        });
        self.awaited.is_empty()
    }
}

impl Driver {
    /// Calls and dismisses workers, where something has happened since it was looked at last, or is due.
    pub(super) fn staff(&mut self) -> Result<(), MeshError> {
        let Some(mut staff) = self.staff.take() else { return Ok(()) };
        let done = self.staff_with(&mut staff);
        self.staff = Some(staff);
        done
    }

    fn staff_with(&mut self, staff: &mut Staff) -> Result<(), MeshError> {
        let (now, swarm) = (Instant::now(), self.node.swarm());
        let seq = swarm.last().seq;
        let is_due = seq != staff.looked_at || staff.again.is_some_and(|at| at <= now);
        if !self.node.is_member() {
            // Once it is one again something has happened.
            staff.again = None;
        }
        if !staff.is_settled() || !is_due || !self.node.is_member() {
            return Ok(());
        }
        let now_ms = u64::try_from((now - staff.since).as_millis()).unwrap_or(u64::MAX);
        let staffing = staff.queen.look(swarm, now_ms);
        staff.looked_at = seq;
        staff.again = staffing.again_ms.map(|at| staff.since + Duration::from_millis(at));
        let going = staffing.dismiss.iter().filter_map(|no| Some(swarm.peer(*no)?.id.to_string()));
        for peer in going.collect::<Vec<_>>() {
            let (answer, decided) = oneshot::channel();
            let ticket = self.ticket();
            self.tickets.insert(ticket, answer);
            staff.awaited.push((peer.clone(), decided));
            let op = Op::PeerDown { peer, why: DownReason::Dismissed };
            self.feed(Input::Wish { op, ticket: Some(ticket) })?;
        }
        for id in staffing.call {
            let Some(setup) = staff.setups.get(&id).cloned() else { continue };
            let (answer, decided) = oneshot::channel();
            staff.awaited.push((id, decided));
            self.host(setup, answer)?;
        }
        Ok(())
    }
}
