//! What the kernel says about processes, read from `/proc`. Everything may vanish between two looks: `None` means gone
//! or not ours to read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use nix::unistd::Pid;

/// The part of `/proc/<pid>/stat` that tells processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: i32,
    pub(super) group: i32,
    /// Clock ticks since boot; with the id it names a process for good, while an id alone is used again.
    pub(super) started: u64,
    /// Ended, and only its entry is left until its parent looks.
    pub(super) ended: bool,
}

pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in brackets and may itself contain brackets and blanks: the last one counts.
pub(super) fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    Some(Stat {
        ended: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The environment that a process was started with. Empty while it is between two programs (`exec`), or ended.
pub(super) fn environ(pid: i32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// A copy of this program with a single thread: what a start of a process is before it loads its program.
pub(super) fn is_half_started_copy(pid: i32) -> bool {
    let own = fs::read_link("/proc/self/exe").ok();
    own.is_some()
        && fs::read_link(format!("/proc/{pid}/exe")).ok() == own
        && fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() == 1)
}

/// Without arguments and environment: it is loading its program.
pub(super) fn is_between_programs(pid: i32) -> bool {
    let is_empty = |what: &str| fs::read(format!("/proc/{pid}/{what}")).is_ok_and(|bytes| bytes.is_empty());
    is_empty("cmdline") && is_empty("environ")
}

/// Its command's name, for messages.
pub(super) fn command(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// All processes that we can see.
pub(super) fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The process id handed out last.
pub(super) fn last_pid() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().last()?.parse().ok()
}

/// The children of our main thread, zombies included: that is where the kernel puts orphans that we adopt, while what
/// other threads start is listed under them. `None` when the kernel was built without these lists.
pub(super) fn adopted() -> Option<Vec<i32>> {
    // Kept open: asking again is one system call instead of three.
    static LIST: OnceLock<Option<File>> = OnceLock::new();
    let list = LIST.get_or_init(|| File::open(format!("/proc/self/task/{}/children", Pid::this())).ok());
    let mut text = Vec::new();
    let mut page = [0; 4096];
    loop {
        match list.as_ref()?.read_at(&mut page, text.len() as u64) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&page[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let text = String::from_utf8(text).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// True when the process has one of these files open; a pipe's name is the one that `/proc/self/fd` shows for it.
pub(super) fn holds(pid: i32, names: &[PathBuf]) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|target| names.contains(&target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let line = "77 (a) S 1 2 (b) Z 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 4242 24 25";
        let expected = Stat { ended: true, parent: 5, group: 6, started: 4242 };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat("77 (a S 1"), None);
        assert_eq!(parse_stat("77 (a)"), None);
    }

    #[test]
    fn we_see_ourselves() {
        let own = Pid::this().as_raw();
        let seen = stat(own).map(|stat| (stat.parent, stat.ended));
        assert_eq!(seen, Some((Pid::parent().as_raw(), false)));
        assert!(all().contains(&own));
        assert!(last_pid().is_some());
        assert!(command(own).is_some());
    }
}
