//! Servers that are no echo servers, or no servers at all.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept, accept_hdr};

use crate::support::server::Server;
use crate::{events, ping};

/// Does this with every connection.
pub(crate) fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let each = each.clone();
            thread::spawn(move || each(stream));
        }
    });
    address
}

/// Does this with every WebSocket.
fn serve_opened(each: impl Fn(&mut WebSocket<TcpStream>) + Clone + Send + 'static) -> String {
    let address = serve(move |stream| {
        if let Ok(mut socket) = accept(stream) {
            each(&mut socket);
        }
    });
    format!("ws://{address}/")
}

/// Answers every request with these bytes, and hangs up.
fn serve_bytes(answer: &'static [u8]) -> String {
    let address = serve(move |mut stream| {
        let mut head = BufReader::new(stream.try_clone().expect("another handle")).lines();
        while head
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let _ = stream.write_all(answer);
    });
    format!("ws://{address}/")
}

/// What is said of `url`, which is not well.
fn complaint(url: &str, options: &[&str]) -> String {
    let (status, _, wrong) = ping(&[&[url, "--count", "1"], options].concat());
    assert_eq!(status, 1, "{url}: {wrong}");
    wrong
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_server() {
    let server = Server::start("epoll", &[]);
    for told in [
        "401 Unauthorized",
        "403 Forbidden: This path was asked to answer with 403",
        "404 Not Found: This path",
        "503 Service Unavailable",
    ] {
        let status = &told[..3];
        let wrong = complaint(&format!("{}x/status/{status}", server.url()), &[]);
        let told = format!("upgrade: the server answered {told}");
        assert!(wrong.contains(&told), "{wrong}");
    }
    for (answer, told) in [
        (
            &b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n"[..],
            "answered 302 Found, to be found at https://elsewhere/",
        ),
        (
            b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 12\r\n\r\nfull\n\x1b[1mnow",
            "answered 503 Service Unavailable, again after 7: full \\u{1b}[1mnow",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            "answered 200 OK, with a page\n",
        ),
    ] {
        let wrong = complaint(&serve_bytes(answer), &[]);
        assert!(wrong.contains(told), "{wrong}");
    }
}

#[test]
fn what_is_no_websocket_server_is_told_as_such() {
    for (answer, told) in [
        (
            &b"SSH-2.0-OpenSSH_9.9\r\n"[..],
            "upgrade: what answers does not speak HTTP; a server with TLS is wss://",
        ),
        (
            b"",
            "upgrade: the connection was closed instead of an answer",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "its 101 does not fit the request (Sec-WebSocket-Accept)",
        ),
    ] {
        let wrong = complaint(&serve_bytes(answer), &[]);
        assert!(wrong.contains(told), "{wrong}");
    }
}

/// RFC 6455, section 4.1: a 101 may only take what was offered.
#[test]
#[expect(clippy::result_large_err, reason = "so tungstenite wants it")]
fn what_was_not_offered_may_not_be_taken() {
    for (name, value, told) in [
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; server_no_context_takeover",
            "took what was not offered, `permessage-deflate; server_no_context_takeover` (Sec-WebSocket-Extensions)",
        ),
        (
            "Sec-WebSocket-Protocol",
            "chat",
            "took what was not offered, `chat` (Sec-WebSocket-Protocol)",
        ),
    ] {
        let address = serve(move |stream| {
            let taking = |_: &Request, mut response: Response| {
                let value = HeaderValue::from_static(value);
                response.headers_mut().insert(name, value);
                Ok(response)
            };
            if let Ok(mut socket) = accept_hdr(stream, taking) {
                while let Ok(message) = socket.read() {
                    let _ = socket.send(message);
                }
            }
        });
        let url = format!("ws://{address}/");
        let wrong = complaint(&url, &[]);
        assert!(wrong.contains(told), "{wrong}");
        let offer = ["--once", "--header", "Sec-WebSocket-Protocol: talk, chat"];
        let is_offered = name.ends_with("Protocol");
        let (status, _, wrong) = ping(&[&[&*url], &offer[..]].concat());
        assert_eq!(status == 0, is_offered, "{wrong}");
    }
}

/// What a server may not send, instead of the echo: each is named.
#[test]
fn a_violation_is_told_as_what_it_is() {
    for (bytes, told) in [
        (
            &b"\x81\x82\0\0\0\0hi"[..],
            "it masks its frames, which only clients may",
        ),
        (
            b"\x81\x82\xff\xff\xff\xffhi",
            "it masks its frames, which only clients may",
        ),
        (b"\xc1\x02hi", "Reserved bits are non-zero"),
        (b"\x83\x02hi", "Encountered invalid opcode: 3"),
        (b"\x8b\x00", "Encountered invalid opcode: 11"),
        (b"\x09\x00", "Fragmented control frame"),
        (b"\x8a\x7e\x00\x7e", "Control frame too big"),
        (b"\x80\x02hi", "Continue frame but nothing to continue"),
        (
            b"\x01\x02hi\x81\x02hi",
            "While waiting for more fragments received: TEXT",
        ),
        (b"\x01\x02\xe2\x82\x80\x01x", "UTF-8 encoding error"),
        (b"\x88\x01x", "Invalid close sequence"),
    ] {
        let url = serve_opened(move |socket| {
            let _ = socket.read();
            let _ = socket.get_mut().write_all(bytes);
            let _ = socket.get_mut().write_all(&[0; 126]);
            while socket.read().is_ok() {}
        });
        let wrong = complaint(&url, &["--timeout", "2s"]);
        let told = format!("echo: the server breaks the protocol: {told}");
        assert!(wrong.contains(&told), "{wrong}");
    }
}

/// A message in endless fragments does not fill the memory.
#[test]
fn what_never_ends_is_not_kept() {
    let url = serve_opened(|socket| {
        let _ = socket.read();
        let fragment = [&b"\x00\x7e\x40\x00"[..], &[b'a'; 16_384]].concat();
        let _ = socket.get_mut().write_all(b"\x01\x00");
        while socket.get_mut().write_all(&fragment).is_ok() {}
    });
    let wrong = complaint(&url, &[]);
    let told = "echo: not an echo: more came than was sent";
    assert!(wrong.contains(told), "{wrong}");
}

#[test]
fn who_does_not_answer_is_waited_for_no_longer_than_told() {
    let address = serve(|stream| {
        thread::sleep(Duration::from_secs(10));
        drop(stream);
    });
    let begun = Instant::now();
    for (scheme, told) in [
        ("ws", "upgrade: the upgrade was not answered within 300ms"),
        (
            "wss",
            "tls: the TLS handshake was not finished within 300ms",
        ),
    ] {
        let url = format!("{scheme}://{address}/");
        let wrong = complaint(&url, &["--insecure", "--timeout", "300ms"]);
        assert!(wrong.contains(told), "{wrong}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_name_that_nobody_has_is_told() {
    let wrong = complaint("ws://nobody.invalid/", &[]);
    let told = "resolve: `nobody.invalid` cannot be resolved";
    assert!(wrong.contains(told), "{wrong}");
}

#[test]
fn what_is_no_echo_is_told() {
    let url = serve_opened(|socket| {
        while socket.read().is_ok() {
            let _ = socket.send(Message::text("something else"));
        }
    });
    let wrong = complaint(&url, &["--timeout", "300ms"]);
    let told = "seq=1: not an echo: `something else`";
    assert!(wrong.contains(told), "{wrong}");
    let silent = serve_opened(|socket| while socket.read().is_ok() {});
    let wrong = complaint(&silent, &["--timeout", "300ms"]);
    assert!(wrong.contains("seq=1: no echo within 300ms"), "{wrong}");
}

/// A Close that comes instead of an echo, and an end without one.
#[test]
fn an_end_is_told_with_its_code_and_reason() {
    let url = serve_opened(|socket| {
        let _ = socket.read();
        let frame = CloseFrame {
            code: 1013.into(),
            reason: "too \u{7} busy".into(),
        };
        let _ = socket.close(Some(frame));
        while socket.read().is_ok() {}
    });
    let wrong = complaint(&url, &[]);
    let told = "echo: the server closed: 1013, too \\u{7} busy";
    assert!(wrong.contains(told), "{wrong}");
    let rude = serve_opened(|socket| drop(socket.read()));
    let wrong = complaint(&rude, &[]);
    let told = "echo: the connection ended without a Close";
    assert!(wrong.contains(told), "{wrong}");
}

/// An echo that comes after its time is still told, as what it is, and counts.
#[test]
fn a_late_echo_is_not_taken_for_another() {
    let url = serve_opened(|socket| {
        let mut first = true;
        while let Ok(message) = socket.read() {
            if std::mem::take(&mut first) {
                thread::sleep(Duration::from_millis(400));
            }
            let _ = socket.send(message);
        }
    });
    let (status, said, _) = ping(&[&url, "--json", "-c3", "-i600ms", "--timeout", "200ms"]);
    let events = events(&said);
    let told = events
        .iter()
        .map(|(name, it)| (name.as_str(), it["seq"].as_u64()));
    let right = [
        ("opened", None),
        ("lost", Some(1)),
        ("echo", Some(1)),
        ("echo", Some(2)),
        ("echo", Some(3)),
        ("closed", None),
        ("summary", None),
    ];
    assert_eq!(told.collect::<Vec<_>>(), right, "{said}");
    assert_eq!(status, 0, "{said}");
}

/// A flood of other messages neither fills the memory nor hides the echo.
#[test]
fn a_flood_of_pings_and_messages_is_borne_with() {
    let url = serve_opened(|socket| {
        while let Ok(message) = socket.read() {
            if !message.is_text() {
                continue;
            }
            for _ in 0..1000 {
                let _ = socket.send(Message::Ping(vec![7; 100].into()));
                let _ = socket.send(Message::text("noise"));
            }
            let _ = socket.send(message);
        }
    });
    let (status, said, wrong) = ping(&[&url, "-c2", "-i0"]);
    assert_eq!((status, &*wrong), (0, ""), "{said}");
}
