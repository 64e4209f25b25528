//! A link against the server half of rustls, in memory: every cut of the wire, hostile bytes, and
//! certificates of every kind.

use std::io::{Read, Write};
use std::path::Path;

use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

use super::rehearsal::{Authority, Identity, self_signed};
use super::*;

const HOST: &str = "echo.example";

/// A file with `text` that lasts as long as the value.
fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

/// Trusts the certificates of this file.
fn only(path: &Path) -> TlsOptions {
    TlsOptions {
        tls_ca: Some(path.to_owned()),
        ..TlsOptions::default()
    }
}

fn anyone() -> TlsOptions {
    TlsOptions {
        tls_insecure: true,
        ..TlsOptions::default()
    }
}

fn trusting(pem: &str) -> Arc<ClientConfig> {
    let file = file(pem.as_bytes());
    client_config(&only(file.path()), &["http/1.1"]).unwrap()
}

fn client(config: &Arc<ClientConfig>, host: &str) -> Link {
    Link::tls(Arc::clone(config), server_name(host).unwrap()).unwrap()
}

/// The server's end.
struct Server(ServerConnection);

impl Server {
    fn new(config: ServerConfig) -> Server {
        Server(ServerConnection::new(Arc::new(config)).unwrap())
    }

    /// Takes `wire` and returns the plaintext in it.
    fn receive(&mut self, mut wire: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut plain = Vec::new();
        while !wire.is_empty() {
            self.0.read_tls(&mut wire).unwrap();
            self.0.process_new_packets()?;
            // `WouldBlock` ends it.
            let _ = self.0.reader().read_to_end(&mut plain);
        }
        Ok(plain)
    }

    fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut wire).unwrap();
        }
        wire
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for piece in plain.chunks(16 * 1024) {
            self.0.writer().write_all(piece).unwrap();
            wire.append(&mut self.wire());
        }
        wire
    }
}

/// Passes bytes to and fro until both have nothing to say, the client getting them in pieces of
/// `cut` bytes. Returns what the client decrypted.
fn converse(link: &mut Link, server: &mut Server, cut: usize) -> Result<Vec<u8>, Failure> {
    let mut plain = Vec::new();
    let mut wire = Vec::new();
    loop {
        link.wire_out(&mut wire);
        // The client's refusal is the client's to report.
        let _ = server.receive(&wire);
        wire.clear();
        let from_server = server.wire();
        if from_server.is_empty() {
            return Ok(plain);
        }
        for piece in from_server.chunks(cut) {
            link.receive(piece, &mut plain)?;
        }
    }
}

/// A link and a server with the handshake done.
fn connected(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Link, Server) {
    let authority = Authority::new("authority");
    let mut link = client(&trusting(&authority.pem), HOST);
    let mut server = Server::new(authority.issue(&[HOST]).server_of(versions));
    converse(&mut link, &mut server, usize::MAX).unwrap();
    assert!(!link.is_handshaking());
    (link, server)
}

/// What a client of `config` says to a server with `identity`.
fn refusal(config: &Arc<ClientConfig>, host: &str, identity: &Identity) -> String {
    let mut link = client(config, host);
    let mut server = Server::new(identity.server());
    let failure = converse(&mut link, &mut server, 100).unwrap_err();
    assert!(matches!(failure, Failure::Refused(_)));
    let mut alert = Vec::new();
    link.wire_out(&mut alert);
    assert!(!alert.is_empty(), "the server is told too");
    failure.to_string()
}

#[test]
fn a_plain_link_changes_nothing() {
    let mut link = Link::default();
    let (mut plain, mut wire) = (b"a".to_vec(), b"b".to_vec());
    link.receive(b"in", &mut plain).unwrap();
    link.send(b"out", &mut wire).unwrap();
    link.wire_out(&mut wire);
    link.close(&mut wire);
    assert_eq!((&plain[..], &wire[..]), (&b"ain"[..], &b"bout"[..]));
    assert!(!link.is_handshaking() && !link.is_ended() && link.end_of_stream().is_ok());
    assert_eq!(link.describe(), None);
    assert!(size_of::<Link>() <= 2 * size_of::<usize>());
}

#[test]
fn bytes_pass_both_ways_however_the_wire_is_cut() {
    for versions in [&[&TLS13][..], &[&TLS12][..]] {
        for cut in [1, 2, 3, 5, 7, 100, 4095, 4096, 4097, 20_000, usize::MAX] {
            let authority = Authority::new("authority");
            let mut link = client(&trusting(&authority.pem), HOST);
            let mut server = Server::new(authority.issue(&[HOST]).server_of(versions));
            converse(&mut link, &mut server, cut).unwrap();

            let message: Vec<u8> = (0..100_000u32).map(|number| (number * 31) as u8).collect();
            let mut wire = Vec::new();
            link.send(&message, &mut wire).unwrap();
            assert!(server.receive(&wire).unwrap() == message);

            let sealed = server.seal(&message);
            let mut plain = b"kept".to_vec();
            for piece in sealed.chunks(cut) {
                link.receive(piece, &mut plain).unwrap();
            }
            assert!(plain[..4] == *b"kept" && plain[4..] == message, "cut {cut}");
        }
    }
}

#[test]
fn the_description_names_version_and_cipher_suite() {
    for (version, name) in [(&TLS13, "TLSv1.3 TLS13_"), (&TLS12, "TLSv1.2 TLS_ECDHE_")] {
        let (link, server) = connected(&[version]);
        let description = link.describe().unwrap();
        assert!(description.starts_with(name), "{description}");
        assert_eq!(server.0.server_name(), Some(HOST), "SNI");
        assert_eq!(server.0.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let config = trusting(&Authority::new("authority").pem);
    assert_eq!(client(&config, HOST).describe(), None);
}

#[test]
fn an_end_with_close_notify_is_told_from_one_without() {
    for version in [&TLS13, &TLS12] {
        let (mut link, mut server) = connected(&[version]);
        let failure = link.end_of_stream().unwrap_err();
        assert!(failure.to_string().contains("close_notify"), "{failure}");

        let mut wire = server.seal(b"last words");
        server.0.send_close_notify();
        wire.append(&mut server.wire());
        wire.extend_from_slice(b"whatever comes behind it");
        for cut in [1, usize::MAX] {
            if link.is_ended() {
                break;
            }
            let mut plain = Vec::new();
            for piece in wire.chunks(cut) {
                link.receive(piece, &mut plain).unwrap();
            }
            assert_eq!(plain, b"last words");
        }
        assert!(link.is_ended());
        link.end_of_stream().unwrap();

        let mut farewell = Vec::new();
        link.close(&mut farewell);
        server.receive(&farewell).unwrap();
        let state = server.0.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
    }
}

#[test]
fn a_stream_that_ends_inside_the_handshake_is_a_refusal() {
    let config = trusting(&Authority::new("authority").pem);
    let failure = client(&config, HOST).end_of_stream().unwrap_err();
    assert!(matches!(failure, Failure::Refused(_)), "{failure}");
}

/// The server may ask for new keys at any time; ours must be new before the next message (RFC 8446
/// section 4.6.3).
#[test]
fn key_updates_are_answered() {
    let (mut link, mut server) = connected(&[&TLS13]);
    server.0.refresh_traffic_keys().unwrap();
    let wire = server.seal(b"under new keys");
    let mut plain = Vec::new();
    link.receive(&wire, &mut plain).unwrap();
    assert_eq!(plain, b"under new keys");
    let mut wire = Vec::new();
    link.wire_out(&mut wire);
    link.send(b"and so are ours", &mut wire).unwrap();
    assert_eq!(server.receive(&wire).unwrap(), b"and so are ours");
}

#[test]
fn memory_does_not_grow_with_what_passes() {
    let (mut link, mut server) = connected(&[&TLS13]);
    let message = vec![7; 1 << 20];
    let mut wire = Vec::new();
    for _ in 0..8 {
        wire.clear();
        link.send(&message, &mut wire).unwrap();
        // Records of 16 KiB have 22 bytes of header, type and tag.
        assert!(wire.len() < message.len() + 65 * 30);
        assert!(server.receive(&wire).unwrap() == message);
    }
    assert!(wire.capacity() < 3 * message.len());
}

#[test]
fn a_changed_byte_is_noticed() {
    for place in [0usize, 3, 5, 20] {
        let (mut link, mut server) = connected(&[&TLS13]);
        let mut wire = server.seal(b"a message to be changed on its way");
        wire[place] ^= 0x40;
        let mut plain = Vec::new();
        let received = link.receive(&wire, &mut plain);
        // A length made longer only asks for more; the end of the stream tells.
        let failure = received.and_then(|()| link.end_of_stream()).unwrap_err();
        assert!(
            matches!(failure, Failure::Protocol(_)),
            "{place}: {failure}"
        );
        assert!(plain.is_empty());
    }
}

#[test]
fn a_server_without_tls_is_told() {
    let config = trusting(&Authority::new("authority").pem);
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0",
        &[0xff; 99],
    ] {
        let failure = client(&config, HOST)
            .receive(answer, &mut Vec::new())
            .unwrap_err();
        assert!(failure.to_string().contains("use ws://"), "{failure}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_with_what_would_help() {
    let authority = Authority::new("authority");
    let trusting_it = trusting(&authority.pem);
    let identity = authority.issue(&[HOST]);
    let stranger = refusal(&trusting(&Authority::new("another").pem), HOST, &identity);
    assert!(
        stranger.contains("issuer is unknown") && stranger.contains("--tls-ca"),
        "{stranger}"
    );

    let namesake = refusal(&trusting(&Authority::new("authority").pem), HOST, &identity);
    assert!(
        namesake.contains("another key") && namesake.contains("--tls-ca"),
        "{namesake}"
    );

    let other = refusal(&trusting_it, HOST, &authority.issue(&["other.example"]));
    assert!(
        other.contains(HOST) && other.contains("other.example"),
        "{other}"
    );

    let expired = refusal(&trusting_it, HOST, &authority.issue_expired(&[HOST]));
    assert!(expired.contains("has expired"), "{expired}");

    let (identity, pem) = self_signed(HOST);
    let own = refusal(&trusting(&pem), HOST, &identity);
    assert!(
        own.contains("authority's own") && own.contains("--tls-insecure"),
        "{own}"
    );

    for text in [stranger, namesake, other, expired, own] {
        assert!(
            !text.contains('\n') && text.contains("not trusted"),
            "{text}"
        );
    }
}

#[test]
fn addresses_are_verified_as_names_are() {
    let authority = Authority::new("authority");
    let config = trusting(&authority.pem);
    let identity = authority.issue(&["127.0.0.1", "::1"]);
    for host in ["127.0.0.1", "::1"] {
        let mut link = client(&config, host);
        let mut server = Server::new(identity.server());
        converse(&mut link, &mut server, usize::MAX).unwrap();
        assert!(!link.is_handshaking());
    }
    let failure = refusal(&config, "127.0.0.2", &identity);
    assert!(failure.contains("127.0.0.2"), "{failure}");
    for host in ["fe80::1%eth0", "a..b", "under score", ""] {
        assert!(server_name(host).is_err(), "{host}");
    }
}

#[test]
fn anyone_is_trusted_only_when_asked_for() {
    let config = client_config(&anyone(), &[]).unwrap();
    let authority = Authority::new("authority");
    for identity in [
        authority.issue(&["other.example"]),
        authority.issue_expired(&[HOST]),
        self_signed(HOST).0,
    ] {
        for versions in [&[&TLS13][..], &[&TLS12][..]] {
            let mut link = client(&config, HOST);
            let mut server = Server::new(identity.server_of(versions));
            converse(&mut link, &mut server, usize::MAX).unwrap();
            assert!(!link.is_handshaking());
        }
    }
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new("authority");
    let config = trusting(&authority.pem);
    let server_config = authority.issue(&[HOST]).server();
    let kinds: Vec<_> = (0..2)
        .map(|_| {
            let mut link = client(&config, HOST);
            let mut server = Server::new(server_config.clone());
            converse(&mut link, &mut server, usize::MAX).unwrap();
            server.0.handshake_kind().unwrap()
        })
        .collect();
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[test]
fn a_file_of_certificates_is_right_or_the_sentence_says_what_is_wrong() {
    let wrong = |path: &Path| {
        let error = client_config(&only(path), &[]).unwrap_err();
        assert!(error.0.starts_with("--tls-ca "), "{error}");
        error.0
    };
    assert!(wrong("/nonexistent/ca.pem".as_ref()).contains("cannot be read"));
    assert!(wrong("/".as_ref()).contains("cannot be read"));
    assert!(wrong("/dev/zero".as_ref()).contains("longer than"));
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (text, phrase) in [
        (&b""[..], "no certificate"),
        (b"hello\n", "no certificate"),
        (key.as_bytes(), "no certificate"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate 1 cannot be used",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
            "not PEM",
        ),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "not PEM"),
    ] {
        let error = wrong(file(text).path());
        assert!(error.contains(phrase), "{error}");
    }
    // Several certificates, and what lies between them, are fine.
    let (first, second) = (Authority::new("authority"), Authority::new("authority"));
    let config = trusting(&format!("# one\n{}\n# two\n{}", first.pem, second.pem));
    for authority in [first, second] {
        let mut link = client(&config, HOST);
        let mut server = Server::new(authority.issue(&[HOST]).server());
        converse(&mut link, &mut server, usize::MAX).unwrap();
    }
}

#[test]
fn trust_is_what_was_asked_for() {
    let mut options = only(Path::new("/nonexistent/ca.pem"));
    assert!(client_config(&options, &[]).is_err());
    options.tls_insecure = true;
    assert!(client_config(&options, &[]).is_ok(), "no file is read");
    if let Err(error) = client_config(&TlsOptions::default(), &[]) {
        assert!(error.0.contains("the system has none"), "{error}");
    }
}
