//! The real binary as a child process, ended with its handle.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ringback");

/// How long anything may take before a test gives up. Never a measure of speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server.
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// One worker on a free port of the loopback.
    pub(crate) fn start(engine: &str, options: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0", "--engine", engine];
        let mut command = Command::new(BINARY);
        command.args(listen).args(options);
        if !options.contains(&"--workers") {
            command.args(["--workers", "1"]);
        }
        Self::run(command)
    }

    /// The same, with at most `descriptors` open files.
    pub(crate) fn start_with_descriptors(engine: &str, descriptors: u32, options: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""),
            BINARY,
        ]);
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--engine",
            engine,
        ]);
        command.args(options);
        Self::run(command)
    }

    /// One worker whose log no one reads once it serves: what it says then fails (EPIPE).
    pub(crate) fn start_unheard(engine: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["--listen", "127.0.0.1:0", "--engine", engine]);
        command.args(["--workers", "1"]);
        let mut child = spawn(command);
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut log = Vec::new();
        for line in stderr.lines().map_while(Result::ok) {
            let is_last = line.contains("worker");
            log.push(line);
            if is_last {
                break;
            }
        }
        let address = log.iter().find_map(|line| address_in(line));
        Server {
            child,
            address: address.unwrap_or_else(|| panic!("the server listens: {log:?}")),
            log: Arc::new(Mutex::new(log)),
        }
    }

    /// What `command` starts, once it serves.
    pub(crate) fn run(command: Command) -> Self {
        let mut child = spawn(command);
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().expect("the log").push(line);
            }
        });
        let mut server = Server {
            child,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.address = until("the server listens", || {
            let ended = server.child.try_wait().expect("a child").is_some();
            assert!(!ended, "the server ended: {:?}", server.log());
            server.log().iter().find_map(|line| address_in(line))
        });
        server
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server lives");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its end, which must come.
    pub(crate) fn wait(mut self) -> ExitStatus {
        until("the server ends", || self.try_wait())
    }

    /// How it has ended, if it has.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Whether it still runs; a child that has ended and was not waited for does not.
    pub(crate) fn is_alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // The state follows the name in parentheses (proc(5)).
        let stat = stat.expect("it is not waited for");
        let (_, state) = stat.rsplit_once(") ").expect("a state");
        !state.starts_with(['Z', 'X'])
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most it has ever had resident, in bytes.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.expect("the server lives").count()
    }

    /// A line of `/proc/PID/status` (proc(5)), in bytes.
    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the server lives");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line
            .expect(name)
            .trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number");
        kibibytes * 1024
    }

    /// The CPU time of all its threads, by the scheduler's own account (proc(5), schedstat).
    pub(crate) fn cpu_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = tasks
            .expect("the server lives")
            .map_while(Result::ok)
            .map(|task| {
                let schedstat = std::fs::read_to_string(task.path().join("schedstat"));
                let first = schedstat
                    .ok()
                    .and_then(|it| it.split(' ').next()?.parse::<u64>().ok());
                first.unwrap_or(0)
            });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Checks that it takes almost no CPU for a second.
    pub(crate) fn assert_idle(&self, when: &str) {
        let before = self.cpu_time();
        thread::sleep(Duration::from_secs(1));
        let spent = self.cpu_time() - before;
        assert!(
            spent < Duration::from_millis(300),
            "{spent:?} of CPU in a second {when}"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("the server's log: {:#?}", self.log());
        }
    }
}

fn spawn(mut command: Command) -> Child {
    isolate(&mut command)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts")
}

/// Polls `condition` until it holds.
///
/// # Panics
/// If it never does.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An address where nobody listens and from which nobody calls: a host of 127.0.0.0/8 of its own. A port of 127.0.0.1
/// that was free a moment ago may be a caller's by now.
pub(crate) fn free_address() -> SocketAddr {
    static HOSTS: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let host = HOSTS.fetch_add(1, Relaxed);
    SocketAddr::from(([127, high | 0x80, low, host], 7007))
}

/// Runs the binary to its end: how it ended, and what it said.
pub(crate) fn run_to_end(options: &[&str]) -> (ExitStatus, String) {
    let output = isolate(Command::new(BINARY).args(options))
        .output()
        .expect("the server starts");
    (
        output.status,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Keeps the environment's own options away.
fn isolate(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGBACK_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null())
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let (_, address) = rest.split_once("://")?;
    let end = address.find(|it: char| !it.is_ascii_digit() && !".:[]".contains(it));
    address[..end.unwrap_or(address.len())].parse().ok()
}

/// Why this machine cannot run `engine`; none: it can.
pub(crate) fn unusable(engine: &str) -> Option<String> {
    static ENGINES: LazyLock<BTreeMap<String, Option<String>>> = LazyLock::new(|| {
        let output = isolate(Command::new(BINARY).args(["probe", "--json"])).output();
        let output = output.expect("the binary runs").stdout;
        let probe: serde_json::Value = serde_json::from_slice(&output).expect("JSON");
        let engines = probe["engines"].as_array().expect("a list of engines");
        let entry = |engine: &serde_json::Value| {
            let reason = engine["reason"]
                .as_str()
                .unwrap_or("no reason given")
                .to_owned();
            let name = engine["name"].as_str().expect("a name").to_owned();
            (name, (engine["usable"] != true).then_some(reason))
        };
        engines.iter().map(entry).collect()
    });
    assert_eq!(ENGINES.get("epoll"), Some(&None), "epoll works everywhere");
    ENGINES
        .get(engine)
        .expect("the probe names every engine")
        .clone()
}

/// Runs `case` on `engine` if this machine has it.
pub(crate) fn on(engine: &'static str, case: fn(&'static str)) {
    match unusable(engine) {
        None => case(engine),
        Some(reason) => say_skipped(engine, &reason),
    }
}

/// Says that this test does not run here, and why; `scripts/test` counts it as skipped for that.
pub(crate) fn say_skipped(what: &str, reason: &str) {
    say(&format!("skipped on this machine: {what}: {reason}\n"));
}

/// Writes past the harness, which hides what passing tests say, and at once, so that lines stay whole.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The engines of this machine, for a test that takes each in turn. Those it has not are named.
pub(crate) fn usable_engines() -> Vec<&'static str> {
    let usable = |engine: &&'static str| match unusable(engine) {
        None => true,
        Some(reason) => {
            say(&format!("left out on this machine: {engine}: {reason}\n"));
            false
        }
    };
    ["epoll", "uring", "tokio-uring"]
        .into_iter()
        .filter(usable)
        .collect()
}
