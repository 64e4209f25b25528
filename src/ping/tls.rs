//! TLS as a client, and what there is to tell of it.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::fault::{Fault, Step, explain, words};
use super::report::Told;
use super::{Plan, Trust};

/// The last second of the year 9999, since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// Makes TLS of a connection, and notes what was agreed on, and with whom.
pub(super) async fn connect(
    plan: &Plan,
    stream: TcpStream,
    told: &mut Told,
) -> Result<TlsStream<TcpStream>, Fault> {
    let host = &plan.target.host;
    let name = ServerName::try_from(host.clone()).map_err(|_| {
        Step::Tls.fault(format!("`{host}` is no name that a certificate could have"))
    })?;
    let config = config(&plan.trust).map_err(|why| Step::Tls.fault(why))?;
    let begun = Instant::now();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = connecting.await.map_err(|error| {
        Step::Tls.fault(match error.kind() {
            ErrorKind::UnexpectedEof => "the connection was closed in the TLS handshake".to_owned(),
            _ => explain(&error),
        })
    })?;
    tell(stream.get_ref().1, begun.elapsed(), told);
    Ok(stream)
}

fn config(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| explain(&error))?;
    let verifying = match trust {
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        trust => builder.with_root_certificates(authorities(trust)?),
    };
    let mut config = verifying.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(trust: &Trust) -> Result<RootCertStore, String> {
    let (certificates, place) = if let Trust::File(path) = trust {
        let place = format!("--ca {}", path.display());
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let read: Vec<_> = read.map_err(|error| format!("{place}: {}", explain(&error)))?;
        (read, place)
    } else {
        let place = "this machine (Debian: apt install ca-certificates)";
        let read = rustls_native_certs::load_native_certs();
        (read.certs, place.to_owned())
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(format!(
            "there is no certificate of an authority in {place}"
        ));
    }
    Ok(roots)
}

fn tell(connection: &ClientConnection, time: Duration, told: &mut Told) {
    let text = |known: Option<&str>| known.unwrap_or("unknown").to_owned();
    let version = connection.protocol_version();
    let suite = connection.negotiated_cipher_suite().map(|it| it.suite());
    let group = connection
        .negotiated_key_exchange_group()
        .map(|it| it.name());
    // As they are registered: TLSv1.3, TLS_AES_256_GCM_SHA384.
    let version = text(version.as_ref().and_then(|it| it.as_str())).replace('_', ".");
    let cipher = text(suite.as_ref().and_then(|it| it.as_str())).replace("TLS13_", "TLS_");
    let group = text(group.as_ref().and_then(|it| it.as_str()));
    let alpn = connection.alpn_protocol().map(words);
    let said = alpn.as_deref().unwrap_or("none");
    let agreed = format!(", {version}, {cipher}, {group}, ALPN {said}");
    told.line("tls", time, &agreed);
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.and_then(|it| tell_certificate(it, told));
    told.by["tls"] = json!({
        "seconds": time.as_secs_f64(), "version": version, "cipher": cipher, "group": group,
        "alpn": alpn, "certificate": certificate,
    });
}

/// Whoever made it chose what is in it. The days that are left are below zero where it has expired.
fn tell_certificate(der: &[u8], told: &mut Told) -> Option<Value> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|it| &it.value.general_names);
    let names: Vec<_> = names.filter_map(name).collect();
    let (subject, issuer) = (
        certificate.subject().to_string(),
        certificate.issuer().to_string(),
    );
    let not_after = certificate.validity().not_after.timestamp();
    // What is written as a time has four digits for the year.
    let since_1970 = Duration::from_secs(u64::try_from(not_after).ok()?.min(LAST_SECOND));
    let expires = humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970).to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let days_left = (not_after - i64::try_from(now).ok()?).div_euclid(86_400);
    let [of, by] = [&subject, &issuer].map(|it| words(it.as_bytes()));
    let all = words(names.join(", ").as_bytes());
    told.text += &format!("\ncertificate  {of}, for {all}; issued by {by}");
    told.text += &format!("\n             until {expires}, {days_left} days left");
    Some(json!({
        "subject": subject, "names": names, "issuer": issuer, "expires": expires, "days_left": days_left,
    }))
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match *name {
        GeneralName::DNSName(name) => Some(name.to_owned()),
        GeneralName::IPAddress(bytes) => {
            let old = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = old.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            Some(address.ok()?.to_string())
        }
        _ => None,
    }
}

/// Believes every certificate, though not that it is somebody else's: signatures are checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

type Verified = Result<HandshakeSignatureValid, Error>;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Verified {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Verified {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
