#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn place() -> (TempDir, StateRoot) {
    let dir = tempfile::tempdir().unwrap();
    let root = StateRoot::new(dir.path().join(".meshwork"));
    (dir, root)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_locked_folder_names_its_holder() {
    let (_dir, root) = place();
    let folder = root.folder("one").unwrap();
    assert!(!folder.is_locked().unwrap());
    let held = folder.lock(at(5)).unwrap();
    assert!(folder.is_locked().unwrap());
    let refusal = folder.lock(at(9)).unwrap_err();
    let StateError::Locked { pid, since, path } = &refusal else {
        panic!("{refusal}");
    };
    assert_eq!((*pid, *since), (Some(std::process::id()), Some(at(5))));
    assert_eq!(path, folder.path());
    assert!(refusal.to_string().contains(&std::process::id().to_string()));
    drop(held);
    assert!(!folder.is_locked().unwrap());
    assert_eq!(folder.holder().unwrap().since, at(5), "who had it stays known");
    folder.lock(at(9)).unwrap();
}

#[test]
fn a_holder_that_has_not_signed_yet_is_another_process() {
    let (_dir, root) = place();
    let folder = root.folder("one").unwrap();
    drop(folder.lock(at(5)).unwrap());
    let theirs = File::create(folder.path().join("lock")).unwrap();
    theirs.try_lock().unwrap();
    let refusal = folder.lock(at(9)).unwrap_err();
    assert!(matches!(refusal, StateError::Locked { pid: None, since: None, .. }));
}

#[test]
fn everything_is_private() {
    let (_dir, root) = place();
    let folder = root.folder("one").unwrap();
    fs::create_dir_all(folder.path()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let held = folder.lock(at(1)).unwrap();
    folder.write_report(b"{}", &held).unwrap();
    folder.nonce(&held).unwrap();
    writeln!(folder.open_peer_log("a/b", &held).unwrap(), "hello").unwrap();
    writeln!(folder.open_peer_log("a/b", &held).unwrap(), "again").unwrap();
    assert_eq!(mode(folder.path()), 0o700);
    for file in ["lock", "report.json", "nonce", "logs/a%2Fb.log"] {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}");
    }
    let log = fs::read_to_string(folder.peer_log("a/b").unwrap()).unwrap();
    assert_eq!(log, "hello\nagain\n");
}

#[test]
fn a_nonce_is_made_once() {
    let (_dir, root) = place();
    let folder = root.folder("one").unwrap();
    let held = folder.lock(at(1)).unwrap();
    let nonce = folder.nonce(&held).unwrap();
    assert_eq!(nonce.len(), 32);
    assert_eq!(folder.nonce(&held).unwrap(), nonce);
    let other = root.folder("two").unwrap();
    let held_too = other.lock(at(1)).unwrap();
    assert_ne!(other.nonce(&held_too).unwrap(), nonce);
    fs::write(folder.path().join("nonce"), "xyz").unwrap();
    assert!(matches!(folder.nonce(&held), Err(StateError::Damaged { .. })));
}

#[test]
fn a_report_is_replaced_as_a_whole() {
    let (_dir, root) = place();
    let folder = root.folder("one").unwrap();
    let held = folder.lock(at(1)).unwrap();
    folder.write_report(b"first", &held).unwrap();
    // What a killed run left half-written is neither read nor in the way, not even as a link to somewhere else.
    symlink(folder.report(), folder.path().join("report.json.new")).unwrap();
    folder.write_report(b"second", &held).unwrap();
    assert_eq!(fs::read(folder.report()).unwrap(), b"second");
    assert!(!folder.path().join("report.json.new").exists());
}

#[test]
fn a_fresh_start_keeps_the_old_folder_beside_it() {
    let (_dir, root) = place();
    let folder = root.folder("one").unwrap();
    let (held, kept) = folder.fresh(at(1)).unwrap();
    assert_eq!(kept, None, "there was nothing");
    assert!(matches!(folder.fresh(at(2)), Err(StateError::Locked { .. })));
    assert_eq!(fs::read_dir(root.dir()).unwrap().count(), 1, "nothing was moved");
    folder.write_report(b"first", &held).unwrap();
    drop(held);
    let (held, kept) = folder.fresh(at(3)).unwrap();
    assert_eq!(kept.unwrap(), root.dir().join("one.old-1"));
    assert_eq!(fs::read(root.dir().join("one.old-1/report.json")).unwrap(), b"first");
    assert!(!folder.report().exists());
    assert!(matches!(folder.lock(at(4)), Err(StateError::Locked { .. })));
    drop(held);
    let (_held, kept) = folder.fresh(at(5)).unwrap();
    assert_eq!(kept.unwrap(), root.dir().join("one.old-2"));
    assert_eq!(root.swarms().unwrap().len(), 1, "what is kept aside is no swarm");
}

#[test]
fn the_swarm_that_is_meant_is_found() {
    let (_dir, root) = place();
    let refusal = root.choose(None).unwrap_err();
    assert!(matches!(refusal, StateError::NoSwarm { .. }));
    assert!(refusal.to_string().contains("meshwork run"));
    assert!(!root.dir().exists(), "looking creates nothing");

    drop(root.folder("a").unwrap().lock(at(10)).unwrap());
    let chosen = root.choose(None).unwrap();
    assert_eq!((chosen.folder.id(), chosen.note), ("a", None));

    let long = "€".repeat(85);
    drop(root.folder(&long).unwrap().lock(at(30)).unwrap());
    drop(root.folder("b/c").unwrap().lock(at(20)).unwrap());
    fs::create_dir(root.dir().join("no-swarm")).unwrap();
    fs::write(root.dir().join("file"), "").unwrap();
    symlink(root.dir().join("a"), root.dir().join("link")).unwrap();
    let swarms = root.swarms().unwrap();
    let found: Vec<_> = swarms.iter().map(|entry| (entry.folder.id(), entry.started)).collect();
    let expected = [(&long[..], Some(at(30))), ("b/c", Some(at(20))), ("a", Some(at(10)))];
    assert_eq!(found, expected);

    let chosen = root.choose(None).unwrap();
    assert_eq!(chosen.folder.id(), long);
    assert!(chosen.note.unwrap().contains(&long));
    let chosen = root.choose(Some("b/c")).unwrap();
    assert_eq!((chosen.folder.id(), chosen.note), ("b/c", None));
    let refusal = root.choose(Some("d")).unwrap_err();
    assert!(refusal.to_string().contains("\"b/c\""), "{refusal}");
    assert!(matches!(root.choose(Some("-d")), Err(StateError::Id(_))));
}

#[test]
fn a_file_where_a_folder_should_be_is_refused() {
    let (dir, root) = place();
    fs::write(root.dir(), "in the way").unwrap();
    let folder = root.folder("one").unwrap();
    assert!(matches!(folder.lock(at(1)), Err(StateError::NotAFolder { .. })));
    assert!(matches!(root.swarms(), Err(StateError::NotAFolder { .. })));
    let root = StateRoot::new(dir.path());
    let folder = root.folder(".meshwork").unwrap();
    fs::write(folder.path(), "in the way").unwrap();
    assert!(matches!(folder.lock(at(1)), Err(StateError::NotAFolder { .. })));
    assert!(matches!(folder.fresh(at(1)), Err(StateError::NotAFolder { .. })));
}

#[test]
fn what_the_system_forbids_is_said() {
    // As root nothing is unreadable, so the mapping is tested and not the system.
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let refusal = StateError::io("list", Path::new("x"), denied);
    assert_eq!(refusal.to_string(), "not permitted to list x; nothing was changed");
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(StateError::io("write", Path::new("x"), full), StateError::Full { .. }));
}

#[test]
fn a_socket_lies_in_the_folder_while_its_path_is_short() {
    let dir = tempfile::Builder::new().prefix("s").tempdir().unwrap();
    let root = StateRoot::new(dir.path());
    let folder = root.folder("one").unwrap();
    let held = folder.lock(at(1)).unwrap();
    let path = folder.prepare_socket(&held).unwrap();
    assert_eq!(path, folder.path().join("control.sock"));
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(folder.socket(), path);
    // The run was killed: the next one may bind again.
    drop(UnixListener::bind(folder.prepare_socket(&held).unwrap()).unwrap());
    folder.remove_socket(&held);
    assert!(!path.exists());
    fs::write(&path, "no socket").unwrap();
    assert!(matches!(folder.prepare_socket(&held), Err(StateError::Damaged { .. })));
}

#[test]
fn a_socket_with_a_long_path_lies_elsewhere() {
    let (dir, root) = place();
    let folder = root.folder(&"x".repeat(150)).unwrap();
    let held = folder.lock(at(1)).unwrap();
    let path = super::socket::prepare(folder.path(), dir.path()).unwrap();
    assert!(path.starts_with(dir.path()) && path.as_os_str().len() <= 107);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(folder.socket(), path, "others find it");
    let again = super::socket::prepare(folder.path(), dir.path()).unwrap();
    assert_eq!(again, path, "the next run takes the same place");
    drop(UnixListener::bind(&path).unwrap());
    // A folder that others may enter is not trusted any more.
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(folder.socket(), path);
    let other = super::socket::prepare(folder.path(), dir.path()).unwrap();
    assert_ne!(other, path);
    folder.remove_socket(&held);
    assert!(!other.parent().unwrap().exists());
    assert_eq!(folder.socket(), folder.path().join("control.sock"));
}
