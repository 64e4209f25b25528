//! TLS: with which certificates. That they can be read and fit is seen by whoever reads them.

use std::path::PathBuf;

use super::ConfigError;
use super::layers::Given;
use super::listen::Listen;
use super::meaning::Said;

/// What TLS is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server's own certificates.
    pub certificates: Certificates,
    /// Who has to have issued the certificate of a client; none: it needs none.
    pub client_ca: Option<NamedFile>,
}

/// Where the server's own certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// Files: at least one pair.
    Files(Vec<Pair>),
    /// Made at start, for these names: at least one.
    SelfSigned {
        /// The names and addresses.
        names: Vec<String>,
        /// Where they were said.
        source: String,
    },
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, and those that lead to its issuer.
    pub certificate: NamedFile,
    /// Its private key.
    pub key: NamedFile,
}

/// A file, and where it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its path.
    pub path: PathBuf,
    /// The flag, the variable or the key of a file.
    pub source: String,
}

/// Reads what TLS is spoken with, where an address is to speak it, or a socket that somebody else opens may be.
pub(super) fn tls(
    say: &Said<'_>,
    listen: &[Listen],
    has_sockets: bool,
) -> Result<Option<Tls>, ConfigError> {
    let certificates = files(say.get("tls-cert"))?;
    let keys = files(say.get("tls-key"))?;
    let client_ca = files(say.get("tls-client-ca"))?.into_iter().next();
    let self_signed = say.get("tls-self-signed");
    let has_certificates = !certificates.is_empty() || self_signed.is_some();
    let is_spoken = listen.iter().any(|listen| listen.tls) || (has_sockets && has_certificates);
    let refuse =
        |given: &str, problem: &str, remedy: &str| Err(ConfigError::new(given, problem, remedy));
    if !is_spoken {
        let unused = ["tls-cert", "tls-key", "tls-self-signed", "tls-client-ca"]
            .iter()
            .find_map(|option| say.get(option));
        return match unused {
            Some(given) => refuse(
                &given.source,
                "has no use: no address to listen on speaks TLS",
                "write --listen tls://0.0.0.0:443, or leave it out",
            ),
            None => Ok(None),
        };
    }
    let certificates = match (certificates.len(), keys.len(), self_signed) {
        (0, 0, None) => {
            return refuse(
                &say.required("listen").source,
                "speaks TLS without a certificate",
                "add --tls-cert FILE and --tls-key FILE, or --tls-self-signed localhost to try it out",
            );
        }
        (0, 0, Some(given)) => Certificates::SelfSigned {
            names: given.words()?.to_vec(),
            source: given.source.clone(),
        },
        (_, _, Some(given)) => {
            return refuse(
                &given.source,
                "does not go with --tls-cert and --tls-key",
                "leave out one of the two",
            );
        }
        (certificates, keys, None) if certificates > keys => {
            return refuse(
                "--tls-key",
                &format!("is missing: there are {certificates} of --tls-cert and {keys} of it"),
                "name the key of each certificate, in the same order",
            );
        }
        (certificates, keys, None) if certificates < keys => {
            return refuse(
                "--tls-cert",
                &format!("is missing: there are {keys} of --tls-key and {certificates} of it"),
                "name the certificate of each key, in the same order",
            );
        }
        _ => {
            let pairs = certificates.into_iter().zip(keys);
            let pair = |(certificate, key)| Pair { certificate, key };
            Certificates::Files(pairs.map(pair).collect())
        }
    };
    Ok(Some(Tls {
        certificates,
        client_ca,
    }))
}

fn files(given: Option<&Given>) -> Result<Vec<NamedFile>, ConfigError> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let file = |path: &String| NamedFile {
        path: PathBuf::from(path),
        source: given.source.clone(),
    };
    Ok(given.words()?.iter().map(file).collect())
}
