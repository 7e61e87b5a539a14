//! The topology is looked at again as agents come and go, where the strategy says so.

use super::super::MeshError;
use super::Driver;
use super::staffing::Staff;
use meshwork_core::node::{Answer, Input};
use meshwork_core::topology::{Choice, Requested, Strategy};
use meshwork_core::{Config, Op};
use tokio::sync::oneshot;

pub(super) type Decided = oneshot::Receiver<Result<Answer, MeshError>>;

impl Driver {
    /// Under `adaptive`, a topology that was left to us becomes the one for those who are there now. What was handed out
    /// before stays where it is.
    pub(super) fn reshape(&mut self) -> Result<(), MeshError> {
        let choice = self.node.swarm().config().topology;
        if choice.strategy != Strategy::Adaptive || choice.requested != Requested::Auto || !self.node.is_member() {
            return Ok(());
        }
        let is_open = |decided: &mut Decided| matches!(decided.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        if self.reshaping.as_mut().is_some_and(is_open) {
            return Ok(());
        }
        let swarm = self.node.swarm();
        if swarm.shape().is_empty() {
            // A node that has just joined announces its peers with its next entries.
            return Ok(());
        }
        // Whom a queen may call is there for her.
        let alive = swarm.shape().len() + self.staff.as_ref().map_or(0, |staff: &Staff| staff.absent(swarm));
        let alive = u32::try_from(alive).unwrap_or(u32::MAX);
        if choice.strategy.reconsidered(choice.agents.into(), alive.into()).is_none() {
            return Ok(());
        }
        let config = Config { topology: Choice { agents: alive, ..choice }, ..swarm.config().clone() };
        let (answer, decided) = oneshot::channel();
        let ticket = self.ticket();
        self.tickets.insert(ticket, answer);
        self.reshaping = Some(decided);
        self.feed(Input::Wish { op: Op::Configure { config }, ticket: Some(ticket) })
    }
}
