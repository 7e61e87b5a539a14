//! A file system for SQLite that lies over its usual one and records writes and truncations in watched folders.
//!
//! It is registered as the default of the process, so the log's own code, which opens by path, runs on it
//! unchanged. A file outside every watched folder is handed to the usual file system as a whole: its methods are
//! then that one's own, and nothing of this module takes part.
//!
//! Shared memory passes through: it does not outlive a power cut. There is no memory mapping (the methods are those
//! of version 2, which have none), so every change of a file is a write that is seen here. Syncs, renames and
//! removals are recorded where they reach the operating system, in [`crate::calls`].

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Once, OnceLock};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use crate::tape::{self, FileId, Tape};

/// A file of a watched folder. SQLite has the memory, [`ROOM`] and what the usual file system wants: its file
/// follows this one.
#[repr(C)]
struct Watched {
    /// What SQLite sees.
    file: sqlite3_file,
    /// Owned: from `Box::into_raw`.
    about: *mut About,
}

struct About {
    tape: Arc<Tape>,
    file: FileId,
}

/// Bytes before the usual file system's own file, a multiple of what any of its fields is aligned to.
const ROOM: usize = size_of::<Watched>().next_multiple_of(16);

/// What the usual file system may claim about its device and a recording relies on nothing else for.
///
/// "Powersafe overwrite" stays: production runs with it, and images keep to it, since a torn write only ever
/// changes bytes of its own range. The promises of atomic sectors, of appends that never show garbage and of writes
/// that keep their order are withdrawn: images break all three, and SQLite is not to save syncs by them.
const KEPT_CLAIMS: c_int = !(ffi::SQLITE_IOCAP_ATOMIC
    | ffi::SQLITE_IOCAP_ATOMIC512
    | ffi::SQLITE_IOCAP_ATOMIC1K
    | ffi::SQLITE_IOCAP_ATOMIC2K
    | ffi::SQLITE_IOCAP_ATOMIC4K
    | ffi::SQLITE_IOCAP_ATOMIC8K
    | ffi::SQLITE_IOCAP_ATOMIC16K
    | ffi::SQLITE_IOCAP_ATOMIC32K
    | ffi::SQLITE_IOCAP_ATOMIC64K
    | ffi::SQLITE_IOCAP_BATCH_ATOMIC
    | ffi::SQLITE_IOCAP_SAFE_APPEND
    | ffi::SQLITE_IOCAP_SEQUENTIAL);

/// The usual file system, which lives as long as the process.
struct Usual(*mut sqlite3_vfs);

// SAFETY: SQLite registered it for use by all threads, and it is only read.
unsafe impl Send for Usual {}
// SAFETY: as above.
unsafe impl Sync for Usual {}

static USUAL: OnceLock<Usual> = OnceLock::new();

/// Makes this file system the default of the process. Does nothing the second time.
///
/// # Panics
/// If SQLite has no default file system or refuses ours.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: no name asks for the default; the answer is null or lives as long as the process.
        let usual = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!usual.is_null(), "SQLite has a default file system");
        // SAFETY: not null, and nobody changes it but by registering it again.
        let mut ours = unsafe { *usual };
        USUAL.get_or_init(|| Usual(usual));
        // All functions but one stay: of their first argument the usual ones read the longest path only.
        let room = c_int::try_from(ROOM).expect("some bytes");
        ours.szOsFile += room;
        ours.pNext = ptr::null_mut();
        ours.zName = c"meshwork-powerloss".as_ptr();
        ours.xOpen = Some(open);
        // SAFETY: leaked, so it lives as long as the process, as SQLite wants it.
        let answer = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1) };
        assert_eq!(answer, ffi::SQLITE_OK, "SQLite takes a file system");
    });
}

unsafe extern "C" fn open(
    _ours: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let usual = USUAL.get().expect("set before this function was registered").0;
    // SAFETY: it lives as long as the process.
    let usual_open = unsafe { (*usual).xOpen }.expect("every file system opens files");
    let path = (!name.is_null()).then(|| {
        // SAFETY: SQLite gives null or a C string that outlives the call.
        let name = unsafe { CStr::from_ptr(name) };
        Path::new(OsStr::from_bytes(name.to_bytes()))
    });
    let Some((path, (tape, name_there))) = path.and_then(|path| Some((path, tape::of_file(path)?))) else {
        // SAFETY: SQLite's own arguments; the memory is larger than the usual file system asked for.
        return unsafe { usual_open(usual, name, file, flags, out_flags) };
    };
    let inner = inner(file);
    // SAFETY: SQLite's own arguments, and `inner` has as much memory as the usual file system asked for.
    let answer = unsafe { usual_open(usual, name, inner, flags, out_flags) };
    if answer != ffi::SQLITE_OK {
        // SAFETY: `file` is memory for a file, in which null means that there is nothing to close.
        unsafe { (*file).pMethods = ptr::null() };
        return answer;
    }
    let length = std::fs::metadata(path).expect("a file that was opened has a length").len();
    let number = tape.opened(&name_there, length);
    let about = Box::into_raw(Box::new(About { tape, file: number }));
    let watched = Watched { file: sqlite3_file { pMethods: &raw const METHODS }, about };
    // SAFETY: SQLite's memory for a file: `ROOM` bytes and more, aligned to 8, as this is.
    unsafe { file.cast::<Watched>().write(watched) };
    ffi::SQLITE_OK
}

/// The usual file system's file within SQLite's memory for ours.
fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    file.wrapping_byte_add(ROOM)
}

/// What we know about a file.
///
/// # Safety
/// `file` was opened by [`open`] as watched, and not closed.
unsafe fn about<'file>(file: *mut sqlite3_file) -> &'file About {
    // SAFETY: `open` has written a `Watched` there.
    let about = unsafe { (*file.cast::<Watched>()).about };
    // SAFETY: from a box that only `close` takes back; nobody changes what is in it.
    unsafe { &*about }
}

/// The usual file system's method for this file: called with [`inner`].
macro_rules! usual {
    ($method:ident, $file:expr $(, $argument:expr)*) => {{
        let inner = inner($file);
        // SAFETY: methods are only called on files that `open` has opened, so the usual file system has set its own.
        let methods = unsafe { (*inner).pMethods };
        // SAFETY: static data of the usual file system.
        let method = unsafe { (*methods).$method }.expect("the usual file system has all methods of version 2");
        // SAFETY: SQLite's own arguments, for the file that they are meant for.
        unsafe { method(inner $(, $argument)*) }
    }};
}

/// A method that does what the usual one does.
macro_rules! passed_on {
    ($name:ident, $method:ident, ($($argument:ident: $type:ty),*) $(-> $answer:ty)?) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $type)*) $(-> $answer)? {
            usual!($method, file $(, $argument)*)
        }
    };
}

passed_on!(read, xRead, (buffer: *mut c_void, length: c_int, offset: sqlite3_int64) -> c_int);
passed_on!(sync, xSync, (flags: c_int) -> c_int);
passed_on!(file_size, xFileSize, (size: *mut sqlite3_int64) -> c_int);
passed_on!(lock, xLock, (level: c_int) -> c_int);
passed_on!(unlock, xUnlock, (level: c_int) -> c_int);
passed_on!(check_reserved_lock, xCheckReservedLock, (answer: *mut c_int) -> c_int);
passed_on!(file_control, xFileControl, (operation: c_int, argument: *mut c_void) -> c_int);
passed_on!(sector_size, xSectorSize, () -> c_int);
passed_on!(shm_map, xShmMap, (page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) -> c_int);
passed_on!(shm_lock, xShmLock, (offset: c_int, count: c_int, flags: c_int) -> c_int);
passed_on!(shm_barrier, xShmBarrier, ());
passed_on!(shm_unmap, xShmUnmap, (delete: c_int) -> c_int);

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    usual!(xDeviceCharacteristics, file) & KEPT_CLAIMS
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let answer = usual!(xWrite, file, bytes, length, offset);
    assert_eq!(answer, ffi::SQLITE_OK, "the disk under a recording is healthy");
    let length = usize::try_from(length).expect("SQLite writes no negative number of bytes");
    // SAFETY: SQLite gives so many bytes to write, and leaves them alone during the call.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    // SAFETY: SQLite calls this for files that `open` has opened.
    let about = unsafe { about(file) };
    about.tape.wrote(about.file, offset.cast_unsigned(), bytes.to_vec());
    answer
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    let answer = usual!(xTruncate, file, length);
    assert_eq!(answer, ffi::SQLITE_OK, "the disk under a recording is healthy");
    // SAFETY: SQLite calls this for files that `open` has opened.
    let about = unsafe { about(file) };
    about.tape.truncated(about.file, length.cast_unsigned());
    answer
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let answer = usual!(xClose, file);
    // SAFETY: `open` has written a `Watched` there.
    let about = unsafe { (*file.cast::<Watched>()).about };
    // SAFETY: from a box, and SQLite closes a file once.
    drop(unsafe { Box::from_raw(about) });
    answer
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
