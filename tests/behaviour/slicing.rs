//! However the client's bytes are cut, the same is said, in the same order and at the same time, and it ends the
//! same; and where messages are to come back as they were, they do, as an oracle has it.

use proptest::prelude::*;
use ringback::behaviour::{After, Ask, Bad, Drip, End, Greeting, MESSAGE_BYTES_MAX, Source};
use ringback::protocol::CloseCode;

use super::alike::{check, serve};
use super::rig::{Ended, Rig, ending, ms};
use super::support::compare::{Freedom, same};
use super::support::frames::{self, Frame};
use super::support::oracle::{self, Patience, Rules};
use super::support::streams::{self, Cuts};
use super::support::{replies, request};

/// Every kind of behaviour, and whether it answers with what came and nothing else.
pub(crate) fn kinds() -> Vec<(Ask, bool)> {
    let ask = Ask::default;
    let source = |source| Ask { source, ..ask() };
    let drip = |bytes| Ask {
        drip: Some(Drip {
            bytes,
            every: ms(10),
        }),
        ..ask()
    };
    let close = |code, reason: &str| End::Close {
        code: CloseCode::from_wire(code),
        reason: reason.into(),
    };
    let room = "room".into();
    let mut kinds = vec![
        (ask(), true),
        (
            Ask {
                slow_handshake: ms(300),
                ..ask()
            },
            true,
        ),
        (
            Ask {
                subprotocol: Some("chat".into()),
                ..ask()
            },
            true,
        ),
        (
            Ask {
                fragment: Some(3),
                ..ask()
            },
            true,
        ),
        (
            Ask {
                coalesce: Some(3),
                ..ask()
            },
            true,
        ),
        (
            Ask {
                delay: ms(200),
                ..ask()
            },
            true,
        ),
        (
            Ask {
                delay: ms(20),
                jitter: ms(50),
                coalesce: Some(2),
                ..ask()
            },
            true,
        ),
        (drip(997), true),
        (source(Source::Broadcast { room }), false),
        (source(Source::Frames), false),
        (source(Source::Whoami), false),
        (source(Source::Silent), false),
        (source(Source::Huge { bytes: 1000 }), false),
        (
            source(Source::Count {
                n: 5,
                every: ms(10),
            }),
            false,
        ),
        (
            Ask {
                upper: true,
                time: true,
                ..ask()
            },
            false,
        ),
        (
            Ask {
                no_pong: true,
                ..ask()
            },
            false,
        ),
        (
            Ask {
                ping: Some((ms(700), "hi".into())),
                ..ask()
            },
            false,
        ),
        (ending(close(1001, "bye"), 2), false),
        (
            Ask {
                delay: ms(60),
                ..ending(close(0, ""), 1)
            },
            false,
        ),
        (ending(End::Reset, 2), false),
        (ending(End::HalfClose, 1), false),
        (
            Ask {
                end: Some((End::Reset, After::Time(ms(100)))),
                delay: ms(200),
                ..ask()
            },
            false,
        ),
    ];
    for glued in [true, false] {
        let text = "Hello".into();
        kinds.push((
            Ask {
                greeting: Some(Greeting { text, glued }),
                ..ask()
            },
            false,
        ));
    }
    for bad in [Bad::Accept, Bad::Utf8, Bad::CloseCode] {
        kinds.push((ending(End::Bad(bad), 1), false));
    }
    kinds
}

/// What is whole is over in the end.
fn run(ask: &Ask, stream: &[u8]) -> Result<Rig, String> {
    let rig = serve(ask, stream, &Cuts::Whole, usize::MAX);
    if rig.is_over() {
        Ok(rig)
    } else {
        Err(format!("still open: {:?}", rig.ends))
    }
}

/// Checks that `rig` has echoed `stream`.
fn check_echo(rig: &Rig, stream: &[u8]) -> Result<(), String> {
    let response = request::read(&rig.sent()).ok_or("no response")?;
    let seen = replies::read(&response.rest)?;
    let rules = Rules {
        message_bytes_max: Some(MESSAGE_BYTES_MAX),
        ..Rules::default()
    };
    let freedom = Freedom {
        holds: true,
        rewrites: true,
    };
    let against = |patience| same(&seen, &oracle::echo(stream, &rules, patience), freedom);
    against(Patience::None).or_else(|why| against(Patience::WholeHeader).map_err(|_| why))
}

fn script() -> Vec<u8> {
    frames::encode(&[
        Frame::text("hello"),
        Frame::ping(b"p"),
        Frame::text("ab\u{e9}").unfinished(),
        Frame::ping(b"inside"),
        Frame::new(frames::CONTINUATION, "cd"),
        Frame::binary(&[0, 1, 0xfe]),
        Frame::text(""),
        Frame::close(3000, "bye"),
        Frame::text("too late"),
    ])
}

#[test]
fn every_behaviour_is_the_same_cut_at_every_place() {
    let script = script();
    for (ask, is_echo) in kinds() {
        let whole = run(&ask, &script).unwrap_or_else(|why| panic!("{ask:?}: {why}"));
        if is_echo {
            check_echo(&whole, &script).unwrap_or_else(|why| panic!("{ask:?}: {why}"));
            assert_eq!(whole.end(), Some(Ended::Fin));
        }
        let cuts = (1..script.len()).map(|cut| Cuts::Lengths(vec![cut, script.len()]));
        for cuts in cuts.chain([Cuts::Each(1)]) {
            check(&ask, &whole, &script, &cuts, 1)
                .unwrap_or_else(|why| panic!("{ask:?} {cuts:?}: {why}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_stream_cut_anywhere_is_the_same_to_a_behaviour(
        stream in streams::any_stream(),
        cuts in streams::cuts(),
        takes in proptest::sample::select(vec![100, 1460, usize::MAX]),
        (ask, is_echo) in proptest::sample::select(kinds()),
    ) {
        let whole = run(&ask, &stream).map_err(TestCaseError::fail)?;
        if is_echo {
            check_echo(&whole, &stream).map_err(TestCaseError::fail)?;
        }
        check(&ask, &whole, &stream, &cuts, takes).map_err(TestCaseError::fail)?;
    }
}
