//! Our ends of an attempt's pipes: feeding its input, taking its output.

use std::cell::RefCell;
use std::fs;
use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::output::{Capture, Refused, Stdout, Tail};
use super::{Channel, OnOutput, ProcessSpec};

/// What a pipe holds by default: one read empties it.
const READ_BYTES: usize = 64 << 10;

/// Reads in a row from one pipe, so that a process that never stops writing starves neither the other pipe nor the clock.
const READS: u32 = 16;

thread_local! {
    /// One for each thread, not for each attempt: a thousand silent attempts need no buffers.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

pub(super) struct Streams {
    stdin: Option<(Sender, Bytes)>,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    capture: Capture,
    tail: Tail,
    /// Standard output is no longer kept, only taken off the pipe.
    refused: bool,
    on_output: Option<OnOutput>,
}

enum Ready {
    Stdin,
    Stdout,
    Stderr,
}

impl Streams {
    pub(super) fn new(stdin: Option<(Sender, Bytes)>, stdout: Receiver, stderr: Receiver, spec: &ProcessSpec) -> Self {
        let path = spec.spill_dir.join(format!("{}.stdout", spec.nonce.attempt()));
        Self {
            stdin,
            stdout: Some(stdout),
            stderr: Some(stderr),
            capture: Capture::new(spec.limits.inline_bytes, spec.limits.stdout_bytes, path),
            tail: Tail::new(spec.limits.stderr_tail_bytes),
            refused: false,
            on_output: spec.on_output.clone(),
        }
    }

    /// Waits until a pipe is ready and does what can be done; for ever when all are closed. May be dropped at any time.
    /// Answers with the reason when output is refused, once.
    pub(super) async fn progress(&mut self) -> Option<Refused> {
        let ready = tokio::select! {
            biased;
            () = readable(self.stderr.as_ref()) => Ready::Stderr,
            () = readable(self.stdout.as_ref()) => Ready::Stdout,
            () = writable(self.stdin.as_ref()) => Ready::Stdin,
        };
        match ready {
            Ready::Stdin => {
                self.feed();
                None
            }
            Ready::Stderr => {
                let (tail, on_output) = (&mut self.tail, &self.on_output);
                read(&mut self.stderr, |chunk| {
                    tail.take(chunk);
                    if let Some(on_output) = on_output {
                        on_output(Channel::Stderr, chunk);
                    }
                });
                None
            }
            Ready::Stdout => self.read_stdout(),
        }
    }

    fn read_stdout(&mut self) -> Option<Refused> {
        let mut reason = None;
        let (capture, refused, on_output) = (&mut self.capture, &mut self.refused, &self.on_output);
        read(&mut self.stdout, |chunk| {
            if *refused {
                return;
            }
            if let Err(error) = capture.take(chunk) {
                *refused = true;
                reason = Some(error);
            }
            if let Some(on_output) = on_output {
                on_output(Channel::Stdout, chunk);
            }
        });
        reason
    }

    /// A process that does not read its input, or ends before it has, is its own affair.
    fn feed(&mut self) {
        let Some((pipe, rest)) = &mut self.stdin else {
            return;
        };
        loop {
            match pipe.try_write(rest) {
                Ok(written) => rest.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            if rest.is_empty() {
                break;
            }
        }
        self.stdin = None;
    }

    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(super) fn are_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Names of the output pipes that are still open, as `/proc/<pid>/fd` shows them for everyone who holds one.
    pub(super) fn pipe_names(&self) -> Vec<PathBuf> {
        [&self.stdout, &self.stderr]
            .into_iter()
            .flatten()
            .filter_map(|pipe| fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).ok())
            .collect()
    }

    pub(super) fn limit(&self) -> u64 {
        self.capture.limit()
    }

    pub(super) fn finish(&mut self) -> Stdout {
        self.capture.finish()
    }

    pub(super) fn stderr_tail(&self) -> String {
        self.tail.text()
    }
}

async fn readable(pipe: Option<&Receiver>) {
    match pipe {
        // An error is met again when reading.
        Some(pipe) => drop(pipe.readable().await),
        None => pending().await,
    }
}

async fn writable(stdin: Option<&(Sender, Bytes)>) {
    match stdin {
        Some((pipe, _)) => drop(pipe.writable().await),
        None => pending().await,
    }
}

/// Takes what is there; at the end of the stream drops the pipe.
fn read(pipe: &mut Option<Receiver>, mut sink: impl FnMut(&[u8])) {
    let Some(open) = pipe else { return };
    let ended = BUFFER.with_borrow_mut(|buffer| {
        for _ in 0..READS {
            match open.try_read(buffer) {
                Ok(0) => return true,
                Ok(read) => sink(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        false
    });
    if ended {
        *pipe = None;
    }
}
