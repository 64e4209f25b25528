//! How each behaviour ends, byte for byte.

use std::time::Duration;

use ringback::behaviour::{After, Ask, Bad, End, Source};
use ringback::protocol::CloseCode;

use super::rig::{Ended, Rig, ending, ms};
use super::support::frames::Frame;
use super::support::{replies, request};

fn close(code: u16, reason: &str) -> End {
    End::Close {
        code: CloseCode::from_wire(code),
        reason: reason.into(),
    }
}

#[test]
fn what_no_server_should_send_is_sent_as_it_should_not_be() {
    let table: [(Bad, &[u8]); 9] = [
        (Bad::Rsv, b"\xc1\x05Hello"),
        (Bad::Opcode, b"\x83\x05Hello"),
        (Bad::Utf8, b"\x81\x05H\xc3llo"),
        (
            Bad::Length,
            b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x05Hello",
        ),
        (Bad::Mask, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        (Bad::ControlFragment, b"\x09\x05Hello"),
        (Bad::Unfinished, b"\x01\x03Hel\x81\x05Hello"),
        (Bad::CloseCode, b"\x88\x02\x03\xed"),
        (Bad::CloseReason, b"\x88\x07\x03\xe8H\xc3llo"),
    ];
    for (bad, bytes) in table {
        let is_noticed = replies::read(bytes).is_err();
        assert_eq!(
            is_noticed,
            bad != Bad::CloseCode,
            "a strict client, {bad:?}"
        );
        let mut rig = Rig::upgraded(&ending(End::Bad(bad), 0));
        rig.pump();
        assert_eq!(rig.end(), None, "{bad:?}");
        let mut rig = Rig::upgraded(&ending(End::Bad(bad), 1));
        rig.feed_frames(&[Frame::text("a"), Frame::text("b"), Frame::ping(b"")]);
        assert_eq!(rig.sent(), [b"\x81\x01a", bytes].concat(), "{bad:?}");
        assert_eq!(rig.end(), None, "it is the client's turn");
        rig.feed_frames(&[Frame::close(1002, "")]);
        assert_eq!(rig.sent(), [b"\x81\x01a", bytes].concat(), "{bad:?}");
        assert_eq!(rig.end(), Some(Ended::Fin));
    }
}

#[test]
fn a_wrong_accept_is_all_that_is_said() {
    let mut rig = Rig::open(&ending(End::Bad(Bad::Accept), 0));
    let right = Rig::open(&Ask::default()).sent();
    let wrong = rig.sent();
    let differing = right
        .iter()
        .zip(&wrong)
        .filter(|(right, wrong)| right != wrong);
    assert_eq!((differing.count(), wrong.len()), (1, right.len()));
    rig.feed_frames(&[Frame::text("a")]);
    rig.wait(Duration::from_secs(20));
    assert_eq!((rig.sent(), rig.end()), (wrong, None));
    rig.finish();
    assert_eq!(rig.end(), Some(Ended::Fin));
}

#[test]
fn it_ends_after_so_many_messages_or_so_long() {
    let two = [
        Frame::text("a"),
        Frame::ping(b""),
        Frame::text("b"),
        Frame::text("c"),
    ];
    let echoed = b"\x81\x01a\x8a\0\x81\x01b";
    for (end, last, ended) in [
        (close(1001, "bye"), &b"\x88\x05\x03\xe9bye"[..], Ended::Fin),
        (close(4999, ""), b"\x88\x02\x13\x87", Ended::Fin),
        (close(0, ""), b"\x88\x00", Ended::Fin),
        (End::Reset, b"", Ended::Reset),
        (End::HalfClose, b"", Ended::HalfClose),
    ] {
        let ask = |after| Ask {
            end: Some((end.clone(), after)),
            ..Ask::default()
        };
        let mut rig = Rig::upgraded(&ask(After::Messages(2)));
        rig.feed_frames(&two);
        assert_eq!(rig.sent(), [echoed, last].concat(), "{end:?}");
        assert_eq!(rig.ends, [(ms(0), ended)]);

        let mut rig = Rig::upgraded(&ask(After::Time(ms(2000))));
        rig.feed_frames(&two[..3]);
        rig.wait(Duration::from_secs(3));
        assert_eq!(rig.sent(), [echoed, last].concat(), "{end:?}");
        assert_eq!(rig.ends, [(ms(2000), ended)]);
    }
    let mut rig = Rig::open(&ending(close(1000, ""), 0));
    assert!(rig.sent().ends_with(b"\r\n\r\n\x88\x02\x03\xe8"));
    rig.feed_frames(&[Frame::close(1000, "")]);
    assert_eq!(rig.ends, [(ms(0), Ended::Fin)]);
}

#[test]
fn a_reset_at_a_time_does_not_wait_for_what_is_owed() {
    let mut rig = Rig::upgraded(&Ask {
        end: Some((End::Reset, After::Time(ms(100)))),
        delay: ms(200),
        ..Ask::default()
    });
    rig.feed_frames(&[Frame::text("a")]);
    rig.wait(ms(1000));
    assert_eq!(
        (rig.sent(), rig.ends),
        (vec![], vec![(ms(100), Ended::Reset)])
    );
}

#[test]
fn a_reset_at_a_time_comes_behind_the_101_however_late_that_is() {
    for late in [ms(0), ms(1000)] {
        let mut rig = Rig::open(&Ask {
            slow_handshake: ms(100),
            end: Some((End::Reset, After::Time(ms(0)))),
            ..Ask::default()
        });
        rig.now = rig.now + ms(100) + late;
        rig.pump();
        let response = request::read(&rig.sent()).expect("a response");
        response.assert_switched();
        assert_eq!(rig.ends, [(ms(100) + late, Ended::Reset)]);
    }
}

#[test]
fn half_closed_it_still_takes_in_until_the_client_ends() {
    for ends in [true, false] {
        let mut rig = Rig::upgraded(&ending(End::HalfClose, 0));
        rig.feed_frames(&[Frame::text("a"), Frame::ping(b"")]);
        assert_eq!((rig.sent(), rig.end()), (vec![], Some(Ended::HalfClose)));
        if ends {
            rig.feed_frames(&[Frame::close(1000, "")]);
        } else {
            rig.finish();
        }
        assert_eq!((rig.sent(), rig.end()), (vec![], Some(Ended::Fin)));
    }
}

#[test]
fn what_is_owed_goes_before_the_answer_to_a_close() {
    let mut rig = Rig::upgraded(&Ask {
        delay: ms(200),
        coalesce: Some(10),
        ..Ask::default()
    });
    rig.feed_frames(&[
        Frame::text("a"),
        Frame::close(3000, "bye"),
        Frame::text("b"),
    ]);
    rig.wait(ms(199));
    assert_eq!((rig.sent(), rig.end()), (vec![], None));
    rig.wait(ms(1));
    assert_eq!(rig.sent(), b"\x81\x01a\x88\x02\x0b\xb8");
    assert_eq!(rig.ends, [(ms(200), Ended::Fin)]);
}

#[test]
fn silence_is_kept_to_the_end() {
    let silent = Ask {
        source: Source::Silent,
        ..Ask::default()
    };
    let mut rig = Rig::upgraded(&silent);
    rig.feed_frames(&[Frame::text("a"), Frame::ping(b""), Frame::close(1000, "")]);
    rig.wait(Duration::from_secs(59));
    assert_eq!((rig.sent(), rig.end()), (vec![], None));
    rig.wait(Duration::from_secs(1));
    assert_eq!((rig.sent(), rig.end()), (vec![], Some(Ended::Fin)));

    let mut rig = Rig::upgraded(&silent);
    rig.feed(b"\x81\x01a");
    rig.wait(Duration::from_secs(1));
    assert_eq!((rig.sent(), rig.end()), (vec![], None));
    rig.finish();
    assert_eq!((rig.sent(), rig.end()), (vec![], Some(Ended::Fin)));

    let mut rig = Rig::upgraded(&silent);
    rig.wait(Duration::from_secs(60));
    assert_eq!(
        (rig.sent(), rig.ends),
        (vec![], vec![(ms(60_000), Ended::Fin)])
    );
}

#[test]
fn who_is_silent_ends_as_was_asked_for_though_the_client_has_closed() {
    for (end, ends) in [
        (End::Reset, vec![(ms(30_000), Ended::Reset)]),
        (
            End::HalfClose,
            vec![(ms(30_000), Ended::HalfClose), (ms(60_000), Ended::Fin)],
        ),
    ] {
        let mut rig = Rig::upgraded(&Ask {
            source: Source::Silent,
            end: Some((end, After::Time(ms(30_000)))),
            ..Ask::default()
        });
        rig.feed_frames(&[Frame::close(1000, "")]);
        rig.wait(Duration::from_secs(100));
        assert_eq!((rig.sent(), rig.ends), (vec![], ends));
    }
}
