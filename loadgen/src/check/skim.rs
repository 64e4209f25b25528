//! Frames of a server, header by header, where what comes is too much to be kept.

/// What comes from a server, header by header: for answers that are too much to be kept.
#[derive(Default)]
pub(crate) struct Skim {
    /// Messages that are whole.
    pub(crate) messages: usize,
    /// The code of a Close, once it has come.
    pub(crate) close: Option<Option<u16>>,
    payload_bytes: u64,
    /// Bytes of a header, or of a control frame, that is not whole.
    held: Vec<u8>,
    /// Bytes of a data frame that have not come.
    left: u64,
}

impl Skim {
    /// Takes what came, and is always ready for more.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = bytes
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= skipped as u64;
            self.payload_bytes += skipped as u64;
            bytes = &bytes[skipped..];
            let Some((&byte, rest)) = bytes.split_first() else {
                return true;
            };
            self.held.push(byte);
            bytes = rest;
            if self.understand() {
                self.held.clear();
            }
        }
        true
    }

    /// Whether what is held is whole.
    fn understand(&mut self) -> bool {
        let [first, second, rest @ ..] = &self.held[..] else {
            return false;
        };
        let (first, opcode) = (*first, first & 0x0f);
        let length = match (second & 0x7f, rest) {
            (126, [a, b]) => u64::from(u16::from_be_bytes([*a, *b])),
            (127, [a, b, c, d, e, f, g, h]) => u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            (126 | 127, _) => return false,
            (length, _) if opcode >= 8 && rest.len() < usize::from(length) => return false,
            (length, _) => u64::from(length),
        };
        match opcode {
            8 => {
                self.close = Some(match rest {
                    [a, b, ..] => Some(u16::from_be_bytes([*a, *b])),
                    _ => None,
                });
            }
            9.. => {}
            _ => {
                self.left = length;
                self.messages += usize::from(first & 0x80 != 0);
            }
        }
        true
    }

    /// What came of it so far.
    pub(crate) fn words(&self) -> String {
        let close = match self.close {
            None => "no Close".to_owned(),
            Some(None) => "Close without a code".to_owned(),
            Some(Some(code)) => format!("Close {code}"),
        };
        format!(
            "{} messages, {} bytes of payload and {close} came back",
            self.messages, self.payload_bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut bytes = vec![0x02, 3, 1, 2, 3, 0x89, 1, 7, 0x80, 126, 0, 200];
        bytes.extend([0; 200]);
        bytes.extend([0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        bytes.extend(vec![0; 65536]);
        bytes.extend([0x88, 2, 0x03, 0xf1]);
        for size in [1, 2, 5, 1000, bytes.len()] {
            let mut skim = Skim::default();
            for piece in bytes.chunks(size) {
                skim.feed(piece);
            }
            assert_eq!((skim.messages, skim.close), (2, Some(Some(1009))), "{size}");
            assert_eq!(skim.payload_bytes, 3 + 200 + 65536);
        }
    }
}
