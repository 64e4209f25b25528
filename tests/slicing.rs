//! Split invariance: however the network cuts a stream of bytes, and whatever memory there is, what
//! comes back is equivalent: the same messages in the same order, the same close code, the same fate.

mod support;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringback::memory::slab::SLAB_COST_MAX;
use ringback::protocol::policy::{GreetingAfter, Policy};
use ringback::protocol::session::INFLATION_BYTES_MAX;
use support::compare::take_greeting;
use support::deflated;
use support::event::CloseSeen;
use support::frames::{self, Frame};
use support::oracle::Rules;
use support::pretend::{Pretend, State};
use support::replies;
use support::request;
use support::setting::Setting;
use support::streams::{self, Cuts};

const HELD_BYTES_MAX: usize = 16 * 1024;

/// How long a failure may be made smaller.
const SHRINK_MILLISECONDS_MAX: u32 = 20_000;

fn setting(prefixed: bool) -> impl Strategy<Value = Setting> {
    let limits = vec![
        None,
        None,
        None,
        Some(0),
        Some(1),
        Some(125),
        Some(126),
        Some(20_000),
    ];
    let rooms = vec![1, 2, 16, 100, 4096, 65_536, 1 << 20];
    let offers = vec![1, 5, 4096, usize::MAX];
    let prefixes = vec!["Received: ", "", "é€😀 "];
    (
        select(limits),
        any::<bool>(),
        select(rooms),
        select(offers),
        select(prefixes),
        any::<bool>(),
    )
        .prop_map(
            move |(message_bytes_max, holds, room, offer_bytes_max, prefix, is_carried)| Setting {
                rules: Rules {
                    message_bytes_max,
                    prefix: prefixed.then(|| prefix.into()),
                    deflates: false,
                },
                holds,
                room,
                offer_bytes_max,
                inflation: INFLATION_BYTES_MAX,
                is_carried,
            },
        )
}

/// One in which compressed messages are agreed to, and memory is there to look at all of them.
fn deflating() -> impl Strategy<Value = Setting> {
    (setting(false), select(vec![1, 1000, INFLATION_BYTES_MAX])).prop_map(|(setting, inflation)| {
        let rules = Rules {
            deflates: true,
            ..setting.rules
        };
        Setting {
            rules,
            inflation,
            holds: true,
            is_carried: false,
            ..setting
        }
    })
}

fn cases(count: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse::<u32>().ok());
    let cases = asked.map_or(count, |asked| count.saturating_mul(asked).div_ceil(256));
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_time: SHRINK_MILLISECONDS_MAX,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_stream_cut_anywhere_is_echoed_as_the_oracle_says(
        stream in streams::any_stream(),
        cuts in streams::cuts(),
        setting in setting(false),
    ) {
        setting.run(&stream, &cuts).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_prefixed_stream_cut_anywhere_is_answered_as_the_oracle_says(
        stream in streams::any_stream(),
        cuts in streams::cuts(),
        setting in setting(true),
    ) {
        setting.run(&stream, &cuts).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_compressed_stream_cut_anywhere_is_echoed_as_the_oracle_says(
        stream in deflated::any_stream(),
        cuts in streams::cuts(),
        setting in deflating(),
    ) {
        setting.run(&stream, &cuts).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn nothing_compressed_comes_late(stream in deflated::short_stream(), setting in deflating()) {
        setting.run_promptly(&stream).map_err(TestCaseError::fail)?;
    }

    /// Where there is no memory for an inflater, or it is lost on the way, what is right is echoed all the same.
    #[test]
    fn compressed_messages_come_back_though_they_cannot_be_looked_at(
        frames in deflated::valid(),
        cuts in streams::cuts(),
        setting in deflating(),
        holds: bool,
    ) {
        let rules = Rules { message_bytes_max: None, ..setting.rules.clone() };
        let setting = Setting { rules, holds, is_carried: holds, ..setting };
        setting.run(&frames::encode(&frames), &cuts).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_short_stream_may_be_cut_at_every_place(
        stream in streams::short_stream(),
        setting in any::<bool>().prop_flat_map(setting),
    ) {
        for cut in 0..stream.len() {
            setting
                .run(&stream, &Cuts::Lengths(vec![cut.max(1), stream.len()]))
                .map_err(|why| TestCaseError::fail(format!("cut at {cut}: {why}")))?;
        }
    }

    #[test]
    fn nothing_comes_late(
        stream in streams::short_stream(),
        setting in any::<bool>().prop_flat_map(setting),
    ) {
        setting.run_promptly(&stream).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(5000))]

    #[test]
    fn bytes_without_sense_are_refused_as_the_oracle_says(
        mut stream in proptest::collection::vec(any::<u8>(), 0..300),
        first in select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x88, 0x89, 0x8a]),
        length in 0..40_u8,
        cuts in streams::cuts(),
        setting in any::<bool>().prop_flat_map(setting),
    ) {
        stream.splice(0..0, [first, 0x80 | length]);
        setting.run(&stream, &cuts).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn frames_behind_the_request_are_served_wherever_it_is_cut(
        stream in streams::short_stream(),
        cuts in streams::cuts(),
        greeting_after in select(vec![
            None,
            Some(GreetingAfter::Handshake),
            Some(GreetingAfter::Turn),
            Some(GreetingAfter::Delay(std::time::Duration::from_millis(20))),
        ]),
    ) {
        let policy = Policy {
            greeting: greeting_after.map(|_| "Hi there".to_owned()),
            greeting_after: greeting_after.unwrap_or(GreetingAfter::Turn),
            ..Policy::default()
        };
        let bytes = [&request::upgrade(), &stream[..]].concat();
        let mut pretend = Pretend::open(&policy);
        for piece in cuts.pieces(bytes.len()) {
            pretend.feed(&bytes[piece]);
        }
        let state = pretend.state;
        if state == State::Open {
            pretend.wait(std::time::Duration::from_millis(21));
        }
        let response = request::read(&pretend.release()).expect("a response");
        response.assert_switched();
        let mut seen = replies::read(&response.rest).map_err(TestCaseError::fail)?;
        let greeted = take_greeting(&mut seen.outcome, "Hi there");
        let answers = seen.outcome.messages().count() > 0 || state == State::Open;
        prop_assert!(greeted || policy.greeting.is_none() || !answers, "no greeting: {seen:?}");
        prop_assert!(!greeted || policy.greeting.is_some());
        Setting::plain(true).check(&stream, &seen, state).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_reply_is_never_longer_than_its_request(
        frames in streams::valid().prop_filter("text that is held", |frames| {
            frames.iter().all(|frame| {
                frame.opcode == frames::BINARY || frame.payload.len() <= HELD_BYTES_MAX
            })
        }),
        cuts in streams::cuts(),
    ) {
        let stream = frames::encode(&frames);
        let policy = Policy::default();
        let mut pretend = Setting::plain(true).upgraded(&policy);
        for piece in cuts.pieces(stream.len()) {
            let received = piece.end;
            pretend.feed(&stream[piece]);
            prop_assert!(pretend.sent.len() <= received);
        }
        pretend.release();
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_at_its_first_bad_byte() {
    for (bad, place) in streams::NOT_UTF8 {
        for lead in [0, 1, 7, 124, 125, 126, 1000, 16_383, 16_384, 20_000, 65_536] {
            for (holds, prefix) in [(true, None), (false, None), (true, Some("> ".into()))] {
                let payload = [frames::prose(lead, 5), bad.to_vec(), vec![b'.'; 9000]].concat();
                let frame = Frame::new(frames::TEXT, payload);
                let bad_at = frame.header().len() + lead + place;
                let mut setting = Setting::plain(holds);
                setting.rules.prefix = prefix;
                let policy = setting.policy();
                let mut pretend = setting.upgraded(&policy);
                let stream = frame.encode();
                pretend.feed(&stream[..bad_at - 1]);
                assert_eq!(pretend.state, State::Open, "{bad:?} behind {lead} bytes");
                pretend.feed(&stream[bad_at - 1..bad_at]);
                assert_ne!(pretend.state, State::Open, "{bad:?} behind {lead} bytes");
                let seen = replies::read(&pretend.release()).expect("strict frames");
                assert_eq!(seen.outcome.close, Some(CloseSeen::Code(1007)));
            }
        }
    }
}

#[test]
fn every_close_is_answered_with_its_code_alone() {
    let echoed = streams::GOOD_CODES.map(|code| (code, code));
    let refused = streams::BAD_CODES.map(|code| (code, 1002));
    for (code, answer) in echoed.into_iter().chain(refused) {
        let frames = [Frame::close(code, "so long"), Frame::text("too late")];
        let seen = Setting::plain(true).run(&frames::encode(&frames), &Cuts::Each(3));
        let outcome = seen.expect("as the oracle says").outcome;
        assert_eq!(outcome.close, Some(CloseSeen::Code(answer)), "for {code}");
        assert!(outcome.events.is_empty());
    }
}

#[test]
fn small_frames_come_back_as_they_were_and_large_text_in_few_pieces() {
    for size in streams::EDGES.into_iter().chain([300_000]) {
        for opcode in [frames::TEXT, frames::BINARY] {
            for cut in [1, 1400, 4096, 16_384, 16_385, 40_000, usize::MAX / 2] {
                let frame = Frame::new(opcode, frames::prose(size, 6));
                let seen = Setting::plain(true).run(&frame.encode(), &Cuts::Each(cut));
                let seen = seen.unwrap_or_else(|why| panic!("{size} bytes cut by {cut}: {why}"));
                assert_eq!(seen.outcome.messages().count(), 1);
            }
        }
    }
}

/// What a fragment may grow by with its last bytes is at its limit only if it is filled in small steps.
#[test]
fn a_prefixed_fragment_may_be_filled_to_its_end_in_any_steps() {
    for cut in [1, 2, 3, 5, 14] {
        for pad in 0..24 {
            let bad = b"\xe2\x82\xff".repeat(200);
            let payload = [vec![b'a'; 16_280 + pad], bad, frames::noise(20_000, 21)].concat();
            let mut setting = Setting::plain(true);
            setting.rules.prefix = Some("Received: ".into());
            setting
                .run(&Frame::binary(&payload).encode(), &Cuts::Each(cut))
                .unwrap_or_else(|why| panic!("{pad} more bytes cut by {cut}: {why}"));
        }
    }
}

#[test]
fn memory_does_not_depend_on_the_size_of_a_message() {
    const PIECE_BYTES: usize = 1400;
    let settings = [
        (frames::BINARY, None),
        (frames::TEXT, None),
        (frames::TEXT, Some("Received: ".into())),
        (frames::BINARY, Some("Received: ".into())),
    ];
    for (opcode, prefix) in settings {
        let policy = Policy {
            prefix,
            ..Policy::default()
        };
        let mut pretend = Setting::plain(true).upgraded(&policy);
        let total: u64 = 100 << 20;
        let header = [&[0x80 | opcode, 0xff], &total.to_be_bytes()[..], &[0; 4]].concat();
        pretend.feed(&header);
        let piece = [b'x'; PIECE_BYTES];
        let (mut left, mut sent) = (total, 0);
        while left > 0 {
            let count = left.min(PIECE_BYTES as u64);
            pretend.feed(&piece[..count as usize]);
            left -= count;
            sent += pretend.sent.len() as u64;
            pretend.sent.clear();
            assert!(
                pretend.held_bytes_max <= SLAB_COST_MAX,
                "{} bytes out",
                pretend.held_bytes_max
            );
        }
        assert!(sent >= total, "{sent} bytes came back");
        pretend.feed(&Frame::ping(b"done").encode());
        assert_eq!(pretend.sent, b"\x8a\x04done");
        pretend.release();
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_connection_that_ends_anywhere_gives_its_memory_back(
        stream in streams::any_stream(),
        end in any::<Index>(),
        piece in 1..20_000_usize,
        setting in any::<bool>().prop_flat_map(setting),
    ) {
        let policy = setting.policy();
        let mut pretend = setting.upgraded(&policy);
        let end = end.index(stream.len() + 1);
        for piece in Cuts::Each(piece).pieces(end) {
            pretend.feed(&stream[piece]);
            prop_assert!(pretend.held_bytes() <= SLAB_COST_MAX, "{} bytes kept", pretend.held_bytes());
        }
        pretend.release();
    }
}
