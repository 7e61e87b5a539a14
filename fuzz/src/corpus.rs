//! The kept corpus: one folder a target, one file an input. Everything that was ever found stays here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Where the corpus lies.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target with their names, sorted by name; none when there is no folder.
///
/// # Errors
/// What the system says of a folder that is there.
pub fn named(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let entries = match fs::read_dir(folder().join(target)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut inputs = Vec::new();
    for entry in entries {
        let entry = entry?;
        inputs.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    inputs.sort();
    Ok(inputs)
}

/// The inputs of a target.
///
/// # Errors
/// As [`named`].
pub fn inputs(target: &str) -> io::Result<Vec<Vec<u8>>> {
    Ok(named(target)?.into_iter().map(|(_, bytes)| bytes).collect())
}

/// Keeps an input under a name that says what it is.
///
/// # Errors
/// What the system says.
pub fn keep(target: &str, what: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let folder = folder().join(target);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{what}-{:08x}", xxh3_64(bytes) >> 32));
    fs::write(&path, bytes)?;
    Ok(path)
}
