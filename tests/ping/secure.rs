//! TLS: what is told of it, and what is wrong with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite::accept;

use crate::support::server::{BINARY, Server};
use crate::wrong::serve;
use crate::{events, ping, quiet};

/// An authority, and where its certificate can be read.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, certificate.pem()).expect("a file");
        Authority {
            issuer: Issuer::new(parameters, key),
            file,
            _folder: folder,
        }
    }

    fn file(&self) -> &str {
        self.file.to_str().expect("a path")
    }

    /// An echo over TLS, whose certificate is for these names.
    fn echo(&self, names: &[&str]) -> SocketAddr {
        self.echo_with(names, |_| {})
    }

    /// As that, with another certificate.
    fn echo_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "The Echo");
        parameters.not_after = date_time_ymd(2999, 1, 2);
        change(&mut parameters);
        let certificate = parameters.signed_by(&key, &self.issuer);
        let chain = vec![CertificateDer::from(certificate.expect("a certificate"))];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let config = Arc::new(config.expect("a certificate with its key"));
        serve(move |stream| {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let Ok(mut socket) = accept(StreamOwned::new(connection, stream)) else {
                return;
            };
            while let Ok(message) = socket.read() {
                if message.is_text() {
                    let _ = socket.send(message);
                }
            }
        })
    }
}

#[test]
fn the_certificate_is_told_and_believed_by_its_authority() {
    let authority = Authority::new("Authority");
    let address = authority.echo(&["localhost", "127.0.0.1"]);
    let (url, ca) = (format!("wss://{address}/"), authority.file());
    let (status, said, wrong) = ping(&[&url, "--json", "-c1", "--ca", ca]);
    assert_eq!((status, &*wrong), (0, ""), "{said}");
    let tls = &events(&said)[0].1["by"]["tls"];
    assert_eq!(tls["version"], "TLSv1.3", "{tls}");
    let certificate = &tls["certificate"];
    assert_eq!(certificate["subject"], "CN=The Echo");
    assert_eq!(certificate["issuer"], "CN=Authority");
    assert_eq!(certificate["expires"], "2999-01-02T00:00:00Z");
    let names = serde_json::json!(["localhost", "127.0.0.1"]);
    assert_eq!(certificate["names"], names);
    let (status, said, _) = ping(&[&url, "-c1", "--ca", ca, "--size", "100KiB"]);
    let line = "certificate  CN=The Echo, for localhost, 127.0.0.1; issued by CN=Authority";
    assert!(status == 0 && said.lines().any(|it| it == line), "{said}");
    let (name, place) = ("https://localhost:1/", address.to_string());
    let elsewhere = ping(&[name, "--once", "--ca", ca, "--connect-to", &place]);
    assert_eq!(elsewhere, quiet());
}

/// What is wrong, and what would be right.
#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    let (authority, stranger) = (Authority::new("Authority"), Authority::new("Stranger"));
    let (ca, other) = (authority.file(), stranger.file());
    let with = |change: fn(&mut CertificateParams)| authority.echo_with(&["127.0.0.1"], change);
    let misnamed = authority.echo(&["example.org", "192.0.2.7"]);
    let right = authority.echo(&["127.0.0.1"]);
    let expired = with(|it| it.not_after = date_time_ymd(2020, 1, 2));
    let early = with(|it| it.not_before = date_time_ymd(2900, 1, 2));
    let client = with(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let own = with(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    for (address, ca, told) in [
        (
            misnamed,
            ca,
            "the certificate is for example.org, 192.0.2.7, not for 127.0.0.1; ask by a name",
        ),
        (
            right,
            other,
            "nobody who is trusted here issued the certificate; --ca FILE",
        ),
        (
            expired,
            ca,
            "the certificate expired on 2020-01-02T00:00:00Z; the server needs a new one",
        ),
        (
            early,
            ca,
            "the certificate is not valid before 2900-01-02T00:00:00Z; the server needs one",
        ),
        (
            client,
            ca,
            "the certificate is not for servers; its extended key usage must have serverAuth",
        ),
        (
            own,
            ca,
            "the certificate is an authority's own; the server needs one that is none (CA:FALSE)",
        ),
        (right, "/nowhere.pem", "--ca /nowhere.pem: "),
        (
            right,
            "/dev/null",
            "there is no certificate of an authority in --ca /dev/null",
        ),
    ] {
        let (status, said, wrong) = ping(&[&format!("wss://{address}/"), "-c1", "--ca", ca]);
        assert_eq!((status, &*said), (1, ""), "{wrong}");
        let told = format!(": tls: {told}");
        assert!(wrong.contains(&told), "{told}: {wrong}");
    }
    for address in [misnamed, expired, own] {
        let url = format!("wss://{address}/");
        assert_eq!(ping(&[&url, "--once", "--insecure"]), quiet());
    }
}

/// In TLS 1.3 that is told only after the client's handshake is over.
#[test]
fn a_server_that_wants_a_certificate_is_understood() {
    let authority = Authority::new("Authority");
    let mut command = Command::new(BINARY);
    command.args(["--listen", "tls://127.0.0.1:0", "--workers", "1"]);
    command.args(["--tls-self-signed", "localhost"]);
    command.args(["--tls-client-ca", authority.file()]);
    let server = Server::run(command);
    let url = format!("wss://{}/", server.address);
    let (status, _, wrong) = ping(&[&url, "--once", "--insecure"]);
    assert_eq!(status, 1);
    let told = "the server wants a certificate of the client's, and this client has none";
    assert!(wrong.contains(told), "{wrong}");
}

#[test]
fn the_wrong_scheme_is_told() {
    let plain = Server::start("epoll", &[]);
    let url = format!("wss://{}/", plain.address);
    let (status, _, wrong) = ping(&[&url, "--once", "--insecure"]);
    assert_eq!(status, 1);
    let told = "tls: what answers does not speak TLS; a server without it is ws://";
    assert!(wrong.contains(told), "{wrong}");
    let secure = Authority::new("Authority").echo(&["127.0.0.1"]);
    let (status, _, wrong) = ping(&[&format!("ws://{secure}/"), "--once"]);
    assert_eq!(status, 1);
    assert!(wrong.contains(": upgrade: "), "{wrong}");
}
