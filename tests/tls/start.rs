//! What keeps a server with TLS from starting, and what it says when it starts.

use std::io::{Read, Write};
use std::process::Command;

use crate::authority::Authority;
use crate::client::{plain, serve};
use crate::others::is_there;
use crate::server::{BINARY, Server, run_to_end};
use crate::support::scripts;

#[test]
fn each_mistake_in_a_file_is_named() {
    let authority = Authority::new();
    let one = authority.issue(&["localhost"]);
    let other = authority.issue(&["localhost"]);
    let good = authority.write("good.pem", &one.certificate);
    let key = authority.write("good.key", &one.key);
    let others = authority.write("others.key", &other.key);
    let nothing = authority.write("nothing.pem", "nothing at all\n");
    let broken = authority.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let encrypted = authority.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = authority.path("missing.pem").display().to_string();
    for (certificate, key, option, words) in [
        (
            &good,
            &others,
            "--tls-key",
            "does not belong to the certificate",
        ),
        (&good, &nothing, "--tls-key", "has no private key"),
        (&good, &encrypted, "--tls-key", "is encrypted"),
        (&good, &missing, "--tls-key", "No such file"),
        (&nothing, &key, "--tls-cert", "has no certificate"),
        (&broken, &key, "--tls-cert", "cannot be read"),
        (&missing, &key, "--tls-cert", "No such file"),
        (&key, &good, "--tls-cert", "has no certificate"),
    ] {
        let (status, said) = run_to_end(&[
            "--listen=tls://127.0.0.1:0",
            &format!("--tls-cert={certificate}"),
            &format!("--tls-key={key}"),
        ]);
        assert!(!status.success(), "{said}");
        assert!(said.contains(option) && said.contains(words), "{said}");
        let secret = one.key.lines().nth(1).expect("a line of the key");
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_key_of_the_wrong_length_is_told_with_what_would_be_right() {
    if !is_there("openssl") {
        return;
    }
    let authority = Authority::new();
    for (kind, told) in [
        ("rsa:1024", "it is RSA with 1024 bits"),
        (
            "ec -pkeyopt ec_paramgen_curve:P-521",
            "it is ECDSA with another curve",
        ),
    ] {
        let make = format!(
            "openssl req -x509 -newkey {kind} -nodes -subj /CN=localhost -keyout odd.key -out odd.pem"
        );
        scripts::run(authority.folder.path(), &["sh", "-c", &make]);
        let (status, said) = run_to_end(&[
            "--listen=tls://127.0.0.1:0",
            &format!("--tls-cert={}", authority.path("odd.pem").display()),
            &format!("--tls-key={}", authority.path("odd.key").display()),
        ]);
        assert!(!status.success(), "{said}");
        let told = format!("has a key that cannot be used: {told}");
        for words in ["--tls-key", &told, "RSA with 2048 to 4096 bits"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn a_certificate_is_made_for_names_only() {
    let (status, said) = run_to_end(&[
        "--listen=tls://127.0.0.1:0",
        "--tls-self-signed=localhost,not a name",
    ]);
    assert!(!status.success(), "{said}");
    let told = "--tls-self-signed: `not a name` is no name of a host, and no address; write host names such as";
    assert!(said.contains(told), "{said}");
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let authority = Authority::new();
    let expired = authority.issue_expired(&["localhost"]);
    let certificate = authority.write("expired.pem", &expired.certificate);
    let key = authority.write("expired.key", &expired.key);
    let server = serve(
        "epoll",
        &[
            format!("--tls-cert={certificate}"),
            format!("--tls-key={key}"),
        ],
    );
    let log = server.log().join("\n");
    assert!(log.contains("has expired: Sun, 03 Feb 2002"), "{log}");
}

/// One command, and an address of each kind.
#[test]
fn a_certificate_can_be_made_at_start() {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--listen", "tls://127.0.0.1:0"]);
    command.args(["--workers", "1", "--tls-self-signed", "localhost,127.0.0.1"]);
    let mut server = Server::run(command);
    let log = server.log();
    let fingerprint = log.iter().find_map(|line| line.split_once("SHA-256 "));
    let fingerprint = fingerprint.expect("a fingerprint").1;
    assert_eq!(fingerprint.split(':').count(), 32, "{fingerprint}");
    drop(plain(&server));
    let (_, secure) = crate::server::until("both addresses", || {
        let log = server.log().join("\n");
        let (_, rest) = log.split_once("listening on wss://127.0.0.1:")?;
        let port: u16 = rest.split_whitespace().next()?.parse().ok()?;
        Some((log, port))
    });
    server.address.set_port(secure);
    let mut socket = plain(&server);
    socket.write_all(b"G").expect("the server reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("words");
    assert!(answer.contains("This port speaks TLS"), "{answer}");
}
