//! Makes connections and takes leave of them: one at a time, blocking, with deadlines.
//!
//! `opening` is the sans-IO half, for those who do not want to wait; `address` makes the sockets.

mod address;
pub(crate) mod greeting;
mod opening;
pub(crate) mod options;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::Socket;

use self::address::Place;
use self::greeting::{Greeting, GreetingOptions};
use crate::dial::options::TargetOptions;
use crate::echo::connection::{Connection, Turn};
use crate::link::{Link, client_config, server_name};
use crate::payload::Random;
use crate::target::{Protocol, Target};
use crate::usage::UsageError;
use crate::wire::failure::Failure;
use crate::wire::handshake::Handshake;
use crate::wire::handshake::offer::Offer;

pub(crate) use self::opening::{Agreed, Opened, Opening};

/// How long connecting, then the handshakes, and in the end the leave may take, each.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What is offered by ALPN (RFC 7301) before an upgrade: there is none in HTTP/2 as spoken here.
const ALPN: &str = "http/1.1";

/// Makes connections to one or several targets.
pub(crate) struct Dialer {
    routes: Vec<Route>,
    protocol: Protocol,
    offer: Arc<Offer>,
    greeting: GreetingOptions,
}

/// The way to one target.
struct Route {
    target: Target,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    addresses: Vec<SocketAddr>,
    /// The first address that answered; all later connections go there.
    chosen: OnceLock<SocketAddr>,
}

/// An open connection.
pub(crate) struct Dialed {
    /// The socket: blocking, reads and writes limited to five seconds, TCP_NODELAY.
    pub(crate) stream: TcpStream,
    /// What its bytes pass through.
    pub(crate) link: Link,
    /// Plaintext that came behind the handshake's answer.
    pub(crate) early: Vec<u8>,
    /// What was settled with the server.
    pub(crate) agreed: Agreed,
}

impl Dialed {
    /// Closes the connection in good order: sends what is due, an echo first if asked for, and
    /// reads until all is said.
    pub(crate) fn leave(self, echo: bool, turn: &mut Turn<'_>) -> Result<(), Failure> {
        let Dialed {
            mut stream,
            mut link,
            early,
            agreed,
        } = self;
        let mut connection = Connection::with(agreed.deflate.as_ref());
        if echo {
            connection.fill(turn);
        }
        connection.drain(turn);
        if !early.is_empty() {
            connection.receive(&early, turn)?;
        }
        let deadline = Instant::now() + DIAL_TIMEOUT;
        let mut buffer = [0; 4096];
        let mut plain = Vec::new();
        let mut wire = Vec::new();
        loop {
            wire.clear();
            link.wire_out(&mut wire);
            if let Some(bytes) = connection.outgoing(turn.now) {
                let length = bytes.len();
                link.send(bytes, &mut wire)?;
                connection.outbox().sent(length);
            }
            if connection.is_closed() {
                link.close(&mut wire);
                // All is said; a server that has closed already misses nothing.
                let _ = stream.write_all(&wire);
                return Ok(());
            }
            stream
                .write_all(&wire)
                .map_err(|error| Failure::Io("sending", error))?;
            if Instant::now() >= deadline {
                return Err(Failure::Protocol(format!(
                    "it did not come to an end within {} seconds",
                    DIAL_TIMEOUT.as_secs()
                )));
            }
            match stream.read(&mut buffer) {
                Ok(0) => {
                    connection.end_of_stream()?;
                    return Ok(());
                }
                Ok(bytes) => {
                    plain.clear();
                    link.receive(&buffer[..bytes], &mut plain)?;
                    connection.receive(&plain, turn)?;
                    if link.is_ended() && !connection.is_closed() {
                        connection.end_of_stream()?;
                    }
                }
                // Interrupted, or out of time: the deadline judges.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted
                            | io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(Failure::Io("waiting for the server's answer", error)),
            }
        }
    }
}

impl Dialer {
    /// Reads the certificates to trust, where TLS is spoken, and resolves every host. A
    /// [`UsageError`] if the options cannot be followed.
    pub(crate) fn from_options(options: &TargetOptions) -> anyhow::Result<Dialer> {
        options.check()?;
        let protocol = options.protocol();
        let mut tls = None;
        if options.urls.iter().any(|target| target.tls) {
            let protocols: &[&str] = match protocol {
                Protocol::Websocket => &[ALPN],
                Protocol::Tcp => &[],
            };
            tls = Some(client_config(&options.tls.trust(), protocols)?);
        }
        let routes = options
            .urls
            .iter()
            .map(|target| Route::new(target.clone(), tls.as_ref()))
            .collect::<anyhow::Result<_>>()?;
        Ok(Dialer {
            routes,
            protocol,
            offer: Arc::new(options.offer()),
            greeting: options.greeting.clone(),
        })
    }

    /// What is spoken.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The address in use for the first URL, once a connection to it has been made.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.routes[0].chosen.get().copied()
    }

    /// The addresses in use, in the order of the URLs; one that no connection has been made to is
    /// left out.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.routes
            .iter()
            .filter_map(|route| route.chosen.get().copied())
            .collect()
    }

    /// How many URLs there are: connection `ordinal` goes to number `ordinal` modulo this.
    pub(crate) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Makes connection number `ordinal` of the run, ready for its first message.
    pub(crate) fn dial(&self, ordinal: usize, random: &mut Random) -> Result<Dialed, Failure> {
        let stream = self.connect(ordinal)?;
        let opening = self.opening(ordinal, random)?;
        let opened = open(&stream, opening)?;
        Ok(Dialed {
            stream,
            link: opened.link,
            early: opened.early,
            agreed: opened.agreed,
        })
    }

    /// Starts connection number `ordinal` without waiting: the socket becomes writable once it
    /// stands, and then [`Dialer::opening`] opens it. Goes to the address that an earlier
    /// [`Dialer::dial`] to the same URL found, or else to the host's first.
    pub(crate) fn begin(&self, ordinal: usize) -> io::Result<Socket> {
        let place = self.place(ordinal);
        let route = &self.routes[place.route];
        let address = route.chosen.get().unwrap_or(&route.addresses[0]);
        address::begin(*address, place)
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
        Ok(Opening::new(link, upgrade).greeted(greeting))
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

    fn connect(&self, ordinal: usize) -> Result<TcpStream, Failure> {
        let place = self.place(ordinal);
        let route = &self.routes[place.route];
        let candidates = route
            .chosen
            .get()
            .map_or(&route.addresses[..], std::slice::from_ref);
        let mut failure = None;
        for address in candidates {
            match address::connect(*address, place) {
                Ok(stream) => {
                    route.chosen.get_or_init(|| *address);
                    return Ok(stream);
                }
                // The first address's error tells most: later ones are fallbacks.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let error = failure.unwrap_or_else(|| io::Error::other("the host has no address"));
        Err(match error.kind() {
            io::ErrorKind::AddrNotAvailable => Failure::Io(
                "connecting (no source port is free: closed connections hold theirs for a minute)",
                error,
            ),
            _ => Failure::Io("connecting", error),
        })
    }
}

impl Route {
    fn new(target: Target, tls: Option<&Arc<ClientConfig>>) -> anyhow::Result<Route> {
        let tls = match tls {
            Some(config) if target.tls => {
                let name = server_name(&target.host)
                    .map_err(|UsageError(what)| UsageError(format!("{}: {what}", target.url)))?;
                Some((Arc::clone(config), name))
            }
            _ => None,
        };
        let addresses = target
            .resolve()
            .with_context(|| format!("resolving {:?}", target.host))?;
        anyhow::ensure!(
            !addresses.is_empty(),
            "resolving {:?}: the host has no address",
            target.host
        );
        Ok(Route {
            target,
            tls,
            addresses,
            chosen: OnceLock::new(),
        })
    }
}

/// Goes through `opening` on a socket that blocks.
fn open(mut stream: &TcpStream, mut opening: Opening) -> Result<Opened, Failure> {
    let deadline = Instant::now() + DIAL_TIMEOUT;
    let seconds = DIAL_TIMEOUT.as_secs();
    let mut wire = Vec::new();
    let mut buffer = [0; 4096];
    let mut progress = opening.begin(&mut wire);
    loop {
        // After a failure it is the alert that tells the server why, and may come too late.
        let written = stream.write_all(&wire);
        if let Some(opened) = progress? {
            written.map_err(|error| Failure::Io("during the handshake", error))?;
            return Ok(opened);
        }
        written.map_err(|error| Failure::Io("during the handshake", error))?;
        wire.clear();
        if Instant::now() >= deadline {
            return Err(opening.out_of_time(seconds));
        }
        progress = match stream.read(&mut buffer) {
            Ok(0) => Err(opening.end_of_stream()),
            Ok(bytes) => opening.receive(&buffer[..bytes], &mut wire),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(None),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    Err(opening.out_of_time(seconds))
                }
                _ => Err(Failure::Io("during the handshake", error)),
            },
        };
    }
}

#[cfg(test)]
mod tests;
