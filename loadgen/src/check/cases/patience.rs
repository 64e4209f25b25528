//! Clients that are slow or silent, and how long they are borne with.

use std::time::{Duration, Instant};

use super::Table;
use crate::check::case::{Case, Rule, should};
use crate::check::exchange::{Finish, Replies, echoes};
use crate::check::head::Head;
use crate::check::peer::{Incoming, Peer};
use crate::check::strain::under_strain;
use crate::check::verdict::Finding;
use crate::check::wire::{Frame, Length, binary, filler, ping, text};

const SLOW: Rule = should(
    "RFC 9112, 9.5; CWE-400",
    "a server ends a connection that opens no WebSocket after some time: slowloris",
);
const HALF: Rule = should(
    "CWE-400",
    "a server ends a connection that stops amid a frame after some time",
);
const BESIDE: Rule = should(
    "CWE-400",
    "clients that never finish their handshake keep nobody else waiting",
);

/// Between two bytes of a slow client.
const DRIP: Duration = Duration::from_millis(250);

/// Clients that stand amid their handshake.
const HALF_OPEN: usize = 200;

/// The cases. They wait side by side, each on a connection of its own.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("resources");
    let ended = "the server answers with an error, or ends the connection, within --patience";
    table.special("silent-socket", SLOW, ended, |peer| {
        given_up(peer, b"", b"")
    });
    table.special("half-head", SLOW, ended, |peer| {
        let head = Head::ordinary(&peer.ground().target).bytes();
        given_up(peer, &head[..head.len() - 2], b"")
    });
    table.special("slow-head", SLOW, ended, |peer| {
        let head = Head::ordinary(&peer.ground().target).bytes();
        given_up(peer, &head[..head.len() - 2], b"X-Slow: yes\r\n")
    });
    table.special("slow-body", SLOW, ended, |peer| {
        let head = Head::ordinary(&peer.ground().target)
            .without("Upgrade")
            .set("Connection", "close")
            .with("Content-Length", "100000")
            .bytes();
        given_up(peer, &head, b"a")
    });
    for (name, frame) in [
        ("half-frame-header", text(filler(300)).bytes()[..3].to_vec()),
        ("half-payload", text(filler(300)).bytes()[..100].to_vec()),
        ("half-message", text("Hel").more().bytes()),
    ] {
        table.special(
            name,
            HALF,
            "the server ends the connection within --patience",
            move |peer| {
                peer.upgrade()?;
                given_up(peer, &frame, b"")
            },
        );
    }
    table.special(
        "half-open-beside-honest",
        BESIDE,
        "with 200 clients amid their handshake, another one is served",
        |peer| {
            let head = Head::ordinary(&peer.ground().target).bytes();
            let others = (0..HALF_OPEN).map(|at| {
                let mut other = Peer::connect(peer.ground())?;
                other.send(&head[..at % (head.len() - 1)]);
                Ok(other)
            });
            let others = others.collect::<Result<Vec<_>, Finding>>()?;
            peer.upgrade()?;
            let honest = echoes([text("one"), ping("two"), binary("three")]).play(peer);
            drop(others);
            honest
        },
    );
    table.special(
        "one-byte-segments",
        should("RFC 6455, 5", "TCP may cut a stream anywhere"),
        "every message comes back, although each byte comes in a segment of its own",
        |peer| {
            peer.upgrade()?;
            let frames: Vec<Frame> = (0..20).map(|n| text(filler(n * 5))).collect();
            for byte in frames.iter().flat_map(Frame::bytes) {
                peer.send(&[byte]);
            }
            Replies::to(&frames).judge(peer, Finish::Echo)
        },
    );
    table.special(
        "announced-and-never-sent",
        HALF,
        "frames that are announced as 60 MiB and never sent take no room: another client is served",
        |peer| {
            let mut frame = binary("a");
            frame.length = Length::Claimed(60 << 20);
            let others = (0..32).map(|_| {
                let mut other = Peer::connect(peer.ground())?;
                other.upgrade()?;
                other.send(&frame.bytes());
                Ok(other)
            });
            let others = others.collect::<Result<Vec<_>, Finding>>()?;
            under_strain(peer, |_| {
                std::thread::sleep(Duration::from_millis(500));
                Ok(format!("{} such frames were begun", others.len()))
            })
        },
    );
    table.cases
}

/// Sends `begin`, then a byte of `drip` again and again, until the server gives up.
fn given_up(peer: &mut Peer<'_>, begin: &[u8], drip: &[u8]) -> Result<String, Finding> {
    let start = Instant::now();
    let deadline = start + peer.ground().patience;
    peer.send(begin);
    let mut came = 0;
    let mut drops = drip.iter().cycle();
    while Instant::now() < deadline {
        let wait = if drip.is_empty() {
            deadline
        } else {
            deadline.min(Instant::now() + DRIP)
        };
        match peer.receive(wait)? {
            Incoming::Came(bytes) => came += bytes.len(),
            Incoming::Ended(end) => {
                let seconds = start.elapsed().as_secs_f64();
                return Ok(format!("after {seconds:.1} s {}", end.words()));
            }
            Incoming::Silence => {
                if let Some(&byte) = drops.next() {
                    peer.send(&[byte]);
                }
            }
        }
    }
    let seconds = peer.ground().patience.as_secs_f64();
    let said = match came {
        0 => String::new(),
        came => format!(", {came} bytes came,"),
    };
    Err(Finding::Broken(format!(
        "after {seconds} s{said} the connection is still open"
    )))
}
