//! Where to connect and what to speak: the same for every command that makes connections.

use std::net::IpAddr;

use clap::Args;

use super::address::Elsewhere;
use super::greeting::GreetingOptions;
use super::proxy::Proxy;
use crate::echo::dialogue::Answer;
pub(crate) use crate::link::TlsOptions;
use crate::schedule::parse_rate;
use crate::target::{Protocol, Target};
use crate::usage::{UsageError, at_least_one, refuse_given};
use crate::wire::handshake::offer::{Header, Offer, parse_subprotocol};

/// Connections being opened at a time if nobody says: enough to hide the round trips of a distant server, and
/// about as many as servers let wait to be accepted.
const CONNECTING: usize = 128;

/// By which way connections come to the server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct WayOptions {
    /// Connect to this place, whatever the URL says; Host and the name that a certificate must have stay the
    /// URL's. unix:PATH is a unix socket
    #[arg(long, value_name = "HOST:PORT", value_parser = Elsewhere::parse)]
    pub(crate) connect_to: Option<Elsewhere>,

    /// Connect from this address of this machine; from several, with commas between, in turn
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) source: Vec<IpAddr>,

    /// Connect through this proxy, by CONNECT: http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT
    #[arg(long, value_name = "URL", value_parser = Proxy::parse)]
    pub(crate) proxy: Option<Proxy>,
}

/// How fast connections are opened.
#[derive(Args, Clone, Debug)]
pub(crate) struct PaceOptions {
    /// Most connections that are being opened at a time
    #[arg(long, value_name = "N", default_value_t = CONNECTING)]
    pub(crate) connecting: usize,

    /// Most connections that are begun in a second [default: as many as --connecting allows]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) connect_rate: Option<f64>,
}

#[cfg(test)]
impl Default for PaceOptions {
    fn default() -> PaceOptions {
        PaceOptions {
            connecting: CONNECTING,
            connect_rate: None,
        }
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

    #[command(flatten)]
    pub(crate) way: WayOptions,

    #[command(flatten)]
    pub(crate) pace: PaceOptions,

    /// A header of the upgrade request; repeatable. Host takes the place of the URL's; Upgrade,
    /// Connection and Sec-WebSocket-* cannot be given
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = Header::parse)]
    pub(crate) headers: Vec<Header>,

    /// A subprotocol to offer; repeatable, the one preferred most first. The server must take one
    /// of them
    #[arg(long = "subprotocol", value_name = "NAME", value_parser = parse_subprotocol)]
    pub(crate) subprotocols: Vec<String>,

    /// Offer permessage-deflate (RFC 7692) and compress messages; the server must accept
    #[arg(long)]
    pub(crate) deflate: bool,

    #[command(flatten)]
    pub(crate) greeting: GreetingOptions,
}

impl PaceOptions {
    /// Refuses them where `other` says how many connections are under way.
    pub(crate) fn refuse(&self, other: &str) -> Result<(), UsageError> {
        if self.connecting == CONNECTING && self.connect_rate.is_none() {
            return Ok(());
        }
        Err(UsageError(format!(
            "--connecting and --connect-rate have no effect here: {other} and --rate say how many come and go"
        )))
    }
}

impl TargetOptions {
    /// Nothing but a URL.
    #[cfg(test)]
    pub(crate) fn to(target: Target) -> TargetOptions {
        TargetOptions {
            urls: vec![target],
            protocol: None,
            tls: TlsOptions::default(),
            way: WayOptions::default(),
            pace: PaceOptions::default(),
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
        at_least_one("connecting", self.pace.connecting)?;
        if let Some(Elsewhere::Unix(_)) = self.way.connect_to {
            let given = [
                ("--proxy", self.way.proxy.is_some()),
                ("--source", !self.way.source.is_empty()),
            ];
            let why = "is for the network; a unix socket of --connect-to is none";
            refuse_given(&given, why)?;
        }
        let greeting = &self.greeting;
        if self.protocol() != Protocol::Websocket {
            let given = [
                ("--header", !self.headers.is_empty()),
                ("--subprotocol", !self.subprotocols.is_empty()),
                ("--deflate", self.deflate),
                ("--greeting", greeting.greeting > 0),
                ("--first-message", greeting.first_message.is_some()),
                ("--answer", greeting.answer.is_some()),
            ];
            refuse_given(&given, "needs WebSocket")?;
        }
        if self.deflate && (greeting.greeting > 0 || greeting.answer.is_some()) {
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
    fn ways_that_exclude_one_another_are_refused() {
        let mut options = options(&["ws://h"]);
        options.way.connect_to = Some(Elsewhere::parse("unix:/a/socket").unwrap());
        assert!(options.check().is_ok());
        options.way.source = vec!["127.0.0.1".parse().unwrap()];
        let error = options.check().unwrap_err();
        assert!(error.0.contains("--source is for the network"), "{error}");
    }
}
