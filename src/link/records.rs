//! Where records begin and end (RFC 8446, section 5.1).
//!
//! ```text
//! type 1 | version 2 | length 2 | that many bytes
//! ```

/// The header of a record, in bytes.
const HEADER_BYTES: usize = 5;

/// The longest record that anybody may send: one of TLS 1.2 (RFC 5246, section 6.2.3).
const FRAGMENT_BYTES_MAX: usize = (1 << 14) + 2048;

/// The types of records there are.
const TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// How far the records in some bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The bytes up to the end of the last whole record.
    pub(super) whole: usize,
    /// How many more bytes there must be before more can be said: the rest of a header, or of its record.
    pub(super) missing: usize,
}

/// How far the records in `bytes` go. What is no record ends the search, and counts as whole: whoever opens it says what
/// is wrong with it.
pub(super) fn find(bytes: &[u8]) -> Place {
    let mut whole = 0;
    loop {
        let rest = &bytes[whole..];
        let missing = match *rest {
            [kind, ..] if !TYPES.contains(&kind) => 0,
            [_, _, _, high, low, ..] => {
                let len = usize::from(u16::from_be_bytes([high, low]));
                if len > FRAGMENT_BYTES_MAX {
                    0
                } else if let Some(missing) = (HEADER_BYTES + len).checked_sub(rest.len())
                    && missing > 0
                {
                    missing
                } else {
                    whole += HEADER_BYTES + len;
                    continue;
                }
            }
            _ => HEADER_BYTES - rest.len(),
        };
        let whole = if missing == 0 { bytes.len() } else { whole };
        return Place { whole, missing };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_and_what_is_missing_is_told() {
        let record = [23, 3, 3, 0, 2, 7, 7];
        for (bytes, whole, missing) in [
            (&record[..0], 0, 5),
            (&record[..1], 0, 4),
            (&record[..5], 0, 2),
            (&record[..6], 0, 1),
            (&record[..], 7, 5),
            (&[record, record].concat(), 14, 5),
            (&[&record[..], &record[..6]].concat(), 7, 1),
            // Told at once, however much of it has come.
            (b"GET", 3, 0),
            (&[23, 3, 3, 255, 255], 5, 0),
            (&[&record[..], b"GET"].concat(), 10, 0),
        ] {
            assert_eq!(find(bytes), Place { whole, missing }, "{bytes:?}");
        }
    }
}
