//! Who may speak TLS, and how.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{AlertDescription, HandshakeKind};

use crate::authority::Authority;
use crate::client::{Client, config, plain, serve, serve_localhost};
use crate::server::until;
use crate::support::request;

pub(crate) fn alert_of(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

pub(crate) fn a_name_gets_its_certificate(engine: &'static str) {
    let authority = Authority::new();
    let server = serve(engine, &authority.options(&["one.test", "two.test"]));
    let config = Arc::new(config(&authority, rustls::ALL_VERSIONS, None));
    // Who asks for another name gets the first, which has none of that: the client refuses it.
    for (name, is_trusted) in [
        ("one.test", true),
        ("two.test", true),
        ("127.0.0.1", true),
        ("three.test", false),
    ] {
        let connected = Client::try_connect(&server, name, &config);
        assert_eq!(connected.is_ok(), is_trusted, "{name}");
    }
    until("who does not trust it is told of", || {
        let log = server.log();
        log.iter().any(|line| line.contains("TLS: ")).then_some(())
    });
}

pub(crate) fn what_is_not_spoken_is_refused(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut offering = config(&authority, rustls::ALL_VERSIONS, None);
    offering.alpn_protocols = vec![b"h2".to_vec()];
    let refused = Client::try_connect(&server, "localhost", &Arc::new(offering.clone()));
    let error = refused.err().expect("HTTP/2 is not spoken");
    assert_eq!(
        alert_of(&error),
        Some(AlertDescription::NoApplicationProtocol),
        "{error}"
    );
    offering.alpn_protocols.push(b"http/1.1".to_vec());
    let client = Client::try_connect(&server, "localhost", &Arc::new(offering)).expect("HTTP/1.1");
    assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

pub(crate) fn clients_show_certificates_where_they_must(engine: &'static str) {
    let authority = Authority::new();
    let mut options = authority.options(&["localhost"]);
    options.push(format!("--tls-client-ca={}", authority.own()));
    let server = serve(engine, &options);
    let alice = authority.issue(&["alice.test"]);
    let stranger = Authority::new().issue(&["mallory.test"]);
    for (own, is_let_in) in [
        (Some(&alice), true),
        (None, false),
        (Some(&stranger), false),
    ] {
        for version in rustls::ALL_VERSIONS {
            let config = Arc::new(config(&authority, &[version], own));
            let client = Client::try_connect(&server, "localhost", &config);
            // In TLS 1.3 a client is told only after it thinks that it is in.
            let outcome = client.and_then(|mut client| {
                client
                    .stream
                    .write_all(b"GET /x/whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
                let mut answer = String::new();
                client.stream.read_to_string(&mut answer).map(|_| answer)
            });
            assert_eq!(outcome.is_ok(), is_let_in, "{version:?}: {outcome:?}");
            if let Ok(answer) = outcome {
                assert!(answer.contains("\"client\":\"CN=alice.test\""), "{answer}");
            }
        }
    }
}

pub(crate) fn who_comes_again_resumes(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(config(&authority, &[version], None));
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut client = Client::try_connect(&server, "localhost", &config).expect("in");
            // Tickets come with the first answer.
            client.handshake();
            kinds.push(client.stream.conn.handshake_kind());
        }
        assert_eq!(kinds[0], Some(HandshakeKind::Full), "{version:?}");
        assert_eq!(kinds[1..], [Some(HandshakeKind::Resumed); 2], "{version:?}");
    }
}

pub(crate) fn half_a_handshake_ends_with_an_alert_and_costs_little(engine: &'static str) {
    const COUNT: usize = 300;
    let (server, authority) = serve_localhost(engine, &["--handshake-timeout", "1500ms"]);
    drop(Client::upgrade(&server, &authority));
    let before = server.resident_bytes();
    let descriptors = server.descriptors() + 1;
    let start = Instant::now();
    // The most of a record that its header announces.
    let part = [&[22, 3, 1, 0x02, 0][..], &[1; 300]].concat();
    let mut halves: Vec<_> = (0..COUNT).map(|_| plain(&server)).collect();
    for half in &mut halves {
        half.write_all(&part).expect("the server reads");
    }
    std::thread::sleep(Duration::from_millis(300));
    let each = server.resident_bytes().saturating_sub(before) / COUNT as u64;
    assert!(each < 6_000, "{each} bytes for half a handshake");
    for half in &mut halves {
        let mut answer = Vec::new();
        half.read_to_end(&mut answer).expect("an alert and FIN");
        // A fatal user_canceled.
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 90]);
    }
    assert!(start.elapsed() >= Duration::from_millis(1400));
    // Nobody is waited for who does nothing: their descriptors are free at once.
    let ended = Instant::now();
    until("their descriptors are free", || {
        (server.descriptors() <= descriptors).then_some(())
    });
    assert!(ended.elapsed() < Duration::from_secs(3));
    // Silence after the handshake falls under the same timeout, and is told in HTTP.
    let mut client = Client::connect(&server, &authority);
    assert_eq!(client.read_response().status, 408);
}

pub(crate) fn noise_ends_with_an_alert(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    for noise in [
        &[0x80, 0x2e, 1, 0, 2][..],
        &[22, 3, 1, 0xff, 0xff, 1],
        &[22, 3, 1, 0, 5, 9, 9, 9, 9, 9],
        &[21, 3, 1, 0, 2, 2, 40],
        &[23, 3, 3, 0, 1, 0],
    ] {
        let mut socket = plain(&server);
        socket.write_all(noise).expect("the server reads");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("FIN");
        let is_alert = answer.first() == Some(&21) && answer.get(5) == Some(&2);
        assert!(is_alert || noise[0] == 21, "{noise:?}: {answer:?}");
    }
    // After the handshake, what no key has sealed.
    let mut client = Client::connect(&server, &authority);
    client.send(&request::upgrade());
    client.read_response().assert_switched();
    let mut socket = client.stream.sock.try_clone().expect("a descriptor");
    socket
        .write_all(&[&[23, 3, 3, 0, 40][..], &[7; 40]].concat())
        .expect("the server reads");
    let error = client.stream.read(&mut [0; 10]).expect_err("an alert");
    assert_eq!(
        alert_of(&error),
        Some(AlertDescription::BadRecordMac),
        "{error}"
    );
    // Nobody else minds.
    drop(Client::upgrade(&server, &authority));
}
