//! A certificate for the TLS workloads, which nobody else trusts and which is gone in the end.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::peers::Certificate;

/// Makes a self-signed certificate for 127.0.0.1 in `folder`.
pub(super) fn make(folder: &Path) -> anyhow::Result<Certificate> {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    let certificate = Certificate {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    fs::write(&certificate.cert, made.cert.pem())
        .and_then(|()| fs::write(&certificate.key, made.signing_key.serialize_pem()))
        .context("writing the certificate")?;
    Ok(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_and_key_are_in_pem() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        let begins = |path: &Path, mark: &str| {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.starts_with(mark), "{text}");
        };
        begins(&made.cert, "-----BEGIN CERTIFICATE-----");
        begins(&made.key, "-----BEGIN PRIVATE KEY-----");
    }
}
