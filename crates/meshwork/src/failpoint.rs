//! Places where a test kills the program, or takes an acknowledgement away.
//!
//! [`Point`] is the one table of them. With the feature `failpoints`, which only the tests of the command turn on, the
//! environment variable `MESHWORK_FAILPOINT` names what is to happen: `NAME[:NTH][:KIND]`, several behind commas.
//! `NTH` counts the times that the place is reached, from 1; the kinds are
//!
//! - `kill` (the default): the process sends SIGKILL to itself, so nothing is unwound, flushed or told;
//! - `lost-ack`: what was to be stored is stored, and the answer is an error;
//! - `no-ack`: it is stored, and no answer ever comes (appends alone: a driver has a time limit for those).
//!
//! `MESHWORK_FAILPOINTS_REACHED` names a file that gets a line for each place reached. Without the feature every call
//! here is empty and removed by the compiler; nothing of it is in a release.

/// Makes the enum, and with the feature its table, from one list.
macro_rules! points {
    ($($variant:ident $name:literal $($lost:ident)?, $what:literal;)+) => {
        /// A place in the program, named by what has just happened there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $(#[doc = $what] $variant,)+
        }

        #[cfg(feature = "failpoints")]
        impl Point {
            /// Every place, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in the environment variable.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Whether an answer is given there, which can be lost.
            #[must_use]
            pub fn answers(self) -> bool {
                match self {
                    $(Self::$variant => points!(@answers $($lost)?),)+
                }
            }
        }
    };
    (@answers answers) => { true };
    (@answers) => { false };
}

points! {
    // The log: one transaction for all that waits.
    LogCreate "log-create", "a new database is complete under another name";
    LogCreated "log-created", "it has its name, durably";
    LogBegin "log-begin", "a group waits; its transaction has not begun";
    LogRow "log-row", "a batch is in the transaction";
    SnapshotRow "snapshot-row", "a snapshot is in the transaction";
    MailRow "mail-row", "a letter is in the transaction";
    MailReadRow "mail-read-row", "letters are marked as read in the transaction";
    LogCommit "log-commit", "everything is in the transaction; the commit is next";
    LogCommitted "log-committed", "committed, and nobody knows";
    LogPublished "log-published", "those who read along were woken; nothing is answered";
    AppendAnswer "append-answer" answers, "a batch is stored; its author is about to be answered";
    SnapshotAnswer "snapshot-answer" answers, "a snapshot is stored; its author is about to be answered";
    MailAnswer "mail-answer" answers, "a letter is stored; its sender is about to be answered";
    MailReadAnswer "mail-read-answer" answers, "letters are marked as read; their reader is about to be answered";
    LogCheckpoint "log-checkpoint", "the write-ahead log is about to be written back";
    LogCheckpointed "log-checkpointed", "it was written back";
    LogClose "log-close", "the log is about to be put in order and closed";
    LogClosed "log-closed", "the log was put in order; its files are still open";
    // The driver: an append, what comes back, and each ask of the core.
    Append "append", "a batch is about to be handed to the log";
    Appended "appended", "it was handed over";
    Stored "stored", "a batch was read back; it is not applied";
    Applied "applied", "it is applied, and what it asks for is done";
    Start "start", "a body is to start";
    Started "started", "it is starting";
    Check "check", "evidence is to be looked at";
    Checking "checking", "it is being looked at";
    Continue "continue", "a parent is to go on: its children are closed";
    Continued "continued", "it was told so";
    StopBody "stop", "a body is to be stopped";
    Stopped "stopped", "it was told so";
    Suspend "suspend", "a peer's processes are to stand still, or to go on";
    Suspended "suspended", "they were told so";
    Sleep "sleep", "a timer is to be set";
    Sleeping "sleeping", "it is set";
    Answer "answer", "who wished something is to be told what became of it";
    Answered "answered", "they were told";
    RoundClosed "round-closed", "a round is closed; nobody was told";
    RoundTold "round-told", "those who may be told of it now were told";
    Left "left", "the node has left; its loop still turns";
    LeftNoted "left-noted", "the loop is about to end";
    Leaving "leaving", "the loop has ended; nothing is put in order yet";
    BodyEnded "body-ended", "no process of an attempt is left; its return is not appended";
    Returned "returned", "its return waits to be appended";
    CheckEnded "check-ended", "evidence was looked at; what came of it is not appended";
    Checked "checked", "what came of it waits to be appended";
    Snapshot "snapshot", "a snapshot is about to be written";
    Snapshotted "snapshotted", "it was written";
    // A restart.
    ReplaySnapshot "replay-snapshot", "the state was read from a snapshot";
    ReplayBatch "replay-batch", "a batch of the past was applied";
    Replayed "replayed", "all of the past was applied";
    HighWater "high-water", "the high-water mark is about to be written";
    HighWaterKept "high-water-kept" answers, "it is written; nobody knows";
    // A body.
    Spawned "spawned", "its process runs; it is in no register";
    Result "result", "its result is about to be kept as an artifact";
    ResultKept "result-kept", "its result is kept; its end is not reported";
    Evidence "evidence", "evidence is about to be looked at";
    EvidenceSeen "evidence-seen", "evidence was looked at; that is not reported";
    // Artifacts.
    ArtifactDraft "artifact-draft", "a large content is written; its file is not synced";
    ArtifactPlaced "artifact-placed", "its file is durable; no row names it";
    ArtifactCommit "artifact-commit", "keys and contents are in the transaction; the commit is next";
    ArtifactKeyed "artifact-keyed" answers, "a key means the content; nobody knows";
    // The state folder.
    Locked "locked", "the state folder is locked; nothing else was done";
    FreshMoved "fresh-moved", "the old folder was moved aside; there is no new one";
    NonceMake "nonce-make", "the swarm is about to get its nonce";
    NonceMade "nonce-made", "it has its nonce";
    FileNew "file-new", "a small file is complete under another name";
    FileRenamed "file-renamed", "it has its name";
    LeftoversLook "leftovers-look", "what a killed run left is about to be looked for";
    LeftoversTold "leftovers-told", "processes that it left were told to end";
    LeftoversGone "leftovers-gone", "nothing of it is left";
    Mailboxes "mailboxes", "the mailboxes are open; the node has not joined";
    Joined "joined", "the node has joined and its peers are up";
    SocketReady "socket-ready", "commands can reach the node";
    Submit "submit", "the file's tasks are about to be submitted";
    Submitted "submitted", "they are submitted; the round is not sealed";
    // The command, at the end of a run.
    Over "over", "the round is over; there is no report";
    Reported "reported", "the report is in the state folder";
    CopyNew "copy-new", "the copy that was asked for is complete under another name";
    CopyPlaced "copy-placed", "it has its name";
    Printed "printed", "the report is on standard output";
    Shutdown "shutdown", "everything is told; the node is about to be shut down";
    ShutDown "shut-down", "the node is shut down; the process has not ended";
}

#[cfg(not(feature = "failpoints"))]
mod empty {
    use super::Point;

    /// The program is here. Empty.
    #[inline(always)]
    pub const fn reach(_point: Point) {}

    /// The answer, as it is.
    #[inline(always)]
    pub fn acknowledge<T, E>(_point: Point, answer: Result<T, E>, _lost: impl FnOnce() -> E) -> Option<Result<T, E>> {
        Some(answer)
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use super::Point;
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What is to happen.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Kill,
        LostAck,
        NoAck,
    }

    struct Plan {
        wanted: Vec<(Point, u64, Kind)>,
        reached: Option<File>,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static HITS: [AtomicU64; Point::ALL.len()] = [const { AtomicU64::new(0) }; Point::ALL.len()];

    /// The program is here: it may end now.
    ///
    /// # Panics
    /// When the environment variable says what this does not understand.
    pub fn reach(point: Point) {
        let _nothing_to_lose = hit(point);
    }

    /// An answer is about to be given: it may be lost (`Err`) or never come (`None`). What it is about was done.
    ///
    /// # Panics
    /// As [`reach`].
    pub fn acknowledge<T, E>(point: Point, answer: Result<T, E>, lost: impl FnOnce() -> E) -> Option<Result<T, E>> {
        match hit(point) {
            Some(Kind::LostAck) => Some(answer.and_then(|_| Err(lost()))),
            Some(Kind::NoAck) => None,
            Some(Kind::Kill) | None => Some(answer),
        }
    }

    fn hit(point: Point) -> Option<Kind> {
        let plan = PLAN.get_or_init(plan).as_ref()?;
        let hits = HITS[point as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(mut reached) = plan.reached.as_ref() {
            let written = writeln!(reached, "{}", point.name());
            written.expect("the file of the places reached can be written");
        }
        let (_, _, kind) = *plan.wanted.iter().find(|(wanted, nth, _)| (*wanted, *nth) == (point, hits))?;
        let word = match kind {
            Kind::Kill => "kill",
            Kind::LostAck => "lost-ack",
            Kind::NoAck => "no-ack",
        };
        // In one piece, and not through a buffer: the next thing may be the end.
        let said = std::io::stderr().write_all(format!("failpoint {}:{hits}:{word}\n", point.name()).as_bytes());
        said.expect("standard error can be written");
        if kind == Kind::Kill {
            let me = nix::unistd::getpid();
            nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL).expect("a process may kill itself");
            unreachable!("SIGKILL does not come back");
        }
        Some(kind)
    }

    fn plan() -> Option<Plan> {
        let reached = std::env::var_os("MESHWORK_FAILPOINTS_REACHED").map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.expect("the file of the places reached can be opened")
        });
        let wanted = match std::env::var("MESHWORK_FAILPOINT") {
            Ok(text) => text.split(',').map(parse).collect(),
            Err(_) if reached.is_none() => return None,
            Err(_) => Vec::new(),
        };
        Some(Plan { wanted, reached })
    }

    fn parse(text: &str) -> (Point, u64, Kind) {
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let point = Point::ALL.iter().find(|point| point.name() == name);
        let point = *point.unwrap_or_else(|| panic!("MESHWORK_FAILPOINT names no failpoint: {name:?}"));
        let (mut nth, mut kind) = (1, Kind::Kill);
        for word in words {
            match word {
                "kill" => kind = Kind::Kill,
                "lost-ack" if point.answers() => kind = Kind::LostAck,
                "no-ack" if point == Point::AppendAnswer => kind = Kind::NoAck,
                number => nth = number.parse().unwrap_or_else(|_| panic!("MESHWORK_FAILPOINT: {text:?}")),
            }
        }
        (point, nth, kind)
    }
}

#[cfg(feature = "failpoints")]
pub use armed::{acknowledge, reach};
#[cfg(not(feature = "failpoints"))]
pub use empty::{acknowledge, reach};
