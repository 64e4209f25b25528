//! Clients that take more than their share.

use std::time::{Duration, Instant};

use super::Table;
use crate::check::case::{Case, Rule, should};
use crate::check::exchange::{Finish, Replies, echoes};
use crate::check::peer::{Incoming, Peer};
use crate::check::reader::{Event, Message};
use crate::check::skim::Skim;
use crate::check::strain::under_strain;
use crate::check::verdict::Finding;
use crate::check::wire::{Frame, binary, continuation, filler, frame, ping, pong, text};

const UNREAD: Rule = should(
    "RFC 6455, 10.4; CWE-770",
    "what a client is owed and does not read is bounded, and keeps nobody else waiting",
);
const UNFINISHED: Rule = should(
    "RFC 6455, 10.4",
    "a message that never ends is bounded, or is passed on as it comes",
);
const FLOOD: Rule = should("RFC 6455, 5.4 and 5.5", "many frames are as good as few");
const DEADLOCK: Rule = should(
    "CWE-833",
    "a client that writes a whole message before it reads gets its echo: ordinary sequential clients do",
);
const CROWD: Rule = should("CWE-400", "many clients at once are served");

/// What clients that do not read are sent, in all.
const UNREAD_BYTES: usize = 256 << 20;

/// How long a server takes nothing before it is held to take no more.
const STALL: Duration = Duration::from_millis(1500);

/// The cases. Each is alone, and afterwards another client must be served.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("resources");
    unread(&mut table);
    unfinished(&mut table);
    floods(&mut table);
    sequential(&mut table);
    crowds(&mut table);
    table.cases.into_iter().map(Case::alone).collect()
}

/// Sends `bytes` again and again on each of these connections in turn, up to `total`, and reads nothing.
fn press(peers: &mut [Peer<'_>], bytes: &[u8], total: usize) -> String {
    let Some(first) = peers.first() else {
        return String::new();
    };
    let until = Instant::now() + 2 * first.ground().patience;
    let stall = if peers.len() > 1 { STALL / 8 } else { STALL };
    let mut taken = 0;
    let share = total / peers.len();
    for peer in peers {
        let mut offered = 0;
        while offered < share {
            let count = peer.offer(bytes, stall, until);
            offered += count;
            if count < bytes.len() {
                break;
            }
        }
        taken += offered;
    }
    format!("the server took {} of {} MiB", taken >> 20, total >> 20)
}

fn unread(table: &mut Table) {
    for (name, frame) in [
        ("never-reads-messages", binary(filler(64 * 1024))),
        ("never-reads-large-messages", binary(filler(8 << 20))),
        ("never-reads-pongs", ping(filler(125))),
    ] {
        table.special(
            name,
            UNREAD,
            "the server stops reading, or ends the connection; another client is served",
            move |peer| {
                let bytes = frame.bytes();
                let bytes = bytes.repeat((64 * 1024 / bytes.len()).max(1));
                peer.upgrade()?;
                under_strain(peer, |peer| {
                    Ok(press(std::slice::from_mut(peer), &bytes, UNREAD_BYTES))
                })
            },
        );
    }
    table.special(
        "thirty-two-never-read",
        UNREAD,
        "the server stops reading, or ends the connections; another client is served",
        |peer| {
            let mut peers = open(peer, 32)?;
            let bytes = binary(filler(64 * 1024)).bytes();
            under_strain(peer, |_| Ok(press(&mut peers, &bytes, UNREAD_BYTES)))
        },
    );
}

/// So many upgraded connections.
fn open<'a>(peer: &Peer<'a>, count: usize) -> Result<Vec<Peer<'a>>, Finding> {
    let open = |_| {
        let mut other = Peer::connect(peer.ground())?;
        other.upgrade()?;
        Ok(other)
    };
    (0..count).map(open).collect()
}

fn unfinished(table: &mut Table) {
    table.special(
        "message-without-end",
        UNFINISHED,
        "256 MiB in fragments come back as they come, or end in Close 1008 or 1009",
        |peer| {
            peer.upgrade()?;
            under_strain(peer, |peer| {
                let piece = continuation(filler(256 * 1024)).more().bytes();
                peer.send(&binary("").more().bytes());
                let mut skim = Skim::default();
                for _ in 0..UNREAD_BYTES / piece.len() {
                    let is_taken = peer.send_and_read(&piece, |_, bytes| skim.feed(bytes))?;
                    if !is_taken || skim.close.is_some() {
                        break;
                    }
                }
                // A Close may be on its way.
                let until = Instant::now() + STALL;
                while skim.close.is_none()
                    && let Incoming::Came(bytes) = peer.receive(until)?
                {
                    skim.feed(&bytes);
                }
                Ok(skim.words())
            })
        },
    );
    table.special(
        "thirty-two-unfinished-messages",
        UNFINISHED,
        "32 clients that never finish messages of 8 MiB are bounded together",
        |peer| {
            let mut peers = open(peer, 32)?;
            let first = text(filler(256 * 1024)).more().bytes();
            let more = continuation(filler(256 * 1024)).more().bytes();
            under_strain(peer, |_| {
                // One that the server takes no more of has had its share.
                let mut taken = 0;
                for round in 0..32 {
                    let piece = if round == 0 { &first } else { &more };
                    peers.retain_mut(|peer| {
                        let sent = peer.send_and_read(piece, |_, _| true);
                        taken += if sent == Ok(true) { piece.len() } else { 0 };
                        sent == Ok(true)
                    });
                }
                Ok(format!("the server took {} MiB", taken >> 20))
            })
        },
    );
}

/// A case of these frames, which are made when it is played.
fn flooded(
    table: &mut Table,
    name: &str,
    expected: &str,
    frames: impl Fn() -> Vec<Frame> + Send + Sync + 'static,
) {
    table.special(name, FLOOD, expected, move |peer| {
        peer.upgrade()?;
        under_strain(peer, |peer| flood(peer, &frames()))
    });
}

/// A hundred thousand of `frame`, and a message behind them.
fn and_end(frame: Frame) -> Vec<Frame> {
    let mut frames = vec![frame; 100_000];
    frames.push(text("end"));
    frames
}

fn floods(table: &mut Table) {
    flooded(
        table,
        "hundred-thousand-small-messages",
        "every message comes back",
        || vec![text("a"); 100_000],
    );
    flooded(
        table,
        "hundred-thousand-pongs",
        "a message behind unsolicited pongs comes back",
        || and_end(pong("unasked")),
    );
    flooded(
        table,
        "hundred-thousand-pings",
        "the last ping is answered, and a message behind them comes back",
        || and_end(ping("the same")),
    );
    flooded(
        table,
        "million-empty-fragments",
        "the message comes back, or the server closes with 1002, 1008, 1009 or 1011",
        || {
            let mut frames = vec![text("").more()];
            frames.resize(1_000_000, continuation("").more());
            frames.push(continuation("end"));
            frames
        },
    );
    table.special(
        "a-lot-behind-close",
        FLOOD,
        "what comes behind a Close is not kept, and the stream ends",
        |peer| {
            peer.upgrade()?;
            under_strain(peer, |peer| {
                peer.send(&frame(8, [0x03, 0xe8]).bytes());
                let bytes = binary(filler(64 * 1024)).bytes();
                let took = press(std::slice::from_mut(peer), &bytes, 64 << 20);
                match peer.end()? {
                    Some(end) => Ok(format!("{took} behind the Close, then {}", end.words())),
                    None => Err(Finding::Broken(format!(
                        "{took} behind the Close, and the stream was left open"
                    ))),
                }
            })
        },
    );
}

/// Sends frames while reading, as far as the server takes them, and waits for what must come back.
fn flood(peer: &mut Peer<'_>, frames: &[Frame]) -> Result<String, Finding> {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    peer.send_while_reading(&bytes)?;
    let finish = Finish::EchoOrFail(&[1002, 1008, 1009, 1011]);
    Replies::to(frames).judge(peer, finish)
}

fn sequential(table: &mut Table) {
    for (name, count, size) in [
        ("1-mib-before-reading", 1, 1 << 20),
        ("16-mib-before-reading", 1, 16 << 20),
        ("64-mib-before-reading", 1, 64 << 20),
        ("256-messages-of-64-kib-before-reading", 256, 64 << 10),
    ] {
        table.special(
            name,
            DEADLOCK,
            "all of it is taken while nothing is read, and comes back",
            move |peer| {
                peer.upgrade()?;
                let patience = peer.ground().patience;
                let message = binary(filler(size));
                let all = message.bytes().repeat(count);
                let taken = peer.offer(&all, peer.ground().timeout, Instant::now() + 4 * patience);
                if taken < all.len() {
                    return Err(Finding::Broken(format!(
                        "the server took {taken} of {} bytes, then no more until it is read from",
                        all.len()
                    )));
                }
                let sent = Message {
                    opcode: message.opcode,
                    payload: message.payload,
                };
                for _ in 0..count {
                    comes_back(peer, &sent, Instant::now() + 2 * patience)?;
                }
                Ok(format!("{count} of {count} messages came back"))
            },
        );
    }
}

fn comes_back(peer: &mut Peer<'_>, sent: &Message, until: Instant) -> Result<(), Finding> {
    loop {
        let what = match peer.event_until(until)? {
            Incoming::Came(Event::Message(came)) if came == *sent => return Ok(()),
            Incoming::Came(Event::Ping(_) | Event::Pong(_)) => continue,
            Incoming::Came(Event::Close(Some(1009), _)) => {
                return Err(Finding::Inapplicable(
                    "the server takes no message so long: Close 1009".to_owned(),
                ));
            }
            other => format!("{} did not come back, but {other:?}", sent.words()),
        };
        return Err(Finding::Broken(what));
    }
}

fn crowds(table: &mut Table) {
    table.special(
        "two-hundred-and-fifty-clients",
        CROWD,
        "each of 250 clients that are open at once is served",
        |peer| {
            let mut peers = open(peer, 250)?;
            under_strain(peer, |_| {
                for (number, peer) in peers.iter_mut().enumerate() {
                    peer.send(&text(number.to_string()).bytes());
                }
                for (number, peer) in peers.iter_mut().enumerate() {
                    Replies::to(&[text(number.to_string())]).judge(peer, Finish::Echo)?;
                }
                Ok(format!("{} clients were served", peers.len()))
            })
        },
    );
    table.special(
        "five-hundred-resets",
        CROWD,
        "after 500 connections that were reset amid a message, another client is served",
        |peer| {
            under_strain(peer, |peer| {
                for _ in 0..500 {
                    let mut other = Peer::connect(peer.ground())?;
                    other.upgrade()?;
                    other.send(&binary(filler(4000)).bytes()[..3000]);
                    other.reset();
                }
                peer.upgrade()?;
                echoes([text("Hello")]).play(peer)
            })
        },
    );
}
