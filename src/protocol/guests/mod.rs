//! Who may come, and who it is that came.
//!
//! | file | what it answers |
//! |---|---|
//! | `names.rs` | whether a host or an origin is one of those that are allowed |
//! | `secrets.rs` | whether somebody shows a secret of a private instance |
//! | `forwarded.rs` | whom a proxy has behind it |
//! | `sources.rs` | how many come from one address, and how fast |
//! | `asker.rs` | which of them ordinary HTTP takes |
//! | `rate.rs` | so many in so long a time |
//! | `pace.rs` | how fast what comes is taken in |
//! | `visit.rs` | what is told of somebody who goes |
//!
//! Addresses are values here (`core::net`): nothing is known of sockets.

mod asker;
mod forwarded;
mod names;
mod pace;
mod rate;
mod secrets;
mod sources;
mod visit;

use core::net::{IpAddr, SocketAddr};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::Moment;
use super::carried::{Damage, Reader, Writer};
use super::handshake::{Refusal, request_line};

pub use asker::Asker;
pub use forwarded::Told;
pub use names::{Fault, HostRule, OriginRule};
pub use pace::{Pace, Tokens};
pub use rate::Rate;
pub use secrets::{BEARER_SUBPROTOCOL, Secrets};
pub use sources::{Limits, Seat, Sources};
pub use visit::Visit;

/// Who may come, and how much each may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guests {
    /// Pages of which origins may ask; none named: all. A request without an origin does not come from a page of another
    /// one, and may always.
    pub origins: Vec<OriginRule>,
    /// By which names the server may be called; none named: any.
    pub hosts: Vec<HostRule>,
    /// At which paths WebSockets are echoed, without a slash at their ends; none named: everywhere.
    pub paths: Vec<String>,
    /// Who may use what is here; none: everyone.
    pub secrets: Option<Secrets>,
    /// Whose word is taken for whom they have behind them.
    pub proxies: Vec<IpNet>,
    /// Load balancers whose connections begin with a header of the PROXY protocol.
    pub balancers: Vec<IpNet>,
    /// How many connections there may be from each source, and how fast they may come; none: any number.
    pub sources: Option<Arc<Sources>>,
    /// How fast what comes on a connection is taken in.
    pub pace: Pace,
}

impl Guests {
    /// Whether something has to be known of whoever comes: its address, or what it has sent.
    pub fn are_noted(&self) -> bool {
        self.ask_for_address() || self.pace.is_limited()
    }

    /// Whether whoever comes has to be asked for its address.
    pub fn ask_for_address(&self) -> bool {
        self.sources.is_some() || !self.proxies.is_empty() || !self.balancers.is_empty()
    }

    /// Whether the word of whoever has this address is taken for whom he has behind him.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&address))
    }

    /// Whether connections from this address begin with a header of the PROXY protocol.
    fn is_balancer(&self, address: IpAddr) -> bool {
        self.balancers.iter().any(|net| net.contains(&address))
    }

    /// What `peer` says of the client behind it in a request with this whole `head`; of one that is no trusted proxy,
    /// nothing.
    pub fn told(&self, peer: IpAddr, head: &[u8]) -> Told {
        let fields = request_line(head).map(|(_, fields)| fields);
        match fields.filter(|_| self.is_proxy(peer)) {
            Some(fields) => forwarded::read(fields, |address| self.is_proxy(address)),
            None => Told::default(),
        }
    }
}

/// Where somebody comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub socket: SocketAddr,
    /// Whom it has behind it, as a trusted proxy says.
    pub forwarded: Option<IpAddr>,
}

impl Peer {
    /// The client's address: with a port, unless a proxy told it.
    pub fn client(&self) -> String {
        match self.forwarded {
            Some(address) => address.to_string(),
            None => self.socket.to_string(),
        }
    }

    /// The client's address alone.
    pub fn address(&self) -> IpAddr {
        self.forwarded.unwrap_or(self.socket.ip())
    }
}

impl From<SocketAddr> for Peer {
    fn from(socket: SocketAddr) -> Self {
        Peer {
            socket,
            forwarded: None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.forwarded {
            Some(address) => write!(f, "{address} by {}", self.socket),
            None => self.socket.fmt(f),
        }
    }
}

/// What is known of whoever is at the other end of a connection, where somebody wants to know.
#[derive(Debug, Default)]
pub struct Guest {
    peer: Option<Peer>,
    /// Its place among the connections of its source.
    seat: Option<Seat>,
    /// There was none.
    is_turned_away: bool,
    /// It is a load balancer that has not said yet whom it has behind it.
    awaits_introduction: bool,
    /// How many bytes were in front of what the client sent.
    preface_bytes: usize,
    /// What is told of it when it goes; none: nothing.
    pub(crate) visit: Option<Visit>,
    /// What it may still send.
    pub(crate) tokens: Tokens,
    /// Until when nothing is taken in.
    pub(crate) rests_until: Option<Moment>,
}

impl Guest {
    /// Somebody has come from there, and takes a place. Who is behind a load balancer or a trusted proxy takes it once that
    /// has said who it is: [`Guest::introduce`], [`Guest::enter`].
    pub fn arrive(guests: &Guests, socket: Option<SocketAddr>) -> Self {
        let mut guest = Guest {
            peer: socket.map(Peer::from),
            ..Guest::default()
        };
        guest.awaits_introduction = socket.is_some_and(|it| guests.is_balancer(it.ip()));
        guest.take_place_unless_proxy(guests);
        guest
    }

    /// The load balancer at the other end has said, in so many bytes, that the connection comes from there; none: from
    /// itself, or nobody knows.
    pub fn introduce(&mut self, guests: &Guests, socket: Option<SocketAddr>, bytes: usize) {
        self.awaits_introduction = false;
        self.preface_bytes = bytes;
        self.peer = socket.map(Peer::from).or(self.peer);
        self.take_place_unless_proxy(guests);
    }

    /// Whether it is a load balancer that has still to say whom it has behind it.
    pub fn awaits_introduction(&self) -> bool {
        self.awaits_introduction
    }

    /// How many bytes a load balancer has put in front of what the client sent.
    pub fn preface_bytes(&self) -> usize {
        self.preface_bytes
    }

    fn take_place_unless_proxy(&mut self, guests: &Guests) {
        let is_for_itself = |peer: &Peer| !guests.is_proxy(peer.address());
        let peer = self.peer.filter(is_for_itself);
        if let Some(peer) = peer.filter(|_| !self.awaits_introduction) {
            self.take_place(guests, peer);
        }
    }

    fn take_place(&mut self, guests: &Guests, peer: Peer) {
        if let Some(sources) = &guests.sources {
            self.seat = sources.enter(peer.address());
            self.is_turned_away = self.seat.is_none();
        }
    }

    /// Where it comes from.
    pub fn peer(&self) -> Option<Peer> {
        self.peer
    }

    /// It comes from there, where nothing else is known.
    pub fn know(&mut self, peer: impl FnOnce() -> Option<Peer>) {
        self.peer = self.peer.or_else(peer);
    }

    /// Whether there is no place for it.
    pub fn is_turned_away(&self) -> bool {
        self.is_turned_away
    }

    /// Takes note of what it says in a request of the client that it has behind it, if it is a trusted proxy. What it
    /// says.
    pub fn hear(&mut self, guests: &Guests, head: &[u8]) -> Told {
        let Some(peer) = &mut self.peer else {
            return Told::default();
        };
        let told = guests.told(peer.socket.ip(), head);
        peer.forwarded = told.address;
        told
    }

    /// Takes a place for the client that a proxy has behind it, for as long as the connection lasts. Where the proxy does
    /// not say who that is, it is its own.
    ///
    /// # Errors
    /// Where there is none.
    pub fn enter(&mut self, guests: &Guests) -> Result<(), Refusal> {
        if let Some(peer) = self.peer.filter(|_| self.seat.is_none()) {
            self.take_place(guests, peer);
        }
        if self.is_turned_away {
            return Err(Refusal::TooMany);
        }
        Ok(())
    }

    /// Writes where it comes from, and what was in front, for another owner.
    pub fn write(guest: Option<&Guest>, writer: &mut Writer) {
        let peer = guest.and_then(Guest::peer);
        let socket = peer.map(|peer| peer.socket.to_string());
        let forwarded = peer
            .and_then(|peer| peer.forwarded)
            .map(|it| it.to_string());
        for text in [socket, forwarded] {
            writer.bytes(text.unwrap_or_default().as_bytes());
        }
        writer.flag(guest.is_some_and(|guest| guest.seat.is_some()));
        let preface_bytes = guest.map_or(0, |guest| guest.preface_bytes);
        writer.u64(preface_bytes as u64);
    }

    /// Reads what [`Guest::write`] wrote. It is there already, so it keeps its place whatever the limits are. Where it was
    /// `brought` along within the process, it stays what it is.
    ///
    /// # Errors
    /// Where that is no address.
    pub fn read(
        reader: &mut Reader<'_>,
        guests: Option<&Guests>,
        brought: Option<Box<Self>>,
    ) -> Result<Option<Box<Self>>, Damage> {
        let socket = text(reader, "peer")?.map(str::parse::<SocketAddr>);
        let socket = socket.transpose().map_err(|_| Damage::value("peer"))?;
        let forwarded = text(reader, "forwarded")?.map(str::parse::<IpAddr>);
        let forwarded = forwarded
            .transpose()
            .map_err(|_| Damage::value("forwarded"))?;
        let is_seated = reader.flag("seated")?;
        let preface_bytes = u16::try_from(reader.u64("preface bytes")?)
            .map_err(|_| Damage::value("preface bytes"))?;
        if let Some(mut guest) = brought {
            // What it owes it still does.
            guest.rests_until = None;
            return Ok(Some(guest));
        }
        let peer = socket.map(|socket| Peer { socket, forwarded });
        if peer.is_none() && !guests.is_some_and(|guests| guests.pace.is_limited()) {
            return Ok(None);
        }
        let sources = guests.and_then(|guests| guests.sources.as_ref());
        let seat = sources.zip(peer).filter(|_| is_seated);
        Ok(Some(Box::new(Guest {
            peer,
            seat: seat.map(|(sources, peer)| sources.stay(peer.address())),
            preface_bytes: preface_bytes.into(),
            ..Guest::default()
        })))
    }
}

/// The longest text of an address with a port, in bytes.
const ADDRESS_BYTES_MAX: usize = 64;

fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<Option<&'a str>, Damage> {
    let text = std::str::from_utf8(reader.bytes(field, ADDRESS_BYTES_MAX)?);
    let text = text.map_err(|_| Damage::value(field))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has come on the wire is counted by the next owner as by this one.
    #[test]
    fn what_was_in_front_goes_along() {
        let mut guest = Guest::arrive(&Guests::default(), None);
        let client = SocketAddr::from(([192, 0, 2, 7], 4711));
        guest.introduce(&Guests::default(), Some(client), 47);
        let mut writer = Writer::new(Moment::default());
        Guest::write(Some(&guest), &mut writer);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes, Moment::default());
        let read = Guest::read(&mut reader, None, None).unwrap();
        let read = read.expect("its address is known");
        assert_eq!(read.peer(), guest.peer());
        assert_eq!(read.preface_bytes(), 47);
        reader.end().unwrap();
    }
}
