//! The lock of a state folder: the operating system's, so that it ends with its holder, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::StateError;

/// The name of the lock file within a folder.
pub(super) const NAME: &str = "lock";

/// A process that was being started when the holder was killed shares the lock until it has loaded its program, a
/// millisecond or so. More than this is not waited for.
const BIRTH: Duration = Duration::from_secs(1);

/// Distance between looks.
const LOOK: Duration = Duration::from_millis(2);

/// The right to write a state folder, held until it is dropped or the process ends.
///
/// ```
/// use meshwork::state::StateRoot;
/// use std::time::SystemTime;
///
/// # let dir = tempfile::tempdir()?;
/// let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// let lock = folder.lock(SystemTime::now())?;
/// // What writes in the folder asks for it.
/// folder.write_report(b"{}", &lock)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    folder: PathBuf,
}

/// What the lock file says: who holds the folder, or held it last.
///
/// ```
/// use std::time::Duration;
/// use meshwork::state::StateRoot;
/// use std::time::SystemTime;
///
/// # let dir = tempfile::tempdir()?;
/// let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// let _lock = folder.lock(SystemTime::UNIX_EPOCH + Duration::from_secs(60))?;
/// let holder = folder.holder().expect("we hold it");
/// assert_eq!(holder.since, SystemTime::UNIX_EPOCH + Duration::from_secs(60));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// When it took the lock: whole milliseconds of the wall clock.
    pub since: SystemTime,
}

impl FolderLock {
    /// Takes the lock of an existing folder, without waiting for a holder that lives.
    pub(super) fn take(folder: &Path, since: SystemTime) -> Result<Self, StateError> {
        let path = folder.join(NAME);
        let give_up = Instant::now() + BIRTH;
        loop {
            let lock = match Self::try_take(folder, &path) {
                Err(StateError::Locked { pid: Some(pid), .. }) if is_dead(pid) && Instant::now() < give_up => {
                    sleep(LOOK);
                    continue;
                }
                taken => taken?,
            };
            // Between opening and locking, a fresh start may have moved the folder away: then this is the lock of the
            // folder that was.
            if same_file(&lock.file, &path)? {
                lock.sign(&path, since)?;
                return Ok(lock);
            }
        }
    }

    fn try_take(folder: &Path, path: &Path) -> Result<Self, StateError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        let mut file = options.open(path).map_err(|error| StateError::io("lock", path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, folder: folder.to_owned() }),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                Err(StateError::Locked {
                    pid: holder.map(|holder| holder.pid),
                    since: holder.map(|holder| holder.since),
                    path: folder.to_owned(),
                })
            }
            Err(TryLockError::Error(error)) => Err(StateError::io("lock", path, error)),
        }
    }

    /// Writes who holds it. Whoever reads in between finds an empty file and says "another process".
    fn sign(&self, path: &Path, since: SystemTime) -> Result<(), StateError> {
        let millis = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let text = format!("{} {millis}\n", std::process::id());
        let mut file = &self.file;
        file.rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|error| StateError::io("write", path, error))
    }

    /// The folder that is locked.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// assert_eq!(lock.folder(), folder.path());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The lock is let go even where a process that is being started shares the file for another instant.
impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file does the same a little later.
        let _closed_next = self.file.unlock();
    }
}

/// Whether no process has this id. One that may not be signalled is alive.
fn is_dead(pid: u32) -> bool {
    let pid = i32::try_from(pid).map(nix::unistd::Pid::from_raw);
    pid.is_ok_and(|pid| nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH))
}

fn same_file(file: &File, path: &Path) -> Result<bool, StateError> {
    let ours = file.metadata().map_err(|error| StateError::io("look at", path, error))?;
    match path.symlink_metadata() {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        // Moved away, and nothing is there yet: opening it again says what to make of that.
        Err(_) => Ok(false),
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(100).read_to_string(&mut text).ok()?;
    let (pid, millis) = text.trim_end().split_once(' ')?;
    let since = UNIX_EPOCH.checked_add(Duration::from_millis(millis.parse().ok()?))?;
    let pid = pid.parse().ok()?;
    Some(Holder { pid, since })
}

/// Who holds `folder`, or held it last; `None` if nobody ever did.
pub(super) fn holder(folder: &Path) -> Option<Holder> {
    read_holder(&mut File::open(folder.join(NAME)).ok()?)
}

/// Whether somebody holds `folder` at this moment. Takes nobody's lock away, not even for an instant: it asks for a
/// shared one.
pub(super) fn is_held(folder: &Path) -> Result<bool, StateError> {
    let path = folder.join(NAME);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StateError::io("open", &path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(StateError::io("look at", &path, error)),
    }
}
