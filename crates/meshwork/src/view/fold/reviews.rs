//! Reviews: tasks that nobody submitted, and the votes that they bring.

use super::{EventKind, Fold, Said};
use crate::review;
use crate::view::events::TraceId;
use crate::view::record::{Product, Text};
use crate::view::report::OutcomeWord;
use meshwork_core::{AttemptOutcome, Effect, TaskNo};

impl Fold<'_> {
    pub(super) fn happened_to_review(&mut self, effect: Effect) {
        match effect {
            Effect::ReviewOpened { review, of } => self.review_opened(review, of),
            Effect::Voted { review, of, approves } => self.voted(review, of, approves),
            Effect::ReviewEnded { task, attempt, approved } => {
                let said = self.votes(task, attempt);
                self.review_ended(task, approved, said);
            }
            Effect::ReviewsOverLimit { task, limit } => {
                let said = format!("there is no room for its reviews within the limit on {limit}");
                self.review_ended(task, false, said);
            }
            _ => {}
        }
    }

    fn review_opened(&mut self, review: TaskNo, of: TaskNo) {
        let (Some(record), Some(reviewed)) = (self.swarm.task(review), self.swarm.task(of)) else { return };
        let trace = TraceId::of_task(self.swarm.log_id(), &record.id, record.generation);
        let title = review::title(&reviewed.id, record.reviews.map_or(0, |review| review.attempt));
        self.ledger.regenerated |= record.generation > 1;
        let description = self.ledger.keep(&title, self.at);
        let now = self.ledger.now;
        let kept = self.ledger.task_mut(review);
        kept.created_ms = now;
        kept.trace = trace;
        kept.description = description;
        self.tell(EventKind::ReviewOpened, || Said { task: Some(review), detail: Some(title), ..Said::default() });
    }

    fn voted(&mut self, review: TaskNo, of: TaskNo, approves: bool) {
        let attempt = self.swarm.task(review).and_then(|task| task.reviews).map(|review| review.attempt);
        let last = self.ledger.last_attempt_mut(review);
        let (peer, reason) = last.map_or((None, None), |last| (Some(last.peer), here(&last.error)));
        let outcome = if approves { OutcomeWord::Ok } else { OutcomeWord::Rejected };
        self.tell(EventKind::Voted, || Said {
            task: Some(of),
            attempt,
            peer,
            outcome: Some(outcome),
            detail: reason,
            ..Said::default()
        });
    }

    fn review_ended(&mut self, task: TaskNo, approved: bool, said: String) {
        let error = self.ledger.keep(&said, self.at);
        let mut attempt = None;
        if !approved {
            self.ledger.task_mut(task).result = Product::Absent;
        }
        if let Some(last) = self.ledger.last_attempt_mut(task) {
            attempt = Some(last.number);
            if !approved {
                last.outcome = Some(AttemptOutcome::Rejected);
                last.error = error;
            }
        }
        let outcome = if approved { OutcomeWord::Ok } else { OutcomeWord::Rejected };
        let detail = Some(said);
        self.tell(EventKind::ReviewEnded, || Said {
            task: Some(task),
            attempt,
            outcome: Some(outcome),
            detail,
            ..Said::default()
        });
    }

    /// Who voted how on an attempt, and why: what its next attempt, and whoever asks, has to know.
    fn votes(&self, task: TaskNo, attempt: u32) -> String {
        let mut reviews: Vec<TaskNo> = self.swarm.reviews_of(task, attempt).collect();
        reviews.reverse();
        let votes: Vec<String> = reviews.into_iter().filter_map(|review| self.vote(review)).collect();
        if votes.is_empty() { "nobody voted".to_owned() } else { votes.join("; ") }
    }

    fn vote(&self, review: TaskNo) -> Option<String> {
        let last = self.ledger.attempts_of(review).next()?;
        let peer = self.swarm.peer(last.peer).map_or("", |peer| &*peer.id);
        let why = here(&last.error).map_or(String::new(), |why| format!(": {why}"));
        match last.outcome? {
            AttemptOutcome::Ok => Some(format!("{peer} approves")),
            AttemptOutcome::Rejected => Some(format!("{peer} does not approve{why}")),
            // It was not needed any more.
            AttemptOutcome::Cancelled => None,
            other => Some(format!("the review of {peer} ended as {}{why}", OutcomeWord::from(other).word())),
        }
    }
}

fn here(text: &Text) -> Option<String> {
    match text {
        Text::Here(text) => Some(text.to_string()),
        Text::Absent | Text::InLog { .. } => None,
    }
}
