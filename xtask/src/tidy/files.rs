//! The files that tidy looks at: what git tracks, and what it would track.

use std::io;
use std::path::Path;
use std::process::Command;

use super::rust::{Rust, test_modules};

/// A file with its path relative to the repository, parts separated by `/`.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    /// In bytes, on disk.
    pub(super) size: usize,
    /// Absent for what is not UTF-8 or holds a NUL: pictures, databases.
    pub(super) text: Option<String>,
    /// Present for Rust sources.
    pub(super) rust: Option<Rust>,
}

impl File {
    fn new(path: String, bytes: Vec<u8>) -> Self {
        let size = bytes.len();
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let rust = text.as_deref().filter(|_| path.ends_with(".rs")).map(Rust::new);
        Self { path, size, text, rust }
    }

    /// The lines of a text, numbered from 1; none for a file that is not text.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let text = self.text.as_deref().unwrap_or_default();
        text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// All files, ordered by path.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<File>,
}

impl Files {
    /// Asks git, so that ignored files are nobody's concern.
    pub(super) fn of_repository(root: &Path) -> io::Result<Self> {
        // The owner of a checkout may differ from who runs the chores (containers do that), and git would
        // refuse. Only names are listed here, of a tree whose code is running already.
        let mut git = Command::new("git");
        git.current_dir(root).args(["-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]);
        let output = git.output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("git could not list the files: {}", error.trim())));
        }
        let names = String::from_utf8(output.stdout)
            .map_err(|_| io::Error::other("the name of a file is not UTF-8; expected UTF-8"))?;
        let mut files = Vec::new();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            // Tracked but deleted, or a link: nothing of ours to read.
            let path = root.join(name);
            if std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
                files.push(File::new(name.to_owned(), std::fs::read(path)?));
            }
        }
        Ok(Self::from_list(files))
    }

    fn from_list(mut files: Vec<File>) -> Self {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files.dedup_by(|one, other| one.path == other.path);
        let tests: Vec<String> =
            files.iter().flat_map(|file| file.rust.iter().flat_map(|rust| test_modules(&file.path, rust))).collect();
        for file in &mut files {
            let is_test = file.path.split('/').any(|part| part == "tests" || part == "tests.rs")
                || tests.iter().any(|module| is_module(&file.path, module));
            if let Some(rust) = file.rust.as_mut().filter(|_| is_test) {
                rust.mark_all_as_test();
            }
        }
        Self { files }
    }

    /// Files that exist in a test only.
    #[cfg(test)]
    pub(super) fn samples(samples: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File::new(path.to_owned(), text.as_bytes().to_vec());
        Self::from_list(samples.iter().map(file).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Every Rust source with its path.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &Rust)> {
        self.iter().filter_map(|file| Some((file.path.as_str(), file.rust.as_ref()?)))
    }

    /// The text of one file.
    pub(super) fn text_of(&self, path: &str) -> Option<&str> {
        self.iter().find(|file| file.path == path)?.text.as_deref()
    }
}

/// Whether `path` is `module.rs` or lies in the folder `module`.
fn is_module(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_under_cfg_test_is_test_code() {
        let files = Files::samples(&[
            ("a/src/lib.rs", "#[cfg(test)]\nmod samples;\nmod real;\n"),
            ("a/src/samples.rs", "fn f() {}\n"),
            ("a/src/samples/deep.rs", "fn f() {}\n"),
            ("a/src/real.rs", "fn f() {}\n"),
            ("a/tests/cli.rs", "fn f() {}\n"),
        ]);
        let tests: Vec<&str> = files.rust().filter(|(_, rust)| rust.is_test_line(1)).map(|(path, _)| path).collect();
        assert_eq!(tests, ["a/src/lib.rs", "a/src/samples.rs", "a/src/samples/deep.rs", "a/tests/cli.rs"]);
    }

    #[test]
    fn what_is_not_text_has_no_lines_to_complain_about() {
        let picture = File::new("a.png".to_owned(), vec![0xff, 0x00, b' ', b'\n']);
        assert_eq!((picture.text, picture.size), (None, 4));
    }
}
