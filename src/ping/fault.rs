//! What can go wrong on the way, in words.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Characters of a peer's words that are repeated.
const WORDS_CHARS_MAX: usize = 200;

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Resolve,
    Connect,
    Tls,
    Upgrade,
    Echo,
    Close,
}

impl Step {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Step::Resolve => "resolve",
            Step::Connect => "connect",
            Step::Tls => "tls",
            Step::Upgrade => "upgrade",
            Step::Echo => "echo",
            Step::Close => "close",
        }
    }
}

/// A step that failed, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) step: Step,
    why: String,
}

impl Fault {
    pub(super) fn new(step: Step, why: impl Into<String>) -> Self {
        let why = why.into();
        Fault { step, why }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// A step that has to be done in time.
pub(super) async fn within<T>(
    span: Duration,
    step: Step,
    doing: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let late = || {
        let what = match step {
            Step::Resolve => "the name was not resolved",
            Step::Connect => "nobody answered, neither yes nor no, which is what a firewall does,",
            Step::Tls => "the TLS handshake was not finished",
            Step::Upgrade => "the upgrade was not answered",
            Step::Echo => "the message was not answered",
            Step::Close => "the Close was not answered",
        };
        Fault::new(step, format!("{what} within {span:?}"))
    };
    let done = tokio::time::timeout(span, doing).await;
    done.unwrap_or_else(|_| Err(late()))
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        out += &format!(": {cause}");
        source = cause.source();
    }
    out
}

/// A peer's words on one line, without a terminal's control sequences, and no more of them than one reads.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for (number, character) in text.trim().chars().enumerate() {
        match character {
            _ if number == WORDS_CHARS_MAX => {
                out.push('…');
                break;
            }
            '\n' => out.push(' '),
            plain if !plain.is_control() => out.push(plain),
            control => out.extend(control.escape_default()),
        }
    }
    out
}
