//! A link against rustls' own client, in memory, however the bytes between them are cut.

use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};

use super::rehearsal::{Client, accept};
use super::*;

/// A link, a client, and what is on its way to the client.
struct Pipe {
    link: Box<Link>,
    client: Client,
    opened: Opened,
    /// Plaintext that has come at the link.
    received: Vec<u8>,
    /// Bytes for the client.
    wire: Vec<u8>,
    is_finished: bool,
}

impl Pipe {
    fn new(acceptor: &Arc<Acceptor>, config: &Arc<ClientConfig>, name: &str) -> Self {
        Pipe {
            link: Link::accept(Some(acceptor), false).unwrap(),
            client: Client::new(config, name),
            opened: Opened::default(),
            received: Vec::new(),
            wire: Vec::new(),
            is_finished: false,
        }
    }

    /// Bytes come at the link, in pieces of these lengths, over and over.
    fn feed(&mut self, wire: &[u8], pieces: &[usize]) -> Result<(), Fault> {
        let mut rest = wire;
        let mut lengths = pieces.iter().cycle();
        while !rest.is_empty() {
            let len = rest.len().min(*lengths.next().unwrap());
            let mut lent = rest[..len].to_vec();
            rest = &rest[len..];
            let outcome = self.link.receive(&mut lent, &mut self.opened);
            self.received.append(&mut self.opened.plain);
            self.wire.append(&mut self.opened.out);
            self.is_finished |= self.opened.is_finished;
            self.opened.clear();
            assert!(self.link.unfinished_bytes() <= 2 * UNFINISHED_BYTES_MAX);
            outcome?;
        }
        Ok(())
    }

    /// The client reads all that is on its way to it.
    fn read(&mut self) -> Result<Vec<u8>, rustls::Error> {
        let wire = std::mem::take(&mut self.wire);
        self.client.opens(&wire)
    }

    /// Everything goes both ways until nobody has anything to say.
    fn settle(&mut self, pieces: &[usize]) -> Result<Vec<u8>, Fault> {
        let mut read = Vec::new();
        loop {
            let wire = self.client.says();
            if wire.is_empty() && self.wire.is_empty() {
                return Ok(read);
            }
            self.feed(&wire, pieces)?;
            if let Ok(plain) = self.read() {
                read.extend(plain);
            }
        }
    }

    fn open(acceptor: &Arc<Acceptor>, config: &Arc<ClientConfig>, name: &str) -> Self {
        let mut pipe = Pipe::new(acceptor, config, name);
        pipe.settle(&[usize::MAX]).unwrap();
        assert!(pipe.link.is_open() && !pipe.client.0.is_handshaking());
        pipe
    }

    fn say(&mut self, plain: &[u8]) {
        assert!(self.link.seal_to(plain, &mut self.wire));
    }
}

fn versions(
    config: &ClientConfig,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider = config.crypto_provider().clone();
    let roots = RootCertStore::empty();
    let mut new = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    new.dangerous().set_certificate_verifier(Arc::new(Anyone));
    new
}

/// Trusts anyone.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        acceptor::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn bytes_pass_both_ways_in_both_versions_and_nothing_is_kept_afterwards() {
    let (acceptor, config) = accept(&["localhost"]);
    for (version, name) in [
        (&rustls::version::TLS12, "TLSv1.2"),
        (&rustls::version::TLS13, "TLSv1.3"),
    ] {
        let config = Arc::new(versions(&config, &[version]));
        let mut pipe = Pipe::open(&acceptor, &config, "localhost");
        let facts = pipe.link.facts().unwrap();
        assert_eq!(
            (facts.version, facts.server_name.as_deref()),
            (name, Some("localhost"))
        );
        assert!(facts.cipher.starts_with("TLS_"), "{}", facts.cipher);
        let message: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        pipe.client
            .0
            .writer()
            .write_all(&message[..60_000])
            .unwrap();
        pipe.settle(&[usize::MAX]).unwrap();
        assert_eq!(pipe.received, message[..60_000]);
        pipe.say(&message);
        assert_eq!(pipe.read().unwrap(), message);
        assert_eq!(pipe.link.unfinished_bytes(), 0);
    }
}

#[test]
fn a_name_chooses_its_certificate_and_no_name_the_first() {
    let (acceptor, config) = accept(&["one.test", "two.test"]);
    for (asked, expected) in [("one.test", 0), ("two.test", 1), ("127.0.0.1", 0)] {
        let any = Arc::new(versions(&config, &[&rustls::version::TLS13]));
        let pipe = Pipe::open(&acceptor, &any, asked);
        let shown = &pipe.client.0.peer_certificates().unwrap()[0];
        let has_name = |name: &[u8]| shown.windows(name.len()).any(|window| window == name);
        assert_eq!(has_name(b"one.test"), expected == 0, "{asked}");
        assert_eq!(has_name(b"two.test"), expected == 1, "{asked}");
    }
}

#[test]
fn who_comes_again_resumes_also_after_certificates_were_replaced() {
    let (acceptor, config) = accept(&["localhost"]);
    let first = Pipe::open(&acceptor, &config, "localhost");
    assert!(!first.link.is_resumed());
    let offer = Offer {
        pairs: vec![self_signed(&["localhost".to_owned()]).unwrap()],
        client_roots: None,
        speaks_http: true,
    };
    acceptor.replace(offer).unwrap();
    let second = Pipe::open(&acceptor, &config, "localhost");
    assert!(second.link.is_resumed());
    assert_eq!(
        second.client.0.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
    // Whom the old ones let in, the new ones may not.
    let ca = rcgen_ca();
    let offer = Offer {
        pairs: vec![self_signed(&["localhost".to_owned()]).unwrap()],
        client_roots: Some(ClientRoots::read(ca.as_bytes()).unwrap()),
        speaks_http: true,
    };
    acceptor.replace(offer).unwrap();
    let mut third = Pipe::new(&acceptor, &config, "localhost");
    let outcome = third.settle(&[usize::MAX]);
    assert!(!third.link.is_open(), "{outcome:?}");
}

fn rcgen_ca() -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

#[test]
fn a_certificate_is_made_for_names_and_addresses_alone() {
    for name in [
        "localhost",
        "a.example.org",
        "*.example.org",
        "127.0.0.1",
        "::1",
    ] {
        let made = self_signed(&["first.test".to_owned(), name.to_owned()]);
        assert!(made.is_ok(), "{name}: {made:?}");
    }
    for name in [
        "",
        "not a name",
        "*",
        "*.",
        "*.127.0.0.1",
        "a.*.org",
        "host:443",
        "https://host",
        "[::1]",
        "host.",
        "b\u{fc}cher.example",
        "-",
    ] {
        let made = self_signed(&["first.test".to_owned(), name.to_owned()]);
        assert_eq!(made.err(), Some(Unfit::BadName(name.to_owned())), "{name}");
    }
}

#[test]
fn what_is_not_spoken_is_refused_by_an_alert() {
    let (acceptor, config) = accept(&["localhost"]);
    let mut other = ClientConfig::clone(&config);
    other.alpn_protocols = vec![b"h2".to_vec()];
    let mut pipe = Pipe::new(&acceptor, &Arc::new(other), "localhost");
    let wire = pipe.client.says();
    let fault = pipe.feed(&wire, &[1]).unwrap_err();
    assert!(fault.text().contains("ALPN"), "{fault:?}");
    let error = pipe.read().unwrap_err();
    assert_eq!(
        error,
        rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)
    );
    let mut spoken = ClientConfig::clone(&config);
    spoken.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let pipe = Pipe::open(&acceptor, &Arc::new(spoken), "localhost");
    assert_eq!(pipe.client.0.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn plain_http_is_told_in_its_words_and_noise_by_an_alert() {
    let (acceptor, config) = accept(&["localhost"]);
    let mut pipe = Pipe::new(&acceptor, &config, "localhost");
    assert_eq!(pipe.feed(b"G", &[1]), Err(Fault::PlainHttp));
    assert!(pipe.wire.starts_with(b"HTTP/1.1 400 "));
    for noise in [
        &b"\x80\x2e\x01\0\x02"[..],
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x01\0\x02\x02\x28",
    ] {
        let mut pipe = Pipe::new(&acceptor, &config, "localhost");
        assert!(pipe.feed(noise, &[1]).is_err(), "{noise:?}");
        assert!(!pipe.link.is_open());
        pipe.feed(b"more", &[1]).unwrap();
    }
}

#[test]
fn an_end_is_told_both_ways_and_before_a_handshake_is_over() {
    let (acceptor, config) = accept(&["localhost"]);
    let mut pipe = Pipe::open(&acceptor, &config, "localhost");
    pipe.client.0.writer().write_all(b"the last").unwrap();
    pipe.client.0.send_close_notify();
    let mut wire = pipe.client.says();
    wire.extend_from_slice(b"what is behind it is ignored");
    pipe.feed(&wire, &[7]).unwrap();
    assert!(pipe.is_finished && pipe.received == b"the last");
    pipe.say(b"answer");
    let mut out = std::mem::take(&mut pipe.wire);
    pipe.link.finish(&mut out);
    pipe.wire = out;
    assert_eq!(pipe.read().unwrap(), b"answer");
    assert!(pipe.client.is_told_the_end());
    assert!(pipe.link.seal(b"no more", &mut [0; 1000]).is_none());
    // After nothing, after a part of a hello, and after a hello.
    for part in [0, 1, 2] {
        let mut pipe = Pipe::new(&acceptor, &config, "localhost");
        let hello = pipe.client.says();
        pipe.feed(&hello[..hello.len() * part / 2], &[usize::MAX])
            .unwrap();
        assert!(!pipe.link.is_open());
        let mut out = std::mem::take(&mut pipe.wire);
        pipe.link.finish(&mut out);
        pipe.wire = out;
        assert_eq!(pipe.link.unfinished_bytes(), 0);
        let canceled = rustls::AlertDescription::UserCanceled;
        match pipe.read() {
            Err(rustls::Error::AlertReceived(alert)) if part < 2 => assert_eq!(alert, canceled),
            // Sealed: it is a close_notify, which means nothing to a client that is not done.
            outcome => assert!(part == 2, "after {part} halves of a hello: {outcome:?}"),
        }
    }
}

#[test]
fn keys_are_updated_when_the_client_says_so() {
    let (acceptor, config) = accept(&["localhost"]);
    let mut pipe = Pipe::open(&acceptor, &config, "localhost");
    for round in 0..3_u8 {
        pipe.client.0.refresh_traffic_keys().unwrap();
        pipe.client.0.writer().write_all(&[round; 100]).unwrap();
        let wire = pipe.client.says();
        pipe.feed(&wire, &[3]).unwrap();
        pipe.say(&[round; 50]);
        assert_eq!(pipe.read().unwrap(), [round; 50]);
    }
    assert_eq!(pipe.received.len(), 300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cuts_change_nothing(
        is_old: bool,
        pieces in prop::collection::vec(1_usize..40_000, 1..6),
        small in prop::collection::vec(1_usize..6, 1..4),
        lengths in prop::collection::vec(0_usize..40_000, 1..5),
    ) {
        let (acceptor, config) = accept(&["localhost"]);
        let version = if is_old { &rustls::version::TLS12 } else { &rustls::version::TLS13 };
        let config = Arc::new(versions(&config, &[version]));
        let mut pipe = Pipe::new(&acceptor, &config, "localhost");
        // A handshake in crumbs.
        pipe.settle(&small).unwrap();
        prop_assert!(pipe.link.is_open());
        pipe.client.0.set_buffer_limit(None);
        let mut sent = Vec::new();
        for (round, len) in lengths.into_iter().enumerate() {
            let message = vec![round as u8; len];
            pipe.client.0.writer().write_all(&message).unwrap();
            sent.extend(message);
        }
        let wire = pipe.client.says();
        pipe.feed(&wire, &pieces).unwrap();
        prop_assert!(pipe.received == sent);
        prop_assert_eq!(pipe.link.unfinished_bytes(), 0);
        prop_assert!(pipe.link.received() > sent.len() as u64);
    }

    #[test]
    fn noise_breaks_a_connection_and_nothing_else(
        place: prop::sample::Index,
        bit in 0_u32..8,
        pieces in prop::collection::vec(1_usize..200, 1..4),
        is_handshake: bool,
    ) {
        let (acceptor, config) = accept(&["localhost"]);
        let mut pipe = Pipe::new(&acceptor, &config, "localhost");
        if !is_handshake {
            pipe = Pipe::open(&acceptor, &config, "localhost");
            pipe.client.0.writer().write_all(&[7; 100]).unwrap();
        }
        let mut wire = pipe.client.says();
        let place = place.index(wire.len());
        wire[place] ^= 1_u8 << bit;
        let outcome = pipe.feed(&wire, &pieces);
        if !is_handshake && outcome.is_ok() {
            // A length that has grown waits for what never comes; the outer type of a record is not protected.
            prop_assert!(pipe.received.is_empty() || pipe.received == [7; 100]);
        }
        let _ = pipe.read();
        let _ = pipe.feed(&[23, 3, 3, 0, 1, 9], &pieces);
    }
}

#[test]
fn a_preface_comes_before_tls_or_before_nothing() {
    let (acceptor, config) = accept(&["localhost"]);
    for pieces in [&[usize::MAX][..], &[1], &[50, 3]] {
        let mut pipe = Pipe::new(&acceptor, &config, "localhost");
        pipe.link = Link::accept(Some(&acceptor), true).unwrap();
        let wire = [&b"PROXY UNKNOWN\r\n"[..], &pipe.client.says()].concat();
        pipe.feed(&wire, pieces).unwrap();
        pipe.settle(pieces).unwrap();
        assert!(pipe.link.is_open() && !pipe.link.is_spent());
    }
    assert!(Link::accept(None, false).is_none());
    let mut link = Link::accept(None, true).unwrap();
    let mut opened = Opened::default();
    let mut wire = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET /".to_vec();
    link.receive(&mut wire, &mut opened).unwrap();
    assert_eq!(opened.plain, b"GET /");
    let source = opened.introduced.and_then(|it| it.source);
    assert_eq!(source, Some("192.0.2.7:4711".parse().unwrap()));
    assert!(link.is_spent() && !link.is_open());
}
