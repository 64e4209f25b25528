//! How many sessions of Socket.IO there may be, and what they may keep.

use std::io::Write;

use ringback::http::{Settings, SocketIo};

use crate::rig::{Answer, Client, Rig, SHORT, UPGRADE, patient, until};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

fn rig(change: impl FnOnce(&mut Settings, &mut SocketIo)) -> Rig {
    let (mut settings, policy) = patient();
    let mut socket_io = SocketIo::default();
    change(&mut settings, &mut socket_io);
    settings.socket_io = Some(socket_io);
    Rig::start_with(settings, policy)
}

fn upgrade(path: &str) -> String {
    let target = format!("{path}?EIO=4&transport=websocket");
    UPGRADE.replacen("/chat", &target, 1)
}

fn opening(path: &str) -> String {
    format!("GET {path}?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A request of the session of Engine.IO that `open` opened.
fn of_session(open: &Answer, method: &str, body: &str) -> String {
    let sid = open.body.split('"').nth(3).expect("an identifier");
    let length = body.len();
    format!(
        "{method} /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Opens a session once there is a place for it.
fn open(rig: &Rig, path: &str) -> Answer {
    until(|| Some(rig.ask(&opening(path))).filter(|answer| answer.status == 200))
}

/// The same as a WebSocket.
fn upgraded(rig: &Rig, path: &str) -> Client {
    until(|| {
        let mut client = rig.call(upgrade(path));
        (client.answer(false).status == 101).then_some(client)
    })
}

#[test]
fn sessions_have_a_bound_and_give_their_places_back() {
    let rig = rig(|_, socket_io| socket_io.sessions_max = 2);
    for _ in 0..3 {
        let first = open(&rig, "/engine.io/");
        let mut web = upgraded(&rig, "/engine.io/");
        let refused = rig.ask(&opening("/socket.io/"));
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.body.contains("sessions"), "{refused:?}");
        assert_eq!(rig.call(upgrade("/engine.io/")).answer(false).status, 503);
        assert_eq!(rig.ask(HEALTH).status, 200);
        // One is closed by its client, the other breaks off.
        assert_eq!(rig.ask(&of_session(&first, "POST", "1")).status, 200);
        web.shut_down();
        web.is_ended();
    }
}

/// The library keeps what is left of a session until the time is over in which it might have joined a namespace.
#[test]
fn who_joins_nothing_gives_its_place_back() {
    let rig = rig(|_, socket_io| {
        socket_io.sessions_max = 1;
        socket_io.connect_timeout = SHORT;
    });
    for _ in 0..3 {
        open(&rig, "/socket.io/");
        upgraded(&rig, "/socket.io/").shut_down();
    }
}

/// Long polls have places of their own, so that health checks never lack one.
#[test]
fn polls_take_no_place_from_others() {
    let rig = rig(|settings, socket_io| {
        settings.connections_max = 4;
        socket_io.sessions_max = 8;
    });
    let opened: Vec<_> = (0..8).map(|_| open(&rig, "/engine.io/")).collect();
    let mut polls: Vec<Client> = Vec::new();
    for session in &opened {
        // The first is answered by a ping.
        assert_eq!(rig.ask(&of_session(session, "GET", "")).body, "2");
        polls.push(rig.call(of_session(session, "GET", "")));
    }
    for _ in 0..4 {
        assert_eq!(rig.ask(HEALTH).status, 200);
    }
    let refused = rig.ask(&of_session(&opened[0], "POST", "3"));
    assert_eq!(refused.status, 503, "{refused:?}");
}

/// Its place is given back: the library would wait for it for good.
#[test]
fn who_takes_nothing_is_given_up() {
    let (mut settings, mut policy) = patient();
    policy.stall_timeout = SHORT;
    settings.socket_io = Some(SocketIo {
        sessions_max: 1,
        ..SocketIo::default()
    });
    let rig = Rig::start_with(settings, policy);
    let mut web = upgraded(&rig, "/engine.io/");
    let frame = [&[0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..], &[b'4'; 0xffff]].concat();
    while web.stream.write_all(&frame).is_ok() {}
    open(&rig, "/engine.io/");
}

#[test]
fn who_comes_while_it_goes_down_is_told_so() {
    let rig = rig(|_, _| {});
    let session = open(&rig, "/engine.io/");
    rig.side.drain();
    let ended = until(|| {
        let answer = rig.ask(&of_session(&session, "GET", ""));
        (answer.body == "1").then_some(answer)
    });
    assert!(ended.closes(), "{ended:?}");
    let refused = rig.ask(&opening("/engine.io/"));
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("going down"), "{refused:?}");
    let mut web = rig.call(upgrade("/engine.io/"));
    assert_eq!(web.answer(false).status, 503);
}

#[test]
fn what_all_sessions_keep_has_a_bound() {
    let rig = rig(|settings, _| settings.held_bytes_max = 64 * 1024);
    let mut web = upgraded(&rig, "/engine.io/");
    // The beginning of a message of a megabyte, of which the rest does not come.
    let mut frame = vec![0x81, 0xff, 0, 0, 0, 0, 0, 0xf, 0, 0, 0, 0, 0, 0];
    frame.extend([b'4'; 128 * 1024]);
    web.send(&frame[..100]);
    // It may be ended before it has sent all of it.
    let _ = web.stream.write_all(&frame[100..]);
    web.shut_down();
    web.is_ended();
    assert_eq!(rig.ask(HEALTH).status, 200);
}
