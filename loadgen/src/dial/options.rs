//! Where to connect and what to speak: the same for every command that makes connections.

use std::path::PathBuf;

use clap::Args;

use super::greeting::GreetingOptions;
use crate::echo::dialogue::Answer;
use crate::link::Trust;
use crate::target::{Protocol, Target};
use crate::usage::UsageError;
use crate::wire::handshake::offer::{Header, Offer, Subprotocol};

/// Whom to believe behind wss://.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsOptions {
    /// Certificates, in PEM, to trust instead of the system's for wss://. Sessions are resumed where
    /// the server lets them, so that later handshakes may be shorter than the first ones
    #[arg(long, value_name = "FILE", conflicts_with = "tls_insecure")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Trust any certificate: only for a server that you know to be the right one
    #[arg(long, short = 'k')]
    pub(crate) tls_insecure: bool,
}

impl TlsOptions {
    /// Which certificates to trust.
    pub(crate) fn trust(&self) -> Trust {
        match &self.tls_ca {
            _ if self.tls_insecure => Trust::Anyone,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        }
    }

    /// Refuses options that would have no effect.
    pub(crate) fn check(&self, is_tls: bool) -> Result<(), UsageError> {
        for (name, is_given) in [
            ("--tls-ca", self.tls_ca.is_some()),
            ("--tls-insecure", self.tls_insecure),
        ] {
            if is_given && !is_tls {
                return Err(UsageError(format!("{name} needs a wss:// URL")));
            }
        }
        Ok(())
    }
}

/// Where to connect and what to speak.
#[derive(Args, Clone, Debug)]
pub(crate) struct TargetOptions {
    /// ws://HOST:PORT/PATH, wss://... or tcp://HOST:PORT; HOST is a name, an IPv4 address, or an IPv6
    /// one in brackets. Connections go to several in turn
    #[arg(value_parser = Target::parse, required = true, num_args = 1.., value_name = "URL")]
    pub(crate) urls: Vec<Target>,

    /// What to speak, if not what the URL says: tcp is the RFC 862 echo
    #[arg(long)]
    pub(crate) protocol: Option<Protocol>,

    #[command(flatten)]
    pub(crate) tls: TlsOptions,

    /// A header of the upgrade request; repeatable. Host takes the place of the URL's; Upgrade,
    /// Connection and Sec-WebSocket-* cannot be given
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = Header::parse)]
    pub(crate) headers: Vec<Header>,

    /// A subprotocol to offer; repeatable, the one preferred most first. The server must take one
    /// of them
    #[arg(long = "subprotocol", value_name = "NAME", value_parser = Subprotocol::parse)]
    pub(crate) subprotocols: Vec<Subprotocol>,

    /// Offer permessage-deflate (RFC 7692) and compress messages; the server must accept
    #[arg(long)]
    pub(crate) deflate: bool,

    #[command(flatten)]
    pub(crate) greeting: GreetingOptions,
}

impl TargetOptions {
    /// Nothing but a URL.
    #[cfg(test)]
    pub(crate) fn to(target: Target) -> TargetOptions {
        TargetOptions {
            urls: vec![target],
            protocol: None,
            tls: TlsOptions::default(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            deflate: false,
            greeting: GreetingOptions::default(),
        }
    }

    /// The protocol in force.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(self.urls[0].protocol)
    }

    /// What is answered to a message that the server asks with.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.greeting.answer.as_ref()
    }

    /// What the upgrade request asks for.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            headers: self.headers.clone(),
            subprotocols: self.subprotocols.clone(),
            deflate: self.deflate,
        }
    }

    /// Refuses what contradicts itself, and options that would have no effect.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let first = &self.urls[0];
        if let Some(other) = self.urls.iter().find(|url| url.protocol != first.protocol) {
            return Err(UsageError(format!(
                "{} and {} cannot be mixed; give ws:// and wss:// URLs, or tcp:// ones",
                first.url, other.url
            )));
        }
        self.tls.check(self.urls.iter().any(|url| url.tls))?;
        let is_websocket = self.protocol() == Protocol::Websocket;
        for (name, is_given) in [
            ("--header", !self.headers.is_empty()),
            ("--subprotocol", !self.subprotocols.is_empty()),
            ("--deflate", self.deflate),
            ("--greeting", self.greeting.greeting > 0),
            ("--first-message", self.greeting.first_message.is_some()),
            ("--answer", self.greeting.answer.is_some()),
        ] {
            if is_given && !is_websocket {
                return Err(UsageError(format!("{name} needs WebSocket")));
            }
        }
        if self.deflate && (self.greeting.greeting > 0 || self.greeting.answer.is_some()) {
            return Err(UsageError(
                "--greeting and --answer read messages as they come; leave --deflate off"
                    .to_owned(),
            ));
        }
        self.offer().check().map_err(UsageError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(urls: &[&str]) -> TargetOptions {
        let mut urls: Vec<Target> = urls.iter().map(|url| Target::parse(url).unwrap()).collect();
        let rest = urls.split_off(1);
        let mut options = TargetOptions::to(urls.remove(0));
        options.urls.extend(rest);
        options
    }

    #[test]
    fn schemes_of_one_family_mix() {
        assert!(options(&["ws://a", "wss://b"]).check().is_ok());
        assert!(options(&["tcp://a:7", "tcp://b:7"]).check().is_ok());
        let error = options(&["ws://a", "ws://b", "tcp://c:7"])
            .check()
            .unwrap_err();
        assert!(
            error.0.contains("ws://a and tcp://c:7 cannot be mixed"),
            "{error}"
        );
    }

    #[test]
    fn options_without_effect_are_refused() {
        let refused = |change: fn(&mut TargetOptions), url: &str| {
            let mut options = options(&[url]);
            change(&mut options);
            options.check().err().map(|error| error.0)
        };
        let insecure: fn(&mut TargetOptions) = |options| options.tls.tls_insecure = true;
        assert_eq!(refused(insecure, "wss://h"), None);
        assert_eq!(
            refused(insecure, "ws://h").as_deref(),
            Some("--tls-insecure needs a wss:// URL")
        );
        let deflate: fn(&mut TargetOptions) = |options| options.deflate = true;
        assert_eq!(refused(deflate, "ws://h"), None);
        assert_eq!(
            refused(deflate, "tcp://h:7").as_deref(),
            Some("--deflate needs WebSocket")
        );
        let greeted: fn(&mut TargetOptions) = |options| options.greeting.greeting = 1;
        assert_eq!(refused(greeted, "ws://h"), None);
        assert_eq!(
            refused(greeted, "tcp://h:7").as_deref(),
            Some("--greeting needs WebSocket")
        );
        let raw: fn(&mut TargetOptions) = |options| {
            options.protocol = Some(Protocol::Tcp);
            options.headers = vec![Header::parse("X: y").unwrap()];
        };
        assert_eq!(
            refused(raw, "ws://h").as_deref(),
            Some("--header needs WebSocket")
        );
    }

    #[test]
    fn trust_is_what_was_asked_for() {
        let mut options = options(&["wss://h"]);
        assert_eq!(options.tls.trust(), Trust::System);
        options.tls.tls_ca = Some(PathBuf::from("ca.pem"));
        assert_eq!(options.tls.trust(), Trust::File(PathBuf::from("ca.pem")));
        options.tls.tls_ca = None;
        options.tls.tls_insecure = true;
        assert_eq!(options.tls.trust(), Trust::Anyone);
    }
}
