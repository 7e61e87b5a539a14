//! 64 KiB stored durably and read back, beside what bare files take for the same (write, fdatasync, rename, fsync of the
//! folder, read) and one commit of the disk (4 KiB appended, fdatasync).

use super::Setting;
use super::measure::{Figure, milliseconds, percentiles};
use super::swarm::{block_on, empty};
use meshwork::artifacts::{Artifacts, FolderArtifacts};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

const BYTES: usize = 64 * 1024;
/// Artifacts of each run.
const ARTIFACTS: u32 = 500;

/// Of one run, in ms.
#[derive(Default)]
struct Samples {
    stored: Vec<f64>,
    read: Vec<f64>,
    both: Vec<f64>,
    bare: Vec<f64>,
    commit: Vec<f64>,
}

pub(super) fn artifacts(setting: &Setting) -> Result<Vec<Figure>, String> {
    let mut runs = Vec::new();
    for run in 0..=setting.runs {
        let dir = empty(&setting.dir, "artifacts")?;
        let samples = block_on(round(&dir, run, setting.tasks.unwrap_or(ARTIFACTS)))?;
        if run > 0 {
            runs.push(samples);
        }
    }
    // One percentile is held against the same one of the reference.
    let against = |figures: [Figure; 3], name: &str, reference: &[Figure; 3]| {
        let pairs = figures.into_iter().zip(reference);
        pairs.map(|(figure, reference)| figure.against(name, reference.median)).collect::<Vec<_>>()
    };
    let of_all = |name: &str, which: fn(&Samples) -> &Vec<f64>| {
        let runs: Vec<Vec<f64>> = runs.iter().map(|run| which(run).clone()).collect();
        percentiles(name, &runs)
    };
    let bare = of_all("64 KiB in a bare file, synced, renamed, synced and read", |run| &run.bare);
    let both = of_all("64 KiB artifact stored durably and read back", |run| &run.both);
    let commit = of_all("4 KiB appended and synced: one commit of this disk", |run| &run.commit);
    let mut figures = against(both, "a bare file, synced, renamed, synced and read", &bare);
    let stored = of_all("64 KiB artifact stored durably", |run| &run.stored);
    figures.extend(against(stored, "one commit of this disk", &commit));
    figures.extend(of_all("64 KiB artifact read back, its digest checked", |run| &run.read));
    figures.extend(bare);
    figures.extend(commit);
    Ok(figures)
}

/// In turn, so that all meet the same disk.
async fn round(dir: &Path, run: u32, count: u32) -> Result<Samples, String> {
    let store = FolderArtifacts::open(dir.join("store")).map_err(|error| error.to_string())?;
    let folder = empty(dir, "bare")?;
    let mut appended = File::create(dir.join("appended")).map_err(|error| error.to_string())?;
    let mut samples = Samples::default();
    for number in 0..count {
        let content = content(run, number);
        let (key, bytes) = (format!("results/{number}"), content.clone().into());
        let started = Instant::now();
        store.store(&key, bytes).await.map_err(|error| error.to_string())?;
        let stored = Instant::now();
        let back = store.retrieve(&key).await.map_err(|error| error.to_string())?;
        let read = Instant::now();
        if back != content {
            return Err(format!("{key} came back with other bytes"));
        }
        samples.stored.push(milliseconds(stored.duration_since(started)));
        samples.read.push(milliseconds(read.duration_since(stored)));
        samples.both.push(milliseconds(read.duration_since(started)));
        let started = Instant::now();
        bare(&folder, &format!("result-{number}"), &content).map_err(|error| error.to_string())?;
        samples.bare.push(milliseconds(started.elapsed()));
        let started = Instant::now();
        let committed = appended.write_all(&content[..4096]).and_then(|()| appended.sync_data());
        committed.map_err(|error| error.to_string())?;
        samples.commit.push(milliseconds(started.elapsed()));
    }
    Ok(samples)
}

fn bare(folder: &Path, name: &str, content: &[u8]) -> std::io::Result<()> {
    let (new, place) = (folder.join("new"), folder.join(name));
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&new, &place)?;
    File::open(folder)?.sync_all()?;
    if fs::read(&place)? == content { Ok(()) } else { Err(std::io::Error::other("the file has other bytes")) }
}

/// Different each time: contents that are there already are not written again. (A linear congruence; Knuth, MMIX.)
fn content(run: u32, number: u32) -> Vec<u8> {
    let mut state = u64::from(run) << 32 | u64::from(number);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    };
    (0..BYTES / 8).flat_map(|_| next()).collect()
}
