//! Real processes. All tests share one program, so each has a nonce of its own and all are adopted by the same parent.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;

/// Nothing here takes longer unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

struct Bench {
    spec: ProcessSpec,
    dir: TempDir,
}

fn unique(name: &str) -> Nonce {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Nonce::new(format!("{name}-{}", std::process::id()), format!("a{number}-{}", std::process::id())).unwrap()
}

fn shell(script: &str) -> Bench {
    become_subreaper().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let spec = ProcessSpec {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        cwd: dir.path().to_owned(),
        env: environment(&[]),
        stdin: Bytes::new(),
        timeout: None,
        grace: DEFAULT_GRACE,
        limits: OutputLimits::default(),
        nonce: unique("test"),
        spill_dir: dir.path().to_owned(),
        on_output: None,
    };
    Bench { spec, dir }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("hangs")
}

/// Runs it to its end, and nothing may carry its nonce then.
async fn report_of(spec: ProcessSpec) -> ProcessReport {
    let nonce = spec.nonce.clone();
    let report = in_time(start(spec).1).await;
    assert_eq!(carriers(&nonce), Vec::<String>::new());
    report
}

/// Living processes of the attempt, whoever their parents are.
fn carriers(nonce: &Nonce) -> Vec<String> {
    procfs::all()
        .into_iter()
        .filter(|pid| {
            let environ = procfs::environ(*pid).unwrap_or_default();
            nonce::link_of_swarm(&environ, nonce.swarm()) == Some(nonce.attempt())
        })
        .filter(|pid| procfs::stat(*pid).is_some_and(|stat| !stat.ended))
        .map(|pid| format!("{pid} {:?} {:?}", procfs::command(pid), procfs::stat(pid)))
        .collect()
}

fn is_running(pid: i32) -> bool {
    procfs::stat(pid).is_some_and(|stat| !stat.ended)
}

fn inline(report: &ProcessReport) -> String {
    match &report.stdout {
        Stdout::Inline(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Stdout::File { .. } => panic!("went to a file: {report:?}"),
    }
}

fn code(report: &ProcessReport) -> i32 {
    match report.ended {
        Ended::Exited { code } => code,
        _ => panic!("{report:?}"),
    }
}

/// Told by the first output.
fn ready(spec: &mut ProcessSpec) -> Arc<Notify> {
    let ready = Arc::new(Notify::new());
    let told = Arc::clone(&ready);
    spec.on_output = Some(Arc::new(move |_, _| told.notify_one()));
    ready
}

/// Neither the end nor the wish was looked at before, as after a time in which the whole node stood still.
#[tokio::test]
async fn who_ended_before_it_was_told_to_stop_has_ended_by_itself() {
    for told in [ProcessHandle::stop, ProcessHandle::kill] {
        let bench = shell("echo done");
        let (handle, ended) = start(bench.spec);
        let pid = handle.pid().unwrap().cast_signed();
        let deadline = Instant::now() + DEADLINE;
        while is_running(pid) {
            assert!(Instant::now() < deadline, "hangs");
            std::thread::yield_now();
        }
        told(&handle);
        let report = in_time(ended).await;
        assert_eq!((code(&report), &*inline(&report)), (0, "done\n"));
    }
}

#[tokio::test]
async fn who_ended_before_its_time_was_over_has_ended_by_itself() {
    let mut bench = shell("echo done");
    bench.spec.timeout = Some(Duration::from_millis(1));
    let (handle, ended) = start(bench.spec);
    let pid = handle.pid().unwrap().cast_signed();
    let deadline = Instant::now() + DEADLINE;
    let started = Instant::now();
    while is_running(pid) || started.elapsed() < Duration::from_millis(5) {
        assert!(Instant::now() < deadline, "hangs");
        std::thread::yield_now();
    }
    assert_eq!(code(&in_time(ended).await), 0);
}

#[tokio::test]
async fn code_output_and_the_end_of_stderr_are_reported() {
    let mut bench = shell("echo out; printf 'no\\033[1m\\001pe\\n' >&2; echo $0 $MESHWORK_NONCE; exit 7");
    let nonce = bench.spec.nonce.to_string();
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let sink = Arc::clone(&seen);
    bench.spec.on_output = Some(Arc::new(move |channel, chunk| {
        let mut seen = sink.lock().unwrap();
        match channel {
            Channel::Stdout => seen.0.extend_from_slice(chunk),
            Channel::Stderr => seen.1.extend_from_slice(chunk),
        }
    }));
    let report = report_of(bench.spec).await;
    assert_eq!(code(&report), 7);
    assert_eq!(report.stderr_tail, "nope\n");
    let out = inline(&report);
    assert!(out.starts_with("out\nsh ") && out.trim_end().ends_with(&nonce), "{out}");
    assert!(report.ran > Duration::ZERO);
    let seen = seen.lock().unwrap();
    assert_eq!((seen.0.as_slice(), seen.1.as_slice()), (out.as_bytes(), b"no\x1b[1m\x01pe\n".as_slice()));
}

#[tokio::test]
async fn only_the_given_environment_is_seen() {
    let mut bench = shell("");
    bench.spec.program = "env".into();
    bench.spec.args.clear();
    bench.spec.env = vec![("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b".into())];
    let out = inline(&report_of(bench.spec).await);
    let mut names: Vec<&str> = out.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["A", "MESHWORK_NONCE", "PATH"]);
}

#[tokio::test]
async fn what_stays_in_the_group_is_ended() {
    let report = report_of(shell("sleep 1000 & echo $!; exit 3").spec).await;
    assert_eq!(code(&report), 3);
    assert!(!is_running(inline(&report).trim().parse().unwrap()));
}

#[tokio::test]
async fn what_left_the_group_is_ended() {
    for script in [
        "setsid sleep 1000 & exit 3",
        "setsid sleep 1000 >/dev/null 2>&1 & exit 3",
        "(setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 &); exit 3",
        "(setsid sh -c 'setsid sh -c \"setsid sleep 1000 & sleep 1000\" & sleep 1000' &); sleep 0.05; exit 3",
        // meshwork within meshwork: the inner one added its link.
        "MESHWORK_NONCE=$MESHWORK_NONCE,in:ner setsid sleep 1000 >/dev/null 2>&1 & exit 3",
    ] {
        let begun = Instant::now();
        assert_eq!(code(&report_of(shell(script).spec).await), 3, "{script}");
        assert!(begun.elapsed() < DEFAULT_GRACE, "{script} should not need SIGKILL");
    }
}

#[tokio::test]
async fn a_leftover_that_ignores_sigterm_is_killed_after_the_grace() {
    // The leader ends only when the trap stands.
    let mut bench = shell(
        "(trap '' TERM; touch trapped; while :; do sleep 0.02; done) &
        while ! test -e trapped; do sleep 0.01; done",
    );
    bench.spec.grace = Duration::from_millis(100);
    let begun = Instant::now();
    assert_eq!(code(&report_of(bench.spec).await), 0);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn an_escaped_process_with_a_scrubbed_environment_is_known_by_the_pipe_it_holds() {
    let report = report_of(shell("env -i setsid sleep 1000 & echo $!").spec).await;
    let pid: i32 = inline(&report).trim().parse().unwrap();
    until(|| !(is_running(pid))).await;
}

#[tokio::test]
async fn a_timeout_ends_it() {
    let mut bench = shell("sleep 1000");
    bench.spec.timeout = Some(Duration::from_millis(50));
    let report = report_of(bench.spec).await;
    assert!(matches!(report.ended, Ended::TimedOut), "{report:?}");
    assert!(report.ran >= Duration::from_millis(50));
}

#[tokio::test]
async fn stop_lets_it_finish_and_kill_does_not() {
    let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    for (end, out) in [(ProcessHandle::stop as fn(&ProcessHandle), "ready\nbye\n"), (ProcessHandle::kill, "ready\n")] {
        let mut bench = shell(script);
        let ready = ready(&mut bench.spec);
        let (handle, future) = start(bench.spec);
        let told = async {
            ready.notified().await;
            end(&handle);
        };
        let (report, ()) = in_time(async { tokio::join!(future, told) }).await;
        assert!(matches!(report.ended, Ended::Stopped), "{report:?}");
        assert_eq!(inline(&report), out);
    }
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_after_the_grace() {
    let mut bench = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    bench.spec.grace = Duration::from_millis(100);
    let ready = ready(&mut bench.spec);
    let (handle, future) = start(bench.spec);
    let asked = async {
        ready.notified().await;
        handle.stop();
        Instant::now()
    };
    let (report, asked) = in_time(async { tokio::join!(future, asked) }).await;
    assert!(matches!(report.ended, Ended::Stopped), "{report:?}");
    assert!(asked.elapsed() >= Duration::from_millis(100));
}

/// Looks again and again until it holds, with a deadline.
async fn until(mut holds: impl FnMut() -> bool) {
    in_time(async {
        let mut look = tokio::time::interval(Duration::from_millis(2));
        while !holds() {
            look.tick().await;
        }
    })
    .await;
}

async fn until_state(pid: u32, state: char) {
    let marker = format!(") {state} ");
    until(|| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(&marker)).await;
}

#[tokio::test]
async fn pause_stops_the_group_and_resume_lets_it_go_on() {
    let mut bench = shell("sleep 0.2 & echo ready; wait; echo done");
    let ready = ready(&mut bench.spec);
    let (handle, future) = start(bench.spec);
    let pid = handle.pid().unwrap();
    let steer = async {
        ready.notified().await;
        handle.pause();
        until_state(pid, 'T').await;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        for child in children.split_whitespace() {
            until_state(child.parse().unwrap(), 'T').await;
        }
        handle.resume();
    };
    let (report, ()) = in_time(async { tokio::join!(future, steer) }).await;
    assert_eq!((code(&report), inline(&report).as_str()), (0, "ready\ndone\n"));
}

#[tokio::test]
async fn a_paused_one_can_be_stopped() {
    let mut bench = shell("trap 'echo bye; exit 0' TERM; sleep 1000 & echo ready; wait");
    let ready = ready(&mut bench.spec);
    let (handle, future) = start(bench.spec);
    let steer = async {
        ready.notified().await;
        handle.pause();
        until_state(handle.pid().unwrap(), 'T').await;
        handle.stop();
    };
    let (report, ()) = in_time(async { tokio::join!(future, steer) }).await;
    assert!(matches!(report.ended, Ended::Stopped), "{report:?}");
    assert_eq!(inline(&report), "ready\nbye\n");
}

#[tokio::test]
async fn input_of_any_length_is_fed_or_not_wanted() {
    let million = Bytes::from(vec![b'x'; 1 << 20]);
    for (input, script, out) in [
        (Bytes::from_static(b"{}"), "cat", "{}"),
        (million.clone(), "wc -c", "1048576"),
        (million.clone(), "true", ""),
        (million.clone(), "exec 0<&-; echo closed", "closed"),
        (Bytes::new(), "cat", ""),
    ] {
        let mut bench = shell(script);
        bench.spec.stdin = input;
        let report = report_of(bench.spec).await;
        assert_eq!((code(&report), inline(&report).trim()), (0, out), "{script}");
    }
}

#[tokio::test]
async fn long_output_goes_to_a_file_and_its_usage_is_taken_off() {
    let input: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_be_bytes).collect();
    let mut bench = shell(r#"cat; echo; echo '{"meshwork":{"usage":{"inputTokens":5,"outputTokens":6}}}'"#);
    bench.spec.stdin = input.clone().into();
    let mut report = report_of(bench.spec).await;
    assert_eq!(code(&report), 0);
    let usage = report.stdout.take_usage().unwrap();
    assert_eq!(usage, Some(Usage { input_tokens: 5, output_tokens: 6 }));
    let Stdout::File { path, len } = &report.stdout else { panic!("{report:?}") };
    let written = std::fs::read(path).unwrap();
    assert_eq!(*len, written.len() as u64);
    assert!(written.strip_suffix(b"\n") == Some(&input), "the output changed on its way");
    assert!(path.starts_with(bench.dir.path()));
}

#[tokio::test]
async fn too_much_output_ends_it() {
    let mut bench = shell("yes");
    bench.spec.limits.stdout_bytes = 100_000;
    let report = report_of(bench.spec).await;
    assert!(matches!(report.ended, Ended::OutputLimit { limit: 100_000 }), "{report:?}");
    let Stdout::File { path, len: 100_000 } = &report.stdout else { panic!("{report:?}") };
    assert_eq!(std::fs::metadata(path).unwrap().len(), 100_000);
}

#[tokio::test]
async fn output_that_cannot_be_kept_ends_it() {
    let mut bench = shell("yes");
    bench.spec.spill_dir = bench.dir.path().join("missing");
    let report = report_of(bench.spec).await;
    assert!(matches!(report.ended, Ended::OutputUnsaved { .. }), "{report:?}");
}

#[tokio::test]
async fn a_signal_from_outside_is_told_apart() {
    let mut bench = shell("echo ready; exec sleep 1000");
    let ready = ready(&mut bench.spec);
    let (handle, future) = start(bench.spec);
    let outside = async {
        ready.notified().await;
        kill(Pid::from_raw(handle.pid().unwrap().cast_signed()), Signal::SIGKILL).unwrap();
    };
    let (report, ()) = in_time(async { tokio::join!(future, outside) }).await;
    assert!(matches!(report.ended, Ended::Signalled { signal: 9 }), "{report:?}");
}

fn start_error(report: &ProcessReport) -> String {
    match &report.ended {
        Ended::NotStarted { error } => error.to_string(),
        _ => panic!("{report:?}"),
    }
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let mut bench = shell("");
    bench.spec.program = "no-such-program".into();
    let error = start_error(&report_of(bench.spec).await);
    assert!(error.contains("\"no-such-program\" was not found") && error.contains("PATH"), "{error}");

    let mut bench = shell("");
    bench.spec.cwd = bench.dir.path().join("nowhere");
    let error = start_error(&report_of(bench.spec).await);
    assert!(error.contains("nowhere\" cannot be entered"), "{error}");

    for (name, mode, text, expected) in [
        ("plain", 0o644, "#!/bin/sh\n", "Permission denied"),
        ("lost", 0o755, "#!/no/such/interpreter\n", "interpreter"),
        ("missing", 0o755, "", "no such file"),
    ] {
        let mut bench = shell("");
        if name != "missing" {
            std::fs::write(bench.dir.path().join(name), text).unwrap();
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(bench.dir.path().join(name), permissions).unwrap();
        }
        bench.spec.program = format!("./{name}").into();
        let error = start_error(&report_of(bench.spec).await);
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn dropping_the_future_kills_everything() {
    let mut bench = shell("setsid sleep 1000 & sleep 1000 & echo ready; wait");
    let (nonce, ready) = (bench.spec.nonce.clone(), ready(&mut bench.spec));
    let (_handle, future) = start(bench.spec);
    {
        let mut future = std::pin::pin!(future);
        in_time(async {
            tokio::select! {
                _ = &mut future => panic!("ended by itself"),
                () = ready.notified() => {}
            }
        })
        .await;
        assert!(carriers(&nonce).len() >= 2);
    }
    until(|| carriers(&nonce).is_empty()).await;
    // Never polled: the same.
    let bench = shell("sleep 1000");
    let nonce = bench.spec.nonce.clone();
    drop(start(bench.spec));
    assert_eq!(carriers(&nonce), Vec::<String>::new());
}

#[tokio::test]
async fn leftovers_of_an_earlier_run_are_ended_and_nothing_else() {
    let (dead, other) = (unique("dead"), unique("other"));
    // Children of this thread, so no search for orphans meets them. One member of the group has no nonce.
    let stray = |nonce: &Nonce| {
        let mut child = Command::new("sh")
            .args(["-c", "env -i sleep 1000 & echo $!; sleep 1000 & wait"])
            .env(NONCE_VARIABLE, nonce.chain())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut scrubbed = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut scrubbed).unwrap();
        (child, scrubbed.trim().parse::<i32>().unwrap())
    };
    let ((mut ours, scrubbed), (mut not_ours, _)) = (stray(&dead), stray(&other));
    until(|| !(carriers(&dead).len() < 2 || carriers(&other).len() < 2)).await;
    // All that runs here is younger than this program.
    assert_eq!(end_leftovers(dead.swarm()), []);
    let ended = leftovers::end_older_than(dead.swarm(), u64::MAX);
    assert!(ended.len() >= 2, "{ended:?}");
    assert!(ended.iter().all(|leftover| leftover.ended && leftover.attempt == dead.attempt()), "{ended:?}");
    assert_eq!(carriers(&dead), Vec::<String>::new());
    until(|| !(is_running(scrubbed))).await;
    assert!(is_running(not_ours.id().cast_signed()));
    ours.wait().ok();
    assert!(!leftovers::end_older_than(other.swarm(), u64::MAX).is_empty());
    not_ours.wait().ok();
}

#[tokio::test]
async fn live_attempts_are_no_leftovers() {
    let mut bench = shell("echo ready; exec sleep 1000");
    bench.spec.nonce = unique("live");
    let (swarm, ready) = (bench.spec.nonce.swarm().to_owned(), ready(&mut bench.spec));
    let (handle, future) = start(bench.spec);
    let look = async {
        ready.notified().await;
        assert!(!leftovers::end_older_than(&swarm, u64::MAX).iter().any(|found| Some(found.pid) == handle.pid()));
        handle.kill();
    };
    let (report, ()) = in_time(async { tokio::join!(future, look) }).await;
    assert!(matches!(report.ended, Ended::Stopped), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_do_not_get_in_each_others_way() {
    let scripts = [
        "exit 5",
        "sleep 1000 & exit 5",
        "setsid sleep 1000 & exit 5",
        "setsid true & setsid sleep 0.01 >/dev/null 2>&1 & exit 5",
        "(setsid sh -c 'sleep 1000' >/dev/null 2>&1 &); exit 5",
    ];
    let attempts: Vec<_> = (0..200)
        .map(|number| {
            tokio::spawn(async move {
                let bench = shell(scripts[number % scripts.len()]);
                (code(&report_of(bench.spec).await), number)
            })
        })
        .collect();
    for (number, attempt) in attempts.into_iter().enumerate() {
        assert_eq!(in_time(attempt).await.unwrap(), (5, number));
    }
}
