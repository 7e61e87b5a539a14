//! What a killed meshwork left running, found and ended at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp};

use super::nonce::link_of_swarm;
use super::procfs::{self, Stat};
use super::registry::registry;
use crate::failpoint::{self, Point};

/// SIGKILL takes effect in a millisecond; what is still there after this hangs in the kernel (a dead network disk, say).
const DEADLINE: Duration = Duration::from_secs(10);

/// A process that was being started when its meshwork was killed loads its program in a millisecond or so; only then does
/// it carry the nonce. More than this is not waited for.
const BIRTH: Duration = Duration::from_secs(1);

/// Distance between looks.
const LOOK: Duration = Duration::from_millis(2);

/// A process of an earlier run of this swarm.
///
/// ```
/// use meshwork::process::Leftover;
///
/// let stray = Leftover { pid: 4711, attempt: "t0-1".to_owned(), command: "python3".to_owned(), ended: true };
/// assert_eq!(format!("{} ({})", stray.command, stray.pid), "python3 (4711)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its process id.
    pub pid: u32,
    /// Its attempt's part of the nonce.
    pub attempt: String,
    /// Its command's name, for a message.
    pub command: String,
    /// False when it was still there after ten seconds, may not be signalled by us, or was only looked for.
    pub ended: bool,
}

/// Kills what an earlier, killed run of this swarm left behind, and waits until it is gone. Blocks the thread: for some
/// milliseconds when there is something, ten seconds at most.
///
/// Found are processes whose environment carries the swarm's part of the nonce and that are older than this program, and
/// then whatever else carries their attempts' nonces. Live attempts of this program, the program itself and its ancestors
/// are never touched. A process is signalled only while its start time says that it is still the one that was found.
///
/// ```
/// use meshwork::process::end_leftovers;
///
/// assert!(end_leftovers("a1b2c3").is_empty(), "no run of this swarm was killed");
/// ```
#[must_use]
pub fn end_leftovers(swarm_nonce: &str) -> Vec<Leftover> {
    let before = procfs::stat(Pid::this().as_raw()).map_or(0, |own| own.started);
    end_older_than(swarm_nonce, before)
}

/// The same at the end of a run, when no attempt of this swarm is alive in this program: whatever carries the swarm's nonce,
/// of whatever age, is left behind. For callers that hold the swarm's lock, so that no other program runs it.
///
/// ```
/// use meshwork::process::end_all;
///
/// assert!(end_all("a1b2c3").is_empty(), "nothing carries this swarm's mark");
/// ```
#[must_use]
pub fn end_all(swarm_nonce: &str) -> Vec<Leftover> {
    end_older_than(swarm_nonce, u64::MAX)
}

/// The same processes, only looked for: nothing is signalled, and each is told of as not ended.
///
/// ```
/// use meshwork::process::find_leftovers;
///
/// assert_eq!(find_leftovers("a1b2c3"), []);
/// ```
#[must_use]
pub fn find_leftovers(swarm_nonce: &str) -> Vec<Leftover> {
    let before = procfs::stat(Pid::this().as_raw()).map_or(0, |own| own.started);
    let found = find(swarm_nonce, before, &own_line(), &mut BTreeSet::new());
    found.into_iter().map(|(_, _, leftover)| Leftover { ended: false, ..leftover }).collect()
}

/// Processes that were found, by id and start time.
type Seen = BTreeMap<(i32, u64), Leftover>;

pub(super) fn end_older_than(swarm: &str, before: u64) -> Vec<Leftover> {
    let spared = own_line();
    let give_up = Instant::now() + DEADLINE;
    let born = Instant::now() + BIRTH;
    let (mut seen, mut attempts) = (Seen::new(), BTreeSet::new());
    loop {
        let left = find(swarm, before, &spared, &mut attempts);
        for (pid, stat, leftover) in &left {
            seen.entry((*pid, stat.started)).or_insert_with(|| leftover.clone());
        }
        let unborn = Instant::now() < born && is_any_unborn(before, &spared);
        let waiting = unborn || !left.is_empty() && Instant::now() < give_up;
        if !waiting {
            for (pid, stat, _) in left {
                seen.entry((pid, stat.started)).and_modify(|leftover| leftover.ended = false);
            }
            return seen.into_values().collect();
        }
        end(&left);
        if !left.is_empty() {
            failpoint::reach(Point::LeftoversTold);
        }
        sleep(LOOK);
    }
}

/// Whether a process is being started, so that what it will be cannot be seen yet: it still is a copy of this program
/// with one thread, or is between two programs and has neither arguments nor an environment.
fn is_any_unborn(before: u64, spared: &BTreeSet<i32>) -> bool {
    let is_unborn = |pid: &i32| {
        let old =
            procfs::stat(*pid).is_some_and(|stat| !stat.ended && stat.started < before && stat.parent != KTHREADD);
        old && *pid != KTHREADD && (procfs::is_half_started_copy(*pid) || procfs::is_between_programs(*pid))
    };
    procfs::all().iter().filter(|pid| !spared.contains(pid)).any(is_unborn)
}

/// The parent of the kernel's own threads, which have neither arguments nor an environment for good.
const KTHREADD: i32 = 2;

/// This program and its ancestors: an attempt of the same swarm may have started us.
fn own_line() -> BTreeSet<i32> {
    let mut line = BTreeSet::new();
    let mut next = Some(Pid::this().as_raw());
    while let Some(pid) = next.filter(|pid| *pid > 0 && line.insert(*pid)) {
        next = procfs::stat(pid).map(|stat| stat.parent);
    }
    line
}

/// Living leftovers. `attempts` grows by the attempts of old processes, so that their younger children are found as well.
fn find(
    swarm: &str,
    before: u64,
    spared: &BTreeSet<i32>,
    attempts: &mut BTreeSet<String>,
) -> Vec<(i32, Stat, Leftover)> {
    let mut carriers = Vec::new();
    for pid in procfs::all().into_iter().filter(|pid| !spared.contains(pid)) {
        // The start time is read before and after the environment, so both are of one process.
        let Some(stat) = procfs::stat(pid).filter(|stat| !stat.ended) else {
            continue;
        };
        let Some(environ) = procfs::environ(pid) else {
            continue;
        };
        let Some(attempt) = link_of_swarm(&environ, swarm) else {
            continue;
        };
        let is_same = procfs::stat(pid).is_some_and(|now| now.started == stat.started && !now.ended);
        if !is_same || registry().is_live(attempt) {
            continue;
        }
        if stat.started < before {
            attempts.insert(attempt.to_owned());
        }
        let command = procfs::command(pid).unwrap_or_default();
        let leftover = Leftover { pid: pid.unsigned_abs(), attempt: attempt.to_owned(), command, ended: true };
        carriers.push((pid, stat, leftover));
    }
    carriers.retain(|(_, _, leftover)| attempts.contains(&leftover.attempt));
    carriers
}

/// Between the look at the start time and the signal the process would have to end and its id go once around all ids.
fn end(left: &[(i32, Stat, Leftover)]) {
    let own_group = getpgrp().as_raw();
    for (pid, stat, leftover) in left {
        let Some(now) = procfs::stat(*pid).filter(|now| now.started == stat.started) else {
            continue;
        };
        // The whole group when it is surely theirs: its leader is one of them or gone. Its members need not carry a nonce.
        let leader_is_theirs = left.iter().any(|(pid, ..)| *pid == now.group) || procfs::stat(now.group).is_none();
        if now.group > 1 && now.group != own_group && leader_is_theirs {
            killpg(Pid::from_raw(now.group), Signal::SIGKILL).ok();
        }
        if let Err(error) = kill(Pid::from_raw(*pid), Signal::SIGKILL) {
            tracing::debug!(pid, command = leftover.command, %error, "could not kill a leftover of an earlier run");
        }
    }
}
