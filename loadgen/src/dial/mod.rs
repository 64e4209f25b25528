//! The way from a URL to an open connection, as far as it needs no waiting: who goes where, and what is said
//! first.
//!
//! `address` makes the sockets, `opening` is what is said over them, sans-IO, and `standing` counts.

pub(crate) mod address;
pub(crate) mod greeting;
mod opening;
pub(crate) mod options;
mod proxy;
pub(crate) mod standing;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::Socket;

use self::address::{Elsewhere, Peer};
use self::greeting::Greeting;
use self::proxy::Tunnel;
use crate::dial::options::{PaceOptions, TargetOptions, WayOptions};
use crate::link::{Link, client_config, server_name};
use crate::payload::Random;
use crate::target::{Protocol, Target, resolve};
use crate::usage::UsageError;
use crate::wire::failure::Failure;
use crate::wire::handshake::Handshake;
use crate::wire::handshake::offer::Offer;

pub(crate) use self::opening::{Opened, Opening};

/// What is offered by ALPN (RFC 7301) before an upgrade: there is none in HTTP/2 as spoken here.
const ALPN: &str = "http/1.1";

/// Begins connections to one or several targets.
pub(crate) struct Dialer {
    options: TargetOptions,
    /// By the place of their URLs in the options.
    routes: Vec<Route>,
    offer: Arc<Offer>,
}

/// The way to one target.
struct Route {
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Where its sockets may go.
    peers: Vec<Peer>,
    /// What a proxy is asked first.
    request: Option<Vec<u8>>,
    /// The first of the peers that answered; all later connections go there.
    chosen: OnceLock<usize>,
}

impl Dialer {
    /// Reads the certificates, where TLS is spoken, and resolves every host. A [`UsageError`] if the options
    /// cannot be followed.
    pub(crate) fn from_options(options: &TargetOptions) -> anyhow::Result<Dialer> {
        options.check()?;
        let mut tls = None;
        if options.urls.iter().any(|target| target.tls) {
            let protocols: &[&str] = match options.protocol() {
                Protocol::Websocket => &[ALPN],
                Protocol::Tcp => &[],
            };
            tls = Some(client_config(&options.tls, protocols)?);
        }
        let urls = options.urls.iter();
        let routes = urls.map(|target| Route::new(target, tls.as_ref(), &options.way));
        Ok(Dialer {
            options: options.clone(),
            routes: routes.collect::<anyhow::Result<_>>()?,
            offer: Arc::new(options.offer()),
        })
    }

    /// What is spoken.
    pub(crate) fn protocol(&self) -> Protocol {
        self.options.protocol()
    }

    /// How fast connections are to be opened.
    pub(crate) fn pace(&self) -> &PaceOptions {
        &self.options.pace
    }

    /// Where connections go, in the order of the URLs; one that none has been made to is left out.
    pub(crate) fn addresses(&self) -> Vec<&Peer> {
        self.routes.iter().filter_map(Route::in_use).collect()
    }

    /// How many URLs there are: connection `ordinal` goes to number `ordinal` modulo this.
    pub(crate) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Starts connection number `ordinal` without waiting: the socket becomes writable once it stands, and then
    /// [`Dialer::opening`] opens it. A host may have several addresses: `last` is the one at which it came to
    /// nothing before. Hands back the address tried now; an error if there is no other.
    pub(crate) fn begin(
        &self,
        ordinal: usize,
        mut last: Option<usize>,
    ) -> Result<(usize, Socket), Failure> {
        let (route, routes) = (self.route(ordinal), self.routes());
        let mut failure = None;
        while let Some(next) = route.next(last) {
            let peer = &route.peers[next];
            match address::begin(peer, ordinal, routes, &self.options.way.source) {
                Ok(socket) => return Ok((next, socket)),
                // The first address's error tells most: later ones are fallbacks.
                Err(error) => failure = failure.or(Some(error)),
            }
            last = Some(next);
        }
        Err(failure.unwrap_or_else(|| Failure::Refused("the host has no address".to_owned())))
    }

    /// Connection `ordinal` stands at this address: later ones go there, too.
    pub(crate) fn stands(&self, ordinal: usize, address: usize) {
        self.route(ordinal).chosen.get_or_init(|| address);
    }

    /// What opens connection number `ordinal` once its socket stands.
    pub(crate) fn opening(&self, ordinal: usize, random: &mut Random) -> Result<Opening, Failure> {
        let route = self.route(ordinal);
        let link = match &route.tls {
            None => Link::default(),
            Some((config, name)) => Link::tls(Arc::clone(config), name.clone())?,
        };
        let upgrade = match self.protocol() {
            Protocol::Tcp => None,
            Protocol::Websocket => Some(self.upgrade(ordinal, random)),
        };
        let mut opening = Opening::new(link, upgrade);
        opening.tunnel = route.request.clone().map(Tunnel::new);
        opening.greeting = Greeting::of(&self.options.greeting, random);
        Ok(opening)
    }

    fn upgrade(&self, ordinal: usize, random: &mut Random) -> (Vec<u8>, Handshake) {
        let mut nonce = [0; 16];
        random.fill(&mut nonce);
        let target = &self.options.urls[ordinal % self.routes()];
        Handshake::begin(&target.authority, &target.path, &self.offer, nonce)
    }

    fn route(&self, ordinal: usize) -> &Route {
        &self.routes[ordinal % self.routes()]
    }
}

impl Route {
    fn new(
        target: &Target,
        tls: Option<&Arc<ClientConfig>>,
        way: &WayOptions,
    ) -> anyhow::Result<Route> {
        let tls = match tls {
            Some(config) if target.tls => {
                let wrong = |UsageError(what)| UsageError(format!("{}: {what}", target.url));
                let name = server_name(&target.host).map_err(wrong)?;
                Some((Arc::clone(config), name))
            }
            _ => None,
        };
        let (host, port) = match &way.connect_to {
            Some(Elsewhere::Network(host, port)) => (host.as_str(), *port),
            _ => (target.host.as_str(), target.port),
        };
        let request = way.proxy.as_ref().map(|proxy| proxy.request(host, port));
        let peers = match (&way.connect_to, &way.proxy) {
            (Some(Elsewhere::Unix(path)), _) => vec![Peer::Unix(path.clone())],
            (_, Some(proxy)) => peers(&proxy.host, proxy.port, &way.source)?,
            _ => peers(host, port, &way.source)?,
        };
        Ok(Route {
            tls,
            peers,
            request,
            chosen: OnceLock::new(),
        })
    }

    fn in_use(&self) -> Option<&Peer> {
        Some(&self.peers[*self.chosen.get()?])
    }

    /// The peer to try after `last`.
    fn next(&self, last: Option<usize>) -> Option<usize> {
        match self.chosen.get() {
            Some(&chosen) => (last != Some(chosen)).then_some(chosen),
            None => {
                let next = last.map_or(0, |last| last + 1);
                (next < self.peers.len()).then_some(next)
            }
        }
    }
}

/// The addresses of `host`, of those kinds that there is a source of.
fn peers(host: &str, port: u16, sources: &[IpAddr]) -> anyhow::Result<Vec<Peer>> {
    let mut addresses = resolve(host, port).with_context(|| format!("resolving {host:?}"))?;
    anyhow::ensure!(
        !addresses.is_empty(),
        "resolving {host:?}: the host has no address"
    );
    addresses.retain(|address| {
        sources.is_empty() || sources.iter().any(|it| it.is_ipv4() == address.is_ipv4())
    });
    if addresses.is_empty() {
        let what = format!(
            "--source: {host:?} has no address of that kind; give one of the other (IPv4, IPv6)"
        );
        return Err(UsageError(what).into());
    }
    Ok(addresses.into_iter().map(Peer::Network).collect())
}

#[cfg(test)]
mod tests;
