//! Certificates and keys: from the text of files to what a handshake is made from.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use x509_parser::public_key::PublicKey;

use super::acceptor::provider;

/// Why a certificate or key cannot be used, to be said after the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The first file has no certificate.
    NoCertificate,
    /// What stands for a certificate is none.
    BadCertificate(String),
    /// The second file has no key.
    NoKey,
    /// The key wants a password.
    EncryptedKey,
    /// It is no key that can be used.
    BadKey(String),
    /// What a certificate is to be made for is no name.
    BadName(String),
    /// The key is another's.
    Mismatch,
    /// Anything else.
    Other(String),
}

impl Unfit {
    /// Whether it is the file of the key that is to blame.
    pub fn blames_key(&self) -> bool {
        matches!(
            self,
            Unfit::NoKey | Unfit::EncryptedKey | Unfit::BadKey(_) | Unfit::Mismatch
        )
    }

    /// What would be right.
    pub fn remedy(&self) -> &'static str {
        match self {
            Unfit::NoCertificate | Unfit::BadCertificate(_) => {
                "name a PEM file that begins with -----BEGIN CERTIFICATE-----, the server's own first"
            }
            Unfit::NoKey | Unfit::BadKey(_) => {
                "name a PEM file with -----BEGIN PRIVATE KEY-----: ECDSA with P-256 or P-384, Ed25519, or RSA with \
                 2048 to 4096 bits"
            }
            Unfit::BadName(_) => {
                "write host names such as localhost or *.example.org, or addresses such as 127.0.0.1"
            }
            Unfit::EncryptedKey => "take its password off: openssl pkey -in FILE -out OTHER",
            Unfit::Mismatch => "name the key that the certificate was made for, in the same order",
            Unfit::Other(_) => "name others",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::NoCertificate => write!(f, "has no certificate"),
            Unfit::BadCertificate(why) => write!(f, "has a certificate that cannot be read: {why}"),
            Unfit::NoKey => write!(f, "has no private key"),
            Unfit::EncryptedKey => write!(f, "has a key that is encrypted"),
            Unfit::BadKey(why) => write!(f, "has a key that cannot be used: {why}"),
            Unfit::BadName(name) => {
                let name = name.escape_debug();
                write!(f, "`{name}` is no name of a host, and no address")
            }
            Unfit::Mismatch => write!(f, "has a key that does not belong to the certificate"),
            Unfit::Other(why) => write!(f, "cannot be used: {why}"),
        }
    }
}

/// A certificate, with those that lead to its issuer, and its key.
#[derive(Clone)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// From when and until when it is valid, in seconds since 1970.
    validity: (i64, i64),
}

/// Shows no key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Pair");
        shown
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

impl Pair {
    /// Reads a certificate and its key as PEM.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Self, Unfit> {
        let chain = read_certificates(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            // Both ways of old and new: `ENCRYPTED PRIVATE KEY`, and a header of the other.
            if contains(key, b"ENCRYPTED") {
                return Unfit::EncryptedKey;
            }
            match error {
                PemError::NoItemsFound => Unfit::NoKey,
                error => Unfit::BadKey(error.to_string()),
            }
        })?;
        Pair::new(chain, key)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Unfit> {
        let (_, certificate) = parse_x509_certificate(&chain[0])
            .map_err(|error| Unfit::BadCertificate(error.to_string()))?;
        let validity = certificate.validity();
        let validity = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        let unusual = unusual(&certificate);
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unfit::Mismatch,
            Error::InvalidCertificate(_) => Unfit::BadCertificate(error.to_string()),
            Error::General(why) => Unfit::BadKey(unusual.unwrap_or(why)),
            error => Unfit::BadKey(error.to_string()),
        })?;
        Ok(Pair {
            key: Arc::new(key),
            validity,
        })
    }

    /// From when and until when it is valid, in seconds since 1970.
    pub fn validity(&self) -> (i64, i64) {
        self.validity
    }

    /// The SHA-256 of the certificate, as it is written: `AB:CD:...`.
    pub fn fingerprint(&self) -> String {
        let certificate = self.key.cert.first();
        let digest = Sha256::digest(certificate.map_or(&[][..], |it| it.as_ref()));
        let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    pub(super) fn into_key(self) -> Arc<CertifiedKey> {
        self.key
    }
}

/// Those who may have issued a client's certificate.
#[derive(Clone, Debug)]
pub struct ClientRoots {
    store: Arc<RootCertStore>,
    /// As they were read, to be compared.
    certificates: Vec<CertificateDer<'static>>,
}

impl PartialEq for ClientRoots {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl ClientRoots {
    /// Reads certificates as PEM.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(certificates: &[u8]) -> Result<Self, Unfit> {
        let certificates = read_certificates(certificates)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let added = store.add(certificate.clone());
            added.map_err(|error| Unfit::BadCertificate(error.to_string()))?;
        }
        let store = Arc::new(store);
        Ok(ClientRoots {
            store,
            certificates,
        })
    }

    pub(super) fn store(&self) -> Arc<RootCertStore> {
        self.store.clone()
    }
}

/// Makes a certificate for these names and addresses, signed by itself: ECDSA with P-256.
///
/// # Errors
/// Where something is no name.
pub fn self_signed(names: &[String]) -> Result<Pair, Unfit> {
    let unfit = |error: rcgen::Error| Unfit::Other(error.to_string());
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return Err(Unfit::BadName(name.clone()));
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(unfit)?;
    let name = names.first().map_or("ringback", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(unfit)?;
    let certificate = params.self_signed(&key).map_err(unfit)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Pair::new(vec![certificate.der().clone()], key.into())
}

/// Whether clients could ask by it: a host name, `*.` and a host name, or an address.
fn is_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    match ServerName::try_from(host) {
        Ok(ServerName::DnsName(_)) => !host.ends_with('.'),
        Ok(_) => host == name,
        Err(_) => false,
    }
}

/// What is unusual about the key of a certificate, if something is.
fn unusual(certificate: &X509Certificate<'_>) -> Option<String> {
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) if !matches!(key.key_size(), 2048..=4096) => {
            Some(format!("it is RSA with {} bits", key.key_size()))
        }
        PublicKey::EC(key) if !matches!(key.key_size(), 256 | 384) => {
            Some("it is ECDSA with another curve".to_owned())
        }
        _ => None,
    }
}

/// The subject of a certificate, as it is written, such as `CN=alice, O=Example`.
pub(super) fn subject(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    Some(certificate.subject().to_string())
}

fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| Unfit::BadCertificate(error.to_string()))?;
    if all.is_empty() {
        return Err(Unfit::NoCertificate);
    }
    Ok(all)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
