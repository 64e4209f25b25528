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

use self::address::{Elsewhere, Peer, Place};
use self::greeting::{Greeting, GreetingOptions};
use crate::dial::options::{PaceOptions, TargetOptions, WayOptions};
use crate::link::{Link, client_config, server_name};
use crate::payload::Random;
use crate::target::{Protocol, Target, resolve};
use crate::usage::UsageError;
use crate::wire::failure::Failure;
use crate::wire::handshake::Handshake;
use crate::wire::handshake::offer::Offer;

pub(crate) use self::opening::{Agreed, Opened, Opening};

/// What is offered by ALPN (RFC 7301) before an upgrade: there is none in HTTP/2 as spoken here.
const ALPN: &str = "http/1.1";

/// Begins connections to one or several targets.
pub(crate) struct Dialer {
    routes: Vec<Route>,
    protocol: Protocol,
    offer: Arc<Offer>,
    greeting: GreetingOptions,
    sources: Vec<IpAddr>,
    pace: PaceOptions,
}

/// The way to one target.
struct Route {
    target: Target,
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
        let protocol = options.protocol();
        let mut tls = None;
        if options.urls.iter().any(|target| target.tls) {
            let protocols: &[&str] = match protocol {
                Protocol::Websocket => &[ALPN],
                Protocol::Tcp => &[],
            };
            let identity = options.tls.identity();
            let config = client_config(&options.tls.trust(), identity.as_ref(), protocols)?;
            tls = Some(config);
        }
        let routes = options
            .urls
            .iter()
            .map(|target| Route::new(target.clone(), tls.as_ref(), &options.way))
            .collect::<anyhow::Result<_>>()?;
        Ok(Dialer {
            routes,
            protocol,
            offer: Arc::new(options.offer()),
            greeting: options.greeting.clone(),
            sources: options.way.source.clone(),
            pace: options.pace.clone(),
        })
    }

    /// What is spoken.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How fast connections are to be opened.
    pub(crate) fn pace(&self) -> &PaceOptions {
        &self.pace
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
    /// nothing before. Hands back the address tried now, or `None` if there is no other.
    pub(crate) fn begin(
        &self,
        ordinal: usize,
        mut last: Option<usize>,
    ) -> Option<Result<(usize, Socket), Failure>> {
        let place = self.place(ordinal);
        let route = &self.routes[place.route];
        let mut failure = None;
        while let Some(next) = route.next(last) {
            match address::begin(&route.peers[next], place, &self.sources) {
                Ok(socket) => return Some(Ok((next, socket))),
                // The first address's error tells most: later ones are fallbacks.
                Err(error) => failure = failure.or(Some(error)),
            }
            last = Some(next);
        }
        failure.map(Err)
    }

    /// Connection `ordinal` stands at this address: later ones go there, too.
    pub(crate) fn stands(&self, ordinal: usize, address: usize) {
        let route = &self.routes[self.place(ordinal).route];
        route.chosen.get_or_init(|| address);
    }

    /// What opens connection number `ordinal` once its socket stands.
    pub(crate) fn opening(&self, ordinal: usize, random: &mut Random) -> Result<Opening, Failure> {
        let route = &self.routes[self.place(ordinal).route];
        let link = match &route.tls {
            None => Link::Plain,
            Some((config, name)) => Link::tls(Arc::clone(config), name.clone())?,
        };
        let upgrade = match self.protocol {
            Protocol::Tcp => None,
            Protocol::Websocket => Some(self.upgrade(route, random)),
        };
        let greeting = Greeting::of(&self.greeting, random);
        Ok(Opening::new(link, upgrade)
            .through(route.request.clone())
            .greeted(greeting))
    }

    fn upgrade(&self, route: &Route, random: &mut Random) -> (Vec<u8>, Handshake) {
        let mut nonce = [0; 16];
        random.fill(&mut nonce);
        let target = &route.target;
        Handshake::begin(&target.authority, &target.path, &self.offer, nonce)
    }

    fn place(&self, ordinal: usize) -> Place {
        Place::of(ordinal, self.routes.len())
    }
}

impl Route {
    fn new(
        target: Target,
        tls: Option<&Arc<ClientConfig>>,
        way: &WayOptions,
    ) -> anyhow::Result<Route> {
        let tls = match tls {
            Some(config) if target.tls => {
                let name = server_name(&target.host)
                    .map_err(|UsageError(what)| UsageError(format!("{}: {what}", target.url)))?;
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
            target,
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
