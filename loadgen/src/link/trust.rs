//! Which certificates are believed, and why one was not.
//!
//! The system's roots come from `rustls-native-certs`: on Linux it reads the same bundle as the
//! platform verifier does (`SSL_CERT_FILE` and `SSL_CERT_DIR` first), with fewer crates behind it.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage,
    RootCertStore, SignatureScheme,
};

use crate::usage::{UsageError, refuse_given};

/// Longest file of PEM read: the bundle of a whole system has a quarter of a MiB.
const PEM_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Whom to believe behind wss://, and who we are: without any of them the system's certificates, and nobody.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsOptions {
    /// Certificates, in PEM, to trust instead of the system's for wss://. Sessions are resumed where
    /// the server lets them, so that later handshakes may be shorter than the first ones
    #[arg(long, value_name = "FILE", conflicts_with = "tls_insecure")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Trust any certificate: only for a server that you know to be the right one
    #[arg(long, short = 'k')]
    pub(crate) tls_insecure: bool,

    /// Our own certificate in PEM, with its issuers behind it, for a server that asks who we are
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

impl TlsOptions {
    /// Refuses options that would have no effect.
    pub(crate) fn check(&self, is_tls: bool) -> Result<(), UsageError> {
        let given = [
            ("--tls-ca", self.tls_ca.is_some()),
            ("--tls-insecure", self.tls_insecure),
            ("--tls-cert", self.tls_cert.is_some()),
        ];
        match is_tls {
            true => Ok(()),
            false => refuse_given(&given, "needs a wss:// URL"),
        }
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, UsageError> {
        let roots = match &self.tls_ca {
            _ if self.tls_insecure => {
                let algorithms = provider.signature_verification_algorithms;
                return Ok(Arc::new(AnyCertificate(algorithms)));
            }
            Some(path) => roots_of(path)?,
            None => system_roots()?,
        };
        let provider = Arc::clone(provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(verifier.build().map_err(cannot_be_set_up)?)
    }
}

/// The configuration that all connections share.
///
/// TLS 1.3 and 1.2 by `ring`. Sessions are resumed as rustls does by default, so of many
/// connections to one server all but the first ones may make a shorter handshake. `protocols` are
/// those offered by ALPN (RFC 7301).
pub(crate) fn client_config(
    options: &TlsOptions,
    protocols: &[&str],
) -> Result<Arc<ClientConfig>, UsageError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = options.verifier(&provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(cannot_be_set_up)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates_of("--tls-cert", certificate)?;
            let pem = read_pem("--tls-key", key)?;
            let wrong = |what, error| wrong("--tls-key", key, &format!("{what}: {error}"));
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|error| wrong("there is no private key in it", error.to_string()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| wrong("it cannot be used", error.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    let names = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = names.collect();
    Ok(Arc::new(config))
}

/// The name that a server at `host` must prove to have: a DNS name or an address.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, UsageError> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        UsageError(format!(
            "{host:?} is not a name or address that a certificate can be for"
        ))
    })
}

fn cannot_be_set_up(error: impl Display) -> UsageError {
    UsageError(format!("TLS cannot be set up: {error}"))
}

fn system_roots() -> Result<RootCertStore, UsageError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Old roots that cannot be parsed are no reason to refuse the rest.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let first = found.errors.first();
        let why = first.map_or_else(String::new, |error| format!(" ({error})"));
        return Err(UsageError(format!(
            "wss:// needs certificates to trust and the system has none{why}; give --tls-ca FILE, \
             or --tls-insecure to trust any server"
        )));
    }
    Ok(roots)
}

fn roots_of(path: &Path) -> Result<RootCertStore, UsageError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of("--tls-ca", path)? {
        let number = roots.len() + 1;
        roots.add(certificate).map_err(|error| {
            let what = format!("certificate {number} cannot be used: {error}");
            wrong("--tls-ca", path, &what)
        })?;
    }
    Ok(roots)
}

/// The certificates of a PEM file: one at least.
fn certificates_of(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, UsageError> {
    let certificates = CertificateDer::pem_slice_iter(&read_pem(option, path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(option, path, &format!("this is not PEM: {error}")))?;
    match certificates.is_empty() {
        false => Ok(certificates),
        true => Err(wrong(
            option,
            path,
            "there is no certificate in it; it must have PEM sections \"BEGIN CERTIFICATE\"",
        )),
    }
}

fn read_pem(option: &str, path: &Path) -> Result<Vec<u8>, UsageError> {
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut pem))
        .map_err(|error| wrong(option, path, &format!("the file cannot be read: {error}")))?;
    if pem.len() as u64 <= PEM_BYTES_MAX {
        return Ok(pem);
    }
    let most = PEM_BYTES_MAX / (1024 * 1024);
    let what = format!("the file is longer than {most} MiB; give one with what is needed");
    Err(wrong(option, path, &what))
}

fn wrong(option: &str, path: &Path, what: &str) -> UsageError {
    UsageError(format!("{option} {}: {what}", path.display()))
}

/// Believes every certificate. The server must still have the key of the one it shows, so that a
/// handshake costs both sides what it costs otherwise.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// An error of TLS as a phrase that says what would help.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => explain_certificate(error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server sent something that is not TLS; if it does not speak TLS on this port, use \
             ws://"
                .to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client's certificate; give --tls-cert FILE and --tls-key FILE"
                .to_owned()
        }
        Error::AlertReceived(alert) => format!("the server sent the TLS alert {alert:?}"),
        error => format!("TLS: {error}"),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    let because = match error {
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "it is not for {:?} but for {presented:?}",
            expected.to_str()
        ),
        error => error.to_string(),
    };
    let (why, help) = match error {
        CertificateError::UnknownIssuer => (
            "its issuer is unknown",
            "give the issuer's certificate by --tls-ca FILE, or --tls-insecure to trust any server",
        ),
        CertificateError::BadSignature => (
            "an issuer of that name is known, but another key has signed it",
            "give the issuer's present certificate by --tls-ca FILE, or --tls-insecure to trust any \
             server",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "it has expired",
            "renew it, or use --tls-insecure to trust any server",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "it is not valid yet",
            "set the clock, or use --tls-insecure to trust any server",
        ),
        CertificateError::NotValidForName => (
            "it is for another host",
            "use the host it is for in the URL, or --tls-insecure to trust any server",
        ),
        CertificateError::NotValidForNameContext { .. } => (
            because.as_str(),
            "use a host it is for in the URL, or --tls-insecure to trust any server",
        ),
        // The error of the crate below is not a type of rustls, so its name has to do.
        CertificateError::Other(_) if because.contains("CaUsedAsEndEntity") => (
            "it is a certificate authority's own",
            "give the server one that the authority has signed, or use --tls-insecure to trust any \
             server",
        ),
        _ => (
            because.as_str(),
            "use --tls-insecure if you know the server to be the right one",
        ),
    };
    format!("the server's certificate is not trusted: {why}; {help}")
}
