//! TLS: what is told of it, and what is wrong with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite::accept;

use crate::support::server::Server;
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

    /// An echo over TLS, whose certificate is for these names until that year.
    fn echo(&self, names: &[&str], year: i32) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "The Echo");
        parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
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
    let address = authority.echo(&["localhost", "127.0.0.1"], 2999);
    let (url, ca) = (format!("wss://{address}/"), authority.file());
    let (status, said, wrong) = ping(&[&url, "--json", "-c1", "--ca", ca]);
    assert_eq!((status, &*wrong), (0, ""), "{said}");
    let tls = &events(&said)[0].1["by"]["tls"];
    assert_eq!(tls["version"], "TLSv1_3", "{tls}");
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

#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    let (authority, stranger) = (Authority::new("Authority"), Authority::new("Stranger"));
    let (ca, other) = (authority.file(), stranger.file());
    let misnamed = authority.echo(&["example.org", "www.example.org"], 2999);
    let right = authority.echo(&["127.0.0.1"], 2999);
    let expired = authority.echo(&["127.0.0.1"], 2020);
    for (address, ca, told) in [
        (misnamed, ca, "certificate not valid for name \"127.0.0.1\""),
        (misnamed, ca, "example.org"),
        (
            right,
            other,
            "nobody who is trusted here issued the certificate; --ca FILE",
        ),
        (expired, ca, "invalid peer certificate: certificate expired"),
        (right, "/nowhere.pem", "--ca /nowhere.pem: "),
        (
            right,
            "/dev/null",
            "there is no certificate of an authority in --ca /dev/null",
        ),
    ] {
        let (status, said, wrong) = ping(&[&format!("wss://{address}/"), "-c1", "--ca", ca]);
        assert_eq!((status, &*said), (1, ""), "{wrong}");
        assert!(
            wrong.contains(": tls: ") && wrong.contains(told),
            "{told}: {wrong}"
        );
    }
    for address in [misnamed, expired] {
        let url = format!("wss://{address}/");
        assert_eq!(ping(&[&url, "--once", "--insecure"]), quiet());
    }
}

#[test]
fn the_wrong_scheme_is_told() {
    let plain = Server::start("epoll", &[]);
    let url = format!("wss://{}/", plain.address);
    let (status, _, wrong) = ping(&[&url, "--once", "--insecure"]);
    assert_eq!(status, 1);
    let told = "tls: what answers does not speak TLS; a server without it is ws://";
    assert!(wrong.contains(told), "{wrong}");
    let secure = Authority::new("Authority").echo(&["127.0.0.1"], 2999);
    let (status, _, wrong) = ping(&[&format!("ws://{secure}/"), "--once"]);
    assert_eq!(status, 1);
    assert!(wrong.contains(": upgrade: "), "{wrong}");
}
