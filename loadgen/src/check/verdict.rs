//! What a case came to.

use serde::{Deserialize, Serialize};

/// How much a rule binds the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    /// What a document says that a server must or must not do. Not to do it is a FAIL.
    Must,
    /// A recommendation, a limit that a server should have, or a fault of the client's that no document
    /// obliges the server to punish. Not to do it is a WARN.
    Should,
}

/// What a case came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    /// What must happen happened.
    Pass,
    /// The case does not apply to this server.
    Skip,
    /// A recommendation was not followed, or a limit is missing.
    Warn,
    /// A requirement was not met.
    Fail,
}

impl Verdict {
    /// As a table shows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Skip => "SKIP",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        }
    }
}

/// Why a case is no PASS: what happened, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The rule of the case was broken: WARN or FAIL, as its level says.
    Broken(String),
    /// The rule was kept, and a recommendation beside it was not: WARN.
    Lax(String),
    /// The server broke a requirement by what it sent, whatever the case is about: FAIL.
    Illegal(String),
    /// The case does not apply to this server: SKIP.
    Inapplicable(String),
}

impl Finding {
    /// The verdict in a case of this level.
    pub(crate) fn verdict(&self, level: Level) -> Verdict {
        match self {
            Finding::Broken(_) if level == Level::Must => Verdict::Fail,
            Finding::Broken(_) | Finding::Lax(_) => Verdict::Warn,
            Finding::Illegal(_) => Verdict::Fail,
            Finding::Inapplicable(_) => Verdict::Skip,
        }
    }

    /// What happened.
    pub(crate) fn words(&self) -> &str {
        match self {
            Finding::Broken(words)
            | Finding::Lax(words)
            | Finding::Illegal(words)
            | Finding::Inapplicable(words) => words,
        }
    }
}
