//! Thousands of images: recordings until there are enough, images at every point of each, all of them checked.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tempfile::TempDir;

use crate::check::{Checker, Fault, Promises, lay_out};
use crate::disk::{Disk, Fate, Image, Losses};
use crate::random::Random;
use crate::tape::{Honest, Step};
use crate::workload::{DATABASE, Kind, Recording, record};

/// The recording of a failure within its folder.
const RECORDING: &str = "recording";
/// Points at which images of a heavy recording are made: an image of it is some 20 MB.
const HEAVY_POINTS: usize = 48;
/// A heavy recording and a migration come with the first of every so many rounds.
const SPECIAL_EVERY: u64 = 8;
/// Images of one point in a hundred that come with a leftover of shared memory.
const LEFTOVER_PERCENT: u64 = 10;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// Rounds of recordings follow until there were so many images.
    pub images: u64,
    /// The most images of one point.
    pub per_point: u64,
    /// The first recording's seed.
    pub seed: u64,
    /// How the disk behaves.
    pub honest: Honest,
}

/// What was done, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Lives of a log.
    pub recordings: u64,
    /// Writes, syncs, names and whatever else was recorded.
    pub steps: u64,
    /// Points of those at which the power was cut.
    pub points: u64,
    /// Different images; each was opened, compared, written to and opened again.
    pub images: u64,
    /// What these images lack.
    pub losses: Losses,
    /// Images that lack something which was promised, or do not open.
    pub found: u64,
    /// The first of each recording.
    pub failures: Vec<Failure>,
}

/// An image that is not as it must be.
#[derive(Debug)]
pub struct Failure {
    /// The recording's seed.
    pub seed: u64,
    /// The kind of recording.
    pub kind: Kind,
    /// The number of the last step before the power was cut.
    pub point: usize,
    /// Which of the images of that point.
    pub variant: u64,
    /// What is wrong.
    pub fault: Fault,
    /// Holds the recording and the image, for [`replay`]. `None` if losses were expected.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kind, point, variant, fault, kept } = self;
        write!(out, "seed {seed} ({kind:?}), point {point}, variant {variant}: {fault}")?;
        let Some(folder) = kept else { return Ok(()) };
        let folder = folder.display();
        write!(out, "\n  the image is in {folder}/image; replay it with\n  ")?;
        write!(out, "MESHWORK_REPLAY={folder}:{point}:{variant} cargo test -p meshwork-powerloss nothing_that_was")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recordings, steps, points, images, losses, found, .. } = self;
        let Losses { writes, torn_writes, torn_sectors, truncations, names } = losses;
        write!(
            out,
            "power-loss images: {images} of {points} points in {recordings} recordings ({steps} steps); dropped: \
             {writes} writes, {truncations} truncations, {names} names; torn: {torn_writes} writes, {torn_sectors} \
             sectors; losses found: {found}"
        )
    }
}

impl Campaign {
    /// Runs it on all cores.
    ///
    /// # Panics
    /// If the log misbehaves while the power is on, or a folder can't be made.
    #[must_use]
    pub fn run(&self) -> Report {
        let mut report = Report::default();
        let place = Place::new();
        for round in 0.. {
            if report.images >= self.images {
                break;
            }
            let seed = self.seed + round * 4;
            let first = self.life(&place, seed, Kind::Life, Image::new(), &mut report);
            if self.honest != Honest::Always {
                // One life shows whether losses are found; a damaged image is none to start from.
                continue;
            }
            self.life(&place, seed + 1, Kind::Life, some_image(&first), &mut report);
            if round % SPECIAL_EVERY == 0 {
                self.life(&place, seed + 2, Kind::Migration, Image::new(), &mut report);
                self.life(&place, seed + 3, Kind::Heavy, Image::new(), &mut report);
            }
        }
        report
    }

    fn life(&self, place: &Place, seed: u64, kind: Kind, initial: Image, report: &mut Report) -> Recording {
        let recording = record(&place.folder("recording"), seed, kind, initial, self.honest);
        self.check(place, &recording, report);
        recording
    }

    /// Checks images of all points of `recording`, the points divided between the cores.
    fn check(&self, place: &Place, recording: &Recording, report: &mut Report) {
        report.recordings += 1;
        report.steps += recording.steps.len() as u64;
        let points = points(recording);
        let per_point = if recording.kind == Kind::Heavy { self.per_point.min(3) } else { self.per_point };
        let report = Mutex::new(report);
        let first = Mutex::new(None::<(usize, u64, Fault)>);
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            for worker in 0..workers {
                let (report, first, points) = (&report, &first, &points);
                scope.spawn(move || {
                    let checker = Checker::new(&place.folder(&format!("image-{worker}")));
                    let mut sweep = Sweep::new(recording);
                    for point in points.iter().copied().skip(worker).step_by(workers) {
                        sweep.advance(point);
                        let seen = sweep.images(point, per_point, &checker);
                        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                        report.points += 1;
                        for (variant, losses, result) in seen {
                            report.images += 1;
                            report.losses += losses;
                            let Err(fault) = result else { continue };
                            report.found += 1;
                            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                            if first.as_ref().is_none_or(|(earlier, ..)| point < *earlier) {
                                *first = Some((point, variant, fault));
                            }
                        }
                    }
                });
            }
        });
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((point, variant, fault)) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let kept = (self.honest == Honest::Always).then(|| keep(recording, point, variant));
            let Recording { seed, kind, .. } = *recording;
            report.failures.push(Failure { seed, kind, point, variant, fault, kept });
        }
    }
}

/// Runs one image of a kept recording again. `failure` is `FOLDER:POINT:VARIANT`, as a [`Failure`] shows it.
///
/// # Errors
/// What is wrong with the image.
///
/// # Panics
/// If `failure` does not lead to a recording.
pub fn replay(failure: &str) -> Result<(), Fault> {
    let mut parts = failure.rsplitn(3, ':');
    let variant = parts.next().and_then(|part| part.parse().ok()).expect("FOLDER:POINT:VARIANT");
    let point = parts.next().and_then(|part| part.parse().ok()).expect("FOLDER:POINT:VARIANT");
    let folder = Path::new(parts.next().expect("FOLDER:POINT:VARIANT"));
    let bytes = fs::read(folder.join(RECORDING)).expect("a recording that was kept");
    let recording: Recording = postcard::from_bytes(&bytes).expect("a recording that was kept");
    let place = Place::new();
    let mut sweep = Sweep::new(&recording);
    sweep.advance(point);
    let (_, image) = sweep.image(point, variant);
    Checker::new(&place.folder("image")).check(&image, &sweep.promises, &recording.truth)
}

/// The steps after which the power is cut: each that is followed by another (what was told in between counts as
/// promised), and the last.
fn points(recording: &Recording) -> Vec<usize> {
    let is_mark = |step: Option<&Step>| matches!(step, Some(Step::Mark(_)));
    let steps = &recording.steps;
    let all: Vec<usize> = (0..steps.len()).filter(|number| !is_mark(steps.get(number + 1))).collect();
    if recording.kind == Kind::Heavy {
        let stride = all.len().div_ceil(HEAVY_POINTS);
        return all.into_iter().step_by(stride).collect();
    }
    all
}

/// A recording up to a point that only moves on.
struct Sweep<'a> {
    recording: &'a Recording,
    disk: Disk<'a>,
    promises: Promises,
    next: usize,
}

impl<'a> Sweep<'a> {
    fn new(recording: &'a Recording) -> Self {
        Self { disk: Disk::new(&recording.initial), promises: Promises::default(), next: 0, recording }
    }

    fn advance(&mut self, point: usize) {
        for (number, step) in self.recording.steps.iter().enumerate().take(point + 1).skip(self.next) {
            self.disk.perform(number, step);
            if let Step::Mark(mark) = step {
                self.promises.add(mark, &self.recording.truth);
            }
        }
        self.next = point + 1;
    }

    /// An image of this point, with the fates that lead to it.
    fn image(&self, point: usize, variant: u64) -> (Vec<Fate>, Image) {
        let mut random = Random::of(&[self.recording.seed, point as u64, variant]);
        let fates = self.disk.fates(variant, &mut random);
        let mut image = self.disk.image(&fates);
        if image.contains_key(DATABASE) && random.chance(LEFTOVER_PERCENT) {
            // Shared memory is a file too, and it means nothing after a power cut.
            let leftover = (0..4096).flat_map(|_| random.next().to_le_bytes()).collect();
            image.insert(format!("{DATABASE}-shm"), leftover);
        }
        (fates, image)
    }

    fn images(&self, point: usize, most: u64, checker: &Checker) -> Vec<(u64, Losses, Result<(), Fault>)> {
        let most = if self.disk.pending().len() == 0 { 1 } else { most };
        let mut seen = HashSet::new();
        let mut images = Vec::new();
        // With little pending, a draw may repeat an earlier one.
        for variant in 0..most * 2 {
            if images.len() as u64 == most {
                break;
            }
            let (fates, image) = self.image(point, variant);
            let losses = self.disk.losses(&fates);
            if seen.insert(fates) {
                images.push((variant, losses, checker.check(&image, &self.promises, &self.recording.truth)));
            }
        }
        images
    }
}

/// An image from the second half of a recording, from which another one starts.
fn some_image(recording: &Recording) -> Image {
    let points = points(recording);
    let mut random = Random::of(&[recording.seed, 2]);
    let point = points[points.len() / 2 + random.index(points.len() / 2)];
    let mut sweep = Sweep::new(recording);
    sweep.advance(point);
    let mut image = sweep.image(point, 2 + random.below(100)).1;
    image.retain(|name, _| !name.ends_with("-shm"));
    image
}

fn keep(recording: &Recording, point: usize, variant: u64) -> PathBuf {
    let write = || -> io::Result<PathBuf> {
        let folder = tempfile::Builder::new().prefix("meshwork-powerloss-").tempdir()?.keep();
        let bytes = postcard::to_stdvec(recording).map_err(io::Error::other)?;
        fs::write(folder.join(RECORDING), bytes)?;
        fs::create_dir(folder.join("image"))?;
        let mut sweep = Sweep::new(recording);
        sweep.advance(point);
        lay_out(&folder.join("image"), &sweep.image(point, variant).1);
        Ok(folder)
    };
    write().expect("room for what failed")
}

/// Folders in memory where the system has some, since an image is only looked at once.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let builder = tempfile::Builder::new();
        let root = builder.tempdir_in(memory).or_else(|_| builder.tempdir()).expect("a temporary folder");
        Self { root }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.root.path().join(name);
        fs::create_dir_all(&folder).expect("a folder of our own");
        folder.canonicalize().expect("a folder of our own")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_kept_and_fails_again() {
        let place = Place::new();
        let recording = record(&place.folder("recording"), 1, Kind::Life, Image::new(), Honest::NotForWal);
        let mut report = Report::default();
        let campaign = Campaign { images: 1, per_point: 1, seed: 1, honest: Honest::NotForWal };
        campaign.check(&place, &recording, &mut report);
        let Failure { point, variant, fault, .. } = report.failures.pop().expect("a loss is found");
        let folder = keep(&recording, point, variant);
        assert!(folder.join("image").join(DATABASE).exists());
        assert_eq!(replay(&format!("{}:{point}:{variant}", folder.display())), Err(fault));
        fs::remove_dir_all(folder).expect("a folder of our own");
    }

    #[test]
    fn the_power_is_cut_after_each_step_with_all_that_was_told_by_then() {
        let place = Place::new();
        let recording = record(&place.folder("recording"), 2, Kind::Migration, Image::new(), Honest::Always);
        let points = points(&recording);
        let steps = recording.steps.iter().filter(|step| !matches!(step, Step::Mark(_))).count();
        assert_eq!(points.len(), steps);
        assert_eq!(points.last(), Some(&(recording.steps.len() - 1)));
    }
}
