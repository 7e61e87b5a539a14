//! Starting the process: pipes, the program's file, the spawn, and a plain answer when it cannot be.
//!
//! Speed matters here, a swarm may start thousands of short commands. The standard library takes the quick way (a
//! `vfork`-like spawn that does not copy our page tables) only when nothing has to run in the child between fork and exec
//! and it need not search the child's `PATH`; so the program is looked up here.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::{Buf, Bytes};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{AccessFlags, access};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};

use super::nonce::NONCE_VARIABLE;
use super::registry::Registration;
use super::{ProcessSpec, StartError};
use crate::failpoint::{self, Point};

/// Where programs are looked up when the environment has no `PATH`: what the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A running leader and our ends of its pipes.
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) registration: Registration,
    /// The input that did not fit into the pipe; none when all of it did, and the pipe is closed already.
    pub(super) stdin: Option<(Sender, Bytes)>,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
}

/// Starts the leader in a process group of its own.
pub(super) fn launch(spec: &ProcessSpec) -> Result<Launched, StartError> {
    let program = resolve(spec)?;
    let system = |error| StartError::System { program: program.clone(), error };
    let (stdin, input) = prepare_stdin(&spec.stdin).map_err(system)?;
    let (stdout, stdout_end) = output_pipe().map_err(system)?;
    let (stderr, stderr_end) = output_pipe().map_err(system)?;
    let mut command = Command::new(&program);
    command
        .arg0(&spec.program)
        .args(&spec.args)
        .current_dir(&spec.cwd)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .env(NONCE_VARIABLE, spec.nonce.chain())
        .process_group(0)
        .stdin(stdin)
        .stdout(stdout_end)
        .stderr(stderr_end);
    let ((child, pid), registration) = Registration::during(spec.nonce.attempt(), || {
        let child = command.spawn().map_err(|error| explain(error, spec, &program))?;
        failpoint::reach(Point::Spawned);
        let pid = child.id();
        Ok(((child, pid), pid))
    })?;
    let pid = pid.ok_or_else(|| system(io::Error::other("the child has no process id")))?;
    Ok(Launched { child, pid, registration, stdin: input, stdout, stderr })
}

/// Our end does not block, the process's end does, as programs expect.
fn output_pipe() -> io::Result<(Receiver, PipeWriter)> {
    let (reader, writer): (PipeReader, PipeWriter) = io::pipe()?;
    set_nonblocking(&reader)?;
    Ok((Receiver::from_owned_fd_unchecked(OwnedFd::from(reader))?, writer))
}

/// Fills the pipe before the process exists, so that short input costs no turn of the event loop.
fn prepare_stdin(input: &Bytes) -> io::Result<(Stdio, Option<(Sender, Bytes)>)> {
    if input.is_empty() {
        return Ok((Stdio::null(), None));
    }
    let (reader, mut writer) = io::pipe()?;
    set_nonblocking(&writer)?;
    let mut rest = input.clone();
    while !rest.is_empty() {
        match writer.write(&rest) {
            Ok(written) => rest.advance(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let rest = match rest.is_empty() {
        true => None,
        false => Some((Sender::from_owned_fd_unchecked(OwnedFd::from(writer))?, rest)),
    };
    Ok((reader.into(), rest))
}

fn set_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// The program's file. A path is taken as it is (relative to the working directory), a name is looked up.
fn resolve(spec: &ProcessSpec) -> Result<PathBuf, StartError> {
    if spec.program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(&spec.program));
    }
    let path = spec.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let found = std::env::split_paths(path)
        .map(|dir| spec.cwd.join(dir).join(&spec.program))
        .find(|file| access(file.as_path(), AccessFlags::X_OK).is_ok() && file.is_file());
    found
        .filter(|_| !spec.program.is_empty())
        .ok_or_else(|| StartError::ProgramNotFound { program: spec.program.clone(), path: OsString::from(path) })
}

/// The system answers "no such file" for a missing working directory, program or interpreter alike: look which it is.
fn explain(error: io::Error, spec: &ProcessSpec, program: &Path) -> StartError {
    if let Err(error) = std::fs::read_dir(&spec.cwd)
        && error.kind() != io::ErrorKind::PermissionDenied
    {
        return StartError::WorkingDirectory { cwd: spec.cwd.clone(), error };
    }
    if let Err(error) = access(spec.cwd.as_path(), AccessFlags::X_OK) {
        return StartError::WorkingDirectory { cwd: spec.cwd.clone(), error: error.into() };
    }
    let reason = match error.kind() {
        io::ErrorKind::NotFound if spec.cwd.join(program).exists() => {
            "the interpreter that its first line names does not exist".to_owned()
        }
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => error.to_string(),
        _ if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => {
            "it is neither a binary for this machine nor a script with a '#!' line".to_owned()
        }
        _ => {
            return StartError::System { program: program.to_owned(), error };
        }
    };
    StartError::ProgramUnusable { program: program.to_owned(), reason }
}
