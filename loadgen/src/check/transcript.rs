//! What went over a connection, as a report shows it: hex beside readable ASCII, cut to a sane length.

/// Bytes shown of what was sent or received in a row, of text and of anything else.
const TEXT_BYTES: usize = 512;
const OTHER_BYTES: usize = 64;

/// Most lines of one connection: the rest is only counted.
const LINES_MAX: usize = 24;

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Sent,
    Received,
}

#[derive(Debug)]
enum Line {
    /// Bytes that went one way in a row: how they began, how many in all, in how many pieces.
    Bytes(Side, Vec<u8>, usize, usize),
    Note(String),
}

/// What went over a connection, in order.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: Vec<Line>,
    left_out: usize,
}

impl Transcript {
    /// Bytes went one way.
    pub(crate) fn bytes(&mut self, side: Side, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(Line::Bytes(last, kept, total, pieces)) = self.lines.last_mut()
            && *last == side
        {
            let room = TEXT_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
            *total += bytes.len();
            *pieces += 1;
            return;
        }
        let kept = bytes[..bytes.len().min(TEXT_BYTES)].to_vec();
        self.push(Line::Bytes(side, kept, bytes.len(), 1));
    }

    /// Something else happened.
    pub(crate) fn note(&mut self, what: &str) {
        self.push(Line::Note(what.to_owned()));
    }

    /// Forgets the bytes so far for what they were.
    pub(crate) fn upgraded(&mut self, what: &str) {
        self.lines.clear();
        self.note(what);
    }

    fn push(&mut self, line: Line) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line);
        } else {
            self.left_out += 1;
        }
    }

    /// A line each.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines.iter().map(Line::words).collect();
        if self.left_out > 0 {
            lines.push(format!("{} more", self.left_out));
        }
        lines
    }
}

impl Line {
    fn words(&self) -> String {
        match self {
            Line::Note(what) => what.clone(),
            Line::Bytes(side, kept, total, pieces) => {
                let side = match side {
                    Side::Sent => "sent",
                    Side::Received => "received",
                };
                let pieces = if *pieces > 1 {
                    format!(" in {pieces} pieces")
                } else {
                    String::new()
                };
                let (shown, length) = dump(kept);
                let more = if length < *total { " ..." } else { "" };
                format!("{side} {total} bytes{pieces}: {shown}{more}")
            }
        }
    }
}

/// A head of HTTP as text, anything else as hex and as ASCII where it can be read; and how much of it.
fn dump(bytes: &[u8]) -> (String, usize) {
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
    let is_of_a_head = |byte: &u8| is_printable(byte) || matches!(byte, b'\r' | b'\n' | b'\t');
    if bytes.len() > 12 && bytes[..12].iter().all(is_of_a_head) {
        return (format!("\"{}\"", bytes.escape_ascii()), bytes.len());
    }
    let bytes = &bytes[..bytes.len().min(OTHER_BYTES)];
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let readable = bytes.iter().map(|byte| match byte {
        byte if is_printable(byte) => *byte as char,
        _ => '.',
    });
    let readable: String = readable.collect();
    (format!("{} |{readable}|", hex.join(" ")), bytes.len())
}
