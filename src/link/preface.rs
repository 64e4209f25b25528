//! What a load balancer puts in front of a connection, before TLS: the header of the PROXY protocol, version 1 or 2, as
//! `proxy-header` reads it. It says whom the balancer has behind it.
//!
//! Only where the operator says that it comes from there is it read: anybody can write one.

use core::net::SocketAddr;

use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};

use super::Fault;

/// The longest header that is taken, in bytes. One with addresses alone has 107 at most as text and 52 in binary; what
/// else a balancer may tell (TLVs, such as a certificate's name) is passed over.
pub const PREFACE_BYTES_MAX: usize = 4096;

/// The longest of version 1, in bytes.
const TEXT_BYTES_MAX: usize = 107;

/// The start of version 2: a signature, version and command, family and protocol, and the length of the rest.
const BINARY_START_BYTES: usize = 16;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Where the client is. None: the balancer comes for itself (LOCAL), or does not know (UNKNOWN, or a Unix socket).
    pub source: Option<SocketAddr>,
    /// How long the header was, in bytes.
    pub bytes: usize,
}

/// A header, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Preface {
    held: Vec<u8>,
}

impl Preface {
    /// Takes in what came; once the header is whole, what it says, and how many of these bytes were its own.
    ///
    /// # Errors
    /// Where it will never be one.
    pub(super) fn receive(&mut self, lent: &[u8]) -> Result<Option<(usize, Introduction)>, Fault> {
        let had = self.held.len();
        let room = PREFACE_BYTES_MAX - had;
        self.held.extend_from_slice(&lent[..lent.len().min(room)]);
        let announced = announced_bytes(&self.held);
        if announced.is_some_and(|bytes| bytes > PREFACE_BYTES_MAX) {
            return Err(Fault::Preface(
                "announces a PROXY header of more than 4096 bytes",
            ));
        }
        let config = ParseConfig {
            include_tlvs: false,
            ..ParseConfig::default()
        };
        let (header, bytes) = match ProxyHeader::parse(&self.held, config) {
            Ok(whole) => whole,
            // It says so, too, where addresses are longer than the header that they should stand in.
            Err(Error::BufferTooShort)
                if self.held.len() < announced.unwrap_or(PREFACE_BYTES_MAX) =>
            {
                return Ok(None);
            }
            Err(_) => return Err(Fault::Preface("does not begin with a PROXY header")),
        };
        let is_text = self.held.first() == Some(&b'P');
        if is_text && bytes > TEXT_BYTES_MAX {
            return Err(Fault::Preface("has a PROXY header of more than 107 bytes"));
        }
        let address = header.proxied_address();
        if address.is_some_and(|address| address.protocol != Protocol::Stream) {
            return Err(Fault::Preface(
                "has a PROXY header for datagrams, where TCP is spoken",
            ));
        }
        let source = address.map(|address| address.source);
        let source = source.map(|it| SocketAddr::new(it.ip().to_canonical(), it.port()));
        Ok(Some((
            bytes.saturating_sub(had),
            Introduction { source, bytes },
        )))
    }

    /// The memory that it takes, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }
}

/// How long a header of version 2 says that it is.
fn announced_bytes(held: &[u8]) -> Option<usize> {
    let start = held.get(..BINARY_START_BYTES)?;
    let rest = u16::from_be_bytes([start[14], start[15]]);
    (start[0] == b'\r').then(|| BINARY_START_BYTES + usize::from(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short");
        [SIGNATURE, &[command, family], &length.to_be_bytes(), rest].concat()
    }

    fn of_v4(more: &[u8]) -> Vec<u8> {
        let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 1, 0xBB];
        binary(0x21, 0x11, &[&addresses, more].concat())
    }

    /// What comes of `bytes`, given in pieces of so many, and how many of them belong to the header.
    fn read(bytes: &[u8], piece: usize) -> Result<Option<(usize, Introduction)>, Fault> {
        let mut preface = Preface::default();
        let mut used = 0;
        for piece in bytes.chunks(piece) {
            if let Some((count, introduction)) = preface.receive(piece)? {
                return Ok(Some((used + count, introduction)));
            }
            used += piece.len();
        }
        Ok(None)
    }

    #[test]
    fn a_header_is_read_however_it_is_cut() {
        let address = |text: &str| Some(text.parse().expect("an address"));
        let v6 = [
            &[0x20, 1, 0x0D, 0xB8][..],
            &[0; 11],
            &[7],
            &[0; 16],
            &[0x12, 0x67, 1, 0xBB],
        ]
        .concat();
        for (header, source) in [
            (
                b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n".to_vec(),
                address("192.0.2.7:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec(),
                address("[2001:db8::7]:4711"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n".to_vec(),
                address("192.0.2.7:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN what ever\r\n".to_vec(), None),
            (of_v4(b""), address("192.0.2.7:4711")),
            (of_v4(b"\x01\0\x02h2"), address("192.0.2.7:4711")),
            (of_v4(b"\x01\xFF\xFF"), address("192.0.2.7:4711")),
            (of_v4(&[4; 4000]), address("192.0.2.7:4711")),
            (binary(0x21, 0x21, &v6), address("[2001:db8::7]:4711")),
            (binary(0x20, 0x00, b""), None),
            (binary(0x20, 0x11, &[9; 12]), None),
            (binary(0x20, 0x12, &[9; 12]), None),
            (binary(0x21, 0x00, b"whatever"), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            let bytes = header.len();
            let expected = Introduction { source, bytes };
            let more = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            for piece in [1, 7, 16, more.len()] {
                let read = read(&more, piece);
                assert_eq!(
                    read,
                    Ok(Some((bytes, expected))),
                    "{}",
                    header.escape_ascii()
                );
            }
            for end in 0..bytes {
                assert_eq!(read(&header[..end], usize::MAX), Ok(None), "{end} bytes");
            }
        }
    }

    #[test]
    fn what_is_none_is_refused_and_nothing_is_waited_for() {
        let long = [b"PROXY UNKNOWN ", &[b'a'; 200][..], b"\r\n"].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 99999\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.1 4711 443\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\rX",
            &long,
            &long[..150],
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 11]),
            &binary(0x21, 0x12, &[0; 12]),
            &binary(0x21, 0x22, &[0; 36]),
            &binary(0x21, 0x41, &[0; 12]),
            &[SIGNATURE, &[0x21, 0x11, 0xFF, 0xFF]].concat(),
            b"\r\n\r\n\0\r\nQUIT\r\n\r\n\r\n",
        ] {
            for piece in [1, bytes.len()] {
                let read = read(bytes, piece);
                assert!(read.is_err(), "{}: {read:?}", bytes.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_keep_much(
            start in prop_oneof![Just(&b""[..]), Just(&b"PROXY TCP4 "[..]), Just(SIGNATURE)],
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            piece in 1..300_usize,
        ) {
            let mut preface = Preface::default();
            for piece in [start, &bytes].concat().chunks(piece) {
                if !matches!(preface.receive(piece), Ok(None)) {
                    break;
                }
            }
            prop_assert!(preface.held.len() <= PREFACE_BYTES_MAX);
        }
    }
}
