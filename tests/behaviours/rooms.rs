//! Who hears whom.

use std::time::Duration;

use crate::server::{Server, until};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::wire::Wire;
use crate::{asking, on_every_engine, open, texts};

/// Rooms at once, and members of one.
const MAX: usize = 256;

#[test]
fn a_room_hears_all_that_is_said_in_it() {
    on_every_engine(&[], |server| {
        let mut members: Vec<_> = (0..3).map(|_| open(server, "/x/broadcast/a")).collect();
        let mut stranger = open(server, "/x/broadcast/b");
        for round in 0..10 {
            let said = [format!("{round}"), format!("{round}, again")];
            members[round % 3].send(&frames::encode(&said.each_ref().map(|it| Frame::text(it))));
            for member in &mut members {
                for text in &said {
                    let heard = member.read_exact(2 + text.len());
                    assert_eq!(&heard[2..], text.as_bytes());
                }
            }
        }
        // Who has left is not missed.
        drop(members.pop());
        stranger.assert_echoes("alone");
        members[0].assert_echoes("two are left");
        assert_eq!(members[1].read_exact(14)[2..], *b"two are left");
    });
}

/// The others hear all of it; who does not read misses some, is told so, and loses the connection.
#[test]
fn who_does_not_listen_holds_up_nobody() {
    const COUNT: usize = 200;
    on_every_engine(&[], |server| {
        let mut laggard = Wire::connect_narrow(server, 4096);
        laggard.send(&asking("/x/broadcast/a"));
        laggard.read_response().assert_switched();
        let mut speaker = open(server, "/x/broadcast/a");
        let mut listener = open(server, "/x/broadcast/a");
        let message = Frame::binary(&frames::noise(100_000, 3));
        for _ in 0..COUNT {
            speaker.send(&message.encode());
            for member in [&mut speaker, &mut listener] {
                let heard = member.read_exact(10 + message.payload.len());
                assert!(heard[10..] == message.payload);
            }
        }
        let seen = laggard.replies_to_end();
        assert!(seen.outcome.messages().count() < COUNT);
        assert_eq!(seen.outcome.close, Some(CloseSeen::Code(1013)));
        speaker.assert_echoes_binary(b"goes on");
    });
}

#[test]
fn rooms_are_bounded() {
    let server = Server::start("epoll", &[]);
    let refused = |path: &str, words: &str| {
        let mut wire = Wire::connect(&server);
        wire.send(&asking(path));
        let answer = wire.read_answer("GET");
        answer.assert_refused(503);
        assert!(answer.body().contains(words), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    };
    let path = |room: usize| format!("/x/broadcast/{room}");
    let mut rooms: Vec<_> = (0..MAX).map(|room| open(&server, &path(room))).collect();
    refused("/x/broadcast/more", "256 rooms");
    let mut members: Vec<_> = (1..MAX).map(|_| open(&server, &path(0))).collect();
    refused(&path(0), "256 in this room");
    members[7].send(&Frame::text("all").encode());
    for member in rooms.iter_mut().take(1).chain(&mut members) {
        assert_eq!(member.read_exact(5), b"\x81\x03all");
    }
    // A room ends with its last member.
    drop(rooms.pop());
    until("there is room for another", || {
        let mut wire = Wire::connect(&server);
        wire.send(&asking("/x/broadcast/more"));
        (wire.read_response().status == 101).then_some(())
    });
}

/// What is said by who is alone is heard by himself.
#[test]
fn a_room_may_be_slow() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/broadcast/a?delay=100ms&upper");
        let began = std::time::Instant::now();
        wire.send(&Frame::text("slow").encode());
        let seen = wire.read_until(|seen| seen.outcome.messages().count() == 1);
        assert_eq!(texts(&seen), ["SLOW"]);
        assert!(began.elapsed() >= Duration::from_millis(100));
    });
}
