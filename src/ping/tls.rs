//! TLS as a client, and what there is to tell of it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::Trust;
use super::fault::{Fault, Step, chain};

/// What was agreed on, and with whom.
#[derive(Serialize)]
pub(super) struct Details {
    pub(super) seconds: f64,
    pub(super) version: String,
    pub(super) cipher: String,
    pub(super) group: String,
    pub(super) alpn: Option<String>,
    pub(super) certificate: Option<Certificate>,
}

/// Who the other side says it is.
#[derive(Serialize)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) names: Vec<String>,
    pub(super) issuer: String,
    /// By RFC 3339.
    pub(super) expires: String,
    /// Below zero: so long ago.
    pub(super) days_left: i64,
}

fn fault(why: impl Into<String>) -> Fault {
    Fault::new(Step::Tls, why)
}

/// Makes TLS of a connection.
pub(super) async fn connect(
    host: &str,
    trust: &Trust,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Details), Fault> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| fault(format!("`{host}` is no name that a certificate could have")))?;
    let connector = TlsConnector::from(Arc::new(config(trust)?));
    let begun = Instant::now();
    let connected = connector.connect(name, stream).await;
    let stream = connected.map_err(|error| fault(why_not(&error)))?;
    let details = details(&stream, begun.elapsed());
    Ok((stream, details))
}

fn config(trust: &Trust) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(chain(&error)))?;
    let mut config = if let Trust::Anyone = trust {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(authorities(trust)?)
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(trust: &Trust) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    let place = if let Trust::File(path) = trust {
        let place = format!("--ca {}", path.display());
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let certificates: Vec<CertificateDer<'_>> =
            read.map_err(|error| fault(format!("{place}: {}", chain(&error))))?;
        roots.add_parsable_certificates(certificates);
        place
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        "this machine (Debian: apt install ca-certificates)".to_owned()
    };
    if roots.is_empty() {
        let why = format!("there is no certificate of an authority in {place}");
        return Err(fault(why));
    }
    Ok(roots)
}

/// Why there is no TLS, and what to do about it.
fn why_not(error: &io::Error) -> String {
    use rustls::CertificateError::UnknownIssuer;
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    let inner = error.get_ref();
    match inner.and_then(|it| it.downcast_ref::<rustls::Error>()) {
        Some(InvalidMessage(_)) => {
            "what answers does not speak TLS; a server without it is ws://".to_owned()
        }
        Some(InvalidCertificate(UnknownIssuer)) => {
            "nobody who is trusted here issued the certificate; --ca FILE trusts those in it, \
             --insecure anyone"
                .to_owned()
        }
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection was closed in the TLS handshake".to_owned()
        }
        None => chain(error),
    }
}

fn details(stream: &TlsStream<TcpStream>, time: Duration) -> Details {
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let version = connection.protocol_version().map(|it| format!("{it:?}"));
    let cipher = connection.negotiated_cipher_suite();
    let group = connection.negotiated_key_exchange_group();
    let alpn = connection.alpn_protocol();
    Details {
        seconds: time.as_secs_f64(),
        version: version.unwrap_or_default(),
        cipher: cipher.map_or_else(String::new, |it| format!("{:?}", it.suite())),
        group: group.map_or_else(String::new, |it| format!("{:?}", it.name())),
        alpn: alpn.map(|it| String::from_utf8_lossy(it).into_owned()),
        certificate: certificate.and_then(|it| read(it)),
    }
}

fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|it| &it.value.general_names);
    let expires = certificate.validity().not_after.timestamp();
    let since_1970 = Duration::from_secs(u64::try_from(expires).ok()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Certificate {
        subject: certificate.subject().to_string(),
        names: names.filter_map(name).collect(),
        issuer: certificate.issuer().to_string(),
        expires: humantime::format_rfc3339_seconds(UNIX_EPOCH.checked_add(since_1970)?).to_string(),
        days_left: (expires - i64::try_from(now).ok()?).div_euclid(86_400),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    let address = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|it| it.to_string()),
        _ => None,
    }
}

/// Believes every certificate, though not that it is somebody else's: signatures are checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
