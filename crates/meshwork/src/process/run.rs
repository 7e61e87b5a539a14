//! One attempt's process as one conversation: feed it, listen to it, end it in time, and clear up after it.

use std::future::{Future, pending};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::launch::{Launched, launch};
use super::output::{Refused, Stdout};
use super::registry::Registration;
use super::rest::{Found, Rest, send};
use super::streams::Streams;
use super::{Ended, ProcessReport, ProcessSpec, StartError};

/// How long output is still read when everything that we can find has ended: only something that hides from us holds the
/// pipe then. Afterwards it writes into the void.
const DRAIN: Duration = Duration::from_secs(1);

/// Holders of the pipes are searched for this long after everything known is gone, and at this distance. Shorter delays
/// are normal: a process that is just being started has copies of all pipes for a moment.
const HOLDER_SEARCH: Duration = Duration::from_millis(20);

/// Distances between looks at what is left: doubling, so that the usual millisecond is not slept over.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(32);

/// A longer grace is cut: it keeps sums of times within what a clock can express.
const LONGEST_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// An abandoned attempt is killed on the spot; this long its end is waited for on the spot, too.
const ABANDON_LOOKS: u32 = 20;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    #[default]
    Own,
    Stop,
    Kill,
}

#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    end: End,
    paused: bool,
}

/// Steers a running process. Calls return at once, take effect when the future of [`start`] is polled, and do nothing
/// once the process has ended.
///
/// ```
/// use meshwork::process::{self, Ended};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let (handle, ended) = process::start(spec("exec cat /dev/zero > /dev/null"));
/// assert!(handle.pid().is_some());
/// handle.stop();
/// assert!(matches!(ended.await.ended, Ended::Stopped));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ProcessHandle {
    wishes: watch::Sender<Wish>,
    pid: Option<u32>,
}

impl ProcessHandle {
    /// SIGTERM to the group, SIGKILL after the grace.
    ///
    /// ```
    /// use meshwork::process::{self, Ended};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let spec = |line: &str| shell(folder.path(), line);
    ///
    /// let (handle, ended) = process::start(spec("exec cat /dev/zero > /dev/null"));
    /// handle.stop();
    /// assert!(matches!(ended.await.ended, Ended::Stopped));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self) {
        self.wishes.send_modify(|wish| wish.end = wish.end.max(End::Stop));
    }

    /// SIGKILL to the group, now.
    ///
    /// ```
    /// use meshwork::process::{self, Ended};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let spec = |line: &str| shell(folder.path(), line);
    ///
    /// // It does not hear SIGTERM.
    /// let (handle, ended) = process::start(spec("trap '' TERM; cat /dev/zero > /dev/null"));
    /// handle.kill();
    /// assert!(matches!(ended.await.ended, Ended::Stopped));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kill(&self) {
        self.wishes.send_modify(|wish| wish.end = End::Kill);
    }

    /// SIGSTOP to the whole group; the time-out stands still. Descendants that left the group go on.
    ///
    /// ```
    /// use meshwork::process::{self, Ended};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let spec = |line: &str| shell(folder.path(), line);
    ///
    /// let (handle, ended) = process::start(spec("echo done"));
    /// handle.pause();
    /// handle.resume();
    /// assert!(matches!(ended.await.ended, Ended::Exited { code: 0 }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pause(&self) {
        self.wishes.send_modify(|wish| wish.paused = true);
    }

    /// SIGCONT to the whole group.
    ///
    /// ```
    /// use meshwork::process::{self, Stdout};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let spec = |line: &str| shell(folder.path(), line);
    ///
    /// let (handle, ended) = process::start(spec("echo done"));
    /// handle.resume(); // of one that runs, nothing happens
    /// assert_eq!(ended.await.stdout, Stdout::Inline(b"done\n".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&self) {
        self.wishes.send_modify(|wish| wish.paused = false);
    }

    /// The leader's process id, which is also its group's; `None` if it did not start.
    ///
    /// ```
    /// use meshwork::process::{self, Stdout};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let spec = |line: &str| shell(folder.path(), line);
    ///
    /// let (handle, ended) = process::start(spec("echo $$"));
    /// let pid = handle.pid().expect("it has started");
    /// assert_eq!(ended.await.stdout, Stdout::Inline(format!("{pid}\n").into_bytes()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }
}

/// Starts the process and answers with its handle and its future, which must be polled: it reads the output, keeps the
/// time, and is done when nothing of the attempt is running any more. Dropping it kills the attempt (and may block the
/// thread for some milliseconds to see its end).
///
/// The calling thread is held until the program is loaded, half a millisecond or so. Output beyond the limit for memory is
/// written to its file on the polling thread: one write of at most 64 KiB at a time, into the page cache.
///
/// ```
/// use meshwork::process::{self, Stdout};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let spec = |line: &str| shell(folder.path(), line);
///
/// let (_handle, ended) = process::start(spec("echo hello"));
/// let report = ended.await; // nothing of it is running any more
/// assert_eq!(report.stdout, Stdout::Inline(b"hello\n".to_vec()));
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// Outside of a tokio runtime with I/O and time enabled.
pub fn start(spec: ProcessSpec) -> (ProcessHandle, impl Future<Output = ProcessReport> + Send + 'static) {
    let (wishes, heard) = watch::channel(Wish::default());
    let launched = launch(&spec).map(|launched| Run::new(launched, spec, heard));
    let pid = launched.as_ref().ok().map(|run| run.body.pid.as_raw().unsigned_abs());
    let future = async move {
        match launched {
            Ok(run) => run.run().await,
            Err(error) => not_started(error),
        }
    };
    (ProcessHandle { wishes, pid }, future)
}

fn not_started(error: StartError) -> ProcessReport {
    ProcessReport {
        ended: Ended::NotStarted { error },
        stdout: Stdout::Inline(Vec::new()),
        stderr_tail: String::new(),
        ran: Duration::ZERO,
    }
}

/// How far the end that we brought about has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Free,
    Asked { kill_at: Instant },
    Killed,
}

/// Running time, without the pauses.
struct Clock {
    before: Duration,
    since: Option<Instant>,
}

impl Clock {
    fn ran(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn set_paused(&mut self, paused: bool) {
        self.before = self.ran();
        self.since = (!paused).then(Instant::now);
    }

    fn deadline(&self, limit: Option<Duration>) -> Option<Instant> {
        self.since?.checked_add(limit?.saturating_sub(self.before))
    }
}

struct Run {
    body: Body,
    streams: Streams,
    wishes: watch::Receiver<Wish>,
    /// False once all handles are gone.
    heard: bool,
    clock: Clock,
    timeout: Option<Duration>,
    grace: Duration,
    phase: Phase,
    /// Set when the end is our doing: the first reason counts.
    cause: Option<Ended>,
}

impl Run {
    fn new(launched: Launched, spec: ProcessSpec, wishes: watch::Receiver<Wish>) -> Self {
        let Launched { child, pid, registration, stdin, stdout, stderr } = launched;
        let streams = Streams::new(stdin, stdout, stderr, &spec);
        let pid = Pid::from_raw(pid.cast_signed());
        Self {
            body: Body {
                rest: Rest::new(pid, spec.nonce),
                child,
                pid,
                registration: Some(registration),
                reaped: false,
                gone: false,
            },
            streams,
            wishes,
            heard: true,
            clock: Clock { before: Duration::ZERO, since: Some(Instant::now()) },
            timeout: spec.timeout,
            grace: spec.grace.min(LONGEST_GRACE),
            phase: Phase::Free,
            cause: None,
        }
    }

    async fn run(mut self) -> ProcessReport {
        let status = self.until_leader_ends().await;
        let ran = self.clock.ran();
        self.streams.close_stdin();
        self.until_rest_is_gone().await;
        self.drain().await;
        self.body.gone = true;
        ProcessReport {
            ended: self.cause.take().unwrap_or_else(|| own_end(status)),
            stdout: self.streams.finish(),
            stderr_tail: self.streams.stderr_tail(),
            ran,
        }
    }

    async fn until_leader_ends(&mut self) -> io::Result<ExitStatus> {
        loop {
            let alarm = match self.phase {
                Phase::Free => self.clock.deadline(self.timeout),
                Phase::Asked { kill_at } => Some(kill_at),
                Phase::Killed => None,
            };
            tokio::select! {
                biased;
                status = self.body.child.wait() => {
                    self.body.leader_reaped();
                    return status;
                }
                heard = self.wishes.changed(), if self.heard => self.on_wish(heard.is_ok()),
                () = at(alarm) => match self.phase {
                    Phase::Free => self.ask(Ended::TimedOut),
                    Phase::Asked { .. } | Phase::Killed => self.kill(Ended::Stopped),
                },
                refused = self.streams.progress() => self.on_refused(refused),
            }
        }
    }

    fn on_wish(&mut self, heard: bool) {
        self.heard = heard;
        let wish = *self.wishes.borrow_and_update();
        match wish.end {
            End::Kill => self.kill(Ended::Stopped),
            End::Stop => self.ask(Ended::Stopped),
            End::Own => {}
        }
        let is_paused = self.clock.since.is_none();
        if matches!(self.phase, Phase::Free) && wish.paused != is_paused && !self.body.reaped {
            self.body.signal(if wish.paused { Signal::SIGSTOP } else { Signal::SIGCONT });
            self.clock.set_paused(wish.paused);
        }
    }

    fn on_refused(&mut self, refused: Option<Refused>) {
        match refused {
            None => {}
            Some(Refused::Limit) => self.kill(Ended::OutputLimit { limit: self.streams.limit() }),
            Some(Refused::Unsaved(error)) => self.kill(Ended::OutputUnsaved { error }),
        }
    }

    /// The end is our doing, unless the leader had come to one of its own that we have not seen: after a time in which
    /// this program stood still (a stopped node, a machine that slept), the wish and the end are both news, and what it
    /// did is not thrown away for the order in which they are looked at.
    fn give_cause(&mut self, cause: Ended) {
        let of_time = matches!(cause, Ended::Stopped | Ended::TimedOut);
        if of_time && self.cause.is_none() && self.body.leader_has_ended() {
            return;
        }
        self.cause.get_or_insert(cause);
    }

    fn ask(&mut self, cause: Ended) {
        if matches!(self.phase, Phase::Free) {
            self.give_cause(cause);
            self.body.signal(Signal::SIGTERM);
            if self.clock.since.is_none() {
                self.clock.set_paused(false);
            }
            self.phase = Phase::Asked { kill_at: Instant::now() + self.grace };
        }
    }

    fn kill(&mut self, cause: Ended) {
        self.give_cause(cause);
        if !matches!(self.phase, Phase::Killed) {
            self.phase = Phase::Killed;
            self.body.signal(Signal::SIGKILL);
        }
    }

    /// The leader's outcome stands; what it left behind is asked to end, and killed after the grace.
    async fn until_rest_is_gone(&mut self) {
        let mut distance = FIRST_LOOK;
        loop {
            let found = self.body.rest.look();
            if found.is_nothing() {
                return;
            }
            let now = Instant::now();
            let signal = match self.phase {
                Phase::Killed => Signal::SIGKILL,
                Phase::Asked { kill_at } if now >= kill_at => Signal::SIGKILL,
                Phase::Asked { .. } => Signal::SIGTERM,
                Phase::Free if found.group || !found.strays.is_empty() => {
                    self.phase = Phase::Asked { kill_at: now + self.grace };
                    Signal::SIGTERM
                }
                Phase::Free => Signal::SIGTERM,
            };
            self.body.rest.signal(&found, signal);
            let next = now + distance;
            distance = (distance * 2).min(LAST_LOOK);
            self.listen_until(next).await;
        }
    }

    async fn listen_until(&mut self, next: Instant) {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(next) => return,
                heard = self.wishes.changed(), if self.heard => {
                    self.heard = heard.is_ok();
                    if self.wishes.borrow_and_update().end == End::Kill {
                        self.phase = Phase::Killed;
                    }
                }
                refused = self.streams.progress() => self.on_refused(refused),
            }
        }
    }

    /// Reads what is left in the pipes. Everything known has ended, so their ends come at once, or something hides.
    async fn drain(&mut self) {
        let last = Instant::now() + DRAIN;
        let mut search = Instant::now() + HOLDER_SEARCH;
        while self.streams.are_open() {
            tokio::select! {
                biased;
                refused = self.streams.progress() => self.on_refused(refused),
                () = sleep_until(search) => {}
            }
            let now = Instant::now();
            if now >= last {
                tracing::warn!(
                    pid = self.body.pid.as_raw(),
                    "something that cannot be found holds the output of an ended attempt"
                );
                return;
            }
            if now >= search {
                let strays = self.body.rest.holders(&self.streams.pipe_names());
                self.body.rest.signal(&Found { strays, ..Found::default() }, Signal::SIGKILL);
                search = now + HOLDER_SEARCH;
            }
        }
    }
}

/// The end that the leader came to by itself. A status that someone else took is as good as lost: signal 0.
fn own_end(status: io::Result<ExitStatus>) -> Ended {
    match status {
        Ok(status) => match status.code() {
            Some(code) => Ended::Exited { code },
            None => Ended::Signalled { signal: status.signal().unwrap_or(0) },
        },
        Err(error) => {
            tracing::warn!(%error, "the exit status of a process was taken by someone else in this program");
            Ended::Signalled { signal: 0 }
        }
    }
}

async fn at(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => sleep_until(alarm).await,
        None => pending().await,
    }
}

/// The processes of an attempt. Dropped before they are gone, it kills them.
struct Body {
    child: Child,
    pid: Pid,
    rest: Rest,
    registration: Option<Registration>,
    reaped: bool,
    gone: bool,
}

impl Body {
    /// To the whole group. The leader's id is its own until we reap it, even if it has moved to another group.
    fn signal(&mut self, signal: Signal) {
        if self.reaped {
            return;
        }
        let group = killpg(self.pid, signal);
        if signal == Signal::SIGKILL || group == Err(Errno::ESRCH) {
            send(|signal| kill(self.pid, signal), signal);
        } else if signal == Signal::SIGTERM {
            // A paused group hears it only when it goes on.
            killpg(self.pid, Signal::SIGCONT).ok();
            self.rest.note_group_told();
        }
    }

    /// Asks the system, not the runtime, which may not have looked yet. The status is kept for whoever waits.
    fn leader_has_ended(&mut self) -> bool {
        if !self.reaped && matches!(self.child.try_wait(), Ok(Some(_))) {
            self.leader_reaped();
        }
        self.reaped
    }

    fn leader_reaped(&mut self) {
        self.reaped = true;
        if let Some(registration) = &mut self.registration {
            registration.leader_reaped();
        }
    }

    /// True when nothing is left.
    fn kill_once_more(&mut self) -> bool {
        self.signal(Signal::SIGKILL);
        if !self.reaped {
            if !matches!(self.child.try_wait(), Ok(None)) {
                self.leader_reaped();
            } else {
                return false;
            }
        }
        let found = self.rest.look();
        self.rest.signal(&found, Signal::SIGKILL);
        found.is_nothing()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        for _ in 0..ABANDON_LOOKS {
            if self.kill_once_more() {
                return;
            }
            std::thread::sleep(FIRST_LOOK);
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // The leader itself, if it has not ended by now, is reaped by tokio.
        self.leader_reaped();
        let (mut rest, registration) = (Rest::new(self.pid, self.rest.nonce().clone()), self.registration.take());
        runtime.spawn(async move {
            loop {
                let found = rest.look();
                if found.is_nothing() {
                    break;
                }
                rest.signal(&found, Signal::SIGKILL);
                tokio::time::sleep(LAST_LOOK).await;
            }
            drop(registration);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_time_does_not_count() {
        let limit = Some(Duration::from_secs(10));
        let now = Instant::now();
        let mut clock = Clock { before: Duration::from_secs(4), since: Some(now) };
        assert_eq!(clock.deadline(limit), Some(now + Duration::from_secs(6)));
        clock.set_paused(true);
        assert_eq!(clock.deadline(limit), None);
        let ran = clock.ran();
        std::thread::yield_now();
        assert_eq!(clock.ran(), ran);
        clock.set_paused(false);
        assert!(clock.deadline(limit) > Some(now + Duration::from_secs(6)));
        assert_eq!(clock.deadline(None), None);
    }
}
