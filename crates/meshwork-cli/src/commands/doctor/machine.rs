//! What a swarm needs of the machine that it runs on.

use super::Check;
use meshwork::log::sqlite_version;
use meshwork::process::{become_subreaper, find_leftovers};
use meshwork::state::StateRoot;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Earlier versions can damage a database when one is reset while another process reads its write-ahead log.
const SQLITE_AT_LEAST: [u32; 3] = [3, 51, 3];
/// Writes whose time is taken; the median is told.
const SYNCS: usize = 21;
/// Bytes of each of them: a page.
const SYNC_BYTES: usize = 4096;

/// Looks at everything that swarms in `dir` need.
pub(super) fn look(dir: &Path) -> Vec<Check> {
    let mut checks = storage(dir);
    checks.push(Check::of("sqlite", sqlite()));
    checks.push(Check::of("shell", shell()));
    checks.push(Check::of("processes", processes()));
    checks.push(Check::of("leftovers", leftovers(dir)));
    checks
}

/// A file that is gone when this is dropped.
struct Probe {
    path: PathBuf,
    file: File,
}

impl Probe {
    /// In the folder, or in the nearest one above that is there, where the folder would be made.
    fn new(dir: &Path) -> Result<Self, String> {
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        let there = dir.ancestors().find(|folder| folder.exists()).unwrap_or(&dir);
        let path = there.join(format!(".meshwork-doctor-{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(|error| format!("{} cannot be written: {error}", there.display()))?;
        Ok(Self { path, file })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // One that stays is an empty file with a telling name.
        let _left = std::fs::remove_file(&self.path);
    }
}

fn storage(dir: &Path) -> Vec<Check> {
    let mut probe = match Probe::new(dir) {
        Ok(probe) => probe,
        Err(what) => return vec![Check::of("state folder", Err(what))],
    };
    let writable = Check::of("state folder", Ok(format!("{} can be written", dir.display())));
    vec![writable, Check::of("locks", locks(&probe)), Check::of("disk", disk(&mut probe.file))]
}

fn locks(probe: &Probe) -> Result<String, String> {
    let says = |error: std::io::Error| format!("the file system cannot lock: {error}");
    probe.file.try_lock().map_err(|error| format!("the file system cannot lock: {error}"))?;
    let second = File::open(&probe.path).map_err(says)?;
    match second.try_lock() {
        Err(TryLockError::WouldBlock) => Ok("the file system locks".to_owned()),
        Err(TryLockError::Error(error)) => Err(says(error)),
        Ok(()) => Err("the file system gives one lock to two: two runs of one swarm would damage it".to_owned()),
    }
}

fn disk(file: &mut File) -> Result<String, String> {
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let from = Instant::now();
        let written = file.write_all(&[0; SYNC_BYTES]).and_then(|()| file.sync_data());
        written.map_err(|error| format!("the disk does not take what is written: {error}"))?;
        took.push(from.elapsed());
    }
    took.sort_unstable();
    let (median, longest) = (took[SYNCS / 2], took[SYNCS - 1]);
    Ok(format!("a durable write takes {} (at most {} of {SYNCS})", shown(median), shown(longest)))
}

fn shown(time: Duration) -> String {
    format!("{}.{:03} ms", time.as_micros() / 1_000, time.as_micros() % 1_000)
}

fn sqlite() -> Result<String, String> {
    let version = sqlite_version();
    let [major, minor, patch] = SQLITE_AT_LEAST;
    if is_at_least(version, &SQLITE_AT_LEAST) {
        Ok(format!("version {version}"))
    } else {
        Err(format!("found version {version}, expected {major}.{minor}.{patch} or later"))
    }
}

fn is_at_least(version: &str, least: &[u32]) -> bool {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.as_slice() >= least)
}

fn shell() -> Result<String, String> {
    let mut command = Command::new("sh");
    command.args(["-c", "exit 0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok("sh is there".to_owned()),
        Ok(status) => Err(format!("sh -c 'exit 0' ended with {status}")),
        Err(error) => Err(format!("sh cannot be started: {error}")),
    }
}

fn processes() -> Result<String, String> {
    File::open("/proc/self/stat").map_err(|error| format!("/proc cannot be read: {error}"))?;
    become_subreaper().map_err(|error| format!("orphans cannot be adopted: {error}"))?;
    Ok("/proc can be read, and orphans are adopted".to_owned())
}

/// What killed runs left behind; the next run of the swarm ends it.
fn leftovers(dir: &Path) -> Result<String, String> {
    let swarms = StateRoot::new(dir).swarms().map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for entry in &swarms {
        let folder = &entry.folder;
        if folder.is_locked().map_err(|error| error.to_string())? {
            continue;
        }
        // No run has ever come so far as to start a process where there is none.
        let Ok(nonce) = std::fs::read_to_string(folder.path().join("nonce")) else { continue };
        for one in find_leftovers(nonce.trim_end()) {
            found.push(format!("process {} ({}) of swarm {:?}", one.pid, one.command, folder.id()));
        }
    }
    match found.as_slice() {
        [] => Ok(format!("none, of {} swarms", swarms.len())),
        some => Err(format!("{}; the next run of the swarm ends what is left", some.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_at_least("3.51.3", &SQLITE_AT_LEAST));
        assert!(is_at_least("3.100.0", &SQLITE_AT_LEAST));
        assert!(!is_at_least("3.51.2", &SQLITE_AT_LEAST));
        assert!(!is_at_least("3.9.9", &SQLITE_AT_LEAST));
        assert!(!is_at_least("unknown", &SQLITE_AT_LEAST));
    }

    #[test]
    fn looking_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let checks = look(&folder.path().join("not/there"));
        assert!(checks.iter().all(|check| check.ok), "{:?}", checks.iter().map(|c| &c.detail).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_said_to_be_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let checks = look(file.path());
        assert!(!checks[0].ok, "{}", checks[0].detail);
    }
}
