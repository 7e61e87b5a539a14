//! A started swarm on its way: submitted, awaited, interrupted, and told of at its end.

use super::ending::{self, Cause};
use super::follower::Follower;
use super::progress::Progress;
use super::{Arguments, RunFormat};
use crate::ending::Ending;
use crate::failure::{CliFailure, ExitCode};
use crate::state::SwarmLog;
use meshwork::failpoint::{self, Point};
use meshwork::file::SwarmFile;
use meshwork::local::{LocalError, LocalSwarm, Submitted};
use meshwork::mesh::{RoundEnd, Status, Stop};
use meshwork::view::RuntimeFacts;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A swarm that was started.
pub(super) struct Course<'a> {
    arguments: &'a Arguments,
    file: &'a SwarmFile,
    swarm: &'a LocalSwarm,
    signals: Signals,
    /// The log's last batch before this run.
    began_after: u64,
}

/// Ctrl-C, and what a supervisor sends.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they do not end the process.
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl<'a> Course<'a> {
    /// Listens to signals and to the log.
    ///
    /// # Errors
    /// What the system refuses.
    pub(super) fn begin(
        arguments: &'a Arguments,
        file: &'a SwarmFile,
        swarm: &'a LocalSwarm,
        began_after: u64,
    ) -> Result<(Self, Follower), CliFailure> {
        let system = |error| CliFailure::usage("System", format!("could not listen to signals: {error}"));
        let signals = Signals::listen().map_err(system)?;
        let log = SwarmLog::open(swarm.folder().clone())?;
        let progress = Progress::for_stderr(arguments.format == RunFormat::Quiet);
        let follower = Follower::start(log, swarm.mesh().status(), progress, began_after)?;
        Ok((Self { arguments, file, swarm, signals, began_after }, follower))
    }

    /// Carries it to its end. The swarm is still to be shut down afterwards.
    ///
    /// # Errors
    /// What became unusable, and a file that was edited where it must not be.
    pub(super) async fn run(mut self, follower: Follower) -> Result<Ending, CliFailure> {
        self.say_what_was_found();
        let cause = self.until_it_is_over(&follower).await;
        let log = follower.finish();
        // What went wrong first is what is told.
        let cause = cause?;
        self.tell(&log?, cause)
    }

    async fn until_it_is_over(&mut self, follower: &Follower) -> Result<Cause, CliFailure> {
        let Some(submitted) = self.submit().await? else { return Ok(Cause::Interrupted) };
        let mut cause = self.until_the_end(follower).await?;
        if let Cause::Ended(RoundEnd::Empty(Some(closed))) = cause
            && closed.at.seq() > self.began_after
        {
            // A round that was sealed before closed by itself, before this run came to wait for it.
            cause = Cause::Ended(RoundEnd::Closed(closed));
        }
        if submitted.new == 0 && matches!(cause, Cause::Ended(RoundEnd::Empty(_))) {
            self.arguments.say("nothing is left to do; this was the result:");
        }
        Ok(cause)
    }

    fn say_what_was_found(&self) {
        if let Some(old) = self.swarm.kept_aside() {
            self.arguments.say(&format!("what was there before is kept in {}", old.display()));
        }
        for leftover in self.swarm.leftovers() {
            let how = if leftover.ended { "was ended" } else { "could not be ended" };
            let (pid, command) = (leftover.pid, &leftover.command);
            self.arguments.say(&format!("process {pid} ({command}), left behind by a killed run, {how}"));
        }
    }

    /// Submits the file; `None` when a signal came first.
    async fn submit(&mut self) -> Result<Option<Submitted>, CliFailure> {
        let submitted = tokio::select! {
            submitted = self.swarm.submit(self.file) => submitted.map_err(|error| {
                let changed = !matches!(error, LocalError::ChangedTask { .. });
                CliFailure::from(error).changed(changed)
            })?,
            () = self.signals.next() => {
                self.swarm.stop(Stop::Gently);
                gone(self.swarm.mesh().status()).await;
                return Ok(None);
            }
        };
        Ok(Some(submitted))
    }

    /// Waits for the end of the round, for signals and for the time limit, whichever is first; after the last two,
    /// until nothing runs any more.
    async fn until_the_end(&mut self, follower: &Follower) -> Result<Cause, CliFailure> {
        let limit = self.file.limits.run_timeout.map(|timeout| Instant::now() + timeout.duration());
        let swarm = self.swarm;
        let complete = swarm.complete();
        let stopped = gone(self.swarm.mesh().status());
        tokio::pin!(complete, stopped);
        let mut cause = None;
        let mut awaited = true;
        loop {
            tokio::select! {
                end = &mut complete, if awaited => {
                    awaited = false;
                    match (end, cause) {
                        // Stopping, it stalls, or says that it stops.
                        (Ok(RoundEnd::Stalled) | Err(_), Some(_)) => {}
                        (Ok(end), _) => return Ok(Cause::Ended(end)),
                        (Err(error), None) => return Err(CliFailure::from(error).changed(true)),
                    }
                }
                () = &mut stopped, if cause.is_some() => return Ok(cause.unwrap_or(Cause::Interrupted)),
                () = self.signals.next() => {
                    let again = cause == Some(Cause::Interrupted);
                    cause = Some(Cause::Interrupted);
                    self.swarm.stop(if again { Stop::Now } else { Stop::Gently });
                    follower.say(if again {
                        "ending what runs at once"
                    } else {
                        "ending what runs in order; once more ends it at once"
                    });
                }
                () = reached(limit), if cause.is_none() => {
                    cause = Some(Cause::TimedOut);
                    self.swarm.stop(Stop::Gently);
                    follower.say("the run's time limit was reached: ending what runs in order");
                }
            }
        }
    }

    /// Writes the report, prints what was asked for, and says how it went.
    fn tell(&self, log: &SwarmLog, cause: Cause) -> Result<Ending, CliFailure> {
        failpoint::reach(Point::Over);
        let report = match cause {
            Cause::Ended(RoundEnd::Empty(_)) => log.report()?,
            _ => log.view().report_from(&self.facts(log)?, log),
        };
        let json = serde_json::to_vec_pretty(&report)
            .map_err(|error| CliFailure::new(ExitCode::Unusable, "Report", error.to_string()).changed(true))?;
        let written = self.swarm.folder().write_report(&json, self.swarm.lock());
        written.map_err(|error| CliFailure::from(error).changed(true))?;
        failpoint::reach(Point::Reported);
        if let Some(path) = &self.arguments.report {
            ending::write_report(path, &json)?;
        }
        ending::print(self.arguments.format, &report)?;
        failpoint::reach(Point::Printed);
        ending::explain(self.arguments, log, cause);
        Ok(ending::of(cause))
    }

    /// What only this process has measured.
    fn facts(&self, log: &SwarmLog) -> Result<RuntimeFacts, CliFailure> {
        let messages = self.swarm.mesh().broker().metrics();
        let unread = log.unread()?.iter().map(|(_, count)| count).sum();
        let savings = self.swarm.savings();
        Ok(RuntimeFacts {
            messages_sent: Some(messages.sent),
            messages_received: Some(messages.delivered),
            p95_peer_latency_ms: messages.latency_p95.map(|latency| latency.as_secs_f64() * 1_000.0),
            unread_messages: Some(unread),
            tokens_saved: savings.map(|savings| savings.saved),
            wakes: savings.map(|savings| savings.wakes),
            wakes_avoided: savings.map(|savings| savings.wakes_avoided),
            ..RuntimeFacts::default()
        })
    }
}

/// Resolves when the node has stopped: then nothing runs, and its log is closed.
async fn gone(mut status: watch::Receiver<Status>) {
    while status.changed().await.is_ok() {}
}

async fn reached(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}
