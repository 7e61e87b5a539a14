//! The C library's `fsync`, `fdatasync`, `rename` and `unlink`, recorded.
//!
//! A program's own definition of such a function takes precedence over the C library's, for Rust's standard library
//! and for SQLite alike. So what is recorded as durable is what the kernel was asked for, whoever asked: the log
//! makes its database with `std::fs` and renames it, SQLite syncs the folder of a new write-ahead log by itself.

use std::ffi::{CStr, OsStr, c_char, c_int, c_long};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::tape::{self, Target};

/// As in the C library, but recorded.
#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    recorded(fd, libc::SYS_fsync)
}

/// As in the C library, but recorded: it keeps the content and the length, which is all that a recording knows.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    recorded(fd, libc::SYS_fdatasync)
}

fn recorded(fd: c_int, number: c_long) -> c_int {
    // SAFETY: both calls take a descriptor and nothing else; one that is not open is answered with an error.
    let sync = || unsafe { libc::syscall(number, fd) } == 0;
    let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{fd}")) else {
        return answer(sync());
    };
    if let Some(tape) = tape::of_folder(&path) {
        return answer(tape.sync(Target::Folder, sync));
    }
    match tape::of_file(&path) {
        Some((tape, name)) => answer(tape.sync(Target::File(&name), sync)),
        None => answer(sync()),
    }
}

/// As in the C library, but recorded.
///
/// # Safety
/// Both are C strings, as the C library demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller gives two C strings, which the kernel only reads.
    let renamed = unsafe { libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) } == 0;
    if renamed {
        // SAFETY: the kernel took them for C strings that can be read.
        let from = unsafe { CStr::from_ptr(from) };
        // SAFETY: as above.
        let to = unsafe { CStr::from_ptr(to) };
        if let (Some((tape, from)), Some((_, to))) = (tape::of_file(path(from)), tape::of_file(path(to))) {
            tape.renamed(&from, &to);
        }
    }
    answer(renamed)
}

/// As in the C library, but recorded.
///
/// # Safety
/// `name` is a C string, as the C library demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(name: *const c_char) -> c_int {
    // SAFETY: the caller gives a C string, which the kernel only reads.
    let unlinked = unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, name, 0) } == 0;
    if unlinked {
        // SAFETY: the kernel took it for a C string that can be read.
        let name = unsafe { CStr::from_ptr(name) };
        if let Some((tape, name)) = tape::of_file(path(name)) {
            tape.unlinked(&name);
        }
    }
    answer(unlinked)
}

fn path(name: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

fn answer(succeeded: bool) -> c_int {
    if succeeded { 0 } else { -1 }
}
