//! The head of an upgrade request, to be made wrong, and the head of its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::verdict::Finding;
use crate::target::Target;

/// What RFC 6455, section 1.3, has a server append to the key.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key of ordinary requests: the example of RFC 6455, section 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The head of a request: right as long as nobody changes it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// `GET /path HTTP/1.1`.
    line: Vec<u8>,
    /// Its fields, one a line.
    fields: Vec<Vec<u8>>,
    line_end: &'static str,
    /// Bytes before and behind it.
    before: Vec<u8>,
    behind: Vec<u8>,
    pub(crate) path: String,
    pub(crate) authority: String,
}

impl Head {
    /// What every server upgrades.
    pub(crate) fn ordinary(target: &Target) -> Head {
        let head = Head {
            line: Vec::new(),
            fields: Vec::new(),
            line_end: "\r\n",
            before: Vec::new(),
            behind: Vec::new(),
            path: target.path.clone(),
            authority: target.authority.clone(),
        };
        let line = format!("GET {} HTTP/1.1", target.path);
        head.line(line)
            .with("Host", &target.authority)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Key", KEY)
            .with("Sec-WebSocket-Version", "13")
    }

    /// No head at all.
    pub(crate) fn nothing(ordinary: &Head) -> Head {
        Head {
            line: Vec::new(),
            fields: Vec::new(),
            line_end: "",
            ..ordinary.clone()
        }
    }

    /// With another request line.
    pub(crate) fn line(mut self, line: impl AsRef<[u8]>) -> Head {
        self.line = line.as_ref().to_vec();
        self
    }

    /// With another method, target or version.
    pub(crate) fn request(self, method: &str, target: &str, version: &str) -> Head {
        self.line(format!("{method} {target} {version}"))
    }

    /// With one more field.
    pub(crate) fn with(self, name: &str, value: impl AsRef<[u8]>) -> Head {
        let line = [name.as_bytes(), b": ", value.as_ref()].concat();
        self.raw(line)
    }

    /// With one more line among its fields, as it is.
    pub(crate) fn raw(mut self, line: impl AsRef<[u8]>) -> Head {
        self.fields.push(line.as_ref().to_vec());
        self
    }

    /// With a line in front of all fields.
    pub(crate) fn raw_first(mut self, line: impl AsRef<[u8]>) -> Head {
        self.fields.insert(0, line.as_ref().to_vec());
        self
    }

    /// Without a field.
    pub(crate) fn without(mut self, name: &str) -> Head {
        let begin = format!("{name}:");
        self.fields
            .retain(|line| !line.starts_with(begin.as_bytes()));
        self
    }

    /// With another value of a field.
    pub(crate) fn set(self, name: &str, value: impl AsRef<[u8]>) -> Head {
        self.without(name).with(name, value)
    }

    /// With other line ends.
    pub(crate) fn line_end(mut self, line_end: &'static str) -> Head {
        self.line_end = line_end;
        self
    }

    /// With its fields' names as `change` makes them.
    pub(crate) fn names(mut self, change: fn(&str) -> String) -> Head {
        for line in &mut self.fields {
            let text = String::from_utf8_lossy(line).into_owned();
            if let Some((name, value)) = text.split_once(':') {
                *line = format!("{}:{value}", change(name)).into_bytes();
            }
        }
        self
    }

    /// With its fields in the opposite order.
    pub(crate) fn backwards(mut self) -> Head {
        self.fields.reverse();
        self
    }

    /// With bytes in front of it.
    pub(crate) fn before(mut self, bytes: impl AsRef<[u8]>) -> Head {
        self.before = bytes.as_ref().to_vec();
        self
    }

    /// With bytes behind it, in the same write.
    pub(crate) fn behind(mut self, bytes: impl AsRef<[u8]>) -> Head {
        self.behind = bytes.as_ref().to_vec();
        self
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.before.clone();
        for line in [&self.line].into_iter().chain(&self.fields) {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(self.line_end.as_bytes());
        }
        bytes.extend_from_slice(self.line_end.as_bytes());
        bytes.extend_from_slice(&self.behind);
        bytes
    }
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Response {
    /// Reads a head; `None` if it is not whole. With it comes its length.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Response, usize)>, Finding> {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut fields);
        let length = match parsed.parse(bytes) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(length)) => length,
            Err(error) => {
                return Err(Finding::Illegal(format!(
                    "the server's answer is not HTTP/1.1: {error} (RFC 9112, 4)"
                )));
            }
        };
        let fields = parsed.headers.iter().map(|field| {
            let value = String::from_utf8_lossy(field.value);
            (field.name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let response = Response {
            status: parsed.code.unwrap_or_default(),
            fields: fields.collect(),
        };
        Ok(Some((response, length)))
    }

    /// The values of a field; its name in lower case.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.fields.iter().filter(move |field| field.0 == name);
        of_name.map(|field| field.1.as_str())
    }

    /// The members of a field that is a list.
    pub(crate) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let members = self.all(name).flat_map(|value| value.split(','));
        members.map(str::trim).filter(|member| !member.is_empty())
    }

    /// Whether this is an upgrade that agrees with RFC 6455, section 4.2.2, to a request with `key`.
    /// What was agreed on beyond that is not looked at.
    pub(crate) fn check_upgrade(&self, key: &str) -> Result<(), Finding> {
        let illegal = |what: String| Err(Finding::Illegal(format!("{what} (RFC 6455, 4.2.2)")));
        let upgrade: Vec<_> = self.list("upgrade").collect();
        if !upgrade
            .iter()
            .any(|value| value.eq_ignore_ascii_case("websocket"))
        {
            return illegal(format!(
                "the 101 has Upgrade {upgrade:?}, not \"websocket\""
            ));
        }
        if !self
            .list("connection")
            .any(|value| value.eq_ignore_ascii_case("upgrade"))
        {
            return illegal("the 101 has no Connection: Upgrade".to_owned());
        }
        let accept = accept(key);
        let given: Vec<_> = self.all("sec-websocket-accept").collect();
        if given != [accept.as_str()] {
            return illegal(format!(
                "the 101 has Sec-WebSocket-Accept {given:?}, not {accept:?}"
            ));
        }
        Ok(())
    }
}

/// The answer to a key (RFC 6455, section 4.2.2, step 5.4).
fn accept(key: &str) -> String {
    STANDARD.encode(
        Sha1::new()
            .chain_update(key)
            .chain_update(ACCEPT_SUFFIX)
            .finalize(),
    )
}
