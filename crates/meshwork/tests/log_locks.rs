//! A look at a log from the process that writes it takes none of that process's locks: on POSIX systems whoever closes
//! any descriptor of a file lets go of all locks that its process has on it (SQLite, "How To Corrupt An SQLite
//! Database File", 2.2). Another process would then take itself for the last one and remove the write-ahead log, and what
//! is acknowledged from then on is lost: SQLite 3.40 does so; 3.54 looks at one lock more.

#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use meshwork::log::{Log, LogReader, SqliteLog};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

/// Set in the other process: the database whose lock it wants.
const DATABASE: &str = "MESHWORK_TEST_LOG_LOCKS";
/// Where every connection holds a shared lock, and whoever wants to be alone an exclusive one: the file format has them.
const SHARED_FIRST: i64 = 0x4000_0002;
const SHARED_BYTES: i64 = 510;

/// Not a test of its own: what the other process does.
#[test]
fn another_process_is_not_alone_with_the_database() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let file = OpenOptions::new().read(true).write(true).open(database).unwrap();
    let alone = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
        l_start: SHARED_FIRST,
        l_len: SHARED_BYTES,
        l_pid: 0,
    };
    let locked = fcntl(&file, FcntlArg::F_SETLK(&alone));
    assert!(matches!(locked, Err(Errno::EAGAIN | Errno::EACCES)), "{locked:?}");
}

fn another_process_is_refused(database: &Path) {
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "another_process_is_not_alone_with_the_database"]).env(DATABASE, database);
    let ended = other.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_takes_no_lock_of_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("swarm.db");
    let log = SqliteLog::open(&database).unwrap();
    log.append(Bytes::from_static(b"one")).await.unwrap();
    another_process_is_refused(&database);
    drop(LogReader::open(&database).unwrap());
    another_process_is_refused(&database);
    drop(SqliteLog::open_existing(&database).unwrap());
    another_process_is_refused(&database);
    log.close().await.unwrap();
}
