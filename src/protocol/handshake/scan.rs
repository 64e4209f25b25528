//! Where a request head ends.

use memchr::memchr_iter;

/// What a search for the end of a head found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// Not yet the end.
    Incomplete,
    /// The head is this many bytes long, with the empty line that ends it.
    Complete(usize),
    /// A line feed with no carriage return before it. A recipient may take it for the end of a line
    /// (RFC 9112, section 2.2); where two recipients differ in that, requests are smuggled.
    BareLineFeed,
}

/// Looks for the empty line that ends `head`, of which the first `scanned` bytes have been searched
/// by earlier calls in vain. What is behind the head may be anything.
///
/// One empty line in front of the request is part of the head (RFC 9112, section 2.2); two are a head
/// with no request.
///
/// # Panics
/// If `scanned` is more than there is.
pub(super) fn scan(head: &[u8], scanned: usize) -> Scan {
    for at in memchr_iter(b'\n', &head[scanned..]).map(|found| scanned + found) {
        match head[..at] {
            // The line feed in here was seen to follow a carriage return.
            [.., b'\n', b'\r'] => return Scan::Complete(at + 1),
            [.., b'\r'] => {}
            _ => return Scan::BareLineFeed,
        }
    }
    Scan::Incomplete
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scans_to_the_end_of_the_head() {
        for (head, expected) in [
            (&b""[..], Scan::Incomplete),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", Scan::Incomplete),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r", Scan::Incomplete),
            (b"GET / HTTP/1.1\r\n\r\n", Scan::Complete(18)),
            (
                b"GET / HTTP/1.1\r\n\r\n\x81\n\n\r\n\r\n",
                Scan::Complete(18),
            ),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", Scan::Complete(20)),
            (b"GET / HTTP/1.1\n", Scan::BareLineFeed),
            (b"GET / HTTP/1.1\r\n\n", Scan::BareLineFeed),
            (b"\n", Scan::BareLineFeed),
            (b"\r\n", Scan::Incomplete),
            (b"\r\r\n\r\r\n", Scan::Incomplete),
        ] {
            assert_eq!(scan(head, 0), expected, "{}", head.escape_ascii());
        }
    }

    /// The verdict by the plainest means: at the first byte that decides it.
    fn naive_scan(head: &[u8]) -> Scan {
        for end in 1..=head.len() {
            let seen = &head[..end];
            if seen.ends_with(b"\n") && !seen.ends_with(b"\r\n") {
                return Scan::BareLineFeed;
            }
            if seen.ends_with(b"\r\n\r\n") {
                return Scan::Complete(end);
            }
        }
        Scan::Incomplete
    }

    proptest! {
        #[test]
        fn scanning_in_pieces_is_scanning_at_once(
            pieces in proptest::collection::vec(
                prop_oneof![
                    6 => Just(&b"a: b\r\n"[..]), 2 => Just(&b"\r"[..]), 1 => Just(&b"\n"[..]),
                    2 => Just(&b"\r\n"[..]), 2 => Just(&b"x"[..]),
                ],
                0..24,
            ),
            places in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
            byte_by_byte: bool,
        ) {
            let head = pieces.concat();
            let expected = naive_scan(&head);
            prop_assert_eq!(scan(&head, 0), expected);
            let mut ends: Vec<_> = match byte_by_byte {
                true => (0..=head.len()).collect(),
                false => places.into_iter().map(|place| place.index(head.len() + 1)).collect(),
            };
            ends.push(head.len());
            ends.sort_unstable();
            let mut scanned = 0;
            for end in ends {
                let found = scan(&head[..end], scanned);
                prop_assert_eq!(found, naive_scan(&head[..end]));
                if found != Scan::Incomplete {
                    break;
                }
                scanned = end;
            }
        }
    }
}
