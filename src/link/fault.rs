//! Why a link cannot go on, in words for the operator.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Why a link cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer speaks plain HTTP, and was told so in words.
    PlainHttp,
    /// What comes before everything else, a load balancer's header, is none.
    Preface(&'static str),
    /// A part of the handshake is longer than is kept of it.
    TooLong,
    /// Another.
    Other(&'static str),
}

impl Fault {
    /// Whose fault it is and what it is.
    pub fn text(self) -> &'static str {
        match self {
            Fault::PlainHttp => "speaks plain HTTP where this server speaks TLS",
            Fault::TooLong => "sends more for its handshake than is kept of one",
            Fault::Preface(text) | Fault::Other(text) => text,
        }
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        Fault::Other(match error {
            Error::AlertReceived(alert) => by_alert(*alert),
            Error::NoApplicationProtocol => {
                "offers by ALPN what is not spoken here: this is http/1.1"
            }
            Error::NoCertificatesPresented => "shows no certificate, and --tls-client-ca wants one",
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "shows a certificate that --tls-client-ca has not issued"
            }
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => "shows a certificate that has expired",
            Error::InvalidCertificate(_) => "shows a certificate that is not valid",
            Error::PeerIncompatible(
                PeerIncompatible::NoCipherSuitesInCommon
                | PeerIncompatible::NoKxGroupsInCommon
                | PeerIncompatible::NoSignatureSchemesInCommon
                | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
            ) => "knows none of the algorithms that TLS is spoken with here",
            Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic,
            ) => "knows neither TLS 1.2 nor TLS 1.3",
            Error::PeerIncompatible(_) => "speaks a TLS that is not spoken here",
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => "does not speak TLS",
            Error::DecryptError => "sends what its keys did not seal",
            _ => "breaks the rules of TLS",
        })
    }
}

/// What a client says of a handshake that it ended.
fn by_alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => {
            "does not trust the issuer of this server's certificate (unknown_ca)"
        }
        AlertDescription::BadCertificate => "finds this server's certificate bad (bad_certificate)",
        AlertDescription::CertificateExpired => {
            "finds this server's certificate expired (certificate_expired)"
        }
        AlertDescription::CertificateUnknown => {
            "does not accept this server's certificate (certificate_unknown)"
        }
        AlertDescription::UnrecognisedName => "finds another name in this server's certificate",
        AlertDescription::HandshakeFailure => "finds nothing in common (handshake_failure)",
        AlertDescription::ProtocolVersion => "speaks none of the versions (protocol_version)",
        AlertDescription::UserCanceled => "gave up the handshake (user_canceled)",
        AlertDescription::DecryptError | AlertDescription::BadRecordMac => {
            "could not open what it was sent"
        }
        _ => "ended it with an alert",
    }
}
