//! Where to connect and what to speak: the same for every command that makes connections.

use std::path::PathBuf;

use clap::Args;

use crate::target::{Protocol, Target};

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

    /// Certificates, in PEM, to trust instead of the system's for wss://
    #[arg(long, value_name = "FILE", conflicts_with = "tls_insecure")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Trust any certificate: only for a server that you know to be the right one
    #[arg(long)]
    pub(crate) tls_insecure: bool,

    /// A header of the upgrade request; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,

    /// A subprotocol to offer; repeatable. The server must take one of them
    #[arg(long = "subprotocol", value_name = "NAME")]
    pub(crate) subprotocols: Vec<String>,

    /// Offer permessage-deflate (RFC 7692) and compress messages; the server must accept
    #[arg(long)]
    pub(crate) deflate: bool,
}

impl TargetOptions {
    /// The protocol in force.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(self.urls[0].protocol)
    }
}
