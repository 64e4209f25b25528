//! Every verdict can be reached: cases against servers that are wrong on purpose.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::case::{Case, must, should};
use super::exchange::{closes, echoes, fails};
use super::head::Head;
use super::opening::Answer::{NoUpgrade, Refusal, RefusalOrEnd, Upgrade, UpgradeOrRefusal};
use super::opening::request;
use super::peer::Ground;
use super::strain::another_is_served;
use super::verdict::Level;
use super::verdict::Verdict::{self, Fail, Pass, Skip, Warn};
use super::wire::{Frame, Length, binary, close, continuation, frame, ping, pong, text};
use super::{cases, is_selected, play, play_all};
use crate::target::Target;

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// More than anything takes, and less than anybody wants to wait for what does not come.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// How a server ends what it said.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Fin,
    Reset,
    /// It says nothing more, and keeps the connection.
    Hold,
}

/// A server that says this to whoever says anything, and what is known about it.
fn server(says: Vec<u8>, then: Then, timeout: Duration) -> Ground {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let says = says.clone();
            std::thread::spawn(move || serve(stream, &says, then));
        }
    });
    Ground {
        target: Target::parse(&format!("ws://{address}/")).unwrap(),
        address,
        tls: None,
        timeout,
        greetings: 0,
        deflate: false,
        patience: timeout,
        pid: None,
    }
}

fn serve(mut stream: TcpStream, says: &[u8], then: Then) {
    let mut buffer = [0; 4096];
    if !matches!(stream.read(&mut buffer), Ok(1..)) {
        return;
    }
    let _ = stream.write_all(says);
    match then {
        Then::Fin => drop(stream.shutdown(Shutdown::Write)),
        Then::Reset => {
            std::thread::sleep(SHORT);
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            return;
        }
        Then::Hold => {}
    }
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
    std::thread::sleep(10 * SHORT);
}

/// A case against a server that says this comes to this, for the reason that has these words.
fn judged(case: &Case, says: Vec<u8>, then: Then, verdict: Verdict, words: &str) {
    let waits = then == Then::Hold && verdict != Pass;
    let shown = format!("{} {:?}", says.escape_ascii(), then);
    let result = play(case, &server(says, then, if waits { SHORT } else { LONG }));
    let happened = &result.happened;
    assert_eq!(result.verdict, verdict, "{}: {shown}: {happened}", case.id);
    assert!(happened.contains(words), "{words:?}: {shown}: {happened}");
}

/// The same for frames behind an upgrade that is right.
fn framed(case: &Case, frames: &[Frame], then: Then, verdict: Verdict, words: &str) {
    let frames = frames
        .iter()
        .flat_map(|frame| frame.clone().unmasked().bytes());
    let says = UPGRADED.bytes().chain(frames).collect();
    judged(case, says, then, verdict, words);
}

#[test]
fn no_case_passes_whatever_the_server_does() {
    let ground = server(UPGRADED.into(), Then::Hold, SHORT);
    let results = play_all(&cases::all(&ground.target), &ground, 64);
    let passed: Vec<_> = results
        .iter()
        .filter(|result| result.verdict == Pass)
        .collect();
    assert!(passed.is_empty(), "{passed:#?}");
    assert!(results.len() > 220);
}

#[test]
#[rustfmt::skip]
fn echoes_are_compared() {
    let case = echoes([text("Hello"), ping("p")]).case("echo", must("", ""));
    let (hello, answer) = (text("Hello"), pong("p"));
    for frames in [
        vec![hello.clone(), answer.clone()],
        vec![answer.clone(), hello.clone()],
        vec![text("He").more(), answer.clone(), ping("own"), continuation("llo")],
    ] {
        framed(&case, &frames, Then::Hold, Pass, "1 of 1 messages");
    }
    for (frames, verdict, words) in [
        (vec![], Fail, "then nothing"),
        (vec![hello.clone()], Fail, "pongs for 0 of 1 pings"),
        (vec![text("Hellp")], Fail, "came back as text of 5 bytes \"Hellp\""),
        (vec![binary("Hello")], Fail, "came back as binary"),
        (vec![hello.clone(), text("more")], Fail, "\"more\" came"),
        (vec![hello.clone(), pong("q")], Fail, "pongs for 0 of 1 pings"),
        (vec![close(1011, "")], Fail, "then Close 1011"),
        (vec![close(1009, "")], Skip, "no message so long"),
        (vec![hello.clone().rsv(4)], Fail, "reserved bit"),
        (vec![frame(3, "")], Fail, "reserved opcode"),
        (vec![text("Hello").length(Length::Two)], Fail, "shortest form"),
        (vec![text("").length(Length::Claimed(1 << 40))], Fail, "longer than anything"),
        (vec![text(b"\xff")], Fail, "not UTF-8"),
        (vec![continuation("Hello")], Fail, "continuation of nothing"),
        (vec![text("He").more(), text("llo")], Fail, "within another"),
        (vec![pong([0; 126])], Fail, "over 125 bytes"),
        (vec![pong("p").more()], Fail, "control frame in fragments"),
        (vec![frame(8, [3])], Fail, "half a code"),
        (vec![close(1005, "")], Fail, "never stands on the wire"),
        (vec![close(1000, b"\xff")], Fail, "reason that is not UTF-8"),
    ] {
        framed(&case, &frames, Then::Hold, verdict, words);
    }
    framed(&case, std::slice::from_ref(&hello), Then::Fin, Fail, "the end of the stream");
    let masked = [UPGRADED.as_bytes(), &hello.bytes()].concat();
    judged(&case, masked, Then::Hold, Fail, "masked a frame");
    let unasked = echoes([pong("o"), ping("p")]).case("unasked", must("", ""));
    framed(&unasked, &[pong("o"), answer.clone()], Then::Hold, Fail, "our pong was answered");
    framed(&unasked, &[pong("other"), answer], Then::Hold, Pass, "pongs for 1 of 1");
    let advised = echoes([text("Hello")]).case("echo", should("", ""));
    framed(&advised, &[text("Hellp")], Then::Hold, Warn, "came back as");
}

#[test]
#[rustfmt::skip]
fn failing_a_connection_is_judged_by_code_and_end() {
    let wrong = fails(&[1002, 1009], [text("Hello").rsv(4)]).after([text("first")]);
    let case = wrong.clone().case("fail", must("", ""));
    let advised = wrong.case("fail", should("", ""));
    for (frames, then, verdict, words) in [
        (vec![text("first"), close(1002, "why")], Then::Fin, Pass, "Close 1002 \"why\", then the end"),
        (vec![close(1009, "")], Then::Reset, Pass, "then a reset"),
        (vec![close(1011, "")], Then::Fin, Warn, "Close 1011"),
        (vec![frame(8, "")], Then::Fin, Warn, "without a code"),
        (vec![], Then::Fin, Warn, "the end of the stream without the Close"),
        (vec![], Then::Reset, Warn, "a reset without the Close"),
        (vec![], Then::Hold, Fail, "then nothing"),
        (vec![text("first"), text("Hello")], Then::Hold, Fail, "\"Hello\" came"),
        (vec![close(1002, "")], Then::Hold, Fail, "left open"),
    ] {
        framed(&case, &frames, then, verdict, words);
        let advice = if verdict == Fail { Warn } else { verdict };
        framed(&advised, &frames, then, advice, words);
    }
}

#[test]
fn a_close_is_answered_and_followed_by_the_end() {
    let case = closes(3000, [close(3000, ""), text("late")]).case("close", must("", ""));
    for (frames, then, verdict, words) in [
        (vec![close(3000, "")], Then::Fin, Pass, "Close 3000"),
        (vec![close(1000, "")], Then::Fin, Pass, "Close 1000"),
        (vec![frame(8, "")], Then::Fin, Pass, "without a code"),
        (vec![close(1002, "")], Then::Fin, Warn, "Close 1002"),
        (vec![close(3000, "")], Then::Hold, Fail, "left open"),
        (
            vec![text("late"), close(3000, "")],
            Then::Fin,
            Fail,
            "\"late\" came",
        ),
        (
            vec![close(3000, ""), text("late")],
            Then::Fin,
            Fail,
            "after its Close",
        ),
        (vec![], Then::Fin, Fail, "without a Close"),
        (vec![], Then::Hold, Fail, "then nothing"),
    ] {
        framed(&case, &frames, then, verdict, words);
    }
}

#[test]
#[rustfmt::skip]
fn a_handshake_is_judged_by_its_answer() {
    let head = Head::ordinary(&Target::parse("ws://h/").unwrap());
    let case = |answer| request(head.clone(), answer).case("handshake", must("", ""));
    let echo = text("Hello").unmasked().bytes();
    let upgraded = |change: fn(String) -> String| [change(UPGRADED.to_owned()).as_bytes(), &echo].concat();
    let as_it_is = || upgraded(|head| head);
    let refused = |status| format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").into_bytes();
    for (answer, says, then, verdict, words) in [
        (Upgrade, as_it_is(), Then::Hold, Pass, "upgraded; 1 of 1"),
        (Upgrade, UPGRADED.into(), Then::Hold, Fail, "then nothing"),
        (Upgrade, upgraded(|head| head.replace("s3p", "S3p")), Then::Hold, Fail, "Sec-WebSocket-Accept"),
        (Upgrade, upgraded(|head| head.replace("Upgrade: websocket", "Upgrade: x")), Then::Hold, Fail, "Upgrade"),
        (Upgrade, upgraded(|head| head.replace("Connection", "X")), Then::Hold, Fail, "no Connection"),
        (Upgrade, upgraded(|head| head.replace("\r\nSec", "\r\nSec-WebSocket-Protocol: x\r\nSec")), Then::Hold, Fail, "not offered"),
        (Upgrade, upgraded(|head| head.replace("\r\nSec", "\r\nSec-WebSocket-Extensions: x\r\nSec")), Then::Hold, Fail, "not offered"),
        (Upgrade, refused(400), Then::Fin, Fail, "answered with 400"),
        (Upgrade, vec![], Then::Fin, Fail, "no answer, but"),
        (Upgrade, vec![], Then::Hold, Fail, "no answer for"),
        (Upgrade, b"HTP/1.1 101 x\r\n\r\n".to_vec(), Then::Hold, Fail, "is not HTTP/1.1"),
        (Refusal(&[400]), refused(400), Then::Fin, Pass, "answered with 400"),
        (Refusal(&[]), refused(503), Then::Fin, Pass, "answered with 503"),
        (Refusal(&[400]), refused(431), Then::Fin, Warn, "answered with 431"),
        (Refusal(&[400]), refused(200), Then::Fin, Fail, "which is no error"),
        (Refusal(&[400]), as_it_is(), Then::Hold, Fail, "the server upgraded"),
        (Refusal(&[400]), vec![], Then::Fin, Fail, "no answer, but"),
        (RefusalOrEnd, vec![], Then::Fin, Pass, "the end of the stream"),
        (RefusalOrEnd, refused(400), Then::Hold, Pass, "answered with 400"),
        (RefusalOrEnd, as_it_is(), Then::Hold, Fail, "the server upgraded"),
        (NoUpgrade, refused(200), Then::Hold, Pass, "answered with 200"),
        (NoUpgrade, vec![], Then::Fin, Warn, "no answer, but"),
        (NoUpgrade, as_it_is(), Then::Hold, Fail, "the server upgraded"),
        (UpgradeOrRefusal, as_it_is(), Then::Hold, Pass, "upgraded"),
        (UpgradeOrRefusal, refused(400), Then::Hold, Pass, "answered with 400"),
        (UpgradeOrRefusal, refused(200), Then::Hold, Fail, "which is no error"),
        (UpgradeOrRefusal, vec![], Then::Fin, Warn, "no answer, but"),
    ] {
        judged(&case(answer), says, then, verdict, words);
    }
    let looked_at = request(head.clone(), Upgrade).look(|_| Err("not so".to_owned()));
    judged(&looked_at.case("look", must("", "")), as_it_is(), Then::Hold, Fail, "not so");
}

#[test]
fn a_server_that_is_gone_is_accused_of_nothing_that_was_not_played() {
    let mut ground = server(UPGRADED.into(), Then::Hold, SHORT);
    // Bound, and so nobody else's, but not listened at.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    ground.address = socket.local_addr().unwrap().as_socket().unwrap();
    let cases = [echoes([text("Hello")]).case("echo", must("", ""))];
    let results = play_all(&cases, &ground, 1);
    assert_eq!(results[0].verdict, Skip);
    assert!(results[0].happened.contains("not played: connecting"));
    let finding = another_is_served(&ground).unwrap_err();
    assert_eq!(finding.verdict(Level::Should), Fail);
    assert!(finding.words().contains("no other client was served"));
}

#[test]
fn patterns_name_cases() {
    let is_named = |patterns: &[&str]| {
        let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        is_selected("utf8/surrogate-first-in-frames", &patterns)
    };
    assert!(is_named(&[]) && is_named(&["utf8/"]) && is_named(&["close/", "surrogate*frames"]));
    assert!(!is_named(&["close/"]) && !is_named(&["frames*surrogate"]));
}

#[test]
fn ids_are_one_of_a_kind_and_rules_have_a_section() {
    let cases = cases::all(&Target::parse("ws://h/").unwrap());
    let mut ids: Vec<_> = cases.iter().map(|case| &case.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), cases.len());
    let is_named = |case: &Case| {
        let section = case.rule.section;
        (section.starts_with("RFC ") || section.starts_with("CWE-")) && !case.rule.says.is_empty()
    };
    assert!(cases.iter().all(is_named));
}
