//! The task behind a lane: gives each letter to the handler, sees to its end, goes on.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::coop::consume_budget;

use super::ack::{dead_lettered, handler_finished};
use super::context::Context;
use super::errors::{DeadReason, HandlerError};
use super::lane::Lane;
use super::letter::{Delivery, Letter};
use super::listeners;
use super::mailbox::{Handler, SyncHandler, Taker};
use super::message::MessageId;
use super::metrics::Count;

/// How one run of a handler ended.
enum Run {
    Finished,
    Failed(HandlerError),
    /// It will not be run again, whatever the reason.
    Over(DeadReason),
}

/// Room is given back for so many messages together: each giving back takes a lock that the
/// senders to this peer share.
const ROOM_BATCH: usize = 64;

/// Works the lane until its recipient is gone.
pub(super) async fn run(lane: Arc<Lane>) {
    let mut batch = VecDeque::new();
    let mut pump = Pump { lane: &lane, handled: 0 };
    while lane.next_batch(&mut batch).await {
        while let Some(letter) = batch.pop_front() {
            pump.deliver(&Delivery(letter)).await;
            consume_budget().await;
        }
        pump.flush();
    }
}

struct Pump<'a> {
    lane: &'a Arc<Lane>,
    /// Messages whose room has not been given back yet.
    handled: usize,
}

impl Pump<'_> {
    async fn deliver(&mut self, delivery: &Delivery) {
        let letter = &*delivery.0;
        self.handled += 1;
        if self.handled >= ROOM_BATCH {
            self.flush();
        }
        if let Some(reason) = self.undeliverable(letter) {
            return dead_lettered(letter, reason);
        }
        self.started(letter);
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.run_handler(delivery).await {
                Run::Finished => return handler_finished(letter),
                Run::Over(reason) => return dead_lettered(letter, reason),
                Run::Failed(error) => {
                    letter.end_run();
                    if let Some(reason) = self.undeliverable(letter) {
                        return dead_lettered(letter, reason);
                    }
                    if attempts > self.lane.shared.config.max_redeliveries {
                        let error = error.to_string();
                        let reason = DeadReason::HandlerFailed { attempts, error };
                        return dead_lettered(letter, reason);
                    }
                    self.lane.shared.counters.add(Count::Redelivered, 1);
                    // A handler that fails at once must not keep others from running.
                    consume_budget().await;
                }
            }
        }
    }

    fn undeliverable(&self, letter: &Letter) -> Option<DeadReason> {
        if self.lane.mailbox.is_gone() {
            Some(DeadReason::RecipientGone)
        } else if letter.is_dropped() {
            Some(DeadReason::AttemptDropped)
        } else {
            None
        }
    }

    fn started(&self, letter: &Letter) {
        self.lane.shared.counters.add(Count::Delivered, 1);
        let sampled = match &letter.id {
            MessageId::Number(number) => number.is_multiple_of(8),
            MessageId::Name(_) => true,
        };
        if sampled {
            let shared = &self.lane.shared;
            shared.latency.record(shared.clock.now_ns().saturating_sub(letter.accepted_ns()));
        }
    }

    async fn run_handler(&mut self, delivery: &Delivery) -> Run {
        let _watched = self.lane.mailbox.owner.handling_begins();
        match &self.lane.mailbox.taker {
            Taker::Handler(Handler::Sync(handler)) => run_sync(handler, delivery),
            Taker::Handler(Handler::Async(handler)) => {
                let context = Context::of_handler(Arc::clone(&delivery.0));
                self.run_async(|| handler(context, delivery.clone())).await
            }
            Taker::Listeners(all) => match listeners::whole(delivery) {
                Ok(message) => self.run_async(|| listeners::give(message, all)).await,
                Err(error) => Run::Failed(error),
            },
            Taker::Store => Run::Failed(HandlerError::new("its recipient reads from a store, and has no handler")),
        }
    }

    async fn run_async(&mut self, start: impl FnOnce() -> BoxFuture<'static, Result<(), HandlerError>>) -> Run {
        let made = catch_unwind(AssertUnwindSafe(start));
        let mut running = match made {
            Ok(future) => AssertUnwindSafe(future).catch_unwind(),
            Err(panic) => return Run::Failed(panicked(&*panic)),
        };
        let run = self.wait_for(&mut running).await;
        // What the handler drops may panic too, above all where it was stopped half-way.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(running)));
        match (run, dropped) {
            (Run::Finished, Err(panic)) => Run::Failed(panicked(&*panic)),
            (run, _) => run,
        }
    }

    async fn wait_for<F>(&mut self, running: &mut F) -> Run
    where
        F: Future<Output = Result<Result<(), HandlerError>, Box<dyn Any + Send>>> + Unpin,
    {
        // Most handlers are done when they are polled first: those need no timer.
        let first = poll_fn(|wakeup| Poll::Ready(running.poll_unpin(wakeup))).await;
        if let Poll::Ready(ended) = first {
            return outcome(ended);
        }
        self.flush();
        let after = self.lane.shared.config.ack_timeout;
        tokio::select! {
            biased;
            ended = running => outcome(ended),
            () = self.lane.mailbox.departed() => Run::Over(DeadReason::RecipientGone),
            () = tokio::time::sleep(after) => Run::Over(DeadReason::HandlerTimeout { after }),
        }
    }

    /// Gives back the room of what is done. What is being handled keeps its room
    /// only until here, which lets a waiting sender in a little early and never loses room.
    fn flush(&mut self) {
        self.lane.mailbox.make_room(std::mem::take(&mut self.handled));
    }
}

fn run_sync(handler: &SyncHandler, delivery: &Delivery) -> Run {
    let context = Context::of_handler(Arc::clone(&delivery.0));
    outcome(catch_unwind(AssertUnwindSafe(|| handler(&context, delivery))))
}

fn outcome(ended: Result<Result<(), HandlerError>, Box<dyn Any + Send>>) -> Run {
    match ended {
        Ok(Ok(())) => Run::Finished,
        Ok(Err(error)) => Run::Failed(error),
        Err(panic) => Run::Failed(panicked(&*panic)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> HandlerError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)");
    HandlerError::new(format!("the handler panicked: {text}"))
}
