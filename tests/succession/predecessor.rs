//! A successor, and a process before it that this test plays: it does what it should up to some point, and sees who comes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use ringback::protocol::carried::Writer;
use ringback::protocol::{Moment, Policy};
use ringback::shard::{Carried, Entrance, Protocol};
use ringback::sys::pass;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::server::{BINARY, PATIENCE, Server, until, usable_engines};
use crate::support::frames::CLOSE;
use crate::support::request;
use crate::wire::Wire;

/// Peers that come while it is not clear who serves.
const NEWCOMERS: usize = 20;

/// The process before, at its end of the line.
struct Predecessor {
    line: UnixStream,
    listener: TcpListener,
    address: SocketAddr,
}

impl Predecessor {
    /// One whose successor waits to be told to accept.
    fn with_successor(engine: &str) -> (Self, Server) {
        let (line, theirs) = UnixStream::pair().expect("a pair");
        line.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut before = Predecessor {
            line,
            listener,
            address,
        };
        fcntl_setfd(&theirs, FdFlags::empty()).expect("a socket");
        let mut command = Command::new(BINARY);
        command.env("RINGBACK_SUCCEED", theirs.as_raw_fd().to_string());
        let listen = address.to_string();
        command.args(["--listen", &listen, "--engine", engine, "--workers", "1"]);
        let greeting = thread::spawn(move || {
            assert!(before.hear()["Hello"].is_object());
            let label = json!({ "Bound": { "wanted": address, "address": address } });
            let listening = json!([{ "label": label, "tls": false, "sockets": 1 }]);
            let word = json!({ "Listeners": listening }).to_string();
            before.say(b'w', word.as_bytes(), &[before.listener.as_fd()]);
            assert!(before.hear()["Ready"].is_object());
            before
        });
        let server = Server::run(command);
        drop(theirs);
        (greeting.join().expect("no panic"), server)
    }

    fn say(&self, kind: u8, rest: &[u8], with: &[BorrowedFd<'_>]) {
        let mut frame = vec![kind];
        frame.extend((rest.len() as u32).to_be_bytes());
        frame.extend(rest);
        let sent = pass::send(&self.line, &frame, with).expect("the successor hears");
        let left = (&self.line).write_all(&frame[sent..]);
        left.expect("the successor hears");
    }

    fn say_word(&self, word: &Value) {
        self.say(b'w', word.to_string().as_bytes(), &[]);
    }

    fn hear(&mut self) -> Value {
        let mut head = [0; 5];
        self.line.read_exact(&mut head).expect("a word");
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut word = vec![0; length as usize];
        self.line.read_exact(&mut word).expect("a whole word");
        serde_json::from_slice(&word).expect("JSON")
    }

    /// Tells the successor to accept, and hands a connection over, which it upgrades.
    fn begin(&mut self) -> Wire {
        let mut peer = Wire::to(self.address);
        let (socket, _) = self.listener.accept().expect("a connection");
        self.say_word(&json!({ "Begin": { "places": 0 } }));
        let entrance = Entrance {
            protocol: Protocol::WebSocket,
            tls: false,
            number: 0,
        };
        let unread = request::upgrade();
        let received = unread.len() as u64;
        let carried = Carried::fresh(entrance, &Policy::default(), unread, received);
        let mut parcel = Writer::new(Moment::default());
        parcel.flag(false);
        parcel.bytes(&carried.encode());
        self.say(b'c', &parcel.into_bytes(), &[socket.as_fd()]);
        assert!(self.hear()["Taken"].is_object());
        peer.read_response().assert_switched();
        peer
    }

    /// Waits until the successor has ended the line.
    fn hear_the_end(&mut self) {
        assert_eq!(self.line.read(&mut [0]).expect("the end"), 0);
    }
}

/// Hears a Close with this code, and goes.
fn hear_close(mut peer: Wire, code: u16) {
    let head = peer.read_exact(4);
    assert_eq!(head[0], 0x80 | CLOSE);
    assert_eq!(head[2..], code.to_be_bytes());
}

/// Two that accept would each turn away whom the other would serve.
#[test]
fn a_successor_that_gives_up_leaves_newcomers_to_the_process_before_it() {
    for engine in usable_engines() {
        for is_told in [true, false] {
            let (mut before, successor) = Predecessor::with_successor(engine);
            let handed_over = before.begin();
            let mut accepted = Wire::to(before.address);
            accepted.handshake();
            if is_told {
                successor.signal(Signal::TERM);
            } else {
                before.say(b'c', b"no connections", &[]);
            }
            before.hear_the_end();
            let newcomers = (0..NEWCOMERS).map(|_| Wire::to(before.address));
            let _newcomers: Vec<_> = newcomers.collect();
            before.listener.set_nonblocking(true).expect("a socket");
            for _ in 0..NEWCOMERS {
                until("they come here", || before.listener.accept().ok());
            }
            let code = if is_told { 1001 } else { 1012 };
            hear_close(handed_over, code);
            hear_close(accepted, code);
            assert!(successor.wait().success(), "{engine}");
        }
    }
}

/// Whether it hears of the end of the handover first or that it is to stop, nobody else serves any more.
#[test]
fn a_successor_that_is_told_to_stop_at_the_last_moment_says_goodbye_to_all() {
    for engine in usable_engines() {
        for round in 0..4 {
            let (mut before, successor) = Predecessor::with_successor(engine);
            let handed_over = before.begin();
            successor.signal(Signal::STOP);
            let mut newcomer = Wire::to(before.address);
            newcomer.send(&request::upgrade());
            before.say_word(&json!({ "Done": { "staying": 0 } }));
            successor.signal(Signal::TERM);
            successor.signal(Signal::CONT);
            let response = newcomer.read_response();
            if response.status == 101 {
                hear_close(newcomer, 1001);
            } else {
                response.assert_refused(503);
            }
            hear_close(handed_over, 1001);
            assert!(successor.wait().success(), "{engine}, round {round}");
        }
    }
}
