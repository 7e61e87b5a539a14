//! What is left of an attempt when its leader has ended: its process group, and descendants that left the group.
//!
//! Nothing here waits. The caller looks, signals what is found, waits in its own way, and looks again until nothing is left.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::prctl::{get_child_subreaper, set_child_subreaper};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp};

use super::nonce::{Nonce, own_link};
use super::procfs;
use super::registry::registry;

/// How often a process without any environment is looked at again: it may be between two programs (`exec`), which takes
/// well under a millisecond, and looks are a millisecond and more apart.
const UNSURE_LOOKS: u32 = 5;

/// Makes this program the parent of every orphan below it, for as long as it lives. Call it once, early.
///
/// From then on a child of this program that ended, is in a process group other than ours, and was not started by this
/// module is taken for such an orphan and reaped: start other children in the program's own group (the default).
///
/// ```
/// use meshwork::process::become_subreaper;
///
/// # fn main() -> std::io::Result<()> {
/// become_subreaper()?; // early, before anything is started
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the system said; nothing has changed.
pub fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(true)?)
}

/// Orphans come to us: by our wish, or because we are the first process of a container.
fn adopts() -> bool {
    Pid::this().as_raw() == 1 || get_child_subreaper().unwrap_or(false)
}

/// A living process outside the attempt's group that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stray {
    pid: i32,
    started: u64,
}

/// One look's result.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) group: bool,
    pub(super) strays: Vec<Stray>,
    /// Something could not be told yet.
    pub(super) unsure: bool,
}

impl Found {
    pub(super) fn is_nothing(&self) -> bool {
        !self.group && self.strays.is_empty() && !self.unsure
    }
}

/// Finds and signals what is left of one attempt.
#[derive(Debug)]
pub(super) struct Rest {
    group: Pid,
    nonce: Nonce,
    looks: u32,
    group_told: bool,
    told: BTreeSet<(i32, u64)>,
}

impl Rest {
    /// Of the attempt whose leader had this process id.
    pub(super) fn new(leader: Pid, nonce: Nonce) -> Self {
        Self { group: leader, nonce, looks: 0, group_told: false, told: BTreeSet::new() }
    }

    pub(super) fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The group has been asked to end already: programs take a second SIGTERM for impatience.
    pub(super) fn note_group_told(&mut self) {
        self.group_told = true;
    }

    /// Looks once. The leader must have been reaped.
    pub(super) fn look(&mut self) -> Found {
        self.looks = self.looks.saturating_add(1);
        let group = self.group_is_alive();
        self.look_around(group, adopts().then(procfs::adopted).flatten())
    }

    /// With our children if orphans come to us.
    fn look_around(&self, group: bool, children: Option<Vec<i32>>) -> Found {
        let mut found = Found { group, ..Found::default() };
        match children {
            Some(children) if children.is_empty() => {}
            Some(children) => self.look_at_children(children, &mut found),
            None => self.look_everywhere(&mut found),
        }
        found
    }

    /// A group's number is not given to a new process while the group has a member, so the number is safe to ask about
    /// until the first "no such group".
    fn group_is_alive(&self) -> bool {
        let exists = || killpg(self.group, None) != Err(Errno::ESRCH);
        if !exists() || registry().is_leader(self.group.as_raw()) {
            return false;
        }
        // Adopted members that have ended stay in the group until we take note of it.
        let members = Pid::from_raw(-self.group.as_raw());
        while matches!(
            waitpid(members, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
        ) {}
        if !exists() {
            return false;
        }
        // Ended members may belong to a parent that never takes note (a container's careless first process).
        self.looks <= UNSURE_LOOKS
            || procfs::all()
                .into_iter()
                .filter_map(procfs::stat)
                .any(|stat| stat.group == self.group.as_raw() && !stat.ended)
    }

    /// Children of ours that nobody started are orphans. They may be another attempt's, which sees to them itself, or of
    /// one that has ended, and was missed then: the kernel's list may skip a child while others end.
    fn look_at_children(&self, mut children: Vec<i32>, found: &mut Found) {
        {
            let mut registry = registry();
            registry.forget_strangers_except(&children);
            children.retain(|pid| !registry.is_leader(*pid));
        }
        let own_group = getpgrp().as_raw();
        for pid in children {
            let Some(stat) = procfs::stat(pid) else {
                continue;
            };
            if stat.ended {
                if stat.group != own_group {
                    reap_orphan(pid);
                }
                continue;
            }
            let Some(environ) = procfs::environ(pid) else {
                continue;
            };
            match own_link(&environ) {
                Some(link) if link == self.link() || !registry().is_live(link.1) => {
                    found.strays.push(Stray { pid, started: stat.started });
                }
                Some(_) => {}
                None if environ.is_empty() && stat.group != own_group => {
                    let mut registry = registry();
                    if self.looks > UNSURE_LOOKS {
                        registry.note_stranger(pid, stat.started);
                    }
                    found.unsure |= !registry.is_stranger(pid, stat.started);
                }
                None => {}
            }
        }
    }

    /// Without adoption orphans go to a stranger, so every process that is younger than the leader may be one.
    fn look_everywhere(&self, found: &mut Found) {
        let leader = self.group.as_raw();
        let last = procfs::last_pid();
        if last == Some(leader) {
            return;
        }
        // Numbers are handed out in a circle: past its end, any number may be younger.
        let is_younger = |pid: i32| last.is_none_or(|last| last < leader || (leader < pid && pid <= last));
        let own = Pid::this().as_raw();
        for pid in procfs::all().into_iter().filter(|pid| *pid != own && is_younger(*pid)) {
            let Some(environ) = procfs::environ(pid) else {
                continue;
            };
            if own_link(&environ) != Some(self.link()) && !environ.is_empty() {
                continue;
            }
            // The group itself is dealt with as a group, and kernel threads have none.
            let Some(stat) = procfs::stat(pid).filter(|stat| !stat.ended && ![0, leader].contains(&stat.group)) else {
                continue;
            };
            if environ.is_empty() {
                found.unsure |= self.looks <= UNSURE_LOOKS;
            } else {
                found.strays.push(Stray { pid, started: stat.started });
            }
        }
    }

    fn link(&self) -> (&str, &str) {
        (self.nonce.swarm(), self.nonce.attempt())
    }

    /// Adopted processes that hold one of these pipes: the attempt's, whatever their environment says. None without
    /// adoption: a pipe can be handed to a service that is not a descendant, and only our children surely are.
    pub(super) fn holders(&self, pipes: &[PathBuf]) -> Vec<Stray> {
        let Some(children) = adopts().then(procfs::adopted).flatten() else {
            return Vec::new();
        };
        // Held while we look: a process that is just being started has copies of all our pipes for a moment.
        let registry = registry();
        if !registry.is_settled() {
            return Vec::new();
        }
        let own_group = getpgrp().as_raw();
        children
            .into_iter()
            .filter(|pid| !registry.is_leader(*pid))
            .filter_map(|pid| Some((pid, procfs::stat(pid)?)))
            .filter(|(pid, stat)| !stat.ended && stat.group != own_group && procfs::holds(*pid, pipes))
            .map(|(pid, stat)| Stray { pid, started: stat.started })
            .collect()
    }

    /// Signals what was found: SIGKILL each time, anything milder once to each, and then lets stopped ones go on to hear it.
    pub(super) fn signal(&mut self, found: &Found, signal: Signal) {
        let again = signal == Signal::SIGKILL;
        if found.group && (again || !self.group_told) {
            self.group_told = true;
            send(|signal| killpg(self.group, signal), signal);
        }
        let own_group = getpgrp().as_raw();
        for stray in &found.strays {
            let is_new = self.told.insert((stray.pid, stray.started));
            let now = procfs::stat(stray.pid).filter(|now| now.started == stray.started);
            let Some(now) = now.filter(|_| again || is_new) else {
                continue;
            };
            // A process that does not lead its group may be about to leave it, and would not hear what the group is told.
            let leads = now.group == stray.pid;
            if !leads {
                send(|signal| kill(Pid::from_raw(stray.pid), signal), signal);
            }
            let is_theirs = now.group > 1 && now.group != own_group && !registry().is_leader(now.group);
            if is_theirs && (leads || again) {
                send(|signal| killpg(Pid::from_raw(now.group), signal), signal);
            }
        }
    }
}

/// What has ended meanwhile is no error; what may not be signalled is found again at the next look.
pub(super) fn send(to: impl Fn(Signal) -> nix::Result<()>, signal: Signal) {
    let result = to(signal);
    if signal == Signal::SIGTERM && result.is_ok() {
        to(Signal::SIGCONT).ok();
    }
    if result == Err(Errno::EPERM) {
        tracing::warn!(%signal, "a process of an attempt may not be signalled by us; its slot waits for its end");
    }
}

/// Takes note of an orphan's end. Under the lock, and only when no start is under way: else it may be a new leader that
/// is not known yet, whose end is not ours to take.
fn reap_orphan(pid: i32) {
    let registry = registry();
    if registry.is_settled() && !registry.is_leader(pid) {
        waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)).ok();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::super::nonce::NONCE_VARIABLE;
    use super::*;

    #[test]
    fn without_adoption_strays_are_found_everywhere() {
        let nonce = Nonce::new("rest", format!("everywhere-{}", Pid::this())).unwrap();
        // The leader's number must be older than the stray's; its group is another one.
        let mut leader = Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(leader.id().cast_signed());
        let mut stray = Command::new("sh")
            .args(["-c", "echo started; exec sleep 1000"])
            .env(NONCE_VARIABLE, nonce.chain())
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut started = [0; 7];
        stray.stdout.take().unwrap().read_exact(&mut started).unwrap();
        leader.wait().unwrap();
        let mut rest = Rest::new(pid, nonce);
        let found =
            std::iter::repeat_with(|| rest.look_around(false, None)).find(|found| !found.strays.is_empty()).unwrap();
        let pids: Vec<u32> = found.strays.iter().map(|stray| stray.pid.unsigned_abs()).collect();
        assert_eq!(pids, [stray.id()]);
        rest.signal(&found, Signal::SIGKILL);
        assert!(!stray.wait().unwrap().success());
        assert!(rest.look_around(false, None).strays.is_empty());
    }
}
