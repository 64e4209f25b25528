//! What can be seen of a run while it lasts: the picture on a terminal, which is left as it was however it ends, and
//! the figures for Prometheus.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pts, Pty, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::tcgetattr;
use support::client::{command, ringload, stderr};
use support::{Habit, Script, Server};

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal of 100 columns and 30 rows with a program on it.
struct Terminal {
    pty: Pty,
    pts: Option<Pts>,
    child: Child,
    modes: String,
    told: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn run(arguments: &str) -> Terminal {
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(30, 100)).unwrap();
        let modes = modes(&pty);
        let child = Command::new(env!("CARGO_BIN_EXE_ringload"))
            .args(arguments.split_ascii_whitespace())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .spawn_borrowed(&pts)
            .unwrap();
        let told = Arc::default();
        let mut reader = std::fs::File::from(rustix::io::dup(&pty).unwrap());
        let sink: Arc<Mutex<Vec<u8>>> = Arc::clone(&told);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                sink.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Terminal {
            pty,
            pts: Some(pts),
            child,
            modes,
            told,
        }
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&self.told.lock().unwrap()).into_owned()
    }

    fn await_text(&self, text: &str) {
        let start = Instant::now();
        while !self.told().contains(text) {
            let told = self.told();
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {told:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, and what stands behind the last picture. The terminal must be as it was.
    fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end: {:?}", self.told());
            }
            thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(modes(&self.pty), self.modes, "the terminal's modes");
        self.pts = None;
        thread::sleep(Duration::from_millis(100));
        let told = self.told();
        let (_, last) = told
            .rsplit_once("\x1b[J\x1b[?25h")
            .unwrap_or_else(|| panic!("the picture is not taken away: {told:?}"));
        assert!(!last.contains('\x1b'), "drawn after the end: {last:?}");
        (status, last.to_owned())
    }
}

fn modes(pty: &Pty) -> String {
    let modes = tcgetattr(pty).unwrap();
    format!(
        "{:?} {:?} {:?} {:?}",
        modes.local_modes, modes.input_modes, modes.output_modes, modes.special_codes
    )
}

#[test]
fn the_terminal_is_as_it_was_however_a_run_ends() {
    type End = fn(&mut Terminal);
    let ends: [(&str, End, i32); 5] = [
        ("q", |it| it.pty.write_all(b"q").unwrap(), 130),
        ("Ctrl-C", |it| it.pty.write_all(b"\x03").unwrap(), 130),
        ("SIGINT", |it| it.signal(Signal::INT), 130),
        ("SIGTERM", |it| it.signal(Signal::TERM), 130),
        ("nothing", |_| {}, 0),
    ];
    for (name, end, code) in ends {
        let server = Server::websocket(Script::default());
        let duration = if code == 0 { "3s" } else { "1h" };
        let mut terminal = Terminal::run(&format!(
            "run {} --connections 2 --rate 500 --warmup 300ms --duration {duration}",
            server.url()
        ));
        // Percentiles come with the second slice, where slices are short.
        terminal.await_text(if code == 0 { "p99.9" } else { "measuring" });
        end(&mut terminal);
        let (status, table) = terminal.end();
        assert_eq!(status.code(), Some(code), "{name}: {table}");
        assert!(table.contains("messages/s"), "{name}: {table}");
    }
}

#[test]
fn the_terminal_is_as_it_was_after_a_failure() {
    let server = Server::websocket(Habit::Reset(2000));
    let terminal = Terminal::run(&format!(
        "run {} --connections 2 --rate 2k --warmup 100ms --duration 1h",
        server.url()
    ));
    terminal.await_text("measuring");
    let (status, told) = terminal.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(
        told.contains("reset") || told.contains("ended the connection"),
        "{told}"
    );
    let terminal = Terminal::run("run ws://127.0.0.1:1/ --connections 2");
    let (status, told) = terminal.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("refused"), "{told}");
}

#[test]
fn a_picture_is_only_where_it_is_wanted() {
    let server = Server::websocket(Script::default());
    for option in ["--no-tui", "--quiet"] {
        let mut terminal = Terminal::run(&format!(
            "run {} --connections 1 --warmup 0s --duration 500ms {option}",
            server.url()
        ));
        assert!(terminal.child.wait().unwrap().success());
        let told = terminal.told();
        assert!(!told.contains("q stops"), "{option}: {told:?}");
        assert_eq!(
            told.contains("measuring  ["),
            option == "--no-tui",
            "{told:?}"
        );
    }
}

/// The answer to `request`, sent as it is.
fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // What was sent beyond the limit resets the connection, behind the answer.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

/// Starts `arguments` with `--prometheus`; the address that it prints.
fn scraped(arguments: &str) -> (Child, String) {
    let mut child = command(&format!("{arguments} --prometheus 127.0.0.1:0"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = told.by_ref().find_map(|line| {
        let line = line.unwrap();
        let address = line.strip_prefix("ringload: metrics at http://")?;
        address.strip_suffix("/metrics").map(str::to_owned)
    });
    // What it says further must not fill the pipe.
    thread::spawn(move || told.for_each(drop));
    (child, address.expect("it prints the address"))
}

fn figure(answer: &str, name: &str) -> Option<f64> {
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    line.map(|value| value.trim().parse().unwrap())
}

/// Scrapes until `name` is above `least`; the answer that has it.
fn await_figure(address: &str, name: &str, least: f64) -> String {
    let start = Instant::now();
    loop {
        let answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        if figure(&answer, name) > Some(least) {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{name}: {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn figures_are_served_while_it_runs() {
    let server = Server::websocket(Script::default());
    let (mut child, address) = scraped(&format!(
        "run {} --connections 3 --rate 1k --warmup 0s --duration 3s",
        server.url()
    ));
    let address = &address[..];
    // Who says nothing keeps the others waiting for as long as a request may take.
    let silent = TcpStream::connect(address).unwrap();
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n".to_owned(), "405"),
        ("GET /metrics\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)), "431"),
    ] {
        let answer = ask(address, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let answer = await_figure(address, "ringload_latency_seconds_count ", 100.0);
    let completed = figure(&answer, "ringload_completed_total ").unwrap();
    assert!(completed <= server.log().records.len() as f64 && completed > 100.0);
    assert_eq!(
        figure(&answer, "ringload_payload_bytes_total "),
        Some(32.0 * completed)
    );
    assert_eq!(figure(&answer, "ringload_connections "), Some(3.0));
    assert_eq!(
        figure(&answer, "ringload_stage{stage=\"measuring\"} "),
        Some(1.0)
    );
    let offered = figure(&answer, "ringload_offered_per_second ").unwrap();
    assert!((offered - 1000.0).abs() < 100.0, "{answer}");
    drop(silent);
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_kind_of_load_can_be_scraped() {
    let server = Server::websocket(Script::default());
    let failing = Server::websocket(Habit::CorruptAll);
    let url = server.url();
    for (arguments, name, least) in [
        (
            format!(
                "churn {} --connections 2 --duration 3s --keep-going",
                failing.url()
            ),
            "ringload_errors_total ",
            10.0,
        ),
        (
            format!("churn {url} --connections 2 --rate 200 --warmup 0s --duration 3s"),
            "ringload_latency_seconds_count ",
            50.0,
        ),
        (
            format!("capacity {url} --slo max<60s --from 200 --to 300 --step 1s --connections 2"),
            "ringload_completed_total ",
            100.0,
        ),
        (
            format!(
                "idle {url} --connections 5 --hold 2s --server-pid {}",
                std::process::id()
            ),
            "ringload_connections ",
            4.0,
        ),
    ] {
        let (mut child, address) = scraped(&arguments);
        await_figure(&address, name, least);
        assert!(child.wait().is_ok(), "{arguments}");
    }
}

#[test]
fn an_address_that_is_taken_is_refused_before_the_load() {
    let server = Server::websocket(Script::default());
    let taken = Server::websocket(Script::default());
    let output = ringload(&format!(
        "run {} --prometheus {}",
        server.url(),
        taken.address
    ));
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("--prometheus") && told.contains("in use"),
        "{told}"
    );
    assert!(
        server.log().requests.is_empty(),
        "the load ran all the same"
    );
}
