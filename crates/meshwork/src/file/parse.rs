//! Reading a swarm file: bytes, text, tree, model, checks; each step refuses what it cannot pass on.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::decode;
use super::error::{Code, FileError};
use super::findings::{Finding, Findings};
use super::model::SwarmFile;
use super::{tree, validate};

/// Largest swarm file, in bytes. A million tasks with all their keys fit several times over.
pub const MAX_FILE_BYTES: u64 = 512 << 20;

/// The three ways to write a swarm file.
///
/// ```
/// use meshwork::file::{Format, parse};
///
/// let yaml = "peers: [{id: ada}]\ntasks: [{id: build, run: make}]\n";
/// assert_eq!(parse(yaml, Format::Yaml, "nightly.yaml")?.swarm.id, "nightly", "the file's name");
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML, `.toml`.
    Toml,
    /// YAML, `.yaml` or `.yml`.
    Yaml,
    /// JSON, `.json`.
    Json,
}

impl Format {
    /// The format by the path's ending, in any case of letters.
    ///
    /// ```
    /// use meshwork::file::Format;
    /// use std::path::Path;
    ///
    /// assert_eq!(Format::from_path(Path::new("swarm.YML")), Some(Format::Yaml));
    /// assert_eq!(Format::from_path(Path::new("swarm.txt")), None);
    /// ```
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Reads, decodes and validates the swarm file at `path`. Nothing is changed by it.
///
/// ```
/// use meshwork::file::load;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("nightly.toml");
/// std::fs::write(&path, meshwork::file::template())?;
/// let file = load(&path)?;
/// assert!(!file.peers.is_empty() && !file.tasks.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Everything that is wrong with the file (see [`Code`]), in its order, with lines.
pub fn load(path: &Path) -> Result<SwarmFile, FileError> {
    let name = path.display().to_string();
    let bytes = read_bounded(path)?;
    let Some(format) = Format::from_path(path) else {
        let finding = Finding::new(Code::UnknownFormat, None, "unknown file ending");
        return Err(only(&name, "", finding.expected("a name that ends in .toml, .yaml, .yml or .json")));
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let before = String::from_utf8_lossy(&bytes[..valid]);
        let found = format!("the byte 0x{:02x}", bytes[valid]);
        let at = u32::try_from(valid).ok();
        let finding = Finding::new(Code::InvalidUtf8, at, "the file is not UTF-8");
        only(&name, &before, finding.found(found).expected("UTF-8 text"))
    })?;
    parse(&text, format, &name)
}

/// Decodes and validates a swarm file's text. `name` is what errors call the file; its stem is the
/// default of the swarm's id.
///
/// ```
/// use meshwork::file::{Code, Format, parse};
///
/// let text = "[[peers]]\nid = \"ada\"\n[[tasks]]\nid = \"build\"\nrun = \"make\"\npriority = 11\n";
/// let error = parse(text, Format::Toml, "swarm.toml").expect_err("priorities go from 1 to 10");
/// assert_eq!((error.code(), error.line()), (Code::PriorityOutOfRange, Some(6)));
/// ```
///
/// # Errors
/// Everything that is wrong with the text (see [`Code`]), in its order, with lines.
pub fn parse(text: &str, format: Format, name: &str) -> Result<SwarmFile, FileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(only(name, "", too_large(text.len() as u64)));
    }
    let root = match format {
        Format::Toml => tree::from_toml(text),
        Format::Yaml => tree::from_yaml(text),
        Format::Json => tree::from_json(text),
    };
    let root = root.map_err(|finding| only(name, text, finding))?;
    let mut findings = Findings::default();
    let (mut file, places) = decode::swarm_file(root, &mut findings);
    findings.into_result(name, text)?;

    complete(&mut file, name);
    let mut findings = Findings::default();
    validate::all(&file, &places, &mut findings);
    findings.into_result(name, text)?;
    Ok(file)
}

/// Applies the defaults that depend on other parts, and drops names that a list has twice.
fn complete(file: &mut SwarmFile, name: &str) {
    if file.swarm.id.is_empty() {
        let stem = Path::new(name).file_stem().unwrap_or_default();
        file.swarm.id = stem.to_string_lossy().into_owned();
    }
    if file.swarm.max_agents.is_none() {
        file.swarm.max_agents = u32::try_from(file.peer_count().max(1)).ok();
    }
    for peer in &mut file.peers {
        drop_repeated(&mut peer.capabilities);
    }
    for task in &mut file.tasks {
        drop_repeated(&mut task.required_capabilities);
        drop_repeated(&mut task.dependencies);
    }
}

fn drop_repeated(names: &mut Vec<String>) {
    if names.len() < 2 {
        return;
    }
    let mut seen = HashSet::with_capacity(names.len());
    let keep: Vec<bool> = names.iter().map(|name| seen.insert(name.as_str())).collect();
    let mut keep = keep.into_iter();
    names.retain(|_| keep.next().unwrap_or(true));
}

/// The file's bytes. Its size is looked at first, and no more than the limit is read even if it
/// grows meanwhile.
fn read_bounded(path: &Path) -> Result<Vec<u8>, FileError> {
    let name = path.display().to_string();
    let refused = |error: io::Error| {
        let (code, message) = match error.kind() {
            io::ErrorKind::NotFound => (Code::FileNotFound, "no such file".to_owned()),
            _ => (Code::Unreadable, format!("the file could not be read: {error}")),
        };
        only(&name, "", Finding::new(code, None, message))
    };
    let metadata = std::fs::metadata(path).map_err(refused)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a device, pipe or socket" };
        let finding = Finding::new(Code::NotAFile, None, "not a swarm file");
        let finding = finding.found(found).expected("a regular file");
        return Err(only(&name, "", finding));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(only(&name, "", too_large(metadata.len())));
    }
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    match bytes.len() as u64 {
        length if length > MAX_FILE_BYTES => Err(only(&name, "", too_large(length))),
        _ => Ok(bytes),
    }
}

fn too_large(bytes: u64) -> Finding {
    Finding::new(Code::FileTooLarge, None, "the file is too large")
        .found(format!("{bytes} bytes"))
        .expected(format!("at most {MAX_FILE_BYTES} bytes (512 MiB)"))
}

/// An error of one problem.
fn only(file: &str, text: &str, finding: Finding) -> FileError {
    FileError::new(finding.into_problem(file, text), Vec::new(), 0)
}
