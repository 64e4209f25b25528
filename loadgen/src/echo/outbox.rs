//! Bytes on their way out: one part lent to the kernel, one part being written.
//!
//! While `front` is in flight it is neither changed nor moved, so an engine may hand its
//! address to the kernel; whatever is written meanwhile gathers in `back`.

/// The outgoing bytes of one connection.
#[derive(Default)]
pub(crate) struct Outbox {
    front: Vec<u8>,
    back: Vec<u8>,
    sent: usize,
    in_flight: bool,
}

impl Outbox {
    /// Where to append. Never the part that is in flight.
    pub(crate) fn writer(&mut self) -> &mut Vec<u8> {
        if self.in_flight {
            &mut self.back
        } else {
            &mut self.front
        }
    }

    /// Lends the unsent bytes for one send, or `None` if there are none or a send is in flight.
    ///
    /// The slice stays valid and unchanged until [`Outbox::sent`].
    pub(crate) fn begin(&mut self) -> Option<&[u8]> {
        if self.in_flight || self.front.is_empty() {
            return None;
        }
        self.in_flight = true;
        Some(&self.front[self.sent..])
    }

    /// The send begun last moved `bytes` bytes; what is left waits for the next `begin`.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent < self.front.len() {
            // The rest goes first: what gathered meanwhile is appended behind it.
            self.front.append(&mut self.back);
        } else {
            self.front.clear();
            self.sent = 0;
            std::mem::swap(&mut self.front, &mut self.back);
        }
        self.in_flight = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_short_sends() {
        let mut outbox = Outbox::default();
        outbox.writer().extend_from_slice(b"abc");
        assert_eq!(outbox.begin(), Some(&b"abc"[..]));
        assert_eq!(outbox.begin(), None, "one send at a time");
        outbox.writer().extend_from_slice(b"def");
        outbox.sent(1);
        assert_eq!(outbox.begin(), Some(&b"bcdef"[..]));
        outbox.writer().extend_from_slice(b"g");
        outbox.sent(5);
        assert_eq!(outbox.begin(), Some(&b"g"[..]));
        outbox.sent(1);
        assert_eq!(outbox.begin(), None);
    }
}
