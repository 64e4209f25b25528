//! What a service manager sees, and the sockets that it opens.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::dynasty::{Dynasty, number_behind};
use crate::peers::Crowd;
use crate::server::{self, BINARY, PATIENCE, usable_engines};

/// Where the server tells how it is.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Manager { socket, folder }
    }

    fn start(&self, engine: &str, watchdog: Option<Duration>) -> Dynasty {
        let mut command = Command::new(BINARY);
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        if let Some(period) = watchdog {
            command.env("WATCHDOG_USEC", period.as_micros().to_string());
        }
        Dynasty::of(command, engine, &[], None)
    }

    /// Waits until it is told nothing for five times as long as it would wait, but for what was on its way.
    fn hears_no_more(&self) {
        let silence = Some(Duration::from_secs(2));
        self.socket.set_read_timeout(silence).expect("a timeout");
        let mut heard = 0;
        while self.socket.recv(&mut [0; 64]).is_ok() {
            heard += 1;
            assert!(heard < 20, "signs of life go on");
        }
        self.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout");
    }

    /// What it is told next.
    fn hears(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("something is told");
        String::from_utf8_lossy(&bytes[..count])
            .trim_end()
            .to_owned()
    }
}

#[test]
fn it_is_told_how_things_stand() {
    for engine in usable_engines() {
        let manager = Manager::new();
        let mut dynasty = manager.start(engine, None);
        assert_eq!(manager.hears(), "READY=1");
        for _ in 0..2 {
            let mut crowd = Crowd::gather(dynasty.address, 10);
            dynasty.restart();
            let told = manager.hears();
            assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
            let pid = number_behind(&manager.hears(), "MAINPID=");
            assert_eq!(pid, dynasty.reigning);
            assert_eq!(manager.hears(), "READY=1");
            crowd.speak(1);
        }
        dynasty.signal(Signal::TERM);
        assert_eq!(manager.hears(), "STOPPING=1");
    }
}

#[test]
fn it_is_told_when_a_handover_has_failed() {
    let manager = Manager::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ringback.toml");
    std::fs::write(&file, "").expect("a file");
    let mut command = Command::new(BINARY);
    command.env("NOTIFY_SOCKET", manager.folder.path().join("notify"));
    command.arg("--config").arg(&file);
    let mut dynasty = Dynasty::of(command, "epoll", &[], None);
    assert_eq!(manager.hears(), "READY=1");
    std::fs::write(&file, "nonsense").expect("a file");
    dynasty.ask();
    assert!(manager.hears().starts_with("RELOADING=1"));
    assert_eq!(manager.hears(), "READY=1");
    dynasty.hears("cannot hand over");
}

#[test]
fn signs_of_life_go_on_when_somebody_else_serves() {
    for engine in usable_engines() {
        let manager = Manager::new();
        let mut dynasty = manager.start(engine, Some(Duration::from_millis(400)));
        assert_eq!(manager.hears(), "READY=1");
        for _ in 0..5 {
            assert_eq!(manager.hears(), "WATCHDOG=1");
        }
        dynasty.restart();
        while !manager.hears().starts_with("MAINPID=") {}
        assert_eq!(manager.hears(), "READY=1");
        for _ in 0..5 {
            assert_eq!(manager.hears(), "WATCHDOG=1");
        }
    }
}

/// A thread that a debugger has stopped, until it is dropped.
struct Stopped(Child);

impl Stopped {
    /// The thread of that name; none where this process may not do so.
    fn thread(process: Pid, name: &str) -> Option<Self> {
        let tasks = format!("/proc/{}/task", process.as_raw_nonzero());
        let mut tasks = std::fs::read_dir(tasks).expect("it lives").flatten();
        let is_it = |path: &Path| {
            let comm = std::fs::read_to_string(path.join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        let task = tasks.find(|task| is_it(&task.path())).expect(name);
        // PTRACE_SEIZE and PTRACE_INTERRUPT stop one thread (ptrace(2)), which goes on once its debugger has ended.
        let script = "import ctypes, os, sys\n\
            ptrace, tid = ctypes.CDLL(None).ptrace, int(sys.argv[1])\n\
            if ptrace(0x4206, tid, None, None) or ptrace(0x4207, tid, None, None): sys.exit(1)\n\
            os.waitpid(tid, 0x40000000)\n\
            print('stopped', flush=True)\n\
            sys.stdin.read()";
        let mut debugger = Command::new("python3")
            .args(["-c", script])
            .arg(task.file_name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut said = [0; 7];
        let stdout = debugger.stdout.as_mut().expect("a pipe");
        let is_stopped = stdout.read_exact(&mut said).is_ok();
        let stopped = Stopped(debugger);
        is_stopped.then_some(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It ends at the end of its input.
        self.0.stdin = None;
        let _ = self.0.wait();
    }
}

#[test]
fn one_thread_that_stands_still_is_no_sign_of_life() {
    let manager = Manager::new();
    let dynasty = manager.start("epoll", Some(Duration::from_millis(400)));
    assert_eq!(manager.hears(), "READY=1");
    for thread in ["worker-1", "http"] {
        assert_eq!(manager.hears(), "WATCHDOG=1");
        let Some(stopped) = Stopped::thread(dynasty.reigning, thread) else {
            return server::say_skipped("a thread that stands still", "ptrace is not allowed here");
        };
        manager.hears_no_more();
        drop(stopped);
    }
    assert_eq!(manager.hears(), "WATCHDOG=1");
}

/// A server that is started with these sockets, by these names, as a service manager does.
fn activate(sockets: &[BorrowedFd<'_>], names: &str, options: &[&str]) -> Command {
    let moves: Vec<_> = (0..)
        .zip(sockets)
        .map(|(place, socket)| {
            rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).expect("a socket");
            // First out of the way, then to where they belong.
            let number = socket.as_raw_fd();
            format!("os.dup2({number}, {})", 200 + place)
        })
        .collect();
    let places = (0..sockets.len()).map(|place| format!("os.dup2({}, {})", 200 + place, 3 + place));
    let close = format!("os.closerange({}, 300)", 3 + sockets.len());
    let script = format!(
        "import os, sys\n{}\n{}\n{close}\nos.environ.update(LISTEN_PID=str(os.getpid()), \
         LISTEN_FDS='{}', LISTEN_FDNAMES='{names}')\nos.execv(sys.argv[1], sys.argv[1:])",
        moves.join("\n"),
        places.collect::<Vec<_>>().join("\n"),
        sockets.len()
    );
    let mut command = Command::new("python3");
    command.args(["-c", &script, BINARY]).args(options);
    command
}

#[test]
fn its_sockets_are_listened_on_and_handed_over() {
    for engine in usable_engines() {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (web, api) = (bind(), bind());
        let addresses = [&web, &api].map(|it| it.local_addr().expect("an address"));
        let options = ["--engine", engine, "--workers", "2"];
        let command = activate(&[web.as_fd(), api.as_fd()], "web:api", &options);
        let mut dynasty = Dynasty::of(command, "", &[], None);
        drop((web, api));
        let mut crowds = addresses.map(|address| Crowd::gather(address, 10));
        for round in 0..2 {
            crowds.iter_mut().for_each(Crowd::begin);
            assert_eq!(dynasty.restart(), 20, "{engine}");
            crowds.iter_mut().for_each(Crowd::end);
            for address in addresses {
                Crowd::gather(address, 4).speak(round);
            }
        }
        let log = dynasty.log();
        let listening = log.iter().filter(|line| line.contains("listening on"));
        assert_eq!(
            listening.count(),
            6,
            "two addresses for each of three: {log:#?}"
        );
    }
}

#[test]
fn what_is_named_beside_its_sockets_is_listened_on_as_well() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let named = other.local_addr().expect("an address").to_string();
    drop(other);
    let command = activate(&[socket.as_fd()], "web", &["--listen", &named]);
    let _dynasty = Dynasty::of(command, "", &["--engine", "epoll"], None);
    let named: SocketAddr = named.parse().expect("an address");
    for address in [socket.local_addr().expect("an address"), named] {
        Crowd::gather(address, 2).speak(1);
    }
}

#[test]
fn what_is_no_listener_is_a_mistake() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let stream =
        TcpStream::connect(listener.local_addr().expect("an address")).expect("it is open");
    for socket in [datagrams.as_fd(), stream.as_fd()] {
        let mut command = activate(&[listener.as_fd(), socket], "web:other", &[]);
        let output = command.output().expect("python3");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let start = "ringback: LISTEN_FDS: descriptor 4 (`other`) is no listening TCP socket; write ListenStream=";
        assert!(said.starts_with(start), "{said}");
    }
}
