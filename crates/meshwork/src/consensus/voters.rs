//! The voters of this side: each is asked once a ballot, however often the question comes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::wire::{Ask, Cast};
use super::words::{Proposal, Vote};

pub(super) type Handler = Arc<dyn Fn(Proposal) -> BoxFuture<'static, Vote> + Send + Sync>;

/// Votes that are kept, so that who is asked again says the same again: more than any swarm has voters.
const KEPT: usize = 20_000;

/// A vote that is being thought about, or was given.
enum Answer {
    Thinking,
    Given(Cast),
}

/// What follows from a question.
pub(super) enum Reply {
    /// Let this handler think, then tell [`Voters::voted`] or [`Voters::failed`].
    Think(Handler, Proposal),
    /// Say this again.
    Repeat(Cast),
}

#[derive(Default)]
pub(super) struct Voters {
    handlers: HashMap<String, Handler>,
    answers: HashMap<(String, String), Answer>,
    /// Answers that were given, oldest first.
    given: VecDeque<(String, String)>,
}

impl Voters {
    /// False if it is there already.
    pub(super) fn register(&mut self, voter: &str, handler: Handler) -> bool {
        if self.handlers.contains_key(voter) {
            return false;
        }
        self.handlers.insert(voter.to_owned(), handler);
        true
    }

    pub(super) fn remove(&mut self, voter: &str) -> bool {
        self.handlers.remove(voter).is_some()
    }

    pub(super) fn asked(&mut self, ask: &Ask) -> Vec<Reply> {
        let mut replies = Vec::new();
        for voter in &ask.voters {
            let Some(handler) = self.handlers.get(voter) else { continue };
            let key = (ask.ballot_id.clone(), voter.clone());
            match self.answers.get(&key) {
                Some(Answer::Thinking) => {}
                Some(Answer::Given(cast)) => replies.push(Reply::Repeat(cast.clone())),
                None => {
                    self.answers.insert(key, Answer::Thinking);
                    let proposal = Proposal {
                        ballot_id: ask.ballot_id.clone(),
                        swarm_id: ask.swarm_id.clone(),
                        voter_id: voter.clone(),
                        content: ask.proposal.clone(),
                    };
                    replies.push(Reply::Think(Arc::clone(handler), proposal));
                }
            }
        }
        replies
    }

    /// A handler has decided. From now on this is its vote.
    pub(super) fn voted(&mut self, cast: &Cast) {
        let key = (cast.ballot_id.clone(), cast.voter_id.clone());
        self.answers.insert(key.clone(), Answer::Given(cast.clone()));
        self.given.push_back(key);
        if self.given.len() > KEPT
            && let Some(oldest) = self.given.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }

    /// A handler broke: if it is asked again, it may think again.
    pub(super) fn failed(&mut self, ballot: &str, voter: &str) {
        self.answers.remove(&(ballot.to_owned(), voter.to_owned()));
    }
}
