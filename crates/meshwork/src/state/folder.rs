//! The folder of one swarm.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::lock::{self, FolderLock, Holder};
use super::{IdError, StateError, encode, socket};
use crate::failpoint::{self, Point};

/// Bytes of a nonce, before it is written as hexadecimal digits: enough that no two swarms ever share one.
const NONCE_BYTES: usize = 16;

/// The folder of one swarm: where things are. It exists once it was locked.
///
/// ```
/// use meshwork::state::StateRoot;
/// use std::time::SystemTime;
///
/// # let dir = tempfile::tempdir()?;
/// let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// assert!(!folder.exists(), "nothing is created by looking");
/// let lock = folder.lock(SystemTime::now())?;
/// assert!(folder.exists());
/// drop(lock); // the folder stays, for the next run
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFolder {
    pub(super) id: String,
    path: PathBuf,
}

impl StateFolder {
    pub(super) fn new(root: &Path, id: &str) -> Result<Self, IdError> {
        Ok(Self { id: id.to_owned(), path: root.join(encode(id)?) })
    }

    /// The swarm's id.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert_eq!(folder.id(), "nightly");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert_eq!(folder.path(), dir.path().join("nightly"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of the log.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(folder.database().ends_with("nightly/swarm.db"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("swarm.db")
    }

    /// The folder of the artifacts.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(folder.artifacts().ends_with("nightly/artifacts"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// The run report, written by [`StateFolder::write_report`].
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(folder.report().ends_with("nightly/report.json"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.json")
    }

    /// Whether a swarm was ever started here.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(!folder.exists());
    /// let _lock = folder.lock(SystemTime::now())?;
    /// assert!(folder.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.join(lock::NAME).is_file() || self.database().is_file()
    }

    /// Who holds the folder, or held it last.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert_eq!(folder.holder(), None);
    /// let lock = folder.lock(SystemTime::now())?;
    /// drop(lock);
    /// let holder = folder.holder().expect("it is still told who had it last");
    /// assert_eq!(holder.pid, std::process::id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        lock::holder(&self.path)
    }

    /// Whether a run holds the folder at this moment.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// assert!(folder.is_locked()?);
    /// drop(lock);
    /// assert!(!folder.is_locked()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says.
    pub fn is_locked(&self) -> Result<bool, StateError> {
        lock::is_held(&self.path)
    }

    /// Takes the folder for this process, and creates it (0700) if there is none. `now` is what others are told.
    ///
    /// ```
    /// use meshwork::state::StateError;
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let _lock = folder.lock(SystemTime::now())?;
    /// let refused = folder.lock(SystemTime::now()).expect_err("one run at a time");
    /// assert!(matches!(refused, StateError::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StateError::Locked`] names the process that has it; nothing was changed then.
    pub fn lock(&self, now: SystemTime) -> Result<FolderLock, StateError> {
        private_folder(&self.path)?;
        FolderLock::take(&self.path, now)
    }

    /// Like [`StateFolder::lock`], for starting over: what was there is moved beside it first and its new place
    /// returned.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// drop(folder.lock(SystemTime::now())?);
    /// let (_lock, aside) = folder.fresh(SystemTime::now())?;
    /// assert!(aside.expect("there was a folder").ends_with("nightly.old-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StateError::Locked`] if a run has the folder; nothing was moved then.
    pub fn fresh(&self, now: SystemTime) -> Result<(FolderLock, Option<PathBuf>), StateError> {
        if !self.path.is_dir() {
            return Ok((self.lock(now)?, None));
        }
        let old = FolderLock::take(&self.path, now)?;
        let kept = self.free_name()?;
        fs::rename(&self.path, &kept).map_err(|error| StateError::io("move", &self.path, error))?;
        failpoint::reach(Point::FreshMoved);
        // Its lock went with it; held until the new one is taken, so that no one takes the old folder for it.
        let new = self.lock(now)?;
        drop(old);
        Ok((new, Some(kept)))
    }

    /// The first `<folder>.old-<n>` that is free.
    fn free_name(&self) -> Result<PathBuf, StateError> {
        for n in 1..u32::MAX {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".old-{n}"));
            let name = PathBuf::from(name);
            match name.symlink_metadata() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(name),
                Err(error) => return Err(StateError::io("look at", &name, error)),
            }
        }
        let source = ErrorKind::AlreadyExists.into();
        Err(StateError::io("find a place beside", &self.path, source))
    }

    /// Opens the log file of a peer for appending, and creates it (0600).
    ///
    /// ```
    /// use std::io::Write as _;
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// writeln!(folder.open_peer_log("ada", &lock)?, "hello")?;
    /// assert_eq!(std::fs::read_to_string(folder.peer_log("ada")?)?, "hello\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says, and ids that are none.
    pub fn open_peer_log(&self, peer: &str, _held: &FolderLock) -> Result<File, StateError> {
        let path = self.peer_log(peer)?;
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        options.open(&path).map_err(|error| StateError::io("open", &path, error))
    }

    /// Where the log of a peer is.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(folder.peer_log("ada")?.ends_with("nightly/logs/ada.log"));
    /// assert!(folder.peer_log("").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Ids that are none.
    pub fn peer_log(&self, peer: &str) -> Result<PathBuf, StateError> {
        let mut path = self.path.join("logs").join(encode(peer)?).into_os_string();
        path.push(".log");
        Ok(path.into())
    }

    /// Writes the run report: readers see the former one or this one, never a part.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// folder.write_report(br#"{"completed": true}"#, &lock)?;
    /// assert_eq!(std::fs::read(folder.report())?, br#"{"completed": true}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says; the former report stays.
    pub fn write_report(&self, report: &[u8], _held: &FolderLock) -> Result<(), StateError> {
        write_atomically(&self.report(), report)
    }

    /// Where the node keeps how far it has applied its log; see [`crate::high_water`].
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(folder.high_water().ends_with("nightly/high-water"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn high_water(&self) -> PathBuf {
        self.path.join("high-water")
    }

    /// Replaces the high-water mark, durably.
    pub(crate) fn write_high_water(&self, line: &[u8], _held: &FolderLock) -> Result<(), StateError> {
        write_atomically(&self.high_water(), line)
    }

    /// The swarm's nonce: 32 hexadecimal digits, random, made once. It marks processes as this swarm's.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// let nonce = folder.nonce(&lock)?;
    /// assert_eq!(nonce.len(), 32);
    /// assert_eq!(folder.nonce(&lock)?, nonce, "made once");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StateError::Damaged`] for a file that holds something else.
    pub fn nonce(&self, _held: &FolderLock) -> Result<String, StateError> {
        let path = self.path.join("nonce");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let digits = text.trim_end();
                let right = digits.len() == 2 * NONCE_BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let what = format!("expected {} hexadecimal digits", 2 * NONCE_BYTES);
                if right { Ok(digits.to_owned()) } else { Err(StateError::Damaged { what, path }) }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let digits = random_digits::<NONCE_BYTES>(&path)?;
                failpoint::reach(Point::NonceMake);
                write_atomically(&path, format!("{digits}\n").as_bytes())?;
                failpoint::reach(Point::NonceMade);
                Ok(digits)
            }
            Err(error) => Err(StateError::io("read", &path, error)),
        }
    }

    /// Where the control socket of the swarm is to be bound: `control.sock` in the folder or, where that path is too
    /// long for a socket, a private folder under `$XDG_RUNTIME_DIR` or the temporary folder, which the file
    /// `control.path` names. A socket that a killed run left there is removed.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// let socket = folder.prepare_socket(&lock)?;
    /// assert_eq!(folder.socket(), socket, "others find it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the operating system says.
    pub fn prepare_socket(&self, _held: &FolderLock) -> Result<PathBuf, StateError> {
        socket::prepare(&self.path, &socket::short_folder())
    }

    /// Where the control socket of a live swarm is.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// assert!(folder.socket().ends_with("control.sock"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket::find(&self.path)
    }

    /// Removes the control socket, and what was made for it, at the end of a run.
    ///
    /// ```
    /// use std::os::unix::net::UnixListener;
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let lock = folder.lock(SystemTime::now())?;
    /// let socket = folder.prepare_socket(&lock)?;
    /// let _listener = UnixListener::bind(&socket)?;
    /// folder.remove_socket(&lock);
    /// assert!(!socket.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_socket(&self, _held: &FolderLock) {
        socket::remove(&self.path);
    }
}

/// Random bytes as hexadecimal digits.
pub(super) fn random_digits<const BYTES: usize>(path: &Path) -> Result<String, StateError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| StateError::io("find random bytes for", path, std::io::Error::other(error.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Creates a folder and what leads to it, for this user alone; one that is there is made private.
pub(super) fn private_folder(path: &Path) -> Result<(), StateError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| match error.kind() {
                // Something that is no folder, here or above.
                ErrorKind::AlreadyExists => StateError::NotAFolder { path: path.to_owned() },
                _ => StateError::io("create", path, error),
            });
        }
        Err(error) => return Err(StateError::io("look at", path, error)),
    };
    if !about.is_dir() {
        return Err(StateError::NotAFolder { path: path.to_owned() });
    }
    if about.permissions().mode() & 0o077 != 0 {
        let private = Permissions::from_mode(0o700);
        fs::set_permissions(path, private).map_err(|error| StateError::io("make private", path, error))?;
    }
    Ok(())
}

/// Replaces a file as a whole: written beside it (0600), made durable, renamed.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || {
        // One that a killed run left could be somebody's link: it is not written through.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        failpoint::reach(Point::FileNew);
        fs::rename(&new, path)?;
        failpoint::reach(Point::FileRenamed);
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| {
        let _left = fs::remove_file(&new);
        StateError::io("write", path, error)
    })
}
