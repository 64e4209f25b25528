//! A connection with a link in a shard, and a client at its other end.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::link::rehearsal::{Client, accept};
use crate::protocol::guests::{Guest, Guests};
use crate::protocol::{CloseCode, Moment, Policy, Tally};
use crate::shard::readiness::{Immediate, Wire};
use crate::shard::{
    Admission, Carried, Destination, Entrance, Protocol, Sent, Settings, Shard, SlotId, Standing,
    Write,
};

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const ENTRANCE: Entrance = Entrance {
    protocol: Protocol::WebSocket,
    tls: true,
    number: 0,
};

/// A masked message of two bytes, and its echo.
const MESSAGE: &[u8] = b"\x82\x82\0\0\0\0hi";
const ECHO: &[u8] = b"\x82\x02hi";

/// What goes on the wire, as far as it is taken.
#[derive(Default)]
struct Line {
    wire: Vec<u8>,
    is_full: bool,
}

impl Wire<()> for Line {
    fn send(&mut self, (): &mut (), bytes: &[u8], _: bool) -> Sent {
        if self.is_full {
            return Sent::Blocked;
        }
        self.wire.extend_from_slice(bytes);
        Sent::Bytes(bytes.len())
    }
}

/// A shard with one connection that speaks TLS, and who is at its other end.
struct World {
    shard: Shard<()>,
    tally: Arc<Tally>,
    id: SlotId,
    client: Client,
    line: Line,
    /// How many bytes have come on the wire.
    received: u64,
}

fn shard(tls: &Arc<crate::link::Acceptor>) -> (Shard<()>, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let settings = Settings {
        policy: Policy {
            http: true,
            ..Policy::default()
        },
        budget: SlabPool::budget(4 << 20, 1),
        admission: Arc::new(Admission::new(None)),
        tls: Some(tls.clone()),
    };
    let mut shard = Shard::new(settings, tally.clone());
    shard.set_now(Moment::from_nanos(1));
    (shard, tally)
}

impl World {
    fn new() -> Self {
        let (acceptor, config) = accept(&["localhost"]);
        let (mut shard, tally) = shard(&acceptor);
        World {
            id: shard.open((), ENTRANCE, None),
            shard,
            tally,
            client: Client::new(&config, "localhost"),
            line: Line::default(),
            received: 0,
        }
    }

    /// One whose handshake is over.
    fn open() -> Self {
        let mut world = World::new();
        for _ in 0..3 {
            let wire = world.client.says();
            world.receive(&wire);
            assert_eq!(world.read(), b"");
        }
        assert_eq!(world.tally.tls_handshakes.get(), 1);
        world
    }

    fn receive(&mut self, wire: &[u8]) {
        self.received += wire.len() as u64;
        let mut handle = self.shard.at(self.id).unwrap();
        let mut carrier = Immediate(Line::default());
        handle.receive(&mut wire.to_vec(), &mut carrier);
        assert!(carrier.0.wire.is_empty(), "nothing passes by the link");
        handle.flush(&mut self.line);
    }

    fn say(&mut self, plain: &[u8]) {
        let wire = self.client.seals(plain);
        self.receive(&wire);
    }

    fn read(&mut self) -> Vec<u8> {
        let wire = mem::take(&mut self.line.wire);
        self.client.opens(&wire).unwrap()
    }

    fn upgrade(&mut self) {
        self.say(REQUEST);
        assert!(self.read().starts_with(b"HTTP/1.1 101 "));
    }

    fn end(mut self) {
        self.shard.release(self.id, |_| {});
        assert_eq!(self.shard.slab_bytes(), 0);
    }
}

/// How many records there are.
fn records(mut wire: &[u8]) -> usize {
    let mut count = 0;
    while let [_, _, _, high, low, rest @ ..] = wire {
        wire = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
        count += 1;
    }
    count
}

#[test]
fn what_one_receive_answers_is_one_record() {
    let mut world = World::open();
    world.upgrade();
    world.say(&MESSAGE.repeat(500));
    assert_eq!(records(&world.line.wire), 1);
    assert_eq!(world.read(), ECHO.repeat(500));
    // A large one takes as few as it can.
    world.say(&[&b"\x82\xff\0\0\0\0\0\x01\0\0\0\0\0\0"[..], &[7; 65_536]].concat());
    assert!(
        records(&world.line.wire) <= 5,
        "{}",
        records(&world.line.wire)
    );
    assert_eq!(world.read().len(), 65_536 + 10);
    world.end();
}

#[test]
fn a_part_of_a_record_counts_as_unfinished_until_it_is_whole() {
    let mut world = World::open();
    world.upgrade();
    assert_eq!(world.shard.slab_bytes(), 0, "an idle one keeps nothing");
    let wire = world.client.seals(MESSAGE);
    let (part, rest) = wire.split_at(wire.len() - 1);
    world.receive(part);
    assert!(world.shard.slab_bytes() >= part.len());
    assert_eq!(world.read(), b"");
    world.receive(rest);
    assert_eq!(world.shard.slab_bytes(), 0);
    assert_eq!(world.read(), ECHO);
    world.receive(part);
    world.end();
}

#[test]
fn whoever_asks_for_http_takes_its_link_along() {
    let mut world = World::open();
    let request = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    world.say(request);
    let to = Write::PutDown(Destination::Http);
    assert_eq!(world.shard.wants(world.id).write, to);
    let ((), carried) = world.shard.put_down(world.id, |_, _| {}).unwrap();
    assert_eq!(world.shard.slab_bytes(), 0);
    let mut bytes = carried.into_bytes();
    assert_eq!(bytes.unread, request);
    assert_eq!(bytes.received, world.received);
    let link = bytes.link.as_mut().unwrap();
    assert!(link.seal_to(b"an answer", &mut bytes.unsent));
    assert_eq!(world.client.opens(&bytes.unsent).unwrap(), b"an answer");
    // It comes back for a WebSocket, with a word that is still to be sent.
    let mut unsent = Vec::new();
    assert!(link.seal_to(b"a word", &mut unsent));
    let unread = REQUEST.to_vec();
    let carried = Carried::fresh(ENTRANCE, &Policy::default(), unread, bytes.received)
        .over(bytes.link, unsent);
    let ask = |&(): &()| Standing::default();
    world.id = world.shard.pick_up((), carried, ask).unwrap();
    let mut handle = world.shard.at(world.id).unwrap();
    assert!(!handle.is_portable());
    handle.flush(&mut world.line);
    assert!(world.read().starts_with(b"a wordHTTP/1.1 101 "));
    world.say(MESSAGE);
    assert_eq!(world.read(), ECHO);
    world.end();
}

#[test]
fn a_connection_goes_from_worker_to_worker_amid_a_record() {
    let mut world = World::open();
    world.upgrade();
    world.line.is_full = true;
    world.say(MESSAGE);
    let wire = world.client.seals(MESSAGE);
    let (part, rest) = wire.split_at(7);
    world.receive(part);
    world
        .shard
        .at(world.id)
        .unwrap()
        .leave(Destination::Worker(1));
    let ((), carried) = world.shard.put_down(world.id, |_, _| {}).unwrap();
    assert_eq!(world.shard.slab_bytes(), 0);
    let (acceptor, _) = accept(&["localhost"]);
    (world.shard, _) = shard(&acceptor);
    let ask = |&(): &()| Standing::default();
    world.id = world.shard.pick_up((), carried, ask).unwrap();
    world.line.is_full = false;
    world.receive(rest);
    assert_eq!(world.read(), ECHO.repeat(2));
    world.end();
}

#[test]
fn a_drain_counts_what_came_on_the_wire() {
    let mut world = World::open();
    world.upgrade();
    let wire = world.client.seals(MESSAGE);
    let standing = Standing {
        received: world.received + wire.len() as u64,
        ..Standing::default()
    };
    world.shard.drain(CloseCode::GOING_AWAY);
    world.shard.bid_farewell(world.id, |()| standing);
    assert_eq!(world.shard.wants(world.id).write, Write::Rest);
    world.receive(&wire);
    let read = world.read();
    assert!(read.starts_with(&[ECHO, b"\x88"].concat()), "{read:?}");
    assert!(world.client.is_told_the_end(), "before FIN");
    assert_eq!(world.shard.wants(world.id).write, Write::HalfClose);
    world.end();
}

#[test]
fn a_handshake_that_takes_too_long_is_told_by_an_alert() {
    let mut world = World::new();
    let wire = world.client.says();
    world.receive(&wire[..100]);
    let later = Moment::from_nanos(1) + Duration::from_secs(11);
    world.shard.set_now(later);
    while world.shard.pop_due(|()| Standing::default()).is_some() {}
    let mut handle = world.shard.at(world.id).unwrap();
    let cause = Cause::Tls("does not finish its handshake");
    assert_eq!(handle.take_cause(), Some(cause));
    handle.flush(&mut world.line);
    assert_eq!(world.line.wire, [21, 3, 3, 0, 2, 2, 90]);
    // At once: whoever does nothing is not waited for.
    let close = Write::Close { reset: false };
    assert_eq!(world.shard.wants(world.id).write, close);
    assert_eq!(world.tally.tls_refused.get(), 1);
    world.end();
}

#[test]
fn who_goes_amid_its_handshake_has_given_it_up_and_who_said_nothing_has_not() {
    for (part, is_reset, expected) in [(0, false, 0), (0, true, 0), (100, false, 1), (100, true, 1)]
    {
        let mut world = World::new();
        let wire = world.client.says();
        world.receive(&wire[..part]);
        let mut handle = world.shard.at(world.id).unwrap();
        if is_reset {
            handle.fail();
        } else {
            handle.peer_finished();
        }
        let cause = Cause::Tls("gave up the handshake");
        let told = (expected > 0).then_some(cause);
        assert_eq!(handle.take_cause(), told, "{part}, {is_reset}");
        assert_eq!(world.tally.tls_refused.get(), expected);
        world.end();
    }
    let mut world = World::open();
    world.shard.at(world.id).unwrap().fail();
    assert_eq!(world.tally.tls_refused.get(), 0);
    world.end();
}

/// A load balancer that looks whether somebody listens may say who it is, and no more.
#[test]
fn who_only_introduces_itself_gives_no_handshake_up() {
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\n";
    for (said, expected) in [(&header[..9], 0), (header, 0), (b"\x16\x03\x01\0\x05", 1)] {
        let balancer = "192.0.2.1:1".parse().unwrap();
        let guests = Guests {
            balancers: vec!["192.0.2.1/32".parse().unwrap()],
            ..Guests::default()
        };
        let mut world = World::new();
        let guest = Guest::arrive(&guests, Some(balancer));
        world.shard.common.settings.policy.guests = Some(Arc::new(guests));
        world.id = world.shard.open((), ENTRANCE, Some(Box::new(guest)));
        if expected > 0 {
            world.receive(header);
        }
        world.receive(said);
        let mut handle = world.shard.at(world.id).unwrap();
        handle.fail();
        assert_eq!(handle.take_cause().is_some(), expected > 0);
        assert_eq!(world.tally.tls_refused.get(), expected);
    }
}
