//! What the log says of agents, as a controller is told of it.

use super::AgentEvent;
use crate::view::View;
use meshwork_core::{Effect, Peer, PeerNo, Tokens};

/// What happened to which agent. `view` has applied the batch that the effect is of.
pub(crate) fn events_of(effect: &Effect, view: &View) -> Vec<(PeerNo, AgentEvent)> {
    match *effect {
        Effect::Start { peer, .. } => vec![(peer, AgentEvent::Busy)],
        Effect::AttemptEnded { task, grant, peer, .. } => {
            let tokens = Tokens { input: view.tokens_of(task, grant), output: 0 };
            let mut events = vec![(peer, AgentEvent::Turn(tokens))];
            if view.swarm().peer(peer).is_some_and(Peer::has_nothing_to_do) {
                events.push((peer, AgentEvent::Idle));
            }
            events
        }
        Effect::Paused { peer, .. } => vec![(peer, AgentEvent::Paused)],
        Effect::Resumed { peer } => vec![(peer, AgentEvent::Resumed)],
        _ => Vec::new(),
    }
}
