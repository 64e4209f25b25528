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
    /// What came out of the last bytes from it.
    plain: Vec<u8>,
    /// Why nothing more can be sent, until it is told.
    broken: Option<Failure>,
}

impl Tunnel {
    /// A tunnel through `link`; `None` where the link is nothing.
    pub(crate) fn through(link: Link) -> Option<Box<Tunnel>> {
        let is_plain = link.is_plain();
        let tunnel = Tunnel {
            link,
            ..Tunnel::default()
        };
        (!is_plain).then(|| Box::new(tunnel))
    }

    /// Takes bytes from the socket; [`Tunnel::plain`] then holds what came out of them, even if it
    /// fails in the end.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.plain.clear();
        self.link.receive(bytes, &mut self.plain)?;
        if self.link.is_ended() {
            // Ours goes back: neither side's end is a cut (RFC 8446 section 6.1).
            self.link.close(self.wire.writer());
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// What came out of the last bytes from the socket.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Whether the server has ended its side.
    pub(crate) fn is_ended(&self) -> bool {
        self.link.is_ended()
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
