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
    /// Where to append: never to a part of which something has been sent or is in flight, so
    /// neither part outgrows what was written while the other was on its way.
    pub(crate) fn writer(&mut self) -> &mut Vec<u8> {
        if self.in_flight || self.sent > 0 {
            &mut self.back
        } else {
            &mut self.front
        }
    }

    /// Whether a send is under way, so that the kernel may hold an address.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// Whether the next send begins a part of which nothing has been sent: then that part holds all
    /// that was queued until now.
    pub(crate) fn begins_anew(&self) -> bool {
        !self.in_flight && self.sent == 0
    }

    /// Bytes that the kernel has not taken yet.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.front.len() - self.sent + self.back.len()
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
        if self.sent == self.front.len() {
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
        outbox.writer().extend_from_slice(b"de");
        outbox.sent(1);
        outbox.writer().extend_from_slice(b"f");
        assert_eq!(outbox.begin(), Some(&b"bc"[..]));
        outbox.sent(0);
        assert_eq!(outbox.begin(), Some(&b"bc"[..]));
        outbox.sent(2);
        assert_eq!(outbox.begin(), Some(&b"def"[..]));
        outbox.sent(3);
        assert_eq!(outbox.begin(), None);
    }

    #[test]
    fn memory_is_bounded_though_something_is_always_unsent() {
        let mut outbox = Outbox::default();
        outbox.writer().extend_from_slice(&[0; 100]);
        for _ in 0..1000 {
            outbox.writer().extend_from_slice(&[0; 100]);
            let mut moved = 0;
            while moved < 100 {
                let lent = outbox.begin().expect("more than was moved is queued").len();
                let bytes = lent.min(100 - moved).min(70);
                outbox.sent(bytes);
                moved += bytes;
            }
        }
        assert!(outbox.front.capacity() + outbox.back.capacity() < 1000);
    }
}
