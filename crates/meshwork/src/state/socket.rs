//! Where the control socket is. A path of a unix socket has at most 107 bytes; state folders may be deeper.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::StateError;
use super::folder::{random_digits, write_atomically};

/// What `sockaddr_un` has room for, without the closing zero.
const PATH_BYTES: usize = 107;
const NAME: &str = "control.sock";
/// Says where the socket is when it is not in the folder.
const RECORD: &str = "control.path";

/// Where sockets with a short path may lie.
pub(super) fn short_folder() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute() && folder.is_dir())
        .unwrap_or_else(std::env::temp_dir)
}

/// See [`super::StateFolder::prepare_socket`].
pub(super) fn prepare(folder: &Path, short: &Path) -> Result<PathBuf, StateError> {
    let own = folder.join(NAME);
    if fits(&own) {
        // An earlier run may have come by a longer path.
        remove_record(folder);
        clear(&own)?;
        return Ok(own);
    }
    if let Some(socket) = recorded(folder)
        && fits(&socket)
        && let Some(private) = socket.parent()
        && is_private(private)
    {
        clear(&socket)?;
        return Ok(socket);
    }
    let private = short.join(format!("meshwork-{}", random_digits::<8>(folder)?));
    let socket = private.join(NAME);
    if !fits(&socket) {
        let source = std::io::Error::new(ErrorKind::InvalidFilename, "the path is too long for a socket");
        return Err(StateError::io("bind a socket at", &socket, source));
    }
    // Not `recursive`: a folder that is there already is somebody else's.
    DirBuilder::new().mode(0o700).create(&private).map_err(|error| StateError::io("create", &private, error))?;
    write_atomically(&folder.join(RECORD), socket.as_os_str().as_bytes())?;
    Ok(socket)
}

/// See [`super::StateFolder::socket`].
pub(super) fn find(folder: &Path) -> PathBuf {
    recorded(folder).filter(|socket| socket.parent().is_some_and(is_private)).unwrap_or_else(|| folder.join(NAME))
}

/// See [`super::StateFolder::remove_socket`]. What can't be removed is in nobody's way.
pub(super) fn remove(folder: &Path) {
    if let Some(socket) = recorded(folder)
        && let Some(private) = socket.parent()
        && is_private(private)
    {
        let _left = clear(&socket).map(|()| fs::remove_dir(private));
    }
    remove_record(folder);
    let _left = clear(&folder.join(NAME));
}

fn remove_record(folder: &Path) {
    let _none = fs::remove_file(folder.join(RECORD));
}

fn recorded(folder: &Path) -> Option<PathBuf> {
    let bytes = fs::read(folder.join(RECORD)).ok()?;
    let socket = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    // Only what `prepare` could have written is believed.
    let right = socket.is_absolute() && socket.file_name()? == NAME;
    right.then_some(socket)
}

fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() <= PATH_BYTES
}

/// A real folder of this user that nobody else may enter.
fn is_private(folder: &Path) -> bool {
    folder.symlink_metadata().is_ok_and(|about| {
        about.is_dir() && about.mode().trailing_zeros() >= 6 && about.uid() == nix::unistd::geteuid().as_raw()
    })
}

/// Removes a socket that a killed run left; anything else in its place is not ours to remove.
fn clear(socket: &Path) -> Result<(), StateError> {
    match socket.symlink_metadata() {
        Ok(about) if about.file_type().is_socket() => {
            fs::remove_file(socket).map_err(|error| StateError::io("remove", socket, error))
        }
        Ok(_) => Err(StateError::Damaged { what: "expected a socket".to_owned(), path: socket.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StateError::io("look at", socket, error)),
    }
}
