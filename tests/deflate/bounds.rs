//! What a compressed message may take of memory and of time, and what happens when there is none left.

use proptest::prelude::*;
use ringback::memory::slab::SLAB_COST_MAX;
use ringback::protocol::inflate::{INFLATER_COST, SLICE_BYTES_MAX};
use ringback::protocol::policy::Policy;
use ringback::protocol::session::INFLATION_BYTES_MAX;

use super::messages::deflating;
use crate::support::deflated::{self, Style};
use crate::support::frames::{self, Frame};
use crate::support::pretend::State;
use crate::support::replies;
use crate::support::streams::{self, Cuts};

/// `sent` is one message, as `frame` has it.
fn assert_message(sent: &[u8], frame: &Frame) {
    let seen = replies::read_extended(sent, true).expect("strict frames");
    let messages = seen.outcome.messages();
    assert!(messages.map(|message| &message.bytes).eq([&frame.payload]));
}

#[test]
fn a_bomb_takes_no_memory_and_its_time_in_turns() {
    let policy = Policy::default();
    let mut pretend = deflating(&policy);
    let frame = deflated::bomb(1024);
    let mut calls = 0;
    for piece in frame.encode().chunks(64 * 1024) {
        calls += pretend.feed_counting(piece, |pretend, before| {
            let inflated = pretend.tally.inflated_bytes.get() - before;
            // What a slice may become, at a ratio of 1032.
            let most = INFLATION_BYTES_MAX + 1040 * SLICE_BYTES_MAX;
            assert!(inflated <= most as u64, "{inflated} bytes in one call");
        });
        assert!(pretend.held_bytes() <= SLAB_COST_MAX + INFLATER_COST);
    }
    assert_eq!(pretend.tally.inflated_bytes.get(), 1 << 30);
    assert_eq!(pretend.tally.inflated.get(), 1);
    assert!(calls > 1000, "{calls} calls");
    assert_eq!(pretend.held_bytes(), 0);
    assert_message(&pretend.release(), &frame);
}

#[test]
fn a_bomb_is_stopped_where_there_is_a_limit() {
    let policy = Policy {
        message_bytes_max: Some(1 << 20),
        ..Policy::default()
    };
    let mut pretend = deflating(&policy);
    pretend.feed(&deflated::bomb(1024).encode());
    assert_ne!(pretend.state, State::Open);
    assert_eq!(pretend.tally.inflated_bytes.get(), 1 << 20);
    let seen = replies::read_extended(&pretend.release(), true).expect("strict frames");
    assert_eq!(seen.outcome.reasons, ["message too big"]);
}

/// A message is told to be cut off, not too large for what is looked at behind its end.
#[test]
fn what_ends_a_message_is_not_measured() {
    // A block of which `0` is an `a`, `10` its end, `110` a `b` and `111` a `c`, and four `a`. What is left out of a
    // message becomes 21 letters more.
    const CUT_OFF: &[u8] = b"\x04\xc0\x01\x01\x00\x00\x00\x82\xa0\xad\xd4\xff\x0f\x02";
    for (maximum, reason) in [(24, "message too big"), (25, "compressed data is broken")] {
        let policy = Policy {
            message_bytes_max: Some(maximum),
            ..Policy::default()
        };
        let mut pretend = deflating(&policy);
        pretend.feed(&deflated::frame(frames::TEXT, CUT_OFF).encode());
        let seen = replies::read_extended(&pretend.release(), true).expect("strict frames");
        assert_eq!(seen.outcome.reasons, [reason], "at most {maximum}");
    }
}

/// Block after block with a code of its own, and no text: the slowest that there is to inflate.
#[test]
fn codes_without_text_take_their_turns() {
    let policy = Policy::default();
    let mut pretend = deflating(&policy);
    let frame = deflated::codes(54_000);
    let calls = pretend.feed_counting(&frame.encode(), |_, _| {});
    assert!(calls >= 6, "{calls} calls");
    assert_eq!(pretend.tally.data_messages(), 1);
    pretend.release();
}

/// Messages that are nearly nothing take their share of a turn, too.
#[test]
fn a_flood_of_small_messages_takes_its_turns() {
    let policy = Policy::default();
    for payload in [&b"\x00"[..], b"\x03\x00", &b"\x03\x00".repeat(250)] {
        let mut pretend = deflating(&policy);
        let stream = deflated::frame(frames::TEXT, payload)
            .encode()
            .repeat(10_000);
        let calls = pretend.feed_counting(&stream, |_, _| {});
        assert!(calls >= 10_000 * 512 / INFLATION_BYTES_MAX, "{calls} calls");
        assert_eq!(pretend.tally.data_messages(), 10_000);
        pretend.release();
    }
}

/// Where memory is spent, a message that is not whole is passed on unchecked, and counted; what is whole is checked.
#[test]
fn without_memory_what_straddles_is_passed_on() {
    let policy = Policy::default();
    let mut pretend = deflating(&policy);
    pretend.spend_slabs();
    for bytes in [
        frames::prose(5000, 7),
        [frames::prose(5000, 7), b"\xff".to_vec()].concat(),
    ] {
        let frame = deflated::text(&bytes);
        let stream = frame.encode();
        let (first, second) = stream.split_at(1000);
        pretend.feed(first);
        assert_eq!(pretend.held_bytes(), 0);
        pretend.feed(second);
        assert_message(&pretend.sent, &frame);
        pretend.sent.clear();
    }
    assert_eq!(pretend.tally.unchecked.get(), 2);
    assert_eq!(pretend.tally.inflated.get(), 0);
    pretend.feed(&deflated::text(b"whole").encode());
    assert_eq!(pretend.tally.inflated.get(), 1);
    pretend.feed(&deflated::text(b"whole and \xff").encode());
    assert_ne!(pretend.state, State::Open);
    pretend.release();
}

/// An inflater is given back whenever its message ends, and no other message has it meanwhile.
#[test]
fn an_inflater_is_kept_for_a_message_and_no_longer() {
    let policy = Policy::default();
    let mut pretend = deflating(&policy);
    let message = deflated::fragments(
        frames::TEXT,
        &deflated::deflate(&frames::prose(300, 8), &Style::plain()),
        &[0, 50, 100],
    );
    let mut kept = Vec::new();
    for frame in &message {
        pretend.feed(&frame.encode());
        pretend.feed(&Frame::ping(b"between").encode());
        kept.push(pretend.held_bytes());
    }
    assert_eq!(kept, [0, INFLATER_COST, INFLATER_COST, 0]);
    assert_eq!(pretend.tally.inflated.get(), 1);
    pretend.release();
}

#[test]
fn a_connection_carried_amid_a_message_goes_on_unchecked() {
    let policy = Policy::default();
    let stream = deflated::text(&[&frames::prose(5000, 9), &b"\xff"[..]].concat());
    let bytes = stream.encode();
    for (cut, unchecked) in [(4, 0), (8, 0), (9, 1), (1000, 1)] {
        let mut pretend = deflating(&policy);
        pretend.feed(&bytes[..cut]);
        let carried = pretend.write();
        pretend.read(&carried).expect("a session");
        pretend.feed(&bytes[cut..]);
        assert_eq!(pretend.tally.unchecked.get(), unchecked, "cut at {cut}");
        let is_checked = unchecked == 0;
        assert_eq!(pretend.state == State::Open, !is_checked, "cut at {cut}");
        // The next message is looked at again.
        pretend.feed(&deflated::text(b"\xff").encode());
        assert_ne!(pretend.state, State::Open);
        pretend.release();
    }
}

/// What is not looked at any more is measured as it comes.
#[test]
fn the_limit_holds_for_what_is_passed_on_unchecked() {
    let policy = Policy {
        message_bytes_max: Some(1000),
        ..Policy::default()
    };
    let mut pretend = deflating(&policy);
    pretend.spend_slabs();
    let stream = deflated::frame(frames::TEXT, frames::noise(1001, 1)).encode();
    let stored = [b"\x00\xff\x0f\x00\xf0", &stream[8..]].concat();
    let frame = deflated::frame(frames::TEXT, stored).encode();
    pretend.feed(&frame[..12]);
    assert_eq!(pretend.state, State::Open);
    pretend.feed(&frame[12..]);
    assert_ne!(pretend.state, State::Open);
    pretend.release();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, cutting changes nothing, and all memory comes back wherever the connection ends.
    #[test]
    fn garbage_has_one_fate_and_costs_nothing(
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..400),
            (0..3000_usize, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(size, at, byte)| {
                let mut payload = deflated::deflate(&frames::prose(size, 2), &Style::plain());
                let at = at.index(payload.len());
                payload[at] ^= byte;
                payload
            }),
        ],
        cuts in streams::cuts(),
        inflation in prop::sample::select(vec![1, INFLATION_BYTES_MAX]),
        end in any::<prop::sample::Index>(),
    ) {
        let policy = Policy { message_bytes_max: Some(2000), ..Policy::default() };
        let stream = deflated::frame(frames::TEXT, payload).encode();
        let fate = |cuts: &Cuts, inflation, end| {
            let mut pretend = deflating(&policy);
            pretend.inflation = inflation;
            for piece in cuts.pieces(end) {
                pretend.feed(&stream[piece]);
            }
            let seen = replies::read_extended(&pretend.release(), true).expect("strict frames");
            (seen.outcome.close, seen.outcome.reasons, seen.outcome.events)
        };
        let whole = fate(&Cuts::Whole, INFLATION_BYTES_MAX, stream.len());
        let cut = fate(&cuts, inflation, stream.len());
        prop_assert_eq!((whole.0, whole.1), (cut.0, cut.1));
        prop_assert_eq!(whole.2.len(), cut.2.len());
        fate(&cuts, inflation, end.index(stream.len()));
    }
}
