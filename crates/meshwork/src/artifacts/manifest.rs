//! Which key means which content: a file of lines to which every change is appended.
//!
//! A line is `<checksum> <JSON>`. One append and one sync make a change durable; a line that a crash cut short is the
//! last one and is dropped, any other line that is wrong means damage. Opening rewrites a file that is mostly past.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{ArtifactError, ArtifactInfo};

/// Hexadecimal digits of a line's checksum.
const SUM: usize = 16;
/// A manifest is rewritten when it has this many lines and most of them are past.
const REWRITE_LINES: usize = 1000;

/// One change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    key: String,
    /// Absent when the key was deleted.
    content: Option<Content>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    digest: String,
    size: u64,
    stored_ms: u64,
}

/// All keys, and the file that keeps them.
#[derive(Debug)]
pub(super) struct Manifest {
    path: PathBuf,
    /// `None` when opened for reading.
    file: Option<File>,
    length: u64,
    keys: BTreeMap<String, ArtifactInfo>,
    /// How many keys mean each content, or are about to.
    uses: BTreeMap<String, usize>,
    stopped: bool,
}

/// What is left over after a change.
pub(super) struct Unused(pub(super) Option<String>);

impl Manifest {
    /// Reads the manifest at `path`. For writing it is created, and a line that a crash cut short is cut off.
    pub(super) fn open(path: &Path, write: bool) -> Result<Self, ArtifactError> {
        let mut manifest = Self {
            path: path.to_owned(),
            file: None,
            length: 0,
            keys: BTreeMap::new(),
            uses: BTreeMap::new(),
            stopped: false,
        };
        let lines = manifest.load()?;
        if write {
            if lines > REWRITE_LINES && lines > 2 * manifest.keys.len() {
                manifest.rewrite()?;
            }
            manifest.open_file()?;
        }
        Ok(manifest)
    }

    fn load(&mut self) -> Result<usize, ArtifactError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(ArtifactError::io("read", &self.path, error)),
        };
        let mut lines = 0;
        for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = raw.strip_suffix(b"\n");
            match whole.and_then(parse) {
                Some(line) => self.apply(line),
                // Only the line that was being written can be incomplete.
                None if self.length + raw.len() as u64 == bytes.len() as u64 && whole.is_none() => {
                    break;
                }
                None => {
                    let what = format!("line {} does not match its checksum", lines + 1);
                    return Err(ArtifactError::Damaged { what, path: self.path.clone() });
                }
            }
            lines += 1;
            self.length += raw.len() as u64;
        }
        Ok(lines)
    }

    fn open_file(&mut self) -> Result<(), ArtifactError> {
        let open = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits()).open(&self.path)?;
            file.set_len(self.length)?;
            file.sync_all()?;
            sync_folder_of(&self.path)?;
            Ok(file)
        };
        let file = open().map_err(|error: std::io::Error| ArtifactError::io("open", &self.path, error))?;
        self.file = Some(file);
        Ok(())
    }

    fn rewrite(&mut self) -> Result<(), ArtifactError> {
        let new = self.path.with_extension("new");
        let mut text = Vec::new();
        for info in self.keys.values() {
            text.extend(line_of(&info.key, Some(info)));
        }
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            sync_folder_of(&self.path)
        };
        write().map_err(|error: std::io::Error| ArtifactError::io("rewrite", &self.path, error))?;
        self.length = text.len() as u64;
        Ok(())
    }

    /// Makes `key` mean what `info` says, durably; answers which content is not used any more.
    pub(super) fn set(&mut self, info: ArtifactInfo) -> Result<Unused, ArtifactError> {
        self.append(&line_of(&info.key, Some(&info)))?;
        Ok(self.put(info))
    }

    /// Forgets `key`, durably.
    pub(super) fn remove(&mut self, key: &str) -> Result<Unused, ArtifactError> {
        self.append(&line_of(key, None))?;
        Ok(self.forget(key))
    }

    pub(super) fn get(&self, key: &str) -> Option<&ArtifactInfo> {
        self.keys.get(key)
    }

    pub(super) fn list(&self, prefix: &str) -> Vec<ArtifactInfo> {
        let from = self.keys.range(prefix.to_owned()..);
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        matching.map(|(_, info)| info.clone()).collect()
    }

    /// Whether some key means the content `digest`.
    pub(super) fn uses(&self, digest: &str) -> bool {
        self.uses.contains_key(digest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn append(&mut self, line: &[u8]) -> Result<(), ArtifactError> {
        let path = self.path.clone();
        if self.stopped {
            return Err(ArtifactError::Stopped { path });
        }
        let Some(file) = &self.file else {
            return Err(ArtifactError::ReadOnly { path });
        };
        if let Err(error) = file.write_all_at(line, self.length) {
            // Part of the line may be there; without it the file is as it was.
            self.stopped = file.set_len(self.length).is_err();
            return Err(ArtifactError::io("write", &path, error));
        }
        if let Err(error) = file.sync_data() {
            // After a failed sync nobody knows what the disk has.
            self.stopped = true;
            return Err(ArtifactError::io("sync", &path, error));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    fn apply(&mut self, line: Line) {
        match line.content {
            Some(content) => {
                self.put(ArtifactInfo {
                    key: line.key,
                    size: content.size,
                    digest: content.digest,
                    stored: UNIX_EPOCH + Duration::from_millis(content.stored_ms),
                });
            }
            None => {
                self.forget(&line.key);
            }
        }
    }

    fn put(&mut self, info: ArtifactInfo) -> Unused {
        *self.uses.entry(info.digest.clone()).or_default() += 1;
        let former = self.keys.insert(info.key.clone(), info);
        self.release(former)
    }

    fn forget(&mut self, key: &str) -> Unused {
        let former = self.keys.remove(key);
        self.release(former)
    }

    fn release(&mut self, former: Option<ArtifactInfo>) -> Unused {
        match former {
            Some(info) => self.let_go(info.digest),
            None => Unused(None),
        }
    }

    /// Keeps a content that is being put in place from being removed; answers whether it was in use before.
    pub(super) fn hold(&mut self, digest: &str) -> bool {
        let uses = self.uses.entry(digest.to_owned()).or_default();
        *uses += 1;
        *uses > 1
    }

    /// The end of [`Manifest::hold`].
    pub(super) fn let_go(&mut self, digest: String) -> Unused {
        match self.uses.get_mut(&digest) {
            Some(uses) if *uses > 1 => {
                *uses -= 1;
                Unused(None)
            }
            _ => {
                self.uses.remove(&digest);
                Unused(Some(digest))
            }
        }
    }
}

/// The present time as artifacts have it: whole milliseconds.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis(SystemTime::now()))
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn line_of(key: &str, info: Option<&ArtifactInfo>) -> Vec<u8> {
    let content =
        info.map(|info| Content { digest: info.digest.clone(), size: info.size, stored_ms: millis(info.stored) });
    let key = key.to_owned();
    let json = serde_json::to_string(&Line { key, content }).expect("strings and numbers are always JSON");
    format!("{} {json}\n", sum_of(json.as_bytes())).into_bytes()
}

pub(super) fn parse(line: &[u8]) -> Option<Line> {
    let (sum, json) = line.split_at_checked(SUM)?;
    let json = json.strip_prefix(b" ")?;
    if sum_of(json).as_bytes() != sum {
        return None;
    }
    let line: Line = serde_json::from_slice(json).ok()?;
    let known = line.content.as_ref().is_none_or(|content| super::blobs::is_digest(&content.digest));
    (known && super::check_key(&line.key).is_ok()).then_some(line)
}

pub(super) fn sum_of(json: &[u8]) -> String {
    blake3::hash(json).to_hex()[..SUM].to_owned()
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
