//! Nothing large goes into the repository: what can be built or fetched is not kept.

use super::Finding;
use super::files::Files;

/// Bytes. The largest source is a hundredth of this; databases and build output begin here.
const LIMIT: usize = 1024 * 1024;

/// All files but the lock file.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    let large = files.iter().filter(|file| file.size > LIMIT && file.name() != "Cargo.lock");
    large.map(|file| Finding::new(&file.path, 0, format!("{} bytes; expected at most {LIMIT}", file.size))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_found_at_the_byte() {
        let (fits, large) = ("x".repeat(LIMIT), "x".repeat(LIMIT + 1));
        let files = Files::samples(&[("a.bin", &large), ("b.bin", &fits), ("Cargo.lock", &large)]);
        let lines: Vec<String> = check(&files).iter().map(Finding::to_string).collect();
        assert_eq!(lines, ["a.bin: 1048577 bytes; expected at most 1048576"]);
    }
}
