//! Openings against a server in memory, however the wire is cut.

use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rustls::{ServerConfig, ServerConnection};
use sha1::{Digest, Sha1};

use super::*;
use crate::dial::greeting::GreetingOptions;
use crate::link::rehearsal::Authority;
use crate::link::{TlsOptions, client_config, server_name};
use crate::payload::Random;
use crate::wire::handshake::offer::Offer;

/// A frame that comes right behind the answer.
const GREETING: &[u8] = b"\x81\x05hello";

/// The server's end: TLS or none, and a 101 with a greeting for the first request.
struct Server {
    tls: Option<ServerConnection>,
    request: Vec<u8>,
    /// Headers of the answer beyond the necessary ones.
    headers: &'static str,
    answered: bool,
}

impl Server {
    fn new(tls: Option<ServerConfig>, headers: &'static str) -> Server {
        Server {
            tls: tls.map(|config| ServerConnection::new(Arc::new(config)).unwrap()),
            request: Vec::new(),
            headers,
            answered: false,
        }
    }

    fn receive(&mut self, mut wire: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match &mut self.tls {
            None => self.request.extend_from_slice(wire),
            Some(tls) => {
                while !wire.is_empty() {
                    tls.read_tls(&mut wire).unwrap();
                    if tls.process_new_packets().is_err() {
                        break;
                    }
                    let _ = tls.reader().read_to_end(&mut self.request);
                }
            }
        }
        if self.request.ends_with(b"\r\n\r\n") && !self.answered {
            self.answered = true;
            let answer = answer(&self.request, self.headers);
            match &mut self.tls {
                None => out.extend_from_slice(&answer),
                Some(tls) => tls.writer().write_all(&answer).unwrap(),
            }
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut out).unwrap();
            }
        }
        out
    }
}

fn answer(request: &[u8], headers: &str) -> Vec<u8> {
    let request = String::from_utf8(request.to_vec()).unwrap();
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = STANDARD.encode(digest);
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(GREETING);
    answer
}

/// Whoever the server is.
fn anyone() -> TlsOptions {
    TlsOptions {
        tls_insecure: true,
        ..TlsOptions::default()
    }
}

/// Both ends of an opening to be, over TLS or not.
fn ends(is_tls: bool, offer: Offer, headers: &'static str) -> (Opening, Server) {
    let (link, server) = if is_tls {
        let config = client_config(&anyone(), &["http/1.1"]).unwrap();
        let link = Link::tls(config, server_name("h.example").unwrap()).unwrap();
        (
            link,
            Some(Authority::new("authority").issue(&["h.example"]).server()),
        )
    } else {
        (Link::default(), None)
    };
    let upgrade = Handshake::begin("h.example", "/", &Arc::new(offer), [7; 16]);
    (
        Opening::new(link, Some(upgrade)),
        Server::new(server, headers),
    )
}

/// Lets them talk, the client getting pieces of `cut` bytes. What comes behind the end of the
/// opening is received through the link, as a caller would.
fn talk(opening: &mut Opening, server: &mut Server, cut: usize) -> Result<Opened, Failure> {
    let mut wire = Vec::new();
    assert!(opening.begin(&mut wire)?.is_none());
    let mut opened: Option<Opened> = None;
    loop {
        let from_server = server.receive(&mem::take(&mut wire));
        if from_server.is_empty() {
            return opened.ok_or_else(|| opening.unfinished(None));
        }
        for piece in from_server.chunks(cut) {
            match &mut opened {
                Some(opened) => opened.link.receive(piece, &mut opened.early)?,
                None => opened = opening.receive(piece, &mut wire)?,
            }
        }
    }
}

#[test]
fn the_way_is_gone_to_its_end_however_the_wire_is_cut() {
    for is_tls in [false, true] {
        for cut in [1, 2, 3, 17, 100, 1000, usize::MAX] {
            let offer = Offer {
                subprotocols: vec!["chat".to_owned()],
                deflate: true,
                ..Offer::default()
            };
            let headers = "Sec-WebSocket-Protocol: chat\r\n\
                Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n";
            let (mut opening, mut server) = ends(is_tls, offer, headers);
            let opened = talk(&mut opening, &mut server, cut).unwrap();
            assert_eq!(opened.early, GREETING, "cut {cut}");
            assert_eq!(opened.accepted.subprotocol.as_deref(), Some("chat"));
            let deflate = opened.accepted.deflate.unwrap();
            assert_eq!(deflate.client.max_window_bits, 12);
            match (is_tls, &opened.link.describe()) {
                (false, None) => {}
                (true, Some(tls)) => assert!(tls.starts_with("TLSv1.3 "), "{tls}"),
                (_, tls) => panic!("{tls:?}"),
            }
        }
    }
}

#[test]
fn a_greeting_is_a_part_of_the_way() {
    for is_tls in [false, true] {
        for cut in [1, 2, 3, 100, usize::MAX] {
            for messages in [1, 2] {
                let options = GreetingOptions {
                    greeting: messages,
                    first_message: Some("40".to_owned()),
                    answer: None,
                };
                let offer = Offer {
                    subprotocols: vec!["chat".to_owned()],
                    ..Offer::default()
                };
                let headers = "Sec-WebSocket-Protocol: chat\r\n";
                let (mut opening, mut server) = ends(is_tls, offer, headers);
                opening.greeting = Greeting::of(&options, &mut Random::new(1, 0));
                let opened = talk(&mut opening, &mut server, cut);
                let said = &server.request[server.request.len() - 8..];
                assert_eq!(said[..2], [0x81, 0x82], "a masked text of two bytes");
                match opened {
                    Ok(opened) => {
                        assert!(messages == 1 && opened.early.is_empty());
                        let agreed = opened.accepted.subprotocol;
                        assert_eq!(agreed.as_deref(), Some("chat"), "cut {cut}");
                    }
                    Err(failure) => {
                        let told = failure.to_string();
                        assert!(messages == 2 && told.contains("1 of 2 messages"), "{told}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_request_waits_for_tls() {
    let (mut opening, mut server) = ends(true, Offer::default(), "");
    let mut hello = Vec::new();
    assert!(opening.begin(&mut hello).unwrap().is_none());
    // A handshake record (RFC 8446 section 5.1), and not a word of HTTP.
    assert_eq!(hello[0], 22);
    assert!(!hello.windows(4).any(|window| window == b"GET "));
    assert!(!server.receive(&hello).is_empty());
    assert!(server.request.is_empty());
}

#[test]
fn where_nothing_is_to_be_done_it_is_open_at_once() {
    let mut wire = Vec::new();
    let mut opening = Opening::new(Link::default(), None);
    let opened = opening.begin(&mut wire).unwrap().unwrap();
    assert!(wire.is_empty() && opened.early.is_empty());
    assert_eq!(opened.accepted, Accepted::default());
    assert_eq!(opened.link.describe(), None);
}

#[test]
fn raw_bytes_may_come_right_behind_tls() {
    let (_, mut server) = ends(true, Offer::default(), "");
    let config = client_config(&anyone(), &[]).unwrap();
    let link = Link::tls(config, server_name("h.example").unwrap()).unwrap();
    let mut opening = Opening::new(link, None);
    let opened = talk(&mut opening, &mut server, 50).unwrap();
    assert!(opened.early.is_empty() && opened.link.describe().is_some());
}

#[test]
fn a_refused_upgrade_is_told_through_tls_too() {
    for is_tls in [false, true] {
        let (mut opening, mut server) =
            ends(is_tls, Offer::default(), "Sec-WebSocket-Protocol: x\r\n");
        let failure = talk(&mut opening, &mut server, 9).err().unwrap();
        assert!(failure.to_string().contains("not offered"), "{failure}");
    }
}

#[test]
fn every_early_end_has_its_sentence() {
    for is_tls in [false, true] {
        for close_notify in [false, true] {
            let (mut opening, mut server) = ends(is_tls, Offer::default(), "");
            server.answered = true;
            if close_notify && let Some(tls) = &mut server.tls {
                tls.send_close_notify();
            }
            let failure = talk(&mut opening, &mut server, 100).err().unwrap();
            assert!(
                failure.to_string().contains("without answering")
                    || failure.to_string().contains("middle of the TLS handshake"),
                "{failure}"
            );
            let late = opening.unfinished(Some(5)).to_string();
            assert!(late.contains("within 5 seconds"), "{late}");
        }
    }
    let (mut opening, _) = ends(true, Offer::default(), "");
    let failure = opening.unfinished(None).to_string();
    assert!(failure.contains("middle of the TLS handshake"), "{failure}");
    assert!(
        opening
            .unfinished(Some(5))
            .to_string()
            .contains("TLS handshake")
    );
}

#[test]
fn a_failure_leaves_the_alert_to_be_sent() {
    let authority = Authority::new("authority");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(authority.pem.as_bytes()).unwrap();
    let trust = TlsOptions {
        tls_ca: Some(file.path().to_owned()),
        ..TlsOptions::default()
    };
    let config = client_config(&trust, &[]).unwrap();
    let link = Link::tls(config, server_name("h.example").unwrap()).unwrap();
    let mut opening = Opening::new(link, None);
    let mut server = Server::new(Some(authority.issue(&["other.example"]).server()), "");
    let mut wire = Vec::new();
    opening.begin(&mut wire).unwrap();
    let flight = server.receive(&wire);
    wire.clear();
    assert!(opening.receive(&flight, &mut wire).is_err());
    assert!(!wire.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A byte changed on the way ends in a sentence, or where nothing hangs on it in what was
    /// sent; never in anything else.
    #[test]
    fn a_changed_byte_changes_no_plaintext(place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut opening, mut server) = ends(true, Offer::default(), "");
        let mut wire = Vec::new();
        opening.begin(&mut wire).unwrap();
        let mut flight = server.receive(&wire);
        let place = place.index(flight.len());
        flight[place] ^= 1u8 << bit;
        wire.clear();
        let outcome = opening.receive(&flight, &mut wire);
        let outcome = outcome.and_then(|_| {
            let answer = server.receive(&wire);
            opening.receive(&answer, &mut Vec::new())
        });
        match outcome {
            Ok(Some(opened)) => prop_assert_eq!(opened.early, GREETING),
            Ok(None) => prop_assert!(!opening.unfinished(None).to_string().is_empty()),
            Err(failure) => prop_assert!(!failure.to_string().is_empty()),
        }
    }

    #[test]
    fn no_bytes_open_what_they_should_not(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        record in any::<bool>(),
        is_tls in any::<bool>(),
    ) {
        let (mut opening, _) = ends(is_tls, Offer::default(), "");
        opening.begin(&mut Vec::new()).unwrap();
        // Half of them get a record's header, to come further.
        let header = [22, 3, 3, 0, bytes.len() as u8];
        let wire = [if record { &header[..] } else { &[] }, &bytes].concat();
        prop_assert!(!matches!(opening.receive(&wire, &mut Vec::new()), Ok(Some(_))));
        prop_assert!(!opening.unfinished(None).to_string().is_empty());
    }
}
