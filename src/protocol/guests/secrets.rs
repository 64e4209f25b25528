//! Who may use a private instance: names with secrets, shown as a password (RFC 7617) or as a token (RFC 6750).
//!
//! A secret is kept as its SHA-256. That protects a random one, and can be checked on the thread of a worker; a hash that
//! is slow on purpose, to protect a password that somebody thought up, would hold up all others of that thread.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::names::Fault;

/// The longest secret, in bytes, and so the longest that is hashed for anybody.
const SECRET_BYTES_MAX: usize = 512;

/// How a browser's WebSocket shows a token: its script can set no field but the list of subprotocols. This one is never
/// agreed to, so that it is not sent back.
pub const BEARER_SUBPROTOCOL: &str = "bearer.";

/// The secrets, each with a name. A clone is the same ones, and has others once they are replaced.
#[derive(Clone)]
pub struct Secrets(Arc<RwLock<Vec<Secret>>>);

#[derive(Clone, PartialEq, Eq)]
struct Secret {
    name: String,
    digest: [u8; 32],
}

/// Nothing of them is shown.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.count())
    }
}

/// Two are the same where they are replaced together.
impl PartialEq for Secrets {
    fn eq(&self, other: &Secrets) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Secrets {}

impl Secrets {
    /// Reads lines of the form `name:SHA-256 in hexadecimal`; empty ones and those that begin with `#` say nothing. A
    /// name may have several secrets.
    ///
    /// # Errors
    /// The number of the first line that is none, and what is wrong with it; without a number what is wrong with all.
    pub fn read(text: &str) -> Result<Self, (Option<usize>, Fault)> {
        let mut secrets = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                secrets.push(Secret::read(line).map_err(|fault| (Some(number), fault))?);
            }
        }
        if secrets.is_empty() {
            return Err((None, line_fault("has no line with a name and a hash")));
        }
        Ok(Secrets(Arc::new(RwLock::new(secrets))))
    }

    /// Has the others in their place from now on, for all clones.
    pub fn replace(&self, others: &Secrets) {
        let others = others
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        secrets.len()
    }

    /// Whether `authorization`, the value of that field, shows a secret, or one of the `subprotocols` offered does.
    pub fn are_shown<'a>(
        &self,
        authorization: Option<&[u8]>,
        subprotocols: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        let mut shown = authorization.is_some_and(|value| self.are_shown_by(value));
        for offered in subprotocols {
            if let Some(token) = offered.strip_prefix(BEARER_SUBPROTOCOL.as_bytes()) {
                shown |= self.have(None, token);
            }
        }
        shown
    }

    fn are_shown_by(&self, authorization: &[u8]) -> bool {
        let space = authorization.iter().position(|&byte| byte == b' ');
        let (scheme, shown) = authorization.split_at(space.unwrap_or(authorization.len()));
        let shown = shown.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.have(None, shown);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") || shown.len() > 2 * SECRET_BYTES_MAX {
            return false;
        }
        let decoded = BASE64_STANDARD.decode(shown).unwrap_or_default();
        let colon = decoded.iter().position(|&byte| byte == b':');
        colon.is_some_and(|colon| self.have(Some(&decoded[..colon]), &decoded[colon + 1..]))
    }

    /// Whether `secret` is one, of this name or of any. How long it takes does not tell which it nearly was.
    fn have(&self, name: Option<&[u8]>, secret: &[u8]) -> bool {
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return false;
        }
        let digest = Sha256::digest(secret);
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_right = secrets.iter().fold(Choice::from(0), |found, own| {
            let is_name = name.map_or(Choice::from(1), |name| name.ct_eq(own.name.as_bytes()));
            found | (is_name & digest[..].ct_eq(&own.digest))
        });
        is_right.into()
    }
}

impl Secret {
    fn read(line: &str) -> Result<Self, Fault> {
        let (name, hash) = line
            .split_once(':')
            .ok_or(line_fault("has no colon between a name and a hash"))?;
        if name.is_empty() {
            return Err(line_fault("has no name"));
        }
        let is_slow = [
            "$2", "$5$", "$6$", "$7$", "$y$", "$argon2", "$scrypt", "$apr1$", "$1$",
        ];
        if is_slow.iter().any(|start| hash.starts_with(start)) {
            return Err(Fault {
                problem: "has a hash that is slow to check, which would hold up others",
                remedy: "use a random secret, such as `openssl rand -hex 16` makes, and its SHA-256",
            });
        }
        let digest = hexadecimal(hash.trim()).ok_or(line_fault("has no SHA-256 in hexadecimal"))?;
        if digest[..] == Sha256::digest(b"")[..] {
            return Err(line_fault("has the hash of nothing"));
        }
        Ok(Secret {
            name: name.to_owned(),
            digest,
        })
    }
}

const fn line_fault(problem: &'static str) -> Fault {
    Fault {
        problem,
        remedy: "write lines of the form name:hash, the hash as `printf %s SECRET | sha256sum` tells it, 64 digits",
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s ring | sha256sum`, `printf %s back | sha256sum`.
    const FILE: &str = "# who may come\n\n\
        alice:0aed5f7e6a5b57b1dd0ac0ca8f3f4e2f9b2ff3e0d3e3bbfb29dbc1fd1ab5ea7b\n\
        bob:0aed5f7e6a5b57b1dd0ac0ca8f3f4e2f9b2ff3e0d3e3bbfb29dbc1fd1ab5ea7b\n";

    fn file(lines: &[(&str, &str)]) -> String {
        let line = |(name, secret): &(&str, &str)| {
            let digits: String = Sha256::digest(secret)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("{name}:{digits}\n")
        };
        lines.iter().map(line).collect()
    }

    fn shows(secrets: &Secrets, authorization: &str) -> bool {
        secrets.are_shown(Some(authorization.as_bytes()), std::iter::empty())
    }

    #[test]
    fn a_secret_is_shown_with_its_name_or_alone() {
        let secrets = Secrets::read(&file(&[
            ("alice", "ring"),
            ("bob", "ba:ck"),
            ("bob", "new"),
        ]));
        let secrets = secrets.expect("a file");
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for (authorization, expected) in [
            (basic("alice:ring"), true),
            (basic("bob:ba:ck"), true),
            (basic("bob:new"), true),
            (basic("bob:ring"), false),
            (basic("alice:"), false),
            (basic(":ring"), false),
            (basic("alicering"), false),
            ("basic YWxpY2U6cmluZw==".to_owned(), true),
            ("Basic YWxpY2U6cmluZw".to_owned(), false),
            ("Bearer ring".to_owned(), true),
            ("BEARER  ba:ck".to_owned(), true),
            ("Bearer".to_owned(), false),
            ("Bearer ring x".to_owned(), false),
            ("Digest ring".to_owned(), false),
            (format!("Bearer {}", "r".repeat(513)), false),
            (String::new(), false),
        ] {
            assert_eq!(shows(&secrets, &authorization), expected, "{authorization}");
        }
        let offers = |list: &[&'static str]| {
            secrets.are_shown(None, list.iter().map(|name| name.as_bytes()))
        };
        assert!(offers(&["chat", "bearer.ring"]));
        assert!(!offers(&["bearer.rin", "ring", "bearer.", "Bearer.ring"]));
        assert!(!secrets.are_shown(None, std::iter::empty()));
    }

    #[test]
    fn nothing_of_them_is_shown_to_whoever_prints_them() {
        let secrets = Secrets::read(FILE).expect("a file");
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }

    #[test]
    fn they_are_replaced_wherever_they_are() {
        let secrets = Secrets::read(&file(&[("alice", "ring")])).expect("a file");
        let elsewhere = secrets.clone();
        secrets.replace(&Secrets::read(&file(&[("alice", "back")])).expect("a file"));
        assert!(shows(&elsewhere, "Bearer back"));
        assert!(!shows(&elsewhere, "Bearer ring"));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let digits = "ab".repeat(32);
        for (line, number, problem) in [
            ("alice", Some(1), "has no colon between a name and a hash"),
            ("\nalice:ab", Some(2), "has no SHA-256 in hexadecimal"),
            (
                &format!("alice:{}g", &digits[1..]),
                Some(1),
                "has no SHA-256 in hexadecimal",
            ),
            (&format!(":{digits}"), Some(1), "has no name"),
            (
                "alice:$2y$05$abc",
                Some(1),
                "has a hash that is slow to check, which would hold up others",
            ),
            (&file(&[("alice", "")]), Some(1), "has the hash of nothing"),
            ("# none", None, "has no line with a name and a hash"),
            ("", None, "has no line with a name and a hash"),
        ] {
            let (found, fault) = Secrets::read(line).expect_err(line);
            assert_eq!((found, fault.problem), (number, problem), "{line}");
        }
    }
}
