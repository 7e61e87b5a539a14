//! The folder that holds swarms, and finding the one that is meant.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{IdError, StateError, StateFolder, decode, encoding};

/// A folder that holds the state folders of swarms. It need not exist.
///
/// ```
/// use meshwork::state::StateRoot;
///
/// # let dir = tempfile::tempdir()?;
/// let root = StateRoot::new(dir.path().join("not-there-yet"));
/// assert!(root.swarms()?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoot {
    dir: PathBuf,
}

/// One swarm that was found.
///
/// ```
/// use meshwork::state::StateRoot;
/// use std::time::SystemTime;
///
/// # let dir = tempfile::tempdir()?;
/// let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// let _lock = folder.lock(SystemTime::now())?;
/// let swarms = StateRoot::new(dir.path()).swarms()?;
/// assert_eq!(swarms[0].folder.id(), "nightly");
/// assert!(swarms[0].started.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmEntry {
    /// Where it is.
    pub folder: StateFolder,
    /// When it was last started, if that is known.
    pub started: Option<SystemTime>,
}

/// The swarm that a command is about.
///
/// ```
/// use meshwork::state::StateRoot;
/// use std::time::SystemTime;
///
/// # let dir = tempfile::tempdir()?;
/// let folder = StateRoot::new(dir.path()).folder("nightly")?;
/// let _lock = folder.lock(SystemTime::now())?;
/// let chosen = StateRoot::new(dir.path()).choose(None)?;
/// assert_eq!((chosen.folder.id(), chosen.note), ("nightly", None), "the only one");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Where it is.
    pub folder: StateFolder,
    /// What to tell on stderr: that it was one of several, and which.
    pub note: Option<String>,
}

impl StateRoot {
    /// The swarms under `dir`. Nothing is looked at yet.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// assert_eq!(StateRoot::new(".meshwork").dir(), std::path::Path::new(".meshwork"));
    /// ```
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    ///
    /// assert_eq!(StateRoot::new("/var/lib/meshwork").dir(), std::path::Path::new("/var/lib/meshwork"));
    /// ```
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the swarm `id` is or would be.
    ///
    /// ```
    /// use meshwork::state::{IdError, StateRoot};
    ///
    /// let root = StateRoot::new(".meshwork");
    /// assert!(root.folder("nightly")?.path().ends_with("nightly"));
    /// assert!(root.folder("-rf").is_err(), "it would look like an option");
    /// # Ok::<(), IdError>(())
    /// ```
    ///
    /// # Errors
    /// For what is not an id.
    pub fn folder(&self, id: &str) -> Result<StateFolder, IdError> {
        StateFolder::new(&self.dir, id)
    }

    /// All swarms, the one started last first; what else lies in the folder is passed over. None if there is no
    /// folder.
    ///
    /// ```
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let _lock = folder.lock(SystemTime::now())?;
    /// std::fs::write(dir.path().join("notes.txt"), "no swarm")?;
    /// assert_eq!(StateRoot::new(dir.path()).swarms()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StateError::NotAFolder`], [`StateError::Denied`], or what the operating system says.
    pub fn swarms(&self) -> Result<Vec<SwarmEntry>, StateError> {
        let mut found = Vec::new();
        self.collect(Path::new(""), &mut found)?;
        found.sort_by(|a, b| (b.started, a.folder.id()).cmp(&(a.started, b.folder.id())));
        Ok(found)
    }

    fn collect(&self, within: &Path, found: &mut Vec<SwarmEntry>) -> Result<(), StateError> {
        let dir = self.dir.join(within);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StateError::io("list", &dir, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| StateError::io("list", &dir, error))?;
            let name = entry.file_name();
            let Some(level) = name.to_str() else { continue };
            // The type of a link is not that of what it leads to: links are nobody's swarm.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = within.join(level);
            // The longest id has four levels; nothing that we made goes deeper.
            if encoding::goes_on(level) && path.components().count() < 5 {
                self.collect(&path, found)?;
            } else if let Some(id) = decode(&path) {
                let folder = self.folder(&id)?;
                if folder.exists() {
                    let started = folder.holder().map(|holder| holder.since);
                    found.push(SwarmEntry { folder, started });
                }
            }
        }
        Ok(())
    }

    /// The swarm that a command is about: the one named, else the only one, else the one started last (and a note
    /// that says so).
    ///
    /// ```
    /// use meshwork::state::StateError;
    /// use meshwork::state::StateRoot;
    /// use std::time::SystemTime;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let folder = StateRoot::new(dir.path()).folder("nightly")?;
    /// let root = StateRoot::new(dir.path());
    /// assert!(matches!(root.choose(None), Err(StateError::NoSwarm { .. })));
    /// let _lock = folder.lock(SystemTime::now())?;
    /// assert_eq!(root.choose(Some("nightly"))?.folder.id(), "nightly");
    /// let unknown = root.choose(Some("weekly")).err().expect("there is no such swarm");
    /// assert!(matches!(unknown, StateError::UnknownSwarm { known, .. } if known == ["nightly"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StateError::UnknownSwarm`], [`StateError::NoSwarm`], and those of [`StateRoot::swarms`].
    pub fn choose(&self, swarm: Option<&str>) -> Result<Chosen, StateError> {
        if let Some(id) = swarm {
            let folder = self.folder(id)?;
            if folder.exists() {
                return Ok(Chosen { folder, note: None });
            }
            let known: Vec<_> = self.swarms()?.into_iter().map(|entry| entry.folder.id).collect();
            return Err(StateError::UnknownSwarm { id: id.to_owned(), dir: self.dir.clone(), known });
        }
        let swarms = self.swarms()?;
        let count = swarms.len();
        let Some(newest) = swarms.into_iter().next() else {
            return Err(StateError::NoSwarm { dir: self.dir.clone() });
        };
        let folder = newest.folder;
        let note = (count > 1).then(|| {
            let id = folder.id();
            format!("{count} swarms in {}; this is {id:?}, started last (choose with --swarm)", self.dir.display())
        });
        Ok(Chosen { folder, note })
    }
}
