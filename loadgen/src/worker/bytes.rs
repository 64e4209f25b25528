//! Bytes of a load thread's connections, through TLS where there is any, and what their ends mean.

use std::{io, mem};

use super::Worker;
use crate::control::Phase;
use crate::fault::Fault;
use crate::wire::failure::Failure;

impl Worker {
    /// Checks what connection `index` received.
    pub(crate) fn receive(&mut self, index: usize, bytes: &[u8]) -> Result<(), Fault> {
        self.wire_bytes_received += bytes.len() as u64;
        // Taken out for the time of the call, since the connection beside it is changed too.
        let Some(mut tunnel) = self.tunnels[index].take() else {
            return self.receive_plain(index, bytes);
        };
        let mut plain = mem::take(&mut self.plain);
        plain.clear();
        let received = tunnel.receive(bytes, &mut plain);
        let mut verdict = self.receive_plain(index, &plain);
        self.plain = plain;
        if let Err(failure) = received {
            // After the closing handshake a server may leave as it likes.
            verdict = verdict.and_then(|()| match self.end_of_stream(index) {
                Ok(()) => Ok(()),
                Err(_) => self.judge(index, failure),
            });
        } else if tunnel.is_ended() {
            tunnel.end();
            verdict = verdict.and_then(|()| self.end_of_stream(index));
        }
        self.tunnels[index] = Some(tunnel);
        verdict
    }

    pub(super) fn receive_plain(&mut self, index: usize, bytes: &[u8]) -> Result<(), Fault> {
        if self.connections[index].is_closed() || self.connections[index].is_away() {
            return Ok(());
        }
        let result = self.with(index, |connection, turn| connection.receive(bytes, turn));
        let verdict = match result {
            Ok(()) => {
                self.note_end(index);
                Ok(())
            }
            Err(failure) => self.judge(index, failure),
        };
        self.release(index);
        verdict
    }

    /// Connection `index` will receive no more.
    pub(crate) fn end_of_stream(&mut self, index: usize) -> Result<(), Fault> {
        let connection = &mut self.connections[index];
        if connection.is_ended() || connection.is_away() {
            return Ok(());
        }
        let was_closed = connection.is_closed();
        if let Err(failure) = connection.end_of_stream() {
            return self.judge(index, failure);
        }
        self.closed += usize::from(!was_closed);
        self.ended += 1;
        Ok(())
    }

    /// What a failure of connection `index` means: a fault, unless another connection is to take its place.
    fn judge(&mut self, index: usize, failure: Failure) -> Result<(), Fault> {
        if !self.reconnects || !failure.is_end_of_connection() {
            return Err(Fault {
                connection: Some(self.share.ordinal(index)),
                failure,
            });
        }
        let now = self.control.clock.now();
        let connection = &mut self.connections[index];
        for (due, was_sent) in connection.unanswered_since() {
            self.in_flight_lost += u64::from(was_sent);
            self.tally.given_up(due, now, 1);
        }
        connection.lose();
        self.missing += 1;
        if self.phase < Phase::Drain {
            self.lost.push(index);
        } else {
            self.drain(index);
        }
        Ok(())
    }

    /// An operation on connection `index` failed. After a Close has been sent, a server may
    /// drop the connection as it likes.
    pub(crate) fn io_error(
        &mut self,
        index: usize,
        doing: &'static str,
        error: io::Error,
    ) -> Result<(), Fault> {
        let connection = &self.connections[index];
        if connection.is_closed() || connection.is_closing() || connection.is_away() {
            return self.end_of_stream(index);
        }
        self.judge(index, Failure::Io(doing, error))
    }

    /// Lends what connection `index` has to send, stamped with the time of the last tick.
    pub(crate) fn outgoing(&mut self, index: usize) -> Option<&[u8]> {
        let connection = &mut self.connections[index];
        match &mut self.tunnels[index] {
            Some(tunnel) => tunnel.outgoing(connection, self.now),
            None => connection.outgoing(self.now),
        }
    }

    /// The last send of connection `index` moved `bytes`.
    pub(crate) fn sent(&mut self, index: usize, bytes: usize) {
        self.wire_bytes_sent += bytes as u64;
        match &mut self.tunnels[index] {
            Some(tunnel) => tunnel.sent(bytes),
            None => self.connections[index].outbox().sent(bytes),
        }
        self.release(index);
        // There may be room for more; a loop without a schedule fills it at once.
        if !self.connections[index].is_closed() {
            self.with(index, |connection, turn| connection.fill(turn));
        }
    }
}
