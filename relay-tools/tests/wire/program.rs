//! The program of a step: its start, its output, its end, and what it started itself.

use std::path::Path;
use std::time::Duration;

use relay_tools::client::{Connections, MetadataClient};
use relay_tools::entrypoint::{Chunk, Ended, Entrypoint, Invocation, Signal, Stream};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::double::Double;
use crate::step::{SATISFIED, on, reports, run, shell};

#[tokio::test]
async fn ends_have_the_exit_codes_of_a_shell() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let orphan = dir.path().join("orphan");
    std::fs::write(&orphan, "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&orphan, mode).unwrap();
    let program = |path: &Path| Entrypoint::new(Invocation::new(path, [""; 0]));
    let cases = [
        ("success", shell("true"), 0, 0),
        ("failure", shell("exit 255"), 255, 255),
        ("signal", shell("kill -9 $$"), 137, -1),
        ("no such path", program(Path::new("/no/such/program")), 127, 127),
        ("no such name", program(Path::new("no-such-program")), 127, 127),
        ("no interpreter", program(&orphan), 127, 127),
        ("not executable", program(&plain), 126, 126),
        ("a directory", program(dir.path()), 126, 126),
        ("not executable in PATH", program(Path::new("plain")).env("PATH", dir.path()), 126, 126),
        ("no directory", shell("true").working_dir("/no/such/dir"), 126, 126),
    ];
    for (name, step, code, recorded) in cases {
        let double = Double::start().await;
        let ended = run(on(&double, step)).await.0.unwrap();
        assert_eq!(ended.exit_code(), code, "{name}: {ended:?}");
        let last = reports(&double).pop().unwrap();
        assert_eq!(last, (SATISFIED.to_owned(), json!(recorded)), "{name}");
    }
}

#[tokio::test]
async fn what_is_too_large_for_a_program_is_named() {
    let step = shell("true").env("SMALL", "x".repeat(10)).env("LARGE", "canary".repeat(40_000));
    let ended = run(step).await.0.unwrap();
    assert_eq!(ended.exit_code(), 126, "{ended:?}");
    let reason = ended.reason().unwrap();
    assert!(reason.contains("arguments and environment are too large"), "{reason}");
    assert!(reason.contains("the largest variable is LARGE with 240007 bytes"), "{reason}");
    assert!(!reason.contains("canary"), "{reason}");
}

#[tokio::test]
async fn programs_start_in_their_directory_with_an_empty_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let (_, out, _) = run(shell("cat; pwd -P").working_dir(dir.path())).await;
    let real = dir.path().canonicalize().unwrap();
    assert_eq!(out.trim_end(), real.to_str().unwrap());
}

#[tokio::test]
async fn output_arrives_whole_and_unchanged() {
    const SIZE: usize = 10 * 1024 * 1024;
    let script =
        format!("head -c {SIZE} /dev/zero | tr '\\0' x; printf 'no \\377 line\\r\\n\\0end' >&2");
    let (output, mut chunks) = mpsc::channel(1);
    let running = tokio::spawn(shell(&script).run(output, CancellationToken::new()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(Chunk { stream, bytes }) = chunks.recv().await {
        match stream {
            Stream::Stdout => out.extend(bytes),
            Stream::Stderr => err.extend(bytes),
        }
    }
    assert_eq!(running.await.unwrap().unwrap(), Ended::Exited { code: 0 });
    assert!(out.len() == SIZE && out.iter().all(|byte| *byte == b'x'));
    assert_eq!(err, b"no \xff line\r\n\0end");
}

#[tokio::test]
async fn nobody_listening_does_not_disturb_the_program() {
    let (output, chunks) = mpsc::channel(1);
    drop(chunks);
    let step = shell("head -c 1000000 /dev/zero && exit 4");
    let ended = step.run(output, CancellationToken::new()).await.unwrap();
    assert_eq!(ended, Ended::Exited { code: 4 });
}

/// Whether a process is there and not a zombie.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_with_it() {
    let started = std::time::Instant::now();
    let (ended, out, _) =
        run(shell("(sleep 60 & echo $!; wait) & sleep 60 & echo $!; sleep .2; exit 5")).await;
    assert_eq!(ended.unwrap(), Ended::Exited { code: 5 });
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(out.lines().count(), 2);
    assert!(!out.lines().any(runs), "{out}");
}

#[tokio::test]
async fn a_process_that_has_left_the_group_does_not_hold_the_step_up() {
    let started = std::time::Instant::now();
    let (ended, out, _) = run(shell("setsid sleep 30 & echo done")).await;
    assert_eq!((ended.unwrap(), out.as_str()), (Ended::Exited { code: 0 }, "done\n"));
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn cancelling_ends_children_of_children() {
    let cases = [
        ("by SIGTERM", "(sleep 60 & echo $!; wait) & sleep 60", -1),
        ("with time to clean up", "trap 'echo bye; exit 3' TERM; sleep 60 & echo $!; wait", 3),
        (
            "by SIGKILL",
            "trap '' TERM; (trap '' TERM; sleep 60 & echo $!; wait) & while :; do sleep 1; done",
            -1,
        ),
    ];
    for (name, script, recorded) in cases {
        let double = Double::start().await;
        let cancel = CancellationToken::new();
        let (output, mut chunks) = mpsc::channel(8);
        let step = on(&double, shell(script)).grace(Duration::from_secs(1));
        let running = tokio::spawn(step.run(output, cancel.clone()));
        let pid = String::from_utf8(chunks.recv().await.unwrap().bytes.to_vec()).unwrap();
        assert!(runs(&pid), "{name}");
        cancel.cancel();
        let ended = running.await.unwrap().unwrap();
        assert_eq!(ended, Ended::Cancelled { program: Some(recorded) }, "{name}");
        assert_eq!(ended.exit_code(), 143, "{name}");
        assert!(!runs(&pid), "{name}");
        let last = reports(&double).pop().unwrap();
        assert_eq!(last, (SATISFIED.to_owned(), json!(recorded)), "{name}");
    }
}

#[tokio::test]
async fn a_receiver_that_stands_still_does_not_hold_up_a_cancelled_step() {
    let cancel = CancellationToken::new();
    let (output, chunks) = mpsc::channel(1);
    let running = tokio::spawn(shell("yes").run(output, cancel.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    cancel.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await;
    assert!(matches!(ended.unwrap().unwrap().unwrap(), Ended::Cancelled { .. }));
    drop(chunks);
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let (output, mut chunks) = mpsc::channel(8);
    let step = shell("(sleep 60 & echo $!; wait) & sleep 60");
    let running = tokio::spawn(step.run(output, CancellationToken::new()));
    let pid = String::from_utf8(chunks.recv().await.unwrap().bytes.to_vec()).unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    for _ in 0..100 {
        if !runs(&pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{pid} is still there");
}

#[tokio::test]
async fn signals_are_for_the_program_to_judge() {
    let script = "exec 2>/dev/null; trap 'echo int' INT; trap 'echo term; exit 6' TERM; echo ready; \
                  while :; do sleep .05; done";
    let (signal, signals) = mpsc::channel(1);
    let (output, mut chunks) = mpsc::channel(8);
    let running =
        tokio::spawn(shell(script).signals(signals).run(output, CancellationToken::new()));
    assert_eq!(chunks.recv().await.unwrap().bytes, "ready\n");
    // A shell cannot trap what was ignored when it began, as in a job in the background.
    if !interrupts_are_ignored() {
        signal.send(Signal::Interrupt).await.unwrap();
        assert_eq!(chunks.recv().await.unwrap().bytes, "int\n");
    }
    signal.send(Signal::Terminate).await.unwrap();
    assert_eq!(chunks.recv().await.unwrap().bytes, "term\n");
    assert_eq!(running.await.unwrap().unwrap(), Ended::Exited { code: 6 });
}

fn interrupts_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << 1) != 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_steps_run_at_once_from_scripts_just_written() {
    let dir = tempfile::tempdir().unwrap();
    let double = Double::start().await;
    let http = Connections::new();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..200 {
        let script = dir.path().join(format!("step-{number}"));
        let (http, url) = (http.clone(), double.url());
        running.spawn(async move {
            std::fs::write(&script, format!("#!/bin/sh\necho {number}\nexit 9\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&script, mode).unwrap();
            let client = MetadataClient::with_http(http, &url, Duration::from_secs(30));
            let step = Entrypoint::new(Invocation::new(script, [""; 0]))
                .client(client.unwrap())
                .gated(true);
            let (ended, out, _) = run(step).await;
            (ended.unwrap(), out == format!("{number}\n"))
        });
    }
    while let Some(step) = running.join_next().await {
        assert_eq!(step.unwrap(), (Ended::Exited { code: 9 }, true));
    }
}
