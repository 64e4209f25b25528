//! Server frames, parsed as they come: any cut, no copy of message payload.

use super::frame::{CONTROL_PAYLOAD_BYTES_MAX, Head, Opcode};

/// Longest header of a server frame: two bytes and a 64-bit length (never a key).
const HEADER_BYTES_MAX: usize = 10;

/// A server frame's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    head: Head,
    length: u64,
}

/// Part of a data frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data<'a> {
    /// The frame's first byte; its opcode is continuation, text or binary.
    pub(crate) head: Head,
    /// Payload length of the whole frame.
    pub(crate) frame_length: u64,
    /// Whether this part is the frame's first (it may be empty).
    pub(crate) first: bool,
    /// Whether this part is the frame's last.
    pub(crate) last: bool,
    /// The bytes.
    pub(crate) bytes: &'a [u8],
}

/// A piece of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// Part of a data frame.
    Data(Data<'a>),
    /// A whole control frame.
    Control {
        /// Close, ping or pong.
        opcode: Opcode,
        /// Its payload.
        payload: &'a [u8],
    },
}

/// Incremental reader of one server's frames.
pub(crate) struct Reader {
    /// Whether permessage-deflate was agreed on.
    may_compress: bool,
    header: [u8; HEADER_BYTES_MAX],
    header_length: usize,
    frame: Option<Header>,
    /// Payload bytes of `frame` still to come.
    remaining: u64,
    control: [u8; CONTROL_PAYLOAD_BYTES_MAX],
}

impl Reader {
    /// At the start of a frame. RSV1 is an error unless permessage-deflate was agreed on.
    pub(crate) fn new(may_compress: bool) -> Reader {
        Reader {
            may_compress,
            header: [0; HEADER_BYTES_MAX],
            header_length: 0,
            frame: None,
            remaining: 0,
            control: [0; CONTROL_PAYLOAD_BYTES_MAX],
        }
    }

    /// Takes the next event off the front of `input`; `None` when more bytes are needed.
    ///
    /// The error says how the server broke RFC 6455 section 5.2.
    pub(crate) fn next<'reader, 'input: 'reader>(
        &'reader mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<Event<'reader>>, String> {
        let first = self.frame.is_none();
        if first {
            self.frame = self.read_header(input)?;
        }
        let Some(Header { head, length }) = self.frame else {
            return Ok(None);
        };
        let here = self.remaining.min(input.len() as u64) as usize;
        let (bytes, rest) = input.split_at(here);
        *input = rest;
        let at = (length - self.remaining) as usize;
        self.remaining -= here as u64;
        let last = self.remaining == 0;
        if last {
            self.frame = None;
        }
        if head.opcode.is_control() {
            // At most 125 bytes, as `parse_header` saw to.
            self.control[at..at + here].copy_from_slice(bytes);
            let (opcode, payload) = (head.opcode, &self.control[..at + here]);
            return Ok(last.then_some(Event::Control { opcode, payload }));
        }
        if !first && here == 0 {
            return Ok(None);
        }
        Ok(Some(Event::Data(Data {
            head,
            frame_length: length,
            first,
            last,
            bytes,
        })))
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, String> {
        if !self.gather(2, input) || !self.gather(header_bytes(self.header[1]), input) {
            return Ok(None);
        }
        let header = parse_header(&self.header, self.may_compress)?;
        self.header_length = 0;
        self.remaining = header.length;
        Ok(Some(header))
    }

    /// Takes what the header lacks of its first `needed` bytes, and says whether it has them now.
    fn gather(&mut self, needed: usize, input: &mut &[u8]) -> bool {
        let here = needed.saturating_sub(self.header_length).min(input.len());
        let (bytes, rest) = input.split_at(here);
        *input = rest;
        self.header[self.header_length..][..here].copy_from_slice(bytes);
        self.header_length += here;
        self.header_length >= needed
    }
}

fn header_bytes(second: u8) -> usize {
    match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

fn parse_header(bytes: &[u8; HEADER_BYTES_MAX], may_compress: bool) -> Result<Header, String> {
    let [first, second, ..] = *bytes;
    let compressed = may_compress && first & 0x40 != 0;
    if first & 0x70 != 0 && !(compressed && first & 0x30 == 0) {
        return Err(format!(
            "RSV bits set without an extension (first byte {first:#04x})"
        ));
    }
    if second & 0x80 != 0 {
        return Err("a masked frame from a server".to_owned());
    }
    let opcode = Opcode::from_bits(first & 0x0f)
        .ok_or_else(|| format!("reserved opcode {:#x}", first & 0x0f))?;
    if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err("RSV1 set on a frame that does not begin a message".to_owned());
    }
    let fin = first & 0x80 != 0;
    let (length, shortest) = match (second & 0x7f, &bytes[2..]) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 126),
        (127, &[a, b, c, d, e, f, g, h]) => {
            (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 0x1_0000)
        }
        (short, _) => (u64::from(short), 0),
    };
    if !(shortest..=i64::MAX as u64).contains(&length) {
        return Err(format!(
            "a length of {length} not written in its minimal form"
        ));
    }
    if opcode.is_control() && (!fin || length > CONTROL_PAYLOAD_BYTES_MAX as u64) {
        return Err(format!(
            "a control frame that is fragmented or too long ({length} bytes)"
        ));
    }
    let head = Head {
        fin,
        compressed,
        opcode,
    };
    Ok(Header { head, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(bytes: &[u8]) -> String {
        let mut input = bytes;
        Reader::new(false)
            .next(&mut input)
            .expect_err("must be refused")
    }

    #[test]
    fn refuses_what_a_server_must_not_send() {
        assert!(error_of(&[0x82, 0x81, 0, 0, 0, 0, 0]).contains("masked"));
        assert!(error_of(&[0xc2, 0x00]).contains("RSV"));
        assert!(error_of(&[0x83, 0x00]).contains("reserved opcode 0x3"));
        assert!(error_of(&[0x82, 126, 0, 125]).contains("minimal"));
        assert!(error_of(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).contains("minimal"));
        assert!(error_of(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]).contains("minimal"));
        assert!(error_of(&[0x09, 0x00]).contains("control"));
        assert!(error_of(&[0x89, 126, 0, 126]).contains("control"));
    }

    /// RFC 7692 section 6.1.
    #[test]
    fn compression_is_marked_where_a_message_begins_and_nowhere_else() {
        let read = |first: u8| {
            let bytes = [first, 0];
            let mut input = &bytes[..];
            let mut reader = Reader::new(true);
            let event = reader.next(&mut input);
            event.map(|event| matches!(event, Some(Event::Data(data)) if data.head.compressed))
        };
        for (first, compressed) in [(0xc1, true), (0x42, true), (0x81, false), (0x80, false)] {
            assert_eq!(read(first), Ok(compressed), "{first:#x}");
        }
        for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca] {
            assert!(read(first).unwrap_err().contains("RSV1"), "{first:#x}");
        }
        for first in [0xa1, 0x91, 0xe1] {
            assert!(read(first).unwrap_err().contains("RSV bits"), "{first:#x}");
        }
    }

    /// Flattens events so that streams cut differently can be compared.
    fn transcript(pieces: &[&[u8]]) -> String {
        let mut reader = Reader::new(false);
        let mut log = String::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(event) = reader.next(&mut input).unwrap() {
                match event {
                    Event::Data(Data {
                        head: Head { opcode, fin, .. },
                        frame_length,
                        first,
                        last,
                        bytes,
                    }) => {
                        if first {
                            log += &format!("[{opcode:?} {fin} {frame_length} ");
                        }
                        log += &String::from_utf8_lossy(bytes);
                        if last {
                            log.push(']');
                        }
                    }
                    Event::Control { opcode, payload } => {
                        log += &format!("<{opcode:?} {payload:?}>");
                    }
                }
            }
            assert!(input.is_empty());
        }
        log
    }

    #[test]
    fn every_cut_reads_the_same() {
        let mut stream = vec![
            0x01, 3, b'a', b'b', b'c', 0x89, 2, 7, 8, 0x00, 0, 0x80, 126, 0, 126,
        ];
        stream.extend([b'x'; 126]);
        stream.extend([0x8a, 0, 0x82, 0, 0x88, 2, 3, 0xe8]);
        let whole = transcript(&[&stream]);
        assert!(whole.starts_with("[Text false 3 abc]<Ping [7, 8]>[Continuation false 0 ]"));
        assert!(whole.ends_with("<Pong []>[Binary true 0 ]<Close [3, 232]>"));
        for first in 0..=stream.len() {
            let (left, right) = stream.split_at(first);
            assert_eq!(transcript(&[left, right]), whole, "cut at {first}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(transcript(&single), whole);
    }
}
