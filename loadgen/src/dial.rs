//! Makes connections and takes leave of them: one at a time, blocking, with deadlines.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use socket2::{Domain, Protocol as TransportProtocol, Socket, Type};

use crate::echo::connection::{Connection, Turn};
use crate::echo::failure::Failure;
use crate::echo::handshake::{Handshake, Progress};
use crate::echo::payload::Random;
use crate::target::{Protocol, Target};

/// How long connecting, and then each step of the handshake, may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections per source address: fewer than the 28,232 ports of Linux's default ephemeral
/// range, so that those left by an earlier run in TIME_WAIT do no harm.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// Makes connections to one target.
pub(crate) struct Dialer {
    target: Target,
    protocol: Protocol,
    addresses: Vec<SocketAddr>,
    /// The first address that answered; all later connections go there.
    chosen: OnceLock<SocketAddr>,
}

/// An open connection.
pub(crate) struct Dialed {
    /// The socket: blocking, reads and writes limited to five seconds, TCP_NODELAY.
    pub(crate) stream: TcpStream,
    /// Bytes that came behind the handshake's answer.
    pub(crate) early: Vec<u8>,
}

impl Dialed {
    /// Closes the connection in good order: sends what is due, an echo first if asked for, and
    /// reads until all is said.
    pub(crate) fn leave(self, echo: bool, turn: &mut Turn<'_>) -> Result<(), Failure> {
        let Dialed { mut stream, early } = self;
        let mut connection = Connection::new();
        if echo {
            connection.fill(turn);
        }
        connection.drain(turn);
        if !early.is_empty() {
            connection.receive(&early, turn)?;
        }
        let mut buffer = [0; 4096];
        loop {
            if let Some(bytes) = connection.outbox().begin() {
                let length = bytes.len();
                stream
                    .write_all(bytes)
                    .map_err(|error| Failure::Io("sending", error))?;
                connection.outbox().sent(length);
            }
            if connection.is_closed() {
                return Ok(());
            }
            match stream.read(&mut buffer) {
                Ok(0) => return connection.end_of_stream(),
                Ok(bytes) => connection.receive(&buffer[..bytes], turn)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Io("waiting for the server's answer", error)),
            }
        }
    }
}

impl Dialer {
    /// Resolves the target's host.
    pub(crate) fn new(target: Target, protocol: Protocol) -> io::Result<Dialer> {
        let addresses = target.resolve()?;
        if addresses.is_empty() {
            return Err(io::Error::other("the host has no address"));
        }
        Ok(Dialer {
            target,
            protocol,
            addresses,
            chosen: OnceLock::new(),
        })
    }

    /// What is spoken.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The address in use, once a connection has been made.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.chosen.get().copied()
    }

    /// Makes connection number `ordinal` of the run, ready for its first message.
    pub(crate) fn dial(&self, ordinal: usize, random: &mut Random) -> Result<Dialed, Failure> {
        let stream = self.connect(ordinal)?;
        if self.protocol == Protocol::Tcp {
            return Ok(Dialed {
                stream,
                early: Vec::new(),
            });
        }
        let early = self.shake_hands(&stream, random)?;
        Ok(Dialed { stream, early })
    }

    /// Starts connection number `ordinal` without waiting: the socket becomes writable once it
    /// stands. Goes to the address that an earlier [`Dialer::dial`] found.
    pub(crate) fn begin(&self, ordinal: usize) -> io::Result<Socket> {
        let address = self.address().unwrap_or(self.addresses[0]);
        let socket = socket_for(address, ordinal)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(socket),
        }
    }

    /// An opening handshake with the target: the request, and what waits for its answer.
    pub(crate) fn handshake(&self, random: &mut Random) -> (Vec<u8>, Handshake) {
        let mut nonce = [0; 16];
        random.fill(&mut nonce);
        Handshake::begin(&self.target.authority, &self.target.path, nonce)
    }

    fn connect(&self, ordinal: usize) -> Result<TcpStream, Failure> {
        let candidates = self
            .chosen
            .get()
            .map_or(&self.addresses[..], std::slice::from_ref);
        let mut failure = None;
        for address in candidates {
            match connect_to(*address, ordinal) {
                Ok(stream) => {
                    self.chosen.get_or_init(|| *address);
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

    fn shake_hands(&self, stream: &TcpStream, random: &mut Random) -> Result<Vec<u8>, Failure> {
        let (request, mut handshake) = self.handshake(random);
        let io_failure = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Refused(format!(
                "the server did not answer within {} seconds",
                DIAL_TIMEOUT.as_secs()
            )),
            _ => Failure::Io("during the handshake", error),
        };
        let mut stream = stream;
        stream.write_all(&request).map_err(io_failure)?;
        let mut buffer = [0; 4096];
        loop {
            let bytes = match stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(io_failure)?,
            };
            if bytes == 0 {
                return Err(handshake.end_of_stream());
            }
            if let Progress::Open(early) = handshake.receive(&buffer[..bytes])? {
                return Ok(early);
            }
        }
    }
}

fn connect_to(address: SocketAddr, ordinal: usize) -> io::Result<TcpStream> {
    let socket = socket_for(address, ordinal)?;
    socket.connect_timeout(&address.into(), DIAL_TIMEOUT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(DIAL_TIMEOUT))?;
    socket.set_write_timeout(Some(DIAL_TIMEOUT))?;
    Ok(socket.into())
}

fn socket_for(address: SocketAddr, ordinal: usize) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(TransportProtocol::TCP),
    )?;
    if let Some(source) = loopback_source(address.ip(), ordinal) {
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    }
    Ok(socket)
}

/// The source address for a connection beyond the first 20,000 to a target in 127.0.0.0/8:
/// every address of that network is the local host's, and each has ports of its own.
fn loopback_source(target: IpAddr, ordinal: usize) -> Option<Ipv4Addr> {
    let IpAddr::V4(target) = target else {
        return None;
    };
    let block = (ordinal / CONNECTIONS_PER_SOURCE) as u32;
    if !target.is_loopback() || block == 0 {
        return None;
    }
    let first = u32::from(Ipv4Addr::LOCALHOST);
    Some(Ipv4Addr::from(first + block % 0x00ff_fffd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_spread_over_the_loopback_network_only() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(loopback_source(local, 19_999), None);
        assert_eq!(
            loopback_source(local, 20_000),
            Some(Ipv4Addr::new(127, 0, 0, 2))
        );
        assert_eq!(
            loopback_source(local, 65_000),
            Some(Ipv4Addr::new(127, 0, 0, 4))
        );
        assert_eq!(
            loopback_source(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 99_999),
            None
        );
        assert_eq!(loopback_source("::1".parse().unwrap(), 99_999), None);
    }
}
