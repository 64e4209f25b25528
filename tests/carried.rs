//! A session that is written down and read back: its peer cannot tell, and whatever else is read does no harm.

mod support;

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringback::protocol::policy::{GreetingAfter, Policy};
use support::deflated;
use support::frames::Frame;
use support::pretend::{Pretend, State};
use support::request;
use support::streams::{self, Stream};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn policies() -> impl Strategy<Value = Policy> {
    let prefixes = vec![None, None, Some(""), Some("Received: "), Some("é€😀 ")];
    let greetings = vec![
        None,
        Some(GreetingAfter::Handshake),
        Some(GreetingAfter::Turn),
        Some(GreetingAfter::Delay(Duration::from_millis(20))),
    ];
    let idles = vec![None, Some(Duration::from_secs(60))];
    (
        select(prefixes),
        select(greetings),
        select(idles),
        any::<bool>(),
    )
        .prop_map(|(prefix, greeting_after, idle_timeout, http)| Policy {
            prefix: prefix.map(Into::into),
            greeting: greeting_after.map(|_| "Hi there".to_owned()),
            greeting_after: greeting_after.unwrap_or(GreetingAfter::Turn),
            idle_timeout,
            http,
            ..Policy::default()
        })
}

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Event {
    Comes(Stream),
    Passes(Duration),
    Drains,
}

/// A stream from the request on, cut anywhere, with time passing and a drain now and then.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let stream = prop_oneof![streams::any_stream(), streams::short_stream()];
    events_of(stream, "")
}

/// The same, mostly of compressed messages.
fn deflating_events() -> impl Strategy<Value = Vec<Event>> {
    events_of(
        deflated::short_stream(),
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    )
}

fn events_of(
    stream: impl Strategy<Value = Stream>,
    offer: &'static str,
) -> impl Strategy<Value = Vec<Event>> {
    let between = prop_oneof![
        20 => Just(None),
        2 => (0..100_000_u64).prop_map(|millis| Some(Event::Passes(Duration::from_millis(millis)))),
        1 => Just(Some(Event::Drains)),
    ];
    (stream, streams::cuts(), vec(between, 1..50)).prop_map(move |(stream, cuts, between)| {
        let bytes = [&request::with_header(offer), &stream[..]].concat();
        let pieces = cuts.pieces(bytes.len()).into_iter();
        let comes = pieces.map(|piece| Event::Comes(Stream::from(&bytes[piece])));
        comes
            .zip(between.into_iter().cycle())
            .flat_map(|(comes, between)| [Some(comes), between])
            .flatten()
            .collect()
    })
}

fn happen(pretend: &mut Pretend<'_>, event: &Event) {
    match event {
        Event::Comes(bytes) => pretend.feed(bytes),
        Event::Passes(span) => pretend.wait(*span),
        Event::Drains if pretend.state == State::Open => pretend.drain(),
        Event::Drains => {}
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_session_goes_on_as_if_it_had_stayed(
        policy in policies(),
        events in events(),
        room in select(vec![1, 100, 4096, 1 << 20]),
        holds: bool,
    ) {
        let mut stays = Pretend::open(&policy);
        let mut goes = Pretend::open(&policy);
        goes.is_carried = true;
        for pretend in [&mut stays, &mut goes] {
            pretend.room = room;
            if !holds {
                pretend.spend_slabs();
            }
        }
        for event in &events {
            happen(&mut stays, event);
            happen(&mut goes, event);
            prop_assert_eq!(stays.sent.len(), goes.sent.len(), "after {:?}", event);
            prop_assert!(stays.sent == goes.sent, "after {:?}", event);
            prop_assert_eq!(stays.state, goes.state, "after {:?}", event);
            prop_assert_eq!(stays.deadline(), goes.deadline(), "after {:?}", event);
            prop_assert!(goes.held_bytes() <= stays.held_bytes(), "{} bytes", goes.held_bytes());
        }
        stays.release();
        goes.release();
    }
}

/// What may happen to bytes on their way.
#[derive(Clone, Debug)]
enum Mishap {
    Change(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
}

fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    let small = prop_oneof![0..8_u8, any::<u8>()];
    let mishap = prop_oneof![
        6 => (any::<Index>(), small).prop_map(|(at, byte)| Mishap::Change(at, byte)),
        1 => any::<Index>().prop_map(Mishap::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..10)).prop_map(|(at, bytes)| Mishap::Insert(at, bytes)),
        1 => (any::<Index>(), 1..10_usize).prop_map(|(at, count)| Mishap::Remove(at, count)),
    ];
    vec(mishap, 1..5)
}

fn suffer(bytes: &mut Vec<u8>, mishap: &Mishap) {
    // Lengths, states and ways stand in front.
    let place = |at: &Index, len: usize| at.index(len).min(at.index(len.min(64) + 1));
    let len = bytes.len();
    match mishap {
        _ if len == 0 => {}
        Mishap::Change(at, byte) => bytes[place(at, len).min(len - 1)] = *byte,
        Mishap::Cut(at) => bytes.truncate(at.index(len)),
        Mishap::Insert(at, new) => {
            let at = place(at, len);
            bytes.splice(at..at, new.iter().copied());
        }
        Mishap::Remove(at, count) => {
            let at = place(at, len);
            bytes.drain(at..len.min(at + count));
        }
    }
}

/// Reads `bytes` where `policy` holds. If they are a session, it takes whatever comes.
fn pick_up(policy: &Policy, bytes: &[u8], events: &[Event]) -> Result<(), TestCaseError> {
    let mut pretend = Pretend::open(policy);
    match pretend.read(bytes) {
        Err(damage) => {
            prop_assert!(!damage.field.is_empty() && damage.to_string().contains(damage.field));
        }
        Ok(()) => {
            pretend.is_carried = true;
            for event in events {
                happen(&mut pretend, event);
            }
            pretend.peer_finishes();
        }
    }
    pretend.release();
    Ok(())
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn what_is_damaged_is_told_or_does_no_harm(
        policy in policies(),
        other_policy in policies(),
        events in prop_oneof![3 => events(), 1 => deflating_events()],
        at in any::<Index>(),
        mishaps in mishaps(),
    ) {
        let mut pretend = Pretend::open(&policy);
        let (before, after) = events.split_at(at.index(events.len() + 1));
        for event in before {
            happen(&mut pretend, event);
        }
        let mut bytes = pretend.write();
        pick_up(&other_policy, &bytes, after)?;
        mishaps.iter().for_each(|mishap| suffer(&mut bytes, mishap));
        pick_up(&other_policy, &bytes, after)?;
    }

    #[test]
    fn bytes_without_sense_are_told_or_do_no_harm(
        policy in policies(),
        state in 0..4_u8,
        bytes in vec(prop_oneof![4 => 0..6_u8, 1 => any::<u8>()], 0..120),
        events in events(),
    ) {
        pick_up(&policy, &[&[state], &bytes[..]].concat(), &events)?;
    }
}

/// What was agreed on at the upgrade stays, whatever is configured where the connection goes on.
#[test]
fn the_manner_goes_with_the_connection() {
    let with_prefix = Policy {
        prefix: Some("Received: ".into()),
        ..Policy::default()
    };
    let without = Policy::default();
    for (from, to, answer) in [
        (&with_prefix, &without, &b"\x81\x0cReceived: hi"[..]),
        (&without, &with_prefix, b"\x81\x02hi"),
    ] {
        let mut first = Pretend::open(from);
        first.feed(&request::upgrade());
        let mut second = Pretend::open(to);
        second.read(&first.write()).expect("a session");
        second.feed(&Frame::text("hi").encode());
        assert_eq!(second.release(), answer);
        first.release();
    }
}

#[test]
fn damage_names_its_field() {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    let bytes = amid_a_text();
    let mut fields = Vec::new();
    for len in 0..bytes.len() {
        let mut other = Pretend::open(&policy);
        fields.push(other.read(&bytes[..len]).expect_err("it is cut").field);
        other.release();
    }
    fields.dedup();
    let expected = [
        "session",
        "awaits",
        "deadline",
        "pinged",
        "manner",
        "deflates",
        "message",
        "message bytes",
        "validator",
        "place",
        "frame",
        "way",
        "key",
        "length",
        "remaining",
        "held",
    ];
    assert_eq!(fields, expected);
    let longer = [&bytes[..], b"!"].concat();
    let damage = pretend.read(&longer).expect_err("there is more");
    assert_eq!(
        damage.to_string(),
        "bytes follow `held`, which is the last field"
    );
    pretend.release();
}

/// A session amid a text of ten bytes, of which three are held.
fn amid_a_text() -> Vec<u8> {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(&request::upgrade());
    pretend.feed(&Frame::text("unfinished").encode()[..9]);
    let bytes = pretend.write();
    pretend.release();
    bytes
}

/// Where what is awaited ends in it, and the manner follows.
const MANNER: usize = 11;

#[test]
fn states_that_cannot_be_are_told() {
    let bytes = amid_a_text();
    let mut wrong = Vec::new();
    for (at, value, field) in [
        (0, 3, "session"),
        (1, 3, "awaits"),
        (10, 2, "pinged"),
        (MANNER, 2, "manner"),
        (12, 2, "deflates"),
        (13, 3, "message"),   // compressed, which was not agreed on
        (13, 2, "frame"),     // binary, begun by a text frame
        (21, 11, "length"),   // a message that is longer than its only frame
        (22, 6, "validator"), // it has failed
        (22, 7, "validator"),
        (23, 4, "place"),
        (24, 0xc1, "frame"), // a reserved bit
        (24, 0x89, "frame"), // a Ping
        (25, 5, "way"),
        (25, 0, "held"), // not decided, and something is held
        (25, 2, "held"), // cut through, and something is held
        (25, 4, "held"), // a fragment is out, and all is held
        (37, 9, "length"),
        (45, 0, "remaining"),
        (45, 11, "remaining"),
        (45, 6, "held"), // four bytes came, three are held
    ] {
        let mut changed = bytes.clone();
        changed[at] = value;
        wrong.push((changed, field));
    }
    let awaiting = |awaits: &[u8], rest: &[u8]| [&[1], awaits, rest].concat();
    let due = [0, 0, 0, 0, 1, 1, 1, 1];
    let greeting = [&[0], &due[..]].concat();
    let drain = |code: u16| [&[2], &due[..], &code.to_be_bytes()].concat();
    let untouched = [0, 0, 0, 0];
    wrong.extend([
        (awaiting(&greeting, &bytes[MANNER..]), "awaits"),
        (awaiting(&drain(1001), &bytes[MANNER..]), "awaits"),
        (awaiting(&drain(1001), &untouched), "awaits"),
        (awaiting(&drain(1005), &untouched), "drain code"),
        (
            [&[0], &due[..], &[0; 7], &[18], b"GET / HTTP/1.1\r\n\r\n"].concat(),
            "head",
        ),
        ([&[0], &due[..], &[0; 7], &[1], b" "].concat(), "head"),
    ]);
    let policy = Policy::default();
    for (bytes, field) in wrong {
        let mut pretend = Pretend::open(&policy);
        let damage = pretend.read(&bytes).expect_err(field);
        assert_eq!(damage.field, field, "{bytes:?}");
        pretend.release();
    }
    let mut pretend = Pretend::open(&policy);
    pretend
        .read(&awaiting(&greeting, &untouched))
        .expect("a session");
    pretend.release();
}
