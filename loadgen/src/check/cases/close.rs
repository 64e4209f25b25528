//! The closing handshake, and other ends: codes, reasons, what comes after, half-close, reset.

use std::time::{Duration, Instant};

use super::Table;
use crate::check::case::Case;
use crate::check::exchange::{Finish, Replies, closes, echoes, fails};
use crate::check::peer::{Incoming, Peer};
use crate::check::reader::Event;
use crate::check::verdict::Finding;
use crate::check::wire::{CLOSE, Cut, Frame, binary, close, filler, frame, ping, text};

/// What the cases rest on.
#[rustfmt::skip]
mod rule {
    use crate::check::case::{Rule, must, should};

    pub(super) const ANSWERED: Rule = must("RFC 6455, 5.5.1 and 7.1.1", "a Close is answered by a Close, and then the server closes the TCP connection at once");
    pub(super) const CODE: Rule = should("RFC 6455, 7.4 and 10.7", "a code that no endpoint may send is a violation");
    pub(super) const BODY: Rule = should("RFC 6455, 5.5.1 and 10.7", "the body of a Close is empty, or begins with a code of two bytes");
    pub(super) const REASON: Rule = should("RFC 6455, 5.5.1 and 8.1", "a reason is UTF-8");
    pub(super) const AFTER: Rule = must("RFC 6455, 5.5.1 and 1.4", "what comes behind a Close is discarded, and no data follows a Close of the server's");
    pub(super) const DELIVERED: Rule = should("RFC 6455, 7.1.1", "an end loses nothing that was sent before it, however slowly it is read");
    pub(super) const HALF: Rule = should("RFC 6455, 7.1.1 and 7.1.4", "a client's FIN loses no answer, and the server ends its side, too");
    pub(super) const OTHERS: Rule = should("RFC 6455, 7.2.1", "a connection that breaks is that connection's affair alone");
}

/// How much a slow reader is owed.
const SLOW_BYTES: usize = 4 << 20;

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("close");
    codes(&mut table);
    bodies(&mut table);
    after(&mut table);
    ends(&mut table);
    table.cases
}

fn codes(table: &mut Table) {
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        let exchange = closes(code, [close(code, "")]);
        table.exchange(format!("code-{code}"), rule::ANSWERED, exchange);
    }
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535,
    ] {
        let exchange = fails(&[1002], [close(code, "")]);
        table.exchange(format!("code-{code}"), rule::CODE, exchange);
    }
}

#[rustfmt::skip]
fn bodies(table: &mut Table) {
    table.exchange("empty", rule::ANSWERED, closes(1000, [frame(CLOSE, "")]));
    table.exchange("half-a-code", rule::BODY, fails(&[1002], [frame(CLOSE, [3])]));
    for (name, reason) in [
        ("short", b"done".to_vec()),
        ("longest", filler(123)),
        ("utf8", "auf Wiedersehen – さようなら".into()),
    ] {
        let exchange = closes(1000, [close(1000, reason)]);
        table.exchange(format!("reason-{name}"), rule::ANSWERED, exchange);
    }
    for (name, reason) in [
        ("of-bad-utf8", &b"bye \xff"[..]),
        ("cut-inside-a-character", b"bye \xe2\x82"),
        ("of-a-surrogate", b"bye \xed\xa0\x80"),
        ("overlong", b"bye \xc0\xaf"),
    ] {
        let exchange = fails(&[1007, 1002], [close(1000, reason)]);
        table.exchange(format!("reason-{name}"), rule::REASON, exchange);
    }
    let slowly = closes(1001, [close(1001, "going")]).cut(Cut::Every(1));
    table.exchange("byte-by-byte", rule::ANSWERED, slowly);
}

#[rustfmt::skip]
fn after(table: &mut Table) {
    let closing = close(1000, "");
    for (name, frame) in [
        ("text", text("late")),
        ("ping", ping("late")),
        ("close", close(1001, "again")),
        ("text-unmasked", text("late").unmasked()),
        ("opcode-3", frame(3, "late")),
    ] {
        let frames = [closing.clone(), frame];
        let exchange = closes(1000, &frames);
        table.exchange(format!("then-{name}"), rule::AFTER, exchange);
        let apart = closes(1000, &frames).cut(Cut::After(closing.bytes().len()));
        table.exchange(format!("then-{name}-apart"), rule::AFTER, apart);
    }
    let garbage = closes(1000, [closing]).behind([0xff; 5000]);
    table.exchange("then-garbage", rule::AFTER, garbage);
    for (name, frames) in [
        ("message", vec![text("Hello")]),
        ("ping", vec![ping("Hello")]),
        ("hundred", (0..100).map(|n| text(filler(n))).collect()),
        ("64-kib", vec![binary(filler(65536))]),
    ] {
        let id = format!("behind-{name}");
        table.special(
            id,
            rule::DELIVERED,
            "everything comes back, then a Close, then the end of the stream",
            move |peer| behind(peer, &frames, &Pace::default()),
        );
    }
    // A reader that takes its time gets the last byte, too.
    for (name, pace) in [
        ("slow-reader-to-the-last-byte", Pace { pause: Duration::from_millis(5),..Pace::default() }),
        ("late-reader-to-the-last-byte", Pace { late: Duration::from_millis(1500),..Pace::default() }),
    ] {
        table.special(
            name,
            rule::DELIVERED,
            "4 MiB in 64 messages come back to a reader that is slow, then a Close, then the end",
            move |peer| {
                let frames = vec![binary(filler(SLOW_BYTES / 64)); 64];
                behind(peer, &frames, &pace)
            },
        );
    }
}

/// How a reader takes its time.
#[derive(Default)]
struct Pace {
    /// Before it begins to read.
    late: Duration,
    /// Before each message.
    pause: Duration,
}

/// Sends messages and a Close while nothing is read, then reads.
fn behind(peer: &mut Peer<'_>, frames: &[Frame], pace: &Pace) -> Result<String, Finding> {
    peer.upgrade()?;
    let mut all: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    all.extend(close(1000, "").bytes());
    let mut replies = Replies::to(frames);
    let begin = Instant::now();
    peer.send_while_reading(&all)?;
    std::thread::sleep(pace.late.saturating_sub(begin.elapsed()));
    replies.pause = pace.pause;
    replies.judge(peer, Finish::Close(1000))
}

#[rustfmt::skip]
fn ends(table: &mut Table) {
    table.special(
        "then-fin",
        rule::ANSWERED,
        "the Close is answered, although FIN comes right behind it",
        |peer| {
            peer.upgrade()?;
            peer.send(&close(1000, "").bytes());
            peer.half_close();
            Replies::to(&[]).judge(peer, Finish::Close(1000))
        },
    );
    for (name, bytes, frames) in [
        ("instead-of-close", vec![], vec![]),
        ("behind-a-message", vec![], vec![text("Hello")]),
        ("within-a-header", vec![0x81], vec![]),
        ("within-a-payload", text("Hello").bytes()[..8].to_vec(), vec![]),
        ("within-fragments", text("Hel").more().bytes(), vec![]),
    ] {
        table.special(
            format!("fin-{name}"),
            rule::HALF,
            "whole messages come back, then the server ends its side of the stream",
            move |peer| {
                peer.upgrade()?;
                let mut all: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
                all.extend_from_slice(&bytes);
                peer.send(&all);
                peer.half_close();
                half_closed(peer, frames.len())
            },
        );
    }
    for (name, bytes) in [
        ("idle", vec![]),
        ("within-a-frame", text(filler(1000)).bytes()[..500].to_vec()),
        ("owed-a-lot", binary(filler(1 << 20)).bytes()),
    ] {
        table.special(
            format!("reset-{name}"),
            rule::OTHERS,
            "another connection is served while this one is reset, and after it",
            move |peer| {
                let mut doomed = Peer::connect(peer.ground())?;
                doomed.upgrade()?;
                peer.upgrade()?;
                doomed.send(&bytes);
                doomed.reset();
                echoes([text("one"), ping("two"), text("three")]).play(peer)
            },
        );
    }
    table.special(
        "without-goodbye-a-hundred-times",
        rule::OTHERS,
        "after a hundred connections that ended without a Close, another one is served",
        |peer| {
            for _ in 0..100 {
                Peer::connect(peer.ground())?.upgrade()?;
            }
            peer.upgrade()?;
            echoes([text("Hello")]).play(peer)
        },
    );
}

/// So many messages come, then the end; a Close before it is welcome.
fn half_closed(peer: &mut Peer<'_>, messages: usize) -> Result<String, Finding> {
    let mut came = 0;
    loop {
        match peer.event()? {
            Incoming::Came(Event::Message(_)) => came += 1,
            Incoming::Came(_) => {}
            Incoming::Ended(end) if came == messages => {
                return Ok(format!("{came} messages, then {}", end.words()));
            }
            Incoming::Ended(end) => {
                let words = end.words();
                return Err(Finding::Broken(format!(
                    "{came} of {messages} messages, then {words}"
                )));
            }
            Incoming::Silence => {
                return Err(Finding::Broken("the server left its side open".to_owned()));
            }
        }
    }
}
