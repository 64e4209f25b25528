//! Upgrade requests, and a strict reader of the responses (RFC 6455, section 4; RFC 9112).

/// The key of RFC 6455, section 1.3, and what answers it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request as most libraries send it.
pub(crate) fn upgrade() -> Vec<u8> {
    with_header("")
}

/// The same with further header lines, each ending in CRLF.
pub(crate) fn with_header(lines: &str) -> Vec<u8> {
    format!(
        "GET /chat HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// A response, read.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Of HTTP.
    pub(crate) version: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// What follows the head: the body of a refusal, or the first frames.
    pub(crate) rest: Vec<u8>,
}

impl Response {
    /// The one value of a header; none if it is absent.
    ///
    /// # Panics
    /// If it is there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// Every value of a header.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.headers.iter().filter(move |(held, _)| held == name);
        values.map(|(_, value)| value.as_str())
    }

    /// The body, as text.
    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.rest).expect("UTF-8")
    }

    /// Checks that it is the 101 that answers [`KEY`], without an extension.
    pub(crate) fn assert_switched(&self) {
        self.assert_switched_with(None);
    }

    /// The same with these extensions.
    pub(crate) fn assert_switched_with(&self, extensions: Option<&str>) {
        assert_eq!(self.status, 101, "{self:?}");
        assert_eq!(self.header("sec-websocket-accept"), Some(ACCEPT));
        assert!(
            self.header("upgrade")
                .is_some_and(|it| it.eq_ignore_ascii_case("websocket"))
        );
        assert!(
            self.header("connection")
                .is_some_and(|it| it.eq_ignore_ascii_case("upgrade"))
        );
        assert_eq!(self.header("sec-websocket-extensions"), extensions);
        assert_eq!(
            self.header("content-length"),
            None,
            "a 101 has no body (RFC 9110, 8.6)"
        );
    }

    /// Checks that it is a whole refusal with this status.
    pub(crate) fn assert_refused(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let connection = self
            .header("connection")
            .expect("a refusal ends the connection");
        let mut options = connection.split(',').map(str::trim);
        assert!(
            options.any(|it| it.eq_ignore_ascii_case("close")),
            "{self:?}"
        );
        let length = self
            .header("content-length")
            .expect("a refusal says how long it is");
        assert_eq!(
            length.parse::<usize>().expect("a number"),
            self.rest.len(),
            "{self:?}"
        );
    }
}

/// Reads a response head and keeps what follows; none while the head is not whole.
///
/// # Panics
/// If it is not HTTP/1.
pub(crate) fn read(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is ASCII");
    assert!(
        !head.replace("\r\n", "").contains(['\r', '\n']),
        "bare CR or LF in {head:?}"
    );
    let mut lines = head.split("\r\n");
    let status_line = lines.next().expect("a status line");
    let (version, status) = status_line.split_once(' ').expect("a status");
    assert!(["HTTP/1.0", "HTTP/1.1"].contains(&version), "{status_line}");
    let digits = status.split(' ').next();
    let status = digits.and_then(|digits| digits.parse().ok());
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header line");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    Some(Response {
        version: version.to_owned(),
        status: status.expect("a status"),
        headers,
        rest: bytes[end + 4..].to_vec(),
    })
}
