//! The model of a disk: what is durable, and what a power cut may or may not have left of the rest.

use std::collections::BTreeMap;

use crate::random::Random;
use crate::tape::{FileId, Step};

/// Files by name, as a power cut left them.
pub type Image = BTreeMap<String, Vec<u8>>;

/// A disk at one point of a recording.
#[derive(Debug)]
pub struct Disk<'a> {
    contents: BTreeMap<FileId, Vec<u8>>,
    names: BTreeMap<String, FileId>,
    /// What is not durable, in the order in which it was done, with its place in the recording.
    pending: Vec<(usize, &'a Step)>,
}

/// What became of one step that was not durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is on the disk as a whole.
    Kept,
    /// Nothing of it is.
    Lost,
    /// A write of which each sector went its own way.
    Torn {
        /// Bytes of a sector: 512 or 4,096.
        sector: u64,
        /// What became of the sectors that it touches, in order.
        parts: Vec<Part>,
    },
}

/// What became of the part of a write that lies in one sector. Bytes outside of what was written never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// It is on the disk.
    New,
    /// The disk has what it had.
    Old,
    /// Only this many first bytes are on the disk (or all, if the part has no more).
    Begun(u16),
    /// The disk has bytes that nobody wrote, which follow from this number.
    Noise(u64),
}

/// What an image lost, in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Writes of which nothing is on the disk.
    pub writes: u64,
    /// Writes of which a part is.
    pub torn_writes: u64,
    /// Sectors of those that are not as they were written.
    pub torn_sectors: u64,
    /// Changes of a file's length that did not happen.
    pub truncations: u64,
    /// Names that were not made, changed or removed.
    pub names: u64,
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.torn_writes += other.torn_writes;
        self.torn_sectors += other.torn_sectors;
        self.truncations += other.truncations;
        self.names += other.names;
    }
}

impl<'a> Disk<'a> {
    /// A disk on which `initial` is durable. Files are numbered in the order of their names.
    #[must_use]
    pub fn new(initial: &Image) -> Self {
        Self {
            contents: initial.values().cloned().enumerate().collect(),
            names: initial.keys().cloned().enumerate().map(|(file, name)| (name, file)).collect(),
            pending: Vec::new(),
        }
    }

    /// Takes over step number `number` of the recording.
    pub fn perform(&mut self, number: usize, step: &'a Step) {
        let now_durable: &dyn Fn(&Step) -> bool = match step {
            Step::Mark(_) => return,
            Step::Sync { file, .. } => &move |step| content_of(step) == Some(*file),
            Step::SyncFolder { .. } => &|step| content_of(step).is_none(),
            _ => {
                self.pending.push((number, step));
                return;
            }
        };
        let (Step::Sync { covers, .. } | Step::SyncFolder { covers }) = step else { return };
        for (number, step) in std::mem::take(&mut self.pending) {
            if number < *covers && now_durable(step) {
                apply(step, &Fate::Kept, &mut self.contents, &mut self.names);
            } else {
                self.pending.push((number, step));
            }
        }
    }

    /// What is not durable, in the order in which it was done.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &'a Step> {
        self.pending.iter().map(|(_, step)| *step)
    }

    /// The files after a power cut with these fates, one for each of [`Disk::pending`].
    #[must_use]
    pub fn image(&self, fates: &[Fate]) -> Image {
        let (mut contents, mut names) = (self.contents.clone(), self.names.clone());
        for (step, fate) in self.pending().zip(fates) {
            apply(step, fate, &mut contents, &mut names);
        }
        // A name may be durable where nothing of the content is: then the file is empty.
        names.into_iter().map(|(name, file)| (name, contents.get(&file).cloned().unwrap_or_default())).collect()
    }

    /// What was lost with these fates.
    #[must_use]
    pub fn losses(&self, fates: &[Fate]) -> Losses {
        let mut losses = Losses::default();
        for (step, fate) in self.pending().zip(fates) {
            match (step, fate) {
                (_, Fate::Kept) => {}
                (_, Fate::Torn { parts, .. }) => {
                    losses.torn_writes += 1;
                    losses.torn_sectors += parts.iter().filter(|part| **part != Part::New).count() as u64;
                }
                (Step::Write { .. }, Fate::Lost) => losses.writes += 1,
                (Step::Truncate { .. }, Fate::Lost) => losses.truncations += 1,
                (_, Fate::Lost) => losses.names += 1,
            }
        }
        losses
    }

    /// Fates for what is pending. The first three variants are: all lost, all kept, and a prefix whose last write is
    /// torn; those that follow are drawn in different manners. The same random numbers give the same fates.
    #[must_use]
    pub fn fates(&self, variant: u64, random: &mut Random) -> Vec<Fate> {
        let pending: Vec<&Step> = self.pending().collect();
        match variant {
            0 => vec![Fate::Lost; pending.len()],
            1 => vec![Fate::Kept; pending.len()],
            2 => prefix(&pending, random),
            _ => match random.below(6) {
                0 => prefix(&pending, random),
                1 => each(&pending, random, 0),
                2 => each(&pending, random, 40),
                3 => of_each_file(&pending, random),
                4 => all_but_one(&pending, random),
                _ => only_names(&pending, random),
            },
        }
    }
}

/// The file whose content a step changes; `None` if it changes names.
fn content_of(step: &Step) -> Option<FileId> {
    match step {
        Step::Write { file, .. } | Step::Truncate { file, .. } => Some(*file),
        _ => None,
    }
}

fn apply(step: &Step, fate: &Fate, contents: &mut BTreeMap<FileId, Vec<u8>>, names: &mut BTreeMap<String, FileId>) {
    if *fate == Fate::Lost {
        return;
    }
    match step {
        Step::Write { file, offset, bytes } => {
            let content = contents.entry(*file).or_default();
            match fate {
                Fate::Torn { sector, parts } => {
                    for ((offset, bytes), part) in sectors(*offset, bytes, *sector).zip(parts) {
                        write_part(content, offset, bytes, *part);
                    }
                }
                _ => write(content, offset_in_memory(*offset), bytes),
            }
        }
        Step::Truncate { file, length } => contents.entry(*file).or_default().resize(offset_in_memory(*length), 0),
        Step::Create { file, name } => {
            names.insert(name.clone(), *file);
        }
        Step::Rename { file, from, to } => {
            if names.get(from) == Some(file) {
                names.remove(from);
            }
            names.insert(to.clone(), *file);
        }
        Step::Unlink { file, name } => {
            if names.get(name) == Some(file) {
                names.remove(name);
            }
        }
        Step::Sync { .. } | Step::SyncFolder { .. } | Step::Mark(_) => {}
    }
}

fn offset_in_memory(offset: u64) -> usize {
    usize::try_from(offset).expect("a file of a recording fits into memory")
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// The parts of a write by the sectors that it touches.
fn sectors(offset: u64, bytes: &[u8], sector: u64) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut at, mut rest) = (offset_in_memory(offset), bytes);
    let sector = offset_in_memory(sector);
    std::iter::from_fn(move || {
        let length = (sector - at % sector).min(rest.len());
        let (part, others) = rest.split_at_checked(length).filter(|(part, _)| !part.is_empty())?;
        let place = at;
        (at, rest) = (at + length, others);
        Some((place, part))
    })
}

fn write_part(content: &mut Vec<u8>, offset: usize, bytes: &[u8], part: Part) {
    match part {
        Part::New => write(content, offset, bytes),
        Part::Old => {}
        Part::Begun(length) => write(content, offset, &bytes[..usize::from(length).min(bytes.len())]),
        Part::Noise(seed) => {
            let mut random = Random::new(seed);
            let noise: Vec<u8> = bytes.iter().map(|_| random.next().to_le_bytes()[0]).collect();
            write(content, offset, &noise);
        }
    }
}

/// A write that is torn; anything else is kept or lost as a whole.
fn torn(step: &Step, random: &mut Random) -> Fate {
    let Step::Write { offset, bytes, .. } = step else {
        return if random.chance(50) { Fate::Kept } else { Fate::Lost };
    };
    let sector = if random.chance(50) { 512 } else { 4096 };
    let whole = random.below(100);
    let part = |random: &mut Random| match random.below(100) {
        kept if kept < whole => Part::New,
        _ => match random.below(8) {
            0 => Part::Noise(random.next()),
            1 | 2 => Part::Begun(u16::try_from(random.below(sector)).unwrap_or(0)),
            _ => Part::Old,
        },
    };
    let parts = sectors(*offset, bytes, sector).map(|_| part(random)).collect();
    Fate::Torn { sector, parts }
}

fn prefix(pending: &[&Step], random: &mut Random) -> Vec<Fate> {
    let kept = random.index(pending.len());
    let mut fates = vec![Fate::Lost; pending.len()];
    fates[..kept].fill(Fate::Kept);
    if let Some(step) = pending.get(kept) {
        fates[kept] = torn(step, random);
    }
    fates
}

fn each(pending: &[&Step], random: &mut Random, torn_percent: u64) -> Vec<Fate> {
    let kept = [5, 50, 95][random.index(3)];
    let fate = |step: &&Step| match step {
        step if random.chance(torn_percent) => torn(step, random),
        _ if random.chance(kept) => Fate::Kept,
        _ => Fate::Lost,
    };
    pending.iter().map(fate).collect()
}

/// Each file (and the folder) keeps a prefix of its own: all, none or some.
fn of_each_file(pending: &[&Step], random: &mut Random) -> Vec<Fate> {
    let mut left: BTreeMap<Option<FileId>, usize> = BTreeMap::new();
    for step in pending {
        *left.entry(content_of(step)).or_default() += 1;
    }
    for count in left.values_mut() {
        *count = match random.below(3) {
            0 => 0,
            1 => *count,
            _ => random.index(*count + 1),
        };
    }
    let fate = |step: &&Step| match left.get_mut(&content_of(step)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            Fate::Kept
        }
        _ => Fate::Lost,
    };
    pending.iter().map(fate).collect()
}

fn all_but_one(pending: &[&Step], random: &mut Random) -> Vec<Fate> {
    let (one, others) = if random.chance(50) { (Fate::Lost, Fate::Kept) } else { (Fate::Kept, Fate::Lost) };
    let mut fates = vec![others; pending.len()];
    let place = random.index(pending.len());
    if let Some(fate) = fates.get_mut(place) {
        *fate = one;
    }
    fates
}

/// Content is kept, names are drawn.
fn only_names(pending: &[&Step], random: &mut Random) -> Vec<Fate> {
    let fate = |step: &&Step| match content_of(step) {
        None if random.chance(50) => Fate::Lost,
        _ => Fate::Kept,
    };
    pending.iter().map(fate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        let write = |offset, byte| Step::Write { file: 0, offset, bytes: vec![byte; 4] };
        vec![
            Step::Create { file: 0, name: "a".to_owned() },
            write(0, 1),
            Step::Sync { file: 0, covers: 2 },
            write(4, 2),
            write(8, 3),
            Step::Truncate { file: 0, length: 6 },
            Step::Rename { file: 0, from: "a".to_owned(), to: "b".to_owned() },
        ]
    }

    fn disk(steps: &[Step]) -> Disk<'_> {
        let mut disk = Disk::new(&Image::new());
        for (number, step) in steps.iter().enumerate() {
            disk.perform(number, step);
        }
        disk
    }

    fn file(name: &str, content: &[u8]) -> Image {
        Image::from([(name.to_owned(), content.to_vec())])
    }

    #[test]
    fn what_was_synced_stays_and_any_part_of_the_rest_may_be_lost() {
        use Fate::{Kept, Lost};
        let steps = steps();
        let disk = disk(&steps);
        assert_eq!(disk.pending().len(), 5, "the name, two writes, the truncation, the new name");
        let image = |fates: [Fate; 5]| disk.image(&fates);
        assert_eq!(image([Lost, Lost, Lost, Lost, Lost]), Image::new(), "the name was never durable");
        assert_eq!(image([Kept, Lost, Lost, Lost, Lost]), file("a", &[1; 4]));
        assert_eq!(image([Kept, Kept, Kept, Kept, Kept]), file("b", &[1, 1, 1, 1, 2, 2]));
        assert_eq!(image([Lost, Lost, Kept, Lost, Kept]), file("b", &[1, 1, 1, 1, 0, 0, 0, 0, 3, 3, 3, 3]));
        let losses = disk.losses(&[Kept, Lost, Kept, Lost, Lost]);
        assert_eq!(losses, Losses { writes: 1, truncations: 1, names: 1, ..Losses::default() });
    }

    #[test]
    fn a_sync_covers_what_was_done_before_it_began() {
        let mut steps = steps();
        steps.push(Step::Sync { file: 0, covers: 4 });
        steps.push(Step::SyncFolder { covers: 6 });
        let disk = disk(&steps);
        let lost = vec![Fate::Lost; disk.pending().len()];
        assert_eq!(disk.image(&lost), file("a", &[1, 1, 1, 1, 2, 2, 2, 2]));
        assert_eq!(disk.pending().len(), 3, "a write, the truncation, the new name");
    }

    #[test]
    fn a_torn_write_goes_by_sectors_and_stays_in_its_range() {
        let before = file("a", &[9; 2048]);
        let step = Step::Write { file: 0, offset: 500, bytes: vec![1; 1100] };
        let mut disk = Disk::new(&before);
        disk.perform(0, &step);
        let parts = vec![Part::New, Part::Begun(3), Part::Old, Part::Noise(1)];
        let fates = [Fate::Torn { sector: 512, parts }];
        let image = disk.image(&fates);
        let content = &image["a"];
        assert_eq!(content.len(), 2048);
        assert!(content[..500].iter().chain(&content[1600..]).all(|byte| *byte == 9));
        assert!(content[500..515].iter().all(|byte| *byte == 1));
        assert!(content[515..1536].iter().all(|byte| *byte == 9));
        assert!(content[1536..1600].iter().any(|byte| *byte != 9 && *byte != 1));
        assert_eq!(disk.losses(&fates), Losses { torn_writes: 1, torn_sectors: 3, ..Losses::default() });
    }

    #[test]
    fn the_same_numbers_give_the_same_fates() {
        let steps = steps();
        let disk = disk(&steps);
        for variant in 0..200 {
            let draw = || disk.fates(variant, &mut Random::new(variant));
            assert_eq!(draw(), draw());
            assert_eq!(draw().len(), 5);
        }
        let drawn: std::collections::HashSet<_> =
            (0..200).map(|variant| disk.fates(variant, &mut Random::new(variant))).collect();
        assert!(drawn.len() > 20, "{}", drawn.len());
    }
}
