//! What the operator sees of a mistake: one line on standard error, and status 2.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs the program to its end, in an environment of its own. A mistake that goes unnoticed would
/// serve for ever: it is ended, and the test with it.
fn ringback(args: &[&str], environment: &[(&str, &OsStr)]) -> Output {
    ringback_in(Path::new("."), args, environment)
}

fn ringback_in(directory: &Path, args: &[&str], environment: &[(&str, &OsStr)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(args)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().expect("a child to wait for").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("a child to end");
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("its output")
}

/// The sentence, which must come alone.
#[track_caller]
fn sentence(output: &Output) -> String {
    let error = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(output.stdout, b"", "{error}");
    let line = error.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "{error}");
    line.strip_prefix("ringback: ")
        .expect("the program's name")
        .to_owned()
}

#[test]
fn a_bad_flag_is_named_in_one_line() {
    for (args, start) in [
        (&["--listen", "nowhere"][..], "--listen: `nowhere` "),
        (
            &["serve", "--idle-timeout", "30"],
            "--idle-timeout: `30` lacks a unit; write 30s ",
        ),
        (&["--engine=kqueue"], "--engine: `kqueue` "),
        (&["--workers=0"], "--workers: `0` "),
        (
            &["--max-message-size=lots\n\nof"],
            "--max-message-size: `lots\\n\\nof` ",
        ),
        (
            &["--protocol=tcp", "--tutorial"],
            "--tutorial: does not go with --protocol tcp",
        ),
        (&["--listne=x"], "`--listne`: is no option; write --listen "),
        (&["--listen"], "--listen: has no value"),
        (&["probe", "--xml"], "`--xml`: is no option"),
        (&["sreve"], "`sreve`: is no command"),
    ] {
        let sentence = sentence(&ringback(args, &[]));
        assert!(
            sentence.starts_with(start) && sentence.ends_with('.'),
            "{sentence}"
        );
    }
}

#[test]
fn a_bad_variable_is_named_in_one_line() {
    let not_text = OsString::from_vec(b"\xff".to_vec());
    for (name, value, start) in [
        (
            "RINGBACK_DRAIN_TIMEOUT",
            OsStr::new("soon"),
            "RINGBACK_DRAIN_TIMEOUT: `soon` ",
        ),
        (
            "RINGBACK_LISTENS",
            OsStr::new("x"),
            "RINGBACK_LISTENS: is no variable of Ringback; ",
        ),
        (
            "RINGBACK_GREETING",
            &not_text,
            "RINGBACK_GREETING: is not UTF-8; ",
        ),
    ] {
        let sentence = sentence(&ringback(&["serve"], &[(name, value)]));
        assert!(
            sentence.starts_with(start) && sentence.ends_with('.'),
            "{sentence}"
        );
    }
}

#[test]
fn a_bad_file_is_named_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    for (contents, start) in [
        (
            &b"idle-timeout = '1 parsec'"[..],
            "`idle-timeout` in my.toml: `1 parsec` ",
        ),
        (
            b"listens = ['127.0.0.1:0']",
            "`listens` in my.toml: is no option; write listen ",
        ),
        (
            b"pin = true\nlisten = [",
            "--config: `my.toml` is not TOML in line 2 (",
        ),
        (b"greeting = '\xff'", "--config: `my.toml` cannot be read ("),
    ] {
        std::fs::write(directory.path().join("my.toml"), contents).expect("a file");
        let sentence = sentence(&ringback_in(
            directory.path(),
            &["--config", "my.toml"],
            &[],
        ));
        assert!(
            sentence.starts_with(start) && sentence.ends_with('.'),
            "{sentence}"
        );
    }
}

#[test]
fn a_file_that_would_never_end_or_begin_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        let path = path.to_str().expect("UTF-8");
        let sentence = sentence(&ringback(&["--config", path], &[]));
        assert!(
            sentence.contains("cannot be read (it is no regular file)"),
            "{sentence}"
        );
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for (args, start) in [
        (
            &["--version"][..],
            concat!("ringback ", env!("CARGO_PKG_VERSION"), " (commit "),
        ),
        (&["--help"], env!("CARGO_PKG_DESCRIPTION")),
        (&["serve", "-h"], "Serve"),
        (&["probe", "-h"], "Tell"),
    ] {
        let output = ringback(args, &[("RINGBACK_NONSENSE", OsStr::new("x"))]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{text}"
        );
        assert!(text.starts_with(start), "{text}");
    }
}
