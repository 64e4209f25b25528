//! Runs `ringload` as a user does, and reads what it says.

use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Habit, Script, Server};

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs whose windows may pass without an answer before that is a failure.
const STARVED_MAX: usize = 5;

/// What a run said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// The JSON on standard output; null if there was none.
    pub(crate) document: Value,
    pub(crate) stderr: String,
    pub(crate) engine: &'static str,
}

/// A run under way.
pub(crate) struct Running(Option<Child>);

/// `ringload` with `arguments`, separated by spaces.
pub(crate) fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(arguments.split_ascii_whitespace());
    command
}

/// Runs `ringload` to its end.
pub(crate) fn ringload(arguments: &str) -> Output {
    Running::start(arguments).wait()
}

/// What it wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Running {
    /// Starts `ringload`.
    pub(crate) fn start(arguments: &str) -> Running {
        let mut command = command(arguments);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.0.as_ref().expect("it has not been waited for"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its resident memory, for as long as it runs: the most seen, in bytes.
    pub(crate) fn watch_memory(&mut self) -> u64 {
        let status = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let mut most = 0;
        let start = Instant::now();
        let child = self.0.as_mut().expect("it has not been waited for");
        while child.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
            // The file of a process that has just ended cannot be read or lacks the line.
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next());
            most = most.max(kibibytes.map_or(0, |number| number.parse().unwrap()));
            thread::sleep(Duration::from_millis(20));
        }
        most * 1024
    }

    /// Waits for its end, not for ever.
    pub(crate) fn wait(mut self) -> Output {
        let pid = self.pid();
        let child = self.0.take().expect("it has not been waited for");
        let (sender, receiver) = channel();
        thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("it did not end within {} seconds", PATIENCE.as_secs());
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // A test that failed leaves nothing behind.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The engines to test. A machine without io_uring says so; with CI set that is a failure.
pub(crate) fn engines() -> &'static [&'static str] {
    static ENGINES: OnceLock<Vec<&'static str>> = OnceLock::new();
    ENGINES.get_or_init(|| {
        let address = super::serve(Habit::Right);
        let uring = ringload(&format!(
            "run ws://{address} --connections 1 --duration 50ms --warmup 0s --quiet --engine uring"
        ));
        let why = stderr(&uring);
        if !why.contains("io_uring cannot be used here") {
            return vec!["epoll", "uring"];
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "io_uring is to be tested in CI: {why}"
        );
        eprintln!("skipped: the uring engine ({why})");
        vec!["epoll"]
    })
}

/// Runs `ringload run` against `url` on `engine`, with a fixed seed.
pub(crate) fn run(url: &str, engine: &'static str, arguments: &str) -> Outcome {
    let output = ringload(&format!(
        "run {url} --engine {engine} --seed 1 --json - {arguments}"
    ));
    Outcome::of(&output, engine)
}

/// Runs `ringload run` on each engine at the same time, each against a server of its own that follows
/// `script`. `--protocol tcp` among the arguments makes that one of raw bytes.
pub(crate) fn run_each(script: impl Into<Script>, arguments: &str) -> Vec<(Server, Outcome)> {
    let script = script.into();
    thread::scope(|scope| {
        let runs = engines().iter().map(|engine| {
            let script = &script;
            scope.spawn(move || run_against(script, engine, arguments))
        });
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

fn run_against(script: &Script, engine: &'static str, arguments: &str) -> (Server, Outcome) {
    for _ in 0..STARVED_MAX {
        let server = match arguments.contains("--protocol tcp") {
            true => Server::raw(script.clone()),
            false => Server::websocket(script.clone()),
        };
        let outcome = run(&server.url(), engine, arguments);
        // On a machine with other work, a short window may pass before anybody had a CPU.
        if !outcome
            .stderr
            .contains("no message was answered within the window")
        {
            return (server, outcome);
        }
    }
    panic!("{engine}: no message was ever answered: {arguments}");
}

impl Outcome {
    /// Reads what was written.
    pub(crate) fn of(output: &Output, engine: &'static str) -> Outcome {
        Outcome {
            code: output.status.code(),
            document: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: stderr(output),
            engine,
        }
    }

    /// All must have gone well.
    pub(crate) fn expect_ok(&self) -> &Value {
        let told = (self.code, self.stderr.as_str());
        assert_eq!(told, (Some(0), ""), "{}", self.engine);
        assert_eq!(self.document["status"], "ok");
        &self.document["result"]
    }

    /// It must have failed, and have said each of `phrases` both to people and to machines.
    pub(crate) fn expect_failure(&self, phrases: &[&str]) {
        let engine = self.engine;
        let told = self.document["error"].as_str().unwrap_or_default();
        assert_eq!(self.code, Some(1), "{engine}: {}", self.stderr);
        assert_eq!(self.document["status"], "failed", "{engine}: {told}");
        for phrase in phrases {
            assert!(
                told.contains(phrase),
                "{engine}: {phrase:?} is not in {told:?}"
            );
            let stderr = &self.stderr;
            assert!(
                stderr.contains(phrase),
                "{engine}: {phrase:?} is not in {stderr:?}"
            );
        }
    }
}

/// The whole number at `pointer`, such as `/result/completed`.
pub(crate) fn whole(document: &Value, pointer: &str) -> u64 {
    let value = document.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no whole number at {pointer} of {document:#}"))
}

/// The number at `pointer`.
pub(crate) fn number(document: &Value, pointer: &str) -> f64 {
    let value = document.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no number at {pointer} of {document:#}"))
}

/// The histogram of a distribution such as `/result/latency`, in nanoseconds.
pub(crate) fn histogram(document: &Value, pointer: &str) -> Histogram<u64> {
    let text = document.pointer(&format!("{pointer}/histogram_v2_deflate_base64"));
    let text = text.and_then(Value::as_str);
    let text = text.unwrap_or_else(|| panic!("no histogram at {pointer} of {document:#}"));
    let bytes = STANDARD.decode(text).unwrap();
    let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
    assert_eq!(
        histogram.len(),
        whole(document, &format!("{pointer}/count"))
    );
    histogram
}

/// How many values lie from `low` up to, not including, `high`.
pub(crate) fn count_within(histogram: &Histogram<u64>, low: Duration, high: Duration) -> u64 {
    let (low, high) = (low.as_nanos() as u64, high.as_nanos() as u64);
    let recorded = histogram.iter_recorded();
    let within = recorded.filter(|value| (low..high).contains(&value.value_iterated_to()));
    within.map(|value| value.count_at_value()).sum()
}
