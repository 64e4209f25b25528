//! What can go wrong on the way, in plain sentences: what is wrong, and what would be right.

use std::error::Error;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use tokio::time::timeout;

use crate::log::plain;

/// Characters of a peer's words that are repeated.
const WORDS_CHARS_MAX: usize = 200;

/// How far it came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Resolve,
    Connect,
    Tls,
    Upgrade,
    Echo,
    Close,
}

/// A step that failed, and why.
pub(super) struct Fault {
    pub(super) step: Step,
    pub(super) why: String,
}

impl Step {
    pub(super) fn fault(self, why: impl Into<String>) -> Fault {
        let why = why.into();
        Fault { step: self, why }
    }
}

/// A step that has to be done in time.
pub(super) async fn within<T>(
    span: Duration,
    step: Step,
    doing: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let late = match step {
        Step::Resolve => "the name was not resolved",
        Step::Connect => "nobody answered, neither yes nor no, which is what a firewall does,",
        Step::Tls => "the TLS handshake was not finished",
        Step::Upgrade => "the upgrade was not answered",
        Step::Echo => "the message was not answered",
        Step::Close => "the Close was not answered",
    };
    let done = timeout(span, doing).await;
    done.unwrap_or_else(|_| Err(step.fault(format!("{late} within {span:?}"))))
}

/// A peer's words on one line, without a terminal's control sequences, and no more of them than one reads.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).trim().replace('\n', " ");
    match text.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => plain(&text[..end]) + "…",
        None => plain(&text),
    }
}

/// An error with all its causes.
pub(super) fn explain(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref() {
        return of_tls(error);
    }
    // What such an error wraps is not its source.
    let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
    match (wrapped, error.source()) {
        (Some(wrapped), _) => explain(wrapped),
        (None, Some(cause)) => format!("{error}: {}", explain(cause)),
        (None, None) => error.to_string(),
    }
}

fn of_tls(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
    let why = match error {
        InvalidCertificate(error) => return of_certificate(error),
        InvalidMessage(_) => "what answers does not speak TLS; a server without it is ws://",
        PeerIncompatible(_) | AlertReceived(Alert::HandshakeFailure | Alert::ProtocolVersion) => {
            "the server speaks no version of TLS that is spoken here, or no cipher; right are TLS 1.3, and 1.2 with ECDHE"
        }
        AlertReceived(Alert::CertificateRequired) => {
            "the server wants a certificate of the client's, and this client has none"
        }
        AlertReceived(Alert::UnrecognisedName) => {
            "the server has nothing by this name; --connect-to lets the URL have another"
        }
        AlertReceived(Alert::NoApplicationProtocol) => {
            "the server does not speak HTTP/1.1 (ALPN), and a WebSocket begins with it"
        }
        AlertReceived(Alert::UserCanceled) => "the server gave up the handshake",
        AlertReceived(alert) => {
            let name = alert.as_str().unwrap_or("that is in no list");
            return format!("the server ended it with the alert {name}");
        }
        error => return format!("the server breaks the rules of TLS: {error}"),
    };
    why.to_owned()
}

fn of_certificate(error: &CertificateError) -> String {
    use CertificateError as Wrong;
    let date = |time: &UnixTime| {
        let since_1970 = Duration::from_secs(time.as_secs());
        humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970)
    };
    let why = match error {
        Wrong::UnknownIssuer => {
            "nobody who is trusted here issued the certificate; --ca FILE trusts those in it, --insecure anyone"
        }
        Wrong::ExpiredContext { not_after, .. } => {
            let date = date(not_after);
            return format!(
                "the certificate expired on {date}; the server needs a new one, or this clock is wrong"
            );
        }
        Wrong::NotValidYetContext { not_before, .. } => {
            let date = date(not_before);
            return format!(
                "the certificate is not valid before {date}; the server needs one that is, or this clock is wrong"
            );
        }
        Wrong::NotValidForNameContext {
            expected,
            presented,
        } => {
            // They are written as in `DnsName("example.org")`.
            let bare = presented.iter().filter_map(|it| it.split('(').nth(1));
            let names = bare.collect::<Vec<_>>().join(", ").replace(['"', ')'], "");
            let names = words(names.as_bytes());
            let expected = expected.to_str();
            return format!(
                "the certificate is for {names}, not for {expected}; ask by a name that it has (--connect-to keeps the address), or give the server one for this"
            );
        }
        Wrong::InvalidPurposeContext { .. } => {
            "the certificate is not for servers; its extended key usage must have serverAuth"
        }
        Wrong::Other(inner) if inner.to_string() == "CaUsedAsEndEntity" => {
            "the certificate is an authority's own; the server needs one that is none (CA:FALSE)"
        }
        Wrong::Other(_)
        | Wrong::BadEncoding
        | Wrong::Expired
        | Wrong::UnhandledCriticalExtension => {
            "the certificate cannot be understood; right is one of X.509, version 3"
        }
        _ => {
            "the certificate is not signed in a way that can be believed; right is RSA with 2048 bits or more, ECDSA or Ed25519, and SHA-256 or more"
        }
    };
    why.to_owned()
}
