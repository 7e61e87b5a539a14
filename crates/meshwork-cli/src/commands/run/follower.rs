//! The run's log, read into a view on a thread of its own, as any other process would read it: whoever looks on never
//! holds up whoever works.

use super::progress::Progress;
use crate::failure::CliFailure;
use crate::state::{NO_ROWS, SwarmLog};
use meshwork::mesh::Status;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Reads along until it is told to finish.
pub(super) struct Follower {
    told: mpsc::UnboundedSender<Told>,
    thread: JoinHandle<Result<SwarmLog, CliFailure>>,
}

/// What the follower is told.
enum Told {
    /// Show this above the progress.
    Say(String),
    /// Read what there is, and end.
    Finish,
}

impl Follower {
    /// Reads on whenever `status` changes. What the log held up to `began_after` is history, and not told of but for
    /// the round that it leaves open.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn start(
        log: SwarmLog,
        status: watch::Receiver<Status>,
        progress: Progress,
        began_after: u64,
    ) -> Result<Self, CliFailure> {
        let (told, orders) = mpsc::unbounded_channel();
        let runtime = Handle::current();
        let reading = Reading { log, status, progress, began_after };
        let thread =
            std::thread::Builder::new().name("follower".to_owned()).spawn(move || reading.read(&runtime, orders));
        let thread =
            thread.map_err(|error| CliFailure::usage("System", format!("could not start a thread: {error}")))?;
        Ok(Self { told, thread })
    }

    /// Shows a line for people above the progress.
    pub(super) fn say(&self, text: &str) {
        // One that has ended by an error says so when it is finished.
        let _gone = self.told.send(Told::Say(text.to_owned()));
    }

    /// The log, read to its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn finish(self) -> Result<SwarmLog, CliFailure> {
        let _gone = self.told.send(Told::Finish);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_panic| {
            let message = "the state of the swarm could not be read back from its log";
            Err(CliFailure::unusable("Follower", message).changed(true))
        })
    }
}

struct Reading {
    log: SwarmLog,
    status: watch::Receiver<Status>,
    progress: Progress,
    began_after: u64,
}

/// Why the follower goes on.
enum Reason {
    /// The log has grown, or it is time to draw.
    Look,
    /// The node has stopped: only `finish` is still to come.
    Stopped,
    Say(String),
    Finish,
}

impl Reading {
    fn read(mut self, runtime: &Handle, mut orders: mpsc::UnboundedReceiver<Told>) -> Result<SwarmLog, CliFailure> {
        self.read_history()?;
        let mut live = true;
        loop {
            self.read_on()?;
            match runtime.block_on(self.next(&mut orders, live)) {
                Reason::Look => {}
                Reason::Stopped => live = false,
                Reason::Say(text) => self.progress.say(&text),
                Reason::Finish => break,
            }
        }
        self.read_on()?;
        self.progress.finish();
        Ok(self.log)
    }

    fn read_history(&mut self) -> Result<(), CliFailure> {
        self.log.read_to(self.began_after, NO_ROWS, |_| true)?;
        if let Some(round) = self.log.view().swarm().round() {
            let closed = round.ok + round.failed;
            let (number, all) = (round.number, closed + round.open);
            self.progress.say(&format!("going on with round {number}: {closed} of {all} tasks are closed"));
        }
        Ok(())
    }

    fn read_on(&mut self) -> Result<(), CliFailure> {
        let told_after = if self.progress.wants_rows() { self.began_after } else { NO_ROWS };
        let progress = &mut self.progress;
        self.log.read_on(told_after, |row| {
            progress.row(&row);
            true
        })?;
        progress.draw(self.log.view().swarm());
        Ok(())
    }

    async fn next(&mut self, orders: &mut mpsc::UnboundedReceiver<Told>, live: bool) -> Reason {
        let tick = self.progress.tick();
        tokio::select! {
            order = orders.recv() => match order {
                Some(Told::Say(text)) => Reason::Say(text),
                Some(Told::Finish) | None => Reason::Finish,
            },
            grown = self.status.changed(), if live => match grown {
                Ok(()) => Reason::Look,
                Err(_) => Reason::Stopped,
            },
            () = async {
                match tick {
                    Some(tick) => sleep(tick).await,
                    None => std::future::pending().await,
                }
            } => Reason::Look,
        }
    }
}
