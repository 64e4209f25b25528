//! The head of a request, with all its fields.

use httparse::{EMPTY_HEADER, Status, parse_headers};

use crate::protocol::handshake::{HEADERS_MAX, elements, request_line};

/// A head that was found in order before it came here.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    /// The minor version of HTTP/1.
    pub(super) minor_version: u8,
    /// In the order in which they came.
    pub(super) fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Head<'a> {
    /// Reads a whole head; what is none has no fields.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let Some((line, rest)) = request_line(bytes) else {
            return Head::default();
        };
        let mut fields = [EMPTY_HEADER; HEADERS_MAX];
        let Ok(Status::Complete((_, fields))) = parse_headers(rest, &mut fields) else {
            return Head::default();
        };
        let word = |word| str::from_utf8(word).unwrap_or_default();
        Head {
            method: word(line.method),
            target: word(line.target),
            minor_version: line.version.1,
            fields: fields.iter().map(|it| (it.name, it.value)).collect(),
        }
    }

    /// The values of a field, each time that it came.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(held, _)| held.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The elements of a field that is a list, over all the times that it came.
    pub(super) fn elements(&self, name: &str) -> impl Iterator<Item = String> {
        self.values(name)
            .flat_map(elements)
            .map(text)
            .filter(|element| !element.is_empty())
    }
}

/// Bytes of a head as text.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
