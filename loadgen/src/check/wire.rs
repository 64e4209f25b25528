//! What a client sends: frames, right and wrong ones, and how their bytes are cut into segments.

/// The masking key of the examples in RFC 6455, section 5.7.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Opcodes (RFC 6455, section 5.2).
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// How the length of a payload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// In the shortest form that holds it.
    Shortest,
    /// In two bytes behind 126.
    Two,
    /// In eight bytes behind 127.
    Eight,
    /// In eight bytes, this one, whatever follows.
    Claimed(u64),
}

/// A frame to send. Right unless made wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) length: Length,
    pub(crate) payload: Vec<u8>,
}

/// A final frame of any opcode.
pub(crate) fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame {
        fin: true,
        rsv: 0,
        opcode,
        key: Some(KEY),
        length: Length::Shortest,
        payload: payload.as_ref().to_vec(),
    }
}

/// A text message, or its first frame.
pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
    frame(TEXT, payload)
}

/// A binary message, or its first frame.
pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
    frame(BINARY, payload)
}

/// The last frame of a fragmented message.
pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Frame {
    frame(CONTINUATION, payload)
}

/// A ping.
pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
    frame(PING, payload)
}

/// A pong.
pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
    frame(PONG, payload)
}

/// A Close with a code and a reason.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    let body = [&code.to_be_bytes()[..], reason.as_ref()].concat();
    frame(CLOSE, body)
}

/// As many bytes, none of them like its neighbour.
pub(crate) fn filler(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + (at % 23) as u8).collect()
}

impl Frame {
    /// Not the last one of its message.
    pub(crate) fn more(mut self) -> Frame {
        self.fin = false;
        self
    }

    /// With reserved bits set.
    pub(crate) fn rsv(mut self, bits: u8) -> Frame {
        self.rsv = bits;
        self
    }

    /// Without a masking key.
    pub(crate) fn unmasked(mut self) -> Frame {
        self.key = None;
        self
    }

    /// With another masking key.
    pub(crate) fn key(mut self, key: [u8; 4]) -> Frame {
        self.key = Some(key);
        self
    }

    /// With its length in another form.
    pub(crate) fn length(mut self, length: Length) -> Frame {
        self.length = length;
        self
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let mask = u8::from(self.key.is_some()) << 7;
        let actual = self.payload.len() as u64;
        let length = match (self.length, actual) {
            (Length::Shortest, 0..126) => {
                bytes.push(mask | actual as u8);
                None
            }
            (Length::Shortest, 126..=0xffff) | (Length::Two, _) => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&(actual as u16).to_be_bytes());
                None
            }
            (Length::Shortest | Length::Eight, _) => Some(actual),
            (Length::Claimed(length), _) => Some(length),
        };
        if let Some(length) = length {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        let key = self.key.unwrap_or_default();
        if self.key.is_some() {
            bytes.extend_from_slice(&key);
        }
        let masked = self.payload.iter().zip(key.iter().cycle());
        bytes.extend(masked.map(|(byte, key)| byte ^ key));
        bytes
    }
}

/// How bytes go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// In one write.
    Whole,
    /// In writes of as many bytes, some milliseconds apart, so that they arrive apart.
    Every(usize),
    /// In two such writes; the first has as many bytes.
    After(usize),
}

impl Cut {
    /// The writes.
    pub(crate) fn apply<'a>(&self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        match *self {
            Cut::Whole => vec![bytes],
            Cut::Every(size) => bytes.chunks(size).collect(),
            Cut::After(at) => {
                let (first, rest) = bytes.split_at(at.min(bytes.len()));
                vec![first, rest]
            }
        }
    }
}
