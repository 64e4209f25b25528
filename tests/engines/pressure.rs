//! Peers that send and do not read.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::wire::Wire;

/// More than every buffer on the way can hold: the kernel's (tcp(7), tcp_rmem and tcp_wmem) and the
/// server's.
const SENT_BYTES: usize = 96 << 20;

/// What a server may keep, and how much it may grow for one peer that does not read.
const BUFFER_MEMORY: &str = "8MiB";
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// Whoever does not read is given time.
const PATIENT: [&str; 4] = ["--idle-timeout", "off", "--stall-timeout", "5m"];

/// A thread that sends, and how far it has come.
struct Flood {
    sent: Arc<AtomicUsize>,
    sending: JoinHandle<()>,
}

impl Flood {
    fn start(wire: &Wire, bytes: Vec<u8>) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let progress = Arc::clone(&sent);
        let mut stream = wire.stream.try_clone().expect("a descriptor");
        stream.set_write_timeout(None).expect("a timeout");
        let sending = thread::spawn(move || {
            for piece in bytes.chunks(64 * 1024) {
                stream
                    .write_all(piece)
                    .expect("the server takes it in the end");
                progress.fetch_add(piece.len(), Relaxed);
            }
        });
        Flood { sent, sending }
    }

    /// Waits until it is stuck, and says how much it could send.
    fn wait_until_stuck(&self) -> usize {
        let mut before = usize::MAX;
        let mut still = 0;
        until("the sender stands still", || {
            thread::sleep(Duration::from_millis(50));
            let now = self.sent.load(Relaxed);
            still = if now == before { still + 1 } else { 0 };
            before = now;
            (still >= 10).then_some(now)
        })
    }
}

/// Floods the server from a peer that does not read; checks that it stops, costs little and bothers no
/// one; then lets the peer read and returns what it gets, of which it says how much there must be.
fn flood(
    server: &Server,
    mut peer: Wire,
    sent: Vec<u8>,
    echo_bytes: usize,
    mut witness: impl FnMut(),
) -> Vec<u8> {
    let total = sent.len();
    let resident_before = server.resident_bytes();
    let flood = Flood::start(&peer, sent);
    let stuck_at = flood.wait_until_stuck();
    assert!(
        stuck_at < total,
        "the server took {total} bytes from a peer that reads nothing"
    );
    let growth = server.resident_bytes().saturating_sub(resident_before);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "grown by {growth} bytes for one peer"
    );
    server.assert_idle("of waiting");
    witness();
    let echo = peer.read_exact(echo_bytes);
    flood.sending.join().expect("all is sent");
    echo
}

pub(crate) fn a_peer_that_does_not_read_is_nobody_elses_problem(engine: &'static str) {
    for frame_bytes in [16, 10_000, 1 << 20] {
        let server = Server::start(
            engine,
            &[&PATIENT[..], &["--buffer-memory", BUFFER_MEMORY]].concat(),
        );
        let mut witness = Wire::upgrade(&server);
        let mut peer = Wire::connect_narrow(&server, 64 * 1024);
        peer.handshake();
        let frame = Frame::binary(&frames::noise(frame_bytes, 18));
        let request = frame.encode();
        let count = SENT_BYTES / request.len();
        let echo = Frame { key: None, ..frame }.encode();
        let echoes = flood(
            &server,
            peer,
            request.repeat(count),
            echo.len() * count,
            || {
                for number in 0..100 {
                    witness.assert_echoes(&format!("prompt {number}"));
                }
            },
        );
        assert!(
            echoes.chunks(echo.len()).all(|it| it == echo),
            "frames of {frame_bytes} bytes"
        );
    }
}

pub(crate) fn a_tcp_peer_that_does_not_read_gets_everything_later(engine: &'static str) {
    let options = ["--protocol", "tcp", "--buffer-memory", BUFFER_MEMORY];
    let server = Server::start(engine, &[&PATIENT[..], &options].concat());
    let mut witness = Wire::connect(&server);
    let peer = Wire::connect_narrow(&server, 64 * 1024);
    let bytes = frames::noise(SENT_BYTES, 19);
    let echo = flood(&server, peer, bytes.clone(), bytes.len(), || {
        witness.send(b"prompt");
        assert_eq!(witness.read_exact(6), b"prompt");
    });
    assert!(echo == bytes, "the echo differs");
}

/// A prefix makes three times as many bytes of these messages.
pub(crate) fn a_prefixed_peer_that_does_not_read_gets_everything_later(engine: &'static str) {
    let prefix = "Received: ".repeat(10);
    let options = ["--prefix", &prefix, "--buffer-memory", BUFFER_MEMORY];
    let server = Server::start(engine, &[&PATIENT[..], &options].concat());
    let mut witness = Wire::upgrade(&server);
    let mut peer = Wire::connect_narrow(&server, 64 * 1024);
    peer.handshake();
    let request = Frame::text("!").encode();
    let count = SENT_BYTES / 2 / request.len();
    let answer = Frame {
        key: None,
        ..Frame::text(&format!("{prefix}!"))
    }
    .encode();
    let answers = flood(
        &server,
        peer,
        request.repeat(count),
        answer.len() * count,
        || {
            let small = Frame {
                key: None,
                ..Frame::text(&format!("{prefix}mine"))
            }
            .encode();
            witness.send(&Frame::text("mine").encode());
            assert_eq!(witness.read_exact(small.len()), small);
        },
    );
    assert!(
        answers.chunks(answer.len()).all(|it| it == answer),
        "the answers differ"
    );
}

/// It acknowledges nothing any more, so it is given up.
pub(crate) fn a_peer_that_never_reads_is_ended(engine: &'static str) {
    let server = Server::start(engine, &["--stall-timeout", "1s"]);
    let mut peer = Wire::connect_narrow(&server, 64 * 1024);
    peer.handshake();
    let flood = Frame::binary(&frames::noise(10_000, 20))
        .encode()
        .repeat(SENT_BYTES / 10_000);
    let sending = peer.send_aside(flood);
    until("the sender is let go", || {
        sending.is_finished().then_some(())
    });
    sending.join().expect("it ends because the connection does");
    Wire::upgrade(&server).assert_echoes("undisturbed");
}
