//! Besiegers beside peers that are served: those of the HTTP side, and all kinds at once.

use std::collections::BTreeMap;
use std::time::Instant;

use ringback::http::Settings;
use ringback::protocol::handshake::HEAD_BYTES_MAX;
use rustix::process::Signal;

use crate::besiegers::{GOOD, HALF, Kind, Siege, all_kinds};
use crate::crowd;
use crate::quiet::Quiet;
use crate::server::{Server, until};
use crate::wire::Wire;

/// What of the process's memory is the workers' budget, for the bound.
const BUDGET_BYTES: u64 = 32 << 20;

/// What the allocator may have from the system beyond what is in use, during a siege and after it.
const SPARE_BYTES_MAX: u64 = 24 << 20;

/// Lays siege while echoes and answers are wanted by so many peers. The most memory that there may be in the
/// meantime follows from the budget, and from what the server says it holds beside it; at no moment was it more than
/// its limits allow; and everything is given back.
fn served_beside(engine: &str, served: usize, kinds: Vec<Kind>) {
    let besiegers: usize = kinds.iter().map(|kind| kind.count).sum();
    let wanted = served + besiegers;
    let (_alone, granted) = crowd::gather(engine, wanted);
    let wants_much = granted == wanted && kinds.iter().any(Kind::wants_much);
    let kinds = kinds.into_iter().map(|kind| Kind {
        count: kind.count * granted / wanted,
        ..kind
    });
    let server = Server::start(engine, &["--buffer-memory", "32MiB"]);
    let mut quiet = Quiet::gather(&server, served);
    quiet.talk(1);
    assert_eq!(Wire::connect(&server).ask("GET", "/").status, 200);
    let (resident, descriptors) = (
        server.resident_bytes(),
        settled_descriptors(&server, served),
    );
    let held = holdings(&server);

    let began = Instant::now();
    let siege = Siege::lay(&server, kinds.collect());
    // All at once they may be more than there are places, and whoever comes then is told to try again.
    until("the onset is over", || {
        let answer = Wire::connect(&server).ask("GET", "/");
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        (answer.status == 200).then_some(())
    });
    if wants_much {
        until("those that never read are owed all that may be", || {
            quiet.talk(10);
            let owed = holdings(&server)["bytes to be sent"];
            (owed.taken >= owed.max? / 4 * 3).then_some(())
        });
    }
    let mut most_held = 0;
    for _ in 0..20 {
        quiet.talk(10);
        let now = holdings(&server);
        for (what, holding) in &now {
            assert!(holding.is_bounded(), "{what}: {holding:?}");
        }
        most_held = most_held.max(held_elsewhere(&now));
        let grown = server.resident_bytes().saturating_sub(resident);
        let most = BUDGET_BYTES / 4 * 5 + most_held + SPARE_BYTES_MAX;
        assert!(grown <= most, "grown by {grown} bytes, of {most}: {now:?}");
        for (path, status) in [("/", 200), ("/healthz", 200), ("/nothing", 404)] {
            let answer = Wire::connect(&server).ask("GET", path);
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
        Wire::upgrade(&server).assert_echoes("a newcomer");
    }
    let grown = server.peak_resident_bytes().saturating_sub(resident);
    let most = bytes_max(&Settings::default());
    assert!(grown <= most, "grown by {grown} bytes, of {most}");

    let lines = server
        .log()
        .iter()
        .filter(|it| it.contains("127.0.0.1:") && !it.contains("{entrance="))
        .count();
    let periods = 1 + began.elapsed().as_secs() as usize / 60;
    assert!(lines <= periods * LINES_MAX, "{lines} lines about peers");

    drop(siege);
    until("every descriptor is given back", || {
        quiet.talk(1);
        (server.descriptors() == descriptors).then_some(())
    });
    until("what was held is given back", || {
        quiet.talk(1);
        let mut now = holdings(&server).into_iter();
        now.all(|(what, holding)| holding.is_back_at(held[&what]))
            .then_some(())
    });
    until("memory is given back", || {
        quiet.talk(1);
        (server.resident_bytes() <= resident + SPARE_BYTES_MAX).then_some(())
    });
}

/// What may be said of peers in a minute, in lines of the log: ten of each of four kinds, by the worker, and when it
/// began to listen.
const LINES_MAX: usize = 42;

/// What one connection of the HTTP side may take beside what is counted for it: a head read before and behind hyper,
/// which reads a second one ahead, and as much again for all else there is of it.
const HTTP_CONNECTION_BYTES_MAX: usize = 4 * HEAD_BYTES_MAX;

/// What the HTTP side may take by its own account.
fn held_elsewhere(holdings: &BTreeMap<String, Holding>) -> u64 {
    let taken = |start: &str| {
        let named = holdings.iter().filter(|it| it.0.starts_with(start));
        named.map(|it| it.1.taken).sum::<u64>()
    };
    taken("bytes for ") + taken("connections of ") * HTTP_CONNECTION_BYTES_MAX as u64
}

/// What the limits allow, each taken as if it were used up.
fn bytes_max(settings: &Settings) -> u64 {
    let sides =
        1 + u64::from(settings.behaviours.is_some()) + u64::from(settings.socket_io.is_some());
    let connections = settings.connections_max * HTTP_CONNECTION_BYTES_MAX;
    let http = connections as u64 + sides * settings.held_bytes_max as u64;
    http + BUDGET_BYTES / 4 * 5 + SPARE_BYTES_MAX
}

/// How many descriptors the server has, once those of others than the `served` are closed.
fn settled_descriptors(server: &Server, served: usize) -> usize {
    until("former clients are gone", || {
        (crate::kernel::accepted_count(server) == served).then(|| server.descriptors())
    })
}

/// How much the server holds of something that peers make it hold, by its own account.
#[derive(Clone, Copy, Debug)]
struct Holding {
    taken: u64,
    /// None: there is no limit.
    max: Option<u64>,
}

impl Holding {
    fn is_bounded(self) -> bool {
        self.max.is_none_or(|max| self.taken <= max)
    }

    /// Whether it is what it was, but for what workers keep ready: an eighth of it at most.
    fn is_back_at(self, before: Holding) -> bool {
        self.taken <= before.taken + self.max.unwrap_or(0) / 8
    }
}

/// Has the server tell what it holds.
fn holdings(server: &Server) -> BTreeMap<String, Holding> {
    let told = || server.log().into_iter().filter(|it| it.contains(" holds "));
    let before = told().count();
    server.signal(Signal::USR1);
    let line = until("the server tells what it holds", || told().nth(before));
    let (_, list) = line.split_once(" holds ").expect("a list");
    let read = |entry: &str| {
        let (taken, rest) = entry.split_once(' ')?;
        let (max, what) = match rest.strip_prefix("of ") {
            Some(rest) if rest.starts_with(|it: char| it.is_ascii_digit()) => {
                let (max, what) = rest.split_once(' ')?;
                (Some(max.parse().ok()?), what)
            }
            _ => (None, rest),
        };
        let taken = taken.parse().ok()?;
        Some((what.to_owned(), Holding { taken, max }))
    };
    let entries = list.split(", ").map(|entry| read(entry).expect(entry));
    entries.collect()
}

pub(crate) fn a_thousand_of_every_kind_take_nothing_from_others(engine: &'static str) {
    served_beside(engine, 100, all_kinds());
}

pub(crate) fn slow_heads_take_nothing_from_others(engine: &'static str) {
    let kinds = [
        String::new(),
        HALF.into(),
        GOOD.to_owned() + HALF,
        GOOD.repeat(2) + "G",
    ];
    let slow = |begin: String| Kind::of(300, begin).then("y");
    served_beside(engine, 8, kinds.map(slow).into());
}

pub(crate) fn hoards_take_nothing_from_others(engine: &'static str) {
    served_beside(engine, 8, vec![Kind::of(1_500, GOOD)]);
}

pub(crate) fn bodies_take_nothing_from_others(engine: &'static str) {
    let body = |(field, more): (&str, &[u8])| {
        let begin = format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        Kind::of(100, begin).then(more)
    };
    let kinds = [
        ("Content-Length: 60000", &b"y"[..]),
        ("Content-Length: 60000\r\nExpect: 100-continue", b""),
        ("Content-Length: 1000000000000", &[b'y'; 4096]),
        ("Transfer-Encoding: chunked", b"1\r\ny\r\n"),
        ("Transfer-Encoding: chunked", b"1000000\r\nyyyyyyyyyy"),
    ];
    served_beside(engine, 8, kinds.map(body).into());
}

pub(crate) fn what_is_pipelined_takes_nothing_from_others(engine: &'static str) {
    let kinds = vec![
        Kind::of(200, GOOD.to_owned() + "\u{1}garbage \0\r\r\n\n{}").then("garbage\r\n"),
        Kind::of(100, GOOD.repeat(20)).then(GOOD.repeat(100)),
        Kind::of(50, GOOD.to_owned() + "GET /" + &"y".repeat(20_000)),
    ];
    served_beside(engine, 8, kinds);
}
