//! Whoever attacks the HTTP side, beside peers that are served.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ringback::http::Settings;
use ringback::protocol::handshake::HEAD_BYTES_MAX;

use crate::crowd;
use crate::quiet::Quiet;
use crate::server::{Server, until};
use crate::wire::Wire;

/// A request that is answered.
const GOOD: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// The beginning of one that never ends.
const HALF: &str = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";

/// How long an attacker sleeps between its rounds.
const PERIOD: Duration = Duration::from_millis(20);

/// Peers that are served beside.
const QUIET: usize = 8;

/// What of the process's memory is the workers' budget, for the bound.
const BUDGET_BYTES: u64 = 32 << 20;

/// How much may stay when all attackers have left.
const KEPT_BYTES_MAX: u64 = 24 << 20;

/// Connections of one kind, none of which reads.
struct Kind {
    count: usize,
    /// What is sent at once.
    begin: String,
    /// What is sent in each round, as far as it goes.
    more: Vec<u8>,
}

/// Connections that are held, and what goes on with them.
struct Siege {
    is_over: Arc<AtomicBool>,
    attacker: Option<JoinHandle<()>>,
}

impl Siege {
    fn lay(server: &Server, kinds: Vec<Kind>) -> Self {
        let open = |begin: &str| {
            let mut wire = Wire::connect(server);
            wire.send(begin.as_bytes());
            wire.stream.set_nonblocking(true).expect("a socket option");
            wire.stream
        };
        let mut held: Vec<(TcpStream, Vec<u8>)> = Vec::new();
        for kind in kinds {
            held.extend((0..kind.count).map(|_| (open(&kind.begin), kind.more.clone())));
        }
        let is_over = Arc::<AtomicBool>::default();
        let seen_over = is_over.clone();
        let attacker = thread::spawn(move || {
            while !seen_over.load(Relaxed) {
                for (stream, more) in &mut held {
                    // It may be full, or ended by the server.
                    let _ = stream.write(more);
                }
                thread::sleep(PERIOD);
            }
        });
        Siege {
            is_over,
            attacker: Some(attacker),
        }
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        let ended = self.attacker.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
    }
}

/// Lays siege while echoes and answers are wanted. The most memory that there may be in the meantime follows
/// from the limits of the server, each taken as if it were used up, and everything is given back.
fn served_beside(engine: &str, kinds: Vec<Kind>) {
    let wanted = kinds.iter().map(|kind| kind.count).sum();
    let (_alone, granted) = crowd::gather(engine, wanted);
    let kinds = kinds.into_iter().map(|kind| Kind {
        count: kind.count * granted / wanted,
        ..kind
    });
    let server = Server::start(engine, &["--buffer-memory", "32MiB"]);
    let mut quiet = Quiet::gather(&server, QUIET);
    quiet.talk(1);
    assert_eq!(Wire::connect(&server).ask("GET", "/").status, 200);
    let (resident, descriptors) = (server.resident_bytes(), settled_descriptors(&server));

    let siege = Siege::lay(&server, kinds.collect());
    // All at once they may be more than there are places, and whoever comes then is told to try again.
    until("the onset is over", || {
        let answer = Wire::connect(&server).ask("GET", "/");
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    for _ in 0..20 {
        quiet.talk(10);
        for (path, status) in [("/", 200), ("/healthz", 200), ("/nothing", 404)] {
            let answer = Wire::connect(&server).ask("GET", path);
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
        Wire::upgrade(&server).assert_echoes("a newcomer");
    }
    let grown = server.peak_resident_bytes().saturating_sub(resident);
    let most = bytes_max(&Settings::default());
    assert!(grown <= most, "grown by {grown} bytes, of {most}");

    drop(siege);
    until("every descriptor is given back", || {
        quiet.talk(1);
        (server.descriptors() == descriptors).then_some(())
    });
    until("memory is given back", || {
        quiet.talk(1);
        (server.resident_bytes() <= resident + KEPT_BYTES_MAX).then_some(())
    });
}

/// What the limits allow: of each connection a head read before and behind hyper, which reads a second one
/// ahead, and as much again for all else there is of it; what was brought; and the budget of the workers.
fn bytes_max(settings: &Settings) -> u64 {
    let connections = settings.connections_max * 4 * HEAD_BYTES_MAX;
    let http = connections + settings.held_bytes_max;
    http as u64 + BUDGET_BYTES / 4 * 5 + (8 << 20)
}

/// How many descriptors the server has, once those of former clients are closed.
fn settled_descriptors(server: &Server) -> usize {
    let connections = QUIET;
    until("former clients are gone", || {
        (crate::kernel::accepted_count(server) == connections).then(|| server.descriptors())
    })
}

pub(crate) fn slow_heads_take_nothing_from_others(engine: &'static str) {
    let slow = |begin: String| Kind {
        count: 300,
        begin,
        more: b"y".to_vec(),
    };
    let kinds = [
        String::new(),
        HALF.into(),
        GOOD.to_owned() + HALF,
        GOOD.repeat(2) + "G",
    ];
    served_beside(engine, kinds.map(slow).into());
}

pub(crate) fn hoards_take_nothing_from_others(engine: &'static str) {
    let hoard = Kind {
        count: 1_500,
        begin: GOOD.into(),
        more: Vec::new(),
    };
    served_beside(engine, vec![hoard]);
}

pub(crate) fn bodies_take_nothing_from_others(engine: &'static str) {
    let body = |(field, more): (&str, &[u8])| Kind {
        count: 100,
        begin: format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"),
        more: more.to_vec(),
    };
    let kinds = [
        ("Content-Length: 60000", &b"y"[..]),
        ("Content-Length: 60000\r\nExpect: 100-continue", b""),
        ("Content-Length: 1000000000000", &[b'y'; 4096]),
        ("Transfer-Encoding: chunked", b"1\r\ny\r\n"),
        ("Transfer-Encoding: chunked", b"1000000\r\nyyyyyyyyyy"),
    ];
    served_beside(engine, kinds.map(body).into());
}

pub(crate) fn what_is_pipelined_takes_nothing_from_others(engine: &'static str) {
    let kinds = vec![
        Kind {
            count: 200,
            begin: GOOD.to_owned() + "\u{1}garbage \0\r\r\n\n{}",
            more: b"garbage\r\n".to_vec(),
        },
        Kind {
            count: 100,
            begin: GOOD.repeat(20),
            more: GOOD.repeat(100).into_bytes(),
        },
        Kind {
            count: 50,
            begin: GOOD.to_owned() + "GET /" + &"y".repeat(20_000),
            more: Vec::new(),
        },
    ];
    served_beside(engine, kinds);
}
