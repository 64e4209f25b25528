//! A connection whose bytes do not go over the wire as they are: TLS lies between.

use crate::echo::connection::Connection;
use crate::link::Link;
use crate::wire::failure::Failure;
use crate::wire::outbox::Outbox;

/// What lies between a connection and its socket.
#[derive(Default)]
pub(crate) struct Tunnel {
    link: Link,
    /// Bytes for the socket.
    wire: Outbox,
    /// Why nothing more can be sent, until it is told.
    broken: Option<Failure>,
}

impl Tunnel {
    /// A tunnel through `link`; `None` where the link is nothing.
    pub(crate) fn through(link: Link) -> Option<Box<Tunnel>> {
        let is_plain = link.is_plain();
        let mut tunnel = Tunnel::default();
        tunnel.lead_through(link);
        (!is_plain).then(|| Box::new(tunnel))
    }

    /// Has it lead through `link` from now on, behind what was queued before.
    pub(crate) fn lead_through(&mut self, link: Link) {
        self.link = link;
    }

    /// Where to append what goes to the socket as it is.
    pub(crate) fn writer(&mut self) -> &mut Vec<u8> {
        self.wire.writer()
    }

    /// Takes bytes from the socket and appends to `plain` what comes out of them, even if it fails in the end.
    pub(crate) fn receive(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        self.link.receive(bytes, plain)?;
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Whether the server has ended its side.
    pub(crate) fn is_ended(&self) -> bool {
        self.link.is_ended()
    }

    /// Ends our side: neither's end is a cut then (RFC 8446 section 6.1).
    pub(crate) fn end(&mut self) {
        self.link.close(self.wire.writer());
    }

    /// Lends what is to be sent for `connection`, as [`Connection::outgoing`] does.
    pub(crate) fn outgoing(&mut self, connection: &mut Connection, now: u64) -> Option<&[u8]> {
        if self.wire.queued_bytes() == 0 {
            self.link.wire_out(self.wire.writer());
            if let Some(plain) = connection.outgoing(now) {
                let length = plain.len();
                // Told with the next bytes that come; if none come, the missing replies are.
                self.broken = self.link.send(plain, self.wire.writer()).err();
                connection.outbox().sent(length);
            }
        }
        self.wire.begin()
    }

    /// Whether a send is under way.
    pub(crate) fn is_sending(&self) -> bool {
        self.wire.is_in_flight()
    }

    /// The last send moved `bytes`.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.wire.sent(bytes);
    }
}
