//! What is carried of a connection, from whoever it is: refused by the name of a field, or a connection that does no
//! harm. What is read is what would be written, and nothing is allocated beyond what came.

use std::sync::Arc;

use ringback::memory::SlabPool;
use ringback::protocol::{Moment, Policy, Tally};
use ringback::shard::readiness::{Immediate, Wire};
use ringback::shard::{
    Admission, Carried, Destination, Entrance, Protocol, Sent, Settings, Shard, Standing,
};
use sha1::{Digest, Sha1};

use super::input::Input;
use crate::support::allocations;
use crate::support::pretend::Pretend;

/// What a [`Damage`](ringback::protocol::carried::Damage) and its text may take.
const SMALL: usize = 64;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let policy = Policy {
        prefix: input.pick(&[None, Some("Received: ".into())]),
        http: input.pick(&[false, true]),
        ..Policy::default()
    };
    let lengths = [input.byte(), input.byte()].map(usize::from);
    let rest = input.rest();
    check_encoding(rest);
    check_encoding(&sealed(rest));
    let (state, rest) = rest.split_at(lengths[0].min(rest.len()));
    // Before a session stands which protocol it is of.
    check_session(state.get(1..).unwrap_or_default(), rest, &policy);
    let (unread, unsent) = rest.split_at(lengths[1].min(rest.len()));
    let body = [state, unread, unsent].map(|field| {
        let length = field.len() as u64;
        [&length.to_be_bytes()[..], field].concat()
    });
    let carried = check_encoding(&sealed(&body.concat())).expect("each field has its length");
    check_shard(carried, unread, policy);
}

/// Bytes with the right beginning and checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    let entrance = Entrance {
        protocol: Protocol::Tcp,
        tls: false,
        number: 0,
    };
    let any = Carried::fresh(entrance, &Policy::default(), Vec::new(), 0).encode();
    [&any[..6], &Sha1::digest(body), body].concat()
}

fn check_encoding(encoded: &[u8]) -> Option<Carried> {
    let (read, largest) = allocations::largest_in(|| Carried::decode(encoded, None));
    assert!(largest <= encoded.len() + SMALL, "{largest} bytes at once");
    match read {
        Ok(carried) => {
            assert!(carried.encode() == encoded, "it is written otherwise");
            Some(carried)
        }
        Err(damage) => {
            assert!(damage.to_string().contains(damage.field) && !damage.field.is_empty());
            None
        }
    }
}

/// A session of which `state` is all that is known takes whatever comes.
fn check_session(state: &[u8], stream: &[u8], policy: &Policy) {
    let mut pretend = Pretend::open(policy);
    if pretend.read(state).is_ok() {
        pretend.is_carried = true;
        pretend.feed(stream);
        pretend.peer_finishes();
    }
    pretend.release();
}

/// Takes all.
struct Wide;

impl Wire<()> for Wide {
    fn send(&mut self, (): &mut (), bytes: &[u8], _: bool) -> Sent {
        Sent::Bytes(bytes.len())
    }
}

/// A shard goes on with what is carried, however often it is put down, and at its end nothing is left of it.
fn check_shard(carried: Carried, more: &[u8], policy: Policy) {
    let settings = Settings {
        policy,
        budget: SlabPool::budget(1 << 20, 1),
        admission: Arc::new(Admission::new(None)),
        tls: None,
    };
    let mut shard = Shard::new(settings, Arc::new(Tally::default()));
    shard.set_now(Moment::from_nanos(5_000_000_000));
    if let Ok(id) = shard.pick_up((), carried, |()| Standing::default()) {
        let mut handle = shard.at(id).expect("it was picked up");
        handle.leave(Destination::Worker(0));
        let (_, carried) = shard.put_down(id, |_, _| {}).expect("it leaves");
        let carried = check_encoding(&carried.encode()).expect("it was written here");
        let id = shard
            .pick_up((), carried, |()| Standing::default())
            .expect("it was picked up before");
        let mut wire = Immediate(Wide);
        let mut handle = shard.at(id).expect("it was picked up");
        handle.flush(&mut wire.0);
        if handle.wants().read {
            handle.receive(&mut more.to_vec(), &mut wire);
        }
        for seconds in [6, 60, 1 << 20] {
            shard.set_now(Moment::from_nanos(seconds * 1_000_000_000));
            for _ in 0..10 {
                shard.pop_due(|()| Standing::default());
            }
        }
        shard.release(id, |_| {});
    }
    assert_eq!(shard.slab_bytes(), 0);
}
