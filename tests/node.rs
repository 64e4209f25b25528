//! Node `ws`: as a client of the echo, and the tutorial's own server to compare `--tutorial` with.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use support::server::{self, Server};

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/node")
}

/// Why these tests cannot run here; none: Node and `ws` are ready.
fn missing() -> Option<&'static str> {
    static MISSING: LazyLock<Option<String>> = LazyLock::new(|| {
        for tool in ["node", "npm"] {
            if Command::new(tool).arg("--version").output().is_err() {
                return Some(format!(
                    "{tool} is not installed (Debian: apt install nodejs npm)"
                ));
            }
        }
        if scripts().join("node_modules/ws").exists() {
            return None;
        }
        let mut install = Command::new("npm");
        install
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(scripts());
        let output = install.output().expect("npm starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then(|| format!("npm ci in tests/node failed: {said}"))
    });
    MISSING.as_deref()
}

/// Whether the test can run. Where nothing may be left out, it must.
fn ready() -> bool {
    let Some(reason) = missing() else {
        return true;
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "nothing is left out with CI set: {reason}"
    );
    server::say_skipped("the tests with Node", reason);
    false
}

/// Runs a script against `url` and returns what it prints.
fn run(script: &str, url: &str) -> String {
    let output = Command::new("node")
        .arg(scripts().join(script))
        .arg(url)
        .output();
    let output = output.expect("node starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The tutorial's server.
struct Tutorial {
    child: Child,
    url: String,
}

impl Tutorial {
    fn start() -> Self {
        let mut command = Command::new("node");
        command
            .arg(scripts().join("tutorial-server.mjs"))
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let (_, url) = line
            .trim_end()
            .split_once("listening on ")
            .expect("an address");
        Tutorial {
            child,
            url: url.to_owned(),
        }
    }
}

impl Drop for Tutorial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_client_gets_its_echo() {
    if !ready() {
        return;
    }
    for engine in server::usable_engines() {
        run("echo.mjs", &Server::start(engine, &[]).url());
    }
}

#[test]
fn the_tutorial_answers_as_its_own_server_would() {
    if !ready() {
        return;
    }
    let expected = run("awkward.mjs", &Tutorial::start().url);
    assert!(expected.lines().count() > 40, "{expected}");
    for engine in server::usable_engines() {
        for after in ["101", "turn", "20ms"] {
            let server = Server::start(engine, &["--tutorial", "--greeting-after", after]);
            let answered = run("awkward.mjs", &server.url());
            for (number, pair) in expected.lines().zip(answered.lines()).enumerate() {
                let short = |line: &str| line.chars().take(200).collect::<String>();
                let (theirs, ours) = (short(pair.0), short(pair.1));
                assert!(
                    pair.0 == pair.1,
                    "{engine}, answer {number}: {ours} instead of {theirs}"
                );
            }
            assert_eq!(
                expected.lines().count(),
                answered.lines().count(),
                "{engine}"
            );
        }
    }
}
