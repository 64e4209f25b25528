//! The request line (RFC 9112, section 3), as far as it has come.
//!
//! Read by our own hand, since `httparse` knows no minor version after 1 and does not say which byte was
//! the first that cannot stand where it stands.

use super::is_token_byte;

/// What a request line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    /// Major and minor.
    pub(crate) version: (u8, u8),
}

/// How far a request line has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress<'a> {
    /// More may make it one.
    Partial,
    /// All of it is here, and this is behind it.
    Whole(RequestLine<'a>, &'a [u8]),
    /// The byte at this place makes it none, whatever follows.
    Fault(usize),
}

/// What stands behind the target, in which `0` is any digit.
const VERSION: &[u8] = b"HTTP/0.0\r\n";

/// Where the two digits stand in it.
const MAJOR: usize = 5;
const MINOR: usize = 7;

/// Reads the request line at the start of `head`. One empty line in front of it is passed over (RFC 9112,
/// section 2.2).
pub(super) fn read(head: &[u8]) -> Progress<'_> {
    let start = match head {
        [b'\r', b'\n', ..] => 2,
        [b'\r', _, ..] => return Progress::Fault(1),
        [b'\r'] => return Progress::Partial,
        _ => 0,
    };
    let (method, rest) = match word(head, start, is_token_byte) {
        Ok(found) => found,
        Err(progress) => return progress,
    };
    let (target, rest) = match word(head, rest, is_target_byte) {
        Ok(found) => found,
        Err(progress) => return progress,
    };
    let is_right = |(byte, expected): (&u8, &u8)| match expected {
        b'0' => byte.is_ascii_digit(),
        _ => byte == expected,
    };
    let version = &head[rest..];
    match version.iter().zip(VERSION).position(|pair| !is_right(pair)) {
        Some(place) => Progress::Fault(rest + place),
        None if version.len() < VERSION.len() => Progress::Partial,
        None => Progress::Whole(
            RequestLine {
                method,
                target,
                version: (version[MAJOR] - b'0', version[MINOR] - b'0'),
            },
            &version[VERSION.len()..],
        ),
    }
}

/// Whether `byte` may stand in a target. No URI has any of `"<>` (RFC 3986, section 2), nor what is not ASCII, and every
/// client escapes them. Neither has a URI any of `^{|}`, a backslash or a backtick, but browsers send those in a query.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>')
}

/// The word at `start` and where the next one begins, behind the one space between them.
fn word(
    head: &[u8],
    start: usize,
    belongs: impl Fn(u8) -> bool,
) -> Result<(&[u8], usize), Progress<'_>> {
    let Some(len) = head[start..].iter().position(|&byte| !belongs(byte)) else {
        return Err(Progress::Partial);
    };
    let end = start + len;
    if len == 0 || head[end] != b' ' {
        return Err(Progress::Fault(end));
    }
    Ok((&head[start..end], end + 1))
}

impl<'a> RequestLine<'a> {
    /// Whether the target names a resource: a path, or a URI as a proxy is sent it (RFC 9112, sections
    /// 3.2.1 and 3.2.2), with a host and without a user's name (RFC 9110, section 4.2). A fragment is no part of
    /// a target (RFC 9110, section 7.1).
    pub(super) fn names_a_resource(&self) -> bool {
        let is_scheme_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let is_right = match self.uri_parts() {
            None => self.target.starts_with(b"/"),
            Some((scheme, authority, _)) => {
                scheme.first().is_some_and(u8::is_ascii_alphabetic)
                    && scheme.iter().all(is_scheme_byte)
                    && !matches!(authority, [] | [b':', ..])
                    && !authority.contains(&b'@')
            }
        };
        is_right && !self.target.contains(&b'#')
    }

    /// The path and the query of a target that names a resource; nothing where it has no path.
    pub(super) fn path_and_query(&self) -> &'a [u8] {
        if self.target.starts_with(b"/") {
            return self.target;
        }
        self.uri_parts().map_or(b"", |(_, _, rest)| rest)
    }

    /// The host and the port that a target names which is a whole URI.
    pub(super) fn authority(&self) -> Option<&'a [u8]> {
        self.uri_parts().map(|(_, authority, _)| authority)
    }

    /// Scheme, authority, path and query of a target that does not begin with a path.
    fn uri_parts(&self) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let colon = self.target.iter().position(|byte| b":/?".contains(byte))?;
        let (scheme, rest) = self.target.split_at(colon);
        let rest = rest.strip_prefix(b"://")?;
        let end = rest.iter().position(|byte| b"/?".contains(byte));
        let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
        Some((scheme, authority, rest))
    }

    /// Whether the target is `path` or below it.
    pub(super) fn is_below(&self, path: &str) -> bool {
        let rest = self.path_and_query().strip_prefix(path.as_bytes());
        rest.is_some_and(|rest| matches!(rest, [] | [b'/' | b'?', ..]))
    }

    /// Whether it asks what the server can do, whatever the resource (RFC 9112, section 3.2.4).
    pub(super) fn asks_for_options_of_all(&self) -> bool {
        self.method == b"OPTIONS" && self.target == b"*"
    }

    /// Whether the target's query is that of Engine.IO, the layer under Socket.IO.
    pub(super) fn speaks_engine_io(&self) -> bool {
        let mut parts = self.target.splitn(2, |&byte| byte == b'?');
        let query = parts.nth(1).unwrap_or_default();
        query
            .split(|&byte| byte == b'&')
            .any(|pair| pair.starts_with(b"EIO="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_partial_until_it_is_whole() {
        let line = b"\r\nGET /a?b HTTP/1.1\r\n";
        for count in 0..line.len() {
            assert_eq!(read(&line[..count]), Progress::Partial, "{count} bytes");
        }
        let expected = RequestLine {
            method: b"GET",
            target: b"/a?b",
            version: (1, 1),
        };
        assert_eq!(read(line), Progress::Whole(expected, b""));
        let more = [&line[..], b"Host: a"].concat();
        assert_eq!(read(&more), Progress::Whole(expected, b"Host: a"));
    }

    #[test]
    fn a_target_is_below_a_path_by_whole_segments() {
        for (target, expected) in [
            ("/x", true),
            ("/x/", true),
            ("/x?a=/b", true),
            ("/x/close/1000?after=3", true),
            ("http://a.example:80/x/close", true),
            ("http://a/x?b", true),
            ("/", false),
            ("/xy", false),
            ("/y/x", false),
            ("/?a=/x", false),
            ("/?a=http://a/x", false),
            ("http://x", false),
            ("http://a/y/x", false),
            ("http://a?b=/x/", false),
        ] {
            let line = RequestLine {
                method: b"GET",
                target: target.as_bytes(),
                version: (1, 1),
            };
            assert_eq!(line.is_below("/x"), expected, "{target}");
        }
    }

    #[test]
    fn a_fault_is_where_it_is_whatever_follows() {
        for (head, place) in [
            (&b" GET"[..], 0),
            (b"\n", 0),
            (b"\rG", 1),
            (b"\r\n\r\n", 2),
            (b"G(T / HTTP/1.1\r\n", 1),
            (b"GET\r\n", 3),
            (b"GET  / HTTP/1.1\r\n", 4),
            (b"GET /\r\n", 5),
            (b"GET /\xc3\xa9 HTTP/1.1\r\n", 5),
            (b"GET /a<b HTTP/1.1\r\n", 6),
            (b"GET / http/1.1\r\n", 6),
            (b"GET / HTTP/1.10\r\n", 14),
            (b"GET / HTTP/1.1 \r\n", 14),
            (b"GET / HTTP/1.1\rH", 15),
        ] {
            for count in 0..=place {
                assert_eq!(read(&head[..count]), Progress::Partial);
            }
            for count in place + 1..=head.len() {
                assert_eq!(
                    read(&head[..count]),
                    Progress::Fault(place),
                    "{}",
                    head[..count].escape_ascii()
                );
            }
        }
    }
}
